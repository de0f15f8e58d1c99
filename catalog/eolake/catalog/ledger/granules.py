"""Granules: one remote product of a provider each; the table is the queue."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

import psycopg
from psycopg.types.json import Jsonb

from eolake.catalog.errors import Fenced
from eolake.catalog.lake import Executor
from eolake.catalog.queries import load_queries

SQL = load_queries("eolake.catalog.ledger.queries", "granules")

Waiting = Literal["queued", "fetched"]
LEASED: Mapping[Waiting, str] = {"queued": "fetching", "fetched": "converting"}
"""The state in which a granule is worked on, by the state in which it waits for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A product that a provider has."""

    provider: str
    id: str
    """Identity within the provider."""
    name: str
    """Product name without extension."""
    source: str
    """Where it is: a path, a URL."""
    fingerprint: str
    """Changes when the bytes change."""
    size: int | None = None
    """Bytes."""
    state: Waiting = "queued"
    """`fetched` when the bytes are there already."""
    collection: str | None = None
    """What it becomes in the lake, when that is known before it is opened."""
    scene_key: str | None = None
    """The sensing that this is one processing of."""
    rank: tuple[int | str, ...] = ()
    """Orders the processings of one scene: the greatest stays."""
    feed: str | None = None
    priority: int = 1
    """0 before 1 within a provider."""
    transfer: Literal["copy", "reference"] = "copy"
    """`reference`: its public COGs are published where they are."""
    published: datetime | None = None
    """When the provider published it; aware UTC, as all times."""
    modified: datetime | None = None
    start_at: datetime | None = None
    """Begin of sensing."""
    end_at: datetime | None = None
    footprint: Mapping[str, Any] | None = None
    """GeoJSON geometry, valid, EPSG:4326."""
    cloud_cover: float | None = None
    """Percent."""
    detail: Mapping[str, Any] = field(default_factory=dict)
    """What its provider needs to find its bytes again; never a secret."""
    options: Mapping[str, Any] | None = None
    """How it is to be converted; None: as always, or as it was ordered before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Offered:
    """What became of an offer."""

    id: str
    granule_id: int
    outcome: Literal["new", "changed", "known"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Granule:
    """A row of the ledger."""

    granule_id: int
    provider: str
    id: str
    name: str
    source: str
    fingerprint: str
    size: int | None
    state: str
    reason: str | None
    step: str | None
    attempts: int
    faults: int
    """Attempts that ended in an unknown error or with a vanished worker."""
    next_try: datetime
    fence: int | None
    collection: str | None
    scene_key: str | None
    feed: str | None
    transfer: Literal["copy", "reference"]
    footprint: Mapping[str, Any] | None
    detail: Mapping[str, Any]
    fault: str | None
    fetched_on: str | None
    """The machine that has its bytes on a local disk."""
    rank: tuple[int | str, ...] = ()
    options: Mapping[str, Any] | None = None

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Granule:
        """From a row with at least these columns."""
        return cls(**{**{name: row[name] for name in cls.__slots__}, "rank": tuple(row["rank"])})


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """The right to publish what a granule or a run yields; its fence is the revision."""

    kind: Literal["granule", "run"]
    id: int
    fence: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What conversion found out about a granule; what its provider told stays."""

    collection: str
    scene_key: str | None = None
    """None when it yielded several scenes."""
    rank: tuple[int | str, ...] = ()
    footprint: Mapping[str, Any] | None = None
    start_at: datetime | None = None
    end_at: datetime | None = None


def offer(connection: Executor, offers: Sequence[Offer]) -> list[Offered]:
    """Register products of one provider and queue them, in one transaction; known ones that did not change are not written.

    One whose scene has a better one (queued, being worked on, published) is superseded without being fetched, an equal one is
    rejected as a duplicate; a better one passes over those that wait. What comes out depends on what is there, never on who came
    first: only of equal ranks the first stays. Those passed over wait again when the better one is quarantined or withdrawn."""
    given = {"offers": Jsonb([_document(o) for o in offers])}
    news = connection.execute(SQL["news"], given).fetchall()
    if not news:
        return [Offered(**row) for row in connection.execute(SQL["known"], given)]
    keys = [row["scene_key"] for row in news if row["scene_key"] is not None]
    with _transaction(connection):
        if keys:
            connection.execute(SQL["hold"])
        rows = connection.execute(SQL["offer"], given).fetchall()
        if any(row["granule_id"] is None for row in rows):  # offered by somebody else at this very moment: a second look sees it
            known = {row["id"]: row for row in connection.execute(SQL["known"], given)}
            rows = [row if row["granule_id"] is not None else known[row["id"]] for row in rows]
        if keys:
            connection.execute(SQL["settle"], {"keys": keys})
    return [Offered(**row) for row in rows]


def withdraw(connection: Executor, provider: str, ids: Sequence[str], reason: str) -> list[str]:
    """The provider has deleted these products: they are not fetched any more; the ids of those for which that is new.

    Nothing that was published is touched: `eolake.cube.publish.withdraw` follows. The next best of their scenes waits again."""
    with _transaction(connection):
        connection.execute(SQL["hold"])
        rows = connection.execute(SQL["withdraw"], {"provider": provider, "ids": list(ids), "reason": reason}).fetchall()
    return [row["id"] for row in rows]


def withdrawn(connection: Executor) -> list[dict[str, Any]]:
    """What is still shown of granules that their provider has deleted: collection, item_id, granule_id, reason, provider."""
    return connection.execute(SQL["withdrawn"]).fetchall()


def supersede(connection: Executor, lease: Lease, scene: Shown, *, by: str) -> None:
    """End the lease: `by`, a better processing of the scene, is published."""
    _fenced(connection, "supersede", lease, by=by, **_shown(scene))


def settle(connection: Executor, keys: Collection[str]) -> None:
    """Pass over what waits although a better one of its scene is there. `offer`, `withdraw` and `quarantine` do so by themselves."""
    connection.execute(SQL["settle"], {"keys": sorted(keys)})


def follow(connection: Executor, ids: Sequence[int]) -> None:
    """Granules whose items were superseded or have come back get the state that says so."""
    connection.execute(SQL["follow"], {"granules": sorted(set(ids))})


def _transaction(executor: Executor) -> AbstractContextManager[object]:
    """A transaction of its own, or a savepoint within the caller's."""
    connection = executor.connection if isinstance(executor, psycopg.Cursor) else executor
    if not isinstance(connection, psycopg.Connection):
        raise TypeError(f"{type(executor).__name__} has no transactions")
    return connection.transaction()


def _document(offer: Offer) -> dict[str, Any]:
    """As the query `offer` reads it; what is published where it is needs no connection to anybody: it waits for its conversion at once."""
    there = {"state": "fetched"} if offer.transfer == "reference" else {}
    values = ((name, getattr(offer, name)) for name in Offer.__slots__)  # asdict() copies every corner of a footprint
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in values} | there


