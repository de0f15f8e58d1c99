"""One run: make what is due, publish it in batches, retire what lost its inputs, and leave a record.

A run that finds nothing to do writes nothing, not even its record.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from eolake.analysis.cluster import Workers
from eolake.analysis.make import Made, make
from eolake.analysis.plan import Plan, Task
from eolake.catalog.errors import Fenced
from eolake.catalog.lake import Lake
from eolake.catalog.ledger import runs
from eolake.catalog.ledger.granules import Lease
from eolake.catalog.settings import Settings

if TYPE_CHECKING:
    from distributed import Client

    from eolake.catalog.lake import Executor
    from eolake.cube.publish import Outcome
    from eolake.cube.session import Session
    from eolake.cube.staging import Staged

log = logging.getLogger(__name__)
LEASE = timedelta(minutes=5)
BEAT = 60.0
"""Seconds between extensions of the lease."""
BATCH = 16
"""Outputs in one transaction, at most."""
AHEAD = 3
"""Tasks given to dask per worker: results wait for their commit, not in memory."""
Progress = Callable[[Made], None]


@dataclass(slots=True, kw_only=True)
class Result:
    """What a run did."""

    published: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    """Somebody else published the same meanwhile."""
    retired: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    """Item id → reason."""


def run(lake: Lake, plan: Plan, *, parameters: dict[str, Any], workers: Workers, progress: Progress) -> Result:
    """Do what the plan says is due."""
    from eolake.cube.session import Session

    result = Result()
    if not plan.due and not plan.bereft:
        return result
    with Session(lake=lake) as session, _lease(lake, session, plan, parameters, result) as lease:
        if plan.due:
            _work(workers.client(len(plan.due)), session, plan, lease, result, progress)
        _retire(session, plan, result)
    return result


@contextmanager
def _lease(lake: Lake, session: Session, plan: Plan, parameters: dict[str, Any], result: Result) -> Iterator[Lease]:
    """The run's record and lease; a run that ends by an error says so."""
    analysis = plan.analysis
    runs.abandon(session.connection)
    lease = runs.begin(
        session.connection,
        analysis=analysis.collection,
        parameters={**parameters, **analysis.parameters},
        code_version=analysis.version,
        owner=f"{socket.gethostname()}:{os.getpid()}",
        lease=LEASE,
        planned=len(plan.due),
    )
    try:
        with _heartbeat(lake, lease):
            yield lease
    except BaseException as error:
        runs.end(session.connection, lease, state="failed", done=len(result.published), failed=len(result.failed), reason=repr(error))
        raise
    reason = f"{len(result.failed)} outputs failed" if result.failed else None
    state = "failed" if result.failed else "done"
    runs.end(session.connection, lease, state=state, done=len(result.published), failed=len(result.failed), reason=reason)  # type: ignore[arg-type]


@contextmanager
def _heartbeat(lake: Lake, lease: Lease) -> Iterator[None]:
    """Extends the lease from a thread of its own; a lost lease is noticed by the next commit."""
    stop = threading.Event()

    def beat() -> None:
        with lake.connect(name="eolake run") as connection:
            while not stop.wait(BEAT):
                try:
                    runs.extend(connection, lease, LEASE)
                except Fenced:
                    log.warning("run %s lost its lease; nothing more is published", lease.id)
                    return

    thread = threading.Thread(target=beat, name="eolake lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _work(client: Client, session: Session, plan: Plan, lease: Lease, result: Result, progress: Progress) -> None:
    """Tasks go to dask a few at a time; what they staged is committed in batches."""
    waiting: list[Staged] = []
    for made in _made(client, session.lake.settings, plan, lease):
        progress(made)
        if made.staged is None:
            result.failed[made.item_id] = made.reason or "unknown"
            continue
        waiting.append(made.staged)
        if len(waiting) >= BATCH:
            _commit(session, lease, waiting, result)
            waiting = []
    _commit(session, lease, waiting, result)


def _made(client: Client, settings: Settings, plan: Plan, lease: Lease) -> Iterator[Made]:
    """Results as they come. A worker that dies takes along its own task only, and dask gives that to another."""
    from distributed import as_completed

    due = iter(plan.due)
    window = AHEAD * max(1, len(client.scheduler_info()["workers"]))
    names: dict[str, str] = {}

    def submit() -> Any:
        task: Task | None = next(due, None)
        if task is None:
            return None
        future = client.submit(make, settings, plan.analysis, task, lease, key=f"{task.item_id}-{lease.fence}", pure=False)
        names[str(future.key)] = task.item_id
        return future

    first = [future for _ in range(window) if (future := submit()) is not None]
    running = as_completed(first, raise_errors=False)  # type: ignore[no-untyped-call]
    for future in running:
        name = names.pop(str(future.key))
        if future.status == "finished":
            yield future.result()
        else:
            yield Made(item_id=name, staged=None, reason=f"the worker failed: {future.exception()!r}", seconds=0.0)
        future.release()
        if (following := submit()) is not None:
            running.add(following)  # type: ignore[no-untyped-call]


def _commit(session: Session, lease: Lease, staged: Sequence[Staged], result: Result) -> None:
    from eolake.cube.publish import Batch, commit

    if not staged:
        return

    def note(cursor: Executor, outcomes: Sequence[Outcome]) -> None:
        runs.progress(cursor, lease, sum(outcome.verdict == "published" for outcome in outcomes))

    outcomes = commit(session, [Batch(lease=lease, staged=(one,)) for one in staged], within=note)
    for one, outcome in zip(staged, outcomes, strict=True):
        name = one.key[1]
        if outcome.verdict == "published":
            result.published.append(name)
        elif outcome.verdict == "unchanged":
            result.unchanged.append(name)
        else:
            result.failed[name] = outcome.reason or outcome.verdict


def _retire(session: Session, plan: Plan, result: Result) -> None:
    from eolake.cube.publish import retire

    if plan.bereft:
        retire(session, [(plan.analysis.collection, name) for name in plan.bereft], reason="the inputs are not in the lake any more")
        result.retired += plan.bereft
