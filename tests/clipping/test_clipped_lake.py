"""Options of a conversion from who orders to who loads: feeds, commands, the ledger, the cube, and a lake that is built again."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import shapely
from datacube import Datacube
from odc.geo.geobox import GeoBox
from support import workers
from support.auditor import audit, audit_catalog_and_cube
from support.simulated import simulated

from eolake.catalog.draft import Draft, Pixels
from eolake.catalog.lake import Lake
from eolake.catalog.migrate import odc_environment
from eolake.catalog.settings import load_settings
from eolake.ingest.clipping import clip
from eolake.ingest.discovery.feeds import get_feed
from eolake.ingest.discovery.walk import discover
from eolake.ingest.opening import opened
from eolake.ingest.options import polygon_of
from eolake.ingest.sensors.base import CLIP, UNCHECKED
from eolake.ingest.sensors.sentinel2 import Sentinel2Sensor
from eolake.ingest.simulators.products.scenes import TINY, generate_scene

WHEN = datetime(2020, 1, 8, 0, 11, 9, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return generate_scene("s2_l2a", WHEN, tmp_path_factory.mktemp("products"), size=TINY)


def whole(product: Path) -> Draft:
    (draft,) = Sentinel2Sensor().open(product, product.parent)
    return draft


def part(draft: Draft, west: float, south: float, east: float, north: float) -> tuple[float, float, float, float]:
    """A box of shares of the footprint, to six digits as people write them."""
    left, bottom, right, top = shapely.geometry.shape(dict(draft.item.geometry or {})).bounds
    width, height = right - left, top - bottom
    box = (left + west * width, bottom + south * height, left + east * width, bottom + north * height)
    return tuple(round(n, 6) for n in box)  # type: ignore[return-value]


def item_of(lake: Lake) -> dict[str, Any]:
    """The only one in the catalog."""
    with lake.connect() as connection:
        (row,) = connection.execute("select pgstac.get_item(id, collection) as item from pgstac.items").fetchall()
    found: dict[str, Any] = row["item"]
    return found


def options_of(lake: Lake) -> dict[str, Any] | None:
    with lake.connect() as connection:
        (row,) = connection.execute("select options from eolake.granule").fetchall()
    found: dict[str, Any] | None = row["options"]
    return found


def assert_loaded(lake: Lake, expected: Draft) -> None:
    """What datacube.load gives is, pixel by pixel, what clipping the product should leave."""
    item = item_of(lake)
    with Datacube(raw_config={"default": odc_environment(lake)}) as cube:
        (dataset,) = cube.find_datasets(product="s2_l2a")
        assert str(dataset.id)
        for name in ("red", "nir08", "coastal", "scl"):
            pixels: Pixels = expected.bands[name].read()
            like = GeoBox(pixels.data.shape, pixels.transform, pixels.crs)
            loaded = cube.load(product="s2_l2a", measurements=[name], like=like)[name].isel(time=0)
            assert np.array_equal(loaded.values, pixels.data), name
            asset = item["assets"][name]
            assert asset["proj:shape"] == list(pixels.data.shape)
            assert asset["proj:transform"] == list(pixels.transform)[:6]
            valid = pixels.data[pixels.data != pixels.nodata]
            statistics = asset["raster:bands"][0]["statistics"]
            assert (statistics["minimum"], statistics["maximum"]) == (valid.min(), valid.max())
            with rasterio.open(lake_file(lake, name)) as stored:
                assert (stored.shape, stored.transform, stored.nodata) == (pixels.data.shape, pixels.transform, pixels.nodata)
    red = expected.bands["red"].read()
    rows, columns = red.data.shape
    right, bottom = red.transform @ (columns, rows)
    assert item["properties"]["proj:bbox"] == [red.transform.c, bottom, right, red.transform.f]
    assert shapely.geometry.shape(item["geometry"]).equals(shapely.geometry.shape(dict(expected.item.geometry or {})))
    assert item["bbox"] == expected.item.bbox


def lake_file(lake: Lake, name: str) -> Path:
    root = lake.store_config.folder
    assert root is not None
    with lake.connect() as connection:
        (row,) = connection.execute("select prefix from eolake.publication where state = 'live'").fetchall()
    return Path(root / row["prefix"] / f"{name}.tif")


FEED = """
[feeds.a]
provider = "stac"
collection = "s2_l2a"
bbox = [{}, {}, {}, {}]
clip = true
"""


def test_a_feed_brings_in_its_area_alone(
    lake: Lake, product: Path, monkeypatch: pytest.MonkeyPatch, validate_stac: Callable[[Mapping[str, Any]], None]
) -> None:
    draft = whole(product)
    box = part(draft, 0.22, -0.4, 0.81, 0.63)
    with simulated("stac", product.parent) as said:
        for variable, value in said["environment"].items():
            monkeypatch.setenv(variable, value)
        toml = lake.settings.root / "eolake.toml"
        toml.write_text(f"{toml.read_text()}\n{said['block']}\n{FEED.format(*box)}")
        settings = load_settings(toml)
        with opened(settings, "stac") as provider:
            report = discover(lake, get_feed(settings, "a"), provider, since=WHEN - DAY, until=WHEN + 5 * DAY)
        assert report.new == 1
        assert options_of(lake) == {"clip": polygon_of(box)}
        done = workers.run(lake, "work", "--once")
        assert done.returncode == 0, done.stderr
    item = item_of(lake)
    assert item["properties"][CLIP] == polygon_of(box)
    validate_stac(item)
    assert_loaded(lake, clip(draft, polygon_of(box)))
    assert audit(lake) == []


def test_options_stay_with_a_product_until_it_is_converted_again(
    lake: Lake, product: Path, tmp_path: Path, fresh_lake: Callable[[Path], AbstractContextManager[Lake]]
) -> None:
    draft = whole(product)
    first, second = part(draft, 0.1, 0.1, 0.6, 0.7), part(draft, 0.4, 0.3, 0.9, 0.95)
    area = tmp_path / "area.geojson"
    area.write_text(json.dumps({"type": "Feature", "properties": {}, "geometry": polygon_of(second)}))

    status, document = workers.ingest(lake, product, "--clip", ",".join(map(str, first)))
    assert (status, document["counts"]) == (0, {"published": 1})
    assert_loaded(lake, clip(draft, polygon_of(first)))

    with lake.connect() as connection:
        before = workers.rows_written(connection)
        status, document = workers.ingest(lake, product)
        assert (status, document["counts"], document["products"][0]["reason"]) == (0, {"unchanged": 1}, None)
        status, document = workers.ingest(lake, product, "--clip", area, "--grid", "EPSG:3577@300")
        assert (status, document["counts"]) == (0, {"unchanged": 1})
        assert document["products"][0]["reason"] == (
            "it was converted with other options (clipped); --again converts it with these (clipped, on EPSG:3577@300)"
        )
        assert workers.rows_written(connection) == before, "nothing is written when nothing changes"

    status, document = workers.ingest(lake, product, "--clip", area, "--again")
    assert (status, document["counts"]) == (0, {"published": 1})
    assert options_of(lake) == {"clip": polygon_of(second)}
    expected = clip(draft, polygon_of(second))
    assert_loaded(lake, expected)

    with fresh_lake(tmp_path / "empty") as empty:
        toml = empty.settings.root / "eolake.toml"
        toml.write_text(f'[lake]\nname = "test"\nstore = "file:{lake.store_config.folder}"\n')
        again = Lake(settings=load_settings(toml))
        done = workers.run(again, "rebuild")
        assert done.returncode == 0, done.stderr
        assert options_of(again) == {"clip": polygon_of(second)}, "the store remembers how it was ordered"
        assert_loaded(again, expected)

    with lake.connect() as connection:
        assert audit_catalog_and_cube(connection) == []
    checked = workers.run(lake, "--json", "check")
    assert (checked.returncode, json.loads(checked.stdout)["ok"]) == (0, True), "what was replaced is debris until its readers are done"


def test_what_lies_outside_is_rejected_and_what_was_kept_aside_takes_the_last_options(lake: Lake, product: Path, tmp_path: Path) -> None:
    away = workers.ingest(lake, product, "--clip", "0,0,1,1")[1]["products"][0]
    assert away["outcome"] == "rejected"
    assert "lies outside of the area that it is clipped to" in away["reason"]
    changed = tmp_path / "changed" / product.name
    shutil.copytree(product, changed)
    (quicklook,) = changed.rglob("*_PVI.jp2")
    quicklook.write_bytes(b"another one")
    status, document = workers.ingest(lake, changed)
    (found,) = document["products"]
    assert (status, found["outcome"]) == (1, "quarantined")
    assert f"{quicklook.name} has 11 bytes instead of" in found["reason"]
    assert list(lake.store_config.folder.rglob("*.tif")) == []  # type: ignore[union-attr]
    status, document = workers.ingest(lake, changed, "--unchecked")
    assert (status, document["counts"]) == (0, {"published": 1})
    assert item_of(lake)["properties"][UNCHECKED] is True
    assert_loaded(lake, whole(product))
