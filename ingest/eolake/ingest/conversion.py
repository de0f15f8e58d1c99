"""One product through the sensor and into the lake, and what any error on this way means for the queue."""

from __future__ import annotations

import errno
import logging
import shutil
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import psycopg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from eolake.catalog.draft import Draft
from eolake.catalog.errors import BadProduct, Fenced, Rejected, Transient, Unreachable
from eolake.catalog.failpoints import failpoint
from eolake.catalog.lake import Lake
from eolake.catalog.ledger import granules
from eolake.catalog.ledger import raw as ledger_raw
from eolake.catalog.ledger.granules import Lease
from eolake.cube.publish import Batch, Outcome, commit
from eolake.cube.session import Session
from eolake.cube.staging import Staged, key_prefix, stage
from eolake.ingest.clipping import finished
from eolake.ingest.fetching import raw
from eolake.ingest.messages import Done, Event, Job, Verdict
from eolake.ingest.overview import with_overview
from eolake.ingest.providers.folder import NAME as FOLDER
from eolake.ingest.providers.folder import there
from eolake.ingest.reference import reference_draft
from eolake.ingest.sensors import find_sensor, sensor_names
from eolake.ingest.sensors.base import Options

PASSING = (Transient, Unreachable, psycopg.OperationalError, psycopg.InterfaceError, PoolTimeout)
"""No fault of the product."""
SETTING = (
    psycopg.errors.UndefinedTable,
    psycopg.errors.UndefinedColumn,
    psycopg.errors.UndefinedFunction,
    psycopg.errors.InvalidSchemaName,
    psycopg.errors.InsufficientPrivilege,
    psycopg.errors.ReadOnlySqlTransaction,
)
"""The database is not what it should be: of another version, or a standby."""
FULL = {errno.ENOSPC, errno.EDQUOT, errno.ENFILE, errno.EROFS}
"""What the machine lacks; memory and open files are bounded for each product, so they are its own affair."""
SPARE = 64 * 2**20
"""Bytes; on a disk with less, any error is the disk's."""

log = logging.getLogger(__name__)


@dataclass(kw_only=True)
class Converter:
    """Converts product after product; use as a context manager."""

    lake: Lake
    say: Callable[[Event], None]
    """Tells the worker."""
    _session: Session | None = None
    _step: str = "start"
    _seconds: dict[str, float] = field(default_factory=dict)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def open(self) -> Session:
        """The session, with its connections made."""
        if self._session is None:
            session = Session(lake=self.lake)
            _ = session.connection, session.index, session.store
            self._session = session
        return self._session

    def close(self) -> None:
        """Close the connections; they are made again when they are needed."""
        session, self._session = self._session, None
        if session is None:
            return
        try:
            session.close()
        except (psycopg.Error, DBAPIError) as error:  # a connection that is broken already
            log.info("closing: %s", error)

    def convert(self, job: Job) -> Done:
        """Open, stage and commit one product; never raises for what may be wrong with it."""
        self._step, self._seconds = "start", {}
        workspace = Path(job.workspace)
        try:
            with _temporary(workspace):
                outcome, staged = self._publish(job, workspace)
        except Exception as error:  # whatever a product does: `judge` says what it means
            log.info("%s: %s", job.name, error, exc_info=True)
            verdict, reason = judge(error, self._step, workspace)
            if verdict not in {"quarantined", "rejected"}:
                self.close()
            return Done(verdict=verdict, reason=reason, seconds=self._seconds)
        return _done(outcome, staged, self._seconds)

    def _publish(self, job: Job, workspace: Path) -> tuple[Outcome, list[Staged]]:
        session, lease = self.open(), Lease(kind="granule", id=job.granule_id, fence=job.fence)
        with self._at("open", session, lease):
            failpoint("open:before")
            drafts = _drafts(session, job, workspace)
            draft = next(drafts, None)
            failpoint("open:after")
        staged: list[Staged] = []
        while draft is not None:
            self.say(Event(kind="prefix", text=key_prefix(draft.item, lease.fence)))
            with self._at("stage", session, lease):
                staged.append(stage(session, draft, lease))
            with self._at("open", session, lease):
                draft = next(drafts, None)
        with self._at("commit", session, lease):
            (outcome,) = commit(session, [Batch(lease=lease, staged=tuple(staged))])
        return outcome, staged

    @contextmanager
    def _at(self, step: str, session: Session, lease: Lease) -> Iterator[None]:
        """Note where the work is, and how long it stays there; Fenced when the lease is lost."""
        self._step = step
        granules.note_step(session.connection, lease, step)
        self.say(Event(kind="step", text=step))
        begin = time.monotonic()
        try:
            yield
        finally:
            self._seconds[step] = self._seconds.get(step, 0) + time.monotonic() - begin


