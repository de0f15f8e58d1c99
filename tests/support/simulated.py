"""A simulated provider, started as a program."""

from __future__ import annotations

import json
import select
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def simulated(name: str, products: Path, *options: str) -> Iterator[dict[str, Any]]:
    """What the program says when it is ready: `environment`, and `block` for eolake.toml."""
    command = [
        sys.executable,
        "-m",
        "eolake.catalog",
        "simulate",
        name,
        "--products",
        str(products),
        "--json",
        "--max-time",
        "4m",
        *options,
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        ready, _, _ = select.select([process.stdout], [], [], 60)
        assert ready
        yield json.loads(process.stdout.readline())
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()
