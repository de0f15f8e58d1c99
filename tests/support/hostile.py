"""Hostile and broken archives and documents, built byte by byte: one function per trick."""

from __future__ import annotations

import gzip
import io
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

PLAIN = {"PRODUCT_MTL.txt": b"GROUP = L1\nEND\n", "PRODUCT_B1.TIF": bytes(range(256)) * 8}
"""What an honest product of these tests holds."""


def tar_of(files: dict[str, bytes], *members: tuple[tarfile.TarInfo, bytes], format: int = tarfile.PAX_FORMAT) -> bytes:
    """A tar of honest files followed by prepared members."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=format) as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        for info, content in members:
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def member(name: str, *, type: bytes = tarfile.REGTYPE, link: str = "", content: bytes = b"x") -> tuple[tarfile.TarInfo, bytes]:
    """One tar member of any kind."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname = type, link
    info.size = len(content) if type == tarfile.REGTYPE else 0
    return info, content if type == tarfile.REGTYPE else b""


def zip_of(files: dict[str, bytes], *members: tuple[zipfile.ZipInfo, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip of honest files followed by prepared members."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
        for info, content in members:
            archive.writestr(info, content)
    return buffer.getvalue()


def zip_member(name: str, *, mode: int = 0o100644, content: bytes = b"x") -> tuple[zipfile.ZipInfo, bytes]:
    """One zip member with Unix mode bits."""
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    return info, content


def overlapping_zip() -> bytes:
    """Two entries of the table of contents that share the same compressed bytes."""
    packed = zlib.compress(b"\0" * 100_000, 9)[2:-4]
    checksum = zlib.crc32(b"\0" * 100_000)
    sizes = struct.pack("<LLL", checksum, len(packed), 100_000)
    local = b"PK\3\4" + struct.pack("<HHHHH", 20, 0, 8, 0, 0) + sizes + struct.pack("<HH", 1, 0) + b"a" + packed
    entries = b"".join(
        b"PK\1\2" + struct.pack("<HHHHHH", 20, 20, 0, 8, 0, 0) + sizes + struct.pack("<HHHHHLL", 1, 0, 0, 0, 0, 0, 0) + name
        for name in (b"a", b"b")
    )
    return local + entries + b"PK\5\6" + struct.pack("<HHHHLLH", 0, 0, 2, 2, len(entries), len(local), 0)


def lying_directory_zip(entries: int) -> bytes:
    """An end mark that promises that many entries."""
    return zip_of(PLAIN)[:-12] + struct.pack("<HLLH", min(entries, 0xFFFE), entries * 46, 0, 0)


def encrypted_zip() -> bytes:
    """The encryption flag is set in the table of contents."""
    content = bytearray(zip_of(PLAIN))
    at = content.find(b"PK\1\2")
    content[at + 8] |= 1
    return bytes(content)


def wrong_checksum_zip() -> bytes:
    """The stored bytes of the first member are not those of its CRC."""
    content = bytearray(zip_of(PLAIN, compression=zipfile.ZIP_STORED))
    content[content.find(b"GROUP")] ^= 0xFF
    return bytes(content)


def gzip_bomb(megabytes: int) -> bytes:
    """A tar.gz whose one wanted member is zeros: about a thousandth of their size."""
    info = tarfile.TarInfo("PRODUCT_B1.TIF")
    info.size = megabytes << 20
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    pieces = [packer.compress(info.tobuf())]
    pieces += [packer.compress(bytes(1 << 20)) for _ in range(megabytes)]
    return b"".join([*pieces, packer.compress(bytes(1024)), packer.flush()])


def huge_extension_tar(size: int) -> bytes:
    """A pax header that claims `size` bytes; the bytes themselves are not even there."""
    info = tarfile.TarInfo("PaxHeader")
    info.type, info.size = tarfile.XHDTYPE, size
    return info.tobuf() + bytes(1024)


def record(text: str) -> bytes:
    """A pax record; its length counts its own digits too."""
    length = len(text) + 2
    while len(f"{length} {text}\n") != length:
        length += 1
    return f"{length} {text}\n".encode()


def pax_tar(records: bytes, *, type: bytes = tarfile.XHDTYPE) -> bytes:
    """A pax header with these bytes before one honest member."""
    header = tarfile.TarInfo("PaxHeader")
    header.type, header.size = type, len(records)
    return header.tobuf() + records + bytes(-len(records) % 512) + tar_of({"PRODUCT_B1.TIF": b"x" * 10}, format=tarfile.USTAR_FORMAT)


def without_end_mark(content: bytes) -> bytes:
    """A tar cut exactly behind its last member: Python's tarfile takes it for whole."""
    return content.rstrip(b"\0") + bytes(-len(content.rstrip(b"\0")) % 512)


def damaged_second_header() -> bytes:
    """Python's tarfile ends silently at such a header."""
    content = bytearray(tar_of(PLAIN, format=tarfile.USTAR_FORMAT))
    content[1024] ^= 0xFF
    return bytes(content)


def folder_with_content() -> bytes:
    """A folder that hides bytes between two members."""
    info = tarfile.TarInfo("folder")
    info.type, info.size = tarfile.DIRTYPE, 512
    return info.tobuf() + b"x" * 512 + bytes(1024)


UNSAFE_TARS: dict[str, Callable[[], bytes]] = {
    "parent path": lambda: tar_of(PLAIN, member("../evil.txt")),
    "hidden parent path": lambda: tar_of(PLAIN, member("a/b/../../../evil.txt")),
    "absolute path": lambda: tar_of(PLAIN, member("/tmp/evil.txt")),
    "symbolic link": lambda: tar_of(PLAIN, member("PRODUCT_B2.TIF", type=tarfile.SYMTYPE, link="/etc/passwd")),
    "hard link": lambda: tar_of(PLAIN, member("PRODUCT_B2.TIF", type=tarfile.LNKTYPE, link="PRODUCT_B1.TIF")),
    "device": lambda: tar_of(PLAIN, member("PRODUCT_B2.TIF", type=tarfile.CHRTYPE)),
    "pipe": lambda: tar_of(PLAIN, member("PRODUCT_B2.TIF", type=tarfile.FIFOTYPE)),
    "old sparse file": lambda: tar_of(PLAIN, member("PRODUCT_B2.TIF", type=tarfile.GNUTYPE_SPARSE)),
    "pax sparse file": lambda: pax_tar(record("GNU.sparse.major=1")),
    "duplicate": lambda: tar_of(PLAIN, member("PRODUCT_B1.TIF")),
    "duplicate in other case": lambda: tar_of(PLAIN, member("product_b1.tif")),
    "duplicate through dots": lambda: tar_of(PLAIN, member("./PRODUCT_B1.TIF")),
    "file as folder": lambda: tar_of(PLAIN, member("PRODUCT_B1.TIF/evil")),
    "folder as file": lambda: tar_of({"a/b": b"1"}, member("a")),
    "control character": lambda: tar_of(PLAIN, member("PRODUCT\n_B2.TIF")),
    "backslash": lambda: tar_of(PLAIN, member("..\\evil.txt")),
    "drive": lambda: tar_of(PLAIN, member("C:/evil.txt")),
    "long name": lambda: tar_of(PLAIN, member("a/" * 2000 + "evil.txt")),
    "long component": lambda: tar_of(PLAIN, member("a" * 300)),
    "huge extension header": lambda: huge_extension_tar(1 << 32),
    "pax renames to a parent path": lambda: pax_tar(record("path=../../../evil")),
    "global header renames": lambda: pax_tar(record("path=evil"), type=tarfile.XGLTYPE),
    "negative size": lambda: pax_tar(record("size=-5")),
    "folder with content": folder_with_content,
    "too many members": lambda: tar_of({f"f{n}": b"" for n in range(10_001)}, format=tarfile.USTAR_FORMAT),
}  # fmt: skip

BROKEN_TARS: dict[str, Callable[[], bytes]] = {
    "cut inside a member": lambda: tar_of(PLAIN)[:-9000],
    "cut behind the last member": lambda: without_end_mark(tar_of(PLAIN)),
    "cut inside a header": lambda: tar_of(PLAIN, format=tarfile.USTAR_FORMAT)[: 1024 + 100],
    "damaged header": damaged_second_header,
    "damaged pax record": lambda: pax_tar(b"999 path=a\n"),
    "pax record without end": lambda: pax_tar(record("pathx")),
    "empty file": lambda: b"",
    "login page": lambda: b"<!DOCTYPE html><title>Sign in</title>",
}

UNSAFE_ZIPS: dict[str, Callable[[], bytes]] = {
    "parent path": lambda: zip_of(PLAIN, zip_member("../evil.txt")),
    "absolute path": lambda: zip_of(PLAIN, zip_member("/tmp/evil.txt")),
    "symbolic link": lambda: zip_of(PLAIN, zip_member("PRODUCT_B2.TIF", mode=0o120777, content=b"/etc/passwd")),
    "pipe": lambda: zip_of(PLAIN, zip_member("PRODUCT_B2.TIF", mode=0o010644)),
    "duplicate": lambda: _silent_zip(PLAIN, "PRODUCT_B1.TIF"),
    "duplicate in other case": lambda: zip_of(PLAIN, zip_member("product_b1.tif")),
    "file as folder": lambda: zip_of(PLAIN, zip_member("PRODUCT_B1.TIF/evil")),
    "backslash": lambda: zip_of(PLAIN, zip_member("..\\evil.txt")),
    "NUL in the name": lambda: zip_of({**PLAIN, "evilXtif": b"1"}).replace(b"evilXtif", b"evil\0tif"),
    "overlapping members": overlapping_zip,
    "huge table of contents": lambda: lying_directory_zip(5_000_000),
    "ratio": lambda: zip_of({"PRODUCT_B1.TIF": bytes(70 << 20)}),
    "too many members": lambda: zip_of({f"f{n}": b"" for n in range(10_001)}),
}

BROKEN_ZIPS: dict[str, Callable[[], bytes]] = {
    "cut": lambda: zip_of(PLAIN)[:-30],
    "wrong checksum": wrong_checksum_zip,
    "encrypted": encrypted_zip,
    "bzip2": lambda: zip_of(PLAIN, compression=zipfile.ZIP_BZIP2),
    "lzma": lambda: zip_of(PLAIN, compression=zipfile.ZIP_LZMA),
    "no end mark": lambda: b"PK\3\4" + bytes(100),
    "names differ": lambda: zip_of(PLAIN).replace(b"PRODUCT_B1", b"PRODUCT_B9", 1),
}

XML_BOMBS = {
    "billion laughs": b'<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]><x>&b;</x>',
    "quadratic blow-up": b'<!DOCTYPE x [<!ENTITY a "' + b"a" * 50_000 + b'">]><x>' + b"&a;" * 50_000 + b"</x>",
    "external entity": b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><x>&a;</x>',
    "external DTD": b'<!DOCTYPE x SYSTEM "http://127.0.0.1:9/evil.dtd"><x/>',
    "parameter entity": b'<!DOCTYPE x [<!ENTITY % a SYSTEM "http://127.0.0.1:9/"> %a;]><x/>',
    "harmless DTD": b"<!DOCTYPE x><x/>",
    "UTF-16": '<?xml version="1.0" encoding="utf-16"?><!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>'.encode("utf-16"),
}
"""Each is UnsafeProduct."""


def _silent_zip(files: dict[str, bytes], again: str) -> bytes:
    """Python warns about a name that comes twice; so it is changed afterwards."""
    other = "X" * len(again)
    return zip_of({**files, other: b"evil"}).replace(other.encode(), again.encode())


def gzipped(content: bytes) -> bytes:
    """As .tar.gz."""
    return gzip.compress(content, mtime=0)


def write(folder: Path, name: str, content: bytes) -> Path:
    """A file of these bytes."""
    path = folder / name
    path.write_bytes(content)
    return path
