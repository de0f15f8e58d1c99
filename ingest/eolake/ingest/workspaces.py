"""Where products are unpacked: a folder for each lease, named by its fence, so that anybody can tell what is left over."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from eolake.catalog.lake import Lake
from eolake.ingest.settings import WorkerSettings


def base_folder(lake: Lake, settings: WorkerSettings) -> Path:
    """The folder of all workspaces of this lake on this machine."""
    return settings.workspace or lake.settings.state / "tmp"


def workspace(base: Path, fence: int) -> Path:
    """The folder of a lease; it need not exist."""
    return base / str(fence)


def desks(base: Path) -> Path:
    """The folder in which products are fetched: it outlives the leases."""
    return base / "fetch"


def clear(base: Path, leased: Callable[[Sequence[int]], set[int]]) -> int:
    """Remove the folders whose fence nobody holds any more: what a killed worker left; how many there were."""
    folders = {int(entry.name): entry for entry in base.iterdir() if entry.name.isdecimal()} if base.is_dir() else {}
    kept = leased(list(folders))
    gone = [folder for fence, folder in folders.items() if fence not in kept]
    for folder in gone:
        shutil.rmtree(folder, ignore_errors=True)
    return len(gone)
