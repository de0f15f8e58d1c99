"""Values of a variable as the band that its collection declares.

Counts stay what they are where the file has them as declared: dtype, scale, offset. Where its scale or offset differs, physical values are
quantised anew by the declared ones; one that does not fit into the declared dtype becomes nodata. The file's fill value becomes the
declared nodata.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eolake.catalog.declaration import Band
from eolake.catalog.errors import BadProduct, ConfigError
from eolake.catalog.safe.netcdf import Netcdf, Variable
from eolake.ingest.sensors.swath.places import Place
from eolake.ingest.sensors.values import as_declared

Array = NDArray[Any]
SAME = 1e-7
"""Relative; a scale in single precision is no other one."""
UNWRITTEN = 9.969209968386869e36
"""What the NetCDF library writes where nobody wrote a float."""
ROWS = 256
"""Of one step: decoded values are float64, eight times the bytes of flags."""
NOTHING = ("no_data", "nodata", "no_measurement", "unfilled", "invalid", "fill")
"""Names of classes and bits that say that a pixel holds nothing; the first one that a band has is shown outside of the swath."""


def shape_of(variable: Variable, select: dict[str, int], where: str) -> tuple[int, int]:
    """Rows and columns of what `read` yields."""
    window = _window(variable, select, where)
    rows, columns = (length for length, part in zip(variable.shape, window, strict=True) if isinstance(part, slice))
    return rows, columns


def read(file: Netcdf, place: Place, select: dict[str, int]) -> tuple[Variable, Array]:
    """A variable and its counts: (rows, columns), dimensions of length 1 left out."""
    variable = file.variable(place.variable)
    counts = variable.read(_window(variable, select, f"{file.path}: {variable.name!r}"))
    if str(variable.attributes.get("_Unsigned", "")).lower() == "true" and counts.dtype.kind == "i":
        counts = counts.view(counts.dtype.str.replace("i", "u"))
    return variable, counts


def _window(variable: Variable, select: dict[str, int], where: str) -> tuple[slice | int, ...]:
    """BadProduct when not rows and columns remain."""
    window: list[slice | int] = []
    for name, length in zip(variable.dimensions, variable.shape, strict=True):
        if name in select and not -length <= select[name] < length:
            raise BadProduct(f"{where} has {length} of {name}; number {select[name]} is declared")
        window.append(select[name] % length if name in select else slice(None))
    for axis, length in enumerate(variable.shape):
        if length == 1 and isinstance(window[axis], slice) and _kept(window) > 2:
            window[axis] = 0
    if _kept(window) != 2:
        dimensions = ", ".join(f"{name or '?'} {length}" for name, length in zip(variable.dimensions, variable.shape, strict=True))
        raise BadProduct(f"{where} has the dimensions ({dimensions}); rows and columns were expected, and `select` for any further one")
    return tuple(window)


def _kept(window: list[slice | int]) -> int:
    return sum(isinstance(part, slice) for part in window)


def physical(variable: Variable, counts: Array) -> Array:
    """Values in the variable's unit, NaN where it has none; float64, or float32 of unscaled floats of that precision."""
    found = np.empty(counts.shape, np.float32 if counts.dtype == np.float32 and not _scaled(variable) else np.float64)
    for start in range(0, len(counts), ROWS):
        part = counts[start : start + ROWS]
        values = part.astype(found.dtype)
        if _scaled(variable):
            values = values * variable.scale + variable.offset
        values[missing(variable, part)] = np.nan
        found[start : start + ROWS] = values
    return found


def _scaled(variable: Variable) -> bool:
    return (variable.scale, variable.offset) != (1.0, 0.0)


def missing(variable: Variable, counts: Array) -> NDArray[np.bool_]:
    """Where a variable has no value."""
    if counts.dtype.kind == "f":
        gone: NDArray[np.bool_] = np.isnan(counts) | (np.abs(counts) >= np.float32(UNWRITTEN) * np.float32(0.999999))
        return gone if variable.fill is None else gone | (counts == np.array(variable.fill, counts.dtype))
    fill = _fill(variable, counts)
    return np.zeros(counts.shape, bool) if fill is None else counts == fill


