"""The folder store: written once, whole or not at all, by many processes at once."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eolake.catalog.errors import ConfigError, EolakeError
from eolake.catalog.settings import StoreConfig
from eolake.catalog.store import MissingObject, ObjectInfo, Store, multihash, open_store, store_environment

TESTS = Path(__file__).parents[1]
KEY = "s2_l2a/2020/01/08/S2A_T55HFA/r7/red.tif"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(StoreConfig(url=f"file://{tmp_path / 'objects'}"))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "red.tif"
    path.write_bytes(b"pixels" * 1000)
    return path


def test_what_is_put_is_there(store: Store, source: Path, tmp_path: Path) -> None:
    store.put(KEY, source)
    store.put("a/item.json", b"{}")
    assert store.get(KEY) == source.read_bytes()
    assert b"".join(store.chunks(KEY)) == source.read_bytes()
    assert store.head(KEY) == ObjectInfo(key=KEY, size=6000)
    assert store.checksum(KEY) == multihash(source) == multihash(source.read_bytes())
    assert store.uri(KEY) == f"file://{tmp_path}/objects/{KEY}"
    assert Path(store.gdal_path(KEY)).read_bytes() == source.read_bytes()
    assert source.exists(), "the source is copied, not moved"
    assert sorted(entry.key for entry in store.list()) == ["a/item.json", KEY]


def test_missing_objects(store: Store) -> None:
    assert store.head("gone") is None
    assert list(store.list("gone")) == []
    store.delete(["gone"])
    store.delete_prefix("gone/away")
    for read in (store.get, store.checksum, store.sync):
        with pytest.raises(MissingObject, match="gone is not there"):
            read("gone")


def test_the_same_bytes_again_write_nothing(store: Store, source: Path) -> None:
    store.put(KEY, source)
    place = Path(store.gdal_path(KEY))
    before, folder = place.stat(), place.parent.stat()
    store.put(KEY, source)
    store.put(KEY, source.read_bytes())
    assert (place.stat().st_ino, place.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert place.parent.stat().st_mtime_ns == folder.st_mtime_ns


@pytest.mark.parametrize("other", [b"", b"pixelz" * 1000, b"x"])
def test_other_bytes_are_refused(store: Store, source: Path, other: bytes) -> None:
    store.put(KEY, source)
    with pytest.raises(EolakeError, match="holds other bytes already"):
        store.put(KEY, other)
    assert store.get(KEY) == source.read_bytes()


@pytest.mark.parametrize("key", ["", "/a", "a/", "a//b", "../a", "a/../b", "./a", "a\nb", "a\0b", "a#1", "a\\b", "a/b:", "b|"])
def test_what_is_no_key(store: Store, key: str) -> None:
    for use in (lambda: store.put(key, b"x"), lambda: store.delete([key]), lambda: store.delete_prefix(key)):
        with pytest.raises(ValueError, match="is no object key"):
            use()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.text(st.characters(codec="utf-8", exclude_characters="/#\\", exclude_categories=("C", "Z")), min_size=1, max_size=40))
def test_any_name_reads_as_it_was_written(store: Store, name: str) -> None:
    if name in {".", ".."} or name[-1] in ":|":
        return
    key = f"names/{name}"
    store.put(key, name.encode())
    assert store.get(key) == name.encode()
    assert key in {entry.key for entry in store.list("names")}
    assert Path(store.gdal_path(key)).read_bytes() == name.encode()
    store.delete([key])
    assert store.head(key) is None


def test_a_prefix_is_made_of_whole_segments(store: Store) -> None:
    for key in ("c/a/r1/x", "c/a/r10/x", "c/ab/r1/x"):
        store.put(key, b"x")
    assert [entry.key for entry in store.list("c/a/r1")] == ["c/a/r1/x"]
    store.delete_prefix("c/a/r1")
    assert sorted(entry.key for entry in store.list()) == ["c/a/r10/x", "c/ab/r1/x"]


def test_deleting_a_prefix_takes_leftovers_and_empty_folders(store: Store, tmp_path: Path) -> None:
    store.put("c/2020/i/r1/x.tif", b"x")
    store.put("c/2021/i/r1/x.tif", b"x")
    leftover = tmp_path / "objects/c/2020/i/r1/y.tif#1"
    leftover.write_bytes(b"half")
    assert len(list(store.list())) == 2, "an unfinished write is no object"
    store.delete_prefix("c/2020/i/r1")
    assert sorted(p.name for p in (tmp_path / "objects/c").iterdir()) == ["2021"]


def test_sync_reaches_every_file_and_folder(store: Store, tmp_path: Path) -> None:
    """fsync of a file without permission to read it fails: so it was reached. root may read everything, hence the pipe."""
    store.put("c/i/r1/x.tif", b"x")
    store.sync("c/i/r1")
    os.mkfifo(tmp_path / "objects/c/i/r1/pipe")
    reader = os.open(tmp_path / "objects/c/i/r1/pipe", os.O_RDONLY | os.O_NONBLOCK)
    writer = os.open(tmp_path / "objects/c/i/r1/pipe", os.O_WRONLY)
    try:
        with pytest.raises(OSError, match="Invalid argument"):
            store.sync("c/i/r1")
    finally:
        os.close(reader)
        os.close(writer)


def test_one_of_many_writers_wins(store: Store) -> None:
    """Every key has one of the contents, whole; the others were told."""

    def write(number: int) -> int:
        won = 0
        for key in range(40):
            with suppress(EolakeError):
                store.put(f"race/{key}", str(number).encode() * 5000)
                won += 1
        return won

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(write, range(8))) == 40
    assert all(len(set(store.get(f"race/{key}"))) == 1 and len(store.get(f"race/{key}")) == 5000 for key in range(40))
    assert not [p for p in Path(store.gdal_path("race")).iterdir() if "#" in p.name]


def test_writers_survive_the_pruning_of_folders(store: Store) -> None:
    def write(number: int) -> None:
        for turn in range(60):
            store.put(f"c/d/i{number}/r{turn}/x", b"x")
            store.delete_prefix(f"c/d/i{number}/r{turn}")

    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(write, range(6))) == [None] * 6
    assert list(store.list()) == []


LARGE = """
import sys
from pathlib import Path
from support.memory import peak, reset
from eolake.catalog.settings import StoreConfig
from eolake.catalog.store import open_store
folder = Path(sys.argv[1])
store = open_store(StoreConfig(url=f"file://{folder}/objects"))
store.put("warm", b"x")
store.get("warm")
reset()
before = peak()
store.put("a/large.tif", folder / "large.tif")
store.sync("a")
store.put("a/large.tif", folder / "large.tif")
print(peak() - before)
"""


def test_a_large_file_does_not_pass_through_memory(tmp_path: Path) -> None:
    with (tmp_path / "large.tif").open("wb") as file:
        file.truncate(400 << 20)
    run = subprocess.run([sys.executable, "-c", LARGE, tmp_path], capture_output=True, text=True, check=True, timeout=120, cwd=TESTS)
    assert int(run.stdout) < 64 << 10, "KiB"
    assert (tmp_path / "objects/a/large.tif").stat().st_size == 400 << 20


def test_a_missing_source_is_an_error(store: Store, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nothing"):
        store.put("a/b", tmp_path / "nothing")
    assert list(store.list()) == []


def test_a_folder_needs_no_variables(store: Store) -> None:
    assert store_environment(store.config) == {}
    with pytest.raises(ConfigError, match="a store is file"):
        open_store(StoreConfig(url="ftp://example.org/x"))


def test_a_file_is_adopted_without_a_copy(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "product.zip"
    path.write_bytes(b"bytes")
    store.adopt("raw/cdse/r7/product.zip", path)
    assert Path(store.gdal_path("raw/cdse/r7/product.zip")).samefile(path)
    store.adopt("raw/cdse/r7/product.zip", path)
    path.unlink()
    assert store.get("raw/cdse/r7/product.zip") == b"bytes"
    path.write_bytes(b"other")
    with pytest.raises(EolakeError, match="other bytes"):
        store.adopt("raw/cdse/r7/product.zip", path)


def test_a_file_of_another_file_system_is_adopted_by_a_copy(store: Store) -> None:
    with tempfile.NamedTemporaryFile(dir="/dev/shm") as file:
        file.write(b"bytes")
        file.flush()
        store.adopt("raw/cdse/r7/product.zip", Path(file.name))
    assert store.get("raw/cdse/r7/product.zip") == b"bytes"
