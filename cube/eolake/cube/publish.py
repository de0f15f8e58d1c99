"""Publish and retire: the only two functions that make a scene visible or invisible.

Objects first (`staging`), then one transaction over ODC, ledger and pgSTAC: a scene is either completely in the lake
or not in it at all. Until the commit nothing shows what was written, and the sweeper owns it.
"""

from __future__ import annotations

import contextlib
import io
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

import psycopg
from datacube.index.abstract import DatasetTuple
from datacube.model import Dataset
from datacube.utils.changes import allow_any
from psycopg.rows import DictRow

from eolake.catalog import pgstac
from eolake.catalog.draft import Draft
from eolake.catalog.errors import Fenced, Transient
from eolake.catalog.failpoints import failpoint
from eolake.catalog.ledger import granules, publications, runs
from eolake.catalog.ledger.granules import Lease, Shown
from eolake.catalog.ledger.publications import Current, Record
from eolake.catalog.stac.identity import dataset_id
from eolake.catalog.stac.items import with_store_hrefs
from eolake.cube import scenes
from eolake.cube.datasets import odc_dataset
from eolake.cube.scenes import Contest
from eolake.cube.session import Session
from eolake.cube.staging import Staged, stage

TRIES = 8
"""Of one transaction, before a passing fault of the database is handed to the caller."""
GRACE = timedelta(hours=1)
"""How long the objects of a replaced revision stay for those who read them."""

Verdict = Literal["published", "unchanged", "rejected", "superseded", "lost"]
Key = tuple[str, str]
"""(collection, item id)"""
Cursor = psycopg.Cursor[DictRow]


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What one lease yields: published together or not at all."""

    lease: Lease
    staged: tuple[Staged, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a batch."""

    lease: Lease
    verdict: Verdict
    """`unchanged`: the lake says the same already; `superseded`: a better processing of the scene is published, so this one
    is not; `lost`: somebody else has the work now."""
    reason: str | None = None
    by: str | None = None
    """The item that is in its way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A staged scene as each of the three stores wants it."""

    staged: Staged
    item: Mapping[str, Any]
    dataset: Dataset


Within = Callable[[Cursor, Sequence[Outcome]], None]
"""The caller's own statement about the ledger, in the transaction that publishes: both happen or neither."""


def publish(session: Session, drafts: Sequence[Draft], lease: Lease, *, within: Within | None = None) -> Outcome:
    """Store the drafts of one lease and publish them together.

    Raises BadProduct, Transient; Fenced when the lease is lost."""
    staged = tuple(stage(session, draft, lease) for draft in drafts)
    (outcome,) = commit(session, [Batch(lease=lease, staged=staged)], within=within)
    if outcome.verdict == "lost":
        raise Fenced(outcome.reason)
    return outcome


def commit(session: Session, batches: Sequence[Batch], *, within: Within | None = None) -> list[Outcome]:
    """Publish staged scenes in ONE transaction; one outcome per batch, in their order.

    Passing faults of the database are tried again here, `within` included; Transient only when they stay."""
    keys = [staged.key for batch in batches for staged in batch.staged]
    if len(set(keys)) < len(keys):
        raise ValueError("an item stands twice in one commit; put the second into the next")
    prepared = {staged.key: prepare(session, staged) for batch in batches for staged in batch.staged}
    outcomes = _persist(lambda: _commit(session, batches, prepared, within))
    failpoint("commit:after")
    shown = [s.record for b, o in zip(batches, outcomes, strict=True) if o.verdict == "published" for s in b.staged]
    scene_keys = {record.scene_key for record in shown if record.scene_key is not None}
    if scene_keys:  # on its own: what still waits and is worse now would only be fetched for nothing
        granules.settle(session.connection, scene_keys)
    return outcomes


def _persist[T](work: Callable[[], T]) -> T:
    """Try again what failed for a passing reason, with growing jittered pauses."""
    for attempt in range(1, TRIES):
        try:
            return work()
        except Transient:
            time.sleep(random.uniform(0.01, 0.03 * 2**attempt))  # noqa: S311 - jitter, not a secret
    return work()


def prepare(session: Session, staged: Staged) -> Prepared:
    """Everything that needs no lock is done before the transaction."""
    record = staged.record
    product = session.product(record.collection)
    session.ensure_partition(record.collection, staged.at)
    item = with_store_hrefs(staged.item, session.store.uri(record.prefix))
    return Prepared(staged=staged, item=item, dataset=odc_dataset(item, product))


