"""From an answer, the range that was asked and a fault to what goes on the wire: a head and pieces of a body."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime, parsedate_to_datetime

from eolake.ingest.simulators.content import Content, altered, flipped
from eolake.ingest.simulators.faults import Chance, Fault, Position
from eolake.ingest.simulators.messages import Request, Response, reason_of

SHIFT = 512
OVERLAP = 4096
BOUNDARY = "eolake-part"


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A piece of content."""

    content: Content
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start

    def cut(self, first: int, last: int) -> Span:
        """Bytes [first, last) of it."""
        return Span(content=self.content, start=self.start + first, stop=self.start + last)


Piece = bytes | Span


@dataclass(slots=True, kw_only=True)
class Reply:
    """What goes on the wire."""

    status: int
    headers: list[tuple[str, str]] = field(default_factory=list)
    pieces: list[Piece] = field(default_factory=list)
    close: bool = False
    """The connection ends with it."""

    @property
    def size(self) -> int:
        """Bytes of the body."""
        return sum(len(piece) for piece in self.pieces)

    def set(self, name: str, value: str | None) -> None:
        """Replaces a header; None removes it."""
        self.headers = [(key, old) for key, old in self.headers if key.lower() != name.lower()]
        if value is not None:
            self.headers.append((name, value))

    def head(self) -> bytes:
        """Status line and headers."""
        lines = [f"HTTP/1.1 {self.status} {reason_of(self.status)}", *(f"{name}: {value}" for name, value in self.headers)]
        return "\r\n".join([*lines, "", ""]).encode("latin-1", "replace")


def position(where: Position, size: int, chance: Chance, what: str) -> int:
    """The offset that a fault means in a body of this size."""
    if where == "random":
        return chance.below(size, what)
    return size // 2 if where == "half" else min(int(where), size)


