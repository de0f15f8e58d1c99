"""A clipped draft is the whole one within the area, and nothing outside of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

import numpy as np
import pystac
import pytest
import shapely
from affine import Affine
from pyproj import Transformer

from eolake.catalog.cog import write_cog
from eolake.catalog.declaration import declared
from eolake.catalog.draft import Band, Draft, Frame, Pixels
from eolake.catalog.errors import Rejected
from eolake.ingest.clipping import clip, finished
from eolake.ingest.options import polygon_of
from eolake.ingest.sensors.base import CLIP, UNCHECKED, Options

COLLECTION = declared("s2_l2a")
STEPS = {"default": 1, "g20": 2, "g60": 6}
SIZE = (6 * 31, 6 * 29)
"""Rows and columns at 10 m: odd numbers of 60 m pixels."""
SYDNEY = Affine(10, 0, 300_000, 0, -10, 6_250_000)


def scene(transform: Affine = SYDNEY, crs: str = "EPSG:32756", *, size: tuple[int, int] = SIZE, told: bool = True) -> Draft:
    """A tile in three resolutions whose pixels all differ from nodata; `told`: frames are known without decoding."""
    bands = {}
    for number, band in enumerate(COLLECTION.bands):
        step = STEPS[band.grid]
        shape = (size[0] // step, size[1] // step)
        pixels = Pixels(data=_noise(number, shape, band.dtype), transform=transform @ Affine.scale(step), crs=crs, nodata=band.nodata)
        frame = Frame(shape=shape, transform=pixels.transform, crs=crs)
        bands[band.name] = Band(read=partial(_copy, pixels), frame=partial(_same, frame) if told else None)
    return Draft(item=_item(transform, crs, size), bands=bands)


def _noise(seed: int, shape: tuple[int, int], dtype: str) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).integers(1, 200, shape).astype(dtype)


def _copy(pixels: Pixels) -> Pixels:
    return replace(pixels, data=pixels.data.copy())


def _same(frame: Frame) -> Frame:
    return frame


def _item(transform: Affine, crs: str, size: tuple[int, int]) -> pystac.Item:
    ring = [transform @ corner for corner in ((0, 0), (0, size[0]), (size[1], size[0]), (size[1], 0))]
    x, y = lonlat(np.array([x for x, _ in ring]), np.array([y for _, y in ring]), crs)
    outline = shapely.Polygon(np.column_stack([np.unwrap(x, period=360), y]))
    inside = [shapely.intersection(shapely.affinity.translate(outline, turn), shapely.box(-180, -90, 180, 90)) for turn in (-360, 0, 360)]
    polygons = [part for part in inside if part.area > 0]
    geometry = polygons[0] if len(polygons) == 1 else shapely.MultiPolygon(polygons)
    return pystac.Item(
        id="TILE",
        geometry=shapely.geometry.mapping(shapely.orient_polygons(geometry)),
        bbox=list(geometry.bounds),
        datetime=datetime(2020, 1, 1, tzinfo=UTC),
        properties={"proj:code": crs, "proj:centroid": {"lat": 0, "lon": 0}},
        collection="s2_l2a",
    )


def lonlat(x: np.ndarray[Any, Any], y: np.ndarray[Any, Any], crs: str) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Longitudes within ±180°, latitudes."""
    if crs == "EPSG:4326":
        return (x + 180) % 360 - 180, y
    east, north = Transformer.from_crs(crs, "EPSG:4326", always_xy=True).transform(x, y)
    return (np.asarray(east) + 180) % 360 - 180, np.asarray(north)


def centres(pixels: Pixels) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    rows, columns = np.indices(pixels.data.shape)
    x, y = pixels.transform @ (columns + 0.5, rows + 0.5)  # type: ignore[operator]
    return lonlat(x, y, pixels.crs)


