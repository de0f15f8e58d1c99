"""The seam of the sensors: what opens a product and says what it shows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

from eolake.catalog.draft import Draft
from eolake.catalog.sources import Grid


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What whoever wanted the product says about its conversion."""

    clip: Mapping[str, Any] | None = None
    """GeoJSON polygon or multipolygon, EPSG:4326, cut at the antimeridian: the bands are cut to the window around it, pixels
    outside of it are nodata, and the item's geometry is what remains."""
    grid: Grid | None = None
    """The lattice for swaths, instead of the collection's; of several grids (500 m, 1 km) each keeps its ratio to the default one."""
    resampling: Literal["nearest", "bilinear"] | None = None
    """Of swaths, instead of the collection's."""
    checked: bool = True
    """False: the product is taken although it may not be what its manifest says (a subset, files that were packed again)."""

    @classmethod
    def of(cls, document: Mapping[str, Any] | None) -> Options:
        """From the document that the ledger keeps (`eolake.ingest.options`)."""
        values = dict(document or {})
        return cls(**values | {"grid": Grid.model_validate(values["grid"])} if "grid" in values else values)


DEFAULT = Options()
CLIP = "eolake:clip"
"""The property of an item that has the area it was clipped to. A sensor that clips by itself (swaths) sets it to `options.clip`."""
UNCHECKED = "eolake:unchecked"
"""The property of an item whose product was taken without a look at its manifest."""


class Sensor(Protocol):
    """Opens the products of one mission; registered by an entry point of the group `eolake.sensors`."""

    name: str

    def matches(self, name: str) -> bool:
        """True when a product of that name (without .tar.gz, .zip, .SAFE …) is this sensor's, also one that it can
        only refuse: then `open` says why."""

    def open(self, path: Path, workspace: Path, options: Options = DEFAULT) -> Iterator[Draft]:
        """The drafts of the product at `path` (a directory, an archive, a file; read in place, never changed).

        `workspace` is an empty directory for what is unpacked; it must outlive the drafts, whose bands are read
        later. Of `options` a sensor follows what it can; bands on a grid are clipped by the caller. Raises BadProduct (with file
        and cause) or UnsafeProduct."""


@runtime_checkable
class Recogniser(Protocol):
    """A sensor that also knows its products by what lies in their folder, for folders with names of their own."""

    def recognise(self, files: Iterable[str]) -> str | None:
        """The name of the product whose files have these base names; None when they are not a product."""


@runtime_checkable
class Gatherer(Protocol):
    """A sensor some of whose products are loose files that lie in a folder beside others: each file's name begins with its product's."""

    def gather(self, files: Iterable[str]) -> Mapping[str, list[str]]:
        """The products among the files of one folder: their base names by the name of the product. `open` is then called with the
        folder and that name, where nothing lies."""
