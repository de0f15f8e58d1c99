"""Options of a conversion as feeds and commands write them, and as the ledger keeps them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from eolake.catalog.cli import root
from eolake.catalog.errors import ConfigError, UsageError
from eolake.catalog.lake import Lake
from eolake.catalog.ledger import granules
from eolake.catalog.ledger.granules import Offer
from eolake.catalog.settings import load_settings
from eolake.catalog.sources import Grid
from eolake.ingest.discovery.feeds import Feed, get_feed
from eolake.ingest.options import document, parse_grid, polygon_of, told
from eolake.ingest.sensors.base import DEFAULT, Options
from eolake.ingest.wishes import parse_clip

BOX = (149.0, -35.0, 151.5, -33.0)
FIJI = (178.0, -19.0, -178.0, -16.0)
AREA = {"type": "Polygon", "coordinates": [[[149, -35], [150, -35], [150, -34], [149, -34], [149, -35]]]}


def feed(folder: Path, text: str) -> Feed:
    (folder / "eolake.toml").write_text(f'[feeds.a]\nprovider = "cdse"\ncollection = "s3_olci_l1_efr"\n{text}')
    return get_feed(load_settings(folder / "eolake.toml"), "a")


def test_the_ledger_keeps_what_differs_from_the_defaults() -> None:
    assert document() is None
    assert Options.of(None) == DEFAULT
    grid = Grid(crs="EPSG:3577", resolution=300)
    kept = json.loads(json.dumps(document(clip=AREA, grid=grid, resampling="bilinear", checked=False)))
    assert kept == {"clip": AREA, "grid": {"crs": "EPSG:3577", "resolution": 300}, "resampling": "bilinear", "checked": False}
    assert Options.of(kept) == Options(clip=AREA, grid=grid, resampling="bilinear", checked=False)
    assert told(kept) == "clipped, on EPSG:3577@300, bilinear, unchecked"
    assert told(None) == "as always"


def test_a_box_across_the_antimeridian_has_two_parts() -> None:
    assert polygon_of(BOX)["type"] == "Polygon"
    parts = polygon_of(FIJI)["coordinates"]
    assert [(part[0][0][0], part[0][1][0]) for part in parts] == [(178.0, 180.0), (-180.0, -178.0)]
    assert polygon_of((178, -19, -180, -16))["type"] == polygon_of((180, -19, -178, -16))["type"] == "Polygon"


def test_feeds(tmp_path: Path) -> None:
    (tmp_path / "area.geojson").write_text(json.dumps({"type": "Feature", "properties": {}, "geometry": AREA}))
    assert feed(tmp_path, "").options is None
    assert feed(tmp_path, f"bbox = {list(BOX)}").options is None, "a feed that asks for an area does not clip to it by itself"
    assert feed(tmp_path, f"bbox = {list(BOX)}\nclip = true").options == {"clip": polygon_of(BOX)}
    assert feed(tmp_path, f"bbox = {list(BOX)}\nclip = false").options is None
    assert feed(tmp_path, f"bbox = {list(FIJI)}\nclip = true").options == {"clip": polygon_of(FIJI)}
    for text in ('area = "area.geojson"\nclip = true', f'bbox = {list(BOX)}\nclip = "area.geojson"'):
        clip = (feed(tmp_path, text).options or {})["clip"]
        assert clip["coordinates"][0] == AREA["coordinates"][0]
    found = feed(tmp_path, 'grid = "EPSG:3577@300"\nresampling = "bilinear"')
    assert found.options == {"grid": {"crs": "EPSG:3577", "resolution": 300.0}, "resampling": "bilinear"}
    assert found.bbox is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("clip = true", r"\[feeds\.a\].*clip = true keeps what lies in the feed's bbox or area, and it has neither"),
        ('clip = "nowhere.geojson"', r"\[feeds\.a\] clip.*nowhere\.geojson can't be read as GeoJSON"),
        ('grid = "EPSG:3577"', r"\[feeds\.a\] grid.*write the EPSG code and the pixel size in its units: EPSG:3577@300"),
        ('resampling = "cubic"', r"\[feeds\.a\] resampling"),
        (f'bbox = {list(BOX)}\nclip = true\ntransfer = "reference"', r"what is published where it is .* can't be clipped or resampled"),
        ("unchecked = true", r"\[feeds\.a\] unchecked"),
    ],
)
def test_feeds_that_do_not_hold(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        feed(tmp_path, text)


def test_what_a_feed_clips_is_copied(tmp_path: Path) -> None:
    """Even where its provider's products are taken by reference."""
    offer = Offer(provider="stac", id="1", name="A", source="https://example.org/a", fingerprint="1", transfer="reference")
    assert feed(tmp_path, "").order(offer).transfer == "reference"
    ordered = feed(tmp_path, f"bbox = {list(BOX)}\nclip = true\npriority = 0").order(offer)
    assert (ordered.transfer, ordered.options, ordered.feed) == ("copy", {"clip": polygon_of(BOX)}, "a")
    assert (ordered.priority, ordered.collection) == (0, "s3_olci_l1_efr")


