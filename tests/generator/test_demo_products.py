"""The demo's products: what is there stays, what lacks is made, and the command says where they are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from eolake.catalog.cli import root
from eolake.ingest.simulators.products.demo import DEMO, generate_demo
from eolake.ingest.simulators.products.landscape import FIRE
from eolake.ingest.simulators.products.scenes import TINY


def _stamps(folder: Path) -> dict[Path, int]:
    return {path.relative_to(folder): path.stat().st_mtime_ns for path in folder.rglob("*")}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Path]]:
    folder = tmp_path_factory.mktemp("demo") / "products"
    return folder, generate_demo(folder, size=TINY)


def test_a_second_run_touches_nothing(made: tuple[Path, list[Path]]) -> None:
    folder, paths = made
    before = _stamps(folder)
    assert generate_demo(folder, size=TINY) == paths
    assert _stamps(folder) == before
    assert {path.name for path in folder.iterdir()} == {path.name for path in paths}


def test_what_lacks_is_made_again(made: tuple[Path, list[Path]]) -> None:
    folder, paths = made
    content = paths[0].read_bytes()
    paths[0].unlink()
    generate_demo(folder, size=TINY)
    assert paths[0].read_bytes() == content


def test_both_missions_look_before_and_after_the_fire() -> None:
    sides = {(order.kind, order.when > FIRE) for order in DEMO}
    assert {(kind, after) for kind in ("landsat_c2_l2", "s2_l2a") for after in (False, True)} <= sides


def test_the_command_prints_the_paths(tmp_path: Path) -> None:
    arguments = ["simulate", "products", str(tmp_path), "--kind", "s2_l1c", "--when", "2019-12-19T00:11:09Z", "--size", str(TINY), "--json"]
    done = CliRunner().invoke(root, arguments)
    assert done.exit_code == 0, done.output
    (path,) = json.loads(done.stdout)["products"]
    assert Path(path).is_dir()
    assert Path(path).parent == tmp_path
    again = CliRunner().invoke(root, arguments)
    assert again.exit_code == 2
    assert "already there" in again.output


def test_a_product_of_one_kind_needs_its_time(tmp_path: Path) -> None:
    done = CliRunner().invoke(root, ["simulate", "products", str(tmp_path), "--kind", "s2_l1c"])
    assert done.exit_code == 2
    assert "--when" in done.output
