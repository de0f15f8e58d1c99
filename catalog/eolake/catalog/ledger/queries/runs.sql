-- Runs: one execution of an analysis each.

-- name: begin
with started as (
    insert into eolake.run (analysis, parameters, code_version, state, lease_owner, lease_until, fence, planned)
    values (%(analysis)s, %(parameters)s, %(code_version)s, 'running', %(owner)s, eolake.clock() + %(lease)s, nextval('eolake.fence'), %(planned)s)
    returning run_id, fence
), noted as (
    insert into eolake.event (kind, run_id) select 'run started', run_id from started
)
select run_id, fence from started;

-- name: extend
update eolake.run set lease_until = eolake.clock() + %(lease)s
where run_id = %(run_id)s and fence = %(fence)s and state = 'running'
returning run_id;

-- name: fence
-- Hold a running run until commit; no row when its lease is lost.
select run_id from eolake.run
where run_id = %(run_id)s and fence = %(fence)s and state = 'running' and lease_until > eolake.clock()
for key share;

-- name: progress
-- In the transaction that publishes: the run says what it did even when its process dies afterwards.
update eolake.run set done = done + %(done)s
where run_id = %(run_id)s and fence = %(fence)s and state = 'running' and %(done)s > 0;

-- name: end
with ended as (
    update eolake.run set state = %(state)s, done = %(done)s, failed = %(failed)s, reason = %(reason)s, ended_at = eolake.clock()
    where run_id = %(run_id)s and fence = %(fence)s and state = 'running'
    returning run_id
)
insert into eolake.event (kind, run_id, detail)
select 'run ' || %(state)s, run_id, jsonb_build_object('done', %(done)s::int, 'failed', %(failed)s::int, 'reason', %(reason)s::text) from ended
returning run_id;

-- name: abandon
-- Runs whose process died.
update eolake.run set state = 'failed', reason = 'the process that ran it ended without saying so', ended_at = eolake.clock()
where state = 'running' and lease_until < eolake.clock()
returning run_id;

-- name: latest
select * from eolake.run order by run_id desc limit %(limit)s;
