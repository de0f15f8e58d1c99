"""Lists of fires: read from NetCDF, kept as GeoParquet, drawn on the grid of the swath."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import geopandas
import netCDF4
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from eolake.catalog.declaration import Collection, declared
from eolake.catalog.errors import BadProduct
from eolake.catalog.sources import Grid, SwathSource
from eolake.ingest.points import Found, add
from eolake.ingest.swath import SwathMap, build

GRID = Grid(crs="EPSG:4326", resolution=0.01)
EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
WHEN = datetime(2019, 12, 31, 23, 50, 12, 345678, tzinfo=UTC)


def collection() -> tuple[Collection, SwathSource]:
    found = declared("s3_slstr_l2_frp")
    assert isinstance(found.source, SwathSource)
    return found, found.source


def swath(west: float = 149.0, north: float = -33.0, shape: tuple[int, int] = (60, 80)) -> SwathMap:
    """A tilted swath of 1 km pixels."""
    row, column = np.mgrid[: shape[0], : shape[1]].astype(float)
    longitude = west + 0.0105 * column - 0.002 * row
    latitude = north - 0.0095 * row - 0.002 * column
    return build((longitude + 180) % 360 - 180, latitude, GRID)


def micros(when: datetime = WHEN) -> int:
    return int((when - EPOCH).total_seconds()) * 1_000_000 + when.microsecond


def write(path: Path, fires: Mapping[str, Any], *, dimension: str = "fires") -> Path:
    """A file as the processor writes it: doubles without a fill value, times in µs since 2000."""
    with netCDF4.Dataset(path, "w") as file:
        size = len(next(iter(fires.values())))
        file.createDimension(dimension, size or None)  # nothing burns: an unlimited dimension without rows
        for name, values in fires.items():
            kind = {"time": "i8", "i": "i2", "j": "i4", "classification": "u1", "used_channel": "u1"}.get(name, "f8")
            variable = file.createVariable(name, kind, (dimension,))
            if name == "FRP_MWIR":
                variable.units = "MW"
            if name == "TCWV":
                variable.units = "kg.m-2"
            if size:
                variable[:] = values
    return path


def fires(*rows: tuple[float, float, float], confidence: float = 0.8) -> dict[str, Any]:
    """(longitude, latitude, MW)"""
    longitude, latitude, power = zip(*rows, strict=True) if rows else ((), (), ())
    size = len(rows)
    return {
        "longitude": longitude,
        "latitude": latitude,
        "time": [micros() + n for n in range(size)],
        "FRP_MWIR": power,
        "FRP_uncertainty_MWIR": [value / 10 for value in power],
        "BT_MIR": [340.5] * size,
        "TCWV": [12.0] * size,
        "confidence": [confidence + n / 100 for n in range(size)],
        "classification": [1] * size,
        "i": list(range(size)),
        "j": list(range(size)),
    }


def found(tmp_path: Path, rows: Mapping[str, Any], swath_map: SwathMap, **options: Any) -> Found:
    product, source = collection()
    path = write(tmp_path / "FRP_in.nc", rows)
    return add(product, source, {"FRP_in.nc": path}, lambda _: swath_map, tmp_path, **options)


def table(made: Found) -> geopandas.GeoDataFrame:
    return geopandas.read_parquet(made.attachments["fires"].path)


def at(swath_map: SwathMap, longitude: float, latitude: float) -> tuple[int, int]:
    """Row and column, worked out apart from the code under test."""
    column, row = ~swath_map.transform @ (longitude, latitude)
    return int(np.floor(row)), int(np.floor(column))


def test_a_table_has_the_values_of_the_product_with_places_times_and_units(tmp_path: Path) -> None:
    rows = fires((149.3, -33.2, 12.5), (149.4, -33.3, 250.0))
    read = table(found(tmp_path, rows, swath()))
    assert read.crs == "EPSG:4326"
    np.testing.assert_array_equal(read.geometry.x, rows["longitude"])
    np.testing.assert_array_equal(read.geometry.y, rows["latitude"])
    np.testing.assert_array_equal(read["frp_mwir"], rows["FRP_MWIR"])
    np.testing.assert_array_equal(read["frp_mwir_uncertainty"], rows["FRP_uncertainty_MWIR"])
    np.testing.assert_array_equal(read["confidence"], rows["confidence"])
    assert read["classification"].tolist() == [1, 1]
    assert list(read["time"]) == [pd.Timestamp(WHEN), pd.Timestamp(WHEN) + pd.Timedelta(microseconds=1)]
    units = {field.name: (field.metadata or {}).get(b"unit") for field in pq.read_schema(tmp_path / "fires.parquet")}
    assert units["frp_mwir"] == b"MW"
    assert units["bt_mir"] == b"K"
    assert units["tcwv"] == b"kg.m-2", "what is not declared is as the product says"


def test_columns_that_a_product_lacks_are_empty_and_the_table_keeps_its_shape(tmp_path: Path) -> None:
    rows = fires((149.3, -33.2, 12.5))
    del rows["confidence"], rows["i"]
    made = found(tmp_path, rows, swath())
    read = table(made)
    assert list(read.columns) == ["geometry", "time", *collection()[1].tables["fires"].columns]
    assert read["confidence"].isna().all()
    assert read["i"].isna().all()
    assert np.isnan(made.bands["confidence"].read().data).all(), "nobody told a confidence"


def test_what_no_value_was_written_for_is_null(tmp_path: Path) -> None:
    rows = fires((149.3, -33.2, 12.5), (149.4, -33.3, -1.0), (149.5, -33.4, 9.969209968386869e36))
    read = table(found(tmp_path, rows, swath()))
    assert read["frp_mwir"].isna().tolist() == [False, True, True], "-1 says that this channel saw nothing"
    assert len(read) == 3


def test_rows_without_a_place_are_left_out(tmp_path: Path) -> None:
    rows = fires((149.3, -33.2, 12.5), (9.969209968386869e36, 9.969209968386869e36, 7.0))
    made = found(tmp_path, rows, swath())
    assert made.properties == {"eolake:fire_count": 1, "eolake:fire_radiative_power": 12.5}


def test_a_pass_without_fires_is_a_table_without_rows_and_a_raster_of_zeros(tmp_path: Path) -> None:
    swath_map = swath()
    made = found(tmp_path, fires(), swath_map)
    read = table(made)
    assert len(read) == 0
    assert read.crs == "EPSG:4326"
    assert made.properties == {"eolake:fire_count": 0, "eolake:fire_radiative_power": 0.0}
    assert made.attachments["fires"].properties["table:row_count"] == 0
    power = made.bands["frp"].read().data
    shown = swath_map.index < np.prod(swath_map.source_shape)
    assert (power[shown] == 0).all()
    assert np.isnan(power[~shown]).all()
    assert shown.any()
    assert not shown.all()
    assert np.isnan(made.bands["confidence"].read().data).all()


def test_fires_lie_in_their_cells_and_their_power_adds_up(tmp_path: Path) -> None:
    swath_map = swath()
    random = np.random.default_rng(5)
    rows = [(float(149.1 + 0.5 * x), float(-33.3 - 0.2 * y), float(np.exp(3 * z))) for x, y, z in random.random((200, 3))]
    power = found(tmp_path, fires(*rows), swath_map).bands["frp"].read().data
    assert power.dtype == np.float32
    assert float(np.nansum(power, dtype=float)) == pytest.approx(sum(row[2] for row in rows), rel=1e-6)
    expected: dict[tuple[int, int], float] = {}
    for longitude, latitude, watts in rows:
        cell = at(swath_map, longitude, latitude)
        expected[cell] = expected.get(cell, 0.0) + watts
    assert {(int(r), int(c)) for r, c in np.argwhere(power > 0)} == set(expected)
    for cell, watts in expected.items():
        assert power[cell] == pytest.approx(watts, rel=1e-6)


def test_two_fires_in_one_cell_add_their_power_and_keep_the_greater_confidence(tmp_path: Path) -> None:
    swath_map = swath()
    rows = fires((149.301, -33.201, 10.0), (149.309, -33.209, 5.5))
    rows["confidence"] = [0.81, 0.6]
    made = found(tmp_path, rows, swath_map)
    cell = at(swath_map, 149.305, -33.205)
    assert made.bands["frp"].read().data[cell] == np.float32(15.5)
    assert made.bands["confidence"].read().data[cell] == np.float32(0.81)
    assert np.isfinite(made.bands["confidence"].read().data).sum() == 1


def test_fires_on_both_sides_of_an_edge_lie_in_two_cells(tmp_path: Path) -> None:
    swath_map = swath()
    power = found(tmp_path, fires((149.2999999, -33.205, 1.0), (149.3000001, -33.205, 2.0)), swath_map).bands["frp"].read().data
    row, column = at(swath_map, 149.305, -33.205)
    assert power[row, column - 1 : column + 1].tolist() == [1.0, 2.0]


@pytest.mark.parametrize("longitude", [179.954, -179.954])
def test_a_fire_beside_the_antimeridian_lies_in_its_cell(tmp_path: Path, longitude: float) -> None:
    swath_map = swath(west=179.6)
    assert swath_map.transform.c + swath_map.shape[1] * 0.01 > 180, "the grid runs on beyond 180"
    made = found(tmp_path, fires((longitude, -33.254, 30.0)), swath_map)
    cell = at(swath_map, longitude % 360, -33.254)
    assert made.bands["frp"].read().data[cell] == 30.0
    assert table(made).geometry.x.tolist() == [longitude]


def test_no_power_is_lost_at_the_edge_of_the_swath(tmp_path: Path) -> None:
    """The centres of all border pixels: some lie in cells whose own centre is outside of the swath."""
    row, column = np.mgrid[:60, :80].astype(float)
    longitude, latitude = 149.0 + 0.0105 * column - 0.002 * row, -33.0 - 0.0095 * row - 0.002 * column
    border = np.ones((60, 80), bool)
    border[1:-1, 1:-1] = False
    rows = [(float(x), float(y), 1.0) for x, y in zip(longitude[border], latitude[border], strict=True)]
    made = found(tmp_path, fires(*rows), build(longitude, latitude, GRID))
    assert float(np.nansum(made.bands["frp"].read().data)) == len(rows) == made.properties["eolake:fire_radiative_power"]


@pytest.mark.parametrize(
    ("right", "down", "cell"), [(0.5, -0.4, (0, 0)), (-0.4, 3.5, (3, 0)), (79.5, 40.4, (39, 79)), (80.4, 7.5, (7, 79))]
)
def test_what_lies_less_than_a_cell_beyond_the_grid_belongs_to_its_edge(
    tmp_path: Path, right: float, down: float, cell: tuple[int, int]
) -> None:
    """A pixel reaches further than the last cell whose centre it shows."""
    whole = swath()
    grid = replace(whole, shape=(40, 80), index=np.ascontiguousarray(whole.index[:40, :80]))
    longitude, latitude = grid.transform @ (right, down)
    assert at(grid, longitude, latitude) != cell
    power = found(tmp_path, fires((longitude, latitude, 5.0)), grid).bands["frp"].read().data
    assert power[cell] == 5.0
    assert float(np.nansum(power)) == 5.0


def test_a_fire_far_from_the_swath_stays_in_the_table_alone(tmp_path: Path) -> None:
    made = found(tmp_path, fires((149.3, -33.2, 1.0), (120.0, -20.0, 50.0)), swath())
    assert len(table(made)) == 2
    assert float(np.nansum(made.bands["frp"].read().data)) == 1.0


def test_fires_lie_in_their_cells_of_a_projected_grid_too(tmp_path: Path) -> None:
    row, column = np.mgrid[:60, :80].astype(float)
    swath_map = build(149.0 + 0.0105 * column - 0.002 * row, -33.0 - 0.0095 * row - 0.002 * column, Grid(crs="EPSG:3577", resolution=1000))
    power = found(tmp_path, fires((149.3, -33.2, 10.0), (149.5, -33.4, 7.0)), swath_map).bands["frp"].read().data
    assert float(np.nansum(power)) == 17.0
    places = geopandas.GeoSeries.from_xy([149.3, 149.5], [-33.2, -33.4], crs="EPSG:4326").to_crs("EPSG:3577")
    for place, megawatts in zip(places, (10.0, 7.0), strict=True):
        assert power[at(swath_map, place.x, place.y)] == megawatts


def test_a_clip_leaves_out_what_lies_outside(tmp_path: Path) -> None:
    clip = {"type": "Polygon", "coordinates": [[[149.2, -33.4], [149.35, -33.4], [149.35, -33.1], [149.2, -33.1], [149.2, -33.4]]]}
    made = found(tmp_path, fires((149.3, -33.2, 1.0), (149.4, -33.2, 50.0)), swath(), clip=clip)
    assert table(made)["frp_mwir"].tolist() == [1.0]
    assert made.properties["eolake:fire_count"] == 1


def test_the_same_fires_give_the_same_bytes(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    rows = fires((149.3, -33.2, 12.5), (149.4, -33.3, 250.0))
    one, two = (found(tmp_path / name, rows, swath()).attachments["fires"].path for name in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()


def test_the_metadata_is_that_of_geoparquet_1_1(tmp_path: Path) -> None:
    found(tmp_path, fires((149.3, -33.2, 12.5), (149.4, -33.3, 250.0)), swath())
    geo = json.loads(pq.read_schema(tmp_path / "fires.parquet").metadata[b"geo"])
    assert geo["version"] == "1.1.0"
    assert geo["columns"]["geometry"]["bbox"] == [149.3, -33.3, 149.4, -33.2]
    assert geo["columns"]["geometry"]["crs"]["id"] == {"authority": "EPSG", "code": 4326}


def test_the_near_real_time_product_of_eumetsat_fits_too(tmp_path: Path) -> None:
    rows = fires((149.3, -33.2, 19.9), (149.4, -33.3, 107.6))
    rows["FRP_MWIR_uncertainty"] = rows.pop("FRP_uncertainty_MWIR")
    rows["confidence_MWIR"] = [91.0, 100.0]
    del rows["confidence"]
    product, source = collection()
    path = write(tmp_path / "FRP_MWIR1km_standard.nc", rows, dimension="fires_MWIR1km_standard")
    made = add(product, source, {path.name: path}, lambda _: swath(), tmp_path)
    assert table(made)["confidence"].tolist() == pytest.approx([0.91, 1.0])
    assert table(made)["frp_mwir_uncertainty"].tolist() == pytest.approx([1.99, 10.76])


def test_a_product_without_its_list_is_broken(tmp_path: Path) -> None:
    product, source = collection()
    with pytest.raises(BadProduct, match=r"FRP_in\.nc nor FRP_MWIR1km_standard\.nc"):
        add(product, source, {}, lambda _: swath(), tmp_path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"latitude": [-133.2]}, "lie nowhere on the Earth"),
        ({"FRP_MWIR": None}, ""),
        ({"time": None}, "no variable 'time'"),
        ({"longitude": None}, "no variable 'longitude'"),
    ],
)
def test_lists_that_contradict_themselves_are_refused(tmp_path: Path, change: Mapping[str, Any], said: str) -> None:
    rows = {**fires((149.3, -33.2, 12.5)), **change}
    rows = {name: values for name, values in rows.items() if values is not None}
    if not said:  # a column alone may be missing
        assert table(found(tmp_path, rows, swath()))["frp_mwir"].isna().all()
        return
    with pytest.raises(BadProduct, match=said):
        found(tmp_path, rows, swath())


def test_columns_of_different_length_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "FRP_in.nc"
    write(path, fires((149.3, -33.2, 12.5), (149.4, -33.3, 250.0)))
    with netCDF4.Dataset(path, "a") as file:
        file.createDimension("others", 5)
        file.createVariable("BT_window", "f8", ("others",))[:] = 300.0
    product, source = collection()
    with pytest.raises(BadProduct, match="bt_window has 5 rows, the places have 2"):
        add(product, source, {"FRP_in.nc": path}, lambda _: swath(), tmp_path)


def test_a_raster_where_a_list_should_be_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "FRP_in.nc"
    with netCDF4.Dataset(path, "w") as file:
        file.createDimension("rows", 2)
        file.createDimension("columns", 2)
        for name in ("longitude", "latitude"):
            file.createVariable(name, "f8", ("rows", "columns"))[:] = 1.0
    product, source = collection()
    with pytest.raises(BadProduct, match="longitude is no list but has 2 dimensions"):
        add(product, source, {"FRP_in.nc": path}, lambda _: swath(), tmp_path)


def test_lists_that_only_night_passes_have_stand_beside(tmp_path: Path) -> None:
    product, source = collection()
    rows = fires((149.3, -33.2, 12.5))
    rows["FRP_SWIR"] = [3.5]
    files = {name: write(tmp_path / name, rows) for name in ("FRP_in.nc", "FRP_an.nc")}
    made = add(product, source, files, lambda _: swath(), tmp_path)
    assert set(made.attachments) == {"fires", "fires_swir_a"}
    assert geopandas.read_parquet(made.attachments["fires_swir_a"].path)["frp_swir"].tolist() == [3.5]
    assert made.properties["eolake:fire_count"] == 1, "they are the same fires"
