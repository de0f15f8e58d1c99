"""Sentinel-5P: simulated products are read with equal values by readers nobody here wrote, and become bands with the same values."""

from __future__ import annotations

import math
import warnings
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import pytest
import xarray as xr
from support.swath_files import assert_nearest, draft

from eolake.catalog.declaration import declared
from eolake.ingest.naming import scene_of
from eolake.ingest.simulators.products.season import Season
from eolake.ingest.simulators.products.sentinel5p import FILL, Granule, Kind, fields, generate_sentinel5p

WHEN = datetime(2020, 1, 4, 3, 40, tzinfo=UTC)
KINDS: tuple[Kind, ...] = ("no2", "co", "aer_ai")
COLLECTION = {kind: f"s5p_l2_{kind}" for kind in KINDS}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("s5p")


@pytest.fixture(scope="module", params=KINDS)
def granule(request: pytest.FixtureRequest) -> Granule:
    return Granule(kind=request.param, start=WHEN, scanlines=50, pixels=45)


@pytest.fixture(scope="module")
def product(granule: Granule, folder: Path) -> Path:
    return generate_sentinel5p(granule, folder)


def variable(product: Path, name: str) -> Any:
    """As it is stored; rows and columns."""
    with netCDF4.Dataset(product) as file:
        file.set_auto_maskandscale(False)
        return file[name][0]


# --- the products ---


def test_netcdf4_and_xarray_read_what_was_simulated(product: Path, granule: Granule) -> None:
    truth = fields(granule)
    seen = set()
    with netCDF4.Dataset(product) as file:
        for group in ("PRODUCT", *(f"PRODUCT/SUPPORT_DATA/{name}" for name in file["PRODUCT/SUPPORT_DATA"].groups)):
            for name, stored in file[group].variables.items():
                if stored.dimensions[:3] == ("time", "scanline", "ground_pixel"):
                    assert stored.shape[:3] == (1, 50, 45)
                if stored.dimensions == ("time", "scanline", "ground_pixel"):
                    stored.set_auto_maskandscale(False)
                    np.testing.assert_array_equal(stored[0], np.asarray(truth[name]).astype(stored.dtype), err_msg=name)
                    seen.add(name)
        assert file.time_coverage_start == "2020-01-04T03:40:00Z"
        assert file.orbit == granule.orbit
        assert file["METADATA/ESA_METADATA/earth_explorer_header/fixed_header"].File_Name == granule.name
        assert file["PRODUCT/time_utc"][0, 0] == "2020-01-04T03:40:00.000000Z"
    assert {"latitude", "longitude", "qa_value", "processing_quality_flags", "solar_zenith_angle", "surface_pressure"} < seen
    with xr.open_dataset(product, group="PRODUCT", engine="netcdf4") as dataset:
        assert dataset.qa_value.dims == ("time", "scanline", "ground_pixel")
        np.testing.assert_allclose(dataset.qa_value[0], truth["qa_value"] * np.float32(0.01), rtol=1e-6)
        assert dataset.time.values[0] == np.datetime64("2020-01-04T00:00:00")


