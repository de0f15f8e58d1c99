"""Where fetched files lie, and how whoever converts them gets at them."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from support.fetching import granule

from eolake.catalog.errors import BadProduct, Transient
from eolake.catalog.ledger.granules import Lease
from eolake.catalog.ledger.transfers import RawFile
from eolake.catalog.settings import StoreConfig
from eolake.catalog.store import Store, open_store
from eolake.ingest.fetching import raw
from eolake.ingest.providers.base import Part

PREFIX = "raw/probe/any/7/r41"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(StoreConfig(url=f"file://{tmp_path}/objects"))


def part(name: str, **values: str) -> Part:
    return Part(url=f"http://127.0.0.1/{name}", name=name, **values)  # type: ignore[arg-type]


def placed(store: Store, name: str, content: bytes = b"12345") -> RawFile:
    """A file under raw/."""
    store.put(f"{PREFIX}/{name}", content)
    return RawFile(name=name, key=f"{PREFIX}/{name}", bytes=len(content), sha256=hashlib.sha256(content).hexdigest())


def test_the_prefix_holds_the_fence() -> None:
    lease = Lease(kind="granule", id=7, fence=41)
    assert raw.prefix(granule(), lease) == PREFIX
    assert raw.prefix(granule(collection="s2_l2a"), lease) == "raw/probe/s2_l2a/7/r41"


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        (["S2A_X.zip"], ["S2A_X.zip"]),
        (["S2A_X.SAFE/a.xml", "S2A_X.SAFE/deep/b.jp2"], ["S2A_X.SAFE/a.xml", "S2A_X.SAFE/deep/b.jp2"]),
        (["LC08_B1.TIF", "LC08_MTL.txt"], ["PROBE_0007/LC08_B1.TIF", "PROBE_0007/LC08_MTL.txt"]),
        (["one/a.tif", "two/b.tif"], ["PROBE_0007/one/a.tif", "PROBE_0007/two/b.tif"]),
    ],
)
def test_a_product_of_several_files_is_one_folder(parts: list[str], expected: list[str]) -> None:
    assert list(raw.names(granule(), [part(name) for name in parts])) == expected


def test_a_quicklook_stands_apart() -> None:
    names = raw.names(granule(), [part("S2A_X.zip"), part("deep/ql.jpg", role="overview")])
    assert list(names) == ["S2A_X.zip", "overview/ql.jpg"]


def test_a_product_without_files_or_with_one_name_twice_is_refused() -> None:
    with pytest.raises(BadProduct, match="names no file"):
        raw.names(granule(), [part("ql.jpg", role="overview")])
    with pytest.raises(BadProduct, match="one name"):
        raw.names(granule(), [part("X.SAFE/a.xml"), part("X.SAFE/a.xml")])


def test_in_a_folder_store_the_product_is_opened_where_it_lies(store: Store, tmp_path: Path) -> None:
    single = raw.localise(store, [placed(store, "X.zip"), placed(store, "overview/ql.jpg")], tmp_path / "w", None)
    assert single.path == Path(store.gdal_path(f"{PREFIX}/X.zip"))
    assert single.overview == Path(store.gdal_path(f"{PREFIX}/overview/ql.jpg"))
    tree = raw.localise(store, [placed(store, "X.SAFE/deep/b.jp2"), placed(store, "X.SAFE/a.xml")], tmp_path / "w", None)
    assert tree.path == Path(store.gdal_path(f"{PREFIX}/X.SAFE"))
    assert tree.overview is None
    assert not (tmp_path / "w").exists()


def test_from_a_bucket_it_is_brought_and_compared(store: Store, tmp_path: Path) -> None:
    good, torn = placed(store, "X.SAFE/a.xml"), placed(store, "X.SAFE/b.xml")

    class Bucket(type(store)):  # type: ignore[misc]
        """A store that this machine cannot look into."""

        def gdal_path(self, key: str) -> str:
            return f"/vsis3/{key}"

    bucket = Bucket(store.config)
    assert raw.localise(bucket, [good, torn], tmp_path / "w", None).path == tmp_path / "w/raw/X.SAFE"
    Path(store.gdal_path(torn.key)).write_bytes(b"54321")
    with pytest.raises(Transient, match="other bytes"):
        raw.localise(bucket, [torn], tmp_path / "u", None)


def test_where_this_machine_fetched_it_nothing_is_brought(store: Store, tmp_path: Path) -> None:
    file = placed(store, "X.SAFE/a.xml")
    (tmp_path / "desk/X.SAFE").mkdir(parents=True)
    (tmp_path / "desk/X.SAFE/a.xml").write_bytes(b"12345")
    bucket = open_store(StoreConfig(url="s3://never-asked"))
    assert raw.localise(bucket, [file], tmp_path / "w", tmp_path / "desk").path == tmp_path / "desk/X.SAFE"


def test_what_is_gone_says_so(store: Store, tmp_path: Path) -> None:
    file = placed(store, "X.zip")
    store.delete([file.key])
    with pytest.raises(BadProduct, match="ingest the product again"):
        raw.localise(store, [file], tmp_path / "w", None)
    with pytest.raises(BadProduct, match="nothing of it lies under raw/"):
        raw.localise(store, [], tmp_path / "w", None)
