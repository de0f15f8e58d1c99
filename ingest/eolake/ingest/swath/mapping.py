"""From the pixels of a swath to the cells of a grid: for each cell the nearest pixel on the ground."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from affine import Affine
from shapely.geometry.base import BaseGeometry

from eolake.catalog.errors import BadProduct
from eolake.catalog.sources import Grid
from eolake.ingest.swath import outline, search, target

Array = np.ndarray[Any, Any]
QUANTUM = 1 << 14
"""Offsets of cells from their pixel are kept in these parts of a pixel."""
CHUNK = 1 << 20
"""cells at a time"""


@dataclass(frozen=True, slots=True, kw_only=True)
class SwathMap:
    """Which pixel of the swath each cell of the grid shows."""

    shape: tuple[int, int]
    """Rows and columns of the grid."""
    transform: Affine
    """Cell corner to CRS coordinates. In degrees the columns of a swath over the antimeridian run on beyond 180: one raster without a
    cut, whose west edge lies in [-180, 180); its `footprint` is cut as GeoJSON wants it."""
    crs: str
    source_shape: tuple[int, int]
    """Rows and columns of the swath."""
    index: Array
    """(rows, columns) int32 or int64: the flat number of the pixel; the number of pixels where there is none."""
    footprint: BaseGeometry
    """Of the pixels that are shown: EPSG:4326, valid, counter-clockwise, cut at the antimeridian."""
    offsets: Array | None = None
    """(2, rows, columns) int16: how far the cell's centre lies beyond its pixel's, in rows and columns, in parts of a pixel
    (QUANTUM), and one pixel more where a repeated one is passed over; None where the map is for nearest neighbours alone."""

    def take(self, band: Array, fill: float) -> Array:
        """The nearest pixel's value in each cell, of the band's dtype; `fill` where the swath has none. BadProduct for another shape."""
        self._check(band)
        values = np.append(band.ravel(), np.array(fill, band.dtype))
        cells = np.empty(self.shape, band.dtype)
        lines = max(1, CHUNK // self.shape[1])
        for top in range(0, self.shape[0], lines):
            part = slice(top, top + lines)
            np.take(values, self.index[part], out=cells[part], mode="clip")
        return cells

    def bilinear(self, band: Array, fill: float) -> Array:
        """Interpolated between the four pixels around each cell's centre where all of them have values (not `fill`, not NaN), else
        the nearest one's; of the band's dtype, rounded. Never for classes or flags. Needs a map built for it."""
        if self.offsets is None:
            raise ValueError("this map holds nearest neighbours alone: build it with bilinear=True")
        cells = self.take(band, fill)
        flat, shown = self.index.ravel(), cells.ravel()
        down, right = self.offsets[0].ravel(), self.offsets[1].ravel()
        for start in range(0, flat.size, CHUNK):
            part = slice(start, start + CHUNK)
            self._blend(band, fill, flat[part], (down[part], right[part]), shown[part])
        return cells

    def _check(self, band: Array) -> None:
        if band.shape != self.source_shape:
            raise BadProduct(f"a band of {band.shape} pixels does not belong to coordinates of {self.source_shape}")

    def _blend(self, band: Array, fill: float, flat: Array, offsets: tuple[Array, Array], shown: Array) -> None:
        rows, columns = self.source_shape
        (known,) = np.nonzero(flat < rows * columns)
        row, column = np.divmod(flat[known], columns)
        down, right = (offset[known] for offset in offsets)
        beyond, v = _neighbour(row, down)
        beside, u = _neighbour(column, right)
        inside = (beyond >= 0) & (beyond < rows) & (beside >= 0) & (beside < columns)
        known, row, column, beyond, beside, v, u = (each[inside] for each in (known, row, column, beyond, beside, v, u))
        corners = [band[row, column], band[row, beside], band[beyond, column], band[beyond, beside]]
        whole = np.logical_and.reduce([(corner != np.array(fill, band.dtype)) & (corner == corner) for corner in corners])  # noqa: PLR0124 - NaN
        a, b, c, d = (corner[whole].astype(np.float64) for corner in corners)
        v, u = v[whole], u[whole]
        value = (a * (1 - u) + b * u) * (1 - v) + (c * (1 - u) + d * u) * v
        shown[known[whole]] = (np.rint(value) if band.dtype.kind in "iu" else value).astype(band.dtype)


def _neighbour(place: Array, offset: Array) -> tuple[Array, Array]:
    """The row or column on the other side of the cell, and the cell's share of the way there; beyond 1 a repeated pixel is passed over."""
    share = np.abs(offset.astype(np.float64)) / QUANTUM
    passed = share > 1
    return place + np.where(offset < 0, -1, 1) * (1 + passed), share - passed


def build(longitude: Array, latitude: Array, grid: Grid, *, clip: Mapping[str, Any] | None = None, bilinear: bool = False) -> SwathMap:
    """The map of a swath whose pixels have their centres at `longitude` and `latitude`: degrees, (rows, columns), NaN or masked
    where a pixel has no place.

    A cell shows the pixel that is nearest to its centre on the sphere, if that lies in the swath: not further than half a pixel beyond
    its last pixels. `clip` is GeoJSON (EPSG:4326, cut at the antimeridian): cells outside of it show nothing, and the grid ends with
    it. The lattice is the same for every swath: cell edges lie at `grid.align` modulo the resolution.

    Raises BadProduct when there are no coordinates or none within the clip, UnsafeProduct when they ask for more cells than any
    product has."""
    swath = search.swath(longitude, latitude)
    within = target.clip_geometry(clip)
    frame = target.frame(swath.places(), grid, within)
    index, offsets = search.nearest(swath, frame, offsets=QUANTUM if bilinear else None)
    if within is not None:
        index[target.outside(frame, within)] = swath.size
    frame, (index, offsets) = _trimmed(frame, index, offsets, swath.size)
    footprint = outline.footprint(swath)
    return SwathMap(
        shape=frame.shape,
        transform=frame.transform,
        crs=frame.crs,
        source_shape=swath.shape,
        index=index,
        footprint=footprint if within is None else outline.clipped(footprint, within),
        offsets=offsets,
    )


def _trimmed(frame: target.Target, index: Array, offsets: Array | None, none: int) -> tuple[target.Target, tuple[Array, Array | None]]:
    """Without the rows and columns at the sides in which nothing is shown."""
    shown = index != none
    (rows,), (columns,) = np.nonzero(shown.any(1)), np.nonzero(shown.any(0))
    if not rows.size:
        raise BadProduct("no pixel of the swath lies within the clip or fills a cell of the grid: nothing to convert")
    top, bottom, left, right = int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
    part = (slice(top, bottom), slice(left, right))
    kept = replace(
        frame, west=frame.west + left * frame.resolution, north=frame.north - top * frame.resolution, shape=(bottom - top, right - left)
    )
    return kept, (np.ascontiguousarray(index[part]), None if offsets is None else np.ascontiguousarray(offsets[(slice(None), *part)]))
