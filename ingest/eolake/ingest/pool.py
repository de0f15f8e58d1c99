"""The converter processes of a worker: started, fed, watched and ended from one thread."""

from __future__ import annotations

import json
import logging
import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import IO, Any

from eolake.catalog.lake import Lake
from eolake.catalog.ledger.granules import Granule, Lease, lease_of
from eolake.catalog.safe.process import Bounds
from eolake.ingest.logins.secrets import KEYS
from eolake.ingest.messages import Event, Job, read_event

log = logging.getLogger(__name__)

STIRRING = 0.1
"""Seconds of processor time or MB: less is the breathing of idle threads."""

Heard = tuple["Process", Event | None]
"""Who, and what it says; None: it has ended."""


@dataclass(eq=False, slots=True, kw_only=True)
class Process:
    """One converter and what it works on."""

    popen: subprocess.Popen[str]
    bounds: Bounds
    ready: bool = False
    started: float = field(default_factory=time.monotonic)
    granule: Granule | None = None
    step: str = "start"
    began: float = 0.0
    """When it got its product, on the monotonic clock."""
    kept: float = 0.0
    """When its lease was extended last."""
    lively: float = 0.0
    """When it was last seen to come to a step, compute, read or write."""
    effort: float = 0.0
    """What it had done by then: seconds of processor time and MB read and written."""
    prefixes: list[str] = field(default_factory=list)
    """Below which it writes objects."""
    ended_for: str | None = None
    """Why the worker ended it."""
    failure: str | None = None
    """What it said about its own end."""

    @property
    def idle(self) -> bool:
        """Waits for a product."""
        return self.ready and self.granule is None

    @property
    def lease(self) -> Lease | None:
        """Of its product."""
        return lease_of(self.granule) if self.granule else None

    def give(self, granule: Granule, workspace: Path, nearby: Path | None) -> None:
        """Hand over a leased product; `nearby`: where this machine fetched it. A process that died is noticed by its silence, not here."""
        lease = lease_of(granule)
        self.granule, self.step, self.prefixes = granule, "start", []
        self.began = self.kept = self.lively = time.monotonic()
        job = Job(
            granule_id=granule.granule_id,
            fence=lease.fence,
            name=granule.name,
            source=granule.source,
            workspace=str(workspace),
            provider=granule.provider,
            nearby=str(nearby) if nearby else None,
        )
        _write(self.popen, json.dumps(asdict(job)))

    def come_to(self, step: str) -> None:
        """It says where it is."""
        self.step, self.lively = step, time.monotonic()

    def silent_for(self, now: float) -> float:
        """Seconds for which it has hardly done anything."""
        effort = _effort(self.popen.pid)
        if math.isinf(effort) or effort - self.effort > STIRRING:
            self.effort, self.lively = effort, now
        return now - self.lively

    def kill(self, reason: str) -> None:
        """End it at once."""
        self.ended_for = self.ended_for or reason
        self.popen.kill()

    def last_words(self) -> str:
        """How it ended."""
        status = self.popen.wait()
        if self.ended_for or self.failure:
            return self.ended_for or self.failure or ""
        if status == -signal.SIGXCPU:
            return f"it took more than {self.bounds.processor:.0f} s of processor time"
        how = signal.Signals(-status).name if status < 0 else f"exit code {status}"
        return f"the converter died ({how})"


class Pool:
    """Converters of one worker."""

    def __init__(self, lake: Lake, *, bounds: Bounds, verbose: int = 0) -> None:
        self.processes: list[Process] = []
        self._lake, self._bounds, self._verbose = lake, bounds, verbose
        self._heard: SimpleQueue[Heard | None] = SimpleQueue()

    def start(self) -> Process:
        """One more converter; it says when it is ready."""
        command = [sys.executable, "-P", "-m", "eolake.ingest.convert", str(self._verbose)]
        given = environment(self._lake.settings.providers)
        popen = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8", bufsize=1, env=given)
        process = Process(popen=popen, bounds=self._bounds)
        self.processes.append(process)
        _write(popen, self._lake.settings.model_dump_json())
        _write(popen, json.dumps(asdict(self._bounds)))
        threading.Thread(target=self._listen, args=(process, popen.stdout), daemon=True, name=f"converter {popen.pid}").start()
        return process

    def _listen(self, process: Process, lines: IO[str]) -> None:
        try:
            for line in lines:
                self._heard.put((process, read_event(line)))
        except ValueError:
            log.info("converter %d was cut off in the middle of a word", process.popen.pid)
        finally:
            self._heard.put((process, None))

    def wake(self) -> None:
        """End the wait for the next event; safe within a signal handler."""
        self._heard.put(None)

    def next(self, timeout: float) -> Heard | None:
        """What is said next; None when nothing is for that many seconds, or when woken."""
        try:
            return self._heard.get(timeout=timeout)
        except Empty:
            return None

    def drop(self, process: Process) -> None:
        """Forget one that has ended."""
        self.processes.remove(process)
        process.popen.wait()
        for pipe in (process.popen.stdin, process.popen.stdout):
            if pipe is not None:
                _close(pipe)

    def kill(self, reason: str) -> None:
        """End all at once; they are dead when this returns."""
        for process in self.processes:
            process.kill(reason)
        for process in self.processes:
            process.popen.wait()


def environment(providers: Any) -> dict[str, str]:
    """That of this process without the secrets of providers, which who opens their files does not need.

    Those that are named AWS or PG stay: store and database are reached with them."""
    hidden = {f"{prefix}_{key}".upper() for prefix in _prefixes(providers) - {"AWS", "PG"} for key in KEYS} | {"NETRC"}
    return {name: value for name, value in os.environ.items() if name.upper() not in hidden}


def _prefixes(place: Any) -> set[str]:
    """The PREFIX of every `env:PREFIX` in a document."""
    if isinstance(place, str):
        return {place.removeprefix("env:")} if place.startswith("env:") else set()
    entries = place.values() if isinstance(place, Mapping) else place if isinstance(place, Sequence) else ()
    return set().union(*map(_prefixes, entries))


def _effort(pid: int) -> float:
    """Seconds of processor time and MB read and written; infinite where that can't be seen, so that nothing is taken for silent."""
    import psutil

    try:
        process = psutil.Process(pid)
        spent = process.cpu_times()
        moved = process.io_counters() if sys.platform == "linux" else None
    except psutil.Error:
        return math.inf
    return spent.user + spent.system + ((moved.read_chars + moved.write_chars) / 1e6 if moved else 0)


def _write(popen: subprocess.Popen[str], line: str) -> None:
    if popen.stdin is None:
        raise ValueError("a converter without stdin")
    try:
        popen.stdin.write(line + "\n")
        popen.stdin.flush()
    except BrokenPipeError:
        return  # it died: its end is heard on the other pipe


def _close(pipe: IO[str]) -> None:
    try:
        pipe.close()
    except BrokenPipeError:
        return  # what was not read by a dead process
