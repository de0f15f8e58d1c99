-- Publications: one row per item ever published, and the objects it owns.

-- name: stage
-- A prefix is about to be written under a lease.
insert into eolake.debris (prefix, fence) select unnest(%(prefixes)s::text[]), %(fence)s
on conflict (prefix) do nothing;

-- name: current
-- The publications of these items, locked until commit in a fixed order.
select p.publication_id, p.collection, p.item_id, p.revision, p.state, p.granule_id, p.run_id, p.prefix, p.digest, g.source
from eolake.publication p
join jsonb_to_recordset(%(items)s::jsonb) as i(collection text, item_id text) using (collection, item_id)
left join eolake.granule g using (granule_id)
order by p.collection, p.item_id
for update of p;

-- name: record
-- Insert or replace publications, with their objects and lineage; a greater revision that is there already wins.
with given as (
    select * from jsonb_to_recordset(%(publications)s::jsonb) as p(
        collection text, item_id text, dataset_id uuid, revision bigint, granule_id bigint, run_id bigint, scene_key text, rank jsonb,
        prefix text, digest text, west float8, south float8, east float8, north float8, start_at timestamptz, end_at timestamptz,
        bytes bigint, objects jsonb, sources jsonb, inputs text, footprint jsonb)
), written as (
    insert into eolake.publication as old (
        collection, item_id, dataset_id, revision, state, granule_id, run_id, scene_key, rank, prefix, digest,
        west, south, east, north, start_at, end_at, bytes, inputs, footprint)
    select collection, item_id, dataset_id, revision, 'live', granule_id, run_id, scene_key, rank, prefix, digest,
        west, south, east, north, start_at, end_at, bytes, inputs, nullif(footprint, 'null')
    from given order by collection, item_id
    on conflict (collection, item_id) do update set
        revision = excluded.revision, state = 'live', granule_id = excluded.granule_id, run_id = excluded.run_id,
        scene_key = excluded.scene_key, rank = excluded.rank, prefix = excluded.prefix, digest = excluded.digest,
        west = excluded.west, south = excluded.south, east = excluded.east, north = excluded.north,
        start_at = excluded.start_at, end_at = excluded.end_at, bytes = excluded.bytes, inputs = excluded.inputs,
        footprint = excluded.footprint, listed = true, superseded_by = null, expires_at = null, tombstone = null, changed_at = eolake.clock()
    where old.revision < excluded.revision
    returning publication_id, collection, item_id
), objects as (
    insert into eolake.object (key, publication_id, asset, bytes, checksum, pixel_digest, href)
    select o.key, w.publication_id, o.asset, o.bytes, o.checksum, o.pixel_digest, o.href
    from written w join given g using (collection, item_id),
         jsonb_to_recordset(g.objects) as o(key text, asset text, bytes bigint, checksum text, pixel_digest text, href text)
), lineage as (
    insert into eolake.lineage (publication_id, source_collection, source_item_id, source_revision)
    select w.publication_id, s.collection, s.item_id, source.revision
    from written w join given g using (collection, item_id)
    cross join lateral jsonb_to_recordset(g.sources) as s(collection text, item_id text)
    left join eolake.publication source on source.collection = s.collection and source.item_id = s.item_id
), clean as (
    delete from eolake.debris where prefix in (select prefix from given)
)
select publication_id, collection, item_id from written;

-- name: replace
-- What a newer revision takes over: objects and lineage go, their prefix is swept after a grace time for readers.
with gone as (
    delete from eolake.object where publication_id = any(%(ids)s)
), forgotten as (
    delete from eolake.lineage where publication_id = any(%(ids)s)
)
insert into eolake.debris (prefix, fence, due)
select prefix, revision, eolake.clock() + %(grace)s from eolake.publication where publication_id = any(%(ids)s)
on conflict (prefix) do nothing;

