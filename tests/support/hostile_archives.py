"""More hostile archives: what stands in their names, what they say of themselves, and what lies behind their ends."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import struct
import tarfile
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Mapping

from support.hostile import PLAIN, gzipped, member, pax_tar, record, tar_of, zip_member, zip_of

Make = Callable[[], bytes]
PRODUCT = "S2A_MSIL1C.SAFE"

# --- names, the same in both formats ---

NAMES: Mapping[str, str] = {
    "text turned around": "PRODUCT_\u202efdp.TIF",
    "zero width": "PRODUCT_\u200bB2.TIF",
    "byte order mark": "\ufeffPRODUCT_B2.TIF",
    "soft hyphen": "PRODUCT\u00ad_B2.TIF",
    "line separator": "PRODUCT_B2\u2028.TIF",
    "private use": "PRODUCT_\ue000.TIF",
    "delete": "PRODUCT_B2\x7f.TIF",
    "next line": "PRODUCT_B2\x85.TIF",
    "escape sequence": "PRODUCT_\x1b[31mB2.TIF",
    "another form of an accent": unicodedata.normalize("NFD", "é.TIF"),
    "full width": "".join(chr(ord(letter) + 0xFEE0) for letter in "PRODUCT_B1") + ".TIF",
    "ligature": "\ufb01.TIF",
    "a dot at the end": "PRODUCT_B1.TIF.",
    "a space at the end": "PRODUCT_B1.TIF ",
    "long s for S": "\u017f.TIF",
    "a long path": "/".join("a" * 200 for _ in range(6)) + ".TIF",
    "forty folders": "a/" * 40 + "b.TIF",
    "only dots": "../..",
    "a dot and a slash": "./..//evil",
    "windows": "C:evil.TIF",
    "network": "//server/share/evil.TIF",
    "a file of the system": "/proc/self/mem",
    "four thousand letters": "a" * 4000,
    "parent in the middle": "GRANULE/../../evil.TIF",
}
"""Each beside PRODUCT_B1.TIF, é.TIF, fi.TIF, s.TIF is UnsafeProduct."""
COMPANY = {**PLAIN, "é.TIF": b"1", "fi.TIF": b"1", "s.TIF": b"1"}

UNEXPECTED = (
    ".bashrc",
    "GRANULE/evil.sh",
    "evil.exe",
    "inner.zip",
    "inner.tar.gz",
    "a b.TIF",
    "ünïcode.TIF",
    "x.TIF.py",
    "-rf",
    "a;b.xml",
    "a.so",
)
"""Harmless names that no product has."""

# --- tar ---


def _header(name: str, *, type: bytes = tarfile.REGTYPE, size: bytes | None = None, content: bytes = b"") -> bytes:
    """A member whose size field holds these twelve bytes."""
    info = tarfile.TarInfo(name)
    info.type, info.size = type, len(content)
    block = bytearray(info.tobuf(tarfile.USTAR_FORMAT))
    if size is not None:
        block[124:136] = size
        block[148:156] = b" " * 8
        block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block) + content + bytes(-len(content) % 512)


def _long_name(name: str, *, type: bytes = tarfile.GNUTYPE_LONGNAME) -> bytes:
    return _header("././@LongLink", type=type, content=name.encode() + b"\0") + _header("PRODUCT_B1.TIF", content=b"x")


def _raw_name(name: bytes) -> bytes:
    """A name of bytes that are no UTF-8."""
    block = bytearray(_header("x" * len(name)))
    block[: len(name)] = name
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


END = bytes(1024)


def _endless_padding() -> bytes:
    """Zeros behind the end mark, as padding has them: 300 MB in 300 KB."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    return b"".join([packer.compress(tar_of(PLAIN)), *(packer.compress(bytes(1 << 20)) for _ in range(300)), packer.flush()])


def _many_members_of_gzip() -> bytes:
    """A gzip of two members, the second of which goes on with a path out of the archive."""
    return gzip.compress(_header("PRODUCT_B1.TIF", content=b"x")) + gzip.compress(_header("../evil", content=b"x") + END)


