"""The worker: leases products, has them converted in processes of their own, and records what became of each.

It imports nothing heavy and opens no foreign bytes. Whatever a product does to its converter (crash, hang, memory), the worker
lives on: it keeps the leases alive, ends what hangs, counts faults, and gives unfinished work back when it is told to stop.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from eolake.catalog.errors import ConfigError, EolakeError, Unreachable
from eolake.catalog.failpoints import failpoint
from eolake.catalog.lake import Lake
from eolake.catalog.ledger.granules import Granule, lease_of
from eolake.catalog.migrate import outstanding
from eolake.ingest import workspaces
from eolake.ingest.fetching import desk
from eolake.ingest.fetching.crew import Crew
from eolake.ingest.fetching.messages import FetchOrder, Said
from eolake.ingest.messages import Done, Event
from eolake.ingest.owner import machine
from eolake.ingest.pool import Pool, Process
from eolake.ingest.queue import Queue
from eolake.ingest.settings import WorkerSettings

POLL = 1.0
"""Seconds between two looks at an empty queue."""
LAST_MOMENT = 2.0
"""Seconds that a commit which has begun may still take when the worker is told to stop."""
HARD_STOP = 4.0
"""Seconds after a signal at which the process ends whatever it waits for."""
BURIAL = 5.0
"""Seconds between two looks for dead workers."""
STARTS = 3
"""Converters in a row that may end before they are ready."""

log = logging.getLogger(__name__)

Report = Callable[[Granule, Done], None]
Overhear = Callable[[Said], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What a worker is asked to do."""

    converters: int = 1
    fetch: int = 0
    """Lanes that fetch from providers: connections held at the same time."""
    only: Sequence[int] | None = None
    """These granules and no others."""
    once: bool = True
    """End when nothing is left to do, instead of waiting for more."""
    max_time: float | None = None
    """Seconds."""
    verbose: int = 0


@dataclass(slots=True, kw_only=True)
class Tally:
    """What a worker did."""

    verdicts: Counter[str] = field(default_factory=Counter)
    seconds: Counter[str] = field(default_factory=Counter)
    """By step, over all converters."""
    written: int = 0
    """Bytes of objects."""
    swept: int = 0
    fetched: int = 0
    """Products that were fetched."""
    received: int = 0
    """Bytes of their files."""
    stopped: bool = False
    """By a signal or by its time; not because nothing was left."""
    put_off: set[int] = field(default_factory=set)
    """Granules that wait for a later try."""

    @property
    def failed(self) -> int:
        """How many products were kept aside or are put off."""
        return self.verdicts["quarantined"] + len(self.put_off)

    def add(self, granule: Granule, done: Done) -> None:
        """One product more."""
        (self.put_off.add if done.verdict == "later" else self.put_off.discard)(granule.granule_id)
        self.verdicts[done.verdict] += 1
        self.seconds.update(done.seconds)
        self.written += done.written if done.verdict == "published" else 0


