"""`eolake retry`: by date, by reason, by provider."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from click.testing import CliRunner
from support.subscribing import rows

from eolake.catalog.cli import root
from eolake.catalog.lake import Lake
from eolake.catalog.ledger import granules
from eolake.catalog.ledger.granules import Offer

DAY = datetime(2024, 9, 10, tzinfo=UTC)
REASONS = {"a": ("cdse", "truncated"), "b": ("cdse", "truncated"), "c": ("cdse", "no sensor"), "d": ("usgs", "truncated")}


@pytest.fixture
def broken(lake: Lake) -> Lake:
    """a and c were published on the 10th, b a day later, d at nobody knows when; all are quarantined."""
    published = {"a": DAY, "b": DAY + timedelta(days=1), "c": DAY + timedelta(hours=23, minutes=59, seconds=59.5), "d": None}
    with lake.connect() as connection:
        for name, (provider, reason) in REASONS.items():
            given = Offer(provider=provider, id=name, name=name, source=name, fingerprint="1", published=published[name])
            granules.offer(connection, [given])
            connection.execute(
                "update eolake.granule set state = 'quarantined', reason = %s, attempts = 7 where id = %s", [f"it was {reason}", name]
            )
    return lake


def retry(lake: Lake, *arguments: str) -> Any:
    done = CliRunner().invoke(root, ["-c", str(lake.settings.root / "eolake.toml"), "--json", "retry", *arguments])
    assert done.exit_code in {0, 1}, done.output
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("arguments", "taken"),
    [
        ((), "abcd"),
        (("--date", "2024-09-10"), "ac"),
        (("--date", "2024-09-11"), "b"),
        (("--date", "2024-09-12"), ""),
        (("--reason", "TRUNCATED"), "abd"),
        (("--provider", "cdse"), "abc"),
        (("--provider", "cdse", "--reason", "truncated", "--date", "2024-09-10"), "a"),
        (("a", "d", "--provider", "usgs"), "d"),
    ],
)
def test_t32_by_date_by_reason_by_provider_and_dry_run_is_real(broken: Lake, arguments: tuple[str, ...], taken: str) -> None:
    before = rows(broken)
    said = retry(broken, *arguments, "--dry-run")
    assert (said["retried"], said["dry_run"]) == (list(taken), True)
    assert rows(broken) == before
    assert retry(broken, *arguments)["retried"] == list(taken)
    assert [row["name"] for row in rows(broken, "state = 'queued' and attempts = 0 and reason is null")] == list(taken)
    assert retry(broken, *arguments)["retried"] == []


def test_t32_a_day_that_nobody_knows_is_that_of_the_offer(broken: Lake) -> None:
    with broken.connect() as connection:
        connection.execute("update eolake.granule set offered_at = '2024-10-01T12:00Z' where id = 'd'")
    assert retry(broken, "--date", "2024-10-01")["retried"] == ["d"]


@pytest.mark.parametrize("day", ["yesterday", "2024-9-1x", "2024-13-01", ""])
def test_t32_a_day_that_is_none_is_refused(broken: Lake, day: str) -> None:
    done = CliRunner().invoke(root, ["-c", str(broken.settings.root / "eolake.toml"), "retry", "--date", day])
    assert done.exit_code == 2
    assert len(rows(broken, "state = 'quarantined'")) == 4


def test_t32_what_waits_for_its_provider_waits_no_longer(broken: Lake) -> None:
    with broken.connect() as connection:
        connection.execute(
            "update eolake.granule set state = 'queued', waits_for = 'offline', next_try = eolake.clock() + interval '1 day' where id = 'a'"
        )
    assert retry(broken, "--state", "queued")["retried"] == ["a"]
    (row,) = rows(broken, "id = 'a' and next_try <= eolake.clock()")
    assert (row["state"], row["waits_for"]) == ("queued", None)


def test_products_on_disk_wait_to_be_converted_and_not_to_be_fetched(lake: Lake) -> None:
    with lake.connect() as connection:
        given = Offer(provider="folder", id="/in/a", name="a", source="/in/a", fingerprint="1", state="fetched")
        granules.offer(connection, [given])
        connection.execute("update eolake.granule set state = 'quarantined'")
    assert retry(lake)["retried"] == ["a"]
    assert [row["state"] for row in rows(lake)] == ["fetched"]
