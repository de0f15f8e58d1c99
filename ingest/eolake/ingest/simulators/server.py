"""An HTTP server on raw sockets that can be told to do everything wrong that providers do wrong.

    with Server(handler, seed=7) as server:
        server.script([{"match": "/f/*", "nth": [1], "fault": {"close": {"after": 1000, "how": "rst"}}}])
        ...  # GET {server.url}/f/data.bin?size=100000&seed=1
        assert server.stats.path("/f/data.bin").requests == 2

Besides what its handlers answer it has `/f/NAME?size=&seed=` (noise), `/zip/NAME?size=&seed=` (a stored zip), `/digest/f/NAME?…` and
`/digest/zip/NAME?…` (their digests), `/login` (a page), and for other programs `POST /_script`, `/_limits`, `/_reset`, `/_refuse?seconds=`
and `GET /_stats`. Ports are of 127.0.0.1; each connection has a thread.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import selectors
import socket
import ssl
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from eolake.catalog.errors import ConfigError
from eolake.ingest.simulators.content import Content, Kept, digests, generated, of_bytes, zip_bytes
from eolake.ingest.simulators.faults import Chance, Fault, Hit, Limits, Redirect, Rule, Script, as_rules, parse_behaviour
from eolake.ingest.simulators.gate import Gate, Pace
from eolake.ingest.simulators.messages import Handler, Request, Response, json_response, text_response
from eolake.ingest.simulators.pages import page
from eolake.ingest.simulators.reply import Reply, reply_of
from eolake.ingest.simulators.stats import Seen, Stats
from eolake.ingest.simulators.wire import BadRequest, Gone, Peer, Writer, read_request

__all__ = ["Content", "Handler", "Request", "Response", "Server", "account_of", "json_response", "text_response"]

LOGGER = logging.getLogger(__name__)
DIGESTS = ("md5", "sha256", "sha3-256", "blake3")
NO_FAULT = Hit(fault=Fault(), chance=Chance(key=""))


def account_of(request: Request) -> str:
    """Whose request it is: the user of Basic, else a digest of the credential, else `anonymous`."""
    if (basic := request.basic) is not None:
        return basic[0]
    secret = request.headers.get("authorization") or request.headers.get("x-auth-token") or ""
    return hashlib.sha256(secret.encode()).hexdigest()[:12] if secret else "anonymous"


class Server:
    """Serves until it is closed; a context manager."""

    def __init__(
        self,
        *handlers: Handler,
        host: str = "127.0.0.1",
        port: int = 0,
        tls: ssl.SSLContext | None = None,
        seed: int = 0,
        limits: Limits | None = None,
        account: Callable[[Request], str] = account_of,
    ) -> None:
        """`tls`: a server context; `account`: whose limits a request falls under. Raises ConfigError when the port is taken."""
        self._listeners = [_listen(host, port)]
        self._ports = [self._listeners[0].getsockname()[1]]
        self._handlers = handlers
        self._host, self._tls, self._account = host, tls, account
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self._threads: set[threading.Thread] = set()
        self._peers: set[Peer] = set()
        self._tokens: dict[str, float] = {}
        self._folder = tempfile.TemporaryDirectory(prefix="eolake-simulator-")
        self._kept = Kept(Path(self._folder.name))
        self._refusing = 0.0
        self._shut = threading.Event()
        """Set while connections are refused."""
        self.stats = Stats()
        self._seed = seed
        self._script = Script(seed=seed)
        self._gate = Gate(limits or Limits(), self.stats)
        self._wake, self._woken = socket.socketpair()
        self._acceptor = threading.Thread(target=self._accept, name="simulator")
        self._acceptor.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def url(self) -> str:
        """`http://127.0.0.1:PORT`"""
        return self._url(0)

    @property
    def port(self) -> int:
        """Of its first listener."""
        return int(self._ports[0])

    @property
    def second_url(self) -> str:
        """The same server under another port: for a client, another host."""
        with self._lock:
            if len(self._listeners) == 1:
                self._listeners.append(_listen(self._host, 0))
                self._ports.append(self._listeners[1].getsockname()[1])
        self._wake.send(b"x")
        return self._url(1)

    def _url(self, index: int) -> str:
        return f"{'https' if self._tls else 'http'}://{self._host}:{self._ports[index]}"

    # --- what tests and users set ---

    def handle(self, handler: Handler) -> None:
        """Asks this handler too, before all others."""
        self._handlers = (handler, *self._handlers)

    def script(self, rules: Sequence[Rule | Mapping[str, Any]], *, seed: int | None = None) -> None:
        """These rules from now on, counted from zero. Raises ConfigError for a rule that is none."""
        self._seed = self._seed if seed is None else seed
        self._script = Script(rules=as_rules(rules), seed=self._seed)

    def limit(self, limits: Limits | None = None, **fields: Any) -> None:
        """These limits from now on, counted from zero."""
        self._gate = Gate(limits or Limits.model_validate(fields), self.stats)

    def reset(self) -> None:
        """No rules, no limits, empty stats."""
        self._script = Script(seed=self._seed)
        self._gate = Gate(Limits(), self.stats)
        self._tokens.clear()
        self.stats.clear()

    def refuse(self, seconds: float) -> None:
        """Close the port for so long: new connections are refused."""
        with self._lock:
            self._refusing = max(self._refusing, time.monotonic() + seconds)
        self._wake.send(b"x")
        self._shut.wait(5)  # the caller may rely on it

    def drop(self) -> None:
        """End all open connections, wherever they are."""
        with self._lock:
            peers = list(self._peers)
        for peer in peers:
            with contextlib.suppress(OSError):
                peer.sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Ends everything and waits for it; a second time it does nothing."""
        if self._stopped.is_set():
            return
        self._stopped.set()
        self._wake.send(b"x")
        self._acceptor.join()
        self.drop()
        with self._lock:
            threads = list(self._threads)
        for thread in threads:
            thread.join()
        self._wake.close()
        self._woken.close()
        self._folder.cleanup()

    # --- connections ---

    def _accept(self) -> None:
        open_now = True
        while not self._stopped.is_set():
            refuse = self._refusing > time.monotonic()
            if refuse and open_now:
                self._close_ports()
                open_now = False
                self._shut.set()
            elif not refuse and not open_now:
                for listener in self._listeners:
                    listener.listen(256)
                open_now = True
                self._shut.clear()
            self._wait(self._listeners if open_now else [], max(0.0, self._refusing - time.monotonic()) if refuse else None)
        for listener in self._listeners:
            listener.close()

    def _close_ports(self) -> None:
        """Connections are refused, but nobody else gets the ports."""
        with self._lock:
            for listener in self._listeners:
                listener.close()
            self._listeners = [_bound(self._host, port) for port in self._ports]

    def _wait(self, listeners: Sequence[socket.socket], timeout: float | None) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._woken, selectors.EVENT_READ)
            for listener in listeners:
                selector.register(listener, selectors.EVENT_READ)
            for key, _ in selector.select(timeout):
                if key.fileobj is self._woken:
                    self._woken.recv(64)
                else:
                    self._begin(key.fileobj)  # type: ignore[arg-type]

    def _begin(self, listener: socket.socket) -> None:
        try:
            sock, address = listener.accept()
        except OSError:
            return  # the client has gone again
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        thread = threading.Thread(target=self._serve, args=(sock, f"{address[0]}:{address[1]}"), name="simulator-connection")
        with self._lock:
            self._threads.add(thread)
        thread.start()

    def _serve(self, sock: socket.socket, address: str) -> None:
        try:
            if self._tls is not None:
                sock.settimeout(10)
                sock = self._tls.wrap_socket(sock, server_side=True)
                sock.settimeout(None)
        except OSError:
            sock.close()  # the client does not trust the certificate
            self._ended()
            return
        peer = Peer(sock, address, self._stopped)
        with self._lock:
            self._peers.add(peer)
        connection = _Connection(self, peer, self.stats.accepted())
        try:
            while not self._stopped.is_set() and connection.exchange():
                continue
        finally:
            connection.close()
            with self._lock:
                self._peers.discard(peer)
            self._ended()

    def _ended(self) -> None:
        with self._lock:
            self._threads.discard(threading.current_thread())

    # --- requests ---

    def admit(self, request: Request) -> tuple[Hit, str, Gate]:
        """What a rule wants of it, whose it is, and the limits it falls under."""
        account = self._account(request)
        secret = request.headers.get("authorization", "")
        now = time.monotonic()
        age = now - self._tokens.setdefault(secret, now) if secret else 0.0
        return self._script.pick(request, account=account, token_age=age) or NO_FAULT, account, self._gate

    def answer(self, request: Request, fault: Fault) -> Response:
        """What handlers say, or a fault in their place."""
        if not fault.replaces:
            return self._handled(request)
        if fault.run:
            self._handled(request)
        if fault.redirect is not None:
            return Response(status=fault.redirect.status, headers={"Location": self._location(request, fault.redirect)})
        if fault.page is not None:
            return page(fault.page, fault.status)
        status = fault.status or 200
        return json_response({"detail": f"simulated {status}"}, status)

    def _location(self, request: Request, redirect: Redirect) -> str:
        to = {"loop": "{target}", "login": "{base}/login"}.get(redirect.to, redirect.to)
        second = self.second_url if "{second}" in to else ""
        return to.replace("{second}", second).replace("{base}", request.base).replace("{target}", request.target)

    def _handled(self, request: Request) -> Response:
        for handler in (*self._handlers, self._own):
            try:
                response = handler(request)
            except Exception as error:
                LOGGER.exception("%s %s", request.method, request.path)
                return json_response({"detail": f"the simulator itself failed: {error!r}"}, 500)
            if response is not None:
                return response
        return json_response({"detail": "Not Found"}, 404)

    def _own(self, request: Request) -> Response | None:
        kind, _, rest = request.path.lstrip("/").partition("/")
        match kind:
            case "f" | "zip" if rest:
                return Response(body=self.content(request))
            case "digest" if rest:
                return json_response(digests(self.content(request), *DIGESTS))
            case "login":
                return page("login")
            case _:
                return None

    def content(self, request: Request) -> Content:
        """What `/f/NAME` or `/zip/NAME` (or either below `/digest`) is."""
        path = request.path.lstrip("/").removeprefix("digest/")
        name = path.removeprefix("f/").removeprefix("zip/")
        size, seed = int(request.get("size") or 1 << 20), int(request.get("seed") or 0)
        if path.startswith("zip/"):
            return of_bytes(zip_bytes(name, size, seed), media_type="application/zip", filename=name)
        return self._kept.keep(generated(name, size, seed))

    def control(self, request: Request) -> Response | None:
        """`/_script` and its like; never subject to rules and limits."""
        if not request.path.startswith("/_"):
            return None
        try:
            match request.method, request.path:
                case "POST", "/_script":
                    behaviour = parse_behaviour(request.json())
                    self.script(behaviour.rules, seed=int(request.get("seed") or self._seed))
                    if behaviour.limits != Limits():
                        self.limit(behaviour.limits)
                case "POST", "/_limits":
                    self.limit(parse_behaviour({"limits": request.json()}).limits)
                case "POST", "/_reset":
                    self.reset()
                case "POST", "/_refuse":
                    self.refuse(float(request.get("seconds") or 1))
                case "GET", "/_stats":
                    return json_response(self.stats.document())
                case _:
                    return None
        except (ConfigError, ValueError) as error:
            return json_response({"detail": str(error)}, 400)
        return Response(status=204)


