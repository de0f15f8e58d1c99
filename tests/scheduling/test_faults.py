"""What each class of fault means for the granule, its account and its host."""

from __future__ import annotations

import pytest
from support.claiming import BOTH, claim, credential, offer, shift

from eolake.catalog.lake import Connection
from eolake.catalog.ledger import discovery, granules, slots, transfers
from eolake.catalog.ledger.granules import Granule
from eolake.catalog.ledger.slots import Account
from eolake.catalog.ledger.transfers import Claim, Fault

HOST = "host.example"


def account(db: Connection, *names: str, provider: str = "a", connections: int = 8, budget: int | None = None) -> None:
    slots.configure(db, [Account(provider=provider, name=name, connections=connections, budget=budget) for name in names or ("x",)])


def take(db: Connection, provider: str = "a") -> Claim:
    one = claim(db, [provider])
    assert one is not None
    return one


def fail(db: Connection, one: Claim, kind: Fault, *, retry_after: float | None = None, won: int = 0) -> str:
    state = transfers.fail(db, one, kind=kind, reason=f"it said {kind}", retry_after=retry_after, won=won)
    slots.free(db, one.slot)
    return state


def look(db: Connection, one: Claim) -> Granule:
    return granules.get(db, [one.granule.granule_id])[0]


def alarms(db: Connection) -> list[str]:
    return sorted(alarm.kind for alarm in discovery.alarms(db))


@pytest.mark.parametrize(
    ("said", "rest"),
    [(7, 7), (0, 1), (-30, 1), (86_400, 3600), (None, 2)],
    ids=["seconds", "now", "past", "day", "garbage"],
)
def test_t21_rate_lets_the_account_rest_and_spares_the_granule(db: Connection, said: float | None, rest: float) -> None:
    account(db)
    offer(db, "a", 3)
    one = take(db)
    assert fail(db, one, "rate", retry_after=said) == "queued"
    assert credential(db)["rest"] == pytest.approx(rest, abs=0.5)
    assert look(db, one).attempts == 0
    assert claim(db) is None
    shift(db, seconds=rest + 1)
    assert claim(db) is not None


def test_t22_without_a_time_each_rest_is_twice_as_long(db: Connection) -> None:
    account(db)
    offer(db, "a", 1)
    later, rests = 0.0, []
    for _ in range(13):
        fail(db, take(db), "rate")
        rests.append(credential(db)["rest"])
        later += rests[-1] + 0.1
        shift(db, seconds=later)
    assert rests == pytest.approx([2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 3600, 3600], abs=0.5)
    assert look(db, take(db)).attempts == 1


def test_aimd_halves_once_for_one_burst_and_grows_after_ten_clean_minutes(db: Connection) -> None:
    account(db)
    offer(db, "a", 20)
    burst = [take(db) for _ in range(8)]
    for one in burst:
        fail(db, one, "rate", retry_after=5)
    assert credential(db)["allowed"] == 4
    shift(db, seconds=6)
    assert len([one for one in (claim(db) for _ in range(8)) if one]) == 4
    later = 6.0
    for expected in (5, 6, 7, 8, 8):
        slots.tend(db)
        later += 300
        shift(db, seconds=later)
        slots.tend(db)
        later += 301
        shift(db, seconds=later)
        slots.tend(db)
        assert credential(db)["allowed"] == expected
    assert credential(db)["rates"] == 0


def test_aimd_never_goes_below_one_and_a_long_rest_is_not_clean_time(db: Connection) -> None:
    account(db, connections=2)
    offer(db, "a", 3)
    fail(db, take(db), "rate", retry_after=3600)
    shift(db, seconds=3590)
    slots.tend(db)
    assert credential(db)["allowed"] == 1
    shift(db, seconds=3601)
    slots.tend(db)
    assert credential(db)["allowed"] == 1
    fail(db, take(db), "rate", retry_after=1)
    assert credential(db)["allowed"] == 1


def test_transient_counts_only_without_a_new_byte(db: Connection) -> None:
    account(db)
    offer(db, "a", 1)
    later = 0.0
    for _ in range(25):
        later += 400
        shift(db, seconds=later)
        assert fail(db, take(db), "transient", won=1) == "queued"
    for n in range(10):
        later += 400
        shift(db, seconds=later)
        one = take(db)
        assert fail(db, one, "transient") == ("quarantined" if n == 9 else "queued")
    assert look(db, one).reason == "it said transient (attempts without a new byte: 10)"
    assert claim(db) is None
    granules.retry(db, waiting="queued")
    assert fail(db, take(db), "transient") == "queued"


