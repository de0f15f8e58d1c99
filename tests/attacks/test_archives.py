"""Archives that attack: refused by the gate, in a process like a converter, and nothing is written outside of the workspace."""

from __future__ import annotations

import re
import stat
from pathlib import Path

import pytest
from support import hostile
from support import hostile_archives as tricks
from support.reader import Answer, Reader

from eolake.catalog import safe
from eolake.catalog.errors import UnsafeProduct

ALL = re.compile("")
SMALL = 100 << 10
"""KiB of memory."""
WORDS = {
    "wide: a million million members": "more than any product",
    "wide: mark behind the end": "not where its locator says",
    "wide: mark elsewhere": "not where its locator says",
}
"""Where another control would refuse the same trick later."""
MOST = 80 << 20
"""Bytes on the disk: `Limits.ratio_from` and a piece."""


def _open(reader: Reader, inside: Path, name: str, content: bytes, *, expected: str | None = None) -> Answer:
    path = inside / "workspace" / name
    path.write_bytes(content)
    workspace = inside / "workspace" / "unpacked"
    workspace.mkdir()
    answer = reader.read("archive", path, workspace=str(workspace), expected=expected)
    found = [entry for entry in workspace.rglob("*") if not entry.is_dir()]
    assert not [entry for entry in found if entry.is_symlink() or not entry.is_file()]
    assert sum(entry.stat().st_size for entry in found) < MOST
    assert all(stat.S_IMODE(entry.stat().st_mode) == 0o600 for entry in found), "whatever mode the archive wants"
    assert answer.peak < SMALL
    assert not answer.refused or str(path) in answer.message
    return answer


@pytest.mark.parametrize("name", tricks.NAMES)
@pytest.mark.parametrize("kind", ["tar", "tar.gz", "zip"])
def test_hostile_names_are_refused(inside: Path, reader: Reader, kind: str, name: str) -> None:
    bad = tricks.NAMES[name]
    if kind == "zip":
        content = hostile.zip_of(tricks.COMPANY, hostile.zip_member(bad))
    else:
        content = hostile.tar_of(tricks.COMPANY, hostile.member(bad))
    answer = _open(reader, inside, f"P.{kind}", hostile.gzipped(content) if kind == "tar.gz" else content)
    assert answer.verdict == "unsafe", answer
    assert "is refused" in answer.message


@pytest.mark.parametrize("trick", tricks.UNSAFE_TARS)
def test_hostile_tars_are_refused(inside: Path, reader: Reader, trick: str) -> None:
    answer = _open(reader, inside, "P.tar", tricks.UNSAFE_TARS[trick]())
    assert answer.verdict == "unsafe", answer


@pytest.mark.parametrize("trick", tricks.UNSAFE_GZIPS)
def test_hostile_gzips_are_refused(inside: Path, reader: Reader, trick: str) -> None:
    answer = _open(reader, inside, "P.tar.gz", tricks.UNSAFE_GZIPS[trick]())
    assert answer.verdict == "unsafe", answer


@pytest.mark.parametrize("trick", tricks.UNSAFE_ZIPS)
def test_hostile_zips_are_refused(inside: Path, reader: Reader, trick: str) -> None:
    answer = _open(reader, inside, "P.zip", tricks.UNSAFE_ZIPS[trick]())
    assert answer.verdict == "unsafe", answer
    assert WORDS.get(trick, "") in answer.message


@pytest.mark.parametrize("trick", [*tricks.BROKEN_TARS, *tricks.BROKEN_ZIPS])
def test_broken_archives_are_bad(inside: Path, reader: Reader, trick: str) -> None:
    make = {**tricks.BROKEN_ZIPS, **tricks.BROKEN_TARS}[trick]
    answer = _open(reader, inside, "P.zip" if trick in tricks.BROKEN_ZIPS else "P.tar.gz", make())
    assert answer.verdict == "bad", answer


