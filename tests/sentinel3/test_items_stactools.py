"""Items of Sentinel-3 by the manifest alone, beside those that stactools-sentinel3 makes; products of other types in the lake."""

from __future__ import annotations

import hashlib
import shutil
import warnings
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pystac
import pytest
import shapely
import yaml
from support import workers

from eolake.catalog.errors import BadProduct
from eolake.catalog.lake import Lake
from eolake.ingest.sensors.sentinel3 import metadata

DIFFERENCES: Mapping[str, Any] = yaml.safe_load(Path(__file__).with_name("differences.yaml").read_text("utf-8"))
SAME_PLACE = 0.0001
"""Degrees: the last digit of manifests."""
RADAR = "S3A_SR_2_LAN"
REPACKED = "olci_repacked"
"""Real pixels with a manifest that was made up."""


def products(samples: Path) -> list[Path]:
    """All whose type is supported; those of the first folder lack their pixels."""
    folder = samples / "pixels/sentinel3"
    found = [*(folder / "stactools_sen3/tests/data-files").iterdir(), *(folder / "olci_repacked").glob("*.SEN3")]
    return sorted(path for path in found if not path.name.startswith(RADAR))


@pytest.fixture(scope="module")
def pairs(samples: Path) -> list[tuple[Path, pystac.Item, pystac.Item]]:
    """Product, our item, theirs."""
    from stactools.sentinel3.stac import create_item

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [(path, ours, create_item(str(path))) for path in products(samples) for ours in metadata.items(path)[:1]]


def test_times_orbits_and_types_are_those_of_stactools(pairs: list[tuple[Path, pystac.Item, pystac.Item]]) -> None:
    assert len(pairs) == 8
    for path, ours, theirs in pairs:
        mine = ours.to_dict(include_self_link=False)["properties"]
        for key, value in theirs.to_dict(include_self_link=False)["properties"].items():
            name = DIFFERENCES["renamed"].get(key, {"ours": key})["ours"]
            if key in DIFFERENCES["lacking"]:
                assert name not in mine, f"{key} is there: its difference has to go"
            elif key in DIFFERENCES["written"]:
                lower = [entry.lower() for entry in value] if isinstance(value, list) else value.lower()
                assert mine[name] == lower != value, (path.name, key)
            elif key.endswith("datetime"):
                apart = datetime.fromisoformat(mine[name]) - datetime.fromisoformat(value)
                assert abs(apart.total_seconds()) < 1e-5, (path.name, key)
            else:
                told = DIFFERENCES["values"].get(name, {}) if path.parent.name == REPACKED else {}
                assert mine[name] == told.get("ours", value), (path.name, key)
                assert not told or value == told["theirs"] != told["ours"], (path.name, key)


def test_footprints_are_those_of_stactools(pairs: list[tuple[Path, pystac.Item, pystac.Item]]) -> None:
    for path, ours, theirs in pairs:
        mine, other = shapely.geometry.shape(ours.geometry), shapely.geometry.shape(theirs.geometry)
        assert mine.is_valid
        assert all(part.exterior.is_ccw for part in shapely.get_parts(mine))
        distance = shapely.hausdorff_distance(mine, other)
        told = DIFFERENCES["footprints"].get(path.name[:12])
        if told is None:
            assert distance < SAME_PLACE, path.name
        else:
            assert SAME_PLACE < distance < told["distance"], path.name
            assert mine.symmetric_difference(other).area < 0.005 * other.area


def test_items_without_pixels_are_valid(samples: Path, validate_stac: Callable[[Mapping[str, Any]], None]) -> None:
    for path in products(samples):
        for item in metadata.items(path):
            assert {"sat", "product", "processing", "sentinel-3"} <= {uri.split("/")[3] for uri in item.stac_extensions}
            assert item.properties["processing:software"]
            document = item.to_dict(include_self_link=False)
            assert document.pop("collection"), "whose link comes when it is published"
            validate_stac(document)


def test_a_product_of_another_type_or_without_a_manifest_has_no_item(samples: Path, tmp_path: Path) -> None:
    folder = samples / "pixels/sentinel3/stactools_sen3/tests/data-files"
    with pytest.raises(BadProduct, match="no declared collection has products with such a name"):
        metadata.items(next(folder.glob(f"{RADAR}*")))
    with pytest.raises(BadProduct, match=r"has no xfdumanifest\.xml"):
        metadata.items(tmp_path)


def test_a_real_radar_product_is_quarantined_and_stays_as_it_is(lake: Lake, samples: Path, tmp_path: Path) -> None:
    """As the hub delivered it; products of one kind that are not supported, beside one that is broken: nothing is lost."""
    radar = next((samples / "pixels/sentinel3/sral_full_downloads/data").glob("S3A_SR_1_SRA____*.zip"))
    empty = next((samples / "pixels/sentinel3/stactools_sen3/tests/data-files").glob("S3A_OL_1_EFR*"))
    folder = tmp_path / "in"
    folder.mkdir()
    shutil.copyfile(radar, folder / radar.name)
    shutil.copytree(empty, folder / empty.name, copy_function=shutil.copyfile)
    before = digests(folder)
    code, said = workers.ingest(lake, folder)
    assert code == 1
    assert said["counts"]["quarantined"] == 2, said
    why = workers.granule(lake, radar.stem)["reason"]
    assert "products of type SR_1_SRA are not supported; those of OL_1_EFR" in why
    assert "xfdumanifest.xml" in workers.granule(lake, empty.stem)["reason"]
    assert digests(folder) == before


def digests(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.rglob("*") if path.is_file()}
