"""Footprints become valid GeoJSON, whatever a provider writes."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
import yaml
from hypothesis import given
from hypothesis import strategies as st
from shapely.geometry import shape

from eolake.ingest.providers.footprints import normalise

SQUARE = [[150.0, -34.0], [151.0, -34.0], [151.0, -33.0], [150.0, -33.0], [150.0, -34.0]]
SWATH = (
    "83.96,122.4 83.5,144.8 81.8,165.4 78.99,179.996 78.47,-178.285 76.85,-173.99 "
    "76.95,-173.95 78.6,-178.2 79.1,179.9 81.9,165.4 83.6,144.8 83.96,122.4"
)
"""latitude,longitude of a Sentinel-3 strip: across the antimeridian, 6° from the pole"""


def gml(positions: str, *, tag: str = "coordinates") -> str:
    return (
        '<gml:Polygon srsName="http://www.opengis.net/gml/srs/epsg.xml#4326" xmlns:gml="http://www.opengis.net/gml"><gml:outerBoundaryIs>'
        f"<gml:LinearRing><gml:{tag}>{positions}</gml:{tag}></gml:LinearRing></gml:outerBoundaryIs></gml:Polygon>"
    )


def polygons(value: Any) -> list[shapely.Polygon]:
    """The polygons of a footprint that is all a GeoJSON reader may ask for."""
    found = normalise(value)
    assert found is not None
    assert found == json.loads(json.dumps(found))
    geometry = shape(found)
    assert geometry.is_valid
    parts = list(shapely.get_parts(geometry))
    for part in parts:
        assert part.exterior.is_ccw
        assert not any(ring.is_ccw for ring in part.interiors)
        west, south, east, north = part.bounds
        assert -180 <= west < east <= 180
        assert -90 <= south < north <= 90
    return parts


@pytest.mark.parametrize(
    "value",
    [
        {"type": "Polygon", "coordinates": [SQUARE]},
        {"type": "Polygon", "coordinates": [SQUARE[::-1]]},
        {"type": "Feature", "properties": {}, "geometry": {"type": "Polygon", "coordinates": [SQUARE]}},
        {"type": "MultiPolygon", "coordinates": [[SQUARE]]},
        json.dumps({"type": "Polygon", "coordinates": [SQUARE]}),
        "POLYGON ((150 -34, 150 -33, 151 -33, 151 -34, 150 -34))",
        "POLYGON Z ((150 -34 7, 150 -33 7, 151 -33 7, 151 -34 7, 150 -34 7))",
        "geography'SRID=4326;POLYGON((150 -34,150 -33,151 -33,151 -34,150 -34))'",
        "SRID=4326;MULTIPOLYGON(((150 -34,150 -33,151 -33,151 -34,150 -34)))",
        "GEOMETRYCOLLECTION(POLYGON((150 -34,150 -33,151 -33,151 -34,150 -34)), POINT(3 4))",
        gml("-34,150 -33,150 -33,151 -34,151 -34,150"),
        gml("-34 150 -33 150 -33 151 -34 151 -34 150", tag="posList"),
        "<gml:Polygon><gml:exterior><gml:posList>-34 150 -33 150 -33 151 -34 151</gml:posList></gml:exterior></gml:Polygon>",
        "POLYGON ((-210 -34, -210 -33, -209 -33, -209 -34, -210 -34))",
    ],
)
def test_d06_every_form_of_one_square_is_the_same_geojson(value: Any) -> None:
    [square] = polygons(value)
    assert square.bounds == (150, -34, 151, -33)


def test_d06_latitude_comes_first_in_gml() -> None:
    [part] = polygons(gml("49.5,-48.8 50.1,-48.6 50.0,-47.0 49.5,-48.8"))
    assert part.bounds == (-48.8, 49.5, -47.0, 50.1)


def test_d06_strip_across_the_antimeridian_near_the_pole_is_cut_there() -> None:
    east, west = sorted(polygons(gml(SWATH)), key=lambda part: -part.bounds[2])
    assert (east.bounds[0], east.bounds[2]) == (122.4, 180)
    assert (west.bounds[0], west.bounds[2]) == (-180, -173.95)
    assert east.area + west.area < 6  # the long way round it would be thousands of square degrees


def test_d06_ring_around_a_pole_encloses_it() -> None:
    [north] = polygons("POLYGON((0 80, 90 80, 180 80, -90 80, 0 80))")
    assert north.area == pytest.approx(3600)
    [south] = polygons("POLYGON((0 -80, -90 -80, 180 -80, 90 -80, 0 -80))")
    assert south.contains(shapely.Point(12, -89))
    assert not south.contains(shapely.Point(12, -79))


def test_d06_cap_that_starts_off_the_antimeridian_is_the_same_cap() -> None:
    [cap] = polygons("POLYGON((100 80, -170 80, -80 80, 10 80, 100 80))")
    assert cap.bounds == (-180, 80, 180, 90)
    assert cap.area == pytest.approx(3600)


def test_d06_whole_earth_stays_whole() -> None:
    [earth] = polygons("POLYGON((-180 -90, 180 -90, 180 90, -180 90, -180 -90))")
    assert earth.area == 360 * 180


def test_d06_already_cut_footprint_stays_as_it_is() -> None:
    cut = {
        "type": "MultiPolygon",
        "coordinates": [
            [[[178.0, -18.0], [180.0, -18.0], [180.0, -17.0], [178.0, -17.0], [178.0, -18.0]]],
            [[[-180.0, -18.0], [-179.0, -18.0], [-179.0, -17.0], [-180.0, -17.0], [-180.0, -18.0]]],
        ],
    }
    assert normalise(cut) == cut


def test_d06_longitudes_to_360_are_wrapped() -> None:
    parts = polygons("POLYGON((170 0, 190 0, 190 5, 170 5, 170 0))")
    assert sorted(part.bounds for part in parts) == [(-180, 0, -170, 5), (170, 0, 180, 5)]


def test_d06_crossed_ring_is_repaired_and_holes_stay() -> None:
    assert len(polygons("POLYGON((0 0, 2 2, 2 0, 0 2, 0 0))")) == 2
    [part] = polygons("POLYGON((0 0, 9 0, 9 9, 0 9, 0 0), (3 3, 6 3, 6 6, 3 6, 3 3))")
    assert part.area == 72


def test_d06_hole_across_the_antimeridian() -> None:
    parts = polygons("POLYGON((170 0, -170 0, -170 20, 170 20, 170 0), (179 9, 179 11, -179 11, -179 9, 179 9))")
    assert sum(part.area for part in parts) == pytest.approx(400 - 4)


def test_d06_orbit_that_crosses_itself_is_one_area() -> None:
    orbit = "MULTIPOLYGON(((0 0, 10 0, 10 10, 0 10, 0 0)), ((5 5, 15 5, 15 15, 5 15, 5 5)))"
    assert sum(part.area for part in polygons(orbit)) == 175


def test_d06_points_and_lines() -> None:
    assert normalise("POINT(190 5)") == {"type": "Point", "coordinates": [-170.0, 5.0]}
    line = normalise("LINESTRING(179 0, -179 0)")
    assert line == {"type": "MultiLineString", "coordinates": [[[179.0, 0.0], [180.0, 0.0]], [[-180.0, 0.0], [-179.0, 0.0]]]}


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        "   ",
        {},
        7,
        "POLYGON EMPTY",
        "POLYGON((",
        "POLYGON((0 0, 1 1, 0 0))",
        "POLYGON((0 0, 0 99, 9 99, 0 0))",
        "POLYGON((0 0, 1e400 0, 1 1, 0 0))",
        "POLYGON((nan 0, 1 0, 1 1, nan 0))",
        "CIRCLE(0 0 1)",
        '{"type": "Polygon"',
        {"type": "Polygon", "coordinates": "none"},
        {"type": "Polygon", "coordinates": [[[0, 0], [1, 1]]]},
        {"type": "Feature", "geometry": None},
        "<gml:Polygon>",
        "<html><body>The hub will be back soon</body></html>",
        gml("1,2 3"),
        gml("a,b c,d"),
        '<!DOCTYPE a [<!ENTITY b "c">]><gml:Polygon>&b;</gml:Polygon>',
        "GEOMETRYCOLLECTION(" * 100_000,
        "<a>" * 5_000,
    ],
)
def test_d05_what_is_empty_or_broken_is_none(value: Any) -> None:
    assert normalise(value) is None


@given(
    st.one_of(
        st.text(max_size=60),
        st.lists(st.tuples(st.floats(-400, 400), st.floats(-95, 95)), min_size=3, max_size=12).map(
            lambda path: {"type": "Polygon", "coordinates": [[*path, path[0]]]}
        ),
        st.recursive(st.none() | st.floats() | st.text(max_size=8), lambda inner: st.lists(inner, max_size=4), max_leaves=12).map(
            lambda value: {"type": "Polygon", "coordinates": value}
        ),
    )
)
def test_d06_any_value_gives_valid_geojson_or_none(value: Any) -> None:
    if normalise(value) is not None:
        polygons(value)


def _answers(cassette: Path) -> list[dict[str, Any]]:
    document = yaml.load(cassette.read_text(), Loader=yaml.CSafeLoader)
    bodies = [interaction["response"]["body"]["string"] for interaction in document["interactions"]]
    return [json.loads(gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body) for body in bodies]


def test_d06_real_footprint_across_the_antimeridian_near_the_pole(samples: Path) -> None:
    first, *others = _answers(samples / "payloads/dhus/vcr_cassettes/test_get_product_odata_short.yaml")
    parts = polygons(first["d"]["ContentGeometry"])
    assert len(parts) == 2
    assert sum(part.area for part in parts) < 1
    for other in others:
        assert len(polygons(other["d"]["ContentGeometry"])) == 1


def test_d06_all_real_hub_footprints_are_normalised(samples: Path) -> None:
    entries = json.loads((samples / "payloads/dhus/opensearch_entries_312.json").read_text())
    texts = [text["content"] for entry in entries for text in entry["str"] if text["name"] in {"footprint", "gmlfootprint"}]
    assert len(texts) == 624
    for text in texts:
        polygons(text)


STRIPE = """
-59.12 165.07 -60.80 170.26 -62.27 175.98 -63.48 -177.74 -63.18 -171.75 -54.35 -167.55 -45.45 -164.52 -36.50 -162.04 -27.51
-159.87 -18.50 -157.84 -9.47 -155.88 -0.43 -153.90 8.60 -151.86 17.62 -149.66 26.61 -147.21 35.55 -144.36 44.42 -140.85 53.14
-136.20 61.63 -129.38 69.58 -117.88 76.06 -95.17 78.32 -53.88 80.35 -41.27 83.21 -32.85 85.73 -13.51 86.92 32.79 84.21 -153.04
75.35 -153.41 66.47 -154.50 57.58 -155.76 48.67 -157.09 39.75 -158.49 30.80 -159.97 21.85 -161.53 12.89 -163.21 3.93 -165.04 -5.01
-167.06 -13.92 -169.34 -22.78 -171.99 -31.55 -175.17 -40.19 -179.15 -48.61 175.59 -56.66 168.16 -59.12 165.07
"""
"""Latitude and longitude around S3B_OL_1_ERR____20210831T200148_20210831T204600: 44 minutes at 6.7 km/s, 1270 km wide."""


@pytest.mark.parametrize("first", range(0, 40, 4))
@pytest.mark.parametrize("turn", [1, -1])
def test_stripe_over_a_pole_is_as_wide_as_it_is_wherever_its_ring_begins(first: int, turn: int) -> None:
    numbers = [float(word) for word in STRIPE.split()]
    ring = list(zip(numbers[1::2], numbers[::2], strict=True))[:-1][::turn]
    parts = polygons({"type": "Polygon", "coordinates": [[*ring[first:], *ring[: first + 1]]]})
    whole = shapely.segmentize(shapely.union_all(parts), 0.2)
    flat = shapely.transform(whole, lambda points: np.column_stack([np.radians(points[:, 0]), np.sin(np.radians(points[:, 1]))]))
    assert shapely.area(flat) * 6371**2 == pytest.approx(2652 * 6.7 * 1280, rel=0.05)
    assert shapely.contains_xy(whole, [-170.0, -157.0, -145.0, 100.0], [-40.0, 0.0, 50.0, 89.0]).all()
    assert not shapely.contains_xy(whole, [-170.0, 175.0, -120.0, 170.0, 0.0], [0.0, -30.0, 50.0, 60.0, 60.0]).any()
