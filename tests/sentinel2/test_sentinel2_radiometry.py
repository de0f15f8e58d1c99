"""One scale and offset for all baselines: what is added, what stays, what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from support.sentinel2_layouts import as_aws, edit, granule_of, main_of

from eolake.catalog.draft import Draft
from eolake.catalog.errors import BadProduct
from eolake.ingest.sensors.sentinel2.radiometry import add_offset

Drafts = Callable[[Path], list[Draft]]
Generated = Callable[..., Path]
LISTS = {"s2_l1c": "Radiometric_Offset_List", "s2_l2a": "BOA_ADD_OFFSET_VALUES_LIST"}


@given(hnp.arrays(np.uint16, st.tuples(st.integers(1, 1100), st.integers(1, 3))), st.integers(0, 2000))
def test_valid_pixels_get_the_offset(data: np.ndarray, added: int) -> None:
    before = data.astype(int)
    add_offset(data, added)
    expected = np.where((before == 0) | (before == 65535), before, np.minimum(before + added, 65534))
    assert np.array_equal(data, expected)


@pytest.mark.parametrize(
    ("stored", "expected"),
    [(0, 0), (1, 1001), (64534, 65534), (64535, 65534), (65534, 65534), (65535, 65535)],
    ids=["no data", "darkest", "largest", "overflow by one", "overflow", "saturated"],
)
def test_limits(stored: int, expected: int) -> None:
    data = np.array([[stored]], np.uint16)
    add_offset(data, 1000)
    assert data[0, 0] == expected


def test_nothing_is_added_to_new_baselines() -> None:
    data = np.array([[0, 1, 65534, 65535]], np.uint16)
    add_offset(data, 0)
    assert data.tolist() == [[0, 1, 65534, 65535]]


@pytest.mark.parametrize("kind", ["s2_l1c", "s2_l2a"])
def test_the_metadata_decides_band_by_band(generated: Generated, drafts: Drafts, kind: str) -> None:
    """B04 has id 3 and B8A id 8; a baseline of 99.99, as in test processings, has offsets like any other."""
    product = generated(kind, "05.00")
    edit(main_of(product), r'(_ADD_OFFSET band_id="3">)-1000', r"\g<1>0")
    edit(main_of(product), r'(_ADD_OFFSET band_id="8">)-1000', r"\g<1>-400")
    edit(main_of(product), "<PROCESSING_BASELINE>05.00<", "<PROCESSING_BASELINE>99.99<")
    (draft,) = drafts(product)
    added = {name: band.properties["eolake:offset_added"] for name, band in draft.bands.items() if band.properties}
    assert {name: value for name, value in added.items() if value} == {"red": 1000, "nir08": 600}
    (path,) = granule_of(product).rglob("*_B8A_20m.jp2" if kind == "s2_l2a" else "*IMG_DATA/*_B8A.jp2")
    with rasterio.open(path) as source:
        stored = source.read(1).astype(int)
    assert np.array_equal(draft.bands["nir08"].read().data, np.where(stored == 0, 0, stored + 600))


@pytest.mark.parametrize("kind", ["s2_l1c", "s2_l2a"])
def test_offsets_given_before_the_baseline_that_brought_them(generated: Generated, drafts: Drafts, kind: str) -> None:
    product = generated(kind, "05.00")
    edit(main_of(product), "<PROCESSING_BASELINE>05.00<", "<PROCESSING_BASELINE>03.01<")
    assert drafts(product)[0].bands["red"].properties == {"eolake:offset_added": 0}


def test_atmosphere_and_classes_stay(generated: Generated, drafts: Drafts) -> None:
    (draft,) = drafts(generated("s2_l2a", "02.06"))
    for name in ("scl", "aot", "wvp", "cloud_probability", "snow_probability"):
        assert "eolake:offset_added" not in draft.bands[name].properties


def test_larger_offsets_are_refused(generated: Generated, drafts: Drafts) -> None:
    product = generated("s2_l2a")
    edit(main_of(product), r'(_ADD_OFFSET band_id="3">)-1000', r"\g<1>-1500")
    with pytest.raises(
        BadProduct, match=r"MTD_MSIL2A\.xml: the offsets of B04 \(-1500\) are below -1000; lowering the pixels would lose dark ones"
    ):
        drafts(product)


def test_a_new_baseline_without_offsets_is_refused(generated: Generated, drafts: Drafts) -> None:
    product = generated("s2_l1c")
    edit(main_of(product), "<Radiometric_Offset_List>.*</Radiometric_Offset_List>", "")
    with pytest.raises(BadProduct, match=r"MTD_MSIL1C\.xml: baseline 05\.00 has band offsets since 04\.00, but none are given"):
        drafts(product)


def test_a_band_without_offset_is_refused(generated: Generated, drafts: Drafts) -> None:
    product = generated("s2_l1c")
    edit(main_of(product), r'<RADIO_ADD_OFFSET band_id="3">-1000</RADIO_ADD_OFFSET>', "")
    with pytest.raises(BadProduct, match=r"metadata of S2B_OPER_MSI_L1C_TL_\S+ gives no offset for B04"):
        drafts(product)


@pytest.mark.parametrize(
    ("element", "value", "message"),
    [
        ("BOA_QUANTIFICATION_VALUE", "1000", "reflectance is stored times 1000; its collection says times 10000"),
        ("WVP_QUANTIFICATION_VALUE", "100.0", "wvp is stored times 100; its collection says times 1000"),
        ("BOA_QUANTIFICATION_VALUE", "ten", "is not a number: 'ten'"),
        ("BOA_QUANTIFICATION_VALUE", "NaN", "has no value|not a finite number"),
    ],
)
def test_other_scales_are_refused(generated: Generated, drafts: Drafts, element: str, value: str, message: str) -> None:
    product = generated("s2_l2a")
    edit(main_of(product), rf"(<{element}[^>]*>)[\d.]+", rf"\g<1>{value}")
    with pytest.raises(BadProduct, match=message):
        drafts(product)


def test_other_special_values_are_refused(generated: Generated, drafts: Drafts) -> None:
    product = generated("s2_l1c")
    edit(main_of(product), "(<SPECIAL_VALUE_INDEX>)65535", r"\g<1>32767")
    with pytest.raises(BadProduct, match="SATURATED is 32767, not 65535"):
        drafts(product)


def test_product_metadata_beside_an_aws_tile(generated: Generated, drafts: Drafts, tmp_path: Path) -> None:
    """Some mirrors put it there: then it tells the offsets, the orbit and the footprint."""
    product = generated("s2_l2a", "05.00")
    folder = as_aws(product, tmp_path / "S2B_aws")
    edit(main_of(product), r'(_ADD_OFFSET band_id="3">)-1000', r"\g<1>0")
    (folder / "product_metadata.xml").write_bytes(main_of(product).read_bytes())
    (draft,) = drafts(folder)
    assert draft.bands["red"].properties == {"eolake:offset_added": 1000}
    assert draft.item.properties["sat:orbit_state"] == "descending"
