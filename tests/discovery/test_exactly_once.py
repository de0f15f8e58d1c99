"""Real records, by poll and push together, in any order, by several processes that die: each once, and of each scene the right one."""

from __future__ import annotations

import gzip
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from shapely.geometry import shape
from support.odata import DAY, T0, Document, Open, empty, product, stamp

from eolake.catalog.lake import Lake
from eolake.catalog.ledger import discovery as ledger
from eolake.ingest.providers.odata import parse_time

DAYS = 5
NOW = T0 + DAYS * DAY
WORK = """
import json, random, sys
from pathlib import Path
from support.odata import DAY, T0, config_at
from eolake.catalog.lake import open_lake
from eolake.catalog.ledger import granules
from eolake.ingest.discovery.feeds import Feed
from eolake.ingest.discovery.walk import discover
from eolake.ingest.providers.cdse import ODataProvider
config, url, records, who, seed = sys.argv[1:]
lake = open_lake(Path(config))
provider = ODataProvider(config_at(url, lake.settings, page=50))
feed = Feed(name=who, provider="cdse", collection="s2_l2a")
print("ready", flush=True)
if who.startswith("poll"):
    discover(lake, feed, provider, until=T0 + 5 * DAY)
else:
    documents = json.loads(Path(records).read_text())
    random.Random(seed).shuffle(documents)
    with lake.connect() as connection:
        for document in documents:
            granules.offer(connection, [provider.offer_of(document, "s2_l2a")])
"""


def recorded(samples: Path) -> list[Document]:
    """Real records, published within a few days instead of years, in the same order."""
    with gzip.open(samples / "payloads/cdse_resto/features_sensed_before_2020.ndjson.gz", "rt") as lines:
        features = {feature["id"]: feature for feature in map(json.loads, lines)}
    ordered = sorted(features.values(), key=lambda feature: (parse_time(feature["properties"]["published"]), feature["id"]))
    return [_document(feature, n, len(ordered)) for n, feature in enumerate(ordered)]


def _document(feature: dict[str, Any], n: int, of: int) -> Document:
    told = feature["properties"]
    return {
        "Id": feature["id"],
        "Name": told["title"],
        "PublicationDate": stamp(T0 + DAYS * DAY * n / of),
        "ModificationDate": told["updated"],
        "ContentDate": {"Start": told["startDate"], "End": told["completionDate"]},
        "ContentLength": told["services"]["download"]["size"],
        "GeoFootprint": feature["geometry"],
    }


def generated() -> list[Document]:
    """Sensings in one to three processings."""
    documents = []
    for n in range(150):
        sensed = T0 - (n % 50 + 10) * DAY
        documents.append(product(n, T0 + n * DAYS * DAY / 150, sensed=sensed, tile=f"{n % 50 % 25 + 1:02d}HFA"))
    for n, document in enumerate(documents):
        orbit = f"_R{n % 50:03d}_"
        document["Name"] = f"{document['Name'][:32]}{orbit}{document['Name'][38:]}"
    return documents


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}


class Crowd:
    """Four processes; whoever ends or dies comes again until it was done once."""

    def __init__(self, stack: ExitStack, arguments: list[str], seed: int) -> None:
        self.arguments, self.chance = arguments, random.Random(seed)
        self.left = ["poll-0", "poll-1", "push-0", "push-1"]
        self.running: dict[str, subprocess.Popen[str]] = {}
        stack.callback(self.close)

    def start(self) -> None:
        for who in self.left:
            if who not in self.running:
                command = [sys.executable, "-c", WORK, *self.arguments, who, str(self.chance.randrange(10**6))]
                self.running[who] = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment(), text=True)

    def ready(self) -> None:
        for process in self.running.values():
            assert process.stdout is not None
            process.stdout.readline()

    def kill(self) -> None:
        victim = self.chance.choice(sorted(self.running))
        self.running[victim].send_signal(signal.SIGKILL)
        self.reap(victim)

    def reap(self, who: str) -> None:
        process = self.running.pop(who)
        code = process.wait(60)
        assert process.stdout is not None
        process.stdout.close()
        assert code in {0, -signal.SIGKILL}, f"{who} ended with {code}"
        if code == 0:
            self.left.remove(who)

    def close(self) -> None:
        for who in list(self.running):
            self.running[who].kill()
            self.reap(who)


