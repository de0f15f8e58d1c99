"""Generated SLSTR products against readers that are not ours, and all sensors against one truth."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from stactools.sentinel3.stac import create_item

from eolake.ingest.simulators.packing import pack_products
from eolake.ingest.simulators.products.landscape import Landscape
from eolake.ingest.simulators.products.scenes import generate_pass
from eolake.ingest.simulators.products.season import SITE, Season
from eolake.ingest.simulators.products.sentinel3.geometry import Pass, slstr
from eolake.ingest.simulators.products.sentinel3.make import SENTINEL3, Sentinel3Kind, find_pass
from eolake.ingest.simulators.products.sentinel3.slstr_l2 import LEAST_POWER

WHEN = datetime(2019, 12, 26, 23, 20, tzinfo=UTC)
SIZE = 30
SEASON = Season()
LANDSCAPE = Landscape(season=SEASON)
pytestmark = pytest.mark.filterwarnings("ignore")  # satpy's and xarray's


def make(kind: Sentinel3Kind, folder: Path, *, orbit: Pass | None = None, landscape: Landscape = LANDSCAPE) -> Path:
    return generate_pass(kind, orbit or find_pass(WHEN, SITE), folder, landscape=landscape, size=SIZE)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("slstr")
    for kind in SENTINEL3:
        if kind.startswith("s3_slstr"):
            make(kind, found)
    return found


@pytest.fixture(scope="module")
def rbt(folder: Path) -> Path:
    return next(folder.glob("*_RBT_*.SEN3"))


@pytest.fixture(scope="module")
def frp(folder: Path) -> Path:
    return next(folder.glob("*_FRP_*.SEN3"))


@pytest.fixture(scope="module")
def lst(folder: Path) -> Path:
    return next(folder.glob("*_LST_*.SEN3"))


def scaled(product: Path, file: str, name: str = "") -> Any:
    with netCDF4.Dataset(product / f"{file}.nc") as opened:
        return np.ma.filled(opened[name or file][:].astype(float), np.nan)


def moment() -> datetime:
    orbit = find_pass(WHEN, SITE)
    return slstr(orbit, SITE, rows=SIZE, columns=SIZE).grid("in").middle


def test_satpy_reads_the_radiances_and_temperatures_that_netcdf_has(rbt: Path) -> None:
    from satpy import DataQuery, Scene
    from satpy.readers.slstr_l1b import CHANCALIB_FACTORS

    bands = {
        "S3_radiance_an": DataQuery(name="S3", view="nadir", stripe="a", calibration="radiance"),
        "S6_radiance_ao": DataQuery(name="S6", view="oblique", stripe="a", calibration="radiance"),
        "S7_BT_in": DataQuery(name="S7", view="nadir"),
        "S8_BT_io": DataQuery(name="S8", view="oblique"),
        "F1_BT_fn": DataQuery(name="F1", view="nadir", stripe="f"),
    }
    scene = Scene(reader="slstr_l1b", filenames=[str(rbt / f"{name}.nc") for name in bands])
    for name, query in bands.items():
        scene.load([query])
        loaded = next(scene[key].values for key in scene.keys() if key["name"] == query["name"])  # noqa: SIM118 - not a dict
        factor = CHANCALIB_FACTORS.get(f"{query['name']}_{query['view']}", 1.0)
        assert_allclose(loaded, scaled(rbt, name) * factor, rtol=1e-6, err_msg=name)


def test_images_have_the_grids_of_the_instrument(rbt: Path) -> None:
    assert scaled(rbt, "S1_radiance_an").shape == (2 * SIZE, 2 * SIZE)
    assert scaled(rbt, "S7_BT_in").shape == (SIZE, SIZE)
    fine, coarse = (scaled(rbt, f"geodetic_{grid}", f"longitude_{grid}") for grid in ("an", "in"))
    assert_allclose(fine.reshape(SIZE, 2, SIZE, 2).mean((1, 3)), coarse, atol=2e-6)
    assert abs(scaled(rbt, "geodetic_fn", "longitude_fn") - coarse).min() > 0.001
    x, y = scaled(rbt, "cartesian_in", "x_in"), scaled(rbt, "cartesian_in", "y_in")
    assert_array_equal(np.diff(x, axis=1), np.full((SIZE, SIZE - 1), -1000.0))
    assert_allclose(np.diff(y, axis=0), 1000.0, atol=1)
    assert (np.diff(scaled(rbt, "cartesian_tx", "x_tx"), axis=1) == -16_000).all()
    with netCDF4.Dataset(rbt / "S1_radiance_an.nc") as file:
        file.set_auto_maskandscale(False)
        assert (file["S1_radiance_an"].dtype, file["S1_radiance_an"].getncattr("_FillValue")) == (np.int16, -32768)


def test_files_are_those_of_a_real_product(rbt: Path, lst: Path, samples: Path) -> None:
    real = samples / "pixels" / "sentinel3" / "stactools_sen3" / "tests" / "data-files"
    for made, kind in ((rbt, "SL_1_RBT"), (lst, "SL_2_LST")):
        theirs = next(real.glob(f"*{kind}*"))
        assert {path.name for path in made.iterdir()} == {path.name for path in theirs.iterdir()}
        for path in theirs.glob("*.nc"):
            with netCDF4.Dataset(path) as file, netCDF4.Dataset(made / path.name) as mine:
                assert set(mine.ncattrs()) >= {"start_time", "stop_time", "product_name"} & set(file.ncattrs()), path.name


def test_stactools_reads_each_manifest(rbt: Path, lst: Path, frp: Path) -> None:
    for product, kind in ((rbt, "SL_1_RBT___"), (lst, "SL_2_LST___"), (frp, "SL_2_FRP___")):
        item = create_item(str(product))
        assert item.properties["s3:product_type"] == kind
        assert item.properties["sat:absolute_orbit"] == find_pass(WHEN, SITE).orbit
        assert item.properties["s3:land"] > 80


def test_fires_of_the_list_are_those_of_the_season(frp: Path) -> None:
    power = scaled(frp, "FRP_in", "FRP_MWIR")
    lon, lat = scaled(frp, "geodetic_in", "longitude_in"), scaled(frp, "geodetic_in", "latitude_in")
    truth = SEASON.frp(lon, lat, moment())
    row, column = scaled(frp, "FRP_in", "j").astype(int), scaled(frp, "FRP_in", "i").astype(int)
    assert len(power) > 3
    assert_allclose(power, truth[row, column], atol=0.05)
    assert power.min() >= LEAST_POWER
    assert_allclose(scaled(frp, "FRP_in", "longitude"), lon[row, column], atol=1e-6)
    # what is not in the list is weak or on water
    unlisted = truth.copy()
    unlisted[row, column] = 0
    assert unlisted.sum() < 0.4 * SEASON.fires[0].power(moment())
    assert power.sum() > 0.5 * SEASON.fires[0].power(moment())


def test_listed_fires_are_hot_pixels_of_level_1(rbt: Path, frp: Path) -> None:
    row, column = scaled(frp, "FRP_in", "j").astype(int), scaled(frp, "FRP_in", "i").astype(int)
    mir, window = scaled(rbt, "S7_BT_in"), scaled(rbt, "S8_BT_in")
    rise = mir - window
    quiet = np.ones(rise.shape, bool)
    quiet[SEASON.frp(scaled(rbt, "geodetic_in", "longitude_in"), scaled(rbt, "geodetic_in", "latitude_in"), moment()) > 0] = False
    assert rise[row, column].min() > rise[quiet].max() + 1
    assert scaled(rbt, "F1_BT_fn").max() > 315


def test_ground_that_sentinel_2_sees_burnt_after_the_fire_is_where_slstr_saw_it_burn(frp: Path) -> None:
    lon, lat = scaled(frp, "FRP_in", "longitude"), scaled(frp, "FRP_in", "latitude")
    offsets = np.linspace(-0.006, 0.006, 13)
    east, north = np.meshgrid(offsets, offsets)
    later = LANDSCAPE.sample(lon[:, None, None] + east, lat[:, None, None] + north, "EPSG:4326", datetime(2020, 1, 18, 0, 11, tzinfo=UTC))
    assert (later.severity.max((1, 2)) > 0.3).all()
    before = LANDSCAPE.sample(lon, lat, "EPSG:4326", datetime(2019, 12, 19, 0, 11, tzinfo=UTC))
    assert not before.severity.any()


def test_a_pass_without_fires_has_an_empty_list(tmp_path: Path) -> None:
    before = find_pass(datetime(2019, 12, 12, 23, 30, tzinfo=UTC), SITE)
    product = make("s3_slstr_l2_frp", tmp_path, orbit=before, landscape=Landscape(season=Season(count=1)))
    with netCDF4.Dataset(product / "FRP_in.nc") as file:
        assert len(file.dimensions["fires"]) == 0
        assert file["FRP_MWIR"][:].shape == (0,)
        assert file["flags"].shape == (SIZE, SIZE)


def test_land_is_warm_and_scars_are_warmer(lst: Path) -> None:
    temperature = scaled(lst, "LST_in", "LST")
    lon, lat = scaled(lst, "geodetic_in", "longitude_in"), scaled(lst, "geodetic_in", "latitude_in")
    burnt = SEASON.burnt(lon, lat, moment())
    assert 285 < np.nanmean(temperature) < 320
    assert np.nanmean(temperature[burnt > 0.5]) > np.nanmean(temperature[burnt == 0]) + 2


def test_archives_offer_them_as_the_data_space_does(folder: Path) -> None:
    records = {record.attributes["productType"]: record for record in pack_products(folder)}
    assert set(records) == {"SL_1_RBT___", "SL_2_LST___", "SL_2_FRP___"}
    attributes = records["SL_2_FRP___"].attributes
    orbit = find_pass(WHEN, SITE)
    expected = {
        "platformShortName": "SENTINEL-3",
        "platformSerialIdentifier": "A",
        "instrumentShortName": "SLSTR",
        "timeliness": "NT",
        "orbitDirection": "DESCENDING",
        "orbitNumber": orbit.orbit,
        "relativeOrbitNumber": orbit.relative_orbit,
    }
    assert expected.items() <= attributes.items()
    assert records["SL_2_FRP___"].file.suffix == ".zip"
