"""From a Landsat product to pixels in the cube and through STAC: every band, as it was in the source."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import datacube
import numpy as np
import odc.stac
import pystac
import pytest
import rasterio
from odc.geo.geobox import GeoBox
from support.landsat_products import product
from support.scenes import claim

from eolake.catalog.declaration import declared
from eolake.catalog.lake import Lake
from eolake.catalog.migrate import odc_environment
from eolake.cube.publish import publish
from eolake.cube.session import Session
from eolake.ingest.sensors import identify
from eolake.ingest.sensors.base import Options

Sources = dict[str, str]
"""band → what rasterio opens"""


def _published(lake: Lake, path: Path, workspace: Path) -> pystac.Item:
    """The item as the catalog has it."""
    found = identify(path)
    assert found is not None
    with Session(lake=lake) as session:
        drafts = list(found[0].open(path, workspace, Options(checked=False)))  # samples are decimated
        assert publish(session, drafts, claim(session, found[1])).verdict == "published"
        key = (drafts[0].item.id, drafts[0].item.collection_id)
        row = session.connection.execute("select pgstac.get_item(%s, %s) as item", key).fetchone()
    assert row is not None
    return pystac.Item.from_dict(row["item"])


def _check(lake: Lake, item: pystac.Item, sources: Sources) -> None:
    """Bands of one grid are loaded together."""
    grids: dict[GeoBox, dict[str, Any]] = {}
    for band, name in sources.items():
        with rasterio.open(name) as source:
            grids.setdefault(GeoBox(source.shape, source.transform, source.crs), {})[band] = source.read(1)
    assert len(grids) == (2 if "pan" in sources else 1)
    with datacube.Datacube(raw_config={"default": odc_environment(lake)}) as cube:
        for like, expected in grids.items():
            bands = list(expected)
            through_cube = cube.load(product=item.collection_id, measurements=bands, like=like)
            through_stac = odc.stac.load([item], bands=bands, like=like)
            for loaded in (through_cube, through_stac):
                for band in bands:
                    np.testing.assert_array_equal(loaded[band].values[0], expected[band], strict=True, err_msg=f"{item.id} {band}")
                    nodata = declared(str(item.collection_id)).band(band).nodata
                    assert nodata is None or loaded[band].nodata == nodata


AU = "au_eodatasets/data"
SAMPLES = [
    "c2l2_stactools/assets3",
    "c2l2_stactools/assets4",
    f"{AU}/LC08_L1TP_090084_20160121_20170405_01_T1.tar.gz",
    f"{AU}/LC08_L1TP_090084_20160121_20200907_02_T1",
    f"{AU}/LC09_L1TP_112081_20220209_20220209_02_T1.tar",
    f"{AU}/LE07_L1TP_104078_20130429_20161124_01_T1.tar",
    "lt5_1988_brazil_rstoolbox/landsat",
]


@pytest.mark.parametrize("sample", SAMPLES)
def test_real_pixels_come_out_as_they_went_in(samples: Path, tmp_path: Path, lake: Lake, sample: str) -> None:
    path = samples / "pixels/landsat" / sample
    workspace = tmp_path / "unpacked"
    workspace.mkdir()
    item = _published(lake, path, workspace)
    folder = str(path) if path.is_dir() else f"/vsitar/{path}"
    bands = [band for band in declared(str(item.collection_id)).bands if band.name in item.assets]
    assert len(bands) >= 7
    _check(lake, item, {band.name: f"{folder}/{item.id}_{band.aliases[0]}.TIF" for band in bands if not band.optional})


@pytest.mark.parametrize("collection", ["ls8_c1_l1", "ls9_c2_l1", "ls8_c2_l2", "ls7_c2_l2", "ls5_pre_l1"])
def test_generated_pixels_come_out_as_they_went_in(tmp_path: Path, lake: Lake, collection: str) -> None:
    path = product(collection, size=50).write(tmp_path)
    item = _published(lake, path, tmp_path)
    _check(lake, item, {band.name: f"{path}/{item.id}_{band.aliases[0]}.TIF" for band in declared(collection).measurements})


def test_level_1_scales_reach_the_catalog(tmp_path: Path, lake: Lake) -> None:
    item = _published(lake, product("ls8_c2_l1").write(tmp_path), tmp_path)
    red = item.assets["red"].extra_fields
    assert (red["raster:bands"][0]["scale"], red["raster:bands"][0]["offset"]) == (2e-5, -0.1)
    assert red["eolake:radiance_scale"] == 0.012965
