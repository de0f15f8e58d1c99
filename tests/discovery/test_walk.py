"""Passes of discovery: what is found, what is counted, and what a crash anywhere leaves behind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from itertools import count, pairwise
from typing import Any, LiteralString, override

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.fragile import Crash, fragile
from support.odata import DAY, T0, Catalogue, Open, empty, product

from eolake.catalog.errors import Busy
from eolake.catalog.lake import Lake
from eolake.catalog.ledger import discovery as ledger
from eolake.catalog.ledger.granules import Granule, Offer
from eolake.ingest.discovery import walk
from eolake.ingest.discovery.feeds import Feed
from eolake.ingest.discovery.walk import Report, discover, windows
from eolake.ingest.faults import Kind, ProviderFault
from eolake.ingest.providers.base import Change, Part, Query
from eolake.ingest.simulators.messages import Request, Response, json_response

NOW = T0 + 5 * DAY
FEED = Feed(name="f", provider="cdse", collection="s2_l2a")


def rows(lake: Lake, query: LiteralString) -> list[dict[str, Any]]:
    with lake.connect() as connection:
        return [dict(row) for row in connection.execute(query)]


def granules(lake: Lake) -> list[tuple[str, str]]:
    return [(row["id"], row["state"]) for row in rows(lake, "select id, state from eolake.granule order by id")]


def days(lake: Lake, feed: str = "f") -> dict[int, tuple[int, int]]:
    with lake.connect() as connection:
        return {day.day.day: (day.available, day.wanted) for day in ledger.days(connection, feed)}


def cursor(lake: Lake, feed: str = "f") -> ledger.Cursor:
    with lake.connect() as connection:
        return ledger.cursor(connection, feed)


def counts(report: Report) -> tuple[int, int, int, int, int]:
    return report.available, report.wanted, report.new, report.changed, report.known


def test_the_first_pass_looks_back_and_queues_what_it_finds(lake: Lake, catalogue_of: Open) -> None:
    documents = [product(n, T0 + n * DAY / 4) for n in range(20)] + [product(99, T0 - DAY)]
    _, provider = catalogue_of(documents)
    report = discover(lake, replace(FEED, priority=0), provider, until=NOW)
    assert counts(report) == (20, 20, 20, 0, 0)
    assert report.complete
    assert granules(lake) == [(document["Id"], "queued") for document in documents[:20]]
    assert days(lake) == {10: (4, 4), 11: (4, 4), 12: (4, 4), 13: (4, 4), 14: (4, 4)}
    assert {day: (one.available, one.wanted) for day, one in report.per_day.items()} == {date(2024, 9, 10 + n): (4, 4) for n in range(5)}
    assert cursor(lake) == ledger.Cursor(position=NOW)
    (row,) = rows(lake, "select feed, collection, priority, transfer, provider from eolake.granule where id like '%00'")
    assert row == {"feed": "f", "collection": "s2_l2a", "priority": 0, "transfer": "copy", "provider": "cdse"}


def test_a_second_pass_writes_nothing_that_is_there(lake: Lake, catalogue_of: Open) -> None:
    _, provider = catalogue_of([product(n, T0 + n * DAY / 4) for n in range(20)])
    discover(lake, FEED, provider, until=NOW)
    state = "select *, xmin::text from eolake.granule order by id"
    counted = "select *, xmin::text from eolake.day order by day"
    before = rows(lake, state), rows(lake, counted)
    report = discover(lake, FEED, provider, until=NOW + timedelta(minutes=5))
    assert counts(report) == (8, 8, 0, 0, 8)  # of the overlap, two days
    assert (rows(lake, state), [row for row in rows(lake, counted) if row["available"]]) == before


def test_b1a_found_and_queued_are_one_statement(lake: Lake, catalogue_of: Open) -> None:
    """The founders committed the row and sent the message afterwards; a crash between lost the granule."""
    _, provider = catalogue_of([product(n, NOW - DAY / 2) for n in range(5)])
    with pytest.raises(Crash):
        discover(fragile(lake, at=4, after=True), FEED, provider, until=NOW)
    assert {state for _, state in granules(lake)} <= {"queued"}
    assert cursor(lake).position is None


def test_1_2_counts_of_a_day_are_of_available_and_wanted(lake: Lake, catalogue_of: Open) -> None:
    clear = [{"Name": "cloudCover", "Value": 5.0}]
    documents = [
        product(n, T0 + n * DAY / 4, Attributes=clear if n % 4 == 0 else [{"Name": "cloudCover", "Value": 90.0}]) for n in range(12)
    ]
    _, provider = catalogue_of(documents)
    report = discover(lake, replace(FEED, cloud_cover=10), provider, until=NOW)
    assert days(lake) == {10: (4, 1), 11: (4, 1), 12: (4, 1), 13: (0, 0), 14: (0, 0)}
    assert (counts(report), report.filtered) == ((12, 3, 3, 0, 0), {"too cloudy": 9})


def test_1_2_counts_of_a_growing_day_are_replaced_and_never_added_up(lake: Lake, catalogue_of: Open) -> None:
    catalogue, provider = catalogue_of([product(n, T0 + n * DAY / 8) for n in range(4)])
    discover(lake, FEED, provider, until=T0 + DAY / 2)
    assert days(lake)[10] == (4, 4)
    catalogue.documents += [product(n, T0 + n * DAY / 8) for n in range(4, 8)]
    for _ in range(3):
        discover(lake, FEED, provider, until=T0 + DAY)
    assert days(lake)[10] == (8, 8)


def test_1_3_a_pass_that_runs_out_of_time_says_so_and_goes_on_there(lake: Lake, catalogue_of: Open) -> None:
    catalogue, provider = catalogue_of([product(n, T0 + n * DAY / 10) for n in range(40)], page=5)
    passes, found = 0, 0
    while True:
        ticks = count()
        report = discover(lake, FEED, provider, until=NOW, stop=lambda ticks=ticks: next(ticks) >= 7)  # type: ignore[misc]
        passes, found = passes + 1, found + report.new
        assert report.known == 0  # nothing is looked at twice
        if report.complete:
            break
        assert cursor(lake).resume is not None
    assert (found, len(granules(lake))) == (40, 40)
    assert passes > 4
    assert days(lake) == {10: (10, 10), 11: (10, 10), 12: (10, 10), 13: (10, 10), 14: (0, 0)}
    assert len(catalogue.asked) < 40


def test_1_3_a_pass_without_any_time_changes_nothing(lake: Lake, catalogue_of: Open) -> None:
    catalogue, provider = catalogue_of([product(1, T0)])
    report = discover(lake, FEED, provider, until=NOW, stop=lambda: True)
    assert (report.complete, counts(report), catalogue.asked) == (False, (0, 0, 0, 0, 0), [])
    assert cursor(lake) == ledger.Cursor()


def test_1_3_stopped_among_products_of_one_moment(lake: Lake, catalogue_of: Open) -> None:
    """Publication time alone would count some of them twice, or skip them: the ids tell them apart."""
    _, provider = catalogue_of([product(n, T0 + DAY / 2) for n in range(9)])
    for stop_at in (3, 4, 2):
        ticks = count()
        assert not discover(lake, FEED, provider, until=NOW, stop=lambda t=ticks, s=stop_at: next(t) >= s).complete  # type: ignore[misc]
    assert discover(lake, FEED, provider, until=NOW).complete
    assert (len(granules(lake)), days(lake)[10]) == (9, (9, 9))


def test_d02_what_was_published_late_is_found_by_the_next_pass(lake: Lake, catalogue_of: Open) -> None:
    catalogue, provider = catalogue_of([product(n, T0 + n * DAY / 4) for n in range(20)])
    discover(lake, FEED, provider, until=NOW)
    catalogue.documents.append(product(77, NOW - 1.5 * DAY))
    report = discover(lake, FEED, provider, until=NOW + timedelta(hours=1))
    assert (report.new, days(lake)[13]) == (1, (5, 5))


def test_d10_the_same_name_with_a_new_id_is_another_granule_of_the_same_scene(lake: Lake, catalogue_of: Open) -> None:
    first = product(1, T0)
    again = dict(first, Id=product(2, T0)["Id"], PublicationDate=product(1, T0 + DAY)["PublicationDate"])
    _, provider = catalogue_of([first, again])
    discover(lake, FEED, provider, until=NOW)
    found = rows(lake, "select name, scene_key from eolake.granule")
    assert len(found) == 2
    assert len({row["name"] for row in found}) == len({row["scene_key"] for row in found}) == 1
    assert found[0]["scene_key"] is not None


def test_recency_is_reckoned_from_the_day_of_publication(lake: Lake, catalogue_of: Open) -> None:
    """As the founders did for polling: a day counts the same, whenever it is looked at."""
    published = T0 + DAY / 2
    documents = [product(n, published, sensed=T0 - timedelta(days=age)) for n, age in enumerate([29, 30, 31, 400])]
    _, provider = catalogue_of(documents)
    report = discover(lake, replace(FEED, max_age=timedelta(days=30)), provider, until=NOW)
    assert (report.wanted, report.filtered) == (2, {"sensed too long ago": 2})


def test_d14_a_retired_catalogue_raises_one_alarm_and_kills_no_granule(lake: Lake, catalogue_of: Open) -> None:
    catalogue, provider = catalogue_of([product(n, T0 + n * DAY / 4) for n in range(8)])
    discover(lake, FEED, provider, until=T0 + 2 * DAY)
    before = granules(lake), cursor(lake)
    _, gone = catalogue_of([], kind=Retired)
    for _ in range(3):
        with pytest.raises(ProviderFault) as caught:
            discover(lake, FEED, gone, until=NOW)
        assert caught.value.kind is Kind.GONE
    with lake.connect() as connection:
        (alarm,) = ledger.alarms(connection)
    assert (alarm.provider, alarm.kind, alarm.times) == ("cdse", "retired", 3)
    assert (granules(lake), cursor(lake)) == before
    for identity, _ in before[0]:
        with pytest.raises(ProviderFault) as caught:
            gone.resolve(granule_of(identity, attempts=2))
        assert (caught.value.kind, caught.value.code) == (Kind.CONFIG, "retired")  # which no granule is to blame for
    catalogue.documents.append(product(9, NOW - DAY / 2))
    assert discover(lake, FEED, provider, until=NOW).new == 1
    with lake.connect() as connection:
        assert ledger.alarms(connection) == []


@pytest.mark.parametrize("status", [404, 410])
def test_b1g_the_founders_catalogue_that_is_gone_would_be_noticed(status: int, lake: Lake, catalogue_of: Open) -> None:
    kind = type("Gone", (Retired,), {"status": status})
    _, provider = catalogue_of([], kind=kind)
    with pytest.raises(ProviderFault):
        discover(lake, FEED, provider, until=NOW)
    (alarm,) = rows(lake, "select kind, text from eolake.alarm")
    assert alarm["kind"] == "retired"
    assert "urls" in alarm["text"]


def test_d14_a_provider_that_says_itself_that_its_service_retired(lake: Lake) -> None:
    class Closed(Listed):
        @override
        def search(self, query: Query) -> Iterator[Offer]:
            raise ProviderFault("the hub has closed", Kind.CONFIG, code="retired")

    with pytest.raises(ProviderFault, match="closed"):
        discover(lake, replace(FEED, provider="site"), Closed([]), until=NOW)
    assert rows(lake, "select provider, kind from eolake.alarm") == [{"provider": "site", "kind": "retired"}]


def test_a_passing_fault_keeps_what_was_found_and_raises_no_alarm(lake: Lake, catalogue_of: Open) -> None:
    catalogue, provider = catalogue_of([product(n, T0 + n * DAY / 4) for n in range(8)], kind=Failing)
    with pytest.raises(ProviderFault) as caught:
        discover(lake, FEED, provider, until=NOW)
    assert caught.value.kind is Kind.TRANSIENT
    assert (len(granules(lake)), rows(lake, "select 1 from eolake.alarm")) == (4, [])
    catalogue.__class__ = Catalogue
    assert discover(lake, FEED, provider, until=NOW).new == 4


def test_two_passes_of_one_feed_exclude_each_other(lake: Lake, catalogue_of: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    _, provider = catalogue_of([])
    monkeypatch.setattr(walk, "PATIENCE", 0.1)
    with lake.connect() as other:
        assert ledger.hold_feed(other, "f")
        with pytest.raises(Busy, match="'f'"):
            discover(lake, FEED, provider, until=NOW)
        assert discover(lake, replace(FEED, name="g"), provider, until=NOW).complete
    assert discover(lake, FEED, provider, until=NOW).complete


def test_a_position_never_goes_back(lake: Lake, catalogue_of: Open) -> None:
    _, provider = catalogue_of([])
    discover(lake, FEED, provider, until=NOW)
    discover(lake, FEED, provider, until=NOW - DAY)
    assert cursor(lake).position == NOW


def test_a_feed_of_its_own_goes_back_as_far_as_one_likes(lake: Lake, catalogue_of: Open) -> None:
    _, provider = catalogue_of([product(1, T0 - 100 * DAY)])
    assert discover(lake, replace(FEED, name="past"), provider, since=T0 - 101 * DAY, until=T0 - 99 * DAY).new == 1


def test_b1d_windows_are_half_open_and_without_gaps() -> None:
    begin, end = T0 + timedelta(hours=5), T0 + 3 * DAY + timedelta(seconds=1)
    found = list(windows(begin, end))
    assert found[0] == (begin, T0 + DAY)
    assert found[-1] == (T0 + 3 * DAY, end)
    assert all(one[1] == other[0] for one, other in pairwise(found))
    assert list(windows(end, begin)) == []


# --- providers of other kinds ---


@dataclass
class Listed:
    """Yields what it has; says of itself what discovery has to know."""

    offers: Sequence[Offer]
    ascending: bool = False
    windows: str = "published"
    name: str = "site"

    def search(self, query: Query) -> Iterator[Offer]:
        for offer in self.offers:
            start, end, since, until = offer.published, offer.published, query.since, query.until
            if self.windows == "sensing":
                start, end, since, until = offer.start_at, offer.end_at, query.start, query.end
            assert start is not None
            assert end is not None
            assert since is not None
            assert until is not None
            if start < until and end >= since:
                yield offer

    def resolve(self, granule: Granule) -> Sequence[Part]:
        raise NotImplementedError

    def changes(self, since: datetime) -> Iterator[Change]:
        raise NotImplementedError

    def auth(self) -> Mapping[str, str]:
        return {}


def offered(n: int, time: datetime, **more: Any) -> Offer:
    return Offer(provider="site", id=f"{n:04}", name=f"P{n}", source="x", fingerprint="1", **{"published": time, **more})


def test_a_provider_in_no_order_is_passed_by_whole_days(lake: Lake) -> None:
    offers = [offered(n, T0 + DAY * (n * 7 % 20) / 10) for n in range(20)]
    site = Listed(offers)
    feed = replace(FEED, provider="site")
    ticks = count()
    first = discover(lake, feed, site, until=NOW, stop=lambda: next(ticks) >= 14)
    assert not first.complete
    assert cursor(lake).resume == T0 + DAY  # not within the second day, though some of it was seen
    assert discover(lake, feed, site, until=NOW).complete
    assert (len(granules(lake)), days(lake)[10], days(lake)[11]) == (20, (10, 10), (10, 10))


def test_a_provider_without_publication_times_is_walked_by_sensing(lake: Lake) -> None:
    midnight = offered(1, T0, published=None, start_at=T0 + DAY - timedelta(minutes=1), end_at=T0 + DAY + timedelta(minutes=1))
    others = [offered(n, T0, published=None, start_at=T0 + n * DAY / 4, end_at=T0 + n * DAY / 4) for n in range(2, 12)]
    site = Listed([midnight, *others], windows="sensing")
    feed = replace(FEED, provider="site", lookback=timedelta(days=5))
    report = discover(lake, feed, site, until=NOW)
    assert counts(report) == (11, 11, 11, 0, 0)
    assert days(lake) == {10: (3, 3), 11: (4, 4), 12: (4, 4), 13: (0, 0), 14: (0, 0)}  # what spans midnight counts once
    late = offered(50, T0, published=None, start_at=T0 + DAY * 1.5, end_at=T0 + DAY * 1.5)
    assert discover(lake, feed, replace(site, offers=[*site.offers, late]), until=NOW).new == 1  # the whole lookback is looked at again


# --- crashes ---


TABLES: Sequence[LiteralString] = (
    "select provider, id, name, source, fingerprint, state, feed, collection, published from eolake.granule order by provider, id",
    "select feed, provider, day, available, wanted from eolake.day order by feed, day",
    "select feed, position, resume from eolake.cursor order by feed",
    "select g.id, e.kind from eolake.event e join eolake.granule g using (granule_id) order by 1, 2",
)


def tables(lake: Lake) -> list[list[dict[str, Any]]]:
    return [rows(lake, query) for query in TABLES]


@pytest.mark.parametrize("after", [False, True])
def test_d07_a_crash_at_any_statement_and_a_rerun_give_the_same_tables(after: bool, lake: Lake, catalogue_of: Open) -> None:
    _, provider = catalogue_of([product(n, T0 + n * DAY / 3) for n in range(12)])
    discover(lake, FEED, provider, until=NOW)
    expected = tables(lake)
    for at in count(1):
        empty(lake)
        try:
            discover(fragile(lake, at=at, after=after), FEED, provider, until=NOW)
        except Crash:
            seen = {row["id"] for row in rows(lake, "select id from eolake.granule")}
            moved = cursor(lake)
            assert seen_before(moved, provider) <= seen, f"statement {at}: the cursor passed what is not registered"
            discover(lake, FEED, provider, until=NOW)
            assert tables(lake) == expected, f"statement {at}"
        else:
            assert at > 20
            return


def seen_before(moved: ledger.Cursor, provider: Any) -> set[str]:
    """Ids of all that was published before the place where a pass would go on."""
    place = moved.resume or moved.position
    return {offer.id for offer in provider.search(Query(collection="s2_l2a", until=place))} if place is not None else set()


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(crashes=st.lists(st.tuples(st.integers(1, 30), st.booleans(), st.integers(1, 60)), max_size=6), page=st.sampled_from([3, 7, 1000]))
def test_d07_any_series_of_crashes_and_stops_gives_the_same_tables(
    crashes: list[tuple[int, bool, int]], page: int, lake: Lake, catalogue_of: Open
) -> None:
    _, provider = catalogue_of([product(n, T0 + (n // 2) * DAY / 7) for n in range(40)], page=page)
    empty(lake)
    for at, after, ticks in crashes:
        left = count()
        try:
            discover(fragile(lake, at=at, after=after), FEED, provider, until=NOW, stop=lambda t=left, s=ticks: next(t) >= s)  # type: ignore[misc]
        except Crash:
            continue
    while not discover(lake, FEED, provider, until=NOW).complete:
        continue
    found = {row["id"] for row in rows(lake, "select id from eolake.granule where state = 'queued'")}
    assert found == {product(n, T0)["Id"] for n in range(40)}
    assert days(lake) == {10: (14, 14), 11: (14, 14), 12: (12, 12), 13: (0, 0), 14: (0, 0)}
    assert cursor(lake) == ledger.Cursor(position=NOW)
    assert rows(lake, "select count(*) as n from eolake.event where kind = 'offered'") == [{"n": 40}]


def test_times_of_the_report_are_utc(lake: Lake, catalogue_of: Open) -> None:
    _, provider = catalogue_of([product(1, T0 + DAY - timedelta(seconds=1))])
    assert discover(lake, FEED, provider, until=NOW).per_day[T0.date()].available == 1
    assert cursor(lake).position == NOW.astimezone(UTC)


class Retired(Catalogue):
    """The whole service is gone."""

    status = 404

    @override
    def __call__(self, request: Request) -> Response | None:
        return json_response({"detail": "Not Found"}, self.status)


class Failing(Catalogue):
    """Breaks down after the first day."""

    @override
    def __call__(self, request: Request) -> Response | None:
        return Response(status=503) if "ge 2024-09-11" in (request.get("$filter") or "") else super().__call__(request)


def granule_of(identity: str, **more: Any) -> Granule:
    known: dict[str, Any] = dict.fromkeys(Granule.__slots__)
    return Granule(**{**known, "id": identity, "name": f"S2_{identity}", "detail": {}, "attempts": 1, **more})
