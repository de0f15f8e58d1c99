"""Smooth noise that is a function of the coordinate alone.

Value noise on an integer lattice: each lattice point gets a number from a hash of its indices
and the seed, and points in between are interpolated. Two grids that meet at a place see the same
value there, whatever their CRS, resolution or extent.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_MIX = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F), np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))
_TABLE_LIMIT = 1 << 22
"""Lattice points tabulated at once; scattered coordinates beyond that are hashed one by one."""


def hashed(column: NDArray[np.int64], row: NDArray[np.int64], seed: int) -> Array:
    """A number in [-1, 1) for each lattice point (splitmix64 of both indices and the seed)."""
    with np.errstate(over="ignore"):
        word = column.astype(np.uint64) * _MIX[0] + row.astype(np.uint64) * _MIX[1] + np.uint64(seed % 2**64) * _MIX[2]
        word = (word ^ (word >> np.uint64(30))) * _MIX[2]
        word = (word ^ (word >> np.uint64(27))) * _MIX[3]
        word ^= word >> np.uint64(31)
    return (word >> np.uint64(11)).astype(np.float64) * 2.0**-52 - 1.0


def noise(x: Array, y: Array, wavelength: float, seed: int) -> Array:
    """Value noise in [-1, 1] (standard deviation about 0.4) with one feature per `wavelength` metres."""
    u, v = x / wavelength, y / wavelength
    column, row = np.floor(u).astype(np.int64), np.floor(v).astype(np.int64)
    s, t = _fade(u - column), _fade(v - row)
    a, b, c, d = _corners(column, row, seed)
    top: Array = a + (b - a) * s
    return top + (c + (d - c) * s - top) * t


def fractal(x: Array, y: Array, wavelength: float, octaves: int, seed: int) -> Array:
    """Sum of `octaves` of noise, each of half the wavelength and half the height; in [-1, 1]."""
    total, height = np.zeros(np.broadcast(x, y).shape), 0.0
    for octave in range(octaves):
        total += noise(x, y, wavelength / 2**octave, seed + octave) / 2**octave
        height += 1 / 2**octave
    return total / height


def _fade(t: Array) -> Array:
    faded: Array = t * t * t * (t * (t * 6 - 15) + 10)
    return faded


def _corners(column: NDArray[np.int64], row: NDArray[np.int64], seed: int) -> tuple[Array, Array, Array, Array]:
    """Lattice values north-west, north-east, south-west, south-east of each point (which must not be empty)."""
    west, north = int(column.min()), int(row.min())
    shape = (int(row.max()) - north + 2, int(column.max()) - west + 2)
    if shape[0] * shape[1] > max(_TABLE_LIMIT, 4 * column.size):
        return tuple(hashed(column + i, row + j, seed) for j in (0, 1) for i in (0, 1))  # type: ignore[return-value]
    rows, columns = np.indices(shape, dtype=np.int64)
    table: Any = hashed(columns + west, rows + north, seed).ravel()
    at = (row - north) * shape[1] + (column - west)
    return table[at], table[at + 1], table[at + shape[1]], table[at + shape[1] + 1]
