"""What an attack is after: a secret beside the product, and a server that nobody should call. And who opens the product."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from support.reader import Reader
from support.workers import PROBE

SECRET = "CANARY-3f1c9a77e0b24d"


@pytest.fixture(autouse=True)
def _probe_sensor(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sensor of the probes is installed for this process too."""
    monkeypatch.syspath_prepend(str(PROBE))


@dataclass(slots=True, kw_only=True)
class Canary:
    """Reached by no attack."""

    file: Path
    """Holds the secret; it is larger than a page, so that it can be a raster's pixels."""
    port: int
    calls: list[bytes] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/canary"


@pytest.fixture(scope="module")
def canary(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Canary]:
    """Listens for connections; answers them with the secret."""
    file = tmp_path_factory.mktemp("secrets") / "canary.txt"
    file.write_text(f"{SECRET}\n" * 1000)
    with socket.create_server(("127.0.0.1", 0)) as server:
        found = Canary(file=file, port=server.getsockname()[1])

        def listen() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    connection.settimeout(1)
                    found.calls.append(connection.recv(1000))
                    connection.sendall(f"HTTP/1.0 200 OK\r\n\r\n{SECRET}".encode())

        threading.Thread(target=listen, daemon=True).start()
        yield found
        server.shutdown(socket.SHUT_RDWR)


@pytest.fixture(scope="module")
def reader() -> Iterator[Reader]:
    """A process like a converter."""
    with Reader(SECRET) as process:
        yield process


@pytest.fixture
def inside(tmp_path: Path, canary: Canary) -> Iterator[Path]:
    """Where the hostile file lies, beside its workspace; afterwards nothing lies outside and nobody called."""
    (tmp_path / "workspace").mkdir()
    before, calls = set(tmp_path.parent.iterdir()), len(canary.calls)
    yield tmp_path
    assert set(tmp_path.parent.iterdir()) == before
    assert {path.name for path in tmp_path.iterdir()} <= {"workspace", "in"}
    assert canary.calls[calls:] == []
    assert canary.file.read_text() == f"{SECRET}\n" * 1000
