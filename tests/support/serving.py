"""A lake's HTTP app as a process of its own."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import requests

from eolake.catalog.lake import Lake


@contextmanager
def served(lake: Lake, root_path: str = "") -> Iterator[str]:
    """`eolake serve` as a process of its own: GDAL holds Python's lock while it opens a URL, so one process can't be both sides."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "eolake.catalog", "-c", str(lake.settings.root / "eolake.toml"), "serve", "--port", str(port)]
    with subprocess.Popen([*command, "--root-path", root_path]) as server:
        url = f"http://127.0.0.1:{port}"
        try:
            _wait_for(f"{url}/readyz", server)
            yield url
        finally:
            server.terminate()


def _wait_for(url: str, server: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until and server.poll() is None:
        try:
            if requests.get(url, timeout=5).ok:
                return
        except requests.ConnectionError:
            time.sleep(0.05)
    pytest.fail(f"{url} does not answer; exit code {server.poll()}")
