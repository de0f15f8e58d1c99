"""FTP and FTPS by libcurl: SIZE and MDTM are all the proof there is, so they are asked for before and compared."""

from __future__ import annotations

import re

import pycurl

from eolake.ingest.faults import Kind, ProviderFault
from eolake.ingest.logins.base import Login
from eolake.ingest.providers.api import host_of, shown
from eolake.ingest.providers.base import Part
from eolake.ingest.transfer.base import Limits, Progress, Stop
from eolake.ingest.transfer.curl import Failure, Handle, Stall
from eolake.ingest.transfer.hashing import Digests
from eolake.ingest.transfer.partial import Partial, Source, seen
from eolake.ingest.transfer.sink import Mismatch, Sink

EXPLICIT = "ftpes"
"""Scheme of FTP that turns to TLS after it said hello."""
KINDS = {421: Kind.RATE, 430: Kind.AUTH, 530: Kind.AUTH, 550: Kind.GONE, 450: Kind.OFFLINE}


class Ftp:
    """One file over the connection of a lane."""

    def __init__(
        self, handle: Handle, part: Part, partial: Partial, *, login: Login | None, limits: Limits, progress: Progress, stop: Stop
    ) -> None:
        self.handle, self.part, self.partial, self.login = handle, part, partial, login
        self.limits, self.progress, self.stop = limits, progress, stop
        self.received = 0

    def attempt(self, source: Source, *, resume: bool = True) -> tuple[int, int | None, Digests, str | None]:
        """What is missing; (length, total, digests, time of the file). ProviderFault; Mismatch when the file changed."""
        offset = max(0, self.partial.length - self.limits.rollback) if resume and source.total is not None else 0
        take = _Taking(self, source, offset)
        failure = self.handle.perform(
            self.part.url.replace(f"{EXPLICIT}://", "ftp://"),
            [],
            header=take.header,
            write=take.write,
            stop=self.stop,
            protocols=pycurl.PROTO_FTP | pycurl.PROTO_FTPS,
            limits=self.limits,
            options=lambda curl: self._options(curl, offset),
        )
        return take.outcome(failure)

    def _options(self, curl: pycurl.Curl, offset: int) -> None:
        curl.setopt(pycurl.OPT_FILETIME, 1)
        curl.setopt(pycurl.FTP_SKIP_PASV_IP, 1)
        curl.setopt(pycurl.TRANSFERTEXT, 0)
        if offset:
            curl.setopt(pycurl.RESUME_FROM_LARGE, offset)
        if self.part.url.startswith((f"{EXPLICIT}://", "ftps://")):
            curl.setopt(pycurl.USE_SSL, pycurl.USESSL_ALL)
        account = self.login.userpwd(self.part.url) if self.login is not None and self.part.login else None
        name, password = account or ("anonymous", "anonymous@")
        curl.setopt(pycurl.USERNAME, name)
        curl.setopt(pycurl.PASSWORD, password)


class _Taking:
    """One RETR and what the control connection says meanwhile."""

    def __init__(self, task: Ftp, source: Source, offset: int) -> None:
        self._task, self._source, self._offset = task, source, offset
        self._size: int | None = None
        self._modified: str | None = None
        self._last = ""
        self._sink: Sink | None = None
        self._digests = Digests(task.part.digests)

    def header(self, data: bytes) -> None:
        """A reply of the server."""
        self._last = data.decode("utf-8", "replace").strip()
        found = re.fullmatch(r"213 (\d+)", self._last)
        if found and len(found[1]) == 14 and self._modified is None:
            self._modified = found[1]  # MDTM: yyyymmddhhmmss
        elif found:
            self._size = int(found[1])

    def write(self, data: memoryview) -> None:
        """Bytes of the file."""
        task = self._task
        task.received += len(data)
        task.progress(len(data))
        if self._sink is None:
            self._sink = self._open()
        self._sink.take(data)

    def _open(self) -> Sink:
        task, source = self._task, self._source
        if self._offset and (self._size, self._modified) != (source.total, source.last_modified):
            raise Mismatch(f"the file changed: {source.total} bytes of {source.last_modified}, now {self._size} of {self._modified}")
        if self._size is not None:
            task.partial.reserve(self._size, task.limits.spare)
        if not self._offset:
            task.partial.truncate(0)
        task.partial.note(seen(source, etag=None, last_modified=self._modified, total=self._size))
        return Sink(task.partial, self._digests, at=self._offset, name=task.part.name, media_type=None, total=self._size)

    def outcome(self, failure: Failure | None) -> tuple[int, int | None, Digests, str | None]:
        """Raises what went wrong."""
        if self._sink is not None:
            if failure is not None and failure.error is not None:
                self._sink.abandon()
            else:
                self._sink.finish()
        if failure is None and self._sink is None:
            self._sink = self._open()
            self._sink.finish()
        if failure is not None and not (self._sink is not None and self._size is not None and self._sink.at == self._size):
            self._raise(failure)
        length = self._sink.at if self._sink is not None else 0
        return length, self._size, self._digests, self._modified

    def _raise(self, failure: Failure) -> None:
        if failure.error is not None and not isinstance(failure.error, Stall):
            raise failure.error
        if failure.code == pycurl.E_FTP_COULDNT_USE_REST:
            raise Mismatch("the server does not resume")
        found = re.match(r"(\d{3})[ -]", self._last)
        status = int(found[1]) if found else None
        kind = KINDS.get(status or 0, failure.kind) if self._sink is None else failure.kind
        if failure.code == pycurl.E_LOGIN_DENIED:
            kind = Kind.RATE if status == 421 else Kind.AUTH
        url = self._task.part.url
        raise ProviderFault(f"{shown(url)}: {failure.text}: {self._last}", kind, host=host_of(url), status=status)
