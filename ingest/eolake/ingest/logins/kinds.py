"""The logins: one class for each way in which a request shows who it is."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from eolake.ingest.faults import ProviderFault
from eolake.ingest.logins.errors import LoginRefused
from eolake.ingest.logins.grants import Service, basic, sealed
from eolake.ingest.logins.secrets import Credential, Hidden
from eolake.ingest.logins.tokens import Tokens

log = logging.getLogger(__name__)

NOTHING: Mapping[str, str] = {}
HURRY = 2.0
"""Seconds that the login service has for its answer when a process ends."""
KEEP = 300.0
"""Seconds for which S3 keys are kept; those of a role are renewed 15 minutes before their end."""
PORTS = {"http": 80, "https": 443, "ftp": 21, "ftpes": 21, "ftps": 990}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """Where a credential may go."""

    hosts: frozenset[str]
    """`host` (on the scheme's own port) or `host:port`."""
    insecure: bool = False
    """Also unencrypted to other machines."""
    schemes: frozenset[str] = frozenset({"http", "https"})

    def __contains__(self, url: object) -> bool:
        try:
            parts = urlsplit(str(url))
            port = parts.port
        except ValueError:
            return False
        if parts.scheme not in self.schemes or parts.hostname is None:
            return False
        host = parts.hostname if port is None or port == PORTS.get(parts.scheme) else f"{parts.hostname}:{port}"
        plain_ftp = parts.scheme == "ftp"  # its protocol has no other way
        return host in self.hosts and (plain_ftp or sealed(str(url), insecure=self.insecure))


@dataclass(kw_only=True)
class NoLogin:
    """Nothing is asked for."""

    name: str

    def allows(self, url: str) -> bool:
        """Never: there is no credential."""
        _ = url
        return False

    def headers(self, url: str) -> Mapping[str, str]:
        """Empty."""
        _ = url
        return NOTHING

    def userpwd(self, url: str) -> tuple[str, str] | None:
        """None."""
        _ = url
        return None

    def s3(self) -> Mapping[str, str]:
        """Anonymous."""
        return NOTHING

    def refresh(self, stale: Mapping[str, str]) -> None:
        """Nothing can be renewed."""
        _ = stale
        raise LoginRefused(f"{self.name}: the provider wants a login, and none is configured")

    def close(self) -> None:
        """Nothing is open."""


@dataclass(kw_only=True)
class _Static(NoLogin):
    """A secret that is sent as it is; when it is refused it is read anew, for somebody may have changed it."""

    reach: Reach
    read: Callable[[], Credential] = field(repr=False)
    _credential: Credential | None = field(default=None, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def allows(self, url: str) -> bool:
        """Only on its hosts."""
        return url in self.reach

    def credential(self) -> Credential:
        """The secret, read once."""
        with self._lock:
            if self._credential is None:
                self._credential = self.read()
            return self._credential

    def refresh(self, stale: Mapping[str, str]) -> None:
        """Another secret, if there is one by now; LoginRefused otherwise."""
        _ = stale
        with self._lock:
            before, self._credential = self._credential, self.read()
            if before is None or before == self._credential:
                raise LoginRefused(f"{self.name} is refused by {', '.join(sorted(self.reach.hosts))}; check it by hand on its web page")


@dataclass(kw_only=True)
class BasicLogin(_Static):
    """Name and password with every request."""

    def headers(self, url: str) -> Mapping[str, str]:
        """Basic authorisation."""
        if not self.allows(url):
            return NOTHING
        username, password = self.credential().need("username", "password")
        return Hidden({"Authorization": basic(username, password)})


@dataclass(kw_only=True)
class BearerLogin(_Static):
    """A token that a person made on a web page."""

    def headers(self, url: str) -> Mapping[str, str]:
        """The token."""
        return Hidden({"Authorization": f"Bearer {self.credential().need('token')[0]}"}) if self.allows(url) else NOTHING


@dataclass(kw_only=True)
class FtpLogin(_Static):
    """Name and password for the control connection."""

    def userpwd(self, url: str) -> tuple[str, str] | None:
        """For its hosts."""
        if not self.allows(url):
            return None
        username, password = self.credential().need("username", "password")
        return username, password


@dataclass(kw_only=True)
class S3Login(_Static):
    """Keys for a bucket; requests are signed with them, they themselves never travel."""

    parameters: Mapping[str, str] = field(default_factory=dict)

    clock: Callable[[], float] = time.monotonic
    _read_at: float = 0

    def s3(self) -> Mapping[str, str]:
        """Keys, and what the provider asks for besides (`request_payer`); those of a role end: they are read anew now and then."""
        with self._lock:
            if self._credential is None or self.clock() - self._read_at > KEEP:
                self._credential, self._read_at = self.read(), self.clock()
            credential = self._credential
        key, secret = credential.need("access_key_id", "secret_access_key")
        session = credential.get("session_token")
        return Hidden(
            {
                "aws_access_key_id": key,
                "aws_secret_access_key": secret,
                **({"aws_session_token": session} if session else {}),
                **self.parameters,
            }
        )


@dataclass(kw_only=True)
class TokenLogin(NoLogin):
    """A token that is asked for, shared by all processes of the machine, and replaced before it ends."""

    reach: Reach
    tokens: Tokens = field(repr=False)
    service: Service = field(repr=False)
    header: str = "Authorization"
    prefix: str = "Bearer "

    def allows(self, url: str) -> bool:
        """Only on its hosts."""
        return url in self.reach

    def headers(self, url: str) -> Mapping[str, str]:
        """The token; logs in when there is none."""
        return Hidden({self.header: f"{self.prefix}{self.tokens.current().reveal()}"}) if self.allows(url) else NOTHING

    def refresh(self, stale: Mapping[str, str]) -> None:
        """A new token, once for all who hold the refused one."""
        self.tokens.replace(stale.get(self.header, "").removeprefix(self.prefix))

    def close(self) -> None:
        """End the session, if nobody else on this machine uses it; does not wait long for that."""
        self.service.timeout = HURRY
        try:
            self.tokens.close()
        except (ProviderFault, OSError) as fault:
            log.warning("%s: its session could not be ended: %s", self.name, fault)
        finally:
            self.service.close()
