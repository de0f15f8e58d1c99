"""What a map does: values of each kind, interpolated ones, clips, footprints, and the real samples."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from support.swaths import Straight, brute, cells, equal_share

from eolake.catalog.errors import BadProduct
from eolake.catalog.safe.netcdf import open_netcdf
from eolake.catalog.sources import Grid
from eolake.ingest.swath import SwathMap, build

Array = np.ndarray[Any, Any]
FINE = Grid(crs="EPSG:4326", resolution=0.0027)
SWATH = Straight(shape=(120, 150))


@pytest.fixture(scope="module")
def found() -> SwathMap:
    return build(*SWATH.pixels(), FINE, bilinear=True)


# --- values ---


@pytest.mark.parametrize(
    ("dtype", "fill"), [("u1", 255), ("i2", -32768), ("u2", 65535), ("u4", 0), ("u8", 2**64 - 1), ("f4", np.nan), ("f8", -9.9)]
)
def test_values_of_every_kind_are_taken_as_they_are(found: SwathMap, dtype: str, fill: float) -> None:
    values = (np.arange(18_000).reshape(120, 150) * 7919 % 251).astype(dtype)
    taken = found.take(values, fill)
    shown = found.index < 18_000
    assert taken.dtype == values.dtype
    assert np.array_equal(taken[shown], values.ravel()[found.index[shown]])
    assert np.all(np.isnan(taken[~shown]) if np.isnan(fill) else taken[~shown] == np.array(fill, dtype))
    assert 0 < shown.mean() < 1


def test_a_band_of_another_shape_is_refused(found: SwathMap) -> None:
    with pytest.raises(BadProduct, match="does not belong to coordinates"):
        found.take(np.zeros((150, 120)), 0)
    with pytest.raises(BadProduct, match="does not belong to coordinates"):
        found.bilinear(np.zeros((120, 151)), 0)


def test_a_linear_field_is_interpolated_exactly(found: SwathMap) -> None:
    rows, columns = np.mgrid[:120, :150].astype(float)
    row, column = SWATH.places(*cells(found))
    inner = (row > 0) & (row < 119) & (column > 0) & (column < 149)
    smooth = found.bilinear(40 * rows - 70 * columns, -1e9)
    assert np.abs(smooth - (40 * row - 70 * column))[inner].max() < 0.05
    near = found.take(40 * rows - 70 * columns, -1e9)
    assert np.abs(near - (40 * row - 70 * column))[inner].max() > 50
    counts = found.bilinear((4 * rows + 7 * columns).astype(np.uint16), 65535)
    assert counts.dtype == np.uint16
    assert np.abs(counts - (4 * row + 7 * column))[inner].max() < 0.51


def test_where_a_neighbour_has_no_value_the_nearest_one_is_shown(found: SwathMap) -> None:
    values = np.random.default_rng(2).integers(100, 60_000, (120, 150)).astype(np.uint16)
    values[50, 60] = 65535
    smooth, near = found.bilinear(values, 65535), found.take(values, 65535)
    assert np.array_equal(smooth == 65535, near == 65535)
    row, column = SWATH.places(*cells(found))
    beside = (abs(row - 50) < 0.99) & (abs(column - 60) < 0.99)
    assert np.array_equal(smooth[beside], near[beside])
    shown = found.index < values.size
    border = shown & ((row < -0.01) | (row > 119.01) | (column < -0.01) | (column > 149.01))
    assert border.sum() > 100
    assert np.array_equal(smooth[border], near[border])
    away = shown & ~border & ((abs(row - 50) > 2) | (abs(column - 60) > 2))
    assert (smooth[away] != near[away]).mean() > 0.9


def test_missing_values_of_floats_are_nan(found: SwathMap) -> None:
    values = np.ones((120, 150), np.float32)
    values[30] = np.nan
    smooth = found.bilinear(values, np.nan)
    assert smooth.dtype == np.float32
    assert np.array_equal(np.isnan(smooth), np.isnan(found.take(values, np.nan)))


def test_a_map_of_nearest_neighbours_does_not_interpolate() -> None:
    with pytest.raises(ValueError, match="bilinear=True"):
        build(*SWATH.pixels(), FINE).bilinear(np.zeros((120, 150)), 0)


def test_repeated_pixels_are_passed_over() -> None:
    """As OLCI has them at the swath's sides: every fifth pixel is the one after it."""
    real = np.arange(180) - np.arange(180) // 5
    straight = Straight(shape=(120, real[-1] + 1))
    rows, columns = np.meshgrid(np.arange(120.0), real.astype(float), indexing="ij")
    found = build(*straight.at(rows, columns), FINE, bilinear=True)
    row, column = straight.places(*cells(found))
    inner = (row > 0) & (row < 119) & (column > 0) & (column < real[-1])
    assert np.abs(found.bilinear(40 * rows - 70 * columns, -1e9) - (40 * row - 70 * column))[inner].max() < 0.1
    assert not np.isin(found.index % 180, np.flatnonzero(np.diff(columns[0]) == 0)).any()


