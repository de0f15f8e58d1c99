-- The only SQL against schema pgstac. Never upsert_item, never use_queue, never update_collection_extent (see the design notes there).

-- name: lock_collection
select pg_advisory_xact_lock(hashtext('eolake partition'), hashtext(%(collection)s));

-- name: bounds
-- The whole period of the partition that holds this instant; an item may end some time after it begins.
select lower as start_from, upper as start_to, lower as end_from, upper + interval '400 days' as end_to
from (
    select case trunc when 'month' then date_trunc('month', at) when 'year' then date_trunc('year', at) else timestamptz '1900-01-01' end as lower,
           case trunc when 'month' then date_trunc('month', at) + interval '1 month' when 'year' then date_trunc('year', at) + interval '1 year'
                      else timestamptz '2200-01-01' end - interval '1 microsecond' as upper
    from (select %(at)s::timestamptz as at, (select partition_trunc from pgstac.collections where id = %(collection)s) as trunc) asked
) period;

-- name: covered
-- Whether a partition with the bounds of the whole period is there already.
select exists (
    select from pgstac.partition_stats s, lateral pgstac.partition_catalog_meta(s.partition) m
    where s.collection = %(collection)s
      and m.constraint_dtrange @> tstzrange(%(start_from)s, %(start_to)s, '[]')
      and m.constraint_edtrange @> tstzrange(%(end_from)s, %(end_to)s, '[]')
) as covered;

-- name: make_partition
select pgstac.check_partition(%(collection)s, tstzrange(%(start_from)s, %(start_to)s, '[]'), tstzrange(%(end_from)s, %(end_to)s, '[]'));

-- name: base_items
-- What the items of a collection have in common and pgSTAC stores once; its number when the collection was ever edited.
select asked.id as collection, b.base_item, b.base_item_id
from unnest(%(collections)s::text[]) as asked(id), pgstac.current_base_item(asked.id) b;

-- name: create_items
-- Items that were dehydrated by the caller, as `pypgstac load` does it: ten times as fast as pgstac.create_items.
insert into pgstac.items (id, collection, geometry, datetime, end_datetime, content)
select r.id, r.collection, pgstac.stac_geom(jsonb_build_object('geometry', r.geometry)),
       pgstac.stac_datetime(r.content), pgstac.stac_end_datetime(r.content), r.content
from jsonb_to_recordset(%(items)s::jsonb) as r(id text, collection text, geometry jsonb, content jsonb)
order by r.collection, r.id;

-- name: delete_items
delete from pgstac.items i
using jsonb_to_recordset(%(items)s::jsonb) as gone(collection text, item_id text)
where i.collection = gone.collection and i.id = gone.item_id;

-- name: collection
select content, partition_trunc from pgstac.collections where id = %(id)s;

-- name: create_collection
select pgstac.create_collection(%(content)s::jsonb);

-- name: update_collection
select pgstac.update_collection(%(content)s::jsonb);

-- name: set_partitioning
update pgstac.collections set partition_trunc = %(trunc)s where id = %(id)s and partition_trunc is distinct from %(trunc)s;

-- name: items
-- Every item of the catalog in keyset order: what `check` compares.
select i.collection, i.id, i.datetime, i.end_datetime, st_xmin(i.geometry) as west, st_ymin(i.geometry) as south,
       st_xmax(i.geometry) as east, st_ymax(i.geometry) as north, pgstac.content_hydrate(i) as content
from pgstac.items i
where (i.collection, i.id) > (%(collection)s, %(item_id)s)
order by i.collection, i.id
limit %(limit)s;

-- name: footprints
-- The geometry of items as GeoJSON.
select i.collection, i.id, st_asgeojson(i.geometry, 9)::jsonb as geometry
from pgstac.items i
join jsonb_to_recordset(%(items)s::jsonb) as wanted(collection text, item_id text) on i.collection = wanted.collection and i.id = wanted.item_id;

-- name: relocate
-- The store moved: rewrite the hrefs of all items.
update pgstac.items set content = replace(content::text, %(old)s, %(new)s)::jsonb where content::text like %(like)s;

-- name: clear_items
delete from pgstac.items;
