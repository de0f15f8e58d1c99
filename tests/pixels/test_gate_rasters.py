"""Rasters through the gate: the named driver and nothing else, no side-cars, sizes before pixels."""

from __future__ import annotations

import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.enums import Resampling
from support import hostile

from eolake.catalog import safe
from eolake.catalog.errors import BadProduct, UnsafeProduct
from eolake.catalog.safe.process import KEPT, SKIPPED

GRID = Affine(30, 0, 600_015, 0, -25, 6_300_015)


def _tiff(path: Path, data: np.ndarray, **options: object) -> Path:
    rows, columns = data.shape
    profile = {"driver": "GTiff", "height": rows, "width": columns, "count": 1, "dtype": data.dtype, "crs": "EPSG:32755", "transform": GRID}
    with rasterio.open(path, "w", **{**profile, **options}) as target:
        target.write(data, 1)
    return path


@pytest.fixture
def data() -> np.ndarray:
    return np.random.default_rng(7).integers(0, 9000, (61, 47), dtype=np.uint16)


def test_a_raster_is_read_as_it_is(tmp_path: Path, data: np.ndarray) -> None:
    path = _tiff(tmp_path / "b.tif", data, nodata=0)
    pixels = safe.read_raster(path, driver="GTiff", expect_shape=(61, 47))
    assert np.array_equal(pixels.data, data)
    assert (pixels.transform, pixels.crs, pixels.nodata) == (GRID, "EPSG:32755", 0)
    assert safe.raster_profile(path, driver="GTiff") == ((61, 47), GRID, "EPSG:32755", "uint16", 0)


def test_jpeg2000_is_lossless_and_named(tmp_path: Path, data: np.ndarray) -> None:
    path = _tiff(tmp_path / "b.jp2", data, driver="JP2OpenJPEG", QUALITY="100", REVERSIBLE="YES")
    assert np.array_equal(safe.read_raster(path, driver="JP2OpenJPEG").data, data)
    with pytest.raises(BadProduct, match=r"b\.jp2 can not be opened as GTiff"):
        safe.read_raster(path, driver="GTiff")


