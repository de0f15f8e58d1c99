"""The kind `odata`: the Copernicus Data Space Ecosystem, and any catalogue that speaks its dialect (OData.CSC)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, cast

from eolake.catalog.errors import ConfigError
from eolake.catalog.ledger.granules import Granule, Offer
from eolake.ingest.faults import Kind, ProviderFault
from eolake.ingest.logins.base import Login
from eolake.ingest.providers import odata
from eolake.ingest.providers.api import Api, host_of, shown
from eolake.ingest.providers.base import Change, Part, ProviderConfig, Query
from eolake.ingest.providers.listing import Listing
from eolake.ingest.providers.registry import collection_of

NAMES = 20
"""Product names in one request."""
TILES = 10
"""Tiles that are asked for by name; more of them are filtered from all that there is."""
CORNERS = 60
"""Of an area; one with more is asked for by its bounding box, and the rest is filtered."""
EXPAND = ("Attributes", "Assets")
DOUBTS = frozenset({Kind.CORRUPT, Kind.GONE, Kind.OFFLINE})
"""Faults after which what was known of a product may be wrong."""


class ODataProvider:
    """Products of an OData.CSC catalogue, found by publication time, downloaded whole."""

    ascending = True
    """What `search` yields never goes back in publication time (without `names`): discovery may stop anywhere and go on from there."""

    def __init__(self, config: ProviderConfig, login: Login | None = None) -> None:
        """ConfigError when a URL is missing. The catalogue is public; option `catalogue_login`: it wants the credential too."""
        missing = [role for role in ("catalogue", "download") if role not in config.urls]
        if missing:
            raise ConfigError(f"[providers.{config.name}.urls] {', '.join(missing)}: the kind {config.kind!r} needs it")
        self.name, self.config = config.name, config
        self.catalogue, self.download = (config.urls[role].rstrip("/") for role in ("catalogue", "download"))
        self.api = Api(config, login if config.options.get("catalogue_login") else None)

    def search(self, query: Query) -> Iterator[Offer]:
        """The products that match, each once. Raises ProviderFault, ConfigError when the collection is unknown."""
        asked = self.criteria(query)
        wanted = {odata.plain_name(name) for name in query.names}
        seen: set[str] = set()
        for names in self._names(query):
            for document in self._list("Products", [*asked, *names], "PublicationDate", since=query.since, until=query.until):
                offer = self.offer_of(document, query.collection)
                if offer is None or offer.id in seen or (wanted and offer.name not in wanted):
                    continue
                if wanted:  # of several requests; within one the listing sees to it
                    seen.add(offer.id)
                yield offer

    def resolve(self, granule: Granule) -> Sequence[Part]:
        """The archive and its quicklook. After a failed attempt the catalogue is asked again: a digest may have been wrong, a product
        may have got a new id. ProviderFault: offline, gone, and `config` when the whole service is."""
        known = self._latest(granule)
        identity, detail = (known.id, known.detail) if known else (granule.id, granule.detail)
        if detail.get("online") is False:
            raise ProviderFault(f"{granule.name} is offline at {self.name} and can't be ordered by its API", Kind.OFFLINE)
        product = Part(
            url=f"{self.download}/Products({identity})/$value",
            name=odata.file_name(str(detail.get("name") or granule.name)),
            size=known.size if known else granule.size,
            digests=detail.get("digests", {}),
        )
        quicklook = detail.get("quicklook")
        if not quicklook:
            return [product]
        picture = f"{self.catalogue}/Assets({quicklook})/$value"
        login = host_of(picture) in self.config.auth_hosts
        return [product, Part(url=picture, name=f"{granule.name}-ql.jpg", role="overview", login=login)]

    def changes(self, since: datetime) -> Iterator[Change]:
        """What was deleted or modified since then, of the collections of the configuration."""
        groups = self._groups()
        for asked in groups:
            for document in self._list("DeletedProducts", asked, "DeletionDate", since=since, expand=()):
                identity, at = odata.id_of(document), odata.parse_time(document.get("DeletionDate"))
                if identity is not None and at is not None:
                    cause = document.get("DeletionCause")
                    yield Change(id=identity, kind="deleted", at=at, reason=cause if isinstance(cause, str) else None)
        for asked in groups:
            earlier = [*asked, f"PublicationDate lt {odata.format_time(since)}"]  # later ones are found as new
            for document in self._list("Products", earlier, "ModificationDate", since=since):
                offer = self.offer_of(document)
                if offer is not None and offer.modified is not None:
                    yield Change(id=offer.id, kind="modified", at=offer.modified, offer=offer)

    def auth(self) -> Mapping[str, str]:
        """Nothing: the catalogue is public."""
        return {}

    def criteria(self, query: Query) -> list[str]:
        """What of a query the catalogue can judge by itself, as terms of the filter of a listing or of a subscription."""
        return self._collection(query.collection) + self._times(query) + self._space(query) + self._measures(query)

    def offer_of(self, document: Mapping[str, Any], collection: str | None = None) -> Offer | None:
        """The offer that a record of the catalogue or a notification makes; None when it has no identity.

        `collection`: of the lake; without it the one whose description fits the record."""
        offer = odata.offer_of(document, provider=self.name, download=self.download, collection=collection)
        return replace(offer, collection=self._fitting(offer)) if offer is not None and collection is None else offer

    def product(self, identity: str) -> Offer | None:
        """One product as it is now, by its id; None when the catalogue does not have it (any more)."""
        url = f"{self.catalogue}/Products({identity})?{'&'.join(f'$expand={name}' for name in (*EXPAND, 'Locations'))}"
        try:
            answer = self.api.get_json(url)
        except ProviderFault as fault:
            if fault.kind is Kind.GONE:
                return None
            raise
        document = answer.get("value", answer) if isinstance(answer, Mapping) else None
        if not isinstance(document, Mapping):
            raise ProviderFault(f"{shown(url)} answered something that is no product", Kind.TRANSIENT, host=host_of(url))
        return self.offer_of(document)

    def _latest(self, granule: Granule) -> Offer | None:
        """The product as the catalogue has it now; None when what was known before will do."""
        enough = bool(granule.detail.get("digests")) and granule.fault not in DOUBTS
        if enough and granule.attempts <= 1 and granule.fault is None:
            return None
        try:
            return self._now(granule)
        except ProviderFault as fault:
            if enough and fault.kind in {Kind.TRANSIENT, Kind.RATE}:
                return None  # a catalogue that is down is no reason not to download
            raise

    def _now(self, granule: Granule) -> Offer:
        """By its id, else by its name: a product that was published again has another id."""
        found = self.product(granule.id)
        if found is not None:
            return found
        try:
            named = list(self.search(Query(names=[str(granule.detail.get("name") or granule.name)])))
        except ProviderFault as fault:
            if fault.kind is not Kind.GONE:
                raise
            text = f"the catalogue of {self.name} is not there any more ({fault}); see whether its service moved"
            raise ProviderFault(text, Kind.CONFIG, host=fault.host, status=fault.status, code="retired") from fault
        if not named:
            raise ProviderFault(f"{self.name} does not have {granule.name} any more", Kind.GONE, status=404)
        return named[-1]

    def _list(
        self,
        entity: str,
        asked: Sequence[str],
        key: str,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        expand: Sequence[str] = EXPAND,
    ) -> Listing:
        options = self.config.options
        return Listing(
            api=self.api,
            url=f"{self.catalogue}/{entity}",
            criteria=asked,
            key=key,
            since=since,
            until=until,
            expand=expand,
            page=int(options.get("page", 1000)),
            deepest=int(options.get("deepest", 9000)),
        )

    def _collection(self, collection: str | None) -> list[str]:
        if collection is None:
            return []
        described = collection_of(self.config, collection)
        asked = [f"Collection/Name eq {_quoted(described['collection'])}"] if "collection" in described else []
        asked += [f"startswith(Name,{_quoted(described['name'])})"] if "name" in described else []
        return asked + [self._attribute(name, "eq", value) for name, value in described.get("filter", {}).items()]

    def _times(self, query: Query) -> list[str]:
        asked = [f"ContentDate/Start lt {odata.format_time(query.end)}"] if query.end is not None else []
        return asked + ([f"ContentDate/End ge {odata.format_time(query.start)}"] if query.start is not None else [])

    def _space(self, query: Query) -> list[str]:
        rings = list(_rings(query))
        asked = " or ".join(f"OData.CSC.Intersects(area=geography'SRID=4326;POLYGON(({_wkt(ring)}))')" for ring in rings)
        return [f"({asked})" if len(rings) > 1 else asked] if rings else []

    def _measures(self, query: Query) -> list[str]:
        """What the catalogue may filter by, because all products of the collection say it."""
        described = self.config.collections.get(query.collection or "", {})
        asked = []
        if query.cloud_cover is not None and "cloud" in described:
            asked.append(self._attribute(described["cloud"], "le", query.cloud_cover))
        if query.timeliness is not None and "timeliness" in described:
            asked.append(self._attribute(described["timeliness"], "eq", query.timeliness))
        if 0 < len(query.tiles) <= TILES and "tile" in described:
            tiles = " or ".join(self._attribute(described["tile"], "eq", tile) for tile in sorted(query.tiles))
            asked.append(f"({tiles})")
        return asked

    def _names(self, query: Query) -> Iterator[list[str]]:
        """The criterion of each request; one without any when no names are asked for."""
        if not query.names:
            yield []
        names = list(dict.fromkeys(odata.plain_name(name) for name in query.names))
        for first in range(0, len(names), NAMES):
            yield [f"({' or '.join(f'startswith(Name,{_quoted(name)})' for name in names[first : first + NAMES])})"]

    def _attribute(self, name: str, operator: str, value: object) -> str:
        templates: Mapping[str, str] = self.config.options.get("templates", {})
        template = self.config.options.get("attributes", {}).get(name, "string")
        if template not in templates:
            raise ConfigError(f"[providers.{self.name}.options.templates] {template}: there is none, and the attribute {name} needs it")
        return templates[template].format(name=name, operator=operator, value=str(value).replace("'", "''"))

    def _groups(self) -> list[list[str]]:
        """Criteria of each of the provider's own collections that the configuration names."""
        names = sorted({str(described["collection"]) for described in self.config.collections.values() if "collection" in described})
        return [[f"Collection/Name eq {_quoted(name)}"] for name in names]

    def _fitting(self, offer: Offer) -> str | None:
        told = cast("Mapping[str, Any]", offer.detail.get("attributes", {}))
        for collection, described in self.config.collections.items():
            wanted = described.get("filter", {})
            if wanted and offer.name.startswith(described.get("name", "")) and all(str(told.get(k)) == str(v) for k, v in wanted.items()):
                return collection
        return None


