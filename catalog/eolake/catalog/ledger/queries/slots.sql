-- Slots: one leased row per connection of each credential.

-- name: configure
-- Accounts as the settings have them; rows that are as they were are not touched.
with given as (
    select * from jsonb_to_recordset(%(accounts)s::jsonb)
        as a(provider text, name text, connections integer, budget bigint, release_lag double precision)
), providers as (
    insert into eolake.provider (provider) select distinct provider from given on conflict do nothing
), fresh as (
    insert into eolake.credential (provider, name, connections, allowed, budget, release_lag)
    select provider, name, connections, connections, budget, make_interval(secs => release_lag) from given
    on conflict (provider, name) do update
    set connections = excluded.connections, allowed = least(credential.allowed, excluded.connections), budget = excluded.budget,
        release_lag = excluded.release_lag, retired = false
    where (credential.connections, credential.release_lag, credential.retired) <> (excluded.connections, excluded.release_lag, false)
       or credential.budget is distinct from excluded.budget
    returning credential_id, connections
), slots as (
    insert into eolake.slot (credential_id, n) select f.credential_id, n from fresh f, generate_series(1, f.connections) n
    on conflict do nothing
)
update eolake.credential c set retired = true
where not c.retired and c.provider in (select provider from given)
  and not exists (select from given g where g.provider = c.provider and g.name = c.name);

-- name: free
-- A slot is free again, after the lag for which its provider still counts the connection.
update eolake.slot s
set owner = null, granule_id = null, fence = null, bytes = 0, began_at = null, leased_until = '-infinity',
    cooldown_until = eolake.clock() + c.release_lag
from eolake.credential c
where c.credential_id = s.credential_id and s.credential_id = %(credential_id)s and s.n = %(n)s and s.owner = %(owner)s;

-- name: hold
-- The connection stays open between two granules: the slot stays taken for a moment.
update eolake.slot set granule_id = null, fence = null, bytes = 0, began_at = null, leased_until = eolake.clock() + interval '10 seconds'
where credential_id = %(credential_id)s and n = %(n)s and owner = %(owner)s;

-- name: owners
select distinct owner from eolake.slot where owner is not null and leased_until > eolake.clock();

-- name: expire
-- Connections of owners that are known to be dead.
update eolake.slot s
set owner = null, granule_id = null, fence = null, bytes = 0, began_at = null, leased_until = '-infinity',
    cooldown_until = eolake.clock() + c.release_lag
from eolake.credential c
where c.credential_id = s.credential_id and s.owner = any(%(owners)s);

-- name: cool_down
-- An account rests; with `shrink` it also uses half its connections from now on.
update eolake.credential
set cooldown_until = greatest(cooldown_until, eolake.clock() + %(rest)s),
    allowed = case when %(shrink)s and adapted_at < eolake.clock() - interval '1 second' then greatest(1, allowed / 2) else allowed end,
    adapted_at = case when %(shrink)s then eolake.clock() else adapted_at end
where credential_id = %(credential_id)s;

-- name: grow
-- One connection more for each account that had ten clean minutes.
update eolake.credential set allowed = allowed + 1, adapted_at = eolake.clock()
where allowed < connections and adapted_at < eolake.clock() - interval '10 minutes';

-- name: disable
update eolake.credential set disabled = %(reason)s where credential_id = %(credential_id)s and disabled is null;

-- name: enable
update eolake.credential set disabled = null, allowed = connections, cooldown_until = '-infinity'
where disabled is not null and (%(provider)s::text is null or provider = %(provider)s)
returning provider, name;

-- name: add_traffic
insert into eolake.traffic (credential_id, hour, bytes) values (%(credential_id)s, date_trunc('hour', eolake.clock()), %(bytes)s)
on conflict (credential_id, hour) do update set bytes = traffic.bytes + excluded.bytes;

-- name: host_good
-- A host that was closed is open again; a good one is counted only while bad ones are.
update eolake.host
set good = case when trips > 0 then 0 else good + 1 end, bad = case when trips > 0 then 0 else bad end, trips = 0, open_until = '-infinity',
    since = case when trips > 0 or since < eolake.clock() - interval '1 minute' then eolake.clock() else since end
where provider = %(provider)s and host = %(host)s and (bad > 0 or trips > 0);

-- name: host_bad
-- More than half of at least ten in a minute, or a failed trial: closed for a while, twice as long each time.
insert into eolake.host as h (provider, host, bad) values (%(provider)s, %(host)s, 1)
on conflict (provider, host) do update
set since = case when h.since < eolake.clock() - interval '1 minute' then eolake.clock() else h.since end,
    good = case when h.since < eolake.clock() - interval '1 minute' then 0 else h.good end,
    bad = case when h.since < eolake.clock() - interval '1 minute' then 1 else h.bad + 1 end,
    trips = h.trips + (h.trips > 0 or (h.since >= eolake.clock() - interval '1 minute' and h.good + h.bad + 1 >= 10 and h.bad + 1 > h.good))::integer,
    open_until = case
        when h.trips > 0 or (h.since >= eolake.clock() - interval '1 minute' and h.good + h.bad + 1 >= 10 and h.bad + 1 > h.good)
        then eolake.clock() + least(interval '10 minutes', interval '30 seconds' * 2 ^ least(h.trips, 10))
        else h.open_until end;
