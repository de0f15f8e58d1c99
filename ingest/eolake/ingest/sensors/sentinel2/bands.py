"""The bands of a tile: where they lie, and how they are read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from affine import Affine

from eolake.catalog import declaration, safe
from eolake.catalog.draft import Band, Frame, Pixels
from eolake.catalog.errors import BadProduct
from eolake.ingest.sensors.sentinel2.layout import DRIVERS, RESOLUTION
from eolake.ingest.sensors.sentinel2.metadata import BAND_CODES, TileMetadata
from eolake.ingest.sensors.sentinel2.radiometry import add_offset


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One band's file and its grid."""

    band: declaration.Band
    path: Path
    driver: str
    shape: tuple[int, int]
    transform: Affine
    crs: str
    added: int
    """What its valid pixels get (see radiometry)."""


def sources(
    tile: TileMetadata, collection: declaration.Collection, files: Mapping[str, Path], added: Mapping[str, int]
) -> dict[str, Source]:
    """The headers of all files, checked before a pixel is decoded; by band name, in the collection's order.

    BadProduct when a file has another type or lies elsewhere than the tile, or when bands of one grid differ."""
    found = {band.name: _source(tile, band, files[band.name], added) for band in collection.bands if band.name in files}
    grids: dict[str, Source] = {}
    for source in found.values():
        first = grids.setdefault(source.band.grid, source)
        if (source.shape, source.transform) != (first.shape, first.transform):
            raise BadProduct(f"{source.path} and {first.path.name} should lie on one grid and do not")
    return found


def _source(tile: TileMetadata, band: declaration.Band, path: Path, added: Mapping[str, int]) -> Source:
    driver = DRIVERS[path.suffix.lower()]
    profile = safe.raster_profile(path, driver=driver)
    if profile.dtype != band.dtype:
        raise BadProduct(f"{path} is {profile.dtype}; {band.name} is {band.dtype}")
    if profile.crs and profile.crs != tile.crs:
        raise BadProduct(f"{path} is in {profile.crs}; {tile.path.name} says {tile.crs}")
    return Source(
        band=band,
        path=path,
        driver=driver,
        shape=profile.shape,
        transform=grid(tile, RESOLUTION[band.grid], profile, path),
        crs=tile.crs,
        added=_added(tile, band.aliases[0], added),
    )


def _added(tile: TileMetadata, code: str, added: Mapping[str, int]) -> int:
    """0 for what is no reflectance."""
    if code in BAND_CODES and code not in added:
        raise BadProduct(f"the product metadata of {tile.name.text} gives no offset for {code}, but for others")
    return added.get(code, 0)


def grid(tile: TileMetadata, resolution: int, profile: safe.RasterProfile, path: Path) -> Affine:
    """The grid of a file.

    A file of the size in the tile's metadata lies on the tile's grid: what it says of itself has to agree. Files of another
    size were decimated (previews, samples). Some of them say where they lie, with the pixel size that they were made
    with: 29 pixels of 3,840 m reach further than the tile of 109,800 m; that is kept when it starts at the tile's corner and
    ends within a pixel of its end. A file that says nothing spans the tile exactly."""
    rows, columns = tile.sizes[resolution]
    left, top = tile.corner
    width, height = columns * resolution, rows * resolution
    spanning = Affine(width / profile.shape[1], 0, left, 0, -height / profile.shape[0], top)
    if profile.transform == Affine.identity():
        return spanning
    own = profile.transform
    whole = profile.shape == (rows, columns)
    slack = 0.001 if whole else 1.0  # pixels
    far = own @ (profile.shape[1], profile.shape[0])
    aligned = own.b == own.d == 0 and own.a > 0 > own.e and np.allclose((own.c, own.f), tile.corner, rtol=0, atol=0.001)
    if not aligned or abs(far[0] - left - width) >= slack * own.a or abs(far[1] - top + height) >= -slack * own.e:
        raise BadProduct(
            f"{path} covers {own.c:g}, {far[1]:g}, {far[0]:g}, {own.f:g}; "
            f"the tile covers {left:g}, {top - height:g}, {left + width:g}, {top:g} ({tile.path.name})"
        )
    return spanning if whole else own


def draft_bands(found: Mapping[str, Source]) -> dict[str, Band]:
    """The bands of a draft; nothing is decoded yet."""
    return {
        name: Band(read=partial(read, source), properties=_properties(source), frame=partial(_frame, source))
        for name, source in found.items()
    }


def _frame(source: Source) -> Frame:
    return Frame(shape=source.shape, transform=source.transform, crs=source.crs)


def _properties(source: Source) -> dict[str, Any]:
    """Reflectance bands say what was added; their stored value minus it is the provider's."""
    return {"eolake:offset_added": source.added} if source.band.aliases[0] in BAND_CODES else {}


def read(source: Source) -> Pixels:
    """Decode one band; BadProduct when its bytes are broken."""
    data = _flags(source) if source.band.bitfields else _band(source, 1)
    add_offset(data, source.added)
    return Pixels(data=data, transform=source.transform, crs=source.crs, nodata=source.band.nodata)


def _band(source: Source, index: int) -> np.ndarray[Any, Any]:
    return safe.read_raster(source.path, driver=source.driver, band=index, expect_shape=source.shape).data


def _flags(source: Source) -> np.ndarray[Any, Any]:
    """Several bands of 0 and 1 as the bits of one: the first is bit 0."""
    flags = np.zeros(source.shape, np.uint8)
    for field in source.band.bitfields:
        flags |= (_band(source, field.offset + 1) != 0).astype(np.uint8) << np.uint8(field.offset)
    return flags
