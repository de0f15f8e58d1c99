"""The example collection and one item of it, as written and on store hrefs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pystac
import pytest
from support.example import CREATED, FOLDER, UPDATED, example_assets, example_collection, example_draft

from eolake.catalog.declaration import Collection
from eolake.catalog.stac.items import StoredAsset, complete_item, with_store_hrefs


@pytest.fixture(scope="session")
def example() -> Collection:
    return example_collection()


@pytest.fixture
def draft() -> pystac.Item:
    return example_draft()


@pytest.fixture
def written(example: Collection) -> dict[str, StoredAsset]:
    return example_assets(example)


@pytest.fixture
def item(draft: pystac.Item, example: Collection, written: Mapping[str, StoredAsset]) -> dict[str, Any]:
    """item.json"""
    return complete_item(draft, example, written, created=CREATED, updated=UPDATED, sources=[("s2_l1c", "S2A_L1C")])


@pytest.fixture
def stored_item(item: Mapping[str, Any]) -> dict[str, Any]:
    """As it goes into pgSTAC and the cube."""
    return with_store_hrefs(item, FOLDER)
