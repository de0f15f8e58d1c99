"""Text, JSON and XML from products: read whole, under a size limit."""

from __future__ import annotations

import errno
import json
import os
import stat
from pathlib import Path
from typing import Any, NoReturn
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml import ElementTree as Defused

from eolake.catalog.errors import BadProduct, UnsafeProduct

DOCUMENT_BYTES = 64 << 20
"""The largest metadata document; those of Sentinel-1 come to some 10 MB."""
XML_NODES = 2_000_000
"""Elements, and attributes; they cost 50 times their bytes in memory."""


def open_regular(path: Path) -> int:
    """A descriptor of a regular file; never a link, a device or a pipe that would block."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise BadProduct(f"{path} does not exist") from None
    except ValueError:
        raise UnsafeProduct(f"{str(path)!r} is no name of a file: a NUL stands in it") from None
    except OSError as error:
        kind = UnsafeProduct if error.errno == errno.ELOOP else BadProduct
        raise kind(f"{path} is not a readable file: {error.strerror}") from error
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise UnsafeProduct(f"{path} is not a regular file")
    return handle


def read_bytes(path: Path, limit: int = DOCUMENT_BYTES) -> bytes:
    """The whole file; UnsafeProduct when it is larger than `limit` bytes."""
    with os.fdopen(open_regular(path), "rb") as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise UnsafeProduct(f"{path} is larger than {limit:,} bytes, the limit for a metadata document")
    return content


def read_text(path: Path, limit: int = DOCUMENT_BYTES) -> str:
    """UTF-8 text, with or without a byte order mark; BadProduct when it is something else."""
    try:
        return read_bytes(path, limit).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadProduct(f"{path} is not UTF-8 text: {error.reason} at byte {error.start}") from error


def read_json(path: Path, limit: int = DOCUMENT_BYTES) -> Any:
    """A JSON document; NaN and Infinity are errors."""

    def refuse(constant: str) -> NoReturn:
        raise ValueError(f"{constant} is not JSON")

    try:
        return json.loads(read_text(path, limit), parse_constant=refuse)
    except MemoryError as error:
        raise UnsafeProduct(f"{path} does not fit in memory") from error
    except (ValueError, RecursionError) as error:
        raise BadProduct(f"{path} is not valid JSON: {error}") from error


def parse_xml(path: Path, limit: int = DOCUMENT_BYTES) -> Element:
    """The root element. A DTD, an entity or too many elements are UnsafeProduct; broken XML is BadProduct."""
    return xml_root(read_bytes(path, limit), str(path))


def xml_root(content: bytes | str, what: str) -> Element:
    """The root element of a document that is in memory already, such as an answer; errors as of `parse_xml`, naming `what`."""
    raw = content if isinstance(content, bytes) else content.encode()
    if max(raw.count(b"<"), raw.count(b"=")) > XML_NODES:
        raise UnsafeProduct(f"{what} has more than {XML_NODES:,} XML nodes")
    try:
        root: Element = Defused.fromstring(content, forbid_dtd=True, forbid_entities=True, forbid_external=True)
    except DefusedXmlException as error:
        raise UnsafeProduct(f"{what} holds a DTD or entities, which product metadata never needs: {error}") from error
    except MemoryError as error:
        raise UnsafeProduct(f"{what} does not fit in memory") from error
    except (ParseError, LookupError, ValueError) as error:
        raise BadProduct(f"{what} is not valid XML: {error}") from error
    return root
