"""Text, JSON and XML through the gate."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support import hostile

from eolake.catalog import safe
from eolake.catalog.errors import BadProduct, UnsafeProduct


@pytest.mark.parametrize("bomb", hostile.XML_BOMBS)
def test_xml_bombs_are_refused(tmp_path: Path, bomb: str) -> None:
    path = hostile.write(tmp_path, "MTD.xml", hostile.XML_BOMBS[bomb])
    with pytest.raises(UnsafeProduct, match=r"MTD\.xml holds a DTD"):
        safe.parse_xml(path)


@pytest.mark.parametrize(
    "content",
    [b"", b"<a><b></a>", b"<a>\xff</a>", b'<?xml version="1.0" encoding="klingon"?><a/>', b"<a/><b/>", b"<html><br></html>"],
)
def test_broken_xml_is_bad(tmp_path: Path, content: bytes) -> None:
    path = hostile.write(tmp_path, "MTD.xml", content)
    with pytest.raises(BadProduct, match=r"MTD\.xml") as caught:
        safe.parse_xml(path)
    assert not isinstance(caught.value, UnsafeProduct)


def test_xml_parses(tmp_path: Path) -> None:
    path = hostile.write(tmp_path, "MTD.xml", '<?xml version="1.0" encoding="UTF-8"?><a xmlns="u"><b>é &amp; &#233;</b></a>'.encode())
    assert safe.parse_xml(path)[0].text == "é & é"


def test_deep_and_wide_xml_stays_cheap(tmp_path: Path) -> None:
    deep = hostile.write(tmp_path, "deep.xml", b"<a>" * 100_000 + b"</a>" * 100_000)
    assert safe.parse_xml(deep).tag == "a"
    wide = hostile.write(tmp_path, "wide.xml", b"<r>" + b"<a/>" * 2_000_001 + b"</r>")
    with pytest.raises(UnsafeProduct, match="XML nodes"):
        safe.parse_xml(wide)


def test_documents_have_a_size(tmp_path: Path) -> None:
    path = hostile.write(tmp_path, "MTL.txt", b"x" * 101)
    assert safe.read_text(path, 101) == "x" * 101
    for read in (safe.read_text, safe.read_json, safe.parse_xml):
        with pytest.raises(UnsafeProduct, match=r"MTL\.txt is larger than 100 bytes"):
            read(path, 100)


def test_text_is_utf8(tmp_path: Path) -> None:
    assert safe.read_text(hostile.write(tmp_path, "a.txt", b"\xef\xbb\xbfhi")) == "hi"
    with pytest.raises(BadProduct, match=r"b\.txt is not UTF-8 text"):
        safe.read_text(hostile.write(tmp_path, "b.txt", b"\xff\xfe"))


@pytest.mark.parametrize("content", [b"", b"{", b"[" * 100_000, b'{"a": NaN}', b"1" * 5000, b'"\xff"'])
def test_broken_json_is_bad(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(BadProduct, match=r"t\.json"):
        safe.read_json(hostile.write(tmp_path, "t.json", content))


def test_json_parses(tmp_path: Path) -> None:
    assert safe.read_json(hostile.write(tmp_path, "t.json", b'{"a": [1, 2.5, null]}')) == {"a": [1, 2.5, None]}


def test_only_regular_files_are_read(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/etc/passwd")
    os.mkfifo(tmp_path / "pipe")
    for name in ("link", "pipe"):
        with pytest.raises(UnsafeProduct, match=name):
            safe.read_text(tmp_path / name)
    with pytest.raises(BadProduct, match="gone does not exist"):
        safe.read_text(tmp_path / "gone")
    with pytest.raises(UnsafeProduct, match="not a regular file"):
        safe.read_text(tmp_path)
