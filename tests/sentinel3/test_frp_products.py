"""Products of fires through the sensor: none, few, clipped, on another grid, broken."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pytest
import shapely
from support import slstr_products as slstr

from eolake.catalog.declaration import declared
from eolake.catalog.draft import Draft
from eolake.catalog.errors import BadProduct
from eolake.catalog.sources import Grid
from eolake.catalog.stac.items import StoredAsset
from eolake.cube.staging import scene_digest
from eolake.ingest.sensors import find_sensor
from eolake.ingest.sensors.base import Options

FIRES = [(5, 7, 12.5), (5, 8, 30.0), (20, 30, 250.25), (39, 59, 4.0)]
"""row, column, MW"""


def opened(product: Path, workspace: Path, options: Options | None = None) -> Draft:
    workspace.mkdir()
    sensor = find_sensor(product.stem)
    assert sensor is not None
    (draft,) = sensor.open(product, workspace, options or Options())
    return draft


def table(draft: Draft) -> Any:
    return geopandas.read_parquet(draft.attachments["fires"].path)


def test_fires_are_rows_cells_and_a_total(tmp_path: Path) -> None:
    draft = opened(slstr.frp(tmp_path, FIRES), tmp_path / "work")
    assert table(draft)["frp_mwir"].tolist() == [megawatts for *_, megawatts in FIRES]
    assert (table(draft)["j"].tolist(), table(draft)["i"].tolist()) == ([5, 5, 20, 39], [7, 8, 30, 59])
    assert draft.item.properties["eolake:fire_count"] == 4
    assert draft.item.properties["eolake:fire_radiative_power"] == 296.75
    assert float(np.nansum(draft.bands["frp"].read().data)) == 296.75
    assert {"flags", "confidence_in", "cloud_in"} <= set(draft.bands)
    assert draft.item.properties["product:type"] == "SL_2_FRP___"


def test_a_pass_without_fires_is_a_scene_too(tmp_path: Path) -> None:
    draft = opened(slstr.frp(tmp_path, []), tmp_path / "work")
    assert len(table(draft)) == 0
    assert draft.item.properties["eolake:fire_count"] == 0
    power = draft.bands["frp"].read().data
    assert (power[np.isfinite(power)] == 0).all()
    assert np.isfinite(power).sum() > 1000
    assert np.unique(draft.bands["flags"].read().data).size > 10


def test_all_bands_lie_on_one_grid(tmp_path: Path) -> None:
    draft = opened(slstr.frp(tmp_path, FIRES), tmp_path / "work")
    grids = {(pixels.data.shape, pixels.transform) for pixels in (band.read() for band in draft.bands.values())}
    assert len(grids) == 1
    power, flags = draft.bands["frp"].read().data, draft.bands["flags"].read()
    nodata = declared("s3_slstr_l2_frp").band("flags").nodata
    assert np.array_equal(np.isfinite(power), flags.data != nodata), "zero where the swath is, nothing elsewhere"


def test_a_clip_cuts_the_list_and_the_grid(tmp_path: Path) -> None:
    product = slstr.frp(tmp_path, FIRES)
    pixels = slstr.image(40, 60, 1000.0)
    around = shapely.Point(pixels.longitude[20, 30], pixels.latitude[20, 30]).buffer(0.05)
    draft = opened(product, tmp_path / "work", Options(clip=shapely.geometry.mapping(around)))
    assert table(draft)["frp_mwir"].tolist() == [250.25]
    assert draft.item.properties["eolake:fire_count"] == 1
    power = draft.bands["frp"].read().data
    assert power.shape[0] <= 12
    assert float(np.nansum(power)) == 250.25
    assert shapely.geometry.shape(dict(draft.item.geometry or {})).area <= around.area * 1.01


def test_the_grid_of_an_order_is_followed(tmp_path: Path) -> None:
    draft = opened(slstr.frp(tmp_path, FIRES), tmp_path / "work", Options(grid=Grid(crs="EPSG:3577", resolution=1000)))
    pixels = draft.bands["frp"].read()
    assert (pixels.crs, pixels.transform.a) == ("EPSG:3577", 1000.0)
    assert float(np.nansum(pixels.data)) == 296.75


def test_a_product_whose_list_was_changed_is_refused(tmp_path: Path) -> None:
    product = slstr.frp(tmp_path, FIRES)
    path = product / "FRP_in.nc"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(BadProduct, match=r"FRP_in\.nc"):
        opened(product, tmp_path / "work")


def test_a_table_is_part_of_what_a_scene_says() -> None:
    """Two processings may differ in their lists alone."""
    item = {"geometry": None, "properties": {}, "links": []}
    one = StoredAsset(
        href="./fires.parquet", media_type="application/vnd.apache.parquet", roles=("data",), title="Fires", size=1, checksum="1220aa"
    )
    assert scene_digest(item, {"fires": one}) == scene_digest(item, {"fires": one})
    assert scene_digest(item, {"fires": one}) != scene_digest(item, {"fires": replace(one, checksum="1220bb")})
