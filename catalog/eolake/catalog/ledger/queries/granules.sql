-- Granules: the table is the queue. `next_try` is when somebody may claim a row: the next try, or the end of its lease.

-- name: news
-- The scenes of offers that are new or changed (or new to a feed), before and after; no row when all are known as they are.
select distinct scene_key from (
    select unnest(array[o.scene_key, g.scene_key]) as scene_key
    from jsonb_to_recordset(%(offers)s::jsonb) as o(provider text, id text, fingerprint text, scene_key text, feed text)
    left join eolake.granule g on g.provider = o.provider and g.id = o.id
    where g.granule_id is null or g.fingerprint <> o.fingerprint or (g.feed is null and o.feed is not null)
) news;

-- name: known
-- Offers that are known as they are.
select o.id, g.granule_id, 'known' as outcome
from jsonb_to_recordset(%(offers)s::jsonb) as o(provider text, id text)
join eolake.granule g on g.provider = o.provider and g.id = o.id;

-- name: hold
-- Nobody else settles scenes before this transaction ends.
select pg_advisory_xact_lock(hashtext('eolake scenes'), 0);

-- name: settle
select eolake.settle(%(keys)s);

-- name: withdraw
-- The provider has deleted these; the scene keys that lose one.
with gone as (
    update eolake.granule
    set state = 'withdrawn', reason = %(reason)s, step = null, lease_owner = null, fence = nextval('eolake.fence'), changed_at = eolake.clock()
    where provider = %(provider)s and id = any(%(ids)s) and state <> 'withdrawn'
    returning granule_id, id
), noted as (
    insert into eolake.event (kind, granule_id, detail)
    select 'withdrawn', granule_id, jsonb_build_object('reason', %(reason)s::text) from gone
)
select id from gone order by id;

-- name: withdrawn
-- What is still shown of granules that are withdrawn.
select p.collection, p.item_id, g.granule_id, g.reason, g.provider
from eolake.granule g join eolake.publication p using (granule_id)
where g.state = 'withdrawn' and p.state in ('live', 'superseded')
order by p.collection, p.item_id;

-- name: supersede
-- End a lease: a better processing of the scene is published.
with ended as (
    update eolake.granule
    set state = 'superseded', reason = 'superseded by ' || %(by)s::text, superseded_by = %(by)s, lease_owner = null, step = null,
        scene_key = coalesce(scene_key, %(scene_key)s), rank = case when scene_key is null then %(rank)s::jsonb else rank end,
        footprint = coalesce(footprint, %(footprint)s::jsonb), start_at = coalesce(start_at, %(start_at)s), end_at = coalesce(end_at, %(end_at)s),
        changed_at = eolake.clock()
    where granule_id = %(granule_id)s and fence = %(fence)s and state in ('fetching', 'converting')
    returning granule_id
)
insert into eolake.event (kind, granule_id, detail)
select 'superseded', granule_id, jsonb_build_object('by', %(by)s::text) from ended
returning granule_id;

-- name: follow
-- Published granules whose items were all superseded, and superseded ones that have a live item again.
with standing as (
    select g.granule_id, g.state, bool_or(p.state = 'live') as live, min(p.superseded_by) as by
    from eolake.granule g join eolake.publication p using (granule_id)
    where g.granule_id = any(%(granules)s) and g.state in ('published', 'superseded')
    group by g.granule_id
), moved as (
    update eolake.granule g
    set state = case when s.live then 'published' else 'superseded' end,
        superseded_by = case when s.live then null else split_part(s.by, '/', 2) end,
        reason = case when s.live then null else 'superseded by ' || split_part(s.by, '/', 2) end, changed_at = eolake.clock()
    from standing s
    where g.granule_id = s.granule_id and s.live <> (g.state = 'published')
    returning g.granule_id, g.state, g.superseded_by
)
insert into eolake.event (kind, granule_id, detail)
select case state when 'published' then 'restored' else state end, granule_id, jsonb_strip_nulls(jsonb_build_object('by', superseded_by))
from moved;

