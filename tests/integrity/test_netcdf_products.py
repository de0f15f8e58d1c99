"""Sentinel-3 against its manifest, and NetCDF that is broken under right digests."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import h5py
import pytest
from support import workers
from support.auditor import audit
from support.manifests import reseal, zipped
from support.slstr_products import lst

from eolake.catalog.draft import Draft
from eolake.catalog.errors import BadProduct
from eolake.catalog.lake import Lake
from eolake.ingest.sensors import identify
from eolake.ingest.sensors.base import DEFAULT, Options
from eolake.ingest.simulators.products.scenes import generate_scene

MANIFEST = "xfdumanifest.xml"


@pytest.fixture(scope="session")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return lst(tmp_path_factory.mktemp("lst"), rows=60, columns=80)


@pytest.fixture
def product(original: Path, tmp_path: Path) -> Callable[[str], Path]:
    """product(folder): a copy that the test may break."""
    return lambda folder: Path(shutil.copytree(original, tmp_path / folder / original.name))


def opened(path: Path, workspace: Path, options: Options = DEFAULT) -> list[Draft]:
    found = identify(path)
    assert found is not None
    workspace.mkdir()
    return list(found[0].open(path, workspace, options))


def test_a_product_that_is_what_its_manifest_says(product: Callable[[str], Path], tmp_path: Path) -> None:
    path = product("in")
    assert len(opened(path, tmp_path / "folder")) == 1
    assert len(opened(zipped(path, tmp_path / f"{path.name.removesuffix('.SEN3')}.zip"), tmp_path / "zip")) == 1


@pytest.mark.parametrize("kind", ["s3_olci_l1_efr", "s3_slstr_l2_frp"])
def test_simulated_products_are_what_their_manifest_says(tmp_path: Path, kind: str) -> None:
    path = generate_scene(kind, datetime(2019, 12, 31, 23, 49, 21, tzinfo=UTC), tmp_path, size=60)
    assert len(opened(path, tmp_path / "work")) == 1
    flawed = next(path.glob("*.nc"))
    flawed.write_bytes(flawed.read_bytes() + b"\0")
    with pytest.raises(BadProduct, match=rf"{flawed.name} has [\d,]+ bytes instead of [\d,]+$"):
        opened(path, tmp_path / "work2")


@pytest.mark.parametrize("packed", [False, True])
def test_one_other_bit_is_noticed(product: Callable[[str], Path], tmp_path: Path, *, packed: bool) -> None:
    path = product("in")
    content = bytearray((path / "LST_in.nc").read_bytes())
    content[-1] ^= 1
    (path / "LST_in.nc").write_bytes(content)
    delivered = zipped(path, tmp_path / f"{path.name.removesuffix('.SEN3')}.zip") if packed else path
    with pytest.raises(BadProduct, match=r"is not what its xfdumanifest\.xml says: the MD5 of LST_in\.nc is \w{32} instead of \w{32}$"):
        opened(delivered, tmp_path / "work")


def test_without_its_manifest_nobody_knows_whether_it_is_whole(product: Callable[[str], Path], tmp_path: Path) -> None:
    path = product("in")
    (path / MANIFEST).unlink()
    with pytest.raises(BadProduct, match=r"has no xfdumanifest\.xml"):
        opened(path, tmp_path / "work")


def cut(product: Path) -> str:
    path = product / "LST_in.nc"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return r"LST_in\.nc"


def broken_chunk(product: Path) -> str:
    """The file is whole; what it has of its pixels does not unpack."""
    path = product / "LST_in.nc"
    with h5py.File(path, "r+") as file:
        pixels, attributes = file["LST"][()], dict(file["LST"].attrs)
        scales = [dimension[0].name if len(dimension) else None for dimension in file["LST"].dims]
        del file["LST"]
        made = file.create_dataset("LST", data=pixels, chunks=(20, 80), compression="gzip", shuffle=True)
        for key, value in attributes.items():
            if key not in {"DIMENSION_LIST", "CLASS", "NAME", "_Netcdf4Dimid", "_Netcdf4Coordinates"}:
                made.attrs[key] = value
        for number, scale in enumerate(scales):
            if scale is not None:
                made.dims[number].attach_scale(file[scale])
        offset, size = made.id.get_chunk_info(1).byte_offset, made.id.get_chunk_info(1).size
    content = bytearray(path.read_bytes())
    content[offset : offset + size] = bytes(size)
    path.write_bytes(content)
    return r"LST_in\.nc: variable 'LST' can not be decoded"


def no_netcdf(product: Path) -> str:
    (product / "geodetic_in.nc").write_bytes(b"<html>503 Service Unavailable</html>")
    return r"geodetic_in\.nc"


DAMAGES = [cut, broken_chunk, no_netcdf]


def test_broken_content_under_right_digests_is_quarantined_and_leaves_nothing(
    lake: Lake, product: Callable[[str], Path], tmp_path: Path
) -> None:
    reasons = {}
    for number, damage in enumerate(DAMAGES):
        path = product(str(number))
        reason = damage(path)
        reseal(path, MANIFEST)
        reasons[path] = reason
    status, document = workers.ingest(lake, *reasons)
    assert (status, document["counts"]) == (1, {"quarantined": len(reasons)}), document
    for one in document["products"]:
        assert re.search(reasons[Path(one["path"])], one["reason"]), one
        assert "(attempts:" not in one["reason"], "such a fault is found at once"
        assert "is not what its" not in one["reason"], "the digests are right"
    with lake.connect() as connection:
        row = connection.execute("select (select count(*) from pgstac.items) + (select count(*) from odc.dataset) as n").fetchone()
    assert row == {"n": 0}
    assert workers.listing(lake) == {}
    assert audit(lake) == []
