"""Rebuild: catalog, cube and ledger made again from the store alone."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import batched
from typing import Any

from eolake.catalog import pgstac
from eolake.catalog.errors import UsageError
from eolake.catalog.ledger import publications
from eolake.catalog.ledger.publications import Record
from eolake.catalog.queries import load_queries
from eolake.catalog.stac.items import ITEM_NAME
from eolake.catalog.store import Store
from eolake.cube.publish import index_datasets, prepare
from eolake.cube.scenes import settle_all
from eolake.cube.session import Session
from eolake.cube.staging import RECORD_NAME, Staged

SQL = load_queries("eolake.cube", "odc")
BATCH = 200
"""Scenes per transaction."""


def rebuild(session: Session, *, replace: bool = False) -> int:
    """Publish again every scene that the store holds, each in its newest revision; the number of scenes.

    UsageError when the ledger already has publications and `replace` is not set: they are forgotten first."""
    with session.transaction() as cursor:
        if not replace and next(publications.visible(cursor), None):
            raise UsageError("the lake has publications; `eolake rebuild --replace` forgets them and reads the store again")
        pgstac.clear_items(cursor)
        for statement in SQL["clear"].split(";\n"):
            cursor.execute(statement)
        publications.clear(cursor)
    publications.set_place(session.connection, session.lake.store_config.url)
    total = 0
    for batch in batched(_newest(session.store), BATCH):
        _publish(session, batch)
        total += len(batch)
    settle_all(session)
    return total


def _newest(store: Store) -> Iterable[str]:
    """The prefix of the newest complete revision of each scene."""
    newest: dict[str, tuple[int, str]] = {}
    for found in store.list(""):
        prefix, _, name = found.key.rpartition("/")
        if name == RECORD_NAME:
            scene, _, revision = prefix.rpartition("/r")
            newest[scene] = max(newest.get(scene, (-1, "")), (int(revision), prefix))
    return [prefix for _, prefix in sorted(newest.values(), key=lambda entry: entry[1])]


def _read(store: Store, prefixes: Iterable[str]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    for prefix in prefixes:
        yield json.loads(store.get(f"{prefix}/{ITEM_NAME}")), json.loads(store.get(f"{prefix}/{RECORD_NAME}"))


def _publish(session: Session, prefixes: Iterable[str]) -> None:
    documents = list(_read(session.store, prefixes))
    prepared = [prepare(session, Staged(item=item, record=Record.of(record, granule_id=None, run_id=None))) for item, record in documents]
    with session.transaction() as cursor:
        records = [_owned(cursor, record) for _, record in documents]
        index_datasets(session, prepared)
        publications.record(cursor, records)
        publications.pass_revision(cursor, max(record.revision for record in records))
        pgstac.create_items(cursor, [p.item for p in prepared])


def _owned(cursor: Any, document: dict[str, Any]) -> Record:
    """The record with the number that its granule or run has in this database."""
    number = publications.restore_origin(cursor, document)
    (kind,) = document["origin"]
    return Record.of(document, granule_id=number if kind == "granule" else None, run_id=number if kind == "run" else None)
