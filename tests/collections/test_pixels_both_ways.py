"""Real COGs of three resolutions, read through the cube and through STAC: the same pixels, by name and by alias."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import odc.stac
import pystac
import pytest
import xarray as xr
from affine import Affine
from datacube import Datacube
from datacube.utils import masking
from odc.geo.geobox import GeoBox
from support.example import CREATED, example_draft

from eolake.catalog.cog import write_cog
from eolake.catalog.declaration import Band, Collection
from eolake.catalog.draft import Pixels
from eolake.catalog.lake import Lake
from eolake.catalog.stac.bands import COG_MEDIA_TYPE
from eolake.catalog.stac.items import StoredAsset, complete_item, with_store_hrefs
from eolake.cube.datasets import odc_dataset
from eolake.cube.products import put_product
from eolake.cube.session import Session

CRS = "EPSG:32755"
SIDE = 7_200
"""m: 720, 360 and 120 pixels"""


def _pixels(band: Band) -> Pixels:
    gsd = int(band.gsd or 10)
    rng = np.random.default_rng(sum(band.name.encode()))
    data = rng.integers(0, 200, (SIDE // gsd, SIDE // gsd)).astype(band.dtype)
    if band.dtype.startswith("float"):
        data[:20] = np.nan
    elif band.nodata is not None:
        data[:20] = band.nodata
    return Pixels(data=data, transform=Affine(gsd, 0, 600_000, 0, -gsd, 6_300_000), crs=CRS, nodata=band.nodata)


@pytest.fixture
def stored(example: Collection, tmp_path: Path) -> tuple[dict[str, Any], dict[str, Pixels]]:
    """An item whose files are there, and what was written."""
    pixels = {band.name: _pixels(band) for band in example.bands}
    written = {}
    for band in example.bands:
        facts = write_cog(pixels[band.name], band, example.cog, tmp_path / f"{band.name}.tif")
        written[band.name] = StoredAsset(
            href=f"./{band.name}.tif",
            media_type=COG_MEDIA_TYPE,
            roles=band.roles,
            title=band.title,
            size=facts.size,
            checksum=facts.checksum,
            facts=facts,
        )
    draft = example_draft()
    footprint = GeoBox((720, 720), pixels["red"].transform, CRS).extent.to_crs("EPSG:4326")
    draft.geometry = footprint.json
    return with_store_hrefs(complete_item(draft, example, written, created=CREATED), tmp_path.as_uri()), pixels


@pytest.fixture
def cube(lake: Lake, example: Collection, stored: tuple[dict[str, Any], dict[str, Pixels]]) -> Iterator[Datacube]:
    with Session(lake=lake) as session:
        session.index.datasets.add(odc_dataset(stored[0], put_product(session.index.products, example)), with_lineage=False)
        yield Datacube(index=session.index)


def _geobox(pixels: Pixels) -> GeoBox:
    return GeoBox(pixels.data.shape, pixels.transform, pixels.crs)


def test_every_band_is_the_same_through_cube_and_stac(
    cube: Datacube, example: Collection, stored: tuple[dict[str, Any], dict[str, Pixels]]
) -> None:
    item, pixels = stored
    for band in example.measurements:
        like = _geobox(pixels[band.name])
        loaded = cube.load(product="example_l2", measurements=[band.name], like=like)[band.name]
        other = odc.stac.load([pystac.Item.from_dict(item)], bands=[band.name], like=like)[band.name]
        np.testing.assert_array_equal(loaded.values[0], pixels[band.name].data)
        np.testing.assert_array_equal(other.values[0], pixels[band.name].data)
        assert loaded.dtype == other.dtype == band.dtype


def test_bands_of_three_resolutions_together(cube: Datacube, stored: tuple[dict[str, Any], dict[str, Pixels]]) -> None:
    item, pixels = stored
    names = ["red", "scl", "coastal"]
    like = _geobox(pixels["red"])
    loaded = cube.load(product="example_l2", measurements=names, like=like, resampling="nearest")
    other = odc.stac.load([pystac.Item.from_dict(item)], bands=names, like=like, resampling="nearest")
    for name, factor in (("red", 1), ("scl", 2), ("coastal", 6)):
        expected = np.kron(pixels[name].data, np.ones((factor, factor), pixels[name].data.dtype))
        np.testing.assert_array_equal(loaded[name].values[0], expected)
        np.testing.assert_array_equal(other[name].values[0], expected)


def test_the_products_own_grid_needs_no_arguments(cube: Datacube) -> None:
    loaded = cube.load(product="example_l2", measurements=["red"])
    assert (loaded.odc.geobox.crs.epsg, loaded.odc.geobox.resolution.x, loaded.odc.geobox.resolution.y) == (3577, 10, -10)
    left, top = loaded.odc.geobox.transform.c, loaded.odc.geobox.transform.f
    assert (left % 10, top % 10) == (5, 5)
    assert (loaded.red.values > 0).any()


def test_aliases_and_flags(cube: Datacube, stored: tuple[dict[str, Any], dict[str, Pixels]]) -> None:
    item, pixels = stored
    loaded: xr.Dataset = cube.load(product="example_l2", measurements=["B04", "nir", "qa", "SCL"], like=_geobox(pixels["qa"]))
    other = odc.stac.load([pystac.Item.from_dict(item)], bands=["B04", "nir"], like=_geobox(pixels["qa"]))
    np.testing.assert_array_equal(loaded.B04.values, other.B04.values)
    np.testing.assert_array_equal(loaded.nir.values, other.nir.values)
    cloudy = masking.make_mask(loaded.qa, cloud="cloud").values[0]
    np.testing.assert_array_equal(cloudy, pixels["qa"].data & 8 > 0)
    green = masking.make_mask(loaded.SCL, scl="vegetation").values[0]
    np.testing.assert_array_equal(green, pixels["scl"].data == 4)
    valid = masking.valid_data_mask(cube.load(product="example_l2", measurements=["aerosol", "coastal"], like=_geobox(pixels["aerosol"])))
    np.testing.assert_array_equal(valid.aerosol.values[0], ~np.isnan(pixels["aerosol"].data))
    assert not valid.coastal.values[0, :60].any()
