"""Complete listings from a STAC API: its next links followed as they are written, whatever they look like, and never in circles."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urljoin, urlsplit

from eolake.ingest.faults import Kind, ProviderFault
from eolake.ingest.providers.api import Api, host_of, shown

LOG = logging.getLogger(__name__)
BARREN = 20
"""Pages in a row without anything new: the API goes in circles. Pages that are merely empty may be more."""
EMPTY = 200
SMALLEST = 10
"""Items on a page that are asked for when the API breaks down over more."""
OVERLOAD = frozenset({413, 500, 502, 504})
"""What APIs answer when a page is too much for them."""
UNSENT = frozenset({"authorization", "cookie", "host", "x-auth-token", "x-api-key"})
"""Headers that a next link may not set."""

type Method = Literal["GET", "POST"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One request for a page."""

    method: Method
    url: str
    body: Mapping[str, Any] = field(default_factory=dict)
    """Of a POST; the query of a first GET."""
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def mark(self) -> str:
        """Equal for equal requests."""
        return json.dumps([self.method, self.url, self.body], sort_keys=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One answer."""

    features: Sequence[Any]
    next: Ask | None
    matched: int | None
    """What the API says there are: only ever for the log."""

    @classmethod
    def of(cls, document: object, ask: Ask) -> Page:
        """ProviderFault(transient) when the answer is no page."""
        listed = document.get("features") if isinstance(document, Mapping) else None
        if not isinstance(document, Mapping) or not isinstance(listed, list):
            raise ProviderFault(f"{shown(ask.url)} answered something that is no list of items", Kind.TRANSIENT, host=host_of(ask.url))
        context = document.get("context")
        matched = document.get("numberMatched", context.get("matched") if isinstance(context, Mapping) else None)
        return cls(features=listed, next=onward(document.get("links"), ask), matched=matched if isinstance(matched, int) else None)


def onward(links: object, ask: Ask) -> Ask | None:
    """The request that a page's next link describes; None when there is none.

    A POST link's body replaces the one that was sent, or with `merge` is laid over it."""
    found = (
        next((link for link in links if isinstance(link, Mapping) and link.get("rel") == "next"), None) if isinstance(links, list) else None
    )
    href = found.get("href") if found is not None else None
    if found is None or not isinstance(href, str) or not href:
        return None
    url = urljoin(ask.url, href)
    given = found.get("headers")
    headers = {str(k): str(v) for k, v in given.items() if str(k).lower() not in UNSENT} if isinstance(given, Mapping) else {}
    if str(found.get("method", "GET")).upper() != "POST":
        return Ask(method="GET", url=url, headers=headers)
    body = found.get("body")
    body = body if isinstance(body, Mapping) else {}
    return Ask(method="POST", url=url, body={**ask.body, **body} if found.get("merge") else body, headers=headers)


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """What to list."""

    api: Api
    url: str
    """`…/search`"""
    body: Mapping[str, Any]
    """Without `limit`."""
    method: Method = "POST"
    limit: int = 100
    """Items on a page."""

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        """Every item once. When the API breaks down over a page, smaller ones are asked for, from the beginning. Raises ProviderFault."""
        seen: set[tuple[str, str]] = set()
        limit = self.limit
        while True:
            try:
                yield from _Walk(search=self, seen=seen).run(self.first(limit))
                return
            except ProviderFault as fault:
                if fault.status not in OVERLOAD or limit <= SMALLEST:
                    raise
                limit = max(SMALLEST, limit // 4)
                LOG.warning("%s broke down over a page (%s); asking for %d items at a time", shown(self.url), fault.status, limit)

    def first(self, limit: int) -> Ask:
        """The request for the first page."""
        return Ask(method=self.method, url=self.url, body={**self.body, "limit": limit})


@dataclass(slots=True, kw_only=True)
class _Walk:
    """One pass over the pages."""

    search: Search
    seen: set[tuple[str, str]]
    asked: set[str] = field(default_factory=set)
    head: object = None
    barren: int = 0
    empty: int = 0

    def run(self, first: Ask) -> Iterator[Mapping[str, Any]]:
        ask: Ask | None = first
        count = 0
        while ask is not None:
            self._guard(ask, first)
            page = Page.of(self._ask(ask), ask)
            self._circles(page, ask)
            fresh = [feature for feature in page.features if self._new(feature)]
            self._count(page, fresh, ask)
            count += len(page.features)
            yield from fresh
            if page.next is None and page.matched is not None and page.matched > count:
                LOG.info("%s speaks of %d items and has no page after %d of them", shown(ask.url), page.matched, count)
            ask = page.next

    def _ask(self, ask: Ask) -> Any:
        if ask.method == "POST":
            return self.search.api.post_json(ask.url, ask.body, headers=ask.headers)
        return self.search.api.get_json(ask.url, as_query(ask.body), headers=ask.headers)

    def _guard(self, ask: Ask, first: Ask) -> None:
        """Within the same API, and never where it was already."""
        if (urlsplit(ask.url).scheme, host_of(ask.url)) != (urlsplit(first.url).scheme, host_of(first.url)):
            raise self._fault(f"links to {shown(ask.url)} as its next page; not followed")
        if ask.mark in self.asked:
            raise self._fault("links to a page that was there already; it goes in circles")
        self.asked.add(ask.mark)

    def _circles(self, page: Page, ask: Ask) -> None:
        head = identity(page.features[0]) if page.features else None
        if head is not None and head == self.head and ask.mark:
            raise self._fault("gives the same page again; it goes in circles")
        self.head = head if head is not None else self.head

    def _new(self, feature: object) -> bool:
        found = identity(feature)
        if found is None:
            LOG.warning("%s: an item without an id is left out", shown(self.search.url))
            return False
        known = found in self.seen
        self.seen.add(found)
        return not known

    def _count(self, page: Page, fresh: Sequence[Any], ask: Ask) -> None:
        self.empty = 0 if page.features else self.empty + 1
        self.barren = 0 if fresh or not page.features else self.barren + 1
        if self.barren > BARREN or self.empty > EMPTY:
            raise self._fault(f"gave {max(self.barren, self.empty)} pages without anything new ({ask.method}); it goes in circles")

    def _fault(self, text: str) -> ProviderFault:
        return ProviderFault(f"{shown(self.search.url)} {text}", Kind.CONFIG, host=host_of(self.search.url))


def identity(feature: object) -> tuple[str, str] | None:
    """(collection, id) of an item: ids are unique within a collection only. None when it has none."""
    if not isinstance(feature, Mapping) or not isinstance(feature.get("id"), str) or not feature["id"]:
        return None
    return str(feature.get("collection") or ""), feature["id"]


def as_query(body: Mapping[str, Any]) -> dict[str, str | int | float]:
    """A search as the parameters of a GET."""
    written: dict[str, str | int | float] = {}
    for name, value in body.items():
        if isinstance(value, list | tuple):
            written[name] = ",".join(str(part) for part in value)
        else:
            written[name] = json.dumps(value, separators=(",", ":")) if isinstance(value, Mapping) else value
    return written
