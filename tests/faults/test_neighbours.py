"""Workers beside each other, stopped and woken ones, and a database that goes away."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from support.auditor import audit
from support.workers import children, granule, kill, offer, probe, probes, run, start, states, wait_for

from eolake.catalog.lake import Lake
from eolake.catalog.local.cluster import Cluster
from eolake.catalog.migrate import migrate
from eolake.catalog.settings import load_settings
from eolake.ingest.queue import Queue
from eolake.ingest.settings import WorkerSettings


def test_two_workers_share_a_queue(lake: Lake, tmp_path: Path) -> None:
    offer(lake, *probes(tmp_path / "in", 8, pause=0.05))
    workers = [start(lake, "work", "--once", log=tmp_path / f"{n}.log") for n in range(2)]
    assert [worker.wait(120) for worker in workers] == [0, 0]
    assert states(lake) == {"published": 8}
    assert audit(lake) == []
    done = [re.findall(r"^published +(PROBE_\d+)", (tmp_path / f"{n}.log").read_text(), re.MULTILINE) for n in range(2)]
    assert sorted(done[0] + done[1]) == [f"PROBE_{n:04d}" for n in range(8)]
    assert all(done)
    with lake.connect() as connection:
        (row,) = connection.execute("select count(*) as n from eolake.event where kind not in ('offered', 'published')").fetchall()
    assert row["n"] == 0


def test_a_worker_that_slept_over_its_lease_publishes_nothing(lake: Lake, tmp_path: Path) -> None:
    """SIGSTOP beyond the lease, another one does the work, SIGCONT: the first is fenced and clears up after itself."""
    offer(lake, probe(tmp_path / "in", 0, pause=0.4))
    short = {"EOLAKE_WORKER_LEASE": "3"}
    first = start(lake, "-v", "work", "--once", log=tmp_path / "first.log", **short)
    try:
        wait_for(lake, "step = 'stage'")
        time.sleep(0.5)
        os.killpg(first.pid, signal.SIGSTOP)
        fence = granule(lake, "PROBE_0000")["fence"]
        assert granule(lake, "PROBE_0000")["state"] == "converting"
        second = run(lake, "work", "--once", **short)
        assert second.returncode == 0, second.stderr
        os.killpg(first.pid, signal.SIGCONT)
        assert first.wait(60) == 0, (tmp_path / "first.log").read_text()
    finally:
        kill(first)
    row = granule(lake, "PROBE_0000")
    assert (row["state"], row["faults"]) == ("published", 1)
    assert row["fence"] > fence
    assert "1 lost" in (tmp_path / "first.log").read_text()
    assert audit(lake) == []


def test_a_converter_that_dies_alone_is_replaced(lake: Lake, tmp_path: Path) -> None:
    """Only the converter dies, in the middle of the transaction: the worker counts it and goes on at once."""
    offer(lake, *probes(tmp_path / "in", 2))
    mark = tmp_path / "mark"
    point = {"EOLAKE_FAILPOINT": "commit:after-odc", "EOLAKE_FAILPOINT_MARK": str(mark), "EOLAKE_WORKER_DELAY": "0.2"}
    done = run(lake, "--json", "work", "--once", **point)
    assert mark.exists()
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["verdicts"] == {"later": 1, "published": 2}
    assert audit(lake) == []


def test_a_converter_that_dies_after_its_commit_has_published(lake: Lake, tmp_path: Path) -> None:
    offer(lake, probe(tmp_path / "in", 0))
    done = run(lake, "--json", "work", "--once", EOLAKE_FAILPOINT="commit:after", EOLAKE_FAILPOINT_MARK=str(tmp_path / "mark"))
    assert (done.returncode, json.loads(done.stdout)["verdicts"]) == (0, {"published": 1})
    assert audit(lake) == []


def test_a_product_over_which_whole_workers_die_is_kept_aside(lake: Lake, tmp_path: Path) -> None:
    offer(lake, probe(tmp_path / "in", 0), probe(tmp_path / "in", 1))
    point = {"EOLAKE_FAILPOINT": "stage:band-1", "EOLAKE_FAILPOINT_GROUP": "1", "EOLAKE_WORKER_DEATHS": "2"}
    for _ in range(4):  # two products, two deaths each
        assert run(lake, "work", "--once", **point).returncode == -signal.SIGKILL
    done = run(lake, "work", "--once", **point)
    assert done.returncode == 0, done.stderr
    assert granule(lake, "PROBE_0000")["reason"] == "2 workers died over it, the last at the step 'stage'"
    assert states(lake) == {"quarantined": 2}
    assert audit(lake) == []


@pytest.fixture(scope="module")
def own_lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Lake, Cluster]]:
    """A lake on a PostgreSQL of its own."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "eolake.toml").write_text('[lake]\nname = "own"\n')
    cluster = Cluster(folder / "lake")  # durable: what was committed must outlive a crash
    cluster.ensure()
    (folder / "lake" / "objects").mkdir()
    lake = Lake(settings=load_settings(folder / "eolake.toml"))
    migrate(lake)
    yield lake, cluster
    cluster.remove()


def test_workers_outlive_restarts_and_crashes_of_the_database(own_lake: tuple[Lake, Cluster], tmp_path: Path) -> None:
    lake, cluster = own_lake
    offer(lake, *probes(tmp_path / "in", 12, pause=0.05))
    worker = start(lake, "-v", "work", "--once", EOLAKE_WORKER_DELAY="0.5")
    try:
        wait_for(lake, "state = 'published'")
        cluster.stop()
        time.sleep(1)
        cluster.ensure()
        before = states(lake)["published"]
        assert before < 12
        wait_for(lake, f"state = 'published' and (select count(*) from eolake.granule where state = 'published') > {before}")
        pid = cluster.pid()
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(lake.database.url(), connect_timeout=2)
        cluster.ensure()
        assert worker.wait(120) == 0, (tmp_path / "worker.log").read_text()
    finally:
        kill(worker)
    assert states(lake) == {"published": 12}
    assert audit(lake) == []


def test_a_stop_needs_no_database(own_lake: tuple[Lake, Cluster], tmp_path: Path) -> None:
    lake, cluster = own_lake
    offer(lake, probe(tmp_path / "in", 100, pause=30))
    worker = start(lake, "work", log=tmp_path / "log")
    try:
        wait_for(lake, "step = 'stage'")
        converters = children(worker)
        cluster.stop()
        time.sleep(1)
        begin = time.monotonic()
        os.kill(worker.pid, signal.SIGTERM)
        assert worker.wait(6) == 0
        assert time.monotonic() - begin < 5
        assert not any(converter.is_running() for converter in converters)
    finally:
        kill(worker)
        cluster.ensure()
    with closing(Queue(lake, WorkerSettings(), giving_up=lambda: False)) as queue:
        assert queue.bury([]) == 1  # the lease of a worker that is gone binds nobody
