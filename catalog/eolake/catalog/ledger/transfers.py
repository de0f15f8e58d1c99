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
    """After which a failure is the last one."""
    corrupt: int = 3
    """Times that other bytes come than the provider promised."""
    first: float = 1
    longest: float = 300
    """Delay before another attempt, after a passing fault."""
    offline_first: float = 600
    offline_longest: float = 21_600
    """Between two looks for a product that was ordered."""
    quota: float = 3600
    rest: float = 5
    """Of an account that asks too much, when its provider does not say for how long; doubled by each attempt."""
    rest_most: float = 3600
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """A connection that its owner keeps open."""

    credential_id: int
    n: int


def claim(
    connection: Connection,
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
        "bulk_first": random.random() < POLICY.bulk,  # noqa: S311 -- fairness, no secret
    }
    with connection.transaction():
        row = connection.execute(SQL["claim"], parameters).fetchone()
        if row is None:
            return None
        found = connection.execute(SQL["granule"], {"granule_id": row["granule"]["granule_id"]}).fetchone()
    if found is None:
        return None
    granule = Granule.of(found)
    return Claim(
        granule=granule,
        lease=lease_of(granule),
        owner=owner,
        provider=row["provider"],
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
    slots.hold(connection, owner=claim.owner, credential_id=claim.credential_id, n=claim.n)


def release(connection: Executor, claim: Claim) -> None:
    """Give unfinished work back without counting the attempt; Fenced when the lease is lost. The connection stays with its owner."""
    row = connection.execute(SQL["release"], {"granule_id": claim.lease.id, "fence": claim.lease.fence}).fetchone()
    slots.hold(connection, owner=claim.owner, credential_id=claim.credential_id, n=claim.n)
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
    granule = claim.granule
    with connection.transaction():
        age = connection.execute(SQL["age"], {"granule_id": claim.lease.id}).fetchone()
        old = age is not None and age["age"] > policy.age
        state, why = _verdict(granule, kind, reason, won, old=old, policy=policy)
        parameters = {
            "granule_id": claim.lease.id,
            "fence": claim.lease.fence,
            "state": state,
            "reason": why,
            "fault": kind,
            "waits_for": kind if kind in {"offline", "quota"} and state == "queued" else None,
            "counted": _counted(kind, won),
            "corrupt": kind == "corrupt",
            "delay": timedelta(seconds=_delay(granule, kind, retry_after, policy)),
        }
        row = connection.execute(SQL["put_off"], parameters).fetchone()
        _account(connection, claim, kind, reason, retry_after, policy)
        slots.hold(connection, owner=claim.owner, credential_id=claim.credential_id, n=claim.n)
        if row is None:
            raise Fenced(f"granule {claim.lease.id}: lease {claim.lease.fence} is lost")
    return state


def _verdict(granule: Granule, kind: Fault, reason: str, won: int, *, old: bool, policy: Policy) -> tuple[State, str]:
    if kind == "config":  # a service that is gone as a whole: no product is to blame
        return "queued" if reason.endswith(RETIRED) else "quarantined", reason
    if kind == "corrupt" and granule.faults + 1 >= policy.corrupt:
        return "quarantined", f"{reason} (came {granule.faults + 1} times)"
    if kind == "gone" and granule.fault == "gone":
        return "quarantined", f"{reason} (asked the catalogue again in between)"
    if kind == "transient" and not won and granule.attempts >= policy.attempts:
        return "quarantined", f"{reason} (attempts without a new byte: {granule.attempts})"
    if old and kind not in {"rate", "auth", "quota"}:
        return "quarantined", f"{reason} (waits for more than {policy.age.days} days)"
    return "queued", reason


def _counted(kind: Fault, won: int) -> bool:
    return kind in {"gone", "corrupt", "config", "offline"} or (kind == "transient" and not won)


def _delay(granule: Granule, kind: Fault, retry_after: float | None, policy: Policy) -> float:
    """Seconds until the granule may be claimed again; after RATE and AUTH at once, by another account."""
    doublings = min(max(granule.attempts - 1, 0), 20)
    if kind in {"rate", "auth"}:
        return 0
    if kind == "offline":
        return max(retry_after or 0, min(policy.offline_first * 2.0**doublings, policy.offline_longest))
    if kind == "quota":
        return max(retry_after or 0, policy.quota)
    if kind == "gone":
        return policy.first
    return random.uniform(0.5, 1) * min(policy.first * 2.0**doublings, policy.longest)  # noqa: S311 -- jitter, no secret


def _account(connection: Executor, claim: Claim, kind: Fault, reason: str, retry_after: float | None, policy: Policy) -> None:
    """What a fault means for the credential."""
    if kind == "rate":
        rest = min(max(retry_after or policy.rest * 2.0 ** min(claim.granule.attempts, 10), 1), policy.rest_most)
        slots.cool_down(connection, claim.credential_id, timedelta(seconds=rest), shrink=True)
    elif kind == "auth" and retry_after is not None:  # its secret is not there yet, or it logged in a moment ago: looked at again
        slots.cool_down(connection, claim.credential_id, timedelta(seconds=min(retry_after, policy.rest_most)), shrink=False)
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
