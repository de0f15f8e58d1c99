"""The ODC product of every declaration: accepted by datacube, with usable aliases, flags and load hints."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import xarray as xr
import yaml
from datacube.index.abstract import default_metadata_type_docs
from datacube.model import Product, metadata_from_doc
from datacube.utils import masking
from support.example import EXAMPLE, example_collection

from eolake.catalog.declaration import BitField, Class, Collection, declared_collections, parse_collection
from eolake.cube.products import odc_product

EVERY = [example_collection(), *declared_collections().values()]
EO3 = metadata_from_doc(next(doc for doc in default_metadata_type_docs() if doc["name"] == "eo3"))


def _product(collection: Collection) -> Product:
    document = odc_product(collection)
    Product.validate(document)
    Product.validate_measurements(document)
    return Product(EO3, document)


@pytest.mark.parametrize("collection", EVERY, ids=lambda collection: collection.id)
def test_datacube_accepts_the_product(collection: Collection) -> None:
    product = _product(collection)
    assert product.name == collection.id
    assert product.metadata_doc == {"product": {"name": collection.id}}
    assert list(product.measurements) == [band.name for band in collection.measurements]


@pytest.mark.parametrize("collection", EVERY, ids=lambda collection: collection.id)
def test_the_document_survives_the_database(collection: Collection) -> None:
    document = odc_product(collection)
    assert json.loads(json.dumps(document, allow_nan=False)) == document


@pytest.mark.parametrize("collection", EVERY, ids=lambda collection: collection.id)
def test_every_alias_leads_to_its_band(collection: Collection) -> None:
    product = _product(collection)
    for band in collection.measurements:
        for name in (band.name, *band.aliases):
            assert product.canonical_measurement(name) == band.name


@pytest.mark.parametrize("collection", EVERY, ids=lambda collection: collection.id)
def test_load_hints_are_the_declared_grid(collection: Collection) -> None:
    hints = _product(collection).load_hints()
    load = collection.load
    assert str(hints["output_crs"]).upper() == load.crs.upper()
    assert (hints["resolution"].x, hints["resolution"].y) == (load.resolution, -load.resolution)
    assert tuple(hints["align"].xy if hasattr(hints["align"], "xy") else hints["align"]) == (load.align, load.align)


@pytest.mark.parametrize("collection", EVERY, ids=lambda collection: collection.id)
def test_every_flag_and_class_makes_the_right_mask(collection: Collection) -> None:
    product = _product(collection)
    for band in collection.measurements:
        if not band.categorical:
            assert "flags_definition" not in product.measurements[band.name]
            continue
        flags = product.measurements[band.name].flags_definition
        for field in band.bitfields:
            mask = (1 << field.length) - 1 << field.offset
            for entry in field.classes:
                data = _data(band.dtype, flags, [entry.value << field.offset, (~(entry.value << field.offset) & mask)])
                assert masking.make_mask(data, **{field.name: _flag_value(field, entry)}).values.tolist() == [True, False]
        for entry in band.classes:
            data = _data(band.dtype, flags, [entry.value, entry.value ^ 1])
            assert masking.make_mask(data, **{band.name: entry.name}).values.tolist() == [True, False]


def _flag_value(field: BitField, entry: Class) -> str | bool:
    return entry.name == "yes" if {c.name for c in field.classes} == {"no", "yes"} else entry.name


def _data(dtype: str, flags: dict[str, Any], values: list[int]) -> xr.DataArray:
    return xr.DataArray(np.array(values).astype(dtype), dims=["x"], attrs={"flags_definition": flags})


def test_flags_of_the_example() -> None:
    measurements = _product(example_collection()).measurements
    assert measurements["qa"].flags_definition == {
        "cloud": {"bits": 3, "description": "Cloud", "values": {"0": "not_cloud", "1": "cloud"}},
        "cloud_confidence": {
            "bits": [8, 9],
            "description": "cloud_confidence",
            "values": {"0": "none", "1": "low", "2": "medium", "3": "high"},
        },
    }
    assert measurements["scl"].flags_definition["scl"]["bits"] == [0, 1, 2, 3, 4, 5, 6, 7]
    table = masking.describe_variable_flags(_data("uint16", measurements["qa"].flags_definition, [0]))
    assert set(table.index) == {"cloud", "cloud_confidence"}
    assert masking.mask_to_dict(measurements["qa"].flags_definition, 0b11_0000_1000) == {"cloud": "cloud", "cloud_confidence": "high"}


def test_measurements_of_the_example() -> None:
    measurements = {entry["name"]: entry for entry in odc_product(example_collection())["measurements"]}
    assert "cirrus" not in measurements  # optional: ODC refuses a product whose datasets lack a measurement
    assert measurements["red"] == {
        "name": "red",
        "dtype": "uint16",
        "nodata": 0,
        "units": "1",
        "aliases": ["B04", "sr_red"],
        "scale_factor": 0.0001,
        "add_offset": -0.1,
    }
    assert measurements["nir_broad"]["aliases"] == ["B08", "nir"]  # the common name, for one band only has it
    assert measurements["rededge1"]["aliases"] == ["B05"]  # two bands share this one
    assert measurements["aerosol"]["nodata"] == "NaN"
    assert np.isnan(_product(example_collection()).measurements["aerosol"].nodata)
    assert measurements["qa"]["nodata"] == 0  # ODC demands one


def test_a_geographic_grid_is_keyed_by_its_own_dimensions() -> None:
    document = yaml.safe_load(EXAMPLE.read_text("utf-8")) | {"load": {"crs": "EPSG:4326", "resolution": 0.0027, "align": 0.00135}}
    product = _product(parse_collection(yaml.safe_dump(document), source="example.yaml"))
    assert product.definition["load"] == {
        "crs": "EPSG:4326",
        "resolution": {"latitude": -0.0027, "longitude": 0.0027},
        "align": {"latitude": 0.00135, "longitude": 0.00135},
    }
    assert product.load_hints()["resolution"].x == 0.0027
