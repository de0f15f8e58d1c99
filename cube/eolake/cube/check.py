"""Check: bucket, catalog and cube compared with the ledger, and each dataset findable, not only present."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any
from uuid import UUID

from eolake.catalog import pgstac
from eolake.catalog.lake import Connection
from eolake.catalog.ledger import publications, raw
from eolake.catalog.queries import load_queries
from eolake.catalog.stac.items import ITEM_NAME
from eolake.catalog.store import Store
from eolake.cube.staging import RECORD_NAME

SQL = load_queries("eolake.cube", "odc")
PAGE = 5_000
NOTHING = UUID(int=0)
DEGREES = 0.02
"""How far the extent of a dataset (reprojected corners) may lie from the item's bbox (the valid footprint)."""
RAW = "raw/"
"""Fetched files lie here; they belong to granules, not to publications."""


Expected = Mapping[tuple[str, str], Mapping[str, Any]]
"""What the ledger shows, by (collection, item id)."""


@dataclass(kw_only=True)
class Report:
    """What `check` found; each fault says where, what and which."""

    items: int = 0
    datasets: int = 0
    objects: int = 0
    raw: int = 0
    """Of these, fetched files: below raw/."""
    foreign: int = 0
    """Objects that lie elsewhere: only counted."""
    missing: list[str] = field(default_factory=list)
    """Something the ledger says is there and is not."""
    orphans: list[str] = field(default_factory=list)
    """Something that is there and the ledger does not know."""
    differing: list[str] = field(default_factory=list)
    """Something that is there and says otherwise."""

    @property
    def ok(self) -> bool:
        """No fault of any kind."""
        return not (self.missing or self.orphans or self.differing)

    def document(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "ok": self.ok,
            "items": self.items,
            "datasets": self.datasets,
            "objects": self.objects,
            "raw": self.raw,
            "foreign": self.foreign,
            "missing": self.missing,
            "orphans": self.orphans,
            "differing": self.differing,
        }


def check(connection: Connection, store: Store) -> Report:
    """Compare all four; memory grows with the number of publications, never with documents or pixels."""
    report = Report()
    expected = {(row["collection"], row["item_id"]): row for row in publications.visible(connection)}
    owned = _check_objects(connection, store, report)
    foreign = publications.foreign(connection)
    report.foreign = len(foreign)
    _check_items(connection, store, expected, _Known(owned=owned, foreign=frozenset(foreign.values())), report)
    _check_datasets(connection, store, expected, report)
    return report


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """The objects of the ledger."""

    owned: Mapping[str, int]
    """key → bytes"""
    foreign: frozenset[str]
    """hrefs"""


def _check_objects(connection: Connection, store: Store, report: Report) -> dict[str, int]:
    """Ledger and bucket; the owned keys with their sizes."""
    owned = {row["key"]: row["bytes"] for row in publications.objects(connection)}
    fetched = _fetched(connection)
    unfound = owned | fetched
    debris = publications.debris(connection)
    strange: list[str] = []
    for found in store.list(""):
        report.objects += 1
        report.raw += found.key.startswith(RAW)
        size = unfound.pop(found.key, None)
        if size is not None:
            if size != found.size:
                report.differing.append(f"store: {found.key} has {found.size} bytes, the ledger says {size}")
        elif found.key.startswith(RAW):
            strange.append(found.key)
        elif found.key.rpartition("/")[0] not in debris and not _is_record(found.key, owned):
            report.orphans.append(f"store: {found.key} belongs to no publication")
    gone = unfound.keys() & fetched.keys()
    if strange or gone:
        gone &= _judge_strangers(connection, strange, debris, report).keys()
    report.missing += [f"store: {key} is gone" for key in sorted((unfound.keys() & owned.keys()) | gone)]
    return owned


def _judge_strangers(connection: Connection, strange: list[str], debris: set[str], report: Report) -> dict[str, int]:
    """Fetched files that no granule owned before the store was listed: a fetch may have brought them meanwhile. What is owned now."""
    known = debris | publications.debris(connection)
    fetched = _fetched(connection)
    report.orphans += [f"store: {key} belongs to no granule" for key in strange if key not in fetched and not _within(key, known)]
    return fetched


def _fetched(connection: Connection) -> dict[str, int]:
    """The files that granules own: key → bytes."""
    return {row["key"]: row["bytes"] for row in raw.objects(connection)}


def _within(key: str, prefixes: set[str]) -> bool:
    """Whether a key lies below one of the prefixes, however deep."""
    return any(str(parent) in prefixes for parent in PurePosixPath(key).parents)


