"""One connection to the ledger that survives a restart of the database; safe for threads, one statement or transaction at a time."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

import psycopg

from eolake.catalog.errors import Unreachable
from eolake.catalog.lake import Connection, Lake

CUT = (psycopg.OperationalError, psycopg.InterfaceError, Unreachable)
"""The database is away, for now."""

log = logging.getLogger(__name__)


class Link:
    """Runs work on a connection; one that was cut is made again, and the work is done again: it must bear that."""

    def __init__(self, lake: Lake, *, name: str, patience: float, giving_up: Callable[[], bool]) -> None:
        """`patience`: seconds to wait for a database that is away; `giving_up`: true when nobody waits for it any more."""
        self._lake, self._name, self._patience, self._giving_up = lake, name, patience, giving_up
        self._given_up = False
        self._connection: Connection | None = None
        self._lock = threading.RLock()

    def close(self) -> None:
        """Close the connection; it is made again when it is needed."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def run[T](self, work: Callable[[Connection], T]) -> T:
        """What `work` returns. Unreachable when the database stays away."""
        with self._lock:
            return self._run(work)

    def _run[T](self, work: Callable[[Connection], T]) -> T:
        until = time.monotonic() + self._patience
        pause = 0.1
        while True:
            try:
                if self._connection is None:
                    self._connection = self._lake.connect(name=self._name)
                return work(self._connection)
            except CUT as error:
                self.close()
                if self._given_up or self._giving_up() or time.monotonic() > until:
                    self._given_up = True  # what is still to be said is tried once
                    raise Unreachable(f"the database stays away: {str(error).strip()}") from error
                log.warning("the database is away (%s); trying again", str(error).strip())
            time.sleep(pause)
            pause = min(pause * 2, 5)
