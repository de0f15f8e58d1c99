"""Programs of others use the lake with nothing but the variables that `eolake env` prints."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import rasterio
import yaml
from support import workers
from support.intake import Expected

from eolake.catalog.declaration import declared

if TYPE_CHECKING:
    from conftest import Taken

LOAD = """
import json, sys
import datacube
product, band, crs, resolution = sys.argv[1:]
found = datacube.Datacube().load(product=product, measurements=[band], output_crs=crs, resolution=(-float(resolution), float(resolution)))
pixels = int((found[band] != found[band].nodata).sum())
print(json.dumps({"times": found.sizes["time"], "maximum": int(found[band].max()), "pixels": pixels}))
"""


@pytest.fixture(scope="module")
def exports(taken: Taken) -> str:
    """The lines for a shell."""
    done = workers.run(taken.lake, "env")
    assert done.returncode == 0, done.stderr
    return done.stdout


def run(exports: str, *command: str | Path) -> str:
    """Run a program of the environment in an otherwise empty one, elsewhere; its output."""
    shell = ["/bin/sh", "-c", 'eval "$1"; shift; cd /; exec "$@"', "sh", exports, *map(str, command)]
    done = subprocess.run(shell, env={}, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def program(name: str) -> Path:
    return Path(sys.executable).with_name(name)


def collections(taken: Taken) -> set[str]:
    return {expected.item.split("/")[0] for expected in taken.published}


def test_the_variables_are_the_same_for_shells_and_programs(taken: Taken, exports: str) -> None:
    printed = dict(line.split("=", 1) for line in run(exports, "/usr/bin/env").splitlines())
    assert taken.environment.items() <= printed.items()
    assert set(printed) - set(taken.environment) <= {"PWD", "OLDPWD", "_"}


def test_datacube_lists_and_shows_the_products(taken: Taken, exports: str) -> None:
    listed = run(exports, program("datacube"), "product", "list")
    assert {line.split()[0] for line in listed.splitlines()} == collections(taken)
    name = min(collections(taken))
    shown = yaml.safe_load(run(exports, program("datacube"), "product", "show", name))
    assert shown["name"] == name
    assert [measurement["name"] for measurement in shown["measurements"]] == [band.name for band in declared(name).measurements]


def test_datacube_finds_each_dataset_and_shows_it(taken: Taken, exports: str) -> None:
    rows = list(csv.DictReader(io.StringIO(run(exports, program("datacube"), "dataset", "search", "-f", "csv"))))
    assert {(row["product"], row["location"].split("/")[-3]) for row in rows} == {tuple(e.item.split("/")) for e in taken.published}
    info = yaml.safe_load(run(exports, program("datacube"), "dataset", "info", rows[0]["id"]))
    assert (info["id"], info["product"], info["location"]) == (rows[0]["id"], rows[0]["product"], rows[0]["location"])
    assert info["status"] == "active"


def test_datacube_finds_by_place_and_time(taken: Taken, exports: str) -> None:
    query = ("dataset", "search", "-f", "csv", "lat in [-40, -30]", "time in [2010, 2030]")
    found = {row["location"].split("/")[-3] for row in csv.DictReader(io.StringIO(run(exports, program("datacube"), *query)))}
    assert found == {expected.item.split("/")[1] for expected in taken.published if touches(taken, expected, south=-40, north=-30)}


def touches(taken: Taken, expected: Expected, *, south: float, north: float) -> bool:
    """By the corners of its red band; the only scene before 2010 lies elsewhere."""
    place = taken.sources(expected)["red"].like.extent.to_crs("EPSG:4326").boundingbox
    return place.bottom <= north and place.top >= south


def test_python_loads_a_product(taken: Taken, exports: str) -> None:
    """The whole of the oldest collection in its own CRS."""
    (expected,) = (expected for expected in taken.published if expected.item.startswith("ls5_pre_l1/"))
    source = taken.sources(expected)["red"]
    crs, resolution = str(source.like.crs), str(abs(source.like.resolution.x))
    loaded = json.loads(run(exports, sys.executable, "-c", LOAD, "ls5_pre_l1", "red", crs, resolution))
    assert loaded["times"] == 1
    assert loaded["maximum"] == int(source.data.max())
    assert loaded["pixels"] == pytest.approx(int((source.data != 0).sum()), rel=0.05)


def test_gdal_opens_what_the_item_names(taken: Taken) -> None:
    with taken.lake.connect() as connection:
        row = connection.execute("select content -> 'assets' -> 'red' ->> 'href' as href from pgstac.items limit 1").fetchone()
    assert row is not None
    with rasterio.open(row["href"]) as source:
        assert source.driver == "GTiff"