def _is_record(key: str, owned: Mapping[str, int]) -> bool:
    """The record beside an owned item.json: it can't own itself, for it lists what is owned."""
    folder, _, name = key.rpartition("/")
    return name == RECORD_NAME and f"{folder}/{ITEM_NAME}" in owned


def _check_items(connection: Connection, store: Store, expected: Expected, known: _Known, report: Report) -> None:
    """Ledger and catalog: presence, hrefs, geometry and time."""
    unfound = set(expected)
    for row in pgstac.all_items(connection):
        report.items += 1
        key = (row["collection"], row["id"])
        name = "/".join(key)
        if key not in expected:
            report.orphans.append(f"catalog: {name} belongs to no publication")
            continue
        unfound.discard(key)
        wanted = expected[key]
        report.differing += [f"catalog: {name}: {fault}" for fault in _item_faults(row, wanted, store, known)]
    report.missing += [f"catalog: {'/'.join(key)} is gone" for key in sorted(unfound)]


def _item_faults(row: Mapping[str, Any], wanted: Mapping[str, Any], store: Store, known: _Known) -> Iterator[str]:
    content = row["content"]
    if bool(content["properties"].get("deprecated")) != (wanted["state"] == "superseded"):
        yield f"it is {wanted['state']}, but the catalog does not say so"
    base = store.uri(wanted["prefix"])
    for name, asset in content.get("assets", {}).items():
        if asset["href"] in known.foreign:
            continue
        if not asset["href"].startswith(f"{base}/"):
            yield f"asset {name} points to {asset['href']}, not below {base}"
        elif f"{wanted['prefix']}/{asset['href'].removeprefix(f'{base}/')}" not in known.owned:
            yield f"asset {name} points to {asset['href']}, which no publication owns"
    if [wanted[side] for side in ("west", "south", "east", "north")] != list(content["bbox"]):
        yield f"its bbox {content['bbox']} is not the published one"
    if not _near(row, wanted, 1e-6) and wanted["west"] <= wanted["east"]:
        yield "its geometry does not fill its bbox"
    if (row["datetime"], row["end_datetime"]) != (wanted["start_at"], wanted["end_at"]):
        yield f"its time {row['datetime']:%FT%T} to {row['end_datetime']:%FT%T} is not the published one"


def _check_datasets(connection: Connection, store: Store, expected: Expected, report: Report) -> None:
    """Ledger and cube: presence, and the rows without which nobody finds a dataset."""
    by_id = {row["dataset_id"]: row for row in expected.values() if row["state"] == "live"}
    unfound = set(by_id)
    for row in findable(connection):
        report.datasets += 1
        name = f"{row['product']}/{row['label']}"
        if row["id"] not in by_id:
            report.orphans.append(f"cube: {name} ({row['id']}) belongs to no publication")
            continue
        unfound.discard(row["id"])
        report.differing += [f"cube: {name}: {fault}" for fault in _dataset_faults(row, by_id[row["id"]], store)]
    report.missing += [f"cube: {by_id[id_]['collection']}/{by_id[id_]['item_id']} is gone" for id_ in sorted(unfound)]


def findable(connection: Connection) -> Iterator[dict[str, Any]]:
    """Every active dataset with the rows that searches use; None where one is absent."""
    after = NOTHING
    while True:
        rows = connection.execute(SQL["findable"], {"after": after, "limit": PAGE}).fetchall()
        yield from rows
        if len(rows) < PAGE:
            return
        after = rows[-1]["id"]


def _dataset_faults(row: Mapping[str, Any], wanted: Mapping[str, Any], store: Store) -> Iterator[str]:
    if (row["product"], row["label"]) != (wanted["collection"], wanted["item_id"]):
        yield f"it should be {wanted['collection']}/{wanted['item_id']}"
    uri = f"{store.uri(wanted['prefix'])}/item.json"
    if row["uri"] != uri:
        yield f"its location is {row['uri']}, not {uri}"
    if row["west"] is None:
        yield "it has no spatial row: searches by place do not find it"
    elif wanted["west"] <= wanted["east"] and not _near(row, wanted, DEGREES):
        yield "its spatial row is somewhere else"
    if not _covers(row["start_at"], row["end_at"], wanted):
        yield "its time row is absent or wrong: searches by time do not find it"
    if not row["has_text"]:
        yield "it has no search rows: searches by property do not find it"


def _near(row: Mapping[str, Any], wanted: Mapping[str, Any], tolerance: float) -> bool:
    return all(abs(row[side] - wanted[side]) <= tolerance for side in ("west", "south", "east", "north"))


def _covers(start: datetime | None, end: datetime | None, wanted: Mapping[str, Any]) -> bool:
    return start is not None and end is not None and start <= wanted["start_at"] and wanted["end_at"] <= end
