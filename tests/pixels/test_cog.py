"""COGs: pixels and grid come back as they went in, the file is valid and the same every time, the facts are true."""

from __future__ import annotations

import hashlib
import math
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from rio_cogeo.cogeo import cog_validate

from eolake.catalog import safe
from eolake.catalog.cog import CogFacts, measure, pixel_digest, read_facts, stored_digest, write_cog
from eolake.catalog.declaration import Band, BitField, Class, Cog
from eolake.catalog.draft import Pixels
from eolake.catalog.errors import BadProduct

GRID = Affine(30, 0, 600_015, 0, -25, 6_300_015)
NO_CODE = "+proj=laea +lat_0=-30.5 +lon_0=147 +x_0=0 +y_0=0 +datum=WGS84 +units=m +no_defs"
SINUSOIDAL = "+proj=sinu +lon_0=0 +x_0=0 +y_0=0 +R=6371007.181 +units=m +no_defs"


def _data(dtype: str, shape: tuple[int, int], nodata: float | None) -> np.ndarray[Any, Any]:
    rng = np.random.default_rng(42)
    data = rng.integers(1, 120, shape).astype(dtype)
    if nodata is not None:
        data[: shape[0] // 3, : shape[1] // 2] = nodata
    return data


def _pixels(dtype: str, shape: tuple[int, int], nodata: float | None, crs: str = "EPSG:32755", grid: Affine = GRID) -> Pixels:
    return Pixels(data=_data(dtype, shape, nodata), transform=grid, crs=crs, nodata=nodata)


def _band(dtype: str, nodata: float | None, **more: Any) -> Band:
    return Band.model_validate({"name": "red", "title": "Red", "dtype": dtype, "nodata": nodata, **more})


def _write(path: Path, dtype: str, shape: tuple[int, int], nodata: float | None, **cog: Any) -> tuple[Pixels, CogFacts]:
    pixels = _pixels(dtype, shape, nodata)
    return pixels, write_cog(pixels, _band(dtype, nodata), Cog.model_validate(cog), path)


@pytest.mark.parametrize(
    ("dtype", "nodata"),
    [
        ("uint8", 0), ("uint8", 255), ("int8", -1), ("uint16", 0), ("int16", -999), ("uint32", 0), ("int32", -2147483648),
        ("float32", math.nan), ("float32", -9999), ("float64", math.nan), ("uint16", None), ("float32", None),
    ],
)  # fmt: skip
@pytest.mark.parametrize("shape", [(20, 20), (1, 1), (513, 3), (700, 1337)])
def test_every_dtype_and_shape_comes_back(tmp_path: Path, dtype: str, nodata: float | None, shape: tuple[int, int]) -> None:
    path = tmp_path / "red.tif"
    pixels, facts = _write(path, dtype, shape, nodata)
    back = safe.read_raster(path, driver="GTiff", expect_shape=shape)
    assert back.data.tobytes() == pixels.data.tobytes()
    assert back.data.dtype == dtype
    assert (back.transform, back.crs) == (GRID, "EPSG:32755")
    assert repr(back.nodata) == repr(None if nodata is None else float(nodata))
    assert cog_validate(path, strict=True, quiet=True)[0]
    assert (facts.shape, facts.transform, facts.crs, facts.dtype) == (shape, GRID, "EPSG:32755", dtype)
    assert facts.size == path.stat().st_size
    assert facts.checksum == "1220" + hashlib.sha256(path.read_bytes()).hexdigest()
    assert facts.pixel_digest == pixel_digest(back) == stored_digest(path)
    assert repr(read_facts(path)) == repr(facts)


@pytest.mark.parametrize("compress", ["zstd", "deflate", "lzw", "lerc_zstd"])
@pytest.mark.parametrize("blocksize", [128, 256, 512, 1024])
def test_every_profile_is_lossless_and_valid(tmp_path: Path, compress: str, blocksize: int) -> None:
    """At 800 pixels a block of 1024 holds everything; strict validation still asks for an overview."""
    for dtype, nodata in (("int16", -999), ("float32", math.nan)):
        path = tmp_path / f"{dtype}.tif"
        pixels, facts = _write(path, dtype, (800, 801), nodata, compress=compress, blocksize=blocksize)
        assert facts.pixel_digest == pixel_digest(pixels) == stored_digest(path)
        with rasterio.open(path) as stored:
            assert stored.block_shapes == [(blocksize, blocksize)]
            expected = "zstd" if (compress, dtype) == ("lerc_zstd", "float32") else compress.split("_", maxsplit=1)[0]
            assert stored.compression.value.lower().startswith(expected)
            assert max(800 // factor for factor in stored.overviews(1)[-1:]) <= min(blocksize, 512)


def test_predictors_follow_the_dtype(tmp_path: Path) -> None:
    classes = (Class(value=3, name="water"),)
    for band, predictor in ((_band("uint16", 0), "2"), (_band("float32", None), "3"), (_band("uint8", 0, classes=classes), None)):
        path = tmp_path / f"{band.dtype}.tif"
        write_cog(_pixels(band.dtype, (64, 64), band.nodata), band, Cog(compress="zstd"), path)
        with rasterio.open(path) as stored:
            assert stored.tags(ns="IMAGE_STRUCTURE").get("PREDICTOR") == predictor


def test_average_overviews_respect_nodata(tmp_path: Path) -> None:
    """floor(mean + 0.5) of the valid ones of four; nodata only where all four are."""
    pixels, _ = _write(tmp_path / "red.tif", "uint16", (1024, 1024), 0)
    with rasterio.open(tmp_path / "red.tif", overview_level=0) as overview:
        found = overview.read(1)
    quads = pixels.data.reshape(512, 2, 512, 2).swapaxes(1, 2).reshape(512, 512, 4).astype(np.float64)
    count = (quads != 0).sum(axis=2)
    expected = np.where(count > 0, np.floor(quads.sum(axis=2) / np.maximum(count, 1) + 0.5), 0)
    assert np.array_equal(found, expected)


@pytest.mark.parametrize(
    "more",
    [
        {"classes": [{"value": 4, "name": "a"}, {"value": 8, "name": "b"}]},
        {"bitfields": [{"name": "cloud", "offset": 3, "classes": [{"value": 1, "name": "yes"}]}]},
    ],
)
def test_classes_are_never_averaged(tmp_path: Path, more: dict[str, Any]) -> None:
    """Overviews hold only values that the band holds, and of four equal to the majority."""
    data = np.random.default_rng(1).choice(np.array([1, 4, 8], np.uint8), (1030, 1030))
    data[::2, ::2] = data[1::2, ::2] = data[::2, 1::2] = 8
    band = _band("uint8", 0, **more)
    assert band.categorical
    write_cog(Pixels(data=data, transform=GRID, crs="EPSG:32755"), band, Cog(), tmp_path / "qa.tif")
    with rasterio.open(tmp_path / "qa.tif", overview_level=0) as overview:
        assert np.unique(overview.read(1)).tolist() == [8]
    assert BitField  # the declaration knows both kinds


SCRIPT = """
import os, sys
os.sched_setaffinity(0, set(list(os.sched_getaffinity(0))[: int(sys.argv[2])]))
import numpy as np
from pathlib import Path
from affine import Affine
from eolake.catalog.cog import write_cog
from eolake.catalog.declaration import Band, Cog
from eolake.catalog.draft import Pixels
from eolake.catalog.safe.process import threads
assert threads() <= int(sys.argv[2])
for dtype in ("uint16", "float32"):
    for compress in ("zstd", "deflate", "lerc_zstd"):
        data = np.random.default_rng(3).normal(1000, 30, (1500, 1501)).astype(dtype)
        data[:300, :900] = 0
        pixels = Pixels(data=data, transform=Affine(10, 0, 6e5, 0, -10, 6e6), crs="EPSG:32755", nodata=0)
        path = Path(sys.argv[1]) / "x.tif"
        print(write_cog(pixels, Band(name="x", title="x", dtype=dtype, nodata=0), Cog(compress=compress), path).checksum)
        path.unlink()
"""


def test_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    """In processes of their own with one, two and two processors."""
    runs = [
        subprocess.run([sys.executable, "-c", SCRIPT, tmp_path, str(n)], capture_output=True, text=True, check=True, timeout=120).stdout
        for n in (1, 2, 2)
    ]
    assert len(runs[0].split()) == 6
    assert runs[0] == runs[1] == runs[2]


@pytest.mark.parametrize("crs", ["EPSG:3577", "EPSG:4326", "EPSG:3031", "ESRI:54009", NO_CODE, SINUSOIDAL])
def test_every_crs_comes_back(tmp_path: Path, crs: str) -> None:
    grid = Affine(0.0027, 0, 147, 0, -0.0027, -30) if crs == "EPSG:4326" else GRID
    pixels = _pixels("uint16", (40, 40), 0, crs=crs, grid=grid)
    facts = write_cog(pixels, _band("uint16", 0), Cog(), tmp_path / "x.tif")
    assert facts.crs == crs or facts.crs.startswith("PROJCRS[")
    assert rasterio.CRS.from_user_input(facts.crs).to_dict() == rasterio.CRS.from_user_input(crs).to_dict()
    assert facts.pixel_digest == stored_digest(tmp_path / "x.tif")
    assert [path.name for path in tmp_path.iterdir()] == ["x.tif"], "nothing went into a side-car"


def test_the_digest_is_about_pixels_and_grid_only(tmp_path: Path) -> None:
    one = _pixels("uint16", (300, 200), 0)
    write_cog(one, _band("uint16", 0), Cog(compress="zstd"), tmp_path / "a.tif")
    write_cog(one, _band("uint16", 0), Cog(compress="deflate", blocksize=128), tmp_path / "b.tif")
    assert stored_digest(tmp_path / "a.tif") == stored_digest(tmp_path / "b.tif")
    changed = one.data.copy()
    changed[-1, -1] += 1
    others = [
        Pixels(data=changed, transform=GRID, crs="EPSG:32755", nodata=0),
        Pixels(data=one.data.astype(np.int16), transform=GRID, crs="EPSG:32755", nodata=0),
        Pixels(data=one.data.reshape(200, 300), transform=GRID, crs="EPSG:32755", nodata=0),
        Pixels(data=one.data, transform=Affine(30, 0, 600_015, 0, -30, 6_300_015), crs="EPSG:32755", nodata=0),
        Pixels(data=one.data, transform=GRID, crs="EPSG:32756", nodata=0),
        Pixels(data=one.data, transform=GRID, crs="EPSG:32755", nodata=1),
        Pixels(data=one.data, transform=GRID, crs="EPSG:32755", nodata=None),
    ]
    assert len({pixel_digest(pixels) for pixels in (one, *others)}) == 8
    big_endian = Pixels(data=one.data.astype(">u2"), transform=GRID, crs="EPSG:32755", nodata=0)
    assert pixel_digest(big_endian) == pixel_digest(one)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "int32", "float32"])
