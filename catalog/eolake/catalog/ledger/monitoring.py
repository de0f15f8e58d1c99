"""Monitoring: what is fetched from whom, how fast, and what is wrong; for `eolake status` and `/metrics`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from eolake.catalog.lake import Executor
from eolake.catalog.ledger import discovery
from eolake.catalog.ledger.discovery import Alarm
from eolake.catalog.queries import load_queries

SQL = load_queries("eolake.catalog.ledger.queries", "monitoring")
DAYS = 7
"""That many days are shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderState:
    """A provider right now."""

    provider: str
    queued: int
    in_flight: int
    rate: float
    """Bytes a second."""
    busy: int
    """Connections that are leased."""
    allowed: int
    """Connections that may be used: of accounts that neither rest nor are disabled."""
    connections: int
    """Connections as the settings have them."""
    oldest: float | None
    """Seconds since the oldest granule that is not fetched yet was offered; None: none waits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LastFault:
    """The last failure of one class."""

    provider: str
    kind: str
    text: str
    name: str
    """Of the granule."""
    at: datetime
    granules: int
    """How many wait, or were kept aside, for a fault of this class."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountState:
    """An account of a provider."""

    provider: str
    name: str
    connections: int
    allowed: int
    taken: int
    """Connections that its provider may count: leased, or closed a moment ago."""
    disabled: str | None
    """Why nobody uses it."""
    budget: int | None
    """Bytes in 30 days."""
    spent: int
    """Bytes in the last 30 days."""
    bytes: int
    """Since it is known."""
    rest: float
    """Seconds for which it rests from now on; 0: it does not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Breaker:
    """A host that broke."""

    provider: str
    host: str
    trips: int
    """In a row."""
    rest: float
    """Seconds until one trial; 0: now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DayCount:
    """A feed on one day (UTC) of publication."""

    feed: str
    provider: str
    day: date
    available: int
    wanted: int
    fetched: int
    published: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Activity:
    """All of that."""

    providers: list[ProviderState]
    faults: list[LastFault]
    accounts: list[AccountState]
    breakers: list[Breaker]
    alarms: list[Alarm]
    days: list[DayCount]


def activity(connection: Executor, *, days: int = DAYS) -> Activity:
    """What goes on; `days`: how many of the last ones."""
    return Activity(
        providers=[ProviderState(**row) for row in connection.execute(SQL["providers"])],
        faults=[LastFault(**row) for row in connection.execute(SQL["faults"])],
        accounts=[AccountState(**row) for row in connection.execute(SQL["accounts"])],
        breakers=[Breaker(**row) for row in connection.execute(SQL["breakers"])],
        alarms=discovery.alarms(connection),
        days=[DayCount(**row) for row in connection.execute(SQL["days"], {"days": days})],
    )


def granules(connection: Executor) -> dict[tuple[str, str], int]:
    """How many there are of each provider in each state."""
    return {(row["provider"], row["state"]): row["granules"] for row in connection.execute(SQL["granules"])}


def publications(connection: Executor) -> dict[tuple[str, str], int]:
    """How many items there are of each collection in each state."""
    return {(row["collection"], row["state"]): row["items"] for row in connection.execute(SQL["publications"])}