UNSAFE_TARS: Mapping[str, Make] = {
    "no text": lambda: _raw_name(b"PRODUCT_\xff\xfe.TIF") + END,
    "long name out of the archive": lambda: _long_name("../" * 50 + "evil") + END,
    "long name that is absolute": lambda: _long_name("/" + "a" * 120) + END,
    "long link": lambda: _long_name("/etc/passwd", type=tarfile.GNUTYPE_LONGLINK) + END,
    "contiguous file": lambda: _header("a", type=tarfile.CONTTYPE) + END,
    "volume label": lambda: _header("a", type=b"V") + END,
    "part of another volume": lambda: _header("a", type=b"M") + END,
    "dump of a folder": lambda: _header("a", type=b"D") + END,
    "unknown type": lambda: _header("a", type=b"Z") + END,
    "header of Solaris": lambda: _header("a", type=b"X") + END,
    "block device": lambda: tar_of(PLAIN, member("a", type=tarfile.BLKTYPE)),
    "link, then a file through it": lambda: tar_of(PLAIN, member("out", type=tarfile.SYMTYPE, link="/tmp"), member("out/evil")),
    "hard link to a file of the system": lambda: tar_of(PLAIN, member("a", type=tarfile.LNKTYPE, link="/etc/passwd")),
    "folder out of the archive": lambda: tar_of(PLAIN, member("../evil", type=tarfile.DIRTYPE)),
    "absolute folder": lambda: tar_of(PLAIN, member("/tmp/evil", type=tarfile.DIRTYPE)),
    "size of two to the 63": lambda: _header("a", size=b"\x80" + bytes(3) + struct.pack(">Q", 1 << 63)) + END,
    "size below zero": lambda: _header("a", size=b"\xff" * 12) + END,
    "size of five thousand digits": lambda: pax_tar(record(f"size={'9' * 5000}")),
    "size with a sign": lambda: pax_tar(record("size=+10")),
    "size in Arabic digits": lambda: pax_tar(b"13 size=\xd9\xa1\xd9\xa0\n"),
    "NUL in a long name": lambda: pax_tar(record("path=a.TIF\0/../evil")),
    "line feed in a long name": lambda: pax_tar(record("path=a\nb")),
    "global size": lambda: pax_tar(record("size=5"), type=tarfile.XGLTYPE),
    "sparse map": lambda: pax_tar(record("GNU.sparse.map=0,10") + record("GNU.sparse.size=10")),
    "ten thousand headers of one member": lambda: _header("x", type=tarfile.XHDTYPE, content=record("a=b")) * 10_001,
    "bytes behind the end": lambda: tar_of(PLAIN) + b"evil" + bytes(508),
    "another archive behind the end": lambda: tar_of(PLAIN) + tar_of({"evil": b"x"}),
}
UNSAFE_GZIPS: Mapping[str, Make] = {
    "endless padding": _endless_padding,
    "goes on in a second member": _many_members_of_gzip,
    "bytes behind the end": lambda: gzipped(tar_of(PLAIN) + b"evil" + bytes(508)),
}
BROKEN_TARS: Mapping[str, Make] = {
    "size beyond the end": lambda: _header("a", size=b"00000010000\0") + END,
    "pax size beyond the end": lambda: pax_tar(record("size=1000000")),
    "checksum of gzip": lambda: gzipped(tar_of(PLAIN))[:-8] + bytes(8),
    "noise behind gzip": lambda: gzipped(tar_of(PLAIN)) + b"evil",
    "gzip in gzip": lambda: gzipped(gzipped(tar_of(PLAIN))),
    "bzip2": lambda: bz2.compress(tar_of(PLAIN)),
    "xz": lambda: lzma.compress(tar_of(PLAIN)),
    "zstd": lambda: b"\x28\xb5\x2f\xfd" + bytes(600),
    "7z": lambda: b"7z\xbc\xaf\x27\x1c" + bytes(600),
    "rar": lambda: b"Rar!\x1a\x07\x01\0" + bytes(600),
    "ar": lambda: b"!<arch>\n" + bytes(600),
}

# --- zip ---


def patched(content: bytes, mark: bytes, offset: int, form: str, *values: int) -> bytes:
    """Other numbers at an offset behind the first place of a mark."""
    changed = bytearray(content)
    struct.pack_into(form, changed, content.index(mark) + offset, *values)
    return bytes(changed)


HEADER, ENTRY, END_MARK = b"PK\3\4", b"PK\1\2", b"PK\5\6"


