"""A real Landsat scene, as USGS delivers it, against the same indices from its files with nothing but rasterio and numpy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from support.small_scenes import bring_in

from eolake.analysis.cluster import Workers
from eolake.analysis.families import families
from eolake.analysis.plan import Request, make_plan
from eolake.analysis.run import run
from eolake.analysis.solar import parse_interval
from eolake.analysis.vegetation_indices import SCENE
from eolake.catalog.lake import Lake
from eolake.cube.session import Session
from eolake.ingest.sensors.landsat import LandsatSensor

PRODUCT = "LC08_L2SP_008059_20191201_20200825_02_T1"
HIDDEN = 0b11111
"""QA_PIXEL bits 0–4: fill, dilated cloud, cirrus, cloud, cloud shadow."""


def _source(folder: Path, band: str) -> np.ndarray[Any, Any]:
    with rasterio.open(folder / f"{PRODUCT}_{band}.TIF", driver="GTiff") as source:
        return np.asarray(source.read(1))


def _expected(folder: Path) -> dict[str, np.ndarray[Any, Any]]:
    red, nir, swir = (np.where(dn == 0, np.nan, dn * 0.0000275 - 0.2) for dn in (_source(folder, f"SR_B{n}") for n in (4, 5, 7)))
    found = {"ndvi": (nir - red) / (nir + red), "nbr": (nir - swir) / (nir + swir)}
    nothing = (_source(folder, "QA_PIXEL") & HIDDEN != 0) | ~(nir + red > 0) | ~(nir + swir > 0)
    return {name: np.where(nothing, np.nan, np.clip(values, -1, 1)) for name, values in found.items()}


def test_indices_of_a_real_scene(session: Session, lake: Lake, workers: Workers, samples: Path, tmp_path: Path) -> None:
    folder = samples / "pixels/landsat/c2l2_stactools/assets3"
    for draft in LandsatSensor().open(folder, tmp_path):
        bring_in(session, draft)
    request = Request(interval=parse_interval("2019-12-01"), bbox=(-90, -10, -60, 10))
    with lake.connect() as connection:
        plan = make_plan(connection, SCENE, families(SCENE), request)
    result = run(lake, plan, parameters={}, workers=workers, progress=lambda _: None)
    assert result.published == [f"vegetation_indices_scene_{PRODUCT}"]
    for name, expected in _expected(folder).items():
        row = session.connection.execute("select key from eolake.object where key like %s", [f"vegetation%/{name}.tif"]).fetchone()
        assert row is not None
        with rasterio.open(session.store.gdal_path(row["key"]), driver="GTiff") as source:
            np.testing.assert_allclose(source.read(1), expected, atol=1e-6, equal_nan=True)
        assert np.isfinite(expected).sum() > 20_000
