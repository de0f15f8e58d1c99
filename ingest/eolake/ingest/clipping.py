"""Clips drafts on a grid to an area: windows of the bands, nodata outside of the polygons, the geometry that remains.

The window is what the pixels of the coarsest band need to cover the area; finer bands take the same ground. A pixel is kept when
its centre lies in the area. Integers without nodata (flags, masks) have no value that says "nothing here", and any other would be a wrong
class: such a band is cut to the window and keeps what the product has for every pixel in it. Floats without nodata get NaN.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pystac
import shapely
from affine import Affine
from pyproj import CRS, Transformer
from shapely.geometry.base import BaseGeometry

from eolake.catalog import declaration
from eolake.catalog.declaration import declared
from eolake.catalog.draft import Draft, Frame, Pixels
from eolake.catalog.errors import Rejected
from eolake.ingest.sensors.base import CLIP, UNCHECKED, Options

NEAR = 1e-6
"""Pixels; edges that lie so close are one."""
STEP = 0.02
"""Degrees; an edge of the area, straight in longitude and latitude, is followed on a map projection in steps of 2 km."""
SIDE = 64
"""Points along each edge of a raster when its place on the Earth is looked up."""
MARGIN = 0.1
"""Degrees kept around a raster when the area is cut to it before it is projected."""
DIGITS = 6
"""Decimal places of a degree: 0.1 m."""
OF_THE_WHOLE = ("proj:bbox", "proj:geometry", "proj:shape", "proj:transform")

Slices = tuple[slice, slice]
Points = np.ndarray[Any, Any]
"""(n, 2): x, y"""


def finished(draft: Draft, options: Options) -> Draft:
    """The draft as it was ordered: clipped, unless its sensor did so, and with a word when its manifest was not checked.

    Rejected when it lies outside of the area."""
    if options.clip is not None and CLIP not in draft.item.properties:
        draft = clip(draft, options.clip)
    if not options.checked:
        draft = replace(draft, item=_with(draft.item, properties={UNCHECKED: True}))
    return draft


def clip(draft: Draft, area: Mapping[str, Any]) -> Draft:
    """The part of a draft within `area` (GeoJSON polygons, EPSG:4326, cut at the antimeridian).

    Bands are still read one at a time, each cut when it is read. Raises Rejected when nothing of it lies within."""
    shape = shapely.make_valid(shapely.geometry.shape(dict(area)))
    remains = _remains(draft.item, shape)
    collection = declared(draft.item.collection_id or "")
    windows = _windows(draft, collection, shape)
    bands = {
        name: replace(band, read=partial(_read, band.read, collection.band(name), windows[collection.band(name).grid]), frame=None)
        for name, band in draft.bands.items()
    }
    return replace(draft, item=_clipped(draft.item, remains, area), bands=bands)


# --- the item ---


def _remains(item: pystac.Item, area: BaseGeometry) -> BaseGeometry:
    """Footprint and area in common: valid, counter-clockwise."""
    footprint = shapely.make_valid(shapely.geometry.shape(dict(item.geometry or {})))
    common = shapely.set_precision(shapely.intersection(footprint, area), 10.0**-DIGITS)
    parts = list(_polygons(common))
    if not parts:
        raise _outside(item.id)
    return shapely.orient_polygons(parts[0] if len(parts) == 1 else shapely.MultiPolygon(parts))


def _polygons(shape: BaseGeometry) -> Iterator[shapely.Polygon]:
    for part in shapely.get_parts(shape):
        if isinstance(part, shapely.Polygon):
            if part.area > 0:
                yield part
        elif part.geom_type.startswith(("Multi", "Geometry")):
            yield from _polygons(part)


def _clipped(item: pystac.Item, geometry: BaseGeometry, area: Mapping[str, Any]) -> pystac.Item:
    properties = {key: value for key, value in item.properties.items() if key not in OF_THE_WHOLE}
    if "proj:centroid" in properties:
        centre = _unwrapped(geometry).centroid
        properties["proj:centroid"] = {"lat": round(centre.y, 5), "lon": round((centre.x + 180) % 360 - 180, 5)}
    changed = _with(item, geometry=shapely.geometry.mapping(geometry), bbox=_bbox(geometry))
    changed.properties = {**properties, CLIP: area}
    return changed


def _with(item: pystac.Item, *, properties: Mapping[str, Any] | None = None, **fields: Any) -> pystac.Item:
    """A copy with other fields, and with further properties."""
    copy = item.clone()
    for name, value in fields.items():
        setattr(copy, name, value)
    copy.properties = {**item.properties, **(properties or {})}
    return copy


def _unwrapped(geometry: BaseGeometry) -> BaseGeometry:
    """In one piece, with longitudes beyond 180°, where it touches the antimeridian from both sides."""
    west, _, east, _ = geometry.bounds
    if (west, east) != (-180, 180):
        return geometry
    parts = [shapely.affinity.translate(part, 360) if part.bounds[2] < 0 else part for part in shapely.get_parts(geometry)]
    return shapely.union_all(parts)


def _bbox(geometry: BaseGeometry) -> list[float]:
    """West, south, east, north; west > east where it crosses the antimeridian (RFC 7946)."""
    west, south, east, north = _unwrapped(geometry).bounds
    return [west, south, east - 360 if east > 180 else east, north]


def _outside(name: str) -> Rejected:
    return Rejected(f"{name} lies outside of the area that it is clipped to; for another area: --clip … --again")


# --- the bands ---


@dataclass(frozen=True, slots=True, kw_only=True)
class _Window:
    """What remains of the bands of one grid."""

    frame: Frame
    """Of the whole."""
    slices: Slices
    outside: np.ndarray[Any, Any] | None
    """(rows, columns) of the window; True for pixels whose centre lies outside of the area. None: for no pixel."""

    @property
    def transform(self) -> Affine:
        rows, columns = self.slices
        return self.frame.transform @ Affine.translation(columns.start, rows.start)


def _windows(draft: Draft, collection: declaration.Collection, area: BaseGeometry) -> dict[str, _Window]:
    """By grid name; Rejected when no pixel of any grid lies within."""
    frames: dict[str, Frame] = {}
    for name, band in draft.bands.items():
        grid = collection.band(name).grid
        if grid not in frames:
            frames[grid] = band.frame() if band.frame is not None else _frame(band.read)
    coarsest = max(frames.values(), key=lambda frame: abs(frame.transform.determinant), default=None)
    ground = None if coarsest is None else _ground(coarsest, area)
    if ground is None:
        raise _outside(draft.item.id)
    found = {grid: _window(frame, area, ground) for grid, frame in frames.items()}
    windows = {grid: window for grid, window in found.items() if window is not None}
    if len(windows) < len(frames) or all(window.outside is not None and window.outside.all() for window in windows.values()):
        raise _outside(draft.item.id)
    return windows


def _frame(read: Callable[[], Pixels]) -> Frame:
    """Of a band that does not tell before it is decoded."""
    pixels = read()
    rows, columns = pixels.data.shape
    return Frame(shape=(rows, columns), transform=pixels.transform, crs=pixels.crs)


def _ground(frame: Frame, area: BaseGeometry) -> BaseGeometry | None:
    """The ground of the frame's pixels that the area touches, in its CRS; None when it touches none."""
    slices = _slices(frame, projected(area, frame))
    if slices is None:
        return None
    rows, columns = slices
    corners = [(column, row) for column in (columns.start, columns.stop) for row in (rows.start, rows.stop)]
    return shapely.MultiPoint([frame.transform @ corner for corner in corners]).convex_hull


