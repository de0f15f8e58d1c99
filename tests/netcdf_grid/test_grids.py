"""CF grids beside xarray, which nobody here wrote: every value at its place and time, whatever way the file is turned."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import pytest
import rasterio
import xarray as xr
from netcdf_grid.conftest import Drafts

from eolake.catalog.cog import write_cog
from eolake.catalog.declaration import declared
from eolake.catalog.draft import Draft
from eolake.catalog.errors import BadProduct
from eolake.ingest.sensors import find_sensor
from eolake.ingest.simulators.products.gridded import GriddedProduct, generate_gridded

WHEN = datetime(2020, 2, 1, tzinfo=UTC)
REGION = (140.0, -40.0, 156.0, -28.0)
Declare = Callable[..., None]


def assert_values(product: Path, made: list[Draft], folder: Path, name: str = "sst", variable: str = "sst") -> None:
    """Every cell that xarray decodes lies where the COG's georeference has it, and the COG has no other valid cells."""
    collection = declared("sst_grid")
    with xr.open_dataset(product) as decoded:
        values = decoded[variable]
        assert len(made) == (values.sizes["time"] if "time" in values.dims else 1)
        for step, draft in enumerate(made):
            path = folder / f"{draft.item.id}.tif"
            write_cog(draft.bands[name].read(), collection.band(name), collection.cog, path)
            layer = (values.isel(time=step) if "time" in values.dims else values).transpose("latitude", "longitude")
            with rasterio.open(path) as cog:
                counts = cog.read(1, masked=True)
                band = collection.band(name)
                physical = counts.filled(0) * (band.scale or 1.0) + (band.offset or 0.0)
                longitude, latitude = np.meshgrid(layer.longitude, layer.latitude)
                east = (longitude - cog.bounds.left) % 360 + cog.bounds.left if cog.crs.is_geographic else longitude
                rows, columns = (np.asarray(part, int) for part in rasterio.transform.rowcol(cog.transform, east.ravel(), latitude.ravel()))
                assert (np.bincount(rows * cog.width + columns, minlength=cog.width * cog.height) == 1).all()
                found = np.where(counts.mask, np.nan, physical)[rows, columns]
            np.testing.assert_allclose(found, layer.values.ravel(), rtol=0, atol=2e-5 if band.scale else 1e-9)


@pytest.mark.parametrize("ascending", [True, False])
@pytest.mark.parametrize(
    ("bbox", "east_only"), [(REGION, False), ((-180.0, -90.0, 180.0, 90.0), False), ((-180.0, -90.0, 180.0, 90.0), True)]
)
def test_values_lie_where_xarray_has_them(
    declare: Declare, drafts: Drafts, tmp_path: Path, bbox: Any, east_only: bool, ascending: bool
) -> None:
    assert declare is not None
    product = generate_gridded(GriddedProduct(when=WHEN, bbox=bbox, step=2.0, ascending=ascending, east_only=east_only), tmp_path / "in")
    sensor = find_sensor(product.name)
    assert sensor is not None
    assert sensor.name == "netcdf_grid"
    made = drafts(product)
    assert_values(product, made, tmp_path)
    pixels = made[0].bands["sst"].read()
    assert (pixels.transform.c, pixels.transform.f, pixels.transform.a, pixels.transform.e) == (bbox[0], bbox[3], 2.0, -2.0)
    assert (pixels.crs, pixels.data.dtype, pixels.nodata) == ("EPSG:4326", np.int16, -32768)
    assert made[0].bands["sst"].properties == {}


def test_each_time_is_an_item_with_its_bounds(declare: Declare, drafts: Drafts, tmp_path: Path) -> None:
    assert declare is not None
    one, other = drafts(generate_gridded(GriddedProduct(when=WHEN, bbox=REGION, step=2.0), tmp_path))
    assert [draft.item.id for draft in (one, other)] == ["SST_GRID_20200201_V3_20200201T120000", "SST_GRID_20200201_V3_20200202T120000"]
    assert other.item.datetime == datetime(2020, 2, 2, 12, tzinfo=UTC)
    assert (other.item.properties["start_datetime"], other.item.properties["end_datetime"]) == (
        "2020-02-02T00:00:00Z",
        "2020-02-03T00:00:00Z",
    )
    assert one.scene_key != other.scene_key
    assert not np.array_equal(one.bands["sst"].read().data, other.bands["sst"].read().data)


def test_the_item_of_a_single_time_has_the_name_of_the_product(declare: Declare, drafts: Drafts, tmp_path: Path) -> None:
    assert declare is not None
    (draft,) = drafts(generate_gridded(GriddedProduct(when=WHEN, bbox=REGION, step=2.0, days=1), tmp_path))
    assert draft.item.id == "SST_GRID_20200201_V3"


