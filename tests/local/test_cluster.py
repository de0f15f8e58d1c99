"""The private PostgreSQL: what it lets in, and what it survives."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from eolake.catalog.errors import ConfigError
from eolake.catalog.local.cluster import ELSEWHERE, Cluster, port_is_free
from eolake.catalog.local.files import locked
from eolake.catalog.settings import DatabaseConfig

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root meets folders that the server's user can't enter")


def open_folder() -> Path:
    """A folder that every user can enter (pytest's own are closed)."""
    folder = Path(tempfile.mkdtemp(prefix="eolake-"))
    folder.chmod(0o755)
    return folder


def sweep(folder: Path) -> None:
    for lake in folder.glob("*"):
        Cluster(lake).remove()
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def made() -> Iterator[Path]:
    """A cluster that was made and stopped: tests take copies, which is quicker than making one each."""
    folder = open_folder()
    cluster = Cluster(folder / "lake", durable=False)
    cluster.ensure()
    cluster.stop()
    yield folder / "lake"
    sweep(folder)


@pytest.fixture
def place() -> Iterator[Path]:
    folder = open_folder()
    yield folder
    sweep(folder)


@pytest.fixture
def cluster(made: Path, place: Path) -> Cluster:
    subprocess.run(["cp", "-a", made, place / "lake"], check=True)
    cluster = Cluster(place / "lake", durable=False)
    cluster.ensure()
    return cluster


@pytest.fixture
def durable(cluster: Cluster) -> Cluster:
    """One that loses nothing when it is killed."""
    cluster.stop()
    safe = Cluster(cluster.folder)
    safe.ensure()
    return safe


def ask(config: DatabaseConfig, query: str) -> object:
    with psycopg.connect(config.url(), autocommit=True) as connection:
        row = connection.execute(query).fetchone()  # type: ignore[call-overload]
    return row[0] if row else None


def server(cluster: Cluster) -> psutil.Process:
    pid = cluster.pid()
    assert pid is not None
    return psutil.Process(pid)


def kill(cluster: Cluster) -> None:
    process = server(cluster)
    process.send_signal(signal.SIGKILL)
    process.wait(10)
    assert not cluster.running()


def write(config: DatabaseConfig) -> None:
    with psycopg.connect(config.url(), autocommit=True) as connection:
        connection.execute("create table kept (n integer)")
        connection.execute("insert into kept values (42)")


def test_ready_with_postgis_and_no_superuser(cluster: Cluster) -> None:
    config = cluster.ensure()
    assert str(ask(config, "select postgis_lib_version()")).startswith("3.")
    assert ask(config, "select current_setting('is_superuser')") == "off"
    assert ask(config, "select count(*) from pg_roles where rolcanlogin and rolsuper and rolname <> 'postgres'") == 0
    assert ask(config, "select current_setting('listen_addresses') || current_setting('unix_socket_directories')") == "127.0.0.1"
    assert ask(config, "select current_setting('server_encoding') || ' ' || current_setting('TimeZone')") == "UTF8 UTC"


def test_durable_unless_asked_otherwise(place: Path, cluster: Cluster) -> None:
    assert ask(cluster.ensure(), "select current_setting('fsync')") == "off"
    cluster.stop()
    assert ask(Cluster(cluster.folder).ensure(), "select current_setting('fsync')") == "on"


def test_the_password_is_secret_and_needed(cluster: Cluster) -> None:
    assert cluster.database_file.stat().st_mode & 0o777 == 0o600
    config = cluster.ensure()
    assert config.password.get_secret_value() not in repr(config)
    for refused in (config.model_copy(update={"user": "postgres"}), config.model_copy(update={"password": type(config.password)("wrong")})):
        with pytest.raises(psycopg.OperationalError, match=r"pg_hba.conf|password authentication failed"):
            ask(refused, "select 1")


def test_a_second_ensure_changes_nothing(cluster: Cluster) -> None:
    before = server(cluster).pid, cluster.database_file.read_bytes()
    cluster.ensure()
    assert (server(cluster).pid, cluster.database_file.read_bytes()) == before


def test_two_at_once_make_one(place: Path) -> None:
    answers: list[DatabaseConfig] = []
    threads = [threading.Thread(target=lambda: answers.append(Cluster(place / "lake", durable=False).ensure())) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 3
    assert len({answer.url() for answer in answers}) == 1


def test_stop_and_start_keep_data_port_and_password(cluster: Cluster) -> None:
    config = cluster.ensure()
    write(config)
    cluster.stop()
    assert not cluster.running()
    cluster.stop()
    assert cluster.ensure() == config
    assert ask(config, "select n from kept") == 42


def test_killed_server_comes_back(durable: Cluster) -> None:
    write(durable.ensure())
    kill(durable)
    assert ask(durable.ensure(), "select n from kept") == 42


def test_pid_of_another_process_is_no_obstacle(durable: Cluster) -> None:
    """After a crash the number in postmaster.pid may belong to anybody; PostgreSQL itself refuses to start then."""
    write(durable.ensure())
    pid_file = Path(server(durable).cwd()) / "postmaster.pid"
    kill(durable)
    _, *rest = pid_file.read_text().splitlines()
    other = subprocess.Popen(["sleep", "60"])
    try:
        pid_file.write_text("\n".join([str(other.pid), *rest]) + "\n")
        assert not durable.running()
        assert ask(durable.ensure(), "select n from kept") == 42
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_a_taken_port_is_left_for_another(cluster: Cluster) -> None:
    port = cluster.ensure().port
    cluster.stop()
    with socket.socket() as thief:
        thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        thief.bind(("127.0.0.1", port))
        thief.listen()
        assert not port_is_free(port)
        config = cluster.ensure()
        assert config.port != port
        assert ask(config, "select 1") == 1
    cluster.stop()
    assert cluster.ensure() == config


def test_moved_while_stopped(place: Path, cluster: Cluster) -> None:
    write(cluster.ensure())
    cluster.stop()
    cluster.folder.rename(place / "elsewhere")
    assert ask(Cluster(place / "elsewhere", durable=False).ensure(), "select n from kept") == 42


def test_moved_while_running(place: Path, cluster: Cluster) -> None:
    write(cluster.ensure())
    pid = server(cluster).pid
    cluster.folder.rename(place / "elsewhere")
    moved = Cluster(place / "elsewhere", durable=False)
    assert server(moved).pid == pid
    assert ask(moved.ensure(), "select n from kept") == 42
    moved.stop()
    assert not moved.running()


def test_lost_password_file(cluster: Cluster) -> None:
    config = cluster.ensure()
    write(config)
    cluster.database_file.unlink()
    renewed = cluster.ensure()
    assert renewed.password != config.password
    assert ask(renewed, "select n from kept") == 42


def test_interrupted_making_starts_over(place: Path) -> None:
    """A kill in the middle of initdb leaves data.new, which is nobody's cluster."""
    half = place / "lake" / "postgres" / "data.new"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("15\n")
    cluster = Cluster(place / "lake", durable=False)
    assert not cluster.exists()
    assert ask(cluster.ensure(), "select 1") == 1
    assert not half.exists()


@as_root
def test_unreachable_folder_puts_the_cluster_beside(place: Path) -> None:
    (place / "lake").mkdir(mode=0o700)
    cluster = Cluster(place / "lake", durable=False)
    config = cluster.ensure()
    beside = Path((place / "lake" / "postgres.at").read_text().strip())
    assert beside.parent == ELSEWHERE
    assert server(cluster).cwd() == str(beside / "data")
    write(config)
    cluster.stop()
    (place / "lake").rename(place / "other")
    moved = Cluster(place / "other", durable=False)
    assert ask(moved.ensure(), "select n from kept") == 42
    assert (beside / "lake").read_text().strip() == str(place / "other")
    moved.remove()
    assert not beside.exists()


@as_root
def test_folder_closed_afterwards_is_named(place: Path, cluster: Cluster) -> None:
    cluster.stop()
    cluster.folder.chmod(0o700)
    with pytest.raises(ConfigError, match=r"the user postgres can't reach .*chmod o\+x"):
        cluster.ensure()
    cluster.folder.chmod(0o755)


@as_root
def test_an_ordinary_user_needs_no_root(place: Path) -> None:
    """In a child that gave up its rights before it touches anything."""
    place.chmod(0o777)
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
            cluster = Cluster(place / "lake", durable=False)
            config = cluster.ensure()
            running = cluster.running()
            (place / "lake" / "answer").write_text(str(ask(config, "select 40 + 2")))
            cluster.stop()
            os._exit(0 if running and not cluster.running() else 1)
        os._exit(2)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert (place / "lake" / "answer").read_text() == "42"
    assert (place / "lake" / "postgres" / "data").stat().st_uid == 65534
    # Root finds the same lake and runs it as its owner.
    assert ask(Cluster(place / "lake", durable=False).ensure(), "select 1") == 1
    assert server(Cluster(place / "lake")).uids().real == 65534


def test_a_lock_dies_with_its_holder(tmp_path: Path) -> None:
    code = """
import sys, time
from pathlib import Path
from eolake.catalog.local.files import locked
with locked(Path(sys.argv[1])):
    print(1, flush=True)
    time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "lock")], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "1\n"
        holder.kill()
    with locked(tmp_path / "lock"):
        pass
