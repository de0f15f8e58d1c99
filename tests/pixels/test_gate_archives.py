"""The gate and archives: honest ones open, hostile and broken ones are refused with file and cause."""

from __future__ import annotations

import errno
import os
import re
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import hostile

from eolake.catalog import safe
from eolake.catalog.errors import BadProduct, Transient, UnsafeProduct
from eolake.catalog.safe import archives

TESTS = Path(__file__).parents[1]
ALL = re.compile("")


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    folder = tmp_path / "outside" / "workspace"
    folder.mkdir(parents=True)
    return folder


def _outside(workspace: Path) -> list[Path]:
    return [path for path in workspace.parent.rglob("*") if workspace not in (path, *path.parents)]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("PRODUCT.tar", hostile.tar_of(hostile.PLAIN)),
        ("PRODUCT.tar", hostile.tar_of(hostile.PLAIN, format=hostile.tarfile.GNU_FORMAT)),
        ("PRODUCT.tar", hostile.tar_of({f"./{k}": v for k, v in hostile.PLAIN.items()}, format=hostile.tarfile.USTAR_FORMAT)),
        ("PRODUCT.tar.gz", hostile.gzipped(hostile.tar_of(hostile.PLAIN))),
        ("PRODUCT.tgz", hostile.gzipped(hostile.tar_of({f"PRODUCT/{k}": v for k, v in hostile.PLAIN.items()}))),
        ("PRODUCT.zip", hostile.zip_of(hostile.PLAIN)),
        ("PRODUCT.zip", hostile.zip_of({"PRODUCT.SAFE/": b"", **{f"PRODUCT.SAFE/{k}": v for k, v in hostile.PLAIN.items()}})),
        ("PRODUCT.zip", hostile.tar_of(hostile.PLAIN)),  # the content tells, not the name
    ],
)
def test_an_honest_archive_opens(tmp_path: Path, workspace: Path, name: str, content: bytes) -> None:
    product = safe.open_product(hostile.write(tmp_path, name, content), workspace, wanted=ALL)
    assert product.name == "PRODUCT"
    assert {relative: path.read_bytes() for relative, path in product.files.items()} == hostile.PLAIN
    assert all(path.is_relative_to(product.root) and path.is_relative_to(workspace) for path in product.files.values())
    assert product.find(re.compile(r"_B1\.TIF$")).read_bytes() == hostile.PLAIN["PRODUCT_B1.TIF"]
    with pytest.raises(BadProduct, match="has no file like"):
        product.find(re.compile("_B7"))
    with pytest.raises(BadProduct, match=r"has 2 files like PRODUCT: PRODUCT_B1.TIF, PRODUCT_MTL.txt"):
        product.find(re.compile("PRODUCT"))


def test_long_names_of_both_dialects_survive(tmp_path: Path, workspace: Path) -> None:
    name = "GRANULE/" + "L1C_T55HFA_A012345_20180617T000000/" * 4 + "IMG_DATA/ünïcode_B01.jp2"
    for dialect in (hostile.tarfile.PAX_FORMAT, hostile.tarfile.GNU_FORMAT):
        content = hostile.tar_of({name: b"pixels", "manifest.safe": b"<x/>"}, format=dialect)
        folder = workspace / str(dialect)
        folder.mkdir()
        product = safe.open_product(hostile.write(tmp_path, "P.tar", content), folder, wanted=ALL)
        assert product.files[name].read_bytes() == b"pixels"


def test_only_what_is_wanted_reaches_the_disk(tmp_path: Path, workspace: Path) -> None:
    for name, content in (("P.tar", hostile.tar_of), ("P.zip", hostile.zip_of)):
        folder = workspace / name
        folder.mkdir()
        path = hostile.write(tmp_path, name, content({f"P.SAFE/{k}": v for k, v in hostile.PLAIN.items()}))
        product = safe.open_product(path, folder, wanted=re.compile(r"^PRODUCT_MTL\.txt$"))
        assert list(product.files) == ["PRODUCT_MTL.txt"]
        assert [p.name for p in folder.rglob("*") if p.is_file()] == ["PRODUCT_MTL.txt"]


@pytest.mark.parametrize("trick", hostile.UNSAFE_TARS)
@pytest.mark.parametrize("packed", [False, True])
def test_a_hostile_tar_is_refused(tmp_path: Path, workspace: Path, trick: str, packed: bool) -> None:
    content = hostile.UNSAFE_TARS[trick]()
    path = hostile.write(tmp_path, "P.tar.gz", hostile.gzipped(content) if packed else content)
    with pytest.raises(UnsafeProduct, match=r"P\.tar\.gz"):
        safe.open_product(path, workspace, wanted=ALL)
    assert not _outside(workspace)
    assert not [p for p in workspace.rglob("*") if p.is_symlink()]


@pytest.mark.parametrize("trick", hostile.UNSAFE_ZIPS)
def test_a_hostile_zip_is_refused(tmp_path: Path, workspace: Path, trick: str) -> None:
    path = hostile.write(tmp_path, "P.zip", hostile.UNSAFE_ZIPS[trick]())
    with pytest.raises(UnsafeProduct, match=r"P\.zip"):
        safe.open_product(path, workspace, wanted=ALL)
    assert not list(workspace.iterdir()), "zips are judged before anything is written"
    assert not _outside(workspace)


