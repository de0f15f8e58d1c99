"""XML that attacks: refused by the gate, or read without harm, in a process like a converter."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support import hostile_xml as tricks
from support.hostile_rasters import Prey
from support.reader import Answer, Reader

SMALL = 150 << 10
"""KiB of memory."""


def _parse(reader: Reader, inside: Path, canary: Any, make: tricks.Make) -> Answer:
    (inside / "in").write_bytes(make(Prey(file=canary.file, url=canary.url)))
    answer = reader.read("xml", inside / "in")
    assert not answer.leaked
    assert answer.seconds < 10
    assert not answer.refused or str(inside / "in") in answer.message
    return answer


@pytest.mark.parametrize("trick", tricks.UNSAFE)
def test_hostile_xml_is_refused(inside: Path, reader: Reader, canary: Any, trick: str) -> None:
    answer = _parse(reader, inside, canary, tricks.UNSAFE[trick])
    assert answer.verdict == "unsafe", answer
    assert answer.peak < SMALL


@pytest.mark.parametrize("trick", tricks.BROKEN)
def test_broken_xml_is_bad(inside: Path, reader: Reader, canary: Any, trick: str) -> None:
    answer = _parse(reader, inside, canary, tricks.BROKEN[trick])
    assert answer.refused, answer


@pytest.mark.parametrize("trick", tricks.HARMLESS)
def test_what_others_would_follow_is_only_text(inside: Path, reader: Reader, canary: Any, trick: str) -> None:
    answer = _parse(reader, inside, canary, tricks.HARMLESS[trick])
    assert answer.verdict == "read", answer
    assert answer.peak < SMALL
