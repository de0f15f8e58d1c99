"""The kind `dhus`: hubs that still speak OpenSearch and OData v1, as the Copernicus Open Access Hub did."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from eolake.catalog.errors import ConfigError
from eolake.catalog.ledger.granules import Granule, Offer
from eolake.ingest.faults import Kind, ProviderFault
from eolake.ingest.logins.base import Login
from eolake.ingest.naming import scene_of
from eolake.ingest.providers.api import Answer, Api, host_of
from eolake.ingest.providers.base import Change, Part, ProviderConfig, Query
from eolake.ingest.providers.dhus_feed import Entry, Feed, Product, cause, read_feed, read_product
from eolake.ingest.providers.footprints import normalise
from eolake.ingest.providers.odata import format_time, parse_time, plain_name
from eolake.ingest.providers.registry import collection_of

LOG = logging.getLogger(__name__)
ROWS = 100
"""Entries of a page; hubs give no more."""
DEEPEST = 9000
"""The greatest offset asked for: so many products of one millisecond."""
SLACK = timedelta(milliseconds=1)
TRIES = 3
ORDERED = "ordered"
"""The code of the fault of a product that was ordered from the long-term archive; the ledger keeps it as part of the reason."""
PLAIN = re.compile(r"[A-Za-z0-9_.-]+\*?")
TIMELINESS: Mapping[str, str] = {
    "near real time": "NR",
    "short time critical": "ST",
    "non time critical": "NT",
    "nrt-3h": "NRT-3h",
    "fast-24h": "Fast-24h",
}
FULL_TIMELINESS: Mapping[str, str] = {"NR": "Near Real Time", "ST": "Short Time Critical", "NT": "Non Time Critical"}


def quoted(value: object) -> str:
    """A value as Lucene takes it: a plain word (with a `*` at its end) as it is, anything else in quotes."""
    text = str(value)
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return text if PLAIN.fullmatch(text) and text not in {"AND", "OR", "NOT", "TO"} else f'"{escaped}"'


class DhusProvider:
    """Products of a hub, by the time of their ingestion."""

    ascending = True

    def __init__(self, config: ProviderConfig, login: Login | None = None) -> None:
        """ConfigError when a URL is missing: `search` (…/search) and `odata` (…/odata/v1)."""
        missing = [role for role in ("search", "odata") if role not in config.urls]
        if missing:
            raise ConfigError(f"[providers.{config.name}.urls] {', '.join(missing)}: the kind dhus needs it")
        self.name, self.config, self.login = config.name, config, login
        self.odata = config.urls["odata"].rstrip("/")
        self.api = Api(config, login)
        self._ordered: set[str] = set()

    def search(self, query: Query) -> Iterator[Offer]:
        """The products that match, each once. Raises ProviderFault, also when the hub gives less than it promises."""
        criteria = self.criteria(query)
        seen: set[str] = set()
        since, start = query.since, 0
        while True:
            feed = self._page(criteria, since, query.until, start)
            for entry in feed.entries:
                offer = self.offer_of(entry, query.collection)
                fresh = entry.id not in seen and (query.until is None or offer.published is None or offer.published < query.until)
                seen.add(entry.id)
                if fresh:
                    yield offer
            if feed.total - start <= ROWS:
                return
            since, start = self._onward(feed, since, start)

    def criteria(self, query: Query) -> list[str]:
        """The parts of the Lucene query but for the time of ingestion; values are quoted here, so nobody has to think of it."""
        described: Mapping[str, Any] = collection_of(self.config, query.collection) if query.collection else {}
        found = [f"{name}:{quoted(value)}" for name, value in described.get("filter", {}).items()]
        if query.end is not None:
            found.append(f"beginposition:[* TO {format_millis(query.end - SLACK)}]")  # the bracket is inclusive
        if query.start is not None:
            found.append(f"endposition:[{format_millis(query.start)} TO *]")
        if area := area_text(query):
            found.append(f'footprint:"Intersects({area})"')
        if query.cloud_cover is not None and "cloud" in described:
            found.append(f"{described['cloud']}:[0 TO {query.cloud_cover:g}]")
        if query.timeliness is not None and "timeliness" in described:
            found.append(f"{described['timeliness']}:{quoted(FULL_TIMELINESS.get(query.timeliness, query.timeliness))}")
        if query.names:
            found.append("(" + " OR ".join(f"identifier:{quoted(plain_name(name))}" for name in query.names) + ")")
        return found

    def resolve(self, granule: Granule) -> Sequence[Part]:
        """The product and its quicklook; ordered, once, when it lies in the long-term archive. ProviderFault: offline, quota, gone."""
        product = self.product(granule.id)
        link = self._link(granule)
        if not product.online:
            self._order(granule, link)
        parts = [Part(url=link, name=f"{granule.name}.zip", size=product.size, digests=product.digests)]
        quicklook = granule.detail.get("quicklook")
        if isinstance(quicklook, str) and host_of(quicklook) in self.api.hosts:
            parts.append(Part(url=quicklook, name=f"{granule.name}-ql.jpg", role="overview"))
        return parts

    def changes(self, since: datetime) -> Iterator[Change]:
        """None: hubs tell of no deletions in this dialect; what is gone shows when it is fetched."""
        _ = since
        return iter(())

    def auth(self) -> Mapping[str, str]:
        """Basic authorisation."""
        return self.login.headers(self.config.urls["search"]) if self.login is not None else {}

    def product(self, identity: str) -> Product:
        """What OData says of a product: bytes, digest, whether it is online. ProviderFault(gone) when the hub does not have it."""
        url = f"{self.odata}/Products('{identity}')?$format=json"
        answer = self.api.request("GET", url, accept=frozenset({404}))
        if answer.status == 404:
            said = cause(answer.body, answer.headers)
            kind = Kind.GONE if said else Kind.CONFIG
            raise ProviderFault(
                f"{self.name}: {said or f'{host_of(url)} has no OData service any more'}",
                kind,
                host=host_of(url),
                status=404,
                code=None if said else "retired",
            )
        return read_product(answer.body)

    def offer_of(self, entry: Entry, collection: str | None = None) -> Offer:
        """The offer that an entry makes. Its size is rounded text: bytes and digest come from OData when it is fetched."""
        fields = entry.fields
        name = plain_name(entry.title)
        start, end = parse_time(fields.get("beginposition")), parse_time(fields.get("endposition"))
        footprint = normalise(fields.get("footprint")) or normalise(fields.get("gmlfootprint"))
        notes = [
            note
            for note, holds in {
                "no footprint": footprint is None,
                "no publication time": parse_time(fields.get("ingestiondate")) is None,
                "end of sensing before its begin": start is not None and end is not None and end < start,
                "archived": fields.get("status", "").upper() == "ARCHIVED",
            }.items()
            if holds
        ]
        attributes = _attributes(fields)
        scene = scene_of(name, start=start, attributes=attributes)
        detail = {
            "link": entry.content,
            "quicklook": entry.quicklook,
            "size_text": fields.get("size"),
            "attributes": attributes,
            "notes": notes,
        }
        if start is not None and end is not None and end < start:
            start, end = end, start
        return Offer(
            provider=self.name,
            id=entry.id,
            name=name,
            source=f"{self.odata}/Products('{entry.id}')/$value",
            fingerprint=f"uuid:{entry.id}",
            collection=collection,
            scene_key=scene.scene_key if scene else None,
            rank=scene.rank if scene else (),
            published=parse_time(fields.get("ingestiondate")),
            start_at=start,
            end_at=end,
            footprint=footprint,
            cloud_cover=_percent(fields.get("cloudcoverpercentage")),
            detail={key: value for key, value in detail.items() if value not in (None, [], {})},
        )

    def _page(self, criteria: Sequence[str], since: datetime | None, until: datetime | None, start: int) -> Feed:
        """A page that holds as much as it promises; a hub that cuts one short is asked again, then it is a fault."""
        bounds = f"ingestiondate:[{format_millis(since) if since else '*'} TO {format_millis(until) if until else '*'}]"
        parameters: dict[str, str | int] = {
            "q": " AND ".join([*criteria, bounds]),
            "start": start,
            "rows": ROWS,
            "orderby": "ingestiondate asc",
            "format": str(self.config.options.get("format", "json")),
        }
        feed = Feed(total=0, entries=())
        for _ in range(TRIES):
            feed = read_feed(self._asked(parameters))
            if len(feed.entries) + feed.odd >= min(feed.total - start, ROWS):
                return feed
        raise ProviderFault(
            f"{self.name} promises {feed.total} products and gives {start + len(feed.entries)} of them; asked again later",
            Kind.TRANSIENT,
            host=host_of(self.config.urls["search"]),
        )

    def _asked(self, parameters: Mapping[str, str | int]) -> bytes:
        try:
            return self.api.get_bytes(self.config.urls["search"], parameters)
        except ProviderFault as fault:
            if fault.status not in {404, 410}:
                raise
            text = f"the search of {self.name} is not there any more ({fault}); see whether the hub has closed"
            raise ProviderFault(text, Kind.CONFIG, host=fault.host, status=fault.status, code="retired") from fault

    def _onward(self, feed: Feed, since: datetime | None, start: int) -> tuple[datetime | None, int]:
        """Where the next page begins: at the last time seen, so that what comes or goes meanwhile moves nothing; else by offset."""
        times = [time for entry in feed.entries if (time := parse_time(entry.fields.get("ingestiondate"))) is not None]
        if times and (since is None or max(times) - SLACK > since):
            return max(times) - SLACK, 0
        if start + ROWS > DEEPEST:
            raise ProviderFault(f"{self.name} has more than {DEEPEST} products of one moment ({since}); narrow the search", Kind.CONFIG)
        return since, start + ROWS

    def _link(self, granule: Granule) -> str:
        """The content link of the feed where it leads to this hub; otherwise the same made from its address."""
        link = granule.detail.get("link")
        usable = isinstance(link, str) and granule.id in link and host_of(link) in self.api.hosts
        return str(link) if usable else f"{self.odata}/Products('{granule.id}')/$value"

    def _order(self, granule: Granule, link: str) -> None:
        """Ask for a product of the archive unless that was done; returns only when it is online after all."""
        known = granule.id in self._ordered or (granule.fault == Kind.OFFLINE and f"({ORDERED})" in (granule.reason or ""))
        if known:
            raise ProviderFault(f"{granule.name} is ordered from the archive of {self.name} and not there yet", Kind.OFFLINE, code=ORDERED)
        answer = self.api.request(
            "GET", link, headers={"Range": "bytes=0-1"}, tries=1, accept=frozenset({202, 403, 503})
        )  # not of 0 bytes: hubs trip over that
        if answer.status == 202:
            self._ordered.add(granule.id)
        if answer.status not in {200, 206}:
            raise self._refusal(granule, answer)

    def _refusal(self, granule: Granule, answer: Answer) -> ProviderFault:
        """What an order that was not answered with bytes means."""
        said = cause(answer.body, answer.headers)
        host = host_of(answer.url)
        if answer.status == 202:
            return ProviderFault(
                f"{granule.name} is ordered from the archive of {self.name}", Kind.OFFLINE, host=host, status=202, code=ORDERED
            )
        if answer.status == 503:
            return ProviderFault(f"{self.name} takes no order for {granule.name} now: {said}", Kind.OFFLINE, host=host, status=503)
        if "concurrent flows" in said:
            return ProviderFault(f"{self.name}: {said}", Kind.RATE, host=host, status=403)
        kind = Kind.QUOTA if "quota" in said or "fetches max" in said else Kind.AUTH
        return ProviderFault(f"{self.name}: {said or 'refused'}", kind, host=host, status=403)


def format_millis(time: datetime) -> str:
    """As hubs take times."""
    return f"{format_time(time)[:-4]}Z"


def _attributes(fields: Mapping[str, str]) -> dict[str, str]:
    """What names and filters go by, in the words of the other dialects."""
    words = fields.get("timeliness") or fields.get("Timeliness Category") or ""
    found = {
        "productType": fields.get("producttype"),
        "timeliness": TIMELINESS.get(words.lower(), words) or None,
        "tileId": fields.get("tileid"),
        "orbitNumber": fields.get("orbitnumber"),
        "relativeOrbitNumber": fields.get("relativeorbitnumber"),
    }
    return {key: value for key, value in found.items() if value is not None}


def _percent(value: str | None) -> float | None:
    try:
        percent = float(value or "")
    except ValueError:
        return None
    return percent if 0 <= percent <= 100 else None


def area_text(query: Query) -> str | None:
    """WKT of the area, or of its bounding box when it has too many corners for a URL."""
    if query.area is None and query.bbox is None:
        return None
    import shapely
    from shapely.geometry import shape

    if query.area is not None:
        geometry = shape(dict(query.area))
        geometry = geometry if len(shapely.get_coordinates(geometry)) <= 60 else shapely.box(*geometry.bounds)
        return str(shapely.to_wkt(geometry, rounding_precision=6, trim=True))
    west, south, east, north = query.bbox or (0, 0, 0, 0)
    boxes = [(west, south, east, north)] if west <= east else [(west, south, 180, north), (-180, south, east, north)]
    parts = [shapely.box(*box) for box in boxes]
    return str(shapely.to_wkt(parts[0] if len(parts) == 1 else shapely.MultiPolygon(parts), rounding_precision=6, trim=True))
