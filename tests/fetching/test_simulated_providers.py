"""Every simulated provider as a user meets it: started as a program, named in eolake.toml, ordered from."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.auditor import audit
from support.simulated import simulated
from support.workers import run

from eolake.catalog.lake import Lake
from eolake.ingest.simulators.products.scenes import TINY, generate_scene

WHERE = ("--datetime", "2019-11-01/2020-03-01", "--bbox", "149,-35,151,-33")
NAME = "S2B_MSIL2A_20200108T001109"


@pytest.fixture(scope="module")
def products(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("products")
    generate_scene("s2_l2a", datetime(2020, 1, 8, 0, 11, 9, tzinfo=UTC), folder, size=TINY)
    return folder


@pytest.mark.parametrize("name", ["cdse", "stac", "dhus", "directory", "ftp", "s3"])
def test_from_a_simulated_provider_into_the_lake(lake: Lake, products: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    options = ("--faults", "flaky") if name == "cdse" else ()
    with simulated(name, products, *options) as said:
        for variable, value in said["environment"].items():
            monkeypatch.setenv(variable, value)
        toml = lake.settings.root / "eolake.toml"
        toml.write_text(f"{toml.read_text()}\n{said['block']}")
        done = run(lake, "--json", "ingest", name, "s2_l2a", *WHERE)
        assert done.returncode == 0, done.stderr
        (product,) = json.loads(done.stdout)["products"]
        assert product["outcome"] == "published"
        assert product["name"].startswith(NAME)
        again = json.loads(run(lake, "--json", "ingest", name, "s2_l2a", *WHERE).stdout)
        assert [one["outcome"] for one in again["products"]] == ["unchanged"]
    assert audit(lake) == []
    with lake.connect() as connection:
        row = connection.execute("select content -> 'assets' -> 'overview' as overview from pgstac.items").fetchone()
    assert row is not None
    if name in {"cdse", "stac", "dhus"}:
        assert row["overview"] is not None
