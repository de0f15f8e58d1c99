"""A declaration that cannot hold is refused, with the fault named."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from support.example import EXAMPLE

from eolake.catalog.declaration import Collection, declared, declared_collections, parse_collection
from eolake.catalog.errors import ConfigError

DOCUMENT: dict[str, Any] = yaml.safe_load(EXAMPLE.read_text("utf-8"))


def _parse(**changes: Any) -> Collection:
    return parse_collection(yaml.safe_dump({**DOCUMENT, **changes}), source="example.yaml")


def _band(**changes: Any) -> dict[str, Any]:
    return {"name": "b", "title": "B", "dtype": "uint8", **changes}


def _with_band(**changes: Any) -> Collection:
    return _parse(bands=[*DOCUMENT["bands"], _band(**changes)])


def test_the_example_is_read() -> None:
    collection = _parse()
    assert collection.band("B04").name == "red"
    assert [band.name for band in collection.bands if band.optional] == ["cirrus"]
    assert "cirrus" not in {band.name for band in collection.measurements}
    assert collection.band("scl").categorical
    assert not collection.band("red").categorical


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"colour": "red"}, "colour"),
        ({"id": "Example-L2"}, "id"),
        ({"bands": [*DOCUMENT["bands"], _band(name="b", aliases=["B04"])]}, "B04"),
        ({"thumbnail": ["red", "green"]}, "thumbnail"),
        ({"thumbnail": ["purple"]}, "purple"),
        ({"renders": {"x": {"assets": ["infrared"]}}}, "infrared"),
        ({"partition": "week"}, "partition"),
    ],
)
def test_faults_of_a_collection_are_named(changes: dict[str, Any], fault: str) -> None:
    with pytest.raises(ConfigError, match=rf"(?s)example\.yaml.*{fault}"):
        _parse(**changes)


CLEAR, CLOUD = {"value": 0, "name": "clear"}, {"value": 1, "name": "cloud"}


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"nodata": -1}, "nodata"),
        ({"nodata": 256}, "nodata"),
        ({"nodata": 0.5}, "nodata"),
        ({"common_name": "infrared"}, "common_name"),
        ({"classes": [{"value": 256, "name": "x"}]}, "256"),
        ({"classes": [CLEAR, {**CLOUD, "value": 0}]}, "0 appears twice"),
        ({"classes": [CLEAR, {**CLOUD, "name": "clear"}]}, "clear appears twice"),
        ({"classes": [CLEAR], "dtype": "float32"}, "integer"),
        ({"bitfields": [{"name": "f", "offset": 0, "classes": [{"value": 2, "name": "x"}]}]}, "f"),
        ({"bitfields": [{"name": "f", "offset": 7, "length": 2, "classes": [CLEAR]}]}, "outside"),
        (
            {"bitfields": [{"name": "f", "offset": 0, "length": 2, "classes": [CLEAR]}, {"name": "g", "offset": 1, "classes": [CLEAR]}]},
            "overlap",
        ),
    ],
)
def test_faults_of_a_band_are_named(changes: dict[str, Any], fault: str) -> None:
    with pytest.raises(ConfigError, match=rf"(?s)example\.yaml.*{fault}"):
        _with_band(**changes)


def test_signed_and_float_nodata_are_accepted() -> None:
    assert _with_band(dtype="int16", nodata=-9999).band("b").nodata == -9999
    assert _with_band(dtype="float32", nodata=float("nan")).band("b").nodata is not None


def test_text_that_is_no_declaration_is_refused() -> None:
    for text in ("- a list", "id: [", ""):
        with pytest.raises(ConfigError, match=r"broken\.yaml"):
            parse_collection(text, source="broken.yaml")


def test_an_unknown_collection_says_what_to_do() -> None:
    with pytest.raises(ConfigError, match=r"eolake collections list"):
        declared("no_such_collection")


def test_every_packaged_declaration_is_read() -> None:
    assert all(name == collection.id for name, collection in declared_collections().items())
