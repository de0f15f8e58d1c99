"""Bits of the quality bands: values whose meaning USGS published, and the flags that ODC makes of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from datacube.utils import masking

from eolake.catalog.declaration import declared, declared_collections
from eolake.cube.products import odc_product

LANDSAT = [name for name, found in declared_collections().items() if found.constellation == "landsat" and found.source is None]

# Landsat 8-9 Collection 2 (LSDS-1619, table 6-3), 4-7 Collection 2 (LSDS-1618, table 5-3), Collection 1 (quality band tables).
MEANINGS = [
    ("ls8_c2_l2", "qa_pixel", 1, {"fill": "yes"}),
    ("ls8_c2_l2", "qa_pixel", 21824, {"clear": "yes", "water": "no", "cloud": "no", "cloud_confidence": "low", "cirrus_confidence": "low"}),
    ("ls8_c2_l1", "qa_pixel", 21952, {"clear": "yes", "water": "yes", "cloud_confidence": "low"}),
    ("ls9_c2_l1", "qa_pixel", 22080, {"clear": "yes", "cloud": "no", "cloud_confidence": "medium", "dilated_cloud": "no"}),
    ("ls9_c2_l2", "qa_pixel", 22280, {"cloud": "yes", "cloud_confidence": "high", "cirrus": "no"}),
    ("ls8_c2_l2", "qa_pixel", 23888, {"cloud_shadow": "yes", "cloud_shadow_confidence": "high", "clear": "yes"}),
    ("ls8_c2_l2", "qa_pixel", 30048, {"snow": "yes", "snow_confidence": "high"}),
    ("ls8_c2_l2", "qa_pixel", 54596, {"cirrus": "yes", "cirrus_confidence": "high", "dilated_cloud": "no"}),
    ("ls5_c2_l2", "qa_pixel", 5440, {"clear": "yes", "water": "no", "cloud_confidence": "low"}),
    ("ls7_c2_l1", "qa_pixel", 5504, {"clear": "no", "water": "yes"}),
    ("ls7_c2_l2", "qa_pixel", 5896, {"cloud": "yes", "cloud_confidence": "high", "clear": "no"}),
    ("ls4_c2_l1", "qa_pixel", 7440, {"cloud_shadow": "yes", "cloud_shadow_confidence": "high"}),
    ("ls8_c1_l1", "bqa", 2720, {"cloud": "no", "cloud_confidence": "low", "cirrus_confidence": "low", "radiometric_saturation": "none"}),
    ("ls8_c1_l1", "bqa", 2800, {"cloud": "yes", "cloud_confidence": "high", "cirrus_confidence": "low"}),
    ("ls8_c1_l1", "bqa", 6816, {"cloud": "no", "cirrus_confidence": "high"}),
    ("ls8_c1_l1", "bqa", 2722, {"terrain_occlusion": "yes"}),
    ("ls7_c1_l1", "bqa", 672, {"cloud": "no", "cloud_confidence": "low", "snow_confidence": "low"}),
    ("ls5_c1_l1", "bqa", 752, {"cloud": "yes", "cloud_confidence": "high"}),
    ("ls5_c1_l1", "bqa", 676, {"radiometric_saturation": "one_or_two"}),
    ("ls7_c1_l1", "bqa", 674, {"dropped_pixel": "yes"}),
    ("ls8_pre_l1", "bqa", 53248, {"cloud_confidence": "high", "cirrus_confidence": "low", "water_confidence": "not_set"}),
    ("ls5_c2_l1_mss", "qa_pixel", 0b11_0000_1000, {"cloud": "yes", "cloud_confidence": "high"}),
    ("ls8_c2_l1", "qa_radsat", 1 << 8, {"band9": "yes", "band7": "no"}),
    ("ls8_c2_l2", "qa_radsat", 1 << 11, {"terrain_occlusion": "yes"}),
    ("ls7_c2_l1", "qa_radsat", 0b1_0010_0000, {"band6_low": "yes", "band6_high": "yes", "band7": "no"}),
    ("ls5_c2_l1", "qa_radsat", 0b10_0110_0000, {"band6": "yes", "band7": "yes", "dropped_pixel": "yes"}),
    ("ls8_c2_l2", "qa_aerosol", 0b1110_0010, {"valid_retrieval": "yes", "interpolated": "yes", "level": "high"}),
    ("ls9_c2_l2sr", "qa_aerosol", 0b0100_0110, {"water": "yes", "interpolated": "no", "level": "low"}),
    ("ls5_c2_l2", "cloud_qa", 0b10_0010, {"cloud": "yes", "water": "yes", "snow": "no"}),
]


@pytest.mark.parametrize(("collection", "band", "value", "meaning"), MEANINGS)
def test_published_values_mean_what_usgs_says(collection: str, band: str, value: int, meaning: dict[str, str]) -> None:
    fields = {field.name: field for field in declared(collection).band(band).bitfields}
    found = {}
    for name in meaning:
        number = value >> fields[name].offset & (1 << fields[name].length) - 1
        found[name] = next(entry.name for entry in fields[name].classes if entry.value == number)
    assert found == meaning


@pytest.mark.parametrize(("collection", "band", "value", "meaning"), MEANINGS)
def test_datacube_reads_the_same_flags(collection: str, band: str, value: int, meaning: dict[str, str]) -> None:
    measurements = {entry["name"]: entry for entry in odc_product(declared(collection))["measurements"]}
    if band not in measurements:
        assert declared(collection).band(band).optional
        return
    pixels = xr.DataArray(np.array([value], declared(collection).band(band).dtype))
    pixels.attrs["flags_definition"] = measurements[band]["flags_definition"]
    flags = {name: {"no": False, "yes": True}.get(value, value) for name, value in meaning.items()}
    assert bool(masking.make_mask(pixels, **flags)[0])


@pytest.mark.parametrize("collection", LANDSAT)
def test_declared_facts_hang_together(collection: str) -> None:
    found = declared(collection)
    for band in found.bands:
        assert band.aliases, band.name  # the ending of its file
        assert not any(one != other and one.endswith(f"_{other}") for one in band.aliases for b in found.bands for other in b.aliases)
        if band.name.startswith("qa_") and band.name != "qa_st":
            assert band.bitfields
    assert {"red", "green", "nir08" if collection.endswith("_mss") else "blue"} <= {band.name for band in found.bands}


@pytest.mark.parametrize("collection", LANDSAT)
def test_only_level_2_has_fixed_scales(collection: str) -> None:
    found = declared(collection)
    fixed = {(band.scale, band.offset) for band in found.bands if "reflectance" in band.roles or "temperature" in band.roles}
    level_2 = {(2.75e-5, -0.2), (0.00341802, 149.0)} if collection.endswith("_l2") else {(2.75e-5, -0.2)}
    radiance_only = collection.endswith("_mss") or collection in {"ls4_pre_l1", "ls5_pre_l1", "ls7_pre_l1"}
    assert fixed == (set() if radiance_only else {(None, None)} if "_l1" in collection else level_2)


@pytest.mark.parametrize("collection", [name for name in LANDSAT if "_c2_" in name])
def test_cirrus_needs_the_cirrus_band(collection: str) -> None:
    found = declared(collection)
    fields = {field.name for field in found.band("qa_pixel").bitfields}
    assert ({"cirrus", "cirrus_confidence"} <= fields) == ("oli" in found.instruments)


def test_every_table_row_is_used() -> None:
    """A row that no collection takes is a fact that nobody checks."""
    import yaml

    from eolake.catalog import declaration

    folder = Path(declaration.__file__).parent / "collections"
    rows = {name for name in yaml.safe_load((folder / "tables/landsat.yaml").read_text("utf-8")) if not name.startswith("_")}
    used = set()
    for path in folder.glob("ls*.yaml"):
        document = yaml.safe_load(path.read_text("utf-8"))
        if document["bands_from"]["table"] != "landsat":
            continue
        used |= {row if isinstance(row, str) else row["row"] for row in document["bands_from"]["rows"]}
    assert rows == used
