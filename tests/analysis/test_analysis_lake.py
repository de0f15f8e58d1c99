"""Analyses on a real lake: published like scenes, idempotent, stale exactly when an input changed."""

from __future__ import annotations

from typing import Any

import datacube
import numpy as np
from support.small_scenes import bring_in, scene

from eolake.analysis.base import Analysis
from eolake.analysis.cluster import Workers
from eolake.analysis.families import families
from eolake.analysis.make import Made
from eolake.analysis.plan import Plan, Request, make_plan
from eolake.analysis.run import Result, run
from eolake.analysis.solar import parse_interval
from eolake.analysis.vegetation_indices import SCENE, MonthIndices
from eolake.catalog.lake import Lake
from eolake.catalog.migrate import odc_environment
from eolake.cube.check import check
from eolake.cube.publish import retire
from eolake.cube.rebuild import rebuild
from eolake.cube.session import Session

BBOX = (150.2, -34.1, 150.6, -33.8)
ONE, TWO, THREE = "LC08_L2SP_090084_20191201_1", "LC08_L2SP_090084_20191217_1", "LC08_L2SP_090084_20200102_1"


def plan_of(lake: Lake, analysis: Analysis, datetimes: str = "2019-12-01/2020-02-01", **chosen: Any) -> Plan:
    with lake.connect() as connection:
        return make_plan(connection, analysis, families(analysis, **chosen), Request(interval=parse_interval(datetimes), bbox=BBOX))


def do(lake: Lake, plan: Plan, workers: Workers) -> Result:
    made: list[Made] = []
    return run(lake, plan, parameters={}, workers=workers, progress=made.append)


def first_scenes(session: Session) -> None:
    """The first is of 30 November in UTC and of 1 December on the ground."""
    bring_in(session, scene("ls8_c2_l2", ONE, "2019-11-30T23:50Z", seed=1))
    bring_in(session, scene("ls8_c2_l2", TWO, "2019-12-16T23:50Z", seed=2))
    bring_in(session, scene("ls8_c2_l2", THREE, "2020-01-01T23:50Z", seed=3))


def written(session: Session) -> dict[str, str]:
    """Table → digest over place and writing transaction of every row; the counters of pg_stat_user_tables come late from idle workers."""
    tables = session.connection.execute(
        "select relid::regclass::text as name from pg_stat_user_tables where schemaname in ('eolake', 'pgstac', 'odc')"
    ).fetchall()
    found = {}
    for name in (row["name"] for row in tables):
        row = session.connection.execute(
            f"select md5(string_agg(ctid::text || xmin::text, ' ' order by ctid)) as digest from only {name}"
        ).fetchone()  # type: ignore[arg-type]
        found[name] = row["digest"] if row else None
    return found


def test_months_are_made_published_and_not_made_twice(session: Session, lake: Lake, monthly: MonthIndices, workers: Workers) -> None:
    first_scenes(session)
    plan = plan_of(lake, monthly)
    assert {task.month.__str__() for task in plan.due} == {"2019-12", "2020-01"}
    december = [task for task in plan.due if str(task.month) == "2019-12"]
    assert {source.item_id for task in december for source in task.sources} == {ONE, TWO}
    result = do(lake, plan, workers)
    assert result.failed == {}
    assert sorted(result.published) == sorted(task.item_id for task in plan.due)
    assert check(session.connection, session.store).document()["ok"]
    objects, rows = {o.key for o in session.store.list("")}, written(session)
    again = plan_of(lake, monthly)
    assert (again.due, again.bereft, again.count("current")) == ([], (), len(plan.due))
    assert do(lake, again, workers) == Result()
    assert written(session) == rows
    assert {o.key for o in session.store.list("")} == objects


