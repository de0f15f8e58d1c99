"""Generated OLCI products against readers that are not ours: satpy, netCDF4 and stactools-sentinel3."""

from __future__ import annotations

import hashlib
import re
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import pytest
from numpy.testing import assert_array_equal
from stactools.sentinel3.stac import create_item

from eolake.catalog.errors import UsageError
from eolake.ingest.naming import scene_of
from eolake.ingest.simulators.command import KINDS
from eolake.ingest.simulators.products.landscape import Landscape
from eolake.ingest.simulators.products.scenes import SIZES, generate_pass, generate_scene
from eolake.ingest.simulators.products.season import SITE, Season
from eolake.ingest.simulators.products.sentinel3.geometry import Place
from eolake.ingest.simulators.products.sentinel3.make import Sentinel3Kind, find_pass

WHEN = datetime(2020, 1, 2, 23, 40, tzinfo=UTC)
SIZE = 65
SHORE = (151.15, -33.98)
LANDSCAPE = Landscape(season=Season())
pytestmark = pytest.mark.filterwarnings("ignore")  # satpy's and xarray's


def make(kind: Sentinel3Kind, folder: Path, place: Place = SITE, when: datetime = WHEN, **more: Any) -> Path:
    return generate_pass(kind, find_pass(when, place), folder, landscape=LANDSCAPE, size=SIZE, place=place, **more)


