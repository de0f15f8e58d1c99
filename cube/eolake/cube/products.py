"""The ODC product of a declaration."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import numpy as np
from odc.geo import CRS

from eolake.catalog.declaration import Band, BitField, Class, Collection, Load

METADATA_TYPE = "eo3"


def odc_product(collection: Collection) -> dict[str, Any]:
    """The product document: name == collection id, and only the measurements that every dataset has.

    Documents of equal declarations are equal, so that `products.update` of an unchanged one changes nothing.
    """
    aliases = _aliases(collection)
    return {
        "name": collection.id,
        "description": collection.title,
        "license": collection.license,
        "metadata_type": METADATA_TYPE,
        "metadata": {"product": {"name": collection.id}},
        "measurements": [_measurement(band, aliases[band.name]) for band in collection.measurements],
        "load": _load(collection.load),
    }


def _aliases(collection: Collection) -> dict[str, list[str]]:
    """The provider's names, and the common name where only one band has it."""
    bands = collection.measurements
    taken = {name for band in collection.bands for name in (band.name, *band.aliases)}
    common = Counter(band.common_name for band in collection.bands)
    return {
        band.name: [
            *band.aliases,
            *([band.common_name] if band.common_name and common[band.common_name] == 1 and band.common_name not in taken else []),
        ]
        for band in bands
    }


def _measurement(band: Band, aliases: list[str]) -> dict[str, Any]:
    flags = flags_definition(band)
    found: dict[str, Any] = {
        "name": band.name,
        "dtype": band.dtype,
        "nodata": _nodata(band),
        "units": band.unit,
        "aliases": aliases,
        "scale_factor": band.scale,
        "add_offset": band.offset,
        "flags_definition": flags,
    }
    optional = ("aliases", "flags_definition")
    return {key: value for key, value in found.items() if value is not None and (value or key not in optional)}


def _nodata(band: Band) -> float | int | str:
    """ODC demands a nodata value: NaN (written as a word, for JSON lacks it) or 0 where the declaration has none."""
    if band.nodata is None:
        return "NaN" if np.dtype(band.dtype).kind == "f" else 0
    if math.isnan(band.nodata):
        return "NaN"
    return int(band.nodata) if float(band.nodata).is_integer() else band.nodata


def flags_definition(band: Band) -> dict[str, Any]:
    """For `datacube.utils.masking`: one flag per bit field; a classified band is one flag over all of its bits."""
    flags = {field.name: _flag(_bits(field), field.description or field.name, field.classes) for field in band.bitfields}
    if band.classes:
        bits = list(range(np.dtype(band.dtype).itemsize * 8))
        flags[band.name] = _flag(bits, band.title, band.classes)
    return flags


def _bits(field: BitField) -> int | list[int]:
    return field.offset if field.length == 1 else list(range(field.offset, field.offset + field.length))


def _flag(bits: int | list[int], description: str, classes: tuple[Class, ...]) -> dict[str, Any]:
    return {"bits": bits, "description": description, "values": {str(entry.value): entry.name for entry in classes}}


def _load(load: Load) -> dict[str, Any]:
    """Keyed by the CRS's own dimensions: y, x or latitude, longitude."""
    vertical, horizontal = CRS(load.crs).dimensions
    return {
        "crs": load.crs,
        "resolution": {vertical: -load.resolution, horizontal: load.resolution},
        "align": {vertical: load.align, horizontal: load.align},
    }
