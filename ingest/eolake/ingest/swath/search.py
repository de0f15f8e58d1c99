"""The nearest pixel of a swath for each cell of a grid."""

from __future__ import annotations

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from eolake.catalog.errors import BadProduct
from eolake.ingest.swath.target import Target, Window, unit

Array = np.ndarray[Any, Any]
TILE = 256
"""cells along the side of what is searched at once"""
BLOCK = 32
"""pixels along the side of what is near a tile or not"""
THREADS = 2
SCALE = float(1 << 30)
"""Places on the unit sphere are kept as integers of 6 mm: half the memory of floats of that precision."""
NOWHERE = np.iinfo(np.int32).min
APART = 5.0
"""Pixels further from each other than so many times the usual distance are no neighbours: lines are missing between them."""
EDGE = 0.5 + 1e-6
"""A pixel's side, in pixels from its centre."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Swath:
    """The places of a swath's pixels."""

    points: Array
    """(3, rows, columns) int32: unit vectors × SCALE; NOWHERE without a place"""
    centres: Array
    """(blocks,) × 3: middle of each block's pixels, unit vectors × SCALE, float64"""
    radii: Array
    """(blocks,): of the ball around it, with half a pixel beyond"""
    corners: Array
    """(blocks, 4): the block's window: top, bottom, left, right"""
    spacing: float
    """degrees on the ground between neighbours, of nearly the widest"""

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return (int(self.points.shape[1]), int(self.points.shape[2]))

    @property
    def size(self) -> int:
        """Number of pixels."""
        return self.shape[0] * self.shape[1]

    @property
    def known(self) -> Array:
        """True where a pixel has a place."""
        known: Array = self.points[0] != NOWHERE
        return known

    def outline(self) -> tuple[Array, Array]:
        """Longitude and latitude (degrees) of pixels that no other one lies far outside of: of all."""
        x, y, z = (self.points[axis][self.known] / SCALE for axis in range(3))
        return np.degrees(np.arctan2(y, x)), np.degrees(np.arctan2(z, np.hypot(x, y)))


def swath(longitude: Array, latitude: Array) -> Swath:
    """The pixels at degrees; NaN, masked or impossible ones have no place. BadProduct when none has."""
    if longitude.shape != latitude.shape or longitude.ndim != 2:
        raise BadProduct(
            f"longitudes of {longitude.shape} and latitudes of {latitude.shape} pixels: both must have the same rows and columns"
        )
    if min(longitude.shape) < 2:
        raise BadProduct(f"a swath of {longitude.shape[0]} × {longitude.shape[1]} pixels has no extent: a grid needs at least 2 × 2")
    rows, columns = longitude.shape
    points = np.empty((3, rows, columns), np.int32)
    bands = [slice(top, min(top + BLOCK, rows)) for top in range(0, rows, BLOCK)]
    with ThreadPoolExecutor(THREADS) as threads:
        list(threads.map(lambda part: _place(points[:, part], longitude[part], latitude[part]), bands))
    if not (points[0] != NOWHERE).any():
        raise BadProduct("no pixel has coordinates: the swath has no place on Earth")
    spacing = _spacing(points)
    return Swath(points=points, spacing=spacing, **_blocks(points, math.radians(spacing) * SCALE))


def _place(points: Array, longitude: Array, latitude: Array) -> None:
    east, north = (np.ma.filled(np.ma.asarray(part, np.float64), np.nan) for part in (longitude, latitude))
    known = (np.abs(east) <= 360.0) & (np.abs(north) <= 90.0)
    points[:] = np.where(known, np.rint(unit(np.where(known, east, 0.0), np.where(known, north, 0.0)) * SCALE), NOWHERE)


