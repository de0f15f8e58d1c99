"""Days and months are the sun's, not UTC's; intervals are half-open."""

from __future__ import annotations

from datetime import datetime

import pytest

from eolake.analysis.solar import Month, parse_interval, solar_time, utc_time
from eolake.catalog.errors import UsageError


def test_the_morning_of_new_year_over_new_south_wales_is_of_january_though_utc_says_december() -> None:
    taken = datetime.fromisoformat("2019-12-31T23:50:17Z")
    assert str(Month.of(solar_time(taken, 150))) == "2020-01"
    assert str(Month.of(solar_time(taken, 0))) == "2019-12"
    assert solar_time(taken, 150) == datetime.fromisoformat("2020-01-01T09:50:17")


def test_an_evening_in_the_west_is_of_the_month_before() -> None:
    assert str(Month.of(solar_time(datetime.fromisoformat("2020-02-01T03:00Z"), -120))) == "2020-01"


@pytest.mark.parametrize("longitude", [-179.5, 0, 132, 150.25])
def test_utc_and_solar_time_are_inverse(longitude: float) -> None:
    at = datetime.fromisoformat("2019-12-31T23:50:17Z")
    assert utc_time(solar_time(at, longitude), longitude) == at


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("2019-12-01/2020-02-01", "2019-12-01", "2020-02-01"),
        ("2019-12/2020-02", "2019-12-01", "2020-02-01"),
        ("2019-12", "2019-12-01", "2020-01-01"),
        ("2019", "2019-01-01", "2020-01-01"),
        ("2020-02-29", "2020-02-29", "2020-03-01"),
        ("2019-12-31T12:00/2020-01-01", "2019-12-31T12:00", "2020-01-01"),
    ],
)
def test_intervals(text: str, start: str, end: str) -> None:
    interval = parse_interval(text)
    assert (interval.start, interval.end) == (datetime.fromisoformat(start), datetime.fromisoformat(end))
    assert interval.start in interval
    assert interval.end not in interval


@pytest.mark.parametrize(
    "text", ["", "2019-13", "2019-12-01/2019-12-01", "2020/2019", "2019-12-01T00:00Z/2020", "now", "2019-12-31T12:00", "2019/.."]
)
def test_what_is_no_interval_says_so(text: str) -> None:
    with pytest.raises(UsageError, match="--datetime"):
        parse_interval(text)


def test_months_of_an_interval_are_all_that_it_touches() -> None:
    assert [str(month) for month in parse_interval("2019-12-15/2020-02-01").months()] == ["2019-12", "2020-01"]
    assert [str(month) for month in parse_interval("2019-12-15/2020-02-01T00:01").months()] == ["2019-12", "2020-01", "2020-02"]
