"""Solar time: days and months as the sun has them at a place. Over 150° E one morning straddles two UTC days.

Solar times are datetimes without a zone; UTC times always have one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from eolake.catalog.errors import UsageError

SECONDS_PER_DEGREE = 240
"""The sun goes round 360° in 86,400 s."""
TICK = timedelta(microseconds=1)
_PART = re.compile(r"^(\d{4})(-\d{2})?(-\d{2})?(T\d{2}:\d{2}(:\d{2}(\.\d+)?)?)?$")


def solar_time(at: datetime, longitude: float) -> datetime:
    """The sun's time (no zone) at a longitude (degrees east) of an aware datetime."""
    return (at.astimezone(UTC) + timedelta(seconds=SECONDS_PER_DEGREE * longitude)).replace(tzinfo=None)


def utc_time(at: datetime, longitude: float) -> datetime:
    """The other way round: aware UTC of the sun's time at a longitude."""
    return (at - timedelta(seconds=SECONDS_PER_DEGREE * longitude)).replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True, order=True)
class Month:
    """A solar month."""

    year: int
    month: int

    @property
    def start(self) -> datetime:
        """Solar time of its begin."""
        return datetime.fromisoformat(f"{self}-01")

    @property
    def end(self) -> datetime:
        """Solar time of the next month's begin."""
        return self.next.start

    @property
    def next(self) -> Month:
        """The month after."""
        return Month(self.year + self.month // 12, self.month % 12 + 1)

    def __str__(self) -> str:
        return f"{self.year:04}-{self.month:02}"

    @classmethod
    def of(cls, at: datetime) -> Month:
        """The month of a solar time."""
        return cls(at.year, at.month)


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """Half-open, in solar time."""

    start: datetime
    end: datetime

    def __contains__(self, at: datetime) -> bool:
        return self.start <= at < self.end

    def months(self) -> list[Month]:
        """Every month of which a part is in the interval, in their order."""
        found, month = [], Month.of(self.start)
        while month.start < self.end:
            found.append(month)
            month = month.next
        return found


def parse_interval(text: str) -> Interval:
    """`A/B`, half-open: from the begin of A to the begin of B; or one year, month or day: the whole of it.

    A and B are `2019`, `2019-12`, `2019-12-31` or `2019-12-31T12:00`, in solar time. UsageError otherwise."""
    first, slash, second = text.strip().partition("/")
    start = _begin(first, text)
    end = _begin(second, text) if slash else _after(first, start)
    if end <= start:
        raise UsageError(f"--datetime {text}: {second or first} is not after {first}; the end is not part of the interval")
    return Interval(start=start, end=end)


def _begin(part: str, text: str) -> datetime:
    if not (match := _PART.match(part)):
        raise UsageError(f"--datetime {text}: write A/B, both like 2019, 2019-12, 2019-12-31 or 2019-12-31T12:00 (solar time, no zone)")
    year, month, day, clock = match[1], match[2] or "-01", match[3] or "-01", match[4] or ""
    try:
        return datetime.fromisoformat(f"{year}{month}{day}{clock}")
    except ValueError as error:
        raise UsageError(f"--datetime {text}: {part} is no date ({error})") from error


def _after(part: str, start: datetime) -> datetime:
    match len(part):
        case 4:
            return start.replace(year=start.year + 1)
        case 7:
            return Month.of(start).end
        case 10:
            return start + timedelta(days=1)
        case _:
            raise UsageError(f"--datetime {part}: an instant is no interval; write A/B")
