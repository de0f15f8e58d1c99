"""The way from a bare machine to a locked environment, as far as it can be seen from a machine that has it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BOOTSTRAP = ROOT / "scripts" / "bootstrap"


def test_nothing_is_missing_where_the_tests_run() -> None:
    answer = subprocess.run([BOOTSTRAP, "--dry-run"], capture_output=True, text=True, check=True)
    assert answer.stdout == ""


@pytest.mark.parametrize("script", ["scripts/bootstrap", ".ci/run"])
def test_scripts_are_plain_sh(script: str) -> None:
    assert (ROOT / script).read_text().startswith("#!/bin/sh\n")
    shell = shutil.which("dash") or "sh"
    assert subprocess.run([shell, "-n", ROOT / script], check=False).returncode == 0


@pytest.mark.parametrize("verb", ["demo", "test", "check", "bench"])
def test_every_verb_makes_itself_ready_first(verb: str) -> None:
    answer = subprocess.run(["make", "--dry-run", "--no-print-directory", verb], cwd=ROOT, capture_output=True, text=True, check=True)
    first, *rest = answer.stdout.splitlines()
    assert first == "scripts/bootstrap"
    assert rest != []
