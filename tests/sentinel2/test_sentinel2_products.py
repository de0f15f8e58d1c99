"""Real Sentinel-2 products and generated ones become drafts whose pixels are the provider's."""

from __future__ import annotations

import re
import shutil
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from support.sentinel2_layouts import as_aws, edit, granule_of, main_of

from eolake.catalog.declaration import declared
from eolake.catalog.draft import Draft
from eolake.catalog.errors import BadProduct
from eolake.ingest.sensors import find_sensor
from eolake.ingest.sensors.sentinel2 import Sentinel2Sensor
from eolake.ingest.sensors.sentinel2.names import ANY

FOLDER = Path("pixels/sentinel2")
SAFE_ZIP = FOLDER / "au_l1c_wagl/SENTINEL2/S2A_MSIL1C_20171207T002051_N0206_R116_T55JEJ_20171207T032513.zip"
AWS_ZIP = FOLDER / "au_l1c_eodatasets/data/S2B_OPER_MSI_L1C_TL_EPAE_20180617T013729_A006677_T55JGF_N02.06.AWSPDS.zip"
ONE_BAND_ZIP = FOLDER / "es_l1c_full_b01_eodag/as_archive/S2A_MSIL1C_20180101T105441_N0206_R051_T31TDH_20180101T124911.zip"
REFLECTANCE = ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B10", "B11", "B12")
NATIVE = {"B01": 60, "B02": 10, "B03": 10, "B04": 10, "B08": 10, "B09": 60, "B10": 60}
Drafts = Callable[[Path], list[Draft]]
Generated = Callable[..., Path]


def images(folder: Path) -> dict[str, Path]:
    """The files that hold the bands, by code; found in another way than the sensor finds them."""
    found = {}
    for path in folder.rglob("*.jp2"):
        if path.parent.name in {"preview", "qi", "QI_DATA"}:
            continue
        parts = re.split(r"[_.]", path.name)
        code = next(part for part in reversed(parts) if re.fullmatch(r"B\d[0-9A]|SCL|AOT|WVP|TCI", part))
        pixel = next((int(part[:-1]) for part in (*parts, path.parent.name.removeprefix("R")) if re.fullmatch(r"\d0m", part)), None)
        if code != "TCI" and pixel in {None, NATIVE.get(code, 20)}:
            assert code not in found
            found[code] = path
    return found


def assert_pixels(draft: Draft, files: Mapping[str, Path], added: int) -> None:
    """Each band is its source as rasterio decodes it, with `added` on every valid pixel of reflectance."""
    collection = declared(str(draft.item.collection_id))
    assert {band.aliases[0] for band in collection.measurements} == set(files)
    for code, path in files.items():
        band = collection.band(code)
        pixels = draft.bands[band.name].read()
        with rasterio.open(path, driver="JP2OpenJPEG") as source:
            expected, transform, crs = source.read(1), source.transform, source.crs
        offset = added if code in REFLECTANCE else 0
        assert pixels.data.dtype == expected.dtype == band.dtype
        assert np.array_equal(pixels.data == 0, expected == 0)
        assert np.array_equal(pixels.data.astype(int) - offset * (pixels.data != 0), expected)
        assert (pixels.transform, pixels.crs, pixels.nodata) == (transform, f"EPSG:{crs.to_epsg()}", 0)
        assert draft.bands[band.name].properties == ({"eolake:offset_added": added} if code in REFLECTANCE else {})


def unpacked(archive: Path, folder: Path) -> Path:
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(folder, [name for name in packed.namelist() if name.endswith(".jp2")])
    return folder


def test_real_safe_zip(samples: Path, tmp_path: Path, drafts: Drafts) -> None:
    (draft,) = drafts(samples / SAFE_ZIP)
    assert draft.item.id == "S2A_MSIL1C_20171207T002051_N0206_R116_T55JEJ_20171207T032513"
    assert draft.item.collection_id == "s2_l1c"
    assert (draft.scene_key, draft.rank) == ("sentinel-2a/L1C/55JEJ/20171207T002051@footprint", (2, 6, "20171207T032513"))
    assert draft.item.properties["s2:processing_baseline"] == "02.06"
    assert draft.item.properties["grid:code"] == "MGRS-55JEJ"
    assert set(draft.attachments) == {"product_metadata", "granule_metadata"}
    assert_pixels(draft, images(unpacked(samples / SAFE_ZIP, tmp_path / "unpacked")), added=1000)