def assert_clipped(before: Draft, after: Draft, area: Mapping[str, Any], near: float = 1e-6) -> int:
    """Every pixel whose centre lies in the area is what it was, and there is no other; how many there are.

    Pixels whose centre is nearer than `near` (degrees) to the area's edge may be either."""
    shape = shapely.geometry.shape(dict(area))
    kept = 0
    for name, band in before.bands.items():
        declaration = COLLECTION.band(name)
        whole, part = band.read(), after.bands[name].read()
        assert (part.crs, part.data.dtype, part.nodata) == (whole.crs, whole.data.dtype, whole.nodata)
        column, row = (round(n, 6) for n in ~whole.transform @ (part.transform.c, part.transform.f))
        assert (column, row) == (int(column), int(row)), "the window lies on the pixels"
        assert part.transform.almost_equals(whole.transform @ Affine.translation(column, row), 1e-6)
        rows, columns = part.data.shape
        window = (slice(int(row), int(row) + rows), slice(int(column), int(column) + columns))
        x, y = centres(whole)
        inside = shapely.contains_xy(shape, x, y)
        certain = shapely.distance(shape.boundary, shapely.points(x, y)) > near
        outside = np.ones(whole.data.shape, bool)
        outside[window] = False
        assert not (inside & certain & outside).any(), f"{name}: the window misses pixels of the area"
        if declaration.nodata is None:
            assert np.array_equal(part.data, whole.data[window]), f"{name} has no value for nothing: it keeps all of the window"
            continue
        expected = np.where(inside, whole.data, declaration.nodata)[window]
        assert np.array_equal(part.data[certain[window]], expected[certain[window]]), name
        kept += int((part.data != declaration.nodata).sum())
    return kept


def assert_one_ground(draft: Draft) -> None:
    """Bands of one grid share shape and transform, all grids the ground."""
    grounds, grids = set(), {}
    for name, band in draft.bands.items():
        pixels = band.read()
        rows, columns = pixels.data.shape
        right, bottom = pixels.transform @ (columns, rows)
        grounds.add(tuple(round(n, 3) for n in (pixels.transform.c, pixels.transform.f, right, bottom)))
        grid = (pixels.data.shape, pixels.transform)
        assert grids.setdefault(COLLECTION.band(name).grid, grid) == grid
    assert len(grounds) == 1, grounds


def around(draft: Draft, west: float, south: float, east: float, north: float) -> dict[str, Any]:
    """Shares of the tile's footprint as a box."""
    left, bottom, right, top = shapely.geometry.shape(dict(draft.item.geometry or {})).bounds
    x, y = (left, right - left), (bottom, top - bottom)
    return dict(polygon_of((x[0] + west * x[1], y[0] + south * y[1], x[0] + east * x[1], y[0] + north * y[1])))


AREAS = {
    "a box": (0.2, 0.3, 0.71, 0.83),
    "a strip narrower than a pixel of 60 m": (0.4, 0.1, 0.42, 0.9),
    "over the edge": (-0.5, -0.5, 0.35, 0.4),
    "all of it": (-1, -1, 2, 2),
}


@pytest.mark.parametrize("told", [True, False])
@pytest.mark.parametrize("shares", AREAS.values(), ids=AREAS)
def test_pixels_within_the_area_stay_and_others_are_nodata(shares: tuple[float, float, float, float], *, told: bool) -> None:
    draft = scene(told=told)
    area = around(draft, *shares)
    found = clip(draft, area)
    assert assert_clipped(draft, found, area) > 0
    assert_one_ground(found)


def test_an_area_that_holds_everything_changes_no_pixel_and_no_geometry() -> None:
    draft = scene()
    found = clip(draft, around(draft, -1, -1, 2, 2))
    for name, band in draft.bands.items():
        assert np.array_equal(found.bands[name].read().data, band.read().data)
    before, after = (shapely.geometry.shape(dict(one.item.geometry or {})) for one in (draft, found))
    assert before.symmetric_difference(after).area < 1e-7, "corners are rounded to 0.1 m"


