"""Publications: one row per item ever published; check, recycle, extents and staleness read these, never STAC documents."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from eolake.catalog.errors import Fenced
from eolake.catalog.lake import Executor
from eolake.catalog.ledger.granules import Lease
from eolake.catalog.queries import load_queries

SQL = load_queries("eolake.catalog.ledger.queries", "publications")
PAGE = 5_000
"""Rows per statement when all are walked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredObject:
    """One object in the store."""

    key: str
    asset: str
    """Asset key; `item` for item.json."""
    bytes: int
    checksum: str
    """Multihash sha2-256, hexadecimal."""
    pixel_digest: str | None = None
    href: str | None = None
    """Where a foreign object is, which is not in the store; then `key` is only its name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What the ledger keeps of a publication."""

    collection: str
    item_id: str
    dataset_id: UUID
    revision: int
    granule_id: int | None
    run_id: int | None
    scene_key: str | None
    rank: tuple[int | str, ...]
    prefix: str
    digest: str
    bbox: tuple[float, float, float, float]
    """west, south, east, north"""
    start_at: datetime
    end_at: datetime
    objects: tuple[StoredObject, ...]
    sources: tuple[tuple[str, str], ...]
    """(collection, item id)"""
    inputs: str | None = None
    """Of a derived item: the hash by which a planner knows that it is up to date."""
    footprint: Mapping[str, Any] | None = None
    """GeoJSON geometry; only where the scene key asks for it."""

    @classmethod
    def of(cls, document: Mapping[str, Any], **changes: Any) -> Record:
        """From `document()`, with other values for some fields."""
        fields = {name: document[name] for name in cls.__slots__ if name in document}
        return cls(
            **{
                **fields,
                "dataset_id": UUID(document["dataset_id"]),
                "rank": tuple(document["rank"]),
                "bbox": (document["west"], document["south"], document["east"], document["north"]),
                "start_at": datetime.fromisoformat(document["start_at"]),
                "end_at": datetime.fromisoformat(document["end_at"]),
                "objects": tuple(StoredObject(**o) for o in document["objects"]),
                "sources": tuple((s["collection"], s["item_id"]) for s in document["sources"]),
                **changes,
            }
        )

    def document(self) -> dict[str, Any]:
        """As the query `record` reads it."""
        west, south, east, north = self.bbox
        return {
            "collection": self.collection,
            "item_id": self.item_id,
            "dataset_id": str(self.dataset_id),
            "revision": self.revision,
            "granule_id": self.granule_id,
            "run_id": self.run_id,
            "scene_key": self.scene_key,
            "rank": list(self.rank),
            "prefix": self.prefix,
            "digest": self.digest,
            "west": west,
            "south": south,
            "east": east,
            "north": north,
            "start_at": self.start_at.isoformat(),
            "end_at": self.end_at.isoformat(),
            "bytes": sum(o.bytes for o in self.objects),
            "objects": [asdict(o) for o in self.objects],
            "sources": [{"collection": collection, "item_id": item_id} for collection, item_id in self.sources],
            "inputs": self.inputs,
            "footprint": self.footprint,
        }

    def candidate(self, number: int) -> dict[str, Any]:
        """As `contest` reads it."""
        return {
            "id": number,
            "owner": f"granule {self.granule_id}" if self.granule_id is not None else f"run {self.run_id}",
            "key": self.scene_key,
            "collection": self.collection,
            "name": self.item_id,
            "rank": list(self.rank),
            "progress": 1,
            "footprint": self.footprint,
            "start_at": self.start_at.isoformat(),
            "end_at": self.end_at.isoformat(),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Current:
    """What is published of an item right now."""

    publication_id: int
    collection: str
    item_id: str
    revision: int
    state: str
    granule_id: int | None
    run_id: int | None
    prefix: str
    digest: str
    source: str | None
    """Where the granule came from that it was made of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What a contest says of one processing of a scene."""

    publication_id: int | None
    """None for one that is about to be published."""
    collection: str
    item_id: str
    state: str
    """live or superseded, before"""
    superseded_by: str | None
    """collection/item, before"""
    prefix: str
    granule_id: int | None
    beaten_by: tuple[str, str] | None
    """(collection, item id) of the one that stays; None: this one stays."""

    @property
    def key(self) -> tuple[str, str]:
        """(collection, item id)"""
        return self.collection, self.item_id


def stage(connection: Executor, lease: Lease, prefixes: Sequence[str]) -> None:
    """Announce that objects are about to be written under these prefixes, so that the sweeper finds them if this process dies."""
    connection.execute(SQL["stage"], {"prefixes": list(prefixes), "fence": lease.fence})


def current(connection: Executor, items: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Current]:
    """The publications of (collection, item id) pairs, locked until commit."""
    given = Jsonb([{"collection": collection, "item_id": item_id} for collection, item_id in items])
    rows = connection.execute(SQL["current"], {"items": given}).fetchall()
    return {(row["collection"], row["item_id"]): Current(**row) for row in rows}


def record(connection: Executor, records: Sequence[Record]) -> dict[tuple[str, str], int]:
    """Write publications; publication ids by (collection, item id). One that is missing lost to a greater revision."""
    rows = connection.execute(SQL["record"], {"publications": Jsonb([r.document() for r in records])}).fetchall()
    return {(row["collection"], row["item_id"]): row["publication_id"] for row in rows}


def replace(connection: Executor, ids: Sequence[int], grace: timedelta) -> None:
    """Free the objects of publications that a newer revision takes over in this transaction."""
    connection.execute(SQL["replace"], {"ids": list(ids), "grace": grace})


def retire(connection: Executor, ids: Sequence[int], tombstone: Mapping[str, Any]) -> None:
    """Withdraw publications."""
    connection.execute(SQL["retire"], {"ids": list(ids), "tombstone": Jsonb(dict(tombstone))})


def hold_scenes(connection: Executor, keys: Collection[str]) -> None:
    """Let nobody else publish a processing of these scenes: of two transactions the second fails to serialize, which is Transient."""
    connection.execute(SQL["hold_scenes"], {"keys": sorted(keys)})


def contest(connection: Executor, keys: Collection[str], fresh: Sequence[Record] = ()) -> list[Standing]:
    """Who stays of all processings of these scenes, those that are published and those about to be (`fresh`)."""
    numbered = {-number: record for number, record in enumerate((r for r in fresh if r.scene_key is not None), 1)}
    given = Jsonb([record.candidate(number) for number, record in numbered.items()])
    rows = connection.execute(SQL["contest"], {"keys": sorted(keys), "fresh": given}).fetchall()
    names = {row["id"]: (row["collection"], row["item_id"]) for row in rows if row["id"] > 0}
    names |= {number: (record.collection, record.item_id) for number, record in numbered.items()}
    return [
        Standing(
            publication_id=row["id"] if row["id"] > 0 else None,
            collection=names[row["id"]][0],
            item_id=names[row["id"]][1],
            state=row["state"] or "live",
            superseded_by=row["superseded_by"],
            prefix=row["prefix"] or numbered[row["id"]].prefix,
            granule_id=row["granule_id"],
            beaten_by=None if row["beaten_by"] is None else names[row["beaten_by"]],
        )
        for row in rows
    ]


def scenes(connection: Executor) -> list[str]:
    """The keys of all scenes of which more than one processing was published."""
    return [row["scene_key"] for row in connection.execute(SQL["scenes"])]


def scenes_of(connection: Executor, ids: Sequence[int]) -> list[str]:
    """The scene keys of publications."""
    return [row["scene_key"] for row in connection.execute(SQL["scenes_of"], {"ids": list(ids)})]


def demote(connection: Executor, beaten: Sequence[Standing], listed: Mapping[tuple[str, str], bool]) -> None:
    """Publications that others took the place of; `listed`: whether the item stays in the catalog, by (collection, item id)."""
    given = [{"id": s.publication_id, "listed": listed[s.key], "by": "/".join(s.beaten_by or ())} for s in beaten]
    connection.execute(SQL["demote"], {"demoted": Jsonb(given)})


def promote(connection: Executor, ids: Sequence[int]) -> None:
    """Superseded publications that are the best ones again."""
    connection.execute(SQL["promote"], {"ids": list(ids)})


def foreign(connection: Executor) -> dict[str, str]:
    """Objects that lie elsewhere: name → href."""
    return {row["key"]: row["href"] for row in connection.execute(SQL["foreign"])}


def origin(connection: Executor, lease: Lease) -> dict[str, Any]:
    """`{"granule": {…}}` or `{"run": {…}}`: where a lease's scenes come from, for the record beside their objects."""
    row = connection.execute(SQL["origin"], {"kind": lease.kind, "id": lease.id}).fetchone()
    if row is None:
        raise Fenced(f"the ledger has no {lease.kind} {lease.id}")
    return dict(row["origin"])


def restore_origin(connection: Executor, record: Mapping[str, Any]) -> int:
    """Make the granule or run of a record (`Record.document()` with its `origin`) again; its number."""
    ((kind, origin),) = record["origin"].items()
    parameters = {
        "origin": Jsonb(origin),
        "revision": record["revision"],
        "collection": record["collection"],
        "scene_key": record["scene_key"],
        "rank": Jsonb(record["rank"]),
    }
    row = connection.execute(SQL["restore_granule" if kind == "granule" else "restore_run"], parameters).fetchone()
    if row is None:
        raise LookupError(f"{record['prefix']}: its origin could not be restored")
    return int(row["id"])


def clear(connection: Executor) -> None:
    """Forget all publications; granules and runs stay."""
    for statement in SQL["clear"].split(";\n"):
        connection.execute(statement)


def pass_revision(connection: Executor, revision: int) -> None:
    """Let the next lease have a revision greater than this."""
    connection.execute(SQL["pass_revision"], {"revision": revision})


def sweepable(connection: Executor, limit: int = 1_000) -> list[str]:
    """Prefixes whose objects nobody will ever publish."""
    return [row["prefix"] for row in connection.execute(SQL["sweepable"], {"limit": limit}).fetchall()]


def swept(connection: Executor, prefixes: Sequence[str]) -> None:
    """Forget prefixes whose objects are deleted."""
    connection.execute(SQL["swept"], {"prefixes": list(prefixes)})


def debris(connection: Executor) -> set[str]:
    """Prefixes that no publication owns (yet)."""
    return {row["prefix"] for row in connection.execute(SQL["debris"]).fetchall()}


def visible(connection: Executor) -> Iterator[dict[str, Any]]:
    """Every publication that the catalog shows, also superseded ones, in order of (collection, item id)."""
    after = ("", "")
    while True:
        rows = connection.execute(SQL["visible"], {"collection": after[0], "item_id": after[1], "limit": PAGE}).fetchall()
        yield from rows
        if len(rows) < PAGE:
            return
        after = (rows[-1]["collection"], rows[-1]["item_id"])


def objects(connection: Executor) -> Iterator[dict[str, Any]]:
    """Every object that a publication owns, in key order."""
    after = ""
    while True:
        rows = connection.execute(SQL["objects"], {"after": after, "limit": PAGE}).fetchall()
        yield from rows
        if len(rows) < PAGE:
            return
        after = rows[-1]["key"]


def find_object(connection: Executor, collection: str, item_id: str, asset: str) -> dict[str, Any] | None:
    """Key, bytes and publication state of an asset; None when nothing has it."""
    return connection.execute(SQL["find_object"], {"collection": collection, "item_id": item_id, "asset": asset}).fetchone()


def extents(connection: Executor) -> dict[str, dict[str, Any]]:
    """Items, bytes, bounding box and time span of each collection that has something live."""
    return {row["collection"]: row for row in connection.execute(SQL["extents"]).fetchall()}


def digests(connection: Executor, collection: str) -> dict[str, str]:
    """The digest of every live item of a collection."""
    return {row["item_id"]: row["digest"] for row in connection.execute(SQL["digests"], {"collection": collection}).fetchall()}


def place(connection: Executor) -> str | None:
    """Where the objects were when their URIs were written; None in a new lake."""
    row = connection.execute(SQL["place"]).fetchone()
    return row["store_url"] if row else None


def set_place(connection: Executor, store_url: str) -> None:
    """Record where the objects are now."""
    connection.execute(SQL["set_place"], {"store_url": store_url})
