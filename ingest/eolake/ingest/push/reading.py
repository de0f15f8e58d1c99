"""All queues of an account, and what waits to be asked for: for `eolake push read` and `eolake daily`."""

from __future__ import annotations

from eolake.catalog.errors import UsageError
from eolake.catalog.lake import Lake
from eolake.ingest.opening import logged_in
from eolake.ingest.providers.registry import provider_config
from eolake.ingest.push.intake import Intake
from eolake.ingest.push.queues import Drained, Stop, drain, look_up
from eolake.ingest.push.subscriptions import Subscriptions


def read_queues(lake: Lake, provider: str, id: str | None = None, *, stop: Stop = lambda: False) -> Drained:
    """Read the pull queues of a provider, or that of one subscription. Raises ProviderFault, ConfigError; UsageError without a feed."""
    intake = Intake(lake.settings)
    scope = intake.scope(provider)
    if scope is None:
        raise UsageError(f"no feed of {provider} is in eolake.toml: nothing of its queues would be wanted")
    config = provider_config(lake.settings, provider)
    done = Drained()
    with logged_in(lake.settings, config, required=True) as login:
        subscriptions = Subscriptions(config, login)
        try:
            ids = [id] if id is not None else [found.id for found in subscriptions.all() if found.pull]
            for one in ids:
                done = done.plus(drain(lake, intake, scope, subscriptions, one, stop=stop))
        finally:
            subscriptions.close()
    return done.plus(look_up(lake, intake, provider, stop=stop))


def look_up_all(lake: Lake, provider: str, *, stop: Stop = lambda: False) -> Drained:
    """Ask a provider's catalogue for what waits for it. Raises ProviderFault, ConfigError."""
    return look_up(lake, Intake(lake.settings), provider, stop=stop)
