"""Flags by their meanings (CF: `flag_masks`, `flag_meanings`), for products whose bits have moved."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eolake.catalog.declaration import Band
from eolake.catalog.errors import BadProduct
from eolake.catalog.safe.netcdf import Variable

Array = NDArray[Any]
ROWS = 256
"""Of one step."""


def by_meaning(variable: Variable, counts: Array, band: Band, called: Mapping[str, str | tuple[str, ...]], where: str) -> Array:
    """The flags in the band's own bits and dtype; `called`: the product's words for a declared bit, where it has others.

    BadProduct when the file does not say what its bits mean, or knows none of the declared ones."""
    masks = _masks(variable, where)
    moves = [(_mask(field.name, masks, called), 1 << field.offset) for field in band.bitfields]
    known = [(source, target) for source, target in moves if source]
    if not known:
        raise BadProduct(f"{where} has none of the flags that {band.name} declares; it has {', '.join(sorted(masks)[:12])}")
    found = np.zeros(counts.shape, band.dtype)
    for start in range(0, len(counts), ROWS):
        part, target_part = counts[start : start + ROWS].astype(np.uint64), found[start : start + ROWS]
        for source, target in known:
            target_part[(part & np.uint64(source)) != 0] |= np.array(target, band.dtype)
    return found


def _masks(variable: Variable, where: str) -> dict[str, int]:
    """The file's bits by their meanings in snake case."""
    words, masks = variable.attributes.get("flag_meanings"), variable.attributes.get("flag_masks")
    masks = masks if isinstance(masks, tuple) else (masks,)
    if not isinstance(words, str) or len(words.split()) != len(masks) or not all(isinstance(mask, int) for mask in masks):
        raise BadProduct(f"{where} does not say what its bits mean: flag_masks and flag_meanings should have as many entries")
    return {_snake(word): mask & (2**64 - 1) for word, mask in zip(words.split(), masks, strict=True)}


def _mask(name: str, masks: Mapping[str, int], called: Mapping[str, str | tuple[str, ...]]) -> int:
    """0 when the file has no such flag."""
    others = called.get(name, ())
    names = (name, *((others,) if isinstance(others, str) else others))
    return next((masks[word] for word in map(_snake, names) if word in masks), 0)


def _snake(word: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", word.lower()).strip("_")
