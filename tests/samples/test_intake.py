"""From products on disk to a lake: what became of each, and that a second run changes nothing."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from support import workers
from support.auditor import audit

from eolake.catalog.lake import Connection

if TYPE_CHECKING:
    from conftest import Taken


def test_each_product_is_published_rejected_or_quarantined_with_its_reason(taken: Taken) -> None:
    products = {Path(product["path"]): product for product in taken.document["products"]}
    assert set(products) == {expected.path for expected in taken.expected}
    assert taken.status == 1, "some are quarantined"
    for expected in taken.expected:
        product = products[expected.path]
        assert product["outcome"] == expected.outcome, product
        if expected.outcome == "published":
            assert (product["items"], product["reason"]) == ([expected.item], None)
        else:
            assert re.search(expected.reason, product["reason"]), product["reason"]
            assert "(attempts:" not in product["reason"], "such a fault is found at once"


def test_every_file_is_in_a_product_or_named_as_none(taken: Taken) -> None:
    products = [Path(product["path"]) for product in taken.document["products"]]
    named = {Path(entry["path"]): entry["reason"] for entry in taken.document["unrecognised"]}
    assert all(named.values())
    files = [file for path in taken.paths for file in path.rglob("*") if file.is_file()]
    silent = [file for file in files if not any(file.is_relative_to(known) for known in (*products, *named))]
    assert silent == []


def test_store_catalog_cube_and_ledger_agree(taken: Taken) -> None:
    found = taken.command("check")
    assert (found["ok"], found["missing"], found["orphans"], found["differing"]) == (True, [], [], [])
    assert found["items"] == found["datasets"] == len(taken.published)
    assert found["objects"] == len(workers.listing(taken.lake))
    assert audit(taken.lake) == []


def test_status_counts(taken: Taken) -> None:
    found = taken.command("status")
    outcomes = [expected.outcome for expected in taken.expected]
    assert found["granules"] == {outcome: outcomes.count(outcome) for outcome in ("published", "quarantined", "rejected")}
    collections = [expected.item.split("/")[0] for expected in taken.published]
    owned = {key: size for key, (size, *_) in workers.listing(taken.lake).items() if not key.endswith("/record.json")}
    for name in set(collections):
        stored = sum(size for key, size in owned.items() if key.startswith(f"{name}/"))
        assert found["collections"][name] == {"items": collections.count(name), "datasets": collections.count(name), "bytes": stored}


ROWS = """
    select schemaname || '.' || relname as name, n_tup_ins + n_tup_upd + n_tup_del as n from pg_stat_user_tables
    where schemaname in ('eolake', 'pgstac', 'odc')
"""
OF_READERS = {"pgstac.searches", "pgstac.search_wheres"}
"""Where pgSTAC notes each search; the HTTP app that other tests ask may still do so."""


def rows_written(connection: Connection) -> dict[str, int]:
    """By table, ever."""
    connection.execute("select pg_stat_force_next_flush()")
    return {row["name"]: row["n"] for row in connection.execute(ROWS) if row["name"] not in OF_READERS}


def test_a_second_run_writes_no_row_and_no_object(taken: Taken) -> None:
    with taken.lake.connect() as connection:
        rows, objects = rows_written(connection), workers.listing(taken.lake)
        status, document = workers.ingest(taken.lake, *taken.paths)
        assert rows_written(connection) == rows
    assert workers.listing(taken.lake) == objects
    assert status == 1, "what is quarantined is still not published"
    before = {product["path"]: product for product in taken.document["products"]}
    for product in document["products"]:
        first = before[product["path"]]
        assert product["outcome"] == {"published": "unchanged"}.get(first["outcome"], first["outcome"])
        assert product["reason"] == first["reason"]
