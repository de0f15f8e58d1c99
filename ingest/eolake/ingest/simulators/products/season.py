"""A simulated fire season: New South Wales, December 2019 and January 2020, with its truth.

Fires are drawn from a seed; one of them is the fire of `Landscape`, at its place and with its outline. Each begins at a point,
spreads until its last day, gives off radiative power at its front, most in the afternoon, and smoke that the wind carries away.
Every quantity is a function of place and time, so all sensors see one season, whatever their grids; `truth` says what there is
to be found. Places and days are those of the real season only on the whole: outlines, growth and power are invented.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache, lru_cache
from typing import Any

import numpy as np
from pyproj import Transformer

from eolake.ingest.simulators.products.coast import inland
from eolake.ingest.simulators.products.noise import Array, fractal, noise

SITE = (150.30, -33.98)
"""Longitude and latitude of the fire that Landscape has."""
FIRST = datetime(2019, 12, 21, 3, tzinfo=UTC)
"""It breaks out."""
BEGIN = datetime(2019, 12, 1, tzinfo=UTC)
END = datetime(2020, 2, 1, tzinfo=UTC)

_RADIUS = 4300.0
"""m: of the fire at SITE"""
_EDGE = 3700.0 / 4300.0
"""share of the radius within which everything has burnt"""
_FRONT = 900.0
"""m: depth of the part that burns now"""
_METRES = 111195.0
"""of a degree of latitude"""
_NOON = 15.0
"""hour, local solar time, when fires are strongest"""
_SMOKE = 220.0
"""optical depth × m² / s / MW: what a MW gives to a metre of the plume's width at a metre of wind per second"""
_DISTANCE = 600_000.0
"""m: the smoke thins by e"""
_REACH = 900_000.0
"""m: and is not looked at farther away"""
_SAMPLES = 4
"""points along each side of a pixel whose power is asked for"""
_TRUTH = 0.0025
"""degrees: the grid that outlines are drawn on"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fire:
    """One fire of the season."""

    name: str
    longitude: float
    latitude: float
    start: datetime
    end: datetime
    """it spreads and burns from `start` to `end`"""
    radius: float
    """m: of its final outline, from the point of ignition, about"""
    growth: float
    """exponent: the front is at ((t - start) / (end - start)) ** growth of its final distance"""
    peak: float
    """MW: the most it gives off"""
    seed: int

    def front(self, when: datetime) -> float:
        """How far it has come at `when`: 0 before it begins, 1 from its end on."""
        past = (when - self.start) / (self.end - self.start)
        share: float = max(0.0, min(past, 1.0)) ** self.growth
        return share

    def burns(self, when: datetime) -> bool:
        """Whether it gives off power at `when`."""
        return self.start < when < self.end

    def power(self, when: datetime) -> float:
        """Radiative power, MW, of the whole fire at `when`."""
        return float(self.powers(np.array([when.timestamp()]))[0])

    def area(self, when: datetime) -> float:
        """Area within its outline at `when`, km², unburnt islands and all, by a grid."""
        side, east, north = _grid(self)
        return float((_distance(self, east, north) < self.front(when)).sum()) * side**2 / 1e6

    def powers(self, seconds: Array) -> Array:
        """MW at each time, Unix seconds."""
        start, length = self.start.timestamp(), (self.end - self.start).total_seconds()
        past = np.clip((seconds - start) / length, 0.0, 1.0)
        hour = (seconds / 3600.0 + self.longitude / 15.0) % 24.0
        daily = 0.25 + 0.75 * np.maximum(0.0, np.cos((hour - _NOON) * math.pi / 12.0))
        weather = 0.75 + 0.5 * noise(seconds, seconds * 0, 40_000.0, self.seed + 40)
        return np.asarray(self.peak * np.sin(math.pi * past) ** 0.6 * daily * weather)


@dataclass(frozen=True, slots=True, kw_only=True)
class Season:
    """Same seed, same season, for ever. Coordinates are degrees (arrays of one shape), times are aware."""

    seed: int = 2019
    site: tuple[float, float] = SITE
    count: int = 18
    """fires"""

    @property
    def fires(self) -> tuple[Fire, ...]:
        """All of them, the one of Landscape first."""
        return _fires(self.seed, self.site, self.count)

    def frp(self, longitude: Array, latitude: Array, when: datetime, *, cell: float = 1000.0) -> Array:
        """Radiative power, MW, of the fires at `when` within a square of `cell` metres around each place; 0 where nothing burns.

        Over cells that tile the ground it sums to the fires' `power`, to a few percent."""
        total = np.zeros(np.shape(longitude))
        for fire in self.fires:
            near = _near(fire, longitude, latitude, cell) if fire.burns(when) else None
            if near is not None:
                total[near] += _radiated(fire, *_metres(fire, longitude[near], latitude[near]), when, cell)
        return total

    def burnt(self, longitude: Array, latitude: Array, when: datetime) -> Array:
        """Severity of what has burnt until `when`: 0 where nothing has, patchy and up to 1 within the scars."""
        total = np.zeros(np.shape(longitude))
        for fire in self.fires:
            near = _near(fire, longitude, latitude, 0.0) if when > fire.start else None
            if near is not None:
                total[near] = np.maximum(total[near], _severity(fire, *_metres(fire, longitude[near], latitude[near]), fire.front(when)))
        return total

    def smoke(self, longitude: Array, latitude: Array, when: datetime) -> Array:
        """Optical depth of smoke at 550 nm: plumes that the wind of the hour carries, as dense as the fires burnt when they left them."""
        total = np.zeros(np.shape(longitude))
        for fire in self.fires:
            if fire.start < when < fire.end + timedelta(days=2):
                _add_plume(total, fire, np.asarray(longitude), np.asarray(latitude), when, self.wind(when))
        return total

    def wind(self, when: datetime) -> tuple[float, float]:
        """Metres per second towards east and north: westerlies that back and veer over days."""
        seconds = np.array([when.timestamp()])
        toward = math.radians(100.0 + 70.0 * float(noise(seconds, seconds * 0, 200_000.0, self.seed + 50)[0]))
        speed = 9.0 + 5.0 * float(noise(seconds, seconds * 0, 90_000.0, self.seed + 51)[0])
        return speed * math.sin(toward), speed * math.cos(toward)

    def truth(self, when: datetime) -> dict[str, Any]:
        """What there is to be found at `when`: a GeoJSON FeatureCollection, one feature for each fire that has begun.

        Geometry: the burnt outline, EPSG:4326. Properties: name, start, end, burning, frp (MW), area (km²)."""
        return {"type": "FeatureCollection", "features": [_feature(fire, when) for fire in self.fires if fire.front(when) > 0]}