-- name: retire
-- Withdraw publications: nothing shows them any more; their objects stay until they are recycled.
update eolake.publication set state = 'grace', tombstone = %(tombstone)s, changed_at = eolake.clock()
where publication_id = any(%(ids)s)
returning publication_id;

-- name: sweepable
-- Debris that can never be published and is due: its fence is neither leased nor published.
select d.prefix from eolake.debris d
where d.due <= eolake.clock()
  and not exists (select from eolake.granule g where g.fence = d.fence and g.state in ('fetching', 'converting'))
  and not exists (select from eolake.run r where r.fence = d.fence and r.state = 'running' and r.lease_until > eolake.clock())
  and not exists (select from eolake.publication p where p.prefix = d.prefix)
order by d.prefix
limit %(limit)s;

-- name: swept
delete from eolake.debris where prefix = any(%(prefixes)s);

-- name: debris
select prefix from eolake.debris;

-- name: visible
-- Publications that the catalog must show, in keyset order; the cube only those that are live.
select publication_id, collection, item_id, dataset_id, revision, state, superseded_by, prefix, bytes, west, south, east, north, start_at, end_at
from eolake.publication
where (state = 'live' or (state = 'superseded' and listed)) and (collection, item_id) > (%(collection)s, %(item_id)s)
order by collection, item_id
limit %(limit)s;

-- name: objects
-- The objects of every publication that still owns bytes, in key order.
select o.key, o.bytes, o.checksum, o.pixel_digest, p.collection, p.item_id, p.state
from eolake.object o join eolake.publication p using (publication_id)
where p.state <> 'purged' and o.href is null and o.key > %(after)s
order by o.key
limit %(limit)s;

-- name: foreign
-- How many objects lie elsewhere: their publications only point to them.
select o.key, o.href from eolake.object o join eolake.publication p using (publication_id)
where p.state <> 'purged' and o.href is not null;

-- name: hold_scenes
-- Of two transactions that publish processings of one scene the second fails to serialize.
insert into eolake.scene (scene_key) select key from unnest(%(keys)s::text[]) key order by key
on conflict (scene_key) do update set published_at = eolake.clock();

-- name: contest
-- Which publications of these scenes stay: those that are there and, with negative numbers, those that are about to be.
with crowd as materialized (
    select p.publication_id as id, p.collection, p.item_id, p.prefix, p.state, p.superseded_by, p.granule_id,
           jsonb_build_object(
               'id', p.publication_id, 'owner', coalesce('granule ' || p.granule_id, 'run ' || p.run_id), 'key', p.scene_key,
               'name', p.item_id, 'rank', p.rank, 'progress', case p.state when 'live' then 1 else 0 end,
               'footprint', p.footprint, 'start_at', p.start_at, 'end_at', p.end_at) as candidate
    from eolake.publication p
    where p.scene_key = any(%(keys)s) and p.state in ('live', 'superseded')
      and not exists (select from jsonb_to_recordset(%(fresh)s::jsonb) as f(collection text, name text)
                      where f.collection = p.collection and f.name = p.item_id)
), given as (
    select candidate from crowd
    union all
    select f.value from jsonb_array_elements(%(fresh)s::jsonb) f
)
select r.id, r.beaten_by, r.duplicate, c.collection, c.item_id, c.prefix, c.state, c.superseded_by, c.granule_id
from eolake.contest((select coalesce(jsonb_agg(candidate), '[]') from given)) r left join crowd c on c.id = r.id;

-- name: scenes
-- All scenes of which more than one processing was published.
select scene_key from eolake.publication where scene_key is not null and state in ('live', 'superseded')
group by scene_key having count(*) > 1 order by scene_key;

-- name: scenes_of
-- The scenes of these publications.
select distinct scene_key from eolake.publication where publication_id = any(%(ids)s) and scene_key is not null;

