"""A STAC API over an archive: searches by GET and POST, signed blobs, and everything that is odd about the real ones, on demand."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from urllib.parse import quote, urlencode

from eolake.ingest.simulators.archive import Archive, Record
from eolake.ingest.simulators.content import Content, of_bytes
from eolake.ingest.simulators.messages import Request, Response, json_response

CODES: Mapping[str, str] = {"md5": "d50110", "sha3-256": "1620", "sha256": "1220", "blake3": "1e20"}
"""Digest → what stands before it in a multihash."""
CONFORMANCE = ("https://api.stacspec.org/v1.0.0/core", "https://api.stacspec.org/v1.0.0/item-search")
LANGUAGES: Mapping[str, tuple[str, ...]] = {
    "query": ("https://api.stacspec.org/v1.0.0/item-search#query",),
    "cql2-json": ("https://api.stacspec.org/v1.0.0-rc.2/item-search#filter", "http://www.opengis.net/spec/cql2/1.0/conf/cql2-json"),
    "none": (),
}
UNSIGNED = b"<?xml version='1.0'?><Error><Code>AuthenticationFailed</Code><Message>Signature not valid in the time frame</Message></Error>"
_TEXT = re.compile(r"(?P<name>[\w:]+) (?P<op>>=|<=|<|>|=) TIMESTAMP\('(?P<value>[^']+)'\)")
_WORDS: Mapping[str, str] = {"gte": ">=", "lte": "<=", "lt": "<", "gt": ">", "eq": "="}

type Bounds = list[tuple[str, str, str]]


@dataclass(slots=True, kw_only=True)
class StacDialect:
    """Answers below `prefix`; tests and users change its switches while it serves."""

    archive: Archive
    prefix: str = "/stac"
    language: Literal["query", "cql2-json", "none"] = "cql2-json"
    """By which properties can be filtered."""
    paging: Literal["merge", "body", "get"] = "merge"
    """How the next link continues a POST: with a body to lay over the last one, a whole body, or a URL."""
    cap: int = 500
    """Items on a page; more are answered with 502."""
    empty_every: int = 0
    """After so many pages one is empty and has a next link."""
    repeat: int = 0
    """So many items of a page come again on the next one."""
    matched: int | None = None
    """What `numberMatched` says instead of the truth."""
    link: Literal["right", "self", "same", "elsewhere"] = "right"
    """Where next links lead: onward, to themselves, to ever new links of the same page, to another host."""
    sas: float | None = None
    """Seconds for which a signature holds; files then want one."""
    items: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    """Recorded items to show in place of made ones, by id of the record; `{base}` in their URLs becomes this server."""
    signatures: dict[str, datetime] = field(default_factory=dict)
    """Those handed out, with their end."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, request: Request) -> Response | None:
        """An answer, or None: somebody else's."""
        if not request.path.startswith(self.prefix):
            return None
        rest = request.path[len(self.prefix) :].strip("/")
        response: Response | None = None
        match rest.split("/"):
            case [""]:
                response = json_response(self._landing(request))
            case ["search"]:
                response = self._search(request)
            case ["collections", _, "items", identity]:
                record = self.archive.get(identity)
                response = json_response(self.item(record, request.base)) if record else _missing(identity)
            case ["files" | "thumbnails" as kind, identity]:
                response = self._file(request, kind, identity)
            case ["sas", "token", account, container]:
                response = self._token(account, container)
        return response

    def item(self, record: Record, base: str) -> dict[str, Any]:
        """The item of a record."""
        known = self.items.get(record.id)
        if known is not None:
            shown: dict[str, Any] = json.loads(json.dumps(known).replace("{base}", base))
            return shown
        place = f"{base}{self.prefix}"
        assets: dict[str, Any] = {
            "Product": {
                "href": f"{place}/files/{quote(record.id)}",
                "type": "application/zip",
                "roles": ["data", "metadata", "archive"],
                "file:size": record.size,
                "file:local_path": record.file.name if record.file else f"{record.name}.zip",
                **_checksum(record.digests),
            }
        }
        if record.quicklook is not None:
            assets["thumbnail"] = {"href": f"{place}/thumbnails/{quote(record.id)}", "type": "image/png", "roles": ["thumbnail"]}
        properties = {
            "datetime": _written(record.start),
            "start_datetime": _written(record.start),
            "end_datetime": _written(record.end),
            "created": _written(record.published),
            "published": _written(record.published),
            "updated": _written(record.modified),
            **({"eo:cloud_cover": record.attributes["cloudCover"]} if "cloudCover" in record.attributes else {}),
        }
        document = {"type": "Feature", "stac_version": "1.1.0", "id": record.id, "collection": record.collection}
        return {**document, "geometry": record.footprint, "properties": {**properties, "name": record.name}, "links": [], "assets": assets}

    def _landing(self, request: Request) -> dict[str, Any]:
        search = {"rel": "search", "type": "application/geo+json", "href": f"{request.base}{self.prefix}/search", "method": "POST"}
        return {"type": "Catalog", "id": "simulated", "conformsTo": [*CONFORMANCE, *LANGUAGES[self.language]], "links": [search]}

    # --- search ---

    def _search(self, request: Request) -> Response:
        body = request.json() if request.method == "POST" else _asked(request)
        limit = int(body.get("limit", 10))
        if limit > self.cap:
            return json_response({"message": "Internal server error"}, 502)
        found = [record for record in self.archive.records if _fits(self.item(record, request.base), body)]
        number = int(body.get("token") or 0)
        pages = self._pages(found, limit)
        page = pages[0] if self.link == "same" else pages[number] if number < len(pages) else []
        more = number + 1 < len(pages) or self.link == "same"
        links = [self._next(request, body, number + 1)] if more else []
        told = len(found) if self.matched is None else self.matched
        document = {
            "type": "FeatureCollection",
            "features": [self.item(record, request.base) for record in page],
            "links": links,
            "numberMatched": told,
            "context": {"matched": told, "returned": len(page), "limit": limit},
        }
        return json_response(document, media_type="application/geo+json")

    def _pages(self, found: Sequence[Record], limit: int) -> list[Sequence[Record]]:
        """What each page shows, with its oddities."""
        full = [found[max(0, start - (self.repeat if start else 0)) : start + limit] for start in range(0, len(found), limit)] or [[]]
        if not self.empty_every:
            return full
        return [
            page
            for turn, one in enumerate(full, 1)
            for page in ((one, []) if turn % self.empty_every == 0 and turn < len(full) else (one,))
        ]

    def _next(self, request: Request, body: Mapping[str, Any], number: int) -> dict[str, Any]:
        base = "http://203.0.113.9" if self.link == "elsewhere" else request.base
        token = str(number - 1 if self.link == "self" else number)
        url = f"{base}{self.prefix}/search"
        if request.method == "GET" or self.paging == "get":
            flat = {key: value if isinstance(value, str | int) else _flat(value) for key, value in body.items() if key != "token"}
            return {"rel": "next", "method": "GET", "href": f"{url}?{urlencode({**flat, 'token': token})}"}
        if self.paging == "merge":
            return {"rel": "next", "method": "POST", "href": url, "body": {"token": token}, "merge": True}
        return {"rel": "next", "method": "POST", "href": url, "body": {**body, "token": token}}

    # --- files ---

    def _file(self, request: Request, kind: str, identity: str) -> Response:
        record = self.archive.get(identity)
        if record is None:
            return _missing(identity)
        with self._lock:
            ends = self.signatures.get(request.get("sig") or "")
        if self.sas is not None and (ends is None or ends < datetime.now(UTC)):
            return Response(status=403, headers={"Content-Type": "application/xml"}, body=UNSIGNED)
        content: Content = record.body() if kind == "files" else record.thumbnail() or of_bytes(b"", media_type="image/png")
        return Response(body=content)

    def _token(self, account: str, container: str) -> Response:
        with self._lock:
            signature = f"{account}-{container}-{len(self.signatures) + 1}"
            ends = datetime.now(UTC) + timedelta(seconds=self.sas or 3600)
            self.signatures[signature] = ends
        return json_response({"msft:expiry": _written(ends), "token": f"sv=2024-01-01&se={quote(_written(ends))}&sig={signature}"})