def test_a_raster_without_grid_or_crs(tmp_path: Path, data: np.ndarray) -> None:
    """Metadata has the grid then; no warning reaches the caller."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = _tiff(tmp_path / "b.tif", data, crs=None, transform=Affine.identity())
    profile = safe.raster_profile(path, driver="GTiff")
    assert (profile.transform, profile.crs, profile.nodata) == (Affine.identity(), "", None)
    assert safe.read_raster(path, driver="GTiff").crs == ""


def test_a_crs_without_code_comes_as_wkt(tmp_path: Path, data: np.ndarray) -> None:
    path = _tiff(tmp_path / "b.tif", data, crs="+proj=laea +lat_0=-30 +lon_0=140 +datum=WGS84 +units=m")
    assert safe.raster_profile(path, driver="GTiff").crs.startswith("PROJCRS[")
    path = _tiff(tmp_path / "c.tif", data, crs="ESRI:54009")
    assert safe.raster_profile(path, driver="GTiff").crs == "ESRI:54009"


def test_a_vrt_named_tif_reads_no_other_file(tmp_path: Path, data: np.ndarray) -> None:
    secret = _tiff(tmp_path / "secret.tif", data)
    vrt = (
        f'<VRTDataset rasterXSize="47" rasterYSize="61"><GeoTransform>0,1,0,0,0,-1</GeoTransform>'
        f'<VRTRasterBand dataType="UInt16" band="1"><SimpleSource>'
        f"<SourceFilename>{secret}</SourceFilename><SourceBand>1</SourceBand></SimpleSource></VRTRasterBand></VRTDataset>"
    )
    path = hostile.write(tmp_path, "b.tif", vrt.encode())
    with rasterio.open(path) as opened:  # that is how dangerous it is
        assert opened.driver == "VRT"
    for driver in ("GTiff", "JP2OpenJPEG"):
        with pytest.raises(BadProduct, match=r"b\.tif can not be opened"):
            safe.read_raster(path, driver=driver)


def test_side_cars_say_nothing(tmp_path: Path, data: np.ndarray) -> None:
    """.aux.xml moves the grid, .ovr and .msk open any file: none is looked at."""
    path = _tiff(tmp_path / "b.tif", data)
    other = _tiff(tmp_path / "other.tif", np.zeros_like(data))
    hostile.write(tmp_path, "b.tif.aux.xml", b"<PAMDataset><GeoTransform>0,1,0,0,0,1</GeoTransform></PAMDataset>")
    hostile.write(tmp_path, "b.tif.msk", other.read_bytes())
    hostile.write(tmp_path, "b.tfw", b"1\n0\n0\n1\n0\n0\n")
    with rasterio.open(path) as opened:
        assert len(opened.files) > 1
    assert safe.read_raster(path, driver="GTiff").transform == GRID


def test_another_shape_than_promised_is_bad(tmp_path: Path, data: np.ndarray) -> None:
    path = _tiff(tmp_path / "b.tif", data)
    with pytest.raises(BadProduct, match=r"b\.tif has 61×47 pixels; its metadata says 61×48"):
        safe.read_raster(path, driver="GTiff", expect_shape=(61, 48))
    with pytest.raises(BadProduct, match="has 1 bands; band 2"):
        safe.read_raster(path, driver="GTiff", band=2)


def test_dimensions_are_judged_before_pixels(tmp_path: Path) -> None:
    """Sparse files of some kilobytes that would decode to gigabytes."""
    cases = {
        "long.tif": {"height": 1, "width": 100_001, "dtype": "uint8"},
        "large.tif": {"height": 40_000, "width": 40_000, "dtype": "uint8"},
        "wide.tif": {"height": 30_000, "width": 30_000, "dtype": "float64"},
        "strip.tif": {"height": 30_000, "width": 20_000, "dtype": "uint16", "tiled": False, "blockysize": 30_000, "compress": "deflate"},
    }
    for name, options in cases.items():
        profile = {"driver": "GTiff", "count": 1, "SPARSE_OK": "TRUE", "tiled": True, "transform": GRID, **options}
        with rasterio.open(tmp_path / name, "w", **profile):
            pass
        assert (tmp_path / name).stat().st_size < 6 << 20
        with pytest.raises(UnsafeProduct, match=name.replace(".", r"\.")):
            safe.read_raster(tmp_path / name, driver="GTiff")
    with rasterio.open(tmp_path / "complex.tif", "w", driver="GTiff", height=2, width=2, count=1, dtype="complex64", transform=GRID):
        pass
    with pytest.raises(BadProduct, match="complex"):
        safe.read_raster(tmp_path / "complex.tif", driver="GTiff")


@pytest.mark.parametrize("kept", [0.0, 0.02, 0.5, 0.95])
def test_a_cut_raster_is_bad(tmp_path: Path, kept: float) -> None:
    data = np.random.default_rng(1).integers(0, 60_000, (700, 700), dtype=np.uint16)
    files = {
        "strips.tif": _tiff(tmp_path / "strips.tif", data),
        "deflate.tif": _tiff(tmp_path / "deflate.tif", data, compress="deflate", tiled=True),
        "b.jp2": _tiff(tmp_path / "b.jp2", data, driver="JP2OpenJPEG", QUALITY="100", REVERSIBLE="YES"),
    }
    for name, path in files.items():
        content = path.read_bytes()
        path.write_bytes(content[: int(len(content) * kept)])
        with pytest.raises(BadProduct, match=name.replace(".", r"\.")):
            safe.read_raster(path, driver="JP2OpenJPEG" if name.endswith("jp2") else "GTiff")


@pytest.mark.parametrize("compress", ["deflate", "lzw", "zstd"])
def test_damaged_tiles_are_bad(tmp_path: Path, compress: str) -> None:
    data = np.random.default_rng(1).integers(0, 60, (700, 700), dtype=np.uint16)
    path = _tiff(tmp_path / "b.tif", data, compress=compress, tiled=True)
    with rasterio.open(path) as opened:
        start = int(opened.get_tag_item("BLOCK_OFFSET_1_1", "TIFF", bidx=1))
    content = bytearray(path.read_bytes())
    content[start : start + 20] = bytes(20)
    path.write_bytes(content)
    with pytest.raises(BadProduct, match=r"b\.tif can not be decoded: .+"):
        safe.read_raster(path, driver="GTiff")


def test_virtual_paths_are_not_files(tmp_path: Path) -> None:
    (tmp_path / "link.tif").symlink_to("/etc/passwd")
    for path in ("/vsicurl/http://127.0.0.1:9/b.tif", "/vsizip/x.zip/b.tif", "GTIFF_DIR:1:b.tif"):
        with pytest.raises(BadProduct, match="does not exist"):
            safe.read_raster(Path(path), driver="GTiff")
    with pytest.raises(UnsafeProduct, match="link"):
        safe.read_raster(tmp_path / "link.tif", driver="GTiff")


def test_every_driver_is_either_kept_or_skipped() -> None:
    with rasterio.Env() as env:
        assert set(env.drivers()) - {*KEPT, *SKIPPED} == set(), "a new GDAL brings new drivers: decide about them"
        assert set(KEPT) <= set(env.drivers())


def test_a_hardened_process_still_converts(tmp_path: Path, data: np.ndarray) -> None:
    """GDAL reads GDAL_SKIP when it starts, so this needs a process of its own."""
    _tiff(tmp_path / "in.tif", np.tile(data, (20, 20)), nodata=0)
    _tiff(tmp_path / "in.jp2", data, driver="JP2OpenJPEG", QUALITY="100", REVERSIBLE="YES")
    script = """
import sys
from pathlib import Path
from eolake.catalog import safe
safe.harden()
import rasterio
from eolake.catalog.cog import stored_digest, write_cog
from eolake.catalog.declaration import Band, Cog
folder = Path(sys.argv[1])
with rasterio.Env() as env:
    print(sorted(env.drivers()))
pixels = safe.read_raster(folder / "in.tif", driver="GTiff")
safe.read_raster(folder / "in.jp2", driver="JP2OpenJPEG")
facts = write_cog(pixels, Band(name="red", title="Red", dtype="uint16", nodata=0), Cog(), folder / "out.tif")
print(facts.pixel_digest == stored_digest(folder / "out.tif"))
"""
    run = subprocess.run([sys.executable, "-W", "error", "-c", script, tmp_path], capture_output=True, text=True, check=False, timeout=120)
    assert run.stdout.splitlines() == [str(sorted(KEPT)), "True"], run.stderr


def test_overviews_of_the_source_do_not_matter(tmp_path: Path, data: np.ndarray) -> None:
    path = _tiff(tmp_path / "b.tif", data)
    with rasterio.open(path, "r+") as opened:
        opened.build_overviews([2], Resampling.average)
    assert np.array_equal(safe.read_raster(path, driver="GTiff").data, data)