def claim(
    connection: Executor, *, owner: str, lease: timedelta, waiting: Waiting = "fetched", limit: int = 1, only: Sequence[int] | None = None
) -> list[Granule]:
    """Lease up to `limit` granules that are due, among `only` when it is given."""
    parameters = {
        "owner": owner,
        "lease": lease,
        "limit": limit,
        "waiting": waiting,
        "leased": LEASED[waiting],
        "only": list(only) if only is not None else None,
    }
    return [Granule.of(row) for row in connection.execute(SQL["claim"], parameters)]


def lease_of(granule: Granule) -> Lease:
    """The lease under which a claimed granule is worked on."""
    if granule.fence is None:
        raise Fenced(f"granule {granule.id} was never claimed")
    return Lease(kind="granule", id=granule.granule_id, fence=granule.fence)


def _fenced(connection: Executor, query: str, held: Lease, **parameters: Any) -> None:
    row = connection.execute(SQL[query], {"granule_id": held.id, "fence": held.fence, **parameters}).fetchone()
    if row is None:
        raise Fenced(f"granule {held.id}: lease {held.fence} is lost; somebody else has the work now")


def extend(connection: Executor, lease: Lease, duration: timedelta) -> None:
    """Keep a lease; Fenced when it is lost."""
    _fenced(connection, "extend", lease, lease=duration)


def note_step(connection: Executor, lease: Lease, step: str) -> None:
    """Record where the work is; Fenced when the lease is lost."""
    _fenced(connection, "note_step", lease, step=step)


def release(connection: Executor, lease: Lease, *, waiting: Waiting = "fetched") -> None:
    """Give unfinished work back without counting the attempt."""
    _fenced(connection, "release", lease, waiting=waiting)


def put_off(
    connection: Executor, lease: Lease, *, reason: str, delay: timedelta, fault: bool = False, waiting: Waiting = "fetched"
) -> None:
    """Try again after `delay`; `fault`: for an unknown reason, of which a few are allowed."""
    _fenced(connection, "finish", lease, state=waiting, reason=reason, by=None, delay=delay, fault=fault)


