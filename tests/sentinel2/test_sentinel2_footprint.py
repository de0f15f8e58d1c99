"""Footprints: heights, the equator, the antimeridian, poles, broken rings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import antimeridian
import pytest
import shapely
from pyproj import Transformer
from support.sentinel2_layouts import as_aws, edit, granule_of, main_of

from eolake.catalog.draft import Draft
from eolake.catalog.errors import BadProduct
from eolake.ingest.sensors.sentinel2 import footprint
from eolake.ingest.sensors.sentinel2.metadata import read_product

FOLDER = Path("pixels/sentinel2/stactools_safe_metadata")
Drafts = Callable[[Path], list[Draft]]
Generated = Callable[..., Path]


def positions(*lonlat: tuple[float, float]) -> str:
    return " ".join(f"{lat} {lon}" for lon, lat in (*lonlat, lonlat[0])) + " "


def test_heights_are_left_out(samples: Path) -> None:
    """A real product of 2015 has heights, but not after the last position."""
    (path,) = (samples / FOLDER).glob("*_T11SLT_*/MTD_MSIL2A.xml")
    shape = footprint.from_positions(read_product(path).footprint, "")
    assert shape.equals(
        shapely.Polygon([(-119.17378, 34.322366), (-119.148867, 33.332767), (-117.969375, 33.347578), (-117.980622, 34.337737)])
    )


def test_generated_heights() -> None:
    square = positions((150, -33), (151, -33), (151, -34), (150, -34))
    words = square.split()
    raised = " ".join(f"{lat} {lon} 0" for lat, lon in zip(words[::2], words[1::2], strict=True))
    assert footprint.from_positions(raised, "").equals(footprint.from_positions(square, ""))
    assert footprint.from_positions(raised.removesuffix(" 0"), "").equals(footprint.from_positions(square, ""))


def test_a_zero_latitude_is_no_height(samples: Path) -> None:
    """A real product whose data end at the equator."""
    (path,) = (samples / FOLDER).glob("*_T43MDV_*/MTD_MSIL2a.xml")
    assert footprint.from_positions(read_product(path).footprint, "").equals(
        shapely.Polygon([(74.120036, 0), (74.100991, -0.08666), (74.101003, 0)])
    )


def test_generated_equator() -> None:
    shape = footprint.from_positions("0 74.12 -0.5 74.1 -0.5 74.0 0 74.0 0 74.12", "")
    assert shape.bounds == (74.0, -0.5, 74.12, 0.0)


CROSSING = {
    "clockwise": [(179.5, -16), (-179.5, -16), (-179.5, -17), (179.5, -17)],
    "from the west": [(-179.5, -17), (-179.5, -16), (179.5, -16), (179.5, -17)],
    "slanted": [(179.6, -16), (-179.4, -16.1), (-179.7, -17), (179.3, -16.9)],
    "touching": [(179, -16), (180, -16), (180, -17), (179, -17)],
    "apart": [(150, -33), (151, -33), (151, -34), (150, -34)],
}


@pytest.mark.filterwarnings("ignore:The exterior ring of this shape is wound clockwise")
@pytest.mark.parametrize("corners", CROSSING.values(), ids=CROSSING)
def test_antimeridian(corners: list[tuple[float, float]]) -> None:
    """As the antimeridian package cuts it; bbox as RFC 7946 says."""
    shape = footprint.from_positions(positions(*corners), "")
    cut = footprint.on_map(shape, "")
    expected = shapely.geometry.shape(antimeridian.fix_shape(shapely.Polygon(corners), great_circle=False))
    assert cut.is_valid
    assert cut.normalize().equals_exact(expected.normalize(), 1e-6)
    assert all(ring.is_ccw for ring in (part.exterior for part in shapely.get_parts(cut)))
    if shapely.get_num_geometries(cut) > 1:
        west, _, east, _ = footprint.bbox(shape)
        assert west > 179
        assert east < -179
    else:
        assert footprint.bbox(shape) == list(shape.bounds)


@pytest.mark.parametrize("crs", ["EPSG:32701", "EPSG:32760"])
def test_tiles_at_the_antimeridian(crs: str) -> None:
    """A frame of zone 1 begins west of 180°, one of zone 60 ends east of it."""
    easting = 399960 - 300000 if crs == "EPSG:32701" else 799980
    shape = footprint.frame((easting, 8190220, easting + 109800, 8300020), crs)
    cut = footprint.on_map(shape, "")
    to_lonlat = Transformer.from_crs(crs, "EPSG:4326", always_xy=True)
    for x in (easting + 100, easting + 109700):
        for y in (8190320, 8299920):
            assert cut.contains(shapely.Point(to_lonlat.transform(x, y)))
    assert cut.geom_type == "MultiPolygon"
    assert cut.area == pytest.approx(shape.area, rel=1e-6)
    assert -180 <= footprint.centroid(shape)["lon"] <= 180


def test_edges_follow_the_projection() -> None:
    """80° south, where a straight edge of 110 km bends by more than a kilometre."""
    bounds = (399960.0, 990220.0, 509760.0, 1100020.0)
    shape = footprint.frame(bounds, "EPSG:32701")
    to_lonlat = Transformer.from_crs("EPSG:32701", "EPSG:4326", always_xy=True)
    middle = to_lonlat.transform((bounds[0] + bounds[2]) / 2, bounds[3])
    straight = shapely.Polygon([to_lonlat.transform(x, y) for x in bounds[::2] for y in bounds[1::2]]).convex_hull
    assert shape.boundary.distance(shapely.Point(middle)) < 2e-4
    assert straight.boundary.distance(shapely.Point(middle)) > 2e-3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"is not a closed ring of positions \(0 numbers\)"),
        ("1 2 3", r"is not a closed ring of positions \(3 numbers\)"),
        ("1 2 1 3 2 3 2", r"is not a closed ring of positions \(7 numbers\)"),
        ("1 2 one 3 2 3 1 2", "is not a list of positions: could not convert string to float: 'one'"),
        ("1 2 nan 3 2 3 1 2", "leaves the Earth"),
        ("1 2 91 3 2 3 1 2", "leaves the Earth"),
        ("1 2 1 3 1 1e300 1 2", "leaves the Earth"),
        ("1 2 1 2 1 2 1 2", "encloses nothing"),
        ("1 2 1 3 1 4 1 2", "encloses nothing"),
    ],
)
def test_broken_rings(text: str, message: str) -> None:
    with pytest.raises(BadProduct, match=f"^MTD: EXT_POS_LIST {message}"):
        footprint.from_positions(text, "MTD: EXT_POS_LIST")


def test_a_crossed_ring_is_repaired() -> None:
    shape = footprint.from_positions(positions((150, -33), (151, -34), (151, -33), (150, -34)), "")
    assert shape.is_valid
    assert shape.area == pytest.approx(0.5)


def test_the_wrong_side_of_the_earth_is_refused() -> None:
    shape = footprint.from_positions(positions((-100, -60), (60, -60), (60, 60), (-100, 60)), "")
    with pytest.raises(BadProduct, match=r"^MTD covers 19200 square degrees, far more than a tile$"):
        footprint.on_map(shape, "MTD")


@pytest.mark.parametrize(
    "outline", [{"type": "Polygon", "coordinates": "x"}, {"type": "Circle"}, {"type": "Polygon", "coordinates": [[[1, 2]]]}]
)
def test_broken_outlines(outline: dict[str, Any]) -> None:
    with pytest.raises(BadProduct, match=r"^tileInfo\.json: tileDataGeometry"):
        footprint.from_projected(outline, "EPSG:32755", "tileInfo.json: tileDataGeometry")


def test_the_steps_of_pixels_are_smoothed() -> None:
    """Sinergise traces outlines pixel by pixel: some 4,000 corners for a slanted edge."""
    steps = [(600_000 + 20 * (n // 2), 6_300_000 - 80 * ((n + 1) // 2)) for n in range(2400)]
    ring = [(500_000, steps[-1][1]), (500_000, 6_300_000), *steps]
    shape = footprint.from_projected({"type": "Polygon", "coordinates": [[*ring, ring[0]]]}, "EPSG:32755", "")
    assert shapely.get_num_coordinates(shape) < 120


def test_a_tile_without_data(generated: Generated, drafts: Drafts, tmp_path: Path) -> None:
    folder = as_aws(generated("s2_l1c"), tmp_path / "S2B_aws")
    edit(folder / "tileInfo.json", r'"coordinates": \[.*\]\]\]', '"coordinates": []')
    with pytest.raises(BadProduct, match=r"tileInfo\.json has no data outline \(tileDataGeometry\): the tile holds no data"):
        drafts(folder)


def test_a_tile_alone(generated: Generated, drafts: Drafts, tmp_path: Path) -> None:
    """metadata.xml and images only: the whole tile, named by its granule id."""
    product = generated("s2_l1c", "02.06")
    (draft,) = drafts(as_aws(product, tmp_path / "S2B_aws", product_info=False, tile_info=False))
    assert draft.item.id.startswith("S2B_OPER_MSI_L1C_TL_EPAE_")
    assert draft.scene_key == "sentinel-2b/L1C/56HKH/A014828@footprint"
    (whole,) = drafts(product)
    shape = shapely.geometry.shape(draft.item.geometry)
    assert shape.buffer(1e-6).contains(shapely.geometry.shape(whole.item.geometry))
    assert draft.item.bbox == pytest.approx(list(shape.bounds))


def test_a_crossing_product(generated: Generated, drafts: Drafts) -> None:
    product = generated("s2_l1c")
    edit(main_of(product), "<EXT_POS_LIST>.*</EXT_POS_LIST>", f"<EXT_POS_LIST>{positions(*CROSSING['slanted'])}</EXT_POS_LIST>")
    (draft,) = drafts(product)
    assert draft.item.geometry is not None
    assert draft.item.geometry["type"] == "MultiPolygon"
    assert draft.item.bbox == [179.3, -17, -179.4, -16]
    assert abs(draft.item.properties["proj:centroid"]["lon"]) > 179
    assert granule_of(product).exists()
