"""Real products: each becomes a draft whose bands are the source's pixels, or says why not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import shapely
from pyproj import Transformer

from eolake.catalog.declaration import declared
from eolake.catalog.draft import Draft
from eolake.catalog.errors import BadProduct
from eolake.catalog.stac.items import complete_item
from eolake.ingest.sensors import identify
from eolake.ingest.sensors.base import Options

FOLDER = "pixels/landsat"
AU = "au_eodatasets/data"
PUBLISHED = {
    "c2l2_stactools/assets3": ("ls8_c2_l2", "LC08_L2SP_008059_20191201_20200825_02_T1", 19),
    "c2l2_stactools/assets4": ("ls8_c2_l2", "LC08_L2SP_017036_20130419_20200913_02_T2", 19),
    f"{AU}/LC08_L1TP_090084_20160121_20170405_01_T1.tar.gz": ("ls8_c1_l1", "LC08_L1TP_090084_20160121_20170405_01_T1", 12),
    f"{AU}/LC08_L1TP_090084_20160121_20170405_01_T1": ("ls8_c1_l1", "LC08_L1TP_090084_20160121_20170405_01_T1", 12),
    f"{AU}/LC08_L1TP_090084_20160121_20200907_02_T1": ("ls8_c2_l1", "LC08_L1TP_090084_20160121_20200907_02_T1", 12),
    f"{AU}/LC09_L1TP_112081_20220209_20220209_02_T1.tar": ("ls9_c2_l1", "LC09_L1TP_112081_20220209_20220209_02_T1", 17),
    f"{AU}/LE07_L1TP_104078_20130429_20161124_01_T1.tar": ("ls7_c1_l1", "LE07_L1TP_104078_20130429_20161124_01_T1", 10),
    "lt5_1988_brazil_rstoolbox/landsat": ("ls5_pre_l1", "LT52240631988227CUB02", 7),
}
"""What each becomes: collection, item, bands."""

REFUSED = {
    "c2l2_stactools/etm": r"LE07_L2SP_021030_20100109_20200911_02_T1: the metadata lists files that are not in the package",
    "c2l2_stactools/oli-tirs": r"oli-tirs holds the metadata of 3 products",
}
"""Packages of metadata only."""


def _open(path: Path, workspace: Path) -> Draft:
    found = identify(path)
    assert found is not None
    (draft,) = found[0].open(path, workspace, Options(checked=False))  # they are decimated
    assert draft.item.id == found[1]
    return draft


def _source(path: Path, name: str) -> str:
    """For rasterio, past the gate."""
    if path.is_dir():
        return str(next(path.glob(name)))
    return f"/vsitar/{path}/{name}"


@pytest.mark.parametrize("product", PUBLISHED)
def test_real_products_become_drafts(
    samples: Path, tmp_path: Path, product: str, validate_stac: Callable[[Mapping[str, Any]], None]
) -> None:
    collection, item, bands = PUBLISHED[product]
    draft = _open(samples / FOLDER / product, tmp_path)
    assert (draft.item.collection_id, draft.item.id, len(draft.bands)) == (collection, item, bands)
    assert set(draft.bands) >= {band.name for band in declared(collection).measurements}
    validate_stac(complete_item(draft.item, declared(collection), {}))
    assert all(attachment.path.is_file() for attachment in draft.attachments.values())


@pytest.mark.parametrize("product", PUBLISHED)
def test_bands_are_the_pixels_of_the_source(samples: Path, tmp_path: Path, product: str) -> None:
    path = samples / FOLDER / product
    draft = _open(path, tmp_path)
    collection = declared(str(draft.item.collection_id))
    for name, band in draft.bands.items():
        pixels, declaration = band.read(), collection.band(name)
        with rasterio.open(_source(path, f"{draft.item.id}_{declaration.aliases[0]}.TIF")) as source:
            np.testing.assert_array_equal(pixels.data, source.read(1), strict=True)
            assert pixels.transform == source.transform
            assert pixels.crs == source.crs.to_string() == draft.item.properties["proj:code"]
            assert pixels.data.dtype == declaration.dtype
            assert pixels.nodata == declaration.nodata
            if source.nodata is not None and source.nodata != declaration.nodata:
                assert collection.id == "ls5_pre_l1"  # tagged 255 by the package it comes from; no pixel has it
                assert not (pixels.data == source.nodata).any()


@pytest.mark.parametrize("product", PUBLISHED)
def test_footprints_hold_the_valid_pixels(samples: Path, tmp_path: Path, product: str) -> None:
    draft = _open(samples / FOLDER / product, tmp_path)
    pixels = draft.bands["red"].read()
    rows, columns = np.nonzero(pixels.data != pixels.nodata)
    x, y = pixels.transform @ (columns + 0.5, rows + 0.5)
    to_grid = Transformer.from_crs("EPSG:4326", pixels.crs, always_xy=True)
    footprint = shapely.transform(shapely.geometry.shape(draft.item.geometry), to_grid.transform, interleaved=False)
    margin = 1.5 * max(pixels.transform.a, -pixels.transform.e)  # the edges run through the pixels at the edge
    assert shapely.contains_xy(footprint.buffer(margin), x, y).all()
    whole = shapely.convex_hull(shapely.multipoints(np.column_stack([x, y])))
    assert footprint.difference(whole.buffer(margin)).area < 0.01 * footprint.area


@pytest.mark.parametrize("product", REFUSED)
def test_packages_without_pixels_say_so(samples: Path, tmp_path: Path, product: str) -> None:
    with pytest.raises(BadProduct, match=REFUSED[product]):
        _open(samples / FOLDER / product, tmp_path)


def test_bands_without_metadata_are_refused(samples: Path, tmp_path: Path) -> None:
    scenes = sorted((samples / FOLDER / "l8_timeseries_ny_gdalcubes/L8NY18").glob("LC08_*"))
    assert scenes
    for scene in scenes:
        with pytest.raises(BadProduct, match=rf"{scene.name} has no metadata file"):
            _open(scene, tmp_path)


def test_the_same_product_in_a_folder_and_in_an_archive_is_one_item(samples: Path, tmp_path: Path) -> None:
    folder = samples / FOLDER / AU / "LC08_L1TP_090084_20160121_20170405_01_T1"
    one, other = _open(folder, tmp_path), _open(folder.with_name(f"{folder.name}.tar.gz"), tmp_path)
    assert one.item.to_dict() == other.item.to_dict()
    assert (one.scene_key, one.rank) == (other.scene_key, other.rank)
    for name, band in one.bands.items():
        np.testing.assert_array_equal(band.read().data, other.bands[name].read().data)
        assert band.properties == other.bands[name].properties


SCALES = {
    f"{AU}/LC08_L1TP_090084_20160121_20200907_02_T1": {"red": (2e-5, -0.1), "lwir11": (3.342e-4, 0.1), "pan": (2e-5, -0.1)},
    f"{AU}/LE07_L1TP_104078_20130429_20161124_01_T1.tar": {"blue": (1.2185e-3, -0.01092), "lwir_high": (3.7205e-2, 3.1628)},
    "lt5_1988_brazil_rstoolbox/landsat": {"red": (1.044, -2.21398), "lwir": (0.055, 1.18243)},
}
"""As they stand in the metadata files."""


@pytest.mark.parametrize("product", SCALES)
def test_real_level_1_scales(samples: Path, tmp_path: Path, product: str) -> None:
    draft = _open(samples / FOLDER / product, tmp_path)
    for name, (scale, offset) in SCALES[product].items():
        properties = draft.bands[name].properties
        assert (properties["raster:scale"], properties["raster:offset"]) == (scale, offset)
    assert all("raster:scale" not in draft.bands[name].properties for name in {"bqa", "qa_pixel"} & set(draft.bands))