def test_real_aws_zip(samples: Path, tmp_path: Path, drafts: Drafts) -> None:
    (draft,) = drafts(samples / AWS_ZIP)
    assert draft.item.id == "S2B_MSIL1C_20180617T001109_N0206_R073_T55JGF_20180617T013729"
    assert (draft.scene_key, draft.rank) == ("sentinel-2b/L1C/55JGF/20180617T001109@footprint", (2, 6, "20180617T013729"))
    assert set(draft.attachments) == {"granule_metadata", "tileinfo_metadata", "productinfo_metadata"}
    assert_pixels(draft, images(unpacked(samples / AWS_ZIP, tmp_path / "unpacked")), added=1000)
    assert not list(tmp_path.rglob("creds")), "what the sensor does not need is not unpacked"


def test_real_product_with_one_band(samples: Path, drafts: Drafts) -> None:
    with pytest.raises(BadProduct, match=r"T31TDH.*12 of the 13 bands of s2_l1c are not in the product: B02 \(blue\), .*B12 \(swir22\)$"):
        drafts(samples / ONE_BAND_ZIP)


@pytest.mark.parametrize("container", ["dir", "zip"])
@pytest.mark.parametrize(("baseline", "added"), [("02.06", 1000), ("03.01", 1000), ("04.00", 0), ("05.00", 0)])
@pytest.mark.parametrize("kind", ["s2_l1c", "s2_l2a"])
def test_generated_safe(generated: Generated, drafts: Drafts, tmp_path: Path, kind: str, baseline: str, added: int, container: str) -> None:
    product = generated(kind, baseline, container)
    (draft,) = drafts(product)
    assert draft.item.id == product.name.removesuffix(".SAFE").removesuffix(".zip")
    assert draft.item.collection_id == kind
    assert_pixels(draft, images(product if container == "dir" else unpacked(product, tmp_path / "unpacked")), added)


@pytest.mark.parametrize(("baseline", "added"), [("02.06", 1000), ("05.00", 0)])
@pytest.mark.parametrize("kind", ["s2_l1c", "s2_l2a"])
def test_generated_aws(generated: Generated, drafts: Drafts, tmp_path: Path, kind: str, baseline: str, added: int) -> None:
    """Without product metadata the baseline alone tells the offset."""
    product = generated(kind, baseline)
    folder = as_aws(product, tmp_path / "S2B_OPER_tile")
    (draft,) = drafts(folder)
    assert draft.item.id == product.name.removesuffix(".SAFE")
    assert_pixels(draft, images(folder), added)


@pytest.mark.parametrize("kind", ["s2_l1c", "s2_l2a"])
def test_all_providers_and_baselines_tell_the_same(generated: Generated, drafts: Drafts, tmp_path: Path, kind: str) -> None:
    """One sensing: same scene key, ranked by baseline, and the same reflectance in every pixel."""
    old, new = generated(kind, "02.06"), generated(kind, "05.00")
    (aws,), (first,), (second,) = drafts(as_aws(old, tmp_path / "S2B_aws")), drafts(old), drafts(new)
    assert aws.scene_key == first.scene_key == second.scene_key
    assert aws.rank == first.rank < second.rank
    assert (aws.item.id, aws.item.datetime) == (first.item.id, first.item.datetime.replace(minute=13, second=12))
    assert set(first.bands) < set(second.bands)
    for name, band in first.bands.items():
        assert np.array_equal(band.read().data, second.bands[name].read().data)
        assert np.array_equal(band.read().data, aws.bands[name].read().data)


