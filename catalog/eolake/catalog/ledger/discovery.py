"""Discovery's part of the ledger: how far each feed has looked, what each day had, and alarms that a person must look at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from psycopg.types.json import Jsonb

from eolake.catalog.lake import Executor
from eolake.catalog.queries import load_queries

SQL = load_queries("eolake.catalog.ledger.queries", "discovery")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """How far a feed has looked."""

    position: datetime | None = None
    """Everything published before it was seen; None: no pass was ever completed."""
    resume: datetime | None = None
    """Where the pass that is under way stands; None: the last one was completed."""
    counted: Mapping[str, Any] = field(default_factory=dict)
    """What that pass has counted of the day of `resume`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """Products of one day (UTC) of publication."""

    day: date
    available: int
    """Of the provider, in the collection and the area."""
    wanted: int
    """Let through by the feed's filters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """Something that a person must look at."""

    provider: str
    kind: str
    text: str
    raised_at: datetime
    seen_at: datetime
    times: int


def clock(connection: Executor) -> datetime:
    """The time of the lake."""
    row = connection.execute(SQL["clock"]).fetchone()
    return row["now"]  # type: ignore[index, no-any-return]  # a select without a table has one row


def cursor(connection: Executor, feed: str) -> Cursor:
    """How far the feed has looked; empty when it never did."""
    row = connection.execute(SQL["cursor"], {"feed": feed}).fetchone()
    return Cursor(position=row["position"], resume=row["resume"], counted=row["counted"] or {}) if row else Cursor()


def hold_feed(connection: Executor, feed: str) -> bool:
    """As long as this connection lives nobody else walks this feed; False when somebody does."""
    row = connection.execute(SQL["hold_feed"], {"feed": feed}).fetchone()
    return bool(row and row["held"])


def move(connection: Executor, feed: str, *, resume: datetime, counted: Mapping[str, Any]) -> None:
    """The pass under way has come to `resume`, and counted that much of its day."""
    connection.execute(SQL["move"], {"feed": feed, "resume": resume, "counted": Jsonb(dict(counted))})


def complete(connection: Executor, feed: str, *, position: datetime) -> None:
    """The pass is completed: everything before `position` was seen."""
    connection.execute(SQL["complete"], {"feed": feed, "position": position})


def count_days(connection: Executor, feed: str, provider: str, days: Sequence[Day]) -> None:
    """Write the counts of days; a row that says the same already is not touched."""
    given = Jsonb([{"day": day.day.isoformat(), "available": day.available, "wanted": day.wanted} for day in days])
    connection.execute(SQL["count_days"], {"feed": feed, "provider": provider, "days": given})


def days(connection: Executor, feed: str) -> list[Day]:
    """What each day had, oldest first."""
    return [Day(**row) for row in connection.execute(SQL["days"], {"feed": feed})]


def known(connection: Executor, provider: str, ids: Sequence[str]) -> set[str]:
    """Those ids of the provider that the ledger has."""
    return {row["id"] for row in connection.execute(SQL["known"], {"provider": provider, "ids": list(ids)})}


def raise_alarm(connection: Executor, *, provider: str, kind: str, text: str) -> None:
    """Open an alarm, or note that it still holds: one row as long as it lasts."""
    connection.execute(SQL["raise_alarm"], {"provider": provider, "kind": kind, "text": text})


def clear_alarm(connection: Executor, *, provider: str, kind: str) -> bool:
    """Close it; False when it was not open."""
    return connection.execute(SQL["clear_alarm"], {"provider": provider, "kind": kind}).fetchone() is not None


def alarms(connection: Executor) -> list[Alarm]:
    """Those that are open, oldest first."""
    return [Alarm(**row) for row in connection.execute(SQL["alarms"])]
