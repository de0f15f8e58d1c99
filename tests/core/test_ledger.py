"""The queue: offers, leases, fences."""

from __future__ import annotations

from datetime import timedelta

import pytest

from eolake.catalog.errors import Fenced
from eolake.catalog.lake import Connection, Lake
from eolake.catalog.ledger import granules
from eolake.catalog.ledger.granules import Offer
from eolake.catalog.migrate import migrate

MINUTE = timedelta(minutes=1)


def _offer(name: str = "a", fingerprint: str = "1") -> Offer:
    return Offer(provider="folder", id=f"/data/{name}", name=name, source=f"/data/{name}", fingerprint=fingerprint, state="fetched")


def _writes(connection: Connection) -> int:
    connection.execute("select pg_stat_force_next_flush()")
    row = connection.execute(
        "select sum(n_tup_ins + n_tup_upd + n_tup_del) as n from pg_stat_user_tables where schemaname = 'eolake'"
    ).fetchone()
    assert row is not None
    return int(row["n"])


def test_migrating_again_writes_nothing(lake: Lake) -> None:
    with lake.connect() as connection:
        before = connection.execute("select * from eolake.migration order by name").fetchall()
        migrate(lake)
        assert connection.execute("select * from eolake.migration order by name").fetchall() == before


def test_a_known_offer_is_not_written_again(lake: Lake) -> None:
    with lake.connect() as connection:
        assert [o.outcome for o in granules.offer(connection, [_offer(), _offer("b")])] == ["new", "new"]
        before = _writes(connection)
        assert {o.outcome for o in granules.offer(connection, [_offer(), _offer("b")])} == {"known"}
        assert _writes(connection) == before


def test_an_offer_with_other_bytes_is_queued_again(lake: Lake) -> None:
    with lake.connect() as connection:
        granules.offer(connection, [_offer()])
        (granule,) = granules.claim(connection, owner="w", lease=MINUTE)
        lease = granules.lease_of(granule)
        (offered,) = granules.offer(connection, [_offer(fingerprint="2")])
        assert offered.outcome == "changed"
        with pytest.raises(Fenced):
            granules.extend(connection, lease, MINUTE)
        assert granules.states(connection) == {"fetched": 1}


def test_one_granule_is_leased_once(lake: Lake) -> None:
    with lake.connect() as one, lake.connect() as two:
        granules.offer(one, [_offer()])
        assert len(granules.claim(one, owner="1", lease=MINUTE)) == 1
        assert granules.claim(two, owner="2", lease=MINUTE) == []


def test_an_expired_lease_goes_to_the_next_and_fences_the_first(lake: Lake) -> None:
    with lake.connect() as one, lake.connect() as two:
        granules.offer(one, [_offer()])
        (first,) = granules.claim(one, owner="1", lease=MINUTE)
        two.execute("set eolake.clock_offset = '2 minutes'")
        (second,) = granules.claim(two, owner="2", lease=MINUTE)
        assert second.granule_id == first.granule_id
        assert granules.lease_of(second).fence > granules.lease_of(first).fence
        with pytest.raises(Fenced):
            granules.quarantine(one, granules.lease_of(first), reason="broken")
        granules.quarantine(two, granules.lease_of(second), reason="broken: B4.TIF is truncated")
        assert granules.states(one) == {"quarantined": 1}


def test_a_released_granule_does_not_count_the_attempt(lake: Lake) -> None:
    with lake.connect() as connection:
        granules.offer(connection, [_offer()])
        (granule,) = granules.claim(connection, owner="w", lease=MINUTE)
        granules.release(connection, granules.lease_of(granule))
        (again,) = granules.claim(connection, owner="w", lease=MINUTE)
        assert again.attempts == 1


def test_retry_takes_quarantined_granules_by_reason(lake: Lake) -> None:
    with lake.connect() as connection:
        granules.offer(connection, [_offer(), _offer("b")])
        for granule, reason in zip(
            granules.claim(connection, owner="w", lease=MINUTE, limit=2), ("truncated", "100% odd_name"), strict=True
        ):
            granules.quarantine(connection, granules.lease_of(granule), reason=reason)
        assert len(granules.retry(connection, reason="trunc", dry_run=True)) == 1
        assert len(granules.retry(connection, reason="trunc")) == 1
        assert granules.states(connection) == {"fetched": 1, "quarantined": 1}
