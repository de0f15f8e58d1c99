-- Raw files: what was fetched and lies under raw/.

-- name: providers
-- Which providers have something to fetch, without looking at more than one granule of each.
with recursive found as (
    (select provider from eolake.granule where state in ('queued', 'fetching') order by provider limit 1)
    union all
    select (select g.provider from eolake.granule g
            where g.state in ('queued', 'fetching') and g.provider > found.provider order by g.provider limit 1)
    from found where found.provider is not null
)
select provider from found where provider is not null;

-- name: replace
-- The files of a granule are about to be those below this prefix, which is no debris any more; earlier ones are.
with kept as (
    delete from eolake.debris where prefix = %(prefix)s
), gone as (
    delete from eolake.file where granule_id = %(granule_id)s and key is not null and not starts_with(key, %(prefix)s || '/')
    returning substring(key from '^raw/[^/]+/[^/]+/[0-9]+/r[0-9]+') as prefix
)
insert into eolake.debris (prefix, fence) select distinct prefix, 0 from gone on conflict (prefix) do nothing;

-- name: files
select name, size, digests, etag, last_modified, key, sha256, bytes, warnings
from eolake.file where granule_id = %(granule_id)s and key is not null
order by name;

-- name: unfinished
-- Those granules that may still need what lies on a disk beside the store.
select granule_id from eolake.granule where granule_id = any(%(ids)s) and state in ('queued', 'fetching', 'fetched', 'converting');

-- name: objects
-- Every raw object that a granule owns, in key order.
select key, bytes, sha256, granule_id from eolake.file where key > %(after)s order by key limit %(limit)s;
