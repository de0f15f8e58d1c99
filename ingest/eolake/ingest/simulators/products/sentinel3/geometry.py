"""Where Sentinel-3 is and what it looks at: passes, the pixels of its swaths on the ground, angles.

A circular orbit of 385 revolutions in 27 days over a sphere, as wide, steep and early as the real one: it crosses the equator southwards at
10:00 mean solar time, New South Wales about midnight UTC. Positions are within a few kilometres of the real ones, pixel sizes
within a percent.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from eolake.ingest.simulators.products.noise import Array

Platform = Literal["A", "B"]
Place = tuple[float, float]
"""longitude and latitude, degrees"""

EARTH = 6_371_000.0
ALTITUDE = 814_500.0
PERIOD = 27 * 86400 / 385
"""s"""
_INCLINATION = math.radians(98.65)
_LOCAL_TIME = 10.0
"""hours, mean solar, at the descending node"""
_TURN = 360 / 86400
"""degrees per second: the Earth under an orbit that keeps its angle to the sun"""
_REFERENCE = (29567, datetime(2021, 10, 21, 6, 26, 27, 254946, tzinfo=UTC))
"""absolute orbit of Sentinel-3A and its ascending node, from the manifest of S3A_OL_1_EFR____20211021T073827"""
_B_AHEAD = 140 / 360
"""revolutions that Sentinel-3B is ahead of A"""
_B_ORBITS = -11394
"""its absolute orbit when A's begins within the next revolution, less A's; from S3B_OL_1_ERR____20210831T200148"""
_BEFORE_CYCLES: dict[Platform, int] = {"A": -27, "B": -3963}
"""absolute orbit = 385 × (cycle - 1) + relative orbit + this"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """One southward half of an orbit, in daylight."""

    platform: Platform
    orbit: int
    """absolute"""
    node: datetime
    """when it crosses the equator southwards"""

    @property
    def longitude(self) -> float:
        """degrees: of that crossing"""
        hours = (self.node - self.node.replace(hour=0, minute=0, second=0, microsecond=0)) / timedelta(hours=1)
        return ((_LOCAL_TIME - hours) * 15 + 180) % 360 - 180

    @property
    def cycle(self) -> int:
        """of 27 days, from 1"""
        return (self.orbit - _BEFORE_CYCLES[self.platform] - 1) // 385 + 1

    @property
    def relative_orbit(self) -> int:
        """in its cycle, 1–385"""
        return (self.orbit - _BEFORE_CYCLES[self.platform] - 1) % 385 + 1

    def time(self, seconds: float) -> datetime:
        """The moment `seconds` after the node."""
        return self.node + timedelta(microseconds=round(seconds * 1e6))

    def track(self, seconds: Array) -> tuple[Array, Array, Array]:
        """Unit vectors (…, 3) from the Earth's centre to the point below the satellite, along its track and to its right (west)."""
        here, there = self._below(seconds), self._below(seconds + 0.5)
        along = there - here
        along -= here * (along * here).sum(-1, keepdims=True)
        along /= np.linalg.norm(along, axis=-1, keepdims=True)
        return here, along, np.cross(along, here)

    def ground(self, seconds: Array, across: Array) -> tuple[Array, Array]:
        """Longitude and latitude of the points `across` metres right of the track (west) at `seconds` after the node."""
        below, _, right = self.track(seconds)
        angle = (across / EARTH)[..., None]
        point = np.cos(angle) * below + np.sin(angle) * right
        return np.degrees(np.arctan2(point[..., 1], point[..., 0])), np.degrees(np.arcsin(np.clip(point[..., 2], -1, 1)))

    def locate(self, place: Place) -> tuple[float, float]:
        """Seconds after the node when `place` is abeam, and metres that it lies right of the track."""
        target = _unit(np.array(place[0]), np.array(place[1]))
        first, last = -PERIOD / 4, PERIOD / 4
        for _ in range(6):
            seconds = np.linspace(first, last, 41)
            _, along, _ = self.track(seconds)
            below = self._below(seconds)
            # abeam: no part of the way there leads along the track
            best = int(np.argmin(np.abs(along @ target) - (below @ target > 0) * 2))
            step = seconds[1] - seconds[0]
            first, last = seconds[best] - step, seconds[best] + step
        moment = (first + last) / 2
        _, _, right = self.track(np.array(moment))
        return moment, math.asin(float(np.clip(right @ target, -1, 1))) * EARTH

    def view(self, seconds: Array, longitude: Array, latitude: Array) -> tuple[Array, Array]:
        """Zenith and azimuth (degrees, clockwise from north) of the satellite at `seconds`, seen from the places."""
        ground = _unit(longitude, latitude)
        sight = self._below(seconds) * (1 + ALTITUDE / EARTH) - ground
        return _angles(sight, longitude, latitude, ground)

    def _below(self, seconds: Array) -> Array:
        phase = 2 * math.pi * seconds / PERIOD
        latitude = np.degrees(np.arcsin(-math.sin(_INCLINATION) * np.sin(phase)))
        turned = np.degrees(np.arctan2(math.cos(_INCLINATION) * np.sin(phase), np.cos(phase)))
        return _unit(self.longitude + turned - _TURN * seconds, latitude)


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """The pixels of one image: rows along the track, columns across it."""

    orbit: Pass
    begin: float
    """seconds after the node of the first row"""
    interval: float
    """s from row to row"""
    rows: int
    across: tuple[float, ...]
    """metres right of the track (west) of each column"""

    @property
    def shape(self) -> tuple[int, int]:
        """rows, columns"""
        return self.rows, len(self.across)

    @property
    def middle(self) -> datetime:
        """The time of the middle row: what is looked at is as it is then."""
        return self.orbit.time(self.begin + self.interval * self.rows / 2)

    def seconds(self, rows: slice = slice(None)) -> Array:
        """of each row, after the node"""
        return self.begin + self.interval * np.arange(self.rows, dtype=float)[rows]

    def microseconds(self, rows: slice = slice(None)) -> NDArray[np.int64]:
        """of each row, since 2000-01-01: the time stamps of the products"""
        node = (self.orbit.node - datetime(2000, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
        return np.rint(self.seconds(rows) * 1e6).astype(np.int64) + node

    def coordinates(self, rows: slice = slice(None)) -> tuple[Array, Array]:
        """Longitude and latitude of the pixels of some rows."""
        return self.orbit.ground(self.seconds(rows)[:, None], np.array(self.across)[None, :])

    def ties(self, step: int) -> Grid:
        """The same rows, every `step`th column."""
        return replace(self, across=self.across[::step])

    def view(self, rows: slice = slice(None)) -> tuple[Array, Array]:
        """Zenith and azimuth of the satellite, degrees."""
        return self.orbit.view(self.seconds(rows)[:, None], *self.coordinates(rows))

    def sun(self, rows: slice = slice(None)) -> tuple[Array, Array]:
        """Zenith and azimuth of the sun, degrees."""
        return sun_angles(self.orbit.node, self.seconds(rows)[:, None], *self.coordinates(rows))

    def outline(self, count: int = 24) -> list[tuple[float, float]]:
        """Longitude and latitude around the image, closed, about `count` points."""
        rows, columns = self.shape
        down = np.linspace(0, rows - 1, max(2, count // 4)).astype(int)
        right = np.linspace(0, columns - 1, max(2, count // 4)).astype(int)
        ring = (
            [(0, column) for column in right]
            + [(row, columns - 1) for row in down[1:]]
            + [(rows - 1, column) for column in right[-2::-1]]
            + [(row, 0) for row in down[-2::-1]]
        )
        seconds, across = self.seconds(), np.array(self.across)
        longitude, latitude = self.orbit.ground(
            np.array([seconds[row] for row, _ in ring]), np.array([across[column] for _, column in ring])
        )
        return [(float(east), float(north)) for east, north in zip(longitude, latitude, strict=True)]


OLCI_COLUMNS = {"FR": 4865, "RR": 1217}
OLCI_ROWS = {"FR": 4091, "RR": 1023}
OLCI_TIES = {"FR": 64, "RR": 16}
OLCI_DETECTORS = 3700
_OLCI_INTERVAL = {"FR": 0.044001, "RR": 0.176004}
_OLCI_WEST = 945_000.0
"""m: the western edge of the swath; its cameras look away from the sun"""
_OLCI_SWATH = 1_272_000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Olci:
    """An OLCI image, or a part of one with pixels as large as the real ones."""

    resolution: Literal["FR", "RR"]
    grid: Grid
    first: int
    """column of the whole swath that the first one is"""

    @property
    def detectors(self) -> NDArray[np.int16]:
        """The detector of each column; some stand in two columns, as the product's columns are narrower than the detectors."""
        return olci_detectors(self.resolution)[self.first : self.first + self.grid.shape[1]]


def olci_detectors(resolution: Literal["FR", "RR"]) -> NDArray[np.int16]:
    """Detector (0–3699) of each column of a whole swath."""
    columns = OLCI_COLUMNS[resolution]
    step = OLCI_DETECTORS if resolution == "FR" else OLCI_DETECTORS // 4
    return ((np.arange(columns) * step // columns) * (OLCI_DETECTORS // step)).astype(np.int16)


def olci(
    orbit: Pass, centre: Place, *, resolution: Literal["FR", "RR"] = "FR", rows: int | None = None, columns: int | None = None
) -> Olci:
    """The image of a pass around `centre`; `rows` and `columns` (a multiple of the distance of tie columns, plus one): all by default."""
    rows, columns = rows or OLCI_ROWS[resolution], columns or OLCI_COLUMNS[resolution]
    abeam, right = orbit.locate(centre)
    whole = _OLCI_WEST - _OLCI_SWATH / OLCI_DETECTORS * (olci_detectors(resolution) + (0.5 if resolution == "FR" else 2.0))
    middle = int(np.argmin(np.abs(whole - right)))
    first = int(np.clip(middle - columns // 2, 0, len(whole) - columns))
    interval = _OLCI_INTERVAL[resolution]
    grid = Grid(
        orbit=orbit,
        begin=abeam - interval * (rows / 2),
        interval=interval,
        rows=rows,
        across=tuple(whole[first : first + columns].tolist()),
    )
    return Olci(resolution=resolution, grid=grid, first=first)


SLSTR_ROWS, SLSTR_COLUMNS, SLSTR_OBLIQUE_COLUMNS = 1200, 1500, 900
"""of the 1 km images; those of 500 m have twice as many"""
SLSTR_TRACK = {"n": 998, "o": 450}
"""1 km column that the track runs through, in the nadir and the oblique view"""
SLSTR_SWATH = {"n": (-470_000.0, 950_000.0), "o": (-370_000.0, 370_000.0)}
"""m right of the track: what the scans cover; the rest of the image is empty"""
_SLSTR_INTERVAL = 0.15
_FIRE_SHIFT = 280.0
"""m: from the thermal pixels to those of F1, whose detector stands beside"""
SLSTR_TIES, SLSTR_TIES_TRACK = 130, 64
"""columns of tie points, and the one that the track runs through"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slstr:
    """The images of an SLSTR product: of stripes A and B (500 m), thermal and fire channels (1 km), each from above and from behind."""

    orbit: Pass
    begin: float
    rows: int
    """of 1 km"""
    columns: tuple[range, range]
    """of 1 km, of the nadir and of the oblique image"""

    def grid(self, name: str) -> Grid:
        """`an`, `in`, `fn`, `ao`, `io`, `fo` …"""
        fine = 2 if name[0] in "ab" else 1
        columns = self.columns[name[1] == "o"]
        count = np.arange(columns.start * fine, columns.stop * fine)
        shift = _FIRE_SHIFT if name[0] == "f" else 0.0
        across = (SLSTR_TRACK[name[1]] - (count + 0.5) / fine) * 1000.0 + shift
        interval = _SLSTR_INTERVAL / fine
        return Grid(
            orbit=self.orbit, begin=self.begin + interval / 2, interval=interval, rows=self.rows * fine, across=tuple(across.tolist())
        )

    def along(self, grid: Grid) -> Array:
        """Metres from the ascending node to each row: the y of the products, 1 km for each 0.15 s."""
        return (grid.seconds() + PERIOD / 2) / _SLSTR_INTERVAL * 1000.0

    @property
    def ties(self) -> Grid:
        """Every 16 km across, wider than the images, and in every row of 1 km."""
        across = (SLSTR_TIES_TRACK - np.arange(SLSTR_TIES)) * 16_000.0
        return replace(self.grid("in"), across=tuple(across.tolist()))


def slstr(orbit: Pass, centre: Place, *, rows: int | None = None, columns: int | None = None) -> Slstr:
    """The images of a pass around `centre`; `rows` and `columns` of 1 km: all by default."""
    abeam, right = orbit.locate(centre)
    rows = rows or SLSTR_ROWS
    windows = []
    for view, whole in (("n", SLSTR_COLUMNS), ("o", SLSTR_OBLIQUE_COLUMNS)):
        count = min(columns or whole, whole)
        first = int(np.clip(round(SLSTR_TRACK[view] - right / 1000) - count // 2, 0, whole - count))
        windows.append(range(first, first + count))
    return Slstr(orbit=orbit, begin=abeam - _SLSTR_INTERVAL * rows / 2, rows=rows, columns=(windows[0], windows[1]))


def passes(
    platform: Platform, start: datetime, end: datetime, place: Place, *, west: float = 945_000.0, east: float = 327_000.0
) -> Iterator[Pass]:
    """Passes that have `place` abeam from `start` to `end` (aware), at most `west` metres right and `east` metres left of the track."""
    orbit, ascends = _REFERENCE
    shift = timedelta(seconds=PERIOD / 2 - (_B_AHEAD * PERIOD if platform == "B" else 0))
    first = math.floor((start - ascends - shift) / timedelta(seconds=PERIOD)) - 1
    last = math.ceil((end - ascends - shift) / timedelta(seconds=PERIOD)) + 1
    number = orbit if platform == "A" else orbit + _B_ORBITS
    for n in range(first, last + 1):
        found = Pass(platform=platform, orbit=number + n, node=ascends + shift + timedelta(seconds=PERIOD * n))
        away = (found.longitude - place[0] + 180) % 360 - 180
        if abs(place[1]) < 60 and not -20 < away < 60:  # far from the sunlit side of the place: passes lean westwards as they go south
            continue
        abeam, right = found.locate(place)
        if -east <= right <= west and abs(abeam) < PERIOD / 4.5 and start <= found.time(abeam) < end:
            yield found


def pass_near(platform: Platform, when: datetime, place: Place) -> Pass:
    """The pass nearest to `when` (aware) that OLCI sees `place` from."""
    found = list(passes(platform, when - timedelta(days=4), when + timedelta(days=4), place))
    return min(found, key=lambda each: abs(each.time(each.locate(place)[0]) - when))


def sun_angles(node: datetime, seconds: Array, longitude: Array, latitude: Array) -> tuple[Array, Array]:
    """Zenith and azimuth of the sun, degrees (azimuth clockwise from north, -180–180), at `seconds` after `node`.

    The formulas of `sun.sun_position`, for arrays."""
    days = (node - datetime(2000, 1, 1, 12, tzinfo=UTC)).total_seconds() / 86400 + seconds / 86400
    anomaly = np.radians(357.528 + 0.9856003 * days)
    ecliptic = np.radians(280.460 + 0.9856474 * days + 1.915 * np.sin(anomaly) + 0.020 * np.sin(2 * anomaly))
    obliquity = np.radians(23.439 - 4e-7 * days)
    declination = np.degrees(np.arcsin(np.sin(obliquity) * np.sin(ecliptic)))
    ascension = np.degrees(np.arctan2(np.cos(obliquity) * np.sin(ecliptic), np.cos(ecliptic)))
    below = ascension - 280.46062 - 360.98564737 * days
    shape = np.broadcast(below, longitude).shape
    return _angles(
        _unit(np.broadcast_to(below, shape), np.broadcast_to(declination, shape)), longitude, latitude, _unit(longitude, latitude)
    )


def _unit(longitude: Array, latitude: Array) -> Array:
    east, north = np.radians(longitude), np.radians(latitude)
    return np.stack([np.cos(north) * np.cos(east), np.cos(north) * np.sin(east), np.sin(north)], axis=-1)


def _angles(sight: Array, longitude: Array, latitude: Array, ground: Array) -> tuple[Array, Array]:
    """Zenith and azimuth of the direction `sight` at the places."""
    sine, cosine = np.sin(np.radians(longitude)), np.cos(np.radians(longitude))
    up = (sight * ground).sum(-1) / np.linalg.norm(sight, axis=-1)
    east = cosine * sight[..., 1] - sine * sight[..., 0]
    north = np.cos(np.radians(latitude)) * sight[..., 2] - np.sin(np.radians(latitude)) * (cosine * sight[..., 0] + sine * sight[..., 1])
    return np.degrees(np.arccos(np.clip(up, -1, 1))), np.degrees(np.arctan2(east, north))
