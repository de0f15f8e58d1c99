"""Metadata against what USGS and eo-datasets made of the same products; differences.yaml has every difference and its reason."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pystac
import pytest
import rasterio
import shapely
import yaml
from pyproj import Transformer
from shapely.geometry.base import BaseGeometry
from support.landsat_products import product

from eolake.catalog.declaration import declared
from eolake.ingest.sensors import identify
from eolake.ingest.sensors.landsat import LandsatSensor, bands, mtl
from eolake.ingest.sensors.landsat.item import draft_item
from eolake.ingest.sensors.landsat.scene import scene
from eolake.ingest.sensors.landsat.sensor import metadata_geometry

DIFFERENCES = yaml.safe_load((Path(__file__).parent / "differences.yaml").read_text("utf-8"))
USGS = "pixels/landsat/c2l2_stactools"
AU = "pixels/landsat/au_eodatasets/data"
STAC_FILES = [
    "assets3/LC08_L2SP_008059_20191201_20200825_02_T1_SR",
    "assets3/LC08_L2SP_008059_20191201_20200825_02_T1_ST",
    "assets4/LC08_L2SP_017036_20130419_20200913_02_T2_SR",
    "assets4/LC08_L2SP_017036_20130419_20200913_02_T2_ST",
    "etm/LE07_L2SP_021030_20100109_20200911_02_T1_SR",
    "etm/LE07_L2SP_021030_20100109_20200911_02_T1_ST",
    "oli-tirs/LC08_L2SP_047027_20201204_20210313_02_T1_SR",
    "oli-tirs/LC08_L2SP_047027_20201204_20210313_02_T1_ST",
    "oli-tirs/LC08_L2SR_084024_20160111_20201016_02_T1_SR",
]
EO3_DOCUMENTS = {
    "LC08_L1TP_090084_20160121_20170405_01_T1/odc-metadata.yaml": "LC08_L1TP_090084_20160121_20170405_01_T1",
    "LC08_L1TP_090084_20160121_20200907_02_T1/LC08_L1TP_090084_20160121_20200907_02_T1.odc-metadata.yaml": (
        "LC08_L1TP_090084_20160121_20200907_02_T1"
    ),
    "LE07_L1TP_104078_20130429_20161124_01_T1.odc-metadata.yaml": "LE07_L1TP_104078_20130429_20161124_01_T1.tar",
}


def _item(folder: Path, name: str, workspace: Path) -> pystac.Item:
    """By the sensor; from the metadata alone where the package has no pixels."""
    if list(folder.glob(f"{name}_*.TIF")):
        (draft,) = LandsatSensor().open(folder, workspace)
        return draft.item
    found = scene(mtl.read(next(path for kind in ("txt", "json", "xml") for path in folder.glob(f"{name}_MTL.{kind}"))))
    angles = folder / f"{name}_ANG.txt"
    return draft_item(found, metadata_geometry(found, angles if angles.exists() else None), crs=found.crs)


def _check(differences: Mapping[str, Any], theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> None:
    """Equal, or different and listed with that value."""
    expected = {key: value["theirs"] for key, value in differences.items() if "theirs" in value}
    found = {key: value for key, value in theirs.items() if value != ours.get(key)}
    assert found == {key: _moment(value) if isinstance(value, datetime) else value for key, value in expected.items()}


def _moment(value: datetime) -> str:
    return value.replace(tzinfo=value.tzinfo or UTC).astimezone(UTC).isoformat().replace("+00:00", "Z")


def _unwrapped(geometry: BaseGeometry) -> BaseGeometry:
    """Longitudes from 0 to 360: whole over the antimeridian."""
    parts = [shapely.transform(part, lambda at: np.column_stack([at[:, 0] % 360, at[:, 1]])) for part in shapely.get_parts(geometry)]
    return shapely.union_all(parts) if len(parts) > 1 else parts[0]


@pytest.mark.parametrize("file", STAC_FILES)
def test_usgs_says_the_same(samples: Path, tmp_path: Path, file: str) -> None:
    path = samples / USGS / f"{file}_stac.json"
    document = json.loads(path.read_text())
    name = path.name.rsplit("_", 2)[0]
    item = _item(path.parent, name, tmp_path)
    properties, theirs = item.to_dict()["properties"], document["properties"]
    differences = DIFFERENCES["usgs_stac"].get(name, {})
    same = {
        "id": document["id"],
        "datetime": theirs["datetime"],
        "eo:cloud_cover": theirs["eo:cloud_cover"],
        "landsat:cloud_cover_land": theirs["landsat:cloud_cover_land"],
        "view:sun_azimuth": theirs["eo:sun_azimuth"],
        "view:sun_elevation": theirs["eo:sun_elevation"],
        "view:off_nadir": theirs["eo:off_nadir"],
        "platform": theirs["eo:platform"].lower().replace("_", "-"),
        "instruments": theirs["eo:instrument"].lower().split("_"),
        "landsat:wrs_type": theirs["landsat:wrs_type"],
        "landsat:wrs_path": theirs["landsat:wrs_path"].zfill(3),
        "landsat:wrs_row": theirs["landsat:wrs_row"].zfill(3),
        "landsat:scene_id": theirs["landsat:scene_id"],
        "landsat:collection_category": theirs["landsat:collection_category"],
        "landsat:collection_number": theirs["landsat:collection_number"],
    }
    _check(differences, same, {**properties, "id": item.id})
    assert str(properties["datetime"]).startswith(theirs["datetime"][:10])
    distance = _unwrapped(shapely.geometry.shape(document["geometry"])).hausdorff_distance(
        _unwrapped(shapely.geometry.shape(item.geometry))
    )
    if "geometry" in differences:
        assert distance == pytest.approx(differences["geometry"]["distance"], abs=1e-4)
    else:
        assert distance < 0.001


def test_every_scene_with_pixels_has_the_footprint_of_usgs() -> None:
    """The list of differences excuses only packages that lack the pixels."""
    excused = {name for name, found in DIFFERENCES["usgs_stac"].items() if "geometry" in found}
    assert not {file.split("/")[1].rsplit("_", 1)[0] for file in STAC_FILES if file.startswith("assets")} & excused


@pytest.mark.parametrize("file", EO3_DOCUMENTS)
def test_eo_datasets_says_the_same(samples: Path, tmp_path: Path, file: str) -> None:
    document = yaml.safe_load((samples / AU / file).read_text())
    path = samples / AU / EO3_DOCUMENTS[file]
    found = identify(path)
    assert found is not None
    (draft,) = found[0].open(path, tmp_path)
    properties = draft.item.to_dict()["properties"]
    ours = {**properties, "id": draft.item.id, "proj:code": properties["proj:code"].lower()}
    differences = DIFFERENCES["eo_datasets"][draft.item.id]
    _check(differences, _eo3(document), ours)
    grids = {"default": "red", "panchromatic": "pan"}
    for name, grid in document["grids"].items():
        pixels = draft.bands[grids[name]].read()
        assert list(pixels.data.shape) == grid["shape"]
        assert list(pixels.transform)[:9] == pytest.approx(grid["transform"])
    distance = _distance(document, draft.item, cell=document["grids"]["default"]["transform"][0])
    assert distance == pytest.approx(differences["geometry"]["pixels"], abs=0.02)


def _eo3(document: Mapping[str, Any]) -> dict[str, Any]:
    """The document's facts under our names; it has none about the scene when it was made up."""
    theirs = document["properties"]
    found = {
        "datetime": _moment(theirs["datetime"]),
        "processing:datetime": _moment(theirs["odc:processing_datetime"]),
        "proj:code": document["crs"],
    }
    names = {
        "eo:cloud_cover": "eo:cloud_cover",
        "eo:platform": "platform",
        "eo:sun_azimuth": "view:sun_azimuth",
        "eo:sun_elevation": "view:sun_elevation",
        "landsat:collection_category": "landsat:collection_category",
        "landsat:data_type": "landsat:correction",
        "landsat:landsat_product_id": "id",
        "landsat:landsat_scene_id": "landsat:scene_id",
        "odc:region_code": "odc:region_code",
    }
    found |= {ours: theirs[key] for key, ours in names.items() if key in theirs}
    if "landsat:wrs_path" in theirs:
        software, version = theirs["landsat:processing_software_version"].split("_")
        found |= {
            "instruments": theirs["eo:instrument"].lower().split("_"),
            "landsat:wrs_path": f"{theirs['landsat:wrs_path']:03}",
            "landsat:wrs_row": f"{theirs['landsat:wrs_row']:03}",
            "landsat:collection_number": f"{theirs['landsat:collection_number']:02}",
            "processing:software": {software: version},
        }
    return found


