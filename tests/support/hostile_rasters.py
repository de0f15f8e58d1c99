"""Disguised, hostile and broken rasters, written byte by byte: one function per trick, (path, what it is after) → None."""

from __future__ import annotations

import functools
import json
import struct
import tempfile
import warnings
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

SHORT, LONG, LONG8 = 3, 4, 16
SIDE = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Prey:
    """What an attack would like to reach."""

    file: Path
    url: str


Trick = Callable[[Path, Prey], None]

# --- other things under the name of a raster ---


def _vrt(band: str) -> str:
    return f'<VRTDataset rasterXSize="64" rasterYSize="64">{band}</VRTDataset>'


def _source(file: str, kind: str = "SimpleSource") -> str:
    source = f'<{kind}><SourceFilename relativeToVRT="0">{file}</SourceFilename><SourceBand>1</SourceBand></{kind}>'
    return _vrt(f'<VRTRasterBand dataType="Byte" band="1">{source}</VRTRasterBand>')


def _raw_vrt(prey: Prey) -> str:
    place = (
        f"<SourceFilename>{prey.file}</SourceFilename><ImageOffset>0</ImageOffset><PixelOffset>1</PixelOffset><LineOffset>64</LineOffset>"
    )
    return _vrt(f'<VRTRasterBand dataType="Byte" band="1" subClass="VRTRawRasterBand">{place}</VRTRasterBand>')


def _python_vrt(prey: Prey) -> str:
    code = f"import urllib.request\ndef f(*a, **k): urllib.request.urlopen({prey.url!r})"
    function = f"<PixelFunctionType>f</PixelFunctionType><PixelFunctionCode><![CDATA[{code}]]></PixelFunctionCode>"
    language = "<PixelFunctionLanguage>Python</PixelFunctionLanguage>"
    return _vrt(f'<VRTRasterBand dataType="Byte" band="1" subClass="VRTDerivedRasterBand">{language}{function}</VRTRasterBand>')


def _warped_vrt(prey: Prey) -> str:
    options = f"<GDALWarpOptions><SourceDataset>{prey.file}</SourceDataset></GDALWarpOptions>"
    return f'<VRTDataset rasterXSize="64" rasterYSize="64" subClass="VRTWarpedDataset">{options}</VRTDataset>'


DISGUISED: Mapping[str, Callable[[Prey], str | bytes]] = {
    "VRT that reads a file": lambda prey: _source(str(prey.file)),
    "VRT that reads raw bytes": _raw_vrt,
    "VRT that calls a server": lambda prey: _source(f"/vsicurl/{prey.url}"),
    "VRT that reads a zip of a server": lambda prey: _source(f"/vsizip/vsicurl/{prey.url}/a.tif"),
    "VRT in a VRT": lambda prey: _source(_source(str(prey.file)).replace("<", "&lt;")),
    "VRT of complex sources": lambda prey: _source(str(prey.file), "ComplexSource"),
    "VRT that runs Python": _python_vrt,
    "VRT that warps": _warped_vrt,
    "VRT in its command line": lambda prey: f"vrt://{prey.file}?bands=1",
    "tile index": lambda prey: f"<GDALTileIndexDataset><IndexDataset>/vsicurl/{prey.url}</IndexDataset></GDALTileIndexDataset>",
    "WMS": lambda prey: f'<GDAL_WMS><Service name="TMS"><ServerUrl>{prey.url}</ServerUrl></Service></GDAL_WMS>',
    "WMTS": lambda prey: f"<GDAL_WMTS><GetCapabilitiesUrl>{prey.url}</GetCapabilitiesUrl></GDAL_WMTS>",
    "WCS": lambda prey: f"<WCS_GDAL><ServiceURL>{prey.url}</ServiceURL><CoverageName>a</CoverageName></WCS_GDAL>",
    "STACIT": lambda prey: json.dumps(
        {"stac_version": "1.0.0", "type": "FeatureCollection", "features": [{"assets": {"a": {"href": prey.url}}}]}
    ),
    "STACTA": lambda prey: json.dumps({"stac_extensions": ["tiled-assets"], "asset_templates": {"a": {"href": prey.url}}}),
    "GDAL pipeline": lambda prey: json.dumps(
        {"type": "gdal_streamed_alg", "command_line": f"gdal raster mosaic {prey.file} --output-format stream"}
    ),
    "GeoJSON": lambda _: '{"type": "FeatureCollection", "features": []}',
    "OGR VRT": lambda prey: (
        f'<OGRVRTDataSource><OGRVRTLayer name="a"><SrcDataSource>{prey.file}</SrcDataSource></OGRVRTLayer></OGRVRTDataSource>'
    ),
    "ESRI grid": lambda _: "ncols 2\nnrows 2\nxllcorner 0\nyllcorner 0\ncellsize 1\n1 2\n3 4\n",
    "HDF5": lambda _: b"\x89HDF\r\n\x1a\n" + bytes(500),
    "SQLite": lambda _: b"SQLite format 3\0" + bytes(500),
    "PDF": lambda prey: f"%PDF-1.7\n1 0 obj<</Type/Action/S/URI/URI({prey.url})>>endobj\n",
    "SVG": lambda prey: f'<svg xmlns:xlink="http://www.w3.org/1999/xlink"><image xlink:href="{prey.url}"/></svg>',
    "login page": lambda _: "<!DOCTYPE html><title>Sign in</title>",
    "name of a file": lambda prey: str(prey.file),
    "address": lambda prey: f"/vsicurl/{prey.url}",
    "nothing": lambda _: b"",
    "zeros": lambda _: bytes(1000),
}
"""Each is BadProduct to every driver."""

