"""`[push]` of eolake.toml."""

from __future__ import annotations

from typing import Annotated

from pydantic import StringConstraints, ValidationError

from eolake.catalog.errors import ConfigError
from eolake.catalog.settings import Model, Settings


class PushSection(Model):
    """How providers reach this lake, and whose queues are read; an unknown key is an error."""

    url: Annotated[str, StringConstraints(pattern="^https?://")] | None = None
    """Address of the HTTP app as the provider sees it; notifications go to URL/push/NAME."""
    credential: Annotated[str, StringConstraints(pattern="^[a-z0-9-]+:.")] | None = None
    """Where name and password of that endpoint are kept: `env:PREFIX`, `netrc:HOST`, `aws-sm:NAME`. Without it nobody is let in."""
    queues: tuple[str, ...] = ()
    """Providers whose pull queues `eolake daily` reads."""


def push_settings(settings: Settings) -> PushSection:
    """The section; ConfigError when it does not hold."""
    try:
        return PushSection.model_validate(dict(settings.push))
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, fault['loc'][:1]))}: {fault['msg']}" for fault in error.errors(include_input=False))
        raise ConfigError(f"[push] {faults}") from None  # the cause would show what was written, which may be a secret
