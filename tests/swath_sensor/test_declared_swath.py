"""A swath product of which eolake knows nothing becomes bands on a grid by a declaration alone: no Python is written for it."""

from __future__ import annotations

import math
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from support.swath_files import NAME, assert_nearest, centres, declare, draft, nearest, places, same, swath, write

from eolake.catalog.cog import write_cog
from eolake.catalog.declaration import declared
from eolake.catalog.errors import BadProduct, ConfigError, Rejected, UnsafeProduct
from eolake.catalog.sources import Grid
from eolake.ingest.sensors import find_sensor
from eolake.ingest.sensors.base import CLIP, Options

IMAGE = ("y", "x")
CHL = {"name": "chl", "aliases": ["CHL"], "title": "Chlorophyll", "dtype": "float32", "nodata": math.nan, "unit": "mg.m-3"}
FLAGS = {
    "name": "flags",
    "title": "Flags",
    "dtype": "uint8",
    "bitfields": [
        {"name": "land", "offset": 0, "classes": [{"value": 1, "name": "land"}]},
        {"name": "no_data", "offset": 7, "classes": [{"value": 1, "name": "no_data"}]},
    ],
}


def band(**values: Any) -> dict[str, Any]:
    return {"title": "A band", **values}


def stored(place: tuple[int, int] = (60, 50), *, dtype: str = "int16", low: int = 0, high: int = 3000) -> Any:
    return np.random.default_rng(7).integers(low, high, place).astype(dtype)


@pytest.mark.parametrize("packed", ["nc", "zip", "tar"])
def test_every_cell_shows_its_nearest_pixel(tmp_path: Path, packed: str) -> None:
    declare(tmp_path)
    path, chl = swath(tmp_path)
    if packed == "zip":
        with zipfile.ZipFile(tmp_path / f"{NAME}.zip", "w") as archive:
            archive.write(path, f"{NAME}/{path.name}")
    if packed == "tar":
        with tarfile.open(tmp_path / f"{NAME}.tar", "w") as archive:
            archive.add(path, path.name)
    found = draft(tmp_path / f"{NAME}.{packed}", tmp_path / "work")
    assert list(found.bands) == ["chl"]
    pixels = found.bands["chl"].read()
    longitude, latitude = (place.astype(np.float32) for place in places(60, 50))
    expected = np.where(chl == -999, np.nan, chl)
    there = assert_nearest(pixels, longitude, latitude, expected, math.nan)
    assert there.sum() == pytest.approx(60 * 50 * 1.1**2, rel=0.06)
    assert (pixels.crs, pixels.transform.a, pixels.transform.e) == ("EPSG:4326", 0.01, -0.01)
    facts = write_cog(pixels, declared("oc_l2").band("chl"), declared("oc_l2").cog, tmp_path / "chl.tif")
    assert facts.dtype == "float32"
    outline = shapely.geometry.shape(found.item.geometry)
    assert outline.is_valid
    assert not outline.interiors
    covered = shapely.contains_xy(outline.buffer(0.01), *centres(pixels))
    assert covered[there].all()


def test_the_item_says_what_name_and_declaration_say(tmp_path: Path) -> None:
    declare(tmp_path)
    path, _ = swath(tmp_path)
    found = draft(path, tmp_path / "work")
    item = found.item
    assert (item.id, item.collection_id) == (NAME, "oc_l2")
    assert item.datetime is not None
    assert item.datetime.isoformat() == "2020-01-04T03:40:00+00:00"
    told = {"platform": "sentinel-3a", "instruments": ["olci"], "eolake:region": "NSW", "start_datetime": "2020-01-04T03:40:00Z"}
    assert told.items() <= item.properties.items()


