"""The maps of a product's geolocations onto the grids of its collection."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import shapely
from affine import Affine
from shapely.geometry.base import BaseGeometry

from eolake.catalog import safe
from eolake.catalog.errors import BadProduct, Rejected
from eolake.catalog.safe.netcdf import Netcdf, open_netcdf
from eolake.catalog.sources import Cartesian, Geolocation, Grid, SwathSource, Ties
from eolake.ingest.sensors.base import Options
from eolake.ingest.sensors.swath import values
from eolake.ingest.sensors.swath.places import Place, path_of
from eolake.ingest.swath import SwathMap, build, interpolate, interpolate_cartesian
from eolake.ingest.swath.target import is_geographic

Array = np.ndarray[Any, Any]
KEPT = 256 << 20
"""Bytes of maps that are kept at the same time; one of OLCI has 120 MB, with bilinear offsets 240."""
DEFAULT = "default"
FARTHEST = 1000
"""Rows or columns between tie points."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """What the maps of one grid share."""

    shape: tuple[int, int]
    transform: Affine


@dataclass(slots=True, kw_only=True)
class Maps:
    """Built when a band asks for one, and kept while there is room. Geolocations of one grid have one frame, for the bands of a
    grid share shape and transform."""

    product: safe.Product
    source: SwathSource
    options: Options
    used: tuple[str, ...]
    """Geolocations of bands that the product has."""
    bilinear: frozenset[str] = frozenset()
    """Those of which a band is interpolated."""
    _kept: dict[str, SwathMap | None] = field(default_factory=dict)
    _frames: dict[str, Frame] = field(default_factory=dict)

    def of(self, geolocation: str) -> SwathMap:
        """The map of one geolocation, on the frame that those of its grid share.

        Raises BadProduct when its coordinates are broken, Rejected when all of its grid lies outside of the clip."""
        grid = self.source.geolocations[geolocation].grid
        frame = self._frame(grid)
        found = self._map(geolocation)
        return _empty(self._shape(geolocation), frame, self._grid(grid).crs) if found is None else _framed(found, frame)

    def of_grid(self, grid: str) -> SwathMap:
        """The map of the first geolocation with that grid."""
        return self.of(self._on(grid)[0])

    def footprint(self) -> BaseGeometry:
        """Of the first geolocation that lies within the clip."""
        for name in self.used or tuple(self.source.geolocations):
            made = self._map(name)
            if made is not None:
                return made.footprint
        raise self._outside()

    def shape(self, geolocation: str) -> tuple[int, int]:
        """Rows and columns of its pixels, by the header alone."""
        return self._shape(geolocation)

    def _outside(self) -> Rejected:
        return Rejected(f"{self.product.name} lies outside of the area that it is clipped to; for another area: --clip … --again")

    def _on(self, grid: str) -> list[str]:
        every = [name for name, geolocation in self.source.geolocations.items() if geolocation.grid == grid]
        return [name for name in every if name in self.used] or every

    def _frame(self, grid: str) -> Frame:
        if grid not in self._frames:
            found = [made for name in self._on(grid) if (made := self._map(name)) is not None]
            if not found:
                raise self._outside()
            self._frames[grid] = _union(found)
        return self._frames[grid]

    def _map(self, name: str) -> SwathMap | None:
        """None when it lies outside of the clip."""
        if name not in self._kept:
            made = self._build(name)
            while self._kept and _bytes(made) + sum(map(_bytes, self._kept.values())) > KEPT:
                self._kept.pop(next(iter(self._kept)))
            self._kept[name] = made
        return self._kept[name]

    def _build(self, name: str) -> SwathMap | None:
        geolocation = self.source.geolocations[name]
        longitude, latitude = coordinates(self.product, geolocation)
        grid, bilinear = self._grid(geolocation.grid), name in self.bilinear
        try:
            return build(longitude, latitude, grid, clip=self.options.clip, bilinear=bilinear)
        except BadProduct as error:
            if self.options.clip is not None and _has_extent(longitude, latitude):
                return None
            raise BadProduct(f"{self.product.path}: {geolocation.longitude} and {geolocation.latitude}: {error}") from error

    def _grid(self, name: str) -> Grid:
        """The declared grid, or that of the options at the same ratio to the default one."""
        declared, given = self.source.grids[name], self.options.grid
        if given is None:
            return declared
        ratio = declared.resolution / self.source.grids.get(DEFAULT, declared).resolution
        return given.model_copy(update={"resolution": given.resolution * ratio})

    def _shape(self, name: str) -> tuple[int, int]:
        geolocation = self.source.geolocations[name]
        text = geolocation.longitude if geolocation.ties is None else _full(geolocation)
        place = Place.of(text)
        with open_netcdf(needed(self.product, place)) as file:
            variable = file.variable(place.variable)
            return values.shape_of(variable, {}, f"{file.path}: {variable.name!r}")


def _has_extent(longitude: Array, latitude: Array) -> bool:
    """Whether the swath has a place at all, so that only the clip can be what it lacks."""
    known = np.isfinite(longitude) & np.isfinite(latitude) & (np.abs(longitude) <= 360) & (np.abs(latitude) <= 90)
    return min(longitude.shape) > 1 and bool((known[1:] & known[:-1]).any() and (known[:, 1:] & known[:, :-1]).any())


def needed(product: safe.Product, place: Place) -> Any:
    """The file of a place; BadProduct when the product lacks it."""
    path = path_of(product, place.file)
    if path is None:
        raise BadProduct(f"{product.path} has no {place.file or 'NetCDF file'}, where {place.variable!r} should lie")
    return path


def _full(geolocation: Geolocation) -> str:
    """Where the shape of an image is told of which only tie points have coordinates."""
    if geolocation.like is not None:
        return geolocation.like
    if isinstance(geolocation.ties, Cartesian):
        return geolocation.ties.x
    raise BadProduct(f"{geolocation.longitude} are tie points: the declaration has to say `like` which variable the image is")


def coordinates(product: safe.Product, geolocation: Geolocation) -> tuple[Array, Array]:
    """Longitude and latitude of every pixel in degrees, NaN where there are none."""
    longitude, latitude = decoded(product, geolocation.longitude), decoded(product, geolocation.latitude)
    if longitude.shape != latitude.shape:
        one, other = geolocation.longitude, geolocation.latitude
        raise BadProduct(f"{product.path}: {one} has {longitude.shape} pixels, {other} {latitude.shape}; they must be alike")
    if geolocation.ties is None:
        return longitude, latitude
    place = Place.of(_full(geolocation))
    with open_netcdf(needed(product, place)) as file:
        shape = values.shape_of(file.variable(place.variable), {}, f"{file.path}: {place.variable!r}")
    first, second = (spaced(product, text, geolocation.ties) for text in (geolocation.longitude, geolocation.latitude))
    return at_pixels(product, longitude, shape, first, circular=True), at_pixels(product, latitude, shape, second)


def decoded(product: safe.Product, text: str, select: Mapping[str, int] | None = None) -> Array:
    """Physical values of a variable, NaN where it has none."""
    place = Place.of(text)
    with open_netcdf(needed(product, place)) as file:
        return values.physical(*values.read(file, place, dict(select or {})))


def spaced(product: safe.Product, text: str, ties: Ties) -> Ties:
    """Tie points with the numbers of rows and columns between them that their file says; BadProduct when it does not."""
    if isinstance(ties, Cartesian) or not any(isinstance(step, str) for step in (ties.rows, ties.columns)):
        return ties
    place = Place.of(text)
    with open_netcdf(needed(product, place)) as file:
        steps = {key: _step(file, step) for key, step in (("rows", ties.rows), ("columns", ties.columns))}
    return ties.model_copy(update=steps)


def _step(file: Netcdf, said: int | str) -> int:
    """`said` itself, or the global attribute of that name."""
    if isinstance(said, int):
        return said
    found = np.ravel(file.attributes.get(said, ()))
    if found.size != 1 or found.dtype.kind not in "iu" or not 1 <= int(found[0]) <= FARTHEST:
        raise BadProduct(f"{file.path}: the global attribute {said!r} does not say how far its tie points are apart (1 to {FARTHEST})")
    return int(found[0])


def at_pixels(product: safe.Product, points: Array, shape: tuple[int, int], ties: Ties, *, circular: bool = False) -> Array:
    """Tie points interpolated to the pixels of an image."""
    if not isinstance(ties, Cartesian):
        return interpolate(points, shape, rows=int(ties.rows), columns=int(ties.columns), circular=circular)
    tie_x, tie_y, x, y = (decoded(product, text) for text in (ties.tie_x, ties.tie_y, ties.x, ties.y))
    found = interpolate_cartesian(points, tie_x, tie_y, x, y, circular=circular)
    if found.shape != shape:
        raise BadProduct(f"{product.path}: {ties.x} has {found.shape} pixels instead of {shape}")
    return found


# --- one frame for all geolocations of a grid ---


def _bytes(made: SwathMap | None) -> int:
    return 0 if made is None else made.index.nbytes + (0 if made.offsets is None else made.offsets.nbytes)


def _turned(made: SwathMap, first: SwathMap) -> Affine:
    """The transform of a map that may begin on the other side of the antimeridian."""
    if not is_geographic(made.crs):
        return made.transform
    return Affine.translation(360.0 * round((first.transform.c - made.transform.c) / 360.0), 0.0) @ made.transform


def _union(found: Iterable[SwathMap]) -> Frame:
    """Around all of them; they lie on one lattice."""
    made = list(found)
    first = made[0]
    if len(made) == 1:
        return Frame(shape=first.shape, transform=first.transform)
    size = first.transform.a
    places = [(_turned(each, first), each.shape) for each in made]
    west, north = min(at.c for at, _ in places), max(at.f for at, _ in places)
    columns = max(round((at.c - west) / size) + shape[1] for at, shape in places)
    rows = max(round((north - at.f) / size) + shape[0] for at, shape in places)
    return Frame(shape=(rows, columns), transform=Affine(size, 0.0, west, 0.0, -size, north))


def _framed(made: SwathMap, frame: Frame) -> SwathMap:
    """The same map on a frame around it."""
    if (made.shape, made.transform) == (frame.shape, frame.transform):
        return made
    size = frame.transform.a
    left = round((made.transform.c - frame.transform.c) / size)
    left += round(-left * size / 360.0) * round(360.0 / size) if is_geographic(made.crs) and abs(left * size) > 180 else 0
    top = round((frame.transform.f - made.transform.f) / size)
    part = (slice(top, top + made.shape[0]), slice(left, left + made.shape[1]))
    index = np.full(frame.shape, made.source_shape[0] * made.source_shape[1], made.index.dtype)
    index[part] = made.index
    offsets = made.offsets
    if offsets is not None:
        wider = np.zeros((2, *frame.shape), offsets.dtype)
        wider[(slice(None), *part)] = offsets
        offsets = wider
    return replace(made, shape=frame.shape, transform=frame.transform, index=index, offsets=offsets)


def _empty(source_shape: tuple[int, int], frame: Frame, crs: str) -> SwathMap:
    """Of a swath that the clip leaves nothing of."""
    index = np.full(frame.shape, source_shape[0] * source_shape[1], np.int64)
    offsets = np.zeros((2, *frame.shape), np.int16)
    nowhere = shapely.Polygon()
    return SwathMap(
        shape=frame.shape, transform=frame.transform, crs=crs, source_shape=source_shape, index=index, footprint=nowhere, offsets=offsets
    )
