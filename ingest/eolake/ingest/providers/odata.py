"""The documents of the OData.CSC dialect (CDSE, GSS): what a product is, whatever the catalogue left out or wrote oddly."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from eolake.catalog.ledger.granules import Offer
from eolake.ingest.naming import scene_of
from eolake.ingest.providers.footprints import normalise

LOG = logging.getLogger(__name__)
ALGORITHMS: Mapping[str, tuple[str, int]] = {
    "MD5": ("md5", 32),
    "BLAKE3": ("blake3", 64),
    "SHA1": ("sha1", 40),
    "SHA256": ("sha256", 64),
    "SHA3256": ("sha3-256", 64),
}
"""The catalogue's word, without dashes and in capitals → ours, and hexadecimal digits."""
EXTENSION = re.compile(r"(\.zip|\.tar|\.tar\.gz|\.tgz|\.SAFE|\.SEN3|\.nc|\.EOF|\.DBL|\.tif|\.tiff)+$", re.IGNORECASE)
ARCHIVES = (".zip", ".tar", ".tgz", ".tar.gz", ".nc", ".tif", ".tiff", ".eof", ".h5")
"""Endings of products that are one file as they are; all others come as a zip of a folder."""
GEOMETRY = ("type", "coordinates", "bbox", "crs")
"""What belongs to a geometry."""
_ID = re.compile(r"[0-9A-Za-z_-]{1,64}")
_TOLD = ("productType", "timeliness", "tileId", "processorVersion", "orbitNumber", "relativeOrbitNumber", "orbitDirection")
"""Attributes that the ledger keeps."""


def parse_time(value: object) -> datetime | None:
    """Aware UTC from `…Z`, `…+00:00` or no zone, with any number of decimals; None when it is no time."""
    if not isinstance(value, str):
        return None
    try:
        time = datetime.fromisoformat(value.strip())
    except ValueError:
        return None
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def format_time(time: datetime) -> str:
    """As the catalogue writes times, to the microsecond."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def plain_name(name: str) -> str:
    """The product name without .SAFE, .SEN3, .zip and the like."""
    return EXTENSION.sub("", name) or name


def file_name(name: str) -> str:
    """Under which name the bytes of a product are kept: folders come as a zip."""
    return name if name.lower().endswith(ARCHIVES) else f"{name}.zip"


def id_of(document: object) -> str | None:
    """The product's UUID; None when the record has none that is fit for a URL."""
    found = document.get("Id") if isinstance(document, Mapping) else None
    return found if isinstance(found, str) and _ID.fullmatch(found) else None


