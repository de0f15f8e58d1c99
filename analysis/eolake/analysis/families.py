"""Which collections an analysis can use, and which of them go into one output.

A family is one kind of measurement: all Landsat sensors of one collection and level (`ls_c2_l2`), or Sentinel-2 (`s2_l2a`).
Two families are never mixed unless the caller asks for it: their bands and their atmospheric correction differ.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from eolake.analysis.base import Analysis, Input
from eolake.catalog.declaration import Band, BitField, Collection, declared, declared_collections
from eolake.catalog.errors import UsageError

_LANDSAT = re.compile(r"^ls\d(_c\d)_l(\d)(sr)?$")
_ARD = re.compile(r"^ls\d(_ard_\w+)$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """Collections whose pixels go into one output."""

    key: str
    """Stands in the item ids."""
    collections: tuple[str, ...]


def families(analysis: Analysis, asked: Sequence[str] = (), *, mix: bool = False) -> list[Family]:
    """Families of the collections that were asked for, else of every declared collection of the input's level.

    Some of a family's collections alone make a family of their own: its outputs never replace those of the whole.
    UsageError when one that was asked for lacks a band."""
    chosen = [usable(analysis, name) for name in asked] if asked else _default(analysis)
    groups: dict[str, list[str]] = {}
    for name in sorted(set(chosen)):
        groups.setdefault("mixed" if mix else family_key(name), []).append(name)
    whole = _members(_default(analysis))
    return [Family(key=key if whole.get(key) == names else "_".join(names), collections=tuple(names)) for key, names in groups.items()]


def family_key(collection: str) -> str:
    """`ls8_c2_l2` → `ls_c2_l2`, `ls8_ard_au` → `ls_ard_au`; other ids are families of their own."""
    return _ARD.sub(r"ls\1", _LANDSAT.sub(r"ls\1_l\2", collection))


def _members(collections: Sequence[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name in sorted(collections):
        found.setdefault(family_key(name), []).append(name)
    return found


def _default(analysis: Analysis) -> list[str]:
    sources = [collection for collection in declared_collections().values() if not collection.derived]
    return [collection.id for collection in sources if any(_fits(collection, entry) for entry in analysis.inputs.values())]


def _fits(collection: Collection, entry: Input) -> bool:
    return (collection.processing_level or "").startswith(entry.level) and bands_of(collection, entry) is not None


def usable(analysis: Analysis, name: str) -> str:
    """The name again; UsageError when the collection is unknown or has none of the inputs."""
    if name not in declared_collections():
        raise UsageError(f"there is no collection {name!r}; `eolake collections list` shows all")
    collection = declared(name)
    if all(bands_of(collection, entry) is None for entry in analysis.inputs.values()):
        wanted = ", ".join(sorted({"|".join(names) for entry in analysis.inputs.values() for names in entry.bands.values()}))
        raise UsageError(f"{analysis.collection} can not be made from {name}: it needs the bands {wanted}")
    return name


def bands_of(collection: Collection, entry: Input) -> dict[str, str] | None:
    """Variable → band of the collection; None when it lacks one."""
    there = {band.name for band in collection.measurements}
    found = {variable: next((name for name in names if name in there), None) for variable, names in entry.bands.items()}
    return {variable: name for variable, name in found.items() if name} if all(found.values()) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Mask:
    """Which values of a quality band hide the ground."""

    band: str
    values: frozenset[int] = frozenset()
    """Of a classified band."""
    fields: tuple[tuple[int, int, frozenset[int]], ...] = ()
    """(offset, bits, values) of bit fields."""
    nodata: int | None = None


def mask_of(collection: Collection, masked: frozenset[str]) -> Mask | None:
    """From the declared classes of the quality band (role `cloud`) that knows most of what is masked; None when there is none.

    Landsat 4 to 7 have two: QA_PIXEL, and SR_CLOUD_QA of the older algorithm, which knows no fill and no dilated clouds."""
    bands = [band for band in collection.measurements if band.categorical and "cloud" in band.roles]
    if not bands:
        return None
    band = max(bands, key=lambda band: len(masked & ({entry.name for entry in band.classes} | {field.name for field in band.bitfields})))
    return Mask(
        band=band.name,
        values=frozenset(entry.value for entry in band.classes if entry.name in masked),
        fields=tuple(entry for field in band.bitfields if (entry := _field(field, masked))),
        nodata=None if band.nodata is None else int(band.nodata),
    )


def _field(field: BitField, masked: frozenset[str]) -> tuple[int, int, frozenset[int]] | None:
    """Every value of a masked field but 0 (`no`); of a confidence only `high`, where nothing else says it."""
    if field.name in masked:
        values = frozenset(entry.value for entry in field.classes if entry.value)
    elif field.name.removesuffix("_confidence") in masked:
        values = frozenset(entry.value for entry in field.classes if entry.name == "high")
    else:
        return None
    return field.offset, field.length, values


def band_declarations(collection: Collection, entry: Input) -> Mapping[str, Band]:
    """Variable → declared band; UsageError when the collection lacks one."""
    names = bands_of(collection, entry)
    if names is None:
        raise UsageError(f"{collection.id} lacks a band of the input")
    return {variable: collection.band(name) for variable, name in names.items()}