-- name: demote
-- A better processing of the scene is published: the cube shows it no more, the catalog only when `listed`.
with gone as (
    update eolake.publication p
    set state = 'superseded', listed = d.listed, superseded_by = d.by, changed_at = eolake.clock()
    from jsonb_to_recordset(%(demoted)s::jsonb) as d(id bigint, listed boolean, by text)
    where p.publication_id = d.id
    returning p.publication_id, p.granule_id, p.superseded_by
)
insert into eolake.event (kind, granule_id, publication_id, detail)
select 'item superseded', granule_id, publication_id, jsonb_build_object('by', superseded_by) from gone;

-- name: promote
-- The better processing is gone: these are the best ones again.
with back as (
    update eolake.publication set state = 'live', listed = true, superseded_by = null, changed_at = eolake.clock()
    where publication_id = any(%(ids)s)
    returning publication_id, granule_id
)
insert into eolake.event (kind, granule_id, publication_id) select 'item restored', granule_id, publication_id from back;

-- name: find_object
-- Where the bytes of an asset are.
select o.key, o.bytes, p.state
from eolake.publication p join eolake.object o using (publication_id)
where p.collection = %(collection)s and p.item_id = %(item_id)s and o.asset = %(asset)s and o.href is null;

-- name: extents
-- Of each collection: items, bytes, bounding box and time. A bbox over the antimeridian makes the collection's world-wide.
select collection, count(*) as items, sum(bytes)::bigint as bytes,
       case when bool_or(west > east) then -180 else min(west) end as west, min(south) as south,
       case when bool_or(west > east) then 180 else max(east) end as east, max(north) as north,
       min(start_at) as start_at, max(end_at) as end_at, max(changed_at) as changed_at
from eolake.publication where state = 'live' group by collection order by collection;

-- name: digests
-- What is published of a derived collection, for the planner: item id → digest.
select item_id, digest, revision from eolake.publication where collection = %(collection)s and state = 'live';

-- name: place
select store_url from eolake.place;

-- name: set_place
insert into eolake.place (store_url) values (%(store_url)s)
on conflict (one) do update set store_url = excluded.store_url where place.store_url <> excluded.store_url;

-- name: origin
-- What a lease works on, for the record beside the objects.
select jsonb_build_object('granule', to_jsonb(o)) as origin
from (select provider, id, name, source, size, fingerprint, options from eolake.granule where %(kind)s = 'granule' and granule_id = %(id)s) o
union all
select jsonb_build_object('run', to_jsonb(o))
from (select analysis, parameters, code_version, fence from eolake.run where %(kind)s = 'run' and run_id = %(id)s) o;

-- name: restore_granule
-- A granule whose scene is in the store, as the record beside it says.
insert into eolake.granule (provider, id, name, source, size, fingerprint, options, state, fence, collection, scene_key, rank)
select o.provider, o.id, o.name, o.source, o.size, o.fingerprint, nullif(o.options, 'null'), 'published', %(revision)s, %(collection)s, %(scene_key)s, %(rank)s
from jsonb_to_record(%(origin)s::jsonb) as o(provider text, id text, name text, source text, size bigint, fingerprint text, options jsonb)
on conflict (provider, id) do update set state = 'published', reason = null, collection = excluded.collection,
    fence = greatest(granule.fence, excluded.fence)
returning granule_id as id;

-- name: restore_run
insert into eolake.run (analysis, parameters, code_version, state, lease_until, fence, ended_at)
select o.analysis, o.parameters, o.code_version, 'done', eolake.clock(), o.fence, eolake.clock()
from jsonb_to_record(%(origin)s::jsonb) as o(analysis text, parameters jsonb, code_version text, fence bigint)
on conflict (fence) do update set analysis = excluded.analysis
returning run_id as id;

-- name: clear
-- Forget all publications, before all are made again from the store.
delete from eolake.object;
delete from eolake.lineage;
delete from eolake.debris;
delete from eolake.publication;

-- name: pass_revision
-- No lease may ever get a revision that the store has seen.
select setval('eolake.fence', greatest(%(revision)s, (select last_value from eolake.fence)));