@pytest.mark.parametrize("name", tricks.UNEXPECTED)
@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_what_no_product_holds_is_refused_even_when_nobody_wants_it(tmp_path: Path, kind: str, name: str) -> None:
    expected = safe.expected_names("TIF", "xml", "txt", folders=3)
    content = (hostile.zip_of if kind == "zip" else hostile.tar_of)({**hostile.PLAIN, name: b"x"})
    path = hostile.write(tmp_path, f"P.{kind}", content)
    with pytest.raises(UnsafeProduct, match=r"is refused: no file of such a product is called so"):
        safe.open_product(path, tmp_path, wanted=re.compile("_MTL"), expected=expected)
    (tmp_path / "again").mkdir()
    assert safe.open_product(path, tmp_path / "again", wanted=re.compile("_MTL")).files, "it is the name alone"


def test_expected_names_are_matched_with_and_without_the_top_folder(tmp_path: Path) -> None:
    expected = safe.expected_names("TIF", "txt", folders=0)
    for number, top in enumerate(("", "LC08_1/")):
        path = hostile.write(
            tmp_path, f"P{number}.zip", hostile.zip_of({f"{top}{name}": content for name, content in hostile.PLAIN.items()})
        )
        (tmp_path / str(number)).mkdir()
        assert len(safe.open_product(path, tmp_path / str(number), wanted=ALL, expected=expected).files) == 2
    path = hostile.write(tmp_path, "P.zip", hostile.zip_of({"LC08_1/deeper/PRODUCT_B1.TIF": b"x"}))
    with pytest.raises(UnsafeProduct, match="is called so"):
        safe.open_product(path, tmp_path, wanted=ALL, expected=expected)


def test_nothing_is_written_through_what_lies_in_the_workspace(tmp_path: Path) -> None:
    """It should be empty; when somebody has put a link there, its target stays as it is."""
    (tmp_path / "target").write_text("kept")
    (tmp_path / "w").mkdir()
    for number, link in enumerate((tmp_path / "target", tmp_path / "new")):
        (tmp_path / "w" / f"PRODUCT_{number}.TIF").symlink_to(link)
        path = hostile.write(tmp_path, "P.zip", hostile.zip_of({f"PRODUCT_{number}.TIF": b"evil"}))
        with pytest.raises(FileExistsError):
            safe.open_product(path, tmp_path / "w", wanted=ALL)
    assert (tmp_path / "target").read_text() == "kept"
    assert not (tmp_path / "new").exists()


def test_archives_within_archives_stay_packed(inside: Path, reader: Reader) -> None:
    """Nobody opens them: a nested bomb is a small file."""
    answer = _open(reader, inside, "P.zip", tricks.nested(6))
    assert answer.verdict == "read"
    assert [path.name for path in (inside / "workspace" / "unpacked").rglob("*")] == ["inner.zip"]


@pytest.mark.parametrize("name", ["wide.zip", "streamed.zip", "pieces.tar.gz", "plain.tar", "plain.zip"])
def test_the_honest_ones_are_read(inside: Path, reader: Reader, name: str) -> None:
    """Or all of this would show nothing: zip64, sizes behind the data, gzip of many members."""
    content = {
        "wide.zip": tricks.honest_wide,
        "streamed.zip": lambda: tricks.streamed_zip(hostile.PLAIN),
        "pieces.tar.gz": lambda: tricks.many_gzip_members(7),
        "plain.tar": lambda: hostile.tar_of(tricks.COMPANY),
        "plain.zip": lambda: hostile.zip_of(tricks.COMPANY),
    }[name]()
    answer = _open(reader, inside, name, content)
    assert answer.verdict == "read", answer


def test_every_real_archive_holds_what_its_sensor_expects(samples: Path, tmp_path: Path) -> None:
    from eolake.ingest.sensors.landsat.sensor import EXPECTED as LANDSAT
    from eolake.ingest.sensors.sentinel2.layout import EXPECTED as SENTINEL2

    found = [
        path for path in (samples / "pixels").rglob("*") if path.name.endswith((".zip", ".tar", ".tar.gz")) and path.stat().st_size > 1000
    ]
    families = {"L": LANDSAT, "S2": SENTINEL2}
    opened = 0
    for path in found:
        expected = next((pattern for start, pattern in families.items() if path.name.startswith(start)), None)
        folder = tmp_path / path.name
        folder.mkdir()
        assert safe.open_product(path, folder, wanted=re.compile("nothing"), expected=expected).members
        opened += expected is not None
    assert opened >= 6
