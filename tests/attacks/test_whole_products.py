"""Hostile products on the whole way, from `eolake ingest` through queue, converter and sensor: each is kept aside with its reason."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from support import hostile, hostile_archives, hostile_netcdf, hostile_rasters, hostile_xml
from support.auditor import audit
from support.hostile_rasters import Prey
from support.landsat_products import product as landsat
from support.workers import ingest, listing, states

from eolake.catalog.lake import Lake

S2 = "S2A_MSIL1C_20200108T001109_N0208_R073_T55HFA_20200108T012345"
S5P = "S5P_OFFL_L2__NO2____20200101T025023_20200101T043153_11503_01_010302_20200102T195020"


def _band(folder: Path, collection: str, content: bytes) -> Path:
    """A product one of whose bands is something else."""
    made = landsat(collection).write(folder)
    next(path for path in sorted(made.glob("*_B*.TIF")) if "_B4" in path.name or "_B6" in path.name).write_bytes(content)
    return made


def _packed(folder: Path, collection: str, evil: str, content: bytes = b"x") -> Path:
    """A product in an archive, with a member more."""
    archive = landsat(collection).pack(folder, ".tar")
    with tarfile.open(archive, "a") as tar:
        info, body = hostile.member(evil, content=content)
        tar.addfile(info, io.BytesIO(body))
    return archive


def _sentinel2(folder: Path, document: bytes) -> Path:
    files = {f"{S2}.SAFE/MTD_MSIL1C.xml": document, f"{S2}.SAFE/GRANULE/L1C_T55HFA_A023720_20200108T001109/MTD_TL.xml": document}
    return hostile.write(folder, f"{S2}.zip", hostile.zip_of(files))


def _sentinel5p(folder: Path, prey: Prey) -> Path:
    path = folder / f"{S5P}.nc"
    hostile_netcdf.external_storage(path, prey.file)
    return path


def test_hostile_products_are_kept_aside_and_the_honest_ones_published(lake: Lake, canary: Any, tmp_path: Path) -> None:
    prey, folder = Prey(file=canary.file, url=canary.url), tmp_path / "in"
    folder.mkdir()
    vrt = hostile_rasters.DISGUISED["VRT that reads raw bytes"](prey)
    call = hostile_rasters.DISGUISED["VRT that calls a server"](prey)
    assert isinstance(vrt, str)
    assert isinstance(call, str)
    attacks: dict[str, tuple[Callable[[], Path], str]] = {
        "VRT as a band": (lambda: _band(folder, "ls8_c2_l2", vrt.encode()), "can not be opened as GTiff"),
        "VRT that calls": (lambda: _band(folder, "ls9_c2_l2", call.encode()), "can not be opened as GTiff"),
        "huge band": (lambda: _band(folder, "ls7_c2_l2", hostile_rasters.HUGE["one line too long"]()), "more than any product has"),
        "band without end": (lambda: _band(folder, "ls5_c2_l2", hostile_rasters.tiff(follow="itself")), ""),
        "path out of the archive": (lambda: _packed(folder / "a", "ls8_c2_l1", "../../evil.TIF"), "its path leaves the archive"),
        "program in the archive": (lambda: _packed(folder / "b", "ls7_c2_l1", "install.sh"), "no file of such a product is called so"),
        "bomb": (
            lambda: hostile.write(folder, f"{landsat('ls5_c2_l1').name}.tar.gz", hostile_archives.UNSAFE_GZIPS["endless padding"]()),
            "a decompression bomb",
        ),
        "XML that reads a file": (lambda: _sentinel2(folder, hostile_xml.UNSAFE["entity of a file"](prey)), "holds a DTD or entities"),
        "NetCDF that reads a file": (lambda: _sentinel5p(folder, prey), "its values lie in another file"),
    }
    made = {name: make() for name, (make, _) in attacks.items()}
    shutil.rmtree(folder / "a" / "unpacked")
    shutil.rmtree(folder / "b" / "unpacked")
    honest = landsat("ls8_c1_l1").write(folder)
    before, calls = canary.file.read_bytes(), len(canary.calls)
    status, document = ingest(lake, folder, "--convert", "2", EOLAKE_WORKER_MEMORY="1GiB")
    found = {one["path"]: (one["outcome"], one["reason"]) for one in document["products"]}
    assert status == 1
    assert found.pop(str(honest)) == ("published", None), json.dumps(document, indent=1)
    for name, path in made.items():
        outcome, reason = found.pop(str(path))
        assert outcome == "quarantined", (name, reason)
        assert attacks[name][1] in reason, (name, reason)
        assert before[:20].decode() not in reason
    assert found == {}
    assert states(lake) == {"published": 1, "quarantined": len(attacks)}
    assert canary.calls[calls:] == []
    assert canary.file.read_bytes() == before
    assert all("LC08_L1TP_090084_20160121_20200907_01_T1" in name for name in listing(lake))
    assert not list(tmp_path.rglob("evil*"))
    assert audit(lake) == []
