"""The lattice of a CF variable: one-dimensional, regular coordinates of cell centres, made a raster with north up.

Rows that ascend are turned over. Longitudes around the whole Earth begin at -180, wherever the file begins; of a region beyond
180° all columns are moved there, and one that crosses 180° goes on beyond it, as maps of swaths do.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from pyproj import CRS
from pyproj.exceptions import CRSError

from eolake.catalog.errors import BadProduct
from eolake.catalog.safe.netcdf import Netcdf, Variable
from eolake.catalog.safe.raster import crs_name
from eolake.catalog.sources import GridSource

Kind = Literal["x", "y", "time"]
Values = NDArray[np.float64]

AXES: Mapping[Kind, str] = {"x": "X", "y": "Y", "time": "T"}
STANDARD_NAMES: Mapping[Kind, frozenset[str]] = {
    "x": frozenset({"longitude", "projection_x_coordinate", "grid_longitude", "projection_x_angular_coordinate"}),
    "y": frozenset({"latitude", "projection_y_coordinate", "grid_latitude", "projection_y_angular_coordinate"}),
    "time": frozenset({"time"}),
}
DEGREES: Mapping[str, frozenset[str]] = {
    "x": frozenset({"degrees_east", "degree_east", "degree_e", "degrees_e", "degreee", "degreese"}),
    "y": frozenset({"degrees_north", "degree_north", "degree_n", "degrees_n", "degreen", "degreesn"}),
}
METRES: Mapping[str, float] = {"m": 1.0, "meter": 1.0, "metre": 1.0, "meters": 1.0, "metres": 1.0, "km": 1000.0, "kilometre": 1000.0}
IRREGULAR = 0.05
"""Cells; how far a coordinate may lie from where a regular lattice has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Coordinate:
    """A coordinate variable and the dimension that it runs along."""

    variable: Variable
    dimension: str

    @property
    def units(self) -> str:
        """'' when it has none."""
        return str(self.variable.attributes.get("units", ""))

    def values(self) -> Values:
        """Decoded; BadProduct when one is missing or no number."""
        counts = self.variable.read().astype(np.float64)
        found: Values = counts * self.variable.scale + self.variable.offset
        if (
            found.ndim != 1
            or not np.isfinite(found).all()
            or (self.variable.fill is not None and bool((counts == self.variable.fill).any()))
        ):
            raise BadProduct(f"the coordinate {self.variable.name!r} has missing values, or more than one dimension")
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Lattice:
    """How the counts of a variable become rows and columns."""

    y: str
    x: str
    """Dimensions."""
    shape: tuple[int, int]
    transform: Affine
    crs: str
    down: bool
    """Rows descend in the file already."""
    right: bool
    """Columns ascend in the file already."""
    roll: int
    """Columns that go from the left to the right end, in ascending order."""

    def raster(self, counts: NDArray[Any]) -> NDArray[Any]:
        """Rows from the north, columns from the west; `counts`: (y, x) as in the file."""
        turned = counts[:: 1 if self.down else -1, :: 1 if self.right else -1]
        return np.ascontiguousarray(np.roll(turned, -self.roll, axis=1) if self.roll else turned)


def coordinate(file: Netcdf, variable: Variable, kind: Kind, source: GridSource) -> Coordinate | None:
    """A variable's coordinate of that kind: the declared one, else the one that CF makes it by axis, standard_name or units."""
    named = getattr(source, kind)
    if named is not None:
        found = file.variable(named)
        dimension = found.dimensions[0] if found.dimensions else ""
        return Coordinate(variable=found, dimension=dimension) if dimension in variable.dimensions else None
    along = [(name, _nearby(file, variable, name)) for name in variable.dimensions]
    candidates = [Coordinate(variable=near, dimension=name) for name, near in along if near is not None]
    return next((found for found in candidates if _is(found, kind)), None)


def _nearby(file: Netcdf, variable: Variable, name: str) -> Variable | None:
    """The variable of that name in the same group or above."""
    group = variable.name.rpartition("/")[0]
    while group:
        if f"{group}/{name}" in file.variables:
            return file.variables[f"{group}/{name}"]
        group = group.rpartition("/")[0]
    return file.variables.get(name)


def _is(found: Coordinate, kind: Kind) -> bool:
    said = found.variable.attributes
    by_units = " since " in found.units if kind == "time" else found.units.lower() in DEGREES[kind]
    return said.get("axis") == AXES[kind] or str(said.get("standard_name", "")) in STANDARD_NAMES[kind] or by_units


