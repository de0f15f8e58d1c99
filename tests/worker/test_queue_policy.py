"""Who gets what, when it is tried again, and when it is kept aside."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path

import click
import psycopg
import pytest
from sqlalchemy.exc import OperationalError

from eolake.catalog.durations import Duration
from eolake.catalog.errors import BadProduct, Fenced, Rejected, Transient, Unreachable, UnsafeProduct
from eolake.catalog.lake import Lake
from eolake.catalog.ledger import granules
from eolake.catalog.ledger.granules import Offer
from eolake.ingest import owner, workspaces
from eolake.ingest.conversion import judge
from eolake.ingest.messages import Done, Event, read_event
from eolake.ingest.queue import Queue
from eolake.ingest.settings import WorkerSettings

OFFER = Offer(provider="folder", id="/in/a.zip", name="a", source="/in/a.zip", fingerprint="1", state="fetched")
Make = Callable[..., Queue]


@pytest.fixture
def make(lake: Lake) -> Iterator[Make]:
    """A queue with one product in it, and hardly any delays."""
    with ExitStack() as stack:

        def offer(**settings: float) -> Queue:
            with lake.connect() as connection:
                granules.offer(connection, [OFFER])
            return stack.enter_context(
                closing(Queue(lake, WorkerSettings.model_validate({"delay": 0.001, **settings}), giving_up=lambda: True))
            )

        yield offer


def _row(lake: Lake) -> granules.Granule:
    with lake.connect() as connection:
        return granules.get(connection, [1])[0]


def test_unknown_errors_count_and_the_third_is_the_last(lake: Lake, make: Make) -> None:
    queue = make()
    for faults in (1, 2):
        (granule,) = _claim(queue)
        assert queue.finish(granule, Done(verdict="fault", reason="KeyError: 'x'")).verdict == "later"
        assert (_row(lake).faults, _row(lake).state) == (faults, "fetched")
    (granule,) = _claim(queue)
    assert queue.finish(granule, Done(verdict="fault", reason="KeyError: 'x'")).verdict == "quarantined"
    assert _row(lake).reason == "a.zip: KeyError: 'x' (attempts: 3)"
    assert _claim(queue) == []


def test_passing_faults_do_not_count(lake: Lake, make: Make) -> None:
    queue = make()
    for _ in range(7):
        (granule,) = _claim(queue)
        queue.finish(granule, Done(verdict="later", reason="the database was busy"))
    assert (_row(lake).faults, _row(lake).attempts, _row(lake).state) == (0, 7, "fetched")


def test_vanished_workers_count_and_the_step_they_came_to_is_told(lake: Lake, make: Make) -> None:
    queue = make(lease=0.01, deaths=2)
    for _ in range(2):
        (granule,) = _claim(queue)
        with lake.connect() as connection:
            granules.note_step(connection, granules.lease_of(granule), "stage")
    assert _claim(queue) == []
    assert (_row(lake).state, _row(lake).reason) == ("quarantined", "2 workers died over it, the last at the step 'stage'")


def test_a_retry_begins_at_the_first_attempt(lake: Lake, make: Make) -> None:
    queue = make(faults=1)
    (granule,) = _claim(queue)
    queue.finish(granule, Done(verdict="fault", reason="x"))
    with lake.connect() as connection:
        assert granules.retry(connection) == ["a"]
    assert (_row(lake).faults, _row(lake).attempts) == (0, 0)


def test_a_lease_that_was_lost_records_nothing(lake: Lake, make: Make) -> None:
    queue = make(lease=0.01)
    (first,) = _claim(queue)
    (second,) = _claim(queue)
    assert queue.finish(first, Done(verdict="quarantined", reason="broken")).verdict == "lost"
    assert not queue.extend(granules.lease_of(first))
    assert not queue.release(granules.lease_of(first))
    assert queue.release(granules.lease_of(second))
    assert _row(lake).state == "fetched"


def test_two_that_offer_the_same_at_one_moment_both_learn_its_number(lake: Lake) -> None:
    with lake.connect(autocommit=False) as first, lake.connect() as second, ThreadPoolExecutor(1) as pool:
        (mine,) = granules.offer(first, [OFFER])
        waiting = pool.submit(granules.offer, second, [OFFER])
        time.sleep(0.5)
        assert not waiting.done()
        first.commit()
        (theirs,) = waiting.result(10)
    assert (mine.outcome, theirs.outcome, theirs.granule_id) == ("new", "known", mine.granule_id)


def test_delays_grow_are_jittered_and_end(lake: Lake, make: Make) -> None:
    queue = make(delay=4, delay_most=60)
    delays = [[queue.delay(attempt).total_seconds() for _ in range(200)] for attempt in (1, 2, 3, 40)]
    for most, found in zip((4, 8, 16, 60), delays, strict=True):
        assert most / 2 <= min(found) < most * 0.6
        assert most * 0.9 < max(found) <= most


def test_leases_of_dead_workers_are_freed_and_those_of_living_ones_are_not(lake: Lake, make: Make) -> None:
    queue = make()
    script = "from eolake.ingest.owner import own_name; print(own_name(), flush=True); input()"
    other = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True)
    assert other.stdout is not None
    assert other.stdin is not None
    queue.owner = other.stdout.readline().strip()
    (granule,) = _claim(queue)
    queue.owner = owner.own_name()
    assert queue.bury([]) == 0
    os.kill(other.pid, signal.SIGKILL)
    other.wait()
    other.stdout.close()
    other.stdin.close()
    assert queue.bury([]) == 1
    (again,) = _claim(queue)
    assert (again.fence or 0) > (granule.fence or 0)
    assert queue.bury([again.fence or 0]) == 0
    assert queue.bury([]) == 1  # its own, of which nobody heard


def test_owners_of_other_machines_and_of_reused_numbers() -> None:
    mine = owner.own_name()
    assert owner.dead([mine, f"elsewhere/{mine.split('/', 1)[1]}"]) == []
    reused = f"{mine.rsplit('/', 1)[0]}/12.00"
    assert owner.dead([reused]) == [reused]


def test_workspaces_of_lost_leases_are_removed(tmp_path: Path) -> None:
    for name in ("3", "4", "notes"):
        (tmp_path / name / "unpacked").mkdir(parents=True)
    assert workspaces.clear(tmp_path, lambda fences: {4} & set(fences)) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["4", "notes"]
    assert workspaces.clear(tmp_path / "absent", lambda _: set()) == 0


@pytest.mark.parametrize(
    ("error", "verdict"),
    [
        (BadProduct("B4.TIF: truncated"), "quarantined"),
        (UnsafeProduct("a member outside"), "quarantined"),
        (Rejected("cloudy"), "rejected"),
        (Fenced("gone"), "lost"),
        (Transient("busy"), "later"),
        (Unreachable("no answer"), "later"),
        (MemoryError(), "fault"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "fault"),
        (OSError(errno.ENOSPC, "No space left on device"), "later"),
        (psycopg.errors.AdminShutdown("terminating"), "later"),
        (OperationalError("select", {}, psycopg.OperationalError("cut")), "later"),
        (psycopg.errors.UndefinedTable("no such table"), "later"),
        (psycopg.errors.NumericValueOutOfRange("too large"), "fault"),
        (FileNotFoundError(errno.ENOENT, "No such file"), "fault"),
        (KeyError("x"), "fault"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_what_an_error_means(error: Exception, verdict: str, tmp_path: Path) -> None:
    found, reason = judge(error, "stage", tmp_path / "not" / "made")
    assert found == verdict
    assert reason
    if verdict == "fault":
        assert type(error).__name__ in reason
        assert "'stage'" in reason


def test_a_full_disk_is_no_fault_of_the_product(tmp_path: Path) -> None:
    free = shutil.disk_usage(tmp_path).free
    assert judge(BadProduct("B4.TIF: can't be written"), "stage", tmp_path, spare=free * 2)[0] == "later"


def test_events_survive_the_pipe() -> None:
    event = Event(kind="done", done=Done(verdict="published", items=("c/ä",), seconds={"open": 1.5}, written=7))
    assert read_event(event.line()) == event
    assert "\n" not in Event(kind="failed", text="two\nlines").line()


@pytest.mark.parametrize(("text", "seconds"), [("90", 90), ("90s", 90), ("50m", 3000), ("1.5h", 5400), ("2d", 172800)])
def test_durations(text: str, seconds: float) -> None:
    assert Duration().convert(text, None, None) == seconds


@pytest.mark.parametrize("text", ["", "m", "-5s", "5 weeks", "1h30m"])
def test_no_durations(text: str) -> None:
    with pytest.raises(click.BadParameter, match="no duration"):
        Duration().convert(text, None, None)


def _claim(queue: Queue) -> list[granules.Granule]:
    """After whatever delay or lease there was."""
    time.sleep(0.05)
    return queue.claim(1)
