"""Angles of OLCI: tie points as far apart as each product says, interpolated as others do it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from support.manifests import reseal
from support.swath_files import centres, draft, on_sphere

from eolake.catalog.declaration import declared
from eolake.catalog.draft import Draft, Pixels
from eolake.catalog.errors import BadProduct
from eolake.ingest.swath import interpolate

Array = NDArray[Any]
COLLECTION = "s3_olci_l1_efr"
SAMPLE = "S3A_OL_1_EFR____20180108T125936_20180108T125938_20180109T155936_0002_026_266_3420_LN1_O_NT_002.SEN3"
STEP = 13
"""Columns from tie point to tie point in the real sample, which shows every 13th part of a swath; 64 in whole products."""
ANGLES = ("sza", "saa", "oza", "oaa")
EARTH = 6_371_000
"""m"""


@pytest.fixture(scope="module")
def product(samples: Path) -> Path:
    return samples / "pixels/sentinel3/olci_repacked" / SAMPLE


@pytest.fixture(scope="module")
def opened(product: Path, tmp_path_factory: pytest.TempPathFactory) -> Draft:
    return draft(product, tmp_path_factory.mktemp("work"))


def read(product: Path, file: str, name: str) -> Array:
    with netCDF4.Dataset(product / file) as opened_file:
        return np.ma.filled(opened_file[name][:].astype(float), np.nan)


def off(product: Path, pixels: Pixels, found: Array, wanted: Array) -> tuple[Array, Array]:
    """How far each cell within the swath is from its nearest pixel's value, and those values. OLCI shows some pixels twice, at one place:
    any of them is right."""
    longitude, latitude = (read(product, "geo_coordinates.nc", name) for name in ("longitude", "latitude"))
    tree = cKDTree(on_sphere(longitude.ravel(), latitude.ravel()))
    distance, index = (each.reshape(*pixels.data.shape, 4) for each in tree.query(on_sphere(*map(np.ravel, centres(pixels))), k=4))
    inside = distance[..., 0] * EARTH < 140
    values = np.where((distance - distance[..., :1]) * EARTH < 1, wanted.ravel()[index], np.nan)[inside]
    error = np.abs((found[inside][:, None] - values + 180) % 360 - 180)
    return np.where(np.isnan(error), np.inf, error).min(axis=-1), values[:, 0]


def between(ties: Array, columns: int) -> Array:
    """Linear in each row, ties on every STEP-th column."""
    at = np.arange(ties.shape[1]) * STEP
    return np.array([np.interp(np.arange(columns), at, row) for row in ties])


def degrees(opened: Draft, name: str) -> tuple[Pixels, Array]:
    pixels, band = opened.bands[name].read(), declared(COLLECTION).band(name)
    assert band.scale is not None
    return pixels, np.where(pixels.data == band.nodata, np.nan, pixels.data * band.scale)


@pytest.mark.parametrize("name", ANGLES)
def test_each_cell_has_the_angle_of_its_pixel(product: Path, opened: Draft, name: str) -> None:
    pixels, found = degrees(opened, name)
    error, wanted = off(product, pixels, found, between(read(product, "tie_geometries.nc", name.upper()), 40))
    assert error.size > 1000
    assert error.max() <= (declared(COLLECTION).band(name).scale or 1) / 2 * 1.01
    assert np.ptp(wanted) > 0.05, "an angle that is the same everywhere would show nothing"


def test_tie_points_64_columns_apart_are_interpolated_so(product: Path, tmp_path: Path) -> None:
    """The same product as a whole swath has it: two tie points over its 40 columns."""
    copy = shutil.copytree(product, tmp_path / product.name, copy_function=shutil.copyfile)
    copy.chmod(0o755)
    ties = rewritten(copy, 64)
    made = draft(copy, tmp_path / "work")
    pixels, found = degrees(made, "oza")
    wanted = ties[:, :1] + (ties[:, 1:] - ties[:, :1]) * np.arange(40) / 64
    error, _ = off(copy, pixels, found, wanted)
    assert error.max() <= 0.00505
    np.testing.assert_allclose(interpolate(ties, (40, 40), columns=64), wanted)


@pytest.mark.parametrize("said", [None, 0, -3, 1.5, "64"])
def test_a_product_that_does_not_say_how_far_they_are_apart_is_broken(product: Path, tmp_path: Path, said: float | str | None) -> None:
    copy = shutil.copytree(product, tmp_path / product.name, copy_function=shutil.copyfile)
    copy.chmod(0o755)
    rewritten(copy, said)
    made = draft(copy, tmp_path / "work")
    with pytest.raises(BadProduct, match=r"tie_geometries\.nc: the global attribute 'ac_subsampling_factor' does not say how far"):
        made.bands["sza"].read()


def rewritten(product: Path, step: float | str | None) -> Array:
    """Tie points of a swath whose angles grow by a degree from one to the next; the viewing zenith angles that were written."""
    path = product / "tie_geometries.nc"
    path.unlink()
    zenith = np.column_stack([20 + 0.01 * np.arange(40), 21 + 0.01 * np.arange(40)])
    with netCDF4.Dataset(path, "w") as file:
        if step is not None:
            file.setncattr("ac_subsampling_factor", np.uint16(step) if isinstance(step, int) and step >= 0 else step)
        file.setncattr("al_subsampling_factor", np.uint16(1))
        file.createDimension("tie_rows", 40)
        file.createDimension("tie_columns", 2)
        for name, kind, fill in (("SZA", "u4", 2**32 - 1), ("OZA", "u4", 2**32 - 1), ("SAA", "i4", -(2**31)), ("OAA", "i4", -(2**31))):
            variable = file.createVariable(name, kind, ("tie_rows", "tie_columns"), fill_value=fill)
            variable.setncattr("scale_factor", 1e-6)
            variable.set_auto_maskandscale(False)
            variable[:] = np.rint(zenith * 1e6)
    reseal(product, "xfdumanifest.xml")
    return zenith
