"""Items of Sentinel-3 from the manifest alone, beside those of stactools; products that are not what their manifest says; other types."""

from __future__ import annotations

import json
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely

from eolake.catalog.declaration import declared
from eolake.catalog.errors import BadProduct
from eolake.catalog.safe.netcdf import Variable
from eolake.ingest.sensors import find_sensor, identify
from eolake.ingest.sensors.sentinel3 import metadata
from eolake.ingest.sensors.sentinel3.sensor import supported
from eolake.ingest.sensors.swath import flags

OURS = {"platform", "constellation", "instruments", "datetime", "start_datetime", "end_datetime", "s3:gsd", "s3:product_name"}
"""Fields that the item has from elsewhere, or in the form that STAC asks for (lower case)."""
RENAMED = {"s3:product_type": "product:type", "s3:processing_timeliness": "product:timeliness_category"}
"""Names of version 0.1 of the extension → those of 0.2, which took them from the product extension."""
POLAR = {"S3A_OL_2_WFR", "S3B_OL_1_ERR"}
"""Footprints over a pole: stactools cuts them by other rules."""
RADAR = "S3A_SR_2_LAN"


@pytest.fixture(scope="module")
def stactools(samples: Path) -> dict[str, tuple[Path, dict[str, Any]]]:
    """Product folder and expected item, by the begin of their names."""
    root = samples / "pixels/sentinel3/stactools_sen3"
    folders = {path.name[:12]: path for path in (root / "tests/data-files").iterdir()}
    return {path.name[:12]: (folders[path.name[:12]], json.loads(path.read_text())) for path in (root / "examples").iterdir()}


def test_items_agree_with_those_of_stactools(stactools: dict[str, tuple[Path, dict[str, Any]]]) -> None:
    for name, (folder, expected) in stactools.items():
        found = metadata.described(folder / metadata.MANIFEST, folder.stem)
        theirs = expected["properties"]
        assert found.start == datetime.fromisoformat(theirs["start_datetime"])
        assert found.end == datetime.fromisoformat(theirs["end_datetime"])
        assert found.at is not None
        assert abs((found.at - datetime.fromisoformat(theirs["datetime"])).total_seconds()) < 1e-5
        for key, value in theirs.items():
            if key in OURS or (name == RADAR and key.startswith("s3:") and key not in RENAMED):
                continue
            assert found.properties[RENAMED.get(key, key)] == value, (name, key)


def test_footprints_agree_with_those_of_stactools(stactools: dict[str, tuple[Path, dict[str, Any]]]) -> None:
    for name, (folder, expected) in stactools.items():
        ours, theirs = metadata.footprint(folder / metadata.MANIFEST), shapely.geometry.shape(expected["geometry"])
        assert ours.is_valid
        assert -180 <= ours.bounds[0] < ours.bounds[2] <= 180
        if name not in POLAR:
            assert ours.hausdorff_distance(theirs) < 1e-4, name


def test_products_without_their_pixels_are_quarantined_by_name_of_the_file(
    stactools: dict[str, tuple[Path, dict[str, Any]]], tmp_path: Path
) -> None:
    for name, (folder, _) in stactools.items():
        found = identify(folder)
        assert found is not None
        (tmp_path / name).mkdir()
        reason = (
            r"of type SR_2_LAN are not supported"
            if name == RADAR
            else r"is not what its xfdumanifest\.xml says: \w+\.nc has 4?\d,\d+ bytes"
        )
        with pytest.raises(BadProduct, match=reason):
            list(found[0].open(folder, tmp_path / name))


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("S3A_SR_1_SRA____20230309T204558_20230309T204623_20230309T225028_0024_096_214______PS1_O_NR_004.zip", "SR_1_SRA"),
        ("S3B_SY_2_SYN____20240101T000000_20240101T000300_20240102T000000_0179_088_001_3420_PS2_O_NT_002.SEN3", "SY_2_SYN"),
        ("S3A_SL_2_WST____20240323T040126_20240323T054225_20240324T000000_6059_110_232______MAR_O_NT_003", "SL_2_WST"),
    ],
)
def test_other_types_are_refused_with_those_that_there_are(tmp_path: Path, name: str, kind: str) -> None:
    sensor = find_sensor(name.removesuffix(".zip"))
    assert sensor is not None
    with pytest.raises(BadProduct, match=rf"type {kind} are not supported; those of OL_1_EFR, OL_1_ERR, .*SL_2_LST are"):
        list(sensor.open(tmp_path / name, tmp_path))


