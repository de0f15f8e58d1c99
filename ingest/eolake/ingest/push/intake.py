"""What notifications lead to: the same offers as polling, or nothing. It is written in the transaction of the caller."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from eolake.catalog.lake import Executor
from eolake.catalog.ledger import discovery, granules, notified
from eolake.catalog.ledger.granules import Offer
from eolake.catalog.ledger.notified import Note
from eolake.catalog.settings import Settings
from eolake.ingest.discovery.feeds import Feed, all_feeds
from eolake.ingest.discovery.filters import COLLECTION, judge
from eolake.ingest.providers.cdse import ODataProvider
from eolake.ingest.providers.registry import collection_of, open_provider, provider_config
from eolake.ingest.push.notifications import Notification

type Judge = Callable[[Offer, datetime], str | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """For which feeds notifications come: one by its name, or all of a provider by the provider's."""

    name: str
    provider: str
    feeds: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """Notifications that came together."""

    scope: Scope
    notifications: Sequence[Notification]


@dataclass(slots=True, kw_only=True)
class Taken:
    """What became of notifications."""

    new: int = 0
    changed: int = 0
    known: int = 0
    withdrawn: int = 0
    asked: int = 0
    """Say too little: the catalogue is to be asked by id."""
    unwanted: Counter[str] = field(default_factory=Counter)
    """By reason."""

    def add(self, outcomes: Mapping[str, int]) -> None:
        """Count outcomes of offers."""
        self.new += outcomes.get("new", 0)
        self.changed += outcomes.get("changed", 0)
        self.known += outcomes.get("known", 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Standing:
    """A feed and what it wants."""

    feed: Feed
    judge: Judge
    exact: bool
    """The provider tells its collections apart: what fits none of them is not this one."""

    def reason_against(self, offer: Offer, now: datetime) -> str | None:
        if offer.collection is None and self.exact:
            return COLLECTION
        return self.judge(offer, now)

    def order(self, offer: Offer) -> Offer:
        feed = self.feed
        return feed.order(offer)


class Intake:
    """Judges by the feeds of the settings, as they were when it was made."""

    def __init__(self, settings: Settings) -> None:
        """ConfigError when a feed or its provider does not hold."""
        self.providers: dict[str, ODataProvider] = {}
        self._standing: dict[str, _Standing] = {}
        for feed in all_feeds(settings):
            provider = self._provider(settings, feed.provider)
            if provider is not None:
                exact = bool(collection_of(provider.config, feed.collection).get("filter"))
                self._standing[feed.name] = _Standing(feed=feed, judge=judge(feed), exact=exact)

    def scope(self, name: str) -> Scope | None:
        """A feed, or a provider that pushes and has feeds; None when there is neither."""
        if name in self._standing:
            return Scope(name=name, provider=self._standing[name].feed.provider, feeds=(name,))
        feeds = tuple(one.feed.name for one in self._standing.values() if one.feed.provider == name)
        return Scope(name=name, provider=name, feeds=feeds) if feeds else None

    def take(self, executor: Executor, told: Sequence[Told]) -> Taken:
        """Register what is wanted, once; withdraw what was deleted; note what has to be asked for. In the caller's transaction."""
        now, taken = discovery.clock(executor), Taken()
        offers: dict[str, dict[str, Offer]] = {}
        deleted: dict[tuple[str, str], list[str]] = {}
        notes: dict[tuple[str, str], Note] = {}
        for scope, notification in ((one.scope, notification) for one in told for notification in one.notifications):
            provider, identity = scope.provider, notification.id
            if notification.event == "deleted":
                reason = f"deleted by the provider: {notification.cause or 'no reason given'}"
                deleted.setdefault((provider, reason), []).append(identity)
            elif notification.value is None:
                notes[provider, identity] = Note(provider=provider, id=identity, scope=scope.name, why=notification.why)
            elif (order := self._judged(scope, notification, now, taken)) is not None:
                offers.setdefault(provider, {})[identity] = order
        for wanted in offers.values():
            self._offer(executor, list(wanted.values()), taken)
        for (provider, reason), ids in sorted(deleted.items()):
            taken.withdrawn += len(granules.withdraw(executor, provider, ids, reason))
        if notes:
            notified.note(executor, list(notes.values()))
            taken.asked += len(notes)
        return taken

    def order(self, scope: Scope, offer: Offer, now: datetime) -> Offer | str:
        """The order of the first feed that wants it, or why none does."""
        reasons = []
        for name in scope.feeds:
            standing = self._standing[name]
            reason = standing.reason_against(offer, now)
            if reason is None:
                return standing.order(offer)
            reasons.append(reason)
        return next((reason for reason in reasons if reason != COLLECTION), COLLECTION)

    def _judged(self, scope: Scope, notification: Notification, now: datetime, taken: Taken) -> Offer | None:
        offer = self.providers[scope.provider].offer_of(notification.value or {})
        order = self.order(scope, offer, now) if offer is not None else "no identity"
        if isinstance(order, str):
            taken.unwanted[order] += 1
            return None
        return _flagged(order, notification.flags) if notification.flags else order

    def _provider(self, settings: Settings, name: str) -> ODataProvider | None:
        if name not in self.providers:
            provider = open_provider(provider_config(settings, name))
            if not isinstance(provider, ODataProvider):
                return None
            self.providers[name] = provider
        return self.providers[name]

    @staticmethod
    def _offer(executor: Executor, offers: Sequence[Offer], taken: Taken) -> None:
        taken.add(Counter(offered.outcome for offered in granules.offer(executor, offers)))


def _flagged(offer: Offer, flags: Sequence[str]) -> Offer:
    """Without digests its provider asks the catalogue by id before anything is fetched."""
    detail = {key: value for key, value in offer.detail.items() if key != "digests"}
    return replace(offer, detail={**detail, "notes": [*offer.detail.get("notes", ()), *flags]})
