"""Feeds over hubs and web directories: everything once, what comes late too, what changed again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from eolake.catalog.lake import Lake
from eolake.catalog.ledger.discovery import alarms
from eolake.ingest.discovery.feeds import Feed
from eolake.ingest.discovery.walk import discover
from eolake.ingest.faults import ProviderFault
from eolake.ingest.providers.base import Provider, ProviderConfig
from eolake.ingest.providers.registry import open_provider
from eolake.ingest.simulators.archive import Archive
from eolake.ingest.simulators.content import of_bytes
from eolake.ingest.simulators.dialects.autoindex import AutoindexDialect
from eolake.ingest.simulators.dialects.dhus import DhusDialect
from eolake.ingest.simulators.server import Server

from .support import DAY, record

END = DAY + timedelta(days=4)


@pytest.fixture
def archive() -> Archive:
    return Archive(record(number) for number in range(40))


@pytest.fixture(params=["dhus", "http-directory"])
def provider(request: pytest.FixtureRequest, archive: Archive) -> Iterator[Provider]:
    with Server(DhusDialect(archive), AutoindexDialect(archive, style="json")) as server:
        if request.param == "dhus":
            urls, place = {"search": f"{server.url}/dhus/search", "odata": f"{server.url}/dhus/odata/v1"}, {}
        else:
            urls, place = {"base": f"{server.url}/data"}, {"path": "{:%Y/%m/%d}", "match": "*.zip", "depth": 0, "relist": 30}
        collections = {"s3_olci_l1_efr": place}
        yield open_provider(ProviderConfig(name="p", kind=request.param, urls=urls, collections=collections, options={"retry_delay": 0}))


FEED = Feed(name="f", provider="p", collection="s3_olci_l1_efr", lookback=timedelta(days=10))


def test_everything_once_and_what_comes_late(lake: Lake, provider: Provider, archive: Archive) -> None:
    first = discover(lake, FEED, provider, until=END)
    assert (first.available, first.new, first.complete) == (40, 40, True)
    again = discover(lake, FEED, provider, until=END)
    assert (again.new, again.changed) == (0, 0)
    late, sensed = END - timedelta(hours=30), DAY + timedelta(hours=10, minutes=30)
    archive.add(record(100, start=sensed, end=sensed, published=late, modified=late))
    assert discover(lake, FEED, provider, until=END + timedelta(hours=1)).new == 1


def test_a_file_that_changed_is_queued_again(lake: Lake, archive: Archive) -> None:
    with Server(AutoindexDialect(archive, style="json")) as server:
        place = {"path": "{:%Y/%m/%d}", "match": "*.zip", "depth": 0, "relist": 30}
        config = ProviderConfig(name="p", kind="http-directory", urls={"base": f"{server.url}/data"}, collections={FEED.collection: place})
        provider = open_provider(config)
        discover(lake, FEED, provider, until=END)
        archive.replace(replace(record(39), content=of_bytes(b"other bytes"), size=11, modified=END - timedelta(minutes=1)))
        report = discover(lake, FEED, provider, until=END)
    assert (report.new, report.changed) == (0, 1)


def test_d14_a_feed_of_a_closed_hub_is_one_alarm(lake: Lake) -> None:
    with Server() as closed:
        urls = {"search": f"{closed.url}/dhus/search", "odata": f"{closed.url}/dhus/odata/v1"}
        provider = open_provider(ProviderConfig(name="p", kind="dhus", urls=urls, collections={FEED.collection: {}}))
        for _ in range(3):
            with pytest.raises(ProviderFault):
                discover(lake, FEED, provider, until=END)
    with lake.connect() as connection:
        [alarm] = alarms(connection)
    assert (alarm.provider, alarm.kind, alarm.times) == ("p", "retired", 3)
