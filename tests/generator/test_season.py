"""The simulated fire season: one truth for all days and sensors, another for another seed."""

from __future__ import annotations

import dataclasses
import itertools
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from shapely import area, contains_xy, prepare
from shapely.geometry import shape

from eolake.ingest.simulators.products.landscape import FIRE, Landscape
from eolake.ingest.simulators.products.season import BEGIN, END, SITE, Fire, Season
from eolake.ingest.simulators.products.season_scenes import after_midnight, looks
from eolake.ingest.simulators.products.sentinel3.geometry import PERIOD, Pass, olci, pass_near, passes, slstr
from eolake.ingest.simulators.products.sun import sun_position

EVE = datetime(2019, 12, 31, 23, 40, tzinfo=UTC)
METRES = 111_195.0


@pytest.fixture(scope="module")
def season() -> Season:
    return Season()


def around(fire: Fire, step: float = 250.0) -> tuple[np.ndarray, np.ndarray]:
    """Longitude and latitude of points `step` metres apart over the whole fire."""
    reach = np.arange(-2.6 * fire.radius, 2.6 * fire.radius, step)
    east, north = np.meshgrid(reach, reach)
    return fire.longitude + east / METRES / np.cos(np.radians(fire.latitude)), fire.latitude + north / METRES


def strongest(season: Season, when: datetime) -> Fire:
    return max(season.fires, key=lambda fire: fire.power(when))


def test_same_seed_is_the_same_season_and_another_seed_another(season: Season) -> None:
    assert Season().fires == season.fires
    other = Season(seed=7)
    assert len(other.fires) == len(season.fires)
    assert not {(fire.longitude, fire.latitude) for fire in other.fires[1:]} & {
        (fire.longitude, fire.latitude) for fire in season.fires[1:]
    }
    lon, lat = np.meshgrid(np.linspace(146, 153, 60), np.linspace(-37, -29, 60))
    assert not np.array_equal(other.smoke(lon, lat, EVE), season.smoke(lon, lat, EVE))


def test_fires_burn_on_land_within_new_south_wales_in_the_season(season: Season) -> None:
    assert (season.fires[0].longitude, season.fires[0].latitude) == SITE
    for fire in season.fires:
        assert 145 < fire.longitude < 154
        assert -38 < fire.latitude < -28
        assert BEGIN <= fire.start < END
    assert sum(fire.burns(EVE) for fire in season.fires) >= 3


def test_what_has_burnt_only_grows_and_nothing_has_before_the_fire(season: Season) -> None:
    fire = season.fires[0]
    lon, lat = around(fire)
    before = season.burnt(lon, lat, fire.start - timedelta(minutes=1))
    assert not before.any()
    days = [fire.start + (fire.end - fire.start) * share for share in (0.1, 0.4, 0.8, 1.0, 1.5)]
    scars = [season.burnt(lon, lat, day) for day in days]
    for earlier, later in itertools.pairwise(scars):
        assert (later >= earlier - 1e-12).all()
    assert (scars[0] > 0).sum() < 0.5 * (scars[3] > 0).sum()
    np.testing.assert_array_equal(scars[3], scars[4])


def test_the_fire_of_the_landscape_is_one_of_the_season_and_ends_as_its_scar(season: Season) -> None:
    lon, lat = around(season.fires[0])
    alone = Landscape().sample(lon, lat, "EPSG:4326", season.fires[0].end).severity
    within = Landscape(season=season).sample(lon, lat, "EPSG:4326", season.fires[0].end).severity
    assert alone.max() > 0.9
    np.testing.assert_allclose(within, alone, atol=1e-6)
    assert season.fires[0].start == FIRE


def test_power_of_cells_sums_to_the_power_of_the_fires(season: Season) -> None:
    fire = strongest(season, EVE)
    lon, lat = around(fire, 1000.0)
    found = season.frp(lon, lat, EVE)
    scale = Season().frp(lon, lat, EVE, cell=500.0).sum()
    assert found.sum() == pytest.approx(fire.power(EVE), rel=0.08)
    assert scale == pytest.approx(fire.power(EVE) / 4, rel=0.12)
    assert not season.frp(lon, lat, fire.start - timedelta(hours=1)).any()


def test_fires_are_stronger_in_the_afternoon_than_at_night(season: Season) -> None:
    fire = season.fires[0]
    noon = [fire.power(datetime(2019, 12, day, 5, tzinfo=UTC)) for day in range(23, 30)]
    night = [fire.power(datetime(2019, 12, day, 15, tzinfo=UTC)) for day in range(23, 30)]
    assert np.mean(noon) > 2 * np.mean(night)