def test_times_and_orbit_come_from_global_attributes(tmp_path: Path) -> None:
    declare(tmp_path, source={"metadata": "attributes", "product": r"OC_L2_.*"})
    path, _ = swath(tmp_path, name="OC_L2_x")
    for start, end in [("2020-01-04T03:41:00Z", "2020-01-04T03:42:00.5Z"), ("04-JAN-2020 03:41:00.000000", "04-JAN-2020 03:42:00.500000")]:
        write_attributes(path, time_coverage_start=start, time_coverage_end=end, orbit=np.int32(11536), processor_version="1.2")
        properties = draft(path, tmp_path / "work").item.properties
        assert (properties["start_datetime"], properties["end_datetime"]) == ("2020-01-04T03:41:00Z", "2020-01-04T03:42:00.500000Z")
        assert (properties["sat:absolute_orbit"], properties["processing:version"]) == (11536, "1.2")
    write_attributes(path, time_coverage_start="yesterday")
    with pytest.raises(BadProduct, match="time_coverage_start is no time: 'yesterday'"):
        draft(path, tmp_path / "work")


def test_a_product_without_any_time_is_refused(tmp_path: Path) -> None:
    declare(tmp_path, source={"metadata": "attributes", "product": r"OC_L2_.*"})
    path, _ = swath(tmp_path, name="OC_L2_x")
    with pytest.raises(BadProduct, match="neither the global attribute time_coverage_start"):
        draft(path, tmp_path / "work")


def write_attributes(path: Path, **values: Any) -> None:
    import netCDF4

    with netCDF4.Dataset(path, "a") as file:
        file.setncatts(values)


# --- values ---


def test_counts_stay_where_scale_and_offset_are_the_declared_ones(tmp_path: Path) -> None:
    declare(tmp_path, bands=[band(name="sst", dtype="int16", nodata=-32768, unit="K", scale=0.01, offset=283.73)])
    counts = stored()
    counts[5, 5] = -32768
    single = {"_FillValue": np.int16(-32768), "scale_factor": np.float32(0.01), "add_offset": np.float32(283.73)}
    path, _ = swath(tmp_path, sst=(IMAGE, counts, single))
    found = draft(path, tmp_path / "work").bands["sst"]
    assert found.properties == {}
    assert_nearest(found.read(), *single_precision(), counts, -32768)


def single_precision() -> tuple[Any, Any]:
    longitude, latitude = places(60, 50)
    return longitude.astype(np.float32), latitude.astype(np.float32)


def test_other_scales_are_quantised_to_the_declared_ones(tmp_path: Path) -> None:
    declare(tmp_path, bands=[band(name="sst", dtype="uint16", nodata=65535, unit="K", scale=0.02, offset=200)])
    counts = stored(high=20_000)
    counts[5, 5], counts[10, 10] = -1, 32_767
    path, _ = swath(tmp_path, sst=(IMAGE, counts, {"_FillValue": np.int16(-1), "scale_factor": 0.005, "add_offset": 180.0}))
    found = draft(path, tmp_path / "work").bands["sst"]
    assert found.properties == {"eolake:rescaled_from": {"scale": 0.005, "offset": 180.0}}
    physical = counts * 0.005 + 180.0
    expected = np.rint((physical - 200.0) / 0.02)
    expected[(counts == -1) | (expected < 0)] = 65535  # colder than the declared offset: nothing there can say it
    assert 0.05 < (expected == 65535).mean() < 0.5
    pixels = found.read()
    assert pixels.data.dtype == np.uint16
    there = assert_nearest(pixels, *single_precision(), expected, 65535)
    index, _ = nearest(pixels, *single_precision())
    again = pixels.data[there] * 0.02 + 200.0
    assert np.abs(again - physical.ravel()[index][there]).max() <= 0.01 + 1e-9


def test_packed_values_of_a_band_of_floats_are_decoded(tmp_path: Path) -> None:
    declare(tmp_path, bands=[band(name="sst", dtype="float32", unit="K")])
    counts = stored()
    path, _ = swath(tmp_path, sst=(IMAGE, counts, {"_FillValue": np.int16(7), "scale_factor": 0.5, "add_offset": 3.0}))
    found = draft(path, tmp_path / "work").bands["sst"]
    assert found.properties == {"eolake:rescaled_from": {"scale": 0.5, "offset": 3.0}}
    assert_nearest(found.read(), *single_precision(), np.where(counts == 7, np.nan, counts * 0.5 + 3).astype(np.float32), math.nan)


