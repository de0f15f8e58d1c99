"""Real Sentinel-3 OLCI swaths: Level-2 granules that only this test declares, and Level-1 products in their real layout."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import pytest
import shapely
from support.swath_files import assert_nearest, centres, declare, draft, drafts

from eolake.catalog.declaration import declared
from eolake.catalog.sources import Grid
from eolake.ingest.sensors.base import Options

FLOAT = {"dtype": "float32", "nodata": math.nan}
BANDS = [
    {"name": "chl", "aliases": ["conc_chl"], "title": "Chlorophyll", "unit": "mg.m-3", **FLOAT},
    {"name": "rrs_560", "aliases": ["rrs_6"], "title": "Remote sensing reflectance at 560 nm", "unit": "sr-1", **FLOAT},
    {
        "name": "tsm",
        "aliases": ["conc_tsm"],
        "title": "Suspended matter",
        "dtype": "uint16",
        "nodata": 65535,
        "scale": 0.005,
        "unit": "g.m-3",
    },
    {"name": "sza", "aliases": ["SZA"], "title": "Solar zenith angle", "unit": "degree", **FLOAT},
    {
        "name": "flags",
        "aliases": ["c2rcc_flags"],
        "title": "C2RCC flags",
        "dtype": "uint32",
        "bitfields": [
            {"name": "rtosa_oos", "offset": 0, "classes": [{"value": 1, "name": "out_of_scope"}]},
            {"name": "no_data", "offset": 30, "classes": [{"value": 1, "name": "no_data"}]},
        ],
    },
]
SOURCE = {
    "product": r"O_L2_0001_SNS_(?P<start>\d{13})_v1\.0",
    "times": "%Y%j%H%M%S",
    "metadata": "attributes",
    "properties": {},
    "variables": {"sza": {"at": "SZA", "ties": {"kind": "subsampled", "columns": 64}}},
}


def variable(path: Path, name: str) -> Any:
    with netCDF4.Dataset(path) as file:
        file.set_auto_maskandscale(False)
        return file[name][:]


@pytest.fixture(params=["O_L2_0001_SNS_2017104102450_v1.0", "O_L2_0001_SNS_2017105095839_v1.0"])
def granule(samples: Path, request: pytest.FixtureRequest) -> Path:
    return samples / f"pixels/sentinel3/olci_l2_sns_bc/inputdata/{request.param}.nc"


def test_level_2_is_gridded_by_declaration(granule: Path, tmp_path: Path) -> None:
    grid = Grid(crs="EPSG:3035", resolution=300) if "2017105" in granule.name else None
    declare(tmp_path, id="sns_l2", bands=BANDS, source=SOURCE | {"grids": {"default": {"crs": "EPSG:4326", "resolution": 0.003}}})
    found = draft(granule, tmp_path / "work", Options(grid=grid))
    longitude, latitude = variable(granule, "lon"), variable(granule, "lat")
    for name, of in {"chl": "conc_chl", "rrs_560": "rrs_6"}.items():
        values = variable(granule, of)
        assert np.isfinite(values).any()
        there = assert_nearest(found.bands[name].read(), longitude, latitude, values, math.nan)
        assert there.any()
    tsm = variable(granule, "conc_tsm")
    with np.errstate(invalid="ignore"):
        counts = np.where(np.isnan(tsm), 65535, np.rint(tsm.astype(float) / 0.005)).astype(np.uint16)
    assert found.bands["tsm"].properties == {"eolake:rescaled_from": {"scale": 1.0, "offset": 0.0}}
    assert_nearest(found.bands["tsm"].read(), longitude, latitude, counts, 65535)
    assert_nearest(found.bands["flags"].read(), longitude, latitude, variable(granule, "c2rcc_flags").view(np.uint32), 1 << 30)


def test_level_2_angles_and_times(granule: Path, tmp_path: Path) -> None:
    declare(tmp_path, id="sns_l2", bands=BANDS, source=SOURCE | {"grids": {"default": {"crs": "EPSG:4326", "resolution": 0.003}}})
    found = draft(granule, tmp_path / "work")
    ties = variable(granule, "SZA")
    expected = np.array([np.interp(np.arange(100), np.arange(len(row)) * 64, row) for row in ties[:100].astype(float)])
    longitude, latitude = variable(granule, "lon"), variable(granule, "lat")
    pixels = found.bands["sza"].read()
    exact = assert_nearest(pixels, longitude, latitude, pixels_of(expected), math.nan)
    assert exact.sum() > 5000
    start = {"2017104102450": "2017-04-14T10:27:29.454657Z", "2017105095839": "2017-04-15T10:01:35.533860Z"}
    assert found.item.properties["start_datetime"] == start[found.item.id.split("_")[4]]
    outline = shapely.geometry.shape(found.item.geometry)
    there = ~np.isnan(pixels.data)
    assert shapely.contains_xy(outline.buffer(0.004), *(place[there] for place in centres(pixels))).all()


def pixels_of(values: Any) -> Any:
    return values.astype(np.float32)


def test_level_1_in_its_real_layout(samples: Path, tmp_path: Path) -> None:
    products = sorted((samples / "pixels/sentinel3/olci_repacked").glob("*.SEN3"))
    assert len(products) == 2
    for product in products:
        (found,) = drafts(product, tmp_path / "work")
        collection = declared("s3_olci_l1_efr")
        assert {band.name for band in collection.measurements} <= set(found.bands)
        longitude, latitude = (variable(product / "geo_coordinates.nc", name) * 1e-6 for name in ("longitude", "latitude"))
        for band in ("oa01", "oa08", "oa21"):
            name = f"Oa{band[2:]}_radiance"
            with netCDF4.Dataset(product / f"{name}.nc") as file:
                file.set_auto_maskandscale(False)
                counts, scale = file[name][:], float(file[name].scale_factor)
            assert found.bands[band].properties == {}
            assert scale == pytest.approx(collection.band(band).scale, rel=1e-7)
            assert_nearest(found.bands[band].read(), longitude, latitude, counts, 65535)
