"""The footprint of a scene: where it has data.

A Landsat image is a tilted, nearly rectangular swath in an upright raster. Its outline is found from the
pixels: a straight line fitted to each of the four edges. The corners in the angle file (`*_ANG.txt`, OLI only)
lie some 3 km further out, those in the metadata are the raster's; they are for scenes without a valid pixel.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from pyproj import Transformer
from shapely.geometry.base import BaseGeometry

from eolake.catalog import safe
from eolake.catalog.errors import BadProduct

Points = NDArray[np.float64]
"""(n, 2): x (or column), y (or row)"""

ANG_LIMIT = 4 << 20
"""bytes; real ones have 40 to 120 kB"""
STRAY_PIXELS, STRAY_LENGTH = 0.6, 0.0015
"""Edges whose pixels stray more from a straight line (standard deviation; pixels and share of the edge's length) are
outlined by their hull: gaps of Landsat 7 without its scan line corrector, sawtooth edges of TM. The first is the step of
a pixel, the second the bend of a straight scan in a map projection."""


def valid_outline(valid: NDArray[np.bool_], transform: Affine, source_cell: float) -> shapely.Polygon | None:
    """The outline of the valid pixels in the raster's CRS; None when there are none.

    `valid`: (rows, columns). `source_cell`: pixel size in m that the provider made; a raster with larger pixels was
    resampled, and then a pixel at the edge is valid as soon as the image touches it."""
    if valid.all():
        return shapely.Polygon([transform @ corner for corner in _corners(valid.shape)])
    centres = _edge_pixels(valid)
    if len(centres) == 0:
        return None
    hull = _hull(centres)
    shrink = source_cell / abs(transform.a)
    quad = _quadrilateral(centres, touched=shrink < 0.99, source_cells=shrink)
    outline = quad if quad is not None and _alike(quad, hull) else hull
    matrix = np.array([[transform.a, transform.d], [transform.b, transform.e]])
    return shapely.transform(outline, lambda pixels: pixels @ matrix + [transform.c, transform.f])


def angle_outline(path: Path, cell: float) -> shapely.Polygon | None:
    """The corners of the image in an angle file, in the CRS of the product; None for those of TM and ETM+, which have none."""
    text = safe.read_text(path, ANG_LIMIT)
    keys = ("UL_CORNER", "BAND01_L1T_IMAGE_CORNER_LINES", "BAND01_L1T_IMAGE_CORNER_SAMPS")
    corner, lines, samples = (re.search(rf"^\s*{key}\s*=\s*\(([^)]*)\)", text, re.MULTILINE) for key in keys)
    if lines is None or samples is None or corner is None:
        return None
    try:
        x, y = _numbers(corner[1])
        places = zip(_numbers(lines[1]), _numbers(samples[1]), strict=True)
        return _polygon([(x + sample * cell, y - line * cell) for line, sample in places])
    except (ValueError, shapely.GEOSException) as error:
        raise BadProduct(f"{path.name}: the corners of the image are not four points: {error}") from error


def geographic(outline: shapely.Polygon, crs: str) -> BaseGeometry:
    """The outline's corners in longitude and latitude (EPSG:4326), cut at the antimeridian where it crosses it."""
    to_lonlat = Transformer.from_crs(crs, "EPSG:4326", always_xy=True)
    corners = [to_lonlat.transform(x, y) for x, y in outline.exterior.coords[:-1]]
    return from_corners(corners)


def from_corners(corners: Sequence[tuple[float, float]]) -> BaseGeometry:
    """A polygon from (longitude, latitude) corners, counter-clockwise; a MultiPolygon where it crosses 180°."""
    first = (corners[0][0] + 180) % 360 - 180
    unwrapped = [(first + (lon - first + 180) % 360 - 180, lat) for lon, lat in corners]
    whole = _polygon(unwrapped)
    turns = [(turn, whole.intersection(shapely.box(turn - 180, -90, turn + 180, 90))) for turn in (-360, 0, 360)]
    parts = [_turned(part, turn) for turn, part in turns if isinstance(part, shapely.Polygon) and part.area > 0]
    joined: BaseGeometry = parts[0] if len(parts) == 1 else shapely.MultiPolygon(parts)
    return shapely.orient_polygons(joined)


def bbox(geometry: BaseGeometry) -> list[float]:
    """West, south, east, north; west > east where the geometry crosses the antimeridian (RFC 7946)."""
    west, south, east, north = geometry.bounds
    if isinstance(geometry, shapely.MultiPolygon):
        west = min(part.bounds[0] for part in geometry.geoms if part.bounds[2] > 0 and part.bounds[0] > 0)
        east = max(part.bounds[2] for part in geometry.geoms if part.bounds[0] < 0)
    return [west, south, east, north]


def _turned(part: shapely.Polygon, turn: int) -> shapely.Polygon:
    """To the longitudes of the map, rounded to 0.1 m."""
    return shapely.transform(part, lambda lonlat: np.round(lonlat - [turn, 0], 6))


def _corners(shape: tuple[int, ...]) -> list[tuple[int, int]]:
    rows, columns = shape
    return [(0, 0), (columns, 0), (columns, rows), (0, rows)]


def _polygon(corners: Sequence[tuple[float, float]]) -> shapely.Polygon:
    """Of corners in any order; ValueError when they enclose nothing."""
    polygon = shapely.Polygon(corners)
    hull = polygon if polygon.is_valid else shapely.MultiPoint(corners).convex_hull
    if not isinstance(hull, shapely.Polygon) or hull.area == 0 or not np.isfinite(hull.area):
        raise ValueError(f"{list(corners)} enclose nothing")
    return hull


def _numbers(text: str) -> list[float]:
    return [float(part) for part in text.split(",")]


def _edge_pixels(valid: NDArray[np.bool_]) -> Points:
    """Centres (column, row) of the first and last valid pixel of each row and each column."""
    rows, columns = np.flatnonzero(valid.any(axis=1)), np.flatnonzero(valid.any(axis=0))
    inner = valid[rows]
    left, right = inner.argmax(axis=1), valid.shape[1] - 1 - inner[:, ::-1].argmax(axis=1)
    inner = valid[:, columns]
    top, bottom = inner.argmax(axis=0), valid.shape[0] - 1 - inner[::-1].argmax(axis=0)
    sides = [(left, rows), (right, rows), (columns, top), (columns, bottom)]
    return np.concatenate([np.column_stack(side) for side in sides]).astype(np.float64) + 0.5


def _hull(centres: Points) -> shapely.Polygon:
    """The convex hull of whole pixels, without the steps of single pixels."""
    half = np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]])
    hull = shapely.MultiPoint((centres[:, None] + half).reshape(-1, 2)).convex_hull
    simple = hull.simplify(1.0)
    return simple if isinstance(simple, shapely.Polygon) and not simple.is_empty else hull  # type: ignore[return-value]


