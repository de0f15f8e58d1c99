"""The desk of a granule: a folder on the local disk where its files grow until all are there.

It outlives a killed process: the next lane on this machine goes on with what lies there. Two never share one: a lock says whose it is,
and whoever finds it taken (by a process that lost its lease and does not know yet) takes another.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Self

from eolake.catalog.ledger.granules import Granule, Lease
from eolake.ingest.transfer.base import Fetched

LOCK = ".lock"
NOTES = ".fetched.jsonl"


class Desk:
    """Use as a context manager: it is locked as long."""

    def __init__(self, base: Path, granule: Granule, lease: Lease) -> None:
        """`base`: the folder of all desks of this machine."""
        usual = folder(base, granule.granule_id, granule.fingerprint)
        self._candidates = (usual, usual.with_name(f"{usual.name}-{lease.fence}"))
        self.folder = usual
        self._handle: int | None = None

    def __enter__(self) -> Self:
        for candidate in self._candidates:
            candidate.mkdir(parents=True, exist_ok=True)
            self._handle = _lock(candidate)
            if self._handle is not None:
                self.folder = candidate
                return self
        raise OSError(f"{self.folder} is taken twice")

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def path(self, name: str) -> Path:
        """Where a file of the product grows and lies."""
        target = self.folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        return target

    def known(self) -> dict[str, Fetched]:
        """The files that are complete and verified already."""
        notes = self.folder / NOTES
        found: dict[str, Fetched] = {}
        for line in notes.read_text("utf-8").splitlines() if notes.exists() else ():
            name, fetched = _note(line)
            if name is not None and fetched is not None and _is_there(self.folder / name, fetched.bytes):
                found[name] = fetched
        return found

    def note(self, name: str, fetched: Fetched) -> None:
        """Remember that a file is complete."""
        with (self.folder / NOTES).open("a", encoding="utf-8") as notes:
            notes.write(json.dumps({"name": name, **asdict(fetched)}) + "\n")

    def size(self) -> int:
        """Bytes of the product that lie here, of complete files and others."""
        files = (path for path in self.folder.rglob("*") if path.is_file() and not path.name.endswith((LOCK, NOTES, ".part.json")))
        return sum(path.stat().st_size for path in files)

    def remove(self) -> None:
        """Everything is in the store."""
        shutil.rmtree(self.folder, ignore_errors=True)


def folder(base: Path, granule_id: int, fingerprint: str) -> Path:
    """The usual desk of a granule; other bytes of it get another one."""
    mark = "".join(c for c in fingerprint if c.isalnum())[-12:]
    return base / f"{granule_id}.{mark or '0'}"


def clear(base: Path, wanted: Callable[[Sequence[int]], set[int]]) -> int:
    """Remove the desks of granules that nobody fetches or converts any more; how many."""
    entries = (
        [(int(entry.name.split(".")[0]), entry) for entry in base.iterdir() if entry.name.split(".")[0].isdecimal()]
        if base.is_dir()
        else []
    )
    kept = wanted([granule_id for granule_id, _ in entries]) if entries else set()
    gone = [entry for granule_id, entry in entries if granule_id not in kept]
    return sum(_remove(entry) for entry in gone)


def _remove(entry: Path) -> bool:
    handle = _lock(entry)
    if handle is None:
        return False
    shutil.rmtree(entry, ignore_errors=True)
    os.close(handle)
    return True


def _lock(where: Path) -> int | None:
    """A file handle that holds the lock; None when somebody else does, or the folder is just being removed."""
    try:
        handle = os.open(where / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        return None
    if not (where / LOCK).exists():  # removed between the two calls
        os.close(handle)
        return None
    return handle


def _note(line: str) -> tuple[str | None, Fetched | None]:
    try:
        document = json.loads(line)
    except ValueError:  # cut off by a kill
        return None, None
    name = document.pop("name")
    return name, Fetched(**{**document, "warnings": tuple(document["warnings"])})


def _is_there(path: Path, size: int) -> bool:
    return path.is_file() and path.stat().st_size == size