# --- clips ---

AREA = {"type": "Polygon", "coordinates": [[[149.95, -33.05], [150.06, -33.02], [150.02, -32.96], [149.95, -33.05]]]}


@pytest.mark.parametrize("grid", [FINE, Grid(crs="EPSG:3577", resolution=300)])
def test_a_clip_makes_a_smaller_grid_of_the_same_cells(grid: Grid) -> None:
    whole, part = build(*SWATH.pixels(), grid), build(*SWATH.pixels(), grid, clip=AREA)
    down, right = (
        round(float(offset))
        for offset in ((whole.transform.f - part.transform.f) / grid.resolution, (part.transform.c - whole.transform.c) / grid.resolution)
    )
    window = whole.index[down : down + part.shape[0], right : right + part.shape[1]]
    within = shapely.contains_xy(shapely.geometry.shape(AREA), *cells(part))
    assert part.index.size < whole.index.size / 20
    assert (np.where(within, window, 18_000) == part.index).mean() > (0.9999 if grid is FINE else 0.995)  # edges are bent when projected
    assert np.array_equal(part.index[within & (part.index < 18_000)], window[within & (part.index < 18_000)])
    assert part.footprint.covered_by(shapely.geometry.shape(AREA).buffer(1e-9))
    assert part.footprint.area == pytest.approx(shapely.geometry.shape(AREA).area, rel=1e-6)


def test_a_clip_over_the_antimeridian_is_cut_there_and_the_grid_is_not() -> None:
    far = Straight(shape=(120, 150), centre=(179.99, -17))
    clip = {
        "type": "MultiPolygon",
        "coordinates": [
            [[[179.9, -17.1], [180, -17.1], [180, -16.95], [179.9, -16.95], [179.9, -17.1]]],
            [[[-180, -17.1], [-179.95, -17.1], [-179.95, -16.95], [-180, -16.95], [-180, -17.1]]],
        ],
    }
    part = build(*far.pixels(), FINE, clip=clip)
    assert part.transform.c == pytest.approx(179.9, abs=0.0028)
    assert part.shape[1] * 0.0027 == pytest.approx(0.15, abs=0.0028)
    assert (part.index < 18_000).mean() > 0.97
    assert part.footprint.geom_type == "MultiPolygon"
    assert part.footprint.bounds == pytest.approx((-180, -17.1, 180, -16.95))


@pytest.mark.parametrize("west", [10.0, 150.19])
def test_a_clip_without_a_pixel_is_refused(west: float) -> None:
    clip = shapely.geometry.mapping(shapely.box(west, -33.3, west + 0.1, -32.5))
    with pytest.raises(BadProduct, match="within the clip"):
        build(*Straight(shape=(60, 70)).pixels(), FINE, clip=clip)


# --- footprints ---


def share(one: Any, other: Any) -> float:
    return float(shapely.area(shapely.intersection(one, other)) / shapely.area(shapely.union(one, other)))


def test_the_footprint_is_the_swaths_outline(found: SwathMap) -> None:
    side = np.linspace(-0.5, 119.5, 60), np.linspace(-0.5, 149.5, 60)
    rows = np.concatenate([side[0], np.full(60, 119.5), side[0][::-1], np.full(60, -0.5)])
    columns = np.concatenate([np.full(60, -0.5), side[1], np.full(60, 149.5), side[1][::-1]])
    outline = shapely.Polygon(np.column_stack(SWATH.at(rows, columns)))
    assert share(found.footprint, outline) > 0.995
    assert found.footprint.exterior.is_ccw
    assert len(found.footprint.exterior.coords) < 100


