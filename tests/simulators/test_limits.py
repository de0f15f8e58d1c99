"""Limits of an account: connections, lag, rates, requests, bytes."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator

import pytest
from support.raw_http import Raw, fetch

from eolake.ingest.simulators.server import Content, Request, Response, Server


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        yield server


class Holding:
    """Transfers that stay open until the block ends."""

    def __init__(self, server: Server, count: int, account: str) -> None:
        self.server, self.released = server, threading.Event()
        server.handle(self._held)
        urls = [f"{server.url}/f/held{n}?size=10" for n in range(count)]
        self.threads = [threading.Thread(target=fetch, args=(url,), kwargs={"Authorization": f"Bearer {account}"}) for url in urls]

    def _held(self, request: Request) -> Response | None:
        return Response(body=Content(size=10, read=self._read)) if "held" in request.path else None

    def _read(self, start: int, stop: int) -> bytes:
        self.released.wait(30)
        return bytes(stop - start)

    def __enter__(self) -> None:
        for thread in self.threads:
            thread.start()
        until = time.monotonic() + 10
        while sum(counts.transfers for counts in dict(self.server.stats.accounts).values()) < len(self.threads):
            assert time.monotonic() < until
            time.sleep(0.01)

    def __exit__(self, *_: object) -> None:
        self.released.set()
        for thread in self.threads:
            thread.join()


def get(server: Server, account: str = "x", path: str = "/f/a?size=10") -> Raw:
    return fetch(server.url + path, Authorization=f"Bearer {account}")


def test_one_connection_too_many_gets_the_providers_words(server: Server) -> None:
    server.limit(connections=2)
    with Holding(server, 2, "x"):
        refused = get(server)
        assert (refused.status, json.loads(refused.body)["code"]) == (429, "DAT-ZIP-100")
        assert get(server, "y").status == 200
    assert get(server).status == 200
    [account] = [counts for counts in server.stats.accounts.values() if counts.refused]
    assert (account.max_transfers, account.refused, account.transfers) == (2, 1, 0)


def test_the_refusal_of_dhus(server: Server) -> None:
    server.limit(connections=1, over="403")
    with Holding(server, 1, "x"):
        refused = get(server)
    assert (refused.status, str(refused.get("cause-message"))[:17]) == (403, "Maximum number of")


def test_a_ban_closes_the_port(server: Server) -> None:
    server.limit(connections=1, over="refuse", ban=30)
    with Holding(server, 1, "x"):
        assert get(server).end == "rst"
        with pytest.raises(ConnectionRefusedError):
            get(server, "y")


def test_a_closed_connection_counts_a_while_longer(server: Server) -> None:
    server.limit(connections=1, lag=0.4)
    assert get(server).status == 200
    assert get(server).status == 429
    time.sleep(0.45)
    assert get(server).status == 200


def test_a_slot_is_free_when_the_last_byte_has_come(server: Server) -> None:
    server.limit(connections=1)
    assert {get(server, path=f"/f/{n}?size=400000").status for n in range(60)} == {200}


def test_limits_are_for_the_paths_they_name(server: Server) -> None:
    server.limit(connections=1, lag=9, paths=("@files",))
    assert [get(server, path="/login").status for _ in range(3)] == [200] * 3
    assert [get(server).status for _ in range(2)] == [200, 429]


def test_rate_of_a_connection_and_of_all(server: Server) -> None:
    server.limit(rate=1_000_000)
    before = time.monotonic()
    assert len(get(server, path="/f/a?size=400000").body) == 400_000
    assert 0.3 < time.monotonic() - before < 2
    server.limit(total_rate=1_000_000)
    before = time.monotonic()
    threads = [threading.Thread(target=get, args=(server, "x", f"/f/{n}?size=200000")) for n in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert time.monotonic() - before > 0.3


def test_requests_per_minute(server: Server) -> None:
    server.limit(requests_per_minute=3)
    assert [get(server).status for _ in range(5)] == [200, 200, 200, 429, 429]
    assert get(server, "y").status == 200


def test_after_the_budget_one_slow_connection_is_left(server: Server) -> None:
    server.limit(budget=1000, slow_rate=20_000, connections=4)
    assert get(server, path="/f/a?size=1000").status == 200
    with Holding(server, 1, "x"):
        assert get(server).status == 429
    before = time.monotonic()
    assert get(server, path="/f/b?size=6000").status == 200
    assert time.monotonic() - before > 0.2


def test_idle_connections_count_where_connections_are_what_counts(server: Server) -> None:
    server.limit(connections=1, count="connections")
    with Holding(server, 1, "x"):
        assert get(server).status == 429
    for _ in range(2):
        until = time.monotonic() + 5
        while get(server).status != 200:  # until the server has seen that the client went
            assert time.monotonic() < until


def test_limits_over_http(server: Server) -> None:
    assert fetch(f"{server.url}/_limits", method="POST", body=b'{"requests_per_minute": 1}').status == 204
    assert [get(server).status for _ in range(2)] == [200, 429]
    assert fetch(f"{server.url}/_limits", method="POST", body=b'{"colour": 1}').status == 400
