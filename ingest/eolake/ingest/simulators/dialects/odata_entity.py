"""Products as documents of OData.CSC, key by key as CDSE writes them, with the oddities that were seen there."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from eolake.ingest.simulators.archive import Deleted, Record

NEVER = "9999-12-31T23:59:59.999999Z"


@dataclass(frozen=True, slots=True, kw_only=True)
class Quirks:
    """Oddities; globs are of product names, empty means none."""

    null_footprints: str = ""
    empty_checksums: str = ""
    zero_lengths: str = ""
    swapped_dates: str = ""
    """Start after end."""
    fraction: int = 6
    """Digits of seconds: 6, 3 or 0."""
    zone: str = "Z"
    """`Z`, `+00:00` or nothing."""
    eviction: str = NEVER
    """May be empty, or a date."""
    next_link: str = ""
    """`self`: the next page is this one; `host`: on another host; `http`: by plain HTTP (of a TLS server)."""
    repeat: bool = False
    """The last product of a page comes again on the next."""
    deepest: int = 10_000
    """`$skip` above it is refused, and next links end there."""
    integers_as_strings: bool = False
    retired: bool = False
    """Every address answers 404."""
    unknown_type: str = ""
    """An attribute of this type is added to every product."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """What the catalogue calls a collection of the lake."""

    collection: str
    ending: str
    folder: str


@cache
def _table() -> Mapping[str, Words]:
    text = files("eolake.ingest.simulators.dialects").joinpath("odata.yaml").read_text("utf-8")
    return {name: Words(**words) for name, words in yaml.safe_load(text).items()}


@cache
def words_of(collection: str) -> Words:
    """By the longest known prefix; the collection's own name when none is known."""
    known = [prefix for prefix in _table() if collection == prefix or collection.startswith(f"{prefix}_")]
    return _table()[max(known, key=len)] if known else Words(collection=collection, ending="", folder=collection)


def product_name(record: Record) -> str:
    """With its ending."""
    return record.name + words_of(record.collection).ending


def stamp(moment: datetime, quirks: Quirks) -> str:
    """A time as the catalogue writes it."""
    text = moment.strftime("%Y-%m-%dT%H:%M:%S")
    fraction = f".{moment.microsecond:06}"[: quirks.fraction + 1] if quirks.fraction else ""
    return f"{text}{fraction}{quirks.zone}"


def entity(record: Record, base: str, quirks: Quirks, expand: frozenset[str] = frozenset()) -> dict[str, Any]:
    """One product; `base`: `http://host:port/odata/v1`; `expand`: Attributes, Assets, Locations."""
    name = product_name(record)
    path = s3_path(record)
    checksums = _checksums(record, quirks)
    length = 0 if _is(record, quirks.zero_lengths) else record.size
    start, end = (record.end, record.start) if _is(record, quirks.swapped_dates) else (record.start, record.end)
    footprint = None if _is(record, quirks.null_footprints) else record.footprint
    document: dict[str, Any] = {
        "@odata.mediaContentType": "application/octet-stream",
        "Id": record.id,
        "Name": name,
        "ContentType": "application/octet-stream",
        "ContentLength": length,
        "OriginDate": stamp(record.published, quirks),
        "PublicationDate": stamp(record.published, quirks),
        "ModificationDate": stamp(record.modified, quirks),
        "Online": record.online,
        "EvictionDate": quirks.eviction,
        "S3Path": path,
        "Checksum": checksums,
        "ContentDate": {"Start": stamp(start, quirks), "End": stamp(end, quirks)},
        "Footprint": None if footprint is None else _geography(footprint),
        "GeoFootprint": footprint,
    }
    if "Attributes" in expand:
        document["Attributes"] = _attributes(record, quirks)
    if "Assets" in expand:
        document["Assets"] = _assets(record, base, path)
    if "Locations" in expand:
        location = {"FormatType": "Extracted", "DownloadLink": f"{base}/Products({record.id})/$value", "ContentLength": length}
        document["Locations"] = [{**location, "Checksum": checksums, "S3Path": path}]
    return document


def deleted_entity(gone: Deleted, base: str, quirks: Quirks, expand: frozenset[str] = frozenset()) -> dict[str, Any]:
    """One of DeletedProducts."""
    document = entity(gone.record, base, quirks, expand & {"Attributes"})
    return {**document, "Online": False, "DeletionDate": stamp(gone.at, quirks), "DeletionCause": gone.cause}


def s3_path(record: Record) -> str:
    """`/eodata/Sentinel-2/MSI/L2A/2020/01/08/NAME.SAFE`"""
    return f"/eodata/{words_of(record.collection).folder}/{record.start:%Y/%m/%d}/{product_name(record)}"


def quicklook_id(record: Record) -> str:
    """Of its asset."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"quicklook/{record.id}"))


def _is(record: Record, glob: str) -> bool:
    return bool(glob) and fnmatchcase(record.name, glob)


def _checksums(record: Record, quirks: Quirks) -> list[dict[str, str]]:
    if _is(record, quirks.empty_checksums):
        return []
    date = stamp(record.modified, quirks)
    return [
        {"Value": record.digests[algorithm], "Algorithm": algorithm.upper(), "ChecksumDate": date}
        for algorithm in ("md5", "blake3")
        if algorithm in record.digests
    ]


def _attributes(record: Record, quirks: Quirks) -> list[dict[str, Any]]:
    values = dict(record.attributes)
    values.setdefault("beginningDateTime", record.start)
    values.setdefault("endingDateTime", record.end)
    found = [_attribute(name, value, quirks) for name, value in values.items()]
    if quirks.unknown_type:
        kind = quirks.unknown_type
        found.append({"@odata.type": f"#OData.CSC.{kind}Attribute", "Name": "novelty", "Value": {"of": kind}, "ValueType": kind})
    return found


def _attribute(name: str, value: Any, quirks: Quirks) -> dict[str, Any]:
    kind = value_type(value)
    shown = stamp(value, quirks) if isinstance(value, datetime) else value
    return {"@odata.type": f"#OData.CSC.{kind}Attribute", "Name": name, "Value": shown, "ValueType": kind}


def value_type(value: Any) -> str:
    """String, Integer, Double, DateTimeOffset or Boolean."""
    kinds: tuple[tuple[type, str], ...] = ((bool, "Boolean"), (int, "Integer"), (float, "Double"), (datetime, "DateTimeOffset"))
    return next((kind for type_, kind in kinds if isinstance(value, type_)), "String")


def _assets(record: Record, base: str, path: str) -> list[dict[str, str]]:
    if record.quicklook is None:
        return []
    asset = quicklook_id(record)
    return [{"Type": "QUICKLOOK", "Id": asset, "DownloadLink": f"{base}/Assets({asset})/$value", "S3Path": path}]


def _geography(geometry: Mapping[str, Any]) -> str:
    from shapely.geometry import shape

    return f"geography'SRID=4326;{shape(dict(geometry)).wkt}'"
