"""The dataset made from our item against the one that datacube's own stac2ds makes of the same item."""

from __future__ import annotations

import copy
import time
from collections.abc import Mapping
from typing import Any

import odc.stac
import pystac
import pytest
from datacube.index.abstract import default_metadata_type_docs
from datacube.metadata import infer_dc_product, stac2ds
from datacube.model import Dataset, Product, metadata_from_doc
from odc.geo.geobox import GeoBox
from odc.geo.geom import box
from odc.stac._mdtools import extract_collection_metadata, parse_item
from support.example import FOLDER

from eolake.catalog.declaration import Collection
from eolake.catalog.stac.identity import dataset_id
from eolake.cube.datasets import odc_dataset
from eolake.cube.products import odc_product

DIFFERENCES = {
    "label": "stac2ds has a label only for items with a title; ours is the item id, which `datacube dataset info` then shows",
    "grids": "stac2ds calls the grid of most bands `default`; ours is the one of the product's own resolution. Same shapes and transforms",
    "measurements": "stac2ds stores absolute paths, which a move of the lake breaks; ours are relative to the uri. Grid names as said",
    "accessories": "absolute and relative paths, as for measurements",
}
"""Keys of the document in which both may differ, with the reason."""


@pytest.fixture
def product(example: Collection) -> Product:
    eo3 = metadata_from_doc(next(doc for doc in default_metadata_type_docs() if doc["name"] == "eo3"))
    return Product(eo3, odc_product(example))


@pytest.fixture
def ours(stored_item: Mapping[str, Any], product: Product) -> Dataset:
    return odc_dataset(stored_item, product)


@pytest.fixture
def theirs(stored_item: dict[str, Any]) -> Dataset:
    return next(stac2ds([pystac.Item.from_dict(copy.deepcopy(stored_item))]))


def _grid(dataset: Dataset, measurement: str) -> tuple[tuple[int, ...], tuple[float, ...]]:
    grid = dataset.grids[dataset.measurements[measurement].get("grid", "default")]
    return tuple(grid["shape"]), tuple(grid["transform"])


def _fields(dataset: Dataset) -> dict[str, Any]:
    return {key: value for key, value in dataset.metadata.fields.items() if key not in {"label", "measurements", "grids"}}


def test_id_and_uri_are_the_ones_that_datacube_makes(ours: Dataset, theirs: Dataset) -> None:
    assert ours.id == theirs.id == dataset_id("example_l2", "S2A_T55HFA_20200108")
    assert ours.uri == theirs.uri == f"{FOLDER}/item.json"


@pytest.mark.parametrize("name", ["LC08_L2SP_090084_20200101", "8f1d5b1e-5a44-4c0f-9f0c-2d0a4c6f9a11", "Ü ü", "a\nb"])
def test_ids_of_any_item_name(name: str, stored_item: dict[str, Any]) -> None:
    theirs = next(stac2ds([pystac.Item.from_dict({**stored_item, "id": name})]))
    assert dataset_id("example_l2", name) == theirs.id


def test_documents_differ_only_where_a_reason_is_given(ours: Dataset, theirs: Dataset) -> None:
    keys = {*ours.metadata_doc, *theirs.metadata_doc}
    assert {key for key in keys if ours.metadata_doc.get(key) != theirs.metadata_doc.get(key)} == set(DIFFERENCES)


def test_every_measurement_has_the_same_grid_and_file(ours: Dataset, theirs: Dataset) -> None:
    assert set(ours.measurements) == set(theirs.measurements)
    for name, measurement in ours.measurements.items():
        assert _grid(ours, name) == _grid(theirs, name)
        assert f"{FOLDER}/{measurement['path']}" == theirs.measurements[name]["path"]
    assert {key: f"{FOLDER}/{entry['path']}" for key, entry in ours.accessories.items()} == {
        key: entry["path"] for key, entry in theirs.accessories.items()
    }


def test_geometry_extent_and_fields_are_the_same(ours: Dataset, theirs: Dataset) -> None:
    assert ours.extent == theirs.extent
    assert ours.crs == theirs.crs
    assert ours.bounds == theirs.bounds
    assert ours.time == theirs.time
    assert ours.center_time == theirs.center_time
    assert _fields(ours) == _fields(theirs)
    assert ours.metadata.label == "S2A_T55HFA_20200108"


def test_what_search_and_info_show(ours: Dataset) -> None:
    fields = ours.metadata.fields
    assert (fields["platform"], fields["instrument"], fields["region_code"]) == ("sentinel-2a", "MSI", "55HFA")
    assert (fields["cloud_cover"], fields["product_family"], fields["format"]) == (12.5, "sr", "GeoTIFF")
    assert fields["creation_dt"].isoformat() == "2026-03-01T12:30:00+00:00"
    assert (fields["time"].begin.second, fields["time"].end.second) == (35, 47)
    assert (round(fields["lon"].begin, 1), round(fields["lat"].begin, 1)) == (148.7, -34.4)


def test_grids_are_named_by_the_products_resolution(ours: Dataset) -> None:
    assert {name: grid["shape"] for name, grid in ours.grids.items()} == {
        "default": (10980, 10980),
        "g20": (5490, 5490),
        "g60": (1830, 1830),
    }
    assert "grid" not in ours.measurements["red"]
    assert {ours.measurements[name]["grid"] for name in ("scl", "qa", "aerosol", "swir16")} == {"g20"}
    assert ours.measurements["cirrus"] == {"path": "cirrus.tif", "grid": "g60"}


