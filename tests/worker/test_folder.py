"""The folder provider: what lies on disk, and what is told of the rest."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support.workers import probe

from eolake.catalog.errors import UsageError
from eolake.ingest.providers.base import Provider, Query
from eolake.ingest.providers.folder import FolderProvider, look

LANDSAT = "LC08_L2SP_090084_20200108_20200824_02_T1"
LEVEL1 = "LC08_L1TP_090084_20200108_20200824_02_T1"


def _file(path: Path, size: int = 5) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * size)
    return path


def _names(*paths: Path) -> dict[str, str]:
    return {offer.source: offer.name for offer in look(paths).offers}


def test_an_archive_a_directory_and_a_folder_of_loose_files_are_products(tmp_path: Path) -> None:
    archive = _file(tmp_path / f"{LANDSAT}.tar")
    directory = _file(tmp_path / "b" / LEVEL1 / f"{LEVEL1}_MTL.txt").parent
    loose = _file(tmp_path / "assets3" / f"{LANDSAT}_MTL.txt").parent
    _file(loose / f"{LANDSAT}_SR_B4.TIF")
    assert _names(archive, directory, loose) == {str(archive): LANDSAT, str(directory): LEVEL1, str(loose): LANDSAT}
    (offer,) = look([loose]).offers
    assert (offer.provider, offer.id, offer.state, offer.size) == ("folder", str(loose), "fetched", 10)


def test_a_folder_of_products_is_walked_but_products_are_not(tmp_path: Path) -> None:
    _file(tmp_path / "2020" / "01" / f"{LANDSAT}.tar")
    _file(tmp_path / LEVEL1 / "deep" / f"{LANDSAT}.tar")
    _file(tmp_path / "2020" / "README.txt")
    _file(tmp_path / "empty" / "x" / "y.txt")
    _file(tmp_path / ".hidden.part")
    found = look([tmp_path])
    assert [offer.name for offer in found.offers] == [LANDSAT, LEVEL1]
    assert {(str(s.path.relative_to(tmp_path)), s.reason) for s in found.skipped} == {
        ("2020/README.txt", "no sensor knows this name"),
        ("empty", "a folder without products"),
        (".hidden.part", "hidden"),
    }


def test_a_named_path_is_offered_even_when_no_sensor_knows_it(tmp_path: Path) -> None:
    path, folder = _file(tmp_path / "S3A_SL_1_RBT.zip"), _file(tmp_path / "x" / "y.txt").parent
    assert _names(path, folder) == {str(path): "S3A_SL_1_RBT", str(folder): "x"}


def test_a_path_named_twice_or_by_a_link_is_one_product(tmp_path: Path) -> None:
    path = probe(tmp_path, 1)
    (tmp_path / "l").mkdir()
    (tmp_path / "l" / path.name).symlink_to(path)
    assert _names(path, tmp_path / "l" / path.name, tmp_path) == {str(path): "PROBE_0001"}


def test_the_fingerprint_changes_with_size_time_and_names(tmp_path: Path) -> None:
    loose = _file(tmp_path / "a" / f"{LANDSAT}_MTL.txt").parent
    seen = [look([loose]).offers[0].fingerprint]
    assert look([loose]).offers[0].fingerprint == seen[0]
    os.utime(loose / f"{LANDSAT}_MTL.txt", ns=(1, 1))
    seen.append(look([loose]).offers[0].fingerprint)
    _file(loose / "more.TIF")
    seen.append(look([loose]).offers[0].fingerprint)
    (loose / "more.TIF").rename(loose / "MORE.TIF")
    seen.append(look([loose]).offers[0].fingerprint)
    assert len(set(seen)) == 4


def test_what_is_not_there_is_said_before_anything_is_done(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nowhere"):
        look([_file(tmp_path / f"{LANDSAT}.tar"), tmp_path / "nowhere"])


def test_names_that_the_ledger_cannot_hold_are_told(tmp_path: Path) -> None:
    strange = os.fsdecode(os.fsencode(tmp_path) + b"/PROBE_\xff.zip")
    Path(strange).write_bytes(b"x")
    assert [skipped.reason for skipped in look([probe(tmp_path, 1).parent]).skipped] == ["its name is not UTF-8"]
    with pytest.raises(UsageError, match="UTF-8"):
        look([Path(strange)])


def test_the_provider_fits_its_seam(tmp_path: Path) -> None:
    provider: Provider = FolderProvider()
    (offer,) = provider.search(Query(paths=[probe(tmp_path, 1)]))
    assert (offer.name, dict(provider.auth())) == ("PROBE_0001", {})
