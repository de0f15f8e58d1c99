"""A session on a lake of its own, and an analysis on small tiles."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from eolake.analysis.base import TileGrid
from eolake.analysis.cluster import Workers
from eolake.analysis.vegetation_indices import MonthIndices
from eolake.catalog.lake import Lake
from eolake.cube.session import Session


@pytest.fixture
def session(lake: Lake) -> Iterator[Session]:
    with Session(lake=lake) as session:
        yield session


@pytest.fixture(scope="session")
def workers() -> Iterator[Workers]:
    """Two processes for all tests."""
    with Workers(count=2) as workers:
        workers.client(tasks=2)
        yield workers


@pytest.fixture
def monthly() -> MonthIndices:
    """Tiles of 3.84 km instead of 96 km: the same code on less."""
    return MonthIndices(grid=TileGrid(crs="EPSG:3577", resolution=30, pixels=128, meridian=132))
