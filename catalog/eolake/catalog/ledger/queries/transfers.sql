-- Transfers: a granule and a connection, leased together.

-- name: claim
select (c.granule).*, c.credential, c.credential_id, c.n
from eolake.claim_transfer(%(owner)s, %(lease)s, %(providers)s, %(only)s::bigint[], %(credential_id)s::bigint, %(n)s::integer, %(fence)s::bigint,
                           %(bulk_first)s) c;

-- name: keep
-- Keep claims, and say how far they are; those that are lost come back. A connection whose lease ran out is lost: nobody counts it any more.
-- A granule of which bytes come is not what kills workers: its faults are forgotten.
with held as (
    select * from jsonb_to_recordset(%(claims)s::jsonb) as h(granule_id bigint, fence bigint, credential_id bigint, n integer, bytes bigint)
), kept as (
    update eolake.granule g
    set next_try = eolake.clock() + %(lease)s, faults = case when h.bytes > 0 then 0 else g.faults end
    from held h
    where g.granule_id = h.granule_id and g.fence = h.fence and g.state = 'fetching'
    returning g.fence
), slots as (
    update eolake.slot s
    set leased_until = eolake.clock() + %(lease)s, bytes = h.bytes, seen_at = eolake.clock(),
        rate = greatest(h.bytes - s.bytes, 0) / greatest(extract(epoch from eolake.clock() - s.seen_at)::double precision, 0.001)
    from held h
    where s.credential_id = h.credential_id and s.n = h.n and s.fence = h.fence and s.leased_until > eolake.clock()
    returning s.fence
)
select h.fence from held h where h.fence not in (select fence from kept) or h.fence not in (select fence from slots);

-- name: fetched
-- The files of a granule are verified in the store: it waits to be converted. No row when the lease is lost.
with ended as (
    update eolake.granule
    set state = 'fetched', reason = null, fault = null, step = null, attempts = 0, faults = 0, corrupt = 0, failing_since = null,
        waits_for = null, lease_owner = null, fetched_at = eolake.clock(),
        fetched_on = %(machine)s, next_try = eolake.clock(), changed_at = eolake.clock()
    where granule_id = %(granule_id)s and fence = %(fence)s and state = 'fetching'
    returning granule_id
), files as (
    insert into eolake.file (granule_id, name, size, digests, etag, last_modified, key, sha256, bytes, warnings, fetched_at)
    select e.granule_id, f.name, f.size, f.digests, f.etag, f.last_modified, f.key, f.sha256, f.bytes, f.warnings, eolake.clock()
    from ended e, jsonb_to_recordset(%(files)s::jsonb)
        as f(name text, size bigint, digests jsonb, etag text, last_modified text, key text, sha256 text, bytes bigint, warnings jsonb)
    on conflict (granule_id, name) do update
    set size = excluded.size, digests = excluded.digests, etag = excluded.etag, last_modified = excluded.last_modified, key = excluded.key,
        sha256 = excluded.sha256, bytes = excluded.bytes, warnings = excluded.warnings, fetched_at = excluded.fetched_at
)
insert into eolake.event (kind, granule_id, detail)
select 'fetched', granule_id, jsonb_build_object('bytes', %(bytes)s::bigint, 'credential', %(credential)s::text) from ended
returning granule_id;

-- name: put_off
-- Wait again, or be kept aside; `counted`: whether the attempt counts. No row when the lease is lost.
with ended as (
    update eolake.granule
    set state = %(state)s, reason = %(reason)s, fault = %(fault)s, waits_for = %(waits_for)s, lease_owner = null,
        attempts = attempts - (not %(counted)s)::integer,
        corrupt = case when reason is null then 0 else corrupt end + %(corrupt)s::integer,
        failing_since = case when reason is null or failing_since is null then eolake.clock() else failing_since end,
        next_try = eolake.clock() + %(delay)s, changed_at = eolake.clock()
    where granule_id = %(granule_id)s and fence = %(fence)s and state = 'fetching'
    returning granule_id
)
insert into eolake.event (kind, granule_id, detail)
select case %(state)s when 'queued' then 'put off' else %(state)s end, granule_id,
       jsonb_build_object('fault', %(fault)s::text, 'reason', %(reason)s::text)
from ended
returning granule_id;

-- name: release
-- Unfinished work goes back; the attempt does not count.
update eolake.granule set state = 'queued', attempts = attempts - 1, lease_owner = null, next_try = eolake.clock(), changed_at = eolake.clock()
where granule_id = %(granule_id)s and fence = %(fence)s and state = 'fetching'
returning granule_id;

-- name: history
-- What went wrong before, as long as it was not tried anew from the start (then there is no reason); locks the granule. No row when the lease is lost.
select reason is null as first, case when reason is not null then fault end as fault, case when reason is null then 0 else corrupt end as corrupt,
       coalesce(case when reason is not null then eolake.clock() - failing_since end, interval '0') as failing
from eolake.granule where granule_id = %(granule_id)s and fence = %(fence)s and state = 'fetching'
for update;

-- name: due_in
-- How long until the next granule can be claimed by some account; null when none ever will.
select min(greatest(g.next_try, a.usable_at)) - eolake.clock() as due_in
from (
    select c.provider, min(greatest(
        c.cooldown_until,
        case when c.budget is not null and eolake.spent(c.credential_id) >= c.budget then eolake.clock() + interval '1 hour' else '-infinity' end,
        coalesce((select max(h.open_until) from eolake.host h where h.provider = c.provider and h.trips > 0), '-infinity'))) as usable_at
    from eolake.credential c
    where c.disabled is null and not c.retired and c.provider = any(%(providers)s)
    group by c.provider
) a,
lateral (
    select min(next_try) as next_try from eolake.granule g
    where g.provider = a.provider and g.state in ('queued', 'fetching') and (%(only)s::bigint[] is null or g.granule_id = any(%(only)s::bigint[]))
) g
where g.next_try is not null;
