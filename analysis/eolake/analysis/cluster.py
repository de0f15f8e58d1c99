"""Where tasks run: worker processes of this machine, or a dask scheduler that is there already."""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Self

from eolake.catalog.errors import Unreachable

if TYPE_CHECKING:
    from distributed import Client

WORKER_BYTES = 2 * 2**30
"""What a worker may need at most: an output, one block of its inputs, and the libraries."""
CONNECT_TIMEOUT = 10
"""Seconds."""


def default_workers() -> int:
    """One for each core that has memory enough."""
    import psutil

    return max(1, min(os.cpu_count() or 1, int(psutil.virtual_memory().available // WORKER_BYTES)))


@dataclass(slots=True, kw_only=True)
class Workers:
    """Dask workers, started when the first task asks for them; use as a context manager.

    Without an address: processes of one thread each, which listen on 127.0.0.1 only and end with the block. Dask runs whatever it is
    sent: a scheduler belongs into a private network or behind TLS."""

    scheduler: str | None = None
    """`tcp://host:port`. Its workers need this package in the same version, and reach database and store by the same settings;
    passwords are not sent: PGPASSWORD and AWS_* stand in their own environment."""
    count: int | None = None
    """Processes; None: as many as cores and memory allow."""
    _client: Client | None = None
    _stack: ExitStack = field(default_factory=ExitStack)

    def client(self, tasks: int) -> Client:
        """A client; at most as many processes are started as there are tasks. Unreachable when no scheduler answers."""
        if self._client is None:
            quiet_logs()
            self._client = self._connect() if self.scheduler else self._start(min(self.count or default_workers(), tasks))
        return self._client

    def _connect(self) -> Client:
        import distributed

        try:
            client: Client = distributed.Client(self.scheduler, timeout=CONNECT_TIMEOUT)  # type: ignore[no-untyped-call]
        except (OSError, ValueError) as error:
            raise Unreachable(f"no dask scheduler answers at {self.scheduler}: {error}") from error
        self._stack.enter_context(client)
        return client

    def _start(self, count: int) -> Client:
        import distributed

        cluster = distributed.LocalCluster(  # type: ignore[no-untyped-call]
            n_workers=count,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",  # the scheduler serves HTTP anyway; without this on all interfaces
            scheduler_kwargs={"dashboard": False},
        )
        self._stack.enter_context(cluster)
        client: Client = distributed.Client(cluster)  # type: ignore[no-untyped-call]
        self._stack.enter_context(client)
        return client

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stack.close()


def quiet_logs() -> None:
    """Dask tells of every connection; here and in its processes only what went wrong is told, and that by the results."""
    import dask

    dask.config.set({"logging": {"distributed": "critical"}})
    os.environ.setdefault("DASK_LOGGING__DISTRIBUTED", "critical")