def test_statistics_are_those_of_the_valid_pixels(tmp_path: Path, dtype: str) -> None:
    data = np.random.default_rng(5).integers(0, 120, (333, 257)).astype(dtype)
    if dtype == "float32":
        data[5, 5], data[6, 6] = np.nan, np.inf
    facts = write_cog(Pixels(data=data, transform=GRID, crs="EPSG:32755", nodata=7), _band(dtype, 7), Cog(), tmp_path / "x.tif")
    valid = data[(data != 7) & np.isfinite(data)].astype(np.float64)
    found = facts.statistics
    assert (found.minimum, found.maximum, found.count) == (valid.min(), valid.max(), valid.size)
    assert (found.mean, found.stddev) == pytest.approx((valid.mean(), valid.std()), rel=1e-9)
    assert found.valid_percent == pytest.approx(100 * valid.size / data.size)
    with rasterio.open(tmp_path / "x.tif") as stored:
        tags = stored.tags(1)
    assert float(tags["STATISTICS_MEAN"]) == pytest.approx(found.mean, rel=1e-8)
    assert float(tags["STATISTICS_VALID_PERCENT"]) == pytest.approx(found.valid_percent, rel=1e-8)


def test_extreme_values_do_not_overflow() -> None:
    for dtype, value in (("uint16", 65535), ("int16", -32768), ("uint8", 255), ("int8", -128), ("uint32", 2**32 - 1)):
        found = measure(np.full((3000, 3000), value, dtype), None)
        assert (found.mean, found.stddev) == (value, 0.0)


