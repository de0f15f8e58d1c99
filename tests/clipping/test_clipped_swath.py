"""A swath on another grid, clipped, from the command to the cube: the pixels are its nearest ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import shapely
from datacube import Datacube
from pyproj import Transformer
from support import workers
from support.auditor import audit
from support.slstr_products import degrees, lst, nearest

from eolake.catalog.declaration import declared
from eolake.catalog.lake import Lake
from eolake.catalog.migrate import odc_environment
from eolake.ingest.options import polygon_of
from eolake.ingest.sensors.base import CLIP


def test_grid_and_clip_of_a_swath(lake: Lake, tmp_path: Path) -> None:
    product = lst(tmp_path, rows=60, columns=80)
    longitude, latitude = (degrees(product / "geodetic_in.nc", name) for name in ("longitude_in", "latitude_in"))
    west, east = (float(round(n, 4)) for n in np.quantile(longitude, (0.3, 0.7)))
    south, north = (float(round(n, 4)) for n in np.quantile(latitude, (0.3, 0.7)))
    box = (west, south, east, north)
    status, document = workers.ingest(
        lake, product, "--clip", ",".join(map(str, box)), "--grid", "EPSG:3577@1500", "--resampling", "nearest"
    )
    assert (status, document["counts"]) == (0, {"published": 1}), document
    with lake.connect() as connection:
        row = connection.execute("select options from eolake.granule").fetchone()
        found = connection.execute("select pgstac.get_item(id, collection) as item from pgstac.items").fetchone()
    assert found is not None
    assert row == {"options": {"clip": polygon_of(box), "grid": {"crs": "EPSG:3577", "resolution": 1500.0}, "resampling": "nearest"}}
    item = found["item"]
    assert item["properties"]["proj:code"] == "EPSG:3577"
    assert item["properties"][CLIP] == polygon_of(box)
    shape = shapely.geometry.shape(item["geometry"])
    assert shape.within(shapely.box(*box).buffer(1e-5))
    assert shape.area > 0.9 * shapely.box(*box).area
    assert item["assets"]["lst"]["proj:transform"][0] == 1500
    with Datacube(raw_config={"default": odc_environment(lake)}) as cube:
        loaded = cube.load(product="s3_slstr_l2_lst", measurements=["lst"], output_crs="EPSG:3577", resolution=1500).isel(time=0)["lst"]
    band = declared("s3_slstr_l2_lst").band("lst")
    x, y = np.meshgrid(loaded.x.values, loaded.y.values)
    lon, lat = (np.asarray(part) for part in Transformer.from_crs("EPSG:3577", "EPSG:4326", always_xy=True).transform(x, y))
    inside = shapely.contains_xy(shapely.box(*box), lon, lat)
    assert inside.sum() > 100
    assert (loaded.values[~inside] == band.nodata).all()
    source = _counts(product)
    index, _ = nearest(longitude, latitude, lon[inside], lat[inside])
    expected = source.ravel()[index]
    assert (loaded.values[inside] == expected).mean() > 0.99, "a cell may lie as far from one pixel as from the next"
    assert audit(lake) == []


def _counts(product: Path) -> Any:
    with netCDF4.Dataset(product / "LST_in.nc") as file:
        file.set_auto_maskandscale(False)
        return np.asarray(file["LST"][:])
