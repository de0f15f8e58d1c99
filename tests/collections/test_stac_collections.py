"""The STAC collection of every declaration is valid without a network and tells clients the bands."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import pystac
import pytest
from support.example import example_collection
from support.stac_validation import faults

from eolake.catalog.declaration import Collection, declared_collections
from eolake.catalog.stac.collections import stac_collection

Validate = Callable[[Mapping[str, Any]], None]
EVERY = [example_collection(), *declared_collections().values()]


@pytest.mark.parametrize("collection", EVERY, ids=lambda collection: collection.id)
def test_collection_is_valid(collection: Collection, validate_stac: Validate) -> None:
    document = stac_collection(collection)
    validate_stac(document)
    assert document["id"] == collection.id
    assert collection.derived or collection.license != "other" or "license" in {link["rel"] for link in document["links"]}
    assert pystac.Collection.from_dict(document).to_dict()["item_assets"]


@pytest.mark.parametrize("collection", EVERY, ids=lambda collection: collection.id)
def test_every_band_is_an_item_asset(collection: Collection) -> None:
    assets = stac_collection(collection)["item_assets"]
    assert list(assets) == [*(band.name for band in collection.bands), *(["thumbnail"] if collection.thumbnail else [])]
    assert all("data" in assets[band.name]["roles"] for band in collection.bands)


def test_what_it_says(example: Collection) -> None:
    document = stac_collection(example)
    assert document["summaries"] == {
        "platform": ["sentinel-2a", "sentinel-2b"],
        "instruments": ["msi"],
        "constellation": ["sentinel-2"],
        "gsd": [10, 20, 60],
        "processing:level": ["L2"],
    }
    assert document["providers"] == [{"name": "Example Agency", "roles": ["producer", "licensor"], "url": "https://www.example.int/data"}]
    assert document["sci:doi"] == "10.5270/S2_-znk9xsj"
    assert document["links"] == [
        {"rel": "license", "href": "https://www.example.int/licence.pdf"},
        {"rel": "cite-as", "href": "https://doi.org/10.5270/S2_-znk9xsj"},
    ]
    assert document["renders"]["natural"]["assets"] == ["nir_broad", "red", "green"]
    assert document["extent"] == {"spatial": {"bbox": [[-180, -90, 180, 90]]}, "temporal": {"interval": [[None, None]]}}
    names = [entry.split("/")[3] for entry in document["stac_extensions"]]
    assert names == ["classification", "eo", "processing", "raster", "render", "scientific"]


def test_a_plain_collection_names_only_what_it_uses(example: Collection, validate_stac: Validate) -> None:
    plain = example.model_copy(
        update={"bands": (example.band("aerosol"),), "renders": {}, "sci_doi": None, "processing_level": None, "thumbnail": ()}
    )
    document = stac_collection(plain)
    assert [entry.split("/")[3] for entry in document["stac_extensions"]] == ["raster"]
    assert "renders" not in document
    validate_stac(document)


def test_the_documents_of_two_calls_share_nothing(example: Collection) -> None:
    first, kept = stac_collection(example), copy.deepcopy(stac_collection(example))
    first["extent"]["spatial"]["bbox"][0][0] = 7
    first["item_assets"]["thumbnail"]["roles"].append("x")
    assert stac_collection(example) == kept


def test_a_broken_collection_is_found(example: Collection) -> None:
    document = stac_collection(example)
    del document["license"]
    document["renders"]["natural"]["assets"] = "red"
    assert len(faults(document)) == 2
