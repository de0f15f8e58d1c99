"""CF grids and the collections that declare them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from eolake.catalog.draft import Draft
from eolake.catalog.settings import load_settings
from eolake.ingest.sensors.netcdf_grid import GridSensor

Drafts = Callable[..., list[Draft]]

SST: Mapping[str, Any] = {
    "id": "sst_grid",
    "title": "Sea surface temperature",
    "description": "Of a test.",
    "license": "CC0-1.0",
    "keywords": ["ocean"],
    "providers": [{"name": "Nobody", "roles": ["producer"]}],
    "bands": [{"name": "sst", "title": "Temperature", "dtype": "int16", "nodata": -32768, "unit": "K", "scale": 0.01, "offset": 293.15}],
    "load": {"crs": "EPSG:4326", "resolution": 1.0},
    "source": {
        "sensor": "netcdf_grid",
        "product": r"SST_GRID_(?P<start>\d{8})_V\d",
        "times": "%Y%m%d",
        "bands": {"sst": "sst"},
    },
}


@pytest.fixture
def declare(tmp_path: Path) -> Callable[..., None]:
    """declare(**source or band changes): the collection in the lake of this test."""

    def write(*, band: Mapping[str, Any] | None = None, **source: Any) -> None:
        document = {**SST, "bands": [{**SST["bands"][0], **(band or {})}], "source": {**SST["source"], **source}}
        (tmp_path / "collections").mkdir(exist_ok=True)
        (tmp_path / "collections" / "sst_grid.yaml").write_text(yaml.safe_dump(document))
        (tmp_path / "eolake.toml").write_text("")
        load_settings(tmp_path / "eolake.toml")

    write()
    return write


@pytest.fixture
def drafts(tmp_path: Path) -> Drafts:
    """drafts(product): by the sensor, with a workspace of its own."""

    def opened(product: Path) -> list[Draft]:
        workspace = tmp_path / f"workspace-{len(list(tmp_path.glob('workspace-*')))}"
        workspace.mkdir()
        return list(GridSensor().open(product, workspace))

    return opened
