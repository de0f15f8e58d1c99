"""Rasters from products: one named driver, no side-car files, dimensions looked at before a pixel is decoded."""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from affine import Affine

from eolake.catalog.draft import Pixels
from eolake.catalog.errors import BadProduct, UnsafeProduct
from eolake.catalog.safe.documents import open_regular
from eolake.catalog.safe.process import CACHE_BYTES, threads

if TYPE_CHECKING:
    from rasterio.crs import CRS

SIDE = 100_000
"""Pixels; the longest side of a raster."""
PIXELS = 1 << 30
"""Of one band; a Sentinel-2 band has 1.2e8, a Sentinel-1 GRD 4.5e8."""
BAND_BYTES = 4 << 30
"""Of one decoded band."""
BLOCK_BYTES = 1 << 30
"""Of one tile or strip, which GDAL decodes whole."""
BANDS = 1_000

READING = {
    "GDAL_CACHEMAX": CACHE_BYTES,
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",  # no side-car (.aux.xml, .ovr, .msk) is looked for
    "GDAL_PAM_ENABLED": False,
    "GTIFF_DIRECT_IO": False,  # four times as fast for plain strips, but takes a file that was cut off for whole
}

_WARNINGS = threading.Lock()


class RasterProfile(NamedTuple):
    """What a raster says of itself."""

    shape: tuple[int, int]
    transform: Affine
    """The identity when the file has none."""
    crs: str
    """`EPSG:32755`; WKT2 where no code exists; empty when the file has none."""
    dtype: str
    nodata: float | None


def raster_profile(path: Path, *, driver: str, band: int = 1) -> RasterProfile:
    """Grid, dtype and nodata of one band, without decoding. BadProduct when it can't be opened, UnsafeProduct beyond the limits."""
    with _opened(path, driver, band) as source:
        return _profile(source, band)


def read_raster(path: Path, *, driver: str, band: int = 1, expect_shape: tuple[int, int] | None = None) -> Pixels:
    """One decoded band, opened with exactly that GDAL driver (GTiff, JP2OpenJPEG, …).

    `expect_shape`: (rows, columns) that the metadata promises. Raises BadProduct, naming the file, when it can't be opened
    or decoded or has another shape; UnsafeProduct when its dimensions exceed the limits. A few flipped bits may pass: GDAL
    does not compare the checksums of deflate tiles, so the transport has to (zip and gzip carry their own, which are checked).
    """
    with _opened(path, driver, band) as source:
        profile = _profile(source, band)
        if expect_shape is not None and profile.shape != tuple(expect_shape):
            raise BadProduct(f"{path} has {_size(profile.shape)} pixels; its metadata says {_size(expect_shape)}")
        return Pixels(data=_decode(source, band, path), transform=profile.transform, crs=profile.crs, nodata=profile.nodata)


def crs_name(crs: CRS | None) -> str:
    """`EPSG:32755` when an authority has a code for it, else WKT2; empty for none."""
    if not crs:
        return ""
    authority = crs.to_authority()
    return ":".join(authority) if authority else str(crs.to_wkt(version="WKT2_2019"))


@contextmanager
def quiet_about_georeference() -> Iterator[None]:
    """Rasters without a grid are normal here: the metadata has it. The filters are global: one thread at a time."""
    from rasterio.errors import NotGeoreferencedWarning

    with _WARNINGS, warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        yield


@contextmanager
def _opened(path: Path, driver: str, band: int) -> Iterator[Any]:
    import rasterio
    from rasterio.errors import RasterioError, RasterioIOError

    os.close(open_regular(path))  # a real file: never a /vsi path, a connection string, a link
    options = {"GDAL_NUM_THREADS": threads(), **READING}
    with rasterio.Env(**options):
        try:
            with quiet_about_georeference():
                source = rasterio.open(path.absolute(), driver=driver)  # so that no name begins with GTIFF_DIR: or the like
        except (RasterioError, RasterioIOError, ValueError) as error:
            raise BadProduct(f"{path} can not be opened as {driver}: {_cause(error)}") from error
        with source:
            _check(source, band, path)
            yield source


def _check(source: Any, band: int, path: Path) -> None:
    rows, columns = source.shape
    if rows < 1 or columns < 1:
        raise BadProduct(f"{path} has no pixels")
    if max(rows, columns) > SIDE or rows * columns > PIXELS or source.count > BANDS:
        raise UnsafeProduct(f"{path} declares {_size(source.shape)} pixels in {source.count} bands, more than any product has")
    if not 1 <= band <= source.count:
        raise BadProduct(f"{path} has {source.count} bands; band {band} is asked for")
    if source.dtypes[band - 1].startswith("complex"):
        raise BadProduct(f"{path} holds complex numbers ({source.dtypes[band - 1]})")
    item = np.dtype(source.dtypes[band - 1]).itemsize
    block = source.block_shapes[band - 1]
    if rows * columns * item > BAND_BYTES or block[0] * block[1] * item > BLOCK_BYTES:
        raise UnsafeProduct(
            f"{path} has bands of {rows * columns * item:,} bytes in blocks of {_size(block)} pixels, more than any product"
        )


def _profile(source: Any, band: int) -> RasterProfile:
    with quiet_about_georeference():
        transform = source.transform
    return RasterProfile(source.shape, transform, crs_name(source.crs), source.dtypes[band - 1], source.nodatavals[band - 1])


def _decode(source: Any, band: int, path: Path) -> np.ndarray[Any, Any]:
    from rasterio.errors import RasterioError, RasterioIOError

    try:
        data: np.ndarray[Any, Any] = source.read(band)
    except (RasterioError, RasterioIOError, ValueError) as error:
        raise BadProduct(f"{path} can not be decoded: {_cause(error)}") from error
    except MemoryError as error:
        raise UnsafeProduct(f"{path} does not fit in memory ({_size(source.shape)} pixels)") from error
    return data


def _cause(error: BaseException) -> str:
    """The deepest message: rasterio's own says 'see previous exception'."""
    while error.__cause__ is not None:
        error = error.__cause__
    return str(error)


def _size(shape: tuple[int, int]) -> str:
    return f"{shape[0]}×{shape[1]}"
