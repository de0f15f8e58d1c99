"""What a DHuS hub answers: OpenSearch as Atom or JSON, products as OData v1. Read as data only, whatever stands in it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from xml.etree.ElementTree import Element

import orjson

from eolake.catalog.errors import BadProduct
from eolake.ingest.faults import Kind, ProviderFault
from eolake.ingest.providers.odata import parse_time

ATOM = "{http://www.w3.org/2005/Atom}"
SEARCH = "{http://a9.com/-/spec/opensearch/1.1/}"
TYPES = ("str", "int", "date", "double", "bool", "long", "float")
"""Kinds of fields in an entry."""
_ID = re.compile(r"[0-9A-Za-z-]{1,64}")
_DATE = re.compile(r"/Date\((?P<milliseconds>-?\d{1,15})(?:[+-]\d{4})?\)/")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A product as the search shows it."""

    id: str
    title: str
    content: str | None
    """The link to its bytes."""
    quicklook: str | None
    fields: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Feed:
    """One page of a search."""

    total: int
    """Of all pages."""
    entries: Sequence[Entry]
    odd: int = 0
    """Entries without a usable id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """A product as OData v1 shows it: the one place with its size in bytes and its digest."""

    id: str
    name: str
    size: int | None
    digests: Mapping[str, str]
    online: bool
    start: datetime | None
    end: datetime | None
    geometry: str | None
    """GML, latitude first."""


def read_feed(body: bytes) -> Feed:
    """A page in either form. ProviderFault: config when the hub does not understand the query, transient when it is no feed at all."""
    start = body.lstrip()[:1]
    if start == b"{":
        return _from_json(body)
    if start == b"<":
        return _from_atom(body)
    raise _strange(body)


def read_product(body: bytes) -> Product:
    """A product of OData v1. ProviderFault(transient) when it is none."""
    document = _json(body)
    found = document.get("d") if isinstance(document, Mapping) else None
    if not isinstance(found, Mapping) or not isinstance(found.get("Id"), str):
        raise _strange(body)
    times = found.get("ContentDate") if isinstance(found.get("ContentDate"), Mapping) else {}
    return Product(
        id=found["Id"],
        name=str(found.get("Name") or found["Id"]),
        size=_positive(found.get("ContentLength")),
        digests=_digests(found.get("Checksum")),
        online=found.get("Online") is not False,
        start=parse_date(times.get("Start")) if isinstance(times, Mapping) else None,
        end=parse_date(times.get("End")) if isinstance(times, Mapping) else None,
        geometry=found.get("ContentGeometry") if isinstance(found.get("ContentGeometry"), str) else None,
    )


def parse_date(value: object) -> datetime | None:
    """Aware UTC from `/Date(1474509300563)/`, milliseconds since 1970, or from ISO 8601."""
    match = _DATE.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return parse_time(value)
    try:
        return datetime.fromtimestamp(int(match["milliseconds"]) / 1000, UTC)
    except (OverflowError, ValueError):
        return None


def cause(body: bytes, headers: Mapping[str, str]) -> str:
    """What the hub says to a request that failed: its header, else the message in its body."""
    said = headers.get("cause-message")
    if said:
        return said.partition(" : ")[2] or said
    if body.lstrip()[:1] == b"<":
        root = _root(body)
        texts = [element.text for element in root.iter() if element.tag.endswith("message")] if root is not None else []
        return next((text for text in texts if text), "")
    try:
        document = orjson.loads(body)
        return str(document["error"]["message"]["value"])
    except (ValueError, KeyError, TypeError):
        return ""


def _from_json(body: bytes) -> Feed:
    document = _json(body)
    feed = document.get("feed") if isinstance(document, Mapping) else None
    if not isinstance(feed, Mapping):
        raise _strange(body)
    error = feed.get("error")
    if isinstance(error, Mapping):
        raise ProviderFault(f"the hub does not understand the query: {str(error.get('message'))[:200]}", Kind.CONFIG)
    total = _count(feed.get("opensearch:totalResults"), body)
    found = [_entry_of(given) for given in _listed(feed.get("entry"))]
    return _feed(total, found)


def _from_atom(body: bytes) -> Feed:
    root = _root(body)
    if root is None or root.tag != f"{ATOM}feed":
        raise _strange(body)
    found = [_entry_of(_plain(element)) for element in root.findall(f"{ATOM}entry")]
    return _feed(_count(root.findtext(f"{SEARCH}totalResults"), body), found)


def _feed(total: int, found: Sequence[Entry | None]) -> Feed:
    entries = [entry for entry in found if entry is not None]
    return Feed(total=total, entries=entries, odd=len(found) - len(entries))


def _plain(element: Element) -> dict[str, Any]:
    """An Atom entry in the form of the JSON one."""
    found: dict[str, Any] = {"id": element.findtext(f"{ATOM}id"), "title": element.findtext(f"{ATOM}title")}
    found["link"] = [dict(link.attrib) for link in element.findall(f"{ATOM}link")]
    for kind in TYPES:
        found[kind] = [{"name": part.get("name"), "content": part.text} for part in element.findall(f"{ATOM}{kind}")]
    return found


def _entry_of(given: Mapping[str, Any]) -> Entry | None:
    identity, title = given.get("id"), given.get("title")
    if not isinstance(identity, str) or not _ID.fullmatch(identity):
        return None
    links = [
        (link.get("rel"), link["href"].replace(" ", "%20")) for link in _listed(given.get("link")) if isinstance(link.get("href"), str)
    ]
    fields = {
        str(part["name"]): str(part["content"])
        for kind in TYPES
        for part in _listed(given.get(kind))
        if part.get("name") is not None and part.get("content") is not None
    }
    return Entry(
        id=identity,
        title=str(title or fields.get("identifier") or identity),
        content=next((href for rel, href in links if rel is None and href.endswith("/$value") and "Quicklook" not in href), None),
        quicklook=next((href for rel, href in links if rel == "icon" or "Quicklook" in href), None),
        fields=fields,
    )


def _listed(value: object) -> Iterator[Mapping[str, Any]]:
    """A hub writes a list of one as the one."""
    many = value if isinstance(value, list) else [value]
    return (one for one in many if isinstance(one, Mapping))


def _count(value: object, body: bytes) -> int:
    try:
        count = int(str(value))
    except ValueError:
        raise _strange(body) from None
    return max(count, 0)


def _positive(value: object) -> int | None:
    text = str(value)
    return int(text) or None if text.isascii() and text.isdecimal() else None


def _digests(value: object) -> dict[str, str]:
    if not isinstance(value, Mapping) or str(value.get("Algorithm", "")).upper() != "MD5":
        return {}
    digest = str(value.get("Value", "")).lower()
    return {"md5": digest} if re.fullmatch(r"[0-9a-f]{32}", digest) else {}


def _json(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        raise _strange(body) from None


def _root(body: bytes) -> Element | None:
    """The root of XML without DTD; None when it is something else."""
    from eolake.catalog.safe.documents import xml_root

    try:
        return xml_root(body, "an answer")
    except BadProduct:
        return None


def _strange(body: bytes) -> ProviderFault:
    said = " ".join(body[:80].decode("utf-8", "replace").split())
    return ProviderFault(f"the hub answered something that is no answer to a search ({said!r} …): closed for maintenance?", Kind.TRANSIENT)