class _Connection:
    """One TCP connection and its requests, one after the other."""

    def __init__(self, server: Server, peer: Peer, number: int) -> None:
        self._server, self._peer, self._number = server, peer, number
        self._stats = server.stats
        self._accounts: dict[str, Gate | None] = {}
        self._pace: Pace | None = None

    def exchange(self) -> bool:
        """One request and its answer; False when the connection is over."""
        try:
            request = read_request(self._peer, "http" if self._peer.plain else "https")
            if request is None:
                return False
            control = self._server.control(request)
            if control is not None:
                reply = reply_of(request, control, Fault(), NO_FAULT.chance)
                Writer(self._peer, reply, NO_FAULT, paces=list, sent=lambda _start, _count: None, done=lambda: None).write()
            else:
                self._respond(request)
        except Gone:
            return False
        except BadRequest:
            with contextlib.suppress(Gone):
                self._peer.send(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            return False
        return request.headers.get("connection", "").lower() != "close"

    def close(self) -> None:
        """Gives back what the connection holds."""
        self._peer.close()
        for account, gate in self._accounts.items():
            self._stats.held(account, -1)
            if gate is not None:
                gate.leave(account)

    def _respond(self, request: Request) -> None:
        hit, account, gate = self._server.admit(request)
        seen = Seen(
            at=0,
            method=request.method,
            path=request.path,
            account=account,
            host=request.host,
            authorization=bool(request.headers.get("authorization") or request.headers.get("x-auth-token")),
            range=request.headers.get("range"),
            connection=self._number,
            fault=hit is not NO_FAULT,
        )
        self._stats.begin(seen)
        with contextlib.ExitStack() as stack:  # emptied before the last byte goes out
            stack.callback(self._stats.end, seen)
            if hit.fault.refuse is not None:
                self._ban(hit.fault.refuse)
            refusal = self._enter(request, account, gate, stack)
            if refusal is not None:
                self._stats.refused(account)
                hit = NO_FAULT
            self._send(request, refusal or self._server.answer(request, hit.fault), hit, gate, seen, stack)

    def _enter(self, request: Request, account: str, gate: Gate, stack: contextlib.ExitStack) -> Response | None:
        """Takes what the request needs of its account's limits; the refusal when there is no more."""
        if not gate.concerns(request.path):
            return None
        if account not in self._accounts:
            self._stats.held(account, +1)
            self._accounts[account] = None
        if gate.frequent(account):
            return page("sessions-json")
        whole = gate.limits.count == "connections"
        if not whole or self._accounts[account] is None:
            if not gate.enter(account):
                return self._over(account, gate)
            if whole:
                self._accounts[account] = gate
            else:
                stack.callback(gate.leave, account)
        self._stats.transfers(account, +1)
        stack.callback(self._stats.transfers, account, -1)
        return None

    def _over(self, account: str, gate: Gate) -> Response:
        if gate.limits.over == "refuse":
            self._stats.refused(account)
            self._ban(gate.limits.ban)
        return page("sessions-json" if gate.limits.over == "429" else "flows-xml")

    def _ban(self, seconds: float) -> None:
        self._server.refuse(seconds)
        self._peer.reset()
        raise Gone

    def _send(self, request: Request, response: Response, hit: Hit, gate: Gate, seen: Seen, stack: contextlib.ExitStack) -> None:
        reply: Reply = reply_of(request, response, hit.fault, hit.chance)
        seen.status = reply.status

        def sent(start: int | None, count: int) -> None:
            self._stats.body(seen, start, count)
            gate.count(seen.account, count)

        def paces() -> list[Pace]:
            rate = gate.rate(seen.account)
            if rate is not None and (self._pace is None or self._pace.rate != rate):
                self._pace = Pace(rate)
            mine = [self._pace] if rate is not None and self._pace is not None else []
            return [*mine, *([gate.total] if gate.total is not None else [])]

        Writer(self._peer, reply, hit, paces=paces, sent=sent, done=stack.close).write()


def _listen(host: str, port: int) -> socket.socket:
    listener = _bound(host, port)
    listener.listen(256)
    return listener


def _bound(host: str, port: int) -> socket.socket:
    """A socket that has the port; connections are refused until it listens."""
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise ConfigError(f"port {port} of {host} can't be had: {error.strerror}; choose another, or 0 for any") from error
    return listener
