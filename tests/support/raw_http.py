"""A client that looks at bytes: what a server really put on the wire."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class Raw:
    """An answer as it came."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes
    end: str
    """`open`: the body was whole by Content-Length; `fin`, `rst`: how the connection ended; `timeout`: nothing more came."""
    before: bytes = b""
    """1xx answers."""

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def get(self, name: str) -> str | None:
        return next(iter(self.all(name)), None)


def fetch(url: str, *, method: str = "GET", body: bytes = b"", timeout: float = 5, **headers: str) -> Raw:
    """One request on a connection of its own; underscores in names of headers become hyphens."""
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname or "", parts.port or 80), timeout=timeout) as sock:
        return exchange(sock, url, method=method, body=body, **headers)


def exchange(sock: socket.socket, url: str, *, method: str = "GET", body: bytes = b"", **headers: str) -> Raw:
    """One request on an open connection."""
    parts = urlsplit(url)
    target = parts.path + (f"?{parts.query}" if parts.query else "")
    lines = [
        f"{method} {target} HTTP/1.1",
        f"Host: {parts.netloc}",
        *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items()),
    ]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    sock.sendall("\r\n".join([*lines, "", ""]).encode() + body)
    data, end, before = b"", "open", b""
    while b"\r\n\r\n" not in data or data.startswith(b"HTTP/1.1 1"):
        if data.startswith(b"HTTP/1.1 1") and b"\r\n\r\n" in data:
            head, _, data = data.partition(b"\r\n\r\n")
            before += head + b"\r\n\r\n"
            continue
        more, end = _receive(sock)
        if end != "open":
            return Raw(0, [], data, end, before)
        data += more
    head, _, rest = data.partition(b"\r\n\r\n")
    status, *fields = head.decode("latin-1").split("\r\n")
    pairs = [(name, value.strip()) for name, _, value in (field.partition(":") for field in fields)]
    lengths = [int(value) for name, value in pairs if name.lower() == "content-length"]
    nothing = method == "HEAD" or status.split()[1] in {"204", "304"}
    wanted = 0 if nothing else lengths[0] if lengths and lengths[0] >= 0 else None
    while wanted is None or len(rest) < wanted:
        more, end = _receive(sock)
        if end != "open":
            break
        rest += more
    return Raw(int(status.split()[1]), pairs, rest, end, before)


def _receive(sock: socket.socket) -> tuple[bytes, str]:
    try:
        data = sock.recv(1 << 16)
    except ConnectionResetError:
        return b"", "rst"
    except TimeoutError:
        return b"", "timeout"
    return data, "open" if data else "fin"
