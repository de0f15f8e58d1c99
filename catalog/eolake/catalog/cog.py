"""Cloud-Optimized GeoTIFFs: one band in, one validated file and its facts out.

GDAL's COG driver writes them from an in-memory dataset that shares the band's pixels. The same input gives the same
bytes with any number of threads; another version of GDAL may give others, so identity is the pixel digest.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from affine import Affine

from eolake.catalog.declaration import Band, Cog
from eolake.catalog.draft import Pixels
from eolake.catalog.errors import BadProduct, EolakeError
from eolake.catalog.safe.process import threads
from eolake.catalog.safe.raster import crs_name, quiet_about_georeference, read_raster
from eolake.catalog.store import multihash

if TYPE_CHECKING:
    from rasterio.crs import CRS

SMALLEST_OVERVIEW = 512
"""Pixels; overviews are made until the longest side fits. COG validation asks for them above 512."""
ROWS = 512
"""Of one step through the pixels."""
WRITING = {
    "GDAL_PAM_ENABLED": False,  # no side-car
    "GDAL_MEM_ENABLE_OPEN": True,  # the array itself is the source
    "GDAL_OVR_CHUNK_MAX_SIZE": 1_000_000,  # pieces that fit in the processor's cache: overviews in two thirds of the time
}
MEASURED_ROWS = 64
"""Of one step of the statistics: what fits in the processor's cache."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """Of the valid pixels; all values None when there are none."""

    minimum: float | None
    maximum: float | None
    mean: float | None
    stddev: float | None
    count: int
    """Valid pixels."""
    valid_percent: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CogFacts:
    """What was written."""

    shape: tuple[int, int]
    transform: Affine
    crs: str
    dtype: str
    nodata: float | None
    size: int
    """bytes"""
    checksum: str
    """multihash in hex: `1220` + sha2-256"""
    pixel_digest: str
    statistics: Statistics
    gdal_version: str
    header_size: int
    """bytes before the first tile"""


def write_cog(pixels: Pixels, band: Band, profile: Cog, path: Path) -> CogFacts:
    """Write one band of a draft to a new file; its facts, read from the file again.

    Raises BadProduct when dtype, nodata or grid contradict the declaration, EolakeError when the file is no valid COG."""
    import rasterio
    import rasterio.shutil

    data = _checked(pixels, band, path)
    statistics = measure(data, band.nodata)
    with rasterio.Env(GDAL_NUM_THREADS=threads(), **WRITING), _in_memory(data, pixels, band) as source:
        source.update_tags(1, **_tags(statistics))
        _add_overviews(source, band, profile)
        rasterio.shutil.copy(source, path, driver="COG", strict=True, **_options(band, profile))
    facts = _facts(path, statistics, pixel_digest(pixels, nodata=band.nodata))
    _validate(path, facts, pixels)
    return facts


def read_facts(path: Path) -> CogFacts:
    """The facts of a file that was written before, from its pixels; equal to what `write_cog` said of it.

    Raises BadProduct when it can't be read, UnsafeProduct when it exceeds the limits of the gate."""
    pixels = read_raster(path, driver="GTiff")
    return _facts(path, measure(pixels.data, pixels.nodata), pixel_digest(pixels))


# --- writing ---


def _checked(pixels: Pixels, band: Band, path: Path) -> np.ndarray[Any, Any]:
    """The pixels in C order, when they are what the declaration says."""
    data = pixels.data
    where = f"band {band.name} ({path.name})"
    if data.ndim != 2 or not data.size:
        raise BadProduct(f"{where} has the shape {data.shape}; a band has rows and columns")
    if data.dtype.name != band.dtype:
        raise BadProduct(f"{where} holds {data.dtype.name}; {band.dtype} is declared")
    if pixels.nodata is not None and not same_number(pixels.nodata, band.nodata):
        raise BadProduct(f"{where} has the nodata value {pixels.nodata}; {band.nodata} is declared")
    _check_crs(pixels.crs, where)
    if pixels.transform.is_degenerate or not all(math.isfinite(v) for v in pixels.transform[:6]):
        raise BadProduct(f"{where} has the impossible transform {tuple(pixels.transform)[:6]}")
    return np.ascontiguousarray(data, dtype=data.dtype.newbyteorder("="))


def _check_crs(crs: str, where: str) -> None:
    from rasterio.crs import CRS
    from rasterio.errors import CRSError

    if not crs:
        raise BadProduct(f"{where} has no coordinate reference system")
    try:
        CRS.from_user_input(crs)
    except CRSError as error:
        raise BadProduct(f"{where} has an unknown coordinate reference system, {crs[:200]!r}: {error}") from error


