"""A DHuS hub: OpenSearch as JSON and Atom, OData v1, and a long-term archive from which products are ordered."""

from __future__ import annotations

import fnmatch
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from xml.sax.saxutils import escape, quoteattr

import orjson
from shapely.geometry import mapping, shape
from shapely.geometry.base import BaseGeometry

from eolake.ingest.simulators.archive import Archive, Record
from eolake.ingest.simulators.content import of_bytes
from eolake.ingest.simulators.messages import Request, Response

ROWS = 100
CLAUSE = re.compile(r"^(?P<field>\w+):(?P<value>.+)$", re.DOTALL)
RANGE = re.compile(r"^\[(?P<low>\S+) TO (?P<high>\S+)\]$")
NOW = re.compile(r"^NOW(?:-(?P<days>\d+)D(?:AYS?)?)?$")
TIMES = ("beginposition", "endposition", "ingestiondate")
PRODUCT = re.compile(r"^/odata/v1/Products\('(?P<id>[^']*)'\)(?P<rest>.*)$")


class DhusDialect:
    """Answers below `base`; `user` and `password`: only to them; `quota`: orders from the archive that are taken."""

    def __init__(
        self, archive: Archive, *, base: str = "/dhus", user: str | None = None, password: str | None = None, quota: int | None = None
    ) -> None:
        self.archive, self.base, self.quota = archive, base, quota
        self.account = (user, password) if user is not None else None
        self.closed: str | None = None
        """A page of maintenance instead of every answer."""
        self.orders: list[str] = []
        """Ids in order of their orders."""
        self._lock = threading.Lock()

    def __call__(self, request: Request) -> Response | None:
        """None: not for this hub."""
        if not request.path.startswith(f"{self.base}/"):
            return None
        if self.closed is not None:
            return Response(headers={"Content-Type": "text/html"}, body=self.closed.encode())
        if self.account is not None and request.basic != self.account:
            return Response(status=401, headers={"WWW-Authenticate": 'Basic realm="hub"'}, body=b"<html>Unauthorized</html>")
        path = request.path.removeprefix(self.base)
        if path == "/search":
            return self._search(request)
        match = PRODUCT.match(path)
        return self._product(request, match["id"], match["rest"]) if match else Response(status=404, body=b"<html>Not found</html>")

    def deliver(self, *ids: str) -> None:
        """Bring products from the archive online."""
        for identity in ids:
            record = self.archive.get(identity)
            if record is not None:
                self.archive.replace(replace(record, online=True))

    def _search(self, request: Request) -> Response:
        json = request.get("format") == "json"
        query, start = request.get("q") or "*", int(request.get("start") or 0)
        rows = min(int(request.get("rows") or 10), ROWS)
        try:
            wanted = parse(query)
        except KeyError as error:
            return _document({"feed": {"error": {"code": "400", "message": f"undefined field {error.args[0]}"}}})
        found = [record for record in self.archive.records if wanted(record)]
        if (request.get("orderby") or "").endswith(" desc"):
            found.reverse()
        page = found[start : start + rows]
        return self._json(request, query, len(found), start, page) if json else self._atom(request, query, len(found), start, page)

    def _json(self, request: Request, query: str, total: int, start: int, page: list[Record]) -> Response:
        entries = [self._entry(request, record) for record in page]
        feed: dict[str, Any] = {
            "xmlns": "http://www.w3.org/2005/Atom",
            "title": f"Hub search results for: {query}",
            "opensearch:totalResults": str(total),
            "opensearch:startIndex": str(start),
            "opensearch:itemsPerPage": str(len(page)),
        }
        if entries:
            feed["entry"] = entries[0] if len(entries) == 1 else entries  # a list of one is the one
        return _document({"feed": feed})

    def _atom(self, request: Request, query: str, total: int, start: int, page: list[Record]) -> Response:
        entries = "".join(_atom_entry(self._entry(request, record)) for record in page)
        text = (
            '<?xml version="1.0" encoding="utf-8"?>'
            '<feed xmlns:opensearch="http://a9.com/-/spec/opensearch/1.1/" xmlns="http://www.w3.org/2005/Atom">'
            f"<title>Hub search results for: {escape(query)}</title><opensearch:totalResults>{total}</opensearch:totalResults>"
            f"<opensearch:startIndex>{start}</opensearch:startIndex>{entries}</feed>"
        )
        return Response(headers={"Content-Type": "application/atom+xml"}, body=text.encode())

    def _entry(self, request: Request, record: Record) -> dict[str, Any]:
        href = f"{request.base}{self.base}/odata/v1/Products('{record.id}')"
        dates = [{"name": name, "content": _iso(_time(record, name))} for name in TIMES]
        texts = {name: str(value) for name, value in _fields(record).items() if name not in TIMES and value is not None}
        cloud = texts.pop("cloudcoverpercentage", None)
        entry: dict[str, Any] = {
            "title": record.name,
            "link": [
                {"href": f"{href}/$value"},
                {"rel": "alternative", "href": f"{href}/"},
                {"rel": "icon", "href": f"{href}/Products('Quicklook')/$value"},
            ],
            "id": record.id,
            "summary": f"Date: {_iso(record.start)}, Size: {_rounded(record.size)}",
            "date": dates,
            "str": [{"name": name, "content": value} for name, value in texts.items()],
        }
        return entry | ({"double": {"name": "cloudcoverpercentage", "content": cloud}} if cloud is not None else {})

    def _product(self, request: Request, id: str, rest: str) -> Response:
        record = self.archive.get(id)
        if record is None:
            said = f"Invalid key ({id}) to access Products"
            document = {"error": {"code": None, "message": {"lang": "en", "value": said}}}
            return _document(document, status=404, headers={"cause-message": f"InvalidKeyException : {said}"})
        if rest == "/$value":
            return self._value(request, record)
        if rest == "/Products('Quicklook')/$value":
            picture = record.thumbnail()
            return Response(body=picture) if picture is not None else Response(status=404)
        return _document({"d": _odata(request, self.base, record)})

    def _value(self, request: Request, record: Record) -> Response:
        if record.online:
            return Response(body=record.body())
        if request.method == "HEAD":
            return Response(status=202)
        with self._lock:
            if self.quota is not None and len(self.orders) >= self.quota:
                said = (
                    f"User 'x' offline products retrieval quota exceeded ({self.quota} fetches max) trying to fetch product {record.name}"
                )
                return Response(status=403, headers={"cause-message": f"LTAQuotaExceededException : {said}"}, body=said.encode())
            self.orders.append(record.id)
        return Response(status=202, body=b"<html>Product retrieval initiated</html>")


