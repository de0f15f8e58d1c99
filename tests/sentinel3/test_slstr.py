"""SLSTR products on their grids: every cell shows the nearest pixel, with the value that readers of others' making find there."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import geopandas
import netCDF4
import numpy as np
import pytest
from numpy.typing import NDArray
from support import slstr_products as slstr

from eolake.catalog.declaration import Band, declared
from eolake.catalog.draft import Draft, Pixels
from eolake.catalog.errors import BadProduct
from eolake.catalog.sources import Grid
from eolake.ingest.sensors import find_sensor
from eolake.ingest.sensors.base import Options

Array = NDArray[Any]
NADIR, OBLIQUE = "s3_slstr_l1_rbt", "s3_slstr_l1_rbt_oblique"


def drafts(product: Path, workspace: Path, options: Options | None = None) -> dict[str, Draft]:
    """By collection."""
    workspace.mkdir(exist_ok=True)
    sensor = find_sensor(product.stem)
    assert sensor is not None
    found = list(sensor.open(product, workspace, options or Options()))
    assert len({(draft.item.collection_id, draft.item.id) for draft in found}) == len(found)
    return {draft.item.collection_id or "": draft for draft in found}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A converted product beside what it was made from."""

    product: Path
    drafts: Mapping[str, Draft]

    def pixels(self, collection: str, band: str) -> Pixels:
        return self.drafts[collection].bands[band].read()


