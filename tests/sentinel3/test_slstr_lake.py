"""SLSTR in the lake: published, then found and loaded through the cube, through STAC, and as a table."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import odc.stac
import pystac
from datacube import Datacube
from odc.geo.geobox import GeoBox
from support import slstr_products as slstr
from support import workers

from eolake.catalog.declaration import declared
from eolake.catalog.draft import Draft, Pixels
from eolake.catalog.lake import Lake
from eolake.cube.check import check
from eolake.cube.session import Session
from eolake.ingest.sensors import find_sensor

FIRES = [(5, 7, 12.5), (5, 8, 30.0), (20, 30, 250.25), (39, 59, 4.0)]
"""row, column, MW"""
KEPT = {
    "s3_slstr_l1_rbt": ["s2", "s8", "f1", "cloud_in", "confidence_an"],
    "s3_slstr_l1_rbt_oblique": ["s5", "s7"],
    "s3_slstr_l2_lst": ["lst", "biome"],
    "s3_slstr_l2_frp": ["frp", "confidence"],
}


def geobox(pixels: Pixels) -> GeoBox:
    return GeoBox(pixels.data.shape, pixels.transform, pixels.crs)


def test_products_are_ingested_found_and_loaded(lake: Lake, tmp_path: Path, validate_stac: Callable[[Mapping[str, Any]], None]) -> None:
    """By the command and its converter processes, two folders and an archive."""
    folder = tmp_path / "products"
    folder.mkdir()
    products = [slstr.rbt(folder, rows=30, columns=40), slstr.lst(folder, rows=30, columns=40), slstr.frp(folder, FIRES)]
    shutil.make_archive(str(folder / products[1].stem), "zip", folder, products[1].name)
    made = {draft.item.collection_id or "": draft for product in products for draft in drafts(product, tmp_path / product.stem)}
    assert set(made) == set(KEPT)
    code, said = workers.ingest(lake, folder / products[0].name, folder / f"{products[1].stem}.zip", folder / products[2].name)
    assert (code, said["counts"]["published"]) == (0, 3), said
    with Session(lake=lake) as session:
        report = check(session.connection, session.store).document()
        assert report["ok"], report
        cube = Datacube(index=session.index)
        for collection, names in KEPT.items():
            draft = made[collection]
            row = session.connection.execute("select pgstac.get_item(%s, %s) as item", (draft.item.id, collection)).fetchone()
            assert row is not None
            validate_stac(row["item"])
            assert_loaded(draft, row["item"], cube, names)
        assert_fires(made["s3_slstr_l2_frp"], row["item"])


def drafts(product: Path, workspace: Path) -> list[Draft]:
    """As the sensor has them, apart from the lake."""
    workspace.mkdir()
    sensor = find_sensor(product.stem)
    assert sensor is not None
    return list(sensor.open(product, workspace))


def assert_loaded(draft: Draft, item: Mapping[str, Any], cube: Datacube, names: list[str]) -> None:
    collection = declared(item["collection"])
    for name in names:
        pixels = draft.bands[name].read()
        assert np.unique(pixels.data).size > 1, name
        like = geobox(pixels)
        through_stac = odc.stac.load([pystac.Item.from_dict(dict(item))], bands=[name], geobox=like).isel(time=0)[name]
        np.testing.assert_array_equal(through_stac.values, pixels.data, err_msg=name)
        loaded = cube.load(product=collection.id, measurements=[name], like=like, time=("2019-12-31", "2020-01-01")).isel(time=0)[name]
        np.testing.assert_array_equal(loaded.values, pixels.data, err_msg=name)


def assert_fires(draft: Draft, item: Mapping[str, Any]) -> None:
    asset = item["assets"]["fires"]
    assert asset["type"] == "application/vnd.apache.parquet"
    assert asset["roles"] == ["data"]
    assert asset["table:row_count"] == len(FIRES) == item["properties"]["eolake:fire_count"]
    table = geopandas.read_parquet(asset["href"].removeprefix("file://"))
    assert list(table.columns) == [column["name"] for column in asset["table:columns"]]
    assert table["frp_mwir"].tolist() == [megawatts for *_, megawatts in FIRES]
    total = sum(megawatts for *_, megawatts in FIRES)
    assert item["properties"]["eolake:fire_radiative_power"] == total
    power = draft.bands["frp"].read().data
    assert float(np.nansum(power, dtype=float)) == total
    assert set(table.geometry.x.round(9)) == set(
        slstr.image(40, 60, 1000.0).longitude[tuple(np.array(FIRES)[:, :2].astype(int).T)].round(9)
    )