def _asked(request: Request) -> dict[str, Any]:
    """The parameters of a GET as the body of a POST."""
    given = {key: values[-1] for key, values in request.query.items()}
    asked: dict[str, Any] = dict(given)
    for key in ("collections", "ids"):
        if key in given:
            asked[key] = given[key].split(",")
    if "bbox" in given:
        asked["bbox"] = [float(part) for part in given["bbox"].split(",")]
    for key in ("intersects", "query"):
        if key in given:
            asked[key] = json.loads(given[key])
    if given.get("filter", "").startswith("{"):
        asked["filter"] = json.loads(given["filter"])
    return asked


def _flat(value: object) -> str:
    return ",".join(str(part) for part in value) if isinstance(value, list) else json.dumps(value)


def _fits(item: Mapping[str, Any], body: Mapping[str, Any]) -> bool:
    told = item["properties"]
    if "collections" in body and item.get("collection") not in body["collections"]:
        return False
    if "ids" in body and item["id"] not in body["ids"]:
        return False
    if "datetime" in body and not _within(told, str(body["datetime"])):
        return False
    if ("bbox" in body or "intersects" in body) and not _touches(item.get("geometry"), body):
        return False
    return all(_holds(told.get(name), op, value) for name, op, value in _bounds(body))


def _within(told: Mapping[str, Any], interval: str) -> bool:
    begin, _, end = interval.partition("/")
    first, last = str(told.get("start_datetime") or told.get("datetime")), str(told.get("end_datetime") or told.get("datetime"))
    return (begin in {"", ".."} or _time(last) >= _time(begin)) and (end in {"", ".."} or _time(first) <= _time(end))


def _touches(geometry: object, body: Mapping[str, Any]) -> bool:
    from shapely.geometry import box, shape

    if not isinstance(geometry, Mapping):
        return False
    area = box(*body["bbox"]) if "bbox" in body else shape(body["intersects"])
    return bool(area.intersects(shape(dict(geometry))))


def _bounds(body: Mapping[str, Any]) -> Bounds:
    asked = body.get("filter")
    if isinstance(asked, str):
        return [(found["name"], found["op"], found["value"]) for found in _TEXT.finditer(asked)]
    if isinstance(asked, Mapping):
        tests = asked["args"] if asked["op"] == "and" else [asked]
        return [(test["args"][0]["property"], test["op"], test["args"][1]["timestamp"]) for test in tests]
    asked = body.get("query") or {}
    return [(name, _WORDS[word], value) for name, test in asked.items() for word, value in test.items()]


def _holds(value: object, op: str, bound: str) -> bool:
    if not isinstance(value, str):
        return False
    mine, other = _time(value), _time(bound)
    return {">=": mine >= other, "<=": mine <= other, "<": mine < other, ">": mine > other, "=": mine == other}[op]


def _time(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _written(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _checksum(digests: Mapping[str, str]) -> dict[str, str]:
    return next(({"file:checksum": f"{CODES[name]}{digests[name]}"} for name in CODES if name in digests), {})


def _missing(identity: str) -> Response:
    return json_response({"code": "NotFoundError", "description": f"Item {identity} not found"}, 404)