def test_other_dtypes_and_fills_become_the_declared_ones(tmp_path: Path) -> None:
    declare(tmp_path, bands=[band(name="wide", dtype="uint8", nodata=255), band(name="unsigned", dtype="uint16", nodata=65535)])
    wide, unsigned = stored(dtype="int32", high=200), stored(dtype="uint16", low=40_000, high=60_000)
    wide[4, 4] = -1
    told = {"_Unsigned": "true", "_FillValue": np.int16(-1)}
    path, _ = swath(tmp_path, wide=(IMAGE, wide, {"_FillValue": np.int32(-1)}), unsigned=(IMAGE, unsigned.view(np.int16), told))
    bands = draft(path, tmp_path / "work").bands
    assert_nearest(bands["wide"].read(), *single_precision(), np.where(wide == -1, 255, wide), 255)
    assert_nearest(bands["unsigned"].read(), *single_precision(), unsigned, 65535)


def test_values_that_the_declared_dtype_can_not_hold_are_refused(tmp_path: Path) -> None:
    declare(tmp_path, bands=[band(name="wide", dtype="uint8", nodata=255)])
    path, _ = swath(tmp_path, wide=(IMAGE, stored(dtype="int32"), {}))
    with pytest.raises(BadProduct, match=r"20200104T034000_OC_L2_NSW_a1\.nc: 'wide' is int32 with values that uint8 can't hold"):
        draft(path, tmp_path / "work").bands["wide"].read()


def test_further_dimensions_are_selected(tmp_path: Path) -> None:
    variables = {"layer": {"at": "layered", "select": {"layer": 2}}}
    declare(tmp_path, bands=[band(name="layer", dtype="int16", nodata=-1)], source={"variables": variables})
    layers = np.random.default_rng(3).integers(0, 999, (1, 60, 50, 4)).astype(np.int16)
    path, _ = swath(tmp_path, layered=(("time", "y", "x", "layer"), layers, {}))
    assert_nearest(draft(path, tmp_path / "work").bands["layer"].read(), *single_precision(), layers[0, :, :, 2], -1)
    variables["layer"]["select"] = {"layer": 4}
    declare(tmp_path, bands=[band(name="layer", dtype="int16", nodata=-1)], source={"variables": variables})
    with pytest.raises(BadProduct, match=r"'layered' \(layer\) has 4 of layer; number 4 is declared"):
        draft(path, tmp_path / "work")
    variables["layer"]["select"] = {}
    declare(tmp_path, bands=[band(name="layer", dtype="int16", nodata=-1)], source={"variables": variables})
    with pytest.raises(BadProduct, match=r"\(time 1, y 60, x 50, layer 4\); rows and columns were expected, and `select`"):
        draft(path, tmp_path / "work")


# --- tie points ---


def test_tie_points_become_pixels_and_angles_turn_the_short_way(tmp_path: Path) -> None:
    ties = {"kind": "subsampled", "rows": 1, "columns": 16}
    variables = {"azimuth": {"at": "tied", "ties": ties, "circular": True}, "zenith": {"at": "high", "ties": ties}}
    declare(
        tmp_path,
        bands=[band(name="azimuth", dtype="uint16", nodata=65535, scale=0.01), band(name="zenith", dtype="float32", unit="degree")],
        source={"variables": variables},
    )
    high = np.repeat(np.linspace(20.0, 60.0, 5)[None], 60, 0).astype(np.float32)
    tied = ((np.repeat(np.linspace(350.0, 390.0, 5)[None], 60, 0)) % 360).astype(np.float32)
    path, _ = swath(tmp_path, high=(("y", "tie_x"), high, {}), tied=(("y", "tie_x"), tied, {}))
    bands = draft(path, tmp_path / "work").bands
    exact = np.repeat(20.0 + np.arange(50)[None] * 40 / 64, 60, 0)
    assert_nearest(bands["zenith"].read(), *single_precision(), exact.astype(np.float32), math.nan)
    azimuth = bands["azimuth"].read()
    index, _ = nearest(azimuth, *single_precision())
    there = azimuth.data != 65535
    turned = (azimuth.data[there] * 0.01 - (350.0 + np.arange(50) * 40 / 64)[index[there] % 50] + 180) % 360 - 180
    assert np.abs(turned).max() < 0.006


