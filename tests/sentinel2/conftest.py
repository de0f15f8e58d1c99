"""Products for the tests of the Sentinel-2 sensor."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from eolake.catalog.draft import Draft
from eolake.ingest.sensors.base import Options
from eolake.ingest.sensors.sentinel2 import Sentinel2Sensor
from eolake.ingest.simulators.products.containers import Container
from eolake.ingest.simulators.products.scenes import TINY, Kind, generate_scene

WHEN = datetime(2020, 1, 8, 0, 11, 9, 24000, tzinfo=UTC)
Generated = Callable[..., Path]
Drafts = Callable[[Path], list[Draft]]


@pytest.fixture(scope="session")
def _originals(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Kind, str, Container], Path]:
    made: dict[tuple[Kind, str, Container], Path] = {}

    def original(kind: Kind, baseline: str, container: Container) -> Path:
        key = (kind, baseline, container)
        if key not in made:
            made[key] = generate_scene(
                kind, WHEN, tmp_path_factory.mktemp("product"), size=TINY, baseline=baseline, container=container, cloud=0.3
            )
        return made[key]

    return original


@pytest.fixture
def generated(_originals: Callable[[Kind, str, Container], Path], tmp_path: Path) -> Generated:
    """generated(kind, baseline, container="dir"): a copy of a tiny product, which the test may break."""

    def copy(kind: Kind, baseline: str = "05.00", container: Container = "dir") -> Path:
        original = _originals(kind, baseline, container)
        target = tmp_path / baseline / original.name
        target.parent.mkdir(exist_ok=True)
        return Path(shutil.copytree(original, target) if original.is_dir() else shutil.copy(original, target))

    return copy


@pytest.fixture
def drafts(tmp_path: Path) -> Drafts:
    """drafts(path): what the sensor makes of a product that is edited or decimated, so that its manifest is wrong (tests/integrity)."""

    def made(path: Path) -> list[Draft]:
        workspace = tempfile.mkdtemp(prefix="workspace-", dir=tmp_path)
        return list(Sentinel2Sensor().open(path, Path(workspace), Options(checked=False)))

    return made
