"""The engine of a lane: one file at a time from anywhere to the local disk, resumed, verified, never trusted."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from eolake.ingest.faults import Kind, ProviderFault
from eolake.ingest.logins.base import Login
from eolake.ingest.providers.base import Part
from eolake.ingest.transfer import s3 as buckets
from eolake.ingest.transfer.base import Fetched, Limits, Progress, Stop
from eolake.ingest.transfer.curl import Handle, Stopped
from eolake.ingest.transfer.ftp import Ftp
from eolake.ingest.transfer.hashing import Digests
from eolake.ingest.transfer.http import Http
from eolake.ingest.transfer.names import check_name
from eolake.ingest.transfer.partial import Partial, Source, blank
from eolake.ingest.transfer.sink import Mismatch
from eolake.ingest.transfer.verify import check_structure

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

__all__ = ["Engine", "Stopped"]

RESTARTS = 2
"""Times that a file is begun anew within one call because it changed."""
PAUSE = (0.05, 0.5)
"""Seconds before a transfer that won bytes goes on after a fault."""
WORTH = 64 * 1024
"""Bytes by which an interrupted try must have come further than any before, so that the next one follows at once."""


class Engine:
    """Not safe for threads; keeps its connection open between files."""

    def __init__(self, *, limits: Limits | None = None, ca_file: Path | None = None) -> None:
        """`ca_file`: certificates to trust instead of the usual ones."""
        self.limits = limits or Limits()
        self._handle = Handle(ca_file)
        self._clients: dict[tuple[tuple[str, str], ...], S3Client] = {}

    def close(self) -> None:
        """Close all connections."""
        self._handle.close()
        for client in self._clients.values():
            client.close()
        self._clients.clear()

    def fetch(
        self,
        part: Part,
        target: Path,
        *,
        login: Login | None = None,
        s3: Mapping[str, Any] | None = None,
        progress: Progress = lambda _: None,
        stop: Stop = lambda: False,
    ) -> Fetched:
        """The whole file at `target`, durable and verified; what came before is gone on with.

        Raises ProviderFault by class, Transient when the disk is full, Stopped when `stop()` said so (what came is kept),
        BadProduct for a name that leads elsewhere. `s3`: settings of the bucket beside the login's keys."""
        check_name(part.name)
        with Partial(target) as partial:
            return self._fetch(_Job(self, part, partial, login, s3 or {}, progress, stop))

    def _fetch(self, job: _Job) -> Fetched:
        source, restarts, furthest = job.partial.source(job.part.url), 0, job.partial.length
        while True:
            try:
                took = job.take(source)
                if took is not None:
                    return job.verified(*took)
                fault: Exception = ProviderFault(f"{job.part.name}: fewer bytes came than were announced", Kind.TRANSIENT)
            except Mismatch as error:
                restarts += 1
                job.partial.discard()
                if restarts > RESTARTS:
                    raise ProviderFault(f"{job.part.name} changes while it is fetched: {error}", Kind.CORRUPT) from error
                source = blank(source)
                continue
            except ProviderFault as error:
                if error.kind is not Kind.TRANSIENT:
                    raise
                fault = error
            if job.partial.length < furthest + WORTH:
                raise fault
            furthest = job.partial.length
            job.rest()
            source = job.partial.source(job.part.url)

    def client(self, settings: Mapping[str, Any]) -> S3Client:
        """A client for these settings, kept."""
        key = tuple(sorted((name, str(value)) for name, value in settings.items()))
        if key not in self._clients:
            self._clients[key] = buckets.client(settings, self.limits)
        return self._clients[key]

    @property
    def handle(self) -> Handle:
        """libcurl's."""
        return self._handle


