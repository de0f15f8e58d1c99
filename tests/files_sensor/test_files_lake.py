"""From the command to the cube: packages of HyP3, a CF grid, and a product that only a YAML file of the lake knows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import odc.stac
import pystac
import rasterio
import yaml
from affine import Affine
from datacube import Datacube
from files_sensor.conftest import readme_collection
from files_sensor.test_own_collection import ndvi
from netcdf_grid.conftest import SST
from odc.geo.geobox import GeoBox
from support import workers
from support.auditor import audit

from eolake.catalog.lake import Lake
from eolake.catalog.migrate import odc_environment
from eolake.ingest.simulators.products.gridded import GriddedProduct, generate_gridded
from eolake.ingest.simulators.products.hydrosar import generate_hydrosar

WHEN = datetime(2020, 2, 10, 19, 20, tzinfo=UTC)
Valid = Callable[[Mapping[str, Any]], None]


def items(lake: Lake, collection: str) -> list[dict[str, Any]]:
    """As pgSTAC gives them, by time."""
    with lake.connect() as connection:
        rows = connection.execute(
            "select pgstac.get_item(id, collection) as item from pgstac.items where collection = %s order by datetime", (collection,)
        ).fetchall()
    return [row["item"] for row in rows]


def loaded(lake: Lake, item: Mapping[str, Any], band: str) -> np.ndarray[Any, Any]:
    """One band on its own grid: the same by datacube, found by time and place, and by odc.stac."""
    asset = item["assets"][band]
    like = GeoBox(asset["proj:shape"], Affine(*asset["proj:transform"]), asset.get("proj:code") or asset["proj:wkt2"])
    with Datacube(raw_config={"default": odc_environment(lake)}) as cube:
        west, south, east, north = item["bbox"]
        at = item["properties"]["datetime"]
        found = cube.find_datasets(product=item["collection"], time=(at, at), lon=(west, east), lat=(south, north))
        assert len(found) == 1
        by_cube = cube.load(datasets=found, measurements=[band], like=like)[band].values[0]
    by_stac = odc.stac.load([pystac.Item.from_dict(dict(item))], bands=[band], geobox=like)[band].values[0]
    np.testing.assert_array_equal(by_cube, by_stac)
    return np.asarray(by_cube)


def test_declared_products_are_ingested_found_and_loaded(lake: Lake, tmp_path: Path, validate_stac: Valid) -> None:
    (tmp_path / "collections").mkdir()
    (tmp_path / "collections" / "modis_ndvi.yaml").write_text(readme_collection())
    (tmp_path / "collections" / "sst_grid.yaml").write_text(yaml.safe_dump(dict(SST)))
    folder = tmp_path / "in"
    index = ndvi(folder / "TERRA_MODIS_012010_NDVI_2014-07-28.jp2")
    rtc = generate_hydrosar("rtc", WHEN, folder, size=60, container="loose", everything=False)
    water = generate_hydrosar("water", WHEN, folder, size=60, everything=False)
    grid = GriddedProduct(when=WHEN, bbox=(140.0, -40.0, 156.0, -28.0), step=1.0)
    generate_gridded(grid, folder)
    status, document = workers.ingest(lake, folder)
    assert (status, document["counts"], document["unrecognised"]) == (0, {"published": 4}, []), document
    assert audit(lake) == []

    (item,) = items(lake, "modis_ndvi")
    validate_stac(item)
    np.testing.assert_array_equal(loaded(lake, item, "ndvi"), index)

    (item,) = items(lake, "hydrosar_rtc")
    validate_stac(item)
    assert item["id"] == rtc.name
    for name in ("vv", "vh"):
        with rasterio.open(f"{rtc}_{name.upper()}.tif") as file:
            np.testing.assert_array_equal(loaded(lake, item, name), file.read(1))

    (item,) = items(lake, "hydrosar_water")
    validate_stac(item)
    assert [entry["name"] for entry in item["assets"]["water"]["classification:classes"]] == ["not_water", "water", "no_data"]
    with rasterio.open(f"zip://{water}!{water.stem}/{water.stem}_WM.tif") as file:
        np.testing.assert_array_equal(loaded(lake, item, "water"), file.read(1))

    days = items(lake, "sst_grid")
    assert [item["id"][-15:] for item in days] == ["20200211T072000", "20200212T072000"]
    for day, item in enumerate(days):
        validate_stac(item)
        np.testing.assert_array_equal(loaded(lake, item, "sst"), grid.counts(day)[::-1])
