"""A product that eolake does not know needs a YAML file, no code: the README's example, and a radar image."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import yaml
from files_sensor.conftest import Drafts, readme_collection

from eolake.catalog.cog import write_cog
from eolake.catalog.declaration import declared
from eolake.catalog.errors import BadProduct
from eolake.ingest.providers.folder import look
from eolake.ingest.sensors import find_sensor

Declare = Callable[[str, str], None]
SINUSOIDAL = "+proj=sinu +R=6371007.181 +units=m"
GAMMA: Mapping[str, Any] = {
    "id": "gamma_vv",
    "title": "Backscatter by pyroSAR",
    "description": "Of a test.",
    "license": "other",
    "keywords": ["SAR"],
    "providers": [{"name": "Nobody", "roles": ["producer"]}],
    "bands": [{"name": "vv", "title": "VV", "dtype": "float32", "nodata": -9999, "unit": "dB"}],
    "load": {"crs": "EPSG:32631", "resolution": 20},
    "source": {
        "sensor": "files",
        "product": r"S1(?P<platform>[AB])__(?P<mode>IW|EW)___(?P<orbit>[AD])_(?P<start>\d{8}T\d{6})",
        "platforms": {"A": "sentinel-1a", "B": "sentinel-1b"},
        "properties": {"eolake:orbit": "{orbit}", "eolake:mode": ["{mode}", 1]},
        "bands": {"vv": r"_{orbit}_\d{8}T\d{6}_VV_grd_mli_geo_norm_db\.tif$"},
    },
}


def ndvi(path: Path, seed: int = 1) -> np.ndarray[Any, Any]:
    """A MODIS image as somebody made it: JPEG 2000, sinusoidal, without a nodata tag."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = np.random.default_rng(seed).integers(-2000, 10000, (60, 80)).astype(np.int16)
    data[:10, :20] = -3000
    grid = rasterio.Affine(231.65635826385406, 0, 13_400_000.0, 0, -231.65635826385406, -3_700_000.0)
    profile = {"driver": "JP2OpenJPEG", "height": 60, "width": 80, "count": 1, "dtype": "int16", "crs": SINUSOIDAL, "transform": grid}
    with rasterio.open(path, "w", **profile, QUALITY=100, REVERSIBLE="YES") as file:
        file.write(data, 1)
    Path(f"{path}.aux.xml").unlink(missing_ok=True)
    return data


def gamma(folder: Path, **changes: Any) -> Path:
    """A GeoTIFF of the radar collection."""
    folder.mkdir(exist_ok=True)
    path = folder / "S1A__IW___A_20150309T173017_VV_grd_mli_geo_norm_db.tif"
    data = np.linspace(-25, 0, 30 * 40).reshape(30, 40).astype(changes.pop("dtype", "float32"))
    data[0, :5] = changes.get("nodata", -99) or -99
    grid = rasterio.Affine(20, 0, 620_048.25, 0, -20, 4_830_114.75)
    profile = {"driver": "GTiff", "height": 30, "width": 40, "count": 1, "crs": "EPSG:32631", "transform": grid, "nodata": -99}
    with rasterio.open(path, "w", **profile | changes, dtype=data.dtype.name) as file:
        file.write(data, 1)
    return path


def test_the_example_of_the_readme_is_short_and_declares_a_collection(declare: Declare) -> None:
    assert len(readme_collection().splitlines()) <= 30
    declare("modis_ndvi", readme_collection())
    assert declared("modis_ndvi").band("NDVI").scale == 0.0001


def test_a_product_of_one_file_is_opened_by_the_declaration_alone(declare: Declare, drafts: Drafts, tmp_path: Path) -> None:
    declare("modis_ndvi", readme_collection())
    data = ndvi(tmp_path / "in" / "TERRA_MODIS_012010_NDVI_2014-07-28.jp2")
    (offer,) = look([tmp_path / "in"]).offers
    assert offer.name == "TERRA_MODIS_012010_NDVI_2014-07-28"
    for place in (Path(offer.source), tmp_path / "in" / f"{offer.name}.jp2"):
        (draft,) = drafts(place)
        assert (draft.item.id, draft.item.properties["platform"], draft.item.properties["odc:region_code"]) == (
            offer.name,
            "terra",
            "012010",
        )
        np.testing.assert_array_equal(draft.bands["ndvi"].read().data, data)
    assert draft.item.datetime is not None
    assert f"{draft.item.datetime:%Y-%m-%dT%H:%M:%SZ}" == "2014-07-28T00:00:00Z"
    assert draft.scene_key == f"modis_ndvi/{offer.name}"


