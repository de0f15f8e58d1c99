"""Old and unusual layouts of Sentinel-2 products, and products that are no products."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import shapely
from support.sentinel2_layouts import as_aws, as_large, edit, granule_of, main_of

from eolake.catalog.declaration import declared
from eolake.catalog.draft import Draft
from eolake.catalog.errors import BadProduct
from eolake.ingest.sensors.sentinel2.layout import WANTED, band_pattern
from eolake.ingest.sensors.sentinel2.names import product_name, tile_name

Drafts = Callable[[Path], list[Draft]]
Generated = Callable[..., Path]
LARGE = "S2A_OPER_PRD_MSIL1C_PDMC_20160318T145513_R142_V20150918T015024_20150918T015024.SAFE"


def test_names() -> None:
    name = product_name("S2A_MSIL1C_20171207T002051_N0206_R116_T55JEJ_20171207T032513.SAFE")
    assert name is not None
    assert (name.spacecraft, name.level, name.datatake, name.baseline) == ("S2A", "L1C", "20171207T002051", "02.06")
    assert (name.relative_orbit, name.tile, name.stamp) == (116, "55JEJ", "20171207T032513")
    tile = tile_name("S2B_OPER_MSI_L1C_TL_EPAE_20180617T013729_A006677_T55JGF_N02.06")
    assert tile is not None
    assert (tile.spacecraft, tile.level, tile.stamp, tile.absolute_orbit) == ("S2B", "L1C", "20180617T013729", 6677)
    assert (tile.tile, tile.baseline) == ("55JGF", "02.06")
    assert product_name(LARGE) is tile_name(LARGE) is None


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("MTD_MSIL1C.xml", True),
        ("MTD_MSIL2a.xml", True),
        ("GRANULE/L1C_T55JEJ_A012840_20171207T002252/MTD_TL.xml", True),
        ("GRANULE/L1C_T55JEJ_A012840_20171207T002252/IMG_DATA/T55JEJ_20171207T002051_B8A.jp2", True),
        ("GRANULE/L2A_T55JEJ_A012840_20171207T002252/IMG_DATA/R20m/T55JEJ_20171207T002051_SCL_20m.jp2", True),
        ("GRANULE/L2A_T55JEJ_A012840_20171207T002252/QI_DATA/MSK_CLDPRB_20m.jp2", True),
        ("R20m/B05.jp2", True),
        ("metadata.xml", True),
        ("tileInfo.json", True),
        ("qi/CLD_20m.jp2", True),
        ("DATASTRIP/DS_SGS__20171207T032513_S20171207T002252/MTD_DS.xml", False),
        ("datastrip/metadata.xml", False),
        ("preview/B05.jp2", False),
        ("creds", False),
        ("manifest.safe", True),
        ("GRANULE/L1C_T55JEJ_A012840_20171207T002252/IMG_DATA/T55JEJ_20171207T002051_TCI.jp2", False),
        ("GRANULE/L1C_T55JEJ_A012840_20171207T002252/QI_DATA/MSK_DETFOO_B05.jp2", False),
        ("qi/MSK_QUALIT_B05.jp2", False),
        ("GRANULE/L2A_T55JEJ_A012840_20171207T002252/QI_DATA/MSK_CLDPRB_60m.jp2", False),
    ],
)
def test_wanted(name: str, wanted: bool) -> None:
    assert bool(WANTED.search(name)) == wanted


def test_native_pixel_sizes() -> None:
    """Of the copies of B02 at 10, 20 and 60 m only the first is blue, of those of SCL only that at 20 m."""
    names = [
        f"IMG_DATA/R{pixel}m/T56HKH_20200108T001109_{code}_{pixel}m.jp2" for pixel in (10, 20, 60) for code in ("B02", "SCL", "B01", "B12")
    ]
    names += [f"R{pixel}m/{code}.jp2" for pixel in (10, 20, 60) for code in ("B02", "SCL", "B01", "B12")]
    found = {}
    for key in ("blue", "scl", "coastal", "swir22"):
        pattern = band_pattern(declared("s2_l2a").band(key))
        found[key] = {match[0] for name in names if pattern.search(name) and (match := re.search(r"R\d0m", name))}
    assert found == {"blue": {"R10m"}, "scl": {"R20m"}, "coastal": {"R60m"}, "swir22": {"R20m"}}


def test_products_of_several_tiles(generated: Generated, drafts: Drafts, tmp_path: Path) -> None:
    """Before December 2016: one draft for each tile, named by its granule id, with the part of the footprint in it."""
    product = generated("s2_l1c", "02.06")
    (single,) = drafts(product)
    found = drafts(as_large(product, tmp_path / LARGE, ("56HKH", "56HKJ")))
    assert [draft.item.id[-13:] for draft in found] == ["T56HKH_N02.06", "T56HKJ_N02.06"]
    for draft in found:
        assert draft.item.id.startswith("S2B_OPER_MSI_L1C_TL_EPAE_")
        assert draft.item.properties["s2:product_uri"] == LARGE
        assert draft.item.properties["sat:relative_orbit"] == 73
        shape, whole = (shapely.geometry.shape(one.item.geometry) for one in (draft, single))
        assert shape.hausdorff_distance(whole) < 1e-5, "the frame of these tiles is just around the footprint"
        assert np.array_equal(draft.bands["nir08"].read().data, single.bands["nir08"].read().data)
    assert found[0].scene_key == single.scene_key
    assert found[1].scene_key != single.scene_key


def test_level2a_before_2018(generated: Generated, drafts: Drafts) -> None:
    """The first Level-2A products say L2A_Product_Info, and L2A_ stands before the names of their images."""
    product = generated("s2_l2a", "02.06")
    (expected,) = drafts(product)
    main = main_of(product)
    for name in ("Product_Info", "Product_Image_Characteristics", "Product_Organisation", "BOA_QUANTIFICATION_VALUE"):
        edit(main, rf"(</?){name}\b", rf"\g<1>L2A_{name}")
    for image in list((granule_of(product) / "IMG_DATA").rglob("*.jp2")):
        image.rename(image.with_name(f"L2A_{image.name}"))
    (draft,) = drafts(product)
    assert draft.item.to_dict() == expected.item.to_dict()
    assert set(draft.bands) == set(expected.bands)


def test_a_flat_folder(generated: Generated, drafts: Drafts, tmp_path: Path) -> None:
    """All files of a product in one folder."""
    product = generated("s2_l1c")
    flat = tmp_path / product.name
    flat.mkdir()
    for path in (main_of(product), granule_of(product) / "MTD_TL.xml", *granule_of(product).glob("IMG_DATA/*_B*.jp2")):
        shutil.copy(path, flat)
    (draft,) = drafts(flat)
    assert {band.name for band in declared("s2_l1c").measurements} == set(draft.bands)


def test_an_archive_within_a_folder(generated: Generated, drafts: Drafts, tmp_path: Path) -> None:
    """As the real sample: an AWS tile in a zip, below a folder of its name."""
    folder = as_aws(generated("s2_l2a", "02.06"), tmp_path / "zipped" / "S2B_OPER_MSI_L2A_TL_EPAE_20200108T024009_A014828_T56HKH_N02.06")
    archive = shutil.make_archive(str(tmp_path / f"{folder.name}.AWSPDS"), "zip", folder.parent, folder.name)
    (draft,) = drafts(Path(archive))
    assert draft.bands["red"].read().data.shape == (60, 60)
    assert {"cloud_probability", "snow_probability"} < set(draft.bands)


def test_an_aws_tile_of_a_product_of_several_tiles(generated: Generated, drafts: Drafts, tmp_path: Path) -> None:
    """The product's name is not the tile's: the granule id names it, for several tiles share the product."""
    folder = as_aws(generated("s2_l1c", "02.06"), tmp_path / "S2B_aws")
    (folder / "productInfo.json").unlink()
    edit(folder / "tileInfo.json", '"productName": "[^"]*"', f'"productName": "{LARGE.removesuffix(".SAFE")}"')
    (draft,) = drafts(folder)
    assert draft.item.id == "S2B_OPER_MSI_L1C_TL_EPAE_20200108T024009_A014828_T56HKH_N02.06"
    assert draft.rank == (2, 6, "20200108T024009")
    assert "s2:product_uri" not in draft.item.properties


def remove_tile(product: Path) -> None:
    (granule_of(product) / "MTD_TL.xml").unlink()


def remove_main(product: Path) -> None:
    main_of(product).unlink()


def double_main(product: Path) -> None:
    shutil.copy(main_of(product), product / "MTD_MSIL2A.xml")


def double_band(product: Path) -> None:
    (image,) = granule_of(product).glob("IMG_DATA/*_B04.jp2")
    shutil.copy(image, image.with_name("T56HKH_20200109T001109_B04.jp2"))


def other_tile(product: Path) -> None:
    edit(granule_of(product) / "MTD_TL.xml", "_T56HKH_", "_T55HKH_")


def other_type(product: Path) -> None:
    edit(main_of(product), "<PRODUCT_TYPE>S2MSI1C<", "<PRODUCT_TYPE>S2MSI2A<")


def unknown_tile_id(product: Path) -> None:
    edit(granule_of(product) / "MTD_TL.xml", "(<TILE_ID[^>]*>)[^<]*<", r"\g<1>tile 7<")


def two_corners(product: Path) -> None:
    edit(granule_of(product) / "MTD_TL.xml", r"<ULX>\d+</ULX>", "<ULX>1</ULX>", count=1)


def no_size(product: Path) -> None:
    edit(granule_of(product) / "MTD_TL.xml", 'Size resolution="20"', 'Size resolution="30"')


def strange_crs(product: Path) -> None:
    edit(granule_of(product) / "MTD_TL.xml", "EPSG:32756", "UTM56S")


def no_datatake(product: Path) -> None:
    edit(main_of(product), ' datatakeIdentifier="[^"]*"', "")


def no_time(product: Path) -> None:
    edit(main_of(product), "<PRODUCT_START_TIME>.*?<", "<PRODUCT_START_TIME>yesterday<")


def no_footprint(product: Path) -> None:
    edit(main_of(product), "<EXT_POS_LIST>.*</EXT_POS_LIST>", "<EXT_POS_LIST/>")


def broken_xml(product: Path) -> None:
    main_of(product).write_bytes(main_of(product).read_bytes()[:2000])


def entity_bomb(product: Path) -> None:
    main_of(product).write_text('<!DOCTYPE x [<!ENTITY a "aaaa">]><x>&a;</x>')


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (remove_tile, r"has no tile metadata \(MTD_TL\.xml; metadata\.xml in AWS layout\)$"),
        (remove_main, r"has no product metadata \(MTD_MSIL1C\.xml or MTD_MSIL2A\.xml\)$"),
        (double_main, "has the metadata of 2 products: MTD_MSIL1C.xml, MTD_MSIL2A.xml$"),
        (double_band, "has 2 files for band B04: .*_20200108T001109_B04.jp2, .*_20200109T001109_B04.jp2$"),
        (other_tile, r"MTD_MSIL1C\.xml is of L1C T56HKH, but \S+MTD_TL\.xml of L1C T55HKH$"),
        (other_type, r"MTD_MSIL1C\.xml is S2MSI2A, but \S+MTD_TL\.xml is L1C$"),
        (unknown_tile_id, r"MTD_TL\.xml: TILE_ID 'tile 7' has a form that is not known$"),
        (two_corners, r"MTD_TL\.xml: Tile_Geocoding gives 2 upper left corners instead of one$"),
        (no_size, r"MTD_TL\.xml: Tile_Geocoding does not give the sizes of the grids of 10, 20 and 60 m$"),
        (strange_crs, r"MTD_TL\.xml: HORIZONTAL_CS_CODE 'UTM56S' is no zone of UTM$"),
        (no_datatake, r"MTD_MSIL1C\.xml: Datatake has no attribute datatakeIdentifier$"),
        (no_time, r"MTD_MSIL1C\.xml: PRODUCT_START_TIME is not a time: 'yesterday'$"),
        (no_footprint, r"MTD_MSIL1C\.xml has no value in Product_Footprint/Product_Footprint/Global_Footprint/EXT_POS_LIST$"),
        (broken_xml, r"MTD_MSIL1C\.xml is not valid XML"),
        (entity_bomb, r"MTD_MSIL1C\.xml holds a DTD or entities"),
    ],
)
def test_broken_products_say_what_is_wrong(generated: Generated, drafts: Drafts, damage: Callable[[Path], None], message: str) -> None:
    product = generated("s2_l1c")
    damage(product)
    with pytest.raises(BadProduct, match=message):
        drafts(product)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("tileInfo.json", "[]", r"tileInfo\.json is not a JSON object"),
        ("tileInfo.json", "{", r"tileInfo\.json is not valid JSON"),
        ("tileInfo.json", "{}", r"tileInfo\.json: timestamp is not a time: 'None'"),
        ("productInfo.json", "7", r"productInfo\.json is not a JSON object"),
    ],
)
def test_broken_aws_documents(generated: Generated, drafts: Drafts, tmp_path: Path, name: str, content: str, message: str) -> None:
    folder = as_aws(generated("s2_l1c"), tmp_path / "S2B_aws")
    (folder / name).write_text(content)
    with pytest.raises(BadProduct, match=message):
        drafts(folder)


def test_empty_angles(generated: Generated, drafts: Drafts) -> None:
    """Tiles with very little data have NaN for the view of some bands, or of all; an azimuth turns over north."""
    product = generated("s2_l1c")
    tile = granule_of(product) / "MTD_TL.xml"
    view = r'(<Mean_Viewing_Incidence_Angle bandId="{}">\s*<ZENITH_ANGLE[^>]*>)[\d.]+(</ZENITH_ANGLE>\s*<AZIMUTH_ANGLE[^>]*>)[\d.]+'
    for band in range(2, 13):
        edit(tile, view.format(band), r"\g<1>NaN\g<2>NaN")
    edit(tile, view.format(0), r"\g<1>4\g<2>359")
    edit(tile, view.format(1), r"\g<1>6\g<2>3")
    properties = drafts(product)[0].item.properties
    assert (properties["view:incidence_angle"], properties["view:azimuth"]) == (5, 1)
    assert properties["view:off_nadir"] == 4.45
    for band in range(2):
        edit(tile, view.format(band), r"\g<1>NaN\g<2>NaN")
    edit(tile, r"(<Mean_Sun_Angle>\s*<ZENITH_ANGLE[^>]*>)[\d.]+", r"\g<1>NaN")
    (draft,) = drafts(product)
    assert {key for key in draft.item.properties if key.startswith("view:")} == {"view:sun_azimuth"}