def parse(query: str) -> Callable[[Record], bool]:
    """Whether a record matches a Lucene query of the form that hubs document: clauses with AND, alternatives in parentheses.

    Raises KeyError with the name of a field that there is not."""
    tests = [_clause(part) for part in _split(query, " AND ")]
    return lambda record: all(test(record) for test in tests)


def _split(text: str, word: str) -> Iterator[str]:
    """Parts between a word that stands outside of quotes, brackets and parentheses."""
    depth, quotes, begin = 0, False, 0
    for index, character in enumerate(text):
        if character == '"' and (index == 0 or text[index - 1] != "\\"):
            quotes = not quotes
        elif not quotes:
            depth += (character in "([") - (character in ")]")
            if depth == 0 and text.startswith(word, index):
                yield text[begin:index].strip()
                begin = index + len(word)
    yield text[begin:].strip()


def _clause(text: str) -> Callable[[Record], bool]:
    if text == "*":
        return lambda _: True
    if text.startswith("(") and text.endswith(")"):
        some = [_clause(part) for part in _split(text[1:-1], " OR ")]
        return lambda record: any(test(record) for test in some)
    match = CLAUSE.match(text)
    field, value = (match["field"].lower(), match["value"]) if match else ("", "")
    if field == "footprint":
        return _intersects(value)
    if field not in _fields(EXAMPLE):
        raise KeyError(field or text)
    bounds = RANGE.match(value)
    if bounds:
        return _between(field, bounds["low"], bounds["high"])
    pattern = re.sub(r"\\(.)", r"\1", value[1:-1]) if value.startswith('"') else value
    plain = value.startswith('"')
    return lambda record: _same(str(_fields(record)[field]), pattern, plain=plain)


def _same(value: str, pattern: str, *, plain: bool) -> bool:
    return value.lower() == pattern.lower() if plain else fnmatch.fnmatchcase(value.lower(), pattern.lower())


def _between(field: str, low: str, high: str) -> Callable[[Record], bool]:
    convert: Callable[[str], Any] = _moment if field in TIMES else float
    lowest, highest = (None if bound == "*" else convert(bound) for bound in (low, high))

    def test(record: Record) -> bool:
        value = _time(record, field) if field in TIMES else _fields(record)[field]
        if value is None:
            return False
        return (lowest is None or value >= lowest) and (highest is None or value <= highest)

    return test


