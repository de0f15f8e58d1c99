"""The open cube: ODC index, store and the one transaction over catalog, cube and ledger.

`Session.transaction` is the only place that opens it, because it needs three things that are easy to miss:
the ODC driver's connection with `preserve_rowcount` (without it `datasets.add` writes no spatial rows, no search
rows and no uri, and says nothing), timeouts below every lease, and pgSTAC's search path.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from types import TracebackType
from typing import Any, Self, cast

import psycopg
from datacube.cfg import ODCConfig
from datacube.index import index_connect
from datacube.index.postgis.index import Index
from datacube.model import Product
from psycopg.rows import DictRow, dict_row
from sqlalchemy.exc import DBAPIError

from eolake.catalog import pgstac
from eolake.catalog.declaration import declared
from eolake.catalog.errors import ConfigError, Transient, Unreachable
from eolake.catalog.lake import IDLE_TIMEOUT, LOCK_TIMEOUT, Connection, Lake
from eolake.catalog.ledger import publications
from eolake.catalog.migrate import odc_environment
from eolake.catalog.stac.collections import stac_collection
from eolake.catalog.store import Store, open_store
from eolake.cube.products import put_product

PASSING = (
    psycopg.errors.SerializationFailure,
    psycopg.errors.DeadlockDetected,
    psycopg.errors.LockNotAvailable,
    psycopg.errors.CheckViolation,  # of a partition that somebody narrowed or widened meanwhile
    psycopg.errors.IdleInTransactionSessionTimeout,
    psycopg.OperationalError,  # connection cut, server restarting
)
"""Faults of the database that pass by themselves."""

_OPENING = threading.Lock()
"""datacube asks alembic for the schema's version, whose environment is one for the whole process."""


@dataclass(kw_only=True)
class Session:
    """One process's connections for publishing; not thread-safe. Use as a context manager."""

    lake: Lake
    _products: dict[str, Product] = field(default_factory=dict)
    _partitions: set[tuple[str, int, int]] = field(default_factory=set)

    @cached_property
    def index(self) -> Index:
        """The ODC index; Unreachable when the database does not answer."""
        environment = ODCConfig(raw_dict={"default": odc_environment(self.lake)})["default"]
        try:
            with _OPENING:
                index = cast("Index", index_connect(environment, application_name="eolake"))
        except DBAPIError as error:
            raise Unreachable(f"the cube index does not answer ({error.orig}); run `eolake up --detach`") from error
        index._db._engine.update_execution_options(preserve_rowcount=True)  # noqa: SLF001 - the driver has no public road to its engine
        return index

    @cached_property
    def connection(self) -> Connection:
        """For short statements of their own, outside the transaction."""
        return self.lake.connect(name="eolake cube")

    @cached_property
    def store(self) -> Store:
        """The objects; ConfigError when the URIs in the database still name another place."""
        here, written = self.lake.store_config.url, publications.place(self.connection)
        if written is None:
            publications.set_place(self.connection, here)
        elif written != here:
            raise ConfigError(f"the database says the objects are in {written}, the settings say {here}; run `eolake relocate`")
        return open_store(self.lake.store_config)

    def close(self) -> None:
        """Close what was opened."""
        if "index" in self.__dict__:
            self.index.close()
        if "connection" in self.__dict__:
            self.connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    @contextmanager
    def transaction(self) -> Iterator[psycopg.Cursor[DictRow]]:
        """THE transaction: ODC calls on `index` in this thread and statements on the cursor commit together or not at all.

        REPEATABLE READ. Faults of the database that pass are raised as Transient."""
        try:
            with self.index.transaction() as transaction:
                connection = cast("Any", transaction)._connection._connection.connection.driver_connection  # noqa: SLF001
                with psycopg.Cursor[DictRow](connection, row_factory=dict_row) as cursor:
                    cursor.execute(
                        "select set_config('lock_timeout', %s, true), set_config('idle_in_transaction_session_timeout', %s, true), "
                        "set_config('search_path', 'pgstac, public', true)",
                        [LOCK_TIMEOUT, IDLE_TIMEOUT],
                    )
                    yield cursor
        except DBAPIError as error:
            if isinstance(error.orig, PASSING):
                raise Transient(f"the database was busy: {error.orig}") from error
            raise
        except PASSING as error:
            raise Transient(f"the database was busy: {error}") from error

    def product(self, collection_id: str) -> Product:
        """The ODC product of a declared collection, which is put into catalog and cube when it is not there yet."""
        if collection_id not in self._products:
            self._products[collection_id] = sync_collection(self, collection_id)
        return self._products[collection_id]

    def ensure_partition(self, collection_id: str, at: Any) -> None:
        """The partition of an item of this time, made beforehand."""
        key = (collection_id, at.year, at.month)
        if key not in self._partitions:
            pgstac.ensure_partition(self.connection, collection_id, at)
            self._partitions.add(key)


def sync_collection(session: Session, collection_id: str) -> Product:
    """Bring catalog and cube to the declaration of a collection; what is as declared is not written.

    The cube first: ConfigError when it refuses the change, and then the catalog stays as it was too."""
    collection = declared(collection_id)
    product = put_product(session.index.products, collection)
    pgstac.put_collection(session.connection, stac_collection(collection), partition=collection.partition)
    return product
