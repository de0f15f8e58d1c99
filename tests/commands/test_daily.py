"""`eolake daily`: the one line for cron."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from click.testing import CliRunner, Result
from support.odata import Catalogue, Document, product
from support.subscribing import configured, rows

from eolake.catalog.cli import root
from eolake.catalog.lake import Lake
from eolake.catalog.ledger.discovery import hold_feed
from eolake.ingest.daily import LOCK
from eolake.ingest.simulators.messages import Request, Response, json_response
from eolake.ingest.simulators.server import Server

NOW = datetime.now(UTC).replace(microsecond=0)
HOUR = timedelta(hours=1)
SETTINGS = """
[providers.one]
preset = "cdse"
urls = {{catalogue = "{url}/odata/v1", download = "{url}/odata/v1"}}
options = {{retry_delay = 0}}

[providers.two]
preset = "cdse"
urls = {{catalogue = "{url}/two/odata/v1", download = "{url}/odata/v1"}}
options = {{retry_delay = 0}}

[feeds.a]
provider = "two"
collection = "s2_l2a"

[feeds.b]
provider = "one"
collection = "s2_l2a"
lookback = "2d"
"""


@dataclass(kw_only=True)
class Cron:
    """A lake with two feeds; the provider of the first one does not answer."""

    lake: Lake
    documents: list[Document]
    away: bool = True
    everything_away: bool = False
    catalogue: Catalogue = field(init=False)

    def __post_init__(self) -> None:
        self.catalogue = Catalogue(self.documents)

    def __call__(self, request: Request) -> Response | None:
        if self.everything_away or (self.away and request.path.startswith("/two/")):
            return json_response({"detail": "away"}, 500)
        return json_response({"value": []}) if request.path.startswith("/two/") else None

    def run(self, *arguments: str) -> tuple[Result, Any]:
        done = CliRunner().invoke(root, ["-c", str(self.lake.settings.root / "eolake.toml"), "--json", "daily", "--fetch", "0", *arguments])
        return done, json.loads(done.stdout) if done.stdout else None


@pytest.fixture
def cron(lake: Lake) -> Iterator[Cron]:
    made = Cron(lake=lake, documents=[product(n, NOW - (n + 1) * HOUR) for n in range(20)])
    with Server(made, made.catalogue) as server:
        made.lake = configured(lake, SETTINGS.format(url=server.url))
        yield made


def test_one_feed_that_fails_stops_no_other(cron: Cron) -> None:
    done, document = cron.run()
    assert done.exit_code == 1, done.output
    assert sorted(document["faults"]) == ["a", "changes of two"]
    assert (document["feeds"]["b"]["new"], document["complete"]) == (20, False)
    cron.away = False
    done, document = cron.run()
    assert (done.exit_code, document["faults"], document["complete"]) == (0, {}, True)
    assert (document["feeds"]["b"]["new"], document["feeds"]["b"]["known"]) == (0, 20)
    assert len(rows(cron.lake)) == 20


def test_when_no_provider_answers_the_exit_code_says_so(cron: Cron) -> None:
    cron.everything_away = True
    done, document = cron.run()
    assert done.exit_code == 4
    assert document["feeds"] == {}


def test_two_do_not_run_at_once(cron: Cron) -> None:
    with cron.lake.connect() as connection:
        assert hold_feed(connection, LOCK)
        done, _ = cron.run()
    assert done.exit_code == 75
    assert "under way" in done.stderr
    assert rows(cron.lake) == []
    assert cron.run()[0].exit_code == 1


def test_what_is_cut_off_by_its_time_is_no_failure_and_goes_on(cron: Cron) -> None:
    cron.away = False
    done, document = cron.run("--max-time", "0s")
    assert (done.exit_code, document["complete"], document["feeds"], document["work"]) == (0, False, {}, None)
    done, document = cron.run("--max-time", "1h")
    assert (done.exit_code, document["complete"], document["feeds"]["b"]["new"]) == (0, True, 20)


def test_what_the_provider_deleted_is_withdrawn(cron: Cron) -> None:
    cron.away = False
    assert cron.run()[0].exit_code == 0
    gone = cron.documents.pop(0)
    cron.catalogue.deleted = [{**gone, "DeletionDate": gone["PublicationDate"], "DeletionCause": "Duplicated product"}]
    done, document = cron.run()
    assert (done.exit_code, document["changes"]["one"]["withdrawn"]) == (0, 1)
    (row,) = rows(cron.lake, "state = 'withdrawn'")
    assert (row["id"], row["reason"]) == (gone["Id"], "deleted by the provider: Duplicated product")
