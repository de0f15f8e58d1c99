"""Where a tile has data, in longitude and latitude."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import Transformer
from shapely.geometry.base import BaseGeometry
from shapely.geometry.polygon import orient

from eolake.catalog.errors import BadProduct

DIGITS = 6
"""Decimal places of a degree: 0.1 m."""
SEGMENT = 10_000.0
"""m; a straight edge in UTM is a curve in longitude and latitude: pieces of this length keep it within 2 m."""
TOLERANCE = 0.0003
"""Degrees, 30 m: smooths the steps in outlines that were traced from a raster (2,500 corners for one slanted edge)."""
LARGEST = 100.0
"""Square degrees; tiles have 1 to 8. More means that the outline encloses the wrong side of the Earth."""


def from_positions(text: str, where: str) -> BaseGeometry:
    """The polygon in `EXT_POS_LIST`: latitude and longitude by turns, in some products each followed by a height of 0.

    One polygon with continuous longitudes (beyond ±180° when it crosses the antimeridian)."""
    try:
        words = text.split()
        values = [float(word) for word in words]
    except ValueError as error:
        raise BadProduct(f"{where} is not a list of positions: {error}") from None
    if len(words) >= 9 and all(word == "0" for word in words[2::3]):
        values = [value for index, value in enumerate(values) if index % 3 != 2]
    if len(values) < 8 or len(values) % 2:
        raise BadProduct(f"{where} is not a closed ring of positions ({len(words)} numbers)")
    lonlat = np.array(values).reshape(-1, 2)[:, ::-1]
    return valid(shapely.Polygon(unwrapped(_on_earth(lonlat, where))), where)


def from_projected(outline: dict[str, Any], crs: str, where: str) -> BaseGeometry:
    """A GeoJSON polygon in the CRS of the tile, as `from_positions`."""
    try:
        shape = valid(shapely.geometry.shape(outline), where)
    except (ValueError, TypeError, AttributeError, KeyError, IndexError, shapely.errors.ShapelyError) as error:
        raise BadProduct(f"{where} is not a GeoJSON polygon: {error}") from None
    to_lonlat = Transformer.from_crs(crs, "EPSG:4326", always_xy=True)

    def project(points: NDArray[np.float64]) -> NDArray[np.float64]:
        lonlat = np.column_stack(to_lonlat.transform(points[:, 0], points[:, 1]))
        return unwrapped(_on_earth(lonlat, where))

    return valid(shapely.transform(shapely.segmentize(shape, SEGMENT), project).simplify(TOLERANCE), where)


def frame(bounds: tuple[float, float, float, float], crs: str) -> BaseGeometry:
    """The whole tile; `bounds`: left, bottom, right, top in the CRS of the tile."""
    return from_projected(shapely.geometry.mapping(shapely.box(*bounds)), crs, "the frame of the tile")


def within(footprint: BaseGeometry, tile: BaseGeometry, where: str) -> BaseGeometry:
    """The part of a footprint of several tiles that lies in one of them."""
    turns = round((tile.centroid.x - footprint.centroid.x) / 360)
    return valid(_turned(footprint, turns).intersection(tile), where)


def _on_earth(lonlat: NDArray[np.float64], where: str) -> NDArray[np.float64]:
    """Rounded; BadProduct for what is no longitude and latitude."""
    if not (np.abs(lonlat) <= [360, 90]).all():  # false for NaN
        raise BadProduct(f"{where} leaves the Earth")
    return np.round(lonlat, DIGITS)


def unwrapped(lonlat: NDArray[np.float64]) -> NDArray[np.float64]:
    """Continuous longitudes: each within 180° of the first."""
    longitude = lonlat[:, 0]
    turns = np.round((longitude[0] - longitude) / 360)
    return np.column_stack([longitude + 360 * turns, lonlat[:, 1]])


def valid(shape: BaseGeometry, where: str) -> BaseGeometry:
    """A valid polygon or multipolygon without repeated points; BadProduct when nothing with an area is left."""
    repaired = shape if shape.is_valid else shapely.make_valid(shape)
    parts = [part for part in shapely.get_parts(_collected(repaired)) if part.area > 0]
    if not parts:
        raise BadProduct(f"{where} encloses nothing")
    joined: BaseGeometry = parts[0] if len(parts) == 1 else shapely.MultiPolygon(parts)
    return shapely.remove_repeated_points(joined)


def _collected(shape: BaseGeometry) -> BaseGeometry:
    """The polygons of a geometry of any kind."""
    parts = [part for part in shapely.get_parts(shape) if part.geom_type in {"Polygon", "MultiPolygon"}]
    return shapely.MultiPolygon([polygon for part in parts for polygon in shapely.get_parts(part)])


def on_map(shape: BaseGeometry, where: str) -> BaseGeometry:
    """Cut at the antimeridian, longitudes within ±180°, rings counter-clockwise; BadProduct when far too large."""
    if shape.area > LARGEST:
        raise BadProduct(f"{where} covers {shape.area:.0f} square degrees, far more than a tile")
    turns = range(math.floor((shape.bounds[0] + 180) / 360), math.ceil((shape.bounds[2] + 180) / 360))
    pieces: list[shapely.Polygon] = []
    for turn in turns:
        piece = shape.intersection(shapely.box(360 * turn - 180, -90, 360 * turn + 180, 90)) if len(turns) > 1 else shape
        polygons = [part for part in shapely.get_parts(_collected(piece)) if part.area > 0]
        pieces += [orient(_turned(part, -turn)) for part in polygons]
    return pieces[0] if len(pieces) == 1 else shapely.MultiPolygon(pieces)


def _turned[Shape: BaseGeometry](shape: Shape, turns: int) -> Shape:
    """Moved by whole turns of the Earth; what does not move stays as it is to the last bit."""
    if turns == 0:
        return shape
    shift = np.array([360.0 * turns, 0.0])
    return shapely.transform(shape, lambda points: np.round(points + shift, DIGITS))


def bbox(shape: BaseGeometry) -> list[float]:
    """West, south, east, north of a continuous shape; west > east where it crosses the antimeridian (RFC 7946)."""
    west, south, east, north = shape.bounds
    return [_wrapped(west, upper=False), south, _wrapped(east, upper=True), north]


def centroid(shape: BaseGeometry) -> dict[str, float]:
    """`proj:centroid` of a continuous shape."""
    return {"lat": round(shape.centroid.y, 5), "lon": round(_wrapped(shape.centroid.x, upper=False), 5)}


def _wrapped(longitude: float, *, upper: bool) -> float:
    """Within ±180°; an eastern bound of exactly 180° stays."""
    if -180 <= longitude < 180 or (upper and longitude == 180):
        return longitude
    return round((longitude + 180) % 360 - 180, DIGITS)
