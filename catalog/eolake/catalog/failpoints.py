"""Named places at which a test may kill the process, to prove that nothing depends on what a `kill -9` takes.

Without `EOLAKE_FAILPOINT` they do nothing. With it, the process that comes to the named place ends by SIGKILL:
`EOLAKE_FAILPOINT_GROUP=1` takes its whole process group along, and with `EOLAKE_FAILPOINT_MARK=FILE` it happens
only once: FILE is made first, and where it is already there the place is passed.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

NAMES = (
    "claim:after",
    "open:before",
    "open:after",
    "stage:announced",
    "stage:band-1",
    "stage:band-3",
    "stage:bands",
    "stage:item-written",
    "stage:synced",
    "commit:begin",
    "commit:fenced",
    "commit:after-odc",
    "commit:after-ledger",
    "commit:before-pgstac",
    "commit:after-pgstac",
    "commit:after",
    "sweep:before",
    "sweep:objects-deleted",
    "sweep:after",
)
"""In the order in which a product comes to them; a test goes through all."""
FETCH_NAMES = (
    "fetch:claimed",
    "fetch:file",
    "fetch:downloaded",
    "fetch:placed",
    "fetch:synced",
    "fetch:before-commit",
    "fetch:committed",
)
"""The same of a product that is fetched first."""


def failpoint(name: str) -> None:
    """Die here when the environment says so."""
    if os.environ.get("EOLAKE_FAILPOINT") != name:
        return
    mark = os.environ.get("EOLAKE_FAILPOINT_MARK")
    if mark is not None and not _first(Path(mark)):
        return
    if os.environ.get("EOLAKE_FAILPOINT_GROUP") == "1":
        os.killpg(os.getpgrp(), signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(60)  # a signal to oneself may arrive a moment later


def _first(mark: Path) -> bool:
    try:
        mark.touch(exist_ok=False)
    except FileExistsError:
        return False
    return True
