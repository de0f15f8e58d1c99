"""HTTP(S) by libcurl: the first request is the probe, ranges are asked for with what proves that the file is the same."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import urljoin, urlsplit

import pycurl

from eolake.ingest.faults import Kind, ProviderFault
from eolake.ingest.logins.base import Login
from eolake.ingest.providers.api import host_of, shown
from eolake.ingest.providers.base import Part
from eolake.ingest.transfer.answers import fault_of, signed
from eolake.ingest.transfer.base import Limits, Progress, Stop
from eolake.ingest.transfer.curl import Failure, Handle, Stall
from eolake.ingest.transfer.hashing import Digests
from eolake.ingest.transfer.partial import Partial, Source, seen, strong
from eolake.ingest.transfer.sink import Mismatch, Sink
from eolake.ingest.transfer.sniff import injected

REDIRECTS = {301, 302, 303, 307, 308}
BODY = 64 * 1024
"""Bytes of an answer that is no file."""
DISTRUST = 1 << 20
"""Bytes taken back after a message was found among them."""
REFUSALS = 2
"""Answers with everything, after which If-Range is left out: some servers know it only with dates."""


@dataclass(slots=True)
class Head:
    """Status and header of one answer."""

    status: int = 0
    fields: dict[str, str] = field(default_factory=dict)
    size: int = 0

    def line(self, data: bytes) -> None:
        """One line of it; a new status line begins anew (100 Continue)."""
        self.size += len(data)
        text = data.decode("iso-8859-1").strip()
        if text.startswith("HTTP/"):
            self.status, self.fields = int(text.split(" ", 2)[1]), {}
        elif ":" in text:
            name, _, value = text.partition(":")
            self.fields[name.strip().lower()] = value.strip()

    @property
    def content_range(self) -> tuple[int, int | None] | None:
        """First byte and total length; None when there is none that makes sense."""
        found = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+|\*)", self.fields.get("content-range", ""))
        return (int(found[1]), None if found[3] == "*" else int(found[3])) if found else None

    @property
    def unsatisfied(self) -> int | None:
        """The length that a 416 names."""
        found = re.fullmatch(r"bytes \*/(\d+)", self.fields.get("content-range", ""))
        return int(found[1]) if found else None

    @property
    def length(self) -> int | None:
        """Content-Length."""
        text = self.fields.get("content-length", "")
        return int(text) if text.isdecimal() else None

    @property
    def encoded(self) -> bool:
        """Whether the bytes are not those of the file."""
        return self.fields.get("content-encoding", "identity").lower() not in {"", "identity"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What one request came to."""

    complete: bool
    length: int
    received: int
    total: int | None
    digests: Digests
    head: Head


class Http:
    """Requests for one part, over the connection of a lane."""

    def __init__(
        self, handle: Handle, part: Part, partial: Partial, *, login: Login | None, limits: Limits, progress: Progress, stop: Stop
    ) -> None:
        self.handle, self.part, self.partial, self.login = handle, part, partial, login
        self.limits, self.progress, self.stop = limits, progress, stop
        self.received = 0

    def attempt(self, source: Source) -> Outcome:
        """One request for what is missing, redirects followed. ProviderFault; Mismatch when the file changed."""
        url, refreshed = self.part.url, False
        for _ in range(self.limits.redirects + 1):
            exchange = Exchange(self, url, source)
            exchange.run()
            head = exchange.head
            if head.status in REDIRECTS:
                url = self._redirected(url, head)
                continue
            if head.status == 401 and exchange.sent and self.login is not None and not refreshed:
                refreshed = True
                self.login.refresh(exchange.sent)
                continue
            return exchange.outcome()
        raise ProviderFault(f"{shown(self.part.url)} redirects more than {self.limits.redirects} times", Kind.GONE, host=host_of(url))

    def _redirected(self, url: str, head: Head) -> str:
        target = urljoin(url, head.fields.get("location", ""))
        scheme = urlsplit(target).scheme
        if scheme not in {"http", "https"} or (urlsplit(url).scheme == "https" and scheme == "http"):
            raise ProviderFault(f"{shown(url)} redirects to {scheme or 'nowhere'}, which is not followed", Kind.CONFIG, host=host_of(url))
        return target