def test_a_polygon_with_a_hole() -> None:
    draft = scene()
    outer, hole = (shapely.geometry.shape(around(draft, *shares)) for shares in ((0.05, 0.1, 0.9, 0.8), (0.3, 0.35, 0.6, 0.7)))
    slanted = shapely.affinity.rotate(outer, 17).difference(hole)
    area = shapely.geometry.mapping(slanted)
    assert len(area["coordinates"]) == 2
    found = clip(draft, area)
    assert assert_clipped(draft, found, area) > 0
    geometry = shapely.geometry.shape(dict(found.item.geometry or {}))
    assert geometry.is_valid
    assert len(geometry.interiors) == 1
    assert geometry.exterior.is_ccw
    assert geometry.symmetric_difference(shapely.geometry.shape(dict(draft.item.geometry or {})) & slanted).area < 1e-7


def test_the_item_says_what_remains_and_of_what_area() -> None:
    draft = scene()
    area = around(draft, 0.2, 0.3, 0.7, 0.8)
    found = clip(draft, area).item
    bounds = shapely.geometry.shape(area).bounds
    assert found.bbox == pytest.approx(bounds, abs=2e-6)
    assert found.properties[CLIP] == area
    centre = shapely.geometry.shape(area).centroid
    assert found.properties["proj:centroid"] == pytest.approx({"lat": centre.y, "lon": centre.x}, abs=2e-5)
    assert (draft.item.bbox, draft.item.properties.get(CLIP)) == ([*shapely.geometry.shape(dict(draft.item.geometry or {})).bounds], None)


@pytest.mark.parametrize("shares", [(2, 2, 3, 3), (1.001, 0, 2, 1), (-2, 0, -0.001, 1)])
def test_an_area_outside_is_rejected(shares: tuple[float, float, float, float]) -> None:
    draft = scene()
    with pytest.raises(Rejected, match=r"^TILE lies outside of the area that it is clipped to; for another area: --clip … --again$"):
        clip(draft, around(draft, *shares))


def test_an_area_between_the_centres_of_all_pixels_is_rejected() -> None:
    """1 m² around the corner of a pixel."""
    draft = scene()
    x, y = lonlat(np.array([300_600.0]), np.array([6_249_400.0]), "EPSG:32756")
    with pytest.raises(Rejected, match="lies outside"):
        clip(draft, shapely.geometry.mapping(shapely.Point(x[0], y[0]).buffer(5e-6)))


def test_where_the_scene_has_no_data_nothing_remains() -> None:
    """The area lies in the raster, but not in the footprint."""
    draft = scene()
    whole = shapely.geometry.shape(dict(draft.item.geometry or {}))
    west, south, east, north = whole.bounds
    draft.item.geometry = shapely.geometry.mapping(whole & shapely.box(west, south, (west + east) / 2, north))
    with pytest.raises(Rejected, match="lies outside"):
        clip(draft, around(scene(), 0.6, 0.2, 0.9, 0.8))


def fiji() -> Draft:
    """The antimeridian runs through its middle."""
    east, north = Transformer.from_crs("EPSG:4326", "EPSG:32701", always_xy=True).transform(180.0, -17.0)
    left, top = (round(n / 60) * 60 for n in (east - 10 * SIZE[1] / 2, north))
    return scene(Affine(10, 0, left, 0, -10, top), "EPSG:32701")


def test_across_the_antimeridian() -> None:
    draft = fiji()
    south, north = shapely.geometry.shape(dict(draft.item.geometry or {})).bounds[1::2]
    height = north - south
    area = polygon_of((179.9965, south + 0.2 * height, -179.9955, south + 0.7 * height))
    assert area["type"] == "MultiPolygon"
    found = clip(draft, area)
    assert assert_clipped(draft, found, area, near=1e-5) > 0
    assert_one_ground(found)
    geometry = found.item.geometry or {}
    assert geometry["type"] == "MultiPolygon"
    assert found.item.bbox == pytest.approx([179.9965, south + 0.2 * height, -179.9955, south + 0.7 * height], abs=2e-6)
    assert abs(found.item.properties["proj:centroid"]["lon"]) > 179.99


