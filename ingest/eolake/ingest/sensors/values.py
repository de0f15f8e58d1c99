"""Pixels as their collection declares them, when the file has them in another dtype or with another nodata value."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eolake.catalog.declaration import Band
from eolake.catalog.errors import BadProduct

Array = NDArray[Any]


def as_declared(data: Array, nodata: float | None, band: Band, where: str) -> Array:
    """The same values in the declared dtype and with the declared nodata value.

    `nodata`: of the file; None: it says nothing, and the declared one holds. BadProduct names `where` when a value would change."""
    missing = None if nodata is None or same(nodata, band.nodata) else equal(data, nodata)
    if missing is None or not missing.any():
        return lossless(data, band, where)
    fill = fill_of(band, where, nodata)
    valid = data[~missing]
    if bool(equal(lossless(valid, band, where), fill).any()):
        raise BadProduct(f"{where} has valid pixels of the value {fill:g}, which {band.name} has for missing ones")
    found = np.full(data.shape, fill, band.dtype)
    found[~missing] = valid
    return found


def fill_of(band: Band, where: str, nodata: object = None) -> float:
    """The declared nodata value, NaN for floats without; BadProduct when integers have none."""
    if band.nodata is not None:
        return band.nodata
    if band.dtype.startswith("float"):
        return math.nan
    marked = "" if nodata is None else f" by {nodata}"
    raise BadProduct(f"{where} marks missing pixels{marked}; its collection declares no nodata value for {band.name}")


def lossless(data: Array, band: Band, where: str) -> Array:
    """In the declared dtype; BadProduct when a value does not fit or would be rounded."""
    wanted = np.dtype(band.dtype)
    if data.dtype == wanted:
        return data
    if np.can_cast(data.dtype, wanted, "safe"):
        return data.astype(wanted)
    with np.errstate(invalid="ignore", over="ignore"):
        found = data.astype(wanted)
        kept = (found.astype(data.dtype) == data) & _same_sign(found, data)
    if wanted.kind == "f":
        kept |= np.isnan(found) & (data != data)  # noqa: PLR0124 - true for NaN alone
    if not bool(kept.all()):
        raise BadProduct(f"{where} is {data.dtype.name} with values that {band.dtype} can't hold, which {band.name} is declared to be")
    return found


def _same_sign(found: Array, data: Array) -> Any:
    """Where integers wrap around, 65535 and -1 become each other and back."""
    return (found < 0) == (data < 0)


def equal(data: Array, value: float) -> NDArray[np.bool_]:
    """Where pixels have a value; NaN equals NaN."""
    return np.asarray(np.isnan(data) if math.isnan(value) else data == value)


def same(one: float | None, other: float | None) -> bool:
    """Equal, or both NaN, or both None."""
    if one is None or other is None:
        return one is other
    return one == other or (math.isnan(one) and math.isnan(other))


def valid_pixels(data: Array, band: Band) -> NDArray[np.bool_]:
    """Where a band in its declared dtype has data."""
    valid = np.ones(data.shape, bool) if band.nodata is None else ~equal(data, band.nodata)
    if data.dtype.kind == "f":
        valid &= ~np.isnan(data)
    return valid