@pytest.mark.parametrize(
    "centre", [(179.9, -17.0), (-179.99, 60.0), (20.0, 88.9), (160.0, -89.9), (0.0, 0.0)], ids=["east", "west", "north", "south", "zero"]
)
def test_footprints_are_valid_everywhere(centre: tuple[float, float]) -> None:
    swath = Straight(shape=(140, 160), spacing=2500, centre=centre)
    footprint = build(*swath.pixels(), Grid(crs="EPSG:4326", resolution=0.1)).footprint
    assert footprint.is_valid
    west, south, east, north = footprint.bounds
    assert -180 <= west < east <= 180
    assert -90 <= south < north <= 90
    for part in shapely.get_parts(footprint):
        assert part.exterior.is_ccw
        assert part.bounds[2] - part.bounds[0] <= 360
    at = np.meshgrid(np.linspace(-179.95, 179.95, 400), np.linspace(max(south - 1, -89.99), min(north + 1, 89.99), 200))
    row, column = swath.places(*at)
    inside = (row > -0.5) & (row < 139.5) & (column > -0.5) & (column < 159.5)
    border = np.min([abs(row + 0.5), abs(row - 139.5), abs(column + 0.5), abs(column - 159.5)], axis=0) < 1
    assert np.array_equal(shapely.contains_xy(footprint, *at)[~border], inside[~border])


def test_a_footprint_goes_around_what_has_coordinates() -> None:
    longitude, latitude = SWATH.pixels()
    rows, columns = np.mgrid[:120, :150]
    longitude[columns < 20 + rows / 4] = np.nan
    longitude[70:80, 90:120] = np.nan
    found = build(longitude, latitude, FINE)
    shown = found.index < longitude.size
    within = shapely.contains_xy(found.footprint, *cells(found))
    assert found.footprint.is_valid
    assert within[shown].mean() > 0.995
    assert (within & ~shown).sum() < 0.03 * shown.sum()


# --- real products ---

OLCI = "olci_repacked/S3A_OL_1_EFR____20180108T{}_LN1_O_NT_002.SEN3/geo_coordinates.nc"
REAL = {
    OLCI.format("125936_20180108T125938_20180109T155936_0002_026_266_3420"): ("longitude", "latitude"),
    OLCI.format("125943_20180108T125944_20180109T155943_0001_026_266_3420"): ("longitude", "latitude"),
    "olci_l2_sns_bc/inputdata/O_L2_0001_SNS_2017104102450_v1.0.nc": ("lon", "lat"),
    "olci_l2_sns_bc/inputdata/O_L2_0001_SNS_2017105095839_v1.0.nc": ("lon", "lat"),
}


@pytest.mark.parametrize("product", REAL)
@pytest.mark.parametrize("grid", [FINE, Grid(crs="utm", resolution=300), Grid(crs="EPSG:4326", resolution=0.01)], ids=str)
def test_real_swaths_show_the_nearest_pixel(product: str, grid: Grid, samples: Path) -> None:
    with open_netcdf(samples / "pixels" / "sentinel3" / product) as file:
        places = [variable.read() * variable.scale for variable in map(file.variable, REAL[product])]
    if grid.crs == "utm":
        grid = Grid(crs="EPSG:32722" if places[0].mean() < 0 else "EPSG:32631", resolution=300)
    found = build(places[0], places[1], grid)
    expected, apart = brute(places[0], places[1], cells(found))
    assert equal_share(found, *places, expected, apart) >= 0.999
    assert apart[found.index < places[0].size].max() < 600
    assert (found.index[apart < 120] < places[0].size).all()
    assert found.footprint.is_valid


def test_of_olcis_repeated_pixels_the_originals_are_shown(samples: Path) -> None:
    """A fifth of the pixels at the swath's sides is repeated; the flags say which ones."""
    folder = samples / "pixels" / "sentinel3" / next(iter(REAL)).partition("/geo")[0]
    with open_netcdf(folder / "geo_coordinates.nc") as file:
        places = [file.variable(name).read() * 1e-6 for name in ("longitude", "latitude")]
    with open_netcdf(folder / "qualityFlags.nc") as file:
        repeated = file.variable("quality_flags").read() & np.uint32(1 << 23)
    assert (repeated > 0).mean() > 0.15
    assert not build(*places, FINE).take(repeated, 0).any()
