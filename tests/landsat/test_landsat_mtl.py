"""Metadata files: two dialects, three formats, and what is broken about them."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.landsat_products import product

from eolake.catalog.errors import BadProduct, UnsafeProduct
from eolake.ingest.sensors.landsat import mtl

FORMATS = ("txt", "json", "xml")


def _write(folder: Path, text: str, ending: str = "txt") -> Path:
    path = folder / f"LC08_MTL.{ending}"
    path.write_text(text)
    return path


@pytest.mark.parametrize("collection", ["ls8_c1_l1", "ls8_c2_l2", "ls7_c2_l1", "ls5_pre_l1"])
def test_three_formats_say_the_same(tmp_path: Path, collection: str) -> None:
    written = product(collection, formats=FORMATS).write(tmp_path)
    one, two, three = (mtl.read(next(written.glob(f"*_MTL.{kind}"))) for kind in FORMATS)
    assert one.root == two.root == three.root
    assert one.groups == two.groups == three.groups
    assert len(one.groups) >= 5


@pytest.mark.parametrize("folder", ["assets3", "assets4", "oli-tirs"])
def test_real_formats_say_the_same(samples: Path, folder: str) -> None:
    texts = sorted((samples / "pixels/landsat/c2l2_stactools" / folder).glob("*_MTL.txt"))
    assert texts
    for path in texts:
        one = mtl.read(path)
        for other in (path.with_suffix(".json"), path.with_suffix(".xml")):
            if other.exists():
                assert mtl.read(other).groups == one.groups, other.name


def test_keys_that_repeat_stay_in_their_groups(samples: Path) -> None:
    found = mtl.read(next((samples / "pixels/landsat/c2l2_stactools/assets3").glob("*_MTL.txt")))
    assert found.get("PRODUCT_CONTENTS", "FILE_NAME_BAND_4").endswith("_SR_B4.TIF")
    assert found.get("LEVEL1_PROCESSING_RECORD", "FILE_NAME_BAND_4").endswith("L1TP_008059_20191201_20200825_02_T1_B4.TIF")
    assert found.get("LEVEL1_PROCESSING_RECORD", "LANDSAT_PRODUCT_ID") != found.get("PRODUCT_CONTENTS", "LANDSAT_PRODUCT_ID")


def test_keys_of_generated_level_2_stay_in_their_groups(tmp_path: Path) -> None:
    for kind in FORMATS:
        found = mtl.read(next(product("ls8_c2_l2", formats=(kind,)).write(tmp_path / kind).glob("*_MTL.*")))
        assert "_L1TP_" in found.get("LEVEL1_PROCESSING_RECORD", "LANDSAT_PRODUCT_ID")
        assert "_L2SP_" in found.get("PRODUCT_CONTENTS", "LANDSAT_PRODUCT_ID")


REPEATED = {
    "txt": """GROUP = LANDSAT_METADATA_FILE
  GROUP = A
    X = 1
  END_GROUP = A
  GROUP = A
    X = 2
    Y = 3
  END_GROUP = A
END_GROUP = LANDSAT_METADATA_FILE
END
""",
    "json": '{"LANDSAT_METADATA_FILE": {"A": {"X": "1"}, "A": {"X": 2, "Y": 3}}}',
    "xml": "<LANDSAT_METADATA_FILE><A><X>1</X></A><A><X>2</X><Y>3</Y></A></LANDSAT_METADATA_FILE>",
}


@pytest.mark.parametrize("kind", FORMATS)
def test_groups_of_one_name_are_kept_apart(tmp_path: Path, kind: str) -> None:
    found = mtl.read(_write(tmp_path, REPEATED[kind], kind))
    assert found.groups == (("A", {"X": "1"}), ("A", {"X": "2", "Y": "3"}))
    assert found.get("A", "X") == "1"
    assert found.get("A", "Y") == "3"
    assert found.group("A") == {"X": "1", "Y": "3"}


def test_old_files_are_padded_with_blanks_or_zeros(tmp_path: Path) -> None:
    text = 'GROUP = L1_METADATA_FILE\n  GROUP = A\n    X = "a = b"\n  END_GROUP = A\nEND_GROUP = L1_METADATA_FILE\nEND\n'
    for padding in (" " * 50_000, "\0" * 100, "\r\n"):
        assert mtl.read(_write(tmp_path, text + padding)).get("A", "X") == "a = b"


def test_null_and_empty_are_nothing(tmp_path: Path) -> None:
    found = mtl.read(_write(tmp_path, '{"L1_METADATA_FILE": {"A": {"X": "NULL", "Y": "", "Z": null, "N": "nan", "O": "1e999"}}}', "json"))
    assert [found.find("A", key) for key in ("X", "Y", "Z", "missing")] == [None] * 4
    for key in ("N", "O"):
        with pytest.raises(BadProduct, match=f"A/{key} is .* not a number"):
            found.number("A", key)


BROKEN = [
    ("txt", "GROUP = LANDSAT_METADATA_FILE\n  GROUP = A\n    X = 1\n", "is cut off"),
    ("txt", "GROUP = LANDSAT_METADATA_FILE\n  GROUP = A\n    X = 1\nEND\n", "is cut off"),
    ("txt", "GROUP = A\nX = 1\nEND_GROUP = B\n", "stands in A"),
    ("txt", "GROUP = A\nGROUP = B\nEND_GROUP = A\n", "not open"),
    ("txt", "hello", "has the line 'hello'"),
    ("txt", "", "begins with ''"),
    ("json", "[1, 2]", "begins with ''"),
    ("json", '{"LANDSAT_METADATA_FILE": {"A": 1}}', "groups of values are expected"),
    ("json", '{"LANDSAT_METADATA_FILE"', "is not JSON"),
    ("json", "[" * 100_000, "is not JSON"),
    ("xml", "<LANDSAT_METADATA_FILE><A>", "not valid XML"),
    ("xml", "<METADATA/>", "begins with 'METADATA'"),
    ("csv", "a,b", "ending is none of"),
]


@pytest.mark.parametrize(("kind", "text", "message"), BROKEN)
def test_broken_files_say_what_is_broken(tmp_path: Path, kind: str, text: str, message: str) -> None:
    path = _write(tmp_path, text, kind)
    with pytest.raises(BadProduct, match=message) as caught:
        mtl.read(path)
    assert path.name in str(caught.value)


def test_endless_and_hostile_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsafeProduct, match="larger than"):
        mtl.read(_write(tmp_path, "X" * (mtl.LIMIT + 1)))
    entity = '<!DOCTYPE a [<!ENTITY b "c">]><LANDSAT_METADATA_FILE><A><X>&b;</X></A></LANDSAT_METADATA_FILE>'
    with pytest.raises(UnsafeProduct):
        mtl.read(_write(tmp_path, entity, "xml"))
