"""Collections that a test declares end with it; and a manifest for its files."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from eolake.catalog import own_collections

XFDU = '<xfdu:XFDU xmlns:xfdu="urn:ccsds:schema:xfdu:1"><dataObjectSection>{}</dataObjectSection></xfdu:XFDU>'
ENTRY = (
    '<dataObject ID="{number}"><byteStream mimeType="application/x-netcdf" size="{size}"><fileLocation locatorType="URL" href="./{name}"/>'
    '<checksum checksumName="MD5">{md5}</checksum></byteStream></dataObject>'
)


@pytest.fixture(autouse=True)
def _own_collections() -> Iterator[None]:
    before = own_collections.own()
    yield
    own_collections._current.own = before


@pytest.fixture
def xfdu() -> Callable[[Path, Mapping[str, Path]], Path]:
    """xfdu(folder, files): writes xfdumanifest.xml, with sizes and digests."""

    def write(folder: Path, files: Mapping[str, Path]) -> Path:
        entries = [
            ENTRY.format(number=number, size=path.stat().st_size, name=name, md5=hashlib.md5(path.read_bytes()).hexdigest())
            for number, (name, path) in enumerate(files.items())
        ]
        (folder / "xfdumanifest.xml").write_text(XFDU.format("".join(entries)))
        return folder / "xfdumanifest.xml"

    return write