@cache
def _fires(seed: int, site: tuple[float, float], count: int) -> tuple[Fire, ...]:
    random = np.random.default_rng([seed, 3577])
    found = [
        Fire(
            name="Green Wattle Creek",
            longitude=site[0],
            latitude=site[1],
            start=FIRST,
            end=datetime(2020, 1, 14, 3, tzinfo=UTC),
            radius=_RADIUS,
            growth=0.5,
            peak=900.0,
            seed=seed,
        )
    ]
    while len(found) < count:
        latitude = float(random.uniform(-37.2, -29.0))
        longitude = float(random.uniform(145.2, 153.0))
        radius = float(random.uniform(4000.0, 16_000.0))
        start = BEGIN + timedelta(hours=float(random.uniform(0.0, 48 * 24)))
        days, growth, strength = float(random.uniform(5.0, 24.0)), float(random.uniform(0.4, 0.9)), float(random.uniform(0.6, 1.6))
        coast = float(inland(np.array([longitude]), np.array([latitude]), seed)[0])
        apart = min(math.hypot((fire.longitude - longitude) * 0.84, fire.latitude - latitude) * _METRES - fire.radius for fire in found)
        if 25_000.0 < coast - radius < 500_000.0 and apart > 1.6 * radius + 10_000.0:
            found.append(
                Fire(
                    name=f"Fire {len(found)}",
                    longitude=longitude,
                    latitude=latitude,
                    start=start,
                    end=start + timedelta(days=days),
                    radius=radius,
                    growth=growth,
                    peak=900.0 * strength * (radius / _RADIUS) ** 1.2,
                    seed=seed + 1000 * len(found),
                )
            )
    return tuple(found)


def _near(fire: Fire, longitude: Array, latitude: Array, margin: float) -> Any:
    """Index of the places that the fire can have reached, None when there is none."""
    reach = (2.6 * fire.radius + margin) / _METRES
    inside = (np.abs(latitude - fire.latitude) < reach) & (
        np.abs(longitude - fire.longitude) < reach / math.cos(math.radians(fire.latitude))
    )
    return inside if inside.any() else None


@cache
def _albers() -> Transformer:
    return Transformer.from_crs(4326, 3577, always_xy=True)


def _metres(fire: Fire, longitude: Array, latitude: Array) -> tuple[Array, Array]:
    """EPSG:3577 metres east and north of the place of the fire."""
    x0, y0 = _albers().transform(fire.longitude, fire.latitude)
    east, north = _albers().transform(longitude, latitude)
    return np.asarray(east) - x0, np.asarray(north) - y0


def _distance(fire: Fire, east: Array, north: Array) -> Array:
    """Of each place from the ignition as the fire comes to it: 1 at the final outline."""
    scale = fire.radius / _RADIUS
    ragged = 1300.0 * scale * fractal(east, north, 3800.0 * scale, 4, fire.seed + 500)
    return np.asarray((np.hypot((east + 900.0 * scale) / 1.25, north + 0.25 * east) + 2.2 * ragged) / fire.radius)


