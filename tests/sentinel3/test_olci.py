"""OLCI: real counts in real products, as satpy reads them and as an independent tree finds them on the grid; flags that have moved."""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import odc.stac
import pystac
import pytest
from datacube import Datacube
from odc.geo.geobox import GeoBox
from scipy.spatial import cKDTree
from support import workers

from eolake.catalog.declaration import declared
from eolake.catalog.draft import Draft, Pixels
from eolake.catalog.lake import Lake
from eolake.catalog.safe.netcdf import open_netcdf
from eolake.cube.check import check
from eolake.cube.session import Session
from eolake.ingest.sensors import find_sensor

COLLECTION = "s3_olci_l1_efr"
CHANNELS = [f"Oa{number:02}" for number in range(1, 22)]
LONG, SHORT = "*T125936_20180108T125938*.SEN3", "*T125943_20180108T125944*.SEN3"


@pytest.fixture(scope="module")
def product(samples: Path) -> Path:
    return next((samples / "pixels/sentinel3/olci_repacked").glob(LONG))


@pytest.fixture(scope="module")
def draft(product: Path, tmp_path_factory: pytest.TempPathFactory) -> Draft:
    return opened(product, tmp_path_factory.mktemp("olci"))


def opened(path: Path, workspace: Path) -> Draft:
    sensor = find_sensor(path.stem)
    assert sensor is not None
    (found,) = sensor.open(path, workspace)
    return found


def stored(product: Path, file: str, name: str) -> np.ndarray[Any, Any]:
    with open_netcdf(product / file) as opened_file:
        return opened_file.variable(name).read()


def centres(pixels: Pixels) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    rows, columns = np.indices(pixels.data.shape)
    x, y = pixels.transform @ (columns + 0.5, rows + 0.5)
    return x, y


