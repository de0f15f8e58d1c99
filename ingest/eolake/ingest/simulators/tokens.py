"""A token endpoint (OpenID Connect): password, refresh_token and client_credentials, with sessions that run out and fill up."""

from __future__ import annotations

import base64
import re
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from eolake.ingest.simulators.messages import Request, Response, json_response
from eolake.ingest.simulators.pages import page

TOKEN_PATHS = ("*/protocol/openid-connect/token", "/token", "/oauth2/token")
SESSION = re.compile(r".*/account/sessions/(?P<id>[^/]+)")


@dataclass(slots=True, kw_only=True)
class _Session:
    id: str
    account: str
    refresh: str
    refresh_until: float
    access: dict[str, float] = field(default_factory=dict)
    """Token → until when it holds."""


class Tokens:
    """Logs accounts in; safe for threads."""

    def __init__(
        self,
        accounts: Mapping[str, str] | None = None,
        *,
        clients: Mapping[str, str] | None = None,
        expires_in: float = 600,
        refresh_expires_in: float = 3600,
        max_sessions: int = 100,
        delay: float = 0,
        paths: tuple[str, ...] = TOKEN_PATHS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`accounts`: user → password; `clients`: client id → secret, for client_credentials; times in seconds; `paths`: globs."""
        self.accounts, self.clients = dict(accounts or {}), dict(clients or {})
        self.expires_in, self.refresh_expires_in, self.max_sessions, self.delay = expires_in, refresh_expires_in, max_sessions, delay
        self.refuse_refresh = False
        """Every refresh answers invalid_grant from now on."""
        self.requests: Counter[str] = Counter()
        """By grant; `refused` counts those that got no token."""
        self._paths, self._clock = paths, clock
        self._lock = threading.Lock()
        self._sessions: dict[str, _Session] = {}

    @property
    def sessions(self) -> int:
        """Open ones."""
        with self._lock:
            self._expire()
            return len(self._sessions)

    def account(self, request: Request) -> str:
        """Whose token it carries, for the limits of a server; the user of Basic; else `anonymous`."""
        if (basic := request.basic) is not None:
            return basic[0]
        token = request.bearer
        with self._lock:
            return next((session.account for session in self._sessions.values() if token in session.access), "anonymous")

    def check(self, request: Request) -> Response | None:
        """None when the request carries a valid token; else the refusal of CDSE's download host."""
        token = request.bearer
        if token is None:
            return page("token-missing")
        with self._lock:
            now = self._clock()
            valid = any(session.access.get(token, 0) > now for session in self._sessions.values())
        return None if valid else page("token-expired")

    def revoke(self) -> None:
        """All access tokens run out now; refreshing still works."""
        with self._lock:
            for session in self._sessions.values():
                session.access = dict.fromkeys(session.access, 0.0)

    def __call__(self, request: Request) -> Response | None:
        """Answers the token endpoint, `…/revoke`, and the end of a session."""
        if request.method == "POST" and any(fnmatchcase(request.path, glob) for glob in self._paths):
            if self.delay:
                time.sleep(self.delay)
            response = self._grant(request)
            self.requests["refused"] += response.status != 200
            return response
        if request.method == "POST" and request.path.endswith("/revoke"):
            return self._revoke(request.form().get("token", ""))
        session = SESSION.fullmatch(request.path)
        if session and request.method == "DELETE":
            return self._end(request, session["id"])
        return None

    def _grant(self, request: Request) -> Response:
        form = request.form()
        grant = form.get("grant_type", "")
        self.requests[grant] += 1
        with self._lock:
            self._expire()
            match grant:
                case "password":
                    return self._password(form)
                case "refresh_token":
                    return self._refresh(form)
                case "client_credentials":
                    return self._client(request, form)
        return _refused("unsupported_grant_type", "Unsupported grant_type", 400)

    def _password(self, form: Mapping[str, str]) -> Response:
        user = form.get("username", "")
        if not user or self.accounts.get(user) != form.get("password"):
            return _refused("invalid_grant", "Invalid user credentials", 401)
        return self._open(user, refreshable=True)

    def _client(self, request: Request, form: Mapping[str, str]) -> Response:
        client, secret = request.basic or (form.get("client_id", ""), form.get("client_secret", ""))
        if not client or self.clients.get(client) != secret:
            return _refused("invalid_client", "Invalid client credentials", 401)
        return self._open(client, refreshable=False)

    def _refresh(self, form: Mapping[str, str]) -> Response:
        found = next(
            (session for session in self._sessions.values() if session.refresh and session.refresh == form.get("refresh_token")), None
        )
        if found is None or self.refuse_refresh:
            return _refused("invalid_grant", "Token is not active", 400)
        return self._issue(found, refreshable=True)

    def _open(self, account: str, *, refreshable: bool) -> Response:
        if sum(session.account == account for session in self._sessions.values()) >= self.max_sessions:
            return _refused("invalid_grant", f"Exceeded the limit of {self.max_sessions} active sessions", 400)
        session = _Session(id=secrets.token_hex(16), account=account, refresh=secrets.token_hex(32) if refreshable else "", refresh_until=0)
        self._sessions[session.id] = session
        return self._issue(session, refreshable=refreshable)

    def _issue(self, session: _Session, *, refreshable: bool) -> Response:
        now = self._clock()
        token = secrets.token_hex(24)
        session.access[token] = now + self.expires_in
        session.refresh_until = now + (self.refresh_expires_in if refreshable else self.expires_in)
        document = {
            "access_token": token,
            "expires_in": int(self.expires_in),
            "token_type": "Bearer",
            "scope": "AUDIENCE_PUBLIC openid email",
        }
        if refreshable:
            document |= {
                "refresh_expires_in": int(self.refresh_expires_in),
                "refresh_token": session.refresh,
                "not-before-policy": 0,
                "session_state": session.id,
            }
        return json_response(document, headers={"Cache-Control": "no-store"})

    def _end(self, request: Request, id: str) -> Response:
        if (refused := self.check(request)) is not None:
            return refused
        with self._lock:
            known = self._sessions.pop(id, None) is not None
        self.requests["ended"] += known
        return Response(status=204) if known else json_response({"error": "Session not found"}, 404)

    def _revoke(self, token: str) -> Response:
        """The session of that token is over; unknown tokens are no error."""
        with self._lock:
            ended = [name for name, session in self._sessions.items() if token in session.access]
            for name in ended:
                del self._sessions[name]
        self.requests["ended"] += len(ended)
        return Response(status=200)

    def _expire(self) -> None:
        now = self._clock()
        self._sessions = {name: session for name, session in self._sessions.items() if session.refresh_until > now}


def _refused(error: str, description: str, status: int) -> Response:
    return json_response({"error": error, "error_description": description}, status)


def basic_header(user: str, password: str) -> str:
    """`Basic …`"""
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


class BasicAccounts:
    """Accounts of providers that use HTTP Basic: user → password."""

    def __init__(self, accounts: Mapping[str, str]) -> None:
        self.accounts = dict(accounts)

    def check(self, request: Request) -> Response | None:
        """None when the request carries a known account; else 401."""
        basic = request.basic
        if basic is not None and self.accounts.get(basic[0]) == basic[1]:
            return None
        return Response(
            status=401, headers={"WWW-Authenticate": 'Basic realm="simulator"', "Content-Type": "text/plain"}, body=b"Unauthorized"
        )
