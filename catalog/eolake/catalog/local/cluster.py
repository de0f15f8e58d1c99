"""A private PostgreSQL cluster in a folder: made, started, repaired and stopped without root rights and without a service manager.

    FOLDER/database.json     where it listens, and the generated password (0600): a DatabaseConfig
    FOLDER/postgres/         owned by whom the server runs as: data/, eolake.conf, server.log
    FOLDER/postgres.at       only when that user can't reach FOLDER: where the above folder is instead

It listens on 127.0.0.1 alone, on a port of its own, and lets in one role, `eolake`, which is no superuser (as on a
managed server). What needs a superuser is done before the start, in PostgreSQL's single-user mode.
"""

from __future__ import annotations

import json
import os
import pwd
import secrets
import shutil
import socket
import subprocess
import uuid
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import psutil
from pydantic import SecretStr

from eolake.catalog.errors import ConfigError, Unreachable
from eolake.catalog.local.files import locked, write_private
from eolake.catalog.local.loopback import ensure_loopback
from eolake.catalog.local.postgres import Programs, find_bindir, find_programs, server_user
from eolake.catalog.settings import DatabaseConfig

__all__ = ["ELSEWHERE", "Cluster", "find_bindir"]

ELSEWHERE = Path("/var/lib/eolake")
"""Clusters of lakes whose folder the server's user can't reach (say, in /root): one folder each, named by a UUID."""

LOG_LIMIT = 10 * 2**20
"""Bytes after which a start puts the server's log aside."""

_HBA = """\
# Written by eolake. One role, one address, one method.
host all eolake 127.0.0.1/32 scram-sha-256
"""

_SETTINGS = {
    "listen_addresses": "'127.0.0.1'",
    "unix_socket_directories": "''",
    "password_encryption": "'scram-sha-256'",
    "timezone": "'UTC'",
    "log_timezone": "'UTC'",
    "log_line_prefix": "'%m [%p] %a '",
    "max_connections": "80",
    "shared_buffers": "'256MB'",
    "effective_cache_size": "'1GB'",
    "work_mem": "'16MB'",
    "maintenance_work_mem": "'128MB'",
    "max_wal_size": "'2GB'",
    "wal_compression": "on",
    "random_page_cost": "1.1",
    "jit": "off",  # compiling costs more than pgSTAC's short queries
    "max_locks_per_transaction": "256",  # one statement of pgSTAC locks every partition of a collection
}

_UNSAFE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


class _PidFile(NamedTuple):
    pid: int
    port: int


@dataclass(frozen=True, kw_only=True)
class _Home:
    """The server's own folder."""

    path: Path
    owner: pwd.struct_passwd | None
    """Whom the server runs as; None = ourselves."""

    @property
    def data(self) -> Path:
        return self.path / "data"

    @property
    def log(self) -> Path:
        return self.path / "server.log"

    def run(self, *command: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """A program of PostgreSQL, as the server's user, in a folder which that user can enter."""
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("PG", "LC_", "LANG"))} | {"LC_ALL": "C.UTF-8"}
        given = {"input": stdin} if stdin is not None else {"stdin": subprocess.DEVNULL}
        user = {"user": self.owner.pw_uid, "group": self.owner.pw_gid, "extra_groups": []} if self.owner else {}
        try:
            return subprocess.run(command, text=True, capture_output=True, check=False, cwd="/", env=environment, **given, **user)  # type: ignore[call-overload,no-any-return]
        except PermissionError as error:
            name = self.owner.pw_name if self.owner else "running this command"
            raise ConfigError(f"the user {name} can't run {command[0]}: {error}; is / closed to it? chmod 755 /") from error

    def own(self, path: Path) -> None:
        """Hand a file or folder to the server's user."""
        if self.owner:
            os.chown(path, self.owner.pw_uid, self.owner.pw_gid)

    def write(self, name: str, text: str) -> None:
        """A file of the server, readable by nobody else."""
        write_private(self.path / name, text)
        self.own(self.path / name)