def _severity(fire: Fire, east: Array, north: Array, front: float) -> Array:
    if front <= 0:
        return np.zeros(np.shape(east))
    t = np.clip((_distance(fire, east, north) - front) / (front * (_EDGE - 1.0)), 0.0, 1.0)
    patches = np.clip(0.82 + 0.85 * fractal(east, north, 1500.0, 3, fire.seed + 510), 0.0, 1.0)
    return np.asarray(t * t * (3 - 2 * t) * patches)


def _radiated(fire: Fire, east: Array, north: Array, when: datetime, cell: float) -> Array:
    """MW within the cells: the mean over points in each."""
    offsets = (np.arange(_SAMPLES) + 0.5) / _SAMPLES * cell - cell / 2
    density = sum(_glow(fire, east + right, north + up, when) for right in offsets for up in offsets) / _SAMPLES**2
    return np.asarray(density * _intensity(fire, when) * cell**2)


def _glow(fire: Fire, east: Array, north: Array, when: datetime) -> Array:
    """How strongly each place burns, beside the others."""
    front = fire.front(when)
    distance = _distance(fire, east, north)
    burns = (distance <= front) & (distance > front - _FRONT / fire.radius)
    return np.asarray(burns * (0.6 + 0.4 * noise(east, north, 1100.0, fire.seed + 520)))


@lru_cache(512)
def _intensity(fire: Fire, when: datetime) -> float:
    """MW per m² of glow, so that the whole fire has its power."""
    side, east, north = _grid(fire)
    glow = float(_glow(fire, east, north, when).sum()) * side**2
    return fire.power(when) / glow if glow else 0.0


def _grid(fire: Fire) -> tuple[float, Array, Array]:
    """Points over the whole fire and their distance, metres."""
    reach, count = 2.6 * fire.radius, 300
    axis = (np.arange(count) + 0.5) / count * 2 * reach - reach
    east, north = np.meshgrid(axis, axis)
    return 2 * reach / count, east, north


def _add_plume(total: Array, fire: Fire, longitude: Array, latitude: Array, when: datetime, wind: tuple[float, float]) -> None:
    east = (longitude - fire.longitude) * _METRES * math.cos(math.radians(fire.latitude))
    north = (latitude - fire.latitude) * _METRES
    speed = math.hypot(*wind)
    along = (east * wind[0] + north * wind[1]) / speed
    across = (north * wind[0] - east * wind[1]) / speed
    width = 1500.0 + 0.8 * fire.radius * fire.front(when) + 0.09 * np.maximum(along, 0.0)
    near = (along > -2 * width) & (along < _REACH) & (np.abs(across) < 5 * width)
    if not near.any():
        return
    along, across, width, east, north = along[near], across[near], width[near], east[near], north[near]
    left = when.timestamp() - np.maximum(along, 0.0) / speed
    shift = across - 0.1 * along * noise(along, along * 0, 90_000.0, fire.seed + 60)
    shape = np.exp(-0.5 * (shift / width) ** 2 - np.maximum(along, 0.0) / _DISTANCE - np.minimum(along / (0.7 * width), 0.0) ** 2)
    seconds = (when - BEGIN).total_seconds()
    puffs = 0.8 + 0.5 * fractal(east - wind[0] * seconds, north - wind[1] * seconds, 16_000.0, 2, fire.seed + 61)
    total[near] += _SMOKE * fire.powers(left) / (speed * width) * shape * puffs


def _feature(fire: Fire, when: datetime) -> dict[str, Any]:
    return {
        "type": "Feature",
        "geometry": _outline(fire, when),
        "properties": {
            "name": fire.name,
            "start": fire.start.isoformat(),
            "end": fire.end.isoformat(),
            "burning": fire.burns(when),
            "frp": fire.power(when),
            "area": fire.area(when),
        },
    }


def _outline(fire: Fire, when: datetime) -> dict[str, Any]:
    """What has burnt, islands left out: a MultiPolygon, anticlockwise."""
    from rasterio.features import shapes
    from rasterio.transform import from_origin
    from shapely.geometry import MultiPolygon, Polygon, mapping
    from shapely.geometry.polygon import orient

    side = 2 * math.ceil(2.6 * fire.radius / math.cos(math.radians(fire.latitude)) / _METRES / _TRUTH)
    west, top = fire.longitude - side / 2 * _TRUTH, fire.latitude + side / 2 * _TRUTH
    step = (np.arange(side) + 0.5) * _TRUTH
    longitude, latitude = np.meshgrid(west + step, top - step)
    burnt = (_distance(fire, *_metres(fire, longitude, latitude)) < fire.front(when)).astype(np.uint8)
    drawn = shapes(burnt, mask=burnt > 0, transform=from_origin(west, top, _TRUTH, _TRUTH))
    outline: dict[str, Any] = mapping(
        MultiPolygon([orient(Polygon(geometry["coordinates"][0], geometry["coordinates"][1:])) for geometry, _ in drawn])
    )
    return outline
