"""The bytes of a file that is not complete: `NAME.part`, and beside it what is known of its source.

Bytes are written in order, so the length of the file says how far it is: a killed process leaves nothing else to remember.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from eolake.catalog.errors import Transient

CHUNK = 256 << 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What the bytes so far were taken from."""

    url: str
    """Without query and credentials: signatures change, the file does not."""
    etag: str | None = None
    last_modified: str | None = None
    total: int | None = None
    refused: int = 0
    """Times that the server sent everything although a range was asked for with If-Range."""
    distrust: bool = False
    """A message was found within the bytes: take back more of them."""


def identity(url: str) -> str:
    """Which file a URL means."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname or ''}{f':{parts.port}' if parts.port else ''}{parts.path}"


class Partial:
    """The growing file; use as a context manager."""

    def __init__(self, target: Path) -> None:
        self.path = target.with_name(target.name + ".part")
        self._note = target.with_name(target.name + ".part.json")
        self._target = target
        self.fd = -1

    def __enter__(self) -> Self:
        self.fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.fd)

    @property
    def length(self) -> int:
        """Bytes that are there."""
        return os.fstat(self.fd).st_size

    def source(self, url: str) -> Source:
        """What is known; nothing when the bytes are of another file."""
        try:
            known = Source(**json.loads(self._note.read_text("utf-8")))
        except (OSError, ValueError, TypeError):
            known = None
        if known is not None and known.url == identity(url):
            return known
        self.truncate(0)
        return Source(url=identity(url))

    def note(self, source: Source) -> None:
        """Remember the source."""
        draft = self._note.with_name(f"{self._note.name}#")
        draft.write_text(json.dumps(asdict(source)), "utf-8")
        draft.replace(self._note)

    def reserve(self, total: int, spare: float) -> None:
        """Make sure that the disk can take it; Transient when it can't."""
        missing = total - self.length
        usage = shutil.disk_usage(self.path.parent)
        if missing > 0 and usage.free - missing < usage.total * spare:
            raise Transient(f"the disk of {self.path.parent} is full: {missing:,} bytes more would leave less than {spare:.0%} free")

    def truncate(self, length: int) -> None:
        """Take bytes back."""
        os.ftruncate(self.fd, length)

    def write(self, data: bytes | memoryview, at: int) -> None:
        """Transient when the disk is full."""
        try:
            done = 0
            while done < len(data):
                done += os.pwrite(self.fd, memoryview(data)[done:], at + done)
        except OSError as error:
            if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
                raise Transient(f"the disk of {self.path.parent} is full") from error
            raise

    def read(self, start: int, stop: int) -> Iterator[memoryview]:
        """Bytes [start, stop), piece by piece; each is good until the next."""
        buffer = memoryview(bytearray(min(CHUNK, max(0, stop - start))))
        while start < stop:
            count = os.preadv(self.fd, [buffer[: stop - start]], start)
            if not count:
                return
            start += count
            yield buffer[:count]

    def complete(self) -> None:
        """All bytes are right: durable, under the final name."""
        os.fsync(self.fd)
        self.path.replace(self._target)
        self._note.unlink(missing_ok=True)
        folder = os.open(self._target.parent, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def discard(self) -> None:
        """They were wrong."""
        self.truncate(0)
        self._note.unlink(missing_ok=True)


def seen(source: Source, *, etag: str | None, last_modified: str | None, total: int | None) -> Source:
    """The source as the server described it just now."""
    return replace(source, etag=etag, last_modified=last_modified, total=total)


def blank(source: Source) -> Source:
    """The same file, nothing known of it."""
    return Source(url=source.url, refused=source.refused, distrust=source.distrust)


def strong(etag: str | None) -> str | None:
    """An ETag that If-Range may carry; weak and unquoted ones may not."""
    return etag if etag and etag.startswith('"') and etag.endswith('"') and len(etag) > 2 else None
