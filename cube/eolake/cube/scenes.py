"""Scenes: of all processings of one sensing the best one is live; what it took the place of is superseded, or comes back.

The contest (`eolake.contest` in the database) sees all processings that were ever published and still have their bytes, and
those about to be published. Its outcome depends on them alone, so it is the same in any order of arrival; but what was
shown before a better one came stays on record as superseded, and what comes too late is never published at all.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import psycopg
from psycopg.rows import DictRow

from eolake.catalog import pgstac
from eolake.catalog.declaration import declared
from eolake.catalog.ledger import granules, publications
from eolake.catalog.ledger.publications import Standing
from eolake.catalog.stac import extensions
from eolake.catalog.stac.identity import dataset_id
from eolake.catalog.stac.items import ITEM_MEDIA_TYPE, ITEM_NAME, with_store_hrefs
from eolake.cube.session import Session

Key = tuple[str, str]
"""(collection, item id)"""
Cursor = psycopg.Cursor[DictRow]
VERSIONS = ("successor-version", "predecessor-version")
BATCH = 200
"""Scenes per transaction when all are looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contest:
    """Who stays of the processings of some scenes."""

    standings: tuple[Standing, ...] = ()

    @property
    def beaten(self) -> dict[Key, Key]:
        """Of those about to be published: which is not, and because of what."""
        return {s.key: s.beaten_by for s in self.standings if s.publication_id is None and s.beaten_by is not None}

    @property
    def demoted(self) -> list[Standing]:
        """Published ones that another took the place of just now."""
        there = [s for s in self.standings if s.publication_id is not None and s.beaten_by is not None]
        return [s for s in there if s.state == "live" or s.superseded_by != "/".join(s.beaten_by or ())]

    @property
    def promoted(self) -> list[Standing]:
        """Superseded ones that are the best again."""
        return [s for s in self.standings if s.publication_id is not None and s.beaten_by is None and s.state == "superseded"]

    def versioned(self, item: Mapping[str, Any]) -> dict[str, Any]:
        """The item with its version links; deprecated when another took its place."""
        key = (item["collection"], item["id"])
        standing = next((s for s in self.standings if s.key == key), None)
        before = next((s.key for s in self.standings if s.beaten_by == key and s.publication_id is not None and _listed(s)), None)
        links = [link for link in item["links"] if link["rel"] not in VERSIONS]
        properties = {name: value for name, value in item["properties"].items() if name != "deprecated"}
        if standing is not None and standing.beaten_by is not None:
            links.append(_link("successor-version", standing.beaten_by))
            properties["deprecated"] = True
        if before is not None:
            links.append(_link("predecessor-version", before))
        if links == item["links"]:
            return dict(item)
        needed = extensions.merge(item.get("stac_extensions", ()), {extensions.uri("version")})
        return {**item, "links": links, "properties": properties, "stac_extensions": needed}


def _link(rel: str, key: Key) -> dict[str, Any]:
    """Its href is relative to the STAC API, which makes it absolute."""
    collection, item = key
    href = f"collections/{quote(collection, safe='')}/items/{quote(item, safe='')}"
    return {"rel": rel, "href": href, "type": ITEM_MEDIA_TYPE, "title": item}


def _listed(standing: Standing) -> bool:
    """Whether it stays in the catalog when it is superseded: the rule of its collection."""
    return declared(standing.collection).superseded == "keep"


def contest(cursor: Cursor, keys: Collection[str], fresh: Sequence[publications.Record] = ()) -> Contest:
    """Who stays; until commit nobody else publishes a processing of these scenes."""
    if not keys:
        return Contest()
    return Contest(standings=tuple(publications.contest(cursor, keys, fresh)))


def apply(session: Session, cursor: Cursor, outcome: Contest) -> list[dict[str, Any]]:
    """Cube and ledger as the contest says; the catalog's new items, which the caller adds in its one statement.

    The items that they replace are deleted already."""
    demoted, promoted = outcome.demoted, outcome.promoted
    if not demoted and not promoted:
        return []
    datasets = session.index.datasets
    fallen = [dataset_id(*s.key) for s in demoted if s.state == "live"]
    if fallen:
        datasets.archive(fallen)
    if promoted:
        datasets.restore([dataset_id(*s.key) for s in promoted])
        publications.promote(cursor, [s.publication_id for s in promoted if s.publication_id is not None])
    if demoted:
        publications.demote(cursor, demoted, {s.key: _listed(s) for s in demoted})
    granules.follow(cursor, [s.granule_id for s in (*demoted, *promoted) if s.granule_id is not None])
    winners = {s.beaten_by for s in demoted}
    standing = [s for s in outcome.standings if s.publication_id is not None and s.key in winners and s not in promoted]
    pgstac.delete_items(cursor, [s.key for s in (*demoted, *promoted, *standing)])
    shown = [*(s for s in demoted if _listed(s)), *promoted, *standing]
    return [outcome.versioned(_item(session, s)) for s in shown]


def _item(session: Session, standing: Standing) -> dict[str, Any]:
    document = json.loads(session.store.get(f"{standing.prefix}/{ITEM_NAME}"))
    return with_store_hrefs(document, session.store.uri(standing.prefix))


def settle_all(session: Session) -> int:
    """Look at every scene of which several processings were published; how many scenes there are."""
    keys = publications.scenes(session.connection)
    for at in range(0, len(keys), BATCH):
        with session.transaction() as cursor:
            publications.hold_scenes(cursor, keys[at : at + BATCH])
            items = apply(session, cursor, contest(cursor, keys[at : at + BATCH]))
            if items:
                pgstac.create_items(cursor, items)
    return len(keys)
