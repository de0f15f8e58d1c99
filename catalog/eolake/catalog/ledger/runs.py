"""Runs: one execution of an analysis each; a run holds a lease like a granule does."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Literal

from psycopg.types.json import Jsonb

from eolake.catalog.errors import Fenced
from eolake.catalog.lake import Executor
from eolake.catalog.ledger.granules import Lease
from eolake.catalog.queries import load_queries

SQL = load_queries("eolake.catalog.ledger.queries", "runs")


def begin(
    connection: Executor, *, analysis: str, parameters: Mapping[str, Any], code_version: str, owner: str, lease: timedelta, planned: int
) -> Lease:
    """Start a run; what it publishes has its fence as revision."""
    row = connection.execute(
        SQL["begin"],
        {
            "analysis": analysis,
            "parameters": Jsonb(dict(parameters)),
            "code_version": code_version,
            "owner": owner,
            "lease": lease,
            "planned": planned,
        },
    ).fetchone()
    if row is None:
        raise Fenced("the run could not be recorded")
    return Lease(kind="run", id=row["run_id"], fence=row["fence"])


def extend(connection: Executor, lease: Lease, duration: timedelta) -> None:
    """Keep the lease; Fenced when it is lost."""
    if connection.execute(SQL["extend"], {"run_id": lease.id, "fence": lease.fence, "lease": duration}).fetchone() is None:
        raise Fenced(f"run {lease.id} was ended by somebody else")


def fence(connection: Executor, lease: Lease) -> bool:
    """Hold a running run until commit; False when its lease is lost."""
    return connection.execute(SQL["fence"], {"run_id": lease.id, "fence": lease.fence}).fetchone() is not None


def progress(connection: Executor, lease: Lease, done: int) -> None:
    """So many outputs more are published, in the transaction that publishes them."""
    connection.execute(SQL["progress"], {"run_id": lease.id, "fence": lease.fence, "done": done})


def end(connection: Executor, lease: Lease, *, state: Literal["done", "failed"], done: int, failed: int, reason: str | None = None) -> None:
    """Close the record of a run."""
    connection.execute(
        SQL["end"], {"run_id": lease.id, "fence": lease.fence, "state": state, "done": done, "failed": failed, "reason": reason}
    )


def abandon(connection: Executor) -> list[int]:
    """Close the records of runs whose process died."""
    return [row["run_id"] for row in connection.execute(SQL["abandon"]).fetchall()]


def latest(connection: Executor, limit: int = 10) -> list[dict[str, Any]]:
    """The newest runs."""
    return connection.execute(SQL["latest"], {"limit": limit}).fetchall()
