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
    set connections = excluded.connections, budget = excluded.budget, release_lag = excluded.release_lag, retired = false,
        allowed = case when credential.allowed = credential.connections then excluded.connections  -- nothing had shrunk it
                  else least(credential.allowed, excluded.connections) end
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
-- A slot is free again, after the lag for which its provider still counts the connection; not when it is somebody else's by now.
update eolake.slot s
set owner = null, granule_id = null, fence = null, bytes = 0, rate = 0, began_at = null, seen_at = null, leased_until = '-infinity',
    cooldown_until = eolake.clock() + c.release_lag
from eolake.credential c
where c.credential_id = s.credential_id and s.credential_id = %(credential_id)s and s.n = %(n)s and s.fence = %(fence)s;

-- name: hold
-- The connection stays open between two granules: the slot stays taken for a moment.
update eolake.slot
set granule_id = null, leased_until = eolake.clock() + interval '10 seconds', seen_at = eolake.clock(), bytes = 0,
    rate = coalesce(%(bytes)s::bigint / greatest(extract(epoch from eolake.clock() - began_at)::double precision, 0.001), 0)
where credential_id = %(credential_id)s and n = %(n)s and fence = %(fence)s and leased_until > eolake.clock();

-- name: owners
select distinct owner from eolake.slot where owner is not null and leased_until > eolake.clock();

-- name: expire
-- Connections of owners that are known to be dead; those whose lease ran out were closed at that time at the latest.
update eolake.slot s
set owner = null, granule_id = null, fence = null, bytes = 0, rate = 0, began_at = null, seen_at = null, leased_until = '-infinity',
    cooldown_until = least(s.leased_until, eolake.clock()) + c.release_lag
from eolake.credential c
where c.credential_id = s.credential_id and s.owner = any(%(owners)s);

-- name: cool_down
-- An account rests: as long as it was told to, else twice as long each time. With `shrink` it also uses half its connections from
-- now on; what was under way when the rest began tells nothing new.
update eolake.credential
set cooldown_until = greatest(cooldown_until, eolake.clock() + coalesce(%(rest)s::interval,
        case when cooldown_until > eolake.clock() then interval '0' else least(%(first)s::interval * 2 ^ least(rates, 20), %(most)s::interval) end)),
    allowed = case when %(shrink)s and cooldown_until <= eolake.clock() then greatest(1, allowed / 2) else allowed end,
    rates = rates + (%(shrink)s and cooldown_until <= eolake.clock())::integer,
    adapted_at = case when %(shrink)s then eolake.clock() else adapted_at end
where credential_id = %(credential_id)s;

-- name: grow
-- One connection more for each account that had ten clean minutes.
update eolake.credential set allowed = least(allowed + 1, connections), rates = 0, adapted_at = eolake.clock()
where (allowed < connections or rates > 0) and greatest(adapted_at, cooldown_until) <= eolake.clock() - interval '10 minutes';

-- name: disable
update eolake.credential set disabled = %(reason)s where credential_id = %(credential_id)s and disabled is null;

-- name: enable
with enabled as (
    update eolake.credential set disabled = null, allowed = connections, rates = 0, cooldown_until = '-infinity'
    where disabled is not null and (%(provider)s::text is null or provider = %(provider)s)
    returning provider, name
), cleared as (
    update eolake.alarm a set cleared_at = eolake.clock() from enabled e
    where a.cleared_at is null and a.provider = e.provider and a.kind in ('login ' || e.name, 'retired')
)
select provider, name from enabled order by provider, name;

-- name: worked
-- A transfer with this account succeeded: what was said of its login and its quota is over.
update eolake.alarm a set cleared_at = eolake.clock()
from eolake.credential c
where c.credential_id = %(credential_id)s and a.provider = c.provider and a.cleared_at is null and a.kind in ('login ' || c.name, 'quota ' || c.name);

-- name: alarms
-- Raise what is wrong with the accounts of providers that are used, and clear what is over; a row that says the same is not written.
with account as (
    select c.provider, c.name, c.disabled, c.budget, c.cooldown_until, case when c.budget is not null then eolake.spent(c.credential_id) end as spent
    from eolake.credential c where not c.retired
), wrong as (
    select provider, 'budget ' || name as kind,
           format('account %%s received %%s of its %%s bytes in 30 days', name, spent, budget) as text
    from account where spent >= budget * 0.95
    union all
    select provider, 'accounts', 'no account can be used: ' || string_agg(
               name || case when disabled is not null then ' is disabled (' || disabled || ')'
                            when spent >= budget then ' has used its bytes of 30 days'
                            else ' rests for long' end, '; ' order by name)
    from account group by provider
    having bool_and(disabled is not null or coalesce(spent >= budget, false) or cooldown_until > eolake.clock() + interval '10 minutes')
), raised as (
    insert into eolake.alarm as a (provider, kind, text) select provider, kind, text from wrong order by provider, kind
    on conflict (provider, kind) where cleared_at is null do update
    set text = excluded.text, seen_at = eolake.clock(), times = a.times + 1
    where a.seen_at < eolake.clock() - interval '10 minutes'
)
update eolake.alarm a set cleared_at = eolake.clock()
where a.cleared_at is null and not exists (select from wrong w where w.provider = a.provider and w.kind = a.kind)
  and (a.kind = 'accounts' or a.kind like 'budget %%'
       or (a.kind like any(array['login %%', 'quota %%'])
           and not exists (select from account c where c.provider = a.provider and c.name = substr(a.kind, 7))));

-- name: add_traffic
insert into eolake.traffic (credential_id, hour, bytes) values (%(credential_id)s, date_trunc('hour', eolake.clock()), %(bytes)s)
on conflict (credential_id, hour) do update set bytes = traffic.bytes + excluded.bytes;

-- name: host_good
-- A host that broke is well again; a good answer is counted only while bad ones are.
update eolake.host
set good = case when trips > 0 or since < eolake.clock() - interval '1 minute' then 0 else good end + (trips = 0)::integer,
    bad = case when trips > 0 or since < eolake.clock() - interval '1 minute' then 0 else bad end,
    since = case when trips > 0 or since < eolake.clock() - interval '1 minute' then eolake.clock() else since end,
    trips = 0, trial = null, open_until = '-infinity'
where provider = %(provider)s and host = %(host)s and (bad > 0 or trips > 0);

-- name: host_bad
-- More than half of at least ten in a minute: nobody asks it for a while. A failed trial: for twice as long. Failures of what was
-- under way when it broke tell nothing new.
insert into eolake.host as h (provider, host, bad) values (%(provider)s, %(host)s, 1)
on conflict (provider, host) do update
set (since, good, bad, trips, open_until, trial) = (
    select case when fresh then eolake.clock() else h.since end,
           case when fresh then 0 else h.good end,
           case when fresh then 1 else h.bad + 1 end,
           h.trips + breaks::integer,
           case when breaks then eolake.clock() + least(interval '10 minutes', interval '30 seconds' * 2 ^ least(h.trips, 10)) else h.open_until end,
           case when breaks then null else h.trial end
    from (
        select h.since < eolake.clock() - interval '1 minute' as fresh,
               case when h.trips > 0 then coalesce(h.trial = %(fence)s::bigint, false)
                    else h.since >= eolake.clock() - interval '1 minute' and h.good + h.bad + 1 >= 10 and h.bad + 1 > h.good end as breaks
    ) seen
);