@pytest.mark.parametrize("fault", hostile.BROKEN_TARS)
def test_a_broken_tar_is_bad(tmp_path: Path, workspace: Path, fault: str) -> None:
    for name, pack in (("P.tar", bytes), ("P.tar.gz", hostile.gzipped)):
        path = hostile.write(tmp_path, name, pack(hostile.BROKEN_TARS[fault]()))
        with pytest.raises(BadProduct, match=re.escape(str(path))) as caught:
            safe.open_product(path, workspace, wanted=re.compile("nothing"))
        assert not isinstance(caught.value, UnsafeProduct)


@pytest.mark.parametrize("fault", hostile.BROKEN_ZIPS)
def test_a_broken_zip_is_bad(tmp_path: Path, workspace: Path, fault: str) -> None:
    path = hostile.write(tmp_path, "P.zip", hostile.BROKEN_ZIPS[fault]())
    with pytest.raises(BadProduct, match=r"P\.zip") as caught:
        safe.open_product(path, workspace, wanted=ALL)
    assert not isinstance(caught.value, UnsafeProduct)


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.9, 0.999])
def test_a_cut_download_is_bad(tmp_path: Path, workspace: Path, kept: float) -> None:
    noise = {"PRODUCT_B1.TIF": os.urandom(300_000), "PRODUCT_B2.TIF": os.urandom(300_000)}
    for name, content in (("P.tar.gz", hostile.gzipped(hostile.tar_of(noise))), ("P.zip", hostile.zip_of(noise))):
        folder = workspace / name
        folder.mkdir()
        path = hostile.write(tmp_path, name, content[: int(len(content) * kept)])
        with pytest.raises(BadProduct, match=r"cut off|damaged|no archive"):
            safe.open_product(path, folder, wanted=ALL)


BOMB = """
import re, sys
from pathlib import Path
from support.memory import peak, reset
from eolake.catalog import safe
from eolake.catalog.errors import UnsafeProduct
reset()
before = peak()
try:
    safe.open_product(Path(sys.argv[1]), Path(sys.argv[2]), wanted=re.compile(""))
except UnsafeProduct:
    print("refused", peak() - before)
"""


def test_a_gzip_bomb_stops_early_and_small(tmp_path: Path) -> None:
    """In a process of its own, so that its memory can be measured."""
    path = hostile.write(tmp_path, "P.tar.gz", hostile.gzip_bomb(400))
    assert path.stat().st_size < 1 << 20
    (tmp_path / "w").mkdir()
    run = subprocess.run(
        [sys.executable, "-c", BOMB, path, tmp_path / "w"], capture_output=True, text=True, check=True, timeout=120, cwd=TESTS
    )
    verdict, growth = run.stdout.split()
    assert verdict == "refused"
    assert int(growth) < 64 << 10, "KiB"
    written = sum(p.stat().st_size for p in (tmp_path / "w").rglob("*"))
    assert written <= 100 << 20, "it stops at ratio_from plus a piece, not at the end"


def test_limits_bound_members_sizes_and_totals(tmp_path: Path, workspace: Path) -> None:
    for name, content in (("P.tar", hostile.tar_of(hostile.PLAIN)), ("P.zip", hostile.zip_of(hostile.PLAIN))):
        path = hostile.write(tmp_path, name, content)
        for limits, words in (
            (safe.Limits(members=1), "members"),
            (safe.Limits(member_bytes=100), "size"),
            (safe.Limits(total_bytes=1000), "unpacks to more than 1,000 bytes"),
        ):
            with pytest.raises(UnsafeProduct, match=words):
                safe.open_product(path, workspace, wanted=re.compile("nothing"), limits=limits)


def test_no_room_is_not_the_products_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine says no, not the product."""
    path = hostile.write(tmp_path, "P.zip", hostile.zip_of({"PRODUCT_B1.TIF": os.urandom(100_000)}))
    (tmp_path / "w").mkdir()

    def full(target: Path, chunks: Iterator[bytes]) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(target))

    monkeypatch.setattr(archives, "_write", full)
    with pytest.raises(Transient, match="no room"):
        safe.open_product(path, tmp_path / "w", wanted=ALL)


def test_a_file_that_is_larger_than_the_process_may_write_is_the_products_fault(tmp_path: Path) -> None:
    path = hostile.write(tmp_path, "P.zip", hostile.zip_of({"PRODUCT_B1.TIF": os.urandom(100_000)}))
    (tmp_path / "w").mkdir()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
    try:
        with pytest.raises(UnsafeProduct, match="larger than this process may write"):
            safe.open_product(path, tmp_path / "w", wanted=ALL)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_bytes_never_escape(tmp_path: Path, data: st.DataObject) -> None:
    """Whatever is flipped: it opens, or it is BadProduct; nothing is ever written outside."""
    kind, content = data.draw(st.sampled_from([("P.tar", hostile.tar_of(hostile.PLAIN)), ("P.zip", hostile.zip_of(hostile.PLAIN))]))
    mutated = bytearray(content)
    for _ in range(data.draw(st.integers(1, 8))):
        mutated[data.draw(st.integers(0, len(mutated) - 1))] = data.draw(st.integers(0, 255))
    base = tmp_path / os.urandom(8).hex()
    (base / "w").mkdir(parents=True)
    path = hostile.write(base, kind, bytes(mutated))
    try:
        refusal = ""
        safe.open_product(path, base / "w", wanted=ALL)
    except BadProduct as error:
        refusal = str(error)
    assert not refusal or str(path) in refusal
    assert sorted(p.name for p in base.iterdir()) == sorted([kind, "w"])
