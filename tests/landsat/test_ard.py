"""Analysis ready data of Landsat, of the U.S. and of Australia: packages in their layouts, opened by declaration alone."""

from __future__ import annotations

import tarfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.crs import CRS
from support.stac_validation import faults

from eolake.catalog.declaration import Band, Collection, declared, declared_collections
from eolake.catalog.draft import Draft
from eolake.catalog.errors import BadProduct
from eolake.cube.products import odc_product
from eolake.ingest.providers.folder import look
from eolake.ingest.sensors import identify

ARD = [name for name in declared_collections() if "_ard_" in name]
CONUS = (
    'PROJCS["AEA        WGS84",GEOGCS["WGS 84",DATUM["WGS_1984",SPHEROID["WGS 84",6378137,298.257223563]],PRIMEM["Greenwich",0],'
    'UNIT["degree",0.0174532925199433]],PROJECTION["Albers_Conic_Equal_Area"],PARAMETER["latitude_of_center",23],'
    'PARAMETER["longitude_of_center",-96],PARAMETER["standard_parallel_1",29.5],PARAMETER["standard_parallel_2",45.5],'
    'PARAMETER["false_easting",0],PARAMETER["false_northing",0],UNIT["metre",1]]'
)
"""As USGS writes it: no authority has a code for it."""
SIDE = 40
AU_FILES = {"combined_terrain_shadow": "combined-terrain-shadow", "contiguity": "nbart-contiguity"}


