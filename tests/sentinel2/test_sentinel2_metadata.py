"""What the sensor derives without pixels against what stactools-sentinel2 makes of the same input.

Recorded answers lie beside the real samples (`expected_output.json`); for the other products stactools runs in the
test. Every difference stands in differences.yaml with its reason: one that is not listed fails, and so does one that is
listed but gone.
"""

from __future__ import annotations

import fnmatch
import json
import math
import zipfile
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import shapely
import yaml
from stactools.sentinel2.stac import create_item
from support.sentinel2_layouts import as_aws

from eolake.catalog import safe
from eolake.catalog.declaration import Band, declared
from eolake.catalog.stac.bands import band_asset
from eolake.ingest.sensors.sentinel2.item import Scene, draft_item
from eolake.ingest.sensors.sentinel2.layout import RESOLUTION, WANTED, layout
from eolake.ingest.sensors.sentinel2.metadata import TileMetadata
from eolake.ingest.sensors.sentinel2.sensor import scenes

LISTED: list[dict[str, Any]] = yaml.safe_load(Path(__file__).with_name("differences.yaml").read_text("utf-8"))
FOLDER = Path("pixels/sentinel2/stactools_safe_metadata")
RECORDED = [
    "S2A_MSIL1C_20210908T042701_N0301_R133_T46RER_20210908T070248.SAFE",
    "S2A_MSIL2A_20190212T192651_N0212_R013_T07HFE_20201007T160857.SAFE",
    "S2A_OPER_MSI_L1C_TL_SGS__20181231T203637_A018414_T10SDG",
    "S2A_OPER_MSI_L2A_TL_SGS__20181231T210250_A018414_T10SDG",
]
ASSET_FIELDS = ("gsd", "proj:shape", "proj:transform", "roles")
"""href, type and title are of the file, which is ours; proj:bbox follows from shape and transform."""
DEGREES = 2e-6
pytestmark = pytest.mark.filterwarnings("ignore:The exterior ring of this shape is wound clockwise")  # antimeridian, in stactools


def only_scene(folder: Path) -> Scene:
    (scene,) = scenes(layout(safe.open_product(folder, folder, wanted=WANTED)))
    return scene


def ours(scene: Scene) -> dict[str, Any]:
    """The fields of the draft's item, and those of its bands that need no pixels."""
    fields = _item(draft_item(scene).to_dict(include_self_link=False))
    for band in declared(scene.collection).bands:
        fields |= _asset(band.name, band_asset(band) | _grid(scene.tile, band))
    return fields


def theirs(document: Mapping[str, Any]) -> dict[str, Any]:
    fields = _item(document)
    for key, asset in document["assets"].items():
        fields |= _asset(key, asset)
    return fields


def _item(document: Mapping[str, Any]) -> dict[str, Any]:
    properties = {f"properties/{key}": value for key, value in document["properties"].items() if key != "datetime"}
    moment = datetime.fromisoformat(document["properties"]["datetime"])
    shape = shapely.geometry.shape(document["geometry"])
    return {"id": document["id"], "datetime": moment, "bbox": document["bbox"], "geometry": shape, **properties}


def _asset(key: str, asset: Mapping[str, Any]) -> dict[str, Any]:
    fields = {field: asset[field] for field in ASSET_FIELDS if field in asset}
    for group in ("eo:bands", "raster:bands"):
        found = asset.get(group, [])
        if len(found) == 1:
            fields |= {f"{group}/{name}": value for name, value in found[0].items()}
    classes = asset.get("classification:classes") or fields.pop("raster:bands/classification:classes", None)
    if classes:
        fields["classes"] = {entry["value"]: entry["name"] for entry in classes}
    return {f"assets/{key}": True, **{f"assets/{key}/{field}": value for field, value in fields.items()}}


def _grid(tile: TileMetadata, band: Band) -> dict[str, Any]:
    pixel = RESOLUTION[band.grid]
    left, top = tile.corner
    return {"proj:shape": list(tile.sizes[pixel]), "proj:transform": [pixel, 0, left, 0, -pixel, top]}


def same(one: Any, other: Any) -> bool:
    if isinstance(one, shapely.Geometry):
        return bool(one.is_valid and one.hausdorff_distance(other) < DEGREES)
    if isinstance(one, (int, float)) and isinstance(other, (int, float)):
        return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-9)
    if isinstance(one, list) and isinstance(other, (list, tuple)) and all(isinstance(entry, (int, float)) for entry in one):
        return len(one) == len(other) and all(abs(a - b) < DEGREES for a, b in zip(one, other, strict=True))
    return bool(one == other)


