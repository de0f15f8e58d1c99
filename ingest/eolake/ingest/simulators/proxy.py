"""Proxies that misbehave: HttpProxy is a handler before another HTTP server; TcpProxy passes bytes of any protocol until it doesn't."""

from __future__ import annotations

import contextlib
import re
import socket
import struct
import threading
from typing import Self

import urllib3

from eolake.ingest.simulators.messages import Request, Response

HOP = frozenset(
    {"connection", "keep-alive", "transfer-encoding", "content-length", "te", "trailer", "upgrade", "expect", "proxy-connection"}
)
CONTENTS = re.compile(rb"<Contents>.*?</Contents>", re.DOTALL)


class HttpProxy:
    """Passes each request on, whole; the rules of the server that it is a handler of decide what becomes of the answer."""

    def __init__(self, upstream: str, *, truncate: int | None = None) -> None:
        """`upstream`: `http://host:port`; `truncate`: keys of an S3 listing that are shown."""
        self._upstream, self.truncate = upstream, truncate
        self._pool = urllib3.PoolManager(maxsize=16, retries=False)

    def __call__(self, request: Request) -> Response:
        """The answer of the server behind."""
        headers = {name: value for name, value in request.headers.items() if name not in HOP}
        answer = self._pool.request(
            request.method,
            self._upstream + request.target,
            body=request.body or None,
            headers=headers,
            redirect=False,
            preload_content=True,
            decode_content=False,
        )
        body = answer.data if self.truncate is None else self._truncated(answer.data, self.truncate)
        kept = {name: value for name, value in answer.headers.items() if name.lower() not in HOP or request.method == "HEAD"}
        return Response(status=answer.status, headers=kept, body=body)

    def close(self) -> None:
        """Ends its connections."""
        self._pool.clear()

    def _truncated(self, body: bytes, most: int) -> bytes:
        if b"<ListBucketResult" not in body:
            return body
        for contents in CONTENTS.findall(body)[most:]:
            body = body.replace(contents, b"", 1)
        return re.sub(rb"<IsTruncated>true</IsTruncated>", b"<IsTruncated>false</IsTruncated>", body)


class TcpProxy:
    """Bytes to and from `target`, each way in a thread; connections break after `cut` bytes from the server. A context manager."""

    def __init__(self, target: tuple[str, int], *, cut: int | None = None, reset: bool = False) -> None:
        """`reset`: they break with an RST."""
        self.target, self.cut, self.reset = target, cut, reset
        self.connections = 0
        self._lock = threading.Lock()
        self._sockets: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._acceptor = threading.Thread(target=self._accept, name="simulator-proxy")
        self._acceptor.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Breaks what is open."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._acceptor.join()
        self.drop()
        for thread in self._threads:
            thread.join()

    def drop(self) -> None:
        """Breaks all connections."""
        with self._lock:
            sockets = list(self._sockets)
        for sock in sockets:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return  # closed
            try:
                server = socket.create_connection(self.target, timeout=10)
            except OSError:
                client.close()
                continue
            server.settimeout(None)
            thread = threading.Thread(target=self._serve, args=(client, server), name="simulator-proxy")
            with self._lock:
                self.connections += 1
                self._sockets |= {client, server}
                self._threads.append(thread)
            thread.start()

    def _serve(self, client: socket.socket, server: socket.socket) -> None:
        up = threading.Thread(target=_pump, args=(client, server, None), name="simulator-proxy")
        up.start()
        whole = _pump(server, client, self.cut)
        if self.reset and not whole:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        else:
            with contextlib.suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)
        with contextlib.suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)
        if self.reset and not whole:
            with contextlib.suppress(OSError):
                client.shutdown(socket.SHUT_RD)  # wakes the other thread; what the client sees is the reset of the close
        up.join()
        client.close()
        server.close()
        with self._lock:
            self._sockets -= {client, server}


def _pump(source: socket.socket, target: socket.socket, most: int | None) -> bool:
    """Passes bytes on; False when it stopped because there were too many."""
    left = most
    try:
        while data := source.recv(1 << 16):
            if left is not None and len(data) >= left:
                target.sendall(data[:left])
                return False
            target.sendall(data)
            left = None if left is None else left - len(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        return True
    return True
