"""The sweeper: deletes what was written and can never be published, or was replaced long enough ago."""

from __future__ import annotations

import logging

from eolake.catalog.failpoints import failpoint
from eolake.catalog.lake import Connection
from eolake.catalog.ledger import publications
from eolake.catalog.store import Store

log = logging.getLogger(__name__)


def sweep(connection: Connection, store: Store) -> int:
    """Delete all debris that is due; the number of prefixes.

    Without a race: a prefix whose fence is neither leased nor published can never be published. Deleted first,
    forgotten afterwards: a sweeper that dies is followed by one that finds the same prefixes."""
    total = 0
    while prefixes := publications.sweepable(connection):
        failpoint("sweep:before")
        for prefix in prefixes:
            store.delete_prefix(prefix)
        failpoint("sweep:objects-deleted")
        publications.swept(connection, prefixes)
        failpoint("sweep:after")
        total += len(prefixes)
    if total:
        log.info("swept %d unpublished or replaced prefixes", total)
    return total