def test_a_month_is_the_median_of_its_clear_days(session: Session, lake: Lake, monthly: MonthIndices, workers: Workers) -> None:
    first_scenes(session)
    do(lake, plan_of(lake, monthly, "2019-12"), workers)
    cube = datacube.Datacube(raw_config={"default": odc_environment(lake)})
    where: Any = {"x": (150.2, 150.6), "y": (-34.1, -33.8), "output_crs": "EPSG:3577", "resolution": 30}
    scenes = cube.load(product="ls8_c2_l2", measurements=["red", "nir08", "swir22"], time=("2019-11-30", "2019-12-31"), **where)
    month = cube.load(product="vegetation_indices_month", like=scenes.odc.geobox)
    assert (scenes.sizes["time"], month.sizes["time"]) == (2, 1)
    red, nir, swir = (np.where(scenes[n] == 0, np.nan, scenes[n] * 0.0000275 - 0.2) for n in ("red", "nir08", "swir22"))
    with np.errstate(invalid="ignore"):
        ndvi, nbr = (nir - red) / (nir + red), (nir - swir) / (nir + swir)
    for name, stack in (("ndvi", ndvi), ("nbr", nbr)):
        expected = stack.mean(axis=0)
        assert np.isfinite(expected).sum() > 3000
        np.testing.assert_allclose(month[name].values[0], expected, atol=1e-5, equal_nan=True)
    assert np.array_equal(month["count"].values[0], np.where(np.isfinite(red[0]), 2, 0))
    cube.close()


def test_only_what_a_changed_input_touches_is_made_again(session: Session, lake: Lake, monthly: MonthIndices, workers: Workers) -> None:
    first_scenes(session)
    do(lake, plan_of(lake, monthly), workers)
    bring_in(session, scene("ls8_c2_l2", THREE, "2020-01-01T23:50Z", seed=33))
    plan = plan_of(lake, monthly)
    assert {str(task.month) for task in plan.due} == {"2020-01"}
    assert plan.count("stale") == len(plan.due)
    assert do(lake, plan, workers).failed == {}
    assert plan_of(lake, monthly).due == []
    assert check(session.connection, session.store).document()["ok"]


def test_removed_inputs_make_stale_and_at_last_retire(session: Session, lake: Lake, monthly: MonthIndices, workers: Workers) -> None:
    first_scenes(session)
    do(lake, plan_of(lake, monthly), workers)
    retire(session, [("ls8_c2_l2", ONE), ("ls8_c2_l2", THREE)], reason="test")
    plan = plan_of(lake, monthly)
    assert {str(task.month) for task in plan.due} == {"2019-12"}
    assert plan.bereft
    assert all(name.endswith("_2020-01") for name in plan.bereft)
    assert do(lake, plan, workers).retired == list(plan.bereft)
    after = plan_of(lake, monthly)
    assert (after.due, after.bereft) == ([], ())
    assert check(session.connection, session.store).document()["ok"]


def test_lineage_is_known_both_ways(session: Session, lake: Lake, workers: Workers) -> None:
    first_scenes(session)
    result = do(lake, plan_of(lake, SCENE), workers)
    assert len(result.published) == 3
    cube = datacube.Datacube(raw_config={"default": odc_environment(lake)})
    (source,) = [d for d in cube.find_datasets(product="ls8_c2_l2") if d.metadata_doc["label"] == ONE]
    (derived,) = [d for d in cube.find_datasets(product="vegetation_indices_scene") if d.metadata_doc["label"].endswith(ONE)]
    above = cube.index.lineage.get_source_tree(derived.id)
    below = cube.index.lineage.get_derived_tree(source.id)
    assert [t.dataset_id for trees in above.children.values() for t in trees] == [source.id]
    assert [t.dataset_id for trees in below.children.values() for t in trees] == [derived.id]
    row = session.connection.execute("select content from pgstac.items where id = %s", [f"vegetation_indices_scene_{ONE}"]).fetchone()
    assert row is not None
    assert [link["href"] for link in row["content"]["links"] if link["rel"] == "derived_from"] == [f"collections/ls8_c2_l2/items/{ONE}"]
    cube.close()


def test_a_rebuilt_lake_knows_what_is_up_to_date(session: Session, lake: Lake, monthly: MonthIndices, workers: Workers) -> None:
    first_scenes(session)
    do(lake, plan_of(lake, monthly), workers)
    rebuild(session, replace=True)
    plan = plan_of(lake, monthly)
    assert (plan.due, plan.bereft) == ([], ())
    assert plan.count("current") > 0
