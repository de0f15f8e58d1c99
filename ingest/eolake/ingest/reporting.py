"""What `ingest` and `work` say: a line per product as it ends, and a summary."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import click

from eolake.catalog.invocation import Invocation
from eolake.catalog.ledger.granules import Granule
from eolake.ingest.fetching.messages import Said
from eolake.ingest.messages import Done
from eolake.ingest.worker import Tally

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

EVERY = 10.0
"""Seconds between two counts where there is no terminal."""


class Progress(Protocol):
    """Told of whatever the fetch process says, as it says it."""

    def __call__(self, said: Said) -> None:
        """One word: a granule started, grew, is fetched, failed."""


@contextmanager
def progress(call: Invocation) -> Iterator[Progress]:
    """Bars of what is being fetched on a terminal, plain counts elsewhere; on stderr."""
    if not sys.stderr.isatty():
        yield Counts(call=call)
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn
    from rich.progress import Progress as RichProgress

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    terminal = sys.stdout.isatty()
    with RichProgress(*columns, console=Console(stderr=True), transient=True, redirect_stdout=terminal, redirect_stderr=True) as shown:
        yield Bars(shown=shown)


@dataclass(slots=True, kw_only=True)
class Bars:
    """One bar for each granule that is being fetched."""

    shown: RichProgress
    _tasks: dict[int, TaskID] = field(default_factory=dict)

    def __call__(self, said: Said) -> None:
        """Start, advance or remove its bar."""
        if said.kind == "started":
            self._remove(said.granule_id)
            self._tasks[said.granule_id] = self.shown.add_task(said.name, total=said.bytes or None)
        elif said.kind == "bytes" and said.granule_id in self._tasks:
            self.shown.advance(self._tasks[said.granule_id], said.bytes)
        elif said.kind in {"fetched", "failed"}:
            self._remove(said.granule_id)
        elif said.kind == "ended":
            for granule_id in list(self._tasks):
                self._remove(granule_id)

    def _remove(self, granule_id: int) -> None:
        task = self._tasks.pop(granule_id, None)
        if task is not None:
            self.shown.remove_task(task)


@dataclass(slots=True, kw_only=True)
class Counts:
    """A line now and then."""

    call: Invocation
    every: float = EVERY
    _under_way: set[int] = field(default_factory=set)
    _fetched: int = 0
    _failed: int = 0
    _bytes: int = 0
    _told: float = field(default_factory=time.monotonic)

    def __call__(self, said: Said) -> None:
        """Count it; tell when it is time."""
        if said.kind == "started":
            self._under_way.add(said.granule_id)
        elif said.kind == "bytes":
            self._bytes += said.bytes
        elif said.kind in {"fetched", "failed"}:
            self._under_way.discard(said.granule_id)
            self._fetched += said.kind == "fetched"
            self._failed += said.kind == "failed"
        elif said.kind == "ended":
            self._under_way.clear()
        if said.kind != "ready" and time.monotonic() - self._told >= self.every:
            self._told = time.monotonic()
            self.call.note(
                f"fetching {len(self._under_way)}; {self._fetched} fetched, {self._failed} failed, {self._bytes / 1e6:.1f} MB received"
            )


def tell(call: Invocation, text: str) -> None:
    """A line as soon as it is known: on stdout, or on stderr when stdout is to hold one JSON document."""
    click.echo(text, err=call.json)


@dataclass(slots=True, kw_only=True)
class Reporter:
    """Tells of each product as it ends."""

    call: Invocation

    def report(self, granule: Granule, done: Done) -> None:
        """One product ended."""
        tell(self.call, line(granule.name, done.verdict, done.reason, done.items, sum(done.seconds.values())))


def line(name: str, verdict: str, reason: str | None, items: tuple[str, ...] = (), seconds: float = 0) -> str:
    """`published    NAME → collection, 1.2 s`"""
    collections = sorted({item.split("/", 1)[0] for item in items})
    target = f" → {', '.join(collections)}" if collections and verdict == "published" else ""
    took = f", {seconds:.1f} s" if seconds else ""
    why = f": {reason}" if reason else ""
    return f"{verdict:<12} {name}{target}{took}{why}"


def tally_document(tally: Tally) -> dict[str, Any]:
    """For `--json`."""
    return {
        "verdicts": dict(sorted(tally.verdicts.items())),
        "seconds": {step: round(seconds, 3) for step, seconds in sorted(tally.seconds.items())},
        "bytes": tally.written,
        "swept": tally.swept,
        "stopped": tally.stopped,
    }


def tally_text(tally: Tally) -> str:
    """One line."""
    counts = ", ".join(f"{count} {verdict}" for verdict, count in sorted(tally.verdicts.items())) or "nothing to do"
    end = "; stopped" if tally.stopped else ""
    return f"{counts} ({tally.written / 1e6:.1f} MB written){end}"
