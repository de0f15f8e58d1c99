"""What a lake holds: counts of granules, items, datasets and bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from eolake.catalog.lake import Lake
from eolake.catalog.ledger.monitoring import Activity, activity
from eolake.catalog.queries import load_queries

SQL = load_queries(__package__ or "", "inventory")


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """What one collection holds."""

    items: int
    """In the catalog."""
    datasets: int
    """Active ones in the cube."""
    bytes: int
    """Of all objects that belong to its items."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    """What the lake holds."""

    granules: Mapping[str, int]
    """State → number."""
    collections: Mapping[str, Holding]
    """Collection id → holding; also those that are empty."""
    activity: Activity
    """What is fetched right now."""


def take_inventory(lake: Lake) -> Inventory:
    """Count; Unreachable when the database does not answer."""
    with lake.connect(name="eolake status") as connection:
        granules = {row["state"]: row["granules"] for row in connection.execute(SQL["granules"])}
        collections = {row.pop("id"): Holding(**row) for row in connection.execute(SQL["collections"])}
        now = activity(connection)
    return Inventory(granules=granules, collections=collections, activity=now)
