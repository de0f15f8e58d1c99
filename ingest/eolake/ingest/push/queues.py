"""Pull queues: read, commit, acknowledge, in that order; and products of which a notification said too little, asked for by id."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from eolake.catalog.lake import Connection, Lake
from eolake.catalog.ledger import discovery, granules, notified
from eolake.catalog.ledger.granules import Offer
from eolake.ingest.faults import Kind, ProviderFault
from eolake.ingest.push.intake import Intake, Scope, Taken, Told
from eolake.ingest.push.notifications import read
from eolake.ingest.push.subscriptions import Subscriptions

log = logging.getLogger(__name__)

TRIES = 5
"""How often a catalogue may not know a product that it told of, before it is forgotten: polling finds what comes later."""
TOGETHER = 20
"""Products asked for before they are written."""

Stop = Callable[[], bool]


@dataclass(slots=True, kw_only=True)
class Drained:
    """What was read from a queue, or asked for by id."""

    read: int = 0
    acknowledged: int = 0
    new: int = 0
    changed: int = 0
    known: int = 0
    withdrawn: int = 0
    asked: int = 0
    unwanted: dict[str, int] = field(default_factory=dict)
    """By reason."""
    complete: bool = True
    """False: it was stopped."""

    def add(self, taken: Taken) -> None:
        """Count what became of some notifications."""
        for name in ("new", "changed", "known", "withdrawn", "asked"):
            setattr(self, name, getattr(self, name) + getattr(taken, name))
        self.unwanted = _sum(self.unwanted, taken.unwanted)

    def plus(self, other: Drained) -> Drained:
        """Both together."""
        numbers = {name: getattr(self, name) + getattr(other, name) for name in NUMBERS}
        return Drained(**numbers, unwanted=_sum(self.unwanted, other.unwanted), complete=self.complete and other.complete)


NUMBERS = ("read", "acknowledged", "new", "changed", "known", "withdrawn", "asked")


def drain(lake: Lake, intake: Intake, scope: Scope, queue: Subscriptions, id: str, *, stop: Stop = lambda: False) -> Drained:
    """Read a queue to its end. What was committed and not acknowledged comes again, and changes nothing. Raises ProviderFault."""
    done, last = Drained(), None
    with lake.connect(name="eolake push") as connection:
        while not stop():
            entries = queue.read(id)
            if not entries:
                return done
            notifications = [found for entry in entries if (found := read(entry)) is not None]
            with connection.transaction():
                done.add(intake.take(connection, [Told(scope=scope, notifications=notifications)]))
            done.read += len(entries)
            ack = _last_ack(entries)
            if ack is None or ack == last:
                raise ProviderFault(f"the queue {id} of {queue.name} does not advance; it is tried again", Kind.TRANSIENT)
            done.acknowledged += queue.acknowledge(id, ack)
            last = ack
    done.complete = False
    return done


def look_up(lake: Lake, intake: Intake, provider: str, *, stop: Stop = lambda: False) -> Drained:
    """Ask the catalogue for the products that wait for it. ProviderFault: those that were not asked for wait on."""
    done = Drained()
    with lake.connect(name="eolake push") as connection:
        passed: set[str] = set()
        while not stop():
            some = [one for one in notified.waiting(connection, provider, limit=TOGETHER + len(passed)) if one.id not in passed]
            if not some or provider not in intake.providers:
                return done
            passed |= {one.id for one in some}
            found = {one.id: (one, intake.providers[provider].product(one.id)) for one in some}
            _settle(connection, intake, provider, found, done)
    done.complete = False
    return done


def _settle(
    connection: Connection,
    intake: Intake,
    provider: str,
    found: dict[str, tuple[notified.Waiting, Offer | None]],
    done: Drained,
) -> None:
    """One transaction: what is wanted is registered, and none of them waits any more, but for those that may still come."""
    now = discovery.clock(connection)
    offers, missing, unwanted = [], [], Counter[str]()
    for waiting, offer in found.values():
        scope = intake.scope(waiting.scope)
        if offer is None and waiting.tries + 1 < TRIES:
            missing.append(waiting.id)
        elif offer is None or scope is None:
            unwanted["not in the catalogue" if offer is None else "no feed"] += 1
        elif isinstance(order := intake.order(scope, offer, now), str):
            unwanted[order] += 1
        else:
            offers.append(order)
    with connection.transaction():
        outcomes = Counter[str](offered.outcome for offered in (granules.offer(connection, offers) if offers else ()))
        notified.missed(connection, provider, missing)
        notified.forget(connection, provider, sorted(set(found) - set(missing)))
    taken = Taken(unwanted=unwanted)
    taken.add(outcomes)
    done.add(taken)
    done.asked += len(found)


def _sum(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    return dict(Counter(one) + Counter(other))


def _last_ack(entries: list[object]) -> str | None:
    acks = [entry.get("AckId") for entry in entries if isinstance(entry, dict)]
    return next((ack for ack in reversed(acks) if isinstance(ack, str) and ack), None)