def _alike(quad: shapely.Polygon, hull: shapely.Polygon) -> bool:
    return bool(quad.is_valid and quad.symmetric_difference(hull).area < 0.02 * hull.area + 2 * hull.length)


def _quadrilateral(centres: Points, *, touched: bool, source_cells: float) -> shapely.Polygon | None:
    """Four straight edges through the edge pixels; None when they are not straight."""
    hull = shapely.MultiPoint(centres).convex_hull
    rectangle = hull.minimum_rotated_rectangle
    if not isinstance(rectangle, shapely.Polygon) or not isinstance(hull, shapely.Polygon):
        return None
    outer = np.asarray(hull.exterior.coords)
    corners = [outer[((outer - corner) ** 2).sum(axis=1).argmin()] for corner in rectangle.exterior.coords[:4]]
    edges = [_edge(centres, a, b) for a, b in zip(corners, [*corners[1:], corners[0]], strict=True)]
    if any(edge is None for edge in edges):
        return None
    inside = outer.mean(axis=0)
    lines = [_shifted(*edge, inside, touched=touched, source_cells=source_cells) for edge in edges if edge is not None]
    try:
        crossings = [_crossing(lines[i - 1], lines[i]) for i in range(4)]
    except np.linalg.LinAlgError:
        return None
    return shapely.Polygon(crossings)


def _edge(centres: Points, start: Points, end: Points) -> tuple[Points, Points] | None:
    """A point and the direction of the straight line through the pixels between two corners; None when they stray from it."""
    along = end - start
    length = float(np.hypot(*along))
    if length < 4:
        return None
    along = along / length
    across = np.array([-along[1], along[0]])
    at, off = (centres - start) @ along, (centres - start) @ across
    # Corners are round in the pixels: they tell nothing about an edge.
    chosen = centres[(at > 0.03 * length) & (at < 0.97 * length) & (np.abs(off) < 0.02 * length + 2)]
    if len(chosen) < 4:
        return None
    middle = chosen.mean(axis=0)
    direction = np.linalg.svd(chosen - middle, full_matrices=False)[2][0]
    stray = (chosen - middle) @ np.array([-direction[1], direction[0]])
    return (middle, direction) if stray.std() < STRAY_PIXELS + STRAY_LENGTH * length else None


def _shifted(middle: Points, direction: Points, inside: Points, *, touched: bool, source_cells: float) -> tuple[Points, Points]:
    """From the centres of the edge pixels to the edge of the image.

    A pixel as the provider made it is valid when its centre lies in the image: the edge is, on average, half a
    pixel further out. A resampled one is valid when the image touches it anywhere: the edge is, on average, half a
    step of the tilted edge (and half an original pixel, itself valid by its centre) further in."""
    outward = np.array([-direction[1], direction[0]])
    if (inside - middle) @ outward > 0:
        outward = -outward
    slope, reach = min(abs(outward)), max(abs(outward))
    distance = -(slope + source_cells) / 2 if touched else reach / 2
    return middle + distance * outward, direction


def _crossing(one: tuple[Points, Points], other: tuple[Points, Points]) -> Any:
    (point, along), (target, across) = one, other
    return point + np.linalg.solve(np.column_stack([along, -across]), target - point)[0] * along
