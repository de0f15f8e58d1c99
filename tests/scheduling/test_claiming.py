"""Claims: a granule and a connection, both or neither."""

from __future__ import annotations

from datetime import timedelta

import pytest
from support.claiming import BOTH, MINUTE, claim, credential, offer, shift, slot_of

from eolake.catalog.errors import Fenced
from eolake.catalog.lake import Connection, Lake
from eolake.catalog.ledger import granules, slots, transfers
from eolake.catalog.ledger.slots import Account
from eolake.catalog.ledger.transfers import RawFile

FILE = RawFile(name="a.zip", key="raw/a.zip", bytes=1000, sha256="00" * 32)


def test_no_more_claims_than_connections_and_all_of_them(db: Connection) -> None:
    slots.configure(db, [Account(provider="a", name="x", connections=2), Account(provider="b", name="y", connections=1)])
    offer(db, "a", 5)
    offer(db, "b", 5)
    got = [claim(db, BOTH) for _ in range(5)]
    assert [one.provider if one else None for one in got] == ["a", "b", "a", None, None]


def test_nothing_due_or_nobody_configured_is_none(db: Connection) -> None:
    offer(db, "a", 1)
    assert claim(db) is None
    slots.configure(db, [Account(provider="a", name="x", connections=1)])
    assert claim(db, ["b"]) is None
    assert claim(db) is not None


def test_configure_again_writes_nothing_and_follows_the_settings(db: Connection) -> None:
    account = Account(provider="a", name="x", connections=2)
    slots.configure(db, [account])
    before = db.execute("select xmin::text from eolake.credential").fetchall()
    slots.configure(db, [account])
    assert db.execute("select xmin::text from eolake.credential").fetchall() == before
    slots.configure(db, [Account(provider="a", name="x", connections=4)])
    assert credential(db)["allowed"] == 4
    slots.configure(db, [Account(provider="a", name="x", connections=1)])
    assert credential(db)["allowed"] == 1
    offer(db, "a", 3)
    assert claim(db)
    assert claim(db) is None
    slots.configure(db, [Account(provider="a", name="z", connections=1)])
    assert credential(db, "x")["retired"]
    taken = claim(db)
    assert taken
    assert taken.credential == "z"


def test_fetched_frees_after_the_connection_is_closed(db: Connection) -> None:
    slots.configure(db, [Account(provider="a", name="x", connections=1, release_lag=5)])
    offer(db, "a", 3)
    one = claim(db)
    assert one
    transfers.fetched(db, one, [FILE], machine="m")
    assert claim(db) is None
    two = transfers.claim(db, owner="me", lease=MINUTE, providers=["a"], slot=one.slot)
    assert two
    assert two.n == one.n
    transfers.release(db, two)
    slots.free(db, two.slot)
    assert claim(db) is None  # its provider may still count it
    shift(db, seconds=5.1)
    assert claim(db) is not None
    assert db.execute("select bytes, key from eolake.file").fetchone() == {"bytes": 1000, "key": "raw/a.zip"}


def test_only_these_granules(db: Connection) -> None:
    slots.configure(db, [Account(provider="a", name="x", connections=3)])
    offered = offer(db, "a", 3)
    only = [offered[2].granule_id]
    taken = transfers.claim(db, owner="me", lease=MINUTE, providers=["a"], only=only)
    assert taken
    assert [taken.granule.granule_id] == only
    assert transfers.claim(db, owner="me", lease=MINUTE, providers=["a"], only=only) is None


def test_near_real_time_goes_first_and_bulk_does_not_starve(db: Connection) -> None:
    slots.configure(db, [Account(provider="a", name="x", connections=1)])
    offer(db, "a", 150, priority=1, prefix="bulk")
    offer(db, "a", 150, priority=0, prefix="nrt")
    names = []
    for _ in range(120):
        one = claim(db)
        assert one
        names.append(one.granule.name[:3])
        transfers.fetched(db, one, [], machine="m")
        slots.free(db, one.slot)
    assert names.count("nrt") > 80
    assert "bul" in names


