"""Tie points to pixels: bilinear, on every n-th row and column or in the metres that SLSTR's grids share.

Values must be physical, with NaN where there are none: a pixel is NaN where one of the tie points that it hangs on is.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from eolake.catalog.errors import BadProduct

Array = np.ndarray[Any, Any]
Axis = tuple[Array, Array]
"""For each pixel the tie point before it, and how far it is on the way to the next one (below 0 and above 1: beyond the ties)."""
CHUNK = 1 << 20
"""pixels at a time, so that memory stays at the result"""
REACH = 1.0
"""Pixels beyond the last tie point are extrapolated by this share of a step at most."""


def interpolate(ties: Array, shape: tuple[int, int], *, rows: int = 1, columns: int = 1, circular: bool = False) -> Array:
    """Pixels of an image of `shape` from tie points on every `rows`-th row and `columns`-th column, the first at (0, 0).

    The last tie points may lie beyond the image's end, on it, or up to a step before it. float32 (float64 of float64 ties). `circular`:
    angles in degrees; the result stays within 0…360, or -180…180 where ties are negative. Raises BadProduct when the ties don't
    cover the image."""
    if ties.ndim != 2:
        raise BadProduct(f"tie points have {ties.ndim} dimensions instead of rows and columns")
    down = _regular(ties.shape[0], shape[0], rows, "rows")
    across = _regular(ties.shape[1], shape[1], columns, "columns")
    pixels = np.empty(shape, _dtype(ties))
    step = max(1, CHUNK // max(1, shape[1]))
    negative = circular and _any_negative(ties)
    for start in range(0, shape[0], step):
        part = slice(start, start + step)
        first, below = down[0][part], down[1][part][:, None]
        lines = _between(ties[first], ties[np.minimum(first + 1, ties.shape[0] - 1)], below, circular=circular)
        column, right = across[0], across[1][None]
        values = _between(lines[:, column], lines[:, np.minimum(column + 1, ties.shape[1] - 1)], right, circular=circular)
        pixels[part] = _wrap(values, negative=negative) if circular else values
    return pixels


def interpolate_cartesian(ties: Array, tie_x: Array, tie_y: Array, x: Array, y: Array, *, circular: bool = False) -> Array:
    """Pixels at (x, y) from tie points at (tie_x, tie_y), all in the same metres across and along the track.

    The tie points form a regular net: x the same in every row and y in every column, ascending or descending, given as such an axis or
    as the whole net. `x` and `y` have the image's shape; NaN where a pixel has no place. Pixels up to a step beyond the net are
    extrapolated, further ones are NaN. Raises BadProduct when the net is none."""
    across = _axis(tie_x, 1, ties.shape, "x")
    down = _axis(tie_y, 0, ties.shape, "y")
    if x.shape != y.shape:
        raise BadProduct(f"x of {x.shape} pixels and y of {y.shape} pixels belong to different images")
    pixels = np.empty(x.shape, _dtype(ties))
    step = max(1, CHUNK // max(1, math.prod(x.shape[1:])))
    negative = circular and _any_negative(ties)
    for start in range(0, x.shape[0], step):
        part = slice(start, start + step)
        values = _at(ties, _place(down, y[part]), _place(across, x[part]), circular=circular)
        pixels[part] = _wrap(values, negative=negative) if circular else values
    return pixels


def _dtype(ties: Array) -> np.dtype[Any]:
    return np.dtype(np.float64 if ties.dtype == np.float64 else np.float32)


def _any_negative(ties: Array) -> bool:
    return bool((ties < 0).any())


def _regular(ties: int, pixels: int, step: int, what: str) -> Axis:
    if step < 1:
        raise BadProduct(f"tie points on every {step}th of the {what}: no such step")
    reach = (ties - 1) * step + (0 if ties == 1 or step == 1 else math.floor(REACH * step))
    if ties < 1 or pixels - 1 > reach:
        raise BadProduct(
            f"{ties} tie points on every {step}th of {pixels} {what} don't cover the image: {-(-(pixels - 1) // step) + 1} would"
        )
    position = np.arange(pixels)
    first = np.minimum(position // step, max(ties - 2, 0))
    return first, (position - first * step) / step


def _axis(values: Array, along: int, shape: tuple[int, ...], name: str) -> Array:
    """The ties' coordinates along one dimension of the net; float64, strictly monotonic."""
    axis = np.asarray(values, np.float64)
    if axis.ndim == 2:
        if axis.shape != shape:
            raise BadProduct(f"tie points' {name} has the shape {axis.shape}, their values {shape}")
        lines = axis if along == 1 else axis.T
        axis = lines[0]
        spread = float(np.max(np.abs(lines - axis))) if lines.size else 0.0
        if not spread <= 0.01 * float(np.min(np.abs(np.diff(axis)), initial=math.inf)):
            raise BadProduct(f"tie points form no regular net: their {name} varies by {spread:g} along a line")
    steps = np.diff(axis)
    if axis.shape != (shape[along],) or len(axis) < 2 or not (np.all(steps > 0) or np.all(steps < 0)):
        raise BadProduct(f"tie points' {name} does not ascend or descend along their {'columns' if along else 'rows'}: no net")
    return axis


def _place(axis: Array, at: Array) -> Axis:
    rising = axis if axis[0] < axis[-1] else axis[::-1]
    at = np.asarray(at, np.float64)
    known = np.nan_to_num(at, nan=rising[0])
    before = np.clip(np.searchsorted(rising, known, side="right") - 1, 0, len(axis) - 2)
    share = (at - rising[before]) / (rising[before + 1] - rising[before])
    share[(share < -REACH) | (share > 1 + REACH)] = np.nan
    return (before, share) if rising is axis else (len(axis) - 2 - before, 1 - share)


def _at(ties: Array, down: Axis, across: Axis, *, circular: bool) -> Array:
    (row, below), (column, right) = down, across
    top = _between(ties[row, column], ties[row, column + 1], right, circular=circular)
    bottom = _between(ties[row + 1, column], ties[row + 1, column + 1], right, circular=circular)
    return _between(top, bottom, below, circular=circular)


def _between(near: Array, far: Array, share: Array, *, circular: bool) -> Array:
    """float64; exactly `near` at 0 and `far` at 1, whatever the other one is."""
    start, end = near.astype(np.float64), far.astype(np.float64)
    way = (end - start + 180.0) % 360.0 - 180.0 if circular else end - start
    between = start + way * share
    np.copyto(between, start, where=share == 0)
    np.copyto(between, end, where=share == 1)
    return between


def _wrap(angles: Array, *, negative: bool) -> Array:
    return (angles + 180.0) % 360.0 - 180.0 if negative else angles % 360.0
