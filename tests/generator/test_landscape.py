"""The landscape itself: the same ground from every side, and physics that holds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyproj import Transformer

from eolake.ingest.simulators.products.landsat import cloud_distance
from eolake.ingest.simulators.products.landscape import FIRE, SITE, Landscape
from eolake.ingest.simulators.products.noise import fractal, noise
from eolake.ingest.simulators.products.spectra import bands
from eolake.ingest.simulators.products.sun import sun_position

DAY = datetime(2020, 1, 16, 23, 50, tzinfo=UTC)


def _around(count: int = 400) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(1)
    return SITE[0] + random.uniform(-0.06, 0.06, count), SITE[1] + random.uniform(-0.06, 0.06, count)


@pytest.mark.parametrize("crs", ["EPSG:32655", "EPSG:32756", "EPSG:3577"])
def test_a_place_is_the_same_in_every_crs(crs: str) -> None:
    lon, lat = _around()
    x, y = Transformer.from_crs(4326, crs, always_xy=True).transform(lon, lat)
    band = bands("sentinel_2")["B8A"]
    expected = Landscape().sample(lon, lat, "EPSG:4326", DAY, cloud=0.2).reflectance(band)
    np.testing.assert_allclose(Landscape().sample(x, y, crs, DAY, cloud=0.2).reflectance(band), expected, atol=1e-6)


def test_a_place_does_not_depend_on_its_neighbours() -> None:
    """Far points make the noise hash point by point instead of from a table: the values stay."""
    lon, lat = _around(50)
    alone = Landscape().sample(lon, lat, "EPSG:4326", DAY)
    wide = Landscape().sample(np.append(lon, [141.0, 153.6]), np.append(lat, [-37.5, -28.2]), "EPSG:4326", DAY)
    np.testing.assert_array_equal(wide.reflectance(bands("landsat_8")["B4"])[:50], alone.reflectance(bands("landsat_8")["B4"]))


def test_cover_is_a_mixture_and_reflectance_is_physical() -> None:
    lon, lat = _around()
    surface = Landscape().sample(lon, lat, "EPSG:4326", DAY, cloud=0.3)
    np.testing.assert_allclose(sum(surface.fractions.values()), 1)
    assert min(cover.min() for cover in surface.fractions.values()) >= 0
    for instrument in ("landsat_8", "sentinel_2"):
        for band in bands(instrument).values():
            reflectance = surface.reflectance(band)
            assert reflectance.min() > 0
            assert reflectance.max() < 1
    assert 255 < surface.temperature.min() < surface.temperature.max() < 330


def test_the_fire_comes_once_and_fades() -> None:
    lon, lat = _around()
    before, just_after, later = (
        Landscape().sample(lon, lat, "EPSG:4326", when) for when in (FIRE - timedelta(seconds=1), FIRE, FIRE + timedelta(days=1000))
    )
    assert before.severity.max() == 0
    assert just_after.fractions["char"].mean() > 0.1
    burnt = just_after.fractions["char"] > 0.1
    assert (later.fractions["char"][burnt] < just_after.fractions["char"][burnt] / 2).all()


@pytest.mark.parametrize("cloud", [0.1, 0.3, 0.6])
def test_clouds_cover_about_what_is_asked(cloud: float) -> None:
    covers = []
    for days in range(8):
        lon, lat = (axis.ravel() for axis in np.meshgrid(np.linspace(149.9, 150.7, 60), np.linspace(-34.3, -33.6, 60)))
        covers.append(Landscape().sample(lon, lat, "EPSG:4326", DAY + timedelta(days=days), cloud=cloud).cloud.mean())
    assert np.mean(covers) == pytest.approx(cloud, abs=0.06)
    assert len({round(cover, 6) for cover in covers}) == 8


@pytest.mark.parametrize(
    ("when", "place", "azimuth", "elevation"),
    [
        (datetime(2016, 1, 21, 23, 50, 23, tzinfo=UTC), (149.86, -34.62), 74.00744, 55.48648),
        (datetime(2019, 12, 1, 15, 13, 52, tzinfo=UTC), (-75.07, 1.4457), 136.31696, 57.08727),
    ],
)
def test_the_sun_stands_where_usgs_says(when: datetime, place: tuple[float, float], azimuth: float, elevation: float) -> None:
    """SUN_AZIMUTH, SUN_ELEVATION and EARTH_SUN_DISTANCE of two real products, at the centre of their frames."""
    sun = sun_position(when, *place)
    assert sun.azimuth == pytest.approx(azimuth, abs=0.6)
    assert sun.elevation == pytest.approx(elevation, abs=0.3)
    assert 0.983 < sun.distance < 0.987


@given(x=st.floats(-1e6, 1e6), y=st.floats(-1e6, 1e6), wavelength=st.floats(50, 20000), seed=st.integers(-(2**40), 2**40))
def test_noise_is_bounded_and_continuous(x: float, y: float, wavelength: float, seed: int) -> None:
    here, beside = (noise(np.array([x + step]), np.array([y]), wavelength, seed)[0] for step in (0.0, wavelength * 1e-6))
    assert -1 <= here <= 1
    assert abs(here - beside) < 1e-4
    assert -1 <= fractal(np.array([x]), np.array([y]), wavelength, 4, seed)[0] <= 1


def test_cloud_distance_is_city_block_kilometres() -> None:
    cloud = np.zeros((20, 30), bool)
    cloud[5, 7] = True
    rows, columns = np.indices(cloud.shape)
    np.testing.assert_allclose(cloud_distance(cloud), 0.03 * (abs(rows - 5) + abs(columns - 7)))
    assert cloud_distance(~cloud | True).max() == 0
    assert cloud_distance(np.zeros((4, 4), bool)).min() >= 240
