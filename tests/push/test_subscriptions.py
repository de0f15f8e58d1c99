"""`eolake push …` against the simulated Subscriptions of CDSE: subscriptions, pull queues, notifications that are sent."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from click.testing import CliRunner, Result
from support.subscribing import PASSWORD, USER, configured, endpoint, rows

from eolake.catalog.cli import root
from eolake.catalog.lake import Lake
from eolake.catalog.ledger import notified
from eolake.catalog.ledger.notified import Note
from eolake.ingest.faults import ProviderFault
from eolake.ingest.providers.registry import provider_config
from eolake.ingest.push.intake import Intake
from eolake.ingest.push.queues import drain, look_up
from eolake.ingest.push.subscriptions import Subscriptions
from eolake.ingest.simulators.archive import Archive, Record
from eolake.ingest.simulators.dialects.odata import ODataDialect
from eolake.ingest.simulators.dialects.subscriptions import Subscriptions as Simulated
from eolake.ingest.simulators.messages import Request, Response, json_response
from eolake.ingest.simulators.push import Pusher
from eolake.ingest.simulators.server import Server
from eolake.ingest.simulators.tokens import Tokens

NOW = datetime.now(UTC).replace(microsecond=0)
HOUR = timedelta(hours=1)
SETTINGS = """
[push]
url = "{endpoint}"
credential = "env:TEST_PUSH"
queues = ["cdse"]

[providers.cdse]
urls = {{catalogue = "{url}/odata/v1", download = "{url}/odata/v1", token = "{url}/token"}}
auth = {{kind = "oidc-password", client_id = "cdse-public", insecure = true}}
credentials = ["env:TEST_CDSE"]
options = {{retry_delay = 0}}

[feeds.l2a]
provider = "cdse"
collection = "s2_l2a"
tiles = ["55HFA"]

