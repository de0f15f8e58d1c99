"""Discovery through STAC, M2M and HyP3: passes that overlap find everything once, whatever the API can be asked for."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from typing import Any

import pytest
from support.archives import START, record

from eolake.catalog.errors import EolakeError
from eolake.catalog.lake import Lake
from eolake.catalog.ledger import granules
from eolake.ingest.discovery.feeds import Feed
from eolake.ingest.discovery.walk import discover
from eolake.ingest.faults import Kind, ProviderFault
from eolake.ingest.providers.base import Provider, ProviderConfig
from eolake.ingest.providers.hyp3 import Hyp3Provider
from eolake.ingest.providers.registry import open_provider
from eolake.ingest.simulators.archive import Archive, Record
from eolake.ingest.simulators.dialects.hyp3 import Hyp3Dialect
from eolake.ingest.simulators.dialects.m2m import M2mDialect
from eolake.ingest.simulators.dialects.stac import StacDialect
from eolake.ingest.simulators.server import Server

type Made = tuple[Archive, Provider, Server]

UNTIL = START + timedelta(days=5)


@pytest.fixture(params=["stac by publication", "stac by sensing", "m2m", "hyp3"])
def made(request: pytest.FixtureRequest) -> Iterator[Callable[[list[Record]], Made]]:
    """An archive and a provider that asks for it."""
    with ExitStack() as stack:

        def opened(records: list[Record]) -> Made:
            archive = Archive(records)
            dialect: Any
            config: dict[str, Any]
            if request.param.startswith("stac"):
                language = "none" if "sensing" in request.param else "cql2-json"
                dialect = StacDialect(archive=archive, language=language)  # type: ignore[arg-type]
                options = {"limit": 7, "published": "published", "filter": "auto"}
                config = {"kind": "stac", "collections": {"any": {"collection": "one"}}, "options": options, "path": "/stac"}
            elif request.param == "m2m":
                dialect = M2mDialect(archive=archive)
                dialect._keys[""] = float("inf")  # anybody
                config = {"kind": "m2m", "collections": {"any": {"dataset": "one"}}, "options": {"page": 7}, "path": dialect.prefix}
            else:
                dialect = Hyp3Dialect(archive=archive, page=7)
                config = {"kind": "hyp3", "collections": {"any": {"project": "one"}}, "options": {}, "path": "/hyp3"}
            server = stack.enter_context(Server(dialect))
            url = f"{server.url}{config.pop('path')}"
            provider = open_provider(ProviderConfig(name="here", urls={"api": url}, **config))
            if isinstance(provider, Hyp3Provider):
                provider._clock = lambda: START
            stack.callback(provider.api.close)  # type: ignore[attr-defined]
            return archive, provider, server

        yield opened


def known(lake: Lake) -> dict[str, int]:
    with lake.connect() as connection:
        return granules.states(connection)


def test_passes_that_overlap_find_everything_once(made: Callable[[list[Record]], Made], lake: Lake) -> None:
    archive, provider, _ = made([record(n, "one") for n in range(0, 100, 2)])
    feed = Feed(name="f", provider="here", collection="any", lookback=timedelta(days=5))
    first = discover(lake, feed, provider, until=UNTIL)
    assert (first.new, first.complete) == (50, True)
    archive.add(*(record(n, "one") for n in range(66, 110)))  # some late, some new
    second = discover(lake, feed, provider, until=UNTIL + timedelta(hours=12))
    assert second.new == 27
    third = discover(lake, feed, provider, until=UNTIL + timedelta(hours=13))
    assert (third.new, third.changed) == (0, 0)
    assert third.known > 0
    assert known(lake) == {"queued": 77}


def test_what_is_filtered_is_counted_and_not_registered(made: Callable[[list[Record]], Made], lake: Lake) -> None:
    names = [f"LC08_L2SP_{90 + n % 2:03}084_202603{1 + n:02}_20260310_02_T1" for n in range(4)]
    records = [record(n, "one", id=name, name=name, start=START, end=START) for n, name in enumerate(names)]
    _, provider, _ = made(records)
    options = {"names": ["name"]} if provider.config.kind == "stac" else {}  # type: ignore[attr-defined]
    provider.config = dataclasses.replace(provider.config, options={**provider.config.options, **options})  # type: ignore[attr-defined]
    feed = Feed(name="f", provider="here", collection="any", tiles=frozenset({"090084"}))
    report = discover(lake, feed, provider, until=UNTIL)
    assert (report.available, report.wanted, report.new) == (4, 2, 2)
    assert report.filtered == {"tile not wanted": 2}


def test_d14_items_a_service_that_is_gone_is_one_alarm(made: Callable[[list[Record]], Made], lake: Lake) -> None:
    _, provider, server = made([record(n, "one") for n in range(3)])
    feed = Feed(name="f", provider="here", collection="any")
    server.script([{"match": "*", "fault": {"status": 404}}])
    for _ in range(3):
        with pytest.raises(EolakeError) as caught:
            discover(lake, feed, provider, until=UNTIL)
        assert isinstance(caught.value, ProviderFault)
        assert caught.value.kind is Kind.GONE
    with lake.connect() as connection:
        rows = connection.execute("select kind from eolake.alarm").fetchall()
    assert [row["kind"] for row in rows] == ["retired"]
    server.reset()
    assert discover(lake, feed, provider, until=UNTIL).new == 3