-- name: offer
-- Insert what is new, queue again what the provider changed; rows that are as they were are not touched. A provider that only puts
-- a wrong digest right (`md5:…`), to that of the file that was fetched, has changed nothing.
with offered as (
    select * from jsonb_to_recordset(%(offers)s::jsonb)
        as o(provider text, id text, name text, source text, size bigint, fingerprint text, state text, collection text, scene_key text,
             rank jsonb, feed text, priority smallint, transfer text, published timestamptz, modified timestamptz, start_at timestamptz,
             end_at timestamptz, footprint jsonb, cloud_cover double precision, detail jsonb, options jsonb)
), inserted as (
    insert into eolake.granule (provider, id, name, source, size, fingerprint, state, offered_as, collection, scene_key, rank, feed, priority, transfer,
                                published, modified, start_at, end_at, footprint, cloud_cover, detail, options)
    select o.provider, o.id, o.name, o.source, o.size, o.fingerprint, o.state, o.state, o.collection, o.scene_key, o.rank, o.feed, o.priority,
           o.transfer, o.published, o.modified, o.start_at, o.end_at, o.footprint, o.cloud_cover, o.detail, nullif(o.options, 'null')
    from offered o
    where not exists (select from eolake.granule g where g.provider = o.provider and g.id = o.id)
    order by o.provider, o.id
    on conflict (provider, id) do nothing
    returning granule_id, id
), changed as (
    update eolake.granule g
    set source = o.source, size = o.size, fingerprint = o.fingerprint, state = o.state, reason = null, step = null, fault = null,
        attempts = 0, faults = 0, next_try = eolake.clock(), lease_owner = null, fence = nextval('eolake.fence'), changed_at = eolake.clock(),
        published = o.published, modified = o.modified, start_at = o.start_at, end_at = o.end_at, footprint = o.footprint,
        cloud_cover = o.cloud_cover, detail = o.detail, superseded_by = null, waits_for = null, offered_as = o.state,
        scene_key = coalesce(o.scene_key, g.scene_key), rank = case when o.scene_key is null then g.rank else o.rank end,
        feed = coalesce(g.feed, o.feed), options = coalesce(nullif(o.options, 'null'), g.options)
    from offered o
    where g.provider = o.provider and g.id = o.id and g.fingerprint <> o.fingerprint
      and not exists (select from eolake.file f where f.granule_id = g.granule_id and strpos(o.fingerprint, ':') > 0
                      and f.digests ->> split_part(o.fingerprint, ':', 1) = split_part(o.fingerprint, ':', 2))
    returning g.granule_id, g.id
), adopted as (  -- what came by an order of its own belongs to the feed that wants it too: its day is complete
    update eolake.granule g set feed = o.feed from offered o
    where g.provider = o.provider and g.id = o.id and g.fingerprint = o.fingerprint and g.feed is null and o.feed is not null
), noted as (
    insert into eolake.event (kind, granule_id)
    select 'offered', granule_id from inserted union all select 'changed', granule_id from changed
)
select o.id, coalesce(i.granule_id, c.granule_id, g.granule_id) as granule_id,
       case when i.granule_id is not null then 'new' when c.granule_id is not null then 'changed' else 'known' end as outcome
from offered o
left join inserted i on i.id = o.id
left join changed c on c.id = o.id
left join eolake.granule g on g.provider = o.provider and g.id = o.id;

-- name: claim
-- Lease the granules that are due, oldest first; an expired lease is due too: its worker vanished, which is a fault, and the
-- step it came to stays for the reason. A later lease has the greater fence.
update eolake.granule g
set state = %(leased)s, lease_owner = %(owner)s, fence = nextval('eolake.fence'), attempts = attempts + 1,
    faults = faults + (state = %(leased)s)::integer, next_try = eolake.clock() + %(lease)s, changed_at = eolake.clock()
from (
    select granule_id from eolake.granule
    where state in (%(waiting)s, %(leased)s) and next_try <= eolake.clock()
      and (%(only)s::bigint[] is null or granule_id = any(%(only)s::bigint[]))
    order by next_try, granule_id
    limit %(limit)s
    for update skip locked
) due
where g.granule_id = due.granule_id
returning g.*;

-- name: extend
-- Keep a lease; no row when it is somebody else's by now.
update eolake.granule set next_try = eolake.clock() + %(lease)s
where granule_id = %(granule_id)s and fence = %(fence)s and state in ('fetching', 'converting')
returning granule_id;

-- name: note_step
-- Where the work is, for whoever asks, and for the reason when the worker dies here.
update eolake.granule set step = %(step)s, changed_at = eolake.clock()
where granule_id = %(granule_id)s and fence = %(fence)s and state in ('fetching', 'converting')
returning granule_id;

-- name: release
-- Give back unfinished work; the attempt does not count.
update eolake.granule
set state = %(waiting)s, attempts = attempts - 1, lease_owner = null, next_try = eolake.clock(), changed_at = eolake.clock()
where granule_id = %(granule_id)s and fence = %(fence)s and state in ('fetching', 'converting')
returning granule_id;

-- name: finish
-- End a lease in another state: back to waiting for a later try, quarantined or rejected, each with its reason.
with ended as (
    update eolake.granule
    set state = %(state)s, reason = %(reason)s, superseded_by = %(by)s::text, faults = faults + %(fault)s::integer, lease_owner = null,
        next_try = eolake.clock() + %(delay)s, changed_at = eolake.clock()
    where granule_id = %(granule_id)s and fence = %(fence)s and state in ('fetching', 'converting')
    returning granule_id
)
insert into eolake.event (kind, granule_id, detail)
select %(state)s, granule_id, jsonb_build_object('reason', %(reason)s::text) from ended
returning granule_id;

