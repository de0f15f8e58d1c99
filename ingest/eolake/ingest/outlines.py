"""Where a raster has data: outlines of its valid pixels, and outlines in longitude and latitude.

The image of a scanner is a tilted, nearly rectangular swath in an upright raster: a straight line is fitted to each of its
four edges. What is no such swath (a coast, scattered tiles) is traced.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from pyproj import CRS, Transformer
from pyproj.exceptions import ProjError
from shapely.geometry.base import BaseGeometry

from eolake.catalog.errors import BadProduct

Points = NDArray[np.float64]
"""(n, 2): x (or column), y (or row)"""

STRAY_PIXELS, STRAY_LENGTH = 0.6, 0.0015
"""Edges whose pixels stray more from a straight line (standard deviation; pixels and share of the edge's length) are
outlined by their hull: gaps of Landsat 7 without its scan line corrector, sawtooth edges of TM. The first is the step of
a pixel, the second the bend of a straight scan in a map projection."""
FULL = 0.9
"""Share of valid pixels in a straight outline; emptier ones are traced."""
TRACED = 512
"""Cells of the longest side when an outline is traced."""
PARTS, CORNERS = 64, 1500
"""Of a traced outline; beyond that it is the hull."""
PIECES = 32
"""Pieces of a straight edge that becomes a curve in longitude and latitude."""
DIGITS = 6
"""Decimal places of a degree: 0.1 m."""
SMOOTH = 1e-5
"""Degrees, about 1 m: corners that change an outline by less are left out."""


def data_outline(valid: NDArray[np.bool_], transform: Affine) -> BaseGeometry | None:
    """The outline of the valid pixels of any raster, in its CRS; None when there are none. `valid`: (rows, columns)."""
    straight = valid_outline(valid, transform, abs(transform.a))
    if straight is None or valid.sum() * abs(transform.determinant) >= FULL * straight.area:
        return straight
    traced = _traced(valid, transform)
    return straight if len(shapely.get_parts(traced)) > PARTS or shapely.get_num_coordinates(traced) > CORNERS else traced


def _traced(valid: NDArray[np.bool_], transform: Affine) -> BaseGeometry:
    """Polygons around the cells that hold a valid pixel, without holes and smoothed by half a cell."""
    from rasterio.features import shapes

    step = max(1, -(-max(valid.shape) // TRACED))
    padded = np.pad(valid, [(0, -valid.shape[0] % step), (0, -valid.shape[1] % step)])
    cells = padded.reshape(padded.shape[0] // step, step, padded.shape[1] // step, step).any(axis=(1, 3))
    found = [shapely.geometry.shape(shape) for shape, _ in shapes(cells.astype(np.uint8), mask=cells)]
    filled = shapely.union_all(shapely.polygons(shapely.get_exterior_ring(found))).simplify(0.5)
    rows, columns = valid.shape
    inside = shapely.intersection(filled, shapely.box(0, 0, columns / step, rows / step))
    coarse = transform @ Affine.scale(step)
    matrix = np.array([[coarse.a, coarse.d], [coarse.b, coarse.e]])
    return shapely.transform(_polygons(inside), lambda cells: cells @ matrix + [coarse.c, coarse.f])


def geographic(outline: BaseGeometry, crs: str, where: str) -> BaseGeometry:
    """An outline in longitude and latitude (EPSG:4326): valid, counter-clockwise, cut at the antimeridian and within the map.

    BadProduct names `where` when it lies nowhere on the Earth."""
    try:
        lonlat = _lonlat(outline, CRS.from_user_input(crs))
    except (ProjError, ValueError, shapely.GEOSException) as error:
        raise BadProduct(f"{where} lies nowhere on the Earth: {error}") from error
    west, _, east, _ = lonlat.bounds
    turns = range(math.floor((west + 180) / 360), math.ceil((east + 180) / 360))
    pieces = [_turned(lonlat.intersection(shapely.box(360 * turn - 180, -90, 360 * turn + 180, 90)), turn) for turn in turns]
    joined = _polygons(shapely.union_all(pieces))
    if joined.is_empty:
        raise BadProduct(f"{where} lies nowhere on the Earth: its outline encloses nothing")
    parts = shapely.get_parts(joined)
    return shapely.orient_polygons(parts[0] if len(parts) == 1 else joined)


def _lonlat(outline: BaseGeometry, crs: CRS) -> BaseGeometry:
    """With continuous longitudes, beyond 180° where it crosses the antimeridian."""
    if crs.is_geographic and crs.to_epsg() is not None:
        return outline
    to_lonlat = Transformer.from_crs(crs, "EPSG:4326", always_xy=True)
    sides = [edge for part in shapely.get_parts(outline) for edge in (part.bounds[2] - part.bounds[0], part.bounds[3] - part.bounds[1])]

    def project(points: Points) -> Points:
        lonlat = np.column_stack(to_lonlat.transform(points[:, 0], points[:, 1]))
        if not np.isfinite(lonlat).all():
            raise ValueError("its corners have no longitude and latitude")
        return np.column_stack([np.unwrap(lonlat[:, 0], period=360), lonlat[:, 1]])

    dense = shapely.segmentize(outline, max(sides) / PIECES)
    rings = [project(np.asarray(part.exterior.coords)) for part in shapely.get_parts(dense)]
    polygons = [_around_the_pole(ring) if abs(ring[-1, 0] - ring[0, 0]) > 180 else shapely.Polygon(ring) for ring in rings]
    first = polygons[0].centroid.x
    near = [_turned(polygon, round((polygon.centroid.x - first) / 360)) for polygon in polygons]
    return _polygons(shapely.make_valid(shapely.union_all(near).simplify(SMOOTH)))


def _around_the_pole(ring: Points) -> shapely.Polygon:
    """A ring that goes once around the Earth encloses a pole: everything between it and that pole."""
    north = ring[:, 1].mean() > 0
    return shapely.box(-180, ring[:, 1].min() if north else -90, 180, 90 if north else ring[:, 1].max())


def _polygons(shape: BaseGeometry) -> BaseGeometry:
    """The polygons of a geometry of any kind."""
    flat = [polygon for part in shapely.get_parts(shape) for polygon in shapely.get_parts(part)]
    found = [polygon for polygon in flat if polygon.geom_type == "Polygon" and polygon.area > 0]
    return found[0] if len(found) == 1 else shapely.MultiPolygon(found)


def _turned[Shape: BaseGeometry](shape: Shape, turns: int) -> Shape:
    """Moved by whole turns of the Earth, rounded to 0.1 m."""
    return shapely.transform(shape, lambda points: np.round(points - [360.0 * turns, 0.0], DIGITS))


def bbox(geometry: BaseGeometry) -> list[float]:
    """West, south, east, north; west > east where the geometry is cut at the antimeridian (RFC 7946)."""
    west, south, east, north = (float(value) for value in geometry.bounds)
    parts = shapely.get_parts(geometry)
    if len(parts) < 2 or west > -180 or east < 180:
        return [west, south, east, north]
    spans = sorted((part.bounds[0], part.bounds[2]) for part in parts)
    gaps, reach = [], spans[0][1]
    for left, right in spans[1:]:
        gaps.append((left - reach, left, reach))
        reach = max(reach, right)
    width, left, right = max(gaps)
    return [float(left), south, float(right), north] if width > 0 else [west, south, east, north]


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


def _corners(shape: tuple[int, ...]) -> list[tuple[int, int]]:
    rows, columns = shape
    return [(0, 0), (columns, 0), (columns, rows), (0, rows)]


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