def _quoted(value: object) -> str:
    return "'" + str(value).replace("'", "''") + "'"


def _rings(query: Query) -> Iterator[Sequence[Sequence[float]]]:
    """Outer rings to ask for: the box in one or two parts, or the polygons of the area."""
    if query.bbox is not None:
        yield from (_box(part) for part in _apart(query.bbox))
    elif query.area is not None:
        polygons = query.area["coordinates"] if query.area["type"] == "MultiPolygon" else [query.area["coordinates"]]
        for polygon in polygons:
            yield polygon[0] if len(polygon[0]) <= CORNERS else _box(_bounds(polygon[0]))


def _apart(bbox: tuple[float, float, float, float]) -> list[tuple[float, float, float, float]]:
    west, south, east, north = bbox
    return [bbox] if west <= east else [(west, south, 180.0, north), (-180.0, south, east, north)]


def _bounds(ring: Sequence[Sequence[float]]) -> tuple[float, float, float, float]:
    x, y = [point[0] for point in ring], [point[1] for point in ring]
    return min(x), min(y), max(x), max(y)


def _box(bbox: tuple[float, float, float, float]) -> list[tuple[float, float]]:
    west, south, east, north = bbox
    return [(west, south), (east, south), (east, north), (west, north), (west, south)]


def _wkt(ring: Sequence[Sequence[float]]) -> str:
    return ",".join(f"{point[0]:.10g} {point[1]:.10g}" for point in ring)