def test_satpy_reads_what_was_simulated(product: Path, granule: Granule) -> None:
    truth = fields(granule)
    main = declared(COLLECTION[granule.kind]).bands[0]
    name = (*main.aliases, main.name)[0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from satpy import Scene

        scene = Scene([str(product)], reader="tropomi_l2")
        scene.load([name, "latitude", "longitude", "solar_zenith_angle", "assembled_lat_bounds"])
        values = {key: scene[key].values for key in (name, "latitude", "longitude", "solar_zenith_angle")}
        assert scene["assembled_lat_bounds"].shape == (51, 46)
        assert scene[name].attrs["platform_shortname"] == "S5P"
        assert scene[name].attrs["time_coverage_start"] == datetime(2020, 1, 4, 3, 40)  # noqa: DTZ001 - satpy has no zones
    for key, found in values.items():
        expected = np.asarray(truth[key]).astype(np.float32)
        np.testing.assert_array_equal(found, np.where(expected == FILL, np.nan, expected), err_msg=key)


def test_a_granule_lies_where_its_instrument_looks() -> None:
    granule = Granule(kind="no2", start=WHEN, scanlines=60, pixels=450)
    found = fields(granule)
    longitude, latitude = found["longitude"], found["latitude"]
    assert (longitude[30, 225], latitude[30, 225]) == pytest.approx(granule.centre, abs=0.05)
    assert latitude[-1, 225] > latitude[0, 225]  # ascending
    assert longitude[-1, 225] < longitude[0, 225]
    assert longitude[30, -1] > longitude[30, 0]  # from west to east
    points = np.radians([[longitude[30, 0], latitude[30, 0]], [longitude[30, -1], latitude[30, -1]]]).T
    across = 6371 * math.acos(
        math.sin(points[1][0]) * math.sin(points[1][1])
        + math.cos(points[1][0]) * math.cos(points[1][1]) * math.cos(points[0][0] - points[0][1])
    )
    assert across == pytest.approx(2600, rel=0.05)
    assert found["viewing_zenith_angle"].max() == pytest.approx(66, abs=1.5)
    inside = (found["latitude_bounds"].min(-1) < latitude) & (latitude < found["latitude_bounds"].max(-1))
    assert inside.all()


def test_smoke_is_where_the_season_has_it() -> None:
    season = Season()
    granule = Granule(kind="co", start=WHEN, scanlines=120, pixels=100, season=season)
    found = fields(granule)
    clear = found["qa_value"] > 0
    smoke = season.smoke(found["longitude"].astype(float), found["latitude"].astype(float), WHEN)
    assert smoke.max() > 0.5
    for name in ("carbonmonoxide_total_column", "aerosol_index_354_388"):
        assert np.corrcoef(smoke[clear], found[name][clear])[0, 1] > 0.8, name
    other = fields(Granule(kind="co", start=WHEN, scanlines=120, pixels=100, season=Season(seed=7)))
    assert not np.array_equal(other["carbonmonoxide_total_column"], found["carbonmonoxide_total_column"])


def test_pixels_without_a_value_are_marked() -> None:
    granule = Granule(kind="no2", start=WHEN, scanlines=350, pixels=300)
    found = fields(granule)
    gone = found["nitrogendioxide_tropospheric_column"] == FILL
    assert 0 < gone.mean() < 0.3
    assert (found["qa_value"][gone] == 0).all()
    assert ((found["processing_quality_flags"][gone] & 0xFF) == 65).all()


# --- the bands ---


def test_every_cell_shows_its_nearest_pixel(product: Path, granule: Granule, tmp_path: Path) -> None:
    found = draft(product, tmp_path / "work")
    collection = declared(COLLECTION[granule.kind])
    assert set(found.bands) == {band.name for band in collection.measurements}
    longitude, latitude = (variable(product, f"PRODUCT/{name}") for name in ("longitude", "latitude"))
    for name, band in found.bands.items():
        pixels = band.read()
        declared_as = collection.band(name)
        assert (pixels.data.dtype.name, band.properties) == (declared_as.dtype, {}), name
        place = collection.source.variables.get(name, f"PRODUCT/{(*declared_as.aliases, name)[0]}")  # type: ignore[union-attr]
        values = variable(product, str(place))
        fill = math.nan if declared_as.dtype == "float32" else declared_as.nodata
        assert fill is not None
        assert_nearest(pixels, longitude, latitude, np.where(values == FILL, np.nan, values) if math.isnan(fill) else values, fill)


def test_the_item_says_what_the_product_says(product: Path, granule: Granule, tmp_path: Path) -> None:
    found = draft(product, tmp_path / "work")
    properties = found.item.properties
    assert (found.item.id, found.item.collection_id) == (granule.name, COLLECTION[granule.kind])
    assert (properties["platform"], properties["instruments"]) == ("sentinel-5p", ["tropomi"])
    assert properties["start_datetime"] == "2020-01-04T03:40:00Z"
    assert properties["end_datetime"] == f"{granule.end:%Y-%m-%dT%H:%M:%SZ}"
    assert properties["sat:absolute_orbit"] == granule.orbit
    assert properties["product:type"] == granule.name[9:19]
    assert (properties["processing:version"], properties["eolake:timeliness"]) == ("1.3.2", "OFFL")
    assert properties["processing:datetime"] == f"{granule.created:%Y-%m-%dT%H:%M:%SZ}"
    scene = scene_of(granule.name)
    assert scene is not None
    assert scene.rank == found.rank
    assert (found.scene_key or "").startswith(f"sentinel-5p/{granule.name[9:19]}/{granule.orbit:05}")


def test_a_zip_as_the_hub_packs_it(tmp_path: Path) -> None:
    granule = Granule(kind="co", start=WHEN, scanlines=20, pixels=20, timeliness="NRTI")
    path = generate_sentinel5p(granule, tmp_path, packed=True)
    assert path.name == f"{granule.name}.zip"
    found = draft(path, tmp_path / "work")
    assert found.item.id == granule.name
    assert np.isfinite(found.bands["co"].read().data).sum() > 100


def test_several_granules_of_one_orbit_are_scenes_of_their_own(tmp_path: Path) -> None:
    first = Granule(kind="co", start=WHEN, scanlines=20, pixels=20)
    later = Granule(kind="co", start=WHEN, scanlines=20, pixels=20, timeliness="RPRO")
    one, other = (draft(generate_sentinel5p(each, tmp_path), tmp_path / "work") for each in (first, later))
    assert one.scene_key == other.scene_key
    assert one.rank < other.rank