def test_seven_days_of_failures_are_enough_but_waiting_in_the_queue_is_none(db: Connection) -> None:
    account(db)
    offer(db, "a", 1)
    week = 7 * 86_400
    shift(db, seconds=2 * week)
    one = take(db)
    assert fail(db, one, "transient", won=1) == "queued"
    shift(db, seconds=3 * week - 60)
    assert fail(db, take(db), "transient", won=1) == "queued"
    shift(db, seconds=3 * week + 60)
    assert fail(db, take(db), "transient", won=1) == "quarantined"
    assert "7 days" in str(look(db, one).reason)


def test_offline_is_asked_for_more_and_more_rarely_and_costs_no_attempt(db: Connection) -> None:
    account(db)
    offer(db, "a", 1)
    later, waits = 0.0, []
    for _ in range(8):
        one = take(db)
        assert fail(db, one, "offline") == "queued"
        wait = transfers.due_in(db, providers=["a"])
        assert wait is not None
        waits.append(wait.total_seconds())
        later += waits[-1] + 0.1
        shift(db, seconds=later)
    assert waits[0] == pytest.approx(600, abs=1)
    assert waits == sorted(waits)
    assert waits[-1] == pytest.approx(21_600, abs=1)
    assert db.execute("select waits_for, attempts from eolake.granule").fetchone() == {"waits_for": "offline", "attempts": 0}


def test_gone_is_asked_for_once_more(db: Connection) -> None:
    account(db)
    offer(db, "a", 1)
    assert fail(db, take(db), "gone") == "queued"
    shift(db, seconds=2)
    one = take(db)
    assert fail(db, one, "gone") == "quarantined"
    granules.retry(db, waiting="queued")
    assert fail(db, take(db), "gone") == "queued"


def test_corrupt_three_times_even_with_other_faults_in_between(db: Connection) -> None:
    account(db)
    offer(db, "a", 1)
    states, later = [], 0.0
    for kind in ("corrupt", "transient", "corrupt", "rate", "corrupt"):
        later += 400
        shift(db, seconds=later)
        states.append(fail(db, take(db), kind, won=5))
    assert states == ["queued"] * 4 + ["quarantined"]


def test_auth_disables_the_account_raises_an_alarm_and_another_goes_on(db: Connection) -> None:
    account(db, "x", "y")
    offer(db, "a", 2)
    one = take(db)
    assert one.credential == "x"
    assert fail(db, one, "auth") == "queued"
    assert look(db, one).attempts == 0
    assert credential(db, "x")["disabled"] == "it said auth"
    assert alarms(db) == ["login x"]
    two, three = take(db), take(db)
    assert {two.credential, three.credential} == {"y"}
    fail(db, two, "auth")
    assert claim(db) is None
    slots.tend(db)
    assert alarms(db) == ["accounts", "login x", "login y"]
    slots.tend(db)
    assert slots.enable(db, "a") == ["a/x", "a/y"]
    slots.tend(db)
    assert alarms(db) == []
    assert db.execute("select count(*) as n from eolake.alarm").fetchone() == {"n": 3}
    assert claim(db) is not None


def test_quota_parks_the_account_and_the_next_one_takes_over(db: Connection) -> None:
    account(db, "x", "y")
    offer(db, "a", 1)
    one = take(db)
    assert fail(db, one, "quota") == "queued"
    assert alarms(db) == [f"quota {one.credential}"]
    two = take(db)
    assert two.credential != one.credential
    fail(db, two, "quota", retry_after=7200)
    assert claim(db) is None
    assert db.execute("select waits_for from eolake.granule").fetchone() == {"waits_for": "quota"}
    shift(db, seconds=3601)
    three = take(db)
    assert three.credential == one.credential
    transfers.fetched(db, three, [], machine="m")
    assert alarms(db) == [f"quota {two.credential}"]


def test_config_is_no_matter_of_time(db: Connection) -> None:
    account(db)
    offer(db, "a", 1)
    assert fail(db, take(db), "config") == "quarantined"


def test_d14_a_service_that_retired_stops_its_account_and_harms_no_granule(db: Connection) -> None:
    account(db)
    offer(db, "a", 3)
    one = take(db)
    assert transfers.fail(db, one, kind="config", reason="it is not there any more (retired)") == "queued"
    assert alarms(db) == ["retired"]
    assert claim(db) is None


def test_t38_bytes_of_thirty_days(db: Connection) -> None:
    account(db, "x", "y", budget=100)
    offer(db, "a", 10, size=40)
    first = [take(db) for _ in range(4)]
    assert claim(db) is None, "what is under way is in the budget already"
    assert sorted(one.credential for one in first) == ["x", "x", "y", "y"]
    for one in first:
        slots.add_traffic(db, one.credential_id, 40)
        transfers.fetched(db, one, [], machine="m")
        slots.free(db, one.slot)
    assert claim(db) is None
    for n in ("x", "y"):
        assert credential(db, n)["disabled"] is None
    slots.add_traffic(db, first[0].credential_id, 20)
    slots.tend(db)
    assert alarms(db) == [f"budget {first[0].credential}"]
    shift(db, seconds=29.9 * 86_400)
    assert claim(db) is None
    shift(db, seconds=30 * 86_400 + 7300)
    assert claim(db) is not None
    slots.tend(db)
    assert alarms(db) == []