def test_missing_bands_are_named(generated: Generated, drafts: Drafts) -> None:
    product = generated("s2_l1c")
    for path in granule_of(product).glob("IMG_DATA/*_B0[2-9].jp2"):
        path.unlink()
    with pytest.raises(
        BadProduct, match=r"^S2B_MSIL1C_\w+: 8 of the 13 bands of s2_l1c are not in the product: B02 \(blue\), .*B09 \(nir09\)$"
    ):
        drafts(product)


def test_masks(generated: Generated, drafts: Drafts) -> None:
    """Three bands of one bit become the bits of one band; those of Level 2A stay percentages."""
    product = generated("s2_l2a", "05.00")
    path = granule_of(product) / "QI_DATA" / "MSK_CLASSI_B00.jp2"
    with rasterio.open(path) as source:
        grid = {key: source.profile[key] for key in ("width", "height", "count", "dtype", "transform", "crs")}
    layers = np.random.default_rng(3).integers(0, 2, (3, grid["height"], grid["width"]), dtype=np.uint8)
    path.unlink()
    with rasterio.open(path, "w", driver="JP2OpenJPEG", quality="100", reversible="YES", ycc="NO", **grid) as target:
        target.write(layers)
    (draft,) = drafts(product)
    flags = draft.bands["cloud_mask"].read()
    assert flags.nodata is None
    assert np.array_equal(flags.data, layers[0] + 2 * layers[1] + 4 * layers[2])
    with rasterio.open(granule_of(product) / "QI_DATA" / "MSK_CLDPRB_20m.jp2") as source:
        assert np.array_equal(draft.bands["cloud_probability"].read().data, source.read(1))


def test_masks_of_old_baselines_are_no_rasters(generated: Generated, drafts: Drafts) -> None:
    (draft,) = drafts(generated("s2_l1c", "02.06"))
    assert set(draft.bands) == {band.name for band in declared("s2_l1c").measurements}


def test_attachments_are_the_metadata(generated: Generated, drafts: Drafts) -> None:
    product = generated("s2_l2a")
    (draft,) = drafts(product)
    found = {key: (attachment.path, attachment.media_type, attachment.roles) for key, attachment in draft.attachments.items()}
    assert found == {
        "product_metadata": (main_of(product), "application/xml", ("metadata",)),
        "granule_metadata": (granule_of(product) / "MTD_TL.xml", "application/xml", ("metadata",)),
    }


def test_geotiff_images(generated: Generated, drafts: Drafts) -> None:
    """As in the products that were processed again for Planetary Computer."""
    product = generated("s2_l2a", "02.06")
    expected = {name: band.read().data for name, band in drafts(product)[0].bands.items()}
    for path in granule_of(product).rglob("*.jp2"):
        with rasterio.open(path) as source:
            profile, layers = {**source.profile, "driver": "GTiff", "tiled": False}, source.read()
        profile = {key: value for key, value in profile.items() if key not in {"blockxsize", "blockysize", "tiled"}}
        with rasterio.open(path.with_suffix(".tif"), "w", **profile) as target:
            target.write(layers)
        path.unlink()
    (draft,) = drafts(product)
    assert set(draft.bands) == set(expected)
    assert all(np.array_equal(band.read().data, expected[name]) for name, band in draft.bands.items())


def decimated(product: Path, *, georeferenced: bool) -> None:
    """Every second pixel of each image, as previews are made."""
    for path in granule_of(product).glob("IMG_DATA/*_B*.jp2"):
        with rasterio.open(path) as source:
            data, transform, crs = source.read(1)[::2, ::2], source.transform @ Affine.scale(2), source.crs
        path.unlink()
        place = {"transform": transform, "crs": crs} if georeferenced else {}
        options = {"driver": "JP2OpenJPEG", "quality": "100", "reversible": "YES"}
        with rasterio.open(path, "w", width=data.shape[1], height=data.shape[0], count=1, dtype="uint16", **options, **place) as target:
            target.write(data, 1)


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize("georeferenced", [True, False])
def test_decimated_images(generated: Generated, drafts: Drafts, *, georeferenced: bool) -> None:
    """They span the tile with larger pixels, whether or not they say so."""
    product = generated("s2_l1c", "02.06")
    (whole,) = drafts(product)
    before = {name: band.read() for name, band in whole.bands.items()}
    decimated(product, georeferenced=georeferenced)
    (draft,) = drafts(product)
    for name, band in draft.bands.items():
        pixels = band.read()
        assert np.array_equal(pixels.data, before[name].data[::2, ::2])
        assert pixels.transform == before[name].transform @ Affine.scale(2)
        assert pixels.crs == "EPSG:32756"


