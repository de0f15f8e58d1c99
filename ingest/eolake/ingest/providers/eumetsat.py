"""The kind `eumetsat`: the EUMETSAT Data Store, for marine Sentinel-3 and all its other collections."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import quote

from eolake.catalog.errors import ConfigError
from eolake.catalog.ledger.granules import Granule, Offer
from eolake.ingest.faults import Kind, ProviderFault
from eolake.ingest.logins.base import Login
from eolake.ingest.naming import scene_of
from eolake.ingest.providers.api import Api, host_of
from eolake.ingest.providers.base import Change, Part, ProviderConfig, Query
from eolake.ingest.providers.dhus import SLACK, area_text, format_millis
from eolake.ingest.providers.footprints import normalise
from eolake.ingest.providers.odata import parse_time, plain_name
from eolake.ingest.providers.registry import collection_of

LOG = logging.getLogger(__name__)
PAGE = 500
"""Products of a page; the service gives no more."""
DEEPEST = 9500
"""The greatest offset asked for; beyond 10,000 there is nothing."""
TRIES = 3
_ID = re.compile(r"[0-9A-Za-z._:+=-]{1,200}")
_MD5 = re.compile(r"[0-9a-f]{32}")


class EumetsatProvider:
    """Products of the Data Store by the time of their publication."""

    ascending = True

    def __init__(self, config: ProviderConfig, login: Login | None = None) -> None:
        """ConfigError when a URL is missing: `search` (…/search-products/1.0.0/os) and `download` (…/download/1.0.0)."""
        missing = [role for role in ("search", "download") if role not in config.urls]
        if missing:
            raise ConfigError(f"[providers.{config.name}.urls] {', '.join(missing)}: the kind eumetsat needs it")
        self.name, self.config = config.name, config
        self.download = config.urls["download"].rstrip("/")
        self.api = Api(config, login)

    def search(self, query: Query) -> Iterator[Offer]:
        """The products that match, each once. Raises ProviderFault, also when the service gives less than it promises."""
        asked = self.criteria(query)
        seen: set[str] = set()
        since, start = query.since, 0
        while True:
            document, features = self._page(asked, since, query.until, start)
            offers = [offer for feature in features if (offer := self.offer_of(feature, query.collection)) is not None]
            self._check(offers, since)
            for offer in offers:
                if offer.id not in seen and _within(offer, query):
                    seen.add(offer.id)
                    yield offer
            if int(document["totalResults"]) - start <= PAGE:
                return
            since, start = self._onward(offers, since, start)

    def criteria(self, query: Query) -> dict[str, str]:
        """The parameters but for the time of publication."""
        if query.collection is None:
            raise ConfigError(f"{self.name} needs a collection; there are: {', '.join(sorted(self.config.collections))}")
        described = collection_of(self.config, query.collection)
        found = {"format": "json", "pi": str(described["collection"]), "sort": "publicationDate,,1"}
        found |= {str(name): str(value) for name, value in described.get("filter", {}).items()}
        if query.start is not None:
            found["dtstart"] = format_millis(query.start)
        if query.end is not None:
            found["dtend"] = format_millis(query.end - SLACK)
        if area := area_text(query):
            found["geo"] = area
        if query.timeliness is not None:
            found["timeliness"] = query.timeliness
        if len(query.names) == 1:
            found["title"] = f"{plain_name(query.names[0])}{described.get('suffix', '')}"
        return found

    def resolve(self, granule: Granule) -> Sequence[Part]:
        """The product as a zip, with its MD5 where the service has one, and its quicklook."""
        collection, digest = str(granule.detail.get("collection", "")), granule.detail.get("md5")
        product = Part(url=self._url(collection, granule.id), name=f"{granule.name}.zip", digests={"md5": str(digest)} if digest else {})
        quicklook = granule.detail.get("quicklook")
        if not isinstance(quicklook, str) or host_of(quicklook) not in self.api.hosts:
            return [product]
        return [product, Part(url=quicklook, name=f"{granule.name}-ql.jpg", role="overview")]

    def changes(self, since: datetime) -> Iterator[Change]:
        """None: the service tells of none; a product that changed has another MD5 when it is found again."""
        _ = since
        return iter(())

    def auth(self) -> Mapping[str, str]:
        """Nothing: the search is open to all."""
        return {}

    def offer_of(self, feature: Mapping[str, Any], collection: str | None = None) -> Offer | None:
        """The offer that a feature makes; None (and a line in the log) when it has no usable identity."""
        told = feature.get("properties")
        identity = feature.get("id")
        if not isinstance(told, Mapping) or not isinstance(identity, str) or not _ID.fullmatch(identity):
            LOG.warning("%s: a product without a usable id (%.120r) is left out", self.name, identity)
            return None
        parent, name = str(told.get("parentIdentifier", "")), plain_name(str(told.get("title") or identity))
        start, end = (parse_time(part) for part in (*str(told.get("date", "")).split("/"), "", "")[:2])
        published = parse_time(told.get("updated"))
        information = _mapping(told.get("productInformation"))
        md5 = str(_mapping(told.get("extraInformation")).get("md5", "")).lower()
        footprint = normalise(feature.get("geometry"))
        attributes = {key: information[key] for key in ("productType", "timeliness") if information.get(key) is not None}
        scene = scene_of(name, start=start, attributes=attributes)
        odd = {"no footprint": footprint is None, "no digest": not _MD5.fullmatch(md5), "no publication time": published is None}
        detail = {
            "collection": parent,
            "md5": md5 if _MD5.fullmatch(md5) else None,
            "kilobytes": information.get("size"),
            "quicklook": _link(told, "previews"),
            "attributes": attributes,
            "notes": [note for note, holds in odd.items() if holds],
        }
        return Offer(
            provider=self.name,
            id=identity,
            name=name,
            source=self._url(parent, identity),
            fingerprint=f"md5:{md5}" if _MD5.fullmatch(md5) else f"kilobytes:{information.get('size')}",
            collection=collection,
            scene_key=scene.scene_key if scene else None,
            rank=scene.rank if scene else (),
            published=published,
            start_at=start,
            end_at=end,
            footprint=footprint,
            detail={key: value for key, value in detail.items() if value not in (None, [], {})},
        )

    def _url(self, collection: str, identity: str) -> str:
        return f"{self.download}/collections/{quote(collection, safe='')}/products/{quote(identity, safe='')}"

    def _page(
        self, asked: Mapping[str, str], since: datetime | None, until: datetime | None, start: int
    ) -> tuple[Mapping[str, Any], Sequence[Mapping[str, Any]]]:
        """A page that holds as much as it promises."""
        bounds = f"[{format_millis(since) if since else ''},{format_millis(until) if until else ''}]"
        parameters: dict[str, str | int] = {**asked, "si": start, "c": PAGE, **({"publication": bounds} if since or until else {})}
        document: Any = None
        for _ in range(TRIES):
            document = self._asked(parameters)
            features = [feature for feature in document["features"] if isinstance(feature, Mapping)]
            if len(features) >= min(int(document["totalResults"]) - start, PAGE):
                return document, features
        text = f"{self.name} promises {document['totalResults']} products and gives {start + len(document['features'])} of them"
        raise ProviderFault(f"{text}; asked again later", Kind.TRANSIENT, host=host_of(self.config.urls["search"]))

    def _asked(self, parameters: Mapping[str, str | int]) -> Mapping[str, Any]:
        url = self.config.urls["search"]
        try:
            document = self.api.get_json(url, parameters)
        except ProviderFault as fault:
            if fault.status not in {404, 410}:
                raise
            text = f"the search of {self.name} is not there any more ({fault})"
            raise ProviderFault(text, Kind.CONFIG, host=fault.host, status=fault.status, code="retired") from fault
        if not isinstance(document, Mapping) or not isinstance(document.get("features"), list):
            raise ProviderFault(f"{self.name} answered something that is no list of products", Kind.TRANSIENT, host=host_of(url))
        total = document.get("totalResults", len(document["features"]))
        if not str(total).isdecimal():
            raise ProviderFault(f"{self.name} does not say how many products there are", Kind.TRANSIENT, host=host_of(url))
        return {**document, "totalResults": int(total)}

    def _check(self, offers: Sequence[Offer], since: datetime | None) -> None:
        """A service that does not follow the bound would give its first products for ever."""
        if since is not None and any(offer.published is not None and offer.published < since - SLACK for offer in offers):
            raise ProviderFault(
                f"{self.name} lists products from before {since:%Y-%m-%d %H:%M:%S}, as if `publication` was not asked for",
                Kind.CONFIG,
                host=host_of(self.config.urls["search"]),
            )

    def _onward(self, offers: Sequence[Offer], since: datetime | None, start: int) -> tuple[datetime | None, int]:
        """Where the next page begins: at the last time seen; within one time by offset."""
        times = [offer.published for offer in offers if offer.published is not None]
        if times and (since is None or max(times) - SLACK > since):
            return max(times) - SLACK, 0
        if start + PAGE > DEEPEST:
            raise ProviderFault(f"{self.name} has more than {DEEPEST} products of one moment ({since}); narrow the search", Kind.CONFIG)
        return since, start + PAGE


def _within(offer: Offer, query: Query) -> bool:
    published = offer.published
    in_time = published is None or ((query.since is None or published >= query.since) and (query.until is None or published < query.until))
    return in_time and (not query.names or offer.name in {plain_name(name) for name in query.names})


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _link(told: Mapping[str, Any], kind: str) -> str | None:
    links = _mapping(told.get("links")).get(kind)
    found = [_mapping(link).get("href") for link in links] if isinstance(links, list) else []
    return next((href for href in found if isinstance(href, str)), None)
