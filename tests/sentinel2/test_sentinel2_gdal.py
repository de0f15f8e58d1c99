"""GDAL's SENTINEL2 driver as a second reader: metadata, places and pixels."""

from __future__ import annotations

import re
import warnings
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from rasterio.errors import NotGeoreferencedWarning
from support.sentinel2_layouts import main_of

from eolake.catalog.declaration import declared
from eolake.catalog.draft import Draft

Drafts = Callable[[Path], list[Draft]]
Generated = Callable[..., Path]
SAFE_ZIP = Path("pixels/sentinel2/au_l1c_wagl/SENTINEL2/S2A_MSIL1C_20171207T002051_N0206_R116_T55JEJ_20171207T032513.zip")


@contextmanager
def opened(name: Path | str) -> Iterator[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)  # the container has no raster of its own
        with rasterio.open(name) as source:
            assert source.driver == "SENTINEL2"
            yield source


def subdatasets(main: Path) -> dict[int, str]:
    with opened(main) as source:
        return {int(match[1]): name for name in source.subdatasets if (match := re.search(r":(\d\d)m:EPSG_\d+$", name))}


def assert_metadata(draft: Draft, main: Path) -> None:
    with opened(main) as source:
        tags = source.tags()
    properties = draft.item.properties
    assert tags["PRODUCT_URI"] == properties["s2:product_uri"] == f"{draft.item.id}.SAFE"
    assert tags["PROCESSING_BASELINE"] == properties["s2:processing_baseline"]
    assert tags["PRODUCT_TYPE"] == properties["product:type"]
    assert tags["GENERATION_TIME"] == properties["s2:generation_time"]
    assert tags["DATATAKE_1_ID"] == properties["s2:datatake_id"]
    assert tags["DATATAKE_1_SENSING_ORBIT_DIRECTION"].lower() == properties["sat:orbit_state"]
    assert int(tags["DATATAKE_1_SENSING_ORBIT_NUMBER"]) == properties["sat:relative_orbit"]
    assert tags["DATATAKE_1_SPACECRAFT_NAME"].lower() == properties["platform"]
    assert datetime.fromisoformat(tags["PRODUCT_START_TIME"]) == draft.item.datetime
    assert float(tags["CLOUD_COVERAGE_ASSESSMENT"]) == pytest.approx(properties["eo:cloud_cover"], abs=1e-4)
    assert float(tags["REFLECTANCE_CONVERSION_U"]) == properties["s2:reflectance_conversion_factor"]


def test_metadata_of_a_real_product(samples: Path, tmp_path: Path, drafts: Drafts) -> None:
    """Its images are decimated, which the driver does not expect: pixels are compared in test_sentinel2_products.py."""
    with zipfile.ZipFile(samples / SAFE_ZIP) as packed:
        packed.extractall(tmp_path, [name for name in packed.namelist() if not name.endswith("MTD_DS.xml")])
    (draft,) = drafts(samples / SAFE_ZIP)
    assert_metadata(draft, main_of(tmp_path / f"{SAFE_ZIP.stem}.SAFE"))
    assert set(subdatasets(main_of(tmp_path / f"{SAFE_ZIP.stem}.SAFE"))) == {10, 20, 60}


@pytest.mark.parametrize("baseline", ["02.06", "05.00"])
@pytest.mark.parametrize("kind", ["s2_l1c", "s2_l2a"])
def test_metadata(generated: Generated, drafts: Drafts, kind: str, baseline: str) -> None:
    product = generated(kind, baseline)
    (draft,) = drafts(product)
    assert_metadata(draft, main_of(product))


@pytest.mark.parametrize("baseline", ["02.06", "05.00"])
@pytest.mark.parametrize("kind", ["s2_l1c", "s2_l2a"])
def test_pixels(generated: Generated, drafts: Drafts, kind: str, baseline: str) -> None:
    """Every band that the driver has at its native pixel size, at the same place, with what was added taken away."""
    product = generated(kind, baseline)
    (draft,) = drafts(product)
    compared = set()
    for pixel, name in subdatasets(main_of(product)).items():
        with opened(name) as source:
            for index in source.indexes:
                tags = source.tags(index)
                code = re.sub(r"^B(\d)$", r"B0\1", tags.get("BANDNAME") or source.descriptions[index - 1].split(",")[0])
                if code not in {alias for band in declared(kind).bands for alias in band.aliases} or declared(kind).band(code).gsd != pixel:
                    continue
                band = draft.bands[declared(kind).band(code).name]
                pixels = band.read()
                assert (pixels.transform, pixels.crs) == (source.transform, f"EPSG:{source.crs.to_epsg()}")
                added = band.properties.get("eolake:offset_added", 0)
                assert np.array_equal(pixels.data.astype(int) - added * (pixels.data != 0), source.read(index))
                compared.add(declared(kind).band(code).name)
    assert compared == {band.name for band in declared(kind).measurements} | (compared & {"cloud_probability", "snow_probability"})
