"""NetCDF that attacks: refused by the gate, in a process like a converter, whatever it is after."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support import hostile_netcdf as tricks
from support.reader import Reader

WORDS = {"groups in a circle": "round in a circle", "huge chunk": "has chunks of", "header cut off": "its header is cut off"}
"""Where another control would refuse the same trick later."""
GROWTH = 200 << 10
"""KiB that an attack may take; those of bombs at most what the process is given."""


@pytest.mark.parametrize("trick", tricks.UNSAFE)
def test_hostile_hdf5_is_refused(inside: Path, canary: Any, reader: Reader, trick: str) -> None:
    path = inside / "in"
    tricks.UNSAFE[trick](path, canary.file)
    answer = reader.read("netcdf", path)
    assert (answer.verdict, answer.leaked) == ("unsafe", False), answer
    assert str(path) in answer.message
    assert WORDS.get(trick, "") in answer.message
    assert answer.peak < GROWTH


@pytest.mark.parametrize("trick", tricks.BROKEN)
def test_broken_hdf5_is_bad(inside: Path, canary: Any, reader: Reader, trick: str) -> None:
    path = inside / "in"
    tricks.BROKEN[trick](path, canary.file)
    answer = reader.read("netcdf", path)
    assert (answer.refused, answer.leaked) == (True, False), answer
    assert str(path) in answer.message


@pytest.mark.parametrize("trick", [*tricks.CLASSIC_UNSAFE, *tricks.CLASSIC_BROKEN])
def test_lying_headers_of_classic_netcdf_are_refused(inside: Path, reader: Reader, trick: str) -> None:
    path = inside / "in"
    path.write_bytes({**tricks.CLASSIC_UNSAFE, **tricks.CLASSIC_BROKEN}[trick])
    answer = reader.read("netcdf", path)
    assert answer.verdict == ("unsafe" if trick in tricks.CLASSIC_UNSAFE else "bad"), answer
    assert str(path) in answer.message
    assert WORDS.get(trick, "") in answer.message
    assert answer.peak < GROWTH


def test_the_honest_ones_are_read(inside: Path, reader: Reader) -> None:
    """Or all of this would show nothing."""
    tricks.honest(inside / "in")
    assert reader.read("netcdf", inside / "in").verdict == "read"
    (inside / "in").write_bytes(tricks.classic())
    assert reader.read("netcdf", inside / "in").verdict == "read"


def test_a_hardened_process_loads_no_filters() -> None:
    script = "from eolake.catalog import safe; safe.harden(); import h5py; print([h5py.h5pl.get(n) for n in range(h5py.h5pl.size())])"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout == "[b'/dev/null']\n"


@pytest.mark.parametrize("kind", ["hdf5", "classic"])
def test_flipped_bytes_cost_one_process_at_most(inside: Path, reader: Reader, kind: str) -> None:
    """Of 150 damaged files each is read, bad, or unsafe; no other error leaves the gate, and memory stays bounded."""
    path = inside / "in"
    if kind == "hdf5":
        tricks.honest(path)
    else:
        path.write_bytes(tricks.classic(attribute=(2, 4, b"text")))
    content = path.read_bytes()
    for seed in range(150):
        path.write_bytes(tricks.flipped(content, seed))
        answer = reader.read("netcdf", path)
        assert answer.verdict in {"read", "bad", "unsafe"}, (seed, answer)
        assert not answer.refused or str(path) in answer.message