def test_real_modis_images_are_opened_by_the_declaration_alone(declare: Declare, drafts: Drafts, samples: Path, tmp_path: Path) -> None:
    declare("modis_ndvi", readme_collection())
    folder = samples / "pixels/modis/mod13q1_timeseries_sits/mod13q1"
    offers = look([folder]).offers
    assert len(offers) == 12
    collection = declared("modis_ndvi")
    for offer in offers[::5]:
        sensor = find_sensor(offer.name)
        assert sensor is not None
        (draft,) = drafts(Path(offer.source))
        facts = write_cog(draft.bands["ndvi"].read(), collection.band("ndvi"), collection.cog, tmp_path / f"{offer.name}.tif")
        with rasterio.open(f"{offer.source}.jp2") as file, rasterio.open(tmp_path / f"{offer.name}.tif") as cog:
            np.testing.assert_array_equal(cog.read(1), file.read(1))
            assert cog.transform == file.transform
            assert facts.shape == file.shape
        assert draft.item.bbox is not None
        np.testing.assert_allclose(draft.item.bbox, [-55.83, -11.81, -55.17, -11.49], atol=0.2)


def test_another_nodata_value_becomes_the_declared_one(declare: Declare, drafts: Drafts, tmp_path: Path) -> None:
    declare("gamma_vv", yaml.safe_dump(dict(GAMMA)))
    (draft,) = drafts(gamma(tmp_path / "in"))
    pixels = draft.bands["vv"].read()
    assert (pixels.nodata, pixels.data[0, :6].tolist()[:5]) == (-9999, [-9999.0] * 5)
    assert (draft.item.properties["eolake:orbit"], draft.item.properties["eolake:mode"]) == ("A", ["IW", 1])


def test_a_real_radar_image_keeps_every_value(declare: Declare, drafts: Drafts, samples: Path, tmp_path: Path) -> None:
    declare("gamma_vv", yaml.safe_dump(dict(GAMMA)))
    original = samples / "pixels/floodwater/s1_rtc_pyrosar/S1A__IW___A_20150309T173017_VV_grd_mli_geo_norm_db.tif"
    shutil.copy(original, tmp_path / original.name)
    (offer,) = look([tmp_path / original.name]).offers
    assert offer.name == "S1A__IW___A_20150309T173017"
    (draft,) = drafts(Path(offer.source))
    pixels = draft.bands["vv"].read()
    with rasterio.open(original) as file:
        values = file.read(1, masked=True)
    np.testing.assert_array_equal(np.ma.masked_equal(pixels.data, -9999).filled(7), values.filled(7))


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"dtype": "float64"}, r"is float64 with values that float32 can't hold"),
        ({"crs": None}, r"lies on no map grid with north up \(CRS missing"),
        ({"transform": rasterio.Affine(20, 5, 0, 0, -20, 0)}, r"lies on no map grid with north up"),
    ],
)
def test_a_file_that_is_not_what_is_declared_is_named(
    declare: Declare, drafts: Drafts, tmp_path: Path, changes: dict[str, Any], fault: str
) -> None:
    declare("gamma_vv", yaml.safe_dump(dict(GAMMA)))
    path = gamma(tmp_path / "in", **changes)
    with pytest.raises(BadProduct, match=rf"{path.name} {fault}"):
        [draft.bands["vv"].read() for draft in drafts(path)]


def test_two_collections_of_one_product_are_refused(declare: Declare, drafts: Drafts, tmp_path: Path) -> None:
    declare("gamma_vv", yaml.safe_dump(dict(GAMMA)))
    declare("gamma_too", yaml.safe_dump({**GAMMA, "id": "gamma_too"}))
    with pytest.raises(BadProduct, match="is a product of several declared collections: gamma_too, gamma_vv; let their patterns differ"):
        drafts(gamma(tmp_path / "in"))


def test_numbers_are_converted_only_without_loss() -> None:
    from eolake.catalog.declaration import Band
    from eolake.ingest.sensors.values import as_declared

    band = Band(name="b", title="B", dtype="int16", nodata=-1)
    assert as_declared(np.array([[3, 200]], np.uint8), None, band, "x").dtype == np.int16
    assert as_declared(np.array([[3.0, np.nan]]), float("nan"), band, "x").tolist() == [[3, -1]]
    assert as_declared(np.array([[65534, 65535]], np.uint32) - 65530, None, band, "x").tolist() == [[4, 5]]
    for wrong in (np.array([[40_000]], np.uint16), np.array([[65_535]], np.uint16), np.array([[0.5]]), np.array([[np.nan]])):
        with pytest.raises(BadProduct, match=r"x is \w+ with values that int16 can't hold"):
            as_declared(wrong, None, band, "x")
    with pytest.raises(BadProduct, match="valid pixels of the value -1"):
        as_declared(np.array([[-1, 0]], np.int16), 0, band, "x")
    with pytest.raises(BadProduct, match="declares no nodata value for b"):
        as_declared(np.array([[0]], np.int16), 0, Band(name="b", title="B", dtype="int16"), "x")