def test_the_sensor_is_found_by_name() -> None:
    for name in (SAFE_ZIP, AWS_ZIP, ONE_BAND_ZIP):
        assert isinstance(find_sensor(name.name.removesuffix(".zip")), Sentinel2Sensor)
    for name in ("S2A_OPER_PRD_MSIL1C_PDMC_20160318T145513_R142_V20150918T015024_20150918T015024", "S2A_MSIL1B_20200101T000000"):
        assert ANY.match(name)
    for name in ("S3A_OL_1_EFR____20200101", "LC08_L1TP_090084_20160121_20200907_02_T1", "S2_notes", "tile"):
        assert not Sentinel2Sensor().matches(name)


def test_refuses_the_metadata_of_another_product(generated: Generated, drafts: Drafts) -> None:
    product = generated("s2_l1c", "05.00")
    other = generated("s2_l1c", "04.00")
    edit(main_of(product), "<PRODUCT_URI>.*</PRODUCT_URI>", f"<PRODUCT_URI>{other.name}</PRODUCT_URI>")
    with pytest.raises(BadProduct, match="holds the metadata of another product: S2B_MSIL1C_20200108T001109_N0400"):
        drafts(product)


def test_truncated_image(generated: Generated, drafts: Drafts) -> None:
    """The header is whole: the fault shows when the band is read, and names the file."""
    product = generated("s2_l1c")
    (path,) = granule_of(product).glob("IMG_DATA/*_B08.jp2")
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * 0.6)])
    with pytest.raises(BadProduct, match=r"_B08\.jp2 can not be"):
        drafts(product)[0].bands["nir"].read()


def test_not_a_raster(generated: Generated, drafts: Drafts) -> None:
    product = generated("s2_l1c")
    (path,) = granule_of(product).glob("IMG_DATA/*_B08.jp2")
    path.write_bytes(b"<html>503</html>")
    with pytest.raises(BadProduct, match=r"_B08\.jp2 can not be opened as JP2OpenJPEG"):
        drafts(product)


def test_image_of_another_place(generated: Generated, drafts: Drafts) -> None:
    product = generated("s2_l1c")
    edit(granule_of(product) / "MTD_TL.xml", r"<ULX>\d+</ULX>", "<ULX>300000</ULX>")
    with pytest.raises(BadProduct, match=r"_B01.jp2 covers .*; the tile covers 300000, .*MTD_TL.xml"):
        drafts(product)


def test_image_in_another_crs(generated: Generated, drafts: Drafts) -> None:
    product = generated("s2_l1c")
    edit(granule_of(product) / "MTD_TL.xml", "EPSG:32756", "EPSG:32755")
    with pytest.raises(BadProduct, match=r"is in EPSG:32756; MTD_TL\.xml says EPSG:32755"):
        drafts(product)


def test_images_of_one_grid_agree(generated: Generated, drafts: Drafts) -> None:
    product = generated("s2_l1c")
    source, target = (next(granule_of(product).glob(f"IMG_DATA/*_{code}.jp2")) for code in ("B01", "B04"))
    shutil.copy(source, target)  # 60 m where 10 m are expected: spans the tile, but not as the other bands do
    with pytest.raises(BadProduct, match=r"_B04.jp2 and \w+_B02.jp2 should lie on one grid and do not"):
        drafts(product)


def test_image_of_another_type(generated: Generated, drafts: Drafts) -> None:
    product = generated("s2_l2a")
    source, target = (next(granule_of(product).glob(f"IMG_DATA/R20m/*_{code}_20m.jp2")) for code in ("SCL", "B05"))
    shutil.copy(source, target)
    with pytest.raises(BadProduct, match=r"_B05_20m\.jp2 is uint8; rededge1 is uint16"):
        drafts(product)
