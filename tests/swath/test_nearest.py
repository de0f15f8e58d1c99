"""Each cell shows the pixel that is nearest on the ground: compared with one k-d tree over the whole swath, and with pyresample."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from support.swaths import Straight, brute, cells, equal_share

from eolake.catalog.errors import BadProduct, UnsafeProduct
from eolake.catalog.sources import Grid
from eolake.ingest.swath import build, search

Array = np.ndarray[Any, Any]
FINE = Grid(crs="EPSG:4326", resolution=0.0027)


def jitter(pixels: tuple[Array, Array], metres: float, seed: int = 7) -> tuple[Array, Array]:
    """As steep terrain moves pixels that are seen from the side."""
    rng = np.random.default_rng(seed)
    longitude, latitude = pixels
    north = rng.uniform(-metres, metres, latitude.shape) / 111_195
    east = rng.uniform(-metres, metres, latitude.shape) / 111_195 / np.cos(np.radians(latitude))
    return longitude + east, latitude + north


def widening(rows: int, columns: int) -> tuple[Array, Array]:
    """Pixels four times as wide at the sides as in the middle, as Sentinel-5P has them."""
    across = np.linspace(-1, 1, columns)
    straight = Straight(shape=(rows, columns), spacing=5500, azimuth=-13)
    row, column = np.meshgrid(np.arange(rows, dtype=float), (across + across**3) / 2 * columns / 2 + (columns - 1) / 2, indexing="ij")
    return straight.at(row, column)


def repeated() -> tuple[Array, Array]:
    """Every fourth or fifth pixel at the sides is the one after it, here and there one further on, as OLCI's are; gentle terrain."""
    longitude, latitude = jitter(Straight(shape=(200, 300)).pixels(), 15)
    rows, columns = np.mgrid[:200, :300]
    which = ((columns + rows // 50) % np.where(columns < 80, 4, 5) == 3) & (abs(columns - 150) > 40) & (columns < 299)
    for values in (longitude, latitude):
        values[:, :-1][which[:, :-1]] = values[:, 1:][which[:, :-1]]
    return longitude, latitude


def bow_tie() -> tuple[Array, Array]:
    """Scans of ten lines that overlap at their ends."""
    row, column = np.mgrid[:120, :200].astype(float)
    wide = 1 + ((column - 99.5) / 99.5) ** 2 * 0.8
    return Straight(shape=(120, 200)).at(row // 10 * 10 + 4.5 + (row % 10 - 4.5) * wide, column)


def doubled() -> tuple[Array, Array]:
    """Pixels filled with their neighbour, place and all, as SLSTR's are."""
    longitude, latitude = jitter(Straight(shape=(150, 170)).pixels(), 60)
    which = np.random.default_rng(3).random(longitude[:, 1:].shape) < 0.05
    for values in (longitude, latitude):
        values[:, 1:][which] = values[:, :-1][which]
    return longitude, latitude


def holes() -> tuple[Array, Array]:
    longitude, latitude = Straight(shape=(220, 260)).pixels()
    longitude[40:44] = np.nan
    latitude[100:140, 90:130] = np.nan
    longitude[np.random.default_rng(4).random(longitude.shape) < 0.01] = np.nan
    return longitude, latitude


SWATHS = {
    "turned": (Straight(shape=(300, 350)).pixels(), FINE),
    "upright": (Straight(shape=(200, 300), azimuth=0).pixels(), FINE),
    "upside down": (Straight(shape=(200, 300), azimuth=192).pixels(), FINE),
    "mirrored": (tuple(part[:, ::-1] for part in Straight(shape=(150, 200)).pixels()), FINE),
    "finer than the grid": (Straight(shape=(400, 400), spacing=90).pixels(), FINE),
    "coarser than the grid": (Straight(shape=(30, 40), spacing=4000).pixels(), FINE),
    "antimeridian": (Straight(shape=(300, 400), centre=(179.9, -17)).pixels(), FINE),
    "high latitude": (Straight(shape=(120, 200), centre=(20, 81), azimuth=40).pixels(), Grid(crs="EPSG:4326", resolution=0.005)),
    "over the pole": (Straight(shape=(120, 150), spacing=5000, centre=(20, 88.5)).pixels(), Grid(crs="EPSG:4326", resolution=0.2)),
    "polar grid": (Straight(shape=(120, 150), spacing=1000, centre=(160, -89.5)).pixels(), Grid(crs="EPSG:3031", resolution=1000)),
    "Australian Albers": (Straight(shape=(180, 250)).pixels(), Grid(crs="EPSG:3577", resolution=300)),
    "UTM": (Straight(shape=(200, 200), centre=(147, -36)).pixels(), Grid(crs="EPSG:32755", resolution=300)),
    "gentle terrain": (jitter(Straight(shape=(200, 200)).pixels(), 40), FINE),
    "rough terrain": (jitter(Straight(shape=(200, 200)).pixels(), 100), FINE),
    "steep terrain": (jitter(Straight(shape=(250, 250)).pixels(), 400), FINE),
    "widening": (widening(150, 450), Grid(crs="EPSG:4326", resolution=0.05)),
    "half a world": (Straight(shape=(90, 90), spacing=200_000, centre=(0, 0)).pixels(), Grid(crs="EPSG:4326", resolution=1.0)),
    "bow tie": (bow_tie(), FINE),
    "repeated pixels": (repeated(), FINE),
    "doubled pixels": (doubled(), FINE),
    "holes": (holes(), FINE),
    "two by two": (Straight(shape=(2, 2), spacing=1500).pixels(), FINE),
}


@pytest.mark.parametrize("swath", SWATHS)
def test_each_cell_shows_the_nearest_pixel_and_none_within_the_swath_is_empty(swath: str) -> None:
    """The edge by distance alone: nothing is shown from further away than the diagonal of the widest pixel, and what is much nearer than
    half the narrowest one is shown."""
    (longitude, latitude), grid = SWATHS[swath]
    found = build(longitude, latitude, grid)
    expected, apart = brute(longitude, latitude, cells(found))
    assert equal_share(found, longitude, latitude, expected, apart) >= 0.999
    shown = found.index < longitude.size
    narrow, wide = spread(longitude, latitude)
    assert apart[shown].max() <= wide
    assert shown[apart < 0.45 * narrow].all()


def spread(longitude: Array, latitude: Array) -> tuple[float, float]:
    """The least distance between neighbours, and the greatest diagonal, in metres."""
    from support.swaths import vectors

    places = vectors(longitude, latitude).reshape(*longitude.shape, 3) * 6_371_000
    sides = [np.linalg.norm(np.diff(places, axis=axis), axis=2) for axis in (0, 1)]
    diagonals = [np.linalg.norm(places[1:, 1:] - places[:-1, :-1], axis=2), np.linalg.norm(places[1:, :-1] - places[:-1, 1:], axis=2)]
    return float(min(np.nanmin(side) for side in sides)), float(max(np.nanmax(side) for side in diagonals)) * 1.01


@pytest.mark.parametrize(("centre", "azimuth"), [((150, -33), 12), ((150, -33), 77), ((-179.95, 10), -30), ((20, 75), 5)])
def test_the_swath_ends_half_a_pixel_beyond_its_last_pixels(centre: tuple[float, float], azimuth: float) -> None:
    """The swath's own equations say in which pixel a cell's centre lies."""
    straight = Straight(shape=(160, 210), centre=centre, azimuth=azimuth)
    found = build(*straight.pixels(), FINE)
    row, column = straight.places(*cells(found))
    inside = (row >= -0.5) & (row <= 159.5) & (column >= -0.5) & (column <= 209.5)
    border = np.min([abs(row + 0.5), abs(row - 159.5), abs(column + 0.5), abs(column - 209.5)], axis=0) < 0.01
    shown = found.index < 160 * 210
    assert np.array_equal(shown[~border], inside[~border])
    middle = np.maximum(abs(row - np.rint(row)), abs(column - np.rint(column))) < 0.49
    assert np.array_equal(found.index[shown & middle], (np.rint(row) * 210 + np.rint(column))[shown & middle])


@pytest.mark.parametrize("west", [55_556, 66_600])
def test_a_swath_that_is_the_grid_maps_to_itself(west: int) -> None:
    """Also over the antimeridian. GDAL's geolocation takes centres for corners, and is half a pixel off."""
    longitude, latitude = np.meshgrid((np.arange(200) + west + 0.5) * 0.0027, -(np.arange(150) + 12_000 + 0.5) * 0.0027)
    found = build((longitude + 180) % 360 - 180, latitude, FINE)
    assert found.shape == (150, 200)
    assert (found.transform.c, found.transform.f) == pytest.approx((west * 0.0027, -12_000 * 0.0027))
    assert np.array_equal(found.index, np.arange(30_000).reshape(150, 200))


def test_all_swaths_share_one_lattice() -> None:
    grid = Grid(crs="EPSG:4326", resolution=0.0027, align=0.001)
    for centre in ((150.0, -33.0), (-70.123, 10.2), (179.99, 0.0), (0.0, 0.0)):
        found = build(*Straight(shape=(40, 50), centre=centre).pixels(), grid)
        for edge in (found.transform.c, found.transform.f):
            cell = (edge - 0.001) / 0.0027
            assert cell == pytest.approx(round(cell), abs=1e-6)


def test_over_the_antimeridian_the_columns_run_on() -> None:
    longitude, latitude = Straight(shape=(200, 300), centre=(179.9, -17)).pixels()
    found = build(longitude, latitude, FINE)
    assert 179 < found.transform.c < 180 < found.transform.c + found.shape[1] * 0.0027 < 181
    assert found.shape[1] < 500
    values = found.take(longitude, np.nan)
    east, _ = cells(found)
    assert np.nanmax(np.abs((values - east + 180) % 360 - 180)) < 0.003


def test_pyresample_finds_the_same_pixels() -> None:
    from pyresample import SwathDefinition, create_area_def, kd_tree

    longitude, latitude = Straight(shape=(300, 350)).pixels()
    found = build(longitude, latitude, FINE)
    west, north = found.transform.c, found.transform.f
    area = create_area_def(
        "grid", "EPSG:4326", shape=found.shape, area_extent=(west, north - found.shape[0] * 0.0027, west + found.shape[1] * 0.0027, north)
    )
    numbers = np.arange(longitude.size, dtype=np.float64).reshape(longitude.shape)
    theirs = kd_tree.resample_nearest(SwathDefinition(longitude, latitude), numbers, area, radius_of_influence=1000, fill_value=-1)
    ours = found.take(numbers, -1)
    shown = ours >= 0
    assert shown.mean() > 0.5
    assert (ours == theirs)[shown].mean() >= 0.999


def test_the_result_does_not_hang_on_threads_or_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    longitude, latitude = jitter(Straight(shape=(200, 280)).pixels(), 90)
    two = build(longitude, latitude, FINE, bilinear=True)
    monkeypatch.setattr(search, "THREADS", 1)
    one = build(longitude, latitude, FINE, bilinear=True)
    assert np.array_equal(one.index, two.index)
    assert one.offsets is not None
    assert two.offsets is not None
    assert np.array_equal(one.offsets, two.offsets)
    monkeypatch.setattr(search, "TILE", 64)
    assert (build(longitude, latitude, FINE).index == two.index).mean() > 0.9999


def test_the_stepping_is_used_where_the_net_is_smooth_and_the_tree_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    searched: list[int] = []
    tree = search._search
    monkeypatch.setattr(search, "_search", lambda *all: searched.append(1) or tree(*all))
    build(*Straight(shape=(120, 130)).pixels(), FINE)
    build(*repeated(), FINE)
    assert not searched
    build(*bow_tie(), FINE)
    assert searched


def test_masked_coordinates_are_missing_ones() -> None:
    longitude, latitude = Straight(shape=(60, 80)).pixels()
    hidden = np.zeros(longitude.shape, bool)
    hidden[20:30, 30:40] = True
    masked = build(np.ma.array(longitude, mask=hidden), np.ma.array(latitude, mask=hidden), FINE)
    missing = build(np.where(hidden, np.nan, longitude), latitude, FINE)
    assert np.array_equal(masked.index, missing.index)
    assert not np.isin(masked.index, np.flatnonzero(hidden)).any()
    assert (masked.index == longitude.size).sum() > 80


def test_missing_lines_stay_empty() -> None:
    """Ten lines that the product does not even have rows for."""
    longitude, latitude = (np.delete(part, slice(50, 60), 0) for part in Straight(shape=(120, 130)).pixels())
    found = build(longitude, latitude, FINE)
    row, _ = Straight(shape=(120, 130)).places(*cells(found))
    shown = found.index < longitude.size
    assert not shown[(row > 49.6) & (row < 59.4)].any()


def test_impossible_coordinates_are_missing_ones() -> None:
    longitude, latitude = Straight(shape=(60, 80)).pixels()
    latitude[0], longitude[:, 0] = -999.0, 1e30
    found = build(longitude, latitude, FINE)
    longitude[longitude > 360], latitude[latitude < -90] = np.nan, np.nan
    assert equal_share(found, longitude, latitude, *brute(longitude, latitude, cells(found))) == 1


@pytest.mark.parametrize(
    ("shape", "what"), [((1, 50), "no extent"), ((50, 1), "no extent"), ((0, 0), "no extent"), ((5,), "same rows and columns")]
)
def test_what_is_no_swath_is_refused(shape: tuple[int, ...], what: str) -> None:
    with pytest.raises(BadProduct, match=what):
        build(np.full(shape, 150.0), np.full(shape, -33.0), FINE)


def test_a_swath_without_coordinates_is_refused() -> None:
    with pytest.raises(BadProduct, match="no place on Earth"):
        build(np.full((5, 5), np.nan), np.full((5, 5), -33.0), FINE)
    with pytest.raises(BadProduct, match="no extent"):
        build(np.full((5, 5), 150.0), np.full((5, 5), -33.0), FINE)
    with pytest.raises(BadProduct, match="same rows and columns"):
        build(np.zeros((5, 5)), np.zeros((5, 6)), FINE)


def test_coordinates_all_over_the_world_ask_for_no_memory() -> None:
    rng = np.random.default_rng(1)
    with pytest.raises(UnsafeProduct, match="more than any product fills"):
        build(rng.uniform(-180, 180, (50, 50)), rng.uniform(-85, 85, (50, 50)), FINE)
