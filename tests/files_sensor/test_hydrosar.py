"""HyP3's packages: backscatter and water maps, zipped, unpacked and as loose files."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import shapely
from files_sensor.conftest import Drafts

from eolake.catalog.cog import write_cog
from eolake.catalog.declaration import declared
from eolake.catalog.draft import Draft
from eolake.catalog.errors import BadProduct, UnsafeProduct
from eolake.ingest.providers.folder import look
from eolake.ingest.sensors import find_sensor
from eolake.ingest.simulators.products.hydrosar import CRS, PEAK, Flood, Polarisation, generate_hydrosar

WHEN = PEAK + timedelta(hours=13, minutes=20, seconds=1)
SIDE = 60
FILES: Mapping[str, tuple[str, int]] = {
    "vv": ("VV", 1), "vh": ("VH", 1), "ls_map": ("ls_map", 1), "incidence_angle": ("inc_map", 1), "scattering_area": ("area", 1),
    "dem": ("dem", 1), "rgb_red": ("rgb", 1), "rgb_green": ("rgb", 2), "rgb_blue": ("rgb", 3), "water": ("WM", 1), "hand": ("WM_HAND", 1),
    "water_depth": ("FM_iterative_WaterDepth", 1), "flood_depth": ("FM_iterative_FloodDepth", 1),
    "flood_mask": ("FM_iterative_FloodMask", 1), "known_water": ("FM_iterative_PW", 1),
}  # fmt: skip


def assert_same_pixels(draft: Draft, folder: Path, written: Path) -> None:
    """Every band that was stored is the file of the package, by rasterio: values, mask, grid."""
    collection = declared(str(draft.item.collection_id))
    assert list(draft.bands) == [band.name for band in collection.bands]
    for name, band in draft.bands.items():
        ending, number = FILES[name]
        write_cog(band.read(), collection.band(name), collection.cog, written / f"{name}.tif")
        with rasterio.open(folder / f"{draft.item.id}_{ending}.tif") as file, rasterio.open(written / f"{name}.tif") as cog:
            assert (cog.crs, cog.transform, cog.shape) == (file.crs, file.transform, file.shape), name
            assert cog.dtypes[0] == file.dtypes[number - 1] == collection.band(name).dtype
            np.testing.assert_array_equal(cog.read(1), file.read(number), err_msg=name)
            if name != "dem":  # HyP3 marks nothing in it
                np.testing.assert_array_equal(cog.read_masks(1), file.read_masks(number), err_msg=name)


@pytest.mark.parametrize(("kind", "collection"), [("rtc", "hydrosar_rtc"), ("water", "hydrosar_water")])
def test_every_file_of_a_package_is_a_band(drafts: Drafts, tmp_path: Path, kind: Any, collection: str) -> None:
    product = generate_hydrosar(kind, WHEN, tmp_path, size=SIDE, container="dir")
    (draft,) = drafts(product)
    assert draft.item.collection_id == collection
    assert_same_pixels(draft, product, tmp_path)
    assert set(draft.attachments) == {"readme", "log"}
    properties = draft.item.properties
    assert (properties["platform"], properties["sar:polarizations"], properties["gsd"]) == ("sentinel-1a", ["VV", "VH"], 30.0)
    assert draft.item.datetime == WHEN.replace(microsecond=0)
    assert draft.scene_key == f"hyp3/S1A_IW_20200210T192001_DVP_RTC30_G_gpuned/{collection}"


def test_the_flood_is_the_same_in_every_package_and_falls(drafts: Drafts, tmp_path: Path) -> None:
    flood, areas = Flood(), []
    for day in (-6, 1, 8):
        when = PEAK + timedelta(days=day)
        (draft,) = drafts(generate_hydrosar("water", when, tmp_path, flood=flood, size=150))
        water, depth = (draft.bands[name].read() for name in ("water", "flood_depth"))
        rows, columns = np.indices(water.data.shape)
        x, y = water.transform @ (columns + 0.5, rows + 0.5)
        truth = flood.depth(x, y, CRS, when)
        known = flood.hand(x, y, CRS) == 0
        image = water.data != 255
        np.testing.assert_array_equal(water.data[image] == 1, (truth > 0)[image] | known[image])
        np.testing.assert_array_equal(depth.data[image], np.where(known, 0, truth)[image])
        areas.append(int((water.data == 1).sum()))
    assert areas[1] > areas[2] > areas[0] > 0


@pytest.mark.parametrize(("polarisation", "collection"), [("DH", "hydrosar_rtc_dh"), ("SV", "hydrosar_rtc_sv"), ("SH", "hydrosar_rtc_sh")])
def test_other_polarisations_have_collections_of_their_own(
    drafts: Drafts, tmp_path: Path, polarisation: Polarisation, collection: str
) -> None:
    (draft,) = drafts(generate_hydrosar("rtc", WHEN, tmp_path, size=SIDE, polarisation=polarisation))
    assert draft.item.collection_id == collection
    bands = [name.lower() for name in draft.item.properties["sar:polarizations"]]
    assert bands == [band.name for band in declared(collection).measurements]
    assert all(draft.bands[name].read().data.any() for name in bands)


def test_the_footprint_is_where_the_image_is(drafts: Drafts, tmp_path: Path) -> None:
    (draft,) = drafts(generate_hydrosar("rtc", WHEN, tmp_path, size=200))
    footprint = shapely.geometry.shape(draft.item.geometry or {})
    assert footprint.is_valid
    assert footprint.exterior.is_ccw
    pixels = draft.bands["vv"].read()
    from pyproj import Transformer

    outline = shapely.transform(
        footprint, lambda lonlat: np.column_stack(Transformer.from_crs(4326, CRS, always_xy=True).transform(*lonlat.T))
    )
    rows, columns = np.indices(pixels.data.shape)
    x, y = pixels.transform @ (columns + 0.5, rows + 0.5)
    wrong = shapely.contains_xy(outline, x, y) != (pixels.data != 0)
    assert wrong.mean() < 0.005
    assert len(footprint.exterior.coords) == 5


def test_loose_files_of_several_products_in_one_folder_are_told_apart(drafts: Drafts, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    made = [generate_hydrosar(kind, WHEN, folder, size=SIDE, container="loose", everything=False) for kind in ("rtc", "water")]
    zipped = generate_hydrosar("rtc", WHEN + timedelta(days=12), folder, size=SIDE)
    (folder / "notes.txt").write_text("x")
    found = look([folder])
    assert {offer.source: offer.name for offer in found.offers} == {str(path): path.name.removesuffix(".zip") for path in (*made, zipped)}
    assert [(skipped.path.name, skipped.reason) for skipped in found.skipped] == [("notes.txt", "no sensor knows this name")]
    assert {offer.name: offer.size for offer in found.offers}[made[0].name] == sum(
        f.stat().st_size for f in folder.glob(f"{made[0].name}*")
    )
    collections = []
    for path in made:
        assert find_sensor(path.name) is not None
        (draft,) = drafts(path)
        assert draft.item.id == path.name
        collections.append(draft.item.collection_id)
    assert collections == ["hydrosar_rtc", "hydrosar_water"]


def test_a_product_of_loose_files_may_be_named_by_one_of_them_and_another_file_is_another_fingerprint(tmp_path: Path) -> None:
    stem = generate_hydrosar("rtc", WHEN, tmp_path, size=SIDE, container="loose", everything=False)
    (whole,) = look([tmp_path]).offers
    (by_file,) = look([Path(f"{stem}_VV.tif")]).offers
    (by_name,) = look([stem]).offers
    assert (by_file.id, by_file.fingerprint) == (by_name.id, by_name.fingerprint) == (whole.id, whole.fingerprint)
    Path(f"{stem}_dem.tif").write_bytes(b"x")
    assert look([stem]).offers[0].fingerprint != whole.fingerprint


def test_names_of_other_archives_are_read_too(drafts: Drafts, tmp_path: Path) -> None:
    """Bare endings, without the prefixes that HydroSAR gives them, and only what a transfer brought."""
    packed = generate_hydrosar("water", WHEN, tmp_path / "one", size=SIDE)
    with zipfile.ZipFile(packed) as source, zipfile.ZipFile(tmp_path / packed.name, "w") as target:
        for member in source.namelist():
            if member.endswith(("_VV.tif", "_VH.tif", "_WM.tif", "_HAND.tif", "_FloodDepth.tif")):
                target.writestr(member.replace("_WM_HAND", "_HAND").replace("_FM_iterative", ""), source.read(member))
    (draft,) = drafts(tmp_path / packed.name)
    assert list(draft.bands) == ["water", "hand", "flood_depth", "vv", "vh"]


def test_a_package_without_a_band_says_which(drafts: Drafts, tmp_path: Path) -> None:
    product = generate_hydrosar("rtc", WHEN, tmp_path, size=SIDE, container="dir")
    (product / f"{product.name}_VH.tif").unlink()
    with pytest.raises(BadProduct, match=rf"{product.name}: hydrosar_rtc needs vh; hydrosar_water needs water, hand, vh"):
        drafts(product)


def rewrite(path: Path, **changes: Any) -> None:
    with rasterio.open(path) as file:
        profile, data = file.profile, file.read()
    path.unlink()
    profile |= {"driver": "GTiff", "tiled": False, **changes}
    data = data[:, : profile["height"]].astype(profile["dtype"])
    for key in ("blockxsize", "blockysize"):
        profile.pop(key)
    with rasterio.open(path, "w", **profile) as file:
        file.write(data)


def test_bands_that_should_lie_on_one_grid_and_do_not_are_refused(drafts: Drafts, tmp_path: Path) -> None:
    product = generate_hydrosar("rtc", WHEN, tmp_path, size=SIDE, container="dir", everything=False)
    rewrite(product / f"{product.name}_VH.tif", height=SIDE - 1)
    with pytest.raises(BadProduct, match=r"_VH\.tif and .*_VV\.tif should lie on one grid"):
        drafts(product)


def test_a_file_without_a_georeference_is_refused(drafts: Drafts, tmp_path: Path) -> None:
    product = generate_hydrosar("rtc", WHEN, tmp_path, size=SIDE, container="dir", everything=False)
    rewrite(product / f"{product.name}_VV.tif", crs=None)
    with pytest.raises(BadProduct, match=r"_VV\.tif lies on no map grid with north up \(CRS missing"):
        drafts(product)


def test_a_link_among_loose_files_is_refused(drafts: Drafts, tmp_path: Path) -> None:
    stem = generate_hydrosar("rtc", WHEN, tmp_path, size=SIDE, container="loose", everything=False)
    Path(f"{stem}_rgb.tif").symlink_to("/etc/passwd")
    with pytest.raises(UnsafeProduct, match=r"_rgb\.tif is refused: it is a link"):
        drafts(stem)


def test_same_arguments_make_the_same_bytes(tmp_path: Path) -> None:
    one, other = (generate_hydrosar("water", datetime(2020, 2, 11, tzinfo=UTC), tmp_path / name, size=SIDE) for name in ("a", "b"))
    assert one.read_bytes() == other.read_bytes()


@pytest.mark.parametrize("kind", ["hydrosar_rtc", "hydrosar_water"])
def test_the_command_makes_packages(drafts: Drafts, tmp_path: Path, kind: str) -> None:
    from click.testing import CliRunner

    from eolake.ingest.simulators.command import simulate

    arguments = ["products", str(tmp_path / "in"), "--kind", kind, "--when", "2020-02-11T19:20:00Z", "--size", "40"]
    done = CliRunner().invoke(simulate, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    (draft,) = drafts(Path(done.stdout.strip()))
    assert draft.item.collection_id == kind
