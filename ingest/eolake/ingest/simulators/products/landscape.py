"""A synthetic landscape over New South Wales: one physical surface that every simulated sensor looks at.

Terrain, rivers, forest, pasture, bare fields, clouds and one bushfire are functions of the place on
the ground (EPSG:3577 metres, reached from any CRS) and of time, so a Landsat and a Sentinel-2 product
of one place and week agree, whatever their grids. Reflectance is a mixture of five endmember spectra
under the illumination of the terrain. The fire is placed where the Green Wattle Creek fire burnt in
December 2019, beside the real place of Lake Burragorang; its outline and everything else is invented.
With a `season` its fire grows day by day, the others of the season burn too, there is smoke, and the sea begins at the coast.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from statistics import NormalDist

import numpy as np
from pyproj import Transformer

from eolake.ingest.simulators.products.coast import inland
from eolake.ingest.simulators.products.noise import Array, fractal, noise
from eolake.ingest.simulators.products.season import FIRST, SITE, Season
from eolake.ingest.simulators.products.spectra import ENDMEMBERS, Band, endmember_reflectance
from eolake.ingest.simulators.products.sun import Sun, sun_position

FIRE = FIRST
"""The burn scar exists from here on; without a season all of it."""

_SLOPE_STEP = 30.0
"""m; slopes are differences over this distance, about what a satellite's pixel sees"""
_CLOUD_BASE = 1500.0
"""m above the ground; throws the shadow"""
_REGROWTH_DAYS = 900.0
_SMOKE = 0.30
"""reflectance of dense smoke; blue gets there first"""
_SURF = 60.0
"""m: half the width of the shore"""
_VALLEY = 40_000.0
"""m: half the length of the drowned valley"""
_CLOUD_SPREAD = 0.277
"""standard deviation of the cloud field (fractal noise of four octaves)"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surface:
    """The landscape at some places and one time; all arrays have the shape of the coordinates."""

    fractions: dict[str, Array]
    """cover by endmember; they sum to 1 everywhere"""
    brightness: Array
    """illumination of the slope and texture, about 1"""
    elevation: Array
    """m above sea level"""
    severity: Array
    """of the fire, 0–1; zero everywhere before it"""
    cloud: Array
    """opacity, 0–1"""
    shadow: Array
    """depth of cloud shadow, 0–1"""
    sun: Sun
    smoke: Array | None = None
    """optical depth at 550 nm"""

    def reflectance(self, band: Band) -> Array:
        """Surface reflectance (0–1) in `band`, clouds and smoke included as bright surfaces."""
        ground = sum(self.fractions[name] * endmember_reflectance(name, band) for name in ENDMEMBERS)
        ground = ground * self.brightness * (1 - 0.55 * self.shadow)
        seen: Array = ground * (1 - self.cloud) + endmember_reflectance("cloud", band) * self.cloud
        if self.smoke is None:
            return seen
        veil = 1 - np.exp(-0.7 * self.smoke * (550.0 / band.centre) ** 1.7)
        return np.asarray(seen * (1 - veil) + _SMOKE * veil)

    @property
    def temperature(self) -> Array:
        """Surface temperature, K: lapse rate, dry soil and char hot, water and cloud tops cold."""
        cover = 6.0 * self.fractions["soil"] + 9.0 * self.fractions["char"] + 3.0 * self.fractions["grass"] - 8.0 * self.fractions["water"]
        ground: Array = 304.0 - 0.0065 * self.elevation + cover + 6.0 * (self.brightness - 1) - 3.0 * self.shadow
        return ground * (1 - self.cloud) + 262.0 * self.cloud

    @property
    def water(self) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
        """True where more than half is water."""
        return np.asarray(self.fractions["water"] > 0.5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Landscape:
    """Same seed, same landscape, for ever."""

    seed: int = 2019
    fire: datetime = FIRE
    site: tuple[float, float] = SITE
    season: Season | None = None

    def sun(self, when: datetime) -> Sun:
        """The sun over the site: one value for a whole product."""
        return sun_position(when, *self.site)

    def sample(self, x: Array, y: Array, crs: str, when: datetime, *, cloud: float = 0.0) -> Surface:
        """The surface at `x`, `y` (arrays of one shape, in `crs`) at `when` (aware); `cloud`: fraction of the sky, 0–1."""
        east, north = self._ground(x, y, crs)
        sun = self.sun(when)
        elevation = self._elevation(east, north)
        severity = self._severity(east, north, when)
        opacity, shade = self._clouds(east, north, when, sun, cloud)
        return Surface(
            fractions=self._fractions(east, north, elevation, severity, when),
            brightness=self._brightness(east, north, elevation, sun),
            elevation=elevation,
            severity=severity,
            cloud=opacity,
            shadow=shade * (1 - opacity),
            sun=sun,
            smoke=self.season.smoke(*self._degrees(east, north), when) if self.season else None,
        )

    def overview(self, longitude: Array, latitude: Array, when: datetime, *, cloud: float = 0.0) -> Surface:
        """As `sample`, for pixels of hundreds of metres, within which the sun and shade of the relief are one. The sun is the site's."""
        east, north = self._ground(longitude, latitude, "EPSG:4326")
        elevation = self._elevation(east, north)
        severity = self._severity(east, north, when)
        return Surface(
            fractions=self._fractions(east, north, elevation, severity, when),
            brightness=np.ones(np.shape(east)),
            elevation=elevation,
            severity=severity,
            cloud=self._opacity(east, north, when, cloud) if cloud > 0 else np.zeros(np.shape(east)),
            shadow=np.zeros(np.shape(east)),
            sun=self.sun(when),
            smoke=self.season.smoke(longitude, latitude, when) if self.season else None,
        )

    def _ground(self, x: Array, y: Array, crs: str) -> tuple[Array, Array]:
        """EPSG:3577 metres east and north of the site."""
        to_albers = _albers(crs)
        x0, y0 = _albers().transform(*self.site)
        east, north = to_albers.transform(x, y)
        return np.asarray(east) - x0, np.asarray(north) - y0

    def _degrees(self, east: Array, north: Array) -> tuple[Array, Array]:
        """Longitude and latitude of metres from the site."""
        to_albers = _albers()
        x0, y0 = to_albers.transform(*self.site)
        longitude, latitude = to_albers.transform(east + x0, north + y0, direction="INVERSE")
        return np.asarray(longitude), np.asarray(latitude)

    def _elevation(self, east: Array, north: Array) -> Array:
        ridges = 1 - np.abs(fractal(east, north, 3400.0, 4, self.seed + 100)) * 2.2
        return 330.0 + 420.0 * ridges + 180.0 * noise(east, north, 21000.0, self.seed + 110)

    def _brightness(self, east: Array, north: Array, elevation: Array, sun: Sun) -> Array:
        """cos(incidence) over cos(zenith), softened by the diffuse sky, times a texture of ±6 %."""
        slope_east = (self._elevation(east + _SLOPE_STEP, north) - elevation) / _SLOPE_STEP
        slope_north = (self._elevation(east, north + _SLOPE_STEP) - elevation) / _SLOPE_STEP
        azimuth, height = math.radians(sun.azimuth), math.radians(sun.elevation)
        toward = slope_east * math.sin(azimuth) + slope_north * math.cos(azimuth)
        direct = (1 - toward / math.tan(height)) / np.sqrt(1 + slope_east**2 + slope_north**2)
        texture = 1 + 0.06 * noise(east, north, 150.0, self.seed + 300)
        return np.asarray(np.clip(0.45 + 0.55 * direct, 0.35, 1.6) * texture)

    def _water(self, east: Array, north: Array) -> Array:
        """Rivers along the zero line of a warped noise, and one drowned valley near the site."""
        warp = 700.0 * noise(east, north, 2600.0, self.seed + 210)
        river = np.abs(fractal(east + warp, north - warp, 11000.0, 2, self.seed + 200))
        axis = 4200.0 + 900.0 * noise(north, north * 0, 3000.0, self.seed + 220) + 500.0 * noise(north, north * 0, 1100.0, self.seed + 221)
        arms = 0.6 + 0.5 * noise(north, north * 0, 900.0, self.seed + 222)
        reservoir = np.abs(east - axis) / (420.0 * arms + 60.0) + (np.abs(north) > _VALLEY)
        fresh = np.maximum(_step(0.016, 0.009, river), _step(1.15, 0.9, reservoir))
        if self.season is None:
            return fresh
        return np.maximum(fresh, _step(_SURF, -_SURF, inland(*self._degrees(east, north), self.seed)))

    def _fractions(self, east: Array, north: Array, elevation: Array, severity: Array, when: datetime) -> dict[str, Array]:
        water = self._water(east, north)
        wooded = 0.55 + 1.5 * fractal(east, north, 7000.0, 3, self.seed + 400) + (elevation - 560.0) / 600.0
        forest = np.clip(wooded, 0.05, 1.0) * (0.88 + 0.1 * noise(east, north, 330.0, self.seed + 410))
        bare = np.clip(0.35 + 0.9 * noise(east, north, 620.0, self.seed + 420), 0.05, 0.9)
        age = max((when - self.fire).total_seconds() / 86400, 0.0)
        char = 0.92 * severity * math.exp(-age / _REGROWTH_DAYS)
        land = (1 - water) * (1 - char)
        return {
            "forest": land * forest,
            "grass": land * (1 - forest) * (1 - bare),
            "soil": land * (1 - forest) * bare,
            "water": water,
            "char": (1 - water) * char,
        }

    def _severity(self, east: Array, north: Array, when: datetime) -> Array:
        """0 outside the scar and before the fire; patchy inside, with unburnt islands."""
        if self.season is not None:
            return self.season.burnt(*self._degrees(east, north), when)
        if when < self.fire:
            return np.zeros(np.shape(east))
        ragged = 1300.0 * fractal(east, north, 3800.0, 4, self.seed + 500)
        radius = np.hypot((east + 900.0) / 1.25, north + 0.25 * east) + 2.2 * ragged
        inside = _step(4300.0, 3700.0, radius)
        patches = np.clip(0.82 + 0.85 * fractal(east, north, 1500.0, 3, self.seed + 510), 0.0, 1.0)
        return np.asarray(inside * patches)

    def _clouds(self, east: Array, north: Array, when: datetime, sun: Sun, cloud: float) -> tuple[Array, Array]:
        """Opacity of the cloud above each place, and of the one between it and the sun."""
        if cloud <= 0:
            return np.zeros(np.shape(east)), np.zeros(np.shape(east))
        reach = _CLOUD_BASE / math.tan(math.radians(sun.elevation))
        azimuth = math.radians(sun.azimuth)
        opacity = self._opacity(east, north, when, cloud)
        return opacity, self._opacity(east + reach * math.sin(azimuth), north + reach * math.cos(azimuth), when, cloud)

    def _opacity(self, east: Array, north: Array, when: datetime, cloud: float) -> Array:
        day = self.seed + 600 + 10 * when.toordinal()
        field = fractal(east, north, 3500.0, 4, day)
        edge = NormalDist(sigma=_CLOUD_SPREAD).inv_cdf(1 - min(cloud, 0.999))
        return _step(edge - 0.03, edge + 0.03, field)


@cache
def _albers(crs: str = "EPSG:4326") -> Transformer:
    return Transformer.from_crs(crs, 3577, always_xy=True)


def _step(start: float, end: float, value: Array) -> Array:
    """Smooth step: 0 at `start`, 1 at `end` (which may be the smaller)."""
    t = np.clip((value - start) / (end - start), 0.0, 1.0)
    return np.asarray(t * t * (3 - 2 * t))
