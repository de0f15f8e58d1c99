"""What a feed wants: tiles, place, age, clouds, timeliness, product type, as the founders had it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from eolake.catalog.errors import ConfigError
from eolake.catalog.ledger.granules import Offer
from eolake.catalog.settings import Settings, load_settings
from eolake.ingest.discovery import filters
from eolake.ingest.discovery.feeds import Feed, all_feeds, get_feed
from eolake.ingest.discovery.filters import reason_against, tile_of
from eolake.ingest.providers.base import Query

NOW = datetime(2024, 9, 12, tzinfo=UTC)
S2 = "S2A_MSIL1C_20240912T112541_N0511_R137_T28PHQ_20240912T133420"
S3 = "S3A_OL_1_EFR____20240912T093000_20240912T093300_20240913T102345_0179_116_307_2340_MAR_O_NT_003"
LANDSAT = "LC08_L2SP_090084_20240912_20240918_02_T1"


def offer(name: str = S2, **more: Any) -> Offer:
    known = {"start_at": NOW - timedelta(days=1), "end_at": NOW - timedelta(days=1), "cloud_cover": 20.0}
    return Offer(provider="cdse", id=name, name=name, source="x", fingerprint="x", **{**known, **more})


def feed(**more: Any) -> Feed:
    return Feed(name="f", provider="cdse", collection="s2_l1c", **more)


def square(west: float, south: float, east: float, north: float) -> dict[str, Any]:
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    return {"type": "Polygon", "coordinates": [ring]}


@pytest.mark.parametrize(
    ("name", "tile"),
    [
        (S2, "28PHQ"),
        (S2 + ".SAFE", "28PHQ"),
        ("S2B_MSIL1C_20200101T222829_N0208_R129_T51CWM_20200101T230625", "51CWM"),
        (LANDSAT, "090084"),
        (S3, ""),
        ("S2A_MSIL1C_20240912T112541_N0511_R137_28PHQ_20240912T133420", ""),  # no T: the founders' pattern finds nothing
        ("", ""),
    ],
)
def test_d13_the_tile_within_a_name(name: str, tile: str) -> None:
    assert tile_of(name) == tile


def test_d13_tile_list() -> None:
    """Of the founders' tests: 51HVC and 38PND are in the list, another tile is not, a name without a tile is not."""
    wanted = feed(tiles=frozenset({"28PHQ", "090084"}))
    assert reason_against(offer(), wanted, NOW) is None
    assert reason_against(offer(LANDSAT), wanted, NOW) is None
    for name in (S2.replace("28PHQ", "28PHR"), S3, "anything"):
        assert reason_against(offer(name), wanted, NOW) == filters.TILE
    assert reason_against(offer("anything"), feed(), NOW) is None


@pytest.mark.parametrize(
    ("age", "reason"),
    [
        (timedelta(days=30), None),
        (timedelta(days=30, microseconds=1), filters.AGE),
        (timedelta(days=29, hours=23), None),
        (timedelta(days=-1), None),
    ],
)
def test_d13_recency_of_thirty_days(age: timedelta, reason: str | None) -> None:
    wanted = feed(max_age=timedelta(days=30))
    assert reason_against(offer(start_at=NOW - age), wanted, NOW) == reason
    assert reason_against(offer(start_at=NOW - age), feed(), NOW) is None


def test_d13_clouds() -> None:
    wanted = feed(cloud_cover=20)
    assert reason_against(offer(cloud_cover=20.0), wanted, NOW) is None
    assert reason_against(offer(cloud_cover=20.1), wanted, NOW) == filters.CLOUD
    assert reason_against(offer(cloud_cover=None), wanted, NOW) is None


def test_d13_timeliness() -> None:
    wanted = feed(timeliness="NT")
    assert reason_against(offer(S3), wanted, NOW) is None
    assert reason_against(offer(S3.replace("_NT_", "_NR_")), wanted, NOW) == filters.TIMELINESS
    assert reason_against(offer("x", detail={"attributes": {"timeliness": "NR"}}), wanted, NOW) == filters.TIMELINESS
    assert reason_against(offer("x"), wanted, NOW) is None


def test_d13_product_type() -> None:
    assert reason_against(offer(collection="s2_l1c"), feed(), NOW) is None
    assert reason_against(offer(collection="s2_l2a"), feed(), NOW) == filters.COLLECTION
    assert reason_against(offer(collection=None), feed(), NOW) is None


@pytest.mark.parametrize(
    ("footprint", "reason"),
    [
        (square(149, -36, 150, -35), None),
        (square(150, -36, 151, -35), None),  # touches
        (square(151, -36, 152, -35), filters.AREA),
        (None, None),
    ],
)
def test_d13_bbox_and_polygon(footprint: dict[str, Any] | None, reason: str | None) -> None:
    bbox = (148.0, -37.0, 150.0, -34.0)
    assert reason_against(offer(footprint=footprint), feed(bbox=bbox), NOW) == reason
    assert reason_against(offer(footprint=footprint), feed(area=square(*bbox)), NOW) == reason


def test_d13_a_polygon_is_not_its_box() -> None:
    triangle = {"type": "Polygon", "coordinates": [[[0, 0], [10, 0], [0, 10], [0, 0]]]}
    corner = square(8, 8, 9, 9)
    assert reason_against(offer(footprint=corner), feed(area=triangle), NOW) == filters.AREA
    assert reason_against(offer(footprint=corner), feed(bbox=(0, 0, 10, 10)), NOW) is None


