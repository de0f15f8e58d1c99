-- Discovery: cursors of feeds, counts of days, alarms.

-- name: clock
select eolake.clock() as now;

-- name: cursor
select position, resume, counted from eolake.cursor where feed = %(feed)s;

-- name: hold_feed
-- Until the connection ends.
select pg_try_advisory_lock(hashtextextended('eolake feed ' || %(feed)s, 0)) as held;

-- name: move
insert into eolake.cursor (feed, resume, counted) values (%(feed)s, %(resume)s, %(counted)s)
on conflict (feed) do update set resume = excluded.resume, counted = excluded.counted, moved_at = eolake.clock();

-- name: complete
-- A position never goes back.
insert into eolake.cursor as c (feed, position) values (%(feed)s, %(position)s)
on conflict (feed) do update
set position = greatest(c.position, excluded.position), resume = null, counted = null, moved_at = eolake.clock()
where c.resume is not null or c.position is null or c.position < excluded.position;

-- name: count_days
insert into eolake.day as d (feed, provider, day, available, wanted)
select %(feed)s, %(provider)s, n.day, n.available, n.wanted
from jsonb_to_recordset(%(days)s) as n(day date, available integer, wanted integer)
on conflict (feed, day) do update
set provider = excluded.provider, available = excluded.available, wanted = excluded.wanted, counted_at = eolake.clock()
where (d.provider, d.available, d.wanted) is distinct from (excluded.provider, excluded.available, excluded.wanted);

-- name: days
select day, available, wanted from eolake.day where feed = %(feed)s order by day;

-- name: known
select id from eolake.granule where provider = %(provider)s and id = any(%(ids)s);

-- name: raise_alarm
insert into eolake.alarm as a (provider, kind, text) values (%(provider)s, %(kind)s, %(text)s)
on conflict (provider, kind) where cleared_at is null do update
set text = excluded.text, seen_at = eolake.clock(), times = a.times + 1;

-- name: clear_alarm
update eolake.alarm set cleared_at = eolake.clock()
where provider = %(provider)s and kind = %(kind)s and cleared_at is null
returning alarm_id;

-- name: alarms
select provider, kind, text, raised_at, seen_at, times from eolake.alarm where cleared_at is null order by raised_at, alarm_id;
