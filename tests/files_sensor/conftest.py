"""Products of raster files, and the collections that declare them."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from eolake.catalog.draft import Draft
from eolake.catalog.settings import load_settings
from eolake.ingest.sensors.files import FilesSensor

README = Path(__file__).parents[2] / "README.md"
Drafts = Callable[..., list[Draft]]


def readme_collection() -> str:
    """The collection that the README shows: what its readers copy."""
    found = re.search(r"```yaml\n# collections/modis_ndvi\.yaml\n(.*?)```", README.read_text("utf-8"), re.DOTALL)
    assert found is not None
    return found[1]


@pytest.fixture
def declare(tmp_path: Path) -> Callable[[str, str], None]:
    """declare(id, yaml): a collection of the lake of this test."""

    def write(name: str, text: str) -> None:
        (tmp_path / "collections").mkdir(exist_ok=True)
        (tmp_path / "collections" / f"{name}.yaml").write_text(text)
        (tmp_path / "eolake.toml").touch()
        load_settings(tmp_path / "eolake.toml")

    return write


@pytest.fixture
def drafts(tmp_path: Path) -> Drafts:
    """drafts(product): by the sensor, with a workspace of its own."""

    def opened(product: Path) -> list[Draft]:
        workspace = tmp_path / f"workspace-{len(list(tmp_path.glob('workspace-*')))}"
        workspace.mkdir()
        return list(FilesSensor().open(product, workspace))

    return opened
