"""Products that a provider told of without saying what they are: they wait until its catalogue was asked by id."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from psycopg.types.json import Jsonb

from eolake.catalog.lake import Executor
from eolake.catalog.queries import load_queries

SQL = load_queries("eolake.catalog.ledger.queries", "notified")


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """One product to be asked for."""

    provider: str
    id: str
    scope: str
    """The feed, or the provider with all its feeds, for which the notification came."""
    why: str
    """What the notification lacked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A note in the ledger."""

    provider: str
    id: str
    scope: str
    why: str
    received_at: datetime
    tries: int
    """How often the catalogue did not know it."""


def note(connection: Executor, notes: Sequence[Note]) -> None:
    """Write them down; those that are known stay as they are."""
    connection.execute(SQL["note"], {"notes": Jsonb([asdict(one) for one in notes])})


def waiting(connection: Executor, provider: str, *, limit: int) -> list[Waiting]:
    """The oldest ones of a provider."""
    return [Waiting(**row) for row in connection.execute(SQL["waiting"], {"provider": provider, "limit": limit})]


def providers(connection: Executor) -> list[str]:
    """Those of which something waits."""
    return [row["provider"] for row in connection.execute(SQL["providers"])]


def forget(connection: Executor, provider: str, ids: Sequence[str]) -> None:
    """They were asked for."""
    connection.execute(SQL["forget"], {"provider": provider, "ids": list(ids)})


def missed(connection: Executor, provider: str, ids: Sequence[str]) -> None:
    """The catalogue does not know them (yet)."""
    connection.execute(SQL["missed"], {"provider": provider, "ids": list(ids)})
