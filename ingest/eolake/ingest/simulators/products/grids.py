"""Pixel grids of the products: crops of the real scene and tile frames, at the real pixel sizes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from pyproj import Transformer

from eolake.ingest.simulators.products.noise import Array

Points = tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """A north-up grid of square pixels."""

    crs: str
    left: float
    top: float
    """outer edges, in units of `crs`"""
    pixel: float
    rows: int
    columns: int

    @property
    def transform(self) -> Affine:
        """Pixel corner to coordinates, as rasterio has it."""
        return Affine(self.pixel, 0.0, self.left, 0.0, -self.pixel, self.top)

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """left, bottom, right, top"""
        return self.left, self.top - self.rows * self.pixel, self.left + self.columns * self.pixel, self.top

    def centres(self) -> tuple[Array, Array]:
        """x and y of every pixel centre, each of shape (rows, columns)."""
        x = self.left + (np.arange(self.columns) + 0.5) * self.pixel
        y = self.top - (np.arange(self.rows) + 0.5) * self.pixel
        east, north = np.meshgrid(x, y)
        return east, north

    def inside(self, corners: Points) -> NDArray[np.bool_]:
        """True where the pixel centre lies in the convex polygon `corners` (clockwise seen on the map; edges count)."""
        x, y = self.centres()
        inside = np.ones(x.shape, bool)
        for (x0, y0), (x1, y1) in zip(corners, (*corners[1:], corners[0]), strict=True):
            inside &= (x1 - x0) * (y - y0) - (y1 - y0) * (x - x0) <= 1e-6 * self.pixel
        return inside

    def geographic(self, points: Points) -> Points:
        """`points` as longitude, latitude."""
        to_lonlat = Transformer.from_crs(self.crs, 4326, always_xy=True)
        return tuple((float(lon), float(lat)) for lon, lat in (to_lonlat.transform(x, y) for x, y in points))


def locate(site: tuple[float, float], crs: str) -> tuple[float, float]:
    """Longitude and latitude of `site` in `crs`."""
    x, y = Transformer.from_crs(4326, crs, always_xy=True).transform(*site)
    return float(x), float(y)


def snap(value: float, step: float) -> float:
    """The multiple of `step` nearest to `value`."""
    return round(value / step) * step


def profile(grid: Grid, dtype: str, count: int = 1) -> dict[str, Any]:
    """What rasterio needs to write a raster on `grid`."""
    return {
        "height": grid.rows,
        "width": grid.columns,
        "count": count,
        "dtype": dtype,
        "crs": grid.crs,
        "transform": grid.transform,
    }