def test_truth_says_where_it_burns_and_how_much_has_burnt(season: Season) -> None:
    features = {feature["properties"]["name"]: feature for feature in season.truth(EVE)["features"]}
    assert set(features) == {fire.name for fire in season.fires if fire.start < EVE}
    fire = strongest(season, EVE)
    said = features[fire.name]
    outline = shape(said["geometry"])
    assert outline.is_valid
    lon, lat = around(fire)
    burning = season.frp(lon, lat, EVE, cell=50.0) > 0
    reached = outline.buffer(0.004)
    prepare(reached)
    inside = contains_xy(reached, lon[burning], lat[burning])
    assert burning.any()
    assert inside.all()
    # km² of the outline, of the truth and of the raster: grids of 280, 200 and 250 m
    drawn = area(outline) * (METRES / 1000) ** 2 * np.cos(np.radians(fire.latitude))
    raster = (season.burnt(lon, lat, EVE) > 0).sum() * 0.0625
    assert said["properties"]["area"] == pytest.approx(raster, rel=0.1)
    assert drawn == pytest.approx(raster, rel=0.15)
    assert said["properties"]["frp"] == fire.power(EVE)


def test_smoke_is_carried_downwind_and_on_with_the_hours(season: Season) -> None:
    fire = strongest(season, EVE)
    east, north = season.wind(EVE)
    ahead = np.array([40_000.0, -40_000.0]) / np.hypot(east, north)
    lon = fire.longitude + ahead * east / METRES / np.cos(np.radians(fire.latitude))
    lat = fire.latitude + ahead * north / METRES
    lee, windward = season.smoke(lon, lat, EVE)
    assert lee > 0.1
    assert windward < lee / 10
    alone = Season(count=1)
    assert not alone.smoke(lon, lat, FIRE).any()


def test_smoke_brightens_the_blue_more_than_the_near_infrared(season: Season) -> None:
    from eolake.ingest.simulators.products.spectra import Band

    lon, lat = np.meshgrid(np.linspace(146, 154, 80), np.linspace(-37, -29, 80))
    veiled = Landscape(season=season).overview(lon, lat, EVE)
    smoke = veiled.smoke
    assert smoke is not None
    dense = smoke > 0.8
    assert dense.any()
    clear = dataclasses.replace(veiled, smoke=None)
    gain = {}
    for centre in (443, 865):
        band = Band(name="x", centre=centre, width=10)
        gain[centre] = (veiled.reflectance(band) - clear.reflectance(band))[dense].mean()
    assert gain[443] > 0.05
    assert gain[443] > gain[865]


def test_passes_come_on_both_sides_of_midnight_utc(season: Season) -> None:
    hours = {look.orbit.time(look.orbit.locate(look.place)[0]).hour for look in looks(season)}
    assert {23, 0} <= hours
    orbit, place = next(after_midnight(season))
    image = slstr(orbit, place).grid("in")
    assert image.orbit.time(image.begin).date() <= image.middle.date()
    fire = next(fire for fire in season.fires if (fire.longitude, fire.latitude) == place)
    assert fire.burns(orbit.time(orbit.locate(place)[0]))


def test_orbits_are_where_the_real_ones_are() -> None:
    """S3A_SL_1_RBT____20210930T220914: cycle 77, relative orbit 43, absolute 29276; its ascending node as the manifest has it."""
    orbit = Pass(platform="A", orbit=29276, node=datetime(2021, 9, 30, 20, 39, 13, 843538, tzinfo=UTC) + timedelta(seconds=PERIOD / 2))
    assert (orbit.cycle, orbit.relative_orbit) == (77, 43)
    below = orbit.track(np.array(-PERIOD / 2))[0]
    assert np.degrees(np.arctan2(below[1], below[0])) == pytest.approx(np.degrees(np.arctan2(2487394.247, 6739565.584)), abs=0.6)
    # the same pass by the ephemeris, 291 revolutions before its reference
    found = list(passes("A", datetime(2021, 9, 29, tzinfo=UTC), datetime(2021, 10, 3, tzinfo=UTC), (150.0, -33.0)))
    assert all(abs((each.node - orbit.node) / timedelta(seconds=PERIOD) - (each.orbit - orbit.orbit)) < 0.01 for each in found)
    assert found


def test_pixels_are_as_large_as_the_real_ones_and_the_sun_as_in_the_other_products() -> None:
    grid = olci(pass_near("A", EVE, SITE), SITE, rows=40, columns=129).grid
    lon, lat = grid.coordinates()
    down = np.hypot(np.diff(lat[:, 64]), np.diff(lon[:, 64]) * np.cos(np.radians(lat[0, 64]))) * METRES
    right = np.hypot(np.diff(lat[20]), np.diff(lon[20]) * np.cos(np.radians(lat[20, 0]))) * METRES
    assert down.mean() == pytest.approx(294, abs=3)
    assert right.mean() == pytest.approx(265, abs=12)
    assert (lon[20, 64], lat[20, 64]) == (pytest.approx(SITE[0], abs=0.005), pytest.approx(SITE[1], abs=0.005))
    zenith, azimuth = grid.sun(slice(20, 21))
    sun = sun_position(grid.orbit.time(grid.begin + grid.interval * 20), lon[20, 64], lat[20, 64])
    assert zenith[0, 64] == pytest.approx(sun.zenith, abs=1e-6)
    assert azimuth[0, 64] % 360 == pytest.approx(sun.azimuth, abs=1e-6)
