"""What providers did to products that the ledger knows: deletions are followed as withdrawals, modifications as offers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from eolake.catalog.lake import Connection, Lake
from eolake.catalog.ledger import discovery as ledger
from eolake.catalog.ledger import granules
from eolake.ingest.discovery.walk import CHUNK, Stop, alarm, hold, retired
from eolake.ingest.faults import ProviderFault
from eolake.ingest.providers.base import Change, Provider

OVERLAP = timedelta(days=1)
"""How far before the last look the next one begins."""
FIRST = timedelta(days=5)
"""How far back the first look goes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed:
    """What was found of products that the ledger knows."""

    withdrawn: int = 0
    """Granules that are withdrawn now and were not before."""
    modified: int = 0
    """Modified, whatever of it."""
    changed: int = 0
    """Of those, with other bytes: they are fetched again."""
    complete: bool = True
    """False: it was stopped; the next look begins where this one did."""


def follow(lake: Lake, provider: Provider, *, since: datetime | None = None, stop: Stop = lambda: False) -> Followed:
    """Withdraw what a provider deleted and offer again what it modified, of the granules that the ledger knows.

    `since`: default is a day before the last look. A provider with many collections asks faster when it is `narrowed` to those in use.
    ProviderFault: what came before it is done. Busy: somebody else is at it."""
    name = f"changes of {provider.name}"
    with lake.connect(name="eolake changes") as connection:
        hold(connection, name)
        now = ledger.clock(connection)
        position = ledger.cursor(connection, name).position
        begin = since or (position - OVERLAP if position is not None else now - FIRST)
        done = Followed()
        try:
            for some in _chunks(provider.changes(begin)):
                done = _applied(connection, provider.name, some, done)
                if stop():
                    return Followed(withdrawn=done.withdrawn, modified=done.modified, changed=done.changed, complete=False)
        except ProviderFault as fault:
            if retired(fault):
                alarm(connection, provider.name, fault)
            raise
        if position is None or begin <= position:
            ledger.complete(connection, name, position=now)
        return done


def _applied(connection: Connection, provider: str, changes: Sequence[Change], done: Followed) -> Followed:
    """One transaction."""
    with connection.transaction():
        known = ledger.known(connection, provider, [change.id for change in changes])
        ours = [change for change in changes if change.id in known]
        withdrawn = 0
        for reason, ids in _by_reason(change for change in ours if change.kind == "deleted"):
            withdrawn += len(granules.withdraw(connection, provider, ids, reason))
        offers = {change.id: change.offer for change in ours if change.kind == "modified" and change.offer is not None}
        offered = granules.offer(connection, list(offers.values())) if offers else []
    return Followed(
        withdrawn=done.withdrawn + withdrawn,
        modified=done.modified + len({change.id for change in ours if change.kind == "modified"}),
        changed=done.changed + sum(one.outcome == "changed" for one in offered),
    )


def _by_reason(deleted: Iterator[Change]) -> list[tuple[str, list[str]]]:
    found: dict[str, list[str]] = {}
    for change in deleted:
        found.setdefault(f"deleted by the provider: {change.reason or 'no reason given'}", []).append(change.id)
    return sorted(found.items())


def _chunks(changes: Iterator[Change]) -> Iterator[list[Change]]:
    chunk: list[Change] = []
    for change in changes:
        chunk.append(change)
        if len(chunk) == CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
