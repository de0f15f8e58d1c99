"""An FTP(S) server over a folder, with the habits of real ones: few sessions, no REST, sizes that are wrong, transfers that break off."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

from eolake.ingest.simulators.certificates import Certificate
from eolake.ingest.simulators.extras import need


@dataclass(frozen=True, slots=True, kw_only=True)
class FtpFaults:
    """What it does wrong."""

    connections: int = 0
    """Sessions of one address; 421 above. 0: any number."""
    no_rest: bool = False
    """502 for REST: nothing can be resumed."""
    no_size: bool = False
    wrong_size: int = 0
    """Added to what SIZE says."""
    listing: Literal["unix", "dos"] = "unix"
    no_mlsd: bool = False
    drop: int | None = None
    """Bytes after which a transfer ends."""
    times: int = 0
    """Only the first so many transfers of each file; 0: all."""
    how: Literal["426", "control", "silent"] = "426"
    """`control`: the session is closed as well; `silent`: it claims that the transfer is complete."""
    session_reuse: bool = False
    """Data connections must take up the TLS session of the control connection."""


class FtpStats:
    """What it saw; safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.commands: list[tuple[str, str]] = []
        """In order; passwords hidden."""
        self.open = 0
        self.max_open = 0
        self.bytes: Counter[str] = Counter()
        """Sent, by path on disk."""
        self._retrieved: Counter[str] = Counter()

    def opened(self, change: int) -> None:
        """A session began (+1) or ended (-1)."""
        with self._lock:
            self.open += change
            self.max_open = max(self.max_open, self.open)

    def command(self, name: str, argument: str) -> None:
        """A command came."""
        with self._lock:
            self.commands.append((name, argument))

    def sent(self, path: str, count: int) -> None:
        """Bytes of a file went out."""
        with self._lock:
            self.bytes[path] += count

    def retrieved(self, path: str) -> int:
        """Counts a transfer; how many there were of this file."""
        with self._lock:
            self._retrieved[path] += 1
            return self._retrieved[path]

    def count(self, name: str) -> int:
        """How often a command came."""
        with self._lock:
            return sum(command == name for command, _ in self.commands)


@dataclass(slots=True)
class FtpServer:
    """Serves a folder, read-only, until it is closed; a context manager."""

    folder: Path
    accounts: Mapping[str, str] = field(default_factory=lambda: {"user": "secret"})
    """User → password; `anonymous` takes any."""
    faults: FtpFaults = field(default_factory=FtpFaults)
    certificate: Certificate | None = None
    """With one it speaks TLS, and wants it."""
    port: int = 0
    stats: FtpStats = field(default_factory=FtpStats)
    _server: Any = None
    _handler: Any = None
    _thread: threading.Thread | None = None
    _stopped: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> Self:
        """Listens from now on. Raises ConfigError when pyftpdlib is not installed."""
        servers = need("pyftpdlib.servers", purpose="the FTP simulator")
        authorizers = need("pyftpdlib.authorizers", purpose="the FTP simulator")
        handlers = need("eolake.ingest.simulators.ftp_handlers", purpose="the FTP simulator")
        logging.getLogger("pyftpdlib").disabled = True  # it writes to stderr whatever its level
        authorizer = authorizers.DummyAuthorizer()
        for user, password in self.accounts.items():
            if user == "anonymous":
                authorizer.add_anonymous(str(self.folder))
            else:
                authorizer.add_user(user, password, str(self.folder), perm="elr")
        base = handlers.Control if self.certificate is None else handlers.TlsControl
        members: dict[str, Any] = {"authorizer": authorizer, "stats": self.stats, "faults": self.faults, "use_gmt_times": True}
        if self.certificate is not None:
            context = handlers.tls_context(str(self.certificate.certificate), str(self.certificate.key))
            members |= {"ssl_context": context, "tls_control_required": True, "tls_data_required": True}
        self._handler = type("SimulatedFtp", (base,), members)
        self.misbehave(self.faults)
        self._server = servers.FTPServer(("127.0.0.1", self.port), self._handler)
        self._server.max_cons_per_ip = self.faults.connections
        self.port = self._server.address[1]
        self._thread = threading.Thread(target=self._serve, name="simulator-ftp")
        self._thread.start()
        return self

    def misbehave(self, faults: FtpFaults) -> None:
        """Other faults from the next session on."""
        handlers = need("eolake.ingest.simulators.ftp_handlers", purpose="the FTP simulator")
        filesystems = need("pyftpdlib.filesystems", purpose="the FTP simulator")
        self.faults = faults
        self._handler.faults = faults
        self._handler.abstracted_fs = handlers.DosListing if faults.listing == "dos" else filesystems.AbstractedFS
        self._handler.proto_cmds = dict(self._handler.__mro__[1].proto_cmds)
        if faults.no_mlsd:
            handlers.without_mlsd(self._handler)
        if self._server is not None:
            self._server.max_cons_per_ip = faults.connections

    @property
    def url(self) -> str:
        """`ftp://127.0.0.1:PORT`; TLS is asked for within the session."""
        return f"ftp://127.0.0.1:{self.port}"

    def close(self) -> None:
        """Ends all sessions."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join()

    def _serve(self) -> None:
        while not self._stopped.is_set():
            self._server.ioloop.loop(timeout=0.05, blocking=False)
        self._server.close_all()
