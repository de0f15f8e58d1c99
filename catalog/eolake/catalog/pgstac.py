"""pgSTAC: the catalog of items. Collections and partitions are made beforehand, items inside the one transaction."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import orjson
from psycopg.types.json import Jsonb
from pypgstac.hydration import dehydrate

from eolake.catalog.lake import Connection, Executor
from eolake.catalog.queries import load_queries

SQL = load_queries("eolake.catalog", "pgstac")
PAGE = 2_000
"""Items per statement when all are walked."""


def put_collection(connection: Connection, content: Mapping[str, Any], *, partition: str = "none") -> bool:
    """Create or update a collection; False when it was there as it is. `partition`: none, year or month."""
    trunc = None if partition == "none" else partition
    with connection.transaction():
        connection.execute(SQL["lock_collection"], {"collection": content["id"]})
        row = connection.execute(SQL["collection"], {"id": content["id"]}).fetchone()
        if row is not None and row["content"] == content and row["partition_trunc"] == trunc:
            return False
        connection.execute(SQL["create_collection" if row is None else "update_collection"], {"content": Jsonb(dict(content))})
        connection.execute(SQL["set_partitioning"], {"id": content["id"], "trunc": trunc})
    return True


def ensure_partition(connection: Connection, collection: str, at: datetime) -> None:
    """Make the partition that an item of this time needs, in a short transaction of its own.

    Its bounds are those of the whole period: pgSTAC otherwise widens them with every newer item, under a lock that stops all searches."""
    with connection.transaction():
        bounds = connection.execute(SQL["bounds"], {"collection": collection, "at": at}).fetchone()
        if bounds is None:
            raise LookupError(f"collection {collection} is not in the catalog")
        given = {"collection": collection, **bounds}
        if _covered(connection, given):
            return
        connection.execute(SQL["lock_collection"], {"collection": collection})
        if not _covered(connection, given):
            connection.execute(SQL["make_partition"], given)


def _covered(connection: Connection, bounds: Mapping[str, Any]) -> bool:
    row = connection.execute(SQL["covered"], bounds).fetchone()
    return bool(row and row["covered"])


def create_items(connection: Executor, items: Sequence[Mapping[str, Any]]) -> None:
    """Add items that are not there, in ONE sorted statement: each one locks the statistics of its partition until commit.

    Their partitions must be there already (`ensure_partition`)."""
    collections = sorted({item["collection"] for item in items})
    rows = connection.execute(SQL["base_items"], {"collections": collections}).fetchall()
    bases = {row["collection"]: row for row in rows}
    given = [_row(item, bases[item["collection"]]) for item in items]
    connection.execute(SQL["create_items"], {"items": Jsonb(given, dumps=orjson.dumps)})


def _row(item: Mapping[str, Any], base: Mapping[str, Any]) -> dict[str, Any]:
    """The item as pgSTAC keeps it: without what its collection's base item says, which hydration adds again."""
    content = dehydrate(base["base_item"], dict(item))
    for column in ("id", "collection", "geometry", "type"):
        content.pop(column, None)
    if base["base_item_id"] is not None:
        content["pgstac:base_item"] = base["base_item_id"]
    return {"id": item["id"], "collection": item["collection"], "geometry": item["geometry"], "content": content}


def delete_items(connection: Executor, items: Sequence[tuple[str, str]]) -> None:
    """Remove (collection, item id) pairs; those that are absent are no error."""
    given = [{"collection": collection, "item_id": item_id} for collection, item_id in sorted(items)]
    connection.execute(SQL["delete_items"], {"items": Jsonb(given)})


def clear_items(connection: Executor) -> None:
    """Remove every item."""
    connection.execute(SQL["clear_items"])


def all_items(connection: Executor) -> Iterator[dict[str, Any]]:
    """Every item with its hydrated content, in order of (collection, id)."""
    after = ("", "")
    while True:
        rows = connection.execute(SQL["items"], {"collection": after[0], "item_id": after[1], "limit": PAGE}).fetchall()
        yield from rows
        if len(rows) < PAGE:
            return
        after = (rows[-1]["collection"], rows[-1]["id"])


def footprints(connection: Executor, items: Sequence[tuple[str, str]]) -> dict[tuple[str, str], dict[str, Any]]:
    """GeoJSON geometries (EPSG:4326) by (collection, item id); items that are not in the catalog are left out."""
    given = Jsonb([{"collection": collection, "item_id": item_id} for collection, item_id in items])
    rows = connection.execute(SQL["footprints"], {"items": given}).fetchall()
    return {(row["collection"], row["id"]): row["geometry"] for row in rows}


def relocate(connection: Executor, old: str, new: str) -> int:
    """Rewrite the store URIs in all items; the number of items that had them."""
    like = "%" + old.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
    return connection.execute(SQL["relocate"], {"old": old, "new": new, "like": like}).rowcount
