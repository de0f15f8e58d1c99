"""Slots: one leased row per connection of each credential, so that limits hold over all processes and machines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta

from psycopg.types.json import Jsonb

from eolake.catalog.lake import Executor
from eolake.catalog.queries import load_queries

SQL = load_queries("eolake.catalog.ledger.queries", "slots")


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A credential as the settings have it."""

    provider: str
    name: str
    """The reference of its secret, never the secret."""
    connections: int
    budget: int | None = None
    """Bytes in 30 days."""
    release_lag: float = 0
    """Seconds for which the provider still counts a connection that was closed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """A connection that its owner keeps open."""

    credential_id: int
    n: int
    fence: int
    """Of the last granule that it was claimed with: the proof that it is still the owner's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rest:
    """How long an account rests that asks too much, when its provider does not say."""

    first: timedelta = timedelta(seconds=2)
    """Doubled each time."""
    least: timedelta = timedelta(seconds=1)
    most: timedelta = timedelta(hours=1)
    """Whatever the provider says."""


REST = Rest()


def configure(connection: Executor, accounts: Sequence[Account]) -> None:
    """Rows for these accounts and their connections; others of the same providers are used no more."""
    connection.execute(SQL["configure"], {"accounts": Jsonb([asdict(account) for account in accounts])})


def free(connection: Executor, slot: Slot) -> None:
    """The connection is closed; nothing happens when the slot is somebody else's by now."""
    connection.execute(SQL["free"], asdict(slot))


def hold(connection: Executor, slot: Slot, *, received: int = 0) -> None:
    """The connection stays open for the next granule of the same owner; `received`: bytes of the last one."""
    connection.execute(SQL["hold"], asdict(slot) | {"bytes": received})


def owners(connection: Executor) -> set[str]:
    """Who holds a connection right now."""
    return {row["owner"] for row in connection.execute(SQL["owners"])}


def expire(connection: Executor, owners: Sequence[str]) -> None:
    """Take the connections of owners that are dead; their providers may count them for a while yet."""
    connection.execute(SQL["expire"], {"owners": list(owners)})


def cool_down(connection: Executor, credential_id: int, rest: timedelta | None, *, shrink: bool, policy: Rest = REST) -> None:
    """Let an account rest, None: twice as long as the last time; `shrink`: and use half its connections afterwards."""
    given = {"credential_id": credential_id, "rest": rest, "shrink": shrink, "first": policy.first, "most": policy.most}
    connection.execute(SQL["cool_down"], given)


def tend(connection: Executor) -> None:
    """What time does: one connection more for accounts that had ten clean minutes; alarms of accounts are raised and cleared."""
    connection.execute(SQL["grow"])
    connection.execute(SQL["alarms"])


def disable(connection: Executor, credential_id: int, reason: str) -> None:
    """Use an account no more, until somebody enables it."""
    connection.execute(SQL["disable"], {"credential_id": credential_id, "reason": reason})


def enable(connection: Executor, provider: str | None = None) -> list[str]:
    """Use disabled accounts again, of one provider or of all; `provider/name` of each."""
    return [f"{row['provider']}/{row['name']}" for row in connection.execute(SQL["enable"], {"provider": provider})]


def add_traffic(connection: Executor, credential_id: int, received: int) -> None:
    """Bytes that came, for the budget of 30 days."""
    connection.execute(SQL["add_traffic"], {"credential_id": credential_id, "bytes": received})


def worked(connection: Executor, credential_id: int) -> None:
    """A transfer with this account succeeded: alarms of its login and quota are over."""
    connection.execute(SQL["worked"], {"credential_id": credential_id})


def host_result(connection: Executor, provider: str, host: str, *, ok: bool, fence: int | None = None) -> None:
    """For the circuit breaker of a host; `fence`: of the transfer, which may be the trial. Of faults only TRANSIENT counts."""
    connection.execute(SQL["host_good" if ok else "host_bad"], {"provider": provider, "host": host, "fence": fence})
