"""OLCI Level 2, land and water, of several processing baselines: every value and every flag on the grid, as other readers have them."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import pytest
from numpy.typing import NDArray
from support import olci_products as olci
from support.manifests import reseal
from support.swath_files import assert_nearest, draft, nearest

from eolake.catalog.declaration import Band, declared
from eolake.catalog.draft import Draft
from eolake.catalog.errors import BadProduct
from eolake.ingest.sensors.swath import values

Array = NDArray[Any]
NAMES = {
    "s3_olci_l2_lfr": (olci.LAND_NEW, olci.LAND_OLD),
    "s3_olci_l2_lrr": (olci.LAND_STRIPE,),
    "s3_olci_l2_wfr": (olci.WATER_NEW, olci.WATER_OLD),
    "s3_olci_l2_wrr": (olci.WATER_STRIPE,),
    "s3_olci_l2_wfr_004": (olci.WATER_LATEST,),
}
PRODUCTS = [(collection, name) for collection, names in NAMES.items() for name in names]
COLLECTIONS = ["s3_olci_l1_efr", "s3_olci_l1_err", *NAMES, "s3_olci_l2_wrr_004"]


def made(folder: Path, name: str) -> tuple[olci.Made, Draft]:
    product = (olci.land if "_OL_2_L" in name else olci.water)(folder, name)
    return product, draft(product.path, folder / "work")


def expected(product: olci.Made, band: Band) -> Array:
    """Values of a band on the swath, by its name in the product."""
    for name in (*band.aliases, f"{(*band.aliases, band.name)[0]}_reflectance", band.name):
        if name in product.values:
            return product.values[name]
    raise AssertionError(f"{band.name} is not in the product")


@pytest.mark.parametrize(("collection", "name"), PRODUCTS, ids=[f"{collection}-{name[-3:]}" for collection, name in PRODUCTS])
def test_every_value_is_that_of_the_nearest_pixel(tmp_path: Path, collection: str, name: str) -> None:
    product, found = made(tmp_path, name)
    assert found.item.collection_id == collection
    assert set(found.bands) == {band.name for band in declared(collection).bands}
    for band in declared(collection).bands:
        if band.categorical:
            continue
        pixels = found.bands[band.name].read()
        wanted = values.quantised(expected(product, band).astype(float), band)
        if band.dtype == "float32":
            np.testing.assert_array_equal(wanted, expected(product, band).astype(band.dtype), err_msg=f"{band.name} loses nothing")
        assert_nearest(pixels, product.longitude, product.latitude, wanted, values.outside(band))


@pytest.mark.parametrize(("collection", "name"), PRODUCTS, ids=[f"{collection}-{name[-3:]}" for collection, name in PRODUCTS])
def test_every_flag_is_on_the_bit_of_its_name(tmp_path: Path, collection: str, name: str) -> None:
    product, found = made(tmp_path, name)
    checked = 0
    for band in declared(collection).bands:
        if not band.categorical:
            continue
        pixels = found.bands[band.name].read()
        index, distance = nearest(pixels, product.longitude, product.latitude)
        inside = distance < 0.45
        assert (pixels.data[distance > 1.5] == band.nodata).all(), "cubes of several scenes take them for nothing there"
        for field in band.bitfields:
            mask = next((product.values[meaning] for meaning in names_of(field.name) if meaning in product.values), None)
            shown = ((pixels.data >> field.offset) & 1).astype(bool)[inside]
            if mask is None:
                assert not shown.any(), f"{field.name} is no flag of this product"
                continue
            np.testing.assert_array_equal(shown, mask.ravel()[index[inside]], err_msg=field.name)
            checked += 1
    assert checked >= 23


def names_of(name: str) -> list[str]:
    """What products call a flag."""
    upper = name.upper()
    since_004 = {"OC4ME_FAIL": "CHLOR_A_FAIL", "KDM_FAIL": "KD_FAIL"}.get(upper, upper)
    return [
        upper,
        since_004,
        upper.replace("GIFAPAR", "OGVI"),
        upper.replace("INVALID_REC", "INVAL_REC"),
        f"OGVI{upper[7:]}".replace("VALID", "VAL"),
    ]


def test_no_flag_of_a_product_is_left_out() -> None:
    """But the one that no product since 2018 has: OTCI_CLASS_ANG."""
    for collection, said in (
        ("s3_olci_l2_lfr", {*olci.LQSF_OLD.split(), *olci.LQSF_NEW.split()} - {"OTCI_CLASS_ANG"}),
        ("s3_olci_l2_wfr", {*olci.WQSF_OLD.split(), *olci.WQSF_NEW.split(), *olci.ANNOTATIONS.split()}),
    ):
        there = {meaning for band in declared(collection).bands for field in band.bitfields for meaning in names_of(field.name)}
        assert not said - there


@pytest.mark.parametrize("collection", COLLECTIONS)
def test_every_band_has_a_value_for_nothing(collection: str) -> None:
    """Frames of one pass are loaded as one image: where one frame ends, the other is shown."""
    lacking = [band.name for band in declared(collection).bands if band.nodata is None]
    assert not lacking


@pytest.mark.parametrize("maker", ["land", "water"])
def test_satpy_reads_the_same(tmp_path: Path, maker: str) -> None:
    """Of what it has names for."""
    from satpy import Scene

    product, found = made(tmp_path, olci.LAND_NEW if maker == "land" else olci.WATER_NEW)
    known = (
        {"otci": "otci", "gifapar": "gifapar", "iwv": "iwv", "rc681": "rc_gifapar_oa10", "rc865": "rc_gifapar_oa17"}
        if maker == "land"
        else {"chl_nn": "chl_nn", "chl_oc4me": "chl_oc4me", "tsm_nn": "tsm_nn", "kd490": "trsp", "adg443_nn": "iop_nn", "oa08": "Oa08"}
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scene = Scene([str(path) for path in product.path.glob("*.nc")], reader="olci_l2")
        scene.load(list(known.values()))
        for ours, theirs in known.items():
            image = np.asarray(scene[theirs].values, np.float32)
            pixels = found.bands[ours].read()
            index, distance = nearest(pixels, product.longitude, product.latitude)
            inside = distance < 0.45
            np.testing.assert_allclose(pixels.data[inside], image.ravel()[index[inside]], rtol=1e-6, atol=1e-6, err_msg=ours)
            assert np.isfinite(pixels.data[inside]).sum() > 500


def test_a_product_whose_flags_have_no_meaning_is_broken(tmp_path: Path) -> None:
    product = olci.water(tmp_path)
    with netCDF4.Dataset(product.path / "wqsf.nc", "a") as file:
        file["WQSF"].delncattr("flag_meanings")
    reseal(product.path, "xfdumanifest.xml")
    with pytest.raises(BadProduct, match=r"wqsf\.nc: 'WQSF' does not say what its bits mean"):
        draft(product.path, tmp_path / "work").bands["wqsf"].read()
