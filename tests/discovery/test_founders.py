"""What the founding link fetchers did and wished for, mirrored: their questions, their counts, their odd pages, real records."""

from __future__ import annotations

import gzip
import json
import random
import signal
import subprocess
import sys
import time
import uuid
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, override

import pytest
from support.odata import DAY, T0, Catalogue, Document, Open, product

from eolake.catalog.lake import Lake
from eolake.catalog.ledger import discovery as ledger
from eolake.catalog.ledger import granules
from eolake.ingest.discovery.feeds import Feed
from eolake.ingest.discovery.walk import discover
from eolake.ingest.faults import ProviderFault
from eolake.ingest.providers.base import Query
from eolake.ingest.providers.odata import parse_time
from eolake.ingest.simulators.messages import Request, Response, json_response

NOW = T0 + 5 * DAY
FEED = Feed(name="f", provider="cdse", collection="s2_l2a")
TILES = frozenset({"01HFA", "03HFA"})


def ids(lake: Lake) -> list[str]:
    with lake.connect() as connection:
        return [row["id"] for row in connection.execute("select id from eolake.granule order by granule_id")]


def test_1_1_a_pass_goes_through_the_last_five_days(lake: Lake, catalogue_of: Open) -> None:
    catalogue, provider = catalogue_of([])
    discover(lake, FEED, provider, until=NOW)
    first = [text.partition("PublicationDate ge ")[2][:10] for text in catalogue.filters]
    assert first == ["2024-09-10", "2024-09-11", "2024-09-12", "2024-09-13", "2024-09-14"]


def test_the_question_word_by_word(catalogue_of: Open) -> None:
    catalogue, provider = catalogue_of([])
    query = Query(collection="s2_l2a", since=T0, until=T0 + DAY, bbox=(149, -36, 150, -35), cloud_cover=20, tiles=frozenset({"55HFA"}))
    assert list(provider.search(query)) == []
    string = "Attributes/OData.CSC.StringAttribute/any(att:att/Name eq '{0}' and att/OData.CSC.StringAttribute/Value eq '{1}')"
    criteria = [
        "Collection/Name eq 'SENTINEL-2'",
        string.format("productType", "S2MSI2A"),
        "OData.CSC.Intersects(area=geography'SRID=4326;POLYGON((149 -36,150 -36,150 -35,149 -35,149 -36))')",
        "Attributes/OData.CSC.DoubleAttribute/any(att:att/Name eq 'cloudCover' and att/OData.CSC.DoubleAttribute/Value le 20)",
        f"({string.format('tileId', '55HFA')})",
        "PublicationDate ge 2024-09-10T00:00:00.000000Z",
        "PublicationDate lt 2024-09-11T00:00:00.000000Z",
    ]
    assert dict(catalogue.asked[0].query) == {
        "$filter": [" and ".join(criteria)],
        "$orderby": ["PublicationDate asc"],
        "$top": ["1000"],
        "$expand": ["Attributes", "Assets"],
    }


class Counting(Catalogue):
    """Says how many there are, in one way or another."""

    count: Any = None

    @override
    def _page(self, request: Request, documents: list[Document]) -> Response:
        answer = super()._page(request, documents)
        assert isinstance(answer.body, bytes)
        return json_response({**json.loads(answer.body), "@odata.count": self.count})


@pytest.mark.parametrize("count", [None, 0, -1, 3, 10**9, "many"])
def test_a_total_that_is_missing_null_or_wrong_changes_nothing(count: Any, catalogue_of: Open) -> None:
    """The founders' catalogue said null unless one asked for the exact one, and 0 became -1."""
    documents = [product(n, T0 + n * DAY / 30) for n in range(25)]
    _, provider = catalogue_of(documents, kind=type("Counting", (Counting,), {"count": count}), page=10)
    assert [offer.id for offer in provider.search(Query(collection="s2_l2a"))] == [document["Id"] for document in documents]


def test_an_empty_page_ends_a_window(lake: Lake, catalogue_of: Open) -> None:
    catalogue, provider = catalogue_of([])
    report = discover(lake, FEED, provider, until=NOW)
    assert (report.available, report.complete, len(catalogue.asked)) == (0, True, 5)


def test_a_filter_keeps_the_order(lake: Lake, catalogue_of: Open) -> None:
    documents = [product(n, T0 + n * DAY / 30) for n in range(60, 90)]
    _, provider = catalogue_of(documents)
    wanted = [document["Id"] for document in documents if any(f"_T{tile}" in document["Name"] for tile in ("05HFB", "09HFB"))]
    discover(lake, replace(FEED, tiles=frozenset({"05HFB", "09HFB"})), provider, until=NOW)
    assert ids(lake) == wanted
    assert len(wanted) == 2


