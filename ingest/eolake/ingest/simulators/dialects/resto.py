"""OpenSearch by resto, as the Copernicus Data Space had it until 2026: gone (404), or as it was in 2023."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal
from urllib.parse import urlencode

import orjson

from eolake.ingest.simulators.archive import Archive, Record
from eolake.ingest.simulators.messages import Request, Response

BASE = "/resto/api/collections"
MOST = 2000
"""maxRecords"""
DEEPEST = 10001
"""index"""


class RestoDialect:
    """Answers `/resto/api/collections/NAME/search.json`; `retired`: with 404 whatever is asked."""

    def __init__(self, archive: Archive, *, behaviour: Literal["retired", "2023"] = "retired") -> None:
        self.archive, self.behaviour = archive, behaviour

    def __call__(self, request: Request) -> Response | None:
        """None: not for this service."""
        if not request.path.startswith("/resto/"):
            return None
        if self.behaviour == "retired" or not request.path.endswith("/search.json"):
            return _document({"ErrorMessage": "Not Found", "ErrorCode": 404}, 404)
        return self._search(request)

    def _search(self, request: Request) -> Response:
        most, index = int(request.get("maxRecords") or 20), int(request.get("index") or 1)
        if most > MOST or not 1 <= index <= DEEPEST:
            return _document({"ErrorMessage": "index or maxRecords out of range", "ErrorCode": 400}, 400)
        found = self._matching(request)
        page = found[index - 1 : index - 1 + most]
        links = [{"rel": "self", "href": f"{request.base}{request.target}"}]
        if index - 1 + most < len(found):
            asked = {name: values[-1] for name, values in request.query.items()}
            onward = urlencode({**asked, "index": index, "page": (index - 1) // most + 2})  # both, as it was
            links.append({"rel": "next", "href": f"{request.base}{request.path}?{onward}"})
        total = len(found) if request.get("exactCount") == "1" else None
        properties = {
            "totalResults": total,
            "exactCount": total is not None,
            "itemsPerPage": len(page),
            "startIndex": index,
            "links": links,
        }
        features = [_feature(request, record) for record in page]
        return _document({"type": "FeatureCollection", "properties": properties, "features": features})

    def _matching(self, request: Request) -> list[Record]:
        def within(name: str, time: datetime) -> bool:
            after, before = _time(request.get(f"{name}After")), _time(request.get(f"{name}Before"))
            return (after is None or time > after) and (before is None or time < before)

        start, end = _time(request.get("startDate")), _time(request.get("completionDate"))
        found = [
            record
            for record in self.archive.records
            if within("published", record.published)
            and (start is None or record.start >= start)
            and (end is None or record.start <= end)
            and request.get("productType") in {None, record.attributes.get("productType")}
        ]
        return found[::-1] if request.get("sortOrder") == "descending" else found


def _feature(request: Request, record: Record) -> dict[str, Any]:
    properties: Mapping[str, Any] = {
        "title": f"{record.name}.SAFE",
        "startDate": _iso(record.start),
        "completionDate": _iso(record.end),
        "published": _iso(record.published),
        "updated": _iso(record.modified),
        "status": "ONLINE" if record.online else "OFFLINE",
        "cloudCover": record.attributes.get("cloudCover"),
        "productType": record.attributes.get("productType"),
        "services": {
            "download": {"url": f"{request.base}/download/{record.id}", "mimeType": "application/octet-stream", "size": record.size}
        },
    }
    return {"type": "Feature", "id": record.id, "geometry": record.footprint, "properties": properties}


def _document(document: object, status: int = 200) -> Response:
    return Response(status=status, headers={"Content-Type": "application/json"}, body=orjson.dumps(document))


def _time(text: str | None) -> datetime | None:
    if not text:
        return None
    time = datetime.fromisoformat(text)
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _iso(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
