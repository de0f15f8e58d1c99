"""Complete listings from an OData catalogue: ascending by one time, resumed at the last time seen instead of at an offset.

An offset means another place as soon as a product is published or removed while one pages, and catalogues stop at 10,000 without a word.
So each page asks for products from the time of the last one on; what was there already is recognised by its id. Only where that does not
move (more products of one moment than a page holds) the catalogue's own next link is followed."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, quote, urlencode, urlsplit

from eolake.ingest.faults import Kind, ProviderFault
from eolake.ingest.providers.api import Api, host_of, shown
from eolake.ingest.providers.odata import format_time, id_of, parse_time

LOG = logging.getLogger(__name__)
SLACK = timedelta(milliseconds=1)
"""Catalogues print times more coarsely than they store them: each page starts that much before the end of the last one."""
BARREN = 50
"""Pages in a row without anything new: the catalogue goes in circles."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One answer of a catalogue."""

    documents: Sequence[Any]
    next: str | None

    @classmethod
    def of(cls, document: object, url: str) -> Page:
        """ProviderFault(transient) when the answer is no page."""
        listed = document.get("value") if isinstance(document, Mapping) else None
        if not isinstance(document, Mapping) or not isinstance(listed, list):
            raise ProviderFault(f"{shown(url)} answered something that is no list of products", Kind.TRANSIENT, host=host_of(url))
        link = document.get("@odata.nextLink")
        return cls(documents=listed, next=link if isinstance(link, str) and link else None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """What to list, and in what order."""

    api: Api
    url: str
    """`…/Products` or `…/DeletedProducts`."""
    criteria: Sequence[str]
    """Parts of the filter, all of which hold."""
    key: str
    """The time along which it goes: `PublicationDate`."""
    since: datetime | None = None
    """Inclusive."""
    until: datetime | None = None
    """Exclusive."""
    expand: Sequence[str] = ()
    page: int = 1000
    """Products in one answer at most."""
    deepest: int = 9000
    """The greatest offset that is ever asked for."""

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        """Every product once. Raises ProviderFault: also when the catalogue contradicts itself, rather than to miss one."""
        return _Walk(listing=self).run()

    def first(self, since: datetime | None, skip: int = 0) -> str:
        """The URL of a page."""
        bounds = [f"{self.key} ge {format_time(since)}"] if since is not None else []
        bounds += [f"{self.key} lt {format_time(self.until)}"] if self.until is not None else []
        parameters = [("$filter", " and ".join([*self.criteria, *bounds])), ("$orderby", f"{self.key} asc"), ("$top", str(self.page))]
        parameters += [("$skip", str(skip))] if skip else []
        parameters += [("$expand", name) for name in self.expand]
        filled = [(name, value) for name, value in parameters if value]
        return f"{self.url}?{urlencode(filled, quote_via=quote, safe="$(),/':=")}"


@dataclass(slots=True, kw_only=True)
class _Walk:
    """One pass over a listing."""

    listing: Listing
    seen: set[str] = field(default_factory=set)
    links: set[str] = field(default_factory=set)
    lower: datetime | None = None
    """From where on the present pages ask."""
    last: datetime | None = None
    """The newest time seen."""
    skip: int = 0
    barren: int = 0

    def run(self) -> Iterator[Mapping[str, Any]]:
        self.lower = self.listing.since
        url: str | None = self.listing.first(self.lower)
        head: str | None = None
        while url is not None:
            page = Page.of(self.listing.api.get_json(url), url)
            self._check(page, url, head if self.skip else None)
            head = id_of(page.documents[0]) if page.documents else None
            before = len(self.seen)
            yield from self._fresh(page, url)
            self._count(len(self.seen) - before, url)
            url = self._onward(page)

    def _fresh(self, page: Page, url: str) -> Iterator[Mapping[str, Any]]:
        previous: datetime | None = None
        for document in page.documents:
            if not isinstance(document, Mapping):
                LOG.warning("%s: an empty record is left out", shown(url))
                continue
            time = parse_time(document.get(self.listing.key))
            if time is not None:
                if previous is not None and time < previous - SLACK:
                    raise self._fault(f"does not list by {self.listing.key} as asked; products would be missed", url)
                previous = time
                self.last = time if self.last is None else max(self.last, time)
            identity = id_of(document)
            if identity is None or identity not in self.seen:
                self.seen |= {identity} if identity is not None else set()
                yield document

    def _count(self, fresh: int, url: str) -> None:
        self.barren = 0 if fresh else self.barren + 1
        if self.barren > BARREN:
            raise self._fault(f"gave {BARREN} pages without anything new; it goes in circles", url)

    def _onward(self, page: Page) -> str | None:
        """The next page; None at the end. A full page is never the end: a catalogue may have cut it off."""
        if page.next is None and len(page.documents) < self.listing.page:
            return None
        if self.last is not None and (self.lower is None or self.last - SLACK > self.lower):
            self.lower, self.skip = self.last - SLACK, 0
            return self.listing.first(self.lower)
        self.skip += len(page.documents)
        onward = page.next or self.listing.first(self.lower, self.skip)
        self.skip = max(self.skip, _skip_of(onward))
        if self.skip > self.listing.deepest:
            raise self._fault(f"has more than {self.listing.deepest} products of one moment ({self.lower}); narrow the search", onward)
        return onward

    def _check(self, page: Page, url: str, head: str | None) -> None:
        """A next link leads onward in the same catalogue; pages by offset begin with another product each."""
        if page.documents and head is not None and id_of(page.documents[0]) == head:
            raise self._fault("gives the same page again; it goes in circles", url)
        if page.next is None:
            return
        if _place(page.next) != _place(self.listing.url):
            raise self._fault(f"links to {shown(page.next)} as its next page; not followed", url)
        if page.next == url or page.next in self.links:
            raise self._fault("links to a page that was there already; it goes in circles", url)
        self.links.add(page.next)

    def _fault(self, text: str, url: str) -> ProviderFault:
        return ProviderFault(f"{shown(url)} {text}", Kind.CONFIG, host=host_of(url))


def _place(url: str) -> tuple[str, str, str]:
    host, parts = host_of(url), urlsplit(url)
    return parts.scheme, host, parts.path


def _skip_of(url: str) -> int:
    found = parse_qs(urlsplit(url).query).get("$skip", ["0"])[0]
    return int(found) if found.isascii() and found.isdigit() else 0
