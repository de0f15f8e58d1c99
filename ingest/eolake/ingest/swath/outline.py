"""The footprint of a swath: EPSG:4326, as GeoJSON wants it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import shapely
from shapely.affinity import translate
from shapely.geometry.base import BaseGeometry

from eolake.catalog.errors import BadProduct
from eolake.ingest.swath.search import NOWHERE, SCALE, Swath

Array = np.ndarray[Any, Any]
PIECES = 24
"""along each side of a swath; straight lines between them are a few metres off the real edge"""
SNAP = 1e-8
"""degrees: a millimetre"""
WORLD = shapely.box(-180.0, -90.0, 180.0, 90.0)


def footprint(swath: Swath) -> BaseGeometry:
    """Around the pixels that have a place, to half a pixel: piece by piece, so that gaps, poles and the antimeridian come out right."""
    rows, columns = (_lines(side) for side in swath.shape)
    missing = np.add.reduceat(np.add.reduceat(swath.points[0] == NOWHERE, rows[:-1], axis=0, dtype=np.int32), columns[:-1], axis=1)
    pixels = np.diff(rows)[:, None] * np.diff(columns)
    corners = _corners(swath.points, rows, columns)
    pieces = []
    for row, column in zip(*np.nonzero(missing < pixels), strict=True):
        ring = corners[:, [row, row, row + 1, row + 1, row], [column, column + 1, column + 1, column, column]]
        if missing[row, column] == 0 and np.isfinite(ring).all():
            pieces.append(_quad(ring))
        else:
            window = (slice(rows[row], rows[row + 1] + 1), slice(columns[column], columns[column + 1] + 1))
            pieces.append(_hull(swath.points[(slice(None), *window)].reshape(3, -1), swath.spacing))
    whole = shapely.union_all(shapely.make_valid(np.array([turned for piece in pieces for turned in _turns(piece)])), grid_size=SNAP)
    return tidy(whole.simplify(swath.spacing / 2))


def clipped(geometry: BaseGeometry, clip: BaseGeometry) -> BaseGeometry:
    """What lies within the clip. BadProduct when nothing does."""
    return tidy(shapely.intersection(geometry, clip))


def tidy(geometry: BaseGeometry) -> BaseGeometry:
    """A valid polygon or multipolygon, counter-clockwise."""
    parts = [part for part in shapely.get_parts(shapely.make_valid(geometry)) if part.geom_type == "Polygon" and part.area > 0]
    if not parts:
        raise BadProduct("no pixel of the swath lies within the clip: nothing to convert")
    ordered = [shapely.geometry.polygon.orient(part) for part in parts]
    return ordered[0] if len(ordered) == 1 else shapely.MultiPolygon(ordered)


def _lines(side: int) -> Array:
    return np.unique(np.linspace(0, side, min(PIECES, math.ceil(side / 2)) + 1).astype(int))


def _corners(points: Array, rows: Array, columns: Array) -> Array:
    """Where the lines between pieces cross: half a pixel before the lines' pixels, on the far sides half a pixel after the last one. NaN
    where one of the four pixels around has no place."""
    row, column = (np.clip(lines - 1, 0, side - 2) for lines, side in zip((rows, columns), points.shape[1:], strict=True))
    down, right = (rows - 0.5 - row)[:, None], columns - 0.5 - column
    around = [points[:, row[:, None] + below, column + beside].astype(np.float64) for below in (0, 1) for beside in (0, 1)]
    for corner in around:
        corner[corner == NOWHERE] = np.nan
    top, bottom = (near * (1 - right) + far * right for near, far in (around[:2], around[2:]))
    corners: Array = top * (1 - down) + bottom * down
    return corners


def _degrees(points: Array) -> tuple[Array, Array]:
    """Longitudes that go on without a jump, and latitudes."""
    x, y, z = points
    return np.unwrap(np.degrees(np.arctan2(y, x)), period=360.0), np.degrees(np.arctan2(z, np.hypot(x, y)))


def _quad(ring: Array) -> BaseGeometry:
    longitude, latitude = _degrees(ring)
    if abs(longitude[-1] - longitude[0]) > 180.0:  # around a pole
        pole = math.copysign(90.0, latitude.mean())
        longitude, latitude = np.append(longitude, longitude[[-1, 0]]), np.append(latitude, [pole, pole])
    return shapely.Polygon(np.column_stack([longitude, latitude]))


def _hull(points: Array, spacing: float) -> BaseGeometry:
    longitude, latitude = _degrees(points[:, points[0] != NOWHERE] / SCALE)
    near = (longitude - longitude[0] + 180.0) % 360.0 - 180.0 + longitude[0]
    stretch = 1 / max(math.cos(math.radians(float(np.abs(latitude).max()))), 1e-3)
    hull = shapely.MultiPoint(np.column_stack([near / stretch, latitude])).convex_hull.buffer(spacing / 2, join_style="mitre")
    return shapely.transform(hull, lambda places: np.column_stack([places[:, 0] * stretch, np.clip(places[:, 1], -90.0, 90.0)]))


def _turns(piece: BaseGeometry) -> list[BaseGeometry]:
    """Those of its copies, whole turns apart, that lie in the world."""
    west, _, east, _ = piece.bounds
    turns = range(math.floor((west + 180.0) / 360.0), math.floor((east + 180.0) / 360.0) + 1)
    copies = [translate(piece, -360.0 * turn) for turn in turns]
    return [shapely.make_valid(copy).intersection(WORLD) if len(copies) > 1 else copy for copy in copies]
