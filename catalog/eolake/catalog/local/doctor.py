"""Every prerequisite of a lake, whether it is met, and how to meet it."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil
import psycopg

from eolake.catalog.errors import ConfigError, EolakeError
from eolake.catalog.lake import Connection, Lake
from eolake.catalog.ledger.publications import place
from eolake.catalog.local.cluster import ELSEWHERE
from eolake.catalog.local.postgres import OLDEST, installations, server_user
from eolake.catalog.local.stack import Stack
from eolake.catalog.migrate import outstanding
from eolake.catalog.queries import load_queries
from eolake.catalog.settings import Settings

SQL = load_queries(__package__ or "", "doctor")

GB = 10**9
LEAST_DISK, LEAST_MEMORY = 5 * GB, 3 * GB
"""Below, a warning: one Sentinel-2 scene takes about 1 GB of disk while it is converted, a worker about 1 GB of memory."""
MOST_PARTITIONS = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line of the doctor."""

    level: str
    """ok, warn or fail."""
    subject: str
    message: str
    fix: str = ""


def examine(settings: Callable[[], Settings]) -> Iterator[Finding]:
    """All findings; those about a lake only when `settings` finds one."""
    yield Finding(level="ok", subject="Python", message=f"{platform.python_version()}, {sys.executable}")
    yield from _imports()
    yield _memory()
    try:
        lake = Lake(settings=settings())
    except ConfigError as error:
        yield from _postgresql()
        yield Finding(level="warn", subject="lake", message=str(error), fix="eolake init")
        return
    yield Finding(level="ok", subject="lake", message=f"{lake.settings.lake.name} in {lake.settings.root}")
    if lake.settings.private_cluster:
        yield from _postgresql()
        yield from _left_clusters()
    yield from _store(lake)
    yield from _parts(Stack(lake.settings))
    yield from _database(lake)


def _imports() -> Iterator[Finding]:
    """The packages with compiled parts are imported, the heavy ones only looked up."""
    try:
        import rasterio
        import shapely
    except ImportError as error:
        yield Finding(level="fail", subject="GDAL", message=str(error), fix="apt-get install libexpat1, else: make bootstrap")
    else:
        yield Finding(level="ok", subject="GDAL", message=f"{rasterio.__gdal_version__}, GEOS {shapely.geos_version_string}")
    for name in ("datacube", "pypgstac", "obstore", "stac-fastapi-pgstac"):
        try:
            yield Finding(level="ok", subject=name, message=version(name))
        except PackageNotFoundError:
            yield Finding(level="fail", subject=name, message="is not installed", fix="make bootstrap")


def _memory() -> Finding:
    total = psutil.virtual_memory().total
    enough = total >= LEAST_MEMORY
    return Finding(
        level="ok" if enough else "warn",
        subject="memory",
        message=f"{total / GB:.1f} GB",
        fix="" if enough else "one worker at a time; convert large scenes elsewhere",
    )


def _postgresql() -> Iterator[Finding]:
    found = installations()
    if not found:
        fix = "make bootstrap, or: apt-get install postgresql-NN-postgis-3"
        yield Finding(level="fail", subject="PostgreSQL", message=f"no PostgreSQL {OLDEST} or newer", fix=fix)
        return
    best = found[0]
    if best.has_postgis() is False:
        fix = f"apt-get install postgresql-{best.major}-postgis-3"
        yield Finding(level="fail", subject="PostgreSQL", message=f"{best.major} has no PostGIS", fix=fix)
    else:
        yield Finding(level="ok", subject="PostgreSQL", message=f"{best.major} with PostGIS, {best.bindir}")
    try:
        user = server_user()
    except ConfigError as error:
        yield Finding(level="fail", subject="user", message=str(error), fix="adduser --system --group postgres")
        return
    if user and not Path("/").stat().st_mode & 0o001:
        yield Finding(level="fail", subject="user", message=f"{user.pw_name} can't enter /", fix="chmod 755 /")


