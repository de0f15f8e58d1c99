"""Real worker processes on a lake, and tiny products for them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil

from eolake.catalog.lake import Connection, Lake
from eolake.catalog.ledger import granules
from eolake.ingest.providers.folder import look

PROBE = Path(__file__).with_name("probe")
STATISTICS = """
    select coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0)::bigint as rows from pg_stat_user_tables
    where schemaname in ('eolake', 'pgstac', 'odc')
"""


def probe(folder: Path, number: int, *, do: str = "good", name: str | None = None, **orders: Any) -> Path:
    """One product."""
    folder.mkdir(parents=True, exist_ok=True)
    name = name or f"PROBE_{number:04d}"
    path = folder / f"{name}.zip"
    path.write_text(json.dumps({"number": number, "name": name, "do": do, **orders}))
    return path


def probes(folder: Path, count: int, *, first: int = 0, **orders: Any) -> list[Path]:
    """Some that are all right."""
    return [probe(folder, number, **orders) for number in range(first, first + count)]


def environment(**more: str) -> dict[str, str]:
    """Where the sensor of the probes is installed."""
    path = os.pathsep.join([str(PROBE), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**os.environ, "PYTHONPATH": path, "NO_COLOR": "1", **more}


def command(lake: Lake, *arguments: str | Path) -> list[str]:
    """`eolake -c LAKE …`"""
    return [sys.executable, "-m", "eolake.catalog", "-c", str(lake.settings.root / "eolake.toml"), *map(str, arguments)]


def run(lake: Lake, *arguments: str | Path, timeout: float = 120, **more: str) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    return subprocess.run(
        command(lake, *arguments),
        env=environment(**more),
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        start_new_session=True,
    )


def ingest(lake: Lake, *arguments: str | Path, **more: str) -> tuple[int, dict[str, Any]]:
    """Exit code and document of `eolake --json ingest`."""
    done = run(lake, "--json", "ingest", *arguments, **more)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def offer(lake: Lake, *paths: Path) -> None:
    """Register products, as `ingest --no-wait` does, without a process of its own."""
    with lake.connect() as connection:
        granules.offer(connection, look(paths).offers)


def start(lake: Lake, *arguments: str | Path, log: Path | None = None, **more: str) -> subprocess.Popen[bytes]:
    """A command in a process group of its own, running."""
    with (log or lake.settings.root / "worker.log").open("ab") as out:
        return subprocess.Popen(command(lake, *arguments), env=environment(**more), stdout=out, stderr=out, start_new_session=True)


def kill(worker: subprocess.Popen[bytes]) -> None:
    """kill -9 of the whole group."""
    try:
        os.killpg(worker.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    finally:
        worker.wait()


def children(worker: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """Its converters."""
    return psutil.Process(worker.pid).children()


def states(lake: Lake) -> dict[str, int]:
    """Granules by state."""
    with lake.connect() as connection:
        return {row["state"]: row["n"] for row in connection.execute("select state, count(*) as n from eolake.granule group by state")}


def wait_for(lake: Lake, condition: str, *, timeout: float = 60) -> None:
    """Until some granule is in that condition (SQL over eolake.granule)."""
    until = time.monotonic() + timeout
    with lake.connect() as connection:
        while connection.execute(f"select from eolake.granule where {condition} limit 1").fetchone() is None:
            assert time.monotonic() < until, (condition, states(lake))
            time.sleep(0.05)


def granule(lake: Lake, name: str) -> Mapping[str, Any]:
    """One row of the queue."""
    with lake.connect() as connection:
        row = connection.execute("select * from eolake.granule where name = %s", [name]).fetchone()
    assert row is not None
    return row


def rows_written(connection: Connection) -> int:
    """All rows that were ever inserted, updated or deleted."""
    connection.execute("select pg_stat_force_next_flush()")
    row = connection.execute(STATISTICS).fetchone()
    assert row is not None
    return int(row["rows"])


def listing(lake: Lake) -> dict[str, tuple[int, int, int]]:
    """Every file in the store: size, modification time, inode."""
    folder = lake.store_config.folder
    assert folder is not None
    found = {str(path.relative_to(folder)): path.stat() for path in folder.rglob("*") if path.is_file()}
    return {name: (status.st_size, status.st_mtime_ns, status.st_ino) for name, status in found.items()}
