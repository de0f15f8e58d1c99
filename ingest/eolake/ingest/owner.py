"""Who holds a lease: a name that tells on the same machine whether its process still lives.

So a worker that was killed leaves no product waiting for the end of its lease, as long as somebody works on the same machine.
A wrong answer costs work, never truth: whoever lost a lease is stopped by its fence.
"""

from __future__ import annotations

import os
import socket
import uuid
from collections.abc import Iterable
from pathlib import Path

import psutil

from eolake.catalog.local.processes import born

BOOT = Path("/proc/sys/kernel/random/boot_id")
PIDS = Path("/proc/self/ns/pid")


def machine() -> str:
    """This machine since it was started, and the container within it: where process numbers mean the same."""
    boot = BOOT.read_text("utf-8").strip()[:8] if BOOT.exists() else f"{uuid.getnode():x}"
    pids = PIDS.stat().st_ino if PIDS.exists() else 0
    return f"{socket.gethostname()}/{boot}/{pids}"


def own_name() -> str:
    """The name of this process as an owner of leases."""
    return f"{machine()}/{os.getpid()}/{born(os.getpid()):.2f}"


def dead(owners: Iterable[str]) -> list[str]:
    """Those owners of this machine whose process is gone."""
    here = machine()
    return [owner for owner in owners if owner.startswith(f"{here}/") and not _lives(owner)]


def _lives(owner: str) -> bool:
    pid, started = owner.rsplit("/", 2)[1:]
    try:
        return abs(born(int(pid)) - float(started)) < 0.05 and psutil.Process(int(pid)).status() != psutil.STATUS_ZOMBIE
    except (psutil.NoSuchProcess, ValueError):
        return False
