"""Swaths with a known geometry, and two ways to find the nearest pixel that share no code with the one under test."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from pyproj import Geod, Transformer
from scipy.spatial import cKDTree

from eolake.ingest.swath import SwathMap

Array = np.ndarray[Any, Any]
SPHERE = "+proj=aeqd +R=6371000 +lat_0={1} +lon_0={0} +units=m"
EARTH = Geod(a=6_371_000, b=6_371_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Straight:
    """Rows and columns of squares on an azimuthal plane, turned by an azimuth: where each pixel is, and which pixel is where."""

    shape: tuple[int, int]
    spacing: float = 300.0
    """metres"""
    centre: tuple[float, float] = (150.0, -33.0)
    azimuth: float = 12.0
    """degrees"""

    def pixels(self) -> tuple[Array, Array]:
        """Longitudes and latitudes of the centres."""
        rows, columns = np.mgrid[: self.shape[0], : self.shape[1]].astype(float)
        return self.at(rows, columns)

    def at(self, rows: Array, columns: Array) -> tuple[Array, Array]:
        """Longitudes and latitudes of fractional pixels."""
        down, right = ((place - (side - 1) / 2) * self.spacing for place, side in zip((rows, columns), self.shape, strict=True))
        turn = np.radians(self.azimuth)
        x, y = right * np.cos(turn) - down * np.sin(turn), -right * np.sin(turn) - down * np.cos(turn)
        return _plane(self.centre).transform(x, y, direction="INVERSE")

    def places(self, longitude: Array, latitude: Array) -> tuple[Array, Array]:
        """Fractional rows and columns; the inverse of `at`."""
        x, y = _plane(self.centre).transform(longitude, latitude)
        turn = np.radians(self.azimuth)
        right, down = x * np.cos(turn) - y * np.sin(turn), -x * np.sin(turn) - y * np.cos(turn)
        return down / self.spacing + (self.shape[0] - 1) / 2, right / self.spacing + (self.shape[1] - 1) / 2


def _plane(centre: tuple[float, float]) -> Transformer:
    return Transformer.from_crs("+proj=longlat +R=6371000", SPHERE.format(*centre), always_xy=True)


def cells(found: SwathMap) -> tuple[Array, Array]:
    """Longitude and latitude of all cell centres, by the transform that the map tells."""
    rows, columns = np.mgrid[: found.shape[0], : found.shape[1]] + 0.5
    x, y = found.transform @ (columns, rows) if hasattr(found.transform, "__matmul__") else found.transform * (columns, rows)
    if found.crs == "EPSG:4326":
        return x, y
    return Transformer.from_crs(found.crs, "OGC:CRS84", always_xy=True).transform(x, y)


def vectors(longitude: Array, latitude: Array) -> Array:
    """(n, 3), on the unit sphere."""
    east, north = np.deg2rad(np.ravel(longitude)), np.deg2rad(np.ravel(latitude))
    return np.column_stack((np.cos(north) * np.cos(east), np.cos(north) * np.sin(east), np.sin(north)))


def brute(longitude: Array, latitude: Array, at: tuple[Array, Array]) -> tuple[Array, Array]:
    """Flat number of the nearest pixel of all (the last one of several at one place), and the distance to it (metres), by one tree
    over the whole swath."""
    (known,) = np.nonzero(np.isfinite(np.ravel(longitude)) & np.isfinite(np.ravel(latitude)))
    _, last = np.unique(np.column_stack((np.ravel(longitude)[known], np.ravel(latitude)[known]))[::-1], axis=0, return_index=True)
    known = known[len(known) - 1 - last]
    distance, hit = cKDTree(vectors(np.ravel(longitude)[known], np.ravel(latitude)[known])).query(vectors(*at))
    return known[hit].reshape(at[0].shape), (distance * 6_371_000).reshape(at[0].shape)


def equal_share(found: SwathMap, longitude: Array, latitude: Array, expected: Array, nearest: Array) -> float:
    """Of the cells that show a pixel, how many show the very pixel that the tree finds; the others' pixel must be as near, to a
    thousandth of the distance (ties)."""
    at, shown = cells(found), found.index < longitude.size
    other = shown & (found.index != expected)
    chosen = found.index[other]
    *_, apart = EARTH.inv(np.ravel(longitude)[chosen], np.ravel(latitude)[chosen], at[0][other], at[1][other])
    assert np.all(apart <= nearest[other] * 1.001 + 0.05), f"{np.max(apart - nearest[other])} m too far"
    return 1 - float(other.sum() / shown.sum())