@pytest.fixture(scope="module")
def rbt(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    folder = tmp_path_factory.mktemp("rbt")
    product = slstr.rbt(folder)
    return Scene(product=product, drafts=drafts(product, folder / "work"))


@pytest.fixture(scope="module")
def lst(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    folder = tmp_path_factory.mktemp("lst")
    product = slstr.lst(folder)
    return Scene(product=product, drafts=drafts(product, folder / "work"))


def physical(pixels: Pixels, band: Band) -> Array:
    """NaN where there is nothing."""
    values = pixels.data * (band.scale or 1) + (band.offset or 0)
    return np.where(pixels.data == band.nodata, np.nan, values)


def stored(product: Path, file: str, variable: str) -> Array:
    """As the NetCDF library decodes it."""
    with netCDF4.Dataset(product / file) as opened:
        return np.ma.filled(opened[variable][:].astype(float), np.nan)


def expected(product: Path, grid: str, image: Array, pixels: Pixels) -> tuple[Array, Array]:
    """The nearest pixel's value in every cell, by a k-d tree; and where the swath certainly is (a cell within it) or is not."""
    longitude, latitude = (slstr.degrees(product / f"geodetic_{grid}.nc", f"{name}_{grid}") for name in ("longitude", "latitude"))
    rows, columns = pixels.data.shape
    column, row = np.meshgrid(np.arange(columns) + 0.5, np.arange(rows) + 0.5)
    x, y = pixels.transform @ (column, row)
    index, distance = slstr.nearest(longitude, latitude, (x + 180) % 360 - 180, y)
    return image.ravel()[index].reshape(pixels.data.shape), distance.reshape(pixels.data.shape)


def check(product: Path, grid: str, image: Array, pixels: Pixels, band: Band, *, step: float, tolerance: float) -> None:
    """At least 99.9 % of the cells in the swath show their nearest pixel, none far from it shows anything, none within it is empty."""
    wanted, distance = expected(product, grid, image, pixels)
    shown = physical(pixels, band)
    inside, outside = distance < step / 2 * 0.95, distance > step * 0.75
    assert inside.sum() > 500
    assert np.isnan(shown[outside]).all(), f"{band.name} beyond the swath"
    equal = np.isclose(shown, wanted, rtol=0, atol=tolerance, equal_nan=True)[inside]
    assert equal.mean() >= 0.999, f"{band.name}: {equal.mean():.4%} of the cells"
    assert np.isfinite(shown[inside & np.isfinite(wanted)]).mean() >= 0.999


def test_one_product_is_a_scene_of_each_view(rbt: Scene) -> None:
    assert set(rbt.drafts) == {NADIR, OBLIQUE}
    assert len({draft.scene_key for draft in rbt.drafts.values()}) == 2, "neither takes the other's place"
    for collection, draft in rbt.drafts.items():
        assert set(draft.bands) == {band.name for band in declared(collection).bands}
        assert draft.item.properties["platform"] == "sentinel-3a"
        assert draft.item.properties["start_datetime"] == "2019-12-31T23:49:21Z"
    assert rbt.drafts[OBLIQUE].item.bbox != rbt.drafts[NADIR].item.bbox, "the oblique swath is narrower"


BANDS = [
    ("n", "an", "s1", 500.0),
    ("n", "an", "s4", 500.0),
    ("n", "an", "s6", 500.0),
    ("n", "in", "s8", 1000.0),
    ("n", "in", "f2", 1000.0),
    ("n", "fn", "f1", 1000.0),
    ("o", "ao", "s5", 500.0),
    ("o", "io", "s7", 1000.0),
    ("o", "fo", "f1", 1000.0),
]


@pytest.mark.parametrize(("view", "grid", "name", "step"), BANDS)
def test_every_cell_shows_the_nearest_pixel(rbt: Scene, view: str, grid: str, name: str, step: float) -> None:
    collection = NADIR if view == "n" else OBLIQUE
    band = declared(collection).band(name)
    kind = "radiance" if name in {"s1", "s2", "s3", "s4", "s5", "s6"} else "BT"
    variable = f"{name.upper()}_{kind}_{grid}"
    image = stored(rbt.product, f"{variable}.nc", variable)
    assert band.scale is not None
    check(rbt.product, grid, image, rbt.pixels(collection, name), band, step=step, tolerance=band.scale / 1000)


def test_both_grids_lie_on_their_lattice(rbt: Scene) -> None:
    for name, resolution in (("s1", 0.005), ("s8", 0.01), ("f1", 0.01)):
        pixels = rbt.pixels(NADIR, name)
        assert pixels.crs == "EPSG:4326"
        assert (pixels.transform.a, pixels.transform.e) == (resolution, -resolution)
        for edge in (pixels.transform.c, pixels.transform.f):
            assert edge / resolution == pytest.approx(round(edge / resolution), abs=1e-6)
    one, two = rbt.pixels(NADIR, "s8"), rbt.pixels(NADIR, "f1")
    assert (one.data.shape, one.transform) == (two.data.shape, two.transform), "bands of one grid share it"


SATPY = [
    ("S1", "an", 500.0),
    ("S6", "an", 500.0),
    ("S8", "in", 1000.0),
    ("F2", "in", 1000.0),
    ("F1", "fn", 1000.0),
    ("S3", "ao", 500.0),
    ("S9", "io", 1000.0),
]


def check_with_satpy(scene: Scene) -> None:
    """Bands as satpy reads them, on the swath."""
    from satpy import DataQuery
    from satpy import Scene as SatpyScene
    from satpy.readers.slstr_l1b import CHANCALIB_FACTORS

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        oracle = SatpyScene([str(path) for path in scene.product.glob("*.nc")], reader="slstr_l1b")
        for name, grid, step in SATPY:
            view = "nadir" if grid[1] == "n" else "oblique"
            calibration = "radiance" if step == 500.0 else "brightness_temperature"
            query = DataQuery(name=name, view=view, calibration=calibration, stripe=grid[0])
            oracle.load([query])
            image = oracle[query].values / CHANCALIB_FACTORS.get(
                f"{name}_{view}", 1.0
            )  # it corrects radiances; the lake has them as they are
            collection = NADIR if view == "nadir" else OBLIQUE
            band, pixels = declared(collection).band(name), scene.pixels(collection, name.lower())
            check(scene.product, grid, image, pixels, band, step=step, tolerance=1e-4)


def test_values_are_those_that_satpy_reads(rbt: Scene) -> None:
    check_with_satpy(rbt)


@pytest.mark.parametrize(
    ("name", "written"), [("sza", "solar_zenith"), ("saa", "solar_azimuth"), ("oza", "sat_zenith"), ("oaa", "sat_azimuth")]
)
@pytest.mark.parametrize("view", ["n", "o"])
def test_angles_are_interpolated_in_metres(rbt: Scene, name: str, written: str, view: str) -> None:
    collection = NADIR if view == "n" else OBLIQUE
    band = declared(collection).band(name)
    pixels = rbt.pixels(collection, name)
    image = slstr.angle(written, *(stored(rbt.product, f"cartesian_i{view}.nc", f"{axis}_i{view}") for axis in "xy"))
    wanted, distance = expected(rbt.product, f"i{view}", image, pixels)
    inside = distance < 450
    assert band.scale is not None
    off = (physical(pixels, band) - wanted + 180) % 360 - 180
    assert np.nanmax(np.abs(off[inside])) <= band.scale * 0.51, "359 and 1 lie side by side"
    assert np.isfinite(off[inside]).all()
    if name == "oaa":
        assert np.ptp(wanted[inside]) > 350, "the azimuth passes north in this product"


def assert_flags(product: Path, file: str, variable: str, grid: str, pixels: Pixels, step: float) -> None:
    """Every bit as it was, and all of them outside."""
    with netCDF4.Dataset(product / file) as opened:
        opened.set_auto_mask(False)
        image = opened[variable][:]
    wanted, distance = expected(product, grid, image, pixels)
    assert pixels.data.dtype == image.dtype
    assert (pixels.data == wanted)[distance < step / 2 * 0.95].mean() >= 0.999
    assert (pixels.data[distance > step * 0.75] == np.iinfo(image.dtype).max).all()


@pytest.mark.parametrize(("grid", "step"), [("an", 500.0), ("in", 1000.0), ("ao", 500.0), ("io", 1000.0)])
def test_flags_keep_every_bit_and_have_all_of_them_outside(rbt: Scene, grid: str, step: float) -> None:
    collection = NADIR if grid[1] == "n" else OBLIQUE
    for name in ("confidence", "cloud", "bayes", "pointing"):
        variable = f"{name}_{grid}"
        assert_flags(rbt.product, f"flags_{grid}.nc", variable, grid, rbt.pixels(collection, variable), step)


@pytest.mark.parametrize(("view", "grid", "name", "step"), BANDS)
def test_exceptions_lie_beside_their_band(rbt: Scene, view: str, grid: str, name: str, step: float) -> None:
    collection = NADIR if view == "n" else OBLIQUE
    kind = "radiance" if grid[0] == "a" else "BT"
    file, variable = f"{name.upper()}_{kind}_{grid}.nc", f"{name.upper()}_exception_{grid}"
    assert_flags(rbt.product, file, variable, grid, rbt.pixels(collection, f"{name}_exception"), step)


def test_a_pixel_without_a_place_across_the_track_has_no_angle_but_keeps_its_value(tmp_path: Path) -> None:
    """Real frames have unfilled columns: longitude and latitude are known there, metres are not."""
    product = slstr.rbt(tmp_path)
    for view in "no":
        path = product / f"cartesian_i{view}.nc"
        with netCDF4.Dataset(path, "a") as file:
            file.set_auto_maskandscale(False)
            file[f"x_i{view}"][:, 0] = -1_000_000
    slstr.write_manifest(product, slstr.image(80, 120, 500.0))
    draft = drafts(product, tmp_path / "work")[NADIR]
    band = declared(NADIR).band("sza")
    zenith = draft.bands["sza"].read()
    known = np.ones((40, 60))
    known[:, 0] = 0
    wanted, distance = expected(product, "in", known, zenith)
    assert (zenith.data[(wanted == 0) & (distance < 450)] == band.nodata).all()
    assert (zenith.data[(wanted == 1) & (distance < 450)] != band.nodata).all()
    temperature = draft.bands["s8"].read()
    assert (temperature.data[(wanted == 0) & (distance < 450)] != -32768).any()


def test_a_frame_without_any_oblique_pixel_at_its_edge_is_no_fault(tmp_path: Path) -> None:
    """Real oblique images have rows without coordinates."""
    product = slstr.rbt(tmp_path)
    for grid in ("ao", "io", "fo"):
        with netCDF4.Dataset(product / f"geodetic_{grid}.nc", "a") as file:
            file.set_auto_maskandscale(False)
            for name in ("longitude", "latitude"):
                file[f"{name}_{grid}"][:12] = -(2**31)
    slstr.write_manifest(product, slstr.image(80, 120, 500.0))
    draft = drafts(product, tmp_path / "work")[OBLIQUE]
    image = stored(product, "S7_BT_io.nc", "S7_BT_io")
    band = declared(OBLIQUE).band("s7")
    check(product, "io", image, draft.bands["s7"].read(), band, step=1000.0, tolerance=1e-5)


def test_a_pass_over_the_antimeridian_is_one_raster(tmp_path: Path) -> None:
    product = slstr.rbt(tmp_path, origin=(-179.9, -33.0))
    draft = drafts(product, tmp_path / "work")[NADIR]
    assert draft.item.geometry is not None
    assert draft.item.geometry["type"] == "MultiPolygon", "GeoJSON is cut there"
    pixels = draft.bands["s2"].read()
    assert pixels.data.shape[1] < 400, "no world-wide raster"
    check(
        product,
        "an",
        stored(product, "S2_radiance_an.nc", "S2_radiance_an"),
        pixels,
        declared(NADIR).band("s2"),
        step=500.0,
        tolerance=1e-5,
    )


def test_older_products_have_f1_on_the_grid_of_the_other_thermal_channels(tmp_path: Path) -> None:
    """Baseline 003, which the passes over the fires of 2019 were first processed with."""
    product = slstr.rbt(tmp_path)
    for view in "no":
        with netCDF4.Dataset(product / f"F1_BT_f{view}.nc", "a") as file:
            for kind in ("BT", "exception"):
                file.renameVariable(f"F1_{kind}_f{view}", f"F1_{kind}_i{view}")
        (product / f"F1_BT_f{view}.nc").rename(product / f"F1_BT_i{view}.nc")
        for kind in ("geodetic", "cartesian", "flags", "indices"):
            (product / f"{kind}_f{view}.nc").unlink()
    slstr.write_manifest(product, slstr.image(80, 120, 500.0))
    made = drafts(product, tmp_path / "work")
    for collection, grid in ((NADIR, "in"), (OBLIQUE, "io")):
        image = stored(product, f"F1_BT_{grid}.nc", f"F1_BT_{grid}")
        pixels = made[collection].bands["f1"].read()
        check(product, grid, image, pixels, declared(collection).band("f1"), step=1000.0, tolerance=1e-5)


def test_a_product_that_lacks_a_band_is_broken(tmp_path: Path) -> None:
    product = slstr.rbt(tmp_path)
    (product / "S5_radiance_an.nc").unlink()
    with pytest.raises(BadProduct, match="S5_radiance_an"):
        drafts(product, tmp_path / "work")


# --- land surface temperature ---


@pytest.mark.parametrize(
    ("name", "file", "variable"),
    [
        ("lst", "LST_in.nc", "LST"),
        ("lst_uncertainty", "LST_in.nc", "LST_uncertainty"),
        ("ndvi", "LST_ancillary_ds.nc", "NDVI"),
        ("fraction", "LST_ancillary_ds.nc", "fraction"),
        ("tcwv", "LST_ancillary_ds.nc", "TCWV"),
        ("biome", "LST_ancillary_ds.nc", "biome"),
        ("elevation", "geodetic_in.nc", "elevation_in"),
    ],
)
def test_land_surface_temperature_and_what_lies_beside_it(lst: Scene, name: str, file: str, variable: str) -> None:
    collection = "s3_slstr_l2_lst"
    band = declared(collection).band(name)
    check(
        lst.product,
        "in",
        stored(lst.product, file, variable),
        lst.pixels(collection, name),
        band,
        step=1000.0,
        tolerance=(band.scale or 1) / 1000,
    )


def test_other_scales_are_brought_to_the_declared_one_and_said(lst: Scene) -> None:
    draft = lst.drafts["s3_slstr_l2_lst"]
    assert draft.bands["fraction"].properties["eolake:rescaled_from"], "the product counts in hundredths, in bytes"
    assert "eolake:rescaled_from" not in draft.bands["lst"].properties


# --- a pass over the simulated fires ---


@pytest.fixture(scope="module")
def season(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Scene]:
    """By collection of the nadir view."""
    folder = tmp_path_factory.mktemp("season")
    products = slstr.simulated(folder, NADIR, "s3_slstr_l2_lst", "s3_slstr_l2_frp")
    return {kind: Scene(product=product, drafts=drafts(product, folder / kind)) for kind, product in products.items()}


def test_simulated_radiances_are_those_that_satpy_reads(season: dict[str, Scene]) -> None:
    check_with_satpy(season[NADIR])


def test_simulated_temperatures_are_those_that_the_netcdf_library_reads(season: dict[str, Scene]) -> None:
    scene, collection = season["s3_slstr_l2_lst"], "s3_slstr_l2_lst"
    for name, variable in (("lst", "LST"), ("lst_uncertainty", "LST_uncertainty")):
        band = declared(collection).band(name)
        image = stored(scene.product, "LST_in.nc", variable)
        check(scene.product, "in", image, scene.pixels(collection, name), band, step=1000.0, tolerance=1e-5)


def test_fires_are_in_the_list_on_the_grid_and_hot(season: dict[str, Scene]) -> None:
    scene, collection = season["s3_slstr_l2_frp"], "s3_slstr_l2_frp"
    table = geopandas.read_parquet(scene.drafts[collection].attachments["fires"].path)
    written = stored(scene.product, "FRP_in.nc", "FRP_MWIR")
    assert len(table) == len(written) > 5
    np.testing.assert_array_equal(table["frp_mwir"], written)
    power = scene.pixels(collection, "frp")
    assert float(np.nansum(power.data, dtype=float)) == pytest.approx(float(written.sum()), rel=1e-6)
    above = season[NADIR].pixels(NADIR, "s7")
    heat = physical(above, declared(NADIR).band("s7"))
    row, column = np.nonzero(power.data > 0)
    right, down = ~above.transform @ (power.transform @ (column + 0.5, row + 0.5))
    hot = heat[np.floor(down).astype(int), np.floor(right).astype(int)]
    assert np.nanmean(hot) > np.nanmean(heat) + 3, "what burns is hot in the radiances of the same pass"


# --- real counts ---


SUBSET = (
    "pixels/sentinel3/snap_olci_slstr_l1/l1csyn/"
    "S3A_SL_1_RBT____20170313T110343_20170313T110643_20170314T172757_0179_015_208_2520_LN2_O_NT_002.SEN3.nc"
)
COARSE = Options(grid=Grid(crs="EPSG:4326", resolution=0.1))


@pytest.fixture(scope="module")
def real(samples: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """Real counts and coordinates, every hundredth pixel of a frame, put into the files of the product."""
    folder = tmp_path_factory.mktemp("real")
    product = slstr.rbt(folder)
    with netCDF4.Dataset(samples / SUBSET) as file:
        file.set_auto_maskandscale(False)
        for path in product.glob("*.nc"):
            if not path.stem.startswith(("cartesian_t", "geometry", "viscal", "indices")):
                path.unlink()
        for grid in ("an", "in", "fn", "ao", "io", "fo"):
            there = grid.replace("f", "i")
            for kind, names in {
                "geodetic": ("longitude", "latitude", "elevation"),
                "cartesian": ("x", "y"),
                "flags": ("confidence", "cloud", "bayes", "pointing"),
            }.items():
                slstr.write(product / f"{kind}_{grid}.nc", {f"{name}_{grid}": as_it_is(file[f"{name}_{there}"]) for name in names})
            for band in ("F1",) if grid[0] == "f" else ("S7", "S8", "S9", "F2") if grid[0] == "i" else tuple(slstr.RADIANCES):
                kind = "radiance" if grid[0] == "a" else "BT"
                slstr.write(product / f"{band}_{kind}_{grid}.nc", {f"{band}_{kind}_{grid}": as_it_is(file[f"{band}_{kind}_{there}"])})
    slstr.write_manifest(product, slstr.image(80, 120, 500.0))
    yield Scene(product=product, drafts=drafts(product, folder / "work", COARSE))
    shutil.rmtree(folder)


def as_it_is(variable: Any) -> tuple[Array, Mapping[str, Any]]:
    """Classic NetCDF has no unsigned integers: it marks them."""
    values = np.asarray(variable[:])
    values = values.astype(values.dtype.newbyteorder("="))
    kept = {key: variable.getncattr(key) for key in variable.ncattrs() if key in {"scale_factor", "add_offset", "_FillValue", "units"}}
    return (values.view(f"u{values.dtype.itemsize}") if "_Unsigned" in variable.ncattrs() else values), kept


@pytest.mark.parametrize(("view", "grid", "name"), [(view, grid, name) for view, grid, name, _ in BANDS])
def test_real_counts_are_reproduced(real: Scene, samples: Path, view: str, grid: str, name: str) -> None:
    collection = NADIR if view == "n" else OBLIQUE
    band = declared(collection).band(name)
    kind = "radiance" if grid[0] == "a" else "BT"
    image = stored(samples, SUBSET, f"{name.upper()}_{kind}_{grid.replace('f', 'i')}")
    pixels = real.pixels(collection, name)
    wanted, distance = expected(real.product, grid, image, pixels)
    inside = distance < 15_000  # pixels are 50 km apart
    shown = physical(pixels, band)
    assert band.scale is not None
    equal = np.isclose(shown, wanted, rtol=0, atol=band.scale / 1000, equal_nan=True)[inside]
    assert equal.mean() >= 0.999
    assert np.isfinite(wanted[inside]).sum() > 100