def quarantine(connection: Executor, lease: Lease, *, reason: str) -> None:
    """Keep aside: the content is broken."""
    _fenced(connection, "finish", lease, state="quarantined", reason=reason, by=None, delay=timedelta(), fault=False)


def reject(connection: Executor, lease: Lease, *, reason: str, by: str | None = None) -> None:
    """Not wanted: filtered, or a duplicate of `by`, without which it is wanted again."""
    _fenced(connection, "finish", lease, state="rejected", reason=reason, by=by, delay=timedelta(), fault=False)


def fence(connection: Executor, lease: Lease) -> bool:
    """Lock a leased granule until commit; False when the lease is lost."""
    return connection.execute(SQL["fence"], {"granule_id": lease.id, "fence": lease.fence}).fetchone() is not None


def published(connection: Executor, lease: Lease, scene: Shown, *, items: Sequence[str]) -> None:
    """End the lease: everything that the granule yielded is published in this transaction."""
    given = {"granule_id": lease.id, "collection": scene.collection, "items": Jsonb(list(items))}
    connection.execute(SQL["published"], given | _shown(scene))


def _shown(scene: Shown) -> dict[str, Any]:
    return {
        "scene_key": scene.scene_key,
        "rank": Jsonb(list(scene.rank)),
        "footprint": Jsonb(scene.footprint) if scene.footprint else None,
        "start_at": scene.start_at,
        "end_at": scene.end_at,
    }


def retry(
    connection: Executor,
    *,
    states: Sequence[str] = ("quarantined",),
    reason: str | None = None,
    names: Sequence[str] | None = None,
    provider: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    waiting: Waiting | None = None,
    dry_run: bool = False,
) -> list[str]:
    """Let granules wait again from their first attempt, for nothing but their turn; the names of those taken.

    `reason` is part of their reason; `since`, `until`: published (offered, where that is not known) in [since, until). `waiting`: for what
    they wait; by default as they were first offered, and those that wait already for the same as before."""
    parameters = {
        "states": list(states),
        "part": reason,
        "names": list(names) if names else None,
        "provider": provider,
        "since": since,
        "until": until,
        "waiting": waiting,
    }
    rows = connection.execute(SQL["select_retry" if dry_run else "retry"], parameters).fetchall()
    return [row["name"] for row in rows]


def reorder(
    connection: Executor, ids: Sequence[int], *, options: Mapping[str, Any] | None, states: Sequence[str], same: bool = False
) -> set[int]:
    """Let granules that are in one of these states be converted with other options; the numbers of those taken.

    `same`: also those that have these options already. Those that wait for their turn go on waiting; the others wait again from their
    first attempt, as they were first offered. What is published stays so until it is replaced. Never one that is published by reference."""
    given = {"ids": list(ids), "options": Jsonb(options) if options is not None else None, "states": list(states), "same": same}
    return {row["granule_id"] for row in connection.execute(SQL["reorder"], given)}


def get(connection: Executor, ids: Sequence[int]) -> list[Granule]:
    """Granules by number."""
    return [Granule.of(row) for row in connection.execute(SQL["get"], {"ids": list(ids)})]


def due_in(connection: Executor, *, waiting: Waiting = "fetched", only: Sequence[int] | None = None) -> timedelta | None:
    """How long until the next granule may be claimed (not positive: now); None when nothing waits or is worked on."""
    parameters = {"waiting": waiting, "leased": LEASED[waiting], "only": list(only) if only is not None else None}
    row = connection.execute(SQL["due_in"], parameters).fetchone()
    return row["due_in"] if row else None


def owners(connection: Executor) -> set[str]:
    """Who holds a lease right now."""
    return {row["lease_owner"] for row in connection.execute(SQL["owners"])}


def expire(connection: Executor, owners: Sequence[str], *, kept: Sequence[int] = ()) -> int:
    """End the leases of these owners, but not those with the fences `kept`; how many there were.

    For owners that are dead, or know nothing of a lease. Should one be at work after all, its fence stops it."""
    return len(connection.execute(SQL["expire"], {"owners": list(owners), "kept": list(kept)}).fetchall())


def leased(connection: Executor, fences: Sequence[int]) -> set[int]:
    """Those of the fences that may still be worked under."""
    return {row["fence"] for row in connection.execute(SQL["leased"], {"fences": list(fences)})}


def states(connection: Executor) -> dict[str, int]:
    """How many granules are in each state."""
    return {row["state"]: row["granules"] for row in connection.execute(SQL["states"])}
