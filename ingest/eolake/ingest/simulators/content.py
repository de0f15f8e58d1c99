"""Bytes that a simulator serves: made from a name and a seed, or taken from a file; any range of them in constant time."""

from __future__ import annotations

import hashlib
import io
import threading
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from blake3 import blake3

BLOCK = 1 << 20
"""Bytes made at a time."""
KEPT_FROM = 1 << 20
"""Generated content from this size on is kept in a file, so that it goes out by `sendfile`; smaller content is made each time."""
GENERATED_AT = datetime(2024, 1, 1, tzinfo=UTC)
"""The Last-Modified of generated content."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """A body whose ranges the server serves."""

    size: int
    read: Callable[[int, int], bytes]
    """Bytes [start, stop)."""
    etag: str | None = None
    """With its quotes."""
    modified: datetime | None = None
    media_type: str = "application/octet-stream"
    filename: str | None = None
    path: Path | None = None
    """A file with exactly these bytes, when there is one."""


def generated(name: str, size: int, seed: int = 0) -> Content:
    """Deterministic noise: the same name, size and seed give the same bytes, on every machine."""
    stream = blake3(f"{name}/{seed}".encode())  # its extensible output can be read from anywhere

    def read(start: int, stop: int) -> bytes:
        return stream.digest(length=max(0, stop - start), seek=start)

    tag = hashlib.sha256(f"{name}/{size}/{seed}".encode()).hexdigest()[:32]
    return Content(size=size, read=read, etag=f'"{tag}"', modified=GENERATED_AT, filename=name)


def of_bytes(data: bytes, *, media_type: str = "application/octet-stream", filename: str | None = None) -> Content:
    """Content that is in memory."""
    etag = f'"{hashlib.sha256(data).hexdigest()[:32]}"'
    return Content(
        size=len(data),
        read=lambda start, stop: data[start:stop],
        etag=etag,
        modified=GENERATED_AT,
        media_type=media_type,
        filename=filename,
    )


def of_file(path: Path, *, media_type: str = "application/octet-stream", filename: str | None = None) -> Content:
    """Content of a file as it is now; ETag from its size and time."""
    stat = path.stat()

    def read(start: int, stop: int) -> bytes:
        with path.open("rb") as file:
            file.seek(start)
            return file.read(max(0, stop - start))

    return Content(
        size=stat.st_size,
        read=read,
        etag=f'"{stat.st_size:x}-{stat.st_mtime_ns:x}"',
        modified=datetime.fromtimestamp(int(stat.st_mtime), UTC),
        media_type=media_type,
        filename=filename or path.name,
        path=path,
    )


def altered(content: Content, version: int) -> Content:
    """Other bytes of the same length: what a provider has after it replaced a product. Version 0 is the content itself."""
    table = bytes((byte + version) % 256 for byte in range(256))
    return replace(content, read=lambda start, stop: content.read(start, stop).translate(table), path=None) if version % 256 else content


def flipped(content: Content, offsets: frozenset[int]) -> Content:
    """One bit turned at each of these offsets."""

    def read(start: int, stop: int) -> bytes:
        data = bytearray(content.read(start, stop))
        for offset in offsets:
            if start <= offset < start + len(data):
                data[offset - start] ^= 1
        return bytes(data)

    return replace(content, read=read, path=None)


def digests(content: Content, *algorithms: str) -> Mapping[str, str]:
    """Hexadecimal digests (md5, sha256, sha3-256, blake3, …) of the whole content."""
    makers = {algorithm: blake3() if algorithm == "blake3" else hashlib.new(algorithm, usedforsecurity=False) for algorithm in algorithms}
    for start in range(0, content.size, BLOCK):
        data = content.read(start, min(start + BLOCK, content.size))
        for maker in makers.values():
            maker.update(data)
    return {algorithm: maker.hexdigest() for algorithm, maker in makers.items()}


def zip_bytes(product: str, size: int, seed: int = 0, members: int = 3) -> bytes:
    """A zip without compression, as the providers assemble it: a folder with a manifest and `members` files of
    noise, together `size` bytes."""
    buffer = io.BytesIO()
    root = product.removesuffix(".zip").removesuffix(".SAFE")
    each = size // members
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        _member(archive, f"{root}.SAFE/manifest.safe", f'<?xml version="1.0"?><product name="{root}"/>'.encode())
        for index in range(members):
            _member(archive, f"{root}.SAFE/measurement/band{index + 1}.bin", generated(f"{root}/{index}", each, seed).read(0, each))
    return buffer.getvalue()


def _member(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    info = zipfile.ZipInfo(name, GENERATED_AT.timetuple()[:6])
    info.external_attr = 0o644 << 16
    archive.writestr(info, data)


class Kept:
    """Content kept as files in a folder, for speed; the folder may be emptied at any time when nobody is served."""

    def __init__(self, folder: Path, limit: int = 16 << 30) -> None:
        """`limit`: bytes; beyond it content is made anew for each request."""
        self._folder, self._left = folder, limit
        self._lock = threading.Lock()
        self._files: dict[str, Content] = {}

    def keep(self, content: Content) -> Content:
        """The same content, on disk when that pays."""
        if content.path is not None or content.size < KEPT_FROM or content.etag is None:
            return content
        with self._lock:
            kept = self._files.get(content.etag)
            if kept is None and content.size <= self._left:
                kept = self._files[content.etag] = self._written(content)
                self._left -= content.size
        return content if kept is None else replace(content, path=kept.path, read=kept.read)

    def _written(self, content: Content) -> Content:
        path = self._folder / f"{len(self._files):06}"
        with path.open("wb") as file:
            for start in range(0, content.size, BLOCK):
                file.write(content.read(start, min(start + BLOCK, content.size)))
        return of_file(path)
