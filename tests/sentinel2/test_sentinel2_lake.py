"""Sentinel-2 products in the lake: valid STAC, and the provider's pixels through the cube and through STAC."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import odc.stac
import pystac
import pytest
from affine import Affine
from datacube import Datacube
from odc.geo.geobox import GeoBox
from rasterio.warp import Resampling, reproject
from support.scenes import claim

from eolake.catalog.declaration import declared
from eolake.catalog.draft import Draft, Pixels
from eolake.catalog.lake import Lake
from eolake.cube.check import check
from eolake.cube.publish import publish
from eolake.cube.session import Session

FOLDER = Path("pixels/sentinel2")
SAMPLES = {
    "T55JEJ": "au_l1c_wagl/SENTINEL2/S2A_MSIL1C_20171207T002051_N0206_R116_T55JEJ_20171207T032513.zip",
    "T55JGF": "au_l1c_eodatasets/data/S2B_OPER_MSI_L1C_TL_EPAE_20180617T013729_A006677_T55JGF_N02.06.AWSPDS.zip",
}
Drafts = Callable[[Path], list[Draft]]
Generated = Callable[..., Path]


@dataclass(frozen=True, kw_only=True)
class Stored:
    """A published product and its readers."""

    draft: Draft
    item: Mapping[str, Any]
    """As pgSTAC gives it."""
    cube: Datacube

    def load(self, *names: str, like: GeoBox) -> Any:
        return self.cube.load(product=self.item["collection"], measurements=list(names), like=like).isel(time=0)

    def stac_load(self, *names: str, like: GeoBox) -> Any:
        return odc.stac.load([pystac.Item.from_dict(dict(self.item))], bands=list(names), geobox=like).isel(time=0)


@pytest.fixture
def stored(lake: Lake, drafts: Drafts) -> Iterator[Callable[[Path], Stored]]:
    """stored(product): publishes it."""
    with Session(lake=lake) as session:

        def store(product: Path) -> Stored:
            (draft,) = drafts(product)
            assert publish(session, [draft], claim(session, product.name)).verdict == "published"
            report = check(session.connection, session.store).document()
            assert report["ok"], report
            row = session.connection.execute("select pgstac.get_item(%s, %s) as item", (draft.item.id, draft.item.collection_id)).fetchone()
            assert row is not None
            return Stored(draft=draft, item=row["item"], cube=Datacube(index=session.index))

        yield store


def geobox(pixels: Pixels) -> GeoBox:
    return GeoBox(pixels.data.shape, pixels.transform, pixels.crs)


def assert_stored(scene: Stored, validate_stac: Callable[[Mapping[str, Any]], None]) -> None:
    validate_stac(scene.item)
    collection = declared(str(scene.draft.item.collection_id))
    assert {band.name for band in collection.measurements} <= set(scene.draft.bands) <= set(scene.item["assets"])
    for name, band in scene.draft.bands.items():
        pixels, asset = band.read(), scene.item["assets"][name]
        assert asset["proj:shape"] == list(pixels.data.shape)
        assert asset.get("eolake:offset_added") == band.properties.get("eolake:offset_added")
        assert np.array_equal(scene.stac_load(name, like=geobox(pixels))[name].values, pixels.data), name
        if not collection.band(name).optional:
            loaded = scene.load(name, like=geobox(pixels))[name]
            assert np.array_equal(loaded.values, pixels.data), name
            assert loaded.odc.nodata == collection.band(name).nodata


@pytest.mark.parametrize("kind", ["s2_l1c", "s2_l2a"])
@pytest.mark.parametrize("baseline", ["02.06", "05.00"])
def test_generated(
    stored: Callable[[Path], Stored], generated: Generated, validate_stac: Callable[[Mapping[str, Any]], None], kind: str, baseline: str
) -> None:
    assert_stored(stored(generated(kind, baseline, "zip")), validate_stac)


@pytest.mark.parametrize("sample", SAMPLES.values(), ids=SAMPLES)
def test_real(stored: Callable[[Path], Stored], samples: Path, validate_stac: Callable[[Mapping[str, Any]], None], sample: str) -> None:
    assert_stored(stored(samples / FOLDER / sample), validate_stac)


def nearest(pixels: Pixels, like: GeoBox) -> Any:
    """What GDAL makes of one band on another grid."""
    target = np.zeros(like.shape, pixels.data.dtype)
    reproject(
        pixels.data,
        target,
        src_transform=pixels.transform,
        src_crs=pixels.crs,
        dst_transform=like.affine,
        dst_crs=str(like.crs),
        src_nodata=pixels.nodata,
        dst_nodata=0,
        resampling=Resampling.nearest,
    )
    return target


@pytest.mark.parametrize("pixel", [10, 20, 60])
def test_bands_of_three_pixel_sizes_in_one_load(stored: Callable[[Path], Stored], generated: Generated, pixel: int) -> None:
    """Each by GDAL's nearest neighbour; a band that has that pixel size is unchanged."""
    scene = stored(generated("s2_l2a", "02.06"))
    bands = {name: scene.draft.bands[name].read() for name in ("red", "rededge1", "coastal", "scl")}
    like = geobox({10: bands["red"], 20: bands["scl"], 60: bands["coastal"]}[pixel])
    loaded, from_stac = scene.load(*bands, like=like), scene.stac_load(*bands, like=like)
    for name, pixels in bands.items():
        if declared("s2_l2a").band(name).gsd == pixel:
            assert np.array_equal(loaded[name].values, pixels.data)
        if (
            declared("s2_l2a").band(name).gsd <= pixel
        ):  # down to fewer pixels the nearest is a matter of rounding: it is one of those inside
            block = pixel // int(declared("s2_l2a").band(name).gsd or 10)
            inside = pixels.data.reshape(like.shape[0], block, like.shape[1], block).swapaxes(1, 2).reshape(*like.shape, -1)
            assert (inside == loaded[name].values[..., None]).any(axis=-1).all()
        else:
            assert np.array_equal(loaded[name].values, nearest(pixels, like))
        assert np.array_equal(loaded[name].values, from_stac[name].values)


def test_names_of_the_provider_are_aliases(stored: Callable[[Path], Stored], generated: Generated) -> None:
    scene = stored(generated("s2_l2a"))
    expected = {code: scene.draft.bands[declared("s2_l2a").band(code).name].read() for code in ("B04", "B8A", "SCL")}
    for code, pixels in expected.items():
        assert np.array_equal(scene.load(code, like=geobox(pixels))[code].values, pixels.data)
        assert np.array_equal(scene.stac_load(code, like=geobox(pixels))[code].values, pixels.data)


def test_the_default_grid(stored: Callable[[Path], Stored], generated: Generated) -> None:
    """Without any grid: EPSG:3577 at 10 m, edges at whole multiples."""
    scene = stored(generated("s2_l1c"))
    loaded = scene.cube.load(product="s2_l1c", measurements=["red"], time="2020-01-08")
    assert loaded.odc.crs.to_epsg() == 3577
    assert loaded.odc.affine @ Affine.scale(0.1) == Affine(1, 0, loaded.odc.affine.c, 0, -1, loaded.odc.affine.f)
    assert (loaded.odc.affine.c % 10, loaded.odc.affine.f % 10) == (0, 0)
    assert int((loaded.red != 0).sum()) > 3000
