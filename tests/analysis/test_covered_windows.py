"""What a scene does not cover is not read: the window holds every pixel whose centre lies in the scene, and little more."""

from __future__ import annotations

import numpy as np
import pytest
from odc.geo.geobox import GeoBox
from odc.geo.geom import Geometry
from pyproj import Transformer

from eolake.analysis.pixels import MARGIN, covered

TILE = GeoBox.from_bbox((1632000, -3840000, 1728000, -3744000), "EPSG:3577", resolution=300)


def _scene(left: float, top: float, side: float) -> Geometry:
    return GeoBox.from_bbox((left, top - side, left + side, top), "EPSG:32756", resolution=60).extent.segmented(side / 32)


def _centres_inside(scene: Geometry) -> tuple[np.ndarray, np.ndarray]:
    x, y = np.meshgrid(*(TILE.coordinates[name].values for name in ("x", "y")))
    east, north = Transformer.from_crs(3577, 32756, always_xy=True).transform(x, y)
    box = scene.boundingbox
    return np.nonzero((east > box.left) & (east < box.right) & (north > box.bottom) & (north < box.top))


def _wholly_inside(index: np.ndarray) -> bool:
    return bool(index.size and index.min() > 0 and index.max() < TILE.shape[0] - 1)


@pytest.mark.parametrize("corner", [(245100, 6242260), (150000, 6300000), (180000, 6230000), (290000, 6320000)])
@pytest.mark.parametrize("side", [9000, 40000, 400000])
def test_every_pixel_of_the_scene_is_in_the_window(corner: tuple[float, float], side: float) -> None:
    rows, columns = covered(_scene(*corner, side), TILE)
    row, column = _centres_inside(_scene(*corner, side))
    assert ((row >= rows.start) & (row < rows.stop)).all()
    assert ((column >= columns.start) & (column < columns.stop)).all()
    if _wholly_inside(row) and _wholly_inside(column):
        assert row.min() - rows.start <= MARGIN + 1
        assert rows.stop - 1 - row.max() <= MARGIN + 1


def test_a_scene_beside_the_tile_has_an_empty_window() -> None:
    rows, columns = covered(_scene(600000, 6242260, 9000), TILE)
    assert columns.start >= columns.stop
    rows, columns = covered(_scene(245100, 7000000, 9000), TILE)
    assert rows.start >= rows.stop
