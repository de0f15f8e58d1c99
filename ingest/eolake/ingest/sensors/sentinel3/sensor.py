"""Sentinel-3 products that no collection is declared for: recognised, and refused with what there is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from eolake.catalog.draft import Draft
from eolake.catalog.errors import BadProduct
from eolake.ingest.naming import bare
from eolake.ingest.sensors import declared
from eolake.ingest.sensors.base import DEFAULT, Options

NAME = re.compile(r"S3[A-Z_]_(?P<type>[A-Z]{2}_[0-9A-Z_]_[0-9A-Z_]{6})_\d{8}T\d{6}_\d{8}T\d{6}_.+", re.IGNORECASE | re.ASCII)
TYPE = re.compile(r"S3[^A-Z]*(?:\(\?P<platform>\[[A-Z]+\]\)|\[[A-Z]+\])_(?P<type>(?:OL|SL|SY|SR)_[12]_[A-Z]{3})")


class Sentinel3Sensor:
    """All products of Sentinel-3 that the swath sensor does not take."""

    name = "sentinel3"

    def matches(self, name: str) -> bool:
        """True for names of Sentinel-3 products of types that are not supported."""
        return NAME.fullmatch(bare(name)) is not None and not declared.matching(name, "swath")

    def open(self, path: Path, workspace: Path, options: Options = DEFAULT) -> Iterator[Draft]:  # noqa: ARG002 - nothing is opened
        """BadProduct: of what type it is, and which types are supported."""
        match = NAME.fullmatch(bare(path.name))
        kind = match["type"].strip("_") if match else "unknown"
        yield from _refused(path, kind)


def _refused(path: Path, kind: str) -> Iterator[Draft]:
    raise BadProduct(
        f"{path.name}: Sentinel-3 products of type {kind} are not supported; those of {', '.join(supported())} are. "
        "A collection that declares it (`sensor: swath`) makes eolake take it"
    )


def supported() -> tuple[str, ...]:
    """The types of Sentinel-3 products for which collections are declared: `OL_1_EFR`, …"""
    patterns = (found.source.product for found in declared.collections("swath") if found.source is not None)
    return tuple(sorted({match["type"] for pattern in patterns if (match := TYPE.match(pattern))}))
