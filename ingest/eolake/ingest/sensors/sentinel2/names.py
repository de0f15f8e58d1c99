"""The names that ESA gives to products and tiles, taken apart."""

from __future__ import annotations

import re
from dataclasses import dataclass

COMPACT = re.compile(r"(S2[A-Z])_MSI(L1C|L2A)_(\d{8}T\d{6})_N(\d{2})(\d{2})_R(\d{3})_T(\d{2}[A-Z]{3})_(\d{8}T\d{6})")
"""S2A_MSIL1C_20171207T002051_N0206_R116_T55JEJ_20171207T032513: one tile per product, since 6 December 2016."""
TILE = re.compile(r"(S2[A-Z])_[A-Z]{4}_MSI_(L1C|L2A)_TL_(.{4})_(\d{8}T\d{6})_A(\d{6})_T(\d{2}[A-Z]{3})(?:_N(\d{2}\.\d{2}))?")
"""S2A_OPER_MSI_L1C_TL_SGS__20171207T032513_A012840_T55JEJ_N02.06: the granule within a product."""
ANY = re.compile(r"S2[A-Z]_(MSIL|[A-Z]{4}_(PRD_)?MSI_?L)\w{2}_", re.IGNORECASE)
"""Every Sentinel-2 product, also of levels that are not brought in (L0, L1A, L1B)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductName:
    """A product of one tile."""

    text: str
    spacecraft: str
    """S2A"""
    level: str
    """L1C or L2A"""
    datatake: str
    """Start of the datatake: 20171207T002051 (UTC)."""
    baseline: str
    """02.06"""
    relative_orbit: int
    tile: str
    """55JEJ"""
    stamp: str
    """Tells products of one datatake and tile apart; close to the time of processing: 20171207T032513."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TileName:
    """A granule: one tile of one product."""

    text: str
    spacecraft: str
    level: str
    stamp: str
    """Time of processing: 20171207T032513 (UTC)."""
    absolute_orbit: int
    tile: str
    baseline: str | None
    """02.06"""


def product_name(text: str) -> ProductName | None:
    """The parts of a compact product name, with or without .SAFE; None for names of another form (several tiles)."""
    found = COMPACT.fullmatch(text.removesuffix(".SAFE"))
    if found is None:
        return None
    spacecraft, level, datatake, major, minor, orbit, tile, stamp = found.groups()
    return ProductName(
        text=found[0],
        spacecraft=spacecraft,
        level=level,
        datatake=datatake,
        baseline=f"{major}.{minor}",
        relative_orbit=int(orbit),
        tile=tile,
        stamp=stamp,
    )


def tile_name(text: str) -> TileName | None:
    """The parts of a granule id; None when it has another form."""
    found = TILE.fullmatch(text)
    if found is None:
        return None
    spacecraft, level, _, stamp, orbit, tile, baseline = found.groups()
    return TileName(text=text, spacecraft=spacecraft, level=level, stamp=stamp, absolute_orbit=int(orbit), tile=tile, baseline=baseline)
