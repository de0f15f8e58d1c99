"""Requests read from, and replies written to, a raw socket: as slowly, as wrongly and as abruptly as a fault wants it."""

from __future__ import annotations

import fcntl
import os
import select
import socket
import ssl
import struct
import termios
import threading
import time
from collections.abc import Callable
from typing import BinaryIO
from urllib.parse import parse_qs, unquote

from eolake.ingest.simulators.faults import Drip, Hit
from eolake.ingest.simulators.gate import Pace
from eolake.ingest.simulators.messages import Request
from eolake.ingest.simulators.reply import Piece, Reply, Span, bounds, position, split, whole

LINE = 1 << 16
HEADERS = 1 << 18
BODY = 1 << 26
"""Most bytes of a request that are read."""
CHUNK = 1 << 23
"""Bytes handed to `sendfile` at a time."""
MADE = 1 << 18
"""Bytes made at a time where there is no file."""


class BadRequest(Exception):
    """What came is no request."""


class Gone(Exception):
    """The connection is over: the client left, the server stops, or a fault wants it so."""


class Peer:
    """The socket of one client."""

    def __init__(self, sock: socket.socket, address: str, stopped: threading.Event) -> None:
        self.sock, self.address, self._stopped = sock, address, stopped
        self.file = sock.makefile("rb", buffering=LINE)

    def send(self, data: bytes) -> None:
        """All of it. Raises Gone."""
        try:
            self.sock.sendall(data)
        except OSError as error:
            raise Gone from error

    def sendfile(self, file: BinaryIO, start: int, count: int) -> None:
        """Bytes of a file, by the kernel. Raises Gone."""
        try:
            while count:
                sent = os.sendfile(self.sock.fileno(), file.fileno(), start, count)
                if not sent:
                    raise Gone
                start, count = start + sent, count - sent
        except OSError as error:
            raise Gone from error

    @property
    def plain(self) -> bool:
        """Without TLS: the kernel may send files."""
        return not isinstance(self.sock, ssl.SSLSocket)

    def sleep(self, seconds: float | None) -> None:
        """Waits, for ever with None, but no longer than the client or the server does. Raises Gone."""
        until = None if seconds is None else time.monotonic() + seconds
        while until is None or time.monotonic() < until:
            step = 0.1 if until is None else max(0.0, min(0.1, until - time.monotonic()))
            if self._stopped.is_set() or self._left(step):
                raise Gone

    def _left(self, seconds: float) -> bool:
        try:
            if not select.select([self.sock], [], [], seconds)[0]:
                return False
            if not self.plain:  # bytes of TLS can't be looked at
                self._stopped.wait(seconds)
                return False
            if self.sock.recv(1, socket.MSG_PEEK) == b"":
                return True
        except (OSError, ValueError):
            return True
        self._stopped.wait(seconds)  # the next request is here already
        return False

    def drain(self, patience: float = 1.0) -> None:
        """Until the client has received what was sent, so that a reset takes nothing away."""
        until = time.monotonic() + patience
        while time.monotonic() < until and not self._stopped.is_set():
            left = fcntl.ioctl(self.sock.fileno(), termios.TIOCOUTQ, b"\0\0\0\0")
            if struct.unpack("i", left)[0] == 0:
                return
            time.sleep(0.002)

    def reset(self) -> None:
        """The next close is an RST."""
        self.drain()
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def close(self) -> None:
        """Ends the connection, politely unless `reset` was called."""
        self.file.close()
        self.sock.close()


def read_request(peer: Peer, scheme: str) -> Request | None:
    """The next request; None at the end of the connection. Raises BadRequest, Gone."""
    try:
        line = peer.file.readline(LINE)
        if not line.strip():
            return None
        try:
            method, target, _ = line.decode("latin-1").split()
        except ValueError as error:
            raise BadRequest from error
        headers = _headers(peer)
        if headers.get("expect", "").lower() == "100-continue":
            peer.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = _body(peer, headers)
    except OSError as error:
        raise Gone from error
    path, _, query = target.partition("?")
    if path.startswith(("http://", "https://")):
        path = "/" + path.partition("://")[2].partition("/")[2]
    return Request(
        method=method,
        path=unquote(path),
        query=parse_qs(query, keep_blank_values=True),
        headers=headers,
        body=body,
        client=peer.address,
        target=target,
        host=headers.get("host", ""),
        scheme=scheme,
    )


def _headers(peer: Peer) -> dict[str, str]:
    headers: dict[str, str] = {}
    size = 0
    while (line := peer.file.readline(LINE)).strip():
        size += len(line)
        if size > HEADERS:
            raise BadRequest
        name, _, value = line.decode("latin-1").partition(":")
        headers[name.strip().lower()] = value.strip()
    return headers


def _body(peer: Peer, headers: dict[str, str]) -> bytes:
    if "chunked" in headers.get("transfer-encoding", ""):
        return _chunked(peer)
    length = headers.get("content-length", "0")
    if not length.isdigit() or int(length) > BODY:
        raise BadRequest
    body: bytes = peer.file.read(int(length))
    return body


def _chunked(peer: Peer) -> bytes:
    body = b""
    while True:
        try:
            size = int(peer.file.readline(LINE).partition(b";")[0], 16)
        except ValueError as error:
            raise BadRequest from error
        if not size:
            while peer.file.readline(LINE).strip():
                continue
            return body
        body += peer.file.read(size)
        peer.file.readline(LINE)
        if len(body) > BODY:
            raise BadRequest


