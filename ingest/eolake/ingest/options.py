"""Options of a conversion as the ledger keeps them: a document of what differs from the defaults. `sensors.base.Options` is made of it.

Nothing here imports a sensor, for whoever only registers products needs none.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from eolake.catalog.sources import Grid

type Box = tuple[float, float, float, float]
type Document = Mapping[str, Any]

_CODE = re.compile(r"EPSG:(?P<code>\d{4,6})")
_NUMBER = re.compile(r"\d+(?:\.\d+)?(?:E[-+]?\d+)?")
_WORDS: Mapping[str, Callable[[Any], str]] = {
    "clip": lambda _: "clipped",
    "grid": lambda grid: f"on {grid['crs']}@{grid['resolution']:g}",
    "resampling": lambda value: value,
    "checked": lambda _: "unchecked",
}


def document(
    *, clip: Mapping[str, Any] | None = None, grid: Grid | None = None, resampling: str | None = None, checked: bool = True
) -> Document | None:
    """What differs from the defaults; None when nothing does.

    `clip`: GeoJSON polygons, EPSG:4326, cut at the antimeridian. `checked`: False for products that may contradict their manifest."""
    values = {
        "clip": clip,
        "grid": grid.model_dump(exclude_defaults=True) if grid else None,
        "resampling": resampling,
        "checked": None if checked else False,
    }
    return {key: value for key, value in values.items() if value is not None} or None


def told(options: Document | None) -> str:
    """For people: `clipped, on EPSG:3577@300`; `as always` for none."""
    return ", ".join(_WORDS[key](value) for key, value in (options or {}).items()) or "as always"


def parse_grid(text: str) -> Grid:
    """`EPSG:3577@300`: CRS and pixel size in its units; ValueError says what is wrong."""
    crs, _, size = (part.strip().upper() for part in text.partition("@"))
    code = _CODE.fullmatch(crs)
    if code is None or _NUMBER.fullmatch(size) is None or float(size) <= 0:
        raise ValueError("write the EPSG code and the pixel size in its units: EPSG:3577@300, EPSG:4326@0.0027")
    from pyproj import CRS  # 0.1 s: only for who asks for a grid
    from pyproj.exceptions import CRSError

    try:
        known = CRS.from_epsg(int(code["code"]))
    except CRSError:
        known = None
    if known is None or not (known.is_projected or known.is_geographic) or len(known.axis_info) != 2:
        raise ValueError(f"{crs} is no map projection and no geographic CRS; EPSG:3577 and EPSG:4326 are")
    return Grid(crs=crs, resolution=float(size))


def polygon_of(bbox: Box) -> Mapping[str, Any]:
    """The box as a GeoJSON polygon; of one that crosses the antimeridian (west > east) both parts."""
    west, south, east, north = bbox
    spans = [(west, east)] if west < east else [span for span in ((west, 180.0), (-180.0, east)) if span[0] < span[1]]
    rings = [[[w, south], [e, south], [e, north], [w, north], [w, south]] for w, e in spans]
    if len(rings) == 1:
        return {"type": "Polygon", "coordinates": rings}
    return {"type": "MultiPolygon", "coordinates": [[ring] for ring in rings]}
