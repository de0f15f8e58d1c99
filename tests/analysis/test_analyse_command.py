"""`eolake analyse` as it is typed, on real tiles of 96 km."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import rasterio
from click.testing import CliRunner, Result
from odc.geo.geom import box
from support.small_scenes import bring_in, scene

from eolake.analysis.plan import longitude_of
from eolake.catalog.cli import root
from eolake.catalog.lake import Lake
from eolake.cube.check import check
from eolake.cube.session import Session

SCENE_ID = "LC08_L2SP_090084_20200101_1"
TILE = "vegetation_indices_month_ls_c2_l2_x17y-40_2020-01"


def typed(lake: Lake, *arguments: str) -> Result:
    config = str(lake.settings.root / "eolake.toml")
    return CliRunner().invoke(root, ["-c", config, "analyse", *arguments], catch_exceptions=False)


def answer(lake: Lake, *arguments: str) -> dict[str, Any]:
    done = typed(
        lake, "vegetation_indices", "--datetime", "2020-01", "--bbox", "150.2,-34.1,150.4,-33.8", "--workers", "1", "--json", *arguments
    )
    assert done.exit_code == 0, done.output
    return dict(json.loads(done.stdout)["outputs"])


def test_from_nothing_to_up_to_date(session: Session, lake: Lake) -> None:
    empty = answer(lake)
    assert {report["outputs"] for report in empty.values()} == {0}
    assert (
        "no scene of ls_c2_l2, ls_ard_au, ls_ard_us_sr, s2_c1_l2a_ref, s2_l2a in 150.2,-34.1,150.4,-33.8"
        in empty["vegetation_indices_month"]["nothing_to_do"]
    )
    bring_in(session, scene("ls8_c2_l2", SCENE_ID, "2019-12-31T23:50Z", values={"red": 10_000, "nir08": 14_000, "swir22": 12_000}))
    planned = answer(lake, "--dry-run")
    assert planned["vegetation_indices_month"]["plan"] == [{"item": TILE, "state": "missing", "inputs": 1}]
    done = answer(lake)
    assert (done["vegetation_indices_month"]["published"], done["vegetation_indices_month"]["failed"]) == ([TILE], {})
    assert done["vegetation_indices_scene"]["published"] == [f"vegetation_indices_scene_{SCENE_ID}"]
    assert check(session.connection, session.store).document()["ok"]
    again = answer(lake)
    assert {report["nothing_to_do"] for report in again.values()} == {"all 1 outputs are up to date"}
    _values(session)


def _values(session: Session) -> None:
    row = session.connection.execute("select key from eolake.object where key like %s", [f"%{TILE}/%/nbr.tif"]).fetchone()
    assert row is not None
    with rasterio.open(session.store.gdal_path(row["key"]), driver="GTiff") as source:
        assert (source.shape, source.res, str(source.crs)) == ((3200, 3200), (30, 30), "EPSG:3577")
        nbr = source.read(1)
    nir, swir = 14_000 * 0.0000275 - 0.2, 12_000 * 0.0000275 - 0.2
    assert np.nanmax(np.abs(nbr - (nir - swir) / (nir + swir))) < 1e-6
    assert np.isfinite(nbr).sum() == pytest.approx(64 * 64, rel=0.03)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("rainfall", "--datetime", "2020", "--bbox", "150,-34,151,-33"), "there is no analysis 'rainfall'"),
        (("vegetation_indices", "--datetime", "soon", "--bbox", "150,-34,151,-33"), "--datetime soon"),
        (("vegetation_indices", "--datetime", "2020", "--bbox", "150,-34"), "--bbox 150,-34"),
        (("vegetation_indices", "--datetime", "2020", "--bbox", "150,-34,151,-33", "--collection", "x"), "there is no collection 'x'"),
    ],
)
def test_wrong_calls_say_what_is_wrong(lake: Lake, arguments: tuple[str, ...], message: str) -> None:
    done = typed(lake, *arguments)
    assert (done.exit_code, message in done.stderr) == (2, True)


def test_the_centre_of_a_scene_across_the_antimeridian_is_not_in_africa() -> None:
    east, west = box(178, -20, 180, -18, "EPSG:4326"), box(-180, -20, -179, -18, "EPSG:4326")
    assert longitude_of(east | west) == pytest.approx(179.5)
    assert longitude_of(box(149, -35, 151, -33, "EPSG:4326")) == pytest.approx(150)
