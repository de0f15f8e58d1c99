"""Is this what was asked for? Login pages and error messages come with status 200; the first bytes tell."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from eolake.ingest.faults import Kind

ENOUGH = 512
"""Bytes that are looked at before any is written."""
TEXTS = {".xml", ".html", ".json", ".geojson", ".txt", ".safe", ".csv", ".yaml", ".sha256", ".md5", ".kml", ".gml"}
"""Endings of files that may begin like a message."""
MAGIC = {
    ".tif": (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),
    ".tiff": (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),
    ".jp2": (b"\0\0\0\x0cjP  \r\n", b"\xff\x4f\xff\x51"),
    ".h5": (b"\x89HDF\r\n\x1a\n",),
    ".nc": (b"\x89HDF\r\n\x1a\n", b"CDF\x01", b"CDF\x02", b"CDF\x05"),
    ".gz": (b"\x1f\x8b",),
    ".tgz": (b"\x1f\x8b",),
    ".bz2": (b"BZh",),
    ".png": (b"\x89PNG\r\n\x1a\n",),
    ".jpg": (b"\xff\xd8\xff",),
    ".jpeg": (b"\xff\xd8\xff",),
    ".zip": (b"PK\x03\x04", b"PK\x05\x06", b"\x89HDF\r\n\x1a\n", b"CDF\x01", b"CDF\x02", b"CDF\x05"),
}
"""How files of these endings begin. A provider's `.zip` may be a NetCDF file."""
MESSAGE = re.compile(rb"(\xef\xbb\xbf)?\s*(<\?xml\s|<[Ee]rror[\s>]|\[?\{\s*\"[\w@$ -]{1,40}\"\s*:)")
"""How messages of machines begin: XML, or an object of JSON with its first key."""
LOGIN = re.compile(rb"log[ -]?in|sign[ -]?in|password|oauth|openid|j_username", re.IGNORECASE)
FLOWS = re.compile(rb"concurrent flows|too many|max(imum)? (session|connection|number)|rate.?limit", re.IGNORECASE)
QUOTA = re.compile(rb"quota|fetches max", re.IGNORECASE)
MAINTENANCE = re.compile(rb"back soon|maintenance|unavailable", re.IGNORECASE)


def fault(head: bytes, name: str, media_type: str | None) -> tuple[Kind, str] | None:
    """What is wrong with a body that begins like this; None when nothing is."""
    ending = PurePosixPath(name).suffix.lower()
    if ending in TEXTS:
        return _page(head) if ending not in {".html", ".xml"} and _looks_html(head) else None
    message = _page(head) if _looks_html(head) else _message(head)
    if message is not None:
        return message
    expected = MAGIC.get(ending)
    if expected and head and not head.startswith(expected):
        said = f", sent as {media_type}" if media_type else ""
        return Kind.CORRUPT, f"{PurePosixPath(name).name} begins with {head[:8].hex(' ')}{said}: that is no {ending[1:]} file"
    return None


def injected(tail: bytes) -> bool:
    """Whether a stream that ended early ends with a message of the server instead of data."""
    return bool(re.search(rb"<\?xml[^>]*>\s*<(error|html)|<!DOCTYPE html|</(html|error)>\s*$", tail))


def _looks_html(head: bytes) -> bool:
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n")[:200].lower()
    return start.startswith((b"<!doctype html", b"<html", b"<head", b"<script")) or b"<html" in start


def _page(head: bytes) -> tuple[Kind, str]:
    kind = Kind.TRANSIENT if MAINTENANCE.search(head) and not LOGIN.search(head) else Kind.AUTH
    what = "a maintenance page" if kind is Kind.TRANSIENT else "a login page"
    return kind, f"{what} came instead of the file"


def _message(head: bytes) -> tuple[Kind, str] | None:
    if MESSAGE.match(head) is None or b"\0" in head:
        return None
    text = " ".join(head[:200].decode("utf-8", "replace").split())
    for pattern, kind in ((QUOTA, Kind.QUOTA), (FLOWS, Kind.RATE), (LOGIN, Kind.AUTH)):
        if pattern.search(head):
            return kind, f"a message came instead of the file: {text}"
    return Kind.TRANSIENT, f"a message came instead of the file: {text}"
