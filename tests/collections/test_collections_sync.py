"""Declarations against a real catalog and cube; the command on top."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from threading import Barrier
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result
from datacube import Datacube
from datacube.model import Product
from datacube.scripts.dataset import build_dataset_info

from eolake.catalog import pgstac
from eolake.catalog.declaration import Collection, declared_collections
from eolake.catalog.errors import ConfigError
from eolake.catalog.invocation import Invocation
from eolake.catalog.lake import Lake
from eolake.catalog.stac.collections import stac_collection
from eolake.catalog.stac.identity import dataset_id
from eolake.cube.collection_commands import collections
from eolake.cube.collections import compare, sync, undeclared
from eolake.cube.datasets import odc_dataset
from eolake.cube.products import odc_product, put_product
from eolake.cube.session import Session

NAMES = sorted(declared_collections())


@pytest.fixture
def session(lake: Lake) -> Iterator[Session]:
    with Session(lake=lake) as session:
        yield session


def _changed(example: Collection, band: str, **changes: Any) -> Collection:
    bands = [entry.model_copy(update=changes) if entry.name == band else entry for entry in example.bands]
    return example.model_copy(update={"bands": tuple(bands)})


def test_sync_makes_both_sides_and_then_nothing(session: Session) -> None:
    first = list(sync(session, NAMES[:2]))
    assert [(c.collection, c.catalog, c.cube) for c in first] == [(name, "missing", "missing") for name in NAMES[:2]]
    again = list(sync(session, NAMES[:2]))
    assert [(c.catalog, c.cube, c.due) for c in again] == [("same", "same", False)] * 2
    stored = session.connection.execute("select id from pgstac.collections order by id").fetchall()
    assert [row["id"] for row in stored] == NAMES[:2] == sorted(p.name for p in session.index.products.get_all())


def test_a_dry_run_writes_nothing(session: Session) -> None:
    assert [c.cube for c in sync(session, NAMES[:1], dry_run=True)] == ["missing"]
    assert list(session.index.products.get_all()) == []


def test_an_undeclared_name_is_refused(session: Session) -> None:
    with pytest.raises(ConfigError, match="nonsense"):
        list(sync(session, ["nonsense"]))


def test_what_no_declaration_names_is_listed(session: Session, example: Collection) -> None:
    put_product(session.index.products, example)
    pgstac.put_collection(session.connection, {**stac_collection(example), "id": "other"})
    assert [(c.collection, c.catalog, c.cube) for c in undeclared(session)] == [
        ("example_l2", "absent", "undeclared"),
        ("other", "undeclared", "absent"),
    ]


def test_a_side_that_lags_is_seen(session: Session, example: Collection) -> None:
    put_product(session.index.products, example)
    assert (compare(session, example).catalog, compare(session, example).cube) == ("missing", "same")
    pgstac.put_collection(session.connection, stac_collection(example))
    newer = example.model_copy(update={"title": "A better title"})
    found = compare(session, newer)
    assert (found.catalog, found.cube, found.due) == ("differs", "differs", True)
    monthly = example.model_copy(update={"partition": "month"})
    assert (compare(session, monthly).catalog, compare(session, monthly).cube) == ("differs", "same")


def test_harmless_changes_update_the_product(session: Session, example: Collection) -> None:
    products = session.index.products
    put_product(products, example)
    load = example.load.model_copy(update={"align": 0.0})
    newer = _changed(example, "red", aliases=("B04", "B4")).model_copy(update={"load": load, "title": "New"})
    product = put_product(products, newer)
    assert product.canonical_measurement("B4") == "red"
    assert products.get_by_name("example_l2").definition == odc_product(newer)


@pytest.mark.parametrize(
    ("band", "changes", "fault"),
    [
        ("red", {"dtype": "int16"}, "dtype: uint16 → int16"),
        ("red", {"nodata": 1.0}, "nodata: 0 → 1"),
        ("red", {"scale": 0.1}, "scale_factor"),
        ("red", {"optional": True}, "measurements"),
        ("cirrus", {"optional": False}, "cirrus"),
    ],
)
def test_changes_that_would_break_datasets_are_refused(
    session: Session, example: Collection, band: str, changes: dict[str, Any], fault: str
) -> None:
    put_product(session.index.products, example)
    other = _changed(example, band, **changes)
    found = compare(session, other)
    assert (found.cube, found.due) == ("refused", False)
    with pytest.raises(ConfigError, match=rf"example_l2.*{fault}.*new id"):
        put_product(session.index.products, other)
    assert session.index.products.get_by_name("example_l2").definition == odc_product(example)


def test_workers_that_make_one_product_at_once_all_get_it(lake: Lake, example: Collection) -> None:
    start = Barrier(4)

    def make(session: Session) -> Product:
        start.wait(30)
        return put_product(session.index.products, example)

    with ExitStack() as stack, ThreadPoolExecutor(4) as pool:
        sessions = [stack.enter_context(Session(lake=lake)) for _ in range(4)]
        assert [session.index.products.get_by_name("example_l2") for session in sessions] == [None] * 4
        made = list(pool.map(make, sessions))
    assert {(product.name, product.id) for product in made} == {("example_l2", made[0].id)}


def test_a_dataset_added_to_the_cube_is_found_and_shown(session: Session, example: Collection, stored_item: dict[str, Any]) -> None:
    """The datacube index accepts our documents, stores the lineage, and `dataset info` shows the fields."""
    index = session.index
    dataset = odc_dataset(stored_item, put_product(index.products, example))
    index.datasets.add(dataset, with_lineage=False)
    found = index.datasets.get(dataset.id)
    assert found.uri == stored_item["links"][0]["href"]
    fields = build_dataset_info(index, found)["fields"]
    assert (fields["label"], fields["platform"], fields["instrument"], fields["region_code"]) == (
        stored_item["id"],
        "sentinel-2a",
        "MSI",
        "55HFA",
    )
    cube = Datacube(index=index)
    for query in (
        {"region_code": "55HFA", "time": ("2020-01-08", "2020-01-09")},
        {"lat": (-34, -33.9), "lon": (149, 149.1), "platform": "sentinel-2a"},
    ):
        assert [hit.id for hit in cube.find_datasets(product="example_l2", **query)] == [dataset.id]
    for query in ({"region_code": "55HFB"}, {"time": ("2020-01-09", "2020-01-10")}, {"lat": (-20, -19), "lon": (149, 149.1)}):
        assert cube.find_datasets(product="example_l2", **query) == []
    tree = index.lineage.get_source_tree(dataset.id)
    assert [child.dataset_id for children in tree.children.values() for child in children] == [dataset_id("s2_l1c", "S2A_L1C")]


def _run(*words: str, lake: Lake | None = None, as_json: bool = False) -> Result:
    call = Invocation(config=lake.settings.root / "eolake.toml" if lake else None, json=as_json)
    return CliRunner().invoke(collections, list(words), obj=call)


def test_list_names_every_collection() -> None:
    assert [line.split()[0] for line in _run("list").stdout.splitlines()] == NAMES
    assert _run().stdout == _run("list").stdout
    assert [entry["id"] for entry in json.loads(_run("list", as_json=True).stdout)] == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_show_every_collection(name: str) -> None:
    result = _run("show", name)
    assert result.exit_code == 0, result.output
    collection = declared_collections()[name]
    assert all(f"\n{band.name} " in result.stdout for band in collection.bands)


def test_show_in_the_forms_of_other_tools() -> None:
    collection = declared_collections()[NAMES[0]]
    assert yaml.safe_load(_run("show", NAMES[0], "--as", "odc").stdout) == odc_product(collection)
    assert json.loads(_run("show", NAMES[0], "--as", "stac").stdout) == stac_collection(collection)
    document = json.loads(_run("show", NAMES[0], as_json=True).stdout)
    assert (document["stac"]["id"], document["odc"]["name"], document["declaration"]["id"]) == (NAMES[0],) * 3


def test_show_says_when_there_is_no_such_collection() -> None:
    assert isinstance(_run("show", "nonsense").exception, ConfigError)


def test_sync_command_says_what_it_did(lake: Lake) -> None:
    assert _run("sync", NAMES[0], "--dry-run", lake=lake).stdout == f"{NAMES[0]}: catalog would be made, cube would be made\n"
    assert _run("sync", NAMES[0], lake=lake).stdout == f"{NAMES[0]}: catalog made, cube made\n"
    assert _run("sync", NAMES[0], lake=lake).stdout == f"{NAMES[0]}: catalog as declared, cube as declared\n"
    [entry] = json.loads(_run("sync", NAMES[0], lake=lake, as_json=True).stdout)
    assert entry == {"id": NAMES[0], "catalog": "same", "cube": "same", "reason": ""}
