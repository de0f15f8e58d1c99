"""Sensors say where a band's pixels are before it is decoded, and their products are clipped."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from support.landsat_products import product as landsat_product

from eolake.catalog.declaration import declared
from eolake.catalog.draft import Draft, Frame
from eolake.ingest.clipping import clip
from eolake.ingest.sensors import identify
from eolake.ingest.simulators.products.hydrosar import generate_hydrosar
from eolake.ingest.simulators.products.scenes import TINY, generate_scene

WHEN = datetime(2020, 1, 8, 0, 11, 9, tzinfo=UTC)


def landsat(collection: str, folder: Path) -> Path:
    return Path(landsat_product(collection, size=60).write(folder))


def hydrosar(kind: Any, folder: Path) -> Path:
    return generate_hydrosar(kind, WHEN, folder, size=60)


def sentinel2(kind: Any, folder: Path) -> Path:
    return generate_scene(kind, WHEN, folder, size=TINY)


PRODUCTS: dict[str, Callable[[Path], Path]] = {
    **{name: partial(landsat, name) for name in ("ls8_c2_l2", "ls8_c2_l1", "ls7_c1_l1")},
    **{name: partial(sentinel2, name) for name in ("s2_l1c", "s2_l2a")},
    **{f"hydrosar_{name}": partial(hydrosar, name) for name in ("rtc", "water")},
}


def opened(path: Path, workspace: Path) -> Draft:
    found = identify(path)
    assert found is not None
    workspace.mkdir()
    (draft,) = found[0].open(path, workspace)
    return draft


def valid(data: np.ndarray[Any, Any], nodata: float | None) -> np.ndarray[Any, Any]:
    """Pixels that show something."""
    return ~np.isnan(data) if data.dtype.kind == "f" and nodata != nodata else data != nodata  # noqa: PLR0124 - NaN


def middle(draft: Draft) -> dict[str, Any]:
    """The middle of the footprint's box."""
    whole = shapely.box(*shapely.geometry.shape(dict(draft.item.geometry or {})).bounds)
    return dict(shapely.geometry.mapping(shapely.affinity.scale(whole, 0.4, 0.4)))


@pytest.mark.parametrize("make", PRODUCTS.values(), ids=PRODUCTS)
def test_frames_are_those_of_the_pixels_and_clips_are_parts_of_them(make: Callable[[Path], Path], tmp_path: Path) -> None:
    draft = opened(make(tmp_path / "in"), tmp_path / "work")
    collection = declared(str(draft.item.collection_id))
    whole = {name: band.read() for name, band in draft.bands.items()}
    for name, band in draft.bands.items():
        assert band.frame is not None
        pixels = whole[name]
        assert band.frame() == Frame(shape=pixels.data.shape, transform=pixels.transform, crs=pixels.crs), name
    found = clip(draft, middle(draft))
    grids: dict[str, Any] = {}
    for name, band in found.bands.items():
        part, pixels, nodata = band.read(), whole[name], collection.band(name).nodata
        column, row = (round(n) for n in ~pixels.transform @ (part.transform.c, part.transform.f))
        rows, columns = part.data.shape
        assert 0 < rows < pixels.data.shape[0]
        window = pixels.data[row : row + rows, column : column + columns]
        kept = valid(part.data, nodata)
        assert kept.sum() >= 0.4 * valid(window, nodata).sum(), "the area fills most of its window"
        assert np.array_equal(part.data[kept], window[kept])
        assert grids.setdefault(collection.band(name).grid, (part.data.shape, part.transform)) == (part.data.shape, part.transform)
