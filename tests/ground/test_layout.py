"""The house: one namespace of four portions, layers, no cycles, nothing of this machine in it."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from importlib.metadata import entry_points
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).parents[2]
PORTIONS = ("catalog", "cube", "ingest", "analysis")


@pytest.mark.parametrize("portion", PORTIONS)
def test_no_portion_closes_the_namespace(portion: str) -> None:
    assert not (ROOT / portion / "eolake" / "__init__.py").exists(), "this file would hide the other three portions"
    assert (ROOT / portion / "eolake" / portion / "__init__.py").is_file()


@pytest.mark.parametrize("portion", PORTIONS)
def test_every_folder_of_modules_is_a_package(portion: str) -> None:
    folders = {path.parent for path in (ROOT / portion / "eolake" / portion).rglob("*.py")}
    assert folders
    assert [str(folder) for folder in folders if not (folder / "__init__.py").is_file()] == []


def test_a_stray_init_would_be_noticed(tmp_path: Path) -> None:
    """Why the first test matters: with one such file Python finds that portion alone."""
    for portion in ("one", "two"):
        (tmp_path / portion / "shared" / portion).mkdir(parents=True)
        (tmp_path / portion / "shared" / portion / "__init__.py").touch()
    command = [sys.executable, "-c", "import shared.one, shared.two"]
    environment = {"PYTHONPATH": f"{tmp_path / 'one'}:{tmp_path / 'two'}"}
    assert subprocess.run(command, env=environment, check=False).returncode == 0
    (tmp_path / "one" / "shared" / "__init__.py").touch()
    assert subprocess.run(command, env=environment, check=False, capture_output=True).returncode != 0


@pytest.fixture(scope="module")
def imports() -> grimp.ImportGraph:
    return grimp.build_graph(*(f"eolake.{portion}" for portion in PORTIONS), cache_dir=None)


def test_layers_hold(imports: grimp.ImportGraph) -> None:
    """The same contract as import-linter's in `make check`, said once more without its configuration."""
    below = {"catalog": {"cube", "ingest", "analysis"}, "cube": {"ingest", "analysis"}, "ingest": {"analysis"}, "analysis": {"ingest"}}
    broken = [
        (module, imported)
        for module in imports.modules
        for imported in imports.find_modules_directly_imported_by(module)
        if imported.startswith("eolake.") and imported.split(".")[1] in below[module.split(".")[1]]
    ]
    assert broken == []


def test_no_import_cycles(imports: grimp.ImportGraph) -> None:
    remaining = {module: set(imports.find_modules_directly_imported_by(module)) & imports.modules for module in imports.modules}
    # Take away, again and again, what imports nothing that is left: what can't be taken away is in, or above, a cycle.
    while free := {module for module, imported in remaining.items() if not imported}:
        remaining = {module: imported - free for module, imported in remaining.items() if module not in free}
    assert remaining == {}


@pytest.mark.parametrize("group", ["eolake.commands", "eolake.sensors"])
def test_installed_entry_points_are_those_of_pyproject(group: str) -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["entry-points"][group]
    installed = {entry.name: entry.value for entry in entry_points(group=group) if entry.dist and entry.dist.name == "eolake"}
    assert installed == declared, "run scripts/bootstrap"


def test_nothing_of_a_machine_in_the_repository() -> None:
    """Absolute paths of somebody's home or workspace in tracked files."""
    own = str(ROOT)
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout.decode().split("\0")
    files = [ROOT / name for name in tracked if name and (ROOT / name).is_file()]
    assert len(files) > 50
    assert [str(path) for path in files if own.encode() + b"/" in path.read_bytes()] == []
