-- Monitoring: what is fetched from whom, how fast, and what is wrong.

-- name: granules
select provider, state, count(*)::bigint as granules from eolake.granule group by provider, state order by provider, state;

-- name: providers
-- Those with accounts or with something to fetch.
with waiting as (
    select provider, count(*) filter (where state = 'queued') as queued, count(*) filter (where state = 'fetching') as in_flight,
           min(offered_at) as oldest
    from eolake.granule where state in ('queued', 'fetching') group by provider
), account as (
    select c.provider, sum(c.connections) as connections,
           sum(c.allowed) filter (where c.disabled is null and c.cooldown_until <= eolake.clock()) as allowed
    from eolake.credential c where not c.retired group by c.provider
), busy as (
    select c.provider, count(*) as busy, sum(s.rate) as rate
    from eolake.slot s join eolake.credential c using (credential_id) where s.leased_until > eolake.clock() group by c.provider
)
select provider, coalesce(w.queued, 0)::bigint as queued, coalesce(w.in_flight, 0)::bigint as in_flight, coalesce(b.rate, 0)::float as rate,
       coalesce(b.busy, 0)::integer as busy, coalesce(a.allowed, 0)::integer as allowed, coalesce(a.connections, 0)::integer as connections,
       extract(epoch from eolake.clock() - w.oldest)::float as oldest
from waiting w full join account a using (provider) left join busy b using (provider)
order by provider;

-- name: faults
-- Of each provider and class the last one that some granule still waits or was kept aside for.
select distinct on (provider, fault) provider, fault as kind, reason as text, name, changed_at as at,
       count(*) over (partition by provider, fault)::bigint as granules
from eolake.granule
where fault is not null and reason is not null and state in ('queued', 'fetching', 'quarantined')
order by provider, fault, changed_at desc;

-- name: accounts
select c.provider, c.name, c.connections, c.allowed, eolake.taken(c.credential_id) as taken, c.disabled, c.budget,
       eolake.spent(c.credential_id) as spent, coalesce((select sum(bytes) from eolake.traffic t where t.credential_id = c.credential_id), 0)::bigint as bytes,
       greatest(extract(epoch from nullif(c.cooldown_until, '-infinity') - eolake.clock()), 0)::float as rest
from eolake.credential c where not c.retired
order by c.provider, c.name;

-- name: breakers
select provider, host, trips, greatest(extract(epoch from nullif(open_until, '-infinity') - eolake.clock()), 0)::float as rest
from eolake.host where trips > 0 order by provider, host;

-- name: days
-- The last days of each feed, latest first: what its provider published, the feed wanted, came, and is (or was) in the lake.
select d.feed, d.provider, d.day, d.available, d.wanted, coalesce(g.fetched, 0)::integer as fetched, coalesce(g.published, 0)::integer as published
from eolake.day d
left join lateral (
    select count(*) filter (where g.fetched_at is not null or g.state = 'published') as fetched,
           count(*) filter (where g.state = 'published' or exists (select from eolake.publication p where p.granule_id = g.granule_id)) as published
    from eolake.granule g
    where g.provider = d.provider and g.feed = d.feed
      and g.published >= d.day::timestamp at time zone 'UTC' and g.published < (d.day + 1)::timestamp at time zone 'UTC'
) g on true
where d.day > (eolake.clock() at time zone 'UTC')::date - %(days)s::integer
order by d.feed, d.day desc;

-- name: publications
select collection, state, count(*)::bigint as items from eolake.publication group by collection, state order by collection, state;
