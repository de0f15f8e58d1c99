"""The seam of the sensors: what opens a product and says what it shows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol, runtime_checkable

from eolake.catalog.draft import Draft


class Sensor(Protocol):
    """Opens the products of one mission; registered by an entry point of the group `eolake.sensors`."""

    name: str

    def matches(self, name: str) -> bool:
        """True when a product of that name (without .tar.gz, .zip, .SAFE …) is this sensor's, also one that it can
        only refuse: then `open` says why."""

    def open(self, path: Path, workspace: Path) -> Iterator[Draft]:
        """The drafts of the product at `path` (a directory, an archive, a file; read in place, never changed).

        `workspace` is an empty directory for what is unpacked; it must outlive the drafts, whose bands are read
        later. Raises BadProduct (with file and cause) or UnsafeProduct."""


@runtime_checkable
class Recogniser(Protocol):
    """A sensor that also knows its products by what lies in their folder, for folders with names of their own."""

    def recognise(self, files: Iterable[str]) -> str | None:
        """The name of the product whose files have these base names; None when they are not a product."""