def reply_of(request: Request, response: Response, fault: Fault, chance: Chance) -> Reply:
    """The answer as a fault leaves it."""
    reply = _plain(response) if isinstance(response.body, bytes) else _content(request, response, response.body, fault, chance)
    for name, value in fault.headers.items():
        reply.set(name, value)
    if fault.retry_after is not None:
        reply.set("Retry-After", _retry_after(fault.retry_after))
    _bytes_faults(reply, fault, chance)
    if fault.gzip and reply.size:
        reply.pieces = [gzip.compress(whole(reply.pieces), 1, mtime=0)]
        reply.set("Content-Encoding", "gzip")
    _length(reply, fault)
    if request.method == "HEAD" or reply.status in {204, 304}:
        reply.pieces = []
    if request.method == "HEAD" and (told := _told_length(response)) is not None:
        reply.set("Content-Length", told)
    if request.method == "HEAD" and fault.head_size is not None:
        reply.set("Content-Length", str(fault.head_size))
    if fault.header_bytes:
        filler = min(fault.header_bytes, 8000)
        reply.headers += [(f"X-Filler-{n}", "x" * filler) for n in range(fault.header_bytes // filler)]
    return reply


def _told_length(response: Response) -> str | None:
    """What a handler without the body at hand says of its length."""
    return next((value for name, value in response.headers.items() if name.lower() == "content-length"), None)


def _plain(response: Response) -> Reply:
    reply = Reply(status=response.status, pieces=[response.body] if isinstance(response.body, bytes) and response.body else [])
    for name, value in response.headers.items():
        reply.set(name, value)
    return reply


def _content(request: Request, response: Response, content: Content, fault: Fault, chance: Chance) -> Reply:
    content = altered(content, fault.version)
    if fault.flip:
        content = flipped(content, frozenset(position(where, content.size, chance, f"flip{n}") for n, where in enumerate(fault.flip)))
    etag = _etag(content, fault)
    modified = None if fault.no_modified else content.modified
    reply = Reply(status=response.status)
    reply.set("Content-Type", content.media_type)
    reply.set("Accept-Ranges", "bytes")
    reply.set("ETag", etag)
    reply.set("Last-Modified", format_datetime(modified, usegmt=True) if modified else None)
    if content.filename:
        reply.set("Content-Disposition", f'attachment; filename="{_quoted(content.filename)}"')
    for name, value in response.headers.items():
        reply.set(name, value)
    if response.status == 200:
        _ranged(reply, request, content, etag, modified, fault)
    else:
        reply.pieces = [Span(content=content, start=0, stop=content.size)]
    return reply


def _quoted(name: str) -> str:
    return re.sub(r'[\r\n"\\]', "_", name)


def _etag(content: Content, fault: Fault) -> str | None:
    tag = content.etag
    if tag is not None and (fault.etag == "changed" or (fault.version and fault.etag is None)):
        return f'"{tag.strip(chr(34))}-{fault.version or "other"}"'
    match fault.etag:
        case None | "changed":
            return tag
        case "none":
            return None
        case "weak":
            return f"W/{tag}"
        case "unquoted":
            return tag.strip('"') if tag else None
        case literal:
            return literal


def _ranged(reply: Reply, request: Request, content: Content, etag: str | None, modified: datetime | None, fault: Fault) -> None:
    asked = None if fault.range == "ignore" else _asked(request.headers.get("range"), content.size)
    if asked is not None and not _same(request.headers.get("if-range"), etag, modified, fault):
        asked = None
    if asked is None:
        reply.pieces = [Span(content=content, start=0, stop=content.size)]
        if fault.range_on_200 and content.size:
            reply.set("Content-Range", f"bytes 0-{content.size - 1}/{content.size}")
        return
    start, stop = asked
    if start >= content.size:
        reply.status = 416
        reply.set("Content-Range", f"bytes */{content.size}")
        return
    reply.status = 206
    _partial(reply, content, start, stop, fault)


def _asked(header: str | None, size: int) -> tuple[int, int] | None:
    """[start, stop) of a single range; None: everything."""
    match = re.fullmatch(r"bytes=(\d*)-(\d*)", (header or "").replace(" ", ""))
    if match is None or match.group() == "bytes=-":
        return None
    first, last = match.groups()
    if not first:
        return (max(0, size - int(last)), size) if int(last) else (size, size)
    start = int(first)
    stop = min(size, int(last) + 1) if last else size
    return None if last and int(last) < start else (start, stop)


def _same(condition: str | None, etag: str | None, modified: datetime | None, fault: Fault) -> bool:
    """Whether If-Range holds: strong comparison of ETags, exact comparison of dates."""
    if condition is None or fault.if_range == "ignore":
        return True
    if condition.startswith('"'):
        return fault.if_range != "date-only" and condition == etag
    if condition.startswith("W/"):
        return False
    try:
        return modified is not None and parsedate_to_datetime(condition) == modified
    except ValueError:
        return condition == etag  # an unquoted tag, as DHuS gave it


def _partial(reply: Reply, content: Content, start: int, stop: int, fault: Fault) -> None:
    size = content.size
    shown, total = (start, stop), str(size)
    if fault.range == "shift":
        shown = start, stop = (max(0, start - SHIFT), max(0, start - SHIFT) + stop - start) if start else (min(SHIFT, size), stop)
    elif fault.range == "lie":
        start, stop = (start - SHIFT, stop - SHIFT) if start >= SHIFT else (start, stop)
    elif fault.range == "overlap":
        start = max(0, start - OVERLAP)
        shown = (start, stop)
    elif fault.range == "total":
        total = str(size + 1)
    elif fault.range == "star":
        total = "*"
    line = f"bytes {shown[0]}-{shown[1] - 1}/{total}"
    reply.pieces = [Span(content=content, start=start, stop=stop)]
    if fault.range == "multipart":
        head = f"--{BOUNDARY}\r\nContent-Type: {content.media_type}\r\nContent-Range: {line}\r\n\r\n"
        reply.pieces = [head.encode(), *reply.pieces, f"\r\n--{BOUNDARY}--\r\n".encode()]
        reply.set("Content-Type", f"multipart/byteranges; boundary={BOUNDARY}")
    else:
        reply.set("Content-Range", line)


def whole(pieces: Sequence[Piece]) -> bytes:
    """The bytes of a body."""
    return b"".join(piece if isinstance(piece, bytes) else piece.content.read(piece.start, piece.stop) for piece in pieces)


def split(pieces: Sequence[Piece], at: int) -> tuple[list[Piece], list[Piece]]:
    """The pieces before and after an offset."""
    before: list[Piece] = []
    after: list[Piece] = []
    for piece in pieces:
        here = min(max(0, at), len(piece))
        at -= len(piece)
        if here:
            before.append(piece[:here] if isinstance(piece, bytes) else piece.cut(0, here))
        if here < len(piece):
            after.append(piece[here:] if isinstance(piece, bytes) else piece.cut(here, len(piece)))
    return before, after


def _bytes_faults(reply: Reply, fault: Fault, chance: Chance) -> None:
    size = reply.size
    if fault.insert is not None and size:
        before, after = split(reply.pieces, min(position(fault.insert, size, chance, "insert"), size - 1))
        reply.pieces = split([*before, b"\x00", *after], size)[0]
    if fault.delete is not None and size:
        before, after = split(reply.pieces, min(position(fault.delete, size, chance, "delete"), size - 1))
        reply.pieces = [*before, *split(after, 1)[1], b"\x00"]


def _length(reply: Reply, fault: Fault) -> None:
    size = reply.size
    if fault.chunked is not None and size:
        reply.headers = [(name, value) for name, value in reply.headers if name.lower() != "content-length"]
        reply.set("Transfer-Encoding", "chunked")
        if fault.chunked != "whole":
            reply.pieces = split(reply.pieces, size // 2)[0]
        return
    if reply.status in {204, 304}:
        return
    values: dict[str | None, tuple[str, ...]] = {
        None: (str(size),),
        "larger": (str(size + 1000),),
        "smaller": (str(max(0, size - 1000)),),
        "missing": (),
        "negative": ("-1",),
        "duplicate": (str(size), str(size + 1)),
    }
    reply.set("Content-Length", None)
    reply.headers += [("Content-Length", value) for value in values[fault.length]]
    reply.close = reply.close or fault.length is not None


def _retry_after(value: str | float) -> str:
    if value == "date":
        return format_datetime(datetime.now(UTC) + timedelta(seconds=2), usegmt=True)
    if value == "past":
        return format_datetime(datetime.now(UTC) - timedelta(hours=1), usegmt=True)
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def bounds(size: int, step: int) -> Iterator[tuple[int, int]]:
    """[start, stop) of pieces of at most `step`."""
    for start in range(0, size, step):
        yield start, min(start + step, size)