def test_coordinates_of_tie_points_become_those_of_pixels(tmp_path: Path) -> None:
    longitude, latitude = places(61, 49)
    geolocation = {"longitude": "tp_lon", "latitude": "tp_lat", "ties": {"kind": "subsampled", "rows": 4, "columns": 4}, "like": "CHL"}
    declare(tmp_path, source={"geolocations": {"default": geolocation}})
    chl = stored((61, 49), dtype="float32")
    ties = ("ty", "tx")
    path = write(
        tmp_path / f"{NAME}.nc",
        {"tp_lon": (ties, longitude[::4, ::4], {}), "tp_lat": (ties, latitude[::4, ::4], {}), "CHL": (IMAGE, chl, {})},
    )
    pixels = draft(path, tmp_path / "work").bands["chl"].read()
    index, distance = nearest(pixels, longitude, latitude)
    sure = distance < 0.45  # the swath is bent: between tie points a pixel's place is not exact
    assert (pixels.data[sure] == chl.ravel()[index][sure]).mean() > 0.999
    assert sure.sum() > 0.4 * chl.size


# --- grids ---


def test_another_grid_is_honoured_and_grids_keep_their_ratio(tmp_path: Path) -> None:
    bands = [CHL, band(name="coarse", dtype="int16", nodata=-1, grid="g2")]
    source = {
        "grids": {"default": {"crs": "EPSG:4326", "resolution": 0.01}, "g2": {"crs": "EPSG:4326", "resolution": 0.02}},
        "geolocations": {
            "default": {"longitude": "lon", "latitude": "lat"},
            "half": {"longitude": "lon2", "latitude": "lat2", "grid": "g2"},
        },
        "variables": {"coarse": {"at": "coarse", "geolocation": "half"}},
    }
    declare(tmp_path, bands=bands, source=source)
    longitude, latitude = places(30, 25, step=0.022)
    coarse, half = stored((30, 25)), ("y2", "x2")
    more = {"lon2": (half, longitude, {}), "lat2": (half, latitude, {}), "coarse": (half, coarse, {})}
    path, chl = swath(tmp_path, **more)
    found = draft(path, tmp_path / "work", Options(grid=Grid(crs="EPSG:3577", resolution=1100, align=100)))
    fine, large = found.bands["chl"].read(), found.bands["coarse"].read()
    assert (fine.crs, large.crs) == ("EPSG:3577", "EPSG:3577")
    assert (fine.transform.a, large.transform.a) == (1100, 2200)
    assert (fine.transform.c - 100) % 1100 == (fine.transform.f - 100) % 1100 == 0
    assert_nearest(fine, *single_precision(), np.where(chl == -999, np.nan, chl), math.nan)
    assert_nearest(large, longitude, latitude, coarse, -1)


def test_geolocations_of_one_grid_share_its_frame(tmp_path: Path) -> None:
    bands = [CHL, band(name="fire", dtype="int16", nodata=-1)]
    source = {
        "geolocations": {"default": {"longitude": "lon", "latitude": "lat"}, "fire": {"longitude": "flon", "latitude": "flat"}},
        "variables": {"fire": {"at": "fire", "geolocation": "fire"}},
    }
    declare(tmp_path, bands=bands, source=source)
    longitude, latitude = places(60, 50, centre=(151.083, -33.047))
    fire = stored()
    path, chl = swath(tmp_path, flon=(IMAGE, longitude, {}), flat=(IMAGE, latitude, {}), fire=(IMAGE, fire, {}))
    found = draft(path, tmp_path / "work")
    one, other = found.bands["chl"].read(), found.bands["fire"].read()
    assert (one.data.shape, one.transform) == (other.data.shape, other.transform)
    assert_nearest(one, *single_precision(), np.where(chl == -999, np.nan, chl), math.nan)
    assert_nearest(other, longitude, latitude, fire, -1)


