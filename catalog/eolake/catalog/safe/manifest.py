"""Manifests of SAFE products: which files belong to the product, how large they are and what their digests are.

Sentinel-1 and -2 call it manifest.safe, Sentinel-3 xfdumanifest.xml; both are XFDU documents (CCSDS 661.0-B-1): a `dataObject` has a
`byteStream` of a size, at a `fileLocation`, with a `checksum`. Methods differ: MD5, and SHA3-256 for Sentinel-2 since baseline 03.01.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote
from xml.etree.ElementTree import Element

from eolake.catalog.errors import BadProduct, UnsafeProduct
from eolake.catalog.safe.documents import open_regular, parse_xml, read_text
from eolake.catalog.safe.limits import Limits
from eolake.catalog.safe.product import Product

MANIFEST_BYTES = 16 << 20
"""The largest manifests (Sentinel-2, Sentinel-1 SLC) have 200 kB."""
CHUNK = 1 << 20
LISTED = 5
"""So many of a product's faults are told one by one."""
EXPENDABLE = re.compile(
    r"(?:^|/)(?:HTML|preview|rep_info|support)/|(?:^|/)(?:INSPIRE\.xml|[^/]*(?:_PVI\.\w+|quick-?look[^/]*|browse[^/]*))$"
    r"|\.(?:html?|xsl|xsd|kml|png|jpe?g)$",
    re.IGNORECASE,
)
"""Files without measurements that archives and mirrors leave out: pages, style sheets, schemas, pictures.
One that is there must be right."""
METHODS: Mapping[str, str] = {
    "MD5": "md5",
    "SHA1": "sha1",
    "SHA256": "sha256",
    "SHA384": "sha384",
    "SHA512": "sha512",
    "SHA3256": "sha3_256",
    "SHA3384": "sha3_384",
    "SHA3512": "sha3_512",
}
"""hashlib's names, by those of manifests in capitals without - and _."""
URL = re.compile(r"//|[a-z][a-z0-9+.-]*:", re.IGNORECASE)
CONTROL = re.compile(r"[\x00-\x1f\x7f\\]")
HEX = re.compile(r"[0-9a-f]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One file of a product as its manifest has it."""

    name: str
    """Relative to the folder of the manifest, with `/`."""
    size: int | None
    """Bytes; None when the manifest has none."""
    digests: tuple[tuple[str, str], ...]
    """(method as hashlib calls it, value in hex), as many as the manifest has."""

    @property
    def expendable(self) -> bool:
        """True for pages and pictures that a product may lack."""
        return EXPENDABLE.search(self.name) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """A manifest that was read."""

    path: Path
    root: Element
    """The document, for its metadata section; without content where the manifest is a list of digests."""
    entries: tuple[Entry, ...]
    """In the manifest's order; each name once."""


def read_manifest(path: Path, *, limits: Limits = Limits()) -> Manifest:  # noqa: B008 - frozen
    """The manifest at `path`.

    Raises BadProduct when it is no manifest, lists no file, or contradicts itself; UnsafeProduct when it names files
    outside of the product or more than any product has."""
    root = parse_xml(path, MANIFEST_BYTES)
    if _local(root) != "XFDU":
        raise BadProduct(f"{path} is no manifest: its root is {_local(root)[:40]!r} instead of XFDU")
    streams = (element for element in root.iter() if _local(element) == "byteStream")
    return Manifest(path=path, root=root, entries=_collected(path, (_entry(path, stream) for stream in streams), limits))


def read_sums(path: Path, method: str = "md5", *, limits: Limits = Limits()) -> Manifest:  # noqa: B008 - frozen
    """A list of digests as `md5sum` writes it, which Landsat packages have as *_MD5.txt; raises as `read_manifest` does."""
    lines = (line.strip() for line in read_text(path, MANIFEST_BYTES).splitlines())
    return Manifest(
        path=path, root=Element("digests"), entries=_collected(path, (_summed(path, line, method) for line in lines if line), limits)
    )


def check_files(product: Product, manifest: Manifest, *, only: re.Pattern[str] | None = None) -> None:
    """Compare a product with its manifest: every file is there with the size that the manifest says, and those in
    `product.files` (the wanted ones: of an archive no other is unpacked) have its digests.

    `only`: for those entries alone in whose name it is found. Pages and pictures (`Entry.expendable`) may be missing. Raises
    BadProduct: what is wrong, with which files, what was expected and what was found. Reads each file once, in pieces."""
    folder = _folder(product, manifest.path)
    faults = [fault for entry in manifest.entries if only is None or only.search(entry.name) for fault in _faults(product, folder, entry)]
    if not faults:
        return
    more = f", and {len(faults) - LISTED} more" if len(faults) > LISTED else ""
    raise BadProduct(f"{product.path} is not what its {manifest.path.name} says: {'; '.join(faults[:LISTED])}{more}")


def file_digests(path: Path, methods: tuple[str, ...]) -> dict[str, str]:
    """Digests (hex) of a file by method, from one pass over it; memory stays at a piece."""
    found = [hashlib.new(method, usedforsecurity=False) for method in methods]
    with os.fdopen(open_regular(path), "rb", buffering=0) as file:
        while piece := file.read(CHUNK):
            for digest in found:
                digest.update(piece)
    return {method: digest.hexdigest() for method, digest in zip(methods, found, strict=True)}


def _faults(product: Product, folder: str, entry: Entry) -> Iterator[str]:
    name = folder + entry.name
    size = product.members.get(name)
    if size is None:
        if not entry.expendable:
            yield f"{entry.name} is missing"
        return
    if entry.size is not None and size != entry.size:
        yield f"{entry.name} has {size:,} bytes instead of {entry.size:,}"
        return
    file = product.files.get(name)
    if file is None or not entry.digests:
        return
    found = file_digests(file, tuple({method: None for method, _ in entry.digests}))
    for method, expected in entry.digests:
        if found[method] != expected:
            yield f"the {method.upper().replace('_', '-')} of {entry.name} is {found[method]} instead of {expected}"


def _folder(product: Product, manifest: Path) -> str:
    """Where the manifest lies in the product: "" or a name that ends with `/`."""
    for name, path in product.files.items():
        if path == manifest:
            return name.removesuffix(manifest.name)
    raise BadProduct(f"{manifest} is no file of {product.path}")


def _local(element: Element) -> str:
    """The tag without its namespace."""
    return element.tag.rpartition("}")[2]


def _entry(path: Path, stream: Element) -> Entry:
    places = [child for child in stream if _local(child) == "fileLocation"]
    if len(places) != 1 or not (href := (places[0].get("href") or "").strip()):
        raise BadProduct(f"{path}: a byteStream has {len(places)} locations; each has one, with a href")
    name = _name(path, href)
    given = stream.get("size")
    if given is not None and not (given.isascii() and given.isdigit() and len(given) < 20):
        raise BadProduct(f"{path}: the size of {name} is {given[:40]!r}")
    digests = (_digest(path, name, child) for child in stream if _local(child) == "checksum")
    return Entry(name=name, size=None if given is None else int(given), digests=tuple(digests))


def _name(path: Path, href: str) -> str:
    """The relative name that a href means. What leaves the product, even on a detour, is an attack."""
    name = unquote(href, errors="surrogateescape")
    if URL.match(href) or CONTROL.search(name):
        raise UnsafeProduct(f"{path} is refused: the href {href[:200]!r} is no relative path")
    parts = [part for part in name.split("/") if part not in {"", "."}]
    if name.startswith("/") or ".." in parts or not parts:
        raise UnsafeProduct(f"{path} is refused: the href {href[:200]!r} leaves the product")
    return "/".join(parts)


def _digest(path: Path, name: str, checksum: Element) -> tuple[str, str]:
    given = checksum.get("checksumName") or ""
    method = METHODS.get(re.sub("[-_ ]", "", given).upper())
    if method is None:
        raise BadProduct(f"{path}: the checksum of {name} is of the unknown method {given[:40]!r}; known are {', '.join(METHODS)}")
    value = (checksum.text or "").strip().lower()
    width = 2 * hashlib.new(method, usedforsecurity=False).digest_size
    if not HEX.fullmatch(value) or len(value) > width:
        raise BadProduct(f"{path}: the checksum of {name} is no {given}: {value[:80]!r}")
    return method, value.zfill(width)  # some writers drop leading zeros


def _summed(path: Path, line: str, method: str) -> Entry:
    """`d41d8cd98f00b204e9800998ecf8427e  LC09_B1.TIF`; an asterisk before the name says that the file is binary."""
    value, blank, file = line.partition(" ")
    name = _name(path, file.strip().removeprefix("*")) if blank else ""
    if not name or not HEX.fullmatch(value.lower()) or len(value) != 2 * hashlib.new(method, usedforsecurity=False).digest_size:
        raise BadProduct(f"{path} is no list of {method.upper()} digests; it has the line {line[:80]!r}")
    return Entry(name=name, size=None, digests=((method, value.lower()),))


def _collected(path: Path, found: Iterator[Entry], limits: Limits) -> tuple[Entry, ...]:
    """Each file once; at least one, and not more than any product has."""
    entries: dict[str, Entry] = {}
    for entry in found:
        entries[entry.name] = _merged(path, entries[entry.name], entry) if entry.name in entries else entry
        if len(entries) > limits.members:
            raise UnsafeProduct(f"{path} lists more than {limits.members:,} files")
    if not entries:
        raise BadProduct(f"{path} lists no file")
    return tuple(entries.values())


def _merged(path: Path, first: Entry, second: Entry) -> Entry:
    """A file that is listed twice, if the manifest says the same of it."""
    known = dict(first.digests)
    sizes = {size for size in (first.size, second.size) if size is not None}
    if len(sizes) > 1 or any(known.get(method, value) != value for method, value in second.digests):
        raise BadProduct(f"{path} lists {first.name} twice, and differently")
    return Entry(name=first.name, size=next(iter(sizes), None), digests=tuple((known | dict(second.digests)).items()))
