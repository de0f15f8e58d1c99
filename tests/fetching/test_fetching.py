"""The whole way: granules wait, a worker fetches them with real connections, converts and publishes them; whatever happens in between."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from pathlib import Path

import pytest
from support.fetching import Shop
from support.workers import kill, rows_written, run, start, states, wait_for

from eolake.catalog.failpoints import FETCH_NAMES
from eolake.ingest.simulators.server import Server

SOAK = float(os.environ.get("EOLAKE_SOAK", "6"))
"""Seconds of faults; an hour shows more."""
SEED = int(os.environ.get("EOLAKE_SEED", "20260101"))
QUICK = {"EOLAKE_WORKER_LEASE": "4", "EOLAKE_WORKER_DELAY": "0.2"}


def raw_files(shop: Shop) -> set[str]:
    """Keys of everything under raw/."""
    root = shop.lake.store_config.folder
    assert root is not None
    return {str(path.relative_to(root)) for path in (root / "raw").rglob("*") if path.is_file()}


def known_files(shop: Shop) -> set[str]:
    """Keys that granules own."""
    with shop.lake.connect() as connection:
        return {row["key"] for row in connection.execute("select key from eolake.file where key is not null")}


def work(shop: Shop, *arguments: str, **more: str) -> None:
    """A worker, until nothing is left."""
    done = run(shop.lake, "work", "--once", "--fetch", "4", *arguments, **{**QUICK, **more})
    assert done.returncode == 0, done.stderr


def settled(shop: Shop, names: list[str]) -> None:
    """Everything is published, right, and nothing else lies there."""
    assert states(shop.lake) == {"published": len(names)}
    assert shop.wrong(names) == []
    assert raw_files(shop) == known_files(shop)
    with shop.lake.connect() as connection:
        assert connection.execute("select * from eolake.debris").fetchall() == []
    assert not list((shop.lake.settings.state / "tmp" / "fetch").glob("*"))


def test_products_are_fetched_converted_and_published(shop: Shop) -> None:
    names = shop.offer(5, padding=200_000)
    done = run(shop.lake, "--json", "work", "--once", "--fetch", "4")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["verdicts"] == {"published": 5}
    settled(shop, names)
    assert shop.server.stats.sent == sum(len(shop.products[name]) for name in names)
    assert shop.server.stats.account("anonymous").max_connections <= 4


def test_b0d_what_was_fetched_is_not_fetched_again(shop: Shop) -> None:
    names = shop.offer(2)
    work(shop)
    shop.server.reset()
    with shop.lake.connect() as connection:
        before = rows_written(connection)
        shop.offer(2)
        work(shop)
        assert rows_written(connection) == before
    assert not shop.server.stats.requests
    settled(shop, names)


def test_b0c_one_that_fails_stops_no_other(shop: Shop) -> None:
    names = shop.offer(4)
    shop.server.script([{"match": f"/p/{names[0]}.zip", "fault": {"status": 404}}])
    done = run(shop.lake, "work", "--once", "--fetch", "1", **QUICK)
    assert done.returncode == 1
    assert states(shop.lake) == {"published": 3, "quarantined": 1}
    with shop.lake.connect() as connection:
        row = connection.execute("select reason, fault from eolake.granule where state = 'quarantined'").fetchone()
    assert row is not None
    assert row["fault"] == "gone"
    assert "404" in row["reason"]
    shop.server.reset()
    assert run(shop.lake, "retry", "--state", "quarantined").returncode == 0
    work(shop)
    settled(shop, names)


def test_a_granule_that_its_provider_stumbles_over_stops_no_other(shop: Shop, tmp_path: Path) -> None:
    names = shop.offer(3)
    with shop.lake.connect() as connection:
        connection.execute("update eolake.granule set detail = '{}' where name = %s", [names[0]])
    worker = start(shop.lake, "work", "--fetch", "1", log=tmp_path / "log", **QUICK)
    wait_for(shop.lake, "(select count(*) from eolake.granule where state = 'published') = 2")
    wait_for(shop.lake, "exists (select from eolake.granule where state = 'queued' and attempts > 0)")
    kill(worker)
    assert "Traceback" in (tmp_path / "log").read_text()
    with shop.lake.connect() as connection:
        row = connection.execute("select reason, attempts from eolake.granule where name = %s", [names[0]]).fetchone()
    assert row is not None
    assert "unexpected KeyError" in row["reason"]
    assert row["attempts"] > 0


@pytest.mark.parametrize("fault", [{"status": 404}, {"status": 401}, {"status": 500}, {"page": "login"}])
def test_a_quicklook_that_does_not_come_costs_nothing(shop: Shop, fault: dict[str, object]) -> None:
    shop.pictures = True
    names = shop.offer(1)
    shop.server.script([{"match": "/q/*", "fault": fault}])
    work(shop)
    settled(shop, names)
    with shop.lake.connect() as connection:
        assert connection.execute("select * from eolake.credential where disabled is not null").fetchall() == []


@pytest.mark.parametrize("step", FETCH_NAMES)
def test_t27_killed_at_any_step(shop: Shop, tmp_path: Path, step: str) -> None:
    names = shop.offer(2, padding=300_000)
    mark = tmp_path / "mark"
    killed = start(
        shop.lake, "work", "--once", "--fetch", "1", EOLAKE_FAILPOINT=step, EOLAKE_FAILPOINT_GROUP="1", EOLAKE_FAILPOINT_MARK=str(mark)
    )
    assert killed.wait(60) == -signal.SIGKILL
    assert mark.exists()
    kill(killed)
    sent = shop.server.stats.sent
    work(shop)
    settled(shop, names)
    total = sum(len(shop.products[name]) for name in names)
    assert shop.server.stats.sent <= total + 64 * 1024 + (sent if step == "fetch:claimed" else 0)


def test_t30_told_to_stop_it_keeps_what_it_has_and_ends_soon(shop: Shop) -> None:
    names = shop.offer(1, padding=4_000_000)
    shop.server.limit(rate=500_000)
    worker = start(shop.lake, "work", "--fetch", "1")
    until = time.monotonic() + 60
    while shop.server.stats.sent < 1_500_000:
        assert time.monotonic() < until
        time.sleep(0.05)
    begin = time.monotonic()
    worker.terminate()
    assert worker.wait(10) == 0
    assert time.monotonic() - begin < 5
    row = states(shop.lake)
    assert row == {"queued": 1}
    shop.server.limit()
    work(shop)
    settled(shop, names)
    assert shop.server.stats.sent < 4_000_000 + 1_200_000  # what was in the network's buffers, and what is compared


def test_t20_two_workers_and_a_kill_never_hold_more_connections_than_allowed(shop: Shop) -> None:
    names = shop.offer(8, padding=400_000)
    shop.server.limit(connections=4, rate=400_000)
    workers = [start(shop.lake, "work", "--fetch", "4", **QUICK) for _ in range(2)]
    wait_for(shop.lake, "state = 'fetching'")
    time.sleep(0.5)
    kill(workers[0])
    kill(workers[1])
    work(shop)
    settled(shop, names)
    seen = shop.server.stats.account("anonymous")
    assert seen.max_connections <= 4
    assert seen.refused == 0


def test_a_changed_product_replaces_its_raw_files(shop: Shop) -> None:
    (name,) = shop.offer(1)
    work(shop)
    before = raw_files(shop)
    with shop.lake.connect() as connection:
        connection.execute("update eolake.granule set fingerprint = 'old'")
    shop.offer(1, version=2)
    work(shop)
    assert raw_files(shop).isdisjoint(before)
    assert shop.wrong([name]) == []


def test_t40_all_faults_at_random(shop: Shop, server: Server) -> None:
    """The short form; EOLAKE_SOAK=3600 is the long one."""
    print(f"seed {SEED}")
    dice = random.Random(SEED)
    names: list[str] = []
    begin = time.monotonic()
    faults = [
        {"close": {"after": "random", "how": "rst"}},
        {"close": {"after": "random", "how": "fin"}},
        {"status": 503},
        {"status": 429, "retry_after": 1},
        {"page": "login"},
        {"page": "error-xml"},
        {"range": "ignore"},
        {"range": "shift"},
        {"range": "lie"},
        {"range": "total"},
        {"chunked": "cut"},
        {"inject": {"after": "random"}},
        {"flip": [100]},
        {"etag": "weak"},
        {"gzip": True},
        {"length": "larger"},
    ]
    server.script([{"match": "/p/*", "prob": 0.03, "fault": fault} for fault in faults], seed=SEED)
    while time.monotonic() - begin < SOAK:
        names += shop.offer(4, first=len(names), padding=dice.randrange(0, 700_000), digests=dice.random() < 0.9)
        run(shop.lake, "work", "--once", "--fetch", "4", "--max-time", "3", **QUICK)
        _enable(shop)
    server.reset()
    assert shop.wrong([name for name in names if name in _fetched(shop)]) == []
    _enable(shop)
    run(shop.lake, "retry", "--state", "quarantined", "--state", "queued", **QUICK)
    work(shop)
    settled(shop, names)


def _enable(shop: Shop) -> None:
    """A person looked at the alarm."""
    from eolake.catalog.ledger import slots

    with shop.lake.connect() as connection:
        slots.enable(connection)


def _fetched(shop: Shop) -> set[str]:
    with shop.lake.connect() as connection:
        rows = connection.execute("select distinct g.name from eolake.granule g join eolake.file f using (granule_id)").fetchall()
    return {row["name"] for row in rows}
