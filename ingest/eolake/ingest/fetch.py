"""The fetch process: `python -m eolake.ingest.fetch`, started by a worker, holds the connections to the providers.

It takes its settings as the first line of stdin and its order as the second, and says on stdout what it does. It opens nothing that it
fetches beyond what verifying needs. When the worker is gone, stdin ends, and so does this process.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from contextlib import suppress
from typing import Any

from eolake.catalog.errors import EolakeError
from eolake.catalog.invocation import configure_logging
from eolake.catalog.lake import Lake
from eolake.catalog.settings import Settings
from eolake.ingest.fetching.lanes import Fetcher
from eolake.ingest.fetching.messages import FetchOrder, Said
from eolake.ingest.settings import WorkerSettings

LAST_MOMENT = 3.0
"""Seconds that the lanes have to end."""


def main() -> int:
    """Fetch until stdin ends or a signal comes."""
    words = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1, encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    configure_logging(int(sys.argv[1]) if len(sys.argv) > 1 else 0)
    lake = Lake(settings=Settings.model_validate_json(sys.stdin.readline()))
    order = FetchOrder(**json.loads(sys.stdin.readline()))
    lock = threading.Lock()

    def say(said: Said) -> None:
        with lock, suppress(BrokenPipeError):  # nobody listens any more: stdin ends too, and that ends us
            words.write(said.line() + "\n")
            words.flush()

    try:
        fetcher = Fetcher(lake=lake, order=order, say=say, settings=WorkerSettings())
        _end_with(fetcher)
        fetcher.run()
    except EolakeError as error:
        say(Said(kind="ended", text=str(error)))
        return error.exit_code
    return 0


def _end_with(fetcher: Fetcher) -> None:
    """Signals and the end of the worker end the lanes; after a last moment, the process."""

    def end(*_: Any) -> None:
        fetcher.stop()
        timer = threading.Timer(LAST_MOMENT, os._exit, (0,))
        timer.daemon = True
        timer.start()

    def watch() -> None:
        sys.stdin.read()
        end()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the worker decides
    threading.Thread(target=watch, daemon=True, name="worker").start()


if __name__ == "__main__":
    sys.exit(main())
