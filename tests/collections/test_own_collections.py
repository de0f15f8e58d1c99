"""A lake's own collections: YAML files beside eolake.toml are declared like the package's."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from support.example import EXAMPLE

from eolake.catalog.declaration import declared, declared_collections
from eolake.catalog.errors import ConfigError
from eolake.catalog.lake import Lake
from eolake.catalog.settings import Settings, load_settings

OWN = yaml.safe_load(EXAMPLE.read_text("utf-8")) | {"id": "my_own"}


def write(folder: Path, name: str = "my_own", **changes: object) -> Path:
    (folder / "collections").mkdir(exist_ok=True)
    (folder / "collections" / f"{name}.yaml").write_text(yaml.safe_dump(OWN | changes))
    (folder / "eolake.toml").write_text("")
    return folder / "eolake.toml"


def test_a_file_in_the_lake_s_folder_is_a_declared_collection(tmp_path: Path) -> None:
    load_settings(write(tmp_path))
    assert declared("my_own").title == OWN["title"]
    assert list(declared_collections()) == sorted(declared_collections())
    assert {"my_own", "s2_l2a"} <= set(declared_collections())


def test_another_lake_has_others_and_a_changed_file_counts(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    settings = load_settings(write(first))
    load_settings(write(second, "another", id="another"))
    assert "my_own" not in declared_collections()
    with pytest.raises(ConfigError, match="no collection 'my_own' is declared"):
        declared("my_own")
    Lake(settings=settings)
    assert "another" not in declared_collections()
    assert declared("my_own").title == OWN["title"]
    load_settings(write(first, title="Changed"))
    assert declared("my_own").title == "Changed"


def test_settings_that_come_from_another_process_bring_them_along(tmp_path: Path) -> None:
    told = load_settings(write(tmp_path)).model_dump_json()
    code = "import sys; from eolake.catalog.settings import Settings; Settings.model_validate_json(sys.argv[1]); "
    code += "from eolake.catalog.declaration import declared; print(declared('my_own').id)"
    done = subprocess.run([sys.executable, "-c", code, told], capture_output=True, text=True, check=True)
    assert done.stdout == "my_own\n"
    assert Settings.model_validate_json(told).root == tmp_path


@pytest.mark.parametrize(
    ("name", "changes", "fault"),
    [
        ("s2_l2a", {"id": "s2_l2a"}, r"s2_l2a\.yaml: eolake declares s2_l2a itself; give the lake's own collection another id"),
        ("my_own", {"id": "other"}, r"my_own\.yaml declares 'other'; name the file other\.yaml"),
        ("my_own", {"gsd": "wide"}, r"collections/my_own\.yaml is not a valid collection declaration"),
    ],
)
def test_a_faulty_declaration_is_named(tmp_path: Path, name: str, changes: dict[str, object], fault: str) -> None:
    load_settings(write(tmp_path, name, **changes))
    with pytest.raises(ConfigError, match=fault):
        declared_collections()
    with pytest.raises(ConfigError, match=fault):
        declared(name)


def test_the_source_and_the_bands_name_the_same(tmp_path: Path) -> None:
    source = {"sensor": "files", "product": "x", "bands": {"red": "red", "violet": "violet"}}
    load_settings(write(tmp_path, source=source, thumbnail=[], renders={}))
    with pytest.raises(ConfigError, match=r"source\.bands and bands differ: .*violet"):
        declared("my_own")


def test_the_commands_list_and_show_them(tmp_path: Path) -> None:
    config = write(tmp_path)
    command = [sys.executable, "-m", "eolake.catalog", "-c", str(config), "--json", "collections"]
    listed = json.loads(subprocess.run([*command, "list"], capture_output=True, text=True, check=True).stdout)
    assert {"my_own", "s2_l2a"} <= {entry["id"] for entry in listed}
    shown = json.loads(subprocess.run([*command, "show", "my_own"], capture_output=True, text=True, check=True).stdout)
    assert shown["declaration"]["id"] == shown["odc"]["name"] == shown["stac"]["id"] == "my_own"
