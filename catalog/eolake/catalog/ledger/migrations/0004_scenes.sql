-- Scenes: of all processings of one sensing the best one is fetched and shown, in whatever order they arrive.

alter table eolake.granule
    add column offered_as text not null default 'queued' check (offered_as in ('queued', 'fetched'));

comment on column eolake.granule.offered_as is 'The state in which it waits when it is wanted again';
comment on column eolake.granule.scene_key is
    'The sensing. One that ends in @footprint or @time stands for several side by side: two granules of it compete only where these overlap';

update eolake.granule set offered_as = 'fetched' where provider = 'folder';

alter table eolake.publication
    add column footprint     jsonb,
    add column listed        boolean not null default true,
    add column superseded_by text;

comment on column eolake.publication.footprint is 'GeoJSON geometry of the item, where its scene key asks for it';
comment on column eolake.publication.listed is 'Whether a superseded item stays in the catalog, with a link to its successor';
comment on column eolake.publication.superseded_by is 'collection/item of the publication that took its place';

create index publication_by_scene on eolake.publication (scene_key) where scene_key is not null;

alter table eolake.object add column href text;

comment on column eolake.object.href is 'Where a foreign object is: never in the store, never deleted. Null: ours';

create table eolake.scene (
    scene_key    text primary key,
    published_at timestamptz not null default eolake.clock()
);

comment on table eolake.scene is
    'Written by every transaction that publishes a processing of a scene: of two at once the second fails to serialize, and tries again.';

create function eolake.overlap(one jsonb, other jsonb) returns double precision
language plpgsql immutable parallel safe
set search_path = public, pg_catalog
as $$
declare
    a geometry; b geometry;
begin
    a := st_makevalid(st_geomfromgeojson(one));
    b := st_makevalid(st_geomfromgeojson(other));
    return st_area(st_intersection(a, b)) / nullif(least(st_area(a), st_area(b)), 0);
exception when others then
    return null;  -- a footprint that is none: nobody may fail because of it
end $$;

comment on function eolake.overlap is 'Which part of the smaller of two footprints (GeoJSON) lies in the other; null when one is no area';

create function eolake.competes(scene text, one jsonb, other jsonb) returns boolean
language plpgsql stable parallel safe
set search_path = pg_catalog
as $$
declare
    a_start timestamptz; a_end timestamptz; b_start timestamptz; b_end timestamptz;
begin
    if one ->> 'owner' = other ->> 'owner' then
        return false;
    elsif one ->> 'name' = other ->> 'name' or scene not like '%@%' then
        return true;
    elsif scene like '%@footprint' then
        return coalesce(eolake.overlap(one -> 'footprint', other -> 'footprint') > 0.75, false);
    end if;
    a_start := one ->> 'start_at'; a_end := one ->> 'end_at'; b_start := other ->> 'start_at'; b_end := other ->> 'end_at';
    return coalesce(least(a_end, b_end) - greatest(a_start, b_start) >= least(a_end - a_start, b_end - b_start) * 0.5, false);
end $$;

comment on function eolake.competes is
    'Whether two products of a scene key show the same: by the key alone, or where three quarters of the smaller footprint, or half of '
    'the shorter time, lie in the other. What is not known does not compete: both are fetched, and then it is known.';

create function eolake.contest(candidates jsonb) returns table (id bigint, beaten_by bigint, winner text, duplicate boolean)
language plpgsql stable
set search_path = pg_catalog
as $$
declare
    one jsonb; kept jsonb[] := '{}'; other jsonb; scene text;
begin
    for one in
        select c.value from jsonb_array_elements(candidates) c
        order by c.value ->> 'key' collate "C", c.value -> 'rank' desc, (c.value ->> 'progress')::integer desc, (c.value ->> 'id')::bigint
    loop
        if scene is distinct from one ->> 'key' then
            scene := one ->> 'key';
            kept := '{}';
        end if;
        id := (one ->> 'id')::bigint; beaten_by := null; winner := null; duplicate := false;
        foreach other in array kept loop
            if eolake.competes(scene, other, one) then
                beaten_by := (other ->> 'id')::bigint;
                winner := other ->> 'name';
                duplicate := other -> 'rank' = one -> 'rank';
                exit;
            end if;
        end loop;
        if beaten_by is null then
            kept := kept || one;
        end if;
        return next;
    end loop;