def _slices(frame: Frame, shape: BaseGeometry) -> Slices | None:
    """The pixels of a frame that hold a shape in its CRS."""
    if shape.is_empty:
        return None
    left, top, right, bottom = shapely.transform(shape, partial(_times, ~frame.transform)).bounds
    rows = slice(max(0, math.floor(top + NEAR)), min(frame.shape[0], math.ceil(bottom - NEAR)))
    columns = slice(max(0, math.floor(left + NEAR)), min(frame.shape[1], math.ceil(right - NEAR)))
    return (rows, columns) if rows.start < rows.stop and columns.start < columns.stop else None


def _times(transform: Affine, points: Points) -> Points:
    x, y = points[:, 0], points[:, 1]
    return np.column_stack([transform.a * x + transform.b * y + transform.c, transform.d * x + transform.e * y + transform.f])


def _window(frame: Frame, area: BaseGeometry, ground: BaseGeometry) -> _Window | None:
    slices = _slices(frame, ground)
    if slices is None:
        return None
    rows, columns = slices
    shape = (rows.stop - rows.start, columns.stop - columns.start)
    part = Frame(shape=shape, transform=frame.transform @ Affine.translation(columns.start, rows.start), crs=frame.crs)
    return _Window(frame=frame, slices=slices, outside=_outside_of(projected(area, frame), part))


