"""What is published is what it says: COGs by rio-cogeo, items and collections by the STAC schemas, files by their checksums."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import rasterio
import requests
from rio_cogeo.cogeo import cog_validate

from eolake.catalog.declaration import declared

if TYPE_CHECKING:
    from conftest import Taken


@pytest.fixture(scope="module")
def items(taken: Taken) -> list[dict[str, Any]]:
    """As the database has them."""
    with taken.lake.connect() as connection:
        rows = connection.execute("select pgstac.get_item(id, collection) as item from pgstac.items").fetchall()
    assert len(rows) == len(taken.published)
    return [row["item"] for row in rows]


def assets(items: list[dict[str, Any]]) -> Iterator[tuple[str, str, Mapping[str, Any], Path]]:
    """(collection, name, asset, file)"""
    for item in items:
        for name, asset in item["assets"].items():
            yield item["collection"], name, asset, Path(asset["href"].removeprefix("file://"))


def test_every_cog_is_strictly_one(items: list[dict[str, Any]]) -> None:
    count = 0
    for _, _, asset, path in assets(items):
        if path.suffix == ".tif":
            assert asset["type"] == "image/tiff; application=geotiff; profile=cloud-optimized"
            valid, errors, warnings = cog_validate(path, strict=True, quiet=True)
            assert (valid, errors, warnings) == (True, [], []), path
            count += 1
    assert count > len(items) * 5


def test_the_real_command_says_so_too(items: list[dict[str, Any]]) -> None:
    largest = max((path for *_, path in assets(items) if path.suffix == ".tif"), key=lambda path: path.stat().st_size)
    rio = Path(sys.executable).with_name("rio")
    done = subprocess.run([rio, "cogeo", "validate", "--strict", largest], capture_output=True, text=True, timeout=60, check=True)
    assert "is a valid cloud optimized GeoTIFF" in done.stdout


def test_every_file_has_the_size_and_checksum_that_its_item_says(items: list[dict[str, Any]]) -> None:
    for _, _, asset, path in assets(items):
        content = path.read_bytes()
        assert asset["file:size"] == len(content)
        assert asset["file:checksum"] == "1220" + hashlib.sha256(content).hexdigest()


def test_every_cog_is_as_its_asset_says(items: list[dict[str, Any]]) -> None:
    for collection, name, asset, path in assets(items):
        if path.suffix != ".tif":
            continue
        band = declared(collection).band(name)
        with rasterio.open(path) as source:
            data = source.read(1)
            assert [source.height, source.width] == asset["proj:shape"]
            assert list(source.transform)[:6] == pytest.approx(asset["proj:transform"][:6], abs=1e-9)
            assert (source.dtypes, source.nodata) == ((band.dtype,), band.nodata)
            assert f"EPSG:{source.crs.to_epsg()}" == asset["proj:code"]
            valid = data[data != band.nodata] if band.nodata is not None else data.ravel()
        statistics = asset["raster:bands"][0]["statistics"]
        if len(valid):
            assert (statistics["minimum"], statistics["maximum"]) == (valid.min(), valid.max()), (path, name)
            assert statistics["mean"] == pytest.approx(float(valid.mean(dtype=np.float64)), rel=1e-6)


def test_items_and_collections_of_the_database_and_of_the_api_are_valid_stac(
    taken: Taken, items: list[dict[str, Any]], url: str, validate_stac: Callable[[Mapping[str, Any]], None]
) -> None:
    served = requests.get(f"{url}/stac/search", {"limit": 100}, timeout=30).json()["features"]
    collections = requests.get(f"{url}/stac/collections", {"limit": 100}, timeout=30).json()["collections"]
    assert len(served) == len(items)
    assert {expected.item.split("/")[0] for expected in taken.published} <= {collection["id"] for collection in collections}
    for document in (*items, *served, *collections):
        assert document["stac_version"] == "1.1.0"
        validate_stac(document)
