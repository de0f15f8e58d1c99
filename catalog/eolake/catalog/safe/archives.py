"""Archives, member by member: only what is wanted reaches the disk, and nothing outside of the workspace.

Neither `extractall` nor tarfile's iteration is used: that one reads extension headers of any size into memory and ends
silently at a damaged header.
"""

from __future__ import annotations

import errno
import os
import re
import stat
import struct
import tarfile
import zipfile
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from gzip import BadGzipFile, GzipFile
from pathlib import Path
from typing import IO

from eolake.catalog.errors import BadProduct, Transient, UnsafeProduct
from eolake.catalog.safe.documents import open_regular
from eolake.catalog.safe.limits import Limits
from eolake.catalog.safe.names import Names

CHUNK = 1 << 20
NO_ROOM = {errno.ENOSPC, errno.EDQUOT}
BLOCK = 512
END_OF_ZIP = b"PK\x05\x06"
END_OF_ZIP64 = b"PK\x06\x06"
LOCATOR = b"PK\x06\x07"
HEADER = b"PK\x03\x04"
ENCRYPTED = 0x2041
"""Flags of a zip member: encrypted, strongly encrypted, its header hidden."""
SIZES_FOLLOW = 0x8
UTF8 = 0x800
TAIL = 65535 + 22 + 20 + 56
"""Bytes at the end of a zip that hold both end marks: a comment, the mark, the locator, the mark of zip64."""
PAX_SIZE = re.compile(r"[0-9]{1,20}", re.ASCII)
Wanted = Callable[[str], bool]
Sink = Callable[[str, Iterator[bytes]], object]
"""Takes the name and the bytes of each member in turn; those it does not read are skipped."""


def unpack(path: Path, workspace: Path, wanted: Wanted, limits: Limits, expected: Wanted | None = None) -> dict[str, int]:
    """Write the wanted members below `workspace`; names and sizes of ALL files of the archive, in its order.

    One whose name is not `expected` is UnsafeProduct, wanted or not."""

    def write(name: str, chunks: Iterator[bytes]) -> None:
        if wanted(name):
            _write(workspace / name, chunks)

    return _read(path, write, Names(archive=str(path), limits=limits, expected=expected))


def check_archive(path: Path, limits: Limits = Limits()) -> dict[str, int]:  # noqa: B008 - frozen
    """Read every member of an archive to its end, and write none; their names and sizes. Errors as of `unpack`."""
    return _read(path, lambda _, chunks: deque(chunks, maxlen=0), Names(archive=str(path), limits=limits))


def check_gzip(path: Path, limits: Limits = Limits()) -> None:  # noqa: B008 - frozen
    """Read a .gz of whatever to its end. BadProduct when it is cut off or damaged, UnsafeProduct when it is a bomb."""
    with _broken_is_bad(path), os.fdopen(open_regular(path), "rb") as file, GzipFile(fileobj=file) as unzipped:
        packed, count = os.fstat(file.fileno()).st_size, 0
        while chunk := unzipped.read(CHUNK):
            count += len(chunk)
            check_total(path, count, packed, limits)


def _read(path: Path, sink: Sink, names: Names) -> dict[str, int]:
    with _broken_is_bad(path), os.fdopen(open_regular(path), "rb") as file:
        first = file.read(BLOCK)
        file.seek(0)
        if first.startswith(b"PK"):
            return _unpack_zip(path, file, sink, names)
        if first.startswith(b"\x1f\x8b"):
            with GzipFile(fileobj=file) as unzipped:
                packed = os.fstat(file.fileno()).st_size
                return _unpack_tar(_Stream(file=unzipped, path=path, limits=names.limits, packed=packed), sink, names)
        if _is_header(first):
            return _unpack_tar(_Stream(file=file, path=path, limits=names.limits, packed=None), sink, names)
        raise BadProduct(f"{path} is no archive: it begins with {first[:20]!r}")


def _is_header(block: bytes) -> bool:
    """Tar has no magic number in its oldest form, but every header carries a checksum."""
    try:
        tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except tarfile.TarError:
        return False
    return True


@contextmanager
def _broken_is_bad(path: Path) -> Iterator[None]:
    """Errors of the unpackers as ours."""
    try:
        yield
    except (EOFError, zipfile.BadZipFile, tarfile.TarError, BadGzipFile, zlib.error, UnicodeError) as error:
        raise BadProduct(f"{path} is cut off or damaged: {error}") from error
    except NotImplementedError as error:
        raise BadProduct(f"{path} is packed in a way that no provider uses: {error}") from error
    except OSError as error:
        if error.errno in NO_ROOM:
            raise Transient(f"no room to unpack {path}: {error}") from error
        if error.errno == errno.EFBIG:
            raise UnsafeProduct(f"{path} holds a file that is larger than this process may write: {error}") from error
        raise