end $$;

comment on function eolake.contest is
    'Of candidates {id, owner, key, name, rank, progress, footprint, start_at, end_at}: who beats each. From the best to the worst, one '
    'stays unless a better one that stays shows the same; so the outcome depends on who is there, never on who came first. '
    'Of equal ranks the one stays that has come further, then the first.';

create function eolake.settle(keys text[]) returns void
language plpgsql volatile
set search_path = pg_catalog
as $$
begin
    -- One at a time: who is passed over because of another must not miss that the other is quarantined at this very moment.
    perform pg_advisory_xact_lock(hashtext('eolake scenes'), 0);
    with crowd as materialized (
        select g.granule_id, g.name, g.state, g.superseded_by, g.offered_as,
               exists (select from eolake.publication p where p.granule_id = g.granule_id and p.state = 'superseded') as shown,
               jsonb_build_object(
                   'id', g.granule_id, 'owner', g.granule_id, 'key', g.transfer || ' ' || g.scene_key, 'name', g.name, 'rank', g.rank,
                   'progress', coalesce(array_position(array['queued', 'fetched', 'fetching', 'converting', 'published'], g.state), 0),
                   'footprint', case when g.scene_key like '%@footprint' then g.footprint end,
                   'start_at', g.start_at, 'end_at', g.end_at) as candidate
        from eolake.granule g
        where g.scene_key = any(keys) and g.state not in ('quarantined', 'withdrawn')
          and (g.state <> 'rejected' or g.superseded_by is not null)
    ), outcome as (
        select c.granule_id, c.shown, r.winner,
               case when r.beaten_by is null then c.offered_as when r.duplicate then 'rejected' else 'superseded' end as verdict,
               case when r.duplicate then 'duplicate: ' || r.winner || ' is there already'
                    when r.beaten_by is not null then 'superseded by ' || r.winner end as reason
        from eolake.contest((select coalesce(jsonb_agg(candidate), '[]') from crowd)) r join crowd c on c.granule_id = r.id
        where case when r.beaten_by is null then c.state in ('superseded', 'rejected')
                   else c.state in ('queued', 'fetched', 'superseded', 'rejected') end
    ), settled as (
        update eolake.granule g
        set state = o.verdict, reason = o.reason, superseded_by = o.winner, lease_owner = null, step = null,
            attempts = 0, faults = 0, fault = null, waits_for = null, next_try = eolake.clock(), changed_at = eolake.clock()
        from outcome o
        where g.granule_id = o.granule_id and g.state in ('queued', 'fetched', 'superseded', 'rejected') and not o.shown
          and (g.state <> o.verdict or g.superseded_by is distinct from o.winner)
        returning g.granule_id, g.state, g.superseded_by
    )
    insert into eolake.event (kind, granule_id, detail)
    select case when superseded_by is null then 'wanted again' else state end, granule_id, jsonb_strip_nulls(jsonb_build_object('by', superseded_by))
    from settled;
end $$;

comment on function eolake.settle is
    'Decide which waiting granules of these scenes are wanted: what a better one passes over is superseded, or rejected as a duplicate, '
    'and waits again when that one is quarantined or withdrawn. What is being worked on is left alone: publishing decides about it. '
    'So is what was published and superseded: its items come back without being fetched.';

create function eolake.granule_settled() returns trigger
language plpgsql
set search_path = pg_catalog
as $$
begin
    perform eolake.settle(array[new.scene_key]);
    return null;
end $$;

create trigger granule_settled after update on eolake.granule
for each row when (new.scene_key is not null and old.state <> new.state and (
    new.state in ('quarantined', 'withdrawn') or old.state in ('quarantined', 'withdrawn')
    or (old.state = 'fetching' and new.state = 'queued')
)) execute function eolake.granule_settled();
