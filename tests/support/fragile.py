"""A lake whose connection breaks at a chosen statement, as if the process had died there."""

from __future__ import annotations

from typing import Any, override

import psycopg
from psycopg.rows import DictRow, dict_row

from eolake.catalog.lake import Connection, Lake


class Crash(Exception):
    """The process ends here."""


class Fragile(psycopg.Connection[DictRow]):
    """Crashes at one of its statements, before or after the server has run it."""

    left: int | None = None
    after = False

    @override
    def execute(self, *args: Any, **kwargs: Any) -> Any:
        cls = type(self)
        if cls.left is None:
            return super().execute(*args, **kwargs)
        cls.left -= 1
        if cls.left == 0 and not cls.after:
            raise Crash
        result = super().execute(*args, **kwargs)
        if cls.left == 0:
            raise Crash
        return result


def fragile(lake: Lake, *, at: int | None, after: bool) -> Lake:
    kind = type("Fragile", (Fragile,), {"left": at, "after": after})

    class FragileLake(Lake):
        @override
        def connect(self, *, autocommit: bool = True, name: str = "eolake") -> Connection:
            return kind.connect(self.database.url(), autocommit=autocommit, row_factory=dict_row, application_name=name)

    return FragileLake(settings=lake.settings)
