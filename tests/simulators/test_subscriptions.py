"""Subscriptions: push with three retries, queues that forget."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from support.raw_http import Raw, fetch

from eolake.ingest.simulators.archive import Archive, Record
from eolake.ingest.simulators.dialects.odata import ODataDialect
from eolake.ingest.simulators.dialects.odata_entity import Quirks
from eolake.ingest.simulators.dialects.subscriptions import Subscriptions
from eolake.ingest.simulators.push import Pusher
from eolake.ingest.simulators.server import Request, Response, Server

FILTER = "Collection/Name eq 'SENTINEL-2'"


@dataclass
class Endpoint:
    """Takes notifications; answers the first ones with `failures`."""

    failures: list[int] = field(default_factory=list)
    seen: list[Any] = field(default_factory=list)
    accounts: list[tuple[str, str] | None] = field(default_factory=list)

    def __call__(self, request: Request) -> Response | None:
        if request.path != "/events":
            return None
        self.accounts.append(request.basic)
        if self.failures:
            return Response(status=self.failures.pop(0))
        self.seen.append(request.json())
        return Response(status=204)


@dataclass
class Service:
    server: Server
    archive: Archive
    pusher: Pusher
    subscriptions: Subscriptions
    now: datetime = datetime(2024, 9, 12, 14, 52, 52, tzinfo=UTC)

    def ask(self, rest: str = "", method: str = "GET", body: Any = None) -> Raw:
        data = b"" if body is None else json.dumps(body).encode()
        return fetch(f"{self.server.url}/odata/v1/Subscriptions{rest}", method=method, body=data)

    def create(self, **fields: Any) -> Raw:
        return self.ask(method="POST", body={"FilterParam": FILTER, "StageOrder": True, "Priority": 1, "Status": "running"} | fields)

    def created(self, **fields: Any) -> str:
        return str(json.loads(self.create(**fields).body)["Id"])

    def read(self, name: str, top: int = 20) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.ask(f"({name})/Read?$top={top}").body)
        return found


@pytest.fixture
def service() -> Iterator[Service]:
    archive = Archive()
    dialect = ODataDialect(archive, quirks=Quirks(fraction=3))
    with Pusher(pause=0.01) as pusher:
        subscriptions = Subscriptions(dialect, base="http://catalogue.example", pusher=pusher, queue=5, clock=lambda: service.now)
        with Server(subscriptions, dialect) as server:
            service = Service(server, archive, pusher, subscriptions)
            yield service


def test_create_list_change_and_delete(service: Service) -> None:
    answer = service.create(SubscriptionEvent=["created"], NotificationEndpoint="http://x.example/n", NotificationEpPassword="hush")
    document = json.loads(answer.body)
    assert answer.status == 201
    assert (document["@odata.context"], document["SubmissionDate"]) == ("$metadata#OData.CSC.Subscription", "2024-09-12T14:52:52.0000")
    assert b"hush" not in answer.body
    name = document["Id"]
    assert [one["Id"] for one in json.loads(service.ask("/Info").body)] == [name]
    assert json.loads(service.ask(f"({name})", "PATCH", {"Status": "paused"}).body)["Status"] == "paused"
    assert service.ask(f"({name})", "PATCH", {"Status": "asleep"}).status == 422
    assert service.ask(f"({name})", "DELETE").status == 204
    gone = service.ask(f"({name})")
    assert (gone.status, list(json.loads(gone.body)["detail"])) == (404, ["message", "request_id"])


def test_one_may_run_and_ten_may_be(service: Service) -> None:
    first = service.created()
    assert service.create().status == 403
    others = [service.create(Status="paused").status for _ in range(10)]
    assert others == [201] * 9 + [403]
    paused = json.loads(service.ask("/Info").body)[1]["Id"]
    assert service.ask(f"({paused})", "PATCH", {"Status": "running"}).status == 403
    assert service.ask(f"({first})", "PATCH", {"Status": "cancelled"}).status == 200
    assert service.ask(f"({first})").status == 404
    assert service.ask(f"({paused})", "PATCH", {"Status": "running"}).status == 200


def test_filters_that_are_none_are_refused(service: Service) -> None:
    assert service.create(FilterParam="Colour eq 1").status == 400
    assert service.create(SubscriptionEvent=["painted"]).status == 422


def test_a_queue_is_read_again_until_it_is_acknowledged(service: Service, make_record: Callable[..., Record]) -> None:
    name = service.created()
    for n in range(4):
        service.archive.add(make_record(n))
    service.archive.add(make_record(9, collection="s3_olci_l1_efr"))
    assert [message["ProductId"] for message in service.read(name)] == [make_record(n).id for n in range(4)]
    assert len(json.loads(service.ask(f"({name})/Read").body)) == 1
    assert service.ask(f"({name})/Read?$top=21").status == 422
    second = service.read(name)[1]["AckId"]
    answer = json.loads(service.ask(f"({name})/Ack?$ackid={second}", "POST").body)
    assert answer == {"@odata.context": "$metadata#Notification/$entity", "AckMessagesNum": 2, "CurrentQueueLength": 2, "MaxQueueLength": 5}
    assert [message["ProductId"] for message in service.read(name)] == [make_record(n).id for n in (2, 3)]
    assert service.ask(f"({name})/Ack?$ackid={second}", "POST").status == 404


def test_a_full_queue_loses_the_oldest_and_old_ones_their_payload(service: Service, make_record: Callable[..., Record]) -> None:
    name = service.created()
    for n in range(7):
        service.archive.add(make_record(n))
    assert [message["ProductId"] for message in service.read(name)] == [make_record(n).id for n in range(2, 7)]
    assert service.subscriptions.subscriptions[name].dropped == 2
    service.now += timedelta(days=3, seconds=1)
    assert {tuple(message) for message in service.read(name)} == {
        ("@odata.context", "SubscriptionEvent", "ProductId", "SubscriptionId", "NotificationDate", "AckId")
    }


def test_notifications_are_pushed_with_basic_auth(service: Service, make_record: Callable[..., Record]) -> None:
    endpoint = Endpoint()
    with Server(endpoint) as receiver:
        events = ["created", "modified", "deleted"]
        target = {"NotificationEndpoint": f"{receiver.url}/events", "NotificationEpUsername": "me", "NotificationEpPassword": "hush"}
        name = service.created(SubscriptionEvent=events, **target)
        service.archive.add(make_record(1))
        service.archive.replace(make_record(1, online=False))
        service.archive.remove(make_record(1).id, cause="Corrupted product")
        service.pusher.wait()
    created, [modified], [deleted] = endpoint.seen
    assert [created["SubscriptionEvent"], modified["SubscriptionEvent"], deleted["SubscriptionEvent"]] == events
    assert (created["value"]["Online"], modified["value"]["Online"], deleted["value"]["DeletionCause"]) == (
        True,
        False,
        "Corrupted product",
    )
    assert endpoint.accounts == [("me", "hush")] * 3
    assert service.read(name) == []


def test_three_retries_then_it_is_lost(service: Service, make_record: Callable[..., Record]) -> None:
    endpoint = Endpoint(failures=[500, 500, 500, 500, 500, 500, 500])
    with Server(endpoint) as receiver:
        service.created(NotificationEndpoint=f"{receiver.url}/events")
        service.archive.add(make_record(1))
        service.archive.add(make_record(2))
        service.pusher.wait()
    assert [outcome.statuses for outcome in service.pusher.outcomes] == [(500, 500, 500, 500), (500, 500, 500, 204)]
    assert (service.pusher.lost, [body["ProductId"] for body in endpoint.seen]) == (1, [make_record(2).id])
    service.archive.add(make_record(3))
    service.pusher.wait()
    assert service.pusher.outcomes[-1].statuses == (0, 0, 0, 0)


def test_paused_ones_hear_nothing(service: Service, make_record: Callable[..., Record]) -> None:
    name = service.created()
    service.ask(f"({name})", "PATCH", {"Status": "paused"})
    service.archive.add(make_record(1))
    assert service.read(name) == []


def keys_of(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: keys_of(inner) for key, inner in value.items()}
    return type(value).__name__ if not isinstance(value, list) else [keys_of(value[0])] if value and isinstance(value[0], dict) else "list"


def test_a_notification_has_the_keys_of_a_real_one(
    service: Service, make_record: Callable[..., Record], samples: Path, tmp_path: Path
) -> None:
    real = json.loads((samples / "payloads/hls_downloader/link_fetcher/tests/data/push-granule-created-s2-n1.json").read_text())
    (tmp_path / "quicklook.jpg").write_bytes(b"\xff\xd8\xff")
    name = service.created()
    service.archive.add(make_record(1, quicklook=tmp_path / "quicklook.jpg"))
    [simulated] = service.read(name)
    assert list(simulated) == list(real)
    assert list(simulated["value"]) == list(real["value"])
    assert keys_of(simulated) == keys_of(real)
    assert len(simulated["value"]["PublicationDate"]) == len(real["value"]["PublicationDate"])


def test_what_follows_the_footprint_may_stand_inside_it(make_record: Callable[..., Record]) -> None:
    dialect = ODataDialect(Archive())
    subscriptions = Subscriptions(dialect, base="http://x.example", nested=True)
    with Server(subscriptions) as server:
        body = json.dumps({"FilterParam": FILTER}).encode()
        name = json.loads(fetch(f"{server.url}/odata/v1/Subscriptions", method="POST", body=body).body)["Id"]
        dialect.archive.add(make_record(1))
        [message] = json.loads(fetch(f"{server.url}/odata/v1/Subscriptions({name})/Read").body)
    assert list(message["value"])[-1] == "GeoFootprint"
    assert "Attributes" in message["value"]["GeoFootprint"]
