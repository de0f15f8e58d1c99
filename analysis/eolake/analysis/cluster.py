"""Where tasks run: worker processes of this machine, or a dask scheduler that is there already."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

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


@contextmanager
def connect(scheduler: str | None, workers: int | None) -> Iterator[Client]:
    """A dask client. Without an address: processes of one thread each, which listen on 127.0.0.1 only and end with this block.

    Unreachable when there is an address but no scheduler behind it. Dask runs whatever it is sent:
    a scheduler belongs into a private network or behind TLS."""
    import distributed

    if scheduler is not None:
        try:
            client = distributed.Client(scheduler, timeout=CONNECT_TIMEOUT)  # type: ignore[no-untyped-call]
        except (OSError, ValueError) as error:
            raise Unreachable(f"no dask scheduler answers at {scheduler}: {error}") from error
        with client:
            yield client
        return
    cluster = distributed.LocalCluster(  # type: ignore[no-untyped-call]
        n_workers=workers or default_workers(),
        threads_per_worker=1,
        processes=True,
        host="127.0.0.1",
        dashboard_address="127.0.0.1:0",  # the scheduler serves HTTP anyway; without this on all interfaces
        scheduler_kwargs={"dashboard": False},
        silence_logs=logging.ERROR,
    )
    with cluster, distributed.Client(cluster) as client:  # type: ignore[no-untyped-call]
        yield client
