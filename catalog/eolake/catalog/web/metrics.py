"""`/metrics`: what goes on, for Prometheus; read from the database at each scrape, so any process may answer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import override

from fastapi import APIRouter, HTTPException, Request, Response
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from psycopg import OperationalError
from psycopg_pool import PoolTimeout

from eolake.catalog.lake import Executor
from eolake.catalog.ledger import monitoring
from eolake.catalog.ledger.monitoring import AccountState, ProviderState

router = APIRouter(tags=["health"])


@router.get("/metrics")
def metrics(request: Request) -> Response:
    """Metrics in the text format that the scraper asks for; 503 when the database does not answer."""
    encode, kind = choose_encoder(request.headers.get("accept", ""))
    try:
        with request.app.state.pool.connection(timeout=5) as connection:
            registry = CollectorRegistry(auto_describe=False)
            registry.register(LakeCollector(connection))
            body = encode(registry)
    except (OperationalError, PoolTimeout) as error:
        raise HTTPException(503, "the database does not answer") from error
    return Response(body, headers={"Content-Type": kind})


class LakeCollector(Collector):
    """Asks the database when it is collected."""

    def __init__(self, connection: Executor) -> None:
        self._connection = connection

    def describe(self) -> Iterable[Metric]:
        """Nothing is known before."""
        return ()

    @override
    def collect(self) -> Iterator[Metric]:
        """All families of metrics."""
        now = monitoring.activity(self._connection, days=0)
        granules, items = monitoring.granules(self._connection), monitoring.publications(self._connection)
        yield _family("granules", "Granules by provider and state.", ("provider", "state"), granules.items())
        yield _family("items", "Items that were ever published, by collection and state.", ("collection", "state"), items.items())
        yield from _of_providers(now.providers)
        yield from _of_accounts(now.accounts)
        yield _family(
            "host_broken",
            "Hosts that broke: 1 until a trial succeeds.",
            ("provider", "host"),
            [((b.provider, b.host), 1) for b in now.breakers],
        )
        yield _family("alarm", "Alarms that are open.", ("provider", "kind"), [((a.provider, a.kind), 1) for a in now.alarms])
        faults = [((f.provider, f.kind), f.granules) for f in now.faults]
        yield _family("failing_granules", "Granules that wait or are kept aside, by class of fault.", ("provider", "fault"), faults)


PROVIDER: Sequence[tuple[str, str, Callable[[ProviderState], float]]] = (
    ("oldest_pending_seconds", "Age of the oldest granule that is not fetched yet; 0: none waits.", lambda one: one.oldest or 0),
    ("receiving_bytes_per_second", "Bytes a second right now.", lambda one: one.rate),
    ("slots_busy", "Connections in use.", lambda one: one.busy),
    ("slots_allowed", "Connections that may be used right now.", lambda one: one.allowed),
    ("slots", "Connections as the settings have them.", lambda one: one.connections),
)
ACCOUNT: Sequence[tuple[str, str, Callable[[AccountState], float]]] = (
    ("credential_resting_seconds", "For how long an account rests from now on.", lambda one: one.rest),
    ("credential_disabled", "1: the account is disabled.", lambda one: one.disabled is not None),
    ("credential_spent_bytes", "Bytes of the last 30 days.", lambda one: one.spent),
)


def _of_providers(providers: Sequence[ProviderState]) -> Iterator[Metric]:
    for name, text, value in PROVIDER:
        yield _family(name, text, ("provider",), [((one.provider,), value(one)) for one in providers])


def _of_accounts(accounts: Sequence[AccountState]) -> Iterator[Metric]:
    labels = ("provider", "credential")
    received = CounterMetricFamily("eolake_received_bytes", "Bytes that came, of failed attempts too.", labels=labels)
    for one in accounts:
        received.add_metric((one.provider, one.name), one.bytes)
    yield received
    for name, text, value in ACCOUNT:
        yield _family(name, text, labels, [((one.provider, one.name), value(one)) for one in accounts])
    limited = [((one.provider, one.name), one.budget) for one in accounts if one.budget is not None]
    yield _family("credential_budget_bytes", "Bytes that an account may receive in 30 days.", labels, limited)


def _family(name: str, text: str, labels: Sequence[str], values: Iterable[tuple[Sequence[str], float]]) -> Metric:
    family = GaugeMetricFamily(f"eolake_{name}", text, labels=labels)
    for one, value in values:
        family.add_metric(one, value)
    return family
