"""Every behaviour and fault that discovery and transfer promise has a test: `tests/cases/*.yaml` say which."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

TESTS = Path(__file__).parents[1]
DISCOVERY = [f"D{n}" for n in range(1, 15)]
TRANSFER = [f"T{n}" for n in range(1, 41)]
DEFECTS = [f"B0.{c}" for c in "abcdefg"] + [f"B1.{c}" for c in "abcdefghi"] + [f"B2.{c}" for c in "abcdef"]


def cases() -> dict[str, list[str]]:
    """Case → tests, of all files together."""
    found: dict[str, list[str]] = {}
    for path in sorted((TESTS / "cases").glob("*.yaml")):
        for case, tests in yaml.safe_load(path.read_text("utf-8")).items():
            found.setdefault(case, []).extend(tests)
    return found


def test_every_case_has_a_test() -> None:
    missing = [case for case in DISCOVERY + TRANSFER + DEFECTS if not cases().get(case)]
    assert not missing


def test_every_test_of_a_case_is_there() -> None:
    absent = [test for tests in cases().values() for test in tests if not is_there(test)]
    assert not absent


def is_there(test: str) -> bool:
    file, _, name = test.partition("::")
    path = TESTS.parent / file
    function = re.escape(name.rpartition("::")[2].partition("[")[0])
    return path.is_file() and re.search(rf"^\s*def {function}\(", path.read_text("utf-8"), re.MULTILINE) is not None
