"""The grid that a swath goes onto: its extent, its cells on the unit sphere, the part within a clip."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from affine import Affine
from pyproj import CRS, Transformer
from shapely.affinity import translate
from shapely.geometry import shape as as_geometry
from shapely.geometry.base import BaseGeometry

from eolake.catalog.errors import BadProduct, UnsafeProduct
from eolake.catalog.sources import Grid

Array = np.ndarray[Any, Any]
Window = tuple[slice, slice]
CELLS = 1 << 28
"""of one grid; more than any product that exists has at the resolution it was made for"""
RADIUS = 6_378_137.0
"""metres"""
NODES = 12
"""Chebyshev nodes along each side of a tile: the cells' places between them are exact to rounding"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A window of a lattice: rows and columns of cells, north up."""

    crs: str
    resolution: float
    west: float
    north: float
    shape: tuple[int, int]

    @property
    def transform(self) -> Affine:
        """Cell corner to CRS coordinates."""
        return Affine(self.resolution, 0.0, self.west, 0.0, -self.resolution, self.north)

    def centres(self, window: Window, step: int = 1) -> Array:
        """Unit vectors of a window's cell centres, (3, rows, columns) float64; NaN where the projection has no place on Earth. With
        `step` every so many rows and columns, and the last ones."""
        rows, columns = (np.unique(np.append(np.arange(part.start, part.stop, step), part.stop - 1)) + 0.5 for part in window)
        x, y = self.west + columns * self.resolution, self.north - rows * self.resolution
        return _geographic(x, y) if is_geographic(self.crs) else _projected(self.crs, x, y)


def is_geographic(crs: str) -> bool:
    """Whether the cells are squares of degrees."""
    return bool(CRS.from_user_input(crs).is_geographic)


def unit(longitude: Array, latitude: Array) -> Array:
    """Unit vectors of degrees: (3, …)."""
    east, north = np.radians(longitude), np.radians(latitude)
    level = np.cos(north)
    return np.stack([level * np.cos(east), level * np.sin(east), np.sin(north)])


def _geographic(x: Array, y: Array) -> Array:
    east, north = np.radians(x), np.radians(y)
    level = np.cos(north)[:, None]
    beyond = np.where(np.abs(y) <= 90.0, 0.0, np.nan)[:, None]
    return np.stack(
        [level * np.cos(east) + beyond, level * np.sin(east) + beyond, np.broadcast_to(np.sin(north)[:, None], (len(y), len(x))) + beyond]
    )


