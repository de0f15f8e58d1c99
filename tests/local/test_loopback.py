"""A machine without any network still has 127.0.0.1."""

from __future__ import annotations

import shutil
import subprocess
import sys

import psutil
import pytest

from eolake.catalog.local.loopback import ensure_loopback

CODE = """
import socket
import psutil
from eolake.catalog.local.loopback import ensure_loopback
print(psutil.net_if_stats()["lo"].isup)
ensure_loopback()
print(psutil.net_if_stats()["lo"].isup)
with socket.create_server(("127.0.0.1", 0)) as server:
    socket.create_connection(server.getsockname()[:2], timeout=5).close()
"""


def test_it_is_left_alone_when_it_is_on() -> None:
    before = psutil.net_if_stats()
    ensure_loopback()
    assert psutil.net_if_stats().keys() == before.keys()


def test_it_is_switched_on_in_a_namespace_of_its_own() -> None:
    unshare = shutil.which("unshare")
    if unshare is None or subprocess.run([unshare, "--net", "true"], check=False, capture_output=True).returncode:
        pytest.skip("no right to make a network namespace here")
    answer = subprocess.run([unshare, "--net", sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    assert answer.stdout.split() == ["False", "True"]