def _outside_of(shape: BaseGeometry, frame: Frame) -> np.ndarray[Any, Any] | None:
    """True where a pixel's centre lies outside of the shape; None when the shape holds all of the frame."""
    from rasterio.features import geometry_mask

    whole = shapely.Polygon([frame.transform @ corner for corner in ((0, 0), (0, frame.shape[0]), frame.shape[::-1], (frame.shape[1], 0))])
    if shape.covers(whole):
        return None
    mask: np.ndarray[Any, Any] = geometry_mask([shape], frame.shape, frame.transform)
    return mask


def projected(area: BaseGeometry, frame: Frame) -> BaseGeometry:
    """The part of the area (longitude, latitude) that is near a raster, in its CRS; empty when there is none.

    Longitudes are those of the raster: one that crosses the antimeridian has them beyond 180°, others count from 0 to 360."""
    crs = CRS.from_user_input(frame.crs)
    to_map = Transformer.from_crs("EPSG:4326", crs, always_xy=True)
    near = _turned(area, _surroundings(frame, crs, to_map))
    if near.is_empty:
        return near

    def project(points: Points) -> Points:
        x, y = to_map.transform(points[:, 0], points[:, 1])
        turns = np.round((points[:, 0] - x) / 360) * 360 if crs.is_geographic else 0
        return np.column_stack([x + turns, y])

    return shapely.make_valid(shapely.transform(near if crs.is_geographic else shapely.segmentize(near, STEP), project))


def _surroundings(frame: Frame, crs: CRS, to_map: Transformer) -> BaseGeometry:
    """A box in longitude and latitude, with continuous longitudes, that holds a raster."""
    outline = _outline(frame)
    if not crs.is_geographic:
        outline = np.column_stack(to_map.transform(outline[:, 0], outline[:, 1], direction="INVERSE"))
        outline = outline[np.isfinite(outline).all(axis=1)]
        if not len(outline):
            return shapely.Polygon()
        outline[:, 0] = np.unwrap(outline[:, 0], period=360)
    (west, south), (east, north) = outline.min(axis=0) - MARGIN, outline.max(axis=0) + MARGIN
    if not crs.is_geographic and (poles := _poles(frame, to_map)):
        south, north, west, east = min(south, *poles), max(north, *poles), -180, 180
    box: BaseGeometry = shapely.box(west, south, east, north)
    return box


def _outline(frame: Frame) -> Points:
    """Points along the edge of a raster, in its CRS."""
    rows, columns = frame.shape
    along = np.linspace(0, 1, SIDE)
    edge = np.concatenate(
        [
            np.column_stack([along * columns, np.zeros(SIDE)]),
            np.column_stack([np.full(SIDE, columns), along * rows]),
            np.column_stack([along[::-1] * columns, np.full(SIDE, rows)]),
            np.column_stack([np.zeros(SIDE), along[::-1] * rows]),
        ]
    )
    return _times(frame.transform, edge)


def _poles(frame: Frame, to_map: Transformer) -> list[float]:
    """The latitudes of the poles that lie in the raster, which then has all longitudes."""
    found = []
    for latitude in (90.0, -90.0):
        x, y = to_map.transform(0.0, latitude)
        if math.isfinite(x) and math.isfinite(y):
            column, row = ~frame.transform @ (x, y)
            if 0 <= column <= frame.shape[1] and 0 <= row <= frame.shape[0]:
                found.append(latitude)
    return found


def _turned(area: BaseGeometry, near: BaseGeometry) -> BaseGeometry:
    """The part of the area in `near`, whose longitudes may lie beyond ±180°."""
    turns = [shapely.intersection(shapely.affinity.translate(area, turn), near) for turn in (-360.0, 0.0, 360.0)]
    parts = [part for turn in turns for part in _polygons(turn)]
    union: BaseGeometry = shapely.union_all(parts) if parts else shapely.Polygon()
    return union


def _read(read: Callable[[], Pixels], band: declaration.Band, window: _Window) -> Pixels:
    """One band, cut; the whole one is let go."""
    pixels = read()
    data = pixels.data[window.slices].copy()
    nothing = math.nan if band.nodata is None and data.dtype.kind == "f" else band.nodata
    if nothing is not None and window.outside is not None:
        data[window.outside] = nothing
    return replace(pixels, data=data, transform=window.transform)