class Writer:
    """Sends one reply as its fault wants it."""

    def __init__(
        self,
        peer: Peer,
        reply: Reply,
        hit: Hit,
        *,
        paces: Callable[[], list[Pace]],
        sent: Callable[[int | None, int], None],
        done: Callable[[], None],
    ) -> None:
        """`paces`: the rates to keep; `sent`: told the place (of content) and number of bytes that go out; `done`: called before the last
        byte goes out, since a client that has it may ask for the next file at once."""
        self._peer, self._reply, self._fault, self._chance = peer, reply, hit.fault, hit.chance
        self._paces, self._sent, self._done = paces, sent, done
        self._chunked = hit.fault.chunked is not None

    def write(self) -> None:
        """All of it. Raises Gone when the connection is over, wanted or not."""
        fault, reply, peer = self._fault, self._reply, self._peer
        if fault.delay:
            peer.sleep(fault.delay)
        for n in range(fault.interim):
            peer.send(b"HTTP/1.1 100 Continue\r\n\r\n" if n % 2 == 0 else b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n")
        if not reply.pieces or (reply.size <= MADE and not self._slowed()):
            self._at_once()
        else:
            peer.send(reply.head())
            self._body()
        if reply.close or fault.chunked == "cut":
            raise Gone

    def _slowed(self) -> bool:
        fault = self._fault
        return self._chunked or bool(self._paces()) or any((fault.close, fault.reset, fault.stall, fault.drip, fault.inject))

    def _at_once(self) -> None:
        data = self._reply.head() + whole(self._reply.pieces)
        for piece in self._reply.pieces:
            self._sent(_start(piece), len(piece))
        self._done()
        self._peer.send(data)

    def _body(self) -> None:
        fault, size = self._fault, self._reply.size
        rest, last = split(self._reply.pieces, size - 1)
        if fault.stall is not None:
            rest = self._until(rest, position(fault.stall.after, size, self._chance, "stall"), size)
            self._peer.sleep(fault.stall.seconds)
        end, how = self._end(size)
        if end is not None:
            self._until(rest, end, size)
            self._abort(how)
        if fault.inject is not None:
            self._until(rest, position(fault.inject.after, size, self._chance, "inject"), size)
            self._pieces([fault.inject.text.encode()])
            self._abort("fin")
        if fault.drip is not None:
            rest = self._until(rest, position(fault.drip.after, size, self._chance, "drip"), size)
            self._drip(rest, fault.drip)
        else:
            self._pieces(rest)
        self._last(last)

    def _until(self, rest: list[Piece], at: int, size: int) -> list[Piece]:
        """Sends up to that offset of the body; returns what is left."""
        done = size - 1 - sum(len(piece) for piece in rest)
        before, after = split(rest, at - done)
        self._pieces(before)
        return after

    def _last(self, pieces: list[Piece]) -> None:
        data = whole(pieces)
        for piece in pieces:
            self._sent(_start(piece), len(piece))
        self._done()
        if self._chunked:
            data = (b"%x\r\n%b\r\n" % (len(data), data) if data else b"") + (b"" if self._fault.chunked == "cut" else b"0\r\n\r\n")
        self._peer.send(data)

    def _end(self, size: int) -> tuple[int | None, str]:
        """Where the connection ends before its time."""
        fault = self._fault
        if fault.close is not None:
            return position(fault.close.after, size, self._chance, "close"), fault.close.how
        if fault.reset is not None:
            for n, (start, stop) in enumerate(bounds(size, fault.reset.each)):
                if self._chance.share(f"reset{n}") < fault.reset.prob:
                    return start + self._chance.below(stop - start, f"at{n}"), fault.reset.how
        return None, "fin"

    def _abort(self, how: str) -> None:
        self._done()
        if how == "rst":
            self._peer.reset()
        raise Gone

    def _pieces(self, pieces: list[Piece]) -> None:
        for piece in pieces:
            if isinstance(piece, Span) and piece.content.path is not None and self._peer.plain and not self._chunked:
                with piece.content.path.open("rb") as file:
                    self._span(piece, file)
            else:
                self._made(piece)

    def _span(self, span: Span, file: BinaryIO) -> None:
        for start, stop in bounds(len(span), self._step(CHUNK)):
            self._peer.sendfile(file, span.start + start, stop - start)
            self._went(span.start + start, stop - start)

    def _made(self, piece: Piece) -> None:
        for start, stop in bounds(len(piece), self._step(MADE)):
            data = piece[start:stop] if isinstance(piece, bytes) else piece.content.read(piece.start + start, piece.start + stop)
            self._peer.send(b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data)
            self._went(piece.start + start if isinstance(piece, Span) else None, len(data))

    def _step(self, most: int) -> int:
        """Bytes at a time: a twentieth of a second where there is a rate."""
        rates = [pace.rate for pace in self._paces()]
        return max(1, min(most, int(min(rates) / 20))) if rates else most

    def _went(self, start: int | None, count: int) -> None:
        self._sent(start, count)
        wait = max((pace.take(count) for pace in self._paces()), default=0.0)
        if wait > 0.2:
            self._peer.sleep(wait)
        elif wait > 0.001:
            time.sleep(wait)

    def _drip(self, pieces: list[Piece], drip: Drip) -> None:
        step = max(1, int(drip.rate / 20))
        for piece in pieces:
            for start, stop in bounds(len(piece), step):
                self._made(piece[start:stop] if isinstance(piece, bytes) else piece.cut(start, stop))
                self._peer.sleep((stop - start) / drip.rate)


def _start(piece: Piece) -> int | None:
    return piece.start if isinstance(piece, Span) else None
