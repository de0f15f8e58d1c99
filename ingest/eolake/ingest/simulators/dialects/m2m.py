"""The USGS Machine-to-Machine API over an archive: errors with status 200, lists that are empty at first, URLs that end."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

from eolake.ingest.simulators.archive import Archive, Record
from eolake.ingest.simulators.messages import Request, Response, json_response

type Answers = Mapping[str, Callable[[Request, Mapping[str, Any]], Response]]


@dataclass(slots=True, kw_only=True)
class _Order:
    label: str
    entity: str
    looks: int = 0
    """Times somebody asked for it."""


@dataclass(slots=True, kw_only=True)
class M2mDialect:
    """Answers below `prefix`; tests and users change its switches while it serves.

    A record's attributes may hold `entity` (else its id is one); its collection is the dataset's name."""

    archive: Archive
    prefix: str = "/api/api/json/stable"
    username: str = "user"
    token: str = "token"  # noqa: S105 - of a simulator
    lifetime: float = 7200
    """Seconds of a key."""
    silent: int = 0
    """So many looks at an order find both lists empty."""
    preparing: int = 0
    """So many looks after that find it in preparation."""
    url_lifetime: float = 3600
    """Seconds of a download's URL."""
    excluded: int = 0
    """Records that each page leaves out and counts in `numExcluded`."""
    errors: list[tuple[str, str]] = field(default_factory=list)
    """(endpoint, errorCode): the next call of that endpoint answers so, once each."""
    unavailable: set[str] = field(default_factory=set)
    """Entities that can't be downloaded right now."""
    before_page: Callable[[int], None] = lambda _: None
    """Called with the starting number before a page is made: where a test publishes something."""
    calls: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list)
    """What was asked, in order."""
    _keys: dict[str, float] = field(default_factory=dict)
    _orders: dict[str, _Order] = field(default_factory=dict)
    _urls: dict[str, tuple[str, float]] = field(default_factory=dict)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def __call__(self, request: Request) -> Response | None:
        """An answer, or None: somebody else's."""
        kind, _, rest = request.path.removeprefix(self.prefix).strip("/").partition("/")
        if not request.path.startswith(self.prefix):
            return None
        with self._lock:
            return self._file(rest) if kind == "download-staging" else self._call(request, kind)

    def expire(self) -> None:
        """All keys are refused from now on."""
        with self._lock:
            self._keys.clear()

    def _call(self, request: Request, endpoint: str) -> Response:
        document = request.json() if request.body else {}
        self.calls.append((endpoint, {} if endpoint.startswith("login") else document))
        due = next((error for error in self.errors if error[0] == endpoint), None)
        if due is not None:
            self.errors.remove(due)
            return _failed(due[1])
        if endpoint == "login-token":
            return self._login(document)
        if self._keys.get(request.headers.get("x-auth-token", ""), 0) < time.monotonic():
            return _failed("AUTH_INVALID")
        answers: Answers = {
            "logout": lambda _r, _d: _done(None),
            "scene-search": self._scenes,
            "download-options": self._options,
            "download-request": self._request,
            "download-retrieve": self._retrieve,
        }
        return answers[endpoint](request, document) if endpoint in answers else _failed("ENDPOINT_UNAVAILABLE")

    def _login(self, document: Mapping[str, Any]) -> Response:
        if (document.get("username"), document.get("token")) != (self.username, self.token):
            return _failed("AUTH_INVALID")
        key = f"key-{len(self._keys) + 1}-{time.monotonic_ns()}"
        self._keys[key] = time.monotonic() + self.lifetime
        return _done(key)

    # --- scenes ---

    def _scenes(self, request: Request, document: Mapping[str, Any]) -> Response:
        first, most = int(document.get("startingNumber") or 1), int(document.get("maxResults") or 100)
        self.before_page(first)
        found = [
            one
            for one in self.archive.records
            if one.collection == document["datasetName"] and _fits(one, document.get("sceneFilter") or {})
        ]
        page = found[first - 1 : first - 1 + most]
        shown = page[: max(0, len(page) - self.excluded)]
        data = {
            "results": [self._scene(record, request.base) for record in shown],
            "recordsReturned": len(shown),
            "totalHits": len(found),
            "numExcluded": len(page) - len(shown),
            "startingNumber": first,
            "nextRecord": first + len(page),
            "isCustomized": False,
        }
        return _done(data)

    def _scene(self, record: Record, base: str) -> dict[str, Any]:
        browse = {"browseName": "Natural Color", "browsePath": f"{base}{self.prefix}/download-staging/browse/{quote(record.name)}.jpg"}
        return {
            "browse": [browse] if record.quicklook is not None else [],
            "cloudCover": str(record.attributes["cloudCover"]) if "cloudCover" in record.attributes else None,
            "entityId": _entity(record),
            "displayId": record.name,
            "spatialBounds": record.footprint,
            "spatialCoverage": record.footprint,
            "temporalCoverage": {"startDate": f"{record.start:%Y-%m-%d} 00:00:00", "endDate": f"{record.end:%Y-%m-%d} 00:00:00"},
            "publishDate": f"{record.published.astimezone(UTC):%Y-%m-%d %H:%M:%S}",
        }

    # --- downloads ---

    def _options(self, _: Request, document: Mapping[str, Any]) -> Response:
        wanted = document.get("entityIds") or []
        found = [record for record in self.archive.records if _entity(record) in wanted]
        return _done([option for record in found for option in self._products(record)])

    def _products(self, record: Record) -> Sequence[dict[str, Any]]:
        entity = _entity(record)
        common = {"entityId": entity, "displayId": record.name, "secondaryDownloads": []}
        picture = {
            "id": f"browse-{entity}",
            "productName": "Full-Resolution Browse (Natural Color) GeoTIFF",
            "filesize": 1,
            "available": True,
        }
        bundle = {"id": f"bundle-{entity}", "productName": "Landsat Collection 2 Level-2 Product Bundle", "filesize": record.size}
        return [{**picture, **common}, {**bundle, **common, "available": entity not in self.unavailable, "downloadSystem": "ls_zip"}]

    def _request(self, request: Request, document: Mapping[str, Any]) -> Response:
        data: dict[str, Any] = {"availableDownloads": [], "preparingDownloads": [], "duplicateProducts": {}, "failed": [], "newRecords": {}}
        for one in document.get("downloads") or []:
            entity, label = one["entityId"], one.get("label") or document.get("label") or "default"
            identity = str(1000 + len(self._orders))
            known = next(((number, order) for number, order in self._orders.items() if order.entity == entity), None)
            if known is not None:
                data["duplicateProducts"][known[0]] = known[1].label
            elif self.silent or self.preparing:
                self._orders[identity] = _Order(label=label, entity=entity)
                data["preparingDownloads"].append({"downloadId": int(identity), "eulaCode": None, "url": f"{request.base}/not-ready"})
                data["newRecords"][identity] = label
            else:
                data["availableDownloads"].append({"downloadId": int(identity), "url": self._url(request, entity)})
        return _done(data)

    def _retrieve(self, request: Request, document: Mapping[str, Any]) -> Response:
        data: dict[str, Any] = {"available": [], "requested": [], "eulas": [], "queueSize": 0}
        for number, order in self._orders.items():
            if order.label != document.get("label"):
                continue
            order.looks += 1
            shown = {"downloadId": int(number), "entityId": order.entity, "productName": "Landsat Collection 2 Level-2 Product Bundle"}
            if order.looks > self.silent + self.preparing:
                data["available"].append({**shown, "statusText": "Available", "url": self._url(request, order.entity)})
            elif order.looks > self.silent:
                data["requested"].append({**shown, "statusText": "Preparing"})
        return _done(data)

    def _url(self, request: Request, entity: str) -> str:
        ticket = f"{len(self._urls) + 1}-{entity}"
        self._urls[ticket] = (entity, time.monotonic() + self.url_lifetime)
        return f"{request.base}{self.prefix}/download-staging/{ticket}"

    def _file(self, ticket: str) -> Response:
        if ticket.startswith("browse/"):
            name = ticket.removeprefix("browse/").removesuffix(".jpg")
            picture = next((one.thumbnail() for one in self.archive.records if one.name == name), None)
            return Response(body=picture) if picture is not None else json_response({"detail": "no such picture"}, 404)
        entity, end = self._urls.get(ticket, ("", 0.0))
        record = next((one for one in self.archive.records if _entity(one) == entity), None)
        if record is None or end < time.monotonic():
            return Response(status=403, headers={"Content-Type": "text/html"}, body=b"<!DOCTYPE html><title>Download expired</title>")
        return Response(body=record.body())