def test_a_band_without_valid_pixels_has_no_statistics(tmp_path: Path) -> None:
    pixels = Pixels(data=np.zeros((600, 600), np.uint16), transform=GRID, crs="EPSG:32755", nodata=0)
    facts = write_cog(pixels, _band("uint16", 0), Cog(), tmp_path / "x.tif")
    assert (facts.statistics.minimum, facts.statistics.mean, facts.statistics.count, facts.statistics.valid_percent) == (None, None, 0, 0.0)
    with rasterio.open(tmp_path / "x.tif") as stored:
        assert not any(tag.startswith("STATISTICS") for tag in stored.tags(1))


def test_a_strided_view_is_written_right(tmp_path: Path) -> None:
    data = np.arange(200 * 300, dtype=np.uint16).reshape(200, 300)[::-2, ::3]
    write_cog(Pixels(data=data, transform=GRID, crs="EPSG:32755"), _band("uint16", None), Cog(), tmp_path / "x.tif")
    assert np.array_equal(safe.read_raster(tmp_path / "x.tif", driver="GTiff").data, data)


@pytest.mark.parametrize(
    ("changes", "band", "words"),
    [
        ({}, _band("int16", 0), "holds uint16; int16 is declared"),
        ({}, _band("uint16", 1), "has the nodata value 0; 1.0 is declared"),
        ({}, _band("uint16", None), "has the nodata value 0; None is declared"),
        ({"data": np.zeros((2, 3, 4), np.uint16)}, _band("uint16", 0), "has the shape"),
        ({"data": np.zeros((0, 4), np.uint16)}, _band("uint16", 0), "has the shape"),
        ({"crs": ""}, _band("uint16", 0), "has no coordinate reference system"),
        ({"crs": "EPSG:1"}, _band("uint16", 0), "coordinate reference system"),
        ({"crs": "nonsense"}, _band("uint16", 0), "coordinate reference system"),
        ({"transform": Affine(0, 0, 1, 0, 0, 1)}, _band("uint16", 0), "impossible transform"),
        ({"transform": Affine(math.nan, 0, 1, 0, 1, 1)}, _band("uint16", 0), "impossible transform"),
    ],
)
def test_what_contradicts_the_declaration_is_bad(tmp_path: Path, changes: dict[str, Any], band: Band, words: str) -> None:
    honest = {"data": np.ones((20, 20), np.uint16), "transform": GRID, "crs": "EPSG:32755", "nodata": 0}
    with pytest.raises(BadProduct, match=words):
        write_cog(Pixels(**{**honest, **changes}), band, Cog(), tmp_path / "red.tif")


