"""Footprints: from pixels, from the angle file, from the metadata's corners."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from affine import Affine
from pyproj import Transformer
from support.landsat_products import CORNERS, product

from eolake.catalog.errors import BadProduct
from eolake.ingest.sensors.landsat import footprint, mtl
from eolake.ingest.sensors.landsat.scene import scene
from eolake.ingest.sensors.landsat.sensor import metadata_geometry

CRS = "EPSG:32655"
# The image of a real scene: 185 by 180 km, turned by 12 degrees.
IMAGE = shapely.Polygon([(688_900, -3_715_000), (872_500, -3_757_000), (832_100, -3_952_000), (648_600, -3_910_000)])
BOUNDS = (641_985.0, -3_714_585.0)


def _mask(image: shapely.Polygon, cell: float, shape: tuple[int, int] = (7951, 7911)) -> tuple[np.ndarray[Any, Any], Affine]:
    """Pixels whose centre lies in the image, at `cell` metres."""
    transform = Affine(cell, 0, BOUNDS[0], 0, -cell, BOUNDS[1])
    rows, columns = round(shape[0] * 30 / cell), round(shape[1] * 30 / cell)
    valid = np.zeros((rows, columns), bool)
    for row in range(rows):
        y = BOUNDS[1] - (row + 0.5) * cell
        crossed = image.intersection(shapely.LineString([(0, y), (2e6, y)]))
        if not crossed.is_empty and crossed.length > 0:
            west, _, east, _ = crossed.bounds
            valid[row, max(0, int(np.ceil((west - BOUNDS[0]) / cell - 0.5))) : int(np.floor((east - BOUNDS[0]) / cell - 0.5)) + 1] = True
    return valid, transform


def _distance(found: shapely.Polygon | None, expected: shapely.Polygon = IMAGE) -> float:
    """Hausdorff distance in degrees."""
    assert found is not None
    return float(footprint.geographic(found, CRS).hausdorff_distance(footprint.geographic(expected, CRS)))


def test_full_resolution_finds_the_image_within_a_pixel() -> None:
    valid, transform = _mask(IMAGE, 30)
    found = footprint.valid_outline(valid, transform, 30)
    assert _distance(found) < 0.0003
    assert found is not None
    assert len(found.exterior.coords) == 5


@pytest.mark.parametrize("factor", [5, 15])
def test_averaged_pixels_find_the_image_within_a_thousandth_of_a_degree(factor: int) -> None:
    valid, _ = _mask(IMAGE, 30)
    rows, columns = (n // factor * factor for n in valid.shape)
    touched = valid[:rows, :columns].reshape(rows // factor, factor, columns // factor, factor).any(axis=(1, 3))
    cell = 30.0 * factor
    assert _distance(footprint.valid_outline(touched, Affine(cell, 0, BOUNDS[0], 0, -cell, BOUNDS[1]), 30)) < 0.001


def test_holes_and_clouds_of_nodata_do_not_change_it() -> None:
    valid, transform = _mask(IMAGE, 120)
    holes = np.random.default_rng(1).random(valid.shape) < 0.02
    holes[:, :400] = False  # a hole at an edge would be one in the edge
    whole, holed = (footprint.valid_outline(mask, transform, 30) for mask in (valid, valid & ~holes))
    assert _distance(holed, whole) < 0.002


def test_ragged_edges_are_outlined_by_their_hull() -> None:
    valid, transform = _mask(IMAGE, 120)
    rows, columns = np.indices(valid.shape)
    gaps = (rows + 0.21 * columns) % 60 < 25  # without the scan line corrector: wedges at both sides
    wedge = np.abs(columns - valid.shape[1] / 2) > valid.shape[1] * 0.15
    found = footprint.valid_outline(valid & ~(gaps & wedge), transform, 30)
    assert found is not None
    whole = footprint.valid_outline(valid, transform, 30)
    assert whole is not None
    assert found.intersection(whole).area / found.union(whole).area > 0.95
    left = np.argwhere(valid & ~(gaps & wedge))
    x, y = transform @ (left[:, 1] + 0.5, left[:, 0] + 0.5)
    assert shapely.contains_xy(found.buffer(120), x, y).all()


def test_a_raster_full_of_data_is_its_own_footprint() -> None:
    transform = Affine(30, 0, 619_395, 0, -30, -410_205)
    found = footprint.valid_outline(np.ones((310, 287), bool), transform, 30)
    assert found is not None
    assert found.equals(shapely.box(619_395, -410_205 - 310 * 30, 619_395 + 287 * 30, -410_205))


@pytest.mark.parametrize("pixels", [[(3, 4)], [(3, 4), (3, 5)], [(0, 0), (9, 9)], [(2, 2), (5, 7), (8, 1)]])
def test_a_few_valid_pixels_have_a_footprint_too(pixels: list[tuple[int, int]]) -> None:
    valid = np.zeros((10, 10), bool)
    for pixel in pixels:
        valid[pixel] = True
    found = footprint.valid_outline(valid, Affine(30, 0, 641_985, 0, -30, -3_714_585), 30)
    assert found is not None
    assert found.is_valid
    assert found.area > 0
    assert found.within(shapely.box(641_985, -3_714_885, 642_285, -3_714_585))


def test_no_valid_pixel_has_none() -> None:
    assert footprint.valid_outline(np.zeros((10, 10), bool), Affine(30, 0, 0, 0, -30, 0), 30) is None


def test_b4a_the_upper_right_corner_counts(tmp_path: Path) -> None:
    """B4.a: a bounding box was made of UL, UL, LL, LR; the upper right corner was lost."""
    found = scene(mtl.read(next(product("ls8_c1_l1").write(tmp_path).glob("*_MTL.txt"))))
    assert found.corners == tuple(CORNERS[name] for name in ("UL", "UR", "LR", "LL"))
    geometry = metadata_geometry(found, None)
    corners = {tuple(round(n, 5) for n in corner) for corner in shapely.get_coordinates(geometry)}
    assert corners == set(CORNERS.values())
    assert footprint.bbox(geometry) == [148.52978, -35.71163, 151.18878, -33.50374]
    assert geometry.is_valid


ANGLES = """GROUP = PROJECTION
  UL_CORNER = ( 642000.000, -3714600.000)