-- name: fence
-- Lock a leased granule until commit; no row when the lease is lost.
select granule_id from eolake.granule
where granule_id = %(granule_id)s and fence = %(fence)s and state in ('fetching', 'converting')
for update;

-- name: published
-- The last statement of a publication about its granule.
with ended as (
    update eolake.granule
    set state = 'published', reason = null, step = null, lease_owner = null, collection = %(collection)s, superseded_by = null,
        scene_key = coalesce(scene_key, %(scene_key)s), rank = case when scene_key is null then %(rank)s::jsonb else rank end,
        footprint = coalesce(footprint, %(footprint)s::jsonb), start_at = coalesce(start_at, %(start_at)s), end_at = coalesce(end_at, %(end_at)s),
        changed_at = eolake.clock()
    where granule_id = %(granule_id)s
    returning granule_id
)
insert into eolake.event (kind, granule_id, detail)
select 'published', granule_id, jsonb_build_object('items', %(items)s::jsonb) from ended;

-- name: retry
-- Quarantined (or rejected) granules wait again from their first attempt; those that wait already, no longer for anything.
with chosen as (
    update eolake.granule
    set state = coalesce(%(waiting)s, case when state in ('queued', 'fetched') then state else offered_as end), attempts = 0, faults = 0,
        reason = null, step = null, waits_for = null, next_try = eolake.clock(), changed_at = eolake.clock()
    where state = any(%(states)s) and (%(part)s::text is null or strpos(lower(reason), lower(%(part)s)) > 0)
      and (%(names)s::text[] is null or name = any(%(names)s)) and (%(provider)s::text is null or provider = %(provider)s)
      and (%(since)s::timestamptz is null or coalesce(published, offered_at) >= %(since)s)
      and (%(until)s::timestamptz is null or coalesce(published, offered_at) < %(until)s)
    returning granule_id, name
), noted as (
    insert into eolake.event (kind, granule_id) select 'retried', granule_id from chosen
)
select granule_id, name from chosen order by name;

-- name: select_retry
-- What `retry` would take.
select granule_id, name from eolake.granule
where state = any(%(states)s) and (%(part)s::text is null or strpos(lower(reason), lower(%(part)s)) > 0)
      and (%(names)s::text[] is null or name = any(%(names)s)) and (%(provider)s::text is null or provider = %(provider)s)
      and (%(since)s::timestamptz is null or coalesce(published, offered_at) >= %(since)s)
      and (%(until)s::timestamptz is null or coalesce(published, offered_at) < %(until)s)
order by name;

-- name: reorder
-- Granules in one of these states that were converted, or are to be, with other options; none that is published by reference.
with chosen as (
    update eolake.granule
    set options = %(options)s::jsonb, state = case when state in ('queued', 'fetched') then state else offered_as end,
        attempts = case when state in ('queued', 'fetched') then attempts else 0 end,
        faults = case when state in ('queued', 'fetched') then faults else 0 end,
        reason = case when state in ('queued', 'fetched') then reason end, step = case when state in ('queued', 'fetched') then step end,
        next_try = case when state in ('queued', 'fetched') then next_try else eolake.clock() end,
        waits_for = case when state in ('queued', 'fetched') then waits_for end, superseded_by = null, changed_at = eolake.clock()
    where granule_id = any(%(ids)s) and state = any(%(states)s) and transfer = 'copy'
      and (%(same)s or options is distinct from %(options)s::jsonb)
    returning granule_id
), noted as (
    insert into eolake.event (kind, granule_id, detail)
    select 'reordered', granule_id, jsonb_build_object('options', %(options)s::jsonb) from chosen
)
select granule_id from chosen;

-- name: get
select * from eolake.granule where granule_id = any(%(ids)s) order by granule_id;

-- name: due_in
-- How long until the next of these granules may be claimed (its lease or its delay ends); null when none ever will.
select min(next_try) - eolake.clock() as due_in from eolake.granule
where state in (%(waiting)s, %(leased)s) and (%(only)s::bigint[] is null or granule_id = any(%(only)s::bigint[]));

-- name: owners
-- Who holds a lease.
select distinct lease_owner from eolake.granule where state in ('fetching', 'converting') and next_try > eolake.clock();

-- name: expire
-- End the leases of owners that are known to be dead, or to know nothing of them: all but those with these fences.
update eolake.granule set next_try = eolake.clock(), changed_at = eolake.clock()
where lease_owner = any(%(owners)s) and state in ('fetching', 'converting') and next_try > eolake.clock() and fence <> all(%(kept)s)
returning granule_id;

-- name: leased
-- Which of these fences are leased (also when the lease ran out and nobody took it yet).
select fence from eolake.granule where fence = any(%(fences)s) and state in ('fetching', 'converting');

-- name: states
select state, count(*) as granules from eolake.granule group by state order by state;
