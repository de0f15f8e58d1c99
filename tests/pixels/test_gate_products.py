"""Products that are directories and single files; names of products."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from support import hostile

from eolake.catalog import safe
from eolake.catalog.errors import BadProduct, UnsafeProduct

ALL = re.compile("")


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("LC08_L1TP_090084_20160121_20200907_02_T1.tar", "LC08_L1TP_090084_20160121_20200907_02_T1"),
        ("LE07_L1TP_104078_20130429_20161124_01_T1.tar.gz", "LE07_L1TP_104078_20130429_20161124_01_T1"),
        ("x.TGZ", "x"),
        ("S2A_MSIL1C_20171207.SAFE", "S2A_MSIL1C_20171207"),
        ("S2A_MSIL1C_20171207.SAFE.zip", "S2A_MSIL1C_20171207"),
        ("S2A_MSIL1C_20171207.zip", "S2A_MSIL1C_20171207"),
        ("scene.tif", "scene.tif"),
        (".zip", ".zip"),
        ("LC08.d/", "LC08.d"),
    ],
)
def test_the_name_of_a_product(file: str, name: str) -> None:
    assert safe.product_name(Path("/some/where") / file) == name


def _folder(path: Path) -> Path:
    for name in ("a/one_B1.TIF", "one_MTL.txt"):
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(name.encode())
    return path


def test_a_directory_is_read_in_place(tmp_path: Path) -> None:
    product = safe.open_product(_folder(tmp_path / "P.SAFE"), tmp_path / "never made", wanted=re.compile(r"_B\d\.TIF$"))
    assert product.name == "P"
    assert product.files == {"a/one_B1.TIF": tmp_path / "P.SAFE/a/one_B1.TIF"}
    assert not (tmp_path / "never made").exists()


@pytest.mark.parametrize("kind", ["link to a file", "link to a folder", "dangling link", "pipe"])
def test_links_and_pipes_in_a_directory_are_refused(tmp_path: Path, kind: str) -> None:
    folder = _folder(tmp_path / "P")
    place = folder / "a" / "strange"
    if kind == "pipe":
        os.mkfifo(place)
    else:
        place.symlink_to({"link to a file": "/etc/passwd", "link to a folder": "/etc", "dangling link": "/nowhere"}[kind])
    with pytest.raises(UnsafeProduct, match="strange is refused"):
        safe.open_product(folder, tmp_path, wanted=re.compile("MTL"))


def test_a_directory_has_limits(tmp_path: Path) -> None:
    folder = _folder(tmp_path / "P")
    with pytest.raises(UnsafeProduct, match="more than 2 entries"):
        safe.open_product(folder, tmp_path, wanted=ALL, limits=safe.Limits(members=2))
    with pytest.raises(UnsafeProduct, match="more than 3"):
        safe.open_product(folder, tmp_path, wanted=ALL, limits=safe.Limits(member_bytes=3))


def test_a_file_is_a_product_of_one_file(tmp_path: Path) -> None:
    path = hostile.write(tmp_path, "scene.tif", b"II*\0")
    product = safe.open_product(path, tmp_path, wanted=re.compile(r"\.tif$"))
    assert (product.name, product.files) == ("scene.tif", {"scene.tif": path})


def test_a_missing_product_is_bad(tmp_path: Path) -> None:
    with pytest.raises(BadProduct, match=r"gone\.tar can not be opened"):
        safe.open_product(tmp_path / "gone.tar", tmp_path, wanted=ALL)


@pytest.mark.parametrize(
    "relative",
    [
        "pixels/landsat/au_eodatasets/data",
        "pixels/sentinel2/au_l1c_eodatasets",
        "pixels/sentinel2/au_l1c_wagl",
        "pixels/sentinel2/es_l1c_full_b01_eodag",
    ],
)
def test_no_real_archive_is_refused(samples: Path, tmp_path: Path, relative: str) -> None:
    archives = [p for p in (samples / relative).rglob("*") if p.name.endswith((".zip", ".tar", ".tar.gz")) and p.is_file()]
    assert archives
    for number, path in enumerate(archives):
        folder = tmp_path / str(number)
        folder.mkdir()
        product = safe.open_product(path, folder, wanted=re.compile(r"\.(xml|txt|TIF|jp2)$"))
        assert product.files or path.stat().st_size < 200_000, path


def test_a_real_cut_download_is_bad(samples: Path, tmp_path: Path) -> None:
    (path,) = (samples / "pixels/sentinel3/sral_full_downloads/data").glob("S1A_IW_GRDH_1SDV_20230309T231138*.zip")
    with pytest.raises(BadProduct, match=r"S1A_IW_GRDH.* is cut off"):
        safe.open_product(path, tmp_path, wanted=ALL)
