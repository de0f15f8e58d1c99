-- What a lake holds, for `eolake status`.

-- name: granules
select state, count(*)::bigint as granules
from eolake.granule
group by state
order by state;

-- name: collections
-- Counted where users look: items in the catalog, active datasets in the cube, bytes of what the ledger keeps.
with items as (
    select collection as id, count(*)::bigint as n from pgstac.items group by collection
), datasets as (
    select product.name as id, count(dataset.id)::bigint as n
    from odc.product left join odc.dataset on dataset.product_ref = product.id and dataset.archived is null
    group by product.name
), kept as (
    select collection as id, sum(bytes)::bigint as n from eolake.publication where state <> 'purged' group by collection
)
select id, coalesce(items.n, 0) as items, coalesce(datasets.n, 0) as datasets, coalesce(kept.n, 0) as bytes
from (select id from pgstac.collections union select id from datasets union select id from kept) as known
left join items using (id)
left join datasets using (id)
left join kept using (id)
order by id;
