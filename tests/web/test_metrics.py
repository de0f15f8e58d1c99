"""`/metrics` as Prometheus sees it, and `eolake status` over the same database."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import date, timedelta
from pathlib import Path

import pytest
import requests
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families
from support.claiming import claim, offer
from support.serving import served

from eolake.catalog.lake import Lake
from eolake.catalog.ledger import discovery, slots, transfers
from eolake.catalog.ledger.discovery import Day
from eolake.catalog.ledger.slots import Account
from eolake.catalog.ledger.transfers import RawFile

FILE = RawFile(name="a.zip", key="raw/a.zip", bytes=1000, sha256="00" * 32)


@pytest.fixture(scope="module")
def busy(fresh_lake: Callable[[Path], AbstractContextManager[Lake]], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lake]:
    """One granule came, one is under way, one was corrupt, two wait; an account is disabled, a host is broken."""
    with fresh_lake(tmp_path_factory.mktemp("busy")) as lake:
        with lake.connect() as db:
            slots.configure(db, [Account(provider="a", name=name, connections=4, budget=1000) for name in ("x", "y")])
            offer(db, "a", 5)
            db.execute("update eolake.granule set feed = 'f', published = eolake.clock()")
            today: date = discovery.clock(db).date()
            days = [Day(day=today, available=9, wanted=5), Day(day=today - timedelta(days=30), available=1, wanted=1)]
            discovery.count_days(db, "f", "a", days)
            came, bad, held = (claim(db) for _ in range(3))
            assert came
            assert bad
            assert held
            transfers.fetched(db, came, [FILE], machine="m")
            slots.add_traffic(db, came.credential_id, 1000)
            transfers.fail(db, bad, kind="corrupt", reason="md5 is another")
            time.sleep(0.1)
            transfers.keep(db, [(held, 5_000_000)], timedelta(hours=1))
            slots.disable(db, bad.credential_id, "the password expired")
            for _ in range(10):
                slots.host_result(db, "a", "host.example", ok=False)
            slots.tend(db)
        yield lake


@pytest.fixture(scope="module")
def url(busy: Lake) -> Iterator[str]:
    with served(busy) as url:
        yield url


def test_metrics_are_what_the_ledger_says(url: str) -> None:
    answer = requests.get(f"{url}/metrics", timeout=30)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    got = {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }
    assert got["eolake_granules", "a", "queued"] == 3
    assert got["eolake_granules", "a", "fetching"] == 1
    assert got["eolake_granules", "a", "fetched"] == 1
    assert got["eolake_slots", "a"] == 8
    assert got["eolake_slots_busy", "a"] == 3  # two connections are still open for the next granule
    assert got["eolake_slots_allowed", "a"] == 4
    assert sum(value for key, value in got.items() if key[0] == "eolake_received_bytes_total") == 1000
    assert sum(value for key, value in got.items() if key[0] == "eolake_credential_disabled") == 1
    assert got["eolake_host_broken", "a", "host.example"] == 1
    assert got["eolake_failing_granules", "a", "corrupt"] == 1
    assert got["eolake_oldest_pending_seconds", "a"] > 0
    assert got["eolake_receiving_bytes_per_second", "a"] > 1000
    assert any(key[0] == "eolake_alarm" for key in got)


def test_metrics_in_the_format_that_is_asked_for(url: str) -> None:
    answer = requests.get(f"{url}/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"}, timeout=30)
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    names = {family.name for family in openmetrics.text_string_to_metric_families(answer.text)}
    assert names >= {"eolake_granules", "eolake_received_bytes"}


def status(lake: Lake, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "eolake.catalog", "-c", str(lake.settings.root / "eolake.toml"), "status", *arguments]


def test_status_shows_providers_days_and_troubles(busy: Lake) -> None:
    text = subprocess.run(status(busy), capture_output=True, text=True, check=True).stdout
    assert "granules     1 fetched, 1 fetching, 3 queued" in text
    row = next(line for line in text.splitlines() if line.startswith("a  ")).split()
    assert row[1:3] == ["3", "1"]
    assert row[4:9] == ["3", "/", "4", "/", "8"]
    assert float(row[3]) > 0
    assert "corrupt: 1 wait" in text
    assert "md5 is another" in text
    day = next(line for line in text.splitlines() if line.startswith("f  ")).split()
    assert day[2:] == ["9", "5", "1", "0"]
    assert sum(line.startswith("f  ") for line in text.splitlines()) == 1
    assert "is disabled: the password expired" in text
    assert "host.example broke 1 times" in text


def test_status_as_json(busy: Lake) -> None:
    document = json.loads(subprocess.run(status(busy, "--json"), capture_output=True, text=True, check=True).stdout)
    assert document["granules"] == {"fetched": 1, "fetching": 1, "queued": 3}
    provider = document["activity"]["providers"][0]
    assert (provider["provider"], provider["queued"], provider["connections"]) == ("a", 3, 8)
    assert document["activity"]["days"][0]["available"] == 9
    assert document["activity"]["breakers"][0]["host"] == "host.example"


def test_watch_repeats_plain_blocks_when_it_is_no_terminal(busy: Lake) -> None:
    text = subprocess.run(status(busy, "--watch", "--max-time", "2.5"), capture_output=True, text=True, check=True).stdout
    assert text.count("granules     1 fetched") >= 2
    assert "\x1b" not in text


def test_watch_draws_in_place_on_a_terminal(busy: Lake) -> None:
    try:
        own, its = pty.openpty()
    except OSError as error:
        pytest.skip(f"this machine gives no terminals: {error}")
    try:
        with subprocess.Popen(status(busy, "--watch", "--max-time", "1"), stdout=its, env={**os.environ, "TERM": "xterm"}) as process:
            os.close(its)
            seen = b""
            try:
                while chunk := os.read(own, 65536):
                    seen += chunk
            except OSError:  # the terminal is closed
                assert process.wait(30) == 0
    finally:
        os.close(own)
    assert b"\x1b[?1049h" in seen
    assert b"queued" in seen