def breaker(db: Connection) -> bool:
    row = db.execute("select eolake.broken('a') as broken").fetchone()
    assert row
    return bool(row["broken"])


def break_it(db: Connection) -> None:
    for _ in range(10):
        slots.host_result(db, "a", HOST, ok=False)


def test_t24_breaker_opens_lets_one_trial_through_and_closes(db: Connection) -> None:
    account(db)
    offer(db, "a", 10)
    under_way = take(db)
    for _ in range(9):
        slots.host_result(db, "a", HOST, ok=False)
    assert not breaker(db)
    slots.host_result(db, "a", HOST, ok=False)
    assert breaker(db)
    assert claim(db) is None
    slots.host_result(db, "a", HOST, ok=False, fence=under_way.lease.fence)  # began before: tells nothing new
    shift(db, seconds=31)
    trial = take(db)
    assert claim(db) is None, "one trial at a time"
    assert claim(db) is None
    slots.host_result(db, "a", HOST, ok=True, fence=trial.lease.fence)
    assert not breaker(db)
    assert claim(db) is not None


def test_t24_each_failed_trial_doubles_the_pause_up_to_ten_minutes(db: Connection) -> None:
    account(db)
    offer(db, "a", 20)
    break_it(db)
    later, pauses = 0.0, []
    for _ in range(7):
        row = db.execute("select extract(epoch from open_until - eolake.clock())::float as pause from eolake.host").fetchone()
        assert row
        pauses.append(row["pause"])
        later += row["pause"] + 0.1
        shift(db, seconds=later)
        trial = take(db)
        slots.host_result(db, "a", HOST, ok=False, fence=trial.lease.fence)
        fail(db, trial, "transient")
    assert pauses == pytest.approx([30, 60, 120, 240, 480, 600, 600], abs=1)


def test_t24_the_trial_of_a_dead_worker_makes_room_for_another(db: Connection) -> None:
    account(db)
    offer(db, "a", 3)
    break_it(db)
    shift(db, seconds=31)
    trial = take(db)
    assert claim(db) is None
    slots.expire(db, [trial.owner])
    assert claim(db) is not None


def test_t24_half_of_the_answers_good_is_good_enough(db: Connection) -> None:
    account(db)
    offer(db, "a", 3)
    slots.host_result(db, "a", HOST, ok=False)
    for _ in range(30):
        slots.host_result(db, "a", HOST, ok=True)
        slots.host_result(db, "a", HOST, ok=False)
    assert not breaker(db)
    shift(db, seconds=61)
    for _ in range(9):
        slots.host_result(db, "a", HOST, ok=False)
    assert not breaker(db), "a new minute, nine failures"


@pytest.mark.parametrize("kind", ["rate", "offline", "gone", "quota"])
def test_t24_only_passing_faults_break_a_host(db: Connection, kind: Fault) -> None:
    account(db, *(f"c{n}" for n in range(12)))
    offer(db, "a", 12)
    for one in [take(db) for _ in range(12)]:
        fail(db, one, kind)
    assert not breaker(db)


def test_t23_a_provider_that_refuses_connections_rests_and_others_go_on(db: Connection) -> None:
    account(db, connections=4)
    account(db, provider="b", connections=4)
    offer(db, "a", 30)
    offer(db, "b", 30)
    for _ in range(10):
        one = take(db)
        slots.host_result(db, "a", HOST, ok=False, fence=one.lease.fence)
        fail(db, one, "transient")
    assert claim(db) is None
    assert [one.provider for one in (claim(db, BOTH) for _ in range(5)) if one] == ["b"] * 4


def test_t25_connections_of_living_providers_are_all_in_use_beside_a_dead_one(db: Connection) -> None:
    account(db, connections=4)
    account(db, provider="b", connections=2)
    slots.configure(db, [Account(provider="c", name="x", connections=1)])
    for provider in ("a", "b", "c"):
        offer(db, provider, 60)
    working: list[Claim] = []
    share: list[int] = []
    for _ in range(200):  # a worker of seven lanes; `a` is dead
        while len(working) < 7 and (one := claim(db, ["a", "b", "c"])):
            if one.provider == "a":
                slots.host_result(db, "a", HOST, ok=False, fence=one.lease.fence)
                fail(db, one, "transient")
            else:
                working.append(one)
        share.append(len(working))
        if len(working) < 3:
            break
        done = working.pop(0)
        transfers.fetched(db, done, [], machine="m")
        slots.free(db, done.slot)
        if sum(1 for n in share) > 80:
            break
    assert sum(share) / (3 * len(share)) > 0.95