def test_one_product_twice_in_a_page_is_one(lake: Lake, catalogue_of: Open) -> None:
    document = product(1, T0)
    _, provider = catalogue_of([document, document, product(2, T0 + DAY / 2), document])
    report = discover(lake, FEED, provider, until=NOW)
    assert (report.available, report.new) == (2, 2)


def test_1_6_exactly_once_whichever_of_poll_and_push_sees_it_first(lake: Lake, catalogue_of: Open) -> None:
    documents = [product(n, T0 + n * DAY / 4, Attributes=[{"Name": "productType", "Value": "S2MSI2A"}]) for n in range(12)]
    _, provider = catalogue_of(documents)
    pushed = [offer for document in documents[::2] if (offer := provider.offer_of(document)) is not None]
    with lake.connect() as connection:
        assert {one.outcome for one in granules.offer(connection, pushed)} == {"new"}
    report = discover(lake, FEED, provider, until=NOW)
    assert (report.new, report.known, report.changed) == (6, 6, 0)
    with lake.connect() as connection:
        assert {one.outcome for one in granules.offer(connection, pushed)} == {"known"}
    assert len(ids(lake)) == 12


def test_d12_poll_alone_finds_everything_that_push_lost(lake: Lake, catalogue_of: Open) -> None:
    documents = [product(n, T0 + n * DAY / 8) for n in range(40)]
    _, provider = catalogue_of(documents)
    chance = random.Random(8)
    delivered = [offer for document in documents if chance.random() < 0.6 and (offer := provider.offer_of(document, "s2_l2a"))]
    with lake.connect() as connection:
        for offer in chance.sample(delivered, len(delivered)):
            granules.offer(connection, [offer])
    assert len(ids(lake)) < 40
    discover(lake, FEED, provider, until=NOW)
    assert set(ids(lake)) == {document["Id"] for document in documents}


def test_1_16_when_it_last_looked_is_known(lake: Lake, catalogue_of: Open) -> None:
    _, provider = catalogue_of([])
    discover(lake, FEED, provider, until=NOW)
    with lake.connect() as connection:
        row = connection.execute("select position, eolake.clock() - moved_at < interval '1 minute' as fresh from eolake.cursor").fetchone()
    assert row is not None
    assert (row["position"], row["fresh"]) == (NOW, True)


def test_a_retry_does_without_a_catalogue_that_is_down(lake: Lake, catalogue_of: Open) -> None:
    catalogue, provider = catalogue_of([product(1, T0)])
    discover(lake, FEED, provider, until=NOW)
    with lake.connect() as connection:
        row = connection.execute("select granule_id from eolake.granule").fetchone()
        assert row is not None
        (granule,) = granules.get(connection, [row["granule_id"]])
    catalogue.__class__ = type("Down", (Catalogue,), {"__call__": lambda *_: Response(status=503)})
    (part,) = provider.resolve(replace(granule, attempts=3, fault="transient"))
    assert part.digests["md5"] == f"{1:032x}"
    with pytest.raises(ProviderFault):  # a digest that may be wrong has to be looked up
        provider.resolve(replace(granule, attempts=3, fault="corrupt"))


# --- recorded ---


def test_recorded_products_are_found_once_each(samples: Path, catalogue_of: Open) -> None:
    folder = samples / "payloads/cdse_odata/query/mock/sentinel_1"
    documents = [document for n in (1, 2, 3) for document in json.loads((folder / f"odata_page_{n}.json").read_text())["value"]]
    _, provider = catalogue_of(documents, page=7)
    assert sorted(offer.id for offer in provider.search(Query())) == sorted({document["Id"] for document in documents})


def test_a_recorded_next_link_is_not_followed_from_another_host(samples: Path, catalogue_of: Open) -> None:
    page = json.loads((samples / "payloads/eodag/provider_responses/cop_dataspace_search.json").read_text())
    catalogue, provider = catalogue_of(page["value"])
    catalogue.link = lambda _link, _request: str(page["@odata.nextLink"])
    with pytest.raises(ProviderFault, match=r"catalogue\.dataspace\.copernicus\.eu"):
        list(provider.search(Query()))


def resto_documents(samples: Path) -> list[Document]:
    """Real records of the old catalogue, written as the new one would."""
    found: dict[str, Document] = {}
    with gzip.open(samples / "payloads/cdse_resto/features_sensed_before_2020.ndjson.gz", "rt") as lines:
        for line in lines:
            feature = json.loads(line)
            told = feature["properties"]
            found[feature["id"]] = {
                "Id": feature["id"],
                "Name": told["title"],
                "PublicationDate": told["published"],
                "ModificationDate": told.get("updated", told["published"]),
                "ContentDate": {"Start": told["startDate"], "End": told["completionDate"]},
                "ContentLength": told["services"]["download"]["size"],
                "GeoFootprint": feature["geometry"],
                "Checksum": [],
            }
    return list(found.values())