class Worker:
    """Runs once."""

    def __init__(
        self,
        lake: Lake,
        order: Order,
        *,
        settings: WorkerSettings | None = None,
        report: Report | None = None,
        overhear: Overhear | None = None,
    ) -> None:
        """`report`: told of each product that was converted; `overhear`: of whatever the fetch process says."""
        self.lake, self.order = lake, order
        self.settings = settings or WorkerSettings()
        self.tally = Tally()
        self._report, self._overhear = report, overhear
        self._stopping = False
        self._hard_stop: threading.Timer | None = None
        self._base = workspaces.base_folder(lake, self.settings)
        self._queue = Queue(lake, self.settings, only=order.only, giving_up=lambda: self._stopping)
        self._pool = Pool(lake, bounds=self.settings.bounds, verbose=order.verbose)
        errand = FetchOrder(lanes=order.fetch, only=order.only, base=str(workspaces.desks(self._base)))
        self._crew = Crew(lake=lake, order=errand, wake=self._pool.wake, verbose=order.verbose)
        self._crew_looked = float("-inf")
        self._crew_deaths = 0
        self._begin = time.monotonic()
        self._slowest = 0.0
        self._looked = self._buried = float("-inf")
        self._failed_starts = 0
        self._served = self._begin
        self._dirty = True

    def run(self) -> Tally:
        """Work until nothing is left, the time is over, or a signal comes.

        Raises Unreachable when the database stays away, ConfigError when it is not migrated or no converter can start."""
        with self._signals():
            try:
                self._work()
            except Unreachable:
                if not self._stopping:
                    raise
                self.tally.stopped = True
            finally:
                self._queue.close()
        return self.tally

    def _work(self) -> None:
        missing = outstanding(self.lake)
        if missing:
            raise ConfigError(f"the database is older than this eolake (it lacks {', '.join(missing)}); run `eolake up --detach`")
        try:
            while not self._over():
                self._turn()
        finally:
            self._dismiss()
        if not self.tally.stopped:
            self._clean()

    # --- one turn ---

    def _turn(self) -> None:
        self._bury()
        self._send_crew()
        self._assign()
        heard = self._pool.next(self._patience())
        while heard is not None:
            self._hear(*heard)
            heard = self._pool.next(0)
        for said in self._crew.heard():
            self._hear_crew(said)
        self._watch()

    # --- the fetch process ---

    def _send_crew(self) -> None:
        """A fetch process, as soon as there is something to fetch."""
        if not self.order.fetch or self._crew.running or self._closing() or time.monotonic() - self._crew_looked < POLL:
            return
        self._crew_looked = time.monotonic()
        if self._queue.due_in(waiting="queued") is not None:
            self._crew.start()

    def _hear_crew(self, said: Said) -> None:
        if said.kind == "fetched":
            self.tally.fetched += 1
            self.tally.received += said.bytes
            self._looked = float("-inf")
            self._dirty = True
        elif said.kind == "failed" and said.verdict:
            self._count_failure(said)
        elif said.kind == "ready":
            self._crew_deaths = 0
        elif said.kind == "ended":
            self._crew_ended(said.text)
        if self._overhear is not None:
            self._overhear(said)

    def _count_failure(self, said: Said) -> None:
        """What could not be fetched counts like what could not be converted."""
        verdict = said.verdict or "later"
        (self.tally.put_off.add if verdict == "later" else self.tally.put_off.discard)(said.granule_id)
        self.tally.verdicts[verdict] += 1

    def _crew_ended(self, words: str) -> None:
        """It is started again; ConfigError or Unreachable when it can't work at all."""
        self._crew_deaths += 1
        if self._stopping or not words:
            return
        if self._crew_deaths >= STARTS:
            kinds: dict[int, type[EolakeError]] = {ConfigError.exit_code: ConfigError, Unreachable.exit_code: Unreachable}
            raise kinds.get(self._crew.exit_code or 1, EolakeError)(f"nothing can be fetched: {words}")
        log.warning("the fetch process ended: %s", words)

    def _fetching(self) -> bool:
        """Something is being fetched, or will be within the time of a lease."""
        if not self.order.fetch:
            return False
        if not self._crew.running:
            return self._queue.due_in(waiting="queued") is not None
        if not self._crew.idle:
            return True
        return self._crew.idle_for is not None and self._crew.idle_for <= self.settings.lease * 1.25

    def _patience(self) -> float:
        return min(POLL, self.settings.lease / 8)

    def _assign(self) -> None:
        """Products for the converters that wait; converters for the products that wait."""
        if self._closing() or time.monotonic() - self._looked < POLL:
            return
        idle = [process for process in self._pool.processes if process.idle]
        claimed = self._queue.claim(len(idle)) if idle else []
        for process, granule in zip(idle, claimed, strict=False):
            failpoint("claim:after")
            self._dirty = True
            process.give(granule, workspaces.workspace(self._base, lease_of(granule).fence), self._nearby(granule))
        if len(claimed) < len(idle):
            self._looked = time.monotonic()
        elif len(self._pool.processes) < self._wanted():
            self._hire()

    def _nearby(self, granule: Granule) -> Path | None:
        """Where this machine fetched a product, if it did."""
        if granule.fetched_on != machine():
            return None
        return desk.folder(workspaces.desks(self._base), granule.granule_id, granule.fingerprint)

    def _hire(self) -> None:
        wait = self._queue.due_in()
        if wait is not None and wait <= 0:
            self._pool.start()
        else:
            self._looked = time.monotonic()

    def _wanted(self) -> int:
        only = self.order.only
        return self.order.converters if only is None else min(self.order.converters, len(only))

    def _hear(self, process: Process, event: Event | None) -> None:
        if event is None:
            self._ended(process)
        elif event.kind == "ready":
            process.ready, self._failed_starts, self._served = True, 0, time.monotonic()
        elif event.kind == "step":
            process.come_to(event.text)
        elif event.kind == "prefix":
            process.prefixes.append(event.text)
        elif event.kind == "failed":
            process.failure = event.text
        elif event.done is not None:
            self._settle(process, event.done)

    def _settle(self, process: Process, done: Done) -> None:
        """Record what became of a product."""
        granule, process.granule = process.granule, None
        self._looked = float("-inf")
        if granule is None:
            return
        self._slowest = max(self._slowest, time.monotonic() - process.began)
        decided = self._queue.finish(granule, done)
        if decided.verdict == "lost":
            self._queue.announce(lease_of(granule), process.prefixes)
        self.tally.add(granule, decided)
        if self._report is not None:
            self._report(granule, decided)

    def _ended(self, process: Process) -> None:
        """A converter is gone: by its product's doing, by ours, or because it cannot work at all."""
        words = process.last_words()
        self._pool.drop(process)
        if process.granule is not None:
            self._settle(process, Done(verdict="fault", reason=f"{words} at the step {process.step!r}"))
        elif not process.ready:
            self._failed_starts += 1
            self._give_up_on(process, words)

    def _give_up_on(self, process: Process, words: str) -> None:
        """Try to start another converter, for a while."""
        if process.popen.returncode == Unreachable.exit_code:
            patient = time.monotonic() - self._served < self.settings.patience
        else:
            patient = self._failed_starts < STARTS
        if not patient:
            raise _no_converter(process, words)
        log.warning("a converter did not start: %s", words)
        time.sleep(min(self._failed_starts, 5) / 5)

    def _watch(self) -> None:
        """Keep the leases of what goes on (a commit locks its row: it is left in peace for longer); end what hangs."""
        now = time.monotonic()
        for process in self._pool.processes:
            lease = process.lease
            if lease is None:
                continue
            if now - process.began > self.settings.longest:
                process.kill(f"the product was not done within {self.settings.longest:.0f} s")
            elif process.silent_for(now) > self.settings.silence:
                process.kill(f"it did nothing for {self.settings.silence:.0f} s")
            elif now - process.kept > self.settings.lease * (0.75 if process.step == "commit" else 0.25):
                process.kept = now
                if not self._queue.extend(lease):
                    process.kill("its lease was lost")

    def _bury(self) -> None:
        now = time.monotonic()
        if now - self._buried > BURIAL:
            self._buried = now
            self._queue.bury([lease.fence for process in self._pool.processes if (lease := process.lease)])

    # --- the end ---

    def _over(self) -> bool:
        if self._stopping or self._late(LAST_MOMENT):
            self.tally.stopped = True
            return True
        if any(process.granule for process in self._pool.processes):
            return False
        if self._closing():
            self.tally.stopped = True
            return True
        return self._drained()

    def _closing(self) -> bool:
        """There is no time for another product."""
        return self._late(self._slowest + LAST_MOMENT)

    def _late(self, before: float) -> bool:
        limit = self.order.max_time
        return limit is not None and time.monotonic() - self._begin > limit - before

    def _drained(self) -> bool:
        """Nothing is left that could be done within the time of a lease."""
        if self._fetching():
            return False
        wait = self._queue.due_in()
        if wait is not None and wait <= self.settings.lease * 1.25:
            return False
        if self.order.once:
            return True
        if self._dirty:
            self._clean()
        return False

    def _dismiss(self) -> None:
        """End the lanes and the converters; what they had not finished is given back and does not count as an attempt."""
        self._crew.stop()
        for said in self._crew.heard():
            self._hear_crew(said)
        until = time.monotonic() + LAST_MOMENT
        while time.monotonic() < until and any(p.granule and p.step == "commit" for p in self._pool.processes):
            heard = self._pool.next(0.1)
            if heard is not None:
                self._hear(*heard)
        self._pool.kill("the worker stops")
        for process in list(self._pool.processes):
            self._pool.drop(process)
            if process.lease is not None:
                self._queue.release(process.lease)

    def _clean(self) -> None:
        """Remove what killed workers left in the store and on this disk."""
        self._dirty = False
        workspaces.clear(self._base, self._queue.leased)
        desk.clear(workspaces.desks(self._base), self._queue.unfinished)
        self.tally.swept += self._queue.sweep()

    # --- signals ---

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """SIGTERM and SIGINT end the work within five seconds, whatever it waits for."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self._stop) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            if self._hard_stop is not None:
                self._hard_stop.cancel()

    def _stop(self, number: int, frame: FrameType | None) -> None:
        _ = number, frame
        if self._stopping:
            return
        self._stopping = True
        self._pool.wake()
        self._hard_stop = threading.Timer(HARD_STOP, self._end_hard)
        self._hard_stop.daemon = True
        self._hard_stop.start()

    def _end_hard(self) -> None:
        for process in self._pool.processes:
            process.popen.kill()
        self._crew.kill()
        os._exit(0)


def _no_converter(process: Process, words: str) -> EolakeError:
    status = process.popen.returncode
    kinds: dict[int, type[EolakeError]] = {ConfigError.exit_code: ConfigError, Unreachable.exit_code: Unreachable}
    return kinds.get(status, EolakeError)(f"no converter can start: {words}")
