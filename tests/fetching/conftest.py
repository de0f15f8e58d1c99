"""A lake with a provider of its own, whose files a simulator serves."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.fetching import Shop
from support.workers import PROBE

from eolake.catalog.lake import Lake
from eolake.ingest.simulators.server import Server


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(seed=1) as made:
        yield made


@pytest.fixture
def shop(lake: Lake, server: Server) -> Shop:
    return Shop.open(lake, server)


@pytest.fixture(autouse=True)
def _probe_plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(PROBE))
