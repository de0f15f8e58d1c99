"""The bands of a Landsat product: which file, which scale, and how they are read."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from eolake.catalog import declaration, safe
from eolake.catalog.draft import Band, Frame, Pixels
from eolake.catalog.errors import BadProduct
from eolake.ingest.sensors.landsat.mtl import Mtl
from eolake.ingest.sensors.landsat.scene import Scene

DRIVER = "GTiff"
LEVEL2_SCALES = ("LEVEL2_SURFACE_REFLECTANCE_PARAMETERS", "LEVEL2_SURFACE_TEMPERATURE_PARAMETERS")


def band_files(scene: Scene, collection: declaration.Collection, present: Mapping[str, Path]) -> dict[str, Path]:
    """The file of each band, by band name; `present`: the package's files by base name.

    Bands that the collection calls optional may be absent. BadProduct names every other band that the metadata does
    not list, and every listed file that the package lacks."""
    listed = {band.name: _listed(scene, band) for band in collection.bands}
    unlisted = [f"{band.name} ({band.aliases[0]})" for band in collection.bands if listed[band.name] is None and not band.optional]
    if unlisted:
        raise BadProduct(f"{scene.product_id}: the metadata lists no file for {', '.join(unlisted)}, which {collection.id} needs")
    paths = {name: present.get(file.upper()) for name, file in listed.items() if file is not None}
    missing = [str(listed[name]) for name, path in paths.items() if path is None and not collection.band(name).optional]
    if missing:
        some = ", ".join(missing[:3]) + (f" and {len(missing) - 3} more" if len(missing) > 3 else "")
        raise BadProduct(f"{scene.product_id}: the metadata lists files that are not in the package: {some}")
    return {name: path for name, path in paths.items() if path is not None}


def _listed(scene: Scene, band: declaration.Band) -> str | None:
    """The name of the band's file in the metadata: the one that ends with an alias of the band."""
    endings = tuple(f"_{alias}.TIF" for alias in band.aliases)
    return next((file for file in scene.files if file.upper().endswith(endings)), None)


def check_grids(files: Mapping[str, Path], collection: declaration.Collection) -> str:
    """The CRS that all bands share. BadProduct when a header does not fit: dtype, or the grid that bands should share."""
    grids: dict[str, tuple[Any, str]] = {}
    crs = ""
    for name, path in files.items():
        band = collection.band(name)
        shape, transform, crs, dtype, _ = safe.raster_profile(path, driver=DRIVER)
        if dtype != band.dtype:
            raise BadProduct(f"{path.name} is {dtype}; {name} of {collection.id} is {band.dtype}")
        if not crs or transform.b or transform.d or transform.a <= 0 or transform.e >= 0:
            raise BadProduct(f"{path.name} lies on no map grid with north up (CRS {crs or 'missing'}, transform {tuple(transform)[:6]})")
        grid = (shape, tuple(transform), crs)
        first, other = grids.setdefault(band.grid, (grid, path.name))
        if grid != first:
            raise BadProduct(f"{path.name} and {other} should lie on one grid and do not")
    return crs


def frame(path: Path) -> Frame:
    """Where a band lies, from its header."""
    shape, transform, crs, _, _ = safe.raster_profile(path, driver=DRIVER)
    return Frame(shape=shape, transform=transform, crs=crs)


def read(path: Path, nodata: float | None) -> Pixels:
    """One band with the nodata that its collection declares.

    USGS tags few files and other programs tag them otherwise (255 for bytes): a tag that no pixel has is nothing but
    a tag. BadProduct when pixels carry another value for nodata."""
    pixels = safe.read_raster(path, driver=DRIVER)
    if pixels.nodata is not None and pixels.nodata != nodata and bool((pixels.data == pixels.nodata).any()):
        raise BadProduct(f"{path.name} marks missing pixels by {pixels.nodata:g}; its collection has {nodata} for them")
    return Pixels(data=pixels.data, transform=pixels.transform, crs=pixels.crs, nodata=nodata)


def draft_bands(scene: Scene, mtl: Mtl, collection: declaration.Collection, files: Mapping[str, Path]) -> dict[str, Band]:
    """The draft's bands in the collection's order; Level 1 with this scene's own scale and offset."""
    if scene.level != "l1":
        check_scales(mtl, collection)
    return {
        band.name: Band(
            read=partial(read, files[band.name], band.nodata),
            properties=_rescaling(scene, band) if scene.level == "l1" else {},
            frame=partial(frame, files[band.name]),
        )
        for band in collection.bands
        if band.name in files
    }


def check_scales(mtl: Mtl, collection: declaration.Collection) -> None:
    """BadProduct when the metadata of a Level-2 product gives other scales than the collection: its values would be wrong."""
    for band in collection.bands:
        found = re.fullmatch(r"SR_B(\d+)|(ST_B\d+)", band.aliases[0])
        if found is None:
            continue
        group, kind, number = (LEVEL2_SCALES[0], "REFLECTANCE", found[1]) if found[1] else (LEVEL2_SCALES[1], "TEMPERATURE", found[2])
        for key, declared in (("MULT", band.scale), ("ADD", band.offset)):
            own = mtl.number(group, f"{kind}_{key}_BAND_{number}")
            if not math.isclose(own, declared or 0.0, rel_tol=1e-6):
                raise BadProduct(f"{mtl.source}: {kind}_{key}_BAND_{number} is {own:g}; {band.name} of {collection.id} has {declared:g}")


def _rescaling(scene: Scene, band: declaration.Band) -> dict[str, Any]:
    """Scale and offset to the declared quantity; radiance too where that is reflectance, and the constants of thermal bands."""
    number = band.aliases[0].removeprefix("B")
    radiance = _pair(scene.rescaling, "RADIANCE", number)
    main = _pair(scene.rescaling, "REFLECTANCE", number) if "reflectance" in band.roles else radiance
    found: dict[str, Any] = {} if main is None else {"raster:scale": main[0], "raster:offset": main[1]}
    if radiance is not None and main is not radiance:
        found |= {"eolake:radiance_scale": radiance[0], "eolake:radiance_offset": radiance[1]}
    constants = {f"eolake:{k}": _number(scene.thermal, f"{k.upper()}_CONSTANT_BAND_{number}") for k in ("k1", "k2")}
    return found | {key: value for key, value in constants.items() if value is not None}


def _pair(values: Mapping[str, str], kind: str, number: str) -> tuple[float, float] | None:
    scale, offset = (_number(values, f"{kind}_{part}_BAND_{number}") for part in ("MULT", "ADD"))
    return None if scale is None or offset is None else (scale, offset)


def _number(values: Mapping[str, str], key: str) -> float | None:
    try:
        return float(values[key])
    except (KeyError, ValueError):
        return None
