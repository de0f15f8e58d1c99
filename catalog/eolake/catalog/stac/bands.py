"""What a declared band says in an asset, for collections (`item_assets`) and items alike."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from eolake.catalog.declaration import Band, BitField, Class

COG_MEDIA_TYPE = "image/tiff; application=geotiff; profile=cloud-optimized"


def json_number(value: float) -> float | int | str:
    """A number as STAC writes it: whole numbers as integers, the others that JSON lacks as strings."""
    if math.isnan(value):
        return "nan"
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    return int(value) if float(value).is_integer() else float(value)


def _present(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if value is not None}


def _eo_band(band: Band) -> dict[str, Any]:
    """eo 1.1 band; its name is the provider's, from which odc-stac makes an alias of the asset."""
    return _present(
        {
            "name": band.aliases[0] if band.aliases else band.name,
            "common_name": band.common_name,
            "description": band.title,
            "center_wavelength": band.center_wavelength,
            "full_width_half_max": band.full_width_half_max,
        }
    )


def _values(band: Band) -> dict[str, Any]:
    nodata = None if band.nodata is None else json_number(band.nodata)
    return _present({"data_type": band.dtype, "nodata": nodata, "unit": band.unit})


def _class(entry: Class) -> dict[str, Any]:
    description = entry.description or entry.name.replace("_", " ")
    return _present({"value": entry.value, "name": entry.name, "description": description, "color_hint": entry.color_hint})


def _bitfield(field: BitField) -> dict[str, Any]:
    return {
        "name": field.name,
        "description": field.description or field.name.replace("_", " "),
        "offset": field.offset,
        "length": field.length,
        "classes": [_class(entry) for entry in field.classes],
    }


def _classification(band: Band) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if band.classes:
        found["classification:classes"] = [_class(entry) for entry in band.classes]
    if band.bitfields:
        found["classification:bitfields"] = [_bitfield(field) for field in band.bitfields]
    return found


def band_asset(band: Band) -> dict[str, Any]:
    """The asset fields that every item of the collection shares, without href, size and grid.

    pgSTAC stores what an item has in common with `item_assets` only once, so both come from here.
    """
    values = _values(band)
    asset: dict[str, Any] = {
        "type": COG_MEDIA_TYPE,
        "title": band.title,
        "roles": list(dict.fromkeys(("data", *band.roles))),
        **values,
        "bands": [{"name": band.name}],
        "raster:bands": [{**values, **_present({"scale": band.scale, "offset": band.offset})}],
    }
    if band.common_name or band.center_wavelength or band.aliases:
        asset["eo:bands"] = [_eo_band(band)]
    if band.gsd is not None:
        asset["gsd"] = json_number(band.gsd)
    return {**asset, **_classification(band)}
