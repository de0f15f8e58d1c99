"""A folder of products as a provider has it."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from eolake.catalog.errors import ConfigError
from eolake.ingest.simulators.archive import Archive, Record
from eolake.ingest.simulators.packing import archive_of


def test_products_of_a_folder_with_what_their_sensors_say(archive: Archive) -> None:
    found = {record.name: record for record in archive.records}
    assert len(found) == 7
    landsat = found["LC08_L2SP_090084_20191231_20200825_02_T1"]
    sentinel = found["S2B_MSIL2A_20191219T001109_N0213_R073_T56HKH_20191219T024009"]
    assert (landsat.collection, landsat.file and landsat.file.suffix, landsat.attributes["pathNumber"]) == ("ls8_c2_l2", ".tar", 90)
    assert (sentinel.collection, sentinel.attributes["productType"], sentinel.attributes["tileId"]) == ("s2_l2a", "S2MSI2A", "56HKH")
    assert sentinel.start == datetime(2019, 12, 19, 0, 11, 9, 24000, tzinfo=UTC)
    assert sentinel.published == sentinel.end + timedelta(hours=6)
    for record in archive.records:
        assert record.file is not None
        assert hashlib.md5(record.file.read_bytes()).hexdigest() == record.digests["md5"]
        assert hashlib.sha3_256(record.file.read_bytes()).hexdigest() == record.digests["sha3-256"]
        assert record.footprint is not None
        assert record.quicklook is not None
        assert record.quicklook.read_bytes()[:3] == b"\xff\xd8\xff"


def test_folders_become_zips_without_compression_that_keep_the_folder(archive: Archive) -> None:
    record = next(record for record in archive.records if record.name.startswith("S2B_MSIL2A_2019"))
    assert record.file is not None
    with zipfile.ZipFile(record.file) as packed:
        assert packed.testzip() is None
        assert {info.filename.partition("/")[0] for info in packed.infolist()} == {f"{record.name}.SAFE"}
        assert {info.compress_type for info in packed.infolist()} == {zipfile.ZIP_STORED}


def test_a_second_look_computes_nothing(products: Path, archive: Archive) -> None:
    before = {file: file.stat().st_mtime_ns for file in (products / ".archive").iterdir()}
    again = archive_of(products)
    assert again.records == archive.records
    assert {file: file.stat().st_mtime_ns for file in (products / ".archive").iterdir()} == before


def test_published_just_now(products: Path) -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    records = archive_of(products, published=now).records
    assert [record.published for record in records] == [now - timedelta(minutes=n) for n in range(6, -1, -1)]
    assert [record.start for record in records] == sorted(record.start for record in records)


def test_an_empty_folder_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="eolake simulate products"):
        archive_of(tmp_path)


def test_changes_are_told_and_removals_kept(make_record: Callable[..., Record]) -> None:
    archive, told = Archive(), []
    archive.watch(lambda event, record: told.append((event, record.id)))
    one, two = make_record(2), make_record(1)
    archive.add(one, two)
    archive.replace(make_record(1, online=False))
    archive.remove(two.id, cause="Duplicated product")
    assert told == [("created", one.id), ("created", two.id), ("modified", two.id), ("deleted", two.id)]
    assert ([record.id for record in archive.records], archive.deleted[0].cause) == ([one.id], "Duplicated product")
    with pytest.raises(KeyError):
        archive.remove(two.id)
