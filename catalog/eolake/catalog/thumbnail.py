"""Thumbnails: small PNGs of one band (grey or its class colours) or of three."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import rasterio

from eolake.catalog.cog import valid_mask
from eolake.catalog.declaration import Band, Collection
from eolake.catalog.draft import Pixels

Bytes = np.ndarray[Any, np.dtype[np.uint8]]


def write_thumbnail(pixels: Sequence[Pixels], collection: Collection, path: Path) -> None:
    """An RGBA PNG of the bands that the collection names; invalid pixels are transparent.

    Physical values are stretched over `thumbnail_range`, else between the 2nd and 98th percentile of all bands together."""
    bands = [collection.band(name) for name in collection.thumbnail]
    shape = min((p.data.shape for p in pixels), key=lambda s: s[0] * s[1])
    layers = [_fit(p.data, shape) for p in pixels]
    valid = np.logical_and.reduce([valid_mask(layer, band.nodata) for layer, band in zip(layers, bands, strict=True)])
    rgb = _classes(layers[0], bands[0]) if bands[0].classes else _stretch(layers, bands, valid, collection.thumbnail_range)
    rgba = np.stack([*rgb, np.where(valid, 255, 0).astype(np.uint8)])
    with rasterio.open(path, "w", driver="PNG", height=shape[0], width=shape[1], count=4, dtype="uint8") as target:
        target.write(rgba)


def _fit(layer: np.ndarray[Any, Any], shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    """Nearest neighbour onto the coarsest grid."""
    rows = (np.arange(shape[0]) * layer.shape[0]) // shape[0]
    columns = (np.arange(shape[1]) * layer.shape[1]) // shape[1]
    return np.asarray(layer[np.ix_(rows, columns)])


def _physical(layer: np.ndarray[Any, Any], band: Band) -> np.ndarray[Any, Any]:
    return layer.astype(np.float64) * (band.scale or 1.0) + (band.offset or 0.0)


def _stretch(
    layers: Sequence[np.ndarray[Any, Any]], bands: Sequence[Band], valid: np.ndarray[Any, Any], limits: tuple[float, float] | None
) -> list[Bytes]:
    values = [_physical(layer, band) for layer, band in zip(layers, bands, strict=True)]
    shown = np.concatenate([value[valid] for value in values])
    low, high = limits or ((0.0, 1.0) if not shown.size else tuple(np.percentile(shown, (2, 98))))
    span = max(high - low, 1e-12)
    grey = [(np.clip(np.nan_to_num((value - low) / span), 0, 1) * 255).astype(np.uint8) for value in values]
    return grey * 3 if len(grey) == 1 else grey


def _classes(layer: np.ndarray[Any, Any], band: Band) -> list[Bytes]:
    rgb = [np.full(layer.shape, 128, np.uint8) for _ in range(3)]
    for entry in band.classes:
        if entry.color_hint:
            where = layer == entry.value
            for channel, start in zip(rgb, (0, 2, 4), strict=True):
                channel[where] = int(entry.color_hint[start : start + 2], 16)
    return rgb