def test_a_swath_over_the_antimeridian_is_one_raster_and_a_cut_outline(tmp_path: Path) -> None:
    declare(tmp_path)
    longitude, latitude = places(60, 50, centre=(179.95, -17.0))
    longitude = (longitude + 180) % 360 - 180
    chl = stored(dtype="float32")
    path = write(tmp_path / f"{NAME}.nc", {"lon": (IMAGE, longitude, {}), "lat": (IMAGE, latitude, {}), "CHL": (IMAGE, chl, {})})
    found = draft(path, tmp_path / "work")
    pixels = found.bands["chl"].read()
    assert pixels.data.shape[1] < 90
    assert_nearest(pixels, longitude, latitude, chl, math.nan)
    outline = shapely.geometry.shape(found.item.geometry)
    assert outline.geom_type == "MultiPolygon"
    assert (outline.bounds[0], outline.bounds[2]) == (-180, 180)
    assert found.item.bbox is not None
    assert found.item.bbox[0] > found.item.bbox[2]


# --- clip and resampling ---


def test_a_clip_leaves_the_cells_within_and_says_so(tmp_path: Path) -> None:
    declare(tmp_path)
    path, chl = swath(tmp_path)
    area = shapely.geometry.mapping(shapely.Polygon([(150.9031, -33.0987), (151.0972, -33.0513), (151.0461, -32.9029)]))
    whole = draft(path, tmp_path / "work")
    found = draft(path, tmp_path / "work", Options(clip=area))
    pixels = found.bands["chl"].read()
    assert pixels.data.size < 0.3 * whole.bands["chl"].read().data.size
    within = shapely.contains_xy(shapely.geometry.shape(area), *centres(pixels))
    assert_nearest(pixels, *single_precision(), np.where(chl == -999, np.nan, chl), math.nan, within=within)
    outline = shapely.geometry.shape(found.item.geometry)
    assert outline.difference(shapely.geometry.shape(area)).area < 1e-9
    assert outline.area == pytest.approx(shapely.geometry.shape(area).area, rel=0.01)
    assert found.item.properties[CLIP] == area
    assert CLIP not in whole.item.properties


def test_a_product_beside_the_area_is_not_wanted_rather_than_broken(tmp_path: Path) -> None:
    declare(tmp_path)
    path, _ = swath(tmp_path)
    with pytest.raises(Rejected, match=f"{NAME} lies outside of the area"):
        draft(path, tmp_path / "work", Options(clip=shapely.geometry.mapping(shapely.box(10, 10, 11, 11))))


def test_coordinates_without_values_are_broken_also_when_a_clip_is_wanted(tmp_path: Path) -> None:
    declare(tmp_path)
    nothing = np.full((60, 50), np.nan, np.float32)
    path = write(tmp_path / f"{NAME}.nc", {name: (IMAGE, nothing, {}) for name in ("lon", "lat", "CHL")})
    for options in (Options(), Options(clip=shapely.geometry.mapping(shapely.box(150, -34, 152, -32)))):
        with pytest.raises(BadProduct, match=rf"{NAME}\.nc: lon and lat: no pixel has coordinates"):
            draft(path, tmp_path / "work", options)


def test_bilinear_is_for_measurements_never_for_flags_or_angles(tmp_path: Path) -> None:
    bands = [CHL, band(name="angle", dtype="float32"), FLAGS]
    declare(tmp_path, bands=bands, source={"variables": {"angle": {"at": "angle", "circular": True}}})
    longitude, latitude = places(60, 50)
    smooth = (longitude * 10 + latitude).astype(np.float32)
    angle, flags = stored(dtype="float32", high=360), stored(dtype="uint8", high=2)
    image = {"lon": longitude, "lat": latitude, "CHL": smooth, "angle": angle, "flags": flags}
    path = write(tmp_path / f"{NAME}.nc", {name: (IMAGE, data, {}) for name, data in image.items()})
    found = draft(path, tmp_path / "work", Options(resampling="bilinear")).bands
    pixels = found["chl"].read()
    index, _ = nearest(pixels, longitude, latitude)
    row, column = np.divmod(index, 50)
    east, north = centres(pixels)
    inner = (row > 0) & (row < 59) & (column > 0) & (column < 49)
    assert np.abs(pixels.data - (east * 10 + north))[inner].max() < 0.004
    by_nearest = draft(path, tmp_path / "work").bands["chl"].read()
    assert np.abs(by_nearest.data - (east * 10 + north))[inner].max() > 0.02
    assert_nearest(found["angle"].read(), longitude, latitude, angle, math.nan)
    assert_nearest(found["flags"].read(), longitude, latitude, flags, 128)


