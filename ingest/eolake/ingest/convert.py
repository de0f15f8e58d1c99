"""The converter process: `python -m eolake.ingest.convert`, started by a worker, opens foreign bytes and publishes what they show.

It takes its settings as the first line of stdin, its bounds as the second and a job on each further one, and answers with events on
stdout. A product that takes the process down, or passes a bound, takes nothing else with it. When the worker is gone, stdin ends, and
so does this process, at once.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator
from queue import SimpleQueue
from typing import TextIO

from eolake.catalog import safe
from eolake.catalog.errors import EolakeError
from eolake.catalog.invocation import configure_logging
from eolake.catalog.lake import Lake
from eolake.catalog.settings import Settings
from eolake.ingest.messages import Event, Job, read_job


def main() -> int:
    """Work until stdin ends."""
    events = _own_stdout()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the worker decides when to stop
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    configure_logging(int(sys.argv[1]) if len(sys.argv) > 1 else 0)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    lake = Lake(settings=Settings.model_validate_json(sys.stdin.readline()))
    bounds = safe.Bounds(**json.loads(sys.stdin.readline()))
    safe.confine(bounds)
    jobs = _jobs()
    try:
        _work(lake, bounds, jobs, events)
    except EolakeError as error:
        _say(events, Event(kind="failed", text=str(error)))
        return error.exit_code
    return 0


def _work(lake: Lake, bounds: safe.Bounds, jobs: Iterator[Job], events: TextIO) -> None:
    safe.harden()  # before rasterio is imported
    from eolake.ingest.conversion import Converter

    with Converter(lake=lake, say=lambda event: _say(events, event)) as converter:
        converter.open()
        _say(events, Event(kind="ready"))
        for job in jobs:
            with safe.processor_time(bounds.processor):
                done = converter.convert(job)
            _say(events, Event(kind="done", done=done))


def _own_stdout() -> TextIO:
    """The pipe to the worker; whatever else is printed in this process goes to stderr."""
    events = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1, encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return events


def _say(events: TextIO, event: Event) -> None:
    events.write(event.line() + "\n")
    events.flush()


def _jobs() -> Iterator[Job]:
    """Jobs as they come; a thread reads them, so that the end of the worker is noticed during the work on one."""
    lines: SimpleQueue[str] = SimpleQueue()

    def read() -> None:
        for line in sys.stdin:
            lines.put(line)
        os._exit(0)  # the worker is gone or wants no more; what is half done is its or the next one's to clear

    threading.Thread(target=read, daemon=True, name="jobs").start()
    while True:
        yield read_job(lines.get())


if __name__ == "__main__":
    sys.exit(main())
