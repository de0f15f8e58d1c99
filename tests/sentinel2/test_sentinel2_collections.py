"""The declarations against what products say of themselves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from support.sentinel2_layouts import main_of

from eolake.catalog.declaration import declared
from eolake.catalog.stac.collections import stac_collection
from eolake.ingest.sensors.sentinel2.metadata import BAND_CODES

FOLDER = Path("pixels/sentinel2/stactools_safe_metadata")
Generated = Callable[..., Path]


def centres(path: Path) -> dict[str, tuple[float, int]]:
    """Centre in nm and pixel size in m of each band code."""
    found = {}
    for entry in ET.parse(path).iter("Spectral_Information"):
        central, resolution = (next(entry.iter(name)).text for name in ("CENTRAL", "RESOLUTION"))
        found[BAND_CODES[int(entry.attrib["bandId"])]] = (float(central or "nan"), int(resolution or 0))
    return found


def assert_bands(path: Path) -> None:
    found = centres(path)
    assert set(found) == set(BAND_CODES)
    for collection in ("s2_l1c", "s2_l2a"):
        for band in declared(collection).bands:
            if band.aliases[0] in found:
                central, resolution = found[band.aliases[0]]
                assert 1000 * (band.center_wavelength or 0) == pytest.approx(central, abs=4.5), "S2A, B and C differ by up to 4 nm"
                assert band.gsd == resolution


def test_wavelengths_of_real_products(samples: Path) -> None:
    mains = sorted((samples / FOLDER).glob("*/MTD_MSI*.xml"))
    assert len(mains) == 4
    for main in mains:
        assert_bands(main)


def test_wavelengths_of_generated_products(generated: Generated) -> None:
    for kind in ("s2_l1c", "s2_l2a"):
        assert_bands(main_of(generated(kind)))


def test_the_classes_are_those_of_the_products(samples: Path) -> None:
    """SC_CLOUD_SHADOW, index 3, and so on: same indices; the names of stactools are compared in test_sentinel2_metadata.py."""
    (main,) = (samples / FOLDER).glob("*_T07HFE_*/MTD_MSIL2A.xml")
    indices = {int(entry.text or -1) for entry in ET.parse(main).iter("SCENE_CLASSIFICATION_INDEX")}
    assert indices == {entry.value for entry in declared("s2_l2a").band("scl").classes}


def test_one_scale_for_all_reflectance() -> None:
    for collection in ("s2_l1c", "s2_l2a"):
        codes = [band for band in declared(collection).bands if band.aliases[0] in BAND_CODES]
        assert {(band.scale, band.offset, band.dtype, band.nodata) for band in codes} == {(0.0001, -0.1, "uint16", 0)}
    assert set(BAND_CODES) == {band.aliases[0] for band in declared("s2_l1c").measurements}
    assert set(BAND_CODES) - {"B10"} <= {band.aliases[0] for band in declared("s2_l2a").measurements}


@pytest.mark.parametrize("collection", ["s2_l1c", "s2_l2a"])
def test_stac_collection(collection: str, validate_stac: Callable[[object], None]) -> None:
    document = stac_collection(declared(collection))
    validate_stac(document)
    assert set(document["item_assets"]) >= {band.name for band in declared(collection).bands}