def test_supported_types_are_those_of_the_collections() -> None:
    assert set(supported()) >= {"OL_1_EFR", "OL_1_ERR", "OL_2_LFR", "OL_2_LRR", "OL_2_WFR", "OL_2_WRR", "SL_1_RBT", "SL_2_LST", "SL_2_FRP"}


def test_a_manifest_of_another_product_is_refused(stactools: dict[str, tuple[Path, dict[str, Any]]]) -> None:
    folder = stactools["S3A_OL_1_EFR"][0]
    with pytest.raises(BadProduct, match="holds the manifest of another product: S3A_OL_1_EFR____20211021"):
        metadata.described(folder / metadata.MANIFEST, folder.stem.replace("2021", "2020"))


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("<sentinel-safe:startTime>2021", "<sentinel-safe:startTime>yesterday", "startTime is no time: 'yesterday"),
        ("posList>-72.343 ", "posList>south ", "its footprint is no list of numbers"),
        ('brightPixels percentage="', 'brightPixels percentage="about ', "the percentage of brightPixels is 'about"),
        (">29567<", ">many<", "an orbit is 'many', which is no number"),
        ("<sentinel3:timeliness>NR</sentinel3:timeliness>", "", "has no timeliness"),
    ],
)
def test_a_manifest_that_says_nonsense_is_refused(
    stactools: dict[str, tuple[Path, dict[str, Any]]], tmp_path: Path, old: str, new: str, reason: str
) -> None:
    folder = stactools["S3A_OL_1_EFR"][0]
    text = (folder / metadata.MANIFEST).read_text()
    assert old in text
    path = tmp_path / metadata.MANIFEST
    path.write_text(text.replace(old, new))
    read = metadata.footprint if "footprint" in reason else partial(metadata.described, name=folder.stem)
    with pytest.raises(BadProduct, match=reason):
        read(path)


# --- flags by their meanings ---


def lqsf(meanings: str, masks: tuple[int, ...]) -> Variable:
    attributes = {"flag_meanings": meanings, "flag_masks": masks}
    return Variable(
        name="LQSF", shape=(1, 4), dtype=np.dtype("uint32"), dimensions=("rows", "columns"), attributes=attributes, _read=np.empty
    )


def test_bits_that_have_moved_and_changed_their_names_are_found() -> None:
    """Products before 2022 had cloud on bit 3 and OGVI_FAIL on bit 12; now they are 4 and, as GIFAPAR_FAIL, 15."""
    band = declared("s3_olci_l2_lfr").band("lqsf")
    offsets = {field.name: field.offset for field in band.bitfields}
    assert (offsets["cloud"], offsets["gifapar_fail"], offsets["coastline"]) == (4, 15, 3)
    old = lqsf("INVALID WATER LAND CLOUD OGVI_FAIL", (1, 2, 4, 8, 4096))
    counts = np.array([[1, 8, 4096 | 4, 0]], np.uint32)
    found = flags.by_meaning(old, counts, band, {"gifapar_fail": "OGVI_FAIL"}, "LQSF")
    np.testing.assert_array_equal(found, [[1, 1 << 4, 1 << 15 | 4, 0]])
    assert found.dtype == np.uint32


def test_flags_beyond_32_bits_become_a_band_of_their_own() -> None:
    band = declared("s3_olci_l2_wfr").band("wqsf_annotations")
    wide = lqsf("INVALID RWNEG_O1 RWNEG_O21", (1, 1 << 40, 1 << 55))
    counts = np.array([[1, 1 << 40, 1 << 55 | 1, 0]], np.uint64)
    offsets = {field.name: field.offset for field in band.bitfields}
    found = flags.by_meaning(wide, counts, band, {}, "WQSF")
    np.testing.assert_array_equal(found, [[0, 1 << offsets["rwneg_o1"], 1 << offsets["rwneg_o21"], 0]])


@pytest.mark.parametrize(("meanings", "masks"), [("INVALID WATER", (1,)), ("", ()), ("SPARE UNUSED", (1, 2))])
def test_flags_without_known_meanings_are_bad(meanings: str, masks: tuple[int, ...]) -> None:
    band = declared("s3_olci_l2_lfr").band("lqsf")
    with pytest.raises(BadProduct, match=r"does not say what its bits mean|has none of the flags"):
        flags.by_meaning(lqsf(meanings, masks), np.zeros((1, 4), np.uint32), band, {}, "LQSF")