def _projected(crs: str, x: Array, y: Array) -> Array:
    """By polynomials between Chebyshev nodes: two matrix products in place of a projection of every cell."""
    if min(len(x), len(y)) > 2 * NODES:
        (along_x, weights_x), (along_y, weights_y) = _nodes(x), _nodes(y)
        nodes = _inverse(crs, *np.meshgrid(along_x, along_y))
        probe = _inverse(crs, *np.meshgrid(x[:: len(x) // 5], y[:: len(y) // 5]))
        cells: Array = np.einsum("ij,kjl,ml->kim", weights_y, nodes, weights_x, optimize=True)
        if np.nanmax(np.abs(cells[:, :: len(y) // 5, :: len(x) // 5] - probe), initial=0.0) < 1e-11 and np.isfinite(cells).all():
            return cells
    return _inverse(crs, *np.meshgrid(x, y))


def _nodes(along: Array) -> tuple[Array, Array]:
    """Chebyshev nodes of the second kind over a range, and the barycentric weights of each of its values."""
    order = np.arange(NODES)
    middle, half = (along[0] + along[-1]) / 2, (along[-1] - along[0]) / 2
    nodes = middle + half * np.cos(np.pi * order / (NODES - 1))
    signs = np.where(order % 2 == 0, 1.0, -1.0)
    signs[[0, -1]] /= 2
    apart = along[:, None] - nodes[None]
    hit = np.abs(apart) < 1e-9 * abs(half)
    terms = signs[None] / np.where(hit, 1.0, apart)
    weights = np.where(hit.any(1)[:, None], hit.astype(np.float64), terms / terms.sum(1)[:, None])
    return nodes, weights


def _inverse(crs: str, x: Array, y: Array) -> Array:
    longitude, latitude = Transformer.from_crs(crs, "OGC:CRS84", always_xy=True).transform(x, y)
    known = np.isfinite(longitude) & np.isfinite(latitude)
    return unit(np.where(known, longitude, np.nan), np.where(known, latitude, np.nan))


def frame(circles: tuple[Array, Array, Array], grid: Grid, clip: BaseGeometry | None) -> Target:
    """The cells around circles: longitude, latitude and radius on the ground, in degrees.

    In degrees the columns run on from west to east, beyond 180 where the swath crosses the antimeridian: west lies in [-180, 180)."""
    west, south, east, north = _extent(*circles, grid)
    if clip is not None:
        west, south, east, north = _within((west, south, east, north), clip, grid.crs)
    left, right = (_edge(west, grid, math.floor), _edge(east, grid, math.ceil))
    bottom, top = (_edge(south, grid, math.floor), _edge(north, grid, math.ceil))
    columns, rows = right - left, top - bottom
    if rows < 1 or columns < 1:
        raise BadProduct("no pixel of the swath lies within the clip: nothing to convert")
    if rows * columns > CELLS:
        raise UnsafeProduct(
            f"a grid of {rows:,} × {columns:,} cells is more than any product fills: clip it, take a coarser resolution or, "
            "near a pole, a polar projection"
        )
    return Target(
        crs=grid.crs,
        resolution=grid.resolution,
        west=grid.align + left * grid.resolution,
        north=grid.align + top * grid.resolution,
        shape=(rows, columns),
    )


def _edge(at: float, grid: Grid, rounding: Any) -> int:
    """The lattice line before or after a coordinate; one that lies on a line but for rounding stays there."""
    exact = (at - grid.align) / grid.resolution
    nearest = round(exact)
    return nearest if abs(exact - nearest) < 1e-6 else int(rounding(exact))


def _extent(longitude: Array, latitude: Array, reach: Array, grid: Grid) -> tuple[float, float, float, float]:
    if is_geographic(grid.crs):
        south, north = max(-90.0, float((latitude - reach).min())), min(90.0, float((latitude + reach).max()))
        west, east = _longitudes(longitude, latitude, reach)
        return (west, south, east, north)
    x, y = Transformer.from_crs("OGC:CRS84", grid.crs, always_xy=True).transform(longitude, latitude)
    known = np.isfinite(x) & np.isfinite(y)
    if not known.any():
        raise BadProduct(f"no pixel of the swath has a place in {grid.crs}: take another grid")
    x, y, margin = x[known], y[known], 1.5 * np.radians(reach[known]) * RADIUS / _metres(grid.crs)
    return (float((x - margin).min()), float((y - margin).min()), float((x + margin).max()), float((y + margin).max()))


def _metres(crs: str) -> float:
    return float(CRS.from_user_input(crs).axis_info[0].unit_conversion_factor or 1.0)


def _longitudes(longitude: Array, latitude: Array, reach: Array) -> tuple[float, float]:
    """The shortest range of longitudes that holds all circles: it begins after the widest gap between them."""
    highest = np.abs(latitude) + reach
    if (highest >= 90.0).any():
        return (-180.0, 180.0)
    half = reach / np.cos(np.radians(highest))
    starts = (longitude - half) % 360.0
    order = np.argsort(starts)
    starts, ends = starts[order], np.maximum.accumulate((starts + 2 * half)[order])
    gaps = np.append(starts[1:], starts[0] + 360.0) - np.maximum(ends, ends[-1] - 360.0)
    widest = int(np.argmax(gaps))
    if gaps[widest] <= 0:
        return (-180.0, 180.0)
    west = (starts[(widest + 1) % len(starts)] + 180.0) % 360.0 - 180.0
    return (float(west), float(west + 360.0 - gaps[widest]))


def _within(extent: tuple[float, float, float, float], clip: BaseGeometry, crs: str) -> tuple[float, float, float, float]:
    within = shapely.intersection(shapely.box(*extent), in_crs(clip, crs))
    if within.is_empty:
        raise BadProduct("no pixel of the swath lies within the clip: nothing to convert")
    west, south, east, north = within.bounds
    return (west, south, east, north)


def clip_geometry(clip: Mapping[str, Any] | None) -> BaseGeometry | None:
    """The clip (GeoJSON, EPSG:4326) as a valid geometry."""
    if clip is None:
        return None
    geometry = shapely.make_valid(as_geometry(dict(clip)))
    if geometry.is_empty or geometry.area == 0:
        raise BadProduct("the clip has no area: nothing to convert")
    return geometry


def in_crs(clip: BaseGeometry, crs: str) -> BaseGeometry:
    """A geometry in degrees as it lies on the grid; in degrees once more 360 further east and west, for columns beyond 180."""
    if is_geographic(crs):
        return shapely.union_all([translate(clip, turn) for turn in (-360.0, 0.0, 360.0)])
    project = Transformer.from_crs("OGC:CRS84", crs, always_xy=True)
    dense = shapely.segmentize(clip, 0.05)
    return shapely.make_valid(shapely.transform(dense, lambda points: np.column_stack(project.transform(points[:, 0], points[:, 1]))))


def outside(target: Target, clip: BaseGeometry) -> Array:
    """True for cells whose centre lies outside of the clip."""
    from rasterio.features import geometry_mask

    mask: Array = geometry_mask([in_crs(clip, target.crs)], target.shape, target.transform)
    return mask