[feeds.l1c]
provider = "cdse"
collection = "s2_l1c"
"""


def record(n: int, **more: Any) -> Record:
    """A product; the same n is the same product."""
    level, kind = ("L1C", "S2MSI1C") if more.get("collection") == "s2_l1c" else ("L2A", "S2MSI2A")
    tile, start = more.pop("tile", "55HFA"), NOW - 10 * HOUR - timedelta(minutes=n)
    usual: dict[str, Any] = {
        "id": f"00000000-0000-0000-0000-{n:012x}",
        "name": f"S2B_MSI{level}_{start:%Y%m%dT%H%M%S}_N0511_R073_T{tile}_{NOW:%Y%m%dT%H%M%S}",
        "collection": "s2_l2a",
        "size": 1000 + n,
        "digests": {"md5": f"{n:032x}"},
        "published": NOW - HOUR + timedelta(seconds=n),
        "modified": NOW - HOUR + timedelta(seconds=n),
        "start": start,
        "end": start,
        "footprint": {"type": "Polygon", "coordinates": [[[149, -36], [150, -36], [150, -35], [149, -35], [149, -36]]]},
        "attributes": {"productType": kind, "tileId": tile, "cloudCover": 12.5},
    }
    return Record(**(usual | more))


@dataclass(kw_only=True)
class Away:
    """Lets requests through, until it is told how many more."""

    left: dict[str, int] = field(default_factory=dict)
    """Part of a path → requests that still pass; then 503."""

    def __call__(self, request: Request) -> Response | None:
        for part, left in self.left.items():
            if part in request.path:
                if left == 0:
                    return json_response({"detail": "away"}, 500)
                self.left[part] = left - 1
        return None


@dataclass(kw_only=True)
class Cdse:
    """The simulator, and a lake that knows it."""

    lake: Lake
    archive: Archive
    dialect: ODataDialect
    server: Server
    away: Away
    pusher: Pusher
    simulated: Simulated
    days_later: float = 0

    def run(self, *arguments: str) -> Result:
        """`eolake --json -c LAKE push …`"""
        return CliRunner().invoke(root, ["-c", str(self.lake.settings.root / "eolake.toml"), "--json", *arguments])

    def document(self, *arguments: str) -> Any:
        """What it printed, when all went well."""
        done = self.run(*arguments)
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)

    def settings(self, endpoint: str = "http://127.0.0.1:1") -> None:
        self.lake = configured(self.lake, SETTINGS.format(url=self.server.url, endpoint=endpoint))

    @property
    def queue(self) -> list[dict[str, Any]]:
        (found,) = self.simulated.subscriptions.values()
        return list(found.queue)


@pytest.fixture
def cdse(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cdse]:
    for name, value in {"TEST_PUSH": (USER, PASSWORD), "TEST_CDSE": ("me", "secret")}.items():
        monkeypatch.setenv(f"{name}_USERNAME", value[0])
        monkeypatch.setenv(f"{name}_PASSWORD", value[1])
    archive = Archive()
    tokens, dialect, away = Tokens({"me": "secret"}), ODataDialect(archive), Away()
    with ExitStack() as stack:
        pusher = stack.enter_context(Pusher(threads=4, pause=0.05))
        found: list[Cdse] = []
        subscriptions = Simulated(
            dialect,
            base="http://127.0.0.1",
            tokens=tokens,
            pusher=pusher,
            nested=True,
            clock=lambda: datetime.now(UTC) + timedelta(days=found[0].days_later),
        )
        server = stack.enter_context(Server(away, tokens, subscriptions, dialect))
        found.append(Cdse(lake=lake, archive=archive, dialect=dialect, server=server, away=away, pusher=pusher, simulated=subscriptions))
        found[0].settings()
        yield found[0]


def test_one_subscription_covers_all_feeds_and_a_second_is_refused_with_what_to_do(cdse: Cdse) -> None:
    plan = cdse.document("push", "create", "cdse", "--dry-run")
    assert cdse.document("push", "list", "cdse") == []
    made = cdse.document("push", "create", "cdse")
    assert (made["status"], made["endpoint"]) == ("running", "http://127.0.0.1:1/push/cdse")
    assert plan["filter"] == made["filter"]
    assert "S2MSI2A" in made["filter"]
    assert "S2MSI1C" in made["filter"]
    assert made["events"] == ["created", "modified", "deleted"]
    (held,) = cdse.simulated.subscriptions.values()
    assert (held.document["NotificationEpUsername"], held.password) == (USER, PASSWORD)
    again = cdse.run("push", "create", "cdse", "--pull")
    assert again.exit_code == 1
    assert f"eolake push pause cdse {made['id']}" in again.stderr
    assert [one["id"] for one in cdse.document("push", "list", "cdse")] == [made["id"]]
    assert PASSWORD not in again.output


def test_subscriptions_are_paused_resumed_and_deleted_and_dry_runs_touch_nothing(cdse: Cdse) -> None:
    made = cdse.document("push", "create", "cdse", "--feed", "l2a", "--event", "created")
    assert made["endpoint"].endswith("/push/l2a")
    for order, status in (("pause", "paused"), ("resume", "running")):
        before = cdse.document("push", "list", "cdse")
        cdse.document("push", order, "cdse", made["id"], "--dry-run")
        assert cdse.document("push", "list", "cdse") == before
        assert cdse.document("push", order, "cdse", made["id"])["status"] == status
    cdse.document("push", "delete", "cdse", made["id"], "--dry-run")
    assert len(cdse.document("push", "list", "cdse")) == 1
    cdse.document("push", "pause", "cdse", made["id"])
    second = cdse.document("push", "create", "cdse", "--pull")
    assert second["endpoint"] is None
    for one in (made["id"], second["id"]):
        cdse.document("push", "delete", "cdse", one)
    assert cdse.document("push", "list", "cdse") == []
    gone = cdse.run("push", "delete", "cdse", made["id"])
    assert (gone.exit_code, "has no subscription" in gone.stderr) == (2, True)
    assert cdse.run("push", "pause", "cdse", "../Products").exit_code == 2


def test_what_is_sent_without_a_place_to_send_it_to_is_refused(cdse: Cdse) -> None:
    cdse.lake = configured(cdse.lake, SETTINGS.format(url=cdse.server.url, endpoint="").replace('url = ""\n', "", 1))
    refused = cdse.run("push", "create", "cdse")
    assert refused.exit_code == 3
    assert "--pull" in refused.stderr
    assert cdse.run("push", "create", "usgs").exit_code == 2  # no feed


def test_d11_a_pull_queue_is_read_to_its_end_and_a_rerun_changes_nothing(cdse: Cdse) -> None:
    cdse.document("push", "create", "cdse", "--pull")
    cdse.archive.add(*(record(n) for n in range(45)), record(90, tile="28PHQ"), record(91, collection="s2_l1c"))
    assert len(cdse.queue) == 46  # the tile is in the filter
    first = cdse.document("push", "read", "cdse")
    assert (first["read"], first["acknowledged"], first["new"]) == (46, 46, 46)
    assert {row["feed"] for row in rows(cdse.lake)} == {"l2a", "l1c"}
    assert cdse.queue == []
    before = rows(cdse.lake)
    assert cdse.document("push", "read", "cdse")["read"] == 0
    assert rows(cdse.lake) == before


@pytest.mark.parametrize("acks", [0, 1, 2])
def test_d11_it_is_acknowledged_after_commit_and_what_comes_again_changes_nothing(cdse: Cdse, acks: int) -> None:
    cdse.document("push", "create", "cdse", "--pull")
    cdse.archive.add(*(record(n) for n in range(50)))
    cdse.away.left = {"/Ack": acks}
    assert cdse.run("push", "read", "cdse").exit_code == 4
    registered = rows(cdse.lake)
    assert len(registered) == min(50, 20 * (acks + 1))  # committed before it was acknowledged
    assert len(cdse.queue) == 50 - 20 * acks
    cdse.away.left = {}
    done = cdse.document("push", "read", "cdse")
    assert (done["read"], done["known"]) == (50 - 20 * acks, min(20, 50 - 20 * acks))
    assert len(rows(cdse.lake)) == 50
    assert [row for row in rows(cdse.lake) if row["name"] in {one["name"] for one in registered}] == registered


def test_d11_notifications_that_were_stripped_are_asked_for_by_id(cdse: Cdse) -> None:
    cdse.document("push", "create", "cdse", "--pull")
    cdse.archive.add(*(record(n) for n in range(25)))
    cdse.archive.remove(record(3).id)
    cdse.days_later = 4
    done = cdse.document("push", "read", "cdse")
    assert not any("value" in message for message in cdse.queue)
    assert (done["read"], done["new"]) == (26, 24)
    assert {row["fingerprint"] for row in rows(cdse.lake)} == {f"md5:{n:032x}" for n in range(25) if n != 3}
    with cdse.lake.connect() as connection:
        (left,) = notified.waiting(connection, "cdse", limit=10)
    assert (left.id, left.tries) == (record(3).id, 1)  # it may come yet
    for _ in range(4):
        cdse.document("push", "read", "cdse")
    with cdse.lake.connect() as connection:
        assert notified.waiting(connection, "cdse", limit=10) == []


def test_what_waits_to_be_asked_for_waits_on_when_the_catalogue_is_away(cdse: Cdse) -> None:
    cdse.archive.add(*(record(n) for n in range(3)))
    with cdse.lake.connect() as connection:
        notified.note(connection, [Note(provider="cdse", id=record(n).id, scope="cdse", why="no value") for n in range(3)])
        cdse.away.left = {"/Products(": 1}
        with pytest.raises(ProviderFault):
            look_up(cdse.lake, Intake(cdse.lake.settings), "cdse")
        assert len(notified.waiting(connection, "cdse", limit=10)) == 3
        cdse.away.left = {}
        assert look_up(cdse.lake, Intake(cdse.lake.settings), "cdse").new == 3
        assert notified.waiting(connection, "cdse", limit=10) == []


def test_a_queue_that_does_not_advance_is_a_fault_and_no_loop(cdse: Cdse) -> None:
    intake = Intake(cdse.lake.settings)
    scope = intake.scope("cdse")
    assert scope is not None
    message = {"SubscriptionEvent": "created", "ProductId": record(1).id, "AckId": "same"}

    def stuck(request: Request) -> Response | None:
        return json_response([message] if request.path.endswith("/Read") else {"AckMessagesNum": 0})

    with Server(stuck) as server:
        config = replace(provider_config(cdse.lake.settings, "cdse"), urls={"catalogue": server.url, "download": server.url}, auth_hosts=())
        queue = Subscriptions(config, None)
        with pytest.raises(ProviderFault, match="does not advance"):
            drain(cdse.lake, intake, scope, queue, "a")
        queue.close()


def test_d11_what_is_pushed_arrives_and_what_is_lost_is_polled_d12(cdse: Cdse) -> None:
    with endpoint(cdse.lake) as served:
        cdse.settings(served.url)
        cdse.document("push", "create", "cdse")
        cdse.archive.add(*(record(n) for n in range(10)))
        cdse.archive.add(replace(record(1), digests={"md5": "ab" * 16}, modified=NOW))
        cdse.pusher.wait()
        cdse.archive.remove(record(2).id, cause="Corrupted product")
        cdse.pusher.wait()
    assert cdse.pusher.lost == 0
    assert {row["id"]: row["state"] for row in rows(cdse.lake)} == {record(n).id: "withdrawn" if n == 2 else "queued" for n in range(10)}
    assert {row["fingerprint"] for row in rows(cdse.lake, "name = %s", [record(1).name])} == {f"md5:{'ab' * 16}"}
    cdse.archive.add(*(record(n) for n in range(10, 15)))
    cdse.pusher.wait()
    assert cdse.pusher.lost == 5  # nobody listens any more
    done = cdse.document("daily", "--fetch", "0")
    assert (done["feeds"]["l2a"]["new"], done["feeds"]["l2a"]["known"], done["faults"]) == (5, 9, {})
    assert len(rows(cdse.lake)) == 15
