"""Queue policy: who gets what, when it is tried again, and when it is kept aside.

The table is the ledger's; here is what a worker does with it, on one connection that survives a restart of the database.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path

from eolake.catalog.errors import Fenced, Transient
from eolake.catalog.lake import Connection, Lake
from eolake.catalog.ledger import granules, publications, raw
from eolake.catalog.ledger.granules import Granule, Lease, Waiting
from eolake.catalog.store import open_store
from eolake.cube.sweep import sweep
from eolake.ingest.link import CUT, Link
from eolake.ingest.messages import Done
from eolake.ingest.owner import dead, own_name
from eolake.ingest.settings import WorkerSettings

log = logging.getLogger(__name__)


class Queue:
    """One worker's view of the ledger; not thread-safe."""

    def __init__(self, lake: Lake, settings: WorkerSettings, *, only: Sequence[int] | None = None, giving_up: Callable[[], bool]) -> None:
        """`only`: these granules and no others; `giving_up`: true when nobody waits for the database any more."""
        self.lake, self.settings, self.only, self.owner = lake, settings, only, own_name()
        self._link = Link(lake, name="eolake worker", patience=settings.patience, giving_up=giving_up)

    def close(self) -> None:
        """Close the connection."""
        self._link.close()

    def claim(self, limit: int) -> list[Granule]:
        """Up to `limit` products to work on; those over which too many workers died are kept aside instead."""
        claimed = self._link.run(lambda c: granules.claim(c, owner=self.owner, lease=self._lease, limit=limit, only=self.only))
        good = []
        for granule in claimed:
            if granule.faults < self.settings.deaths:
                good.append(granule)
            else:
                reason = f"{granule.faults} workers died over it, the last at the step {granule.step or 'start'!r}"
                self.finish(granule, Done(verdict="quarantined", reason=reason))
        return good

    def due_in(self, *, waiting: Waiting = "fetched") -> float | None:
        """Seconds until something may be claimed; None when nothing waits and nothing is worked on."""
        wait = self._link.run(lambda c: granules.due_in(c, waiting=waiting, only=self.only))
        return None if wait is None else wait.total_seconds()

    def extend(self, lease: Lease) -> bool:
        """Keep a lease; False when it is lost."""
        return self._held(lambda c: granules.extend(c, lease, self._lease))

    def release(self, lease: Lease) -> bool:
        """Give unfinished work back; False when it is not ours any more."""
        return self._held(lambda c: granules.release(c, lease))

    def finish(self, granule: Granule, done: Done) -> Done:
        """Record what became of a claimed product where publishing has not done so already; what it came to."""
        lease, decided = granules.lease_of(granule), self._decide(granule, done)
        reason = decided.reason or ""
        if decided.verdict == "quarantined":
            held = self._held(lambda c: granules.quarantine(c, lease, reason=reason))
        elif decided.verdict == "later":
            delay, fault = self.delay(granule.attempts), done.verdict == "fault"
            held = self._held(lambda c: granules.put_off(c, lease, reason=reason, delay=delay, fault=fault))
        elif decided.verdict == "rejected":
            held = self._held(lambda c: granules.reject(c, lease, reason=reason))
        else:
            held = decided.verdict != "lost"
        return decided if held else self._really(granule, decided)

    def _really(self, granule: Granule, done: Done) -> Done:
        """What became of a product whose lease is over: its converter may have died, or its answer been cut off, after the commit."""
        (row,) = self._link.run(lambda c: granules.get(c, [granule.granule_id]))
        if row.fence != granule.fence:
            return done.as_verdict("lost", "somebody else has the work now")
        if row.state == "published":
            return done.as_verdict("published", None)
        if row.state in {"rejected", "superseded"}:
            return done.as_verdict("rejected" if row.state == "rejected" else "superseded", row.reason)
        return done.as_verdict("lost", done.reason)

    def _decide(self, granule: Granule, done: Done) -> Done:
        """An unknown error is a later attempt, or the last one."""
        if done.verdict != "fault":
            return done
        faults = granule.faults + 1
        if faults < self.settings.faults:
            return done.as_verdict("later", done.reason)
        return done.as_verdict("quarantined", f"{Path(granule.source).name}: {done.reason} (attempts: {faults})")

    def delay(self, attempts: int) -> timedelta:
        """Before the next attempt: growing, and jittered so that what failed together does not come back together."""
        longest = min(self.settings.delay * 2.0 ** min(attempts - 1, 30), self.settings.delay_most)
        return timedelta(seconds=longest * random.uniform(0.5, 1))  # noqa: S311 -- jitter, no secret

    def bury(self, held: Sequence[int]) -> int:
        """End the leases of workers of this machine that are dead; how many products that freed.

        And our own but those with the fences `held`: given while the connection was cut, so that nobody heard of them."""
        owners = self._link.run(granules.owners)
        gone = [*dead(owners - {self.owner}), *({self.owner} & owners)]
        freed = self._link.run(lambda c: granules.expire(c, gone, kept=held)) if gone else 0
        if freed:
            log.info("freed %d products of workers that died", freed)
        return freed

    def leased(self, fences: Sequence[int]) -> set[int]:
        """Those of the fences that somebody may still work under."""
        return self._link.run(lambda c: granules.leased(c, fences)) if fences else set()

    def unfinished(self, ids: Sequence[int]) -> set[int]:
        """Those granules that are not converted yet."""
        return self._link.run(lambda c: raw.unfinished(c, ids))

    def announce(self, lease: Lease, prefixes: Sequence[str]) -> None:
        """Tell the sweeper again about objects of a lease that was lost: it may have come by before the last one was written."""
        if prefixes:
            self._link.run(lambda c: publications.stage(c, lease, prefixes))

    def sweep(self) -> int:
        """Delete objects that nobody will ever publish; the number of prefixes. A store that is away is swept another time."""
        if not self._link.run(lambda c: publications.sweepable(c, limit=1)):
            return 0
        try:
            with self.lake.connect(name="eolake sweep") as connection:
                return sweep(connection, open_store(self.lake.store_config))
        except (Transient, OSError, *CUT) as error:  # OSError: somebody writes or sweeps in the same folder at this moment
            log.warning("sweeping is left to the next worker: %s", error)
            return 0

    @property
    def _lease(self) -> timedelta:
        return timedelta(seconds=self.settings.lease)

    def _held(self, work: Callable[[Connection], None]) -> bool:
        try:
            self._link.run(work)
        except Fenced as error:
            log.info("%s", error)
            return False
        return True
