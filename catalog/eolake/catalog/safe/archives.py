"""Archives, member by member: only what is wanted reaches the disk, and nothing outside of the workspace.

Neither `extractall` nor tarfile's iteration is used: that one reads extension headers of any size into memory and ends
silently at a damaged header.
"""

from __future__ import annotations

import errno
import os
import stat
import struct
import tarfile
import zipfile
import zlib
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
NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
BLOCK = 512
END_OF_ZIP = b"PK\x05\x06"
END_OF_ZIP64 = b"PK\x06\x06"
TAIL = 65535 + 22 + 20 + 56
"""Bytes at the end of a zip that hold both end marks: a comment, the mark, the locator, the mark of zip64."""
Wanted = Callable[[str], bool]


def unpack(path: Path, workspace: Path, wanted: Wanted, limits: Limits) -> dict[str, int]:
    """Write the wanted members below `workspace`; names and sizes of ALL files of the archive, in its order."""
    with _broken_is_bad(path), os.fdopen(open_regular(path), "rb") as file:
        first = file.read(BLOCK)
        file.seek(0)
        names = Names(archive=str(path), limits=limits)
        if first.startswith(b"PK"):
            return _unpack_zip(path, file, workspace, wanted, names)
        if first.startswith(b"\x1f\x8b"):
            with GzipFile(fileobj=file) as unzipped:
                packed = os.fstat(file.fileno()).st_size
                return _unpack_tar(_Stream(file=unzipped, path=path, limits=limits, packed=packed), workspace, wanted, names)
        if _is_header(first):
            return _unpack_tar(_Stream(file=file, path=path, limits=limits, packed=None), workspace, wanted, names)
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


def check_total(path: Path, unpacked: int, packed: int | None, limits: Limits) -> None:
    """UnsafeProduct when the archive is too large, or larger than any real one that packs so well."""
    if unpacked > limits.total_bytes:
        raise UnsafeProduct(f"{path} unpacks to more than {limits.total_bytes:,} bytes")
    if packed is not None and unpacked > limits.ratio_from and unpacked > packed * limits.ratio:
        raise UnsafeProduct(f"{path} unpacks to more than {limits.ratio} times its size: a decompression bomb")


def _unpack_tar(stream: _Stream, workspace: Path, wanted: Wanted, names: Names) -> dict[str, int]:
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
        if wanted(name):
            _write(workspace / name, chunks)
        else:
            for _ in chunks:
                pass
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
            member.size = int(extended["size"]) if extended["size"].isascii() and extended["size"].isdigit() else -1
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


def _unpack_zip(path: Path, file: IO[bytes], workspace: Path, wanted: Wanted, names: Names) -> dict[str, int]:
    _check_directory(path, file, names.limits)
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        _check_overlap(path, members)
        check_total(path, sum(m.file_size for m in members), os.fstat(file.fileno()).st_size, names.limits)
        plan = [(member, name) for member in members if (name := _zip_name(member, names)) is not None]
        for member, name in plan:
            if wanted(name):
                _write(workspace / name, _zip_chunks(archive, member))
    return {name: member.file_size for member, name in plan}


def _zip_name(member: zipfile.ZipInfo, names: Names) -> str | None:
    """The safe name of a file; None of a folder."""
    raw = member.orig_filename
    kind = stat.S_IFMT(member.external_attr >> 16)
    if kind not in {0, stat.S_IFREG, stat.S_IFDIR}:
        raise names.refusal(raw, "it is a link, a device or another thing that is not a plain file")
    if raw.endswith("/") or kind == stat.S_IFDIR:
        names.folder(raw)
        return None
    name = names.file(raw)
    _check_size(names, raw, member.file_size)
    if member.flag_bits & 0x1:
        raise BadProduct(f"{names.archive}: member {raw!r} is encrypted")
    if member.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
        raise BadProduct(f"{names.archive}: member {raw!r} is packed with method {member.compress_type}; only stored and deflate are read")
    return name


def _check_overlap(path: Path, members: list[zipfile.ZipInfo]) -> None:
    """Members that share bytes are how a small zip unpacks to petabytes."""
    end, last = 0, ""
    for member in sorted(members, key=lambda m: m.header_offset):
        if member.header_offset < end:
            raise UnsafeProduct(f"{path}: members {last!r} and {member.orig_filename!r} overlap: a decompression bomb")
        end = member.header_offset + 30 + len(member.orig_filename) + member.compress_size
        last = member.orig_filename


def _check_directory(path: Path, file: IO[bytes], limits: Limits) -> None:
    """zipfile reads the table of contents into memory and makes an object per entry: look at its size first."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - TAIL))
    tail = file.read(TAIL)
    at = tail.rfind(END_OF_ZIP)
    if at < 0 or len(tail) < at + 22:
        raise BadProduct(f"{path} is cut off: a zip ends with its table of contents")
    entries, length = struct.unpack_from("<HL", tail, at + 10)
    wide = tail.rfind(END_OF_ZIP64, 0, at)
    if wide >= 0 and len(tail) >= wide + 56:
        entries, length = struct.unpack_from("<QQ", tail, wide + 32)
    if entries > limits.members or length > limits.directory_bytes:
        raise UnsafeProduct(f"{path} has {entries:,} members in a table of contents of {length:,} bytes: more than any product")
    file.seek(0)


def _zip_chunks(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Iterator[bytes]:
    with archive.open(member) as stream:
        while chunk := stream.read(CHUNK):
            yield chunk


def _write(target: Path, chunks: Iterator[bytes]) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "wb") as file:
        for chunk in chunks:
            file.write(chunk)