def _entry(name: bytes, offset: int, data: bytes, *, method: int = 0, size: int | None = None, checksum: int | None = None) -> bytes:
    size = len(data) if size is None else size
    checksum = zlib.crc32(data) if checksum is None else checksum
    numbers = struct.pack("<LLLHHHHHLL", checksum, len(data), size, len(name), 0, 0, 0, 0, 0, offset)
    return ENTRY + struct.pack("<HHHHHH", 20, 20, 0, method, 0, 0) + numbers + name


def _local(name: bytes, data: bytes, *, method: int = 0, size: int | None = None, checksum: int | None = None) -> bytes:
    size = len(data) if size is None else size
    checksum = zlib.crc32(data) if checksum is None else checksum
    return HEADER + struct.pack("<HHHHHLLLHH", 20, 0, method, 0, 0, checksum, len(data), size, len(name), 0) + name + data


def _zip(local: bytes, entries: list[bytes], *, count: int | None = None, comment: bytes = b"") -> bytes:
    table, number = b"".join(entries), len(entries) if count is None else count
    return local + table + END_MARK + struct.pack("<HHHHLLH", 0, 0, number, number, len(table), len(local), len(comment)) + comment


def quoted_overlap() -> bytes:
    """CVE-2024-0450: the data of each member hold the next one with its header; no two begin at the same place."""
    last = _local(b"c", b"\0" * 1000)
    middle = _local(b"b", last)
    first = _local(b"a", middle)
    inner, innermost = len(first) - len(middle), len(first) - len(last)
    return _zip(first, [_entry(b"a", 0, middle), _entry(b"b", inner, last), _entry(b"c", innermost, b"\0" * 1000)])


def _into_the_table() -> bytes:
    """The last member's data reach into the table of contents."""
    local = _local(b"a.TIF", b"x" * 10)
    long = struct.pack("<L", 10 + 60)
    entry = _entry(b"a.TIF", 0, b"x" * 10)
    return _zip(local[:18] + long + long + local[26:], [entry[:20] + long + long + entry[28:]])


def _smaller_than_it_is() -> bytes:
    """Ten bytes are promised, with their checksum; sixteen megabytes come. zipfile stops after ten and is content."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    data = packer.compress(bytes(16 << 20)) + packer.flush()
    facts = {"method": 8, "size": 10, "checksum": zlib.crc32(bytes(10))}
    return _zip(_local(b"a.TIF", data, **facts), [_entry(b"a.TIF", 0, data, **facts)])


def _bytes_behind_the_data() -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    data = packer.compress(b"honest") + packer.flush() + b"hidden" * 100
    facts = {"method": 8, "size": 6, "checksum": zlib.crc32(b"honest")}
    return _zip(_local(b"a.TIF", data, **facts), [_entry(b"a.TIF", 0, data, **facts)])


def _two_answers() -> bytes:
    """Its own header says stored, the table says deflated: two programs read two files."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    data = packer.compress(b"honest") + packer.flush()
    facts = {"size": 6, "checksum": zlib.crc32(b"honest")}
    return _zip(_local(b"a.TIF", data, method=0, **facts), [_entry(b"a.TIF", 0, data, method=8, **facts)])


def _wide(entries: int, length: int, start: int, place: int | None = None) -> bytes:
    """A zip64 whose wide end mark says these."""
    local, entry = _local(b"a.TIF", b"x"), _entry(b"a.TIF", 0, b"x")
    at = len(local) + len(entry)
    mark = b"PK\6\6" + struct.pack("<QHHLLQQQQ", 44, 45, 45, 0, 0, entries, entries, length, start)
    locator = b"PK\6\7" + struct.pack("<LQL", 0, at if place is None else place, 1)
    return local + entry + mark + locator + END_MARK + struct.pack("<HHHHLLH", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)


def honest_wide() -> bytes:
    """A zip64 that is right."""
    local, entry = _local(b"a.TIF", b"x"), _entry(b"a.TIF", 0, b"x")
    return _wide(1, len(entry), len(local))


def _two_end_marks() -> bytes:
    """In the comment of the first lies a second one, with a table of its own."""
    inner = _zip(_local(b"evil.TIF", b"evil"), [_entry(b"evil.TIF", 0, b"evil")])
    return _zip(_local(b"a.TIF", b"x"), [_entry(b"a.TIF", 0, b"x")], comment=inner)


