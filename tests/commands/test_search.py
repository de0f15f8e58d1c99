"""`eolake search`, and `eolake ingest PROVIDER COLLECTION` as far as the queue."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from support.odata import Catalogue, product
from support.subscribing import configured, rows

from eolake.catalog.cli import root
from eolake.catalog.errors import UsageError
from eolake.catalog.lake import Lake
from eolake.catalog.ledger.granules import Offer
from eolake.catalog.settings import load_settings
from eolake.ingest.discovery.feeds import get_feed
from eolake.ingest.searching import bounds_of, feature, readable, table
from eolake.ingest.simulators.server import Server
from eolake.ingest.wishes import parse_bbox, parse_interval

T0 = datetime(2024, 9, 10, tzinfo=UTC)
HOUR = timedelta(hours=1)
SETTINGS = """
[providers.cdse]
urls = {{catalogue = "{url}/odata/v1", download = "{url}/odata/v1"}}
options = {{retry_delay = 0}}
"""
AREA = {"type": "Polygon", "coordinates": [[[149, -36], [150, -36], [150, -35], [149, -36]]]}

type Run = Callable[..., Result]


@pytest.fixture
def run(lake: Lake) -> Iterator[Run]:
    """`eolake -c LAKE …` with a catalogue of 30 products, one for each hour."""
    documents = [product(n, T0 + (n + 6) * HOUR, sensed=T0 + n * HOUR) for n in range(30)]
    documents[3]["Assets"] = [{"Type": "QUICKLOOK", "Id": "97cd3cae-9999-4871-9767-9a44305415e6"}]
    documents[4]["Attributes"] = [{"Name": "productType", "Value": "S2MSI2A"}, {"Name": "cloudCover", "Value": 97.5}]
    documents[5] |= {"ContentLength": 0, "GeoFootprint": None, "Checksum": []}
    with Server(Catalogue(documents)) as server:
        configured(lake, SETTINGS.format(url=server.url))
        config = str(lake.settings.root / "eolake.toml")
        yield lambda *arguments: CliRunner().invoke(root, ["-c", config, *map(str, arguments)])


def found(done: Result) -> Any:
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_search_lists_footprints_and_quicklooks_and_orders_nothing(run: Run, lake: Lake) -> None:
    document = found(run("--json", "search", "cdse", "s2_l2a", "--datetime", "2024-09-10T02:00/2024-09-10T06:00"))
    assert (document["type"], document["complete"], len(document["features"])) == ("FeatureCollection", True, 4)
    first, second, cloudy, odd = document["features"]
    assert first["properties"]["start"] == "2024-09-10T02:00:00.000000Z"
    assert first["geometry"]["type"] == "Polygon"
    assert first["bbox"] == [149, -36, 150, -35]
    assert second["properties"]["quicklook"].endswith("/odata/v1/Assets(97cd3cae-9999-4871-9767-9a44305415e6)/$value")
    assert cloudy["properties"]["cloud_cover"] == 97.5
    assert (odd["geometry"], odd["properties"]["size"], odd["properties"]["notes"]) == (
        None,
        None,
        ["no digest", "no size", "no footprint"],
    )
    assert rows(lake) == []


def test_search_prints_a_table(run: Run) -> None:
    done = run("search", "cdse", "s2_l2a", "--datetime", "2024-09-10", "--cloud", "50", "--limit", "4")
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["NAME", "SENSED", "PUBLISHED", "SIZE", "CLOUD", "W,S,E,N", "QUICKLOOK"]
    assert [line.split()[1:3] for line in lines[1:5]] == [["2024-09-10", f"{hour:02}:00"] for hour in (0, 1, 2, 3)]
    assert "149.0,-36.0,150.0,-35.0" in lines[1]
    assert lines[5:] == ["4 products"]
    assert "--limit" in done.stderr


def test_search_filters_by_place_tile_and_time_of_publication(run: Run) -> None:
    def count(*arguments: str) -> int:
        return len(found(run("--json", "search", "cdse", "s2_l2a", *arguments))["features"])

    assert count() == 30
    assert count("--bbox", "160,-40,170,-30") == 1  # the one without a footprint passes
    assert count("--bbox", "148,-37,151,-34") == 30
    assert count("--cloud", "50") == 29
    assert count("--tiles", "01HFA,02HFA") == 2
    assert count("--since", "1d") == 0
    assert count("--datetime", "2024-09-11/..") == 6
    assert count("--datetime", "../2024-09-10T01:00Z") == 1


def test_search_says_what_is_wrong_and_what_there_is(run: Run) -> None:
    unknown = run("search", "cdse", "s9")
    assert (unknown.exit_code, "s2_l2a" in unknown.stderr) == (3, True)
    nobody = run("search", "nobody", "s2_l2a")
    assert (nobody.exit_code, "earth-search" in nobody.stderr) == (3, True)
    for arguments in (["--bbox", "1,2,3"], ["--datetime", "soon"], ["--tiles", "XX"], ["--bbox", "1,2,3,4", "--area", __file__]):
        assert run("search", "cdse", "s2_l2a", *arguments).exit_code == 2


def test_a_search_becomes_a_feed(run: Run, lake: Lake, tmp_path: Path) -> None:
    config = lake.settings.root / "eolake.toml"
    (config.parent / "fire areas.geojson").write_text(json.dumps(AREA))
    blocks = [
        run("search", "cdse", "s2_l2a", "--bbox", "149,-37,151.5,-35", "--cloud", "60", "--tiles", "55HGA,55HFA", "--feed", "fires"),
        run("search", "cdse", "s2_l1c", "--area", config.parent / "fire areas.geojson", "--since", "12h", "--feed", 'new "fires" ✓'),
    ]
    assert [block.exit_code for block in blocks] == [0, 0], [block.output for block in blocks]
    text = config.read_text() + "".join(f"\n{block.stdout}" for block in blocks)
    assert set(tomllib.loads(text)["feeds"]) == {"fires", 'new "fires" ✓'}
    config.write_text(text)
    settings = load_settings(config)
    fires, new = get_feed(settings, "fires"), get_feed(settings, 'new "fires" ✓')
    assert (fires.bbox, fires.cloud_cover, fires.tiles) == ((149, -37, 151.5, -35), 60, {"55HFA", "55HGA"})
    assert (new.area, new.lookback, new.collection) == (AREA, timedelta(hours=12), "s2_l1c")
    assert 'lookback = "12h"' in blocks[1].stdout
    assert run("search", "cdse", "s9", "--feed", "x").exit_code == 3
    assert run("search", "cdse", "s2_l2a", "--feed", "a\nb").exit_code == 2


def test_an_order_is_what_the_search_finds(run: Run, lake: Lake) -> None:
    plan = found(run("--json", "ingest", "cdse", "s2_l2a", "--datetime", "2024-09-10T20:00/2024-09-11T03:00", "--dry-run"))
    assert plan["days"] == {
        "2024-09-10": {"products": 4, "bytes": 1020 + 1021 + 1022 + 1023},
        "2024-09-11": {"products": 3, "bytes": 1024 + 1025 + 1026},
    }
    assert rows(lake) == []
    done = found(run("--json", "ingest", "cdse", "s2_l2a", "--datetime", "2024-09-10T20:00/2024-09-11T03:00", "--no-wait"))
    assert done["counts"] == {"registered": 7}
    assert {(row["state"], row["collection"], row["provider"]) for row in rows(lake)} == {("queued", "s2_l2a", "cdse")}
    assert found(run("--json", "ingest", "cdse", "s2_l2a", "--limit", "2", "--no-wait"))["counts"] == {"registered": 2}
    assert len(rows(lake)) == 9


def test_a_first_word_that_names_a_provider_is_one(run: Run, lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("cdse").mkdir()
    folder = found(run("--json", "ingest", "./cdse", "--dry-run"))
    assert [entry["path"] for entry in folder["products"]] == [str(tmp_path / "cdse")]
    assert found(run("--json", "ingest", "cdse", "s2_l2a", "--limit", "1", "--dry-run"))["products"] == 1
    alone = run("ingest", "cdse")
    assert (alone.exit_code, "./cdse" in alone.stderr) == (2, True)
    assert run("ingest", "./cdse", "--bbox", "1,2,3,4").exit_code == 2


def test_intervals_are_half_open_and_utc() -> None:
    day = timedelta(days=1)
    assert parse_interval("2024-09-10") == (T0, T0 + day)
    assert parse_interval("2024-12") == (datetime(2024, 12, 1, tzinfo=UTC), datetime(2025, 1, 1, tzinfo=UTC))
    assert parse_interval("2024") == (datetime(2024, 1, 1, tzinfo=UTC), datetime(2025, 1, 1, tzinfo=UTC))
    assert parse_interval("2024-09-10T10:00+10:00/..") == (T0, None)
    assert parse_interval("/2024-09-10") == (None, T0)
    for text in ("2024-09-10/2024-09-10", "2024-09-11/2024-09-10", "2024-02-30", "2024-09-10T00:00", "x/y", "2024-09-10/2024-09-11/x"):
        with pytest.raises(UsageError):
            parse_interval(text)


def test_boxes_may_cross_the_antimeridian() -> None:
    assert parse_bbox("170,-40,-170,-30") == (170, -40, -170, -30)
    for text in ("1,2,3", "a,b,c,d", "0,10,1,5", "0,0,0,1", "0,0,200,1", "nan,0,1,1"):
        with pytest.raises(UsageError):
            parse_bbox(text)


def test_rows_are_readable() -> None:
    assert [readable(size) for size in (None, 0, 999, 132_384_463, 5_000_000_000_000_000)] == ["–", "0 B", "999 B", "132 MB", "5000 TB"]
    assert table([]) == "0 products"
    strip = {
        "type": "MultiPolygon",
        "coordinates": [
            [[[178, -1], [180, -1], [180, 1], [178, -1]]],
            [[[-180, -1], [-179, -1], [-179, 1], [-180, -1]]],
        ],
    }
    assert bounds_of(strip) == (178, -1, -179, 1)
    assert bounds_of({"type": "Point", "coordinates": [1, 2]}) == (1, 2, 1, 2)
    assert bounds_of(None) is None
    shown = feature(Offer(provider="p", id="1", name="n", source="s", fingerprint="f", detail={"item": {}}))
    assert (shown["geometry"], shown["properties"]["start"]) == (None, None)