def test_t28_of_two_workers_one_wins(db: Connection) -> None:
    slots.configure(db, [Account(provider="a", name="x", connections=2)])
    offer(db, "a", 1)
    zombie = claim(db)
    assert zombie
    shift(db, seconds=61)
    other = claim(db, owner="other")
    assert other
    assert other.granule.granule_id == zombie.granule.granule_id
    assert other.granule.faults == 1
    with pytest.raises(Fenced):
        transfers.fetched(db, zombie, [FILE], machine="m")
    with pytest.raises(Fenced):
        transfers.fail(db, zombie, kind="corrupt", reason="late")
    with pytest.raises(Fenced):
        transfers.release(db, zombie)
    slots.free(db, zombie.slot)
    assert transfers.keep(db, [(zombie, 5), (other, 5)], MINUTE) == {zombie.lease.fence}
    assert slot_of(db, other)["owner"] == "other"
    assert db.execute("select count(*) as n from eolake.file").fetchone() == {"n": 0}
    transfers.fetched(db, other, [FILE], machine="m")
    assert granules.get(db, [other.granule.granule_id])[0].state == "fetched"


def test_t28_another_lane_of_the_same_owner_keeps_its_connection(db: Connection) -> None:
    slots.configure(db, [Account(provider="a", name="x", connections=1)])
    offer(db, "a", 2)
    slow = claim(db)
    assert slow
    shift(db, seconds=61)
    quick = claim(db)
    assert quick
    assert (quick.credential_id, quick.n) == (slow.credential_id, slow.n)
    slots.free(db, slow.slot)
    slots.hold(db, slow.slot)
    assert slot_of(db, quick)["fence"] == quick.lease.fence
    assert claim(db) is None


def test_t29_the_clock_of_a_worker_does_not_matter(db: Connection, shared: Lake) -> None:
    slots.configure(db, [Account(provider="a", name="x", connections=1)])
    offer(db, "a", 2)
    held = claim(db)
    assert held
    with shared.connect() as elsewhere:  # whatever a worker believes: the database says what time it is
        assert claim(elsewhere, owner="other") is None
        assert transfers.keep(db, [(held, 0)], timedelta(hours=1)) == set()
        shift(elsewhere, seconds=1800)
        assert claim(elsewhere, owner="other") is None
        shift(elsewhere, seconds=-86400)
        assert claim(elsewhere, owner="other") is None
    assert (
        "now()"
        not in db.execute("select string_agg(prosrc, '') as source from pg_proc where pronamespace = 'eolake'::regnamespace").fetchone()[
            "source"
        ]
    )  # type: ignore[index]


def test_the_connections_of_a_dead_worker_rest_for_the_lag(db: Connection) -> None:
    slots.configure(db, [Account(provider="a", name="x", connections=1, release_lag=5)])
    offer(db, "a", 2)
    assert claim(db, owner="dead")
    assert slots.owners(db) == {"dead"}
    slots.expire(db, ["dead"])
    granules.expire(db, ["dead"])
    assert claim(db) is None
    shift(db, seconds=5.1)
    taken = claim(db)
    assert taken


def test_a_lease_that_ran_out_rests_for_the_lag_too(db: Connection) -> None:
    slots.configure(db, [Account(provider="a", name="x", connections=1, release_lag=5)])
    offer(db, "a", 2)
    held = claim(db, owner="gone")
    assert held
    shift(db, seconds=61)
    assert claim(db) is None
    assert transfers.keep(db, [(held, 0)], MINUTE) == {held.lease.fence}  # and is not given back to one that woke up
    shift(db, seconds=66)
    assert claim(db) is not None


def test_when_nothing_waits_nothing_is_due(lake: Lake) -> None:
    with lake.connect() as connection:
        slots.configure(connection, [Account(provider="a", name="x", connections=1)])
        assert transfers.due_in(connection, providers=["a"]) is None
