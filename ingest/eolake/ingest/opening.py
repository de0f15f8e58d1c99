"""Providers as commands open them: with the first credential that can be read, or without one where none is needed to look."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from eolake.catalog.settings import Settings
from eolake.ingest.logins import SecretFault, open_login
from eolake.ingest.logins.base import Login
from eolake.ingest.providers.base import Provider, ProviderConfig
from eolake.ingest.providers.registry import open_provider, provider_config

log = logging.getLogger(__name__)


@contextmanager
def opened(settings: Settings, name: str, *, config: ProviderConfig | None = None) -> Iterator[Provider]:
    """The provider, to be searched. ConfigError when it does not hold."""
    config = config or provider_config(settings, name)
    with logged_in(settings, config) as login:
        yield open_provider(config, login)


@contextmanager
def logged_in(settings: Settings, config: ProviderConfig, *, required: bool = False) -> Iterator[Login | None]:
    """Its first login whose secret can be read; None when there is none. `required`: SecretFault instead."""
    login = _first(settings, config, required=required)
    try:
        yield login
    finally:
        if login is not None:
            login.close()


def _first(settings: Settings, config: ProviderConfig, *, required: bool) -> Login | None:
    faults = []
    for reference in config.credentials:
        try:
            return open_login(config, reference, state=settings.state)
        except SecretFault as fault:
            log.info("%s is asked without %s: %s", config.name, reference, fault)
            faults.append(fault)
    if required and faults:
        raise faults[0]
    return None