def _spacing(points: Array) -> float:
    """Degrees; the 99th percentile of a sample of the distances between neighbours."""
    found = []
    for axis in (1, 2):
        step = max(1, points.shape[axis] // 256)
        other = max(1, points.shape[3 - axis] // 256)
        thin = points[:, :, ::other] if axis == 1 else points[:, ::other]
        near, far = (np.take(thin, np.arange(start, points.shape[axis] - 1 + start, step), axis) for start in (0, 1))
        known = (near[0] != NOWHERE) & (far[0] != NOWHERE)
        found.append(np.sqrt(((far.astype(np.float64) - near) ** 2).sum(0))[known])
    apart = np.concatenate(found)
    if not apart.size:
        raise BadProduct("no two neighbouring pixels have coordinates: the swath has no extent")
    return math.degrees(float(np.percentile(apart, 99)) / SCALE)


def _blocks(points: Array, margin: float) -> dict[str, Array]:
    centres, radii, corners = [], [], []
    rows, columns = points.shape[1:]
    for top in range(0, rows, BLOCK):
        for left in range(0, columns, BLOCK):
            bottom, right = min(top + BLOCK, rows), min(left + BLOCK, columns)
            block = points[:, top:bottom, left:right].reshape(3, -1)
            block = block[:, block[0] != NOWHERE].astype(np.float64)
            if block.size:
                centre = (block.min(1) + block.max(1)) / 2
                centres.append(centre)
                radii.append(math.sqrt(float(((block - centre[:, None]) ** 2).sum(0).max())) + margin)
                corners.append((top, bottom, left, right))
    return {"centres": np.array(centres), "radii": np.array(radii), "corners": np.array(corners)}


def nearest(found: Swath, frame: Target, *, offsets: int | None = None) -> tuple[Array, Array | None]:
    """For each cell the flat number of the nearest pixel, the number of pixels where there is none; with `offsets` also the cell's
    place between the pixels, in these parts of a pixel."""
    index = np.full(frame.shape, found.size, np.int32 if found.size < NOWHERE + 2**32 else np.int64)
    between = None if offsets is None else np.zeros((2, *frame.shape), np.int16)

    def tile(window: Window) -> None:
        _tile(
            found, frame, window, index[window], None if between is None or offsets is None else (between[(slice(None), *window)], offsets)
        )

    with ThreadPoolExecutor(THREADS) as threads:
        list(threads.map(tile, _windows(frame.shape)))
    return index, between


def _windows(shape: tuple[int, int]) -> Iterator[Window]:
    for top in range(0, shape[0], TILE):
        for left in range(0, shape[1], TILE):
            yield slice(top, min(top + TILE, shape[0])), slice(left, min(left + TILE, shape[1]))


def _tile(found: Swath, frame: Target, window: Window, index: Array, between: tuple[Array, int] | None) -> None:
    """Fills the tile's part of the index."""
    from scipy.spatial import cKDTree

    cells = frame.centres(window).reshape(3, -1) * SCALE
    pixels = _near(found, cells)
    if pixels is None:
        return
    places = found.points.reshape(3, -1)[:, pixels].astype(np.float64)
    real = np.isfinite(cells[0])
    tree = cKDTree(places.T, balanced_tree=False)
    _, hit = tree.query(cells[:, real].T)
    chosen = np.full(cells.shape[1], found.size, np.int64)
    chosen[real] = pixels[hit]
    _settle(found, chosen, cells, between)
    index[:] = chosen.reshape(index.shape)


def _near(found: Swath, cells: Array) -> Array | None:
    """The pixels that may be nearest to one of the cells, ascending."""
    real = cells[:, np.isfinite(cells[0])]
    if not real.size:
        return None
    middle = (real.min(1) + real.max(1)) / 2
    radius = math.sqrt(float(((real - middle[:, None]) ** 2).sum(0).max()))
    apart = np.sqrt(((found.centres - middle) ** 2).sum(1))
    blocks = found.corners[apart <= radius + found.radii]
    columns = found.shape[1]
    flat = [(np.arange(top, bottom)[:, None] * columns + np.arange(left, right)).ravel() for top, bottom, left, right in blocks]
    if not flat:
        return None
    pixels = np.sort(np.concatenate(flat))
    pixels = pixels[found.points[0].ravel()[pixels] != NOWHERE]
    return pixels if pixels.size else None


def _settle(found: Swath, chosen: Array, cells: Array, between: tuple[Array, int] | None) -> None:
    """Takes the cells that lie more than half a pixel beyond the swath out of `chosen`; keeps the cells' offsets when asked to."""
    (known,) = np.nonzero(chosen < found.size)
    row, column = np.divmod(chosen[known], found.shape[1])
    here = _at(found, row, column)
    limit = math.radians(found.spacing) * SCALE * APART
    steps = [_step(found, (row, column), here, step, limit) for step in ((-1, 0), (1, 0), (0, -1), (0, 1))]
    lonely = [np.isnan(step[0]) for step in steps]
    down, right = _pace(steps[0], steps[1]), _pace(steps[2], steps[3])
    down, right = _square(down, right, here), _square(right, down, here)
    v, u = _solve(down, right, cells[:, known] - here)
    out = (lonely[0] & (v < -EDGE)) | (lonely[1] & (v > EDGE)) | (lonely[2] & (u < -EDGE)) | (lonely[3] & (u > EDGE))
    out |= np.logical_or.reduce(lonely) & ~np.isfinite(u + v)
    chosen[known[out]] = found.size
    if between is not None:
        store, quantum = between
        for kept, share in zip(store, (v, u), strict=True):
            parts = np.zeros(chosen.size, np.int16)
            parts[known] = np.clip(np.rint(np.nan_to_num(share) * quantum), -quantum, quantum)
            kept[:] = parts.reshape(kept.shape)


def _at(found: Swath, row: Array, column: Array) -> Array:
    inside = (row >= 0) & (row < found.shape[0]) & (column >= 0) & (column < found.shape[1])
    points = found.points[:, np.where(inside, row, 0), np.where(inside, column, 0)].astype(np.float64)
    points[:, ~inside | (points[0] == NOWHERE)] = np.nan
    return points


def _step(found: Swath, place: tuple[Array, Array], here: Array, step: tuple[int, int], limit: float) -> Array:
    """The way to a neighbour; NaN where there is none."""
    way = _at(found, place[0] + step[0], place[1] + step[1]) - here
    way[:, (way**2).sum(0) > limit**2] = np.nan
    return way


def _pace(back: Array, forth: Array) -> Array:
    """The way from a pixel to the next one, by both neighbours or the one that there is."""
    both = (forth - back) / 2
    return np.where(np.isnan(both), np.where(np.isnan(forth), -back, forth), both)


def _square(way: Array, other: Array, here: Array) -> Array:
    """Where there is no neighbour either way: as if the pixel were square."""
    return np.where(np.isnan(way), np.cross(here, other, axis=0) / SCALE, way)


def _solve(down: Array, right: Array, way: Array) -> tuple[Array, Array]:
    """The two shares of which a way on the ground consists."""
    a, b, c = (down**2).sum(0), (down * right).sum(0), (right**2).sum(0)
    p, q = (down * way).sum(0), (right * way).sum(0)
    area = a * c - b * b
    with np.errstate(divide="ignore", invalid="ignore"):
        return (c * p - b * q) / area, (a * q - b * p) / area
