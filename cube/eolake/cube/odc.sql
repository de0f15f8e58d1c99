-- The only SQL against schema odc: reading what makes a dataset findable, and moving locations. Everything else goes through datacube.

-- name: findable
-- Every active dataset with what searches use: location, spatial row, time row, text rows; in order of id.
select d.id, p.name as product, d.metadata ->> 'label' as label, d.uri_scheme || ':' || d.uri_body as uri,
       st_xmin(s.extent) as west, st_ymin(s.extent) as south, st_xmax(s.extent) as east, st_ymax(s.extent) as north,
       lower(t.search_val) as start_at, upper(t.search_val) as end_at,
       exists (select from odc.dataset_search_string x where x.dataset_ref = d.id) as has_text
from odc.dataset d
join odc.product p on p.id = d.product_ref
left join odc.spatial_4326 s on s.dataset_ref = d.id
left join odc.dataset_search_datetime t on t.dataset_ref = d.id and t.search_key = 'time'
where d.archived is null and d.id > %(after)s
order by d.id
limit %(limit)s;

-- name: relocate
-- The store moved: rewrite the locations below it.
update odc.dataset set uri_scheme = %(new_scheme)s, uri_body = %(new_body)s || substr(uri_body, length(%(old_body)s) + 1)
where uri_scheme = %(old_scheme)s and starts_with(uri_body, %(old_body)s || '/');

-- name: clear
-- Forget every dataset, before all are made again from the store.
delete from odc.dataset_search_string;
delete from odc.dataset_search_num;
delete from odc.dataset_search_datetime;
delete from odc.spatial_4326;
delete from odc.dataset_lineage;
delete from odc.dataset;