@pytest.mark.parametrize(
    ("west", "reason"), [(178.0, None), (-179.5, None), (170.0, filters.AREA), (-170.0, filters.AREA), (0.0, filters.AREA)]
)
def test_d13_a_box_across_the_antimeridian(west: float, reason: str | None) -> None:
    assert reason_against(offer(footprint=square(west, -20, west + 0.4, -19)), feed(bbox=(177.0, -25.0, -177.0, -15.0)), NOW) == reason


def test_times_of_a_query_are_half_open() -> None:
    day = timedelta(days=1)
    query = Query(start=NOW, end=NOW + day, since=NOW, until=NOW + day)
    inside = {"start_at": NOW, "end_at": NOW, "published": NOW}
    assert reason_against(offer(**inside), query, NOW) is None
    assert reason_against(offer(**{**inside, "start_at": NOW - day}), query, NOW) is None  # its end touches
    for outside in (
        {"start_at": NOW + day},
        {"start_at": NOW - day, "end_at": NOW - day / 2},
        {"published": NOW + day},
        {"published": NOW - day / 2},
    ):
        assert reason_against(offer(**{**inside, **outside}), query, NOW) == filters.TIME
    assert reason_against(offer("A"), Query(names=["B"]), NOW) == filters.NAME


# --- [feeds.NAME] ---


def settings(folder: Path, text: str) -> Settings:
    (folder / "eolake.toml").write_text(text)
    return load_settings(folder / "eolake.toml")


FULL = """
[feeds.olci]
provider = "cdse"
collection = "s3_olci_l1_efr"
bbox = [140.9, -37.6, 153.7, -28.1]
lookback = "5d"
max_age = "30d"
cloud_cover = 40
timeliness = "nt"
priority = 0
transfer = "reference"
tiles = ["T55HFA", "090084", "28phq"]
"""


def test_a_feed_as_it_is_written(tmp_path: Path) -> None:
    (found,) = all_feeds(settings(tmp_path, FULL))
    assert found == Feed(
        name="olci",
        provider="cdse",
        collection="s3_olci_l1_efr",
        bbox=(140.9, -37.6, 153.7, -28.1),
        lookback=timedelta(days=5),
        max_age=timedelta(days=30),
        cloud_cover=40,
        timeliness="NT",
        priority=0,
        transfer="reference",
        tiles=frozenset({"55HFA", "090084", "28PHQ"}),
    )


def test_defaults_of_a_feed(tmp_path: Path) -> None:
    found = get_feed(settings(tmp_path, '[feeds.f]\nprovider = "cdse"\ncollection = "s2_l2a"\n'), "f")
    assert (found.lookback, found.overlap, found.max_age, found.priority) == (timedelta(days=5), timedelta(days=2), None, 1)


def test_tiles_and_area_from_files(tmp_path: Path) -> None:
    (tmp_path / "allowed_tiles.txt").write_text("01CCV\n55HFA\n\n28PHQ\n")
    features = [{"type": "Feature", "properties": {}, "geometry": square(x, -36, x + 1, -35)} for x in (149, 179.5)]
    (tmp_path / "area.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    text = '[feeds.f]\nprovider = "cdse"\ncollection = "s2_l2a"\ntiles = "allowed_tiles.txt"\narea = "area.geojson"\n'
    found = get_feed(settings(tmp_path, text), "f")
    assert found.tiles == {"01CCV", "55HFA", "28PHQ"}
    assert found.area is not None
    assert found.area["type"] == "MultiPolygon"
    assert len(found.area["coordinates"]) == 3  # one is cut at 180°
    assert reason_against(offer(footprint=square(-179.9, -36, -179.8, -35)), found, NOW) is None


BROKEN = [
    ("colection = 1", "colection"),
    ("bbox = [1, 2, 3]", "bbox"),
    ("bbox = [1, 5, 3, 2]", "bbox is west"),
    ("bbox = [1, 2, 3, 4]\narea = 'x.geojson'", "exclude"),
    ("area = 'x.geojson'", "x.geojson"),
    ("tiles = ['nowhere']", "nowhere"),
    ("tiles = 'none.txt'", "none.txt"),
    ("lookback = 'five'", "lookback"),
    ("lookback = '0d'", "lookback"),
    ("cloud_cover = 120", "cloud_cover"),
    ("transfer = 'steal'", "transfer"),
    ("priority = -1", "priority"),
]


@pytest.mark.parametrize(("line", "told"), BROKEN)
def test_a_feed_that_does_not_hold_is_told_by_name(line: str, told: str, tmp_path: Path) -> None:
    lake = settings(tmp_path, f'[feeds.f]\nprovider = "cdse"\ncollection = "s2_l2a"\n{line}\n')
    with pytest.raises(ConfigError, match=r"\[feeds\.f\]") as caught:
        get_feed(lake, "f")
    assert told in str(caught.value)


@pytest.mark.parametrize(
    "document", ["[1]", "{}", '{"type": "Point", "coordinates": [1, 2]}', "not json", '{"type": "FeatureCollection", "features": []}']
)
def test_an_area_that_is_none(document: str, tmp_path: Path) -> None:
    (tmp_path / "area.geojson").write_text(document)
    lake = settings(tmp_path, '[feeds.f]\nprovider = "cdse"\ncollection = "s2_l2a"\narea = "area.geojson"\n')
    with pytest.raises(ConfigError, match=r"area\.geojson"):
        get_feed(lake, "f")


def test_an_unknown_feed(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="olci"):
        get_feed(settings(tmp_path, FULL), "ocli")
