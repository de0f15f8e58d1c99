"""How services give tokens: OpenID Connect by password (CDSE), client credentials (EUMETSAT), login-token (USGS M2M)."""

from __future__ import annotations

import base64
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import orjson
import urllib3
from urllib3.exceptions import HTTPError, NewConnectionError

from eolake.catalog.errors import ConfigError
from eolake.ingest.faults import Kind, ProviderFault
from eolake.ingest.logins.errors import LoginRefused
from eolake.ingest.logins.secrets import Credential, Secret
from eolake.ingest.logins.tokens import Token

LIMIT = 1 << 20
"""Bytes of an answer."""
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
REFUSALS = frozenset({"invalid_grant", "invalid_client", "unauthorized_client", "access_denied", "AUTH_INVALID", "AUTH_UNAUTHORIZED"})
FORM = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}


def sealed(url: str, *, insecure: bool = False) -> bool:
    """Whether a secret may travel to this URL: encrypted, or not off this machine."""
    parts = urlsplit(url)
    return parts.scheme in {"https", "ftps", "ftpes", "s3"} or insecure or parts.hostname in LOOPBACK


@dataclass(slots=True, kw_only=True)
class Service:
    """Small exchanges with a token endpoint; nothing of what is sent stands in an error."""

    pool: urllib3.PoolManager
    timeout: float = 30
    """Seconds without a byte."""

    @classmethod
    def of(cls, ca_file: str | None = None) -> Service:
        """`ca_file`: whom it trusts, instead of all that the machine trusts."""
        return cls(pool=urllib3.PoolManager(ssl_context=ssl.create_default_context(cafile=ca_file)))

    def ask(self, method: str, url: str, headers: Mapping[str, str], body: str | bytes | None = None) -> tuple[int, Any]:
        """(status, document or None). A connection that can't be made is tried again; nothing else, for it may have opened a session."""
        for attempt in range(3):
            try:
                return self._exchange(method, url, headers, body)
            except NewConnectionError:
                if attempt == 2:
                    break
            except (HTTPError, OSError) as error:
                raise self._silent(url, type(error).__name__) from None
        raise self._silent(url, "no connection")

    def _exchange(self, method: str, url: str, headers: Mapping[str, str], body: str | bytes | None) -> tuple[int, Any]:
        response = self.pool.request(
            method,
            url,
            body=body,
            headers={"User-Agent": "eolake", **headers},
            timeout=urllib3.Timeout(connect=min(10, self.timeout), read=self.timeout),
            redirect=False,
            retries=False,
            preload_content=False,
        )
        try:
            content = response.read(LIMIT, decode_content=True)
        finally:
            response.close()
        try:
            return response.status, orjson.loads(content)
        except orjson.JSONDecodeError:
            return response.status, None

    @staticmethod
    def _silent(url: str, why: str) -> ProviderFault:
        host = urlsplit(url).netloc
        return ProviderFault(f"the login service {host} does not answer ({why}); it is tried again", Kind.TRANSIENT, host=host)

    def close(self) -> None:
        """Close the connections."""
        self.pool.clear()


def basic(username: str, password: str) -> str:
    """The value of an Authorization header."""
    return f"Basic {base64.b64encode(f'{username}:{password}'.encode()).decode()}"


def _refusal(url: str, status: int, document: Any) -> ProviderFault:
    """A fault for an answer that is no token; only the error's code is shown: a text might repeat what was sent."""
    host = urlsplit(url).netloc
    said = document.get("error") or document.get("errorCode") if isinstance(document, dict) else None
    code = said if isinstance(said, str) and len(said) < 60 and said.replace("_", "").isalnum() else None
    told = f"{status}{f' ({code})' if code else ''}"
    if code in REFUSALS or (status in {400, 401, 403} and (code is None or status != 400)):
        return LoginRefused(
            f"{host} refuses the login: {told}; check name and password by hand on its web page, then eolake retry",
            host=host,
            status=status,
        )
    if status == 429 or (code or "").startswith("RATE_LIMIT"):
        return ProviderFault(f"{host} takes no more logins for now: {told}", Kind.RATE, host=host, status=status, code=code)
    kind = Kind.TRANSIENT if status >= 500 or status == 200 else Kind.CONFIG
    return ProviderFault(f"{host} gives no token: {told}", kind, host=host, status=status, code=code)


