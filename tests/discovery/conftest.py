"""A catalogue that a test may bend, and the provider that asks it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any

import pytest
from support.odata import Catalogue, Document, Open, config_at, empty

from eolake.catalog.lake import Lake
from eolake.catalog.settings import load_settings
from eolake.ingest.providers.cdse import ODataProvider
from eolake.ingest.simulators.server import Server

type FreshLake = Callable[[Path], AbstractContextManager[Lake]]


@pytest.fixture(scope="module")
def _lake_of_module(fresh_lake: FreshLake, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lake]:
    with fresh_lake(tmp_path_factory.mktemp("lake")) as lake:
        yield lake


@pytest.fixture
def lake(_lake_of_module: Lake) -> Lake:
    """One database for the tests of a module, emptied for each: a clone takes longer than most of them."""
    empty(_lake_of_module)
    return _lake_of_module


@pytest.fixture
def catalogue_of(tmp_path: Path) -> Iterator[Open]:
    """`catalogue, provider = catalogue_of(documents, page=10)`"""
    (tmp_path / "eolake.toml").write_text("")
    settings = load_settings(tmp_path / "eolake.toml")
    with ExitStack() as stack:

        def opened(
            documents: list[Document], deleted: list[Document] | None = None, *, kind: type[Catalogue] = Catalogue, **options: Any
        ) -> tuple[Catalogue, ODataProvider]:
            catalogue = kind(documents, deleted)
            server = stack.enter_context(Server(catalogue))
            provider = ODataProvider(config_at(server.url, settings, **options))
            stack.callback(provider.api.close)
            return catalogue, provider

        yield opened
