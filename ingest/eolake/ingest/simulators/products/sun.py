"""Where the sun stands: the low-precision formulas of the Astronomical Almanac (0.01° in 1950–2050)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime

_J2000 = datetime(2000, 1, 1, 12, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sun:
    """The sun above one place."""

    azimuth: float
    """degrees clockwise from north, 0–360"""
    elevation: float
    """degrees above the horizon"""
    distance: float
    """astronomical units"""

    @property
    def zenith(self) -> float:
        """degrees from the vertical"""
        return 90.0 - self.elevation


def sun_position(when: datetime, longitude: float, latitude: float) -> Sun:
    """The sun at `when` (aware) over `longitude`, `latitude` (degrees)."""
    days = (when - _J2000).total_seconds() / 86400
    anomaly = math.radians(357.528 + 0.9856003 * days)
    ecliptic = math.radians(280.460 + 0.9856474 * days + 1.915 * math.sin(anomaly) + 0.020 * math.sin(2 * anomaly))
    obliquity = math.radians(23.439 - 4e-7 * days)
    declination = math.asin(math.sin(obliquity) * math.sin(ecliptic))
    ascension = math.atan2(math.cos(obliquity) * math.sin(ecliptic), math.cos(ecliptic))
    sidereal = math.radians(280.46062 + 360.98564737 * days + longitude)
    hour, lat = sidereal - ascension, math.radians(latitude)
    elevation = math.asin(math.sin(lat) * math.sin(declination) + math.cos(lat) * math.cos(declination) * math.cos(hour))
    east = -math.cos(declination) * math.sin(hour)
    north = math.sin(declination) * math.cos(lat) - math.cos(declination) * math.cos(hour) * math.sin(lat)
    distance = 1.00014 - 0.01671 * math.cos(anomaly) - 0.00014 * math.cos(2 * anomaly)
    return Sun(azimuth=math.degrees(math.atan2(east, north)) % 360, elevation=math.degrees(elevation), distance=distance)
