"""Outlines of rasters of any shape, and what becomes of them in longitude and latitude."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from affine import Affine

from eolake.catalog.errors import BadProduct
from eolake.ingest.outlines import bbox, data_outline, geographic

GRID = Affine(30, 0, 600_000, 0, -30, 6_200_000)


def test_what_is_no_swath_is_traced() -> None:
    valid = np.zeros((300, 400), bool)
    valid[50:250, 100:200] = valid[200:250, 100:390] = True
    outline = data_outline(valid, GRID)
    assert outline is not None
    assert outline.equals(
        shapely.union(shapely.box(603_000, 6_192_500, 606_000, 6_198_500), shapely.box(603_000, 6_192_500, 611_700, 6_194_000))
    )
    apart = np.zeros((300, 400), bool)
    apart[:50, :50] = apart[250:, 350:] = True
    found = data_outline(apart, GRID)
    assert found is not None
    assert len(shapely.get_parts(found)) == 2
    assert data_outline(np.zeros((3, 3), bool), GRID) is None


def test_scattered_pixels_have_their_hull() -> None:
    valid = np.random.default_rng(1).random((400, 400)) > 0.99
    found = data_outline(valid, GRID)
    assert found is not None
    assert found.geom_type == "Polygon"
    assert shapely.get_num_coordinates(found) < 60


@pytest.mark.parametrize(
    ("bounds", "crs", "expected"),
    [
        ((-180.05, -90.05, 179.95, 90.05), "EPSG:4326", [-180, -90, 180, 90]),
        ((150, -60, 210, 0), "EPSG:4326", [150, -60, -150, 0]),
        ((190, -60, 210, 0), "EPSG:4326", [-170, -60, -150, 0]),
        ((-4e6, -4e6, 4e6, 4e6), "EPSG:3031", [-180, -90, 180, -41.03]),
        ((400_000, 6e6, 900_000, 6.2e6), "EPSG:32760", [175.89, -36.14, -178.56, -34.26]),
    ],
)
def test_footprints_are_valid_and_within_the_map(bounds: tuple[float, ...], crs: str, expected: list[float]) -> None:
    found = geographic(shapely.box(*bounds), crs, "a test")
    assert found.is_valid
    assert all(part.exterior.is_ccw for part in shapely.get_parts(found))
    np.testing.assert_allclose(bbox(found), expected, atol=0.01)


def test_what_lies_nowhere_on_the_earth_is_refused() -> None:
    with pytest.raises(BadProduct, match="a test lies nowhere on the Earth"):
        geographic(shapely.box(0, 95, 10, 99), "EPSG:4326", "a test")
    with pytest.raises(BadProduct, match="a test lies nowhere on the Earth"):
        geographic(shapely.box(1e9, 1e9, 2e9, 2e9), "EPSG:32755", "a test")
