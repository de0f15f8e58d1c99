"""From stored numbers to indices: scales of items, grids of 10 and 20 m, clouds, days, kinds of sensors."""

from __future__ import annotations

from typing import Any

import datacube
import numpy as np
import pytest
import rasterio
from support.small_scenes import CLOUD, bring_in, grid, scene

from eolake.analysis.base import Analysis
from eolake.analysis.cluster import Workers
from eolake.analysis.families import families
from eolake.analysis.plan import Plan, Request, make_plan
from eolake.analysis.run import Result, run
from eolake.analysis.solar import parse_interval
from eolake.analysis.vegetation_indices import SCENE, MonthIndices
from eolake.catalog.draft import Draft, Pixels
from eolake.catalog.lake import Lake
from eolake.catalog.migrate import odc_environment
from eolake.cube.session import Session

REQUEST = Request(interval=parse_interval("2019-12"), bbox=(150.2, -34.1, 150.6, -33.8))
L8, S2 = "LC08_L2SP_090084_20191217_1", "S2B_MSIL2A_20191219T001109_T56HKH"


def plan_of(lake: Lake, analysis: Analysis, **chosen: Any) -> Plan:
    with lake.connect() as connection:
        return make_plan(connection, analysis, families(analysis, **chosen), REQUEST)


def do(lake: Lake, plan: Plan, workers: Workers) -> Result:
    result = run(lake, plan, parameters={}, workers=workers, progress=lambda _: None)
    assert result.failed == {}
    return result


def stored(session: Session, item_id: str, band: str) -> Pixels:
    row = session.connection.execute(
        "select key from eolake.object join eolake.publication using (publication_id) where item_id = %s and asset = %s", [item_id, band]
    ).fetchone()
    assert row is not None
    with rasterio.open(session.store.gdal_path(row["key"]), driver="GTiff") as source:
        return Pixels(data=source.read(1), transform=source.transform, crs=str(source.crs), nodata=source.nodata)


def values(draft: Draft, band: str, scale: float, offset: float) -> np.ndarray[Any, Any]:
    return np.asarray(draft.bands[band].read().data * scale + offset)


def test_a_sentinel2_scene_stays_on_its_20_m_grid_and_red_is_the_mean_of_four(session: Session, lake: Lake, workers: Workers) -> None:
    draft = scene("s2_l2a", S2, "2019-12-19T00:11:09Z", size=600, seed=5)
    bring_in(session, draft)
    do(lake, plan_of(lake, SCENE), workers)
    found = stored(session, f"vegetation_indices_scene_{S2}", "ndvi")
    box = grid(600, 20)
    assert (found.data.shape, found.transform, found.crs) == (box.shape.yx, box.affine, "EPSG:32756")
    red = values(draft, "red", 0.0001, -0.1).reshape(600, 2, 600, 2).mean(axis=(1, 3))
    nir, swir = values(draft, "nir08", 0.0001, -0.1), values(draft, "swir22", 0.0001, -0.1)
    np.testing.assert_allclose(found.data, (nir - red) / (nir + red), atol=2e-6)
    np.testing.assert_allclose(stored(session, f"vegetation_indices_scene_{S2}", "nbr").data, (nir - swir) / (nir + swir), atol=2e-6)


def test_the_scale_of_an_item_is_used_where_it_differs(session: Session, lake: Lake, workers: Workers) -> None:
    own = {"raster:scale": 0.00005, "raster:offset": 0.1}
    draft = scene("ls8_c2_l2", L8, "2019-12-16T23:50Z", properties={"nir08": own})
    bring_in(session, draft)
    do(lake, plan_of(lake, SCENE), workers)
    red, nir = values(draft, "red", 0.0000275, -0.2), values(draft, "nir08", 0.00005, 0.1)
    found = stored(session, f"vegetation_indices_scene_{L8}", "ndvi").data
    np.testing.assert_allclose(found, np.clip((nir - red) / (nir + red), -1, 1), atol=2e-6)


def test_clouds_and_fill_are_nan_and_not_counted(session: Session, lake: Lake, workers: Workers, monthly: MonthIndices) -> None:
    quality = np.full((64, 64), 21824)
    quality[:, :32] = CLOUD["qa_pixel"]
    red = np.full((64, 64), 9000)
    red[:16] = 0
    bring_in(session, scene("ls8_c2_l2", L8, "2019-12-16T23:50Z", values={"qa_pixel": quality, "red": red}))
    do(lake, plan_of(lake, SCENE), workers)
    for band in ("ndvi", "nbr"):
        clear = ~np.isnan(stored(session, f"vegetation_indices_scene_{L8}", band).data)
        assert clear[16:, 32:].all()
        assert clear.sum() == 48 * 32
    plan = plan_of(lake, monthly)
    do(lake, plan, workers)
    counted = sum(int(stored(session, task.item_id, "count").data.sum()) for task in plan.due)
    assert counted == pytest.approx(48 * 32, rel=0.03)  # nearest neighbours on a turned grid


