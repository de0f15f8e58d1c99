"""Our COGs in the hands of others: each reader gives the pixels, the grid, nodata and a smaller picture."""

from __future__ import annotations

import shutil
import subprocess
import warnings
from pathlib import Path

import numpy as np
import pytest
from affine import Affine

from eolake.catalog.cog import write_cog
from eolake.catalog.declaration import Band, Class, Cog
from eolake.catalog.draft import Pixels

SIDE = 1300
"""Three tiles and two overviews, none of them full."""
GRID = Affine(10, 0, 600_000, 0, -10, 6_300_040)
PROFILES = {
    "the default": Cog(),
    "deflate": Cog(compress="deflate", level=6),
    "lerc": Cog(compress="lerc_zstd"),
    "lzw": Cog(compress="lzw"),
}
BANDS = {
    "counts": Band(name="counts", title="Counts", dtype="uint16", nodata=0),
    "temperatures": Band(name="temperatures", title="Temperatures", dtype="int16", nodata=-32768),
    "flags": Band(name="flags", title="Flags", dtype="uint32"),
    "index": Band(name="index", title="Index", dtype="float32", nodata=float("nan")),
    "classes": Band(
        name="classes", title="Classes", dtype="uint8", nodata=255, classes=(Class(value=1, name="one"), Class(value=2, name="two"))
    ),
}
CASES = [(band, "the default") for band in BANDS] + [(band, profile) for profile in list(PROFILES)[1:] for band in ("counts", "index")]


def pixels(band: Band) -> Pixels:
    random = np.random.default_rng(4)
    if band.classes:
        data = random.choice(np.array([1, 2, 255], np.uint8), (SIDE, SIDE))
    elif band.dtype.startswith("float"):
        data = np.where(random.random((SIDE, SIDE)) < 0.1, np.nan, random.normal(size=(SIDE, SIDE))).astype(np.float32)
    else:
        limits = np.iinfo(band.dtype)
        data = random.integers(limits.min, limits.max, (SIDE, SIDE), band.dtype, endpoint=True)
    return Pixels(data=data, transform=GRID, crs="EPSG:32755", nodata=band.nodata)


@pytest.fixture(params=CASES, ids=" in ".join)
def written(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, Pixels]:
    band, profile = BANDS[request.param[0]], PROFILES[request.param[1]]
    path, made = tmp_path / "band.tif", pixels(band)
    write_cog(made, band, profile, path)
    return path, made


def test_tifffile_reads_the_same_pixels_and_grid(written: tuple[Path, Pixels]) -> None:
    import tifffile

    path, made = written
    with tifffile.TiffFile(path) as file:
        np.testing.assert_array_equal(file.asarray(), made.data)
        assert [level.shape for level in file.series[0].levels] == [(1300, 1300), (650, 650), (325, 325)]
        page = file.pages[0]
        assert page.tags["ModelPixelScaleTag"].value[:2] == (10, 10)
        assert page.tags["ModelTiepointTag"].value[3:5] == (600_000, 6_300_040)
        if made.nodata is not None:
            assert float(page.tags["GDAL_NODATA"].value.strip("\0")) == pytest.approx(made.nodata, nan_ok=True)


@pytest.mark.parametrize("driver", ["GTiff", "LIBERTIFF"])
def test_gdal_reads_it_with_both_of_its_drivers(written: tuple[Path, Pixels], driver: str) -> None:
    import rasterio

    path, made = written
    with rasterio.open(path, driver=driver) as file:
        np.testing.assert_array_equal(file.read(1), made.data)
        assert (file.transform, file.crs.to_epsg(), file.overviews(1)) == (GRID, 32755, [2, 4])


def test_a_program_of_an_older_gdal_reads_it(written: tuple[Path, Pixels], tmp_path: Path) -> None:
    program = shutil.which("gdal_translate")
    if program is None:
        pytest.skip("no GDAL programs are installed here (apt install gdal-bin)")
    path, made = written
    done = subprocess.run([program, "-q", "-of", "ENVI", path, tmp_path / "raw"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    np.testing.assert_array_equal(np.fromfile(tmp_path / "raw", made.data.dtype).reshape(made.data.shape), made.data)


def test_rio_cogeo_calls_it_valid_and_knows_its_levels(written: tuple[Path, Pixels]) -> None:
    from rio_cogeo import cog_info

    path, made = written
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        info = cog_info(path, strict=True)
    assert info.COG
    assert not info.COG_errors
    assert [(level.Width, level.Height) for level in info.IFD] == [(1300, 1300), (650, 650), (325, 325)]
    assert info.Profile.Dtype == made.data.dtype.name
