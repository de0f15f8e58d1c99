"""What the lists of a product give its item: assets, bands, properties."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from shapely.geometry import shape as as_geometry

from eolake.catalog.declaration import Collection
from eolake.catalog.draft import Attachment, Band, Pixels
from eolake.catalog.errors import BadProduct
from eolake.catalog.sources import Raster, SwathSource, Table
from eolake.ingest.points import geoparquet, raster, table
from eolake.ingest.swath import SwathMap


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What is to be added to a draft."""

    bands: Mapping[str, Band] = field(default_factory=dict)
    attachments: Mapping[str, Attachment] = field(default_factory=dict)
    properties: Mapping[str, Any] = field(default_factory=dict)


def add(
    collection: Collection,
    source: SwathSource,
    files: Mapping[str, Path],
    grids: Callable[[str], SwathMap],
    folder: Path,
    *,
    clip: Mapping[str, Any] | None = None,
) -> Found:
    """The declared tables of a product.

    `files`: by relative name; `grids`: the map of a target grid, by its name; `folder`: where the Parquet files are written; `clip`:
    GeoJSON (EPSG:4326), rows outside of it are left out. BadProduct when the product lacks a table."""
    bands: dict[str, Band] = {}
    attachments: dict[str, Attachment] = {}
    properties: dict[str, Any] = {}
    for key, declared in source.tables.items():
        path = next((files[name] for name in declared.files if name in files), None)
        if path is None and declared.optional:
            continue
        if path is None:
            raise BadProduct(f"the product has no {' nor '.join(declared.files)}; every product of {collection.id} has one")
        points = _within(table.read(path, declared), clip)
        attachments[key] = _attachment(points, declared, folder / f"{key}.parquet")
        properties |= _properties(points, declared)
        bands |= {name: _band(points, drawn, grids, collection, name) for name, drawn in declared.rasters.items()}
    return Found(bands=bands, attachments=attachments, properties=properties)


def _within(points: table.Points, clip: Mapping[str, Any] | None) -> table.Points:
    if clip is None or not len(points):
        return points
    geometry = as_geometry(dict(clip))
    shapely.prepare(geometry)
    return points.rows(shapely.intersects_xy(geometry, points.longitude, points.latitude))


def _attachment(points: table.Points, declared: Table, path: Path) -> Attachment:
    geoparquet.write(points, declared, path)
    described: dict[str, Any] = {
        "table:columns": geoparquet.columns(points, declared),
        "table:row_count": len(points),
        "table:primary_geometry": "geometry",
    }
    return Attachment(path=path, media_type=geoparquet.MEDIA_TYPE, roles=("data",), title=declared.title, properties=described)


def _properties(points: table.Points, declared: Table) -> dict[str, Any]:
    found: dict[str, Any] = {} if declared.count is None else {declared.count: len(points)}
    for name, column in declared.totals.items():
        values = points.columns[column]
        found[name] = round(float(np.sum(values.values[~values.missing])), 6)
    return found


def _band(points: table.Points, drawn: Raster, grids: Callable[[str], SwathMap], collection: Collection, name: str) -> Band:
    def read() -> Pixels:
        swath, band = grids(drawn.grid), collection.band(name)
        nodata = np.nan if band.nodata is None else band.nodata
        data = raster.rasterise(points, drawn, swath, raster.cells(points, swath), dtype=band.dtype, nodata=nodata)
        return Pixels(data=data, transform=swath.transform, crs=swath.crs, nodata=band.nodata)

    return Band(read=read)
