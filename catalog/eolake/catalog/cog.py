"""Cloud-Optimized GeoTIFFs: GDAL's COG driver through rasterio, checked with rio-cogeo before anybody sees them."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from rasterio.crs import CRS
from rio_cogeo import cog_validate

from eolake.catalog import declaration
from eolake.catalog.draft import Pixels
from eolake.catalog.errors import BadProduct
from eolake.catalog.store import multihash

CACHE = 256 * 2**20
"""GDAL_CACHEMAX in bytes: an integer below 100,000 would mean megabytes to GDAL, bytes to rasterio."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """Of the valid pixels."""

    minimum: float
    maximum: float
    mean: float
    stddev: float
    count: int
    valid_percent: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CogFacts:
    """What was written."""

    shape: tuple[int, int]
    """(rows, columns)"""
    transform: Affine
    crs: str
    dtype: str
    nodata: float | None
    size: int
    """bytes"""
    checksum: str
    """Multihash sha2-256, hexadecimal."""
    pixel_digest: str
    statistics: Statistics
    gdal_version: str
    header_size: int
    """Bytes before the first tile: one read of so many opens the file."""


def write_cog(pixels: Pixels, band: declaration.Band, profile: declaration.Cog, path: Path) -> CogFacts:
    """Write one band as a COG and validate it strictly; BadProduct when the pixels are not what the collection declares.

    The bytes depend on pixels, profile and GDAL version alone, not on threads or caches."""
    _require(pixels, band)
    statistics = compute_statistics(pixels.data, band.nodata)
    options = _options(pixels, band, profile)
    rows, columns = pixels.data.shape
    grid = {"height": rows, "width": columns, "transform": pixels.transform, "crs": CRS.from_user_input(pixels.crs)}
    with rasterio.Env(GDAL_CACHEMAX=CACHE, GDAL_NUM_THREADS="ALL_CPUS"):
        with rasterio.open(path, "w", driver="COG", count=1, dtype=band.dtype, nodata=band.nodata, **grid, **options) as target:
            target.write(pixels.data, 1)
            target.set_band_description(1, band.name)
            target.update_tags(1, **_tags(statistics))
        valid, errors, warnings = cog_validate(path, strict=True)
    if not valid:
        raise BadProduct(f"{path.name} is no valid COG: {'; '.join([*errors, *warnings])}")
    return CogFacts(
        shape=(rows, columns),
        transform=pixels.transform,
        crs=pixels.crs,
        dtype=band.dtype,
        nodata=band.nodata,
        size=path.stat().st_size,
        checksum=multihash(path),
        pixel_digest=pixel_digest(pixels, band.nodata),
        statistics=statistics,
        gdal_version=rasterio.__gdal_version__,
        header_size=header_size(path),
    )


def _require(pixels: Pixels, band: declaration.Band) -> None:
    if pixels.data.ndim != 2:
        raise BadProduct(f"band {band.name} has the shape {pixels.data.shape}, not (rows, columns)")
    if pixels.data.dtype != band.dtype:
        raise BadProduct(f"band {band.name} holds {pixels.data.dtype}, the collection declares {band.dtype}")
    if pixels.nodata is not None and not _equal(pixels.nodata, band.nodata):
        raise BadProduct(f"band {band.name} has nodata {pixels.nodata}, the collection declares {band.nodata}")


def _equal(one: float, other: float | None) -> bool:
    return other is not None and (one == other or (math.isnan(one) and math.isnan(other)))


def _options(pixels: Pixels, band: declaration.Band, profile: declaration.Cog) -> dict[str, Any]:
    resampling = "MODE" if band.categorical else profile.overview_resampling.upper()
    options: dict[str, Any] = {
        "COMPRESS": profile.compress.upper(),
        "BLOCKSIZE": profile.blocksize,
        "OVERVIEW_RESAMPLING": resampling,
        "RESAMPLING": resampling,
        "BIGTIFF": "IF_SAFER",
        "STATISTICS": "NO",
    }
    if profile.compress == "lerc_zstd":
        return options | {"MAX_Z_ERROR": 0, "LEVEL": profile.level}
    predictor = "FLOATING_POINT" if pixels.data.dtype.kind == "f" else "STANDARD"
    return options | {"PREDICTOR": predictor} | ({"LEVEL": profile.level} if profile.compress != "lzw" else {})


def _tags(statistics: Statistics) -> dict[str, str]:
    if not statistics.count:
        return {}
    return {
        "STATISTICS_MINIMUM": repr(statistics.minimum),
        "STATISTICS_MAXIMUM": repr(statistics.maximum),
        "STATISTICS_MEAN": repr(statistics.mean),
        "STATISTICS_STDDEV": repr(statistics.stddev),
        "STATISTICS_VALID_PERCENT": f"{statistics.valid_percent:.4g}",
    }


def compute_statistics(data: np.ndarray[Any, Any], nodata: float | None) -> Statistics:
    """Over valid pixels: not nodata, and no NaN; all NaN when there are none."""
    valid = data[valid_mask(data, nodata)]
    if not valid.size:
        nothing = math.nan
        return Statistics(minimum=nothing, maximum=nothing, mean=nothing, stddev=nothing, count=0, valid_percent=0.0)
    return Statistics(
        minimum=float(valid.min()),
        maximum=float(valid.max()),
        mean=float(valid.mean(dtype=np.float64)),
        stddev=float(valid.std(dtype=np.float64)),
        count=int(valid.size),
        valid_percent=100.0 * valid.size / data.size,
    )


def valid_mask(data: np.ndarray[Any, Any], nodata: float | None) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """(rows, columns), True where a pixel says something."""
    mask = np.ones(data.shape, bool) if nodata is None or math.isnan(nodata) else data != nodata
    return mask & ~np.isnan(data) if data.dtype.kind == "f" else mask


def pixel_digest(pixels: Pixels, nodata: float | None) -> str:
    """sha-256 over dtype, shape, transform, CRS, nodata and pixels: the same whatever wrote the file."""
    head = [pixels.data.dtype.str, list(pixels.data.shape), [float(n) for n in tuple(pixels.transform)[:6]], pixels.crs, repr(None if nodata is None else float(nodata))]
    digest = hashlib.sha256(repr(head).encode())
    digest.update(memoryview(np.ascontiguousarray(pixels.data)).cast("B"))
    return digest.hexdigest()


def read_cog(path: str) -> Pixels:
    """The pixels of one of our own COGs (a path, or `/vsis3/…`)."""
    with rasterio.open(path, driver="GTiff") as source:
        code = source.crs.to_authority() if source.crs else None
        crs = ":".join(code) if code else (source.crs.to_wkt() if source.crs else "")
        return Pixels(data=source.read(1), transform=source.transform, crs=crs, nodata=source.nodata)


def header_size(path: Path) -> int:
    """Bytes before the data of the first tile, overviews included."""
    with rasterio.open(path, driver="GTiff") as source:
        levels: list[dict[str, int]] = [{}, *({"ovr": level} for level in range(len(source.overviews(1))))]
        offsets = [source.get_tag_item("BLOCK_OFFSET_0_0", "TIFF", bidx=1, **level) for level in levels]
    return min((int(offset) for offset in offsets if offset), default=path.stat().st_size)
