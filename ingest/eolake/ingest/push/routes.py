"""The endpoint to which providers push notifications: `POST /push/NAME`, NAME a feed or a provider.

204 only after commit, also for what nobody wants; 401 and 404 without detail; 413 beyond 1 MiB; 400 for what is no notification;
503 for nothing but our own failures, so that the provider tries again.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
import logging
import threading
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from eolake.catalog.errors import EolakeError
from eolake.catalog.settings import Settings
from eolake.ingest.logins.secrets import Credential, read_secret
from eolake.ingest.push.gate import Connect, Gate
from eolake.ingest.push.intake import Intake
from eolake.ingest.push.notifications import BadNotification
from eolake.ingest.push.settings import push_settings

log = logging.getLogger(__name__)

LIMIT = 1 << 20
"""Bytes of a body."""
PATIENCE = 25.0
"""Seconds after which we give up on the database."""
REMEMBERED = 60.0
"""Seconds until the credential is read again."""


@dataclass(kw_only=True)
class Desk:
    """What the endpoint of one app works with; made when the first notification comes, so that a wrong feed stops nothing else."""

    settings: Settings
    connect: Connect
    _gate: Gate | None = None
    _credential: Credential | None = None
    _read_at: float = float("-inf")
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def ready(self) -> bool:
        """Whether nothing has to be read or made first, which may take a while."""
        return self._gate is not None and time.monotonic() - self._read_at <= REMEMBERED

    def prepare(self) -> None:
        """Read the credential, make the gate. ConfigError, SecretFault, SecretStoreFault: we can't."""
        with self._lock:
            if time.monotonic() - self._read_at > REMEMBERED:
                reference = push_settings(self.settings).credential
                self._credential = read_secret(reference) if reference is not None else None
                self._read_at = time.monotonic()
            if self._gate is None:
                self._gate = Gate(Intake(self.settings), self.connect)

    def allows(self, header: str) -> bool:
        """Whether the Authorization header is right, found out in constant time. ConfigError, MissingSecret: we can't know."""
        if self._credential is None:
            return False
        name, password = self._credential.need("username", "password")
        given = _decoded(header)
        same_name = hmac.compare_digest(_digest(given[0]), _digest(name.encode()))
        same_password = hmac.compare_digest(_digest(given[1]), _digest(password.encode()))
        return same_name & same_password

    @property
    def gate(self) -> Gate:
        """The one gate, once it is prepared."""
        if self._gate is None:
            raise RuntimeError("nothing was prepared")
        return self._gate

    def close(self) -> None:
        """Write what waits."""
        if self._gate is not None:
            self._gate.close()


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    desk = app.state.push = Desk(settings=app.state.lake.settings, connect=app.state.pool.connection)
    yield
    await run_in_threadpool(desk.close)


router = APIRouter(lifespan=_lifespan)


HEADERS: Mapping[int, Mapping[str, str]] = {
    401: {"WWW-Authenticate": 'Basic realm="push"'},
    413: {"Connection": "close"},
    503: {"Retry-After": "5"},
}


@router.post("/push/{name}", status_code=204, include_in_schema=False)
async def receive(name: str, request: Request) -> Response:
    """One notification, or an array of them."""
    try:
        status = await _received(request.app.state.push, name, request)
    except ClientDisconnect:
        status = 400  # nobody reads it
    except BadNotification as error:
        log.warning("a push to %r: %s", name, error)
        status = 400
    except EolakeError as error:
        log.error("a push to %r can't be taken: %s", name, error)  # noqa: TRY400 -- says what to do
        status = 503
    except Exception:
        log.exception("a push to %r failed", name)
        status = 503
    return Response(status_code=status, headers=dict(HEADERS.get(status, {})))


async def _received(desk: Desk, name: str, request: Request) -> int:
    if not desk.ready:
        await run_in_threadpool(desk.prepare)
    if not desk.allows(request.headers.get("authorization", "")):
        return 401
    scope = desk.gate.intake.scope(name)
    if scope is None:
        return 404
    body = await _body(request)
    if body is None:
        return 413
    await asyncio.wait_for(asyncio.wrap_future(desk.gate.put(scope, body)), PATIENCE)
    return 204


async def _body(request: Request) -> bytes | None:
    """None when it is too large, whether it says so or not; nothing of it is kept then."""
    declared = request.headers.get("content-length", "")
    if declared.isascii() and declared.isdigit() and int(declared) > LIMIT:
        return None
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > LIMIT:
            return None
    return bytes(body)


def _decoded(header: str) -> tuple[bytes, bytes]:
    """Name and password of HTTP Basic; empty when there are none."""
    scheme, _, value = header.partition(" ")
    try:
        pair = base64.b64decode(value.strip(), validate=True) if scheme.lower() == "basic" else b""
    except (binascii.Error, ValueError):
        pair = b""
    name, _, password = pair.partition(b":")
    return name, password


def _digest(value: bytes) -> bytes:
    """Of one length, whatever the value's."""
    return hashlib.sha256(value).digest()
