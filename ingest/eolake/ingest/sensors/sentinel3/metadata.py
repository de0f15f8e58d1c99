"""What the manifest of a Sentinel-3 product (xfdumanifest.xml) says of its item."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

import pystac
import shapely
from shapely.geometry.base import BaseGeometry

from eolake.catalog import safe
from eolake.catalog.declaration import Collection
from eolake.catalog.errors import BadProduct
from eolake.catalog.stac import extensions
from eolake.ingest.providers.footprints import normalise
from eolake.ingest.sensors import declared
from eolake.ingest.sensors.declared import ProductName, utc
from eolake.ingest.sensors.swath.metadata import Described

MANIFEST = "xfdumanifest.xml"
TIMELINESS: Mapping[str, str] = {"NR": "PT3H", "ST": "PT48H", "NT": "P1M"}
"""Within that time of sensing the product is there (ISO 8601), by its category."""
COVERAGE: Mapping[str, str] = {
    "salineWaterPixels": "s3:saline_water",
    "coastalPixels": "s3:coastal",
    "freshInlandWaterPixels": "s3:fresh_inland_water",
    "tidalRegionPixels": "s3:tidal_region",
    "landPixels": "s3:land",
    "brightPixels": "s3:bright",
    "invalidPixels": "s3:invalid",
    "cosmeticPixels": "s3:cosmetic",
    "duplicatedPixels": "s3:duplicated",
    "saturatedPixels": "s3:saturated",
    "dubiousSamples": "s3:dubious_samples",
    "outOfRangePixels": "s3:out_of_range",
    "cloudyPixels": "eo:cloud_cover",
}
"""Elements with a percentage → item property."""


@dataclass(frozen=True, slots=True)
class _Manifest:
    """Elements by their local names: the namespaces differ between instruments and versions."""

    path: Path
    root: Element

    def all(self, name: str) -> Iterator[Element]:
        return (element for element in self.root.iter() if element.tag.rpartition("}")[2] == name)

    def find(self, name: str) -> str | None:
        return next((text for element in self.all(name) if (text := (element.text or "").strip())), None)

    def text(self, name: str) -> str:
        found = self.find(name)
        if found is None:
            raise BadProduct(f"{self.path} has no {name}")
        return found

    def time(self, name: str) -> datetime:
        text = self.text(name)
        try:
            found = datetime.fromisoformat(text)
        except ValueError:
            raise BadProduct(f"{self.path}: {name} is no time: {text[:80]!r}") from None
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def read(product: safe.Product, collection: Collection, name: ProductName) -> Described:
    """By the product's manifest. BadProduct when it has none, or that of another product, or one that says too little."""
    _ = collection
    path = product.files.get(MANIFEST)
    if path is None:
        raise BadProduct(f"{product.path} has no {MANIFEST}")
    return described(path, name.name)


def described(path: Path, name: str) -> Described:
    """By the manifest at `path` alone, of the product of that name (without .SEN3)."""
    manifest = _Manifest(path, safe.parse_xml(path))
    own = manifest.text("productName").removesuffix(".SEN3")
    if own.upper() != name.upper():
        raise BadProduct(f"{name} holds the manifest of another product: {own[:120]}")
    start, end = manifest.time("startTime"), manifest.time("stopTime")
    return Described(start=start, end=end, at=start + (end - start) / 2, properties=_properties(manifest))


def footprint(path: Path) -> BaseGeometry:
    """The outline that the manifest at `path` gives: EPSG:4326, valid, counter-clockwise, cut at the antimeridian. Its vertices are some
    ten kilometres apart; the outline of the pixels is closer. BadProduct when it gives none."""
    text = _Manifest(path, safe.parse_xml(path)).text("posList")
    try:
        numbers = [float(word) for word in text.replace(",", " ").split()]
    except ValueError:
        raise BadProduct(f"{path}: its footprint is no list of numbers: {text[:80]!r}") from None
    if len(numbers) < 8 or len(numbers) % 2:
        raise BadProduct(f"{path}: its footprint has {len(numbers)} numbers, which make no polygon")
    ring = [(longitude, latitude) for latitude, longitude in zip(numbers[::2], numbers[1::2], strict=True)]
    found = normalise({"type": "Polygon", "coordinates": [ring if ring[0] == ring[-1] else [*ring, ring[0]]]})
    if found is None:
        raise BadProduct(f"{path}: its footprint is no polygon on the Earth")
    return shapely.geometry.shape(dict(found))