def _drafts(session: Session, job: Job, workspace: Path) -> Iterator[Draft]:
    """The scenes of a product, at least one, clipped if that was ordered; with its provider's picture, if that was fetched too."""
    (granule,) = granules.get(session.connection, [job.granule_id])
    if granule.transfer == "reference":
        yield reference_draft(granule)
        return
    options = Options.of(granule.options)
    product = _product(session, job, workspace)
    picture = product.overview and shutil.copyfile(product.overview, workspace / product.overview.name)  # beside which a copy is made
    sensor = find_sensor(job.name)
    if sensor is None:
        raise BadProduct(f"no sensor knows {job.name!r} ({product.path}); installed are: {', '.join(sensor_names())}")
    found, outside = 0, None
    for whole in sensor.open(product.path, workspace, options):
        try:
            draft = finished(whole, options)
        except Rejected as why:  # of several tiles some may lie outside of the area
            outside = why
            continue
        found += 1
        yield with_overview(draft, picture) if picture else draft
    if not found:
        raise outside or BadProduct(f"{product.path}: the sensor {sensor.name} found no scene in it")


def _product(session: Session, job: Job, workspace: Path) -> raw.LocalProduct:
    """The product on this disk: where the user has it, or where it was fetched to."""
    if job.provider == FOLDER:
        path = Path(job.source)
        if not there(path):
            raise BadProduct(f"{path} is not there any more; `eolake ingest` it again from where it is")
        return raw.LocalProduct(path=path)
    files = ledger_raw.files(session.connection, job.granule_id)
    return raw.localise(session.store, files, workspace, Path(job.nearby) if job.nearby else None)


@contextmanager
def _temporary(workspace: Path) -> Iterator[None]:
    """Temporary files of whatever runs here go into the workspace, which is removed afterwards."""
    workspace.mkdir(parents=True, exist_ok=True)
    before, tempfile.tempdir = tempfile.tempdir, str(workspace)
    try:
        yield
    finally:
        tempfile.tempdir = before
        shutil.rmtree(workspace, ignore_errors=True)


def _done(outcome: Outcome, staged: list[Staged], seconds: dict[str, float]) -> Done:
    return Done(
        verdict=outcome.verdict,
        reason=outcome.reason,
        items=tuple("/".join(s.key) for s in staged),
        seconds=seconds,
        written=sum(o.bytes for s in staged for o in s.record.objects),
    )


def judge(error: Exception, step: str, workspace: Path, *, spare: int = SPARE) -> tuple[Verdict, str]:
    """What an error means for the product, and the reason that people read.

    With fewer than `spare` bytes free where the workspace is, it is the disk's."""
    said = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, Fenced):
        return "lost", said
    if isinstance(error, Rejected):
        return "rejected", said
    if _passing(error):
        return "later", f"{said} (at the step {step!r})"
    if _machine(error, workspace, spare):
        return "later", f"this machine is short of something: {said} (at the step {step!r})"
    if isinstance(error, BadProduct):
        return "quarantined", said
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
        said = "it needs more memory than a converter may take (EOLAKE_WORKER_MEMORY)"
    return "fault", f"{type(error).__name__}: {said} (at the step {step!r}, {_where(error)})"


def _passing(error: Exception) -> bool:
    """The fault is the database's, for now; also where SQLAlchemy wraps it."""
    cut = isinstance(error, DBAPIError) and error.connection_invalidated
    return cut or isinstance(error.orig if isinstance(error, DBAPIError) else error, (*PASSING, *SETTING))


def _machine(error: Exception, workspace: Path, spare: int) -> bool:
    if isinstance(error, OSError) and error.errno in FULL:
        return True
    there = next(folder for folder in (workspace, *workspace.parents) if folder.exists())
    return shutil.disk_usage(there).free < spare


def _where(error: Exception) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "nowhere"
