"""Which collections, which masks, which samples: everything before the pixels are an analysis's."""

from __future__ import annotations

import numpy as np
import pytest
from support.small_scenes import CLEAR, CLOUD

from eolake.analysis.base import CLOUDS, SNOW
from eolake.analysis.commands import parse_bbox
from eolake.analysis.families import families, family_key, mask_of
from eolake.analysis.pixels import _mean, blocks, hidden
from eolake.analysis.registry import analyses
from eolake.analysis.vegetation_indices import ALBERS, MONTH, REFLECTANCE
from eolake.catalog.declaration import declared, declared_collections
from eolake.catalog.errors import UsageError


def test_surface_reflectance_is_the_default_and_families_are_not_mixed() -> None:
    found = {family.key: family.collections for family in families(MONTH)}
    assert set(found) == {"ls_ard_au", "ls_ard_us_sr", "ls_c2_l2", "s2_c1_l2a_ref", "s2_l2a"}
    assert found["ls_ard_au"] == ("ls5_ard_au", "ls7_ard_au", "ls8_ard_au", "ls9_ard_au")
    assert {"ls8_c2_l2", "ls9_c2_l2", "ls5_c2_l2", "ls7_c2_l2"} <= set(found["ls_c2_l2"])
    assert found["s2_l2a"] == ("s2_l2a",)


def test_what_is_asked_for_is_used_and_a_part_of_a_family_has_a_name_of_its_own() -> None:
    assert [f.key for f in families(MONTH, ["ls8_c2_l1"])] == ["ls8_c2_l1"]
    assert [f.key for f in families(MONTH, ["ls8_c2_l2", "ls9_c2_l2"])] == ["ls8_c2_l2_ls9_c2_l2"]
    assert [f.key for f in families(MONTH, ["ls8_c2_l2", "s2_l2a"])] == ["ls8_c2_l2", "s2_l2a"]
    assert [f.key for f in families(MONTH, ["ls8_c2_l2", "s2_l2a"], mix=True)] == ["ls8_c2_l2_s2_l2a"]
    assert family_key("ls5_c2_l2sr") == "ls_c2_l2"


@pytest.mark.parametrize("name", ["no_such", "vegetation_indices_month"])
def test_what_can_not_be_used_says_why(name: str) -> None:
    with pytest.raises(UsageError, match=name):
        families(MONTH, [name])


def test_names_find_one_analysis_or_all_below_it() -> None:
    assert [a.collection for a in analyses("vegetation_indices")] == ["vegetation_indices_month", "vegetation_indices_scene"]
    assert [a.collection for a in analyses("vegetation_indices_month")] == ["vegetation_indices_month"]
    with pytest.raises(UsageError, match="vegetation_indices_month"):
        analyses("rainfall")


def test_every_analysis_has_its_derived_collection() -> None:
    for analysis in analyses("vegetation_indices"):
        assert declared(analysis.collection).derived


@pytest.mark.parametrize("collection", [c for f in families(MONTH) for c in f.collections])
def test_clouds_are_hidden_and_clear_land_is_not(collection: str) -> None:
    mask = mask_of(declared(collection), CLOUDS)
    assert mask is not None
    values = np.array([[CLEAR[mask.band], CLOUD[mask.band], mask.nodata]], np.uint16)
    assert hidden(values, mask).tolist() == [[False, True, True]]


@pytest.mark.parametrize(
    ("value", "visible"), [(21824, True), (21952, True), (21826, False), (23888, False), (54596, False), (30048, True)]
)
def test_qa_pixel_of_landsat_8(value: int, visible: bool) -> None:
    """Clear, water, dilated cloud, shadow, cirrus, snow: values of the USGS's table of pixel quality."""
    mask = mask_of(declared("ls8_c2_l2"), CLOUDS)
    assert mask is not None
    assert hidden(np.array([[value]], np.uint16), mask)[0, 0] != visible


def test_snow_is_hidden_only_when_asked() -> None:
    plain, strict = mask_of(declared("s2_l2a"), CLOUDS), mask_of(declared("s2_l2a"), CLOUDS | SNOW)
    assert plain is not None
    assert strict is not None
    assert (hidden(np.array([[11]]), plain)[0, 0], hidden(np.array([[11]]), strict)[0, 0]) == (False, True)


def test_masks_name_classes_that_exist() -> None:
    """A class that is renamed in a declaration would silently hide nothing."""
    names = set()
    for collection in declared_collections().values():
        for band in collection.bands:
            names |= {entry.name for entry in band.classes} | {field.name for field in band.bitfields}
    assert names >= CLOUDS
    assert names & SNOW


def test_one_hidden_sample_hides_the_pixel() -> None:
    mask = mask_of(declared("s2_l2a"), CLOUDS)
    assert mask is not None
    scl = np.array([[4, 4, 4, 9], [4, 4, 4, 4]])
    assert hidden(scl, mask, 2).tolist() == [[False, True]]


def test_samples_are_averaged_without_nodata() -> None:
    data = np.array([[10, 20, 0, 0], [30, 40, 0, 8]], np.uint16)
    np.testing.assert_array_equal(_mean(data, 0, 2), [[25.0, 8.0]])
    np.testing.assert_array_equal(_mean(np.zeros((2, 2), np.uint16), 0, 2), [[np.nan]])


@pytest.mark.parametrize("layers", [1, 4, 12, 31, 400])
def test_blocks_cover_everything_once_within_the_budget(layers: int) -> None:
    seen = np.zeros((3200, 3000), np.uint8)
    for rows, columns in blocks(seen.shape, layers, 3):
        seen[rows, columns] += 1
        assert (rows.stop - rows.start) * (columns.stop - columns.start) * layers * 12 <= 400 * 2**20
    assert (seen == 1).all()


def test_tiles_have_96_km_and_the_edges_of_the_grid() -> None:
    box = ALBERS.spec()[17, -40]
    assert (box.shape.yx, box.extent.boundingbox.bbox) == ((3200, 3200), (17 * 96_000, -40 * 96_000, 18 * 96_000, -39 * 96_000))


def test_inputs_prefer_the_narrow_infrared() -> None:
    assert REFLECTANCE.bands["nir"] == ("nir08", "nir")


@pytest.mark.parametrize("text", ["", "1,2,3", "a,b,c,d", "150,-34,149,-33", "150,-33,151,-34", "-190,-34,150,-33"])
def test_what_is_no_bbox_says_so(text: str) -> None:
    with pytest.raises(UsageError, match="--bbox"):
        parse_bbox(text)
