"""`eolake simulate products --season`: one season in the products of all sensors, and what is in them beside them."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from eolake.catalog.cli import root
from eolake.ingest.sensors import identify


def simulate(*arguments: str) -> Any:
    done = CliRunner().invoke(root, ["simulate", "products", *arguments, "--json"])
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)["products"]


def test_a_season_has_products_of_all_sensors_on_both_sides_of_midnight_and_their_truth(tmp_path: Path) -> None:
    made = [Path(path) for path in simulate(str(tmp_path), "--season", "--size", "12")]
    kinds = {path.name[:12] for path in made}
    assert {"S3A_OL_1_EFR", "S3A_OL_2_LFR", "S3A_SL_1_RBT", "S3A_SL_2_LST", "S3A_SL_2_FRP", "S2B_MSIL2A_2", "LC08_L2SP_09"} <= kinds
    assert all(identify(path) is not None for path in made)
    starts = [datetime.strptime(path.name[16:31], "%Y%m%dT%H%M%S") for path in made if path.name.startswith("S3")]  # noqa: DTZ007
    assert {0, 23} == {start.hour for start in starts}
    truth = json.loads((tmp_path / "truth.geojson").read_text())
    burning = [feature["properties"] for feature in truth["features"] if feature["properties"]["burning"]]
    assert {"Green Wattle Creek"} < {fire["name"] for fire in burning}
    assert all(fire["frp"] > 0 and fire["area"] > 0 for fire in burning)
    stamps = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.nc")}
    assert [Path(path) for path in simulate(str(tmp_path), "--season", "--size", "12")] == made
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.nc")} == stamps


def test_one_sentinel_3_product_is_made_of_the_nearest_pass(tmp_path: Path) -> None:
    arguments = ("--kind", "s3_olci_l2_lrr", "--when", "2020-01-02T23:50:00Z", "--size", "17")
    made = [Path(path) for path in simulate(str(tmp_path), *arguments)]
    assert [path.name[:31] for path in made] == ["S3A_OL_2_LRR____20200102T233518"]
    other = [Path(path) for path in simulate(str(tmp_path / "other"), *arguments, "--seed", "3")]
    assert other[0].name == made[0].name
    assert (other[0] / "gifapar.nc").read_bytes() != (made[0] / "gifapar.nc").read_bytes()
