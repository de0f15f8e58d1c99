-- Derivations: what analyses find in the publications.

-- name: candidates
-- Live publications of some collections that touch a bounding box and a time.
select collection, item_id, dataset_id, digest, prefix, start_at, end_at from eolake.publication
where state = 'live' and collection = any(%(collections)s) and start_at < %(end)s and end_at >= %(start)s
  and south <= %(north)s and north >= %(south)s
  and case when west <= east then west <= %(east)s and east >= %(west)s else west <= %(east)s or east >= %(west)s end
order by collection, item_id;

-- name: inputs
-- The hash of the inputs of those of these items that are live.
select item_id, inputs from eolake.publication
where collection = %(collection)s and state = 'live' and item_id = any(%(items)s);

-- name: bereft
-- Derived publications none of whose sources is live any more; only those made of nothing but these source collections.
select p.item_id from eolake.publication p
where p.collection = %(collection)s and p.state = 'live' and p.start_at < %(end)s and p.end_at >= %(start)s
  and p.south <= %(north)s and p.north >= %(south)s and p.west <= %(east)s and p.east >= %(west)s
  and exists (select from eolake.lineage l where l.publication_id = p.publication_id)
  and not exists (
      select from eolake.lineage l
      left join eolake.publication s on s.collection = l.source_collection and s.item_id = l.source_item_id
      where l.publication_id = p.publication_id and (s.state = 'live' or l.source_collection <> all(%(collections)s)))
order by p.item_id;
