"""`eolake simulate NAME`: a simulator that runs until it is stopped."""

from __future__ import annotations

import json
import signal
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any

import click

from eolake.catalog.errors import UsageError
from eolake.catalog.invocation import Invocation
from eolake.ingest.simulators.archive import Archive, Record
from eolake.ingest.simulators.faults import behaviour_of
from eolake.ingest.simulators.packing import archive_of
from eolake.ingest.simulators.stages import Setting, Simulation, stages

STILL = frozenset({"ftp", "s3"})
"""Simulators whose products can't come one after the other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One call of the command."""

    call: Invocation
    name: str
    products: Path | None
    size: int | None
    recent: bool
    port: int
    faults: str
    connections: int | None
    rate: float | None
    seed: int
    trickle: float | None
    """Seconds between one product and the next."""
    max_time: float | None

    def until_stopped(self) -> None:
        """Prints what is needed to use it, then waits for Ctrl-C, SIGTERM or the end of its time."""
        if self.trickle is not None and self.name in STILL:
            raise UsageError(f"--trickle: what {self.name} has is laid out at the start; leave it out")
        behaviour = behaviour_of(self.faults)
        stopped = threading.Event()
        before = {number: signal.signal(number, _setter(stopped)) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            with ExitStack() as stack:
                archive = self._archive(stack)
                setting = Setting(behaviour=behaviour, connections=self.connections, rate=self.rate, port=self.port, seed=self.seed)
                simulation = stack.enter_context(Simulation(self.name, archive, setting))
                withheld = simulation.archive.withhold() if self.trickle is not None else []
                self._tell(simulation)
                self._wait(stopped, simulation.archive, withheld)
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _wait(self, stopped: threading.Event, archive: Archive, withheld: list[Record]) -> None:
        """Until it is stopped; the products that were withheld are published meanwhile, one after the other."""
        end = None if self.max_time is None else time.monotonic() + self.max_time
        for record in withheld:
            left = self.trickle if end is None else min(self.trickle or 0, end - time.monotonic())
            if stopped.wait(left) or (end is not None and time.monotonic() >= end):
                return
            now = datetime.now(UTC)
            archive.add(replace(record, published=now, modified=now))
        stopped.wait(None if end is None else max(0.0, end - time.monotonic()))

    def _archive(self, stack: ExitStack) -> Archive | None:
        if stages()[self.name].noise:
            return None
        if self.products is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="eolake-products-")))
        else:
            folder = self.products
        if not folder.is_dir() or not any(folder.iterdir()):
            self.call.note(f"making products in {folder}")
            from eolake.ingest.simulators.products.demo import generate_demo

            folder.mkdir(parents=True, exist_ok=True)
            generate_demo(folder, size=self.size)
        return archive_of(folder, published=datetime.now(UTC) if self.recent else None)

    def _tell(self, simulation: Simulation) -> None:
        url = simulation.urls["url"]
        if self.call.json:
            facts: dict[str, Any] = {
                "simulator": self.name,
                "url": url,
                "products": len(simulation.archive.records),
                "environment": simulation.environment,
                "section": simulation.section(),
                "block": simulation.block(),
            }
            click.echo(json.dumps(facts))  # one line, as soon as it is ready
            return
        variables = "".join(f"export {name}={value}\n" for name, value in simulation.environment.items())
        click.echo(f"# {self.name}: {simulation.stage.about}; {len(simulation.archive.records)} products, faults: {self.faults}")
        click.echo(f"{variables}\n{simulation.block()}\nready {self.name} {url}")


def _setter(stopped: threading.Event) -> Callable[[int, FrameType | None], None]:
    return lambda _number, _frame: stopped.set()