@dataclass(kw_only=True)
class Package:
    collection: Collection
    left_out: set[str] = field(default_factory=set)
    pixels: dict[str, np.ndarray[Any, Any]] = field(default_factory=dict)

    @property
    def australian(self) -> bool:
        return self.collection.id.endswith("_au")

    @property
    def name(self) -> str:
        satellite = self.collection.id[2]
        if self.australian:
            letter = {"5": "t", "7": "e"}.get(satellite, "c")
            return f"ga_ls{satellite}{letter}_ard_3-2-1_090084_2020-01-16_final"
        code = {"5": "LT05", "7": "LE07"}.get(satellite, f"LC0{satellite}")
        return f"{code}_CU_026004_20200116_20210502_02_{self.collection.id[-2:].upper()}"

    def file(self, band: Band) -> str:
        if not self.australian:
            return f"{self.name[:-3]}_{band.aliases[0]}.TIF"
        spectral = next((alias.removeprefix("nbart_") for alias in band.aliases if "band" in alias), None)
        kind, ending = ("nbart", spectral) if spectral else ("oa", AU_FILES.get(band.name, band.name.replace("_", "-")))
        return f"{self.name.replace('_ard_', f'_{kind}_')}_{ending}.tif"

    def data(self, band: Band) -> np.ndarray[Any, Any]:
        side = SIDE * 2 if band.grid == "g15" else SIDE
        random = np.random.default_rng(len(band.name))
        if band.dtype.startswith("float"):
            made = random.normal(40, 5, (side, side)).astype(band.dtype)
        else:
            made = random.integers(1, 6 if band.classes and len(band.classes) > 2 else 2 if band.classes else 250, (side, side)).astype(
                band.dtype
            )
        if band.nodata is not None:
            made[: side // 4] = band.nodata
        return made

    def write(self, folder: Path) -> Path:
        place = folder / self.name
        place.mkdir(parents=True)
        crs = "EPSG:32655" if self.australian else CRS.from_wkt(CONUS)
        for band in self.collection.bands:
            if band.name in self.left_out:
                continue
            self.pixels[band.name] = data = self.data(band)
            cell = 15 if band.grid == "g15" else 30
            profile = {"driver": "GTiff", "height": data.shape[0], "width": data.shape[1], "count": 1, "dtype": data.dtype, "crs": crs}
            with rasterio.open(
                place / self.file(band), "w", **profile, transform=Affine(cell, 0, 600_000, 0, -cell, 2_100_000), nodata=band.nodata
            ) as target:
                target.write(data, 1)
        (place / (f"{self.name}.odc-metadata.yaml" if self.australian else f"{self.name[:-3]}.xml")).write_text(
            "$schema: https://schemas.opendatacube.org/dataset\n" if self.australian else "<ard_metadata/>"
        )
        return place

    def pack(self, folder: Path) -> Path:
        source, target = self.write(folder / "unpacked"), folder / f"{self.name}.tar"
        with tarfile.open(target, "w") as archive:
            for path in sorted(source.iterdir()):
                archive.add(path, path.name)
        return target


def opened(path: Path, tmp_path: Path) -> Draft:
    found = identify(path)
    assert found is not None
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    (draft,) = found[0].open(path, workspace)
    return draft


@pytest.mark.parametrize("collection", ARD)
def test_every_package_opens_with_its_own_pixels(tmp_path: Path, collection: str) -> None:
    """U.S. packages are tar files, Australian ones folders."""
    package = Package(collection=declared(collection))
    draft = opened(package.write(tmp_path) if package.australian else package.pack(tmp_path), tmp_path)
    assert (draft.item.collection_id, draft.item.id) == (collection, package.name)
    assert draft.item.properties["platform"] == f"landsat-{collection[2]}"
    assert f"{draft.item.datetime:%Y-%m-%d}" == "2020-01-16"
    assert set(draft.bands) == {band.name for band in package.collection.bands}
    for name, band in draft.bands.items():
        pixels = band.read()
        np.testing.assert_array_equal(pixels.data, package.pixels[name])
        assert ("32655" in pixels.crs) == package.australian
    assert len(draft.attachments) == 1


@pytest.mark.parametrize("collection", ["ls8_ard_au", "ls8_ard_us_sr"])
def test_items_are_valid_and_say_which_tile_and_scene(tmp_path: Path, collection: str) -> None:
    draft = opened(Package(collection=declared(collection)).write(tmp_path), tmp_path)
    document = draft.item.to_dict(include_self_link=False)
    del document["collection"]  # its link comes with publishing
    assert not faults(document)
    said = draft.item.properties
    if collection.endswith("au"):
        assert (said["landsat:wrs_path"], said["landsat:wrs_row"], said["dea:dataset_maturity"]) == ("090", "084", "final")
        assert draft.scene_key == "landsat-ard-au/ls8c/090084/2020-01-16/ls8_ard_au"
    else:
        assert (said["landsat:grid_region"], said["landsat:grid_horizontal"], said["landsat:grid_vertical"]) == ("CU", "026", "004")
        assert draft.scene_key == "landsat-8/ard-CU/026004/2020-01-16/ls8_ard_us_sr"


@pytest.mark.parametrize("collection", [name for name in ARD if name.endswith("_au")])
def test_scripts_for_digital_earth_australia_find_their_measurements(samples: Path, collection: str) -> None:
    """By the product definitions of Geoscience Australia: every measurement of theirs is one of ours, by name or alias, of that type."""
    import yaml

    code = {"5": "ls5t", "7": "ls7e", "8": "ls8c", "9": "ls9c"}[collection[2]]
    theirs = yaml.safe_load(
        (samples / f"stac/odc/dea_products/products/baseline_satellite_data/c3/ga_{code}_ard_3.odc-product.yaml").read_text()
    )
    for entry in theirs["measurements"]:
        band = declared(collection).band(entry["name"])
        assert band.dtype == entry["dtype"]
        assert band.nodata == pytest.approx(entry["nodata"], nan_ok=True)


@pytest.mark.parametrize("collection", [name for name in ARD if name.endswith("_au")])
def test_the_cube_knows_the_names_of_geoscience_australia(collection: str) -> None:
    measurements = {entry["name"]: entry for entry in odc_product(declared(collection))["measurements"]}
    assert "nbart_red" in measurements["red"]["aliases"]
    assert "oa_fmask" in measurements["fmask"]["aliases"]


def test_a_package_without_a_band_that_all_others_have_is_bad(tmp_path: Path) -> None:
    package = Package(collection=declared("ls9_ard_us_sr"), left_out={"red", "qa_radsat"})
    with pytest.raises(BadProduct, match=r"ls9_ard_us_sr needs red$"):
        opened(package.write(tmp_path), tmp_path)


def test_australian_packages_lie_in_folders_of_days(tmp_path: Path) -> None:
    """ga_ls8c_ard_3/090/084/2020/01/16/, as in the bucket; only a file in it has the product's name."""
    package = Package(collection=declared("ls8_ard_au"))
    day = tmp_path / "ga_ls8c_ard_3/090/084/2020/01/16"
    day.parent.mkdir(parents=True)
    package.write(tmp_path / "made").rename(day)
    (offer,) = look([tmp_path / "ga_ls8c_ard_3"]).offers
    assert (offer.name, offer.source) == (package.name, str(day))
    draft = opened(day, tmp_path)
    assert draft.item.id == package.name
    np.testing.assert_array_equal(draft.bands["fmask"].read().data, package.pixels["fmask"])
