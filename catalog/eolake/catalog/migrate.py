"""Bring a database to the version of this package: PostGIS, pgSTAC, the ODC postgis driver, schema `eolake`.

Repeatable; migrators at the same time wait for each other on an advisory lock. What was done stands in
`eolake.migration`, one row per file of ours and per version of pypgstac and datacube, so that a repeat costs milliseconds.
"""

from __future__ import annotations

import logging
from importlib.metadata import version
from importlib.resources import files

from eolake.catalog.lake import Connection, Lake

LOCK = 0x656F6C61
"""Advisory lock of all migrators: the bytes of "eola"."""
SETTINGS = """
    insert into pgstac.pgstac_settings (name, value) values ('context', 'auto'), ('update_collection_extent', 'false')
    on conflict (name) do update set value = excluded.value where pgstac_settings.value is distinct from excluded.value
"""
"""pgSTAC counts matches (exactly while that is cheap) and leaves extents to the ledger: updating them locks the collection."""

PGSTAC_ROLES = """
    do $$
    declare name text;
    begin
        foreach name in array array['pgstac_admin', 'pgstac_read', 'pgstac_ingest'] loop
            if to_regrole(name) is null then
                begin
                    execute format('create role %I', name);
                exception when duplicate_object or unique_violation then null;  -- another migrator of this server
                end;
            end if;
            if not pg_has_role(current_user, name, 'member') then
                execute format('grant %I to current_user', name);
            end if;
        end loop;
    end $$
"""
"""pgSTAC's migration takes on its roles, which only a superuser may do without being a member.

Neither our cluster nor a managed server lets us be one."""

log = logging.getLogger(__name__)


def migrate(lake: Lake) -> None:
    """Create or update everything that the lake needs in its database."""
    with lake.connect(name="eolake migrate") as connection:
        connection.execute("set lock_timeout = '10min'")
        connection.execute("select pg_advisory_lock(%s)", [LOCK])
        connection.execute("create extension if not exists postgis schema public")
        connection.execute("create schema if not exists eolake")
        connection.execute(
            "create table if not exists eolake.migration (name text primary key, at timestamptz not null default clock_timestamp())"
        )
        done = {row["name"] for row in connection.execute("select name from eolake.migration")}
        _pgstac(lake, connection, done)
        _odc(lake, connection, done)
        _ledger(connection, done)


def outstanding(lake: Lake) -> list[str]:
    """What `migrate` would still do, by name. Unreachable when the database does not answer."""
    wanted = [_pgstac_name(), _odc_name(), *(name for name, _ in _ledger_files())]
    with lake.connect(name="eolake migrate") as connection:
        begun = connection.execute("select to_regclass('eolake.migration') is not null as begun").fetchone()
        if begun is None or not begun["begun"]:
            return wanted
        done = {row["name"] for row in connection.execute("select name from eolake.migration")}
    return [name for name in wanted if name not in done]


def _pgstac_name() -> str:
    return f"pypgstac {version('pypgstac')}"


def _odc_name() -> str:
    return f"datacube {version('datacube')}"


def _ledger_files() -> list[tuple[str, str]]:
    """Name and text of our own migrations, in order."""
    folder = files("eolake.catalog.ledger") / "migrations"
    return sorted((entry.name, entry.read_text("utf-8")) for entry in folder.iterdir() if entry.name.endswith(".sql"))


def _record(connection: Connection, name: str) -> None:
    connection.execute("insert into eolake.migration (name) values (%s)", [name])
    log.info("migrated: %s", name)


def _pgstac(lake: Lake, connection: Connection, done: set[str]) -> None:
    name = _pgstac_name()
    if name in done:
        return
    from pypgstac.db import PgstacDB
    from pypgstac.migrate import Migrate

    connection.execute(PGSTAC_ROLES)
    with PgstacDB(dsn=lake.database.url()) as database:
        Migrate(database).run_migration()
        database.close()
    connection.execute(SETTINGS)
    _record(connection, name)


def _odc(lake: Lake, connection: Connection, done: set[str]) -> None:
    """The ODC schema; datacube is imported only when there is work (it takes seconds)."""
    name = _odc_name()
    if name in done:
        return
    from datacube.cfg import ODCConfig
    from datacube.index import index_connect

    environment = ODCConfig(raw_dict={"default": odc_environment(lake)})["default"]
    index = index_connect(environment, application_name="eolake-migrate", validate_connection=False)
    try:
        # Without permissions: their statements need PostgreSQL 16.
        index.init_db(with_default_types=True, with_permissions=False)
    finally:
        index.close()
    _record(connection, name)


def odc_environment(lake: Lake) -> dict[str, str]:
    """One environment of an ODC configuration, as datacube.cfg reads it."""
    return {"index_driver": "postgis", "db_url": lake.database.url("postgresql+psycopg")}


def _ledger(connection: Connection, done: set[str]) -> None:
    for name, text in _ledger_files():
        if name not in done:
            with connection.transaction():
                connection.execute(text)
                _record(connection, name)
