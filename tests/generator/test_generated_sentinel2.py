"""Generated Sentinel-2 products against GDAL's SENTINEL2 driver, stactools and the landscape's own formula."""

from __future__ import annotations

import hashlib
import re
import warnings
import xml.etree.ElementTree as ET
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import shapely.geometry
from pyproj import Transformer
from rasterio.errors import NotGeoreferencedWarning
from stactools.sentinel2.stac import create_item

from eolake.catalog.errors import UsageError
from eolake.ingest.simulators.products.atmosphere import top_of_atmosphere
from eolake.ingest.simulators.products.landscape import FIRE, Landscape
from eolake.ingest.simulators.products.scenes import TINY, Kind, generate_scene
from eolake.ingest.simulators.products.spectra import bands

BEFORE = datetime(2019, 12, 19, 0, 11, 9, 24000, tzinfo=UTC)
AFTER = datetime(2020, 1, 8, 0, 11, 9, 24000, tzinfo=UTC)
SIZE = 120
Counts = np.ndarray[Any, Any]


def _subdatasets(product: Path) -> dict[str, str]:
    """GDAL's names of the 10, 20 and 60 m parts."""
    metadata = next(product.glob("MTD_MSIL*.xml"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)  # the container itself has no raster
        source = rasterio.open(metadata)
    with source:
        assert source.driver == "SENTINEL2"
        names = source.subdatasets
    return {match[1]: name for name in names if (match := re.search(r":(\d\dm):EPSG_32756$", name))}


def _images(product: Path, pixel: int, level: str) -> dict[str, Path]:
    pattern = "IMG_DATA/*_B??.jp2" if level == "L1C" else f"IMG_DATA/R{pixel}m/*_B??_{pixel}m.jp2"
    found = {}
    for path in product.glob(f"GRANULE/*/{pattern}"):
        band = re.search(r"_(B\w\w)(_\d\dm)?$", path.stem)
        assert band
        if level != "L1C" or bands("sentinel_2")[band[1]].pixel == pixel:
            found[band[1]] = path
    return found


@pytest.mark.parametrize(("kind", "level"), [("s2_l2a", "L2A"), ("s2_l1c", "L1C")])
@pytest.mark.parametrize("baseline", ["02.12", "05.00"])
def test_gdal_reads_the_same_values(tmp_path: Path, kind: Kind, level: str, baseline: str) -> None:
    product = generate_scene(kind, BEFORE, tmp_path, size=SIZE, baseline=baseline, cloud=0.2)
    subdatasets = _subdatasets(product)
    assert sorted(subdatasets) == ["10m", "20m", "60m"]
    compared = set()
    for name, dataset in subdatasets.items():
        pixel = int(name[:2])
        images = _images(product, pixel, level)
        with rasterio.open(dataset) as source:
            assert source.crs.to_epsg() == 32756
            assert source.shape == (SIZE * 10 // pixel,) * 2
            for index in source.indexes:
                band = _band_name(source.tags(index)["BANDNAME"])
                if band in images:  # GDAL may offer a band from a finer grid here; that is its resampling, not ours
                    with rasterio.open(images[band], driver="JP2OpenJPEG") as image:
                        assert image.transform == source.transform
                        assert image.crs == source.crs
                        np.testing.assert_array_equal(source.read(index), image.read(1), err_msg=f"{band} {name}")
                    compared.add(band)
    assert compared == set(bands("sentinel_2")) - ({"B10"} if level == "L2A" else set())


def _band_name(gdal: str) -> str:
    return f"B0{gdal[1:]}" if re.fullmatch(r"B\d", gdal) else gdal


@pytest.mark.parametrize(("kind", "when", "baseline", "offset"), [("s2_l2a", BEFORE, "02.12", 0), ("s2_l2a", AFTER, "05.00", 1000)])
def test_counts_are_the_landscape_within_one(tmp_path: Path, kind: Kind, when: datetime, baseline: str, offset: int) -> None:
    product = generate_scene(kind, when, tmp_path, size=SIZE, baseline=baseline, cloud=0.2)
    for pixel in (10, 20, 60):
        images = _images(product, pixel, "L2A")
        surface = _surface(next(iter(images.values())), when, 0.2)
        assert len(images) == {10: 4, 20: 9 + (baseline >= "04.00"), 60: 11}[pixel]
        for band, path in images.items():
            counts = _read(path)
            expected = surface.reflectance(bands("sentinel_2")[band]) * 10000 + offset
            seen = counts > 0
            assert 0.9 < seen.mean() < 1
            assert np.abs(counts[seen] - expected[seen]).max() <= 1, band


def test_level_1_is_the_same_landscape_above_the_atmosphere(tmp_path: Path) -> None:
    product = generate_scene("s2_l1c", BEFORE, tmp_path, size=SIZE)
    for band, path in _images(product, 20, "L1C").items():
        declared = bands("sentinel_2")[band]
        counts = _read(path)
        expected = top_of_atmosphere(_surface(path, BEFORE, 0.0).reflectance(declared), declared) * 10000 + 1000
        assert np.abs(counts[counts > 0] - expected[counts > 0]).max() <= 1, band


def _read(path: Path) -> Counts:
    with rasterio.open(path) as source:
        counts: Counts = source.read(1).astype(float)
        return counts


def _surface(path: Path, when: datetime, cloud: float) -> Any:
    """The landscape at the pixel centres that the image itself states."""
    with rasterio.open(path) as source:
        columns, rows = np.meshgrid(np.arange(source.width) + 0.5, np.arange(source.height) + 0.5)
        x, y = source.transform @ (columns, rows)
        return Landscape().sample(x, y, source.crs.to_string(), when, cloud=cloud)


@pytest.mark.parametrize(("kind", "level"), [("s2_l2a", "L2A"), ("s2_l1c", "L1C")])
@pytest.mark.parametrize("baseline", ["02.12", "05.00"])
def test_stactools_makes_the_right_item(tmp_path: Path, kind: Kind, level: str, baseline: str) -> None:
    product = generate_scene(kind, BEFORE, tmp_path, size=SIZE, baseline=baseline, cloud=0.2)
    item = create_item(str(product))
    assert item.datetime == BEFORE
    assert item.properties["s2:product_uri"] == product.name
    assert item.properties["s2:processing_baseline"] == baseline
    assert item.properties["grid:code"] == "MGRS-56HKH"
    assert item.properties["sat:relative_orbit"] == 73
    assert item.properties["platform"] == "sentinel-2b"
    assert item.properties["proj:epsg" if "proj:epsg" in item.properties else "proj:code"] in (32756, "EPSG:32756")
    assert item.properties["view:sun_elevation"] == pytest.approx(Landscape().sun(BEFORE).elevation)
    for key, asset in item.assets.items():
        assert Path(asset.href).is_file(), key
    assert len([key for key in item.assets if "red" in key]) >= 1
    assert level in item.id


def test_stactools_footprint_is_what_was_seen(tmp_path: Path) -> None:
    product = generate_scene("s2_l2a", BEFORE, tmp_path, size=SIZE)
    footprint = shapely.geometry.shape(create_item(str(product)).geometry)
    path = _images(product, 10, "L2A")["B04"]
    seen = _read(path) > 0
    with rasterio.open(path) as source:
        to_lonlat = Transformer.from_crs(source.crs, 4326, always_xy=True)
        rows, columns = np.nonzero(seen)
        inside = shapely.points(*to_lonlat.transform(*(source.transform @ (columns + 0.5, rows + 0.5))))
        rows, columns = np.nonzero(~seen)
        outside = shapely.points(*to_lonlat.transform(*(source.transform @ (columns + 0.5, rows + 0.5))))
    assert shapely.distance(inside, footprint).max() < 2e-6
    assert not shapely.contains(footprint.buffer(-2e-6), outside).any()


def test_cloud_cover_is_that_of_the_classification(tmp_path: Path) -> None:
    product = generate_scene("s2_l2a", AFTER, tmp_path, size=600, cloud=0.4)
    classes = _read(next(product.glob("GRANULE/*/IMG_DATA/R20m/*_SCL_20m.jp2")))
    cloudy = 100 * np.isin(classes, (8, 9, 10)).sum() / (classes > 0).sum()
    item = create_item(str(product))
    assert item.properties["eo:cloud_cover"] == pytest.approx(cloudy, abs=1e-5)
    assert item.properties["s2:nodata_pixel_percentage"] == pytest.approx(100 * (classes == 0).mean(), abs=1e-5)
    assert 1 < cloudy < 99


def test_both_missions_see_the_same_ground(tmp_path: Path) -> None:
    """Surface reflectance of Landsat and Sentinel-2 at the same places, in bands that nearly coincide."""
    sentinel = generate_scene("s2_l2a", BEFORE, tmp_path, size=600)
    landsat = generate_scene("landsat_c2_l2", datetime(2019, 12, 15, 23, 50, 23, tzinfo=UTC), tmp_path, size=200)
    for ours, theirs in (("B04", "B4"), ("B8A", "B5"), ("B12", "B7")):
        with rasterio.open(landsat / f"{landsat.name}_SR_{theirs}.TIF") as source:
            counts, transform, crs = source.read(1), source.transform, source.crs
        pixel = 10 if ours == "B04" else 20
        with rasterio.open(_images(sentinel, pixel, "L2A")[ours]) as source:
            seen = source.read(1)
            rows, columns = np.nonzero(seen[::7, ::7])
            rows, columns = rows * 7, columns * 7
            x, y = Transformer.from_crs(source.crs, crs, always_xy=True).transform(*(source.transform @ (columns + 0.5, rows + 0.5)))
        column, row = (np.floor(axis).astype(int) for axis in ~transform @ (np.array(x), np.array(y)))
        there = (row >= 0) & (row < 200) & (column >= 0) & (column < 200)
        there[there] &= counts[row[there], column[there]] > 0
        a = seen[rows[there], columns[there]].astype(float) * 1e-4 - 0.1
        b = counts[row[there], column[there]] * 2.75e-5 - 0.2
        assert there.sum() > 500
        assert np.abs(a - b).mean() < 0.006, ours
        assert np.corrcoef(a, b)[0, 1] > 0.97, ours


def test_the_scar_is_there_only_after_the_fire(tmp_path: Path) -> None:
    nbr, images = [], {}
    for when in (BEFORE, AFTER):
        images = _images(generate_scene("s2_l2a", when, tmp_path, size=600), 20, "L2A")
        near, short = (_read(images[band]) - 1000 for band in ("B8A", "B12"))
        with np.errstate(all="ignore"):
            nbr.append(np.where(near > -1000, (near - short) / (near + short), np.nan))
    surface = _surface(images["B8A"], AFTER, 0.0)
    assert BEFORE < FIRE < AFTER
    change = nbr[0] - nbr[1]
    land = surface.fractions["water"] < 0.01
    assert np.nanmean(change[land & (surface.severity > 0.8)]) > 0.4
    assert abs(np.nanmean(change[land & (surface.severity == 0)])) < 0.02


def test_manifest_lists_every_file_with_its_checksum(tmp_path: Path) -> None:
    for baseline, method in (("02.12", hashlib.md5), ("05.00", hashlib.sha3_256)):
        product = generate_scene("s2_l2a", BEFORE, tmp_path, size=TINY, baseline=baseline)
        listed = {}
        for entry in ET.parse(product / "manifest.safe").getroot().iter("byteStream"):
            location, checksum = entry.find("fileLocation"), entry.find("checksum")
            assert location is not None
            assert checksum is not None
            path = product / location.attrib["href"]
            assert path.stat().st_size == int(entry.attrib["size"])
            assert method(path.read_bytes()).hexdigest() == checksum.text
            listed[path.relative_to(product)] = entry
        there = {path.relative_to(product) for path in product.rglob("*") if path.is_file()}
        assert there == set(listed) | {Path("manifest.safe")}


def test_zip_is_deterministic_and_wrapped(tmp_path: Path) -> None:
    digests = set()
    for folder in ("one", "two"):
        product = generate_scene("s2_l1c", AFTER, tmp_path / folder, size=TINY, container="zip", cloud=0.3)
        digests.add(hashlib.sha256(product.read_bytes()).hexdigest())
        with zipfile.ZipFile(product) as archive:
            assert {name.split("/")[0] for name in archive.namelist()} == {f"{product.stem}.SAFE"}
    assert len(digests) == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"when": datetime(2019, 12, 19)}, "time zone"),  # noqa: DTZ001
        ({"size": 100}, "multiple of 6"),
        ({"cloud": 1.0}, "share of the sky"),
        ({"baseline": "5"}, "baseline"),
        ({"kind": "s3"}, "no product kind"),
    ],
)
def test_wrong_arguments_are_named(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    arguments: dict[str, Any] = {"kind": "s2_l2a", "when": BEFORE, "folder": tmp_path, "size": TINY, **changes}
    with pytest.raises(UsageError, match=message):
        generate_scene(**arguments)
    assert list(tmp_path.iterdir()) == []


def test_level_1_metadata_has_the_elements_of_a_real_product(tmp_path: Path, samples: Path) -> None:
    """Twin on a real product: every element of ours is in theirs at the same path; only auxiliary file names are left out."""
    archive = samples / "pixels/sentinel2/au_l1c_wagl/SENTINEL2/S2A_MSIL1C_20171207T002051_N0206_R116_T55JEJ_20171207T032513.zip"
    product = generate_scene("s2_l1c", BEFORE, tmp_path, size=TINY, baseline="02.06")
    with zipfile.ZipFile(archive) as real:
        for name in ("MTD_MSIL1C.xml", "MTD_TL.xml", "MTD_DS.xml"):
            member = next(entry for entry in real.namelist() if entry.endswith(f"/{name}"))
            theirs, ours = _paths(ET.fromstring(real.read(member))), _paths(ET.parse(next(product.rglob(name))).getroot())
            assert ours <= theirs, sorted(ours - theirs)
            if name != "MTD_DS.xml":
                assert {path for path in theirs - ours if "GIPP" not in path} == set()


def test_level_2_metadata_has_the_elements_of_a_real_product(tmp_path: Path, samples: Path) -> None:
    real = samples / "pixels/sentinel2/stactools_safe_metadata/S2A_MSIL2A_20190212T192651_N0212_R013_T07HFE_20201007T160857.SAFE"
    product = generate_scene("s2_l2a", BEFORE, tmp_path, size=TINY, baseline="02.12")
    for name in ("MTD_MSIL2A.xml", "MTD_TL.xml"):
        theirs, ours = (_paths(ET.parse(next(folder.rglob(name))).getroot()) for folder in (real, product))
        assert ours <= theirs, sorted(ours - theirs)
        left_out = {path for path in theirs - ours if not re.search("GIPP|LUT_|ESACCI|SNOW_CLIMATOLOGY", path)}
        assert left_out == set()


def _paths(element: ET.Element, above: str = "") -> set[str]:
    here = f"{above}/{element.tag}"
    return {here}.union(*(_paths(child, here) for child in element))