@dataclass(frozen=True, slots=True, kw_only=True)
class OidcPassword:
    """Name and password of a person for a token and a refresh token."""

    service: Service
    secret: Callable[[], Credential]
    url: str
    client: str
    session_url: str | None = None
    """Ends a session by DELETE; `{session}` is its name."""

    def login(self, now: float) -> Token:
        """See Grant."""
        username, password = self.secret().need("username", "password")
        return self._token({"grant_type": "password", "username": username, "password": password}, now)

    def renew(self, token: Token, now: float) -> Token:
        """See Grant."""
        refresh = token.refresh.reveal() if token.refresh else ""
        return self._token({"grant_type": "refresh_token", "refresh_token": refresh}, now)

    def end(self, token: Token) -> None:
        """See Grant."""
        if self.session_url is None or token.session is None:
            return
        url = self.session_url.format(session=quote(token.session.reveal(), safe=""))
        status, document = self.service.ask("DELETE", url, {"Authorization": f"Bearer {token.value.reveal()}"})
        if not 200 <= status < 300 and status not in {401, 404}:  # those: it has ended already
            raise _refusal(url, status, document)

    def _token(self, form: Mapping[str, str], now: float) -> Token:
        status, document = self.service.ask("POST", self.url, FORM, urlencode({"client_id": self.client, **form}))
        return _bearer(self.url, status, document, now)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientCredentials:
    """Key and secret of a programme for a token."""

    service: Service
    secret: Callable[[], Credential]
    url: str
    revoke_url: str | None = None

    def login(self, now: float) -> Token:
        """See Grant."""
        status, document = self.service.ask("POST", self.url, self._headers(), "grant_type=client_credentials")
        return _bearer(self.url, status, document, now)

    def renew(self, token: Token, now: float) -> Token:
        """There is nothing to renew: a login costs no session."""
        _ = token
        return self.login(now)

    def end(self, token: Token) -> None:
        """See Grant."""
        if self.revoke_url is None:
            return
        status, document = self.service.ask("POST", self.revoke_url, self._headers(), urlencode({"token": token.value.reveal()}))
        if not 200 <= status < 300:
            raise _refusal(self.revoke_url, status, document)

    def _headers(self) -> dict[str, str]:
        username, password = self.secret().need("username", "password")
        return {**FORM, "Authorization": basic(username, password)}


def _bearer(url: str, status: int, document: Any, now: float) -> Token:
    """The token of an OAuth answer."""
    value = document.get("access_token") if status == 200 and isinstance(document, dict) else None
    if not isinstance(value, str) or not value or not value.isascii() or not value.isprintable():
        raise _refusal(url, status, document)
    refresh, session = document.get("refresh_token"), document.get("session_state")
    lasts = _seconds(document.get("refresh_expires_in"))
    return Token(
        value=Secret(value),
        obtained=now,
        until=now + (_seconds(document.get("expires_in")) or 300.0),
        refresh=Secret(refresh) if isinstance(refresh, str) and refresh else None,
        refresh_until=now + lasts if lasts else None,
        session=Secret(session) if isinstance(session, str) and session else None,
    )


def _seconds(value: Any) -> float | None:
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        return None
    return seconds if 0 < seconds < 1e9 else None


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginToken:
    """USGS M2M: name and application token for a key; errors come with status 200."""

    service: Service
    secret: Callable[[], Credential]
    url: str
    """Ends in `/`; the names of the methods follow."""
    lifetime: float
    """Seconds for which a key is good: the service does not say."""

    def login(self, now: float) -> Token:
        """See Grant."""
        username, token = self.secret().need("username", "token")
        body = orjson.dumps({"username": username, "token": token})
        status, document = self.service.ask("POST", f"{self.url}login-token", {"Content-Type": "application/json"}, body)
        key = document.get("data") if status == 200 and isinstance(document, dict) and not document.get("errorCode") else None
        if not isinstance(key, str) or not key.isascii() or not key.isprintable():
            raise _refusal(self.url, status, document)
        return Token(value=Secret(key), obtained=now, until=now + self.lifetime)

    def renew(self, token: Token, now: float) -> Token:
        """There are no refresh tokens here."""
        _ = token, now
        raise LoginRefused(f"{urlsplit(self.url).netloc} has no refresh tokens")

    def end(self, token: Token) -> None:
        """See Grant."""
        status, document = self.service.ask("POST", f"{self.url}logout", {"X-Auth-Token": token.value.reveal()})
        if not 200 <= status < 300:
            raise _refusal(self.url, status, document)


def checked_url(url: object, what: str, *, insecure: bool) -> str:
    """An address for secrets; ConfigError when it is none, or not encrypted."""
    if not isinstance(url, str) or not url:
        raise ConfigError(f"{what} is missing: the address of the login service")
    if not sealed(url, insecure=insecure):
        raise ConfigError(f"{what} = {url!r} is not encrypted: write https, or insecure = true if the network is yours alone")
    return url
