"""Derivations: what analyses find in the publications; reads only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from eolake.catalog.lake import Executor
from eolake.catalog.queries import load_queries

SQL = load_queries("eolake.catalog.ledger.queries", "derivations")

Bounds = tuple[float, float, float, float]
"""west, south, east, north in degrees; west <= east."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A live publication that an analysis may read."""

    collection: str
    item_id: str
    dataset_id: UUID
    digest: str
    """What the scene says, whatever its bytes."""
    prefix: str
    start_at: datetime
    end_at: datetime


def candidates(connection: Executor, collections: Sequence[str], bounds: Bounds, start: datetime, end: datetime) -> list[Candidate]:
    """Live publications that touch the bounds and the half-open time, in order of (collection, item id)."""
    return [Candidate(**row) for row in connection.execute(SQL["candidates"], _place(collections, bounds, start, end)).fetchall()]


def inputs(connection: Executor, collection: str, items: Sequence[str]) -> dict[str, str | None]:
    """Item id → hash of the inputs, of those that are live."""
    rows = connection.execute(SQL["inputs"], {"collection": collection, "items": list(items)}).fetchall()
    return {row["item_id"]: row["inputs"] for row in rows}


def bereft(connection: Executor, collection: str, sources: Sequence[str], bounds: Bounds, start: datetime, end: datetime) -> list[str]:
    """Live items of a derived collection, made of these source collections alone, that have no live source any more."""
    given = {**_place(sources, bounds, start, end), "collection": collection}
    return [row["item_id"] for row in connection.execute(SQL["bereft"], given).fetchall()]


def _place(collections: Sequence[str], bounds: Bounds, start: datetime, end: datetime) -> dict[str, object]:
    west, south, east, north = bounds
    return {"collections": list(collections), "west": west, "south": south, "east": east, "north": north, "start": start, "end": end}