UNSAFE_ZIPS: Mapping[str, Make] = {
    "quoted overlap": quoted_overlap,
    "data that reach into the table": _into_the_table,
    "smaller than it is": _smaller_than_it_is,
    "bytes behind the data": _bytes_behind_the_data,
    "two answers": _two_answers,
    "other size in its header": lambda: patched(zip_of(PLAIN), HEADER, 22, "<L", 1),
    "other checksum in its header": lambda: patched(zip_of(PLAIN), HEADER, 14, "<L", 1),
    "fewer members than there are": lambda: patched(zip_of(PLAIN), END_MARK, 8, "<HH", 1, 1),
    "more members than there are": lambda: patched(zip_of(PLAIN), END_MARK, 8, "<HH", 3, 3),
    "table longer than it is": lambda: patched(zip_of(PLAIN), END_MARK, 12, "<L", 5000),
    "table of nothing": lambda: patched(zip_of(PLAIN), END_MARK, 8, "<HHL", 0, 0, 0),
    "table elsewhere": lambda: patched(zip_of(PLAIN), END_MARK, 16, "<L", 7),
    "bytes before it": lambda: b"PK" + bytes(98) + zip_of(PLAIN),
    "bytes behind it": lambda: zip_of(PLAIN) + b"evil",
    "another zip behind it": lambda: zip_of({"evil.TIF": b"x"}) + zip_of(PLAIN),
    "two end marks": _two_end_marks,
    "on the second of two disks": lambda: patched(zip_of(PLAIN), END_MARK, 4, "<HH", 1, 1),
    "wide: a million million members": lambda: _wide(1 << 40, 46, 36),
    "wide: table of an exabyte": lambda: _wide(1, 1 << 60, 36),
    "wide: mark behind the end": lambda: _wide(1, 51, 36, place=1 << 40),
    "wide: mark elsewhere": lambda: _wide(1, 51, 36, place=0),
    "wide and narrow differ": lambda: patched(honest_wide(), END_MARK, 8, "<HH", 2, 2),
    "folder with content": lambda: zip_of(PLAIN, zip_member("folder/", mode=0o040755, content=b"hidden")),
    "device": lambda: zip_of(PLAIN, zip_member("a", mode=0o020644)),
    "socket": lambda: zip_of(PLAIN, zip_member("a", mode=0o140644)),
}
BROKEN_ZIPS: Mapping[str, Make] = {
    "member behind the end": lambda: patched(zip_of(PLAIN), ENTRY, 42, "<L", 60_000),
    "member that is no member": lambda: b"PK\3\5" + zip_of(PLAIN)[4:],
    "strongly encrypted": lambda: patched(patched(zip_of(PLAIN), ENTRY, 8, "<H", 0x41), HEADER, 6, "<H", 0x41),
    "deflate64": lambda: patched(patched(zip_of(PLAIN), ENTRY, 10, "<H", 9), HEADER, 8, "<H", 9),
    "zstd": lambda: patched(patched(zip_of(PLAIN), ENTRY, 10, "<H", 93), HEADER, 8, "<H", 93),
    "no text": lambda: zip_of({"é.TIF": b"x"}).replace("é".encode(), b"\xff\xfe"),  # its name is said to be UTF-8
    "noise instead of deflate": lambda: _zip(_local(b"a", b"noise", method=8), [_entry(b"a", 0, b"noise", method=8)]),
    "larger than it is": lambda: _zip(_local(b"a", b"x", size=9), [_entry(b"a", 0, b"x", size=9)]),
}


def nested(depth: int) -> bytes:
    """A zip in a zip in a zip …"""
    content = bytes(1 << 20)
    for _ in range(depth):
        content = zip_of({"inner.zip": content})
    return content


def many_gzip_members(count: int) -> bytes:
    """An honest tar in pieces, as pigz and others write it."""
    content = tar_of(PLAIN)
    step = -(-len(content) // count)
    return b"".join(gzip.compress(content[place : place + step]) for place in range(0, len(content), step))


def streamed_zip(files: Mapping[str, bytes]) -> bytes:
    """As servers write it on the fly: sizes behind the data."""

    class Pipe(io.RawIOBase):
        def __init__(self) -> None:
            self.pieces: list[bytes] = []

        def writable(self) -> bool:
            return True

        def write(self, data: bytes) -> int:  # type: ignore[override]
            self.pieces.append(bytes(data))
            return len(data)

    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as archive:  # type: ignore[arg-type]
        for name, content in files.items():
            archive.writestr(name, content)
    return b"".join(pipe.pieces)
