"""What was fetched is checked too: each file under raw/ belongs to a granule, and each granule has its files."""

from __future__ import annotations

import json
from typing import Any

from support.auditor import audit
from support.fetching import Shop
from support.workers import run

from eolake.catalog.store import open_store


def checked(shop: Shop) -> Any:
    return json.loads(run(shop.lake, "--json", "check").stdout)


def fetched(shop: Shop) -> list[str]:
    """Two products are brought in; the keys of their files."""
    shop.offer(2)
    done = run(shop.lake, "work", "--once", "--fetch", "2")
    assert done.returncode == 0, done.stderr
    with shop.lake.connect() as connection:
        return [row["key"] for row in connection.execute("select key from eolake.file where key is not null order by key")]


def test_fetched_files_are_counted_and_known(shop: Shop) -> None:
    assert len(fetched(shop)) == 2
    report = checked(shop)
    assert (report["ok"], report["raw"]) == (True, 2), report
    assert audit(shop.lake) == []


def test_a_file_that_is_gone_or_torn_is_told(shop: Shop) -> None:
    gone, torn = fetched(shop)
    store = open_store(shop.lake.store_config)
    store.delete([gone, torn])
    store.put(torn, b"torn")
    report = checked(shop)
    assert report["missing"] == [f"store: {gone} is gone"]
    assert [fault.partition(" has ")[0] for fault in report["differing"]] == [f"store: {torn}"]
    assert len(audit(shop.lake)) == 2


def test_files_that_no_granule_owns_are_orphans_but_for_what_is_being_written(shop: Shop) -> None:
    store = open_store(shop.lake.store_config)
    store.put("raw/probe/any/7/r1/X.SAFE/deep/a.xml", b"under way")
    store.put("raw/probe/any/7/r10/X.SAFE/a.xml", b"stray")
    with shop.lake.connect() as connection:
        connection.execute("insert into eolake.debris (prefix, fence) values ('raw/probe/any/7/r1', 0)")
    report = checked(shop)
    assert report["orphans"] == ["store: raw/probe/any/7/r10/X.SAFE/a.xml belongs to no granule"]
    assert report["raw"] == 2