def test_without_the_products_resolution_the_most_common_grid_is_the_default(stored_item: dict[str, Any], product: Product) -> None:
    """As with products that were decimated: names follow odc-stac then."""
    for asset in stored_item["assets"].values():
        if "proj:transform" in asset:
            a, b, c, d, e, f = asset["proj:transform"]
            asset["proj:transform"] = [a * 7, b, c, d, e * 7, f]
    ours, theirs = odc_dataset(stored_item, product), next(stac2ds([pystac.Item.from_dict(copy.deepcopy(stored_item))]))
    assert ours.grids == theirs.grids
    assert set(ours.grids) == {"default", "g70", "g420"}


def test_two_grids_of_one_resolution_have_two_names(stored_item: dict[str, Any], product: Product) -> None:
    stored_item["assets"]["swir16"]["proj:shape"] = [5491, 5490]
    dataset = odc_dataset(stored_item, product)
    assert dataset.grids["g20-swir16"]["shape"] == (5491, 5490)
    assert dataset.measurements["swir16"]["grid"] == "g20-swir16"


def test_lineage_stands_in_the_document_and_in_the_tree(ours: Dataset) -> None:
    source = dataset_id("s2_l1c", "S2A_L1C")
    [(classifier, ids)] = ours.metadata_doc["lineage"].items()
    assert ids == [str(source)]
    assert [child.dataset_id for child in ours.source_tree.children[classifier]] == [source]


def test_no_sources_no_tree(stored_item: dict[str, Any], product: Product) -> None:
    del stored_item["properties"]["odc:lineage"]
    assert odc_dataset(stored_item, product).source_tree is None


def test_the_item_is_left_as_it_was(stored_item: dict[str, Any], product: Product) -> None:
    before = copy.deepcopy(stored_item)
    odc_dataset(stored_item, product)
    assert stored_item == before


def test_an_item_without_store_hrefs_is_refused(item: dict[str, Any], product: Product) -> None:
    with pytest.raises(ValueError, match="no self link"):
        odc_dataset(item, product)


def test_a_crs_without_a_code(stored_item: dict[str, Any], product: Product) -> None:
    from pyproj import CRS

    albers = CRS.from_proj4("+proj=aea +lat_1=-18 +lat_2=-36 +lat_0=0 +lon_0=132 +x_0=0 +y_0=0 +ellps=GRS80").to_wkt()
    stored_item["properties"] |= {"proj:code": None, "proj:wkt2": albers}
    dataset = odc_dataset(stored_item, product)
    assert dataset.crs.proj.to_wkt() == CRS(dataset.metadata_doc["crs"]).to_wkt()
    assert dataset.extent.boundingbox.left > 1_000_000


def test_a_footprint_over_the_antimeridian(stored_item: dict[str, Any], product: Product) -> None:
    west, east = box(179.5, -20, 180, -19, "EPSG:4326"), box(-180, -20, -179.5, -19, "EPSG:4326")
    stored_item["geometry"] = {"type": "MultiPolygon", "coordinates": [west.json["coordinates"], east.json["coordinates"]]}
    stored_item["properties"]["proj:code"] = "EPSG:32760"
    dataset = odc_dataset(stored_item, product)
    assert dataset.extent.boundingbox.span_x < 110_000
    theirs = next(stac2ds([pystac.Item.from_dict(copy.deepcopy(stored_item))]))
    assert dataset.metadata_doc["extent"] == theirs.metadata_doc["extent"]


def test_it_is_cheap(stored_item: Mapping[str, Any], product: Product) -> None:
    """Hundreds a second: publishing ten thousand items must not wait for this."""
    rounds = []
    for _ in range(5):
        start = time.perf_counter()
        for _ in range(20):
            odc_dataset(stored_item, product)
        rounds.append(20 / (time.perf_counter() - start))
    assert max(rounds) > 300


def test_odc_stac_sees_bands_grids_nodata_and_aliases(stored_item: dict[str, Any], example: Collection, ours: Dataset) -> None:
    item = pystac.Item.from_dict(stored_item)
    metadata = extract_collection_metadata(item)
    assert {name for name, _ in metadata.meta.bands} == {band.name for band in example.bands}
    for band in example.bands:
        seen = metadata.meta.bands[band.name, 1]
        assert (seen.data_type, seen.units) == (band.dtype, band.unit)
        assert seen.nodata == (None if band.nodata is None else pytest.approx(band.nodata, nan_ok=True))
        if band.aliases:
            assert metadata.canonical_name(band.aliases[0]) == band.name
    assert metadata.canonical_name("nir") == "nir_broad"
    parsed = parse_item(item, metadata)
    for name in ours.measurements:
        shape, transform = _grid(ours, name)
        assert parsed.bands[name, 1].geobox == GeoBox(shape, odc.geo.geobox.Affine(*transform), "EPSG:32755")
        assert parsed.bands[name, 1].uri == f"{FOLDER}/{name}.tif"


def test_datacube_infers_the_declared_product_from_our_collection(example: Collection) -> None:
    """What a user without our index gets from the STAC collection alone."""
    from eolake.catalog.stac.collections import stac_collection

    inferred = infer_dc_product(pystac.Collection.from_dict(stac_collection(example)))
    declared = {entry["name"]: entry for entry in odc_product(example)["measurements"]}
    for measurement in inferred.definition["measurements"]:
        if measurement["name"] in declared:
            own = declared[measurement["name"]]
            assert (measurement["dtype"], measurement["units"]) == (own["dtype"], own["units"])
            assert set(measurement.get("aliases", [])) <= {*own.get("aliases", []), "rededge"}
