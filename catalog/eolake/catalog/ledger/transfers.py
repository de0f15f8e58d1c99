"""Transfers: a granule and a connection, leased together; and what each class of fault means for both."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from typing import Literal

from psycopg.types.json import Jsonb

from eolake.catalog.errors import Fenced
from eolake.catalog.lake import Connection, Executor
from eolake.catalog.ledger import slots
from eolake.catalog.ledger.discovery import raise_alarm
from eolake.catalog.ledger.granules import Granule, Lease, lease_of
from eolake.catalog.ledger.slots import REST, Rest, Slot
from eolake.catalog.queries import load_queries

SQL = load_queries("eolake.catalog.ledger.queries", "transfers")

Fault = Literal["transient", "rate", "auth", "offline", "quota", "gone", "corrupt", "config"]
State = Literal["queued", "quarantined"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How often and how long; times in seconds."""

    attempts: int = 10
    """Without a new byte, before a granule is kept aside."""
    age: timedelta = timedelta(days=7)
    """Since its first failure, after which a failure is the last one."""
    corrupt: int = 3
    """Times that other bytes come than the provider promised."""
    first: float = 1
    longest: float = 300
    """Delay before another attempt, after a passing fault."""
    offline_first: float = 600
    offline_longest: float = 21_600
    """Between two looks for a product that was ordered."""
    quota: float = 3600
    """Until an account is tried again whose budget at its provider is used up, when that does not say."""
    rest: Rest = REST
    bulk: float = 0.125
    """Share of claims that look for bulk before near real time, so that bulk does not starve."""


POLICY = Policy()
RETIRED = "(retired)"
"""How the reason of a fault ends when a service as a whole is not there any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RawFile:
    """A verified file below raw/."""

    name: str
    """Relative name within the product."""
    key: str
    bytes: int
    sha256: str
    size: int | None = None
    """As the catalogue has it."""
    digests: Mapping[str, str] = field(default_factory=dict)
    etag: str | None = None
    last_modified: str | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A leased granule and the leased connection for it."""

    granule: Granule
    lease: Lease
    owner: str
    provider: str
    credential: str
    credential_id: int
    n: int

    @property
    def slot(self) -> Slot:
        """The leased connection."""
        return Slot(credential_id=self.credential_id, n=self.n, fence=self.lease.fence)


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """What went wrong with a granule before."""

    fault: Fault | None = None
    """Of the last attempt; None: nothing went wrong yet."""
    corrupt: int = 0
    """Times that other bytes came than its provider promised."""
    failing: timedelta = timedelta()
    """Since its first failure."""


def claim(
    connection: Executor,
    *,
    owner: str,
    lease: timedelta,
    providers: Sequence[str],
    only: Sequence[int] | None = None,
    slot: Slot | None = None,
) -> Claim | None:
    """Lease a due granule and a free connection of its provider; None when there are no such two.

    Providers take turns: the least busy one first. `slot`: only for that connection, which the owner holds already."""
    parameters = {
        "owner": owner,
        "lease": lease,
        "providers": list(providers),
        "only": list(only) if only is not None else None,
        "credential_id": slot.credential_id if slot else None,
        "n": slot.n if slot else None,
        "fence": slot.fence if slot else None,
        "bulk_first": random.random() < POLICY.bulk,  # noqa: S311 -- fairness, no secret
    }
    row = connection.execute(SQL["claim"], parameters).fetchone()  # one statement: nobody waits for a client that was stopped in between
    if row is None:
        return None
    granule = Granule.of(row)
    return Claim(
        granule=granule,
        lease=lease_of(granule),
        owner=owner,
        provider=granule.provider,
        credential=row["credential"],
        credential_id=row["credential_id"],
        n=row["n"],
    )


def keep(connection: Executor, claims: Sequence[tuple[Claim, int]], lease: timedelta) -> set[int]:
    """Keep claims (each with the bytes received so far); the fences of those that are lost."""
    held = [
        {"granule_id": c.lease.id, "fence": c.lease.fence, "credential_id": c.credential_id, "n": c.n, "bytes": received}
        for c, received in claims
    ]
    return {row["fence"] for row in connection.execute(SQL["keep"], {"claims": Jsonb(held), "lease": lease})}


def fetched(connection: Executor, claim: Claim, files: Sequence[RawFile], *, machine: str) -> None:
    """All files are verified in the store; Fenced when the lease is lost. The connection stays with its owner."""
    parameters = {
        "granule_id": claim.lease.id,
        "fence": claim.lease.fence,
        "machine": machine,
        "files": Jsonb([asdict(file) for file in files]),
        "bytes": sum(file.bytes for file in files),
        "credential": claim.credential,
    }
    if connection.execute(SQL["fetched"], parameters).fetchone() is None:
        raise Fenced(f"granule {claim.lease.id}: lease {claim.lease.fence} is lost; somebody else fetches it now")
    slots.hold(connection, claim.slot, received=parameters["bytes"])  # type: ignore[arg-type]  # the sum
    slots.worked(connection, claim.credential_id)


