-- Products that were told of, and have to be asked for by id.

-- name: note
insert into eolake.notified (provider, id, scope, why)
select provider, id, scope, why from jsonb_to_recordset(%(notes)s::jsonb) as n(provider text, id text, scope text, why text)
on conflict (provider, id) do nothing;

-- name: waiting
select provider, id, scope, why, received_at, tries from eolake.notified where provider = %(provider)s order by received_at, id limit %(limit)s;

-- name: providers
select distinct provider from eolake.notified order by provider;

-- name: forget
delete from eolake.notified where provider = %(provider)s and id = any(%(ids)s);

-- name: missed
update eolake.notified set tries = tries + 1 where provider = %(provider)s and id = any(%(ids)s);
