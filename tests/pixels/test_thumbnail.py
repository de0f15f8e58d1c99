"""Thumbnails: small, readable by others, transparent without data, in the declared colours."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine

from eolake.catalog.declaration import Collection
from eolake.catalog.draft import Pixels
from eolake.catalog.thumbnail import write_thumbnail

GRID = Affine(30, 0, 600_015, 0, -30, 6_300_015)


def _collection(bands: list[dict[str, Any]], **more: Any) -> Collection:
    document = {"id": "x", "title": "X", "description": "X", "license": "CC0-1.0", "keywords": [], "providers": []}
    named = [{"title": band["name"], **band} for band in bands]
    grid = {"load": {"crs": "EPSG:3577", "resolution": 30}, "thumbnail": [band["name"] for band in bands]}
    return Collection.model_validate({**document, **grid, "bands": named, **more})


def _picture(bands: list[np.ndarray[Any, Any]], collection: Collection, path: Path) -> np.ndarray[Any, Any]:
    """What GDAL's PNG driver reads: (rows, columns, RGBA)."""
    write_thumbnail([Pixels(data=data, transform=GRID, crs="EPSG:32755") for data in bands], collection, path)
    with rasterio.open(path, driver="PNG", transform=GRID) as opened:
        picture: np.ndarray[Any, Any] = np.moveaxis(opened.read(), 0, -1)
    assert picture.shape[2] == 4
    return picture


pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")  # a PNG has no grid


def test_three_bands_are_red_green_and_blue(tmp_path: Path) -> None:
    values = {"dtype": "uint16", "nodata": 0, "scale": 0.0001, "offset": -0.1}
    collection = _collection([{"name": name, **values} for name in ("red", "green", "blue")], thumbnail_range=(0.0, 0.3))
    bands = [np.full((10, 20), value, np.uint16) for value in (1000, 2500, 4000)]  # 0, 0.15, 0.3
    bands[1][0, 0] = 0
    picture = _picture(bands, collection, tmp_path / "t.png")
    assert picture[5, 5].tolist() == [0, 128, 255, 255]
    assert picture[0, 0].tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize("shape", [(20, 20), (1, 1), (599, 599), (600, 10), (1201, 7000), (3, 5000)])
def test_the_longest_side_stays_below_600(tmp_path: Path, shape: tuple[int, int]) -> None:
    collection = _collection([{"name": "red", "dtype": "uint8"}])
    picture = _picture([np.ones(shape, np.uint8)], collection, tmp_path / "t.png")
    assert max(picture.shape) < 600
    assert min(picture.shape) >= 1


def test_one_band_is_grey_between_its_percentiles(tmp_path: Path) -> None:
    data = np.linspace(0, 1, 10_000, dtype=np.float32).reshape(100, 100)
    data[0, 0] = math.nan
    data[99, 99] = 1e30
    picture = _picture([data], _collection([{"name": "ndvi", "dtype": "float32", "nodata": math.nan}]), tmp_path / "t.png")
    assert picture[0, 0, 3] == 0
    assert picture[50, 0, :3].tolist() == [127] * 3 or picture[50, 0, :3].tolist() == [128] * 3
    assert picture[99, 99].tolist() == [255, 255, 255, 255]


def test_classes_have_their_colours(tmp_path: Path) -> None:
    classes = [
        {"value": 0, "name": "none", "color_hint": "000000"},
        {"value": 4, "name": "plants", "color_hint": "00A000"},
        {"value": 5, "name": "x"},
    ]
    collection = _collection([{"name": "scl", "dtype": "uint8", "nodata": 0, "classes": classes}])
    picture = _picture([np.array([[0, 4, 5, 9]], np.uint8)], collection, tmp_path / "t.png")
    assert picture[0].tolist() == [[0, 0, 0, 0], [0, 160, 0, 255], [0, 0, 0, 0], [0, 0, 0, 0]]


def test_nothing_valid_is_all_transparent(tmp_path: Path) -> None:
    collection = _collection([{"name": "red", "dtype": "uint16", "nodata": 0}])
    assert not _picture([np.zeros((30, 30), np.uint16)], collection, tmp_path / "t.png").any()


def test_bands_of_other_grids_meet(tmp_path: Path) -> None:
    collection = _collection(
        [{"name": name, "dtype": "uint8", "grid": grid} for name, grid in (("a", "g10"), ("b", "g20"), ("c", "g60"))],
        thumbnail_range=(0, 255),
    )
    bands = [np.full((side, side), value, np.uint8) for side, value in ((120, 10), (60, 20), (20, 30))]
    picture = _picture(bands, collection, tmp_path / "t.png")
    assert picture.shape == (120, 120, 4)
    assert np.unique(picture.reshape(-1, 4), axis=0).tolist() == [[10, 20, 30, 255]]