def same_number(one: float | None, other: float | None) -> bool:
    """Equal, or both NaN, or both None."""
    if one is None or other is None:
        return one is other
    return one == other or (math.isnan(one) and math.isnan(other))


@contextmanager
def _in_memory(data: np.ndarray[Any, Any], pixels: Pixels, band: Band) -> Iterator[Any]:
    """A GDAL dataset on the array's own memory: `data` must outlive it."""
    import rasterio
    from rasterio.dtypes import _gdal_typename

    rows, columns = data.shape
    address = f"MEM:::DATAPOINTER={data.ctypes.data},PIXELS={columns},LINES={rows},DATATYPE={_gdal_typename(data.dtype.name)}"
    with quiet_about_georeference():
        source = rasterio.open(address, "r+", driver="MEM")
    with source:
        source.crs = pixels.crs
        source.transform = pixels.transform
        if band.nodata is not None:
            source.nodata = band.nodata
        yield source


def _tags(statistics: Statistics) -> dict[str, str]:
    """GDAL's own names; the same digits on every machine."""
    if statistics.mean is None:
        return {}
    names = ("minimum", "maximum", "mean", "stddev", "valid_percent")
    return {f"STATISTICS_{name.upper()}": f"{getattr(statistics, name):.9g}" for name in names}