def _entity(record: Record) -> str:
    return str(record.attributes.get("entity", record.id))


def _done(data: object) -> Response:
    return json_response({"requestId": 1, "version": "stable", "sessionId": 1, "data": data, "errorCode": None, "errorMessage": None})


def _failed(code: str) -> Response:
    """An error, as the API tells it: with status 200."""
    return json_response({"requestId": 1, "version": "stable", "data": None, "errorCode": code, "errorMessage": f"simulated {code}"})


def _fits(record: Record, asked: Mapping[str, Any]) -> bool:
    return (
        _on_days(record.published, record.published, asked.get("ingestFilter"))
        and _on_days(record.start, record.end, asked.get("acquisitionFilter"))
        and _clear(record, asked.get("cloudCoverFilter"))
        and _touches(record, asked.get("spatialFilter"))
    )


def _on_days(begin: datetime, end: datetime, asked: Mapping[str, str] | None) -> bool:
    if asked is None:
        return True
    first, last = (datetime.fromisoformat(asked[key]).replace(tzinfo=UTC) for key in ("start", "end"))
    return end >= first and begin < last + timedelta(days=1)


def _clear(record: Record, asked: Mapping[str, Any] | None) -> bool:
    cover = record.attributes.get("cloudCover")
    if asked is None or cover is None:
        return asked is None or bool(asked.get("includeUnknown"))
    return bool(asked["min"] <= float(cover) <= asked["max"])


def _touches(record: Record, asked: Mapping[str, Any] | None) -> bool:
    from shapely.geometry import box, shape

    if asked is None or record.footprint is None:
        return asked is None
    if asked["filterType"] == "geojson":
        area = shape(asked["geoJson"])
    else:
        low, high = asked["lowerLeft"], asked["upperRight"]
        area = box(low["longitude"], low["latitude"], high["longitude"], high["latitude"])
    return bool(area.intersects(shape(dict(record.footprint))))