def unit(longitude: np.ndarray[Any, Any], latitude: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    east, north = np.radians(longitude).ravel(), np.radians(latitude).ravel()
    return np.column_stack([np.cos(north) * np.cos(east), np.cos(north) * np.sin(east), np.sin(north)])


def nearest(product: Path, pixels: Pixels) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Flat number of the nearest source pixel of every cell, and its distance in m: all pixels in one tree."""
    longitude, latitude = (stored(product, "geo_coordinates.nc", name) * 1e-6 for name in ("longitude", "latitude"))
    distance, index = cKDTree(unit(longitude, latitude)).query(unit(*centres(pixels)))
    return index.reshape(pixels.data.shape), 6_371_000 * distance.reshape(pixels.data.shape)


def twins(product: Path) -> np.ndarray[Any, Any]:
    """Of each pixel the one that lies at the very same place, or itself: OLCI shows a detector's pixel twice where it has none, and
    flags one of the two as duplicated."""
    longitude, latitude = (stored(product, "geo_coordinates.nc", name).ravel() for name in ("longitude", "latitude"))
    order = np.lexsort((latitude, longitude))
    same = (np.diff(longitude[order]) == 0) & (np.diff(latitude[order]) == 0)
    found = np.arange(longitude.size)
    found[order[:-1][same]], found[order[1:][same]] = order[1:][same], order[:-1][same]
    return found


def test_radiances_on_the_swath_are_those_of_satpy(product: Path, draft: Draft) -> None:
    """Our counts with the declared scale; each cell within the swath shows one of them unchanged."""
    from satpy import DataQuery, Scene

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scene = Scene([str(path) for path in product.glob("*.nc")], reader="olci_l1b")
        queries = [DataQuery(name=channel, calibration="radiance") for channel in CHANNELS]
        scene.load(queries)
        theirs = {channel: scene[query].values for channel, query in zip(CHANNELS, queries, strict=True)}
    for channel in CHANNELS:
        band, pixels = declared(COLLECTION).band(channel), draft.bands[channel.lower()].read()
        counts = stored(product, f"{channel}_radiance.nc", f"{channel}_radiance")
        assert band.scale is not None
        ours = np.where(counts == band.nodata, np.nan, counts * band.scale)
        np.testing.assert_allclose(ours, theirs[channel], atol=1.6e-5, rtol=1e-6, err_msg=channel)
        index, distance = nearest(product, pixels)
        inside = (distance < 130) & (pixels.data != band.nodata)
        np.testing.assert_allclose(pixels.data[inside] * band.scale, theirs[channel].ravel()[index[inside]], atol=1.6e-5, rtol=1e-6)


@pytest.mark.parametrize("name", ["oa01", "oa08", "oa17", "oa21", "quality_flags", "altitude"])
def test_every_cell_shows_the_nearest_pixel(product: Path, draft: Draft, name: str) -> None:
    file, variable = {
        "quality_flags": ("qualityFlags.nc", "quality_flags"),
        "altitude": ("geo_coordinates.nc", "altitude"),
    }.get(name, (f"O{name[1:]}_radiance.nc", f"O{name[1:]}_radiance"))
    source, pixels = stored(product, file, variable), draft.bands[name].read()
    index, distance = nearest(product, pixels)
    covered = distance < 130
    assert covered.mean() > 0.3, "the sample lies in its frame at an angle"
    twin = twins(product)[index[covered]]
    same = (pixels.data[covered] == source.ravel()[index[covered]]) | (pixels.data[covered] == source.ravel()[twin])
    assert same.mean() >= 0.999
    outside = distance > 400
    if pixels.nodata is None:
        assert (pixels.data[outside] & (1 << 25)).all(), "outside of the swath the flag `invalid` is set"
    else:
        assert (pixels.data[outside] == pixels.nodata).all()


def test_the_item_says_what_the_manifest_says(draft: Draft) -> None:
    item = draft.item
    assert (item.collection_id, item.properties["platform"], item.properties["instruments"]) == (COLLECTION, "sentinel-3a", ["olci"])
    assert item.properties["product:type"] == "OL_1_EFR___"
    assert item.properties["start_datetime"] == "2018-01-08T12:59:36.640886Z"
    assert item.properties["end_datetime"] == "2018-01-08T12:59:38.357267Z"
    assert draft.scene_key == "sentinel-3a/OL_1_EFR___/026/266/3420/s3_olci_l1_efr"


def test_a_real_product_goes_through_the_lake(lake: Lake, samples: Path, tmp_path: Path) -> None:
    """By the command, in an archive; radiances in physical units through the cube and through STAC."""
    source = next((samples / "pixels/sentinel3/olci_repacked").glob(SHORT))
    archive = shutil.make_archive(str(tmp_path / source.stem), "zip", source.parent, source.name)
    code, said = workers.ingest(lake, Path(archive))
    assert (code, said["counts"]["published"]) == (0, 1), said
    (tmp_path / "apart").mkdir()
    made = opened(source, tmp_path / "apart")
    pixels, scale = made.bands["oa08"].read(), declared(COLLECTION).band("oa08").scale
    like = GeoBox(pixels.data.shape, pixels.transform, pixels.crs)
    with Session(lake=lake) as session:
        assert check(session.connection, session.store).document()["ok"]
        loaded = Datacube(index=session.index).load(product=COLLECTION, measurements=["oa08"], like=like, time="2018-01-08").isel(time=0)
        row = session.connection.execute("select pgstac.get_item(%s, %s) as item", (made.item.id, COLLECTION)).fetchone()
        assert row is not None
        through_stac = odc.stac.load([pystac.Item.from_dict(row["item"])], bands=["oa08"], geobox=like).isel(time=0)
    np.testing.assert_array_equal(loaded["oa08"].values, pixels.data)
    np.testing.assert_array_equal(through_stac["oa08"].values, pixels.data)
    band = row["item"]["assets"]["oa08"]["raster:bands"][0]
    assert (band["scale"], band["unit"]) == (scale, "mW.m-2.sr-1.nm-1")
