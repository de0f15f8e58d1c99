"""The indices and their median against plain numpy and against sen2r's result on a real scene."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import rasterio
import xarray as xr

from eolake.analysis.vegetation_indices import MONTH, SCENE, median, normalised_difference


def scenes(red: object, nir: object, swir: object) -> dict[str, xr.Dataset]:
    layers = {name: (("time", "y", "x"), np.asarray(values, np.float32)) for name, values in (("red", red), ("nir", nir), ("swir22", swir))}
    days, rows, columns = layers["red"][1].shape
    times = np.datetime64("2019-12-01", "ns") + np.arange(days) * np.timedelta64(1, "D")
    return {"scenes": xr.Dataset(layers, {"time": times, "y": np.arange(rows), "x": np.arange(columns)})}


def test_one_scene_by_hand() -> None:
    nan = np.nan
    bands = SCENE.compute(scenes([[[0.1, 0.2, nan, 0.1]]], [[[0.3, 0.2, 0.4, 0.5]]], [[[0.1, 0.6, 0.1, nan]]])).bands
    np.testing.assert_allclose(bands["ndvi"].values, [[0.5, 0.0, nan, nan]], atol=1e-7)
    np.testing.assert_allclose(bands["nbr"].values, [[0.5, -0.5, nan, nan]], atol=1e-7)
    assert {str(band.dtype) for band in bands.values()} == {"float32"}


def test_a_reflectance_below_zero_stays_within_the_range_and_no_light_is_nothing() -> None:
    one, other = np.array([0.01, 0.0, -0.2, 0.3], np.float32), np.array([-0.005, 0.0, 0.1, -0.4], np.float32)
    np.testing.assert_array_equal(normalised_difference(one, other), np.array([1.0, np.nan, np.nan, np.nan], np.float32))


@pytest.mark.parametrize("days", [1, 2, 3, 8, 31])
def test_the_median_is_that_of_numpy(days: int) -> None:
    random = np.random.default_rng(days)
    stack = random.uniform(-1, 1, (days, 40, 50)).astype(np.float32)
    stack[random.uniform(size=stack.shape) < 0.4] = np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of pixels that are never clear
        expected = np.nanmedian(stack, axis=0)
    np.testing.assert_array_equal(median(stack), expected)


def test_a_month_counts_its_clear_days() -> None:
    nan = np.nan
    red, nir, swir = (
        [[[0.1, nan]], [[0.2, nan]], [[nan, nan]]],
        [[[0.3, 0.3]], [[0.2, 0.3]], [[0.4, 0.1]]],
        [[[0.1, 0.1]], [[0.2, 0.1]], [[0.1, 0.1]]],
    )
    bands = MONTH.compute(scenes(red, nir, swir)).bands
    np.testing.assert_array_equal(bands["count"].values, np.array([[2, 0]], np.uint8))
    np.testing.assert_allclose(bands["ndvi"].values, [[0.25, nan]], atol=1e-7)
    assert bands["count"].dtype == np.uint8


def test_ndvi_of_a_real_scene_is_that_of_sen2r(samples: Path) -> None:
    """sen2r 1.0: int16, 10,000 times NDVI of B8 and B4; its expected output, made from the BOA beside it."""
    folder = samples / "pixels/expected_analysis/sen2r_ndvi_msavi/out"
    with rasterio.open(folder / "S2A2A_20170703_022_Barbellino_BOA_10.tif", driver="GTiff") as source:
        red, nir = (source.read(band).astype(np.float32) / 10_000 for band in (4, 8))
    with rasterio.open(folder / "S2A2A_20170703_022_Barbellino_NDVI_10.tif", driver="GTiff") as source:
        expected = source.read(1)
    assert (expected != -32768).all()
    assert np.abs(normalised_difference(nir, red) * 10_000 - expected).max() <= 1