def release(connection: Executor, claim: Claim) -> None:
    """Give unfinished work back without counting the attempt; Fenced when the lease is lost. The connection stays with its owner."""
    row = connection.execute(SQL["release"], {"granule_id": claim.lease.id, "fence": claim.lease.fence}).fetchone()
    slots.hold(connection, claim.slot)
    if row is None:
        raise Fenced(f"granule {claim.lease.id}: lease {claim.lease.fence} is lost")


def fail(
    connection: Connection,
    claim: Claim,
    *,
    kind: Fault,
    reason: str,
    retry_after: float | None = None,
    won: int = 0,
    policy: Policy = POLICY,
) -> State:
    """What a fault means: for the granule (waits, or is kept aside with a reason) and for the account. Fenced when the lease is lost.

    `won`: bytes that came nevertheless; an attempt that won some does not count. The connection stays with its owner."""
    held = {"granule_id": claim.lease.id, "fence": claim.lease.fence}
    with connection.transaction():
        row = connection.execute(SQL["history"], held).fetchone()
        if row is None:
            raise Fenced(f"granule {claim.lease.id}: lease {claim.lease.fence} is lost")
        past = History(fault=row["fault"], corrupt=row["corrupt"], failing=row["failing"])
        state, why = _verdict(claim.granule, past, kind, reason, won, policy)
        parameters = held | {
            "state": state,
            "reason": why,
            "fault": kind,
            "waits_for": kind if kind in {"offline", "quota"} and state == "queued" else None,
            "counted": _counted(kind, won),
            "corrupt": kind == "corrupt",
            "delay": timedelta(seconds=_delay(claim.granule, past, kind, retry_after, policy)),
        }
        connection.execute(SQL["put_off"], parameters)
        _account(connection, claim, kind, reason, retry_after, policy)
        slots.hold(connection, claim.slot, received=won)
    return state


def _verdict(granule: Granule, past: History, kind: Fault, reason: str, won: int, policy: Policy) -> tuple[State, str]:
    if kind == "config":  # a service that is gone as a whole: no product is to blame
        return "queued" if reason.endswith(RETIRED) else "quarantined", reason
    if kind == "corrupt" and past.corrupt + 1 >= policy.corrupt:
        return "quarantined", f"{reason} (came {past.corrupt + 1} times)"
    if kind == "gone" and past.fault == "gone":
        return "quarantined", f"{reason} (asked the catalogue again in between)"
    if kind == "transient" and not won and granule.attempts >= policy.attempts:
        return "quarantined", f"{reason} (attempts without a new byte: {granule.attempts})"
    if past.failing > policy.age and kind not in {"rate", "auth", "quota"}:
        return "quarantined", f"{reason} (fails for more than {policy.age.days} days)"
    return "queued", reason


def _counted(kind: Fault, won: int) -> bool:
    return kind in {"gone", "corrupt", "config"} or (kind == "transient" and not won)


def _delay(granule: Granule, past: History, kind: Fault, retry_after: float | None, policy: Policy) -> float:
    """Seconds until the granule may be claimed again; at once by another account when this one is to blame."""
    if kind in {"rate", "auth", "quota"}:
        return 0
    if kind == "offline":  # as long again as it waits already
        return max(retry_after or 0, min(max(policy.offline_first, past.failing.total_seconds()), policy.offline_longest))
    if kind == "gone":
        return policy.first
    doublings = min(max(granule.attempts - 1, 0), 20)
    return random.uniform(0.5, 1) * min(policy.first * 2.0**doublings, policy.longest)  # noqa: S311 -- jitter, no secret


def _account(connection: Executor, claim: Claim, kind: Fault, reason: str, retry_after: float | None, policy: Policy) -> None:
    """What a fault means for the credential."""
    rest = None if retry_after is None else timedelta(seconds=min(retry_after, policy.rest.most.total_seconds()))
    if kind == "rate":
        told = None if rest is None else max(rest, policy.rest.least)
        slots.cool_down(connection, claim.credential_id, told, shrink=True, policy=policy.rest)
    elif kind == "auth" and rest is not None:  # its secret is not there yet, or it logged in a moment ago: looked at again
        slots.cool_down(connection, claim.credential_id, rest, shrink=False)
        raise_alarm(connection, provider=claim.provider, kind=f"login {claim.credential}", text=reason)
    elif kind == "auth" or reason.endswith(RETIRED):
        slots.disable(connection, claim.credential_id, reason)
        what = f"login {claim.credential}" if kind == "auth" else "retired"
        raise_alarm(connection, provider=claim.provider, kind=what, text=reason)
    elif kind == "quota":
        slots.cool_down(connection, claim.credential_id, timedelta(seconds=max(retry_after or 0, policy.quota)), shrink=False)
        raise_alarm(connection, provider=claim.provider, kind=f"quota {claim.credential}", text=reason)


def due_in(connection: Executor, *, providers: Sequence[str], only: Sequence[int] | None = None) -> timedelta | None:
    """How long until a granule can be claimed (not positive: now, if a connection is free); None when none ever will."""
    parameters = {"providers": list(providers), "only": list(only) if only is not None else None}
    row = connection.execute(SQL["due_in"], parameters).fetchone()
    return row["due_in"] if row else None