@pytest.mark.parametrize("west", [179.9, -180.1])
def test_one_side_of_the_antimeridian_of_a_raster_in_degrees(west: float) -> None:
    """Its longitudes go beyond 180°, as those of a swath do, or begin before -180°."""
    draft = scene(Affine(0.001, 0, west, 0, -0.001, -17), "EPSG:4326", size=(186, 198))
    for box in ((179.95, -17.1, 179.98, -17.02), (-179.99, -17.1, -179.92, -17.02), (179.95, -17.1, -179.95, -17.02)):
        found = clip(draft, polygon_of(box))
        assert assert_clipped(draft, found, polygon_of(box)) > 0
        assert found.item.bbox == pytest.approx(box)


def test_longitudes_from_0_to_360() -> None:
    draft = scene(Affine(0.1, 0, 200, 0, -0.1, 10), "EPSG:4326", size=(60, 600))
    area = polygon_of((-130.03, 5.02, -120, 8))
    found = clip(draft, area)
    assert assert_clipped(draft, found, area) > 0


def test_a_raster_around_the_south_pole() -> None:
    draft = scene(Affine(10_000, 0, -900_000, 0, -10_000, 900_000), "EPSG:3031", size=(180, 180))
    draft.item.geometry = shapely.geometry.mapping(shapely.box(-180, -90, 180, -82))
    area = polygon_of((20, -89, 160, -84))
    found = clip(draft, area)
    assert assert_clipped(draft, found, area, near=1e-3) > 0


def test_grids_that_lie_half_a_pixel_apart() -> None:
    """Landsat's panchromatic band begins half of its pixels later: each grid covers the ground of the coarser one."""
    draft = scene()
    shifted = {}
    for name, band in draft.bands.items():
        whole = band.read()
        if COLLECTION.band(name).grid == "default":
            whole = replace(whole, transform=whole.transform @ Affine.translation(0.5, 0.5))
        frame = Frame(shape=whole.data.shape, transform=whole.transform, crs=whole.crs)
        shifted[name] = Band(read=partial(_copy, whole), frame=partial(_same, frame))
    draft = replace(draft, bands=shifted)
    area = around(draft, 0.2, 0.3, 0.7, 0.8)
    assert assert_clipped(draft, clip(draft, area), area) > 0


def test_statistics_are_those_of_what_remains(tmp_path: Any) -> None:
    draft = scene()
    found = clip(draft, around(draft, 0.2, 0.3, 0.7, 0.8))
    pixels = found.bands["red"].read()
    facts = write_cog(pixels, COLLECTION.band("red"), COLLECTION.cog, tmp_path / "red.tif")
    valid = pixels.data[pixels.data != 0]
    assert (facts.statistics.minimum, facts.statistics.maximum) == (valid.min(), valid.max())
    assert facts.statistics.mean == pytest.approx(valid.mean())
    assert facts.statistics.valid_percent == pytest.approx(100 * valid.size / pixels.data.size)


def test_what_its_sensor_clipped_stays_as_it_is() -> None:
    draft = scene()
    area = around(draft, 0.2, 0.3, 0.7, 0.8)
    once = finished(draft, Options(clip=area))
    assert finished(once, Options(clip=area)) is once
    again = clip(once, area)
    for name, band in once.bands.items():
        assert np.array_equal(again.bands[name].read().data, band.read().data), "clipping twice is clipping once"


def test_without_options_a_draft_is_not_touched() -> None:
    draft = scene()
    assert finished(draft, Options()) is draft
    assert finished(draft, Options(checked=False)).item.properties[UNCHECKED] is True
    assert UNCHECKED not in draft.item.properties
