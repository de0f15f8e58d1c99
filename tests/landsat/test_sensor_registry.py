"""Sensors are found by entry points; a plug-in that does not import fails by name and stops no other."""

from __future__ import annotations

from pathlib import Path

import pytest

from eolake.catalog.errors import ConfigError
from eolake.ingest.sensors import find_sensor, get_sensor, identify, sensor_names

KITES = """
class Kites:
    name = "kites"

    def matches(self, name):
        return name.startswith("KITE")

    def open(self, path, workspace):
        yield
"""
LANDSAT = "LC08_L1TP_090084_20160121_20170405_01_T1"


def _install(folder: Path, name: str, target: str, code: str | None = None) -> None:
    """A distribution with one sensor, as an installer would leave it."""
    metadata = folder / f"eolake_{name}-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: eolake-{name}\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(f"[eolake.sensors]\n{name} = {target}\n")
    if code is not None:
        (folder / f"{target.partition(':')[0]}.py").write_text(code)


def test_ours_are_registered() -> None:
    assert {"landsat", "sentinel2"} <= set(sensor_names())
    assert get_sensor("landsat").name == "landsat"
    found = find_sensor(LANDSAT)
    assert found is not None
    assert found.name == "landsat"


def test_a_third_party_needs_one_file_and_one_entry_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _install(tmp_path, "kites", "eolake_kites_of_a_test:Kites", KITES)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert "kites" in sensor_names()
    found = find_sensor("KITE_1")
    assert found is not None
    assert found.name == "kites"


def test_a_broken_plug_in_is_named_when_it_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _install(tmp_path, "broken", "eolake_broken_of_a_test:Sensor", "import a_module_that_nobody_has\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    for ask in (lambda: get_sensor("broken"), lambda: find_sensor("nobody knows this"), lambda: identify(tmp_path)):
        with pytest.raises(ConfigError, match=r"'broken' \(eolake_broken_of_a_test:Sensor\) does not import: .*a_module_that_nobody_has"):
            ask()


def test_a_broken_plug_in_stops_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _install(tmp_path, "aaa_broken", "eolake_missing_of_a_test:Sensor")
    monkeypatch.syspath_prepend(str(tmp_path))
    found = find_sensor(LANDSAT)
    assert found is not None
    assert found.name == "landsat"


def test_an_unknown_sensor_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"no sensor 'sputnik' is installed; there are: .*landsat"):
        get_sensor("sputnik")


@pytest.mark.parametrize("name", [f"{LANDSAT}.tar.gz", f"{LANDSAT}.tar", LANDSAT])
def test_a_path_is_known_by_its_name(tmp_path: Path, name: str) -> None:
    found = identify(tmp_path / name)
    assert found is not None
    assert (found[0].name, found[1]) == ("landsat", LANDSAT)


def test_a_folder_of_other_things_is_nothing(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x")
    assert identify(tmp_path) is None
    assert identify(tmp_path / "notes.txt") is None
