"""What every test may use: a lake on a database of its own, and the real samples."""

from __future__ import annotations

import fcntl
import json
import os
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, override

import psycopg
import pytest

from eolake.catalog.lake import Lake
from eolake.catalog.local.cluster import Cluster
from eolake.catalog.migrate import migrate
from eolake.catalog.settings import DatabaseConfig, load_settings

sys.path.insert(0, str(Path(__file__).parent))  # so that tests find tests/support
pytest_plugins = ["support.stac_validation"]  # the fixture validate_stac

os.environ["CPL_VSIL_GZIP_WRITE_PROPERTIES"] = "NO"  # or GDAL leaves a file beside each .tar.gz that a test reads in place

TEMPLATE = "eolake_template"


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """With -n: tests that look at one lake run in one process; filling it costs more than looking."""
    from xdist.scheduler import LoadScopeScheduling

    class OneProcessPerLake(LoadScopeScheduling):  # marks of xdist_group do nothing: xdist 3.8 can't write them into the ids of pytest 9.2
        @override
        def _split_scope(self, nodeid: str) -> str:
            module, _, parameters = nodeid.partition("[")
            folder = Path(module.partition("::")[0]).parent.name
            file = module.partition("::")[0]
            return {"samples": f"samples [{parameters}", "web": file, "local": file}.get(folder, nodeid)

    return OneProcessPerLake(config, log)


@pytest.fixture(scope="session")
def samples() -> Path:
    """Real products, API answers and documents; EOLAKE_SAMPLES, else ../shared/samples beside the repository."""
    folder = Path(os.environ.get("EOLAKE_SAMPLES", Path(__file__).parents[2] / "shared" / "samples")).resolve()
    if not folder.is_dir():
        pytest.skip(f"no real samples in {folder}; name their folder with EOLAKE_SAMPLES")
    return folder


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    with (folder / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Iterator[DatabaseConfig]:
    """One PostgreSQL of the test run, shared by its processes; the last one stops it. Holds a migrated template database."""
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "cluster"
    folder.mkdir(exist_ok=True)
    user = folder / f"user-{worker_id}"
    server = Cluster(folder, durable=False)
    with _locked(folder):
        user.touch()
        config = server.ensure()
        if not (folder / "template").exists():
            _admin(config, f"create database {TEMPLATE} template {config.name}")  # which has PostGIS: the role is no superuser
            migrate(_lake(folder, config, TEMPLATE))
            (folder / "template").touch()
    yield config
    with _locked(folder):
        user.unlink()
        if not list(folder.glob("user-*")):
            server.remove()
            (folder / "template").unlink()


def _admin(config: DatabaseConfig, statement: str, database: str = "postgres") -> None:
    with psycopg.connect(config.model_copy(update={"name": database}).url(), autocommit=True) as connection:
        connection.execute(statement)  # type: ignore[call-overload]


def _lake(folder: Path, config: DatabaseConfig, name: str) -> Lake:
    (folder / "lake").mkdir(parents=True, exist_ok=True)
    (folder / "eolake.toml").write_text('[lake]\nname = "test"\n')
    document = {**config.model_dump(exclude={"password"}), "name": name, "password": config.password.get_secret_value()}
    (folder / "lake" / "database.json").write_text(json.dumps(document))
    return Lake(settings=load_settings(folder / "eolake.toml"))


@contextmanager
def _fresh_lake(cluster: DatabaseConfig, folder: Path) -> Iterator[Lake]:
    name = f"t_{uuid.uuid4().hex[:12]}"
    _admin(cluster, f"create database {name} template {TEMPLATE}")
    lake = _lake(folder, cluster, name)
    (folder / "lake" / "objects").mkdir()
    yield lake
    _admin(cluster, f"drop database {name} with (force)")


@pytest.fixture
def lake(cluster: DatabaseConfig, tmp_path: Path) -> Iterator[Lake]:
    """A lake with an empty folder store and a fresh clone of the migrated database."""
    with _fresh_lake(cluster, tmp_path) as lake:
        yield lake


@pytest.fixture(scope="session")
def fresh_lake(cluster: DatabaseConfig) -> Callable[[Path], AbstractContextManager[Lake]]:
    """`with fresh_lake(folder) as lake`: for lakes that several tests look at."""
    return partial(_fresh_lake, cluster)
