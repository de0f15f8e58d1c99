"""`eolake daily`: all feeds, pull queues, then work until the queue is empty: the one line for cron."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

from eolake.catalog.errors import Busy, EolakeError, Unreachable
from eolake.catalog.invocation import Invocation, pass_invocation
from eolake.ingest.commands import CONVERT, FETCH, MAX_TIME

if TYPE_CHECKING:
    from eolake.catalog.lake import Lake
    from eolake.ingest.discovery.changes import Followed
    from eolake.ingest.discovery.feeds import Feed
    from eolake.ingest.discovery.walk import Report
    from eolake.ingest.push.queues import Drained
    from eolake.ingest.worker import Tally

LOCK = "all feeds, daily"
"""Held under this name as long as a daily run is under way."""


@click.command()
@CONVERT
@FETCH
@MAX_TIME
@pass_invocation
def daily(call: Invocation, *, converters: int, lanes: int, max_time: float | None) -> int:
    """Bring in what is new of all feeds: the one line for cron.

    Looks for new, changed and deleted products of each feed, reads pull queues, and works until nothing is left. Whatever is cut off, by
    --max-time or by force, goes on with the next run. Exit codes: 1 when something could not be brought in, 4 when no provider answered,
    75 when another run is under way."""
    run = Daily(call=call, lake=call.lake(), converters=converters, lanes=lanes, max_time=max_time)
    with run.alone(), run.signals():
        status = run.run()
    call.emit(run.document(), run.summary())
    return status


@dataclass(kw_only=True)
class Daily:
    """One run."""

    call: Invocation
    lake: Lake
    converters: int = 1
    lanes: int = 0
    max_time: float | None = None
    begin: float = field(default_factory=time.monotonic)
    reports: dict[str, Report] = field(default_factory=dict)
    followed: dict[str, Followed] = field(default_factory=dict)
    queues: dict[str, Drained] = field(default_factory=dict)
    faults: dict[str, EolakeError] = field(default_factory=dict)
    """By feed, provider or queue."""
    hidden: int = 0
    """Items that their provider withdrew."""
    tally: Tally | None = None
    _stopped: bool = False

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Busy when another daily run is under way."""
        from eolake.catalog.ledger.discovery import hold_feed

        with self.lake.connect(name="eolake daily") as connection:
            if not hold_feed(connection, LOCK):
                raise Busy("another `eolake daily` of this lake is under way; wait for it to end")
            yield

    @contextmanager
    def signals(self) -> Iterator[None]:
        """SIGTERM ends the looking as it ends the work: soon, and nothing is lost."""
        before = signal.signal(signal.SIGTERM, self._stop)
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, before)

    def run(self) -> int:
        """The exit code."""
        from eolake.ingest.discovery.feeds import all_feeds

        feeds = all_feeds(self.lake.settings)
        for feed in feeds:
            self._guarded(feed.name, lambda feed=feed: self._look(feed))  # type: ignore[misc]
        for provider in dict.fromkeys(feed.provider for feed in feeds):
            collections = tuple(sorted({feed.collection for feed in feeds if feed.provider == provider}))
            self._guarded(f"changes of {provider}", lambda p=provider, c=collections: self._follow(p, c))  # type: ignore[misc]
        self._read_queues()
        self._guarded("withdrawals", self._hide)
        if not self.over():
            self._work()
        return self._status(len(feeds))

    def over(self) -> bool:
        """The time is over, or somebody said stop."""
        return self._stopped or (self.max_time is not None and time.monotonic() - self.begin >= self.max_time)

    def document(self) -> dict[str, Any]:
        """For --json."""
        from eolake.ingest.reporting import tally_document

        return {
            "feeds": {name: _report(report) for name, report in self.reports.items()},
            "changes": {name: asdict(one) for name, one in self.followed.items()},
            "queues": {name: asdict(one) for name, one in self.queues.items()},
            "hidden": self.hidden,
            "faults": {name: str(fault) for name, fault in self.faults.items()},
            "work": tally_document(self.tally) if self.tally is not None else None,
            "complete": not self.over() and not self.faults,
            "seconds": round(time.monotonic() - self.begin, 3),
        }

    def summary(self) -> str:
        """One line."""
        from eolake.ingest.reporting import tally_text

        new = sum(one.new for one in self.reports.values()) + sum(one.new for one in self.queues.values())
        faults = f"; {len(self.faults)} could not be asked" if self.faults else ""
        work = f"; {tally_text(self.tally)}" if self.tally is not None else "; no time to work"
        return f"{len(self.reports)} feeds: {new} new{faults}{work}"

    # --- the steps ---

    def _guarded(self, name: str, step: Callable[[], None]) -> None:
        """One feed's trouble is not another's."""
        if self.over():
            return
        try:
            step()
        except Unreachable:
            raise
        except EolakeError as fault:
            self.faults[name] = fault
            self.call.note(f"{name}: {fault}")

    def _look(self, feed: Feed) -> None:
        from eolake.ingest.discovery.walk import discover
        from eolake.ingest.opening import opened

        with opened(self.lake.settings, feed.provider) as provider:
            report = self.reports[feed.name] = discover(self.lake, feed, provider, stop=self.over)
        self.call.note(f"{feed.name}: {report.available} available, {report.wanted} wanted, {report.new} new, {report.changed} changed")

    def _follow(self, name: str, collections: tuple[str, ...]) -> None:
        from eolake.ingest.discovery.changes import follow
        from eolake.ingest.opening import opened
        from eolake.ingest.providers.registry import narrowed, provider_config

        config = narrowed(provider_config(self.lake.settings, name), *collections)
        with opened(self.lake.settings, name, config=config) as provider:
            self.followed[name] = follow(self.lake, provider, stop=self.over)

    def _read_queues(self) -> None:
        from eolake.catalog.ledger import notified
        from eolake.ingest.push.reading import look_up_all, read_queues
        from eolake.ingest.push.settings import push_settings

        queues = push_settings(self.lake.settings).queues
        for name in queues:
            self._guarded(f"queues of {name}", lambda name=name: self._note(name, read_queues(self.lake, name, stop=self.over)))  # type: ignore[misc]
        with self.lake.connect(name="eolake daily") as connection:
            waiting = set(notified.providers(connection)) - set(queues)
        for name in sorted(waiting):
            self._guarded(f"products of {name}", lambda name=name: self._note(name, look_up_all(self.lake, name, stop=self.over)))  # type: ignore[misc]

    def _note(self, name: str, drained: Drained) -> None:
        self.queues[name] = drained

    def _hide(self) -> None:
        """What was withdrawn is not shown any more."""
        from eolake.catalog.ledger import granules

        with self.lake.connect(name="eolake daily") as connection:
            if not granules.withdrawn(connection):
                return
        from eolake.cube.publish import follow_withdrawals
        from eolake.cube.session import Session

        with Session(lake=self.lake) as session:
            self.hidden = follow_withdrawals(session)

    def _work(self) -> None:
        from eolake.ingest.reporting import Reporter, progress
        from eolake.ingest.worker import Order, Worker

        left = self.max_time - (time.monotonic() - self.begin) if self.max_time is not None else None
        order = Order(converters=self.converters, fetch=self.lanes, max_time=left, verbose=self.call.verbose)
        with progress(self.call) as bars:
            self.tally = Worker(self.lake, order, report=Reporter(call=self.call).report, overhear=bars).run()

    def _status(self, feeds: int) -> int:
        """4 when no feed was answered at all; 1 when something is amiss; what was cut off is not."""
        looked = [name for name in self.faults if name not in self.queues]
        if feeds and not self.reports and looked:
            return max(fault.exit_code for fault in self.faults.values())
        failed = self.tally is not None and not self.tally.stopped and self.tally.failed > 0
        return int(bool(self.faults) or failed)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        _ = number, frame
        self._stopped = True


def _report(report: Report) -> Mapping[str, Any]:
    days = {day.isoformat(): {"available": one.available, "wanted": one.wanted} for day, one in sorted(report.per_day.items())}
    return {**asdict(report), "per_day": days}
