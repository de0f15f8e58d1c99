"""The processes of a local stack: started apart from the terminal, remembered in a file, recognised again, stopped.

A process id alone proves nothing (numbers are used again), so each is remembered with the time at which it was created.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import psutil

from eolake.catalog.local.files import write_private

STARTED = 19
"""Place of `starttime` among the fields of /proc/PID/stat that follow the program's name; see proc(5)."""


def born(pid: int) -> float:
    """When a process was started: on Linux in seconds since the machine was, for a wall clock that is set moves psutil's times.

    Raises psutil.NoSuchProcess."""
    stat = Path(f"/proc/{pid}/stat")
    if sys.platform != "linux":
        return float(psutil.Process(pid).create_time())
    try:
        fields = stat.read_text("utf-8", "replace").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        raise psutil.NoSuchProcess(pid) from None
    return int(fields[STARTED]) / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """One process of the stack."""

    pid: int
    created: float
    """As `born` tells it."""
    url: str | None = None

    def alive(self) -> bool:
        """Whether exactly this process still runs."""
        with contextlib.suppress(psutil.NoSuchProcess):
            return abs(born(self.pid) - self.created) < 0.05 and psutil.Process(self.pid).status() != psutil.STATUS_ZOMBIE
        return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What the stack of one lake consists of; an entry stays until somebody stops it on purpose, so a dead one is a crash."""

    root: str
    """Folder of the lake when they were started: another one now means that the lake was moved."""
    database: bool = False
    """Whether the private cluster was started (it knows its own process)."""
    processes: dict[str, Process] = field(default_factory=dict)


def read_record(path: Path) -> Record | None:
    """The remembered stack; None when nothing was started."""
    try:
        document = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return None
    document["processes"] = {name: Process(**entry) for name, entry in document["processes"].items()}
    return Record(**document)


def write_record(path: Path, record: Record) -> None:
    """Remember the stack."""
    write_private(path, json.dumps(asdict(record), indent=2) + "\n")


def this_process() -> Process:
    """Ourselves."""
    return Process(pid=os.getpid(), created=born(os.getpid()))


def eolake_command(config: Path, *arguments: str) -> list[str]:
    """The command line of `eolake ARGUMENTS` on that lake, run by our own Python."""
    return [sys.executable, "-P", "-m", "eolake.catalog", "-c", str(config), *arguments]


_children: list[subprocess.Popen[bytes]] = []
"""Those that we started and that may still run: kept, since Python complains of, and never buries, a child that nobody refers to."""


def start(command: Sequence[str], *, folder: Path, log: Path, url: str | None = None) -> Process:
    """Start a process in a session of its own: neither Ctrl-C in our terminal nor our end reaches it."""
    _children[:] = [child for child in _children if child.poll() is None]
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        child = subprocess.Popen(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
        )
    _children.append(child)
    return Process(pid=child.pid, created=born(child.pid), url=url)


def stop(processes: Iterable[Process], *, patience: float = 15.0) -> None:
    """SIGTERM to each that lives, SIGKILL to it and its process group when `patience` seconds were not enough."""
    found = [psutil.Process(process.pid) for process in processes if process.alive()]
    for process in found:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.terminate()
    _, left = psutil.wait_procs(found, timeout=patience)
    for process in left:
        with contextlib.suppress(ProcessLookupError, psutil.NoSuchProcess):
            if process.is_running() and os.getpgid(process.pid) == process.pid:
                os.killpg(process.pid, signal.SIGKILL)
            else:
                process.kill()
    psutil.wait_procs(left, timeout=patience)


def tail(log: Path, lines: int = 5) -> str:
    """The last lines of a log."""
    if not log.is_file():
        return ""
    return "\n".join(log.read_text("utf-8", "replace").splitlines()[-lines:])
