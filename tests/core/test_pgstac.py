"""Items as pgSTAC keeps them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from support.scenes import COLLECTION, WHEN, claim, draft

from eolake.catalog import pgstac
from eolake.catalog.lake import Connection, Lake
from eolake.cube.session import Session
from eolake.cube.staging import stage


@pytest.fixture
def connection(lake: Lake) -> Iterator[Connection]:
    with lake.connect() as connection:
        yield connection


@pytest.fixture
def item(lake: Lake) -> dict[str, Any]:
    """A finished item whose collection is in the catalog."""
    with Session(lake=lake) as session:
        session.product(COLLECTION)
        session.ensure_partition(COLLECTION, WHEN)
        return dict(json.loads(json.dumps(stage(session, draft(), claim(session)).item)))


def _hydrated(connection: Connection) -> dict[str, Any]:
    return {row["id"]: row["content"] for row in pgstac.all_items(connection)}


def test_items_come_back_as_they_went_in(connection: Connection, item: dict[str, Any]) -> None:
    lacking = {key: asset for key, asset in item["assets"].items() if key != "red"}
    items = [item, {**item, "id": "lacking", "assets": lacking}]
    pgstac.create_items(connection, items)
    assert _hydrated(connection) == {entry["id"]: entry for entry in items}


def test_items_come_back_after_the_collection_was_edited(connection: Connection, item: dict[str, Any]) -> None:
    pgstac.create_items(connection, [item])
    row = connection.execute("select content from pgstac.collections").fetchone()
    assert row is not None
    edited = row["content"]
    edited["item_assets"]["red"]["title"] = "Rot"
    assert pgstac.put_collection(connection, edited)
    pgstac.create_items(connection, [{**item, "id": "later"}])
    found = _hydrated(connection)
    assert found[item["id"]] == item
    assert found["later"] == {**item, "id": "later"}


def test_search_finds_what_was_created(connection: Connection, item: dict[str, Any]) -> None:
    pgstac.create_items(connection, [item])
    search = json.dumps({"collections": [COLLECTION], "filter": {"op": "<", "args": [{"property": "eo:cloud_cover"}, 10]}})
    row = connection.execute("select pgstac.search(%s::jsonb) as found", [search]).fetchone()
    assert row is not None
    assert [feature["id"] for feature in row["found"]["features"]] == [item["id"]]


def test_relocating_touches_only_hrefs_below_the_old_place(connection: Connection, item: dict[str, Any]) -> None:
    elsewhere = {**item, "id": "elsewhere", "assets": {"red": {**item["assets"]["red"], "href": "file:///ab_c/red.tif"}}}
    here = {**item, "assets": {"red": {**item["assets"]["red"], "href": "file:///a_c/red.tif"}}}
    pgstac.create_items(connection, [here, elsewhere])
    assert pgstac.relocate(connection, "file:///a_c", "s3://bucket") == 1
    hrefs = {name: content["assets"]["red"]["href"] for name, content in _hydrated(connection).items()}
    assert hrefs == {item["id"]: "s3://bucket/red.tif", "elsewhere": "file:///ab_c/red.tif"}
