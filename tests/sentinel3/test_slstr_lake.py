"""SLSTR in the lake: published, then found and loaded through the cube, through STAC, and as a table."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import geopandas
import netCDF4
import numpy as np
import odc.stac
import pandas as pd
import pystac
import pytest
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

KEPT = {
    "s3_slstr_l1_rbt": ["s2", "s8", "f1", "confidence_an"],
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
    products = list(slstr.simulated(folder, "s3_slstr_l1_rbt", "s3_slstr_l2_lst", "s3_slstr_l2_frp", size=30).values())
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
        assert_fires(products[2], made["s3_slstr_l2_frp"], row["item"])


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
        loaded = cube.load(product=collection.id, measurements=[name], like=like, time=("2020-01-01", "2020-01-31")).isel(time=0)[name]
        np.testing.assert_array_equal(loaded.values, pixels.data, err_msg=name)


def assert_fires(product: Path, draft: Draft, item: Mapping[str, Any]) -> None:
    asset = item["assets"]["fires"]
    assert asset["type"] == "application/vnd.apache.parquet"
    assert asset["roles"] == ["data"]
    table = geopandas.read_parquet(asset["href"].removeprefix("file://"))
    assert list(table.columns) == [column["name"] for column in asset["table:columns"]]
    with netCDF4.Dataset(product / "FRP_in.nc") as file:
        listed = {name: np.asarray(file[name][:]) for name in ("longitude", "latitude", "FRP_MWIR", "time")}
    assert asset["table:row_count"] == len(table) == len(listed["time"]) == item["properties"]["eolake:fire_count"] > 0
    np.testing.assert_array_equal(table["frp_mwir"], listed["FRP_MWIR"])
    np.testing.assert_array_equal(table.geometry.x, listed["longitude"])
    np.testing.assert_array_equal(table.geometry.y, listed["latitude"])
    since = (table["time"] - pd.Timestamp("2000-01-01", tz="UTC")) // pd.Timedelta(microseconds=1)
    np.testing.assert_array_equal(since, listed["time"])
    total = float(listed["FRP_MWIR"].sum())
    assert item["properties"]["eolake:fire_radiative_power"] == pytest.approx(total)
    assert float(np.nansum(draft.bands["frp"].read().data, dtype=float)) == pytest.approx(total, rel=1e-6)
