"""Workers that die, sources that can not be read, other numbers of workers, tables."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import pytest
from support.analyses import Deadly, WithTable
from support.small_scenes import bring_in, scene

from eolake.analysis import make
from eolake.analysis.base import Analysis
from eolake.analysis.cluster import Workers
from eolake.analysis.families import families
from eolake.analysis.plan import Plan, Request, make_plan
from eolake.analysis.run import Result, run
from eolake.analysis.solar import parse_interval
from eolake.analysis.vegetation_indices import SCENE, MonthIndices
from eolake.catalog.errors import Unreachable
from eolake.catalog.lake import Lake
from eolake.catalog.ledger import runs
from eolake.cube.check import check
from eolake.cube.publish import retire
from eolake.cube.session import Session

REQUEST = Request(interval=parse_interval("2019-12-01/2020-02-01"), bbox=(150.2, -34.1, 150.6, -33.8))
ONE, TWO = "LC08_L2SP_090084_20191201_1", "LC08_L2SP_090084_20200102_1"


def plan_of(lake: Lake, analysis: Analysis) -> Plan:
    with lake.connect() as connection:
        return make_plan(connection, analysis, families(analysis), REQUEST)


def do(lake: Lake, plan: Plan, workers: Workers) -> Result:
    return run(lake, plan, parameters={}, workers=workers, progress=lambda _: None)


@pytest.fixture
def scenes(session: Session) -> None:
    bring_in(session, scene("ls8_c2_l2", ONE, "2019-11-30T23:50Z", seed=1))
    bring_in(session, scene("ls8_c2_l2", TWO, "2020-01-01T23:50Z", seed=2))


def checksums(session: Session) -> dict[str, str]:
    rows = session.connection.execute(
        "select item_id || '/' || asset as name, checksum from eolake.object join eolake.publication using (publication_id) "
        "where collection like 'vegetation%%' and state = 'live' and asset <> 'item'"
    ).fetchall()
    return {row["name"]: row["checksum"] for row in rows}


@pytest.mark.usefixtures("scenes")
def test_one_worker_or_two_the_bytes_are_the_same(session: Session, lake: Lake, workers: Workers, monthly: MonthIndices) -> None:
    plan = plan_of(lake, monthly)
    do(lake, plan, workers)
    by_two = checksums(session)
    assert len(by_two) == 4 * len(plan.due)  # three bands and a thumbnail
    retire(session, [(monthly.collection, task.item_id) for task in plan.due], reason="test")
    assert checksums(session) == {}
    with Workers(count=1) as alone:
        assert do(lake, plan_of(lake, monthly), alone).failed == {}
    assert checksums(session) == by_two


@pytest.mark.usefixtures("scenes")
def test_a_killed_worker_loses_its_output_for_a_moment_only(session: Session, lake: Lake, monthly: MonthIndices, tmp_path: Path) -> None:
    deadly = Deadly(mark=str(tmp_path / "died"), grid=monthly.grid)
    plan = plan_of(lake, deadly)
    with Workers(count=1) as alone:
        result = do(lake, plan, alone)
    assert (tmp_path / "died").exists()
    assert result.failed == {}
    assert sorted(result.published) == [task.item_id for task in plan.due]
    assert check(session.connection, session.store).document()["ok"]
    (recorded,) = runs.latest(session.connection, 1)
    assert (recorded["state"], recorded["done"]) == ("done", len(plan.due))


@pytest.mark.usefixtures("scenes")
def test_what_can_not_be_read_is_listed_and_stops_nothing_else(session: Session, lake: Lake, workers: Workers) -> None:
    row = session.connection.execute("select key from eolake.object where key like %s", [f"%{ONE}/%/red.tif"]).fetchone()
    assert row is not None
    path = Path(session.store.gdal_path(row["key"]))
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    result = do(lake, plan_of(lake, SCENE), workers)
    assert result.published == [f"vegetation_indices_scene_{TWO}"]
    assert list(result.failed) == [f"vegetation_indices_scene_{ONE}"]
    assert f"(tried {make.TRIES} times)" in result.failed[f"vegetation_indices_scene_{ONE}"]
    (recorded,) = runs.latest(session.connection, 1)
    assert (recorded["state"], recorded["failed"]) == ("failed", 1)
    path.write_bytes(content)
    assert do(lake, plan_of(lake, SCENE), workers).published == [f"vegetation_indices_scene_{ONE}"]


@pytest.mark.usefixtures("scenes")
def test_another_version_makes_everything_stale(lake: Lake, workers: Workers, monthly: MonthIndices) -> None:
    do(lake, plan_of(lake, monthly), workers)
    assert plan_of(lake, monthly).due == []
    for changed in (replace(monthly, version="9"), replace(monthly, parameters={"statistic": "other"})):
        plan = plan_of(lake, changed)
        assert plan.count("stale") == len(plan.tasks) > 0


@pytest.mark.usefixtures("scenes")
def test_tables_and_properties_go_along(session: Session, lake: Lake, workers: Workers, monthly: MonthIndices) -> None:
    plan = plan_of(lake, WithTable(grid=monthly.grid))
    do(lake, plan, workers)
    row = session.connection.execute("select key from eolake.object where asset = 'never_clear' order by key limit 1").fetchone()
    assert row is not None
    (line,) = csv.DictReader(session.store.get(row["key"]).decode().splitlines())
    assert 0 < int(line["pixels"]) < 128 * 128
    content = session.connection.execute("select content from pgstac.items where collection = %s limit 1", [monthly.collection]).fetchone()
    assert content is not None
    assert content["content"]["properties"]["eolake:note"] == "counted"


@pytest.mark.usefixtures("scenes")
def test_a_scheduler_that_is_there_already_is_used(lake: Lake, workers: Workers) -> None:
    plan = plan_of(lake, SCENE)
    with Workers(scheduler=workers.client(1).scheduler.address) as others:
        assert len(do(lake, plan, others).published) == 2
    assert workers.client(1).submit(len, "abc").result() == 3


def test_no_scheduler_says_so() -> None:
    with Workers(scheduler="tcp://127.0.0.1:9") as nobody, pytest.raises(Unreachable, match=r"127\.0\.0\.1:9"):
        nobody.client(1)