def test_two_scenes_of_one_day_are_one_observation(session: Session, lake: Lake, workers: Workers, monthly: MonthIndices) -> None:
    """Neighbours of one overpass overlap; the first in order of ids counts there."""
    bring_in(session, scene("ls8_c2_l2", "LC08_a", "2019-12-16T23:50:00Z", seed=1))
    bring_in(session, scene("ls8_c2_l2", "LC08_b", "2019-12-16T23:50:24Z", seed=2))
    plan = plan_of(lake, monthly)
    do(lake, plan, workers)
    assert {int(stored(session, task.item_id, "count").data.max()) for task in plan.due} == {1}


def test_landsat_and_sentinel2_are_two_outputs_unless_mixed(session: Session, lake: Lake, workers: Workers, monthly: MonthIndices) -> None:
    bring_in(session, scene("ls8_c2_l2", L8, "2019-12-16T23:50Z"))
    bring_in(session, scene("s2_l2a", S2, "2019-12-19T00:11:09Z", size=96))
    plan = plan_of(lake, monthly)
    ids = {task.item_id.split("_x")[0] for task in plan.due}
    assert ids == {"vegetation_indices_month_ls_c2_l2", "vegetation_indices_month_s2_l2a"}
    assert all({source.collection for source in task.sources} in ({"ls8_c2_l2"}, {"s2_l2a"}) for task in plan.due)
    do(lake, plan, workers)
    mixed = plan_of(lake, monthly, asked=["ls8_c2_l2", "s2_l2a"], mix=True)
    assert {len(task.sources) for task in mixed.due} == {2}
    assert all(task.item_id.startswith("vegetation_indices_month_ls8_c2_l2_s2_l2a_x") for task in mixed.due)
    do(lake, mixed, workers)
    assert {int(stored(session, task.item_id, "count").data.max()) for task in mixed.due} == {2}
    assert plan_of(lake, monthly).due == []
    cube = datacube.Datacube(raw_config={"default": odc_environment(lake)})
    for platform, key in (("landsat", "_ls_c2_l2_x"), ("sentinel-2", "_s2_l2a_x")):
        found = cube.find_datasets(product=monthly.collection, platform=platform)
        assert found
        assert all(key in dataset.metadata_doc["label"] for dataset in found)
    cube.close()


def test_items_say_what_was_done_with_what(
    session: Session, lake: Lake, workers: Workers, monthly: MonthIndices, validate_stac: Any
) -> None:
    bring_in(session, scene("ls8_c2_l2", L8, "2019-12-16T23:50Z"))
    (task, *_) = plan_of(lake, monthly).due
    do(lake, plan_of(lake, monthly), workers)
    row = session.connection.execute(
        "select pgstac.get_item(%s, %s) as item, prefix from eolake.publication where item_id = %s",
        [task.item_id, monthly.collection, task.item_id],
    ).fetchone()
    assert row is not None
    item, properties = row["item"], row["item"]["properties"]
    validate_stac(item)
    assert (properties["platform"], properties["instruments"]) == ("landsat", ["oli", "tirs"])
    do(lake, plan_of(lake, SCENE), workers)
    scenes = session.connection.execute(
        "select pgstac.get_item(%s, %s) as item", [f"vegetation_indices_scene_{L8}", SCENE.collection]
    ).fetchone()
    assert scenes is not None
    validate_stac(scenes["item"])
    assert {key: scenes["item"]["properties"][key] for key in ("platform", "eo:cloud_cover", "gsd")} == {
        "platform": "landsat-8", "eo:cloud_cover": 0.0, "gsd": 30
    }  # fmt: skip
    assert (properties["start_datetime"], properties["end_datetime"]) == ("2019-11-30T15:12:00Z", "2019-12-31T15:11:59.999999Z")
    assert properties["datetime"] is not None
    assert properties["eolake:inputs"] == task.inputs
    assert properties["processing:software"]["eolake vegetation_indices"] == "1.0.0"
    assert properties["processing:level"] == "L4"
    assert "ls8_c2_l2: qa_pixel" in properties["processing:lineage"]
    assert properties["odc:region_code"] == "x{}y{}".format(*(task.tile or ()))
    assert item["assets"]["ndvi"]["raster:bands"][0]["statistics"]["maximum"] <= 1
