"""Generated Landsat products against readers that nobody here wrote, and against the landscape's own formula."""

from __future__ import annotations

import hashlib
import tarfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import shapely.geometry
from pyproj import Transformer
from rio_cogeo.cogeo import cog_validate
from stactools.landsat import stac as landsat_stac

from eolake.ingest.simulators.products.landscape import Landscape
from eolake.ingest.simulators.products.scenes import TINY, Kind, generate_scene
from eolake.ingest.simulators.products.spectra import bands

BEFORE = datetime(2019, 12, 15, 23, 50, 23, 54435, tzinfo=UTC)
AFTER = datetime(2020, 1, 16, 23, 50, 18, 120000, tzinfo=UTC)


def _read(product: Path, ending: str) -> tuple[np.ndarray[Any, Any], rasterio.DatasetReader]:
    with rasterio.open(product / f"{product.name}_{ending}.TIF") as source:
        return source.read(1), source


def _surface(product: Path, when: datetime, cloud: float) -> Any:
    """The landscape at the pixel centres that the product itself states."""
    with rasterio.open(product / f"{product.name}_QA_PIXEL.TIF") as source:
        columns, rows = np.meshgrid(np.arange(source.width) + 0.5, np.arange(source.height) + 0.5)
        x, y = source.transform @ (columns, rows)
        return Landscape().sample(x, y, source.crs.to_string(), when, cloud=cloud)


@pytest.mark.parametrize(("when", "cloud"), [(BEFORE, 0.0), (AFTER, 0.3)])
def test_surface_reflectance_is_the_landscape_within_one_count(tmp_path: Path, when: datetime, cloud: float) -> None:
    product = generate_scene("landsat_c2_l2", when, tmp_path, size=200, cloud=cloud)
    surface = _surface(product, when, cloud)
    for number in range(1, 8):
        counts, source = _read(product, f"SR_B{number}")
        expected = (surface.reflectance(bands("landsat_8")[f"B{number}"]) + 0.2) / 2.75e-5
        image = counts != source.nodata
        assert 0.8 < image.mean() < 1
        assert np.abs(counts[image] - expected[image]).max() <= 1


@pytest.mark.parametrize("level", ["landsat_c2_l2", "landsat_c2_l1"])
def test_stactools_makes_the_same_item(tmp_path: Path, level: Kind) -> None:
    product = generate_scene(level, BEFORE, tmp_path, size=100, cloud=0.2)
    xml = landsat_stac.MtlMetadata.from_file(str(product / f"{product.name}_MTL.xml"))
    text = landsat_stac.MtlMetadata.from_text_file(str(product / f"{product.name}_MTL.txt"))
    assert xml.landsat_metadata == text.landsat_metadata
    _, source = _read(product, "B4" if level.endswith("l1") else "SR_B4")
    assert abs(xml.scene_datetime - BEFORE) < timedelta(microseconds=10)
    assert xml.epsg == source.crs.to_epsg() == 32655
    assert xml.sr_shape == list(source.shape)
    assert xml.sr_transform[:6] == pytest.approx(list(source.transform)[:6])
    assert xml.wrs_path == "090"
    assert xml.wrs_row == "084"
    assert xml.cloud_cover == pytest.approx(100 * _cloudy(product), abs=0.01)


def _cloudy(product: Path) -> float:
    quality, _ = _read(product, "QA_PIXEL")
    return float((quality[quality != 1] & 8 > 0).mean())


@pytest.mark.filterwarnings("ignore:The exterior ring of this shape is wound clockwise")  # the order of the corners in the angle file
def test_stactools_item_covers_the_pixels(tmp_path: Path) -> None:
    product = generate_scene("landsat_c2_l2", BEFORE, tmp_path, size=100)
    item = landsat_stac.create_item(str(product / f"{product.name}_MTL.xml"), use_usgs_geometry=False)
    assert item.id == "LC08_L2SP_090084_20191215_02_T1"
    for asset in item.assets.values():
        if asset.href.endswith((".TIF", ".txt", ".xml", ".json")) and "thumb" not in asset.href and "stac" not in asset.href:
            assert Path(asset.href).is_file(), asset.href
    counts, source = _read(product, "SR_B4")
    rows, columns = np.nonzero(counts)
    x, y = source.transform @ (columns + 0.5, rows + 0.5)
    points = shapely.points(*Transformer.from_crs(source.crs, 4326, always_xy=True).transform(x, y))
    footprint = shapely.geometry.shape(item.geometry)
    assert shapely.distance(points, footprint).max() < 0.001
    assert footprint.area < shapely.box(*item.bbox).area