# --- tar ---


@dataclass(slots=True, kw_only=True)
class _Stream:
    """Unpacked bytes of a tar, counted against the limits."""

    file: IO[bytes] | GzipFile
    path: Path
    limits: Limits
    packed: int | None
    """Bytes of the compressed file; None when it is not compressed."""
    count: int = 0

    def exactly(self, size: int) -> bytes:
        """`size` bytes; BadProduct at an early end."""
        data = self.file.read(size)
        self.count += len(data)
        if len(data) < size:
            raise BadProduct(f"{self.path} is cut off after {self.count:,} unpacked bytes")
        check_total(self.path, self.count, self.packed, self.limits)
        return data

    def chunks(self, size: int) -> Iterator[bytes]:
        """The data of a member, and past its padding."""
        for start in range(0, size, CHUNK):
            yield self.exactly(min(CHUNK, size - start))
        self.exactly(-size % BLOCK)

    def end(self) -> None:
        """What follows the end mark is padding; the checksum of a gzip stands behind it."""
        while rest := self.file.read(CHUNK):
            self.count += len(rest)
            check_total(self.path, self.count, self.packed, self.limits)
            if rest.strip(b"\0"):
                raise UnsafeProduct(f"{self.path} hides bytes behind its end mark")


def check_total(path: Path, unpacked: int, packed: int | None, limits: Limits) -> None:
    """UnsafeProduct when the archive is too large, or larger than any real one that packs so well."""
    if unpacked > limits.total_bytes:
        raise UnsafeProduct(f"{path} unpacks to more than {limits.total_bytes:,} bytes")
    if packed is not None and unpacked > limits.ratio_from and unpacked > packed * limits.ratio:
        raise UnsafeProduct(f"{path} unpacks to more than {limits.ratio} times its size: a decompression bomb")


def _unpack_tar(stream: _Stream, sink: Sink, names: Names) -> dict[str, int]:
    found = {}
    for member in _members(stream, names):
        if member.isdir() and member.size == 0:
            names.folder(member.name)
            continue
        if member.type not in {tarfile.REGTYPE, tarfile.AREGTYPE}:
            raise names.refusal(member.name, "it is a link, a device or another thing that is not a plain file")
        name = names.file(member.name)
        _check_size(names, member.name, member.size)
        found[name] = member.size
        chunks = stream.chunks(member.size)
        sink(name, chunks)
        deque(chunks, maxlen=0)
    stream.end()
    return found


def _check_size(names: Names, raw: str, size: int) -> None:
    if not 0 <= size <= names.limits.member_bytes:
        raise names.refusal(raw, f"its size is {size:,} bytes")


def _members(stream: _Stream, names: Names) -> Iterator[tarfile.TarInfo]:
    """Headers up to the end mark; the caller consumes each member's data. An archive without end mark was cut off."""
    extended: dict[str, str] = {}
    while (block := stream.exactly(BLOCK)).strip(b"\0"):
        member = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        if member.type in {tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME}:
            extended |= _extension(member, stream, names)
            continue
        member.name = extended.get("path", member.name)
        if any(key.startswith("GNU.sparse") for key in extended):
            raise names.refusal(member.name, "it is a sparse file")
        if "size" in extended:
            member.size = int(extended["size"]) if PAX_SIZE.fullmatch(extended["size"]) else -1
        yield member
        extended = {}


def _extension(member: tarfile.TarInfo, stream: _Stream, names: Names) -> dict[str, str]:
    """What an extension header says of the next member: a long name or pax records."""
    if not 0 <= member.size <= names.limits.header_bytes:
        raise names.refusal(member.name, f"its extension header has {member.size:,} bytes")
    names.header()
    data = b"".join(stream.chunks(member.size))
    if member.type == tarfile.GNUTYPE_LONGNAME:
        return {"path": data.rstrip(b"\0").decode("utf-8", "surrogateescape")}
    records = _pax(data, names, member.name)
    if member.type == tarfile.XGLTYPE:
        if records.keys() & {"path", "size", "linkpath"}:
            raise names.refusal(member.name, "a global header renames all members")
        return {}
    return records