def test_real_records_of_years_are_found_once_each_and_in_order(samples: Path, catalogue_of: Open) -> None:
    documents = resto_documents(samples)
    assert len(documents) == 1684
    _, provider = catalogue_of(documents, page=100)
    offers = list(provider.search(Query()))
    assert sorted(offer.id for offer in offers) == sorted(document["Id"] for document in documents)
    published = [offer.published for offer in offers]
    assert all(time is not None for time in published)
    assert published == sorted(time for time in published if time is not None)
    assert all(offer.scene_key for offer in offers)


def test_real_records_walked_by_day_give_the_counts_of_their_days(samples: Path, lake: Lake, catalogue_of: Open) -> None:
    documents = resto_documents(samples)
    times = [time for document in documents if (time := parse_time(document["PublicationDate"])) is not None]
    busiest = max({time.date() for time in times}, key=lambda day: sum(time.date() == day for time in times))
    begin = T0.replace(year=busiest.year, month=busiest.month, day=busiest.day) - 3 * DAY
    _, provider = catalogue_of(documents, page=50)
    report = discover(lake, FEED, provider, since=begin, until=begin + 7 * DAY)
    expected = {(begin + n * DAY).date(): sum(time.date() == (begin + n * DAY).date() for time in times) for n in range(7)}
    assert {day: one.available for day, one in report.per_day.items()} == expected
    assert len(ids(lake)) == sum(expected.values()) > 10


# --- kill -9 ---

WALK = """
import sys
from datetime import datetime
from pathlib import Path
from support.odata import T0, DAY, config_at
from eolake.catalog.lake import open_lake
from eolake.ingest.discovery.feeds import Feed
from eolake.ingest.discovery.walk import discover
from eolake.ingest.providers.cdse import ODataProvider
lake = open_lake(Path(sys.argv[1]))
provider = ODataProvider(config_at(sys.argv[2], lake.settings, page=20))
print("ready", flush=True)
discover(lake, Feed(name="f", provider="cdse", collection="s2_l2a"), provider, until=T0 + 5 * DAY)
"""


def test_d07_kill_9_at_any_moment_loses_and_doubles_nothing(lake: Lake, catalogue_of: Open) -> None:
    documents = [product(n, T0 + n * DAY / 100) for n in range(480)]
    catalogue, provider = catalogue_of(documents, page=20)
    seed = uuid.uuid4().int % 10_000
    chance = random.Random(seed)
    catalogue.before = lambda _: time.sleep(0.01)
    url = provider.catalogue.removesuffix("/odata/v1")
    command = [sys.executable, "-c", WALK, str(lake.settings.root / "eolake.toml"), url]
    for _ in range(4):
        with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment(), text=True) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            time.sleep(chance.uniform(0.02, 0.3))
            process.send_signal(signal.SIGKILL)
    report = discover(lake, FEED, provider, until=NOW)
    assert sorted(ids(lake)) == sorted(document["Id"] for document in documents), f"seed {seed}"
    with lake.connect() as connection:
        assert [(day.available, day.wanted) for day in ledger.days(connection, "f")] == [(100, 100)] * 4 + [(80, 80)], f"seed {seed}"
        counted = connection.execute("select count(*) as n from eolake.event where kind = 'offered'").fetchone()
    assert counted == {"n": 480}
    assert report.complete


def environment() -> dict[str, str]:
    import os

    return {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}


def test_discovery_loads_neither_numpy_nor_the_cube() -> None:
    """What runs beside a fetch stays small."""
    modules = "walk, changes, feeds, filters"
    code = (
        f"from eolake.ingest.discovery import {modules}\nfrom eolake.ingest.providers import cdse, registry\nimport sys\n"
        "print([m for m in ('numpy', 'shapely', 'rasterio', 'datacube', 'xarray', 'pystac') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_the_overlap_is_walked_again_from_the_begin_of_its_day(lake: Lake, catalogue_of: Open) -> None:
    catalogue, provider = catalogue_of([])
    discover(lake, FEED, provider, until=NOW + timedelta(hours=5))
    catalogue.asked.clear()
    discover(lake, replace(FEED, overlap=timedelta(days=1)), provider, until=NOW + timedelta(hours=7))
    assert "PublicationDate ge 2024-09-14T00:00:00.000000Z" in catalogue.filters[0]
    assert len(catalogue.asked) == 2
