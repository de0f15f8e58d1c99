"""An archive of a HyP3 project: what its finished jobs have and the archive lacks is copied, from bucket to bucket or into a folder.

No state but the archive itself: each run lists it, computes the difference and copies that. A run may be stopped anywhere and
repeated at will; what is there with the right size and ETag is never copied again, what is truncated or other is."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, Protocol

from eolake.catalog.errors import ConfigError, EolakeError
from eolake.ingest.providers.hyp3_jobs import Job, ending_of
from eolake.ingest.providers.odata import parse_time

LOG = logging.getLogger(__name__)
THREADS = 4

type Verdict = Literal["copied", "present", "missing", "failed", "collision", "due"]
"""copied now · there already · not made by the job · not copied (reason) · another job's file has the name · would be copied"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One file that the archive is to have."""

    name: str
    """In the archive, below its prefix."""
    job: str
    bucket: str
    key: str
    stem: str
    """What the keys of all files of this product begin with."""
    url: str | None = None
    """Where it can be had when the bucket denies it."""
    size: int | None = None
    """As the job tells it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """An object in a bucket, or a file in a folder."""

    size: int
    etag: str | None = None
    """Without quotes; `…-N`: made of N parts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one file."""

    name: str
    source: str
    verdict: Verdict
    reason: str = ""
    bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a run did."""

    outcomes: tuple[Outcome, ...]

    @property
    def counts(self) -> Mapping[str, int]:
        """How many of each verdict."""
        return dict(Counter(outcome.verdict for outcome in self.outcomes))

    @property
    def failed(self) -> bool:
        """Whether a file that exists is not in the archive now."""
        return any(outcome.verdict in {"failed", "collision"} for outcome in self.outcomes)

    def of(self, verdict: Verdict) -> list[Outcome]:
        """Those with one verdict."""
        return [outcome for outcome in self.outcomes if outcome.verdict == verdict]


class Source(Protocol):
    """Where jobs have their files."""

    def objects(self, bucket: str, stem: str, keys: Sequence[str]) -> Mapping[str, Found]:
        """Those of the keys that are there. Raises Denied."""


class Target(Protocol):
    """Where the archive is."""

    def listing(self) -> Mapping[str, Found]:
        """All that it has, by name."""

    def look(self, name: str) -> Found | None:
        """One of them that the listing did not have: listings are cut off now and then."""

    def same(self, name: str, there: Found, source: Found) -> bool:
        """Whether an object of the archive has the bytes of the source."""

    def copy(self, wanted: Wanted, source: Found) -> int:
        """Bytes copied and verified; nothing half is ever visible. Raises EolakeError."""

    def download(self, wanted: Wanted) -> int:
        """The same from its URL."""


class Denied(EolakeError):
    """The bucket does not let these credentials read; see who may, or take the files from their URLs."""


def plan(
    jobs: Iterable[Job], extensions: Sequence[str], *, now: datetime, start: datetime | None = None
) -> tuple[list[Wanted], list[Outcome]]:
    """The files that the archive is to have, and those that can't be because another job's has their name.

    Of jobs that succeeded, have not expired and were requested not before `start`; the newest job has the name."""
    late = [job for job in jobs if start is None or job.requested is None or job.requested >= start]
    usable = [job for job in late if job.has_files(now)]
    newest = sorted(usable, key=lambda job: (job.requested.timestamp() if job.requested else 0, job.id), reverse=True)
    taken: dict[str, Wanted] = {}
    collisions: list[Outcome] = []
    for wanted in (one for job in newest for one in _of_job(job, extensions)):
        first = taken.setdefault(wanted.name, wanted)
        if (first.bucket, first.key) != (wanted.bucket, wanted.key):
            reason = f"job {first.job} has a file of that name"
            collisions.append(Outcome(name=wanted.name, source=_uri(wanted), verdict="collision", reason=reason))
    return list(taken.values()), collisions


def mirror(
    jobs: Iterable[Job],
    source: Source,
    target: Target,
    *,
    extensions: Sequence[str],
    now: datetime,
    start: datetime | None = None,
    dry_run: bool = False,
    threads: int = THREADS,
) -> Report:
    """Copy what the archive lacks; every file has its verdict, and no file's fault stops the others.

    Raises EolakeError when the archive can't be listed."""
    wanted, collisions = plan(jobs, extensions, now=now, start=start)
    there = target.listing()
    products: dict[tuple[str, str], list[Wanted]] = {}
    for one in wanted:
        products.setdefault((one.bucket, one.stem), []).append(one)

    def work(group: list[Wanted]) -> list[Outcome]:
        return _product(group, source, target, there, dry_run=dry_run)

    with ThreadPoolExecutor(max_workers=threads, thread_name_prefix="mirror") as pool:
        outcomes = [outcome for done in pool.map(work, products.values()) for outcome in done]
    return Report(outcomes=(*outcomes, *collisions))


