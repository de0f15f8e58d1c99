"""What fills the item of a swath: `source.metadata` of its collection names a reader.

`name`: the product's name alone; `attributes`: CF and ACDD global attributes; `sentinel3`: xfdumanifest.xml. A reader is a function
`read(product, collection, name) -> Described`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import import_module
from typing import Any

from shapely.geometry.base import BaseGeometry

from eolake.catalog import safe
from eolake.catalog.declaration import Collection
from eolake.catalog.errors import BadProduct, ConfigError
from eolake.catalog.safe.netcdf import open_netcdf
from eolake.ingest.sensors.declared import ProductName, utc

START = ("time_coverage_start", "start_time", "start_date")
END = ("time_coverage_end", "stop_time", "stop_date", "end_time")
WRITTEN = ("%d-%b-%Y %H:%M:%S.%f", "%d-%b-%Y %H:%M:%S", "%Y%m%dT%H%M%SZ", "%Y%m%dT%H%M%S")
"""Besides ISO 8601; the first two are SNAP's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """What a product says of its item."""

    start: datetime
    end: datetime
    """Aware UTC."""
    at: datetime | None = None
    """The item's datetime; None: the start."""
    geometry: BaseGeometry | None = None
    """EPSG:4326, valid, counter-clockwise, cut at the antimeridian. None: the outline of the pixels. Not used where a clip cuts it."""
    properties: Mapping[str, Any] = field(default_factory=dict)
    """Of the item; they come before those that the collection declares for all."""
    stac_extensions: tuple[str, ...] = ()
    """Those that the properties alone don't tell."""


Reader = Callable[[safe.Product, Collection, ProductName], Described]
READERS: Mapping[str, str] = {
    "name": "eolake.ingest.sensors.swath.metadata:by_name",
    "attributes": "eolake.ingest.sensors.swath.metadata:by_attributes",
    "sentinel3": "eolake.ingest.sensors.sentinel3.metadata:read",
}
"""Imported when a product asks for them."""


def describe(product: safe.Product, collection: Collection, name: ProductName) -> Described:
    """By the reader that the collection names; BadProduct when the product does not say what it has to."""
    kind = getattr(collection.source, "metadata", "name")
    if kind not in READERS:
        raise ConfigError(f"{collection.id}: no reader of metadata is called {kind!r}; there are {', '.join(READERS)}")
    module, _, function = READERS[kind].partition(":")
    reader: Reader = getattr(import_module(module), function)
    found = reader(product, collection, name)
    if found.end < found.start:
        raise BadProduct(f"{product.path} ends ({utc(found.end)}) before it starts ({utc(found.start)})")
    return found


def by_name(product: safe.Product, collection: Collection, name: ProductName) -> Described:
    """Start and end by the groups of the product name."""
    start, end = _named(collection, name)
    if start is None:
        raise BadProduct(f"{product.path}: its name has no time; the pattern of {collection.id} needs a group `start`")
    return Described(start=start, end=end or start)


def by_attributes(product: safe.Product, collection: Collection, name: ProductName) -> Described:
    """Start and end by the global attributes of the first file that has them, else by the name; orbit and version too."""
    attributes = next((found for found in _globals(product) if any(key in found for key in START)), {})
    start, end = _named(collection, name)
    start, end = _moment(product, attributes, START) or start, _moment(product, attributes, END) or end
    if start is None:
        raise BadProduct(f"{product.path} has neither the global attribute {' nor '.join(START)} nor a time in its name")
    return Described(start=start, end=end or start, properties=_told(attributes))


def _named(collection: Collection, name: ProductName) -> tuple[datetime | None, datetime | None]:
    if collection.source is None:
        return None, None
    return name.time("start", collection.source), name.time("end", collection.source)


def _globals(product: safe.Product) -> list[Mapping[str, Any]]:
    found = []
    for name in sorted(product.files):
        if re.search(r"\.nc4?$", name, re.IGNORECASE) or len(product.files) == 1:
            with open_netcdf(product.files[name]) as file:
                found.append(file.attributes)
            if any(key in found[-1] for key in START):
                break
    return found


def _moment(product: safe.Product, attributes: Mapping[str, Any], names: tuple[str, ...]) -> datetime | None:
    """The first of the attributes that is there; BadProduct when it is no time."""
    for name in names:
        text = attributes.get(name)
        if isinstance(text, str) and text.strip():
            moment = _parsed(text.strip())
            if moment is None:
                raise BadProduct(f"{product.path}: the global attribute {name} is no time: {text[:80]!r}")
            return moment
    return None


def _parsed(text: str) -> datetime | None:
    for parse in (datetime.fromisoformat, *(lambda value, form=form: datetime.strptime(value, form) for form in WRITTEN)):  # noqa: DTZ007 - UTC, see below
        try:
            found: datetime = parse(text)
        except ValueError:
            continue
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    return None


def _told(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Orbit and version of the processor, where they are what STAC means by them."""
    orbit, version = attributes.get("orbit"), attributes.get("processor_version", attributes.get("product_version"))
    created = _parsed(str(attributes.get("date_created") or ""))
    return {
        **({"sat:absolute_orbit": orbit} if isinstance(orbit, int) and orbit >= 1 else {}),
        **({"processing:version": version} if isinstance(version, str) and version else {}),
        **({"processing:datetime": utc(created)} if created else {}),
    }
