"""Structure of files whose provider gives no digest: enough to tell a whole file from a torn one. The gate reads the archives."""

from __future__ import annotations

import struct
from pathlib import Path

from eolake.catalog.errors import BadProduct, UnsafeProduct
from eolake.catalog.safe.archives import check_archive, check_gzip
from eolake.ingest.faults import Kind, ProviderFault

MANIFESTS = ("manifest.safe", "xfdumanifest.xml")
IFDS = 1000
"""Directories of a TIFF that are followed."""


def check_structure(path: Path, name: str | None = None) -> None:
    """ProviderFault(corrupt) when the file is torn; formats that say nothing of their own length pass. `name`: its later name."""
    with path.open("rb") as file:
        head = file.read(16)
    size = path.stat().st_size
    try:
        if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
            _zip(path)
        elif head[:4] in {b"II*\0", b"MM\0*"}:
            _tiff(path, size, "<" if head[:2] == b"II" else ">")
        elif head.startswith(b"\x89HDF\r\n\x1a\n"):
            _hdf5(path, size)
        elif head.startswith(b"\0\0\0\x0cjP  \r\n"):
            _boxes(path, size)
        elif head.startswith(b"\x1f\x8b"):
            check_gzip(path)
        elif Path(name or path.name).suffix.lower() == ".tar":
            check_archive(path)
        elif size == 0:
            raise _Torn("it is empty")  # noqa: TRY301 -- told like every other flaw
    except UnsafeProduct:
        return  # whole, but hostile: who opens it will say so, and fetching it again would not help
    except (_Torn, BadProduct, struct.error, IndexError) as error:
        why = str(error).replace(str(path), "it") or type(error).__name__
        raise ProviderFault(f"{name or path.name} is broken: {why}", Kind.CORRUPT) from error


class _Torn(Exception):
    """Why a file is not whole."""


def _zip(path: Path) -> None:
    members = check_archive(path)
    product = next((top for member in members if (top := member.partition("/")[0]).endswith((".SAFE", ".SEN3"))), None)
    if product is not None and not any(f"{product}/{name}" in members for name in MANIFESTS):
        raise _Torn(f"{product} has no manifest")


def _tiff(path: Path, size: int, order: str) -> None:
    with path.open("rb") as file:
        file.seek(4)
        (offset,) = struct.unpack(f"{order}I", file.read(4))
        for _ in range(IFDS):
            if offset == 0:
                return
            if offset + 2 > size:
                raise _Torn(f"a directory lies at byte {offset:,} of {size:,}")
            file.seek(offset)
            (entries,) = struct.unpack(f"{order}H", file.read(2))
            file.seek(offset + 2 + 12 * entries)
            (offset,) = struct.unpack(f"{order}I", file.read(4))


def _hdf5(path: Path, size: int) -> None:
    """The superblock says where the file ends."""
    with path.open("rb") as file:
        block = file.read(64)
    version = block[8]
    at, width = (24 + 16, block[13]) if version in {0, 1} else (12 + 16, block[9])
    if version == 1:
        at += 4
    if width != 8:
        return
    (end,) = struct.unpack("<Q", block[at : at + 8])
    if end != size and end > size:
        raise _Torn(f"it ends at byte {size:,} instead of {end:,}")


def _boxes(path: Path, size: int) -> None:
    with path.open("rb") as file:
        at = 0
        while at < size:
            file.seek(at)
            length, kind = struct.unpack(">I4s", file.read(8))
            if length == 1:
                (length,) = struct.unpack(">Q", file.read(8))
            if length == 0:
                return
            at += length
            if length < 8 or at > size:
                raise _Torn(f"its box {kind!r} ends at byte {at:,} of {size:,}")
