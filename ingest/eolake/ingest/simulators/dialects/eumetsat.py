"""The EUMETSAT Data Store: search-products as GeoJSON, downloads with a bearer token."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, unquote, urlencode

import orjson
from shapely import from_wkt
from shapely.geometry import box, shape

from eolake.ingest.simulators.archive import Archive, Record
from eolake.ingest.simulators.messages import Request, Response

SEARCH = "/data/search-products/1.0.0/os"
DOWNLOAD = "/data/download/1.0.0/collections/"
MOST = 500
"""Products of a page; asking for more is no error."""
DEEPEST = 10_000


class EumetsatDialect:
    """A record's attribute `collectionId` (EO:EUM:DAT:…) says where it belongs; `allowed`: who may download."""

    def __init__(self, archive: Archive, *, allowed: Callable[[Request], bool] = lambda request: request.bearer is not None) -> None:
        self.archive, self.allowed = archive, allowed

    def __call__(self, request: Request) -> Response | None:
        """None: not for this service."""
        if request.path == SEARCH:
            return self._search(request)
        if request.path.startswith(DOWNLOAD):
            return self._download(request)
        return None

    def _search(self, request: Request) -> Response:
        start, count = int(request.get("si") or 0), min(int(request.get("c") or 10), MOST)
        if start + count > DEEPEST:
            return _document({"exceptions": [{"exceptionText": f"Only the first {DEEPEST} results can be accessed"}]}, 400)
        found = [record for record in self.archive.records if _matches(record, request)]
        if (request.get("sort") or "").startswith("start,time"):
            found.sort(key=lambda record: record.start)
        if (request.get("sort") or "").endswith(",0"):
            found.reverse()
        page = found[start : start + count]
        document: dict[str, Any] = {
            "type": "FeatureCollection",
            "totalResults": len(found),
            "startIndex": start,
            "itemsPerPage": len(page),
            "features": [_feature(request, record) for record in page],
            "properties": {"links": {"next": []}},
        }
        if start + count < len(found):
            asked = {name: values[-1] for name, values in request.query.items()}
            onward = f"{request.base}{SEARCH}?{urlencode({**asked, 'si': start + count})}"
            document["properties"]["links"]["next"] = [{"type": "Link", "href": onward}]
        return _document(document)

    def _download(self, request: Request) -> Response:
        if not self.allowed(request):
            return _document({"fault": {"code": 900901, "message": "Invalid Credentials"}}, 401)
        collection, _, product = request.path.removeprefix(DOWNLOAD).partition("/products/")
        record = self.archive.get(unquote(product))
        if record is None or record.attributes.get("collectionId") != unquote(collection):
            return _document({"exceptionText": f"Product {product} not found"}, 404)
        return Response(body=record.body())


def _matches(record: Record, request: Request) -> bool:
    tests = (
        request.get("pi") in {None, record.attributes.get("collectionId")},
        _within(request.get("publication"), record.published),
        not request.get("dtstart") or record.end >= _time(request.get("dtstart")),
        not request.get("dtend") or record.start <= _time(request.get("dtend")),
        request.get("timeliness") in {None, record.attributes.get("timeliness")},
        request.get("title") in {None, record.name, f"{record.name}.SEN3"},
        _touches(record, request),
    )
    return all(tests)


def _within(interval: str | None, time: datetime) -> bool:
    """`[A,B]`, either of them empty."""
    if not interval:
        return True
    low, _, high = interval.strip("[]").partition(",")
    return (not low or time >= _time(low)) and (not high or time <= _time(high))


def _touches(record: Record, request: Request) -> bool:
    if not request.get("bbox") and not request.get("geo"):
        return True
    west, south, east, north = (float(part) for part in (request.get("bbox") or "0,0,0,0").split(","))
    area = from_wkt(request.get("geo")) if request.get("geo") else box(west, south, east, north)
    return record.footprint is not None and bool(shape(dict(record.footprint)).intersects(area))


def _feature(request: Request, record: Record) -> dict[str, Any]:
    collection = str(record.attributes.get("collectionId"))
    href = f"{request.base}{DOWNLOAD}{quote(collection, safe='')}/products/{quote(record.id, safe='')}"
    return {
        "type": "Feature",
        "id": record.id,
        "geometry": record.footprint or {},
        "properties": {
            "type": "Properties",
            "identifier": record.id,
            "parentIdentifier": collection,
            "title": f"{record.name}.SEN3",
            "date": f"{_iso(record.start)}/{_iso(record.end)}",
            "updated": _iso(record.published),
            "acquisitionInformation": [
                {
                    "platform": {"platformShortName": "Sentinel-3A"},
                    "instrument": {"instrumentShortName": "OLCI"},
                    "acquisitionParameters": {"relativeOrbitNumber": record.attributes.get("relativeOrbitNumber")},
                }
            ],
            "productInformation": {
                "productType": record.attributes.get("productType"),
                "timeliness": record.attributes.get("timeliness"),
                "size": record.size // 1024,
            },
            "extraInformation": {"md5": record.digests["md5"]} if "md5" in record.digests else {},
            "links": {
                "type": "Links",
                "data": [{"type": "Link", "href": href, "mediaType": "application/zip", "title": "Product download"}],
                "previews": [{"type": "Link", "href": f"{href}/browse", "mediaType": "image/jpeg", "title": "Quicklook"}],
            },
        },
    }


def _document(document: object, status: int = 200) -> Response:
    return Response(status=status, headers={"Content-Type": "application/json"}, body=orjson.dumps(document))


def _time(text: str | None) -> datetime:
    time = datetime.fromisoformat(text or "")
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _iso(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