def test_flags_without_nodata_say_no_data_outside_of_the_swath(tmp_path: Path) -> None:
    declare(tmp_path, bands=[FLAGS])
    flags = stored(dtype="uint8", high=2)
    path, _ = swath(tmp_path, flags=(IMAGE, flags, {}))
    pixels = draft(path, tmp_path / "work").bands["flags"].read()
    assert pixels.nodata is None
    assert pixels.data[0, 0] == 1 << 7
    assert set(np.unique(pixels.data)) == {0, 1, 128}
    declare(tmp_path, bands=[FLAGS | {"bitfields": FLAGS["bitfields"][:1]}])  # type: ignore[index]
    with pytest.raises(ConfigError, match="nothing says what flags is outside of the swath: declare its nodata, or a class or bit"):
        draft(path, tmp_path / "work")


# --- faults ---


def test_an_optional_band_may_be_missing_and_no_other(tmp_path: Path) -> None:
    path, _ = swath(tmp_path)
    declare(tmp_path, bands=[CHL, band(name="more", dtype="int16", nodata=-1, optional=True)])
    assert list(draft(path, tmp_path / "work").bands) == ["chl"]
    declare(tmp_path, bands=[CHL, band(name="more", dtype="int16", nodata=-1)])
    with pytest.raises(BadProduct, match=rf"{NAME}\.nc has no variable 'more'; it has CHL, lat, lon"):
        draft(path, tmp_path / "work")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    folder = {"longitude": "geo.nc:lon", "latitude": "geo.nc:lat"}
    declare(tmp_path, source={"geolocations": {"default": folder}, "template": "{name}.nc:{alias}"})
    path, _ = swath(tmp_path)
    (tmp_path / NAME).mkdir()
    path.rename(tmp_path / NAME / "geo.nc")
    with pytest.raises(BadProduct, match=rf"{NAME} has no chl\.nc, where chl should lie"):
        draft(tmp_path / NAME, tmp_path / "work")
    (tmp_path / NAME / "geo.nc").rename(tmp_path / NAME / "chl.nc")
    with pytest.raises(BadProduct, match=rf"{NAME} has no geo\.nc, where 'lon' should lie"):
        draft(tmp_path / NAME, tmp_path / "work")


def test_a_band_of_another_shape_than_its_coordinates_is_refused(tmp_path: Path) -> None:
    declare(tmp_path, bands=[band(name="sst", dtype="int16", nodata=-1)])
    path, _ = swath(tmp_path, sst=(("y2", "x2"), stored((60, 49)), {}))
    with pytest.raises(BadProduct, match=rf"{NAME}\.nc: 'sst' \(sst\) has 60 × 49 pixels, its coordinates have 60 × 50"):
        draft(path, tmp_path / "work")
    path = write(
        tmp_path / f"{NAME}.nc",
        {"lon": (IMAGE, np.ones((6, 5)), {}), "lat": (("y", "z"), np.ones((6, 4)), {}), "sst": (IMAGE, stored((6, 5)), {})},
    )
    with pytest.raises(BadProduct, match=r"lon has \(6, 5\) pixels, lat \(6, 4\); they must be alike"):
        draft(path, tmp_path / "work")


def test_a_damaged_variable_is_named_when_it_is_read(tmp_path: Path) -> None:
    import h5py

    declare(tmp_path)
    path, _ = swath(tmp_path)
    with h5py.File(path) as file:
        chunk = file["CHL"].id.get_chunk_info(0)
    with path.open("r+b") as raw:
        raw.seek(chunk.byte_offset + 2)
        raw.write(b"\xff" * 40)
    found = draft(path, tmp_path / "work")
    with pytest.raises(BadProduct, match=rf"{NAME}\.nc: variable 'CHL' can not be decoded"):
        found.bands["chl"].read()


