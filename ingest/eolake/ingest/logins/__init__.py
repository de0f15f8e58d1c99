"""Logins: from the reference of a secret to what a request carries. Secrets stay in memory and in files of mode 0600."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

from eolake.catalog.errors import ConfigError
from eolake.ingest.logins.base import Login
from eolake.ingest.logins.errors import ExposedSecret, LoginRefused, MissingSecret, SecretFault, SecretStoreFault
from eolake.ingest.logins.grants import ClientCredentials, LoginToken, OidcPassword, Service, checked_url
from eolake.ingest.logins.kinds import BasicLogin, BearerLogin, FtpLogin, NoLogin, Reach, S3Login, TokenLogin
from eolake.ingest.logins.secrets import Credential, Secret, read_secret
from eolake.ingest.logins.tokens import Grant, Tokens
from eolake.ingest.providers.base import ProviderConfig

__all__ = [
    "Credential",
    "ExposedSecret",
    "Login",
    "LoginRefused",
    "MissingSecret",
    "Secret",
    "SecretFault",
    "SecretStoreFault",
    "open_login",
    "read_secret",
]


def open_login(config: ProviderConfig, reference: str, *, state: Path) -> Login:
    """The login of one credential of a provider; tokens are shared through `state/tokens`.

    The secret is read at once. MissingSecret, ExposedSecret, SecretStoreFault (look again later); ConfigError: a setting is wrong."""
    kind = config.auth.get("kind", "none")
    opener = OPENERS.get(kind)
    if opener is None:
        raise ConfigError(f"[providers.{config.name}] auth.kind = {kind!r}: one of {', '.join(sorted(OPENERS))}")
    if kind == "none":
        return NoLogin(name=reference)
    account = read_secret(reference).get("username") or ""
    return opener(_Wish(config=config, reference=reference, state=state, account=account))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wish:
    """What a login is made of."""

    config: ProviderConfig
    reference: str
    state: Path
    account: str
    """Name of the account, where it has one."""

    @property
    def auth(self) -> Mapping[str, Any]:
        return self.config.auth

    @property
    def insecure(self) -> bool:
        return bool(self.auth.get("insecure"))

    @property
    def read(self) -> Callable[[], Credential]:
        return partial(read_secret, self.reference)

    def reach(self, *schemes: str) -> Reach:
        hosts = frozenset(host.lower() for host in self.config.auth_hosts)
        return Reach(hosts=hosts, insecure=self.insecure, schemes=frozenset(schemes or ("http", "https")))

    def url(self, key: str, role: str) -> str:
        where = f"[providers.{self.config.name}] auth.{key}"
        return checked_url(self.auth.get(key) or self.config.urls.get(role), where, insecure=self.insecure)

    def beside(self, url: str, key: str) -> str | None:
        """Another address of the login service; relative to the first one, so that both move together."""
        if not self.auth.get(key):
            return None
        where = f"[providers.{self.config.name}] auth.{key}"
        return checked_url(urljoin(url, str(self.auth[key])), where, insecure=self.insecure)

    def service(self) -> Service:
        return Service.of(self.config.options.get("ca_file"))

    def tokens(self, grant: Grant, url: str) -> Tokens:
        """One file for an account at a service, whatever the provider is called."""
        parts = (url, str(self.auth.get("client_id")), self.reference, self.account)
        mark = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]
        every = float(self.auth.get("login_every", 60))
        return Tokens(path=self.state / "tokens" / f"{mark}.json", grant=grant, name=self.reference, every=every)


def _basic(wish: _Wish) -> Login:
    return BasicLogin(name=wish.reference, reach=wish.reach(), read=wish.read)


def _bearer(wish: _Wish) -> Login:
    return BearerLogin(name=wish.reference, reach=wish.reach(), read=wish.read)


def _ftp(wish: _Wish) -> Login:
    return FtpLogin(name=wish.reference, reach=wish.reach("ftp", "ftpes", "ftps"), read=wish.read)


def _s3(wish: _Wish) -> Login:
    payer = wish.auth.get("request_payer")
    return S3Login(name=wish.reference, reach=wish.reach("s3"), read=wish.read, parameters={"request_payer": str(payer)} if payer else {})


def _oidc_password(wish: _Wish) -> Login:
    service, url = wish.service(), wish.url("token_url", "token")
    grant = OidcPassword(
        service=service,
        secret=wish.read,
        url=url,
        client=str(wish.auth.get("client_id", "cdse-public")),
        session_url=wish.beside(url, "session_url"),
    )
    return TokenLogin(name=wish.reference, reach=wish.reach(), tokens=wish.tokens(grant, url), service=service)


def _client_credentials(wish: _Wish) -> Login:
    service, url = wish.service(), wish.url("token_url", "token")
    grant = ClientCredentials(service=service, secret=wish.read, url=url, revoke_url=wish.beside(url, "revoke_url"))
    return TokenLogin(name=wish.reference, reach=wish.reach(), tokens=wish.tokens(grant, url), service=service)


def _m2m(wish: _Wish) -> Login:
    service, url = wish.service(), f"{wish.url('url', 'api').rstrip('/')}/"
    grant = LoginToken(service=service, secret=wish.read, url=url, lifetime=float(wish.auth.get("lifetime", 7200)))
    tokens = wish.tokens(grant, url)
    return TokenLogin(name=wish.reference, reach=wish.reach(), tokens=tokens, service=service, header="X-Auth-Token", prefix="")


OPENERS: Mapping[str, Callable[[_Wish], Login]] = {
    "none": lambda wish: NoLogin(name=wish.reference),
    "basic": _basic,
    "bearer": _bearer,
    "client-credentials": _client_credentials,
    "ftp": _ftp,
    "m2m": _m2m,
    "oidc-password": _oidc_password,
    "s3": _s3,
}
