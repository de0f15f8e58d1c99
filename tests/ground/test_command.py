"""The command itself: quick to start, loud when something is wrong, the same everywhere."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from eolake.catalog.cli import root
from eolake.catalog.commands import ALIASES, SECTIONS

HEAVY = ("datacube", "xarray", "numpy", "rasterio", "dask", "sqlalchemy", "psycopg", "pydantic", "pystac", "fastapi")


OURS = sorted(entry.name for entry in entry_points(group="eolake.commands") if entry.dist and entry.dist.name == "eolake")


def eolake(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "eolake.catalog", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | environment)


def table() -> dict[str, str]:
    return {name: text for section in SECTIONS.values() for name, text in section.items()}


def test_help_imports_nothing_heavy() -> None:
    code = f"""
import sys
from eolake.catalog.cli import root
try:
    root.main(["--help"])
except SystemExit as end:
    assert end.code == 0
print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)
"""
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stderr.strip() == "[]"
    assert "Local stack:" in answer.stdout
    assert table()["doctor"] in " ".join(answer.stdout.split())


@pytest.mark.parametrize(
    "name", [entry.name for entry in entry_points(group="eolake.commands") if entry.dist and entry.dist.name == "eolake"]
)
def test_every_command_loads_and_says_what_the_list_says(name: str) -> None:
    command = root.get_command(click.Context(root), name)
    assert command is not None
    assert command.help is not None
    assert table().get(name) == command.help.splitlines()[0]
    assert {"--config", "--verbose", "--json"} <= {word for parameter in command.params for word in parameter.opts}
    assert CliRunner().invoke(root, [name, "--help"]).exit_code == 0


def test_the_list_promises_nothing_that_is_not_there() -> None:
    installed = {entry.name for entry in entry_points(group="eolake.commands")}
    assert set(table()) - installed == set()
    assert set(ALIASES.values()) <= installed


def test_options_work_before_and_after_the_name(tmp_path: Path) -> None:
    missing = str(tmp_path / "nowhere.toml")
    before = CliRunner().invoke(root, ["-c", missing, "--json", "down"])
    after = CliRunner().invoke(root, ["down", "--json", "-c", missing])
    assert before.exit_code == after.exit_code == 3
    assert before.stderr == after.stderr == f"eolake: {missing} does not exist; run `eolake init` first\n"


def test_usage_errors_end_with_two() -> None:
    assert CliRunner().invoke(root, ["no-such-command"]).exit_code == 2
    assert CliRunner().invoke(root, ["down", "--no-such-option"]).exit_code == 2


def test_json_is_the_only_thing_on_stdout(tmp_path: Path) -> None:
    answer = CliRunner().invoke(root, ["--json", "init", str(tmp_path / "new")])
    assert answer.exit_code == 0
    assert json.loads(answer.stdout)["root"] == str(tmp_path / "new")


@pytest.fixture
def plug_in(tmp_path: Path) -> Path:
    """A distribution of somebody else with three commands: one works, one breaks, one does not load."""
    facts = tmp_path / "strange_plugin-1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: strange-plugin\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text(
        "[eolake.commands]\nfine = strange_plugin:fine\nbreaks = strange_plugin:breaks\nabsent = strange_plugin.no_such_module:command\n"
    )
    (tmp_path / "strange_plugin.py").write_text(
        "import click\n"
        "@click.command()\ndef fine():\n    'Works.'\n    click.echo('fine')\n"
        "@click.command()\ndef breaks():\n    'Breaks.'\n    raise ZeroDivisionError('of the plug-in')\n"
    )
    return tmp_path


def test_plug_ins_are_listed_and_run(plug_in: Path) -> None:
    listed = eolake("--help", PYTHONPATH=str(plug_in)).stdout
    assert "Plug-ins:" in listed
    assert "from strange-plugin" in listed
    assert eolake("fine", PYTHONPATH=str(plug_in)).stdout == "fine\n"


def test_a_plug_in_that_does_not_load_fails_by_name(plug_in: Path) -> None:
    answer = eolake("absent", PYTHONPATH=str(plug_in))
    assert answer.returncode == 3
    assert "'absent'" in answer.stderr
    assert "strange-plugin" in answer.stderr


def test_an_unexpected_error_shows_its_origin_only_on_demand(plug_in: Path) -> None:
    short = eolake("breaks", PYTHONPATH=str(plug_in))
    assert (short.returncode, short.stderr) == (1, "eolake: unexpected ZeroDivisionError: of the plug-in (-v shows where)\n")
    long = eolake("breaks", "-v", PYTHONPATH=str(plug_in))
    assert "strange_plugin.py" in long.stderr
    assert long.stderr.endswith("eolake: unexpected ZeroDivisionError: of the plug-in\n")


def test_a_reader_that_leaves_early_is_no_error() -> None:
    shell = f"{sys.executable} -m eolake.catalog --help | true; echo ${{PIPESTATUS[0]}}"
    answer = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, check=True)
    assert answer.stderr == ""
    assert answer.stdout.strip() in {"0", "1"}  # written before, or after, the reader left
