"""Signatures for blobs (SAS): fetched right before they are used, shared per container, dropped before they expire."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from eolake.catalog.errors import ConfigError
from eolake.ingest.faults import Kind, ProviderFault
from eolake.ingest.providers.api import Api, host_of
from eolake.ingest.providers.odata import parse_time

MARGIN = 300.0
"""Seconds before the end of a signature from which on it is not used any more."""
YOUNG = 30.0
"""Seconds in which a fresh signature is not asked for again, even if it was refused: that is not its age."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Token:
    query: str
    made: float
    """By the monotonic clock, as the others."""
    until: float


@dataclass(kw_only=True)
class Signer:
    """Signs URLs of containers; safe for threads. One request for a container, however many ask."""

    api: Api
    url: str
    """Of the token endpoint, with {account} and {container}."""
    suffixes: tuple[str, ...]
    """Ends of the hosts that want a signature: `.blob.core.windows.net`."""
    margin: float = MARGIN
    young: float = YOUNG
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    monotonic: Callable[[], float] = time.monotonic
    _tokens: dict[tuple[str, str], _Token] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def of(cls, api: Api, options: Mapping[str, Any]) -> Signer:
        """From `options.sas` (url, hosts; margin and young in seconds); ConfigError."""
        if "url" not in options or not options.get("hosts"):
            raise ConfigError("options.sas needs url (of the token endpoint, with {account} and {container}) and hosts")
        margin, young = (float(options.get(name, usual)) for name, usual in (("margin", MARGIN), ("young", YOUNG)))
        suffixes = tuple(str(host).lower() for host in options["hosts"])
        return cls(api=api, url=str(options["url"]), suffixes=suffixes, margin=margin, young=young)

    def wants(self, url: str) -> bool:
        """Whether a URL is one of those that need a signature."""
        return urlsplit(url).scheme in {"http", "https"} and host_of(url).endswith(self.suffixes)

    def sign(self, url: str) -> str:
        """The URL with a signature that still holds for a while; unchanged when it needs none. Raises ProviderFault."""
        if not self.wants(url):
            return url
        return f"{url.partition('?')[0]}?{self._token(_container(url)).query}"

    def forget(self, url: str) -> None:
        """The signature of this URL was refused: the next one is made anew, unless it is brand-new."""
        if not self.wants(url):
            return
        key = _container(url)
        with self._lock:
            known = self._tokens.get(key)
            if known is not None and self.monotonic() - known.made >= self.young:
                del self._tokens[key]

    def _token(self, key: tuple[str, str]) -> _Token:
        with self._lock:
            known = self._tokens.get(key)
            if known is None or self.monotonic() >= known.until - self.margin:
                known = self._tokens[key] = self._ask(key)
            return known

    def _ask(self, key: tuple[str, str]) -> _Token:
        url = self.url.format(account=key[0], container=key[1])
        document = self.api.get_json(url)
        token = document.get("token") if isinstance(document, Mapping) else None
        expiry = parse_time(document.get("msft:expiry")) if isinstance(document, Mapping) else None
        if not isinstance(token, str) or not token or expiry is None:
            raise ProviderFault(f"the signatures of {host_of(url)} came without token or expiry", Kind.TRANSIENT, host=host_of(url))
        now = self.monotonic()
        return _Token(query=token.lstrip("?"), made=now, until=now + (expiry - self.clock()).total_seconds())


def _container(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return (parts.hostname or "").partition(".")[0], parts.path.lstrip("/").partition("/")[0]
