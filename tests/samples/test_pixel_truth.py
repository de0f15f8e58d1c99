"""Every pixel of every band of every product comes out as the provider made it: through the cube and through a STAC search."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from itertools import groupby
from typing import TYPE_CHECKING, Any

import datacube
import numpy as np
import odc.stac
import pystac_client
import pytest
import xarray as xr
from odc.geo.geobox import GeoBox
from support.intake import Expected, Source

from eolake.catalog.declaration import declared

if TYPE_CHECKING:
    import pystac
    from conftest import Taken

MOMENT = timedelta(milliseconds=1)


@pytest.fixture(scope="module")
def cube(taken: Taken) -> Iterator[datacube.Datacube]:
    """With the very variables of `eolake env`."""
    variables = taken.environment
    environment = {"db_url": variables["ODC_DEFAULT_DB_URL"], "index_driver": variables["ODC_DEFAULT_INDEX_DRIVER"]}
    with datacube.Datacube(raw_config={"default": environment}) as cube:
        yield cube


@pytest.fixture(scope="module")
def found(taken: Taken, url: str) -> dict[str, pystac.Item]:
    """Every item that a search finds, by `collection/id`; its assets have http hrefs."""
    assert taken.document["counts"].get("published"), taken.document
    items = list(pystac_client.Client.open(f"{url}/stac").search(limit=5).items())
    assert {f"{item.collection_id}/{item.id}" for item in items} == {expected.item for expected in taken.published}
    return {f"{item.collection_id}/{item.id}": item for item in items}


def by_grid(found: dict[str, Source]) -> Iterator[tuple[GeoBox, dict[str, Source]]]:
    """Bands that share the grid of their source."""

    def grid(entry: tuple[str, Source]) -> tuple[Any, ...]:
        like = entry[1].like
        return (*like.shape, *like.affine)

    for _, entries in groupby(sorted(found.items(), key=grid), key=grid):
        group = dict(entries)
        yield next(iter(group.values())).like, group


def assert_truth(loaded: xr.Dataset, group: dict[str, Source], expected: Expected) -> None:
    assert loaded.sizes["time"] == 1
    collection = declared(expected.item.split("/")[0])
    for name, source in group.items():
        band, values = collection.band(name), loaded[name].values[0]
        assert values.dtype == source.data.dtype == np.dtype(band.dtype), name
        np.testing.assert_array_equal(without_offset(values, band.aliases[0], expected), source.data, err_msg=f"{expected.item} {name}")
        if source.nodata not in {None, band.nodata}:
            assert not (source.data == source.nodata).any(), f"{name}: for the provider {source.nodata} is no data"
        assert loaded[name].odc.nodata in {band.nodata, 0}, "where nothing is declared ODC wants one nevertheless"


def without_offset(values: Any, code: str, expected: Expected) -> Any:
    """What Sentinel-2 reflectance was before the lake put old baselines on the scale of the new ones."""
    if not expected.added or not re.match(r"B\d", code):
        return values
    assert not ((values > 0) & (values < expected.added)).any(), "every valid pixel was raised"
    return np.where((values == 0) | (values == 65535), values, values - np.uint16(expected.added))


def test_the_cube_has_every_pixel_of_every_band(taken: Taken, cube: datacube.Datacube, found: dict[str, pystac.Item]) -> None:
    """Bands that some products of a collection lack are no measurements, for ODC knows no optional ones: a search has them."""
    for expected in taken.published:
        at = found[expected.item].datetime
        assert at is not None
        product = expected.item.split("/")[0]
        measured = {band.name for band in declared(product).measurements}
        for like, group in by_grid({name: source for name, source in taken.sources(expected).items() if name in measured}):
            loaded = cube.load(product=product, measurements=list(group), like=like, time=(at - MOMENT, at + MOMENT))
            assert_truth(loaded, group, expected)


def test_a_search_and_odc_stac_give_every_pixel_of_every_band(taken: Taken, found: dict[str, pystac.Item], url: str) -> None:
    for expected in taken.published:
        item = found[expected.item]
        for like, group in by_grid(taken.sources(expected)):
            assert all(item.assets[name].href.startswith(f"{url}/") for name in group)
            assert_truth(odc.stac.load([item], bands=list(group), like=like), group, expected)


def test_the_store_hrefs_of_an_item_give_the_same(taken: Taken, found: dict[str, pystac.Item]) -> None:
    """For who has the store at hand: the alternates."""
    for expected in taken.published:
        item = found[expected.item].full_copy()
        for asset in item.assets.values():
            (asset.href,) = (alternate["href"] for alternate in asset.extra_fields.get("alternate", {}).values())
        for like, group in by_grid(taken.sources(expected)):
            assert all(item.assets[name].href.startswith("file:///") for name in group)
            assert_truth(odc.stac.load([item], bands=list(group), like=like), group, expected)


def test_no_band_of_a_product_is_left_behind(taken: Taken, found: dict[str, pystac.Item]) -> None:
    for expected in taken.published:
        bands = {name for name, asset in found[expected.item].assets.items() if "data" in (asset.roles or [])}
        collection = declared(expected.item.split("/")[0])
        assert set(taken.sources(expected)) <= set(found[expected.item].assets)
        assert bands <= set(taken.sources(expected)), "every band has its raster"
        assert set(taken.sources(expected)) == {band.name for band in collection.bands if not band.optional or band.name in bands}


def test_bands_of_three_resolutions_load_together(taken: Taken, cube: datacube.Datacube, found: dict[str, pystac.Item]) -> None:
    """On the finest grid a coarse pixel stands for all the fine ones in it."""
    for expected in (product for product in taken.published if product.item.startswith("s2_")):
        item, truth = found[expected.item], taken.sources(expected)
        names = ["red", "rededge1", "coastal"]
        like = truth["red"].like
        at = item.datetime
        assert at is not None
        loaded = cube.load(product=str(item.collection_id), measurements=names, like=like, time=(at - MOMENT, at + MOMENT))
        other = odc.stac.load([item], bands=names, like=like)
        for name in names:
            code = declared(str(item.collection_id)).band(name).aliases[0]
            wanted = on_grid(truth[name], like)
            for dataset in (loaded, other):
                np.testing.assert_array_equal(without_offset(dataset[name].values[0], code, expected), wanted, err_msg=f"{item.id} {name}")
        assert len({truth[name].data.shape for name in names}) == 3


def on_grid(source: Source, like: GeoBox) -> Any:
    """Nearest pixel of the source for the centre of every pixel of a grid; outside the source 0."""
    inverse = ~source.like.affine
    x, _ = like.affine @ (np.arange(like.shape[1]) + 0.5, np.zeros(like.shape[1]))
    _, y = like.affine @ (np.zeros(like.shape[0]), np.arange(like.shape[0]) + 0.5)
    columns = np.floor(inverse.a * x + inverse.c).astype(int)
    rows = np.floor(inverse.e * y + inverse.f).astype(int)
    height, width = source.data.shape
    inside = ((rows >= 0) & (rows < height))[:, None] & ((columns >= 0) & (columns < width))[None, :]
    picked = source.data[np.clip(rows, 0, height - 1)[:, None], np.clip(columns, 0, width - 1)[None, :]]
    return np.where(inside, picked, 0).astype(source.data.dtype)
