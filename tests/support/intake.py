"""What is taken into a lake by tests from end to end: products, what becomes of each, and where its true pixels are."""

from __future__ import annotations

import re
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from odc.geo.geobox import GeoBox

from eolake.catalog.declaration import declared

LANDSAT = re.compile(r"L[COTEM]\d")
NO_BAND = re.compile(r"(^|/)(preview|gap_mask)/|TCI|PVI|MSK_(DETFOO|QUALIT)|_thumb_")
"""Rasters in a product that are no band: quicklooks, previews, masks of single detectors."""
SAFE_BAND = re.compile(
    r"(?:^|_|/)(?P<code>B\d[0-9A]|SCL|AOT|WVP|MSK_CLASSI(?=_B00)|MSK_CLDPRB|MSK_SNWPRB|CLD|SNW)(?:_B00)?(?:_(?P<pixel>\d0)m)?\.jp2$"
)
NATIVE = {"B02": "10", "B03": "10", "B04": "10", "B08": "10", "AOT": "20", "WVP": "20", "B01": "60", "B09": "60", "B10": "60"}
"""Pixel sizes in which Sentinel-2 bands are kept; the others in 20 m."""


@dataclass(frozen=True, kw_only=True)
class Expected:
    """One product and what becomes of it."""

    path: Path
    outcome: str
    reason: str = ""
    """A regular expression that the reason matches."""
    item: str = ""
    """`collection/id` of what is published."""
    altered: str = ""
    """Somebody changed its files, which its manifest tells: a regular expression of the reason for which it is quarantined, until
    it is taken with --unchecked."""
    added: int = 0
    """What the lake adds to the valid reflectances of Sentinel-2 before baseline 04.00."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """One raster of a product, as rasterio reads it where it lies."""

    name: str
    data: Any
    like: GeoBox
    nodata: float | None


def sources(path: Path, collection: str) -> dict[str, Source]:
    """The rasters of a product by the name of the band that they should have become; everything that is no quicklook or mask."""
    found: dict[str, Source] = {}
    for member, address in _rasters(path):
        alias = _alias(member, collection)
        if alias is not None:
            band = declared(collection).band(alias).name
            assert band not in found, f"{member} is a second {band}"
            found[band] = _read(member, address)
    assert found, f"{path} has no rasters"
    return found


def _rasters(path: Path) -> Iterator[tuple[str, str]]:
    for name, address in _members(path):
        if name.lower().endswith((".tif", ".jp2")) and not NO_BAND.search(name):
            yield name, address


def _members(path: Path) -> Iterator[tuple[str, str]]:
    """(name, what rasterio opens)"""
    if path.is_dir():
        yield from ((str(file.relative_to(path)), str(file)) for file in sorted(path.rglob("*")) if file.is_file())
    elif zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            yield from ((name, f"/vsizip/{path}/{name}") for name in archive.namelist())
    else:
        with tarfile.open(path) as archive:
            yield from ((name, f"/vsitar/{path}/{name}") for name in archive.getnames())


def _alias(member: str, collection: str) -> str | None:
    """The provider's name of a band; None for a resampled copy of it."""
    if collection.startswith("ls"):
        return re.sub(r"^.*?(?:_T[12]|_RT|[A-Z]{3}\d\d)_", "", Path(member).stem)
    found = SAFE_BAND.search(member)
    assert found, f"what is {member}?"
    pixel = found["pixel"] or (re.search(r"(?:^|/)R(\d0)m/", member) or [None, None])[1]
    return found["code"] if pixel in {None, NATIVE.get(found["code"], "20")} else None


def _read(name: str, address: str) -> Source:
    with rasterio.open(address) as source:
        layers = source.read()
        bits = [(layer != 0).astype(layer.dtype) << number for number, layer in enumerate(layers)]
        data = layers[0] if len(layers) == 1 else np.bitwise_or.reduce(bits)  # a mask of several layers is one of several bits
        return Source(name=name, data=data, like=GeoBox(source.shape, source.transform, source.crs), nodata=source.nodata)