def test_a_region_across_180_goes_on_beyond_it_and_its_footprint_is_cut(declare: Declare, drafts: Drafts, tmp_path: Path) -> None:
    assert declare is not None
    product = generate_gridded(GriddedProduct(when=WHEN, bbox=(170.0, -50.0, 194.0, -20.0), step=2.0), tmp_path / "in")
    made = drafts(product)
    assert_values(product, made, tmp_path)
    assert made[0].bands["sst"].read().transform.c == 170.0
    assert made[0].item.bbox is not None
    assert made[0].item.bbox[0] > 0 > made[0].item.bbox[2]


def netcdf(path: Path, change: Callable[[netCDF4.Dataset], None]) -> Path:
    """A small grid, written by netCDF4, and changed."""
    path.parent.mkdir(exist_ok=True)
    with netCDF4.Dataset(path, "w") as file:
        for name, size in (("time", 1), ("latitude", 6), ("longitude", 8)):
            file.createDimension(name, size)
        time = file.createVariable("time", "i4", ("time",))
        time.setncatts({"units": "days since 2020-01-01", "standard_name": "time"})
        time[:] = [31]
        for name, first, units in (("latitude", -30.0, "degrees_north"), ("longitude", 150.0, "degrees_east")):
            axis = file.createVariable(name, "f8", (name,))
            axis.units = units
            axis[:] = first + np.arange(axis.size) * (-1.0 if name == "latitude" else 1.0)
        change(file)
    return path


def sst(
    file: netCDF4.Dataset, dtype: str = "f4", dimensions: tuple[str, ...] = ("time", "latitude", "longitude"), **attributes: Any
) -> Any:
    made = file.createVariable("sst", dtype, dimensions, fill_value=attributes.pop("fill", None))
    made.setncatts(attributes)
    made.set_auto_maskandscale(False)
    numbers = np.arange(np.prod(made.shape)).reshape(made.shape)
    made[:] = (285 + numbers / 8 if dtype.startswith("f") else numbers).astype(dtype)
    return made


def test_values_of_another_scale_are_quantised_anew_and_the_asset_says_so(declare: Declare, drafts: Drafts, tmp_path: Path) -> None:
    assert declare is not None
    product = netcdf(
        tmp_path / "in" / "SST_GRID_20200201_V3.nc", lambda file: sst(file, "i2", fill=-1, scale_factor=0.02, add_offset=280.0)
    )
    (draft,) = drafts(product)
    assert draft.bands["sst"].properties == {"eolake:rescaled_from": {"scale": 0.02, "offset": 280.0}}
    counts = draft.bands["sst"].read().data
    assert counts[0, :3].tolist() == [-1315, -1313, -1311]
    assert_values(product, [draft], tmp_path)


def test_unpacked_floats_are_packed_as_declared_and_nan_is_nodata(declare: Declare, drafts: Drafts, tmp_path: Path) -> None:
    assert declare is not None

    def write(file: netCDF4.Dataset) -> None:
        sst(file, "f8")[0, 0, 0] = np.nan

    (draft,) = drafts(netcdf(tmp_path / "in" / "SST_GRID_20200201_V3.nc", write))
    data = draft.bands["sst"].read().data
    assert (data[0, 0], data[0, 1]) == (-32768, round((285.125 - 293.15) * 100))


def test_a_projected_grid_takes_its_crs_from_the_grid_mapping(declare: Declare, drafts: Drafts, tmp_path: Path) -> None:
    declare(band={"dtype": "float32", "nodata": float("nan"), "scale": None, "offset": None})

    def write(file: netCDF4.Dataset) -> None:
        file.createDimension("x", 5)
        file.createDimension("y", 4)
        for name, first in (("x", 1500.0), ("y", -3700.0)):
            axis = file.createVariable(name, "f4", (name,))
            axis.setncatts({"units": "km", "standard_name": f"projection_{name}_coordinate"})
            axis[:] = first + np.arange(axis.size)
        albers = {"standard_parallel": [-18.0, -36.0], "longitude_of_central_meridian": 132.0, "latitude_of_projection_origin": 0.0}
        mapping = {"grid_mapping_name": "albers_conical_equal_area", "semi_major_axis": 6378137.0, "inverse_flattening": 298.257222101}
        file.createVariable("albers", "S1", ()).setncatts({**mapping, **albers, "false_easting": 0.0, "false_northing": 0.0})
        sst(file, "f4", ("time", "x", "y"), grid_mapping="albers")

    product = netcdf(tmp_path / "in" / "SST_GRID_20200201_V3.nc", write)
    (draft,) = drafts(product)
    pixels = draft.bands["sst"].read()
    assert tuple(pixels.transform)[:6] == (1000.0, 0.0, 1499500.0, 0.0, -1000.0, -3696500.0)
    with xr.open_dataset(product) as decoded:
        np.testing.assert_array_equal(pixels.data, decoded["sst"].isel(time=0).transpose("y", "x").values[::-1])
    crs = rasterio.crs.CRS.from_user_input(pixels.crs)
    assert crs.to_dict()["proj"] == "aea"
    assert draft.item.bbox is not None
    assert 147 < draft.item.bbox[0] < 150


