"""One lake: its settings, and connections to its database."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, LiteralString, Protocol

import psycopg
from psycopg.rows import DictRow, dict_row

from eolake.catalog.errors import Unreachable
from eolake.catalog.own_collections import look_in
from eolake.catalog.settings import DatabaseConfig, Settings, StoreConfig, load_settings

LOCK_TIMEOUT = "20s"
"""Longest wait for a lock; afterwards the work is Transient and tried again."""
IDLE_TIMEOUT = "60s"
"""A transaction idle for longer is ended by the server: shorter than any lease, so that a stopped publisher stalls nobody."""

Connection = psycopg.Connection[DictRow]

_OPTIONS = (
    f"-c lock_timeout={LOCK_TIMEOUT} -c idle_in_transaction_session_timeout={IDLE_TIMEOUT} -c TimeZone=UTC -c search_path=pgstac,public"
)


class Executor(Protocol):
    """What the ledger needs: a connection of its own, or a cursor inside somebody's transaction."""

    def execute(self, query: LiteralString, params: Any = None) -> psycopg.Cursor[DictRow]:
        """Run one statement; its rows are dictionaries."""
        ...


@dataclass(frozen=True, kw_only=True)
class Lake:
    """Handed down from the command to whatever works on the lake."""

    settings: Settings

    def __post_init__(self) -> None:
        """Settings may come from another process, which has checked them but not told this one of the lake's own collections."""
        look_in(self.settings.root)

    @cached_property
    def database(self) -> DatabaseConfig:
        """Where the database is; Unreachable when the local one was never started."""
        return self.settings.database_config()

    @property
    def store_config(self) -> StoreConfig:
        """Where the objects are."""
        return self.settings.store_config

    def connect(self, *, autocommit: bool = True, name: str = "eolake") -> Connection:
        """A new connection whose rows are dictionaries; Unreachable when nobody answers."""
        try:
            return psycopg.connect(
                self.database.url(),
                autocommit=autocommit,
                row_factory=dict_row,
                application_name=name,
                connect_timeout=10,
                options=_OPTIONS,
            )
        except psycopg.OperationalError as error:
            where = f"{self.database.host}:{self.database.port}/{self.database.name}"
            raise Unreachable(f"the database at {where} does not answer ({str(error).strip()}); run `eolake up --detach`") from error


def open_lake(config: Path | None = None) -> Lake:
    """The lake of that `eolake.toml` (default: EOLAKE_CONFIG, else the nearest above the working folder)."""
    return Lake(settings=load_settings(config))
