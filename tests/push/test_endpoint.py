"""The endpoint of pushed notifications, in a process of its own."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from support import workers
from support.odata import Catalogue, product
from support.subscribing import PASSWORD, USER, Endpoint, configured, empty, endpoint, nested, notification, rows

from eolake.catalog.lake import Lake
from eolake.catalog.ledger import granules
from eolake.catalog.ledger.notified import waiting
from eolake.ingest.discovery.feeds import get_feed
from eolake.ingest.discovery.walk import discover
from eolake.ingest.providers.cdse import ODataProvider
from eolake.ingest.providers.registry import provider_config
from eolake.ingest.push.routes import LIMIT
from eolake.ingest.simulators.server import Server

type FreshLake = Callable[[Path], AbstractContextManager[Lake]]

NOW = datetime.now(UTC).replace(microsecond=0)
DAY = timedelta(days=1)
REAL = "payloads/hls_downloader/link_fetcher/tests/data/push-granule-created-s2-n1.json"


@pytest.fixture(scope="module")
def _served(fresh_lake: FreshLake, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    with fresh_lake(tmp_path_factory.mktemp("push")) as lake, endpoint(configured(lake)) as served:
        yield served


@pytest.fixture
def served(_served: Endpoint) -> Endpoint:
    """One app for all tests of the module, with an empty ledger for each."""
    empty(_served.lake)
    return _served


def recent(n: int, **more: Any) -> dict[str, Any]:
    """A product that the feed `recent` wants."""
    return product(n, NOW - DAY, **({"tile": "55HFA", "sensed": NOW - DAY - timedelta(minutes=n)} | more))


def test_d11_the_real_notification_becomes_one_granule(served: Endpoint, samples: Path) -> None:
    body = json.loads((samples / REAL).read_text())
    answers = [served.post(body), served.post(body)]
    assert [(answer.status_code, answer.content) for answer in answers] == [(204, b""), (204, b"")]
    (row,) = rows(served.lake)
    assert (row["id"], row["provider"], row["feed"], row["state"]) == ("f867a59a-9336-46d0-93ae-e55bf29403f8", "cdse", "l1c", "queued")
    assert row["name"] == "S2A_MSIL1C_20240912T112541_N0511_R137_T28PHQ_20240912T133420"
    assert (row["fingerprint"], row["size"]) == ("md5:700a3f2014ab3670408b94e4310924dd", 132384463)
    assert row["detail"]["digests"]["blake3"].startswith("fd35ef962ec7")
    assert row["start_at"] == datetime(2024, 9, 12, 11, 25, 41, 24000, UTC)


@pytest.mark.parametrize("count", [1, 2])
def test_d11_an_object_or_an_array_once_for_any_number_of_notifications(served: Endpoint, count: int) -> None:
    told = notification(recent(1))
    assert {served.post(told).status_code for _ in range(count)} == {204}
    assert served.post([notification(recent(2))] * count).status_code == 204
    assert len(rows(served.lake)) == 2
    assert {row["priority"] for row in rows(served.lake)} == {0}


@pytest.mark.parametrize(
    "auth",
    [None, (USER, "wrong"), ("wrong", PASSWORD), ("", ""), (USER, PASSWORD + "x")],
    ids=["none", "password", "user", "empty", "longer"],
)
def test_d11_a_stranger_gets_401_without_detail(served: Endpoint, auth: tuple[str, str] | None) -> None:
    answer = served.post(notification(recent(1)), auth=auth)
    assert (answer.status_code, answer.content) == (401, b"")
    assert rows(served.lake) == []


@pytest.mark.parametrize("header", ["Basic", "Basic !!!", "Bearer aGxzOng=", "Basic /////w==", "Digest username=hls"])
def test_d11_an_authorization_that_is_none_gets_401(served: Endpoint, header: str) -> None:
    assert served.post(notification(recent(1)), auth=None, headers={"Authorization": header}).status_code == 401


def test_d11_a_stranger_does_not_learn_which_feeds_there_are(served: Endpoint) -> None:
    assert [served.post({}, name=name, auth=None).status_code for name in ("cdse", "nobody")] == [401, 401]
    assert [served.post({}, name=name).status_code for name in ("nobody", "..%2f")] == [404, 404]


def test_d11_more_than_a_mebibyte_gets_413_whether_it_says_so_or_not(served: Endpoint) -> None:
    large = json.dumps({**notification(recent(1)), "padding": "x" * LIMIT}).encode()
    assert served.post(large).status_code == 413
    assert served.post(large[at : at + 65536] for at in range(0, len(large), 65536)).status_code == 413  # chunked
    assert rows(served.lake) == []
    small = json.dumps(notification(recent(1))).encode()
    assert served.post(iter([small[:100], small[100:]])).status_code == 204
    assert len(rows(served.lake)) == 1


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"null", b"7", b"{}", b"[1, 2]", b'{"SubscriptionEvent": ["created"], "ProductId": "a"}', b"[" * 10_000, b"\xff\xfe",
     b'{"SubscriptionEvent": "created", "ProductId": "../../x"}', b'{"SubscriptionEvent": "exploded", "ProductId": "a"}'],
)  # fmt: skip
def test_b0a_payloads_are_data_and_nothing_else(served: Endpoint, body: bytes) -> None:
    answer = served.post(body)
    assert (answer.status_code, answer.content) == (400, b"")
    assert rows(served.lake) == []


def test_d11_text_that_the_database_refuses_fails_alone(served: Endpoint) -> None:
    evil = notification(recent(1))
    evil["value"]["Attributes"] = [{"Name": "productType", "Value": "S2MSI2A"}, {"Name": "timeliness", "Value": "a\0b"}]
    statuses: list[int] = []
    bodies = [evil, *(notification(recent(n)) for n in range(2, 22))]
    threads = [threading.Thread(target=lambda body=body: statuses.append(_alone(served, body))) for body in bodies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [204] * 20 + [400]
    assert len(rows(served.lake)) == 20


def test_d11_an_empty_array_says_nothing_and_is_taken(served: Endpoint) -> None:
    assert served.post([]).status_code == 204


def test_d11_what_nobody_wants_gets_204_and_no_row(served: Endpoint) -> None:
    old = product(1, NOW - DAY, tile="55HFA", sensed=NOW - 31 * DAY)
    elsewhere = recent(2, tile="28PHQ")
    other = recent(3, Attributes=[{"Name": "productType", "Value": "S2MSI2X"}])
    for document in (old, elsewhere, other):
        assert served.post(notification(document)).status_code == 204
    assert rows(served.lake) == []
    just = product(4, NOW - DAY, tile="55HFA", sensed=NOW - 30 * DAY + timedelta(hours=1))
    assert served.post(notification(just)).status_code == 204
    assert len(rows(served.lake)) == 1


def test_d11_one_feed_or_all_of_a_provider(served: Endpoint) -> None:
    told = notification(recent(1))
    assert served.post(told, name="l1c").status_code == 204
    assert rows(served.lake) == []
    assert served.post(told, name="recent").status_code == 204
    assert served.post(notification(recent(2, tile="28PHQ")), name="wide").status_code == 204
    assert [(row["provider"], row["feed"]) for row in rows(served.lake)] == [("other", "wide"), ("cdse", "recent")]


def test_d11_values_within_the_footprint_are_found_there(served: Endpoint) -> None:
    plain, inside = notification(recent(1)), nested(notification(recent(2)))
    assert "Attributes" not in inside["value"]
    assert [served.post(told).status_code for told in (plain, inside)] == [204, 204]
    first, second = sorted(rows(served.lake), key=lambda row: str(row["id"]))
    same = ("state", "feed", "footprint", "cloud_cover", "collection")
    assert [first[key] for key in same] == [second[key] for key in same]
    assert second["fingerprint"] == f"md5:{2:032x}"
    assert set(second["footprint"]) == {"type", "coordinates"}


def test_d11_the_value_is_right_about_its_name(served: Endpoint) -> None:
    document = recent(1)
    assert served.post(notification(document, ProductName=f"{document['Name']}E")).status_code == 204
    (row,) = rows(served.lake)
    assert row["name"] == document["Name"].removesuffix(".SAFE")


@pytest.mark.parametrize("places", [[], [{"FormatType": "Extracted"}] * 2, [{"FormatType": "Zip"}], None, "x"])
def test_d11_without_exactly_one_extracted_location_it_is_asked_for_by_id_before_it_is_fetched(served: Endpoint, places: object) -> None:
    told = notification(recent(1))
    told["value"]["Locations"] = places
    assert served.post(told).status_code == 204
    (row,) = rows(served.lake)
    assert "extracted locations" in row["detail"]["notes"][-1]
    assert "digests" not in row["detail"]
    with Server(Catalogue([recent(1)])) as server:
        provider = at(served.lake, server.url)
        with served.lake.connect() as connection:
            (granule,) = granules.get(connection, [row["granule_id"]])
        (part,) = provider.resolve(granule)
        provider.api.close()
    assert part.digests["md5"] == f"{1:032x}"


@pytest.mark.parametrize("lacking", ["value", "Name", "ContentDate", "Attributes"])
def test_d11_what_says_too_little_waits_until_the_catalogue_was_asked(served: Endpoint, lacking: str) -> None:
    told = notification(recent(1))
    told.pop(lacking, None)
    told.get("value", {}).pop(lacking, None)
    assert served.post(told).status_code == 204
    assert rows(served.lake) == []
    with served.lake.connect() as connection:
        (note,) = waiting(connection, "cdse", limit=10)
    assert (note.id, note.scope) == (told["ProductId"], "cdse")


def test_d10_the_same_name_with_another_id_is_one_scene(served: Endpoint) -> None:
    first = recent(1)
    second = {**first, "Id": "00000000-0000-0000-0000-00000000beef"}
    assert [served.post(notification(one)).status_code for one in (first, second)] == [204, 204]
    kept = rows(served.lake)
    assert len(kept) == 2
    assert len({row["scene_key"] for row in kept}) == 1
    assert sorted(row["state"] for row in kept) in (["queued", "rejected"], ["queued", "superseded"])


def test_b1h_modified_and_deleted_are_followed(served: Endpoint) -> None:
    document = recent(1)
    assert served.post(notification(document)).status_code == 204
    changed = {**document, "Checksum": [{"Algorithm": "MD5", "Value": "ab" * 16}], "EvictionDate": "2025-03-12T08:28:16.409489Z"}
    assert served.post([notification(changed, "modified")]).status_code == 204
    (row,) = rows(served.lake)
    assert (row["fingerprint"], row["state"]) == (f"md5:{'ab' * 16}", "queued")
    gone = {**changed, "DeletionDate": "2024-09-13T00:00:00.000Z", "DeletionCause": "Corrupted product"}
    assert served.post([notification(gone, "deleted")]).status_code == 204
    (row,) = rows(served.lake)
    assert (row["state"], row["reason"]) == ("withdrawn", "deleted by the provider: Corrupted product")


def test_b1h_a_deletion_of_what_we_never_had_leaves_no_row(served: Endpoint) -> None:
    assert served.post([notification(recent(1), "deleted")]).status_code == 204
    assert rows(served.lake) == []


def test_b1a_poll_and_push_are_one_registry_in_either_order(served: Endpoint) -> None:
    documents = [recent(n) for n in range(20)]
    for document in documents[:12]:
        assert served.post(notification(document)).status_code == 204
    with Server(Catalogue(documents)) as server:
        provider = at(served.lake, server.url)
        report = discover(served.lake, get_feed(served.lake.settings, "recent"), provider)
        provider.api.close()
    assert (report.new, report.changed, report.known) == (8, 0, 12)
    before = rows(served.lake)
    for document in documents:
        assert served.post(notification(document)).status_code == 204
    assert rows(served.lake) == before
    assert len(before) == 20


def test_d12_polling_alone_finds_what_push_lost(served: Endpoint) -> None:
    documents = [recent(n) for n in range(30)]
    for document in documents[::3]:
        assert served.post(notification(document), auth=None if document["Id"].endswith("6") else (USER, PASSWORD)).status_code in {
            204,
            401,
        }
    with Server(Catalogue(documents)) as server:
        provider = at(served.lake, server.url)
        discover(served.lake, get_feed(served.lake.settings, "recent"), provider)
        provider.api.close()
    assert sorted(str(row["id"]) for row in rows(served.lake)) == sorted(document["Id"] for document in documents)


def test_d11_a_burst_of_a_thousand_loses_nothing(served: Endpoint) -> None:
    bodies = [json.dumps(notification(product(n, NOW - DAY))).encode() for n in range(1000)]
    statuses = burst(served, bodies, "wide")
    assert statuses == dict.fromkeys(range(1000), 204)
    assert len(rows(served.lake)) == 1000


def test_d11_what_was_answered_with_204_survives_kill_9(fresh_lake: FreshLake, tmp_path: Path) -> None:
    bodies = [json.dumps(notification(product(n, NOW - DAY))).encode() for n in range(600)]
    taken: set[int] = set()
    with fresh_lake(tmp_path) as lake:
        configured(lake)
        for after in (0.3, 0.7):
            with endpoint(configured(lake)) as served:
                killer = threading.Timer(after, workers.kill, [served.process])
                killer.start()
                taken |= {n for n, status in burst(served, bodies, "wide").items() if status == 204}
                killer.join()
        found = {uuid.UUID(str(row["id"])).int for row in rows(lake)}
        assert taken <= found
        assert found <= set(range(600))
        with endpoint(configured(lake)) as served:
            assert set(burst(served, bodies, "wide").values()) == {204}
        assert len(rows(lake)) == 600


def burst(served: Endpoint, bodies: list[bytes], name: str, threads: int = 8) -> dict[int, int]:
    """Status by number; 0 where the connection broke."""
    statuses: dict[int, int] = {}

    def send(first: int) -> None:
        for n in range(first, len(bodies), threads):
            try:
                statuses[n] = served.post(bodies[n], name=name).status_code
            except OSError:
                statuses[n] = 0
        served.hang_up()

    senders = [threading.Thread(target=send, args=(first,)) for first in range(threads)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    return dict(sorted(statuses.items()))


def at(lake: Lake, url: str) -> ODataProvider:
    """The provider `cdse` at a simulator."""
    from dataclasses import replace

    config = provider_config(lake.settings, "cdse")
    return ODataProvider(replace(config, urls={"catalogue": f"{url}/odata/v1", "download": f"{url}/odata/v1"}))


def _alone(served: Endpoint, body: object) -> int:
    try:
        return served.post(body).status_code
    finally:
        served.hang_up()