def _left_clusters() -> Iterator[Finding]:
    """Clusters that stand beside lakes which are no longer where they were."""
    if not os.access(ELSEWHERE, os.R_OK | os.X_OK):
        return
    for note in sorted(ELSEWHERE.glob("*/lake")):
        if not os.access(note, os.R_OK):
            continue
        folder = Path(note.read_text("utf-8").strip())
        pointer = folder / "postgres.at"
        if not (pointer.is_file() and pointer.read_text("utf-8").strip() == str(note.parent)):
            message = f"{note.parent} belonged to the lake in {folder.parent}, which is gone"
            yield Finding(level="warn", subject="left over", message=message, fix=f"unless the lake was moved: rm -r {note.parent}")


def _store(lake: Lake) -> Iterator[Finding]:
    config = lake.store_config
    folder = config.folder
    if folder is None:
        yield from _bucket(lake)
        return
    nearest = next(path for path in (folder, *folder.parents) if path.is_dir())
    if not os.access(nearest, os.W_OK):
        yield Finding(level="fail", subject="store", message=f"{nearest} is not writable", fix=f"chown {os.geteuid()} {nearest}")
        return
    free = shutil.disk_usage(nearest).free
    enough = free >= LEAST_DISK
    fix = "" if enough else "make room, or [lake] store = on another disk"
    yield Finding(level="ok" if enough else "warn", subject="store", message=f"{config.url}, {free / GB:.0f} GB free", fix=fix)


def _bucket(lake: Lake) -> Iterator[Finding]:
    from eolake.catalog.store import open_store

    try:
        next(iter(open_store(lake.store_config).list("")), None)
    except Exception as error:  # noqa: BLE001 -- whatever a client library raises, the finding is that the bucket does not answer
        fix = "AWS_* variables, or [store] endpoint, region, profile"
        yield Finding(level="fail", subject="store", message=f"{lake.store_config.url}: {error}", fix=fix)
    else:
        yield Finding(level="ok", subject="store", message=lake.store_config.url)


def _parts(stack: Stack) -> Iterator[Finding]:
    for part in stack.parts():
        running = part.state == "running"
        fix = "" if running else "eolake up --detach"
        yield Finding(level="ok" if running else "warn", subject=part.name, message=part.state, fix=fix)


def _database(lake: Lake) -> Iterator[Finding]:
    try:
        with lake.connect(name="eolake doctor") as connection:
            yield from _server(connection)
            yield from _schema(lake, connection)
    except (EolakeError, psycopg.Error) as error:
        yield Finding(level="warn", subject="database", message=" ".join(str(error).split()), fix="eolake up --detach")


def _server(connection: Connection) -> Iterator[Finding]:
    row = connection.execute(SQL["server"]).fetchone() or {}
    message = f"PostgreSQL {row['version']}, PostGIS {row['postgis']}, {row['used']} of {row['most']} connections"
    crowded = row["used"] > 0.8 * row["most"]
    fix = "fewer workers, or a larger max_connections" if crowded else ""
    yield Finding(level="warn" if crowded else "ok", subject="database", message=message, fix=fix)


def _schema(lake: Lake, connection: Connection) -> Iterator[Finding]:
    if missing := outstanding(lake):
        yield Finding(level="fail", subject="schema", message=f"not migrated: {', '.join(missing)}", fix="eolake up --detach")
        return
    yield Finding(level="ok", subject="schema", message=f"pypgstac {version('pypgstac')}, datacube {version('datacube')}")
    for row in connection.execute(SQL["partitions"], {"limit": MOST_PARTITIONS}):
        message = f"{row['n']} partitions in {row['collection']}"
        yield Finding(level="warn", subject="partitions", message=message, fix="partition: year, or none, in its declaration")
    written_for = place(connection)
    if written_for not in (None, lake.store_config.url):
        yield Finding(level="fail", subject="addresses", message=f"written for {written_for}", fix="eolake relocate")