def _pax(data: bytes, names: Names, raw: str) -> dict[str, str]:
    """Lines of LENGTH KEY=VALUE, where LENGTH counts the line's bytes."""
    records = {}
    while data.strip(b"\0"):
        length, _, _ = data.partition(b" ")
        if not (length.isdigit() and len(length) < 8 and 0 < int(length) <= len(data)):
            raise BadProduct(f"{names.archive}: the extension header before {raw!r} is damaged")
        key, equals, value = data[len(length) + 1 : int(length) - 1].partition(b"=")
        if not equals:
            raise BadProduct(f"{names.archive}: the extension header before {raw!r} is damaged")
        records[key.decode("utf-8", "replace")] = value.decode("utf-8", "surrogateescape")
        data = data[int(length) :]
    return records


# --- zip ---


def _unpack_zip(path: Path, file: IO[bytes], sink: Sink, names: Names) -> dict[str, int]:
    directory = _Directory.find(path, file, names.limits)
    directory.count()
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
    check_total(path, sum(m.file_size for m in members), directory.file_size, names.limits)
    plan = [(member, name) for member in members if (name := _zip_name(member, names)) is not None]
    starts = _check_extents(path, file, members, directory.start)
    for member, name in plan:
        sink(name, _zip_chunks(path, file, member, starts[member.header_offset]))
    return {name: member.file_size for member, name in plan}


def _zip_name(member: zipfile.ZipInfo, names: Names) -> str | None:
    """The safe name of a file; None of a folder."""
    raw = member.orig_filename
    kind = stat.S_IFMT(member.external_attr >> 16)
    if kind not in {0, stat.S_IFREG, stat.S_IFDIR}:
        raise names.refusal(raw, "it is a link, a device or another thing that is not a plain file")
    if raw.endswith("/") or kind == stat.S_IFDIR:
        if member.file_size:
            raise names.refusal(raw, "it is a folder with bytes in it")
        names.folder(raw)
        return None
    name = names.file(raw)
    _check_size(names, raw, member.file_size)
    if member.flag_bits & ENCRYPTED:
        raise BadProduct(f"{names.archive}: member {raw!r} is encrypted")
    if member.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
        raise BadProduct(f"{names.archive}: member {raw!r} is packed with method {member.compress_type}; only stored and deflate are read")
    return name


@dataclass(frozen=True, slots=True, kw_only=True)
class _Directory:
    """A zip's table of contents as its end mark has it. zipfile forgives what is wrong with that, and reads it all into memory first."""

    path: Path
    file: IO[bytes]
    file_size: int
    start: int
    length: int
    entries: int

    @classmethod
    def find(cls, path: Path, file: IO[bytes], limits: Limits) -> _Directory:
        """BadProduct when the zip does not end with one, UnsafeProduct when it is too large or not where it is said to be."""
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - TAIL))
        tail = file.read(TAIL)
        at = tail.rfind(END_OF_ZIP)
        if at < 0 or len(tail) < at + 22:
            raise BadProduct(f"{path} is cut off: a zip ends with its table of contents")
        disks, entries, length, start, comment = struct.unpack_from("<L2xHLLH", tail, at + 4)
        end, wide = at, _wide_end(path, tail, at, size - len(tail))
        if wide is not None:
            end, *said = wide
            narrow = (entries, length, start)
            if any(a not in {b, most} for a, b, most in zip(narrow, said, (0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF), strict=True)):
                raise UnsafeProduct(f"{path} has two end marks that say different things")
            entries, length, start = said
        if entries > limits.members or length > limits.directory_bytes:
            raise UnsafeProduct(f"{path} has {entries:,} members in a table of contents of {length:,} bytes: more than any product")
        if disks or at + 22 + comment != len(tail) or start + length != size - len(tail) + end:
            raise UnsafeProduct(f"{path}: its table of contents is not where its end mark says, or bytes lie behind it")
        return cls(path=path, file=file, file_size=size, start=start, length=length, entries=entries)

    def count(self) -> None:
        """UnsafeProduct when the entries are not as many as the end mark says: zipfile makes an object of each."""
        self.file.seek(self.start)
        table = self.file.read(self.length)
        at = found = 0
        while at + 46 <= len(table) and found <= self.entries:
            lengths = struct.unpack_from("<3H", table, at + 28)
            at, found = at + 46 + sum(lengths), found + 1
        if at != len(table) or found != self.entries:
            raise UnsafeProduct(f"{self.path}: its table of contents does not hold the {self.entries:,} members that its end mark promises")
        self.file.seek(0)