def lattice(file: Netcdf, variable: Variable, source: GridSource) -> Lattice:
    """BadProduct when the variable lies on no regular lattice, or nothing says where."""
    where = f"{file.path}: {variable.name!r}"
    x, y = coordinate(file, variable, "x", source), coordinate(file, variable, "y", source)
    if x is None or y is None:
        raise BadProduct(
            f"{where} has no coordinate {'x' if x is None else 'y'} by axis, standard_name or units among its dimensions "
            f"({', '.join(variable.dimensions)}); name it in the collection's source, or declare it as a swath"
        )
    mapping = _mapping(file, variable)
    factor, crs = _reference(x, mapping, source, where)
    columns, rows = (_steps(axis, factor, where) for axis in (x, y))
    left, roll = _begin(columns, geographic=CRS.from_user_input(crs).is_geographic)
    size = columns.size, rows.size
    top = max(rows.first, rows.last) + size[1] / 2
    return Lattice(
        y=y.dimension,
        x=x.dimension,
        shape=(rows.count, columns.count),
        transform=Affine(size[0], 0.0, left, 0.0, -size[1], top),
        crs=crs,
        down=rows.last < rows.first,
        right=columns.last > columns.first,
        roll=roll,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Steps:
    """Of regular cell centres."""

    first: float
    last: float
    count: int

    @property
    def size(self) -> float:
        size = abs(self.last - self.first) / (self.count - 1)
        return _tidy(size, 1e-9 * size)


def _steps(axis: Coordinate, factor: float, where: str) -> _Steps:
    values = axis.values() * factor
    name = axis.variable.name
    if values.size < 2:
        raise BadProduct(f"{where} has one cell along {name!r}: its size is not known")
    first, last = float(values[0]), float(values[-1])
    size = abs(last - first) / (values.size - 1)
    astray = np.abs(values - np.linspace(first, last, values.size)).max()
    precision = 0.0 if axis.variable.dtype.itemsize > 4 else 2 * float(np.spacing(np.float32(np.abs(values).max())))
    if not size or astray > IRREGULAR * size + precision:
        raise BadProduct(f"{where}: the coordinate {name!r} is not regular: cells lie up to {astray:g} beside a lattice of {size:g}")
    slack = max(precision, abs(last) * 1e-9)
    return _Steps(first=_tidy(first, slack), last=_tidy(last, slack), count=values.size)


def _tidy(value: float, slack: float) -> float:
    """The shortest decimal within `slack`: 0.05 for 0.05000000074505806."""
    return next((found for digits in range(13) if abs((found := round(value, digits)) - value) <= slack), value)


def _begin(columns: _Steps, *, geographic: bool) -> tuple[float, int]:
    """The left edge, and how many columns go to the other end."""
    size, west, east = columns.size, min(columns.first, columns.last), max(columns.first, columns.last)
    left = west - size / 2
    if not geographic:
        return left, 0
    if abs(columns.count * size - 360) < size / 2:
        centres = west + size * np.arange(columns.count)
        turned = (centres + 180 + 1e-9 * size) % 360 - 180
        roll = int(turned.argmin())
        return _tidy(float(turned[roll]), 1e-8 * size) - size / 2, roll
    turns = math.floor((west + 180) / 360) if west >= 180 or east < -180 else 0
    return left - 360 * turns, 0


def _mapping(file: Netcdf, variable: Variable) -> Mapping[str, Any] | None:
    """The attributes of the grid mapping; None when there is none."""
    name = variable.attributes.get("grid_mapping")
    if not isinstance(name, str) or not name.strip():
        return None
    found = _nearby(file, variable, name.split()[0].rstrip(":"))
    if found is None:
        raise BadProduct(f"{file.path}: {variable.name!r} has the grid mapping {name!r}, which the file lacks")
    return found.attributes


def _reference(x: Coordinate, mapping: Mapping[str, Any] | None, source: GridSource, where: str) -> tuple[float, str]:
    """What coordinates are multiplied with, and the CRS that they are then in."""
    units = x.units.lower()
    factor = METRES.get(units, 1.0)
    if mapping is not None and units.startswith("rad") and "perspective_point_height" in mapping:
        factor = float(mapping["perspective_point_height"])  # scan angles of a geostationary satellite
    if source.crs is not None:
        return factor, source.crs
    if mapping is not None:
        return factor, _crs(mapping, where)
    if units in DEGREES["x"] or str(x.variable.attributes.get("standard_name")) == "longitude":
        return 1.0, "EPSG:4326"
    raise BadProduct(f"{where} has coordinates in {x.units!r} and no grid mapping; say `crs` in the collection's source")


def _crs(mapping: Mapping[str, Any], where: str) -> str:
    from rasterio.crs import CRS as Written  # noqa: N811 - a second class of this name
    from rasterio.errors import CRSError as Unwritten

    text = mapping.get("crs_wkt") or mapping.get("spatial_ref")
    try:
        found = CRS.from_user_input(text) if isinstance(text, str) else CRS.from_cf(dict(mapping))
        if found.is_geographic and found.to_epsg() is None and _is_wgs84(found, mapping):
            return "EPSG:4326"
        return crs_name(Written.from_wkt(found.to_wkt()))
    except (CRSError, Unwritten, KeyError, ValueError, TypeError) as error:
        raise BadProduct(f"{where} has a grid mapping that can't be read: {error}") from error


def _is_wgs84(found: CRS, mapping: Mapping[str, Any]) -> bool:
    """A latitude and longitude of WGS 84, or of no ellipsoid that anybody told."""
    told = {"semi_major_axis", "inverse_flattening", "earth_radius", "semi_minor_axis"} & set(mapping)
    ellipsoid = found.ellipsoid
    same = ellipsoid is not None and ellipsoid.semi_major_metre == 6378137.0 and ellipsoid.inverse_flattening > 298.25
    return len(found.axis_info) == 2 and (not told or same)