@pytest.fixture(scope="module")
def efr(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make("s3_olci_l1_efr", tmp_path_factory.mktemp("efr"), cloud=0.1)


@pytest.fixture(scope="module")
def water(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make("s3_olci_l2_wfr", tmp_path_factory.mktemp("wfr"), SHORE)


def counts(product: Path, file: str, name: str) -> Any:
    with netCDF4.Dataset(product / f"{file}.nc") as opened:
        opened.set_auto_maskandscale(False)
        return opened[name][:]


def scaled(product: Path, file: str, name: str) -> Any:
    with netCDF4.Dataset(product / f"{file}.nc") as opened:
        return np.ma.filled(opened[name][:].astype(float), np.nan)


def test_satpy_reads_the_radiances_and_coordinates_that_netcdf_has(efr: Path) -> None:
    from satpy import DataQuery, Scene

    names = ["Oa01", "Oa08", "Oa17", "Oa21"]
    files = [efr / f"{name}_radiance.nc" for name in names] + [
        efr / f"{name}.nc" for name in ("geo_coordinates", "qualityFlags", "instrument_data")
    ]
    scene = Scene(reader="olci_l1b", filenames=[str(file) for file in files])
    scene.load([DataQuery(name=name, calibration="radiance") for name in names] + ["longitude", "latitude", "quality_flags"])
    for name in names:
        values = scene[name].values
        assert values.shape == (SIZE, SIZE)
        np.testing.assert_allclose(values, scaled(efr, f"{name}_radiance", f"{name}_radiance"), rtol=1e-6)
        assert 1 < np.nanmean(values) < 200
    assert_array_equal(scene["quality_flags"].values, counts(efr, "qualityFlags", "quality_flags"))
    np.testing.assert_allclose(scene["longitude"].values, counts(efr, "geo_coordinates", "longitude") * 1e-6, atol=1e-9)
    assert abs(float(scene["latitude"].values[SIZE // 2, SIZE // 2]) - SITE[1]) < 0.01


def test_satpy_reads_reflectances_pigments_and_the_mask_of_water(water: Path) -> None:
    from satpy import Scene

    scene = Scene(reader="olci_l2", filenames=[str(water / f"{name}.nc") for name in ("chl_oc4me", "Oa06_reflectance", "wqsf")])
    scene.load(["chl_oc4me", "Oa06", "mask"])
    np.testing.assert_allclose(scene["Oa06"].values, scaled(water, "Oa06_reflectance", "Oa06_reflectance"), rtol=1e-6)
    np.testing.assert_allclose(scene["chl_oc4me"].values, scaled(water, "chl_oc4me", "CHL_OC4ME"), rtol=1e-6)
    land = np.isnan(scene["Oa06"].values)
    assert 0.02 < land.mean() < 0.98
    assert_array_equal(scene["mask"].values[land], np.ones(land.sum(), bool))


def test_vegetation_of_burnt_ground_is_gone(tmp_path: Path) -> None:
    product = make("s3_olci_l2_lfr", tmp_path)
    fapar = scaled(product, "gifapar", "GIFAPAR")
    lon, lat = scaled(product, "geo_coordinates", "longitude"), scaled(product, "geo_coordinates", "latitude")
    orbit = find_pass(WHEN, SITE)
    burnt = Season().burnt(lon, lat, orbit.time(orbit.locate(SITE)[0]))
    seen = np.isfinite(fapar)
    assert fapar[seen & (burnt > 0.7)].mean() < 0.5 * fapar[seen & (burnt == 0)].mean()


def test_reduced_resolution_is_a_product_of_its_own_with_tie_points_every_sixteen_columns(tmp_path: Path) -> None:
    product = make("s3_olci_l1_err", tmp_path)
    assert product.name[4:15] == "OL_1_ERR___"
    assert counts(product, "tie_geo_coordinates", "latitude").shape == (SIZE, (SIZE - 1) // 16 + 1)
    assert not (product / "removed_pixels.nc").exists()
    lon, lat = scaled(product, "geo_coordinates", "longitude"), scaled(product, "geo_coordinates", "latitude")
    assert 1100 < np.hypot(np.diff(lat[:, 3]), np.diff(lon[:, 3]) * 0.83).mean() * 111_195 < 1250


def test_tie_points_are_the_coordinates_of_every_64th_column(efr: Path) -> None:
    for name in ("latitude", "longitude"):
        assert_array_equal(counts(efr, "tie_geo_coordinates", name), counts(efr, "geo_coordinates", name)[:, ::64])
    zenith = scaled(efr, "tie_geometries", "SZA")
    assert zenith.shape == (SIZE, 2)
    assert ((zenith > 20) & (zenith < 60)).all()


def test_layout_is_that_of_a_real_product(efr: Path, samples: Path) -> None:
    """Files, variables, dimensions, types, scales and fills; what a real product has besides is not there."""
    real = next((samples / "pixels" / "sentinel3" / "olci_repacked").glob("*.SEN3"))
    assert {path.name for path in efr.iterdir()} == {path.name for path in real.iterdir()}
    for path in sorted(real.glob("*.nc")):
        with netCDF4.Dataset(path) as theirs, netCDF4.Dataset(efr / path.name) as ours:
            assert set(ours.dimensions) == set(theirs.dimensions), path.name
            assert set(ours.ncattrs()) == set(theirs.ncattrs()), path.name
            assert set(ours.variables) == set(theirs.variables), path.name
            for name, variable in theirs.variables.items():
                mine = ours[name]
                assert (mine.dtype, mine.dimensions) == (variable.dtype, variable.dimensions), (path.name, name)
                for key in {"_FillValue", "scale_factor", "add_offset", "units", "flag_masks", "flag_meanings"} & set(variable.ncattrs()):
                    assert_array_equal(mine.getncattr(key), variable.getncattr(key), err_msg=f"{path.name} {name} {key}")
                    assert np.asarray(mine.getncattr(key)).dtype == np.asarray(variable.getncattr(key)).dtype or key == "flag_meanings"


def test_stactools_makes_the_item_that_the_name_says(efr: Path, water: Path) -> None:
    item = create_item(str(efr))
    assert item.properties["s3:product_type"] == "OL_1_EFR___"
    assert item.properties["sat:orbit_state"] == "descending"
    assert item.properties["sat:relative_orbit"] == find_pass(WHEN, SITE).relative_orbit
    assert len([key for key in item.assets if key.startswith("oa")]) == 21
    assert item.bbox is not None
    assert item.bbox[0] < SITE[0] < item.bbox[2]
    assert item.bbox[1] < SITE[1] < item.bbox[3]
    assert create_item(str(water)).properties["s3:product_type"] == "OL_2_WFR___"


def test_manifest_has_the_size_and_digest_of_every_file(efr: Path) -> None:
    manifest = (efr / "xfdumanifest.xml").read_text()
    listed = re.findall(r'size="(\d+)">\s*<fileLocation[^>]*href="\./([^"]+)"/>\s*<checksum checksumName="MD5">([0-9a-f]{32})<', manifest)
    assert {name for _, name, _ in listed} == {path.name for path in efr.glob("*.nc")}
    for size, name, digest in listed:
        content = (efr / name).read_bytes()
        assert (int(size), digest) == (len(content), hashlib.md5(content, usedforsecurity=False).hexdigest())


def test_name_is_understood_and_the_same_arguments_make_the_same_bytes(efr: Path, tmp_path: Path) -> None:
    found = scene_of(efr.stem)
    assert found is not None
    again = make("s3_olci_l1_efr", tmp_path, cloud=0.1)
    assert again.name == efr.name
    for path in efr.iterdir():
        assert path.read_bytes() == (again / path.name).read_bytes(), path.name
    with pytest.raises(UsageError, match="already there"):
        make("s3_olci_l1_efr", tmp_path, cloud=0.1)


def test_a_zip_holds_the_folder_and_other_containers_are_refused(tmp_path: Path) -> None:
    path = generate_scene("s3_olci_l2_lrr", WHEN, tmp_path, size=33, container="zip")
    with zipfile.ZipFile(path) as archive:
        assert f"{path.stem}.SEN3/xfdumanifest.xml" in archive.namelist()
    with pytest.raises(UsageError, match="folders or zip"):
        generate_scene("s3_olci_l2_lrr", WHEN, tmp_path, size=33, container="tar")
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


def test_the_command_offers_every_kind() -> None:
    assert set(KINDS) == set(SIZES)
