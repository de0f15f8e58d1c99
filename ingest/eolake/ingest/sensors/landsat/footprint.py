"""The footprint of a scene: where it has data.

A Landsat image is a tilted, nearly rectangular swath in an upright raster. Its outline is found from the
pixels: a straight line fitted to each of the four edges. The corners in the angle file (`*_ANG.txt`, OLI only)
lie some 3 km further out, those in the metadata are the raster's; they are for scenes without a valid pixel.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import shapely
from pyproj import Transformer
from shapely.geometry.base import BaseGeometry

from eolake.catalog import safe
from eolake.catalog.errors import BadProduct
from eolake.ingest.outlines import valid_outline

__all__ = ["angle_outline", "bbox", "from_corners", "geographic", "valid_outline"]

ANG_LIMIT = 4 << 20
"""bytes; real ones have 40 to 120 kB"""


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


def _polygon(corners: Sequence[tuple[float, float]]) -> shapely.Polygon:
    """Of corners in any order; ValueError when they enclose nothing."""
    polygon = shapely.Polygon(corners)
    hull = polygon if polygon.is_valid else shapely.MultiPoint(corners).convex_hull
    if not isinstance(hull, shapely.Polygon) or hull.area == 0 or not np.isfinite(hull.area):
        raise ValueError(f"{list(corners)} enclose nothing")
    return hull


def _numbers(text: str) -> list[float]:
    return [float(part) for part in text.split(",")]