def _properties(manifest: _Manifest) -> dict[str, Any]:
    timeliness = manifest.text("timeliness")
    found: dict[str, Any] = {
        "product:type": manifest.text("productType"),
        "product:timeliness": TIMELINESS.get(timeliness),
        "product:timeliness_category": timeliness if timeliness in TIMELINESS else None,
        "processing:version": manifest.find("baselineCollection"),
        "processing:datetime": utc(_created(manifest)),
        **_orbit(manifest),
        **_processing(manifest),
        **_coverage(manifest),
    }
    return {key: value for key, value in found.items() if value is not None}


def _created(manifest: _Manifest) -> datetime:
    return manifest.time("creationTime")


def _orbit(manifest: _Manifest) -> dict[str, Any]:
    """At the begin of sensing. A relative orbit of 0 stands in products whose first row lies just before an orbit's begin."""
    orbit = next(manifest.all("orbitNumber"), None)
    direction = None if orbit is None else (orbit.get("groundTrackDirection") or "").lower()
    relative = (_whole(manifest, element.text) for element in manifest.all("relativeOrbitNumber"))
    return {
        "sat:platform_international_designator": manifest.find("nssdcIdentifier"),
        "sat:orbit_state": direction if direction in {"ascending", "descending"} else None,
        "sat:absolute_orbit": None if orbit is None else _whole(manifest, orbit.text),
        "sat:relative_orbit": next((number for number in relative if number), None),
    }


def _whole(manifest: _Manifest, text: str | None) -> int:
    try:
        return int(text or "")
    except ValueError:
        raise BadProduct(f"{manifest.path}: an orbit is {(text or '')[:40]!r}, which is no number") from None


def _processing(manifest: _Manifest) -> dict[str, Any]:
    """Facility and software of the step that made the product: the manifest lists it first."""
    facility, software = next(manifest.all("facility"), None), next(manifest.all("software"), None)
    name, version = (None, None) if software is None else (software.get("name"), software.get("version"))
    return {
        "processing:facility": None if facility is None else facility.get("name"),
        "processing:software": {name: version} if name and version else None,
    }


def _coverage(manifest: _Manifest) -> dict[str, float]:
    """Percentages of the image, of the first grid that the manifest gives them for."""
    found: dict[str, float] = {}
    for element in manifest.root.iter():
        key = COVERAGE.get(element.tag.rpartition("}")[2])
        percentage = element.get("percentage")
        if key is None or percentage is None or key in found:
            continue
        try:
            found[key] = float(percentage)
        except ValueError:
            raise BadProduct(f"{manifest.path}: the percentage of {element.tag.rpartition('}')[2]} is {percentage[:40]!r}") from None
    return found


def items(folder: Path) -> list[pystac.Item]:
    """The items of a product folder by its manifest alone, one for each collection with such names: without assets, with the footprint of
    the manifest. No other file is looked at: a product whose files are broken or gone has them too; nothing of this is published.

    BadProduct when its type is not supported, or the manifest is broken or that of another product."""
    path = folder / MANIFEST
    if not path.is_file():
        raise BadProduct(f"{folder} has no {MANIFEST}")
    matching = declared.matching(folder.name, "swath")
    if not matching:
        raise BadProduct(f"{folder.name}: no declared collection has products with such a name; `eolake collections list` shows them")
    return [_item(path, collection, name) for collection, name in matching]


def _item(path: Path, collection: Collection, name: ProductName) -> pystac.Item:
    found = described(path, name.name)
    source = collection.source
    if source is None:
        raise BadProduct(f"{path}: {collection.id} does not declare its products")
    made = declared.draft_item(collection, source, name, footprint(path), start=found.start, end=found.end, at=found.at)
    made.properties |= {"constellation": collection.constellation, **found.properties}
    made.stac_extensions = sorted(extensions.used([made.properties]))
    return made
