"""The fetch process as its worker sees it: started, listened to, and ended."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from queue import Empty, SimpleQueue
from typing import IO

from eolake.catalog.lake import Lake
from eolake.ingest.fetching.messages import FetchOrder, Said, read

LAST_MOMENT = 4.0
"""Seconds that it has to end."""

log = logging.getLogger(__name__)


@dataclass(kw_only=True)
class Crew:
    """One fetch process, started again when it dies."""

    lake: Lake
    order: FetchOrder
    wake: Callable[[], None]
    """Tells the worker that there is something to hear."""
    verbose: int = 0
    ready: bool = False
    idle_for: float | None = 0.0
    """Seconds until it may have something to do; None: nothing waits. Only right while `idle`."""
    idle: bool = False
    last_words: str = ""
    exit_code: int | None = None
    """Of the process that ended last."""
    _popen: subprocess.Popen[str] | None = None
    _heard: SimpleQueue[Said | None] = field(default_factory=SimpleQueue)

    @property
    def running(self) -> bool:
        """Whether there is a process."""
        return self._popen is not None

    def start(self) -> None:
        """Start it; it says when it is ready."""
        command = [sys.executable, "-P", "-m", "eolake.ingest.fetch", str(self.verbose)]
        popen = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8", bufsize=1)
        self._popen, self.ready, self.idle, self.last_words = popen, False, False, ""
        try:
            if popen.stdin is not None:
                popen.stdin.write(self.lake.settings.model_dump_json() + "\n" + json.dumps(asdict(self.order)) + "\n")
                popen.stdin.flush()
        except BrokenPipeError:
            log.info("the fetch process died at once")  # its end is heard on the other pipe
        threading.Thread(target=self._listen, args=(popen.stdout,), daemon=True, name=f"fetch {popen.pid}").start()

    def heard(self) -> Iterator[Said]:
        """What it said since the last time; ends with `ended` when it is gone."""
        while True:
            try:
                said = self._heard.get_nowait()
            except Empty:
                return
            if said is None:
                self._drop()
                yield Said(kind="ended", text=self.last_words)
                return
            self._note(said)
            yield said

    def stop(self) -> None:
        """End it; its lanes give their work back."""
        if self._popen is None:
            return
        self._popen.terminate()
        until = time.monotonic() + LAST_MOMENT
        try:
            self._popen.wait(max(0.0, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            self._popen.kill()
        self._drop()

    def kill(self) -> None:
        """End it at once."""
        if self._popen is not None:
            self._popen.kill()

    def _note(self, said: Said) -> None:
        if said.kind == "ready":
            self.ready = True
        elif said.kind == "idle":
            self.idle, self.idle_for = True, said.seconds
        elif said.kind == "ended":
            self.last_words = said.text
        else:
            self.idle = False

    def _listen(self, lines: IO[str]) -> None:
        try:
            for line in lines:
                self._heard.put(read(line))
                self.wake()
        except ValueError:
            log.info("the fetch process was cut off in the middle of a word")
        finally:
            self._heard.put(None)
            self.wake()

    def _drop(self) -> None:
        popen, self._popen = self._popen, None
        if popen is None:
            return
        self.exit_code = popen.wait()
        self.last_words = self.last_words or (f"exit code {self.exit_code}" if self.exit_code else "")
        for pipe in (popen.stdin, popen.stdout):
            if pipe is not None:
                _close(pipe)


def _close(pipe: IO[str]) -> None:
    try:
        pipe.close()
    except BrokenPipeError:
        return  # what was not read by a dead process