def _add_overviews(source: Any, band: Band, profile: Cog) -> None:
    """In memory, which is twice as fast as the temporary files of the COG driver."""
    from rasterio.enums import Resampling

    smallest = min(SMALLEST_OVERVIEW, profile.blocksize)
    factors: list[int] = []
    longest = max(source.shape)
    while -(-longest // (factors[-1] if factors else 1)) > smallest:
        factors.append(2 * (factors[-1] if factors else 1))
    if factors:
        source.build_overviews(factors, Resampling.mode if band.categorical else Resampling[profile.overview_resampling])


def _options(band: Band, profile: Cog) -> dict[str, Any]:
    compress = "zstd" if profile.compress == "lerc_zstd" and band.dtype.startswith("float") else profile.compress
    options = {"compress": compress, "blocksize": profile.blocksize, "bigtiff": "IF_SAFER", "num_threads": threads()}
    if compress in {"zstd", "deflate", "lerc_zstd"}:
        options["level"] = profile.categorical_level if band.categorical else profile.level
    if compress == "lerc_zstd":
        options["max_z_error"] = 0
    else:
        options["predictor"] = "NO" if band.categorical else "YES"  # differences of class numbers only add noise: 5-20 % larger
    return options


# --- reading back ---


def _facts(path: Path, statistics: Statistics, digest: str) -> CogFacts:
    import rasterio

    with rasterio.Env(GDAL_PAM_ENABLED=False, GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR"), rasterio.open(path, driver="GTiff") as stored:
        return CogFacts(
            shape=stored.shape,
            transform=stored.transform,
            crs=crs_name(stored.crs),
            dtype=stored.dtypes[0],
            nodata=stored.nodata,
            size=path.stat().st_size,
            checksum=multihash(path),
            pixel_digest=digest,
            statistics=statistics,
            gdal_version=rasterio.__gdal_version__,
            header_size=_header_size(stored),
        )


def _header_size(stored: Any) -> int:
    """Where the first tile begins (its 4-byte length stands before it): all of the directories lie before."""
    levels = len(stored.overviews(1))
    places = [stored.get_tag_item("BLOCK_OFFSET_0_0", "TIFF", bidx=1, ovr=ovr) for ovr in (None, *range(levels))]
    return min(int(place) for place in places if place is not None) - 4


def _validate(path: Path, facts: CogFacts, pixels: Pixels) -> None:
    """The file is a strict COG on the grid that was asked for."""
    from rasterio.crs import CRS
    from rio_cogeo.cogeo import cog_validate

    valid, errors, notes = cog_validate(path, strict=True, quiet=True)
    if not valid:
        raise EolakeError(f"{path}: GDAL {facts.gdal_version} wrote no valid COG: {'; '.join([*errors, *notes])}")
    if facts.transform != pixels.transform:
        raise BadProduct(f"{path.name}: the transform {tuple(pixels.transform)[:6]} can not be stored in a GeoTIFF")
    if canonical_crs(CRS.from_user_input(facts.crs)) != canonical_crs(CRS.from_user_input(pixels.crs)):
        raise BadProduct(f"{path.name}: the coordinate reference system {pixels.crs[:200]} can not be stored in a GeoTIFF")


# --- statistics and digest ---


def measure(data: np.ndarray[Any, Any], nodata: float | None) -> Statistics:
    """Statistics of the valid pixels; NaN and infinity are never valid. Exact for 8 and 16 bits, whatever the machine."""
    count, total, squares = 0, 0.0, 0.0  # int for 8 and 16 bits
    lowest, highest = math.inf, -math.inf
    for start in range(0, data.shape[0], MEASURED_ROWS):
        values = valid_pixels(data[start : start + MEASURED_ROWS], nodata)
        if values.size:
            count += values.size
            lowest, highest = min(lowest, float(values.min())), max(highest, float(values.max()))
            first, second = _moments(values)
            total, squares = total + first, squares + second
    if not count:
        return Statistics(minimum=None, maximum=None, mean=None, stddev=None, count=0, valid_percent=0.0)
    mean = total / count
    deviation = math.sqrt(max(0.0, squares / count - mean * mean))
    percent = 100 * count / data.size
    return Statistics(minimum=lowest, maximum=highest, mean=mean, stddev=deviation, count=count, valid_percent=percent)


def _moments(values: np.ndarray[Any, Any]) -> tuple[float, float]:
    """Sum and sum of squares; squares of 16 bits fit in 32, so that most bands need no floating point."""
    if values.dtype.kind in "ui" and values.dtype.itemsize <= 2:
        squares = np.multiply(values, values, dtype=np.int64 if values.dtype.kind == "i" else np.uint32)
        return int(values.sum(dtype=np.int64)), int(squares.sum(dtype=np.int64))
    wide = values.astype(np.float64)
    return float(wide.sum()), float(np.square(wide, out=wide).sum())


def valid_pixels(data: np.ndarray[Any, Any], nodata: float | None) -> np.ndarray[Any, Any]:
    """The valid pixels in one dimension."""
    valid = np.isfinite(data) if data.dtype.kind == "f" else None
    if nodata is not None and not math.isnan(nodata):
        other = data != data.dtype.type(nodata)
        valid = other if valid is None else valid & other
    return data.reshape(-1) if valid is None or valid.all() else data[valid]


def pixel_digest(pixels: Pixels, *, nodata: float | None = None) -> str:
    """SHA-256 in hex over dtype, shape, transform, CRS, nodata and the decoded bytes (little-endian, row by row).

    `nodata`: the declared value, which is what gets stored; without it that of the pixels. Files of other GDAL versions,
    compressions or tilings have the same digest."""
    declared = pixels.nodata if nodata is None else nodata
    digest = _begun(pixels.data.dtype, pixels.data.shape, pixels.transform, pixels.crs, declared)
    for start in range(0, pixels.data.shape[0], ROWS):
        digest.update(_little(pixels.data[start : start + ROWS]))
    return str(digest.hexdigest())


def stored_digest(path: Path | str) -> str:
    """The pixel digest of a stored file (a path, or what `Store.gdal_path` says); memory stays at some rows of tiles.

    Raises BadProduct when it can't be read."""
    import rasterio
    from rasterio.errors import RasterioError
    from rasterio.windows import Window

    with rasterio.Env(GDAL_PAM_ENABLED=False, GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR", GDAL_NUM_THREADS=threads()):
        try:
            with rasterio.open(path, driver="GTiff") as stored:
                rows, columns = stored.shape
                digest = _begun(np.dtype(stored.dtypes[0]), stored.shape, stored.transform, crs_name(stored.crs), stored.nodata)
                step = max(ROWS, stored.block_shapes[0][0])
                for start in range(0, rows, step):
                    digest.update(_little(stored.read(1, window=Window(0, start, columns, min(step, rows - start)))))
        except RasterioError as error:
            raise BadProduct(f"{path} can not be read: {error.__cause__ or error}") from error
    return str(digest.hexdigest())


def _begun(dtype: np.dtype[Any], shape: tuple[int, ...], transform: Affine, crs: str, nodata: float | None) -> Any:
    from rasterio.crs import CRS

    grid = [float(value) + 0.0 for value in tuple(transform)[:6]]
    value = None if nodata is None else float(dtype.type(nodata))
    return hashlib.sha256(repr((dtype.name, tuple(shape), grid, canonical_crs(CRS.from_user_input(crs)), value)).encode())


def canonical_crs(crs: CRS) -> str:
    """The code, or else the parameters: names and remarks of a CRS without a code do not survive in a GeoTIFF."""
    authority = crs.to_authority()
    if authority:
        return ":".join(authority)
    return " ".join(sorted(part for part in crs.to_proj4().split() if part != "+type=crs"))


def _little(rows: np.ndarray[Any, Any]) -> memoryview:
    return memoryview(np.ascontiguousarray(rows, dtype=rows.dtype.newbyteorder("<"))).cast("B")