@pytest.mark.parametrize(("text", "crs", "size"), [("EPSG:3577@300", "EPSG:3577", 300), ("epsg:4326 @ 2.7e-3", "EPSG:4326", 0.0027)])
def test_grids(text: str, crs: str, size: float) -> None:
    assert parse_grid(text) == Grid(crs=crs, resolution=size)


@pytest.mark.parametrize(
    "text",
    [
        "EPSG:3577",
        "EPSG:3577@",
        "EPSG:3577@0",
        "EPSG:3577@-300",
        "EPSG:3577@nan",
        "EPSG:3577@inf",
        "3577@300",
        "EPSG:99999@300",
        "EPSG:4979@1",
    ],
)
def test_grids_that_are_none(text: str) -> None:
    """EPSG:4979 has heights, EPSG:99999 is none."""
    with pytest.raises(ValueError, match=r"EPSG:3577@300, EPSG:4326@0\.0027|is no map projection and no geographic CRS"):
        parse_grid(text)


def test_clip_on_the_command_line(tmp_path: Path) -> None:
    assert parse_clip("149,-35,151.5,-33") == polygon_of(BOX)
    assert parse_clip(" 178, -19, -178, -16 ") == polygon_of(FIJI)
    path = tmp_path / "area.geojson"
    path.write_text(json.dumps(AREA))
    assert parse_clip(str(path))["coordinates"][0] == AREA["coordinates"][0]
    for text in ("149,-35,151.5", "151,-33,149,-35", "149,-35,400,-33", "1,2,3,4,5"):
        with pytest.raises(UsageError, match=r"--clip .*: write west,south,east,north in degrees, south < north; or name a GeoJSON file"):
            parse_clip(text)
    with pytest.raises(UsageError, match=r"nowhere\.geojson can't be read as GeoJSON"):
        parse_clip("nowhere.geojson")


def test_the_command_says_what_is_wrong(tmp_path: Path) -> None:
    for arguments, said in ((("--clip", "1,2"), "--clip 1,2: write west"), (("--grid", "3577"), "--grid 3577: write the EPSG code")):
        done = CliRunner().invoke(root, ["ingest", str(tmp_path), *arguments])
        assert (done.exit_code, said in done.output) == (2, True), done.output


def test_help_names_the_options() -> None:
    text = CliRunner().invoke(root, ["ingest", "--help"]).output
    for option in ("--clip W,S,E,N|FILE", "--grid CRS@SIZE", "--resampling", "--unchecked", "--again"):
        assert option in text


# --- the ledger ---


def offered(lake: Lake, fingerprint: str = "1", **values: Any) -> int:
    given = {"provider": "p", "id": "1", "name": "A", "source": "s", "fingerprint": fingerprint, "state": "fetched", **values}
    with lake.connect() as connection:
        (found,) = granules.offer(connection, [Offer(**given)])
        return found.granule_id


def state(lake: Lake, number: int) -> tuple[str, Any]:
    with lake.connect() as connection:
        (granule,) = granules.get(connection, [number])
    return granule.state, granule.options


def test_options_come_with_the_offer_and_outlive_changes_of_the_product(lake: Lake) -> None:
    first, second = {"clip": AREA}, {"resampling": "bilinear"}
    number = offered(lake, options=first)
    assert state(lake, number) == ("fetched", first)
    offered(lake, options=second)
    assert state(lake, number) == ("fetched", first), "the same product again: the first order counts"
    offered(lake, "2")
    assert state(lake, number) == ("fetched", first), "other bytes, and nobody says anything of options"
    offered(lake, "3", options=second)
    assert state(lake, number) == ("fetched", second)


def test_reorder(lake: Lake) -> None:
    clip = {"clip": AREA}
    number = offered(lake)
    set_state = "update eolake.granule set state = %s, reason = 'r', attempts = 3"

    def reorder(*states: str, options: Any = clip, same: bool = False) -> set[int]:
        with lake.connect() as connection:
            return granules.reorder(connection, [number], options=options, states=states, same=same)

    assert reorder("fetched") == {number}
    assert state(lake, number) == ("fetched", clip)
    assert reorder("fetched") == set(), "it has these options"
    with lake.connect() as connection:
        connection.execute(set_state, ["published"])
    assert reorder("fetched", "quarantined", options=None) == set()
    assert reorder("published", options=None, same=True) == {number}
    assert state(lake, number) == ("fetched", None)
    with lake.connect() as connection:
        connection.execute(set_state, ["quarantined"])
        connection.execute("update eolake.granule set transfer = 'reference'")
    assert reorder("quarantined") == set(), "what is published where it is can't be clipped"
    with lake.connect() as connection:
        connection.execute("update eolake.granule set transfer = 'copy'")
    assert reorder("quarantined") == {number}
    with lake.connect() as connection:
        (row,) = connection.execute("select state, reason, attempts from eolake.granule").fetchall()
        events = connection.execute("select count(*) as n from eolake.event where kind = 'reordered'").fetchone()
    assert row == {"state": "fetched", "reason": None, "attempts": 0}
    assert events == {"n": 3}
