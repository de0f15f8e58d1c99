"""The kind `stac`: any STAC API. Whole products or single files are copied, or public COGs are published where they are."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Literal, cast
from urllib.parse import quote

from eolake.catalog.errors import ConfigError
from eolake.catalog.ledger.granules import Granule, Offer
from eolake.ingest.faults import Kind, ProviderFault
from eolake.ingest.logins.base import Login
from eolake.ingest.providers.api import Api, host_of
from eolake.ingest.providers.base import Change, Part, ProviderConfig, Query
from eolake.ingest.providers.odata import format_time
from eolake.ingest.providers.registry import collection_of
from eolake.ingest.providers.sas import Signer
from eolake.ingest.providers.stac_items import Reading, offer_of, parts_of
from eolake.ingest.providers.stac_pages import Search

IDS = 100
"""Ids in one request."""
REMEMBERED = 1000
"""Granules whose URLs were handed out, so that a second asking means that the first ones were refused."""
QUERY = "item-search#query"
FILTER = "item-search#filter"

type Language = Literal["query", "cql2-json", "none"]
type Box = tuple[float, float, float, float]


class StacProvider:
    """Items of a STAC API, found by the time of their publication where the API can filter by it, by their sensing where it can't."""

    ascending = False
    """APIs sort as they like, and some lose items when told to."""

    def __init__(self, config: ProviderConfig, login: Login | None = None) -> None:
        """ConfigError when the URL is missing or an option is wrong. The catalogue is public unless option `catalogue_login` is set."""
        if "api" not in config.urls:
            raise ConfigError(f"[providers.{config.name}.urls] api: the kind {config.kind!r} needs it")
        self.name, self.config = config.name, config
        self.url = config.urls["api"].rstrip("/")
        self.api = Api(config, login if config.options.get("catalogue_login") else None)
        self.signer = Signer.of(self.api, config.options["sas"]) if "sas" in config.options else None
        self._method = cast("Literal['GET', 'POST']", config.options.get("method", "POST"))
        self._may = frozenset(host.lower() for host in config.auth_hosts)
        self._language: Language | None = None
        self._handed: OrderedDict[tuple[int, int | None], None] = OrderedDict()
        self._lock = threading.Lock()
        if self._method not in {"GET", "POST"}:
            raise ConfigError(f"[providers.{self.name}.options] method = {self._method!r}: GET or POST")

    @property
    def windows(self) -> Literal["published", "sensing"]:
        """By which time discovery walks: by publication only where the API can filter by that property."""
        return "published" if self._property() and self._filters() != "none" else "sensing"

    def search(self, query: Query) -> Iterator[Offer]:
        """The products that match, each once. Raises ProviderFault, ConfigError when the collection is unknown."""
        described = collection_of(self.config, query.collection) if query.collection is not None else {}
        reading = self._reading(described)
        seen: set[str] = set()
        for body in self._bodies(query, described):
            for item in self._list(body):
                offer = self.offer_of(item, query.collection, reading=reading, own=described.get("collection"))
                if offer.id not in seen and offer.name.startswith(described.get("name", "")):
                    seen.add(offer.id)
                    yield offer

    def resolve(self, granule: Granule) -> Sequence[Part]:
        """Its files and its picture, signed right now; nothing when it is published where it is. Raises ProviderFault.

        After a failure the item is read anew: a digest may have been wrong, files may have moved."""
        if granule.transfer == "reference":
            return []
        described = self.config.collections.get(granule.collection or "", {})
        reading = self._reading(described)
        item = self._whole(self._item(granule), described)
        parts = parts_of(item, reading, may=self._may)
        if not any(part.role == "data" for part in parts):
            raise ProviderFault(f"{granule.name} has no files at {self.name} that are asked for", Kind.GONE, host=host_of(self.url))
        return self._signed(granule, parts)

    def changes(self, since: datetime) -> Iterator[Change]:
        """Items that were updated since then, of the collections of the configuration; STAC says nothing of deletions.

        Nothing where discovery goes by that time itself, or the API can't filter by it."""
        if self._property() == "updated" or self._filters() == "none":
            return
        for collection, described in self.config.collections.items():
            reading = self._reading(described)
            body = {**self._collections(described), **self._between("updated", since, None)}
            for item in self._list(body):
                offer = self.offer_of(item, collection, reading=reading, own=described.get("collection"))
                later = offer.published is not None and offer.published >= since  # is found as new
                if offer.modified is not None and not later and offer.name.startswith(described.get("name", "")):
                    yield Change(id=offer.id, kind="modified", at=offer.modified, offer=offer)

    def auth(self) -> Mapping[str, str]:
        """Nothing: the catalogue is public, or the requests carry what it needs."""
        return {}

    def offer_of(
        self, item: Mapping[str, Any], collection: str | None = None, *, reading: Reading | None = None, own: str | None = None
    ) -> Offer:
        """The offer that an item makes."""
        return offer_of(
            item,
            provider=self.name,
            source=self._source(str(item.get("collection") or own or ""), item["id"]),
            reading=reading or self._reading(self.config.collections.get(collection or "", {})),
            lake_collection=collection,
            own=own,
        )

    def _reading(self, described: Mapping[str, Any]) -> Reading:
        told = self._property()
        published = {"published": (told,)} if told else {}
        return Reading.of({**published, **{k: v for k, v in self.config.options.items() if k != "published"}}, described)

    def _source(self, collection: str, identity: str) -> str:
        return f"{self.url}/collections/{quote(collection, safe='')}/items/{quote(identity, safe='')}"

    # --- searching ---

    def _list(self, body: Mapping[str, Any]) -> Search:
        limit = int(self.config.options.get("limit", 100))
        return Search(api=self.api, url=f"{self.url}/search", body=body, method=self._method, limit=limit)

    def _bodies(self, query: Query, described: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """The searches that together find everything: more than one for boxes across 180°, and for many names."""
        base = {**self._collections(described), **self._times(query)}
        if query.names and self.config.options.get("ids"):
            suffixes = self.config.options.get("id_suffixes", [""])
            ids = [f"{name}{suffix}" for name in query.names for suffix in suffixes]
            yield from ({**base, "ids": ids[first : first + IDS]} for first in range(0, len(ids), IDS))
            return
        for place in _places(query):
            yield {**base, **place}

    def _collections(self, described: Mapping[str, Any]) -> dict[str, Any]:
        return {"collections": [described["collection"]]} if "collection" in described else {}

    def _times(self, query: Query) -> dict[str, Any]:
        asked: dict[str, Any] = {}
        if query.start is not None or query.end is not None:
            begin, end = (format_time(time) if time is not None else ".." for time in (query.start, query.end))
            asked["datetime"] = f"{begin}/{end}"
        told = self._property()
        if told and (query.since is not None or query.until is not None):
            asked |= self._between(told, query.since, query.until)
        return asked

    def _between(self, name: str, since: datetime | None, until: datetime | None) -> dict[str, Any]:
        """since ≤ name < until, in the API's language; nothing when it has none."""
        bounds = [(op, word, time) for op, word, time in ((">=", "gte", since), ("<", "lt", until)) if time is not None]
        language = self._filters()
        if language == "none" or not bounds:
            return {}
        if language == "query":
            return {"query": {name: {word: format_time(time) for _, word, time in bounds}}}
        if self._method == "GET":
            text = " AND ".join(f"{name} {op} TIMESTAMP('{format_time(time)}')" for op, _, time in bounds)
            return {"filter-lang": "cql2-text", "filter": text}
        tests = [{"op": op, "args": [{"property": name}, {"timestamp": format_time(time)}]} for op, _, time in bounds]
        return {"filter-lang": "cql2-json", "filter": {"op": "and", "args": tests} if len(tests) > 1 else tests[0]}

    def _property(self) -> str | None:
        """The property by which publication is told; option `published`, none by default."""
        told = self.config.options.get("published")
        return str(told) if told else None

    def _filters(self) -> Language:
        """Option `filter`, or what the API says of itself."""
        if self._language is None:
            told = str(self.config.options.get("filter", "auto"))
            if told not in {"query", "cql2-json", "none", "auto"}:
                raise ConfigError(f"[providers.{self.name}.options] filter = {told!r}: query, cql2-json, none or auto")
            self._language = self._advertised() if told == "auto" else cast("Language", told)
        return self._language

    def _advertised(self) -> Language:
        landing = self.api.get_json(self.url)
        classes = landing.get("conformsTo") if isinstance(landing, Mapping) else None
        told = [str(one) for one in classes] if isinstance(classes, list) else []
        if any(one.endswith(FILTER) for one in told) and any("cql2-json" in one for one in told):
            return "cql2-json"
        return "query" if any(one.endswith(QUERY) or "#query" in one for one in told) else "none"

    # --- resolving ---

    def _item(self, granule: Granule) -> Mapping[str, Any]:
        kept = granule.detail.get("item")
        if isinstance(kept, Mapping) and granule.attempts <= 1 and granule.fault is None:
            return kept
        collection, _, identity = granule.id.partition("/")
        return self._read(str(granule.detail.get("collection") or collection), str(granule.detail.get("item_id") or identity))

    def _read(self, collection: str, identity: str) -> Mapping[str, Any]:
        url = self._source(collection, identity)
        item = self.api.get_json(url)
        if not isinstance(item, Mapping) or not isinstance(item.get("id"), str):
            raise ProviderFault(f"{url} answered something that is no item", Kind.TRANSIENT, host=host_of(url))
        return item

    def _whole(self, item: Mapping[str, Any], described: Mapping[str, Any]) -> Mapping[str, Any]:
        """The item together with its sibling in another collection: surface reflectance and temperature are one product in two items."""
        sibling = described.get("sibling")
        if not sibling:
            return item
        identity = str(item["id"])
        end = str(sibling.get("from", ""))
        other = f"{identity.removesuffix(end)}{sibling.get('to', '')}" if end and identity.endswith(end) else identity
        found = self._read(sibling["collection"], other)
        return {**item, "assets": {**{f"{key}+": asset for key, asset in found.get("assets", {}).items()}, **item.get("assets", {})}}

    def _signed(self, granule: Granule, parts: Sequence[Part]) -> list[Part]:
        if self.signer is None:
            return list(parts)
        if self._again(granule):
            for part in parts:
                self.signer.forget(part.url)
        signed = [(part, self.signer.sign(part.url)) for part in parts]
        return [_moved(part, url) for part, url in signed]

    def _again(self, granule: Granule) -> bool:
        """Whether this granule's URLs were handed out before under the same lease: they expired mid-way."""
        key = (granule.granule_id, granule.fence)
        with self._lock:
            known = key in self._handed
            self._handed[key] = None
            self._handed.move_to_end(key)
            while len(self._handed) > REMEMBERED:
                self._handed.popitem(last=False)
        return known


def _moved(part: Part, url: str) -> Part:
    return replace(part, url=url, login=part.login and url == part.url)


def _places(query: Query) -> Iterator[dict[str, Any]]:
    if query.bbox is not None:
        for box in _apart(query.bbox):
            yield {"bbox": list(box)}
    elif query.area is not None:
        yield {"intersects": dict(query.area)}
    else:
        yield {}


def _apart(bbox: Box) -> list[Box]:
    west, south, east, north = bbox
    return [bbox] if west <= east else [(west, south, 180.0, north), (-180.0, south, east, north)]
