"""Times of CF: a number of units since a moment, in the calendars that have the days of ours."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any

from eolake.catalog.errors import BadProduct

UNITS: Mapping[str, int] = {
    "microsecond": 1, "us": 1, "millisecond": 1000, "msec": 1000, "ms": 1000, "second": 10**6, "sec": 10**6, "s": 10**6,
    "minute": 60 * 10**6, "min": 60 * 10**6, "hour": 3600 * 10**6, "hr": 3600 * 10**6, "h": 3600 * 10**6,
    "day": 86400 * 10**6, "d": 86400 * 10**6,
}  # fmt: skip
"""Microseconds; also in the plural. Months and years have no one length."""
CALENDARS = {"standard", "gregorian", "proleptic_gregorian"}
SINCE = re.compile(r"\s*(\w+)\s+since\s+(\S.*?)\s*", re.IGNORECASE)
MOMENT = re.compile(
    r"(\d{1,4})-(\d{1,2})-(\d{1,2})(?:[T ]\s*(\d{1,2})(?::(\d{1,2})(?::(\d{1,2})(?:\.(\d*))?)?)?)?\s*(Z|UTC|GMT|[+-]\d{1,2}(?::?\d{2})?)?",
    re.IGNORECASE,
)
REFORM = datetime(1582, 10, 15, tzinfo=UTC)
"""Before it the standard calendar is Julian."""


def decode(value: float, attributes: Mapping[str, Any], where: str) -> datetime:
    """The moment, aware UTC, rounded to the microsecond; BadProduct names `where` when it can't be told."""
    calendar = str(attributes.get("calendar", "standard")).lower()
    if calendar not in CALENDARS:
        raise BadProduct(f"{where} has the calendar {calendar!r}, whose days are not ours; {', '.join(sorted(CALENDARS))} are read")
    units = str(attributes.get("units", ""))
    found = SINCE.fullmatch(units)
    unit = found[1].lower() if found else ""
    length = UNITS.get(unit) or UNITS.get(unit.removesuffix("s"))
    since = _moment(found[2], calendar) if found else None
    if length is None or since is None:
        raise BadProduct(f"{where} has the units {units!r}; days, hours, minutes or seconds since a date are read")
    try:
        return since[0] + (since[1] + timedelta(microseconds=round(Fraction(value) * length)))
    except (OverflowError, ValueError) as error:
        raise BadProduct(f"{where} is {value:g} {units}, no time that a calendar has") from error


def _moment(text: str, calendar: str) -> tuple[datetime, timedelta] | None:
    """A reference date, and what has to be added to it; None when it is none."""
    match = MOMENT.fullmatch(text)
    if match is None:
        return None
    year, month, day, hour, minute, second = (int(part or 0) for part in match.groups()[:6])
    try:
        found = datetime(year, month, day, hour, minute, second, round(float(f"0.{match[7] or 0}") * 10**6), tzinfo=UTC)
    except ValueError:
        return None
    julian = calendar != "proleptic_gregorian" and found < REFORM
    return found, timedelta(days=_behind(year, month) if julian else 0) - _zone(match[8])


def _behind(year: int, month: int) -> int:
    """Days by which the Julian calendar is behind ours for the same date: 10 in 1582, -2 in the year 1."""
    century = (year if month > 2 else year - 1) // 100
    return century - century // 4 - 2


def _zone(text: str | None) -> timedelta:
    if not text or text[0] not in "+-":
        return timedelta(0)
    digits = text[1:].replace(":", "")
    hours, minutes = (int(digits), 0) if len(digits) <= 2 else (int(digits[:-2]), int(digits[-2:]))
    return timedelta(hours=hours, minutes=minutes) * (-1 if text[0] == "-" else 1)