def test_a_file_that_is_no_netcdf_is_named(tmp_path: Path) -> None:
    declare(tmp_path)
    (tmp_path / f"{NAME}.nc").write_bytes(b"<html>Service unavailable</html>")
    with pytest.raises(BadProduct, match=rf"{NAME}\.nc is no NetCDF file: it begins with b'<html>Se'"):
        draft(tmp_path / f"{NAME}.nc", tmp_path / "work")


def test_two_netcdf_files_where_one_is_the_product_are_refused(tmp_path: Path) -> None:
    declare(tmp_path)
    path, _ = swath(tmp_path)
    with zipfile.ZipFile(tmp_path / f"{NAME}.zip", "w") as archive:
        archive.write(path, f"{NAME}/a.nc")
        archive.write(path, f"{NAME}/b.nc")
    with pytest.raises(BadProduct, match=r"has 2 NetCDF files instead of one: a\.nc, b\.nc"):
        draft(tmp_path / f"{NAME}.zip", tmp_path / "work")


def test_a_program_in_the_archive_is_refused(tmp_path: Path) -> None:
    declare(tmp_path)
    path, _ = swath(tmp_path)
    with zipfile.ZipFile(tmp_path / f"{NAME}.zip", "w") as archive:
        archive.write(path, f"{NAME}/{path.name}")
        archive.writestr(f"{NAME}/run.exe", b"MZ")
    with pytest.raises(UnsafeProduct, match=r"run\.exe"):
        draft(tmp_path / f"{NAME}.zip", tmp_path / "work")


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"source": {"template": None}}, "nothing says where the band chl lies"),
        ({"source": {"variables": {"chl": {"at": "CHL", "geolocation": "other"}}}}, "has the geolocation 'other', which is not declared"),
        ({"bands": [CHL | {"grid": "g2"}]}, "band chl is declared on the grid 'g2', its geolocation 'default' on 'default'"),
    ],
)
def test_a_declaration_that_contradicts_itself_is_named(tmp_path: Path, changes: Mapping[str, Any], why: str) -> None:
    declare(tmp_path, **changes)
    path, _ = swath(tmp_path)
    with pytest.raises(ConfigError, match=why):
        draft(path, tmp_path / "work")


def test_names_of_other_products_are_left_to_other_sensors(tmp_path: Path) -> None:
    declare(tmp_path)
    sensor = find_sensor(NAME)
    assert sensor is not None
    assert sensor.matches(NAME.lower())
    assert not any(map(sensor.matches, ["20200104T034000_OC_L3_NSW_a1", f"{NAME}x", "LC08_L2SP_090084_20200101_20200823_02_T1"]))


def test_digests_of_a_manifest_are_checked_unless_unchecked(tmp_path: Path, xfdu: Callable[..., Path]) -> None:
    places_ = {"longitude": "all.nc:lon", "latitude": "all.nc:lat"}
    source = {"geolocations": {"default": places_}, "template": "all.nc:{alias}", "manifest": "xfdumanifest.xml"}
    declare(tmp_path, source=source)
    path, chl = swath(tmp_path)
    folder = tmp_path / f"{NAME}.SEN3"
    folder.mkdir()
    path.rename(folder / "all.nc")
    with pytest.raises(BadProduct, match=r"has no xfdumanifest\.xml: nothing says whether it is complete"):
        draft(folder, tmp_path / "work")
    xfdu(folder, {"all.nc": folder / "all.nc"})
    assert same(draft(folder, tmp_path / "work").bands["chl"].read().data, chl[30, 25]).any()
    with (folder / "all.nc").open("ab") as file:
        file.write(b"\0")
    with pytest.raises(BadProduct, match=r"is not what its xfdumanifest\.xml says: all\.nc has [\d,]+ bytes instead of [\d,]+"):
        draft(folder, tmp_path / "work")
    assert draft(folder, tmp_path / "work", Options(checked=False)).bands