END_GROUP = PROJECTION
GROUP = RPC_BAND01
  BAND01_L1T_IMAGE_CORNER_LINES = (    13.333333,  1413.333333,  7913.333333,  6513.333333)
  BAND01_L1T_IMAGE_CORNER_SAMPS = ( 1563.333333,  7683.333333,  6336.666667,   220.000000)
END_GROUP = RPC_BAND01
"""


def test_the_angle_file_gives_the_corners_of_the_image(tmp_path: Path) -> None:
    path = tmp_path / "LC08_ANG.txt"
    path.write_text(ANGLES)
    found = footprint.angle_outline(path, 30)
    assert found is not None
    assert found.hausdorff_distance(IMAGE) < 1.0


def test_angle_files_of_tm_and_etm_have_no_corners(tmp_path: Path) -> None:
    path = tmp_path / "LE07_ANG.txt"
    path.write_text("GROUP = PROJECTION\n  UL_CORNER = ( 525300.000, -2769000.000)\nEND_GROUP = PROJECTION\n")
    assert footprint.angle_outline(path, 30) is None


@pytest.mark.parametrize("corners", ["( 1, 2, 3)", "( 1, 2, 3, x)", "(,,,)", "( 1, 1, 1, 1)"])
def test_a_broken_angle_file_says_so(tmp_path: Path, corners: str) -> None:
    path = tmp_path / "LC08_ANG.txt"
    path.write_text(re.sub(r"(IMAGE_CORNER_\w+ = )\(.*\)", rf"\1{corners}", ANGLES))
    with pytest.raises(BadProduct, match=r"LC08_ANG.txt"):
        footprint.angle_outline(path, 30)


@pytest.mark.parametrize("turn", [0, 360, -360])
def test_the_antimeridian_cuts_a_footprint_in_two(turn: int) -> None:
    corners = [(179.2 + turn, 52.7), (-177.4, 52.2), (-178.0, 50.6), (179.0, 51.0)]
    found = footprint.from_corners(corners)
    assert isinstance(found, shapely.MultiPolygon)
    assert found.is_valid
    assert footprint.bbox(found) == [179.0, 50.6, -177.4, 52.7]
    assert found.area == pytest.approx(footprint.from_corners([(lon - 20, lat) for lon, lat in corners]).area, rel=1e-6)
    assert all(part.exterior.is_ccw for part in found.geoms)
    assert all(-180 <= lon <= 180 for lon, _ in shapely.get_coordinates(found))


def test_a_utm_scene_over_the_antimeridian() -> None:
    west, south = Transformer.from_crs("EPSG:4326", "EPSG:32660", always_xy=True).transform(179.0, -17.5)
    found = footprint.geographic(shapely.box(west, south, west + 180_000, south + 180_000), "EPSG:32660")
    assert isinstance(found, shapely.MultiPolygon)
    west, _, east, _ = footprint.bbox(found)
    assert 178.9 < west < 179.1
    assert -179.5 < east < -179


def test_a_scene_next_to_the_antimeridian_stays_whole() -> None:
    found = footprint.from_corners([(178.0, 1.0), (179.99, 1.0), (180.0, 0.0), (178.0, 0.0)])
    assert isinstance(found, shapely.Polygon)
    assert found.bounds == (178.0, 0.0, 180.0, 1.0)
