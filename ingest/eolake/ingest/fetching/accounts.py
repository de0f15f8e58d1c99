"""The providers that this process fetches from, and its logins with them: made when they are needed, closed at the end."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass, field
from pathlib import Path

from eolake.catalog.settings import Settings
from eolake.ingest.logins import open_login
from eolake.ingest.logins.base import Login
from eolake.ingest.providers.base import Provider, ProviderConfig
from eolake.ingest.providers.registry import open_provider, provider_config

log = logging.getLogger(__name__)

ANONYMOUS = "anonymous"
"""The name of the one credential of a provider that needs none."""


@dataclass(kw_only=True)
class Accounts:
    """Safe for threads."""

    settings: Settings
    _configs: dict[str, ProviderConfig] = field(default_factory=dict)
    _logins: dict[tuple[str, str], Login | None] = field(default_factory=dict)
    _providers: dict[tuple[str, str], Provider] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def config(self, provider: str) -> ProviderConfig:
        """As preset and eolake.toml describe it; ConfigError."""
        if provider not in self._configs:
            self._configs[provider] = provider_config(self.settings, provider)
        return self._configs[provider]

    def login(self, provider: str, credential: str) -> Login | None:
        """The login of a credential; None for the anonymous one."""
        with self._lock:
            return self._login(provider, credential)

    def provider(self, provider: str, credential: str) -> Provider:
        """The provider as that credential sees it."""
        with self._lock:
            key = (provider, credential)
            if key not in self._providers:
                self._providers[key] = open_provider(self.config(provider), self._login(provider, credential))
            return self._providers[key]

    def close(self) -> None:
        """End the sessions that were opened."""
        with self._lock:
            for login in self._logins.values():
                if login is not None:
                    login.close()
            self._logins.clear()
            self._providers.clear()

    def _login(self, provider: str, credential: str) -> Login | None:
        key = (provider, credential)
        if key not in self._logins:
            state: Path = self.settings.state
            self._logins[key] = None if credential == ANONYMOUS else open_login(self.config(provider), credential, state=state)
        return self._logins[key]