def test_level_1_counts_are_toa_reflectance_under_the_sun(tmp_path: Path) -> None:
    product = generate_scene("landsat_c2_l1", BEFORE, tmp_path, size=100)
    metadata = landsat_stac.MtlMetadata.from_file(str(product / f"{product.name}_MTL.xml"))
    counts, _ = _read(product, "B5")
    toa = (counts[counts > 0] * 2e-5 - 0.1) / np.sin(np.radians(metadata.sun_elevation))
    surface = _surface(product, BEFORE, 0.0).reflectance(bands("landsat_8")["B5"])[counts > 0]
    assert np.corrcoef(toa, surface)[0, 1] > 0.9999
    assert 0 < (toa - surface).mean() < 0.02
    pan, source = _read(product, "B8")
    assert source.transform.a == 15
    assert pan.shape == (199, 199)


def test_files_are_what_usgs_delivers(tmp_path: Path) -> None:
    product = generate_scene("landsat_c2_l2", BEFORE, tmp_path, size=TINY)
    optical = [f"SR_B{n}" for n in range(1, 8)]
    thermal = [f"ST_{name}" for name in ("B10", "TRAD", "URAD", "DRAD", "ATRAN", "EMIS", "EMSD", "CDIST", "QA")]
    images = [f"{name}.TIF" for name in (*optical, *thermal, "SR_QA_AEROSOL", "QA_PIXEL", "QA_RADSAT")]
    metadata = ["MTL.txt", "MTL.xml", "MTL.json", "ANG.txt"]
    assert sorted(path.name for path in product.iterdir()) == sorted(f"{product.name}_{name}" for name in (*images, *metadata))
    for name in images:
        path = product / f"{product.name}_{name}"
        assert cog_validate(path, strict=True)[0]
        with rasterio.open(path) as source:
            assert source.tags()["AREA_OR_POINT"] == "Point"


REAL: dict[Kind, str] = {
    "landsat_c2_l2": "c2l2_stactools/assets3/LC08_L2SP_008059_20191201_20200825_02_T1",
    "landsat_c2_l1": "au_eodatasets/data/LC08_L1TP_090084_20160121_20200907_02_T1/LC08_L1TP_090084_20160121_20200907_02_T1",
}


@pytest.mark.parametrize("kind", REAL)
def test_fields_are_those_of_a_real_product(tmp_path: Path, samples: Path, kind: Kind) -> None:
    """Twin of the tests above on real products: same groups, same fields, same order, same data types."""
    real = samples / "pixels/landsat" / REAL[kind]
    product = generate_scene(kind, BEFORE, tmp_path, size=TINY)
    assert _fields(product / f"{product.name}_MTL.txt") == _fields(real.with_name(f"{real.name}_MTL.txt"))
    for path in sorted(real.parent.glob("*.TIF")):
        ending = path.name.removeprefix(f"{real.name}_")
        with rasterio.open(path) as expected, rasterio.open(product / f"{product.name}_{ending}") as source:
            assert source.dtypes == expected.dtypes, ending


def _fields(path: Path) -> list[str]:
    return [line.split(" = ")[0] if "GROUP" not in line else line for line in path.read_text().splitlines()]


def test_same_arguments_same_bytes(tmp_path: Path) -> None:
    digests = []
    for folder in (tmp_path / "one", tmp_path / "two"):
        product = generate_scene("landsat_c2_l2", AFTER, folder, size=TINY, cloud=0.2, container="tar")
        digests.append(hashlib.sha256(product.read_bytes()).hexdigest())
        with tarfile.open(product) as archive:
            assert all("/" not in name for name in archive.getnames())
    assert digests[0] == digests[1]
    other = generate_scene("landsat_c2_l2", AFTER, tmp_path, landscape=Landscape(seed=7), size=TINY, cloud=0.2, container="tar")
    assert hashlib.sha256(other.read_bytes()).hexdigest() != digests[0]


def test_quality_bits_say_what_the_pixels_are(tmp_path: Path) -> None:
    product = generate_scene("landsat_c2_l2", AFTER, tmp_path, size=340, cloud=0.3)
    surface = _surface(product, AFTER, 0.3)
    quality, _ = _read(product, "QA_PIXEL")
    image = quality != 1
    np.testing.assert_array_equal(quality[image] & 8 > 0, surface.cloud[image] > 0.5)
    open_water = image & (surface.fractions["water"] > 0.9) & (surface.cloud == 0) & (surface.shadow == 0)
    clear_land = image & (surface.fractions["water"] == 0) & (surface.cloud == 0) & (surface.shadow == 0)
    assert set(np.unique(quality[open_water])) == {21952}
    assert set(np.unique(quality[clear_land])) == {21824}
