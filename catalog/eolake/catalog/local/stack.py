"""The local stack of one lake: PostgreSQL, the HTTP app, workers; started, found again, mended, stopped."""

from __future__ import annotations

import contextlib
import http.client
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType

import psutil

from eolake.catalog.errors import Unreachable
from eolake.catalog.lake import Lake
from eolake.catalog.local.cluster import Cluster, free_port, port_is_free
from eolake.catalog.local.files import locked
from eolake.catalog.local.loopback import ensure_loopback
from eolake.catalog.local.processes import Process, Record, eolake_command, read_record, start, stop, tail, this_process, write_record
from eolake.catalog.settings import CONFIG_NAME, Settings

DEFAULT_PORT = 8000
APP_PATIENCE = 90.0
"""Seconds within which the HTTP app must answer after its start."""

_POSTGRESQL, _SUPERVISOR, _HTTP = "postgresql", "supervisor", "http"

Note = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One part of the stack as it is now."""

    name: str
    state: str
    """running, crashed (nobody stopped it on purpose) or stopped."""
    pid: int | None = None
    url: str | None = None


class Stack:
    """What `eolake up` runs for one lake."""

    def __init__(self, settings: Settings, config: Path | None = None) -> None:
        self.settings = settings
        self._config = (config or settings.root / CONFIG_NAME).resolve()
        self.lake = Lake(settings=settings)
        self.cluster = Cluster(settings.state) if settings.private_cluster else None
        self._file = settings.state / "stack.json"

    # --- up ---

    def up(self, *, workers: int = 0, port: int | None = None, note: Note) -> list[str]:
        """Start or mend whatever does not run; the names of what was started (empty: everything ran already)."""
        self.settings.state.mkdir(parents=True, exist_ok=True)
        ensure_loopback()
        with locked(self.settings.state / "stack.lock"):
            self._leave_old_place(note)
            started = self._cluster_up(note)
            # The app loads its packages while the database is migrated, then waits for it.
            app = self._app_start(port, note)
            try:
                self._migrate(note)
                if app:
                    app = self._await_app(app, port, note)
            except BaseException:
                stop([app] if app else [])
                raise
            return started + ([_HTTP] if app else []) + self._workers_up(workers, note)

    def _leave_old_place(self, note: Note) -> None:
        """A lake that was moved while it ran: its processes still look at the old folder."""
        record = self._record()
        if record.root == str(self.settings.root):
            return
        note(f"The lake was moved from {record.root}: its processes are started again.")
        stop(record.processes.values())
        if self.cluster:
            self.cluster.stop()
        write_record(self._file, Record(root=str(self.settings.root)))

    def _cluster_up(self, note: Note) -> list[str]:
        started = []
        if self.cluster and not self.cluster.running():
            note("PostgreSQL: starting" if self.cluster.exists() else "PostgreSQL: making a private cluster")
            self.cluster.ensure()
            started = [_POSTGRESQL]
        write_record(self._file, replace(self._record(), database=self.cluster is not None))
        return started

    def _migrate(self, note: Note) -> None:
        from eolake.catalog.migrate import migrate, outstanding

        if names := outstanding(self.lake):
            note(f"Database: migrating ({', '.join(names)})")
            migrate(self.lake)
        self._relocate(note)

    def _relocate(self, note: Note) -> None:
        """Addresses of objects in catalog and cube, when the store is elsewhere than they say.

        By a process: the cube stands above us and is not ours to import."""
        from eolake.catalog.ledger.publications import place

        with self.lake.connect() as connection:
            written_for = place(connection)
        if written_for in (None, self.lake.store_config.url):
            return
        note(f"Store: moved from {written_for}; repairing addresses")
        answer = subprocess.run(self._command("relocate"), check=False, capture_output=True, text=True)
        if answer.returncode:
            raise Unreachable(f"`eolake relocate` failed: {answer.stderr.strip()}")

    @property
    def _app_log(self) -> Path:
        return self.settings.state / "logs" / "http.log"

    def _app_start(self, port: int | None, note: Note) -> Process | None:
        """The new process of the app; None when it runs already."""
        known = self._record().processes.get(_HTTP)
        if known and known.alive():
            return None
        chosen = _choose_port(port, known)
        url = f"http://127.0.0.1:{chosen}"
        note(f"HTTP app: starting on {url}")
        command = self._command("serve", "--port", str(chosen), "--wait", "120")
        process = start(command, folder=self.settings.root, log=self._app_log, url=url)
        self._remember(_HTTP, process)
        return process

    def _await_app(self, app: Process, port: int | None, note: Note) -> Process:
        """Wait for its answer; on another port when somebody took this one while it was starting."""
        try:
            _await_answer(app, self._app_log)
        except Unreachable:
            if port or app.alive() or port_is_free(_port(app)):
                raise
            again = self._app_start(None, note)
            if again is None:
                raise
            _await_answer(again, self._app_log)
            return again
        return app

    def _workers_up(self, wanted: int, note: Note) -> list[str]:
        """Dead workers are replaced; living ones beyond `wanted` are left alone."""
        known = {name: p for name, p in self._record().processes.items() if name.startswith("worker-")}
        names = sorted({*known, *(f"worker-{n}" for n in range(1, wanted + 1))}, key=lambda name: int(name.split("-")[1]))
        missing = [name for name in names if name not in known or not known[name].alive()]
        for name in missing:
            note(f"{name}: starting")
            self._remember(name, start(self._command("work"), folder=self.settings.root, log=self.settings.state / "logs" / f"{name}.log"))
        return missing

    def _command(self, *arguments: str) -> list[str]:
        return eolake_command(self._config, *arguments)

    # --- staying in the foreground ---

    def watched(self) -> bool:
        """Whether another `eolake up` stays in the foreground for this lake."""
        supervisor = self._record().processes.get(_SUPERVISOR)
        return supervisor is not None and supervisor.alive() and supervisor.pid != this_process().pid

    def watch(self, *, note: Note, patience: float = 1.0) -> None:
        """Stay until SIGINT or SIGTERM, start again what crashes, then stop everything."""
        self._remember(_SUPERVISOR, this_process())
        with _stop_signals() as ended:
            try:
                while not ended.wait(patience):
                    crashed = [part.name for part in self.parts() if part.state == "crashed"]
                    if crashed:
                        note(f"Crashed: {', '.join(crashed)}")
                        self.up(note=note)
            finally:
                note("Stopping")
                self.down()

    # --- down ---

    def down(self) -> list[str]:
        """Stop everything; the names of what ran."""
        if self.watched():
            stop([self._record().processes[_SUPERVISOR]], patience=60)
        if not self.settings.state.is_dir():
            return []
        with locked(self.settings.state / "stack.lock"):
            processes = {name: process for name, process in self._record().processes.items() if name != _SUPERVISOR}
            running = [name for name, process in processes.items() if process.alive()]
            stop(processes.values())
            if self.cluster and self.cluster.running():
                self.cluster.stop()
                running.append(_POSTGRESQL)
            self._file.unlink(missing_ok=True)
            return running

    # --- what is ---

    def parts(self) -> list[Part]:
        """Every part that runs or should."""
        record = self._record()
        own = [_part(name, process) for name, process in record.processes.items() if name != _SUPERVISOR]
        if _HTTP not in record.processes:
            own.insert(0, Part(name=_HTTP, state="stopped"))
        return [*self._database_part(wanted=record.database), *own]

    def _database_part(self, *, wanted: bool) -> Iterator[Part]:
        if self.cluster is None:
            return
        pid = self.cluster.pid()
        yield Part(name=_POSTGRESQL, state="running" if pid else "crashed" if wanted else "stopped", pid=pid)

    @property
    def url(self) -> str | None:
        """Where the HTTP app answers; None when it does not run."""
        process = self._record().processes.get(_HTTP)
        return process.url if process and process.alive() else None

    def _record(self) -> Record:
        return read_record(self._file) or Record(root=str(self.settings.root))

    def _remember(self, name: str, process: Process) -> None:
        record = self._record()
        write_record(self._file, replace(record, processes=record.processes | {name: process}))


def _part(name: str, process: Process) -> Part:
    alive = process.alive()
    return Part(name=name, state="running" if alive else "crashed", pid=process.pid if alive else None, url=process.url)


def _choose_port(asked: int | None, known: Process | None) -> int:
    """The one asked for, else the last one, else 8000, else any."""
    if asked:
        if not port_is_free(asked):
            raise Unreachable(f"port {asked} is taken; choose another with --port")
        return asked
    last = _port(known) if known and known.url else DEFAULT_PORT
    return last if port_is_free(last) else free_port()


def _port(process: Process) -> int:
    return int((process.url or "").rpartition(":")[2])


def _listens(process: Process) -> bool:
    """Whether this process, and not another program on the same port, would answer."""
    with contextlib.suppress(psutil.NoSuchProcess):
        sockets = psutil.Process(process.pid).net_connections("tcp")
        return any(s.status == psutil.CONN_LISTEN and s.laddr.port == _port(process) for s in sockets)
    return False


def _await_answer(process: Process, log: Path) -> None:
    """Wait until the app answers; Unreachable with the end of its log when it dies or stays silent."""
    deadline = time.monotonic() + APP_PATIENCE
    while time.monotonic() < deadline:
        if not process.alive():
            raise Unreachable(f"the HTTP app ended at its start; {log} says:\n{tail(log)}")
        if _listens(process) and _answers(process.url or ""):
            return
        time.sleep(0.05)
    raise Unreachable(f"the HTTP app does not answer after {APP_PATIENCE:.0f} s; see {log}")


def _answers(url: str) -> bool:
    """Asked directly: urllib would go through a proxy of the environment."""
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=10)
    try:
        connection.request("GET", "/")
        return connection.getresponse().status < 500
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


@contextmanager
def _stop_signals() -> Iterator[threading.Event]:
    """An event that SIGINT, SIGTERM and the end of the terminal set."""
    ended = threading.Event()

    def end(_signal: int, _frame: FrameType | None) -> None:
        ended.set()

    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield ended
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
