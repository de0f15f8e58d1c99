"""The kind `m2m`: the USGS Machine-to-Machine API, whose errors come with status 200 and whose URLs are made one by one."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from eolake.catalog.errors import ConfigError
from eolake.catalog.ledger.granules import Granule, Offer
from eolake.ingest.faults import Kind, ProviderFault
from eolake.ingest.logins.base import Login
from eolake.ingest.naming import scene_of
from eolake.ingest.providers.api import Api, classify, host_of, shown
from eolake.ingest.providers.base import Change, Part, ProviderConfig, Query
from eolake.ingest.providers.footprints import normalise
from eolake.ingest.providers.odata import parse_time
from eolake.ingest.providers.registry import collection_of

DAY = timedelta(days=1)
ANSWERED = frozenset({400, 403, 404, 422})
"""Statuses with which the API answers in its own words."""
CODES: tuple[tuple[str, Kind, float | None], ...] = (
    ("RATE_LIMIT_USER_DL", Kind.RATE, 905),
    ("DOWNLOAD_RATE_LIMIT", Kind.RATE, 905),
    ("RATE_LIMIT", Kind.RATE, 10),
    ("AUTH_", Kind.AUTH, None),
    ("DATASET_UNAUTH", Kind.AUTH, None),
    ("SERVER_", Kind.TRANSIENT, None),
    ("ENDPOINT_UNAVAILABLE", Kind.TRANSIENT, None),
    ("SEARCH_UNAVAILABLE", Kind.TRANSIENT, None),
    ("UNKNOWN", Kind.TRANSIENT, None),
    ("SCENE_", Kind.GONE, None),
    ("DOWNLOAD_", Kind.GONE, None),
)
"""Start of the API's error code → class, and seconds to wait; anything else is a wrong request (config)."""
SKIPS = 3
"""Empty pages in the middle of a result that are passed over."""
PASSES = 3
"""Times that a result is gone through at most, while it changes."""
_DAY = re.compile(r"_(?P<day>\d{8})_")
_ID = re.compile(r"[0-9A-Za-z_.-]{1,128}")


