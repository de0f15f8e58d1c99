-- name: collection_ids
select id from pgstac.collections;