# --- TIFF ---

Tags = dict[int, tuple[int, Sequence[int] | bytes]]


def tiff(
    tags: Tags | None = None,
    data: bytes | None = None,
    *,
    big: bool = False,
    counts: Mapping[int, int] | None = None,
    follow: int | str = 0,
    entries: int | None = None,
) -> bytes:
    """A grey TIFF of one strip, with other tags; `counts`: how many values a tag says it has; `follow`: the next directory."""
    data = bytes(range(256)) * (SIDE * SIDE // 256) if data is None else data
    head = 16 if big else 8
    at = head + len(data) + -len(data) % 8
    fields: Tags = {
        256: (LONG, [SIDE]),
        257: (LONG, [SIDE]),
        258: (SHORT, [8]),
        259: (SHORT, [1]),
        262: (SHORT, [1]),
        273: (LONG, [head]),
        277: (SHORT, [1]),
        278: (LONG, [SIDE]),
        279: (LONG, [len(data)]),
        **(tags or {}),
    }
    fields = {tag: field for tag, field in fields.items() if field[1]}
    word, size = ("<Q", 20) if big else ("<I", 12)
    room = struct.calcsize(word)
    extra_at = at + (8 if big else 2) + size * len(fields) + room
    directory, extra = b"", b""
    for tag in sorted(fields):
        kind, values = fields[tag]
        raw = values if isinstance(values, bytes) else struct.pack(f"<{len(values)}{ {SHORT: 'H', LONG: 'I', LONG8: 'Q'}[kind] }", *values)
        count = (counts or {}).get(tag, len(values))
        if len(raw) > room:
            place, extra = struct.pack(word, extra_at + len(extra)), extra + raw + bytes(-len(raw) % 8)
        else:
            place = raw + bytes(room - len(raw))
        directory += struct.pack("<HH", tag, kind) + struct.pack(word, count) + place
    number = len(fields) if entries is None else entries
    follows = at if follow == "itself" else int(follow)
    start = struct.pack("<2sHHHQ", b"II", 43, 8, 0, at) if big else struct.pack("<2sHI", b"II", 42, at)
    return (
        start + data + bytes(-len(data) % 8) + struct.pack("<Q" if big else "<H", number) + directory + struct.pack(word, follows) + extra
    )


def tiled(width: int, height: int, tile: int, *, data: bytes, compression: int = 8, tiles: int | None = None) -> bytes:
    """All tiles lie at the same place."""
    number = tiles if tiles is not None else -(-width // tile) * -(-height // tile)
    layout: Tags = {256: (LONG, [width]), 257: (LONG, [height]), 259: (SHORT, [compression]), 322: (LONG, [tile]), 323: (LONG, [tile])}
    places: Tags = {324: (LONG, [8] * number), 325: (LONG, [len(data)] * number), 273: (LONG, []), 278: (LONG, []), 279: (LONG, [])}
    return tiff({**layout, **places}, data)


def _strip_of(compression: int, data: bytes, **more: int) -> bytes:
    return tiff({259: (SHORT, [compression]), **{int(tag[1:]): (SHORT, [value]) for tag, value in more.items()}}, data)


def _chain(length: int) -> bytes:
    """As many directories, each of one tag."""
    first = tiff()
    at = len(first) + len(first) % 2
    pieces = [first[:-4], struct.pack("<I", at), bytes(len(first) % 2)]
    places = [*range(at + 18, at + 18 * length, 18), 0]
    return b"".join([*pieces, *(struct.pack("<HHHIII", 1, 256, LONG, 1, SIDE, place) for place in places)])


def _metadata(prey: Prey) -> bytes:
    """GDAL's own tag names a file as the overviews of this one."""
    items = f'<Item name="OVERVIEW_FILE" domain="OVERVIEWS">/vsicurl/{prey.url}</Item><Item name="a" sample="0" role="description">b</Item>'
    return tiff({42112: (2, f"<GDALMetadata>{items}</GDALMetadata>".encode() + b"\0")})


HUGE: Mapping[str, Callable[[], bytes]] = {
    "two thousand million pixels a side": lambda: tiff({256: (LONG, [0x7FFFFFFF]), 257: (LONG, [0x7FFFFFFF]), 278: (LONG, [1])}),
    "one line too long": lambda: tiff({256: (LONG, [100_001]), 257: (LONG, [1])}),
    "many pixels within the sides": lambda: tiff({256: (LONG, [60_000]), 257: (LONG, [60_000]), 278: (LONG, [16])}),
    "many pixels in few bytes": lambda: tiled(100_000, 10_000, 1 << 14, data=zlib.compress(bytes(1000)), tiles=7),
    "a strip of all lines": lambda: tiff({256: (LONG, [40_000]), 257: (LONG, [26_800]), 278: (LONG, [26_800]), 258: (SHORT, [16])}),
    "a huge tile": lambda: tiled(SIDE, SIDE, 1 << 16, data=b"x", tiles=1),
    "sixty thousand bands": lambda: tiff({277: (SHORT, [60_000]), 258: (SHORT, [8] * 60_000), 284: (SHORT, [1])}),
    "BigTIFF of 2^31 lines": lambda: tiff({257: (LONG, [0x7FFFFFFF]), 278: (LONG, [1 << 20])}, big=True),
}
"""Refused before a pixel is decoded."""

TIFFS: Mapping[str, Callable[[Prey], bytes]] = {
    "directory that follows itself": lambda _: tiff(follow="itself"),
    "directory in the header": lambda _: tiff(follow=4),
    "directory behind the end": lambda _: tiff(follow=0x7FFFFFFF),
    "chain of directories": lambda _: _chain(20_000),
    "subdirectory that is itself": lambda _: tiff({330: (LONG, [8 + SIDE * SIDE])}),
    "more entries than there are": lambda _: tiff(entries=65_535),
    "no entries": lambda _: tiff(entries=0),
    "no width": lambda _: tiff({256: (LONG, [0])}),
    "strips behind the end": lambda _: tiff({273: (LONG, [0xFFFFFFF0])}),
    "strip of four gigabytes": lambda _: tiff({279: (LONG, [0xFFFFFFFF])}),
    "strip of no bytes": lambda _: tiff({279: (LONG, [0])}),
    "a billion strips": lambda _: tiff({273: (LONG, [8, 8]), 279: (LONG, [16, 16])}, counts={273: 1 << 30, 279: 1 << 30}),
    "strip that is the header": lambda _: tiff({273: (LONG, [0])}),
    "BigTIFF with entries without end": lambda _: tiff(big=True, entries=(1 << 63) - 1),
    "BigTIFF with a strip of 2^62 bytes": lambda _: tiff({279: (LONG8, [1 << 62])}, big=True),
    "BigTIFF with offsets of 2 bytes": lambda _: tiff(big=True).replace(struct.pack("<HHH", 43, 8, 0), struct.pack("<HHH", 43, 2, 0), 1),
    "zero bits": lambda _: tiff({258: (SHORT, [0])}),
    "sixty-three bits": lambda _: tiff({258: (SHORT, [63])}),
    "unknown compression": lambda _: _strip_of(65_000, bytes(100)),
    "unknown predictor": lambda _: _strip_of(8, zlib.compress(bytes(SIDE * SIDE)), t317=99),
    "deflate of noise": lambda _: _strip_of(8, b"no deflate at all"),
    "deflate bomb in a strip": lambda _: _strip_of(8, zlib.compress(bytes(64 << 20), 9)),
    "LZW of noise": lambda _: _strip_of(5, bytes(range(256))),
    "LZMA of noise": lambda _: _strip_of(34925, bytes(range(256))),
    "ZSTD with a window of two gigabytes": lambda _: _strip_of(50000, b"\x28\xb5\x2f\xfd\x00\xa8" + bytes(50)),
    "LERC of noise": lambda _: _strip_of(34887, b"Lerc2 " + bytes(range(200))),
    "JPEG of noise": lambda _: _strip_of(7, b"\xff\xd8\xff\xdb" + bytes(range(200)), t262=6),
    "JPEG 2000 in a TIFF": lambda _: _strip_of(34712, bytes(range(100))),
    "colour map without colours": lambda _: tiff({262: (SHORT, [3]), 320: (SHORT, [1])}, counts={320: 3 * 65_536}),
    "complex numbers": lambda _: tiff({258: (SHORT, [64]), 339: (SHORT, [6]), 278: (LONG, [1])}),
    "keys without end": lambda _: tiff({34735: (SHORT, [1, 1, 0, 60_000, 1024, 0, 1, 1])}),
    "overviews elsewhere": _metadata,
    "metadata that is a bomb": lambda _: tiff({42112: (2, b'<!DOCTYPE a [<!ENTITY b "c">]><GDALMetadata>' + b"<Item>" * 5000 + b"\0")}),
    "text without end": lambda _: tiff({270: (2, b"x" * 100)}, counts={270: 0x7FFFFFFF}),
}
"""Each is refused, or read without harm."""

# --- JPEG 2000 ---


@functools.cache
def jp2() -> bytes:
    """An honest one, written by GDAL."""
    import rasterio
    from rasterio.errors import NotGeoreferencedWarning

    data = np.random.default_rng(3).integers(0, 4000, (SIDE, SIDE), dtype=np.uint16)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        path = Path(folder, "a.jp2")
        profile = {
            "driver": "JP2OpenJPEG",
            "width": SIDE,
            "height": SIDE,
            "count": 1,
            "dtype": "uint16",
            "QUALITY": "100",
            "REVERSIBLE": "YES",
        }
        with rasterio.open(path, "w", **profile) as target:
            target.write(data, 1)
        return path.read_bytes()


def _resized(width: int, height: int, *, tile: tuple[int, int] | None = None, bands: int | None = None) -> bytes:
    """The header box and the codestream say another size."""
    content = bytearray(jp2())
    header, stream = content.find(b"ihdr") + 4, content.find(b"\xff\x4f\xff\x51") + 4
    struct.pack_into(">II", content, header, height, width)
    struct.pack_into(">II", content, stream + 4, width, height)
    struct.pack_into(">II", content, stream + 20, *(tile or (width, height)))
    if bands is not None:
        struct.pack_into(">H", content, header + 8, bands)
        struct.pack_into(">H", content, stream + 36, bands)
    return bytes(content)


def _box(kind: bytes, length: int, body: bytes = b"") -> bytes:
    """In front of the codestream's box."""
    at = jp2().find(b"jp2c") - 4
    return jp2()[:at] + struct.pack(">I4s", length, kind) + body + jp2()[at:]


def _nested(depth: int) -> bytes:
    body = b""
    for _ in range(depth):
        body = struct.pack(">I4s", 8 + len(body), b"asoc") + body
    at = jp2().find(b"jp2c") - 4
    return jp2()[:at] + body + jp2()[at:]


def _coding(offset: int, value: int) -> bytes:
    """A byte of the coding style: 5 progression …, 9 levels, 10 and 11 the code block."""
    content = bytearray(jp2())
    content[content.find(b"\xff\x52") + offset] = value
    return bytes(content)


XML_BOX = b'<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>'
JP2S_HUGE: Mapping[str, Callable[[], bytes]] = {
    "two thousand million pixels a side": lambda: _resized(0x7FFFFFFF, 0x7FFFFFFF),
    "sides of a hundred thousand and one": lambda: _resized(100_001, 100_001, tile=(1024, 1024)),
    "one tile of a thousand million pixels": lambda: _resized(33_000, 32_000),
    "sixteen thousand bands": lambda: _resized(SIDE, SIDE, bands=16_384),
}
JP2S: Mapping[str, Callable[[], bytes]] = {
    "tiles of one pixel": lambda: _resized(10_000, 10_000, tile=(1, 1)),
    "larger than its stream": lambda: _resized(4096, 4096),
    "no width": lambda: _resized(0, SIDE),
    "box of no bytes": lambda: _box(b"uuid", 0),
    "box of seven bytes": lambda: _box(b"uuid", 7),
    "box of four gigabytes": lambda: _box(b"uuid", 0xFFFFFFFF),
    "box of 2^63 bytes": lambda: _box(b"uuid", 1, struct.pack(">Q", 1 << 63)),
    "box of sixteen exabytes less eight": lambda: _box(b"xml ", 1, struct.pack(">Q", (1 << 64) - 8)),
    "boxes in boxes": lambda: _nested(3000),
    "XML with an entity": lambda: _box(b"xml ", 8 + len(XML_BOX), XML_BOX),
    "33 levels": lambda: _coding(9, 33),
    "code blocks of 2^30 pixels": lambda: _coding(10, 15),
    "no marker behind the size": lambda: jp2().replace(b"\xff\x52", b"\x00\x00", 1),
    "stream of another file": lambda: jp2()[: jp2().find(b"\xff\x4f\xff\x51")] + b"GIF89a" + bytes(500),
    "header only": lambda: jp2()[:40],
    "stream cut off": lambda: jp2()[: len(jp2()) // 2],
}


def flipped(content: bytes, seed: int, *, keep: int = 12) -> bytes:
    """Some bytes are others."""
    generator = np.random.default_rng(seed)
    mutated = bytearray(content)
    for place in generator.integers(keep, len(content), generator.integers(1, 10)):
        mutated[place] = generator.integers(256)
    return bytes(mutated)