def _fill(variable: Variable, counts: Array) -> float | int | None:
    """The fill value as unsigned counts have it; None when no count can be it."""
    fill = variable.fill
    if fill is None or (isinstance(fill, float) and not fill.is_integer()):
        return None
    values = np.iinfo(counts.dtype)
    wrapped = int(fill) + (1 << values.bits) if values.min == 0 and fill < 0 else int(fill)
    return wrapped if values.min <= wrapped <= values.max else None


def rescaled(variable: Variable, band: Band) -> dict[str, float] | None:
    """The scale and offset of the file, where its counts are not the declared ones."""
    scale, offset = 1.0 if band.scale is None else band.scale, band.offset or 0.0
    if math.isclose(variable.scale, scale, rel_tol=SAME) and math.isclose(variable.offset, offset, rel_tol=SAME, abs_tol=SAME * abs(scale)):
        return None
    return {"scale": variable.scale, "offset": variable.offset}


def counts_of(variable: Variable, counts: Array, band: Band, where: str) -> Array:
    """Counts of a file as the band has them; BadProduct names `where` when they can't be."""
    if rescaled(variable, band) is not None:
        return quantised(physical(variable, counts), band)
    if counts.dtype.kind == "f":
        whole = _filled(variable, counts, band)
        return whole if band.dtype.startswith("float") else quantised(_decoded(whole, band), band)
    return as_declared(counts, _marked(variable, counts, band), band, where)


def _marked(variable: Variable, counts: Array, band: Band) -> float | int | None:
    """What the file has for missing ones; a category stays, where nothing is declared for them."""
    fill = _fill(variable, counts)
    return None if fill is None or (band.nodata is None and not band.dtype.startswith("float")) else fill


def _filled(variable: Variable, counts: Array, band: Band) -> Array:
    """Floats with NaN, or the nodata value of a band of floats, where there is no value."""
    nodata = band.nodata if band.nodata is not None and band.dtype.startswith("float") else math.nan
    kind = np.dtype(band.dtype) if band.dtype.startswith("float") else counts.dtype
    with np.errstate(over="ignore"):
        found = counts.astype(kind)
    found[missing(variable, counts)] = nodata
    return found


def _decoded(counts: Array, band: Band) -> Array:
    """Physical values of floats that hold counts."""
    return counts.astype(np.float64) * (1.0 if band.scale is None else band.scale) + (band.offset or 0.0)


def quantised(values: Array, band: Band) -> Array:
    """Physical values (NaN: none) as counts of the band, the nearest ones; nodata where there is none or it does not fit."""
    found = np.full(values.shape, outside(band) if _may_lack(band) else 0, band.dtype)
    for start in range(0, len(values), ROWS):
        part = values[start : start + ROWS]
        if band.scale is not None or band.offset:
            part = (part.astype(np.float64) - (band.offset or 0.0)) / (1.0 if band.scale is None else band.scale)
        if band.dtype.startswith("float"):
            there = ~np.isnan(part)
        else:
            part, bounds = np.rint(part), np.iinfo(band.dtype)
            there = (part >= bounds.min) & (part <= bounds.max) & (part != (math.nan if band.nodata is None else band.nodata))
        found[start : start + ROWS][there] = part[there].astype(band.dtype)
    return found


def _may_lack(band: Band) -> bool:
    return band.nodata is not None or band.dtype.startswith("float") or band.categorical


def outside(band: Band) -> float:
    """What a band shows where the swath has no pixel.

    Its declared nodata; NaN for floats without one; of flags and classes without one the value of the class or bit that says that there
    is nothing (NOTHING). ConfigError when the declaration has none of these: any other value would be a wrong one."""
    if band.nodata is not None:
        return band.nodata
    if band.dtype.startswith("float"):
        return math.nan
    said = {entry.name: entry.value for entry in band.classes}
    for field in band.bitfields:
        said |= {entry.name: entry.value << field.offset for entry in field.classes}
        said |= {field.name: 1 << field.offset} if field.length == 1 else {}
    for name in NOTHING:
        if name in said:
            return said[name]
    raise ConfigError(
        f"nothing says what {band.name} is outside of the swath: declare its nodata, or a class or bit {' or '.join(NOTHING[:2])}"
    )