def _distance(document: Mapping[str, Any], item: pystac.Item, *, cell: float) -> float:
    """How far apart the footprints are, in pixels (Hausdorff)."""
    to_grid = Transformer.from_crs("EPSG:4326", document["crs"], always_xy=True)
    ours = shapely.transform(shapely.geometry.shape(item.geometry), to_grid.transform, interleaved=False)
    return float(ours.hausdorff_distance(shapely.geometry.shape(document["geometry"]))) / cell


@pytest.mark.parametrize("folder", ["assets3", "assets4"])
def test_projection_is_that_of_the_rasters(samples: Path, tmp_path: Path, folder: str) -> None:
    (draft,) = LandsatSensor().open(samples / USGS / folder, tmp_path)
    for path in (samples / USGS / folder).glob("*.TIF"):
        with rasterio.open(path) as source:
            assert draft.item.properties["proj:code"] == f"EPSG:{source.crs.to_epsg()}"


def test_projection_of_a_generated_product_is_that_of_its_rasters(tmp_path: Path) -> None:
    made = product("ls9_c2_l2", crs="EPSG:32656")  # its metadata says zone 55: the rasters rule
    (draft,) = LandsatSensor().open(made.write(tmp_path), tmp_path / "none")
    assert draft.item.properties["proj:code"] == "EPSG:32656"
    assert draft.bands["red"].read().crs == "EPSG:32656"


METADATA_ONLY = {
    "etm/LE07_L2SP_021030_20100109_20200911_02_T1_MTL.xml": "ls7_c2_l2",
    "oli-tirs/LC08_L2SP_047027_20201204_20210313_02_T1_MTL.txt": "ls8_c2_l2",
    "oli-tirs/LC08_L2SR_084024_20160111_20201016_02_T1_MTL.xml": "ls8_c2_l2sr",
    "oli-tirs/LC09_L2SP_010065_20220129_20220131_02_T1_MTL.txt": "ls9_c2_l2",
}


@pytest.mark.parametrize("file", METADATA_ONLY)
def test_real_metadata_lists_every_declared_band_with_its_scale(samples: Path, file: str) -> None:
    facts = mtl.read(samples / USGS / file)
    found = scene(facts)
    collection = declared(METADATA_ONLY[file])
    assert found.collection_id == collection.id
    present = {name.upper(): Path(name) for name in found.files}
    assert len(present) == len(collection.bands)  # nothing that USGS delivers is left out
    files = bands.band_files(found, collection, present)
    assert sorted(path.name for path in files.values()) == sorted(found.files)
    bands.check_scales(facts, collection)