def _moment(text: str) -> datetime:
    now = NOW.match(text)
    return datetime.now(UTC) - timedelta(days=int(now["days"] or 0)) if now else datetime.fromisoformat(text)


def _intersects(value: str) -> Callable[[Record], bool]:
    import shapely

    area = shapely.from_wkt(value.strip('"').removeprefix("Intersects(").removesuffix(")"))

    def test(record: Record) -> bool:
        return record.footprint is not None and bool(shape(dict(record.footprint)).intersects(area))

    return test


def _time(record: Record, name: str) -> datetime:
    """To the millisecond, as hubs store it."""
    time = {"beginposition": record.start, "endposition": record.end, "ingestiondate": record.published}[name]
    return time.replace(microsecond=time.microsecond // 1000 * 1000)


def _fields(record: Record) -> Mapping[str, Any]:
    told = record.attributes
    outline = shape(dict(record.footprint)) if record.footprint is not None else None
    return {
        "platformname": told.get("platform"),
        "producttype": told.get("productType"),
        "filename": f"{record.name}.SAFE",
        "identifier": record.name,
        "uuid": record.id,
        "size": _rounded(record.size),
        "status": None if record.online else "ARCHIVED",
        "timeliness": told.get("timeliness"),
        "tileid": told.get("tileId"),
        "cloudcoverpercentage": told.get("cloudCover"),
        "footprint": outline.wkt if outline is not None else None,
        "gmlfootprint": _gml(outline) if outline is not None else None,
        **dict.fromkeys(TIMES),
    }


def _gml(outline: BaseGeometry) -> str:
    """The first ring, latitude first."""
    ring = mapping(outline)["coordinates"]
    while not isinstance(ring[0][0], float | int):
        ring = ring[0]
    positions = " ".join(f"{latitude},{longitude}" for longitude, latitude in ring)
    return (
        '<gml:Polygon srsName="http://www.opengis.net/gml/srs/epsg.xml#4326" xmlns:gml="http://www.opengis.net/gml">'
        f"<gml:outerBoundaryIs><gml:LinearRing><gml:coordinates>{positions}</gml:coordinates></gml:LinearRing></gml:outerBoundaryIs></gml:Polygon>"
    )


def _odata(request: Request, base: str, record: Record) -> dict[str, Any]:
    outline = shape(dict(record.footprint)) if record.footprint is not None else None
    return {
        "__metadata": {"type": "DHuS.Product", "media_src": f"{request.base}{base}/odata/v1/Products('{record.id}')/$value"},
        "Id": record.id,
        "Name": record.name,
        "ContentLength": str(record.size),
        "IngestionDate": _epoch(record.published),
        "EvictionDate": None,
        "Online": record.online,
        "ContentDate": {"Start": _epoch(record.start), "End": _epoch(record.end)},
        "Checksum": {"Algorithm": "MD5", "Value": record.digests.get("md5", "")},
        "ContentGeometry": _gml(outline) if outline is not None else None,
    }


def _atom_entry(entry: Mapping[str, Any]) -> str:
    links = "".join("<link " + " ".join(f"{key}={quoteattr(value)}" for key, value in link.items()) + "/>" for link in entry["link"])
    doubles = [entry["double"]] if "double" in entry else []
    parts = [("date", part) for part in entry["date"]] + [("str", part) for part in entry["str"]] + [("double", part) for part in doubles]
    fields = "".join(f"<{kind} name={quoteattr(part['name'])}>{escape(part['content'])}</{kind}>" for kind, part in parts)
    return (
        f"<entry><title>{escape(entry['title'])}</title>{links}<id>{entry['id']}</id><summary>{escape(entry['summary'])}</summary>"
        f"{fields}</entry>"
    )


def _document(document: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(status=status, headers={"Content-Type": "application/json", **(headers or {})}, body=orjson.dumps(document))


def _rounded(size: int) -> str:
    return f"{size / 1024:.2f} KB" if size < 1 << 20 else f"{size / (1 << 20):.2f} MB"


def _iso(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def _epoch(time: datetime) -> str:
    return f"/Date({int(time.timestamp() * 1000)})/"


EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
EXAMPLE = Record(id="", name="", collection="", content=of_bytes(b""), published=EPOCH, modified=EPOCH, start=EPOCH, end=EPOCH)
"""Has all fields."""