class _Job:
    """One call of `fetch`."""

    def __init__(
        self, engine: Engine, part: Part, partial: Partial, login: Login | None, s3: Mapping[str, Any], progress: Progress, stop: Stop
    ) -> None:
        self.engine, self.part, self.partial = engine, part, partial
        self._login, self._s3, self._progress, self._stop = login, s3, progress, stop
        self.received = 0
        self._etag: str | None = None
        self._modified: str | None = None

    def _came(self, count: int) -> None:
        self.received += count
        self._progress(count)

    def take(self, source: Source) -> tuple[int, int | None, Digests] | None:
        """One try; (length, total, digests), or None when it ended early without an error."""
        scheme = urlsplit(self.part.url).scheme
        if scheme in {"http", "https"}:
            return self._http(source)
        if scheme in {"ftp", "ftps", "ftpes"}:
            return self._ftp(source)
        if scheme == "s3":
            return self._bucket(source)
        if scheme == "file":
            return self._file()
        raise ProviderFault(f"{self.part.name}: nothing is fetched by {scheme or 'no scheme'}", Kind.CONFIG)

    def _http(self, source: Source) -> tuple[int, int | None, Digests] | None:
        task = Http(
            self.engine.handle,
            self.part,
            self.partial,
            login=self._login,
            limits=self.engine.limits,
            progress=self._came,
            stop=self._stop,
        )
        outcome = task.attempt(source)
        self._etag, self._modified = outcome.head.fields.get("etag"), outcome.head.fields.get("last-modified")
        return (outcome.length, outcome.total, outcome.digests) if outcome.complete else None

    def _ftp(self, source: Source) -> tuple[int, int | None, Digests] | None:
        limits = self.engine.limits
        task = Ftp(self.engine.handle, self.part, self.partial, login=self._login, limits=limits, progress=self._came, stop=self._stop)
        length, total, digests, self._modified = task.attempt(source)
        return (length, total, digests) if total is None or length == total else None

    def _bucket(self, source: Source) -> tuple[int, int | None, Digests] | None:
        settings = {**self._s3, **(self._login.s3() if self._login is not None else {})}
        payer = settings.pop("request_payer", None)
        length, total, digests, self._etag = buckets.attempt(
            self.engine.client(settings),
            self.part,
            self.partial,
            source,
            payer=payer,
            limits=self.engine.limits,
            progress=self._came,
            stop=self._stop,
        )
        return (length, total, digests) if length == total else None

    def _file(self) -> tuple[int, int | None, Digests]:
        path = Path(unquote(urlsplit(self.part.url).path))
        digests = Digests(self.part.digests)
        self.partial.truncate(0)
        try:
            self.partial.reserve(path.stat().st_size, self.engine.limits.spare)
            with path.open("rb") as file:
                at = 0
                while data := file.read(1 << 20):
                    if self._stop():
                        raise Stopped
                    self._came(len(data))
                    self.partial.write(data, at)
                    digests.update(data)
                    at += len(data)
        except FileNotFoundError as error:
            raise ProviderFault(f"{path} is not there any more", Kind.GONE) from error
        return at, at, digests

    def verified(self, length: int, total: int | None, digests: Digests) -> Fetched:
        """The file under its final name, if it is what it should be. ProviderFault(corrupt)."""
        warnings = self._weighed(length, total, digests)
        wrong = digests.differing()
        if wrong:
            self.partial.discard()
            told = "; ".join(f"{name} {found} instead of {wanted}" for name, (wanted, found) in sorted(wrong.items()))
            raise ProviderFault(f"{self.part.name}: other bytes came than promised: {told}", Kind.CORRUPT)
        if not digests.wanted:
            self._structure()
        self.partial.complete()
        return Fetched(
            bytes=length,
            received=self.received,
            sha256=digests.sha256,
            digests=digests.wanted,
            etag=self._etag,
            last_modified=self._modified,
            warnings=warnings,
        )

    def _weighed(self, length: int, total: int | None, digests: Digests) -> tuple[str, ...]:
        """What the catalogue says of the size is advice, unless nothing else is known."""
        if self.part.size in {None, 0, length}:
            return ()
        text = f"{length:,} bytes came, the catalogue says {self.part.size:,}"
        if total is None and not digests.wanted:
            raise ProviderFault(f"{self.part.name}: {text}", Kind.TRANSIENT)
        return (text,)

    def _structure(self) -> None:
        try:
            check_structure(self.partial.path, self.part.name)
        except ProviderFault:
            self.partial.discard()
            raise

    def rest(self) -> None:
        """A moment, then on."""
        until = time.monotonic() + random.uniform(*PAUSE)  # noqa: S311 -- jitter, no secret
        while time.monotonic() < until:
            if self._stop():
                raise Stopped
            time.sleep(0.02)