def _product(group: list[Wanted], source: Source, target: Target, there: Mapping[str, Found], *, dry_run: bool) -> list[Outcome]:
    """The files of one product."""
    first = group[0]
    try:
        found = source.objects(first.bucket, first.stem, [one.key for one in group])
    except Denied as error:
        return [_by_url(one, target, there, str(error), dry_run=dry_run) for one in group]
    except EolakeError as error:
        return [_outcome(one, "failed", str(error)) for one in group]
    return [_file(one, found.get(one.key), target, there.get(one.name), dry_run=dry_run) for one in group]


def _file(one: Wanted, found: Found | None, target: Target, there: Found | None, *, dry_run: bool) -> Outcome:
    if found is None:
        return _outcome(one, "missing", "the job did not make it")
    try:
        there = there or target.look(one.name)
        if there is not None and there.size == found.size and target.same(one.name, there, found):
            return _outcome(one, "present")
        why = "" if there is None else f"replaces one of {there.size} bytes, of {found.size}"
        if dry_run:
            return _outcome(one, "due", why, found.size)
        return _outcome(one, "copied", why, target.copy(one, found))
    except Exception as error:  # noqa: BLE001 - one object's fault, whatever it is, stops no other
        LOG.warning("%s: %s", one.name, error)
        return _outcome(one, "failed", str(error) or type(error).__name__)


def _by_url(one: Wanted, target: Target, there: Mapping[str, Found], denied: str, *, dry_run: bool) -> Outcome:
    """A listed file of a bucket that is not for us: by https, compared by the size that its job tells."""
    known = there.get(one.name)
    if one.url is None:
        return _outcome(one, "failed", denied)
    if known is not None and known.size == one.size:
        return _outcome(one, "present", "compared by size: the bucket is closed")
    if dry_run:
        return _outcome(one, "due", "by its URL: the bucket is closed", one.size or 0)
    try:
        return _outcome(one, "copied", "by its URL: the bucket is closed", target.download(one))
    except Exception as error:  # noqa: BLE001 - as above
        LOG.warning("%s: %s", one.name, error)
        return _outcome(one, "failed", str(error) or type(error).__name__)


def _of_job(job: Job, extensions: Sequence[str]) -> Iterable[Wanted]:
    """A job's files by their extensions; the listed file itself has the extension `.zip` (or whatever it is)."""
    for file in job.files:
        if file.bucket is None or file.key is None or file.stem is None:
            continue
        folder, _, stem = file.stem.rpartition("/")
        for extension in dict.fromkeys(extensions):
            key = f"{folder}/{stem}{extension}" if folder else f"{stem}{extension}"
            listed = extension == ending_of(file.name)
            yield Wanted(
                name=f"{stem}{extension}",
                job=job.id,
                bucket=file.bucket,
                key=key,
                stem=file.stem,
                url=file.url if listed else None,
                size=file.size if listed else None,
            )


def _uri(one: Wanted) -> str:
    return f"s3://{one.bucket}/{one.key}"


def _outcome(one: Wanted, verdict: Verdict, reason: str = "", count: int = 0) -> Outcome:
    return Outcome(name=one.name, source=_uri(one), verdict=verdict, reason=reason, bytes=count)


# --- projects ---


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """What to archive where; from a project's file, as its owners have been writing them."""

    name: str
    host: str
    bucket: str
    prefix: str
    extensions: tuple[str, ...]
    start: datetime | None = None
    search: Mapping[str, Any] = field(default_factory=dict)
    """How granules are found for new jobs; not for archiving."""


def read_project(path: Path) -> Project:
    """ConfigError when the file is none."""
    try:
        document = json.loads(path.read_text("utf-8"))
        transfer = document["transfer_spec"]
        started = transfer.get("start_date")
        start = parse_time(started)
        if started is not None and start is None:
            raise ConfigError(f"{path}: transfer_spec.start_date = {started!r} is no time")
        return Project(
            name=document["project_name"],
            host=document["host"].rstrip("/"),
            bucket=transfer["target_bucket"],
            prefix=transfer["target_prefix"].strip("/"),
            extensions=tuple(transfer["extensions"]),
            start=start,
            search=document.get("search_parameters", {}),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        what = "project_name, host, transfer_spec (target_bucket, target_prefix, extensions)"
        raise ConfigError(f"{path} is no project ({type(error).__name__}: {error}); it needs {what}") from error
