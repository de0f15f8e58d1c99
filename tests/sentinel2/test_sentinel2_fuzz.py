"""Whatever the metadata say: a draft item, or an error that names the cause. Never another exception, never an item that is not valid."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from support.sentinel2_layouts import as_aws, granule_of, main_of

from eolake.catalog import safe
from eolake.catalog.errors import BadProduct
from eolake.catalog.stac.extensions import uri
from eolake.catalog.stac.identity import collection_link
from eolake.ingest.sensors.sentinel2.item import draft_item
from eolake.ingest.sensors.sentinel2.layout import WANTED, layout
from eolake.ingest.sensors.sentinel2.radiometry import offsets_to_add
from eolake.ingest.sensors.sentinel2.sensor import scenes

ODD = ["", " ", "0", "-1", "1e300", "nan", "inf", "0x10", "9" * 400, "EPSG:4326", "2020-13-01T00:00:00Z", "Ünïcode ✓", "\u202e"]
ODD_JSON: list[Any] = [None, True, 0, -1, 1e300, "", "x", [], {}, [[]], [[[0, 0]]], {"id": []}]
BULK = {
    *("Zenith", "Azimuth", "Values_List", "Viewing_Incidence_Angles_Grids", "Sun_Angles_Grid", "Pixel_Level_QI", "GIPP_List"),
    *("Spectral_Information", "Spectral_Information_List", "Spectral_Response", "Wavelength", "Solar_Irradiance_List"),
}
"""Most of the documents, and of no interest here."""
Generated = Callable[..., Path]


def damage_xml(path: Path, chance: random.Random) -> str:
    """One element removed, doubled, emptied or filled with something odd; returns what was done."""
    tree = ET.parse(path)
    parents = [parent for parent in tree.iter() if len(parent) and parent.tag not in BULK]
    parent = chance.choice(parents)
    child = chance.choice(list(parent))
    deed = chance.choice(["remove", "double", "text", "attribute"])
    if deed == "remove":
        parent.remove(child)
    elif deed == "double":
        parent.append(child)
    elif deed == "text":
        child.text = chance.choice(ODD)
    else:
        for name in child.attrib:
            child.set(name, chance.choice(ODD))
    tree.write(path, encoding="utf-8")
    return f"{deed} {child.tag} in {path.name}"


def damage_json(path: Path, chance: random.Random) -> str:
    document = json.loads(path.read_text())
    holder, key = document, chance.choice(list(document))
    while isinstance(holder[key], (dict, list)) and holder[key] and chance.random() < 0.7:
        holder = holder[key]
        key = chance.choice(list(holder)) if isinstance(holder, dict) else chance.randrange(len(holder))
    holder[key] = chance.choice(ODD_JSON)
    path.write_text(json.dumps(document))
    return f"{key} = {holder[key]!r} in {path.name}"


def attempt(folder: Path, validate_stac: Callable[[Mapping[str, Any]], None]) -> bool:
    """True when the metadata still make an item; it is valid then."""
    try:
        for scene in scenes(layout(safe.open_product(folder, folder, wanted=WANTED))):
            offsets_to_add(scene.baseline, scene.product)
            assert scene.scene.scene_key
            assert scene.scene.rank
            item = draft_item(scene).to_dict(include_self_link=False)
    except BadProduct:
        return False
    extensions = [uri(name) for name in ("eo", "grid", "processing", "product", "projection", "sat", "sentinel-2", "view")]
    validate_stac({**item, "stac_version": "1.1.0", "stac_extensions": extensions, "links": [collection_link(item["collection"])]})
    return True


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("aws", [False, True], ids=["safe", "aws"])
def test_damaged_metadata(
    generated: Generated, tmp_path: Path, validate_stac: Callable[[Mapping[str, Any]], None], seed: int, *, aws: bool
) -> None:
    product = generated("s2_l2a" if seed % 2 else "s2_l1c", "05.00" if seed < 2 else "02.06")
    whole = as_aws(product, tmp_path / "whole") if aws else product
    documents = (
        ["metadata.xml", "tileInfo.json", "productInfo.json"]
        if aws
        else [main_of(product).name, f"GRANULE/{granule_of(product).name}/MTD_TL.xml"]
    )
    chance, survived = random.Random(seed), 0
    for number in range(40):
        folder = tmp_path / f"damaged-{number}"
        for name in documents:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(whole / name, folder / name)
        path = folder / chance.choice(documents)
        done = damage_json(path, chance) if path.suffix == ".json" else damage_xml(path, chance)
        try:
            survived += attempt(folder, validate_stac)
        except Exception as error:
            raise AssertionError(f"seed {seed}, {number}: {done}") from error
    assert 0 < survived < 40
