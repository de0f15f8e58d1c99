"""A private PostgreSQL with a migrated template database, for benchmarks; lakes are clones of it."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from eolake.catalog.lake import Lake
from eolake.catalog.local.cluster import Cluster
from eolake.catalog.migrate import migrate
from eolake.catalog.settings import DatabaseConfig, load_settings

TEMPLATE = "template_lake"


@dataclass(frozen=True, kw_only=True)
class Bench:
    """Makes lakes, one after the other; fsync is on."""

    folder: Path
    config: DatabaseConfig

    def lake(self, name: str, template: str = TEMPLATE) -> Lake:
        """A new empty lake on a clone of the database."""
        with psycopg.connect(self.config.model_copy(update={"name": "postgres"}).url(), autocommit=True) as connection:
            connection.execute(f"create database {name} template {template}")  # type: ignore[call-overload]
        home = self.folder / name
        (home / "lake" / "objects").mkdir(parents=True)
        (home / "eolake.toml").write_text('[lake]\nname = "bench"\n')
        document = {**self.config.model_dump(exclude={"password"}), "name": name, "password": self.config.password.get_secret_value()}
        (home / "lake" / "database.json").write_text(json.dumps(document))
        return Lake(settings=load_settings(home / "eolake.toml"))


@contextmanager
def bench() -> Iterator[Bench]:
    """The server runs while the block does."""
    with tempfile.TemporaryDirectory(prefix="eolake-bench-") as name:
        folder = Path(name)
        os.chmod(folder, 0o755)  # noqa: PTH101 - the server's user must reach it
        server = Cluster(folder / "cluster")
        try:
            made = Bench(folder=folder, config=server.ensure())
            migrate(made.lake(TEMPLATE, template=made.config.name))
            yield made
        finally:
            server.stop()
