"""One scale and offset for all processing baselines.

From baseline 04.00 on ESA stores `10000 * reflectance + 1000`, so that dark pixels do not end at 0; before, it stored
`10000 * reflectance`. Older data get the 1000 here: without loss, and nodata stays nodata. In each baseline 0 means
no data and 65535 saturated.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eolake.catalog.errors import BadProduct
from eolake.ingest.sensors.sentinel2.metadata import BAND_CODES, ProductMetadata

NODATA, SATURATED = 0, 65535
OFFSET = 1000
"""What is stored for a reflectance of 0."""
QUANTIFICATION: Mapping[str, float] = {"reflectance": 10_000.0, "aot": 1_000.0, "wvp": 1_000.0}
"""Divisors that the collections' scales stand for."""
OFFSET_SINCE = "04.00"
ROWS = 64
"""Rows that are worked on at a time: they fit in the processor's cache."""


def offsets_to_add(baseline: str, product: ProductMetadata | None) -> dict[str, int]:
    """What each band code needs so that a reflectance of 0 is stored as 1000.

    The metadata's own offsets count. Where a product has no product metadata (AWS layout) its baseline tells. BadProduct
    when a band would have to be lowered, for then values below 1 would be lost, or when the metadata contradicts itself."""
    if product is None:
        return dict.fromkeys(BAND_CODES, 0 if baseline >= OFFSET_SINCE else OFFSET)
    check_product(product)
    if product.offsets is None:
        if baseline >= OFFSET_SINCE:
            raise BadProduct(f"{product.path}: baseline {baseline} has band offsets since {OFFSET_SINCE}, but none are given")
        return dict.fromkeys(BAND_CODES, OFFSET)
    added = {code: OFFSET + offset for code, offset in product.offsets.items()}
    lowered = [f"{code} ({product.offsets[code]})" for code, value in added.items() if value < 0]
    if lowered:
        raise BadProduct(
            f"{product.path}: the offsets of {', '.join(lowered)} are below -{OFFSET}; lowering the pixels would lose dark ones"
        )
    return added


def check_product(product: ProductMetadata) -> None:
    """BadProduct when scales or special values differ from what the collection declares."""
    for name, value in product.quantifications.items():
        if value != QUANTIFICATION[name]:
            raise BadProduct(f"{product.path}: {name} is stored times {value:g}; its collection says times {QUANTIFICATION[name]:g}")
    for name, expected in (("NODATA", NODATA), ("SATURATED", SATURATED)):
        value = product.special_values.get(name, expected)
        if value != expected:
            raise BadProduct(f"{product.path}: {name} is {value}, not {expected}")


def add_offset(data: NDArray[Any], added: int) -> None:
    """Add to every valid pixel, in place. `data`: uint16 (rows, columns).

    0 and 65535 keep their meaning; what would reach 65535 ends at 65534, the largest value that is not "saturated"."""
    if added == 0:
        return
    largest = SATURATED - 1 - added
    for start in range(0, len(data), ROWS):
        rows = data[start : start + ROWS]
        saturated = rows == SATURATED if rows.max() > largest else None  # rare: bright clouds and glint
        if saturated is not None:
            np.minimum(rows, largest, out=rows)
        np.add(rows, np.uint16(added), out=rows, where=rows != NODATA)
        if saturated is not None:
            rows[saturated] = SATURATED
