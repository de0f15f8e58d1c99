"""Products against their own lists of files, and content that is broken although every digest is right."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import rasterio
from support import workers
from support.auditor import audit
from support.landsat_products import product as landsat_product
from support.manifests import reseal, zipped
from support.sentinel2_layouts import as_aws, edit, granule_of, main_of

from eolake.catalog import safe
from eolake.catalog.draft import Draft
from eolake.catalog.errors import BadProduct
from eolake.catalog.lake import Lake
from eolake.ingest.sensors import identify
from eolake.ingest.sensors.base import DEFAULT, Options
from eolake.ingest.simulators.products.scenes import TINY, generate_scene

WHEN = datetime(2020, 1, 8, 0, 11, 9, tzinfo=UTC)
Make = Callable[..., Path]


@pytest.fixture(scope="session")
def originals(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Path]:
    return {
        (kind, baseline): generate_scene(kind, WHEN, tmp_path_factory.mktemp("product"), size=TINY, baseline=baseline)
        for kind, baseline in (("s2_l1c", "02.06"), ("s2_l2a", "02.12"), ("s2_l1c", "05.00"), ("s2_l2a", "05.00"))
    }


@pytest.fixture
def sentinel2(originals: dict[tuple[str, str], Path], tmp_path: Path) -> Make:
    """sentinel2(kind, baseline): a copy that the test may change."""

    def copy(kind: str = "s2_l2a", baseline: str = "05.00", folder: str = "in") -> Path:
        original = originals[kind, baseline]
        return Path(shutil.copytree(original, tmp_path / folder / original.name))

    return copy


def opened(path: Path, workspace: Path, options: Options = DEFAULT) -> list[Draft]:
    found = identify(path)
    assert found is not None
    workspace.mkdir(exist_ok=True)
    return list(found[0].open(path, workspace, options))


def image(product: Path, code: str) -> Path:
    (found,) = granule_of(product).glob(f"IMG_DATA/**/*_{code}*.jp2")
    return Path(found)


def flip(path: Path, *, at: float = 0.7, count: int = 1) -> None:
    """Other bits in some bytes, the size as before."""
    content = bytearray(path.read_bytes())
    start = int(len(content) * at)
    content[start : start + count] = bytes(255 - byte for byte in content[start : start + count])
    path.write_bytes(content)


# --- Sentinel-2 ---


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(("kind", "baseline"), [("s2_l1c", "02.06"), ("s2_l2a", "02.12"), ("s2_l1c", "05.00"), ("s2_l2a", "05.00")])
def test_generated_products_are_what_their_manifest_says(
    sentinel2: Make, tmp_path: Path, kind: str, baseline: str, *, packed: bool
) -> None:
    """With MD5 before baseline 03.01, with SHA3-256 since."""
    product = sentinel2(kind, baseline)
    method = "MD5" if baseline < "03.01" else "SHA3-256"
    assert f'checksumName="{method}"' in (product / "manifest.safe").read_text()
    path = zipped(product, tmp_path / f"{product.name.removesuffix('.SAFE')}.zip") if packed else product
    assert len(opened(path, tmp_path / "work")) == 1


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("baseline", ["02.06", "05.00"])
def test_one_other_bit_is_noticed(sentinel2: Make, tmp_path: Path, baseline: str, *, packed: bool) -> None:
    product = sentinel2("s2_l1c", baseline)
    flip(image(product, "B08"))
    path = zipped(product, tmp_path / f"{product.name.removesuffix('.SAFE')}.zip") if packed else product
    method = "MD5" if baseline < "03.01" else "SHA3-256"
    with pytest.raises(
        BadProduct, match=rf"is not what its manifest\.safe says: the {method} of GRANULE/\S+_B08\.jp2 is \w+ instead of \w+$"
    ):
        opened(path, tmp_path / "work")
    assert opened(path, tmp_path / "unchecked", Options(checked=False)), "whoever says so takes it as it is"


def test_files_that_no_band_needs_count_too(sentinel2: Make, tmp_path: Path) -> None:
    product = sentinel2("s2_l1c")
    (product / "DATASTRIP").rename(tmp_path / "elsewhere")
    with pytest.raises(BadProduct, match=r"manifest\.safe says: DATASTRIP/\S+/MTD_DS\.xml is missing"):
        opened(product, tmp_path / "work")


def test_pages_and_quicklooks_may_be_missing(sentinel2: Make, tmp_path: Path) -> None:
    product = sentinel2("s2_l1c")
    (product / "INSPIRE.xml").unlink()
    next(granule_of(product).glob("QI_DATA/*_PVI.jp2")).unlink()
    assert opened(product, tmp_path / "work")


def test_metadata_that_somebody_changed(sentinel2: Make, tmp_path: Path) -> None:
    """It still makes sense; only the digest knows."""
    product = sentinel2("s2_l1c")
    edit(main_of(product), r"(_ADD_OFFSET band_id=\"3\">)-1000", r"\g<1>-0999")
    with pytest.raises(BadProduct, match=r"the SHA3-256 of MTD_MSIL1C\.xml is"):
        opened(product, tmp_path / "work")


def test_what_has_no_manifest_is_taken_without(sentinel2: Make, tmp_path: Path) -> None:
    """Tiles of AWS, folders that lost it."""
    product = sentinel2("s2_l1c", "02.06")
    assert opened(as_aws(product, tmp_path / "S2B_OPER_MSI_L1C_TL_EPAE_20200108T024009_A014828_T56HKH_N02.06"), tmp_path / "work")
    (product / "manifest.safe").unlink()
    assert opened(product, tmp_path / "work2")


def test_of_esris_manifests_only_the_names_hold(sentinel2: Make, tmp_path: Path) -> None:
    """As in a real product of Planetary Computer: sizes and digests are those of place holders."""
    product = sentinel2("s2_l2a", "02.12")
    (datastrip,) = (product / "DATASTRIP").iterdir()
    esri = "DS_ESRI_20201007T160858_S20190212T192646"
    datastrip.rename(datastrip.with_name(esri))
    edit(product / "manifest.safe", f"DATASTRIP/{datastrip.name}", f"DATASTRIP/{esri}")
    edit(product / "manifest.safe", r'size="\d+"', 'size="744"')
    assert opened(product, tmp_path / "work")
    (datastrip.with_name(esri) / "MTD_DS.xml").unlink()
    with pytest.raises(BadProduct, match=r"MTD_DS\.xml is missing$"):
        opened(product, tmp_path / "work2")


def test_real_products(samples: Path, tmp_path: Path) -> None:
    """Their images were made smaller by whoever published them as samples; their manifest knows."""
    wagl = samples / "pixels/sentinel2/au_l1c_wagl/SENTINEL2/S2A_MSIL1C_20171207T002051_N0206_R116_T55JEJ_20171207T032513.zip"
    with pytest.raises(BadProduct, match=r"_B01\.jp2 has 2,784 bytes instead of 3,540,370; .*, and 9 more$"):
        opened(wagl, tmp_path / "work")
    assert opened(wagl, tmp_path / "unchecked", Options(checked=False))
    ls9 = samples / "pixels/landsat/au_eodatasets/data/LC09_L1TP_112081_20220209_20220209_02_T1.tar"
    with pytest.raises(
        BadProduct, match=r"is not what its LC09_L1TP_112081_20220209_20220209_02_T1_MD5\.txt says: the MD5 of \S+_B10\.TIF"
    ):
        opened(ls9, tmp_path / "work2")


def test_real_manifests_are_right_about_real_files(samples: Path, tmp_path: Path) -> None:
    """Complete products: repacked OLCI, and SRAL as the hub delivered it."""
    folder = samples / "pixels/sentinel3"
    products = [*folder.glob("olci_repacked/*.SEN3"), *folder.glob("sral_full_downloads/data/S3A_SR_1_SRA*.zip")]
    assert len(products) == 3
    for path in products:
        workspace = tmp_path / path.stem
        workspace.mkdir()
        product = safe.open_product(path, workspace, wanted=re.compile(""))
        safe.check_files(product, safe.read_manifest(product.files["xfdumanifest.xml"]))
    for path in folder.glob("stactools_sen3/tests/data-files/*.SEN3"):
        product = safe.open_product(path, tmp_path, wanted=re.compile("xfdumanifest"))
        with pytest.raises(BadProduct, match=r"is not what its xfdumanifest\.xml says: \S+\.nc has [\d,]+ bytes instead of [\d,]+"):
            safe.check_files(product, safe.read_manifest(product.files["xfdumanifest.xml"]))


# --- Landsat ---


def with_digests(folder: Path, *, suffix: str = "_MD5.txt") -> Path:
    """As USGS packed Landsat 9: a list of MD5 beside the files."""
    files = sorted(folder.iterdir())
    lines = [f"{hashlib.md5(file.read_bytes()).hexdigest()}  {file.name}" for file in files]
    (folder / f"{folder.name}{suffix}").write_text("\n".join(lines) + "\n")
    return folder


def test_landsat_files_that_the_metadata_lists_and_the_package_lacks(tmp_path: Path) -> None:
    folder = landsat_product("ls8_c2_l2").write(tmp_path)
    next(folder.glob("*_SR_B5.TIF")).unlink()
    with pytest.raises(BadProduct, match=r"the metadata lists files that are not in the package: \S+_SR_B5\.TIF$"):
        opened(folder, tmp_path / "work")


def test_landsat_items_name_the_files_that_no_band_needs_and_the_package_lacks(tmp_path: Path) -> None:
    folder = landsat_product("ls8_c2_l1").write(tmp_path)
    before = opened(folder, tmp_path / "work")[0].item.properties.get("eolake:absent_files", [])
    next(folder.glob("*_QA_RADSAT.TIF")).unlink()
    (draft,) = opened(folder, tmp_path / "work2")
    assert draft.item.properties["eolake:absent_files"] == sorted([*before, f"{folder.name}_QA_RADSAT.TIF"])


def test_real_landsat_packages_name_what_they_lack(samples: Path, tmp_path: Path) -> None:
    name = "LC08_L1TP_090084_20160121_20200907_02_T1"
    (draft,) = opened(samples / "pixels/landsat/au_eodatasets/data" / name, tmp_path / "work")
    lacking = ("ANG.txt", "MTL.xml", "QA_RADSAT.TIF", "SAA.TIF", "SZA.TIF", "VAA.TIF", "VZA.TIF")
    assert draft.item.properties["eolake:absent_files"] == [f"{name}_{file}" for file in lacking]
    (draft,) = opened(samples / "pixels/landsat/c2l2_stactools/assets3", tmp_path / "work2")
    assert "eolake:absent_files" not in draft.item.properties


def test_landsat_packages_with_digests(tmp_path: Path) -> None:
    folder = with_digests(landsat_product("ls9_c2_l1").write(tmp_path))
    assert opened(folder, tmp_path / "work")
    (digests,) = folder.glob("*_MD5.txt")
    digests.write_text(f"{'0' * 32}  {folder.name}_ANG.txt\n{digests.read_text()}")  # mirrors leave such files out
    assert opened(folder, tmp_path / "work1")
    (red,) = folder.glob("*_B4.TIF")
    before = red.read_bytes()
    flip(red, at=0.9)
    with pytest.raises(BadProduct, match=r"_MD5\.txt says: the MD5 of \S+_B4\.TIF is \w{32} instead of \w{32}$"):
        opened(folder, tmp_path / "work2")
    red.write_bytes(before)
    assert opened(folder, tmp_path / "work3")


# --- what is broken although every digest is right ---


def cut_image(product: Path) -> str:
    path = image(product, "B08")
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * 0.6)])
    return r"_B08_10m\.jp2 can not be (decoded|opened)"


def garbled_image(product: Path) -> str:
    """Bytes in the main header of the codestream: sizes, quantisation."""
    path = image(product, "B03_10m")
    content = path.read_bytes()
    header = content.index(b"\xff\x4f\xff\x51")
    path.write_bytes(content[: header + 60] + bytes(200) + content[header + 260 :])
    return r"_B03_10m\.jp2 can not be (decoded|opened)"


def not_an_image(product: Path) -> str:
    image(product, "SCL_20m").write_bytes(b"<html>503 Service Unavailable</html>")
    return r"_SCL_20m\.jp2 can not be opened as JP2OpenJPEG"


def cut_xml(product: Path) -> str:
    path = granule_of(product) / "MTD_TL.xml"
    path.write_bytes(path.read_bytes()[:-100])
    return r"MTD_TL\.xml is not valid XML"


def broken_strip(product: Path) -> str:
    """The file is whole, one of its strips is not what its compression says."""
    (path,) = product.glob("*_SR_B4.TIF")
    with rasterio.open(path) as source:
        profile, data = source.profile, source.read()
    profile |= {"compress": "deflate", "tiled": False, "blockysize": 8}
    with rasterio.open(path, "w", **{key: value for key, value in profile.items() if key != "blockxsize"}) as target:
        target.write(data)
    content = bytearray(path.read_bytes())
    with rasterio.open(path) as source:
        offset, size = (int(source.get_tag_item(f"BLOCK_{what}_0_3", "TIFF", bidx=1) or 0) for what in ("OFFSET", "SIZE"))
    assert offset
    assert size
    content[offset : offset + size] = bytes(size)
    path.write_bytes(content)
    return r"_SR_B4\.TIF can not be decoded"


def cut_tiff(product: Path) -> str:
    (path,) = product.glob("*_SR_B6.TIF")
    path.write_bytes(path.read_bytes()[:-2000])
    return r"_SR_B6\.TIF can not be (decoded|opened)"


JPEG2000 = [cut_image, garbled_image, not_an_image, cut_xml]
TIFF = [broken_strip, cut_tiff]


def test_broken_content_under_right_digests_is_quarantined_and_leaves_nothing(lake: Lake, sentinel2: Make, tmp_path: Path) -> None:
    """Manifests are written again after the damage. Every band is decoded before anything is published."""
    reasons: dict[Path, str] = {}
    for number, damage in enumerate(JPEG2000):
        product = sentinel2(folder=f"s2-{number}")
        reason = damage(product)
        reseal(product)
        reasons[product] = reason
    for number, harm in enumerate(TIFF):
        package = landsat_product("ls8_c2_l2", size=64).write(tmp_path / f"ls-{number}")
        reason = harm(package)
        reasons[with_digests(package)] = reason
    status, document = workers.ingest(lake, *reasons)
    assert (status, document["counts"]) == (1, {"quarantined": len(reasons)}), json.dumps(document, indent=1)
    found: dict[str, Any] = {one["path"]: one["reason"] for one in document["products"]}
    for path, reason in reasons.items():
        assert re.search(reason, found[str(path)]), found[str(path)]
    with lake.connect() as connection:
        row = connection.execute("""
            select (select count(*) from pgstac.items) as items, (select count(*) from odc.dataset) as datasets,
                   (select count(*) from eolake.publication) as publications, (select count(*) from eolake.object) as objects
        """).fetchone()
    assert row == {"items": 0, "datasets": 0, "publications": 0, "objects": 0}
    assert workers.listing(lake) == {}
    assert audit(lake) == []
