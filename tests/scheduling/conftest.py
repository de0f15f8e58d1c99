"""One lake for all tests of a file; each finds its tables empty."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from eolake.catalog.lake import Connection, Lake


@pytest.fixture(scope="module")
def shared(fresh_lake: Callable[[Path], AbstractContextManager[Lake]], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lake]:
    """The lake."""
    with fresh_lake(tmp_path_factory.mktemp("lake")) as lake:
        yield lake


@pytest.fixture
def db(shared: Lake) -> Iterator[Connection]:
    """A connection; nothing was offered or configured yet."""
    with shared.connect() as connection:
        connection.execute("truncate eolake.granule, eolake.provider, eolake.host, eolake.alarm, eolake.event, eolake.day cascade")
        yield connection
