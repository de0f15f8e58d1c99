"""From the command to the cube: Sentinel-5P cut to an area, and a product that only a YAML file of the lake knows."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import odc.stac
import pystac
from affine import Affine
from datacube import Datacube
from odc.geo.geobox import GeoBox
from support import workers
from support.swath_files import NAME, assert_nearest, centres, declare, nearest, places, same, swath

from eolake.catalog.draft import Pixels
from eolake.catalog.lake import Lake
from eolake.catalog.migrate import odc_environment
from eolake.ingest.sensors.base import CLIP
from eolake.ingest.simulators.products.sentinel5p import FILL, Granule, generate_sentinel5p

WHEN = datetime(2020, 1, 4, 3, 40, tzinfo=UTC)
AREA = (149.9, -34.5, 151.2, -32.9)


def item_of(lake: Lake, collection: str) -> dict[str, Any]:
    with lake.connect() as connection:
        (row,) = connection.execute(
            "select pgstac.get_item(id, collection) as item from pgstac.items where collection = %s", (collection,)
        ).fetchall()
    found: dict[str, Any] = row["item"]
    return found


def loaded(lake: Lake, item: Mapping[str, Any], *names: str) -> tuple[Any, Pixels]:
    """By datacube.load, which gives what odc.stac.load gives; and the first band as it lies on its own grid."""
    asset = item["assets"][names[0]]
    like = GeoBox(asset["proj:shape"], Affine(*asset["proj:transform"]), asset["proj:code"])
    with Datacube(raw_config={"default": odc_environment(lake)}) as cube:
        west, south, east, north = item["bbox"]
        found = cube.find_datasets(product=item["collection"], time="2020-01-04", lon=(west, east), lat=(south, north))
        assert len(found) == 1
        through_cube = cube.load(product=item["collection"], measurements=list(names), like=like).isel(time=0)
    through_stac = odc.stac.load([pystac.Item.from_dict(dict(item))], bands=list(names), geobox=like).isel(time=0)
    for name in names:
        assert same(through_stac[name].values, through_cube[name].values).all(), name
    return through_cube, Pixels(data=through_cube[names[0]].values, transform=like.transform, crs=asset["proj:code"], nodata=None)


def test_products_are_ingested_found_and_loaded(lake: Lake, tmp_path: Path, validate_stac: Callable[[Mapping[str, Any]], None]) -> None:
    (tmp_path / "in").mkdir()
    declare(tmp_path)
    _, chl = swath(tmp_path / "in")
    granule = Granule(kind="co", start=WHEN, scanlines=50, pixels=45)
    product = generate_sentinel5p(granule, tmp_path / "in")
    done = workers.run(lake, "ingest", tmp_path / "in", "--clip", ",".join(map(str, AREA)))
    assert done.returncode == 0, done.stderr
    assert_smoke(lake, granule, product, validate_stac)
    item = item_of(lake, "oc_l2")
    validate_stac(item)
    assert (item["id"], item["properties"]["eolake:region"]) == (NAME, "NSW")
    _, shown = loaded(lake, item, "chl")
    longitude, latitude = (place.astype(np.float32) for place in places(60, 50))
    assert_nearest(shown, longitude, latitude, np.where(chl == -999, np.nan, chl), math.nan, within=within_area(shown))


def within_area(pixels: Pixels) -> Any:
    x, y = centres(pixels)
    return (x > AREA[0]) & (x < AREA[2]) & (y > AREA[1]) & (y < AREA[3])


def assert_smoke(lake: Lake, granule: Granule, product: Path, validate_stac: Callable[[Mapping[str, Any]], None]) -> None:
    item = item_of(lake, "s5p_l2_co")
    validate_stac(item)
    assert item["id"] == granule.name
    assert item["properties"][CLIP]["type"] == "Polygon"
    west, south, east, north = item["bbox"]
    assert west >= AREA[0] - 1e-6
    assert south >= AREA[1] - 1e-6
    assert east <= AREA[2] + 1e-6
    assert north <= AREA[3] + 1e-6
    with netCDF4.Dataset(product) as file:
        file.set_auto_maskandscale(False)
        longitude, latitude, co, quality = (
            file[f"PRODUCT/{name}"][0] for name in ("longitude", "latitude", "carbonmonoxide_total_column", "qa_value")
        )
    found, shown = loaded(lake, item, "co", "qa_value")
    within = within_area(shown)
    there = assert_nearest(shown, longitude, latitude, np.where(co == FILL, np.nan, co), math.nan, within=within)
    index, _ = nearest(shown, longitude, latitude)
    np.testing.assert_array_equal(found.qa_value.values[there], quality.ravel()[index][there])
    assert (found.qa_value.values[~within] == 255).all()