def run(lake: Lake, url: str, records: Path, seed: int, *, kills: int) -> None:
    with ExitStack() as stack:
        crowd = Crowd(stack, [str(lake.settings.root / "eolake.toml"), url, str(records)], seed)
        crowd.start()
        crowd.ready()
        for _ in range(kills):
            time.sleep(crowd.chance.uniform(0.05, 0.5))
            crowd.kill()
            crowd.start()
        while crowd.left:
            for who in list(crowd.running):
                crowd.reap(who)
            crowd.start()


def ended(lake: Lake) -> dict[str, tuple[str, str | None]]:
    with lake.connect() as connection:
        return {
            row["id"]: (row["state"], row["superseded_by"])
            for row in connection.execute("select id, state, superseded_by from eolake.granule")
        }


def scenes(lake: Lake) -> Iterator[list[dict[str, Any]]]:
    """The products of each scene, the best first."""
    with lake.connect() as connection:
        found: dict[str, list[dict[str, Any]]] = {}
        for row in connection.execute("select scene_key, rank, state, footprint, name from eolake.granule order by scene_key, rank desc"):
            found.setdefault(row["scene_key"], []).append(row)
    yield from found.values()


def check(lake: Lake, documents: list[Document]) -> None:
    """One granule each, the best of each scene waits, and no other that shows the same place; each day counted whole."""
    with lake.connect() as connection:
        offered = connection.execute(
            "select count(*) as n, count(distinct granule_id) as granules from eolake.event where kind = 'offered'"
        ).fetchone()
        days = {feed: [(day.available, day.wanted) for day in ledger.days(connection, feed)] for feed in ("poll-0", "poll-1")}
    assert offered == {"n": len(documents), "granules": len(documents)}
    assert set(ended(lake)) == {document["Id"] for document in documents}
    by_day = [sum((parse_time(d["PublicationDate"]) or T0).date() == (T0 + n * DAY).date() for d in documents) for n in range(DAYS)]
    assert days["poll-0"] == days["poll-1"] == [(n, n) for n in by_day]
    for scene in scenes(lake):
        assert scene[0]["state"] == "queued", scene[0]["name"]
        waiting = [shape(row["footprint"]) for row in scene if row["state"] == "queued"]
        pairs = combinations(waiting, 2)
        assert all(one.intersection(other).area < 0.95 * min(one.area, other.area) for one, other in pairs), scene[0]["name"]


def exactly_once(documents: list[Document], lake: Lake, catalogue_of: Open, tmp_path: Path, *, orders: int, kills: int) -> int:
    catalogue, provider = catalogue_of(documents)
    catalogue.before = lambda _: time.sleep(0.005)
    records = tmp_path / "records.json"
    records.write_text(json.dumps(documents))
    ends = []
    for seed in range(orders):
        empty(lake)
        run(lake, provider.catalogue.removesuffix("/odata/v1"), records, seed, kills=kills)
        check(lake, documents)
        ends.append(ended(lake))
    assert all(end == ends[0] for end in ends)
    return sum(state == "superseded" for state, _ in ends[0].values())


@pytest.mark.timeout(240)
def test_real_records_by_poll_and_push_in_any_order_with_kill_9(samples: Path, lake: Lake, catalogue_of: Open, tmp_path: Path) -> None:
    documents = recorded(samples)
    assert len(documents) == 1684
    superseded = exactly_once(documents, lake, catalogue_of, tmp_path, orders=3, kills=3)
    assert len(list(scenes(lake))) == 927  # sensings; a few of them are two strips that share little
    assert 1684 - 927 - 10 < superseded <= 1684 - 927


def test_generated_records_by_poll_and_push_in_any_order_with_kill_9(lake: Lake, catalogue_of: Open, tmp_path: Path) -> None:
    assert exactly_once(generated(), lake, catalogue_of, tmp_path, orders=2, kills=1) == 100
    assert len(list(scenes(lake))) == 50
