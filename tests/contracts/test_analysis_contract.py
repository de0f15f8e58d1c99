"""What every registered analysis promises, ours or a third party's."""

from __future__ import annotations

import json
import pickle
from importlib.metadata import entry_points
from typing import Any

import numpy as np
import pytest
import xarray as xr

from eolake.analysis.base import Analysis, Output
from eolake.analysis.families import families
from eolake.analysis.registry import GROUP, analyses
from eolake.catalog.declaration import declared

NAMES = sorted(entry.name for entry in entry_points(group=GROUP))


def _inputs(analysis: Analysis, days: int, rows: int = 24, *, fill: float | None = None) -> dict[str, xr.Dataset]:
    random = np.random.default_rng(7)
    found = {}
    for name, entry in sorted(analysis.inputs.items()):
        shape = (days, rows, 20)
        bands: dict[str, Any] = {}
        for variable in entry.bands:
            values = random.uniform(0.01, 0.6, shape) if fill is None else np.full(shape, fill)
            values[random.uniform(size=shape) < 0.3] = np.nan
            bands[variable] = (("time", "y", "x"), values.astype(np.float32))
        times = np.datetime64("2020-01-01", "ns") + np.arange(days) * np.timedelta64(1, "D")
        found[name] = xr.Dataset(bands, {"time": times, "y": np.arange(rows)[::-1] * 30.0, "x": np.arange(20) * 30.0})
    return found


def _days(analysis: Analysis) -> int:
    return 1 if analysis.period == "scene" else 5


def _bytes(output: Output) -> dict[str, bytes]:
    return {name: band.values.tobytes() for name, band in output.bands.items()}


@pytest.fixture(params=NAMES)
def analysis(request: pytest.FixtureRequest) -> Analysis:
    (found,) = analyses(request.param)
    return found


def test_its_words_are_plain_data(analysis: Analysis) -> None:
    json.dumps([analysis.name, analysis.version, analysis.description, dict(analysis.parameters)])
    assert pickle.loads(pickle.dumps(analysis)) == analysis
    assert analysis.inputs
    assert (analysis.grid is None) == (analysis.period == "scene")


def test_its_collection_is_declared_and_something_can_be_its_input(analysis: Analysis) -> None:
    assert declared(analysis.collection).derived
    assert families(analysis)


def test_it_makes_every_declared_band_in_its_dtype_and_shape(analysis: Analysis) -> None:
    output = analysis.compute(_inputs(analysis, _days(analysis)))
    expected = {band.name: band.dtype for band in declared(analysis.collection).measurements}
    assert {name: str(band.dtype) for name, band in output.bands.items()} == expected
    assert {band.shape for band in output.bands.values()} == {(24, 20)}


def test_it_is_pure(analysis: Analysis) -> None:
    inputs = _inputs(analysis, _days(analysis))
    before = {name: dataset.copy(deep=True) for name, dataset in inputs.items()}
    assert _bytes(analysis.compute(inputs)) == _bytes(analysis.compute(inputs))
    for name, dataset in inputs.items():
        xr.testing.assert_identical(dataset, before[name])


def test_blocks_together_are_the_whole(analysis: Analysis) -> None:
    inputs = _inputs(analysis, _days(analysis))
    whole = analysis.compute(inputs)
    halves = [
        analysis.compute({name: dataset.isel(y=part) for name, dataset in inputs.items()}) for part in (slice(0, 10), slice(10, None))
    ]
    for name, band in whole.bands.items():
        np.testing.assert_array_equal(np.concatenate([half.bands[name].values for half in halves]), band.values)


def test_nothing_in_is_nodata_out(analysis: Analysis) -> None:
    output = analysis.compute(_inputs(analysis, _days(analysis), fill=np.nan))
    for name, band in output.bands.items():
        nodata = declared(analysis.collection).band(name).nodata
        assert nodata is not None
        np.testing.assert_array_equal(band.values, np.full((24, 20), nodata, band.dtype))
