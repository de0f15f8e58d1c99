"""A list of points read from a NetCDF file as its collection declares it: one array for each column."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eolake.catalog.errors import BadProduct, UnsafeProduct
from eolake.catalog.safe.netcdf import Netcdf, Variable, open_netcdf
from eolake.catalog.sources import Column, ColumnSource, Table

ROWS = 10_000_000
"""More than any image has pixels that burn."""
DEFAULT_FILL = 9.96e36
"""What the NetCDF library writes where nobody wrote a value, and greater ones: no value of anything here."""
EMPTY_INTEGERS = (-(2**31) + 1, -(2**63) + 2)
"""The same for integers."""

Values = NDArray[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Column1D:
    """The values of one column; `missing` where there are none."""

    values: Values
    missing: NDArray[np.bool_]
    unit: str | None

    def rows(self, chosen: NDArray[Any]) -> Column1D:
        """Some of the rows, by a mask or by their numbers."""
        return replace(self, values=self.values[chosen], missing=self.missing[chosen])


@dataclass(frozen=True, slots=True, kw_only=True)
class Points:
    """Rows in the order of the file; those without a place are left out."""

    longitude: Values
    """Degrees, float64, -180 to 180."""
    latitude: Values
    times: Column1D | None
    """int64, µs since 1970 UTC."""
    columns: Mapping[str, Column1D]

    def __len__(self) -> int:
        return len(self.longitude)

    def rows(self, chosen: NDArray[Any]) -> Points:
        """Some of the rows, by a mask or by their numbers."""
        return Points(
            longitude=self.longitude[chosen],
            latitude=self.latitude[chosen],
            times=None if self.times is None else self.times.rows(chosen),
            columns={name: column.rows(chosen) for name, column in self.columns.items()},
        )


def read(path: Path, table: Table) -> Points:
    """The points of a file. BadProduct when it lacks places or times, or its variables differ in length."""
    with open_netcdf(path) as file:
        longitude, latitude = (_read(file.variable(name), path, None) for name in (table.longitude, table.latitude))
        size = len(longitude.values)
        times = None if table.time is None else _times(file.variable(table.time), path, table)
        columns = {name: _column(file, column, path, size) for name, column in table.columns.items()}
    _check_lengths(path, size, {table.latitude: latitude, table.time or "time": times, **columns})
    points = Points(longitude=longitude.values, latitude=latitude.values, times=times, columns=columns)
    placed = points.rows(~(longitude.missing | latitude.missing))
    beyond = (np.abs(placed.latitude) > 90) | (np.abs(placed.longitude) > 360)
    if beyond.any():
        raise BadProduct(
            f"{path}: {int(beyond.sum())} of {len(placed)} rows lie nowhere on the Earth; the first one at {_first(placed, beyond)}"
        )
    return replace(placed, longitude=_wrapped(placed.longitude))


def _first(points: Points, chosen: NDArray[np.bool_]) -> str:
    at = int(np.flatnonzero(chosen)[0])
    return f"longitude {points.longitude[at]:g}, latitude {points.latitude[at]:g}"


def _wrapped(longitude: Values) -> Values:
    """-180 to 180; what lies there already stays as it is, bit for bit."""
    return np.where(np.abs(longitude) > 180, (longitude + 180.0) % 360.0 - 180.0, longitude)


def _check_lengths(path: Path, size: int, columns: Mapping[str, Column1D | None]) -> None:
    for name, column in columns.items():
        if column is not None and len(column.values) != size:
            raise BadProduct(f"{path}: {name} has {len(column.values)} rows, the places have {size}")


def _counts(variable: Variable, path: Path) -> Values:
    if len(variable.shape) != 1:
        raise BadProduct(f"{path}: {variable.name} is no list but has {len(variable.shape)} dimensions")
    if variable.shape[0] > ROWS:
        raise UnsafeProduct(f"{path}: {variable.name} has {variable.shape[0]:,} rows, more than any product has")
    return variable.read()


def _missing(counts: Values, variable: Variable) -> NDArray[np.bool_]:
    missing = ~np.isfinite(counts) | (np.abs(counts) >= DEFAULT_FILL) if counts.dtype.kind == "f" else np.isin(counts, EMPTY_INTEGERS)
    return missing | (counts == variable.fill) if variable.fill is not None else np.asarray(missing)


def _read(variable: Variable, path: Path, minimum: float | None, scale: float = 1.0) -> Column1D:
    """Physical values, float64."""
    counts = _counts(variable, path)
    missing = _missing(counts, variable)
    values = counts.astype(np.float64)
    for factor in (variable.scale, scale):
        values = values if factor == 1 else values * factor
    values = values if variable.offset == 0 else values + variable.offset
    values[missing] = np.nan
    if minimum is not None:
        below = values < minimum
        missing, values = missing | below, np.where(below, np.nan, values)
    unit = variable.attributes.get("units")
    return Column1D(values=values, missing=missing, unit=unit if isinstance(unit, str) and unit.strip() else None)


def _integers(variable: Variable, path: Path, minimum: float | None) -> Column1D:
    """As they are stored, int64."""
    counts = _counts(variable, path)
    if counts.dtype.kind == "f":
        floats = _read(variable, path, minimum)
        values = np.where(floats.missing, 0, floats.values)
        if (values != np.rint(values)).any():
            raise BadProduct(f"{path}: {variable.name} is declared to be whole numbers, and has others")
        return replace(floats, values=values.astype(np.int64), unit=None)
    missing = _missing(counts, variable)
    values = counts.astype(np.int64)
    if minimum is not None:
        missing = missing | (values < minimum)
    return Column1D(values=np.where(missing, 0, values), missing=missing, unit=None)


def _times(variable: Variable, path: Path, table: Table) -> Column1D:
    """µs since 1970; BadProduct when they are no whole numbers."""
    found = _integers(variable, path, None)
    factor = {"us": 1, "ms": 1_000, "s": 1_000_000}[table.time_unit]
    start = int(table.epoch.timestamp()) * 1_000_000
    limit = (2**62) // factor
    if (np.abs(found.values) > limit).any():
        raise BadProduct(f"{path}: {variable.name} has times that no calendar has")
    return replace(found, values=np.where(found.missing, 0, found.values * factor + start))


def _column(file: Netcdf, column: Column, path: Path, size: int) -> Column1D:
    """Empty when the product has none of its variables."""
    for entry in column.variables:
        found = entry if isinstance(entry, ColumnSource) else ColumnSource(name=entry)
        if found.name in file.variables:
            variable = file.variables[found.name]
            read = (
                _integers(variable, path, column.minimum) if column.dtype == "int64" else _read(variable, path, column.minimum, found.scale)
            )
            return replace(read, unit=column.unit or read.unit)
    values = np.full(size, np.nan) if column.dtype == "float64" else np.zeros(size, np.int64)
    return Column1D(values=values, missing=np.ones(size, bool), unit=column.unit)
