"""STAC validation without a network: core schemas from pystac, extensions from tests/schemas.

A pytest plugin: its fixture `validate_stac` takes a document (dict) and fails with every fault found.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:  # jsonschema takes seconds to import: only tests that validate pay for it
    from jsonschema import Draft7Validator, ValidationError

SCHEMAS = Path(__file__).parents[1] / "schemas"
CORE = "https://schemas.stacspec.org/v1.1.0/{kind}-spec/json-schema/{kind}.json"
BASICS = "https://schemas.stacspec.org/v{}/item-spec/json-schema/basics.json"
PROJJSON = "https://proj.org/schemas/v0.7/projjson.schema.json"


@cache
def schemas() -> Mapping[str, Any]:
    """Schema documents by URI."""
    from pystac.validation.local_validator import get_local_schema_cache

    found: dict[str, Any] = dict(get_local_schema_cache())
    for path in SCHEMAS.glob("*/*/schema.json"):
        name, version = path.parts[-3:-1]
        found[f"https://stac-extensions.github.io/{name}/{version}/schema.json"] = json.loads(path.read_text("utf-8"))
    found[BASICS.format("1.0.0")] = found[BASICS.format("1.1.0")]
    # No document of ours holds proj:projjson (a WKT2 stands where there is no code): should one ever, this refuses it.
    found[PROJJSON] = {"type": "null"}
    return found


@cache
def _validator(uri: str) -> Draft7Validator:
    from jsonschema import Draft7Validator
    from referencing import Registry, Resource
    from referencing.jsonschema import DRAFT7

    resources = [(key, Resource.from_contents(schema, default_specification=DRAFT7)) for key, schema in schemas().items()]
    registry: Registry[Any] = Registry().with_resources(resources)  # what is not in it is an error, never a download
    return Draft7Validator(schemas()[uri], registry=registry, format_checker=Draft7Validator.FORMAT_CHECKER)


def _leaves(error: ValidationError) -> list[ValidationError]:
    """The errors at the bottom of a oneOf/anyOf; the deepest names the field that is wrong."""
    return [leaf for inner in error.context or () for leaf in _leaves(inner)] or [error]


def faults(document: Mapping[str, Any]) -> list[str]:
    """Every fault of an item or collection against the core and each extension that it names; [] when valid."""
    kind = "item" if document["type"] == "Feature" else "collection"
    plain = json.loads(json.dumps(document, allow_nan=False))
    found = []
    for uri in [CORE.format(kind=kind), *document.get("stac_extensions", [])]:
        if uri not in schemas():
            found.append(f"{uri}: no such schema in tests/schemas")
            continue
        for error in _validator(uri).iter_errors(plain):
            cause = max(_leaves(error), key=lambda leaf: len(leaf.absolute_path))
            found.append(f"{uri}: /{'/'.join(str(part) for part in cause.absolute_path)}: {cause.message[:300]}")
    return found


@pytest.fixture(scope="session")
def validate_stac() -> Callable[[Mapping[str, Any]], None]:
    """validate_stac(document): AssertionError that lists every fault."""

    def check(document: Mapping[str, Any]) -> None:
        found = faults(document)
        assert not found, f"{document['id']} is not valid STAC:\n" + "\n".join(found)

    return check
