"""What becomes of granules and accounts in the ledger: orders from an archive, hubs that closed, secrets that are not there yet."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from eolake.catalog.lake import Connection, Lake
from eolake.catalog.ledger import granules, slots, transfers
from eolake.catalog.ledger.discovery import alarms
from eolake.catalog.ledger.slots import Account
from eolake.ingest.faults import ProviderFault
from eolake.ingest.logins import open_login
from eolake.ingest.providers.base import Part, ProviderConfig, Query
from eolake.ingest.providers.dhus import DhusProvider
from eolake.ingest.simulators.archive import Archive
from eolake.ingest.simulators.dialects.dhus import DhusDialect
from eolake.ingest.simulators.server import Server

from .support import record


@pytest.fixture
def ledger(lake: Lake) -> Iterator[Connection]:
    with lake.connect() as connection:
        slots.configure(connection, [Account(provider="hub", name="env:HUB", connections=2)])
        yield connection


def configuration(url: str) -> ProviderConfig:
    urls = {"search": f"{url}/dhus/search", "odata": f"{url}/dhus/odata/v1"}
    return ProviderConfig(name="hub", kind="dhus", urls=urls, options={"retry_delay": 0})


def attempt(connection: Connection, provider: DhusProvider) -> tuple[str, Any]:
    """Claim a granule and ask where its bytes are, as a lane does: (id, parts or the state after the fault)."""
    claim = transfers.claim(connection, owner="me", lease=timedelta(minutes=5), providers=["hub"])
    if claim is None:
        return "", None
    try:
        found: Any = list(provider.resolve(claim.granule))
        transfers.release(connection, claim)
    except ProviderFault as fault:
        reason = f"{fault} ({fault.code})" if fault.code else str(fault)
        found = transfers.fail(connection, claim, kind=fault.kind.value, reason=reason, retry_after=fault.retry_after)
    slots.free(connection, claim.slot)
    return claim.granule.id, found


def later(connection: Connection, **span: float) -> None:
    connection.execute("select set_config('eolake.clock_offset', %s, false)", [str(timedelta(**span))])


def test_t31_order_is_sent_once_by_all_processes_and_the_product_comes_when_it_is_online(ledger: Connection) -> None:
    archive = Archive([record(0, online=False)])
    hub = DhusDialect(archive)
    with Server(hub) as server:
        granules.offer(ledger, list(DhusProvider(configuration(server.url)).search(Query())))
        for hours in range(4):
            later(ledger, hours=8 * hours)
            identity, state = attempt(ledger, DhusProvider(configuration(server.url)))  # another process each time
            assert (identity, state) == (record(0).id, "queued")
            assert attempt(ledger, DhusProvider(configuration(server.url))) == ("", None)  # it waits
        assert hub.orders == [record(0).id]
        hub.deliver(record(0).id)
        later(ledger, hours=40)
        _, parts = attempt(ledger, DhusProvider(configuration(server.url)))
    assert isinstance(parts[0], Part)
    assert parts[0].size == record(0).size
    assert hub.orders == [record(0).id]


def test_d14_a_hub_that_closed_is_one_alarm_and_no_dead_granule(ledger: Connection) -> None:
    archive = Archive(record(number) for number in range(40))
    with Server(DhusDialect(archive)) as server:
        granules.offer(ledger, list(DhusProvider(configuration(server.url)).search(Query())))
    with Server() as closed:  # 404 to everything
        provider = DhusProvider(configuration(closed.url))
        asked = 0
        while attempt(ledger, provider)[0]:
            asked += 1
    assert asked == 1
    assert granules.states(ledger) == {"queued": 40}
    [alarm] = alarms(ledger)
    assert (alarm.provider, alarm.kind) == ("hub", "retired")


def test_s35_without_a_secret_the_account_rests_and_is_looked_at_again(
    ledger: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    granules.offer(ledger, [granules.Offer(provider="hub", id="1", name="a", source="https://h/1", fingerprint="1")])
    config = replace(configuration("https://h"), auth={"kind": "basic"}, auth_hosts=("h",))
    claim = transfers.claim(ledger, owner="me", lease=timedelta(minutes=5), providers=["hub"])
    assert claim is not None
    with pytest.raises(ProviderFault, match="HUB_USERNAME") as fault:
        open_login(config, claim.credential, state=tmp_path)
    found = fault.value
    state = transfers.fail(ledger, claim, kind=found.kind.value, reason=f"{found} ({found.code})", retry_after=found.retry_after)
    slots.free(ledger, claim.slot)
    assert state == "queued"
    assert "secret-missing" in alarms(ledger)[0].text
    assert transfers.claim(ledger, owner="me", lease=timedelta(minutes=5), providers=["hub"]) is None
    monkeypatch.setenv("HUB_USERNAME", "u")
    monkeypatch.setenv("HUB_PASSWORD", "p")
    later(ledger, minutes=6)
    claim = transfers.claim(ledger, owner="me", lease=timedelta(minutes=5), providers=["hub"])
    assert claim is not None
    assert open_login(config, claim.credential, state=tmp_path).headers("https://h/1")


def test_b0c_one_product_that_fails_does_not_stop_its_successors(ledger: Connection) -> None:
    archive = Archive(record(number) for number in range(3))
    with Server(DhusDialect(archive)) as server:
        provider = DhusProvider(configuration(server.url))
        granules.offer(ledger, list(provider.search(Query())))
        archive.remove(record(0).id)
        outcomes = dict(attempt(ledger, provider) for _ in range(3))
    assert outcomes[record(0).id] == "queued"
    assert [outcomes[record(number).id][0].name for number in (1, 2)] == [f"{record(number).name}.zip" for number in (1, 2)]