def _commit(session: Session, batches: Sequence[Batch], prepared: Mapping[Key, Prepared], within: Within | None) -> list[Outcome]:
    with session.transaction() as cursor:
        failpoint("commit:begin")
        order = sorted(batches, key=lambda batch: (batch.lease.kind, batch.lease.id))
        held = {batch.lease: _fence(cursor, batch.lease) for batch in order}
        failpoint("commit:fenced")
        current = publications.current(cursor, list(prepared))
        outcomes = [_judge(batch, current, held=held[batch.lease]) for batch in batches]
        scene = _contest(cursor, batches, outcomes)
        outcomes = [_yield(batch, outcome, scene.beaten) for batch, outcome in zip(batches, outcomes, strict=True)]
        wanted = [p for p in _wanted(batches, outcomes, prepared) if p.staged.key not in scene.beaten]
        replaced = {key: current[key] for key in (p.staged.key for p in wanted) if key in current}
        others: list[dict[str, Any]] = []
        if wanted:
            index_datasets(session, wanted)
            failpoint("commit:after-odc")
            _record(cursor, wanted, replaced)
            others = scenes.apply(session, cursor, scene)
            failpoint("commit:after-ledger")
        for batch, outcome in zip(batches, outcomes, strict=True):
            _close(cursor, batch, outcome)
        if within is not None:
            within(cursor, outcomes)
        if wanted:
            failpoint("commit:before-pgstac")
            if replaced:
                pgstac.delete_items(cursor, list(replaced))
            pgstac.create_items(cursor, [*(scene.versioned(p.item) for p in wanted), *others])
            failpoint("commit:after-pgstac")
    return outcomes


def _wanted(batches: Sequence[Batch], outcomes: Sequence[Outcome], prepared: Mapping[Key, Prepared]) -> list[Prepared]:
    return [prepared[s.key] for b, o in zip(batches, outcomes, strict=True) if o.verdict == "published" for s in b.staged]


def _contest(cursor: Cursor, batches: Sequence[Batch], outcomes: Sequence[Outcome]) -> Contest:
    """Against all other processings of the scenes that are about to be published."""
    fresh = [s.record for b, o in zip(batches, outcomes, strict=True) if o.verdict == "published" for s in b.staged]
    keys = {record.scene_key for record in fresh if record.scene_key is not None}
    if keys:
        publications.hold_scenes(cursor, keys)
    return scenes.contest(cursor, keys, fresh)


def _yield(batch: Batch, outcome: Outcome, beaten: Mapping[Key, Key]) -> Outcome:
    """A batch all of whose scenes have better processings publishes nothing: it would be hidden the moment it is shown."""
    if outcome.verdict != "published" or not batch.staged or any(staged.key not in beaten for staged in batch.staged):
        return outcome
    by = beaten[batch.staged[0].key][1]
    return Outcome(lease=batch.lease, verdict="superseded", reason=f"superseded by {by}", by=by)


def _fence(cursor: Cursor, lease: Lease) -> bool:
    return granules.fence(cursor, lease) if lease.kind == "granule" else runs.fence(cursor, lease)


def _judge(batch: Batch, current: Mapping[Key, Current], *, held: bool) -> Outcome:
    lease = batch.lease
    if not held:
        return Outcome(lease=lease, verdict="lost", reason=f"lease {lease.fence} of {lease.kind} {lease.id} ran out; nothing was published")
    there = {staged.key: current[staged.key] for staged in batch.staged if staged.key in current}
    for key, known in there.items():
        if known.revision > lease.fence:
            return Outcome(lease=lease, verdict="lost", reason=f"{'/'.join(key)}: revision {known.revision} is published already")
        if known.state == "live" and lease.kind == "granule" and known.granule_id != lease.id:
            reason = f"duplicate: {key[1]} was published from {known.source or 'a run'}"
            return Outcome(lease=lease, verdict="rejected", reason=reason, by=key[1])
    if batch.staged and all(_same(staged, there.get(staged.key)) for staged in batch.staged):
        return Outcome(lease=lease, verdict="unchanged")
    return Outcome(lease=lease, verdict="published")


def _same(staged: Staged, known: Current | None) -> bool:
    return known is not None and known.state == "live" and known.digest == staged.record.digest


