"""NDVI and NBR, of each scene and as the median of a solar month.

    NDVI = (nir - red) / (nir + red)            Rouse et al. 1974
    NBR  = (nir - swir22) / (nir + swir22)      Key and Benson 2006

The near infrared of Sentinel-2 is B8A (`nir08`, 0.865 µm, 21 nm wide), in both indices: it is the band that matches Landsat's
(OLI band 5, 0.865 µm), it avoids the water vapour in the wide B08 (`nir`), and it has the 20 m grid of B12 (`swir22`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import xarray as xr

from eolake.analysis.base import Analysis, Input, Output, Period, TileGrid

Array = np.ndarray[Any, Any]
VERSION = "1.0.0"
ALBERS = TileGrid(crs="EPSG:3577", resolution=30, pixels=3200, meridian=132)
"""Australian Albers in tiles of 96 km; their edges are those of Digital Earth Australia's Collection 3 grid."""
REFLECTANCE = Input(bands={"red": ("red",), "nir": ("nir08", "nir"), "swir22": ("swir22",)})


def normalised_difference(one: Array, other: Array) -> Array:
    """(one - other) / (one + other) in float32, within -1 and 1; NaN where the sum is not positive.

    Atmospheric correction can leave a reflectance below zero, which puts the quotient outside of its range."""
    total, found = one + other, one - other
    light = total > 0
    np.divide(found, total, out=found, where=light)
    np.clip(found, -1, 1, out=found)
    found[~light] = np.nan
    return found


def indices(scenes: xr.Dataset) -> tuple[Array, Array]:
    """NDVI and NBR (time, y, x); a pixel has both or neither, so that one count is true of both."""
    red, nir, swir = (scenes[name].values for name in ("red", "nir", "swir22"))
    ndvi, nbr = normalised_difference(nir, red), normalised_difference(nir, swir)
    missing = np.isnan(ndvi) | np.isnan(nbr)
    ndvi[missing], nbr[missing] = np.nan, np.nan
    return ndvi, nbr


def median(stack: Array) -> Array:
    """Over the first axis, NaN apart; of an even number the mean of the middle two. All NaN gives NaN.

    The same as numpy.nanmedian, which needs a masked array several times the size."""
    ordered = np.sort(stack, axis=0)  # NaN last
    count = np.count_nonzero(~np.isnan(stack), axis=0)
    low, high = np.maximum(count - 1, 0) // 2, np.minimum(count // 2, len(stack) - 1)
    picked = [np.take_along_axis(ordered, index[np.newaxis], axis=0)[0] for index in (low, high)]
    return np.where(count > 0, (picked[0] + picked[1]) / np.float32(2), np.float32(np.nan)).astype(np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneIndices:
    """NDVI and NBR of one scene, on its own grid (the coarsest of the three bands: 30 m Landsat, 20 m Sentinel-2)."""

    name: str = "vegetation_indices"
    version: str = VERSION
    collection: str = "vegetation_indices_scene"
    inputs: Mapping[str, Input] = field(default_factory=lambda: {"scenes": REFLECTANCE})
    period: Period = "scene"
    grid: TileGrid | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    description: str = "NDVI and NBR of the clear pixels of one scene, from its red, near infrared and 2.2 µm reflectance"

    def compute(self, inputs: Mapping[str, xr.Dataset]) -> Output:
        """Bands ndvi and nbr."""
        scenes = inputs["scenes"]
        ndvi, nbr = indices(scenes)
        return Output(bands={"ndvi": _band(ndvi[0], scenes), "nbr": _band(nbr[0], scenes)})


@dataclass(frozen=True, slots=True, kw_only=True)
class MonthIndices:
    """Median NDVI and NBR of the clear days of a solar month."""

    name: str = "vegetation_indices"
    version: str = VERSION
    collection: str = "vegetation_indices_month"
    inputs: Mapping[str, Input] = field(default_factory=lambda: {"scenes": REFLECTANCE})
    period: Period = "month"
    grid: TileGrid | None = ALBERS
    parameters: Mapping[str, Any] = field(default_factory=lambda: {"statistic": "median"})
    description: str = "NDVI and NBR of every clear day, of each the median over the solar month, and the number of these days"

    def compute(self, inputs: Mapping[str, xr.Dataset]) -> Output:
        """Bands ndvi, nbr and count."""
        scenes = inputs["scenes"]
        ndvi, nbr = indices(scenes)
        count = np.count_nonzero(~np.isnan(ndvi), axis=0).astype(np.uint8)
        return Output(bands={"ndvi": _band(median(ndvi), scenes), "nbr": _band(median(nbr), scenes), "count": _band(count, scenes)})


def _band(values: Array, like: xr.Dataset) -> xr.DataArray:
    return xr.DataArray(values, dims=("y", "x"), coords={"y": like.y, "x": like.x})


SCENE: Analysis = SceneIndices()
MONTH: Analysis = MonthIndices()
