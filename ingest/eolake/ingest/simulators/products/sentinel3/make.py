"""Sentinel-3 products by kind; kinds are named as their collections."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Literal, get_args

from eolake.catalog.errors import UsageError
from eolake.ingest.simulators.products.landscape import Landscape
from eolake.ingest.simulators.products.sentinel3 import geometry, olci, olci_l2, slstr, slstr_l2
from eolake.ingest.simulators.products.sentinel3.geometry import Pass, Place, Platform

Sentinel3Kind = Literal[
    "s3_olci_l1_efr",
    "s3_olci_l1_err",
    "s3_olci_l2_lfr",
    "s3_olci_l2_lrr",
    "s3_olci_l2_wfr",
    "s3_olci_l2_wrr",
    "s3_slstr_l1_rbt",
    "s3_slstr_l2_lst",
    "s3_slstr_l2_frp",
]
SENTINEL3: tuple[Sentinel3Kind, ...] = get_args(Sentinel3Kind)
_OLCI: dict[str, Callable[[olci.Scene, Path], Path]] = {
    "s3_olci_l1_efr": olci.write_level1,
    "s3_olci_l1_err": olci.write_level1,
    "s3_olci_l2_lfr": olci_l2.write_land,
    "s3_olci_l2_lrr": olci_l2.write_land,
    "s3_olci_l2_wfr": olci_l2.write_water,
    "s3_olci_l2_wrr": olci_l2.write_water,
}
_SLSTR: dict[str, Callable[[slstr.Scene, Path], Path]] = {
    "s3_slstr_l1_rbt": slstr.write_level1,
    "s3_slstr_l2_lst": slstr_l2.write_lst,
    "s3_slstr_l2_frp": slstr_l2.write_frp,
}
SIDE = 193
"""Default side in pixels: of 300 m, 58 km"""


def find_pass(when: datetime, place: Place, platform: Platform = "A") -> Pass:
    """The pass that sees `place` nearest to `when` (aware), within four days."""
    return geometry.pass_near(platform, when, place)


def write_sentinel3(
    kind: Sentinel3Kind,
    orbit: Pass,
    folder: Path,
    *,
    landscape: Landscape,
    size: int | None = SIDE,
    place: Place | None = None,
    cloud: float = 0.0,
) -> Path:
    """Writes one product of a pass below `folder`; returns its path, FOLDER/NAME.SEN3. Same arguments, same bytes.

    `place` is in its middle, the site of the landscape by default. `size`: rows, and about as many columns, of pixels of 300 m or
    1.2 km (OLCI) or 1 km (SLSTR); None: all, as many as a real product has."""
    place = place or landscape.site
    if kind in _OLCI:
        return _OLCI[kind](_olci(kind, orbit, place, landscape, size, cloud), folder)
    if kind in _SLSTR:
        image = geometry.slstr(orbit, place, rows=size, columns=size)
        return _SLSTR[kind](slstr.Scene(slstr=image, landscape=landscape, cloud=cloud), folder)
    raise UsageError(f"no product kind {kind!r}; there are {', '.join(SENTINEL3)}")


def _olci(kind: str, orbit: Pass, place: Place, landscape: Landscape, size: int | None, cloud: float) -> olci.Scene:
    resolution: Literal["FR", "RR"] = "FR" if kind.endswith("fr") else "RR"
    step = geometry.OLCI_TIES[resolution]
    columns = None if size is None else max(1, round((size - 1) / step)) * step + 1
    image = geometry.olci(orbit, place, resolution=resolution, rows=size, columns=columns)
    return olci.Scene(olci=image, landscape=landscape, cloud=cloud)
