"""The footprint of a swath: EPSG:4326, as GeoJSON wants it."""

from __future__ import annotations

from typing import Any

import numpy as np
import shapely
from shapely.affinity import translate
from shapely.geometry.base import BaseGeometry

from eolake.catalog.errors import BadProduct
from eolake.ingest.swath.search import SCALE, Swath

Array = np.ndarray[Any, Any]


def footprint(swath: Swath) -> BaseGeometry:
    """Around the pixels that have a place."""
    pieces = []
    for top, bottom, left, right in swath.corners:
        block = swath.points[:, top : bottom + 1, left : right + 1].reshape(3, -1)
        x, y, z = block[:, swath.known[top : bottom + 1, left : right + 1].ravel()] / SCALE
        longitude, latitude = np.degrees(np.arctan2(y, x)), np.degrees(np.arctan2(z, np.hypot(x, y)))
        near = (longitude - longitude[0] + 180.0) % 360.0 - 180.0 + longitude[0]
        pieces.append(shapely.MultiPoint(np.column_stack([near, latitude])).convex_hull.buffer(swath.spacing / 2, quad_segs=1))
    whole = shapely.union_all([turned for piece in pieces for turned in _turns(piece)])
    return tidy(whole.simplify(swath.spacing))


def _turns(piece: BaseGeometry) -> list[BaseGeometry]:
    world = shapely.box(-180.0, -90.0, 180.0, 90.0)
    return [translate(piece, turn).intersection(world) for turn in (-360.0, 0.0, 360.0)]


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