def test_classic_files_and_layers_are_read(declare: Declare, drafts: Drafts, tmp_path: Path) -> None:
    declare(bands={"sst": {"at": "sst", "select": {"depth": 1}}})
    path = tmp_path / "in" / "SST_GRID_20200201_V3.nc"
    path.parent.mkdir()
    with netCDF4.Dataset(path, "w", format="NETCDF3_CLASSIC") as file:
        for name, values, units in (("lat", [-30.0, -31.0, -32.0], "degrees_north"), ("lon", [150.0, 151.0], "degrees_east")):
            file.createDimension(name, len(values))
            axis = file.createVariable(name, "f4", (name,))
            axis.units = units
            axis[:] = values
        file.createDimension("depth", 2)
        sst(file, "i2", ("depth", "lat", "lon"), fill=-32768, scale_factor=0.01, add_offset=293.15)
        file.time_coverage_start = "2020-02-01T00:00:00Z"
        file.time_coverage_end = "2020-02-02T00:00:00Z"
    (draft,) = drafts(path)
    assert draft.bands["sst"].read().data.tolist() == [[6, 7], [8, 9], [10, 11]]
    assert draft.item.properties["end_datetime"] == "2020-02-02T00:00:00Z"
    declare()
    with pytest.raises(BadProduct, match=r"'sst' has 2 of depth; say which one by `select`"):
        drafts(path)


def uneven(file: netCDF4.Dataset) -> None:
    sst(file)
    file["latitude"][2] = -32.4


def calendar(file: netCDF4.Dataset) -> None:
    sst(file)
    file["time"].calendar = "360_day"


def unit(file: netCDF4.Dataset) -> None:
    sst(file)
    file["time"].units = "months since 2020-01-01"


def nowhere(file: netCDF4.Dataset) -> None:
    sst(file)
    file["longitude"].units = "1"


def unmapped(file: netCDF4.Dataset) -> None:
    sst(file, grid_mapping="albers")


def without(file: netCDF4.Dataset) -> None:
    file.createVariable("other", "f4", ("latitude", "longitude"))


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (uneven, r"'latitude' is not regular"),
        (calendar, r"calendar '360_day'"),
        (unit, r"units 'months since 2020-01-01'"),
        (nowhere, r"'sst' has no coordinate x"),
        (unmapped, r"grid mapping 'albers', which the file lacks"),
        (without, r"sst_grid needs the variables of sst"),
    ],
)
def test_faults_name_the_file_and_the_cause(
    declare: Declare, drafts: Drafts, tmp_path: Path, change: Callable[[netCDF4.Dataset], None], fault: str
) -> None:
    assert declare is not None
    product = netcdf(tmp_path / "in" / "SST_GRID_20200201_V3.nc", change)
    with pytest.raises(BadProduct, match=rf"SST_GRID_20200201_V3\.nc.*{fault}"):
        drafts(product)


@pytest.mark.parametrize(
    ("value", "attributes"),
    [
        (18_293.5, {"units": "days since 1970-01-01"}),
        (631_152_000, {"units": "seconds since 2000-01-01 00:00:00"}),
        (1_063_764, {"units": "hours since 1899-01-01 06:00:00.0 +02:00"}),
        (737_456.25, {"units": "days since 0001-01-01", "calendar": "standard"}),
        (737_456.25, {"units": "days since 0001-01-01 00:00:00", "calendar": "proleptic_gregorian"}),
        (77.25, {"units": "hours since 2020-01-01 00:00:00 -0330"}),
        (160_000, {"units": "days since 1582-10-04", "calendar": "gregorian"}),
        (4, {"units": "minutes since 2020-02-29T23:59:30.5Z"}),
    ],
)
def test_times_are_those_of_cftime(value: float, attributes: Mapping[str, str]) -> None:
    from eolake.ingest.sensors.netcdf_grid.times import decode

    calendar = attributes.get("calendar", "standard")
    expected = netCDF4.num2date(value, attributes["units"], calendar, only_use_cftime_datetimes=True)
    assert decode(value, attributes, "a test").strftime("%Y-%m-%dT%H:%M:%S.%f") == expected.strftime("%Y-%m-%dT%H:%M:%S.%f")
