"""A login service and a download host in one process, which count everything."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, override
from urllib.parse import parse_qs

import pytest

from eolake.ingest.logins import open_login
from eolake.ingest.logins.base import Login
from eolake.ingest.providers.base import ProviderConfig

USER, PASSWORD = "canary-user-7f3a", "canary-pass-9b2e ü&=+%"
TOKEN = "canary-token-51cd"
CANARIES = ("canary-pass-9b2e", "canary-token-51cd", "canary-access", "canary-refresh", "canary-key")
"""Parts of everything secret: what the service gives has them too."""


@dataclass
class Service:
    """Answers of `/token`, `/session/…`, `/m2m/…` and `/data`."""

    url: str = ""
    expires: float = 600
    refreshes: bool = True
    password: str = PASSWORD
    delay: float = 0
    answers: list[tuple[int, str]] = field(default_factory=list)
    """Given instead of the usual ones, first things first."""
    requests: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    valid: set[str] = field(default_factory=set)
    sessions: set[str] = field(default_factory=set)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, kind: str) -> int:
        """Requests of that grant type, or to that path."""
        return sum(kind in {form.get("grant_type"), path} for _, path, form in self.requests)

    def expire(self) -> None:
        self.valid.clear()

    def answer(self, method: str, path: str, form: dict[str, str], headers: Any) -> tuple[int, str]:
        with self.lock:
            self.requests.append((method, path, form))
            if self.answers and path != "/data":
                return self.answers.pop(0)
            number = len(self.requests)
            if path == "/data":
                shown = (headers.get("Authorization") or headers.get("X-Auth-Token") or "").removeprefix("Bearer ")
                return (200, "{}") if shown in self.valid else (401, "{}")
            if path.startswith("/session/"):
                self.sessions.discard(path.rpartition("/")[2])
                return 204, ""
            if path.startswith("/m2m/"):
                return self.m2m(path, form, number)
            return self.token(form, headers, number)

    def token(self, form: dict[str, str], headers: Any, number: int) -> tuple[int, str]:
        if form.get("grant_type") == "client_credentials":
            expected = base64.b64encode(f"{USER}:{self.password}".encode()).decode()
            known = headers.get("Authorization") == f"Basic {expected}"
        elif form.get("grant_type") == "refresh_token":
            known = self.refreshes and form["refresh_token"].removeprefix("canary-refresh-") in self.sessions
        else:
            known = (form.get("username"), form.get("password")) == (USER, self.password)
        if not known:
            return 401, json.dumps({"error": "invalid_grant", "error_description": f"wrong: {form}"})
        session = form["refresh_token"].removeprefix("canary-refresh-") if "refresh_token" in form else f"canary-session-{number}"
        self.sessions.add(session)
        self.valid = {f"canary-access-{number}"}
        document = {"access_token": f"canary-access-{number}", "expires_in": self.expires, "session_state": session}
        if form.get("grant_type") != "client_credentials":
            document |= {"refresh_token": f"canary-refresh-{session}", "refresh_expires_in": 3600}
        return 200, json.dumps(document)

    def m2m(self, path: str, form: dict[str, str], number: int) -> tuple[int, str]:
        if path.endswith("logout"):
            self.valid.clear()
            return 200, json.dumps({"data": None, "errorCode": None})
        if (form.get("username"), form.get("token")) != (USER, TOKEN):
            return 200, json.dumps({"data": None, "errorCode": "AUTH_INVALID", "errorMessage": f"no {form}"})
        self.valid = {f"canary-key-{number}"}
        return 200, json.dumps({"data": f"canary-key-{number}", "errorCode": None})


@pytest.fixture
def service() -> Iterator[Service]:
    service = Service()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def respond(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
            if self.headers.get("Content-Type") == "application/json":
                form = json.loads(body)
            else:
                form = {key: values[0] for key, values in parse_qs(body).items()}
            time.sleep(service.delay)
            status, text = service.answer(self.command, self.path, form, self.headers)
            self.send_response(status)
            self.send_header("Content-Length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode())

        do_GET = do_POST = do_DELETE = respond  # noqa: N815 -- the names of http.server

        @override
        def log_message(self, format: str, *args: Any) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    service.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield service
    server.shutdown()
    thread.join()
    server.server_close()


AUTH: dict[str, dict[str, Any]] = {
    "oidc-password": {"token_url": "{url}/token", "client_id": "cdse-public", "session_url": "{url}/session/{{session}}"},
    "client-credentials": {"token_url": "{url}/token", "revoke_url": "{url}/revoke"},
    "m2m": {"url": "{url}/m2m/"},
    "basic": {},
    "bearer": {},
}


def config(service: Service, kind: str = "oidc-password", **auth: Any) -> ProviderConfig:
    settings = {key: value.format(url=service.url) for key, value in AUTH[kind].items()}
    host = service.url.removeprefix("http://")
    return ProviderConfig(name="p", kind="none", auth={"kind": kind, **settings, **auth}, auth_hosts=(host,))


class Logins:
    """Opens logins of one folder, and closes them."""

    def __init__(self, service: Service, state: Path) -> None:
        self.service, self.state = service, state
        self.opened: list[Login] = []

    def __call__(self, kind: str = "oidc-password", reference: str = "env:CANARY", **auth: Any) -> Login:
        login = open_login(config(self.service, kind, **auth), reference, state=self.state)
        self.opened.append(login)
        return login


@pytest.fixture
def logins(service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Logins]:
    monkeypatch.setenv("CANARY_USERNAME", USER)
    monkeypatch.setenv("CANARY_PASSWORD", PASSWORD)
    monkeypatch.setenv("CANARY_TOKEN", TOKEN)
    found = Logins(service, tmp_path)
    yield found
    for login in found.opened:
        login.close()