class Exchange:
    """One request and its answer."""

    def __init__(self, task: Http, url: str, source: Source) -> None:
        self._task, self._url, self._source = task, url, source
        self.head = Head()
        self.sent: Mapping[str, str] = {}
        """Headers of the login."""
        self._offset = self._where()
        self._sink: Sink | None = None
        self._digests = Digests(task.part.digests)
        self._body = bytearray()
        self._received = 0
        self._error: BaseException | None = None
        self._failure: Failure | None = None
        self._total: int | None = None

    def _where(self) -> int:
        """From which byte to ask on."""
        length = self._task.partial.length
        back = DISTRUST if self._source.distrust else self._task.limits.rollback
        offset = max(0, length - back)
        return offset if self._source.refused < REFUSALS or self._task.part.digests else 0

    def run(self) -> None:
        """Ask, and take what comes."""
        task = self._task
        lines = [f"{name}: {value}" for name, value in self._headers().items()]
        self._failure = task.handle.perform(
            self._url,
            lines,
            header=self._header,
            write=self._write,
            stop=task.stop,
            protocols=pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS,
            limits=task.limits,
        )

    def _headers(self) -> dict[str, str]:
        task, source = self._task, self._source
        headers = {"Accept-Encoding": "identity", "Range": f"bytes={self._offset}-", **task.part.headers}
        proof = strong(source.etag) or source.last_modified
        if self._offset and proof and source.refused < REFUSALS:
            headers["If-Range"] = proof
        if task.login is not None and task.part.login and not signed(self._url):
            self.sent = task.login.headers(self._url)
            headers |= self.sent
        return headers

    # --- what comes ---

    def _header(self, data: bytes) -> None:
        self.head.line(data)
        if self.head.size > 256 * 1024:
            raise ProviderFault(f"{shown(self._url)} sends a header without end", Kind.TRANSIENT, host=host_of(self._url))

    def _write(self, data: memoryview) -> None:
        self._received += len(data)
        self._task.received += len(data)
        self._task.progress(len(data))
        if self.head.status not in {200, 206}:
            self._body += data[: BODY - len(self._body)]
            if self._received > BODY:
                raise ProviderFault(f"{shown(self._url)} answers {self.head.status} with a body without end", Kind.TRANSIENT)
            return
        if self._sink is None:
            self._sink = self._open()
        self._sink.take(data)

    def _open(self) -> Sink:
        """Decide where the answer belongs, before its first byte is written."""
        task, head = self._task, self.head
        at, total = self._place()
        if total is not None:
            task.partial.reserve(total, task.limits.spare)
        if at == 0:
            task.partial.truncate(0)
        source = seen(self._source, etag=head.fields.get("etag"), last_modified=self._date(), total=total)
        refused = self._source.refused + (self._offset > 0 and head.status == 200)
        task.partial.note(replace(source, refused=refused, distrust=self._source.distrust))
        self._total = total
        return Sink(task.partial, self._digests, at=at, name=task.part.name, media_type=head.fields.get("content-type"), total=total)

    def _place(self) -> tuple[int, int | None]:
        """The place of the first byte, and the length of the whole file."""
        head, source = self.head, self._source
        if head.encoded:
            if head.status == 206:
                raise Mismatch("a range of an encoded answer")
            return 0, None  # Content-Length counts other bytes
        if head.status == 200:
            return 0, head.length  # the whole file: never appended
        found = head.content_range
        if found is None or head.fields.get("content-type", "").startswith("multipart/byteranges"):
            raise Mismatch("an answer of ranges that does not say which")
        start, total = found
        if start != self._offset:
            raise Mismatch(f"it begins at byte {start} instead of {self._offset}")
        if self._offset and source.total is not None and total is not None and total != source.total:
            raise Mismatch(f"the file has {total:,} bytes now, before {source.total:,}")
        changed = strong(source.etag) and strong(head.fields.get("etag")) and source.etag != head.fields.get("etag")
        if self._offset and changed and not self._task.part.digests:
            raise Mismatch("the file has another ETag now")
        length = head.length
        if total is None and length is not None:
            total = start + length
        return start, total if total is not None else source.total

    def _date(self) -> str | None:
        """Last-Modified, when it is old enough to prove something."""
        modified = self.head.fields.get("last-modified")
        return modified if modified and modified != self.head.fields.get("date") else None

    # --- what it came to ---

    def outcome(self) -> Outcome:
        """Raises what went wrong; bytes that came are kept where they are good."""
        head, failure = self.head, self._failure
        self._settle(failure)
        if failure is not None and failure.error is not None:
            self._raise(failure.error)
        if head.status == 416:
            return self._nothing_more()
        if failure is not None and not self._whole():
            self._short(failure)
        if head.status not in {200, 206}:
            raise fault_of(head.status, head.fields, bytes(self._body), self._url)
        length = self._sink.at if self._sink is not None else self._offset
        complete = self._total is None or length == self._total
        if not complete:
            self._look_for_messages()
        return Outcome(complete=complete, length=length, received=self._received, total=self._total, digests=self._digests, head=head)

    def _raise(self, error: BaseException) -> None:
        if isinstance(error, Stall):
            raise ProviderFault(f"{shown(self._url)}: {error}", Kind.TRANSIENT, host=host_of(self._url)) from error
        raise error

    def _settle(self, failure: Failure | None) -> None:
        """Write what waits to be written."""
        if self._sink is None:
            if self.head.status in {200, 206} and failure is None:
                self._sink = self._open()  # an empty file
                self._sink.finish()
            return
        if failure is not None and failure.error is not None:
            self._sink.abandon()
            if isinstance(failure.error, Mismatch):
                self._task.partial.truncate(0)
        else:
            self._sink.finish()

    def _whole(self) -> bool:
        """Everything came, whatever the library thinks of the end."""
        return self._sink is not None and self._total is not None and self._sink.at == self._total

    def _short(self, failure: Failure) -> None:
        self._look_for_messages()
        if self.head.status in {0, 200, 206}:
            raise ProviderFault(f"{shown(self._url)}: {failure.text}", failure.kind, host=host_of(self._url))

    def _look_for_messages(self) -> None:
        """A message of the server within the bytes: take them back."""
        if self._sink is not None and injected(self._sink.tail):
            partial = self._task.partial
            partial.truncate(max(0, partial.length - DISTRUST))

    def _nothing_more(self) -> Outcome:
        """416: we asked behind the end."""
        length, total = self._task.partial.length, self.head.unsatisfied
        if total is None or total != length:
            raise Mismatch(f"the file ends before byte {self._offset}")
        for piece in self._task.partial.read(0, length):
            self._digests.update(piece)
        return Outcome(complete=True, length=length, received=0, total=total, digests=self._digests, head=self.head)
