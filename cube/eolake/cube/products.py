"""The ODC product of a declaration."""

from __future__ import annotations

import math
from collections import Counter
from contextlib import suppress
from typing import Any

import numpy as np
from datacube.index.abstract import AbstractProductResource
from datacube.model import Product
from datacube.utils.changes import get_doc_changes
from odc.geo import CRS
from sqlalchemy.exc import IntegrityError

from eolake.catalog.declaration import Band, BitField, Class, Collection, Load
from eolake.catalog.errors import ConfigError

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
    """Of the classes no and yes ODC's booleans: `make_mask(qa, cloud=True)`."""
    names = {str(entry.value): entry.name for entry in classes}
    values = {"0": False, "1": True} if names == {"0": "no", "1": "yes"} else names
    return {"bits": bits, "description": description, "values": values}


def _load(load: Load) -> dict[str, Any]:
    """Keyed by the CRS's own dimensions: y, x or latitude, longitude."""
    vertical, horizontal = CRS(load.crs).dimensions
    return {
        "crs": load.crs,
        "resolution": {vertical: -load.resolution, horizontal: load.resolution},
        "align": {vertical: load.align, horizontal: load.align},
    }


def put_product(products: AbstractProductResource, collection: Collection) -> Product:
    """Make or update the product in an index (`products`: its products resource); one that is as declared is not written.

    ConfigError names what changed when datasets that are there would no longer fit."""
    wanted = products.from_doc(odc_product(collection))
    known = products.get_by_name(collection.id)
    if known is None:
        _add(products, wanted)
    elif known.definition != wanted.definition:
        _update(products, known, wanted)
    return products.get_by_name_unsafe(collection.id)


def _add(products: AbstractProductResource, wanted: Product) -> None:
    with suppress(IntegrityError):  # another worker made it meanwhile
        products.add(wanted)


def _update(products: AbstractProductResource, known: Product, wanted: Product) -> None:
    if faults := breaking_changes(known, wanted):
        raise ConfigError(
            f"the cube refuses the change of {wanted.name} ({'; '.join(faults)}): its datasets would no longer fit; "
            "declare a new id with a version suffix instead"
        )
    products.update(wanted, allow_unsafe_updates=True)


def breaking_changes(known: Product, wanted: Product) -> list[str]:
    """What of a changed definition would no longer fit datasets that are there: `measurements.2.dtype: uint8 → int16`.

    ODC's own rule also refuses new aliases, flags and load hints, which change how data is addressed but not what is stored."""
    changes = get_doc_changes(known.definition, wanted.definition)
    return [f"{'.'.join(str(part) for part in offset)}: {old} → {new}" for offset, old, new in changes if not _harmless(offset)]


def _harmless(offset: tuple[Any, ...]) -> bool:
    if offset[0] == "measurements":
        return len(offset) > 2 and offset[2] in {"aliases", "flags_definition"}
    return offset[0] in {"description", "license", "load"}
