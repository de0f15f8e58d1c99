"""The files inside a product: members of its zip or tar, or the files of its folder."""

from __future__ import annotations

import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from eolake.ingest.simulators.archive import Record
from eolake.ingest.simulators.content import Content, of_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One file of a product."""

    name: str
    """Path within the product, as it is packed."""
    size: int
    load: Callable[[], bytes]

    @property
    def content(self) -> Content:
        """Its bytes."""
        return of_bytes(self.load(), filename=self.name.rpartition("/")[2])


def members(record: Record) -> list[Member]:
    """The files in the order in which they are packed; none for a product that is a single file."""
    path = record.file
    if path is None:
        return []
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            return [
                Member(name=info.filename, size=info.file_size, load=_zipped(path, info.filename))
                for info in archive.infolist()
                if not info.is_dir()
            ]
    if tarfile.is_tarfile(path):
        with tarfile.open(path) as archive:
            return [Member(name=info.name, size=info.size, load=_tarred(path, info.name)) for info in archive.getmembers() if info.isfile()]
    return []


def _zipped(path: Path, name: str) -> Callable[[], bytes]:
    def load() -> bytes:
        with zipfile.ZipFile(path) as archive:
            return archive.read(name)

    return load


def _tarred(path: Path, name: str) -> Callable[[], bytes]:
    def load() -> bytes:
        with tarfile.open(path) as archive:
            file = archive.extractfile(name)
            return b"" if file is None else file.read()

    return load
