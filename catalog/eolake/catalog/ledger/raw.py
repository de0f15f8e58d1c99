"""Raw files: what was fetched and lies under `raw/` in the store."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from eolake.catalog.lake import Executor
from eolake.catalog.ledger.transfers import RawFile
from eolake.catalog.queries import load_queries

SQL = load_queries("eolake.catalog.ledger.queries", "raw")
PAGE = 5_000


def providers(connection: Executor) -> list[str]:
    """Those that have something to fetch, in order of their names."""
    return [row["provider"] for row in connection.execute(SQL["providers"])]


def replace(connection: Executor, granule_id: int, prefix: str) -> None:
    """The files of a granule lie below this prefix from now on: it is no debris any more, and what it had before is."""
    connection.execute(SQL["replace"], {"granule_id": granule_id, "prefix": prefix})


def files(connection: Executor, granule_id: int) -> list[RawFile]:
    """The files of a granule, in order of their names."""
    rows = connection.execute(SQL["files"], {"granule_id": granule_id})
    return [RawFile(**{**row, "warnings": tuple(row["warnings"])}) for row in rows]


def unfinished(connection: Executor, ids: Sequence[int]) -> set[int]:
    """Those granules that are not converted yet."""
    return {row["granule_id"] for row in connection.execute(SQL["unfinished"], {"ids": list(ids)})}


def objects(connection: Executor) -> Iterator[dict[str, Any]]:
    """Every raw object that a granule owns, in key order."""
    after = ""
    while True:
        rows = connection.execute(SQL["objects"], {"after": after, "limit": PAGE}).fetchall()
        yield from rows
        if len(rows) < PAGE:
            return
        after = rows[-1]["key"]
