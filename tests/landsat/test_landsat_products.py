"""Generated products of every declared Landsat collection become drafts, in every container; broken ones say what is broken."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from support.landsat_products import CORNERS, Product, product

from eolake.catalog.declaration import declared, declared_collections
from eolake.catalog.draft import Draft
from eolake.catalog.errors import BadProduct, UnsafeProduct
from eolake.catalog.stac.items import complete_item
from eolake.ingest.sensors import find_sensor, identify
from eolake.ingest.sensors.landsat import LandsatSensor

COLLECTIONS = [name for name, found in declared_collections().items() if found.constellation == "landsat" and found.source is None]


def _open(path: Path, tmp_path: Path) -> Draft:
    workspace = tmp_path / "workspace"
    workspace.mkdir(exist_ok=True)
    (draft,) = LandsatSensor().open(path, workspace)
    return draft


def _same_pixels(draft: Draft, made: Product) -> None:
    for name, band in draft.bands.items():
        declaration = made.collection.band(name)
        pixels = band.read()
        np.testing.assert_array_equal(pixels.data, made.pixels(declaration), strict=True)
        assert pixels.transform == made.transform(declaration)
        assert pixels.crs == made.crs
        assert pixels.nodata == declaration.nodata


@pytest.mark.parametrize("collection", COLLECTIONS)
def test_every_collection_opens(tmp_path: Path, collection: str, validate_stac: Callable[[Mapping[str, Any]], None]) -> None:
    made = product(collection)
    path = made.write(tmp_path)
    sensor = find_sensor(made.name)
    assert isinstance(sensor, LandsatSensor)
    draft = _open(path, tmp_path)
    assert draft.item.collection_id == collection
    assert draft.item.id == made.name
    assert list(draft.bands) == [band.name for band in declared(collection).bands]
    _same_pixels(draft, made)
    validate_stac(complete_item(draft.item, declared(str(draft.item.collection_id)), {}))
    outline = shapely.geometry.shape(draft.item.geometry)
    assert outline.is_valid
    assert outline.exterior.is_ccw
    assert list(draft.item.bbox or ()) == list(outline.bounds)


@pytest.mark.parametrize("ending", [".tar", ".tar.gz"])
@pytest.mark.parametrize("top", [False, True])
@pytest.mark.parametrize("collection", ["ls8_c1_l1", "ls9_c2_l2"])
def test_archives_give_the_same_draft_as_the_directory(tmp_path: Path, collection: str, ending: str, *, top: bool) -> None:
    made = product(collection)
    archive = made.pack(tmp_path, ending, top=top)
    packed, plain = _open(archive, tmp_path), _open(tmp_path / "unpacked" / made.name, tmp_path)
    assert packed.item.to_dict() == plain.item.to_dict()
    _same_pixels(packed, made)
    assert {key: found.path.read_bytes() for key, found in packed.attachments.items()} == {
        key: found.path.read_bytes() for key, found in plain.attachments.items()
    }


@pytest.mark.parametrize("formats", [("json",), ("xml",), ("json", "xml"), ("txt", "json", "xml")])
def test_any_format_of_the_metadata_is_enough(tmp_path: Path, formats: tuple[str, ...]) -> None:
    draft = _open(product("ls8_c2_l2", formats=formats).write(tmp_path / "one"), tmp_path)
    text = _open(product("ls8_c2_l2").write(tmp_path / "other"), tmp_path)
    assert draft.item.to_dict() == text.item.to_dict()
    assert sorted(draft.attachments) == sorted(f"mtl_{kind}" for kind in formats)


def test_a_complete_item(tmp_path: Path) -> None:
    draft = _open(product("ls8_c2_l2").write(tmp_path), tmp_path)
    assert draft.item.datetime == datetime(2016, 1, 21, 23, 50, 23, 54435, tzinfo=UTC)
    expected = {
        "platform": "landsat-8",
        "instruments": ["oli", "tirs"],
        "constellation": "landsat",
        "gsd": 30.0,
        "eo:cloud_cover": 12.34,
        "view:sun_azimuth": 74.0074438,
        "view:sun_elevation": 55.486483,
        "view:off_nadir": 0.0,
        "grid:code": "WRS2-090084",
        "proj:code": "EPSG:32655",
        "processing:level": "L2",
        "processing:datetime": "2020-09-07T20:00:00Z",
        "processing:software": {"LPGS": "15.3.1c", "LaSRC": "1.5.0"},
        "product:type": "L2SP",
        "odc:region_code": "090084",
        "dea:dataset_maturity": "final",
        "landsat:scene_id": "LC80900842016021LGN02",
        "landsat:collection_category": "T1",
        "landsat:collection_number": "02",
        "landsat:wrs_type": "2",
        "landsat:wrs_path": "090",
        "landsat:wrs_row": "084",
        "landsat:cloud_cover_land": 12.5,
        "landsat:correction": "L2SP",
        "landsat:product_generated": "2020-09-07T20:00:00Z",
    }
    assert {key: value for key, value in draft.item.properties.items() if key != "datetime"} == expected


def _changed(collection: str, group: str, **values: str | None) -> Product:
    made = product(collection)
    for key, value in values.items():
        if value is None:
            del made.groups[group][key]
        else:
            made.groups[group][key] = value
    return made


def test_cloud_cover_minus_one_is_unknown(tmp_path: Path, validate_stac: Callable[[Mapping[str, Any]], None]) -> None:
    made = _changed("ls8_c2_l1", "IMAGE_ATTRIBUTES", CLOUD_COVER="-1", CLOUD_COVER_LAND="-1.00")
    draft = _open(made.write(tmp_path), tmp_path)
    assert "eo:cloud_cover" not in draft.item.properties
    assert draft.item.properties["landsat:cloud_cover_land"] == -1  # required by the extension, which knows -1
    validate_stac(complete_item(draft.item, declared(str(draft.item.collection_id)), {}))


@pytest.mark.parametrize(
    ("flag", "roll", "off_nadir"), [('"NADIR"', "-0.012", 0.0), ('"OFFNADIR"', "-11.696", 11.696), ('"OFFNADIR"', "14.9", 14.9)]
)
def test_off_nadir_is_the_roll_of_scenes_that_look_aside(tmp_path: Path, flag: str, roll: str, off_nadir: float) -> None:
    made = _changed("ls8_c2_l1", "IMAGE_ATTRIBUTES", NADIR_OFFNADIR=flag, ROLL_ANGLE=roll)
    assert _open(made.write(tmp_path), tmp_path).item.properties["view:off_nadir"] == off_nadir


def test_a_western_sun_is_counted_from_north(tmp_path: Path) -> None:
    made = _changed("ls8_c2_l1", "IMAGE_ATTRIBUTES", SUN_AZIMUTH="-169.5")
    assert _open(made.write(tmp_path), tmp_path).item.properties["view:sun_azimuth"] == 190.5


def test_real_time_scenes_are_of_the_moment(tmp_path: Path) -> None:
    draft = _open(_changed("ls8_c2_l1", "PRODUCT_CONTENTS", COLLECTION_CATEGORY='"RT"').write(tmp_path), tmp_path)
    assert draft.item.properties["dea:dataset_maturity"] == "nrt"


def test_the_later_processing_outranks_and_the_tier_decides_a_draw(tmp_path: Path) -> None:
    def draft(folder: str, *, tier: str, when: str) -> Draft:
        made = _changed("ls8_c2_l1", "PRODUCT_CONTENTS", COLLECTION_CATEGORY=f'"{tier}"')
        made.groups["LEVEL1_PROCESSING_RECORD"]["DATE_PRODUCT_GENERATED"] = when
        return _open(made.write(tmp_path / folder), tmp_path)

    early, late = "2020-09-07T19:30:05Z", "2020-09-20T10:00:00Z"
    drafts = [
        draft(str(n), tier=tier, when=when) for n, (tier, when) in enumerate([("RT", early), ("T2", early), ("T1", early), ("T2", late)])
    ]
    assert len({found.scene_key for found in drafts}) == 1
    ranks = [found.rank for found in drafts]
    assert ranks == sorted(ranks)
    assert len(set(ranks)) == 4


def test_levels_and_collections_are_processings_of_their_own(tmp_path: Path) -> None:
    keys = {name: _open(product(name).write(tmp_path / name), tmp_path).scene_key for name in ("ls8_c1_l1", "ls8_c2_l1", "ls8_c2_l2")}
    assert len(set(keys.values())) == 3
    assert keys["ls8_c2_l2"] == _open(product("ls8_c2_l2sr").write(tmp_path / "sr"), tmp_path).scene_key


@pytest.mark.parametrize("collection", ["ls8_c1_l1", "ls8_c2_l1", "ls7_c1_l1"])
def test_level_1_has_the_scale_of_its_scene(tmp_path: Path, collection: str) -> None:
    made = product(collection)
    group = "RADIOMETRIC_RESCALING" if "c1" in collection else "LEVEL1_RADIOMETRIC_RESCALING"
    made.groups[group] |= {"REFLECTANCE_MULT_BAND_3": "1.5E-05", "REFLECTANCE_ADD_BAND_3": "-0.2"}
    bands = _open(made.write(tmp_path), tmp_path).bands
    name = made.collection.band("B3").name
    assert bands[name].properties == {
        "raster:scale": 1.5e-5,
        "raster:offset": -0.2,
        "eolake:radiance_scale": 0.012965,
        "eolake:radiance_offset": -64.82708,
    }
    thermal = "lwir_low" if collection.startswith("ls7") else "lwir11"
    assert bands[thermal].properties == {"raster:scale": 0.012965, "raster:offset": -64.82708}
    quality = "bqa" if "c1" in collection else "qa_pixel"
    assert bands[quality].properties == {}


def test_thermal_bands_keep_their_constants(tmp_path: Path) -> None:
    made = product("ls8_c2_l1")
    made.groups["LEVEL1_THERMAL_CONSTANTS"] = {"K1_CONSTANT_BAND_10": "774.8853", "K2_CONSTANT_BAND_10": "1321.0789"}
    properties = _open(made.write(tmp_path), tmp_path).bands["lwir11"].properties
    assert properties["eolake:k1"] == 774.8853
    assert properties["eolake:k2"] == 1321.0789


def test_before_the_collections_there_was_radiance_only(tmp_path: Path) -> None:
    draft = _open(product("ls5_pre_l1").write(tmp_path), tmp_path)
    assert draft.bands["red"].properties == {"raster:scale": 0.012965, "raster:offset": -64.82708}
    assert not any(key.startswith("landsat:") for key in draft.item.properties)
    assert declared("ls5_pre_l1").band("red").unit == "W.m-2.sr-1.um-1"


def test_a_level_2_product_with_other_scales_is_refused(tmp_path: Path) -> None:
    made = _changed("ls8_c2_l2", "LEVEL2_SURFACE_REFLECTANCE_PARAMETERS", REFLECTANCE_ADD_BAND_4="-0.1")
    with pytest.raises(BadProduct, match=r"REFLECTANCE_ADD_BAND_4 is -0.1; red of ls8_c2_l2 has -0.2"):
        _open(made.write(tmp_path), tmp_path)


def test_missing_files_are_named(tmp_path: Path) -> None:
    made = product("ls8_c2_l2", left_out={"SR_B4", "ST_QA"})
    with pytest.raises(BadProduct, match=r"not in the package: LC08_\w+_SR_B4.TIF, LC08_\w+_ST_QA.TIF$"):
        _open(made.write(tmp_path), tmp_path)
    many = product("ls8_c2_l2", left_out={band.aliases[0] for band in made.collection.bands})
    with pytest.raises(BadProduct, match=r"SR_B3.TIF and 16 more$"):
        _open(many.write(tmp_path / "many"), tmp_path)


def test_optional_files_may_be_missing(tmp_path: Path) -> None:
    made = product("ls8_c2_l1", left_out={"QA_RADSAT", "SAA", "SZA", "VAA", "VZA"})
    draft = _open(made.write(tmp_path), tmp_path)
    assert list(draft.bands) == [band.name for band in made.collection.measurements]
    _same_pixels(draft, made)


def test_unlisted_bands_are_named(tmp_path: Path) -> None:
    made = _changed("ls8_c2_l1", "PRODUCT_CONTENTS", FILE_NAME_B10=None, FILE_NAME_B11=None)
    with pytest.raises(BadProduct, match=r"lists no file for lwir11 \(B10\), lwir12 \(B11\), which ls8_c2_l1 needs"):
        _open(made.write(tmp_path), tmp_path)


REFUSED = [
    ("IMAGE_ATTRIBUTES", {"SENSOR_ID": '"RBV"'}, "sensor RBV are not supported"),
    ("IMAGE_ATTRIBUTES", {"SPACECRAFT_ID": '"LANDSAT_1"'}, "no collection ls1_c2_l1 is declared for L1TP products of Landsat 1 "),
    ("IMAGE_ATTRIBUTES", {"SPACECRAFT_ID": '"SENTINEL_2"'}, "no Landsat satellite"),
    ("IMAGE_ATTRIBUTES", {"DATE_ACQUIRED": "2016-02-31"}, "no date and time"),
    ("IMAGE_ATTRIBUTES", {"SCENE_CENTER_TIME": None}, "IMAGE_ATTRIBUTES has no SCENE_CENTER_TIME"),
    ("IMAGE_ATTRIBUTES", {"SUN_ELEVATION": "high"}, "SUN_ELEVATION is 'high', not a number"),
    ("IMAGE_ATTRIBUTES", {"WRS_PATH": "../1"}, "no WRS path or row"),
    ("PRODUCT_CONTENTS", {"COLLECTION_NUMBER": "03"}, "Landsat Collection 03 is not known"),
    ("PRODUCT_CONTENTS", {"PROCESSING_LEVEL": '"L3"'}, "products of level L3 are not known"),
    ("PRODUCT_CONTENTS", {"LANDSAT_PRODUCT_ID": '"../../etc/passwd"'}, "no name of a Landsat product"),
    ("PRODUCT_CONTENTS", {"LANDSAT_PRODUCT_ID": '"LC08_L1TP_090085_20160121_20200907_02_T1"'}, "metadata of another product"),
    ("PROJECTION_ATTRIBUTES", {"UTM_ZONE": "61"}, "neither a UTM zone"),
]


@pytest.mark.parametrize(("group", "values", "message"), REFUSED)
def test_impossible_metadata_is_refused_with_its_cause(tmp_path: Path, group: str, values: dict[str, str | None], message: str) -> None:
    with pytest.raises(BadProduct, match=message):
        _open(_changed("ls8_c2_l1", group, **values).write(tmp_path), tmp_path)


def test_polar_scenes_keep_their_grid(tmp_path: Path) -> None:
    made = _changed("ls8_c2_l1", "PROJECTION_ATTRIBUTES", UTM_ZONE=None, MAP_PROJECTION='"PS"', TRUE_SCALE_LAT="-71.00000")
    made.crs = "EPSG:3031"
    draft = _open(made.write(tmp_path), tmp_path)
    assert draft.item.properties["proj:code"] == "EPSG:3031"
    assert draft.item.bbox is not None
    assert draft.item.bbox[3] < -40


def test_a_nodata_tag_that_no_pixel_has_is_only_a_tag(tmp_path: Path) -> None:
    made = product("ls5_pre_l1", tags={"B3": 255.0})
    band = made.collection.band("B3")
    made.pixels(band)[made.pixels(band) == 255] = 254
    _same_pixels(_open(made.write(tmp_path), tmp_path), made)


def test_pixels_with_another_nodata_are_refused(tmp_path: Path) -> None:
    made = product("ls5_pre_l1", tags={"B2": 255.0})
    made.pixels(made.collection.band("B2"))[20, 20] = 255
    draft = _open(made.write(tmp_path), tmp_path)
    with pytest.raises(BadProduct, match=r"B2.TIF marks missing pixels by 255; its collection has 0"):
        draft.bands["green"].read()


def test_a_band_of_another_type_is_refused(tmp_path: Path) -> None:
    path = product("ls8_c2_l1").write(tmp_path)
    (path / f"{path.name}_B5.TIF").unlink()
    byte = product("ls5_c1_l1").write(tmp_path)
    (byte / f"{byte.name}_B5.TIF").rename(path / f"{path.name}_B5.TIF")
    with pytest.raises(BadProduct, match=r"B5.TIF is uint8; nir08 of ls8_c2_l1 is uint16"):
        _open(path, tmp_path)


def test_bands_of_one_grid_share_it(tmp_path: Path) -> None:
    path = product("ls8_c2_l1").write(tmp_path)
    other = product("ls8_c2_l1", size=41).write(tmp_path / "other")
    (other / f"{path.name}_B5.TIF").replace(path / f"{path.name}_B5.TIF")
    with pytest.raises(BadProduct, match=r"B5.TIF and \w+_B1.TIF should lie on one grid"):
        _open(path, tmp_path)


def test_a_raster_without_a_map_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadProduct, match="no map grid"):
        _open(product("ls8_c2_l1", crs="").write(tmp_path), tmp_path)


def test_a_cut_off_band_is_refused_by_name(tmp_path: Path) -> None:
    path = product("ls8_c2_l1", size=300).write(tmp_path)
    for number in (4, 5):
        band = path / f"{path.name}_B{number}.TIF"
        content = band.read_bytes()
        band.write_bytes(content[: len(content) // 2])
        with pytest.raises(BadProduct, match=rf"_B{number}.TIF"):
            _open(path, tmp_path).bands["nir08"].read()
        band.write_bytes(content)


def test_a_cut_off_archive_is_refused(tmp_path: Path) -> None:
    archive = product("ls8_c1_l1").pack(tmp_path, ".tar.gz")
    archive.write_bytes(archive.read_bytes()[:-4000])
    with pytest.raises(BadProduct, match=archive.name):
        _open(archive, tmp_path)


def test_links_in_a_directory_are_refused(tmp_path: Path) -> None:
    path = product("ls8_c1_l1").write(tmp_path)
    (path / f"{path.name}_ANG.txt").symlink_to("/etc/passwd")
    with pytest.raises(UnsafeProduct):
        _open(path, tmp_path)


def test_a_folder_of_two_products_is_refused(tmp_path: Path) -> None:
    one, two = product("ls8_c1_l1").write(tmp_path), product("ls8_c2_l1").write(tmp_path)
    for path in two.iterdir():
        path.rename(one / path.name)
    folder = one.rename(tmp_path / "mixed")
    with pytest.raises(BadProduct, match=rf"mixed holds the metadata of 2 products \({one.name}, {two.name}\)"):
        _open(folder, tmp_path)


def test_a_folder_without_metadata_says_so(tmp_path: Path) -> None:
    with pytest.raises(BadProduct, match="has no metadata file"):
        _open(product("ls8_c1_l1", formats=()).write(tmp_path), tmp_path)


def test_an_empty_scene_has_the_footprint_of_its_metadata(tmp_path: Path) -> None:
    made = product("ls8_c1_l1")
    made.pixels(made.collection.band("red"))[:] = 0
    path = made.write(tmp_path)
    assert set(_corners(_open(path, tmp_path))) == set(CORNERS.values())
    (path / f"{path.name}_ANG.txt").write_text(
        "UL_CORNER = ( 642000.000, -3714600.000)\n"
        "BAND01_L1T_IMAGE_CORNER_LINES = ( 13, 1413, 7913, 6513)\n"
        "BAND01_L1T_IMAGE_CORNER_SAMPS = ( 1563, 7683, 6336, 220)\n"
    )
    tilted = _open(path, tmp_path)
    assert len(_corners(tilted)) == 4
    assert not set(_corners(tilted)) & set(CORNERS.values())
    assert tilted.attachments["ang"].media_type == "text/plain"


def _corners(draft: Draft) -> list[tuple[float, float]]:
    ring = (draft.item.geometry or {})["coordinates"][0]
    return [(round(lon, 5), round(lat, 5)) for lon, lat in ring[:-1]]


@pytest.mark.parametrize("name", ["anything", "S2A_MSIL1C_20171207T002051_N0206_R116_T55JEJ_20171207T014445", "LC08_L1TP_090084"])
def test_other_names_are_not_landsat(name: str) -> None:
    assert not LandsatSensor().matches(name)


KNOWN = ["LC09_L2SP_112081_20220209_20220210_02_T1", "LE07_L1GT_104078_20130429_20161124_01_RT", "LT52240631988227CUB02"]


@pytest.mark.parametrize("name", KNOWN)
def test_landsat_names_are_known(name: str) -> None:
    assert LandsatSensor().matches(name)


def test_a_folder_with_a_name_of_its_own_is_known_by_its_files(tmp_path: Path) -> None:
    made = product("ls8_c1_l1")
    folder = made.write(tmp_path).rename(tmp_path / "holiday pictures")
    found = identify(folder)
    assert found is not None
    assert isinstance(found[0], LandsatSensor)
    assert found[1] == made.name
    assert _open(folder, tmp_path).item.id == made.name
    assert identify(tmp_path) is None
    packed = tmp_path / f"{made.name}.tar.gz"
    packed.write_bytes(gzip.compress(b""))
    assert identify(packed) is not None