def index_datasets(session: Session, wanted: Sequence[Prepared]) -> None:
    """Datasets into the cube: new ones in bulk, known ones (also archived) updated."""
    datasets = session.index.datasets
    known = datasets.bulk_has([p.dataset.id for p in wanted])
    fresh = [p.dataset for p, there in zip(wanted, known, strict=True) if not there]
    if fresh:
        # `add` of one dataset takes 17 statements, `bulk_add` five; on a terminal it prints a dot.
        with contextlib.redirect_stdout(io.StringIO()):
            datasets.bulk_add([_tuple(dataset) for dataset in fresh], batch_size=len(fresh))
    for dataset in (p.dataset for p, there in zip(wanted, known, strict=True) if there):
        datasets.update(dataset, updates_allowed={(): allow_any})
        datasets.restore([dataset.id])


def _tuple(dataset: Dataset) -> DatasetTuple:
    uri = dataset.uri
    if uri is None:
        raise ValueError(f"dataset {dataset.id} has no location")
    lineage = {name: list(ids) for name, ids in dataset.metadata_doc.get("lineage", {}).items()}
    return DatasetTuple(dataset.product, dataset.metadata_doc_without_lineage(), uri, lineage)


def _record(cursor: Cursor, wanted: Sequence[Prepared], replaced: Mapping[Key, Current]) -> None:
    if replaced:
        publications.replace(cursor, [known.publication_id for known in replaced.values()], GRACE)
    written = publications.record(cursor, [p.staged.record for p in wanted])
    missing = [p.staged.key for p in wanted if p.staged.key not in written]
    if missing:
        raise Fenced(f"a newer revision of {', '.join('/'.join(key) for key in missing)} is published already")


def _close(cursor: Cursor, batch: Batch, outcome: Outcome) -> None:
    """The end of the lease of a granule; a run goes on until it says so."""
    if batch.lease.kind == "run" or outcome.verdict == "lost":
        return
    records = [staged.record for staged in batch.staged]
    if outcome.verdict == "rejected":
        granules.reject(cursor, batch.lease, reason=outcome.reason or "", by=outcome.by)
        return
    if outcome.verdict == "superseded":
        granules.supersede(cursor, batch.lease, _shown(records), by=outcome.by or "")
        return
    granules.published(cursor, batch.lease, _shown(records), items=[record.item_id for record in records])


def _shown(records: Sequence[Record]) -> Shown:
    first = records[0]
    if len(records) > 1:
        return Shown(collection=first.collection)
    return Shown(
        collection=first.collection,
        scene_key=first.scene_key,
        rank=first.rank,
        footprint=first.footprint,
        start_at=first.start_at,
        end_at=first.end_at,
    )


def retire(session: Session, items: Sequence[Key], *, reason: str) -> int:
    """Make items invisible: archived in the cube, deleted from the catalog, a tombstone in the ledger; how many were shown.

    Their objects stay until they are recycled. What they had superseded comes back."""
    return _persist(lambda: _retire(session, items, {"reason": reason}))


def withdraw(session: Session, provider: str, ids: Sequence[str], reason: str) -> int:
    """The provider has deleted these products: never silently in the lake, but with a tombstone that says so; how many items that hid."""
    granules.withdraw(session.connection, provider, ids, reason)
    return follow_withdrawals(session)


def follow_withdrawals(session: Session) -> int:
    """Retire what is still shown of granules that their provider has deleted; how many items that hid.

    The next best processing of each scene is live again, if it was ever published; otherwise it is queued already."""
    causes: dict[tuple[str, str], list[Key]] = {}
    for row in granules.withdrawn(session.connection):
        causes.setdefault((row["provider"], row["reason"] or ""), []).append((row["collection"], row["item_id"]))
    return sum(_follow(session, items, provider, reason) for (provider, reason), items in causes.items())


def _follow(session: Session, items: Sequence[Key], provider: str, reason: str) -> int:
    tombstone = {"reason": f"withdrawn by {provider}: {reason}", "provider": provider, "cause": reason}
    return _persist(lambda: _retire(session, items, tombstone))


def _retire(session: Session, items: Sequence[Key], tombstone: Mapping[str, str]) -> int:
    with session.transaction() as cursor:
        current = publications.current(cursor, list(items))
        shown = {key: known for key, known in current.items() if known.state in {"live", "superseded"}}
        if shown:
            ids = [known.publication_id for known in shown.values()]
            keys = publications.scenes_of(cursor, ids)
            if keys:
                publications.hold_scenes(cursor, keys)
            session.index.datasets.archive([dataset_id(*key) for key in shown])
            publications.retire(cursor, ids, tombstone)
            pgstac.delete_items(cursor, list(shown))
            back = scenes.apply(session, cursor, scenes.contest(cursor, keys))
            if back:
                pgstac.create_items(cursor, back)
    return len(shown)
