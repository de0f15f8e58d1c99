"""Thumbnails: small PNG pictures of a scene, transparent where it has no data."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from eolake.catalog.declaration import Band, Collection
from eolake.catalog.draft import Pixels

SIDE = 600
"""Pixels; STAC asks for thumbnails below that."""
OPAQUE = 255
Array = np.ndarray[Any, Any]


def write_thumbnail(bands: Sequence[Pixels], collection: Collection, path: Path) -> None:
    """A PNG below 600 pixels of `bands`, which are those that `collection.thumbnail` names, in its order.

    One band gives grey or its class colours, three give red, green and blue; stretched by `thumbnail_range` (physical
    values) or else from the 2nd to the 98th percentile."""
    declared = [collection.band(name) for name in collection.thumbnail]
    shape = _fitting(bands[0].data.shape)
    arrays = [_resized(pixels.data, shape) for pixels in bands]
    if len(bands) == 1 and declared[0].classes:
        picture = _classes(arrays[0], declared[0])
    else:
        valid = np.logical_and.reduce([_valid(array, band.nodata) for array, band in zip(arrays, declared, strict=True)])
        layers = [_stretched(array, valid, band, collection.thumbnail_range) for array, band in zip(arrays, declared, strict=True)]
        picture = np.dstack([*(layers * (3 if len(layers) == 1 else 1)), np.where(valid, OPAQUE, 0).astype(np.uint8)])
    path.write_bytes(png(picture))


def _fitting(shape: tuple[int, ...]) -> tuple[int, int]:
    step = max(1, -(-max(shape) // (SIDE - 1)))
    return -(-shape[0] // step), -(-shape[1] // step)


def _resized(data: Array, shape: tuple[int, int]) -> Array:
    """Nearest neighbour: bands of other grids come to the first band's picture."""
    rows = np.arange(shape[0]) * data.shape[0] // shape[0]
    columns = np.arange(shape[1]) * data.shape[1] // shape[1]
    return data[np.ix_(rows, columns)]


def _valid(data: Array, nodata: float | None) -> Array:
    finite = np.isfinite(data)
    return finite if nodata is None else finite & (data != data.dtype.type(nodata))


def _stretched(data: Array, valid: Array, band: Band, limits: tuple[float, float] | None) -> Array:
    values = data.astype(np.float64) * (1 if band.scale is None else band.scale) + (band.offset or 0)
    if limits is None:
        limits = tuple(np.percentile(values[valid], (2, 98))) if valid.any() else (0.0, 1.0)
    low, high = limits
    scaled = (values - low) / ((high - low) or 1) * 255
    grey: Array = np.where(valid, np.clip(np.nan_to_num(scaled), 0, 255), 0).round().astype(np.uint8)
    return grey


def _classes(data: Array, band: Band) -> Array:
    """Class colours; transparent where the value is nodata or no class with a colour."""
    picture = np.zeros((*data.shape, 4), np.uint8)
    for entry in band.classes:
        if entry.color_hint and entry.value != band.nodata:
            picture[data == entry.value] = (*bytes.fromhex(entry.color_hint), OPAQUE)
    return picture


def png(picture: Array) -> bytes:
    """An RGBA picture (rows, columns, 4) of uint8 as PNG (ISO/IEC 15948), without filters."""
    rows, columns, _ = picture.shape
    lines = np.zeros((rows, 1 + columns * 4), np.uint8)  # each line begins with the filter type 0
    lines[:, 1:] = picture.reshape(rows, columns * 4)
    header = struct.pack(">IIBBBBB", columns, rows, 8, 6, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(lines.tobytes(), 6)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in parts)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
