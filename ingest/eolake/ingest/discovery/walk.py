"""Discovery: what a feed's provider has published since the last look, registered so that a crash anywhere loses nothing.

Days (UTC) of publication are walked one after the other, oldest first. What is found, the counts of a day and the place reached are written
in one transaction: a product is either registered and passed, or neither. Providers that yield in order of publication (`ascending`) let a
pass stop at any product; with all others it stops between days. Providers that don't know when they published (`windows = "sensing"`) are
walked by days of sensing, and the whole lookback each time.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

from eolake.catalog.errors import Busy
from eolake.catalog.lake import Connection, Lake
from eolake.catalog.ledger import discovery as ledger
from eolake.catalog.ledger import granules
from eolake.catalog.ledger.discovery import Day
from eolake.catalog.ledger.granules import Offer
from eolake.ingest.discovery.feeds import Feed
from eolake.ingest.discovery.filters import judge
from eolake.ingest.faults import Kind, ProviderFault
from eolake.ingest.providers.base import Provider, Query

LOG = logging.getLogger(__name__)
CHUNK = 500
"""Products in one transaction."""
DAY = timedelta(days=1)
PATIENCE = 3.0
"""Seconds to wait for another pass of the same feed to end."""
RETIRED = "retired"
"""Kind of the alarm, and code of the faults of providers that know it: the service is not there any more."""
GONE = frozenset({404, 410})

Stop = Callable[[], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What one pass found."""

    available: int = 0
    """Products that the provider has in the time, the collection and the area; each once."""
    wanted: int = 0
    """Of those, let through by the filters."""
    new: int = 0
    changed: int = 0
    known: int = 0
    filtered: Mapping[str, int] = field(default_factory=dict)
    """How many were not wanted, by reason."""
    per_day: Mapping[date, Day] = field(default_factory=dict)
    """Of the days that this pass came through."""
    complete: bool = True
    """False: it was stopped; the next one goes on where it ended."""


def discover(
    lake: Lake,
    feed: Feed,
    provider: Provider,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    stop: Stop = lambda: False,
) -> Report:
    """Look for what a feed's provider published, from a little before the end of the last pass until `until` (now), and queue it.

    `since`: where a feed begins that never looked (default: its lookback before `until`). ProviderFault: also after an alarm was raised
    because the service is gone; what was found before is registered. Busy when another pass of this feed is under way."""
    with lake.connect(name="eolake discover") as connection:
        hold(connection, feed.name)
        end = until or ledger.clock(connection)
        walk = _Walk(connection=connection, feed=feed, provider=provider, stop=stop, wants=judge(feed))
        try:
            walk.run(_begin(connection, feed, provider, since=since, until=end), end)
        except ProviderFault as fault:
            if retired(fault):
                alarm(connection, provider.name, fault)
            raise
        return walk.report.close()


def retired(fault: ProviderFault) -> bool:
    """Whether a search that ended like this means that the whole service is gone, and not one product."""
    return fault.code == RETIRED or (fault.kind is Kind.GONE and fault.status in GONE)


def alarm(connection: Connection, provider: str, fault: ProviderFault) -> None:
    """One row, however often it is seen."""
    text = f"the catalogue of {provider} is gone ({fault}); what is queued stays queued. See [providers.{provider}.urls]"
    ledger.raise_alarm(connection, provider=provider, kind=RETIRED, text=text)


def by_sensing(provider: Provider) -> bool:
    """Whether a provider does not know when it published, so that its products are walked by days of sensing."""
    return getattr(provider, "windows", "published") == "sensing"


@dataclass(slots=True, kw_only=True)
class _Counts:
    """A report in the making."""

    available: int = 0
    wanted: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    filtered: Counter[str] = field(default_factory=Counter)
    days: dict[date, Day] = field(default_factory=dict)
    complete: bool = True

    def close(self) -> Report:
        return Report(
            available=self.available,
            wanted=self.wanted,
            new=self.outcomes["new"],
            changed=self.outcomes["changed"],
            known=self.outcomes["known"],
            filtered=dict(self.filtered),
            per_day=self.days,
            complete=self.complete,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Start:
    """Where a pass begins, and what was counted there already."""

    at: datetime
    counted: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class _Tally:
    """What a day had so far. The ids of the newest products tell them from those that follow at the same time."""

    available: int = 0
    wanted: int = 0
    newest: datetime | None = None
    ids: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, start: _Start) -> _Tally:
        """Goes on with the day at which an earlier pass was stopped."""
        counted = start.counted
        if not counted:
            return cls()
        return cls(available=counted["available"], wanted=counted["wanted"], newest=start.at, ids=set(counted["ids"]))

    def add(self, offer: Offer, *, wanted: bool) -> None:
        self.available += 1
        self.wanted += wanted
        if offer.published is not None and offer.published != self.newest:
            self.newest, self.ids = offer.published, set()
        self.ids.add(offer.id)

    def counted(self) -> dict[str, Any]:
        return {"available": self.available, "wanted": self.wanted, "ids": sorted(self.ids)}