class M2mProvider:
    """Scenes of the USGS, found by the day of their ingestion, fetched as one tar each."""

    ascending = False
    """The API sorts within a page at best."""

    def __init__(self, config: ProviderConfig, login: Login | None = None, *, sleep: Callable[[float], object] = time.sleep) -> None:
        """ConfigError when the URL is missing. Options: `page` (scenes), `product` (regular expression of the product's name),
        `polls` and `poll_seconds` (for how long a slot waits for a URL)."""
        if "api" not in config.urls:
            raise ConfigError(f"[providers.{config.name}.urls] api: the kind {config.kind!r} needs it")
        self.name, self.config, self.login = config.name, config, login
        self.url = config.urls["api"].rstrip("/")
        self.api = Api(config, login)
        self._sleep = sleep
        options = config.options
        self._page = int(options.get("page", 1000))
        self._polls, self._pause = int(options.get("polls", 3)), float(options.get("poll_seconds", 10))
        self._product = re.compile(str(options.get("product", "Product Bundle|GeoTIFF Data Product")), re.IGNORECASE)

    def search(self, query: Query) -> Iterator[Offer]:
        """The scenes that match, each once. Raises ProviderFault, ConfigError when the collection is unknown or none is named."""
        if query.collection is None:
            raise ConfigError(f"{self.name} is asked for one collection; there are: {', '.join(sorted(self.config.collections))}")
        described = collection_of(self.config, query.collection)
        seen: set[str] = set()
        for asked in _filters(query):
            for scene in self._scenes(described["dataset"], asked):
                offer = self.offer_of(scene, described, query.collection)
                found = _within(offer, query) if offer is not None and _of(offer, described, query) else None
                if found is not None and found.id not in seen:
                    seen.add(found.id)
                    yield found

    def resolve(self, granule: Granule) -> Sequence[Part]:
        """The tar and its browse image; the URL is made now. ProviderFault(offline): it is being made, ask again later."""
        dataset, entity = str(granule.detail.get("dataset")), str(granule.detail.get("entity"))
        option = self._option(granule, dataset, entity)
        label = f"eolake-{granule.id}"
        ordered = self._retrieve(label, entity, wait=False) if granule.fault == Kind.OFFLINE else None
        url = ordered or self._request(granule, option, label)
        size = option.get("filesize")
        data = Part(url=url, name=f"{granule.name}.tar", size=size if isinstance(size, int) and size > 0 else None, login=self._own(url))
        browse = granule.detail.get("browse")
        if not isinstance(browse, str):
            return [data]
        return [data, Part(url=browse, name=browse.rpartition("/")[2], role="overview", login=self._own(browse))]

    def changes(self, since: datetime) -> Iterator[Change]:
        """Nothing: a new processing is a new product, which search finds; of deletions the API says nothing."""
        _ = since
        return iter(())

    def auth(self) -> Mapping[str, str]:
        """The token of the account; empty without one."""
        return self.login.headers(self.url) if self.login is not None else {}

    def offer_of(self, scene: Mapping[str, Any], described: Mapping[str, Any], collection: str | None) -> Offer | None:
        """The offer that a scene makes; None when it has no usable id."""
        name, entity = scene.get("displayId"), scene.get("entityId")
        if not (isinstance(name, str) and isinstance(entity, str) and _ID.fullmatch(name) and _ID.fullmatch(entity)):
            return None
        sensed = scene.get("temporalCoverage")
        sensed = sensed if isinstance(sensed, Mapping) else {}
        start, end = parse_time(sensed.get("startDate")), parse_time(sensed.get("endDate"))
        named = scene_of(name, start=start)
        footprint = normalise(scene.get("spatialCoverage")) or normalise(scene.get("spatialBounds"))
        detail = {"dataset": described["dataset"], "entity": entity, "browse": _browse(scene)}
        return Offer(
            provider=self.name,
            id=name,
            name=name,
            source=f"{self.url}/scene-metadata?datasetName={described['dataset']}&entityId={entity}",
            fingerprint=f"product:{name}",  # it contains the day of processing
            collection=collection,
            scene_key=named.scene_key if named else None,
            rank=named.rank if named else (),
            published=parse_time(scene.get("publishDate")),
            start_at=start,
            end_at=_end_of(start, end),
            footprint=footprint,
            cloud_cover=_percent(scene.get("cloudCover")),
            detail={key: value for key, value in detail.items() if value is not None},
        )

    # --- the API ---

    def call(self, endpoint: str, document: Mapping[str, Any]) -> Any:
        """`data` of an answer. Raises ProviderFault by the answer's errorCode, whatever its status; a refused token is made anew once."""
        stale = dict(self.auth())
        try:
            return self._call(endpoint, document)
        except ProviderFault as fault:
            if fault.kind is not Kind.AUTH or self.login is None or not stale or not str(fault.code).startswith("AUTH_"):
                raise
        self.login.refresh(stale)
        return self._call(endpoint, document)

    def _call(self, endpoint: str, document: Mapping[str, Any]) -> Any:
        url = f"{self.url}/{endpoint}"
        sent = {"Accept": "application/json", "Content-Type": "application/json"}
        answer = self.api.request("POST", url, headers=sent, body=orjson.dumps(document), accept=ANSWERED)
        try:
            envelope = answer.json()
        except ProviderFault:
            if answer.status < 300:
                raise
            envelope = None
        code = envelope.get("errorCode") if isinstance(envelope, Mapping) else None
        if code:
            kind, wait = next(((kind, wait) for start, kind, wait in CODES if str(code).startswith(start)), (Kind.CONFIG, None))
            text = f"{self.name} {endpoint}: {code}: {str(envelope.get('errorMessage'))[:200]}"
            raise ProviderFault(text, kind, host=host_of(url), status=answer.status, code=str(code), retry_after=wait)
        if answer.status >= 300:
            kind = classify(answer.status, wait=None, body=answer.body)
            raise ProviderFault(f"{shown(url)} answered {answer.status}", kind, host=host_of(url), status=answer.status)
        if not isinstance(envelope, Mapping) or "data" not in envelope:
            raise ProviderFault(f"{shown(url)} answered something without data", Kind.TRANSIENT, host=host_of(url))
        return envelope["data"]

    def _scenes(self, dataset: str, asked: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        """All scenes of a filter. Pages are counted in records that came; what the API says of their number only ends empty ones.

        Scenes that come or go meanwhile shift those behind them: when that number changed, or some lack, it is gone through again."""
        seen: set[str] = set()
        for _ in range(PASSES):
            totals: set[int] = set()
            for page, total in self._pages(dataset, asked):
                totals.add(total)
                for scene in page:
                    mark = f"{scene.get('entityId')} {scene.get('displayId')}"
                    if mark not in seen:
                        seen.add(mark)
                        yield scene
            if len(totals) == 1 and len(seen) >= max(totals):
                return

    def _pages(self, dataset: str, asked: Mapping[str, Any]) -> Iterator[tuple[list[Mapping[str, Any]], int]]:
        """(scenes, how many there are in all), page by page."""
        number, empty = 1, 0
        while True:
            document = {"datasetName": dataset, "startingNumber": number, "maxResults": self._page, "sceneFilter": asked}
            data = self.call("scene-search", document)
            listed = data.get("results") if isinstance(data, Mapping) else None
            if not isinstance(listed, list):
                raise ProviderFault(f"{self.name} scene-search: no list of scenes", Kind.TRANSIENT, host=host_of(self.url))
            total = _count(data.get("totalHits"))
            yield [scene for scene in listed if isinstance(scene, Mapping)], total
            came = len(listed) + _count(data.get("numExcluded"))
            empty = 0 if listed else empty + 1
            number += came or self._page
            if (number > total and came < self._page) or empty > SKIPS:
                return

    def _option(self, granule: Granule, dataset: str, entity: str) -> Mapping[str, Any]:
        """The product of a scene that is fetched. ProviderFault: gone, or not available right now."""
        listed = self.call("download-options", {"datasetName": dataset, "entityIds": [entity]})
        options = [one for one in listed or () if isinstance(one, Mapping) and one.get("entityId") == entity]
        current = [one for one in options if one.get("displayId") in {None, granule.name}]
        fitting = [one for one in current if self._product.search(str(one.get("productName")))]
        if not fitting:
            others = ", ".join(sorted({str(one.get("displayId") or one.get("productName")) for one in options})) or "nothing"
            raise ProviderFault(f"{granule.name} can't be downloaded from {self.name} any more; it has {others}", Kind.GONE)
        ready = [one for one in fitting if one.get("available")]
        if not ready:
            raise ProviderFault(f"{granule.name} is not available at {self.name} right now", Kind.OFFLINE)
        return ready[0]

    def _request(self, granule: Granule, option: Mapping[str, Any], label: str) -> str:
        """The URL of a download, ordered now. What was ordered before counts as well, under whatever label."""
        entity = str(option["entityId"])
        order = {"downloads": [{"entityId": entity, "productId": option["id"], "label": label}], "label": label, "returnAvailable": True}
        data = self.call("download-request", order)
        data = data if isinstance(data, Mapping) else {}
        ready = _urls(data.get("availableDownloads"))
        if ready:
            return ready[0]
        failed = data.get("failed")
        if failed and not data.get("preparingDownloads"):
            raise ProviderFault(f"{self.name} refuses the download of {granule.name}: {str(failed)[:200]}", Kind.GONE)
        for one in dict.fromkeys([label, *_labels(data)]):
            url = self._retrieve(one, entity, wait=one == label)
            if url is not None:
                return url
        raise ProviderFault(f"{self.name} is still preparing {granule.name}", Kind.OFFLINE, host=host_of(self.url))

    def _retrieve(self, label: str, entity: str, *, wait: bool) -> str | None:
        """The URL of an order, as soon as there is one; both of the API's lists may be empty at first."""
        for turn in range(self._polls if wait else 1):
            if turn:
                self._sleep(self._pause)
            data = self.call("download-retrieve", {"label": label})
            listed = data.get("available") if isinstance(data, Mapping) else None
            ready = _urls([one for one in listed or () if isinstance(one, Mapping) and one.get("entityId") in {None, entity}])
            if ready:
                return ready[0]
        return None

    def _own(self, url: str) -> bool:
        return host_of(url) in self.config.auth_hosts


def _filters(query: Query) -> Iterator[dict[str, Any]]:
    """The filters that together find everything: one for each part of a box, one for each day of named products."""
    asked: dict[str, Any] = {}
    if query.since is not None or query.until is not None:
        asked["ingestFilter"] = _days(query.since, query.until, margin=DAY)  # whose midnight is meant, nobody says
    if query.cloud_cover is not None:
        asked["cloudCoverFilter"] = {"min": 0, "max": round(query.cloud_cover + 0.5), "includeUnknown": True}
    days = sorted({found["day"] for name in query.names if (found := _DAY.search(name))})
    if query.names and days:
        for day in days:
            moment = datetime.strptime(day, "%Y%m%d").replace(tzinfo=UTC)
            yield {**asked, "acquisitionFilter": _days(moment, moment, margin=timedelta())}
        return
    if query.start is not None or query.end is not None:
        asked["acquisitionFilter"] = _days(query.start, query.end, margin=timedelta())
    for place in _places(query):
        yield {**asked, **place}


def _days(begin: datetime | None, end: datetime | None, *, margin: timedelta) -> dict[str, str]:
    """Whole days, both inclusive: more than was asked for, never less."""
    first = (begin or datetime(1972, 1, 1, tzinfo=UTC)) - margin
    last = (end or datetime(2100, 1, 1, tzinfo=UTC)) + margin
    return {"start": f"{first:%Y-%m-%d}", "end": f"{last:%Y-%m-%d}"}


def _places(query: Query) -> Iterator[dict[str, Any]]:
    if query.area is not None:
        yield {"spatialFilter": {"filterType": "geojson", "geoJson": dict(query.area)}}
        return
    if query.bbox is None:
        yield {}
        return
    west, south, east, north = query.bbox
    for left, right in [(west, east)] if west <= east else [(west, 180.0), (-180.0, east)]:
        corners = {"lowerLeft": {"longitude": left, "latitude": south}, "upperRight": {"longitude": right, "latitude": north}}
        yield {"spatialFilter": {"filterType": "mbr", **corners}}


def _of(offer: Offer, described: Mapping[str, Any], query: Query) -> bool:
    """Datasets hold several sensors and levels: the name tells them apart."""
    starts = described.get("name", "")
    return offer.name.startswith(tuple(starts) if isinstance(starts, list) else starts) and (not query.names or offer.name in query.names)


def _within(offer: Offer, query: Query) -> Offer | None:
    """None for a scene of the days around those that were asked for, which another window has.

    One whose publication has nothing to do with the days of ingestion that were asked for: its date is not told."""
    told = offer.published
    if told is None or ((query.since is None or query.since <= told) and (query.until is None or told < query.until)):
        return offer
    near = (query.since is None or told >= query.since - 2 * DAY) and (query.until is None or told < query.until + 2 * DAY)
    return None if near else replace(offer, published=None)


def _browse(scene: Mapping[str, Any]) -> str | None:
    listed = scene.get("browse")
    pictures = [one.get("browsePath") for one in listed if isinstance(one, Mapping)] if isinstance(listed, list) else []
    return next((path for path in pictures if isinstance(path, str) and path.startswith(("http://", "https://"))), None)


def _end_of(start: datetime | None, end: datetime | None) -> datetime | None:
    """The API tells days: a scene of the 3rd was sensed at any time of it."""
    told = end or start
    midnight = told is not None and (told.hour, told.minute, told.second) == (0, 0, 0)
    return told + DAY - timedelta(seconds=1) if told is not None and midnight else told


def _urls(listed: object) -> list[str]:
    found = [one.get("url") for one in listed if isinstance(one, Mapping)] if isinstance(listed, list) else []
    return [url for url in found if isinstance(url, str) and url.startswith(("http://", "https://"))]


def _labels(data: Mapping[str, Any]) -> list[str]:
    """Labels of earlier orders of the same product."""
    found: list[str] = []
    for key in ("duplicateProducts", "newRecords"):
        entries = data.get(key)
        found += [str(label) for label in entries.values()] if isinstance(entries, Mapping) else []
    return found


def _percent(value: object) -> float | None:
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    return number if 0 <= number <= 100 else None


def _count(value: object) -> int:
    return value if isinstance(value, int) and value > 0 else 0