def distance(one: Any, other: Any) -> float:
    """Degrees between two geometries, boxes or points."""
    if isinstance(one, shapely.Geometry):
        return float(one.hausdorff_distance(other))
    values, others = (list(side.values()) if isinstance(side, dict) else side for side in (one, other))
    return max(abs(a - b) for a, b in zip(values, others, strict=True))


def differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Field → (ours, theirs); fields of an asset that one side lacks are one difference: the asset."""
    found = {}
    for field in sorted({*one, *other}):
        asset = "/".join(field.split("/")[:2])
        if field.startswith("assets/") and field != asset and (asset not in one or asset not in other):
            continue
        if field not in one or field not in other or not same(one[field], other[field]):
            found[field] = (one.get(field), other.get(field))
    return found


def check(product: str, found: Mapping[str, tuple[Any, Any]]) -> None:
    """Every difference is listed for this product, and every listed one is there."""
    entries = [entry for entry in LISTED if any(fnmatch.fnmatch(product, name) for name in entry["products"])]
    listed = {pattern for entry in entries for pattern in entry["fields"]}
    limits = {field: entry["within"] for entry in entries if "within" in entry for field in entry["fields"]}
    far = {field: distance(*found[field]) for field, limit in limits.items() if field in found and distance(*found[field]) > limit}
    assert not far, f"{product}: further away than differences.yaml allows: {far}"
    unlisted = {field: pair for field, pair in found.items() if not any(fnmatch.fnmatch(field, pattern) for pattern in listed)}
    gone = {pattern for pattern in listed if not fnmatch.filter(found, pattern)}
    assert not unlisted, f"{product} differs where differences.yaml lists nothing (ours, theirs):\n" + "\n".join(
        f"  {field}: {pair}" for field, pair in unlisted.items()
    )
    assert not gone, f"{product}: listed in differences.yaml, but no longer different: {', '.join(sorted(gone))}"


@pytest.mark.parametrize("product", RECORDED)
def test_recorded(samples: Path, product: str) -> None:
    folder = samples / FOLDER / product
    expected = json.loads((folder / "expected_output.json").read_text("utf-8"))
    check(product, differences(ours(only_scene(folder)), theirs(expected)))


def test_every_recorded_answer_is_compared(samples: Path) -> None:
    assert sorted(path.parent.name for path in (samples / FOLDER).glob("*/expected_output.json")) == sorted(RECORDED)


def live(folder: Path) -> dict[str, Any]:
    document: dict[str, Any] = create_item(str(folder), tolerance=1e-5).to_dict()  # its 0.01 degrees is more than a tiny tile
    return document


def test_aws_tile_of_a_new_baseline(samples: Path) -> None:
    product = "S2A_OPER_MSI_L2A_DS_2APS_20230105T201055_S20230105T163809"
    folder = samples / FOLDER / product
    check(product, differences(ours(only_scene(folder)), theirs(live(folder))))


@pytest.mark.parametrize(
    ("archive", "folder"),
    [
        (
            "au_l1c_wagl/SENTINEL2/S2A_MSIL1C_20171207T002051_N0206_R116_T55JEJ_20171207T032513.zip",
            "S2A_MSIL1C_20171207T002051_N0206_R116_T55JEJ_20171207T032513.SAFE",
        ),
        (
            "au_l1c_eodatasets/data/S2B_OPER_MSI_L1C_TL_EPAE_20180617T013729_A006677_T55JGF_N02.06.AWSPDS.zip",
            "S2B_OPER_MSI_L1C_TL_EPAE_20180617T013729_A006677_T55JGF_N02.06",
        ),
    ],
)
def test_archives(samples: Path, tmp_path: Path, archive: str, folder: str) -> None:
    wanted = ("manifest.safe", "MTD_TL.xml", "MTD_MSIL1C.xml", f"{folder}/metadata.xml", "tileInfo.json", "productInfo.json")
    with zipfile.ZipFile(samples / "pixels/sentinel2" / archive) as packed:
        packed.extractall(tmp_path, [name for name in packed.namelist() if name.endswith(wanted)])
    check(folder, differences(ours(only_scene(tmp_path / folder)), theirs(live(tmp_path / folder))))


@pytest.fixture(params=[("s2_l1c", "02.12"), ("s2_l1c", "05.00"), ("s2_l2a", "02.12"), ("s2_l2a", "05.00")], ids="-".join)
def tiny(request: pytest.FixtureRequest, generated: Callable[..., Path]) -> Path:
    return generated(*request.param)


def test_generated_safe(tiny: Path) -> None:
    check(f"generated {tiny.name}", differences(ours(only_scene(tiny)), theirs(live(tiny))))


def test_generated_aws(tiny: Path, tmp_path: Path) -> None:
    folder = as_aws(tiny, tmp_path / "aws")
    check(f"generated aws {tiny.name}", differences(ours(only_scene(folder)), theirs(live(folder))))
