"""Exactly once: poll and push together, in any order, by processes that are killed: one granule each, the right one active."""

from __future__ import annotations

import gzip
import json
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from support.offering import YEAR

from eolake.catalog.lake import Lake
from eolake.catalog.ledger import discovery

NAME = re.compile(r"(S2[AB])_MSI(L1C|L2A)_(\w{15})_N(\d{4})_R\d{3}_T(\w{5})_(\w{15})")
REAL = "payloads/cdse_resto/features_sensed_before_2020.ndjson.gz"
PATHS = ("walk", "poll", "push", "push")
KILLS = 4
STRIPS = {
    ("S2A", "L1C", "20160928T105022"): {"20160928T105022", "20160928T105637"},
    ("S2A", "L2A", "20160928T105022"): {"20210113T224936", "20210114T014409"},
    ("S2B", "L1C", "20170720T105029"): {"20230911T110759", "20231006T104613"},
    ("S2B", "L2A", "20170720T105029"): {"20230911T210023", "20231006T203407"},
}
"""The sensings of which the records have two complementary datastrips: stamps of the best processing of each."""


def right(records: Sequence[Mapping[str, Any]], strips: Mapping[tuple[str, str, str], set[str]]) -> set[str]:
    """The ids of those that must be active, found without the code under test: of each sensing the newest baseline (a
    baseline 99.99 is none), of one baseline the latest."""
    best: dict[tuple[str, ...], tuple[str, str, str]] = {}
    found = set()
    for record in records:
        match = NAME.match(record["properties"]["title"])
        assert match
        unit, level, datatake, baseline, tile, stamp = match.groups()
        if (unit, level, datatake) in strips:
            found |= {record["id"]} if stamp in strips[unit, level, datatake] else set()
            continue
        rank = "0000" if baseline == "9999" else baseline, stamp, record["id"]
        best[unit, level, datatake, tile] = max(rank, best.get((unit, level, datatake, tile), rank))
    return found | {identity for _, _, identity in best.values()}


def offer_by_all_paths(lake: Lake, file: Path, seed: int) -> int:
    """Four processes offer everything; every second one of them gets kill -9 and starts again. How many were killed."""
    chance = random.Random(seed)
    script = Path(__file__).parents[1] / "support" / "offering.py"

    def start(number: int) -> subprocess.Popen[bytes]:
        arguments = [str(lake.settings.root), str(file), PATHS[number], str(seed * 10 + number)]
        return subprocess.Popen([sys.executable, str(script), *arguments])

    running = {number: start(number) for number in range(len(PATHS))}
    killed = 0
    while running:
        end = time.monotonic() + 1
        while time.monotonic() < end and any(process.poll() is None for process in running.values()):
            time.sleep(0.02)
        for number, process in list(running.items()):
            if process.poll() is not None:
                assert process.returncode == 0, PATHS[number]
                del running[number]
        if running and killed < KILLS:
            number = chance.choice(sorted(running))
            running[number].send_signal(signal.SIGKILL)
            running[number].wait()
            killed += 1
            running[number] = start(number)
    return killed


def verify(lake: Lake, records: Sequence[Mapping[str, Any]], strips: Mapping[tuple[str, str, str], set[str]]) -> None:
    with lake.connect(name="test") as connection:
        rows = connection.execute("select id, state, published from eolake.granule where provider = 'cdse'").fetchall()
        assert Counter(row["id"] for row in rows) == Counter(record["id"] for record in records)
        assert {row["state"] for row in rows} == {"queued", "superseded"}
        assert {row["id"] for row in rows if row["state"] == "queued"} == right(records, strips)
        once = connection.execute(
            "select count(*) as n, count(distinct granule_id) as d from eolake.event where kind = 'offered'"
        ).fetchone()
        assert once == {"n": len(records), "d": len(records)}
        days = {day.day: day.available for day in discovery.days(connection, "msi")}
    times = [datetime.fromisoformat(record["properties"]["published"]) for record in records]
    assert {day: n for day, n in days.items() if n} == dict(Counter(at.date() for at in times if YEAR[0] <= at < YEAR[1]))
    assert len(days) == (YEAR[1] - YEAR[0]).days


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_exactly_once_of_real_records(samples: Path, lake: Lake, tmp_path: Path, seed: int) -> None:
    lines = gzip.decompress((samples / REAL).read_bytes())
    (tmp_path / "records.ndjson").write_bytes(lines)
    records = [json.loads(line) for line in lines.splitlines()]
    assert len(records) == 1684
    assert offer_by_all_paths(lake, tmp_path / "records.ndjson", seed) >= 1
    verify(lake, records, STRIPS)


def test_exactly_once_of_generated_records(lake: Lake, tmp_path: Path) -> None:
    """400 sensings in one to four processings, and one sensing in two complementary strips of two processings each."""
    chance = random.Random(7)
    records = [_record(n, baseline, chance) for n in range(400) for baseline in chance.sample([206, 208, 500, 9999], chance.randint(1, 4))]
    datatake, best = f"{_sensed(400):%Y%m%dT%H%M%S}", set()
    for baseline in (208, 500):
        for west in (5.0, 5.3):
            record = _record(400, baseline, chance, west=west)
            records.append(record)
            if baseline == 500:
                best.add(record["properties"]["title"].rpartition("_")[2].removesuffix(".SAFE"))
    (tmp_path / "records.ndjson").write_text("".join(json.dumps(record) + "\n" for record in records))
    assert offer_by_all_paths(lake, tmp_path / "records.ndjson", 4) >= 1
    verify(lake, records, {("S2A", "L1C", datatake): best})


def _sensed(number: int) -> datetime:
    return datetime(2017, 6, 1, 10, tzinfo=UTC) + timedelta(hours=number)


def _record(number: int, baseline: int, chance: random.Random, *, west: float = 5.0) -> dict[str, Any]:
    """As the real ones are; published within the months that the walk counts, or after them."""
    at = _sensed(number)
    published = YEAR[0] + timedelta(days=chance.random() * 300)
    title = f"S2A_MSIL1C_{at:%Y%m%dT%H%M%S}_N{baseline:04}_R008_T31UFS_{published:%Y%m%dT%H%M%S}.SAFE"
    ring = [[west, 51.0], [west + 0.5, 51.0], [west + 0.5, 51.5], [west, 51.5], [west, 51.0]]
    moment = at.isoformat().replace("+00:00", "Z")
    properties = {
        "title": title,
        "published": published.isoformat().replace("+00:00", "Z"),
        "startDate": moment,
        "completionDate": moment,
        "cloudCover": 10.0,
    }
    identity = f"{chance.getrandbits(128):032x}"
    return {"type": "Feature", "id": identity, "geometry": {"type": "Polygon", "coordinates": [ring]}, "properties": properties}
