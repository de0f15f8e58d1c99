"""The final item: valid without a network, with everything that the declaration and the COG writer know."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pystac
import pytest
from support.example import CREATED, FOLDER, STATISTICS, facts
from support.stac_validation import faults, schemas

from eolake.catalog.declaration import Collection
from eolake.catalog.errors import BadProduct
from eolake.catalog.stac import identity
from eolake.catalog.stac.collections import stac_collection
from eolake.catalog.stac.extensions import VERSIONS, merge, uri
from eolake.catalog.stac.items import StoredAsset, complete_item

Validate = Callable[[Mapping[str, Any]], None]


def test_item_is_valid_before_and_after_it_has_store_hrefs(
    item: dict[str, Any], stored_item: dict[str, Any], validate_stac: Validate
) -> None:
    validate_stac(item)
    validate_stac(stored_item)
    named = {entry.split("/")[3] for entry in item["stac_extensions"]}
    assert named >= {"classification", "eo", "file", "grid", "processing", "projection", "raster", "sat", "sentinel-2", "view"}


def test_the_validator_finds_faults_in_core_and_extensions(item: dict[str, Any]) -> None:
    broken = copy.deepcopy(item)
    broken["properties"]["datetime"] = "yesterday"
    broken["assets"]["red"]["eo:bands"][0]["common_name"] = "purple"
    broken["assets"]["red"]["raster:scale"] = 1
    broken["assets"]["red"]["proj:shape"] = [1]
    broken["assets"]["scl"]["classification:classes"][0]["value"] = "zero"
    broken["stac_extensions"].append("https://stac-extensions.github.io/eo/v9.0.0/schema.json")
    found = "\n".join(faults(broken))
    for fault in ("/properties/datetime", "common_name", "raster:|regexes", "proj:shape", "classification:classes", "eo/v9.0.0"):
        assert any(word in found for word in fault.split("|")), (fault, found)


def test_every_extension_version_that_is_emitted_has_its_schema() -> None:
    assert [name for name in VERSIONS if uri(name) not in schemas()] == []


def test_a_band_says_what_the_declaration_and_the_file_say(item: dict[str, Any]) -> None:
    red = item["assets"]["red"]
    assert red["href"] == "./red.tif"
    assert red["type"] == "image/tiff; application=geotiff; profile=cloud-optimized"
    assert red["roles"] == ["data", "reflectance"]
    assert (red["data_type"], red["nodata"], red["unit"], red["gsd"]) == ("uint16", 0, "1", 10)
    assert red["bands"] == [{"name": "red"}]
    assert red["eo:bands"] == [{"name": "B04", "common_name": "red", "description": "Red", "center_wavelength": 0.665}]
    statistics = {"minimum": 1.0, "maximum": 9000.0, "mean": 1234.5, "stddev": 12.0, "valid_percent": 98.5}
    values = {"data_type": "uint16", "nodata": 0, "unit": "1", "scale": 0.0001, "offset": -0.1}
    assert red["raster:bands"] == [{**values, "statistics": statistics}]
    assert red["proj:shape"] == [10980, 10980]
    assert red["proj:transform"] == [10, 0, 600000, 0, -10, 6300040]
    assert red["proj:code"] == "EPSG:32755"
    assert (red["file:size"], red["file:header_size"], red["file:checksum"][:4]) == (1000, 4096, "1220")
    assert red["eolake:pixel_digest"] == "c0ffee"


def test_special_nodata_values_are_json(item: dict[str, Any]) -> None:
    assert item["assets"]["aerosol"]["nodata"] == "nan"
    assert item["assets"]["aerosol"]["raster:bands"][0]["nodata"] == "nan"
    assert item["assets"]["coastal"]["nodata"] == -9999
    assert "nodata" not in item["assets"]["qa"]


def test_classes_and_bit_fields(item: dict[str, Any]) -> None:
    scl, qa = item["assets"]["scl"], item["assets"]["qa"]
    assert scl["roles"] == ["data", "data-mask"]
    assert scl["classification:classes"][:2] == [
        {"value": 0, "name": "no_data", "description": "No data", "color_hint": "000000"},
        {"value": 4, "name": "vegetation", "description": "vegetation", "color_hint": "00A000"},
    ]
    assert [(f["name"], f["offset"], f["length"], len(f["classes"])) for f in qa["classification:bitfields"]] == [
        ("cloud", 3, 1, 2),
        ("cloud_confidence", 8, 2, 4),
    ]


def test_properties(item: dict[str, Any]) -> None:
    properties = item["properties"]
    assert properties["created"] == properties["published"] == "2026-03-01T12:30:00Z"
    assert properties["updated"] == "2026-04-01T00:00:00Z"
    assert properties["datetime"] == "2020-01-08T00:02:41Z"
    assert properties["proj:code"] == "EPSG:32755"
    assert properties["proj:bbox"] == [600000, 6190240, 709800, 6300040]
    assert properties["processing:software"]["IPF"] == "05.11"
    assert properties["processing:software"]["GDAL"] == "3.12.2"
    assert properties["processing:software"]["eolake"]
    assert (properties["odc:product"], properties["odc:product_family"], properties["odc:producer"]) == ("example_l2", "sr", "example.int")
    assert (properties["gsd"], properties["constellation"], properties["processing:level"]) == (10, "sentinel-2", "L2")


def test_the_draft_wins_over_the_declaration_and_keeps_its_own_created(
    draft: pystac.Item, example: Collection, written: dict[str, StoredAsset]
) -> None:
    draft.properties |= {"gsd": 30, "created": "2020-02-02T00:00:00Z"}
    properties = complete_item(draft, example, written)["properties"]
    assert (properties["gsd"], properties["created"]) == (30, "2020-02-02T00:00:00Z")
    assert "published" not in properties


def test_the_draft_is_left_as_it_was(draft: pystac.Item, example: Collection, written: dict[str, StoredAsset]) -> None:
    before = copy.deepcopy(draft.to_dict())
    complete_item(draft, example, written, created=CREATED, sources=[("a", "b")])
    assert draft.to_dict() == before


def test_fields_of_one_item_go_where_raster_1_1_wants_them(
    draft: pystac.Item, example: Collection, written: dict[str, StoredAsset], validate_stac: Validate
) -> None:
    own = {"raster:scale": 0.5, "raster:offset": 7.0, "eolake:offset_added": 1000}
    document = complete_item(draft, example, {**written, "red": replace(written["red"], properties=own)}, created=CREATED)
    red = document["assets"]["red"]
    assert (red["raster:bands"][0]["scale"], red["raster:bands"][0]["offset"]) == (0.5, 7.0)
    assert red["eolake:offset_added"] == 1000
    validate_stac(document)


def test_a_band_without_valid_pixels_has_no_statistics_but_its_valid_percent(
    draft: pystac.Item, example: Collection, written: dict[str, StoredAsset]
) -> None:
    empty = replace(STATISTICS, minimum=None, maximum=math.nan, mean=None, stddev=math.inf, count=0, valid_percent=0.0)
    asset = replace(written["red"], facts=facts(10, statistics=empty))
    document = complete_item(draft, example, {"red": asset}, created=CREATED)
    assert document["assets"]["red"]["raster:bands"][0]["statistics"] == {"valid_percent": 0.0}


def test_bands_come_in_declared_order_then_the_rest(item: dict[str, Any], example: Collection) -> None:
    assert list(item["assets"]) == [*(band.name for band in example.bands), "mtd", "thumbnail"]


def test_bands_that_disagree_about_the_crs_are_refused(draft: pystac.Item, example: Collection, written: dict[str, StoredAsset]) -> None:
    other = {**written, "red": replace(written["red"], facts=facts(10, crs="EPSG:32756"))}
    with pytest.raises(BadProduct, match=r"EPSG:32755, EPSG:32756"):
        complete_item(draft, example, other, created=CREATED)


def test_a_crs_without_a_code_is_wkt2(draft: pystac.Item, example: Collection, validate_stac: Validate) -> None:
    wkt = pystac_wkt()
    del draft.properties["proj:code"]
    asset = StoredAsset(href="./red.tif", media_type="", roles=(), title="", size=1, checksum="1220", facts=facts(10, crs=wkt))
    document = complete_item(draft, example, {"red": asset}, created=CREATED)
    assert document["properties"]["proj:code"] is None
    assert document["properties"]["proj:wkt2"] == document["assets"]["red"]["proj:wkt2"] == wkt
    validate_stac(document)


def pystac_wkt() -> str:
    from pyproj import CRS

    return CRS.from_proj4("+proj=aea +lat_1=29.5 +lat_2=45.5 +lat_0=23 +lon_0=-96 +datum=WGS84").to_wkt()


def test_store_hrefs(item: dict[str, Any], stored_item: dict[str, Any]) -> None:
    assert item["assets"]["red"]["href"] == "./red.tif"
    assert stored_item["assets"]["red"]["href"] == f"{FOLDER}/red.tif"
    assert stored_item["links"][0] == {"rel": "self", "href": f"{FOLDER}/item.json", "type": "application/geo+json"}
    assert "self" not in {link["rel"] for link in item["links"]}


def test_sources_are_links_and_lineage(draft: pystac.Item, example: Collection, written: dict[str, StoredAsset]) -> None:
    draft.add_link(pystac.Link("derived_from", identity.derived_from("c one", "i/1")["href"]))
    document = complete_item(draft, example, written, created=CREATED, sources=[("b", "2"), ("b", "2")])
    links = [link["href"] for link in document["links"] if link["rel"] == "derived_from"]
    assert links == ["collections/b/items/2", "collections/c%20one/items/i%2F1"]
    assert identity.sources(document["links"]) == (("b", "2"), ("c one", "i/1"))
    assert document["properties"]["odc:lineage"] == {
        "source": [str(identity.dataset_id("b", "2")), str(identity.dataset_id("c one", "i/1"))]
    }


def test_no_sources_no_lineage(draft: pystac.Item, example: Collection, written: dict[str, StoredAsset]) -> None:
    assert "odc:lineage" not in complete_item(draft, example, written)["properties"]


def test_an_api_link_to_a_source_is_understood() -> None:
    link = {"rel": "derived_from", "href": "https://lake.example/stac/collections/a/items/b"}
    assert identity.sources([link, {"rel": "derived_from", "href": "https://elsewhere.example/file.json"}]) == (("a", "b"),)


def test_what_an_item_shares_with_its_collection_is_equal(item: dict[str, Any], example: Collection) -> None:
    """pgSTAC stores shared fields once."""
    shared = stac_collection(example)["item_assets"]
    for key, asset in shared.items():
        own = {field: item["assets"][key][field] for field in asset if field != "raster:bands"}
        assert own == {field: value for field, value in asset.items() if field != "raster:bands"} or key == "thumbnail"


def test_of_one_extension_only_our_version_stays(item: dict[str, Any]) -> None:
    assert [entry for entry in item["stac_extensions"] if "/view/" in entry] == [uri("view")]
    assert merge(["https://stac-extensions.github.io/eo/v1.0.0/schema.json", "https://a.example/x/v1/s.json"], [uri("eo")]) == [
        "https://a.example/x/v1/s.json",
        uri("eo"),
    ]


def test_pystac_reads_the_item(stored_item: dict[str, Any]) -> None:
    read = pystac.Item.from_dict(stored_item)
    assert read.ext.proj.code == "EPSG:32755"
    assert read.assets["red"].ext.eo.bands[0].common_name == "red"
    assert read.assets["red"].ext.raster.bands[0].scale == 0.0001
    assert read.assets["scl"].ext.classification.classes[1].name == "vegetation"
    assert read.assets["red"].ext.file.header_size == 4096
    again = read.to_dict()
    assert [key for key in again if again[key] != stored_item[key]] == ["stac_extensions"]  # pystac raises classification to 2.0.0