def attributes_of(document: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes by name, of any type."""
    listed = document.get("Attributes")
    pairs = listed if isinstance(listed, Sequence) and not isinstance(listed, str) else ()
    return {entry["Name"]: entry.get("Value") for entry in pairs if isinstance(entry, Mapping) and isinstance(entry.get("Name"), str)}


def digests_of(document: Mapping[str, Any]) -> dict[str, str]:
    """Digests of the whole product by algorithm; those of its extracted location where it has none itself."""
    locations = [place for place in _mappings(document.get("Locations")) if place.get("FormatType") == "Extracted"]
    for holder in (document, *locations):
        found = {}
        for entry in _mappings(holder.get("Checksum")):
            word = str(entry.get("Algorithm", "")).upper().replace("-", "").replace("_", "")
            algorithm, digits = ALGORITHMS.get(word, ("", 0))
            value = str(entry.get("Value", "")).lower()
            if algorithm and len(value) == digits and not value.strip("0123456789abcdef"):
                found[algorithm] = value
        if found:
            return found
    return {}


def flattened(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """Some notifications carry everything after GeoFootprint inside of it; here it stands where it belongs."""
    inner = document.get("GeoFootprint")
    strayed = {key: value for key, value in inner.items() if key not in GEOMETRY} if isinstance(inner, Mapping) else {}
    if not strayed or not isinstance(inner, Mapping):
        return document
    return {**strayed, **document, "GeoFootprint": {key: inner[key] for key in GEOMETRY if key in inner}}


def offer_of(given: Mapping[str, Any], *, provider: str, download: str, collection: str | None = None) -> Offer | None:
    """The product that a record describes; None (and a line in the log) when it has no identity.

    `download`: the URL below which `Products(ID)/$value` lies. What a record lacks or has odd is named in `detail["notes"]`."""
    document = flattened(given)
    identity = id_of(document)
    if identity is None:
        LOG.warning("%s: a record without a usable Id (%r) is left out", provider, str(document.get("Name"))[:120])
        return None
    full = _name_of(document) or identity
    name, attributes, digests = plain_name(full), attributes_of(document), digests_of(document)
    start, end, notes = _sensing(document)
    size, published = _size(document), parse_time(document.get("PublicationDate"))
    footprint = normalise(document.get("GeoFootprint")) or normalise(document.get("Footprint"))
    odd = {"no publication time": published is None, "no digest": not digests, "no size": size is None, "no footprint": footprint is None}
    told = {key: attributes[key] for key in _TOLD if attributes.get(key) is not None}
    scene = scene_of(name, start=start, attributes=attributes)
    detail = {
        "name": full,
        "digests": digests,
        "quicklook": _quicklook(document),
        "s3": document.get("S3Path"),
        "online": None if document.get("Online") is not False else False,
        "attributes": told,
        "notes": [*notes, *(note for note, holds in odd.items() if holds)],
    }
    return Offer(
        provider=provider,
        id=identity,
        name=name,
        source=f"{download}/Products({identity})/$value",
        fingerprint=fingerprint(digests, size),
        size=size,
        collection=collection,
        scene_key=scene.scene_key if scene else None,
        rank=scene.rank if scene else (),
        published=published,
        modified=parse_time(document.get("ModificationDate")),
        start_at=start,
        end_at=end,
        footprint=footprint,
        cloud_cover=_percent(attributes.get("cloudCover")),
        detail={key: value for key, value in detail.items() if value not in (None, [], {})},
    )


def fingerprint(digests: Mapping[str, str], size: int | None) -> str:
    """`md5:…` where there is one, else another digest, else the size: what the bytes are, not when somebody touched the record."""
    for algorithm in ("md5", *sorted(digests)):
        if algorithm in digests:
            return f"{algorithm}:{digests[algorithm]}"
    return f"size:{size}"


def _mappings(value: object) -> list[Mapping[str, Any]]:
    return [entry for entry in value if isinstance(entry, Mapping)] if isinstance(value, list) else []


def _name_of(document: Mapping[str, Any]) -> str | None:
    """Its name, else the last part of its path in the object store; never one with a path in it."""
    path = document.get("S3Path")
    for value in (document.get("Name"), path.rstrip("/").rpartition("/")[2] if isinstance(path, str) else None):
        if isinstance(value, str) and value.strip(". ") and not set(value) & {"/", "\\", "\0"}:
            return value
    return None


def _sensing(document: Mapping[str, Any]) -> tuple[datetime | None, datetime | None, list[str]]:
    dates = document.get("ContentDate")
    dates = dates if isinstance(dates, Mapping) else {}
    start, end = parse_time(dates.get("Start")), parse_time(dates.get("End"))
    if start is None or end is None:
        return start or end, end or start, ["no sensing time" if start is end else "half a sensing time"]
    return (start, end, []) if start <= end else (end, start, ["ends before it starts"])


def _size(document: Mapping[str, Any]) -> int | None:
    value = document.get("ContentLength")
    number = int(value) if isinstance(value, int) or (isinstance(value, str) and value.isascii() and value.isdigit()) else 0
    return number if number > 0 else None


def _percent(value: object) -> float | None:
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    return number if 0 <= number <= 100 else None


def _quicklook(document: Mapping[str, Any]) -> str | None:
    found = (id_of(asset) for asset in _mappings(document.get("Assets")) if asset.get("Type") == "QUICKLOOK")
    return next((identity for identity in found if identity is not None), None)