def _wide_end(path: Path, tail: bytes, at: int, base: int) -> tuple[int, int, int, int] | None:
    """Of a zip64, whose locator stands before the end mark: place in the tail, entries, length, start of the table."""
    locator = at - 20
    if locator < 0 or tail[locator : locator + 4] != LOCATOR:
        return None
    (place,) = struct.unpack_from("<Q", tail, locator + 8)
    where = place - base
    if not 0 <= where <= locator - 56 or tail[where : where + 4] != END_OF_ZIP64:
        raise UnsafeProduct(f"{path}: its zip64 end mark is not where its locator says")
    entries, length, start = struct.unpack_from("<QQQ", tail, where + 32)
    return where, entries, length, start


def _check_extents(path: Path, file: IO[bytes], members: list[zipfile.ZipInfo], end_of_data: int) -> dict[int, int]:
    """Where each member's data begin, by the place of its header. Members that share bytes are how a small zip unpacks to petabytes;
    headers that say something else than the table of contents are how two programs see two different archives in one."""
    end, last, starts = 0, "", {}
    for member in sorted(members, key=lambda m: m.header_offset):
        if member.header_offset < end:
            raise UnsafeProduct(f"{path}: members {last!r} and {member.orig_filename!r} overlap: a decompression bomb")
        start = _start(path, file, member)
        end, last = start + member.compress_size, member.orig_filename
        if end > end_of_data:
            raise UnsafeProduct(f"{path}: member {last!r} and the table of contents overlap")
        starts[member.header_offset] = start
    return starts


def _start(path: Path, file: IO[bytes], member: zipfile.ZipInfo) -> int:
    """Where a member's data begin; what its own header says must agree."""
    file.seek(member.header_offset)
    header = file.read(30)
    if len(header) < 30 or not header.startswith(HEADER):
        raise BadProduct(f"{path} is damaged: member {member.orig_filename!r} is not where the table of contents says")
    flags, method, checksum, packed, size, length, extra = struct.unpack_from("<2H4x3L2H", header, 6)
    name = file.read(length).decode("utf-8" if flags & UTF8 else "cp437")
    if name != member.orig_filename:
        raise BadProduct(f"{path} is damaged: member {member.orig_filename!r} is called {name!r} in its own header")
    said, listed = (checksum, packed, size), (member.CRC, member.compress_size, member.file_size)
    later = flags & SIZES_FOLLOW or 0xFFFFFFFF in {packed, size}  # behind the data, or in the zip64 extension
    if method != member.compress_type or flags & ENCRYPTED != member.flag_bits & ENCRYPTED or (said != listed and not later):
        raise UnsafeProduct(f"{path}: the header of member {member.orig_filename!r} and the table of contents contradict each other")
    return int(member.header_offset + 30 + length + extra)


def _zip_chunks(path: Path, file: IO[bytes], member: zipfile.ZipInfo, start: int) -> Iterator[bytes]:
    """The data of a member: as many bytes as promised, of the promised checksum, and nothing else. (zipfile stops at the promised size.)"""
    checksum = size = 0
    for chunk in _unpacked(path, file, member, start):
        size += len(chunk)
        checksum = zlib.crc32(chunk, checksum)
        if size > member.file_size:
            raise UnsafeProduct(f"{path}: member {member.orig_filename!r} unpacks to more than the {member.file_size:,} bytes it promises")
        yield chunk
    if (size, checksum) != (member.file_size, member.CRC):
        raise BadProduct(f"{path} is damaged: member {member.orig_filename!r} has another size or checksum than it promises")


def _unpacked(path: Path, file: IO[bytes], member: zipfile.ZipInfo, start: int) -> Iterator[bytes]:
    file.seek(start)
    left = member.compress_size
    if member.compress_type == zipfile.ZIP_STORED or not left:
        for place in range(0, left, CHUNK):
            yield file.read(min(CHUNK, left - place))
        return
    unpacker, packed = zlib.decompressobj(-zlib.MAX_WBITS), b""
    while not unpacker.eof:
        packed = packed or file.read(min(CHUNK, left))
        left -= 0 if unpacker.unconsumed_tail else len(packed)
        chunk = unpacker.decompress(packed, CHUNK)
        if not (chunk or packed or unpacker.eof):
            raise BadProduct(f"{path} is cut off or damaged: member {member.orig_filename!r} ends early")
        packed = unpacker.unconsumed_tail
        yield chunk
    if left or unpacker.unused_data:
        raise UnsafeProduct(f"{path}: member {member.orig_filename!r} hides bytes behind its data")


def _write(target: Path, chunks: Iterator[bytes]) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "wb") as file:
        for chunk in chunks:
            file.write(chunk)