@dataclass(slots=True, kw_only=True)
class _Walk:
    """One pass."""

    connection: Connection
    feed: Feed
    provider: Provider
    stop: Stop
    wants: Callable[[Offer, datetime], str | None]
    report: _Counts = field(default_factory=_Counts)

    def run(self, start: _Start, end: datetime) -> None:
        tally = _Tally.of(start)
        for since, until in windows(start.at, end):
            if self.stop() or not self._window(since, until, tally):
                self.report.complete = False
                return
            tally = _Tally()
        with self.connection.transaction():
            ledger.complete(self.connection, self.feed.name, position=end)
        ledger.clear_alarm(self.connection, provider=self.provider.name, kind=RETIRED)

    def _window(self, since: datetime, until: datetime, tally: _Tally) -> bool:
        """One day, or what is left of it; False when it was stopped within."""
        midnight = datetime(since.year, since.month, since.day, tzinfo=UTC)
        ascending = bool(getattr(self.provider, "ascending", False))
        chunk: list[Offer] = []
        for passed, offer in enumerate(self._fresh(since, until, tally.ids), 1):
            chunk += self._judged(offer, midnight, tally)
            halt = self.stop()
            if passed % CHUNK == 0 or halt:
                self._register(chunk, resume=tally.newest if ascending else None, tally=tally)
                chunk = []
            if halt:
                return False
        day = Day(day=since.date(), available=tally.available, wanted=tally.wanted)
        self._register(chunk, resume=until, tally=_Tally(), day=day)
        self.report.days[day.day] = day
        return True

    def _judged(self, offer: Offer, day: datetime, tally: _Tally) -> list[Offer]:
        """The order that follows from an offer, if any."""
        reason = self.wants(offer, day)
        tally.add(offer, wanted=reason is None)
        self.report.available += 1
        if reason is not None:
            self.report.filtered[reason] += 1
            return []
        self.report.wanted += 1
        return [self.feed.order(offer)]

    def _fresh(self, since: datetime, until: datetime, known: set[str]) -> Iterator[Offer]:
        """The provider's products of a window, each once; of several days of sensing the first counts."""
        seen = set(known)
        for offer in self.provider.search(self._query(since, until)):
            if offer.id in seen or (by_sensing(self.provider) and offer.start_at is not None and offer.start_at < since):
                continue
            seen.add(offer.id)
            yield offer

    def _query(self, since: datetime, until: datetime) -> Query:
        query = self.feed.query(since, until)
        return replace(query, since=None, until=None, start=since, end=until) if by_sensing(self.provider) else query

    def _register(self, offers: Sequence[Offer], *, resume: datetime | None, tally: _Tally, day: Day | None = None) -> None:
        """Products, counts and the place reached, all or nothing."""
        with self.connection.transaction():
            offered = granules.offer(self.connection, offers) if offers else []
            if day is not None:
                ledger.count_days(self.connection, self.feed.name, self.provider.name, [day])
            if resume is not None:
                ledger.move(self.connection, self.feed.name, resume=resume, counted=tally.counted() if day is None else {})
        self.report.outcomes.update(one.outcome for one in offered)


def windows(since: datetime, until: datetime) -> Iterator[tuple[datetime, datetime]]:
    """Half-open intervals that end at midnight (UTC), without gap or overlap, from `since` to `until`."""
    begin = since
    while begin < until:
        end = min(datetime(begin.year, begin.month, begin.day, tzinfo=UTC) + DAY, until)
        yield begin, end
        begin = end


def _begin(connection: Connection, feed: Feed, provider: Provider, *, since: datetime | None, until: datetime) -> _Start:
    """Where the last pass was stopped, else a little before its end, else where the feed is to begin: always whole days."""
    cursor = ledger.cursor(connection, feed.name)
    if cursor.resume is not None:
        return _Start(at=cursor.resume, counted=cursor.counted)
    back = max(feed.lookback, feed.overlap) if by_sensing(provider) else feed.overlap
    first = cursor.position - back if cursor.position is not None else since or until - feed.lookback
    return _Start(at=datetime(first.year, first.month, first.day, tzinfo=UTC))


def hold(connection: Connection, feed: str) -> None:
    """Nobody else walks this feed as long as the connection lives; Busy when somebody does.

    It waits a little: a pass that was killed lets go as soon as the database notices."""
    end = time.monotonic() + PATIENCE
    while not ledger.hold_feed(connection, feed):
        if time.monotonic() > end:
            raise Busy(f"another pass of the feed {feed!r} is under way; wait for it to end")
        time.sleep(0.05)