def test_nodata_that_the_source_does_not_state_is_declared(tmp_path: Path) -> None:
    pixels = Pixels(data=np.ones((20, 20), np.uint16), transform=GRID, crs="EPSG:32755")
    facts = write_cog(pixels, _band("uint16", 0), Cog(), tmp_path / "red.tif")
    assert facts.nodata == 0
    assert facts.pixel_digest == stored_digest(tmp_path / "red.tif")


def test_the_header_ends_where_the_tiles_begin(tmp_path: Path) -> None:
    """A reader that fetches `header_size` bytes knows every directory: the rest may be zeros."""
    _, facts = _write(tmp_path / "red.tif", "uint16", (1500, 1500), 0)
    content = (tmp_path / "red.tif").read_bytes()
    (tmp_path / "head.tif").write_bytes(content[: facts.header_size] + bytes(len(content) - facts.header_size))
    with rasterio.open(tmp_path / "head.tif") as stored:
        assert stored.overviews(1) == [2, 4]
        assert stored.transform == GRID
    assert facts.header_size < 4096 < facts.size


def test_a_stored_file_that_is_cut_is_bad(tmp_path: Path) -> None:
    _write(tmp_path / "red.tif", "uint16", (900, 900), 0)
    content = (tmp_path / "red.tif").read_bytes()
    (tmp_path / "red.tif").write_bytes(content[: len(content) // 2])
    with pytest.raises(BadProduct, match=r"red\.tif can not be read"):
        stored_digest(tmp_path / "red.tif")


@pytest.mark.parametrize(
    ("folder", "pattern", "driver"),
    [
        ("landsat/c2l2_stactools", "**/*.TIF", "GTiff"),
        ("landsat/lt5_1988_brazil_rstoolbox", "**/*.TIF", "GTiff"),
        ("landsat/l8_timeseries_ny_gdalcubes", "**/*B[18].TIF", "GTiff"),
        ("sentinel2/au_l1c_wagl", "**/*.zip", "JP2OpenJPEG"),
        ("modis", "**/*.jp2", "JP2OpenJPEG"),
        ("floodwater", "**/*.tif", "GTiff"),
        ("expected_analysis", "**/*.tif", "GTiff"),
    ],
)
def test_real_rasters_come_back(samples: Path, tmp_path: Path, folder: str, pattern: str, driver: str) -> None:
    """Every tenth at least; what has no grid of its own gets one, as its sensor would."""
    found = sorted((samples / "pixels" / folder).glob(pattern))
    if pattern.endswith(".zip"):
        found = [file for path in found for file in safe.open_product(path, tmp_path, wanted=re.compile(r"B\d.\.jp2$")).files.values()]
    chosen = found[:: max(1, len(found) // 10)]
    assert chosen
    for number, path in enumerate(chosen):
        pixels = safe.read_raster(path, driver=driver)
        pixels = Pixels(data=pixels.data, transform=pixels.transform, crs=pixels.crs or "EPSG:32755", nodata=pixels.nodata)
        target = tmp_path / f"{number}.tif"
        facts = write_cog(pixels, _band(pixels.data.dtype.name, pixels.nodata), Cog(), target)
        back = safe.read_raster(target, driver="GTiff")
        assert back.data.tobytes() == pixels.data.tobytes(), path
        assert (back.transform, facts.pixel_digest) == (pixels.transform, stored_digest(target)), path