class Cluster:
    """The private PostgreSQL of the lake whose state is in `folder`.

    `durable=False` gives up safety against a power cut for speed: for tests."""

    def __init__(self, folder: Path, *, durable: bool = True) -> None:
        self.folder = folder.resolve()
        self.durable = durable

    @property
    def database_file(self) -> Path:
        """Host, port, role and password (0600)."""
        return self.folder / "database.json"

    @property
    def log(self) -> Path:
        """What the server says."""
        return self._home().log

    def exists(self) -> bool:
        """Whether the cluster was made already."""
        return (self._home().data / "PG_VERSION").is_file()

    def running(self) -> bool:
        """Whether the server of exactly this folder runs."""
        return self._server() is not None

    def pid(self) -> int | None:
        """The server's process; None when it does not run."""
        server = self._server()
        return server.pid if server else None

    def ensure(self) -> DatabaseConfig:
        """Make what is missing, mend what is broken, start, and say where it listens.

        Two callers at once wait for each other. ConfigError without PostgreSQL or PostGIS, Unreachable when it does not start."""
        self.folder.mkdir(parents=True, exist_ok=True)
        ensure_loopback()
        with locked(self.folder / "cluster.lock"):
            home = self._settle()
            if not self.exists():
                self._create(home)
            if not self.database_file.is_file():
                self.stop()
                self._let_in(home, self._programs(home))
            if not self._server():
                self._start(home)
            return self._credentials()

    def start(self) -> None:
        """Start an existing cluster; nothing happens when it runs."""
        self.ensure()

    def stop(self) -> None:
        """Stop the server in good order (clients are disconnected); nothing happens when it does not run."""
        home = self._home()
        if self._server() is None:
            return
        ctl = self._programs(home).program("pg_ctl")
        for mode in ("fast", "immediate"):
            home.run(ctl, "stop", "-D", str(home.data), "-w", "-t", "30", "-m", mode)
            if self._server() is None:
                return
        raise Unreachable(f"PostgreSQL in {home.data} does not stop; what it says is in {home.log}")

    def remove(self) -> None:
        """Stop the server and delete every byte of it."""
        if self.exists():
            self.stop()
        shutil.rmtree(self._home().path, ignore_errors=True)
        for file in (self.database_file, self.folder / "postgres.at", self.folder / "cluster.lock"):
            file.unlink(missing_ok=True)

    # --- where ---

    def _home(self) -> _Home:
        pointer = self.folder / "postgres.at"
        path = Path(pointer.read_text("utf-8").strip()) if pointer.is_file() else self.folder / "postgres"
        return _Home(path=path, owner=_owner(path / "data"))

    def _settle(self) -> _Home:
        """The server's folder, made where the server's user can reach it."""
        home = self._home()
        if home.path.is_dir() and _reaches(home):
            if home.path.parent == ELSEWHERE:  # so that `eolake doctor` can tell whose it was
                home.write("lake", f"{self.folder}\n")
            return home
        if home.data.exists():
            name = home.owner.pw_name if home.owner else "running this command"
            raise ConfigError(f"the user {name} can't reach {home.data}; open the folders above it (chmod o+x)")
        _make(home)
        if _reaches(home):
            return home
        home.path.rmdir()
        home = _Home(path=ELSEWHERE / str(uuid.uuid4()), owner=home.owner)
        ELSEWHERE.mkdir(mode=0o755, parents=True, exist_ok=True)
        _make(home)
        write_private(self.folder / "postgres.at", f"{home.path}\n")
        home.write("lake", f"{self.folder}\n")
        return home

    def _programs(self, home: _Home) -> Programs:
        """The PostgreSQL that made the cluster: a newer one can't read its files."""
        return find_programs(int((home.data / "PG_VERSION").read_text("ascii").strip()))

    # --- making ---

    def _create(self, home: _Home) -> None:
        """initdb, the role, the database, its extension. Built under another name: a kill in between leaves no half cluster."""
        programs = find_programs()
        fresh = home.path / "data.new"
        shutil.rmtree(fresh, ignore_errors=True)
        self._initdb(home, programs, fresh)
        with (fresh / "postgresql.conf").open("a", encoding="utf-8") as conf:
            conf.write("include '../eolake.conf'\n")
        (fresh / "pg_hba.conf").write_text(_HBA, "utf-8")
        extensions = [f"create extension if not exists {name}" for name in ("postgis", "btree_gist")]
        self._single(home, programs, fresh, "template1", extensions)
        self._let_in(home, programs, fresh)
        fresh.rename(home.data)

    def _initdb(self, home: _Home, programs: Programs, data: Path) -> None:
        """An empty cluster. The superuser's password is thrown away: nobody may log in as superuser over the network."""
        password = home.path / "initdb.password"
        home.write(password.name, secrets.token_urlsafe(32))
        access = ["-U", "postgres", "-A", "scram-sha-256", "--pwfile", str(password)]
        options = ["-E", "UTF8", "--locale=C.UTF-8", *([] if self.durable else ["--no-sync"])]
        answer = home.run(programs.program("initdb"), "-D", str(data), *access, *options)
        password.unlink()
        if answer.returncode:
            raise ConfigError(f"initdb failed: {answer.stderr.strip()}")

    def _let_in(self, home: _Home, programs: Programs, data: Path | None = None) -> None:
        """A new password for role eolake; the role and its database are made when absent. Needs a stopped server."""
        password = secrets.token_urlsafe(32)
        statements = [
            "do 'begin if to_regrole(''eolake'') is null then create role eolake; end if; end'",
            f"alter role eolake login createdb createrole password '{password}'",
            "grant pg_monitor, pg_signal_backend to eolake",
        ]
        if programs.major >= 16:  # there a role that makes roles does not own them by itself
            statements.append("alter role eolake set createrole_self_grant = 'set, inherit'")
        self._single(home, programs, data or home.data, "postgres", statements)
        if data:
            self._single(home, programs, data, "postgres", ["create database eolake owner eolake"])
        self._remember(port=free_port(), password=password)

    def _single(self, home: _Home, programs: Programs, data: Path, database: str, statements: list[str]) -> None:
        """Statements as superuser on a stopped cluster: one per line."""
        self._configure(home, port=0)
        self._evict(data)
        lines = "".join(f"{statement}\n" for statement in statements)
        answer = home.run(programs.program("postgres"), "--single", "-D", str(data), database, stdin=lines)
        faults = [line for line in answer.stderr.splitlines() if "ERROR:" in line or "FATAL:" in line]
        if any("postgis" in fault for fault in faults):
            raise ConfigError(
                f"PostGIS is not installed for PostgreSQL {programs.major}: apt-get install postgresql-{programs.major}-postgis-3"
            )
        if answer.returncode or faults:
            raise ConfigError(f"PostgreSQL could not be prepared: {'; '.join(faults) or answer.stderr.strip()}")

    # --- running ---

    def _start(self, home: _Home) -> None:
        """Start on the remembered port, or on another when somebody took it."""
        programs = self._programs(home)
        _rotate(home.log)
        self._evict(home.data)
        for _ in range(3):
            port = self._credentials().port
            if not port_is_free(port):
                port = free_port()
            self._configure(home, port=port)
            home.run(programs.program("pg_ctl"), "start", "-D", str(home.data), "-l", str(home.log), "-w", "-t", "120", "-s")
            if self._server():
                self._remember(port=port)
                return
            if port_is_free(port):
                break
        raise Unreachable(f"PostgreSQL in {home.data} does not start: {_last_fault(home.log)} (all of it: {home.log})")

    def _configure(self, home: _Home, *, port: int) -> None:
        """eolake.conf: written at every start, so that settings of a newer eolake take effect."""
        settings = _SETTINGS | ({} if self.durable else _UNSAFE) | ({"port": str(port)} if port else {})
        note = "# Written by eolake at every start; your own settings go behind the include in data/postgresql.conf.\n"
        home.write("eolake.conf", note + "".join(f"{key} = {value}\n" for key, value in settings.items()))

    def _server(self) -> _PidFile | None:
        """The running server of this folder.

        The number in postmaster.pid proves nothing after a crash or a copy: the process must be a postgres whose
        working folder is this data folder (which stays true when the folder is moved under a running server)."""
        data = self._home().data
        entry = _read_pid_file(data)
        return entry if entry and _serves(entry.pid, data) else None

    def _evict(self, data: Path) -> None:
        """Remove a postmaster.pid whose number belongs to some other living process: PostgreSQL would refuse to start.

        All other stale ones PostgreSQL recognises itself, by its shared memory."""
        entry = _read_pid_file(data)
        if entry and psutil.pid_exists(entry.pid) and not _serves(entry.pid, data):
            (data / "postmaster.pid").unlink()

    # --- what is remembered ---

    def _credentials(self) -> DatabaseConfig:
        config = DatabaseConfig.model_validate_json(self.database_file.read_text("utf-8"))
        server = self._server()
        return config.model_copy(update={"port": server.port}) if server else config

    def _remember(self, *, port: int, password: str | None = None) -> None:
        secret = SecretStr(password) if password else self._credentials().password
        config = DatabaseConfig(host="127.0.0.1", port=port, name="eolake", user="eolake", password=secret)
        write_database_file(self.database_file, config)


