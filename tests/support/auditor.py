"""An independent auditor: plain SQL and a walk through the store, sharing no code with what it audits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from eolake.catalog.lake import Connection, Lake

PUBLICATIONS = """
    select collection, item_id, dataset_id, revision, prefix, granule_id, scene_key, state, superseded_by
    from eolake.publication where state = 'live' or (state = 'superseded' and listed)
"""
ITEMS = "select collection, id, content from pgstac.items"
DATASETS = """
    select p.name as collection, d.metadata ->> 'label' as item_id, d.id, d.uri_scheme || ':' || d.uri_body as uri,
           (select count(*) from odc.spatial_4326 s where s.dataset_ref = d.id) as spatial,
           (select count(*) from odc.dataset_search_string s where s.dataset_ref = d.id) as strings,
           (select count(*) from odc.dataset_search_num s where s.dataset_ref = d.id) as numbers,
           (select count(*) from odc.dataset_search_datetime s where s.dataset_ref = d.id) as times
    from odc.dataset d join odc.product p on p.id = d.product_ref where d.archived is null
"""
OBJECTS = """
    select o.key, o.bytes, p.prefix from eolake.object o join eolake.publication p using (publication_id)
    where p.state in ('live', 'superseded') and o.href is null
"""
FETCHED = "select key, bytes from eolake.file where key is not null"
GRANULES = """
    select g.granule_id, g.state, (select count(*) from eolake.publication p where p.granule_id = g.granule_id and p.state = 'live') as n
    from eolake.granule g
"""
EVENTS = "select granule_id, count(*) as n from eolake.event where kind = 'published' group by granule_id"
UNKNOWN_TO_OBJECTS = {"record.json"}
"""Beside each item.json: lists the objects and so is none of them."""


def audit(lake: Lake) -> list[str]:
    """Everything that is not as it must be."""
    with lake.connect(name="auditor") as connection:
        return [*audit_catalog_and_cube(connection), *_store(lake, connection), *_once(connection)]


def audit_catalog_and_cube(connection: Connection) -> list[str]:
    published = {(r["collection"], r["item_id"]): r for r in connection.execute(PUBLICATIONS)}
    items = Counter((r["collection"], r["id"]) for r in connection.execute(ITEMS))
    datasets = {(r["collection"], r["item_id"]): r for r in connection.execute(DATASETS)}
    live = {key for key, row in published.items() if row["state"] == "live"}
    faults = [f"catalog and ledger differ: {key}" for key in set(published) ^ set(items)]
    faults += [f"cube and ledger differ: {key}" for key in live ^ set(datasets)]
    faults += _versions(connection, published)
    faults += [f"{key} stands {n} times in the catalog" for key, n in items.items() if n != 1]
    for key in live & set(datasets):
        row = datasets[key]
        if row["id"] != published[key]["dataset_id"]:
            faults.append(f"{key}: the dataset has another id")
        if row["spatial"] != 1 or row["times"] < 1 or row["strings"] < 1 or row["numbers"] < 1:
            faults.append(f"{key}: nobody finds the dataset: {row}")
        if not row["uri"].endswith(f"/{published[key]['prefix']}/item.json"):
            faults.append(f"{key}: located at {row['uri']}")
    return faults


def _versions(connection: Connection, published: Mapping[tuple[str, str], Mapping[str, Any]]) -> list[str]:
    """A superseded item says so and names its successor, which is live; a live one is not deprecated."""
    faults = []
    for row in connection.execute(ITEMS):
        key, content = (row["collection"], row["id"]), row["content"]
        if key not in published:
            continue
        successors = [link["href"] for link in content.get("links", []) if link["rel"] == "successor-version"]
        deprecated = content["properties"].get("deprecated", False)
        by = published[key]["superseded_by"]
        wanted = ["collections/{}/items/{}".format(*by.split("/"))] if by else []
        if successors != wanted or deprecated != bool(by) or bool(by) != (published[key]["state"] == "superseded"):
            faults.append(f"{key} is {published[key]['state']} by {by}, but says deprecated: {deprecated}, successors: {successors}")
        if by and published.get(tuple(by.split("/", 1)), {"state": "absent"})["state"] != "live":  # type: ignore[call-overload]
            faults.append(f"{key} is superseded by {by}, which is not live")
    return faults


def _store(lake: Lake, connection: Connection) -> list[str]:
    folder = lake.store_config.folder
    assert folder is not None
    there = {str(path.relative_to(folder)): path.stat().st_size for path in folder.rglob("*") if path.is_file()}
    rows = connection.execute(OBJECTS).fetchall()
    prefixes = {row["prefix"] for row in rows}
    rows += connection.execute(FETCHED).fetchall()
    faults = [
        f"{row['key']}: {there.get(row['key'])} bytes instead of {row['bytes']}" for row in rows if there.get(row["key"]) != row["bytes"]
    ]
    strangers = set(there) - {row["key"] for row in rows} - {f"{prefix}/{name}" for prefix in prefixes for name in UNKNOWN_TO_OBJECTS}
    faults += [f"{key} belongs to nothing" for key in sorted(strangers)]
    faults += [f"debris is left: {row['prefix']}" for row in connection.execute("select prefix from eolake.debris")]
    return faults


def _once(connection: Connection) -> list[str]:
    events = {row["granule_id"]: row["n"] for row in connection.execute(EVENTS)}
    faults = [f"granule {granule} was published {n} times" for granule, n in events.items() if n != 1]
    rows = [row for row in connection.execute(GRANULES) if (row["state"] == "published") != (row["n"] > 0)]  # of several times: several
    return [*faults, *(f"granule {row['granule_id']} is {row['state']} with {row['n']} publications" for row in rows)]