def write_database_file(path: Path, config: DatabaseConfig) -> None:
    """The one file with the password in it (0600)."""
    write_private(path, json.dumps({**config.model_dump(), "password": config.password.get_secret_value()}, indent=2) + "\n")


def free_port() -> int:
    """A TCP port on 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def port_is_free(port: int) -> bool:
    """Whether a server could listen on that port of 127.0.0.1 now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def _owner(data: Path) -> pwd.struct_passwd | None:
    """Whom the server runs as: the owner of its files when root meets the lake of an ordinary user."""
    user = server_user()
    if user and data.is_dir() and (uid := data.stat().st_uid) not in (0, user.pw_uid):
        return pwd.getpwuid(uid)
    return user


def _make(home: _Home) -> None:
    home.path.mkdir(mode=0o700, exist_ok=True)
    home.path.chmod(0o700)
    home.own(home.path)


def _reaches(home: _Home) -> bool:
    """Whether the server's user may write in its folder: asked as that user, since every folder above counts."""
    return home.run("test", "-w", str(home.path)).returncode == 0


def _read_pid_file(data: Path) -> _PidFile | None:
    """postmaster.pid: process, folder, start time, port, …, one a line."""
    with suppress(FileNotFoundError, ValueError, IndexError):
        lines = (data / "postmaster.pid").read_text("utf-8").splitlines()
        return _PidFile(int(lines[0]), int(lines[3]))
    return None


def _serves(pid: int, data: Path) -> bool:
    with suppress(psutil.Error, OSError):
        process = psutil.Process(pid)
        return process.status() != psutil.STATUS_ZOMBIE and Path(process.cwd()).samefile(data)
    return False


def _rotate(log: Path) -> None:
    if log.is_file() and log.stat().st_size > LOG_LIMIT:
        log.replace(log.with_suffix(".log.old"))


def _last_fault(log: Path) -> str:
    """The last FATAL or PANIC in the server's log."""
    if not log.is_file():
        return ""
    lines = [line for line in log.read_text("utf-8", "replace").splitlines() if "FATAL:" in line or "PANIC:" in line]
    return lines[-1] if lines else ""
