"""kill -9 of workers at seeded instants and at every named step: each product is published once, and a rerun writes nothing.

The quick form runs by default; `EOLAKE_KILLS=30 EOLAKE_KILL_PRODUCTS=60 EOLAKE_KILL_STEPS=all` is the full one. The seed is
printed; `EOLAKE_SEED` sets it.
"""

from __future__ import annotations

import json
import os
import random
import re
import time
from pathlib import Path

from support.auditor import audit
from support.workers import ingest, kill, listing, offer, probes, rows_written, run, start, states, wait_for

from eolake.catalog.failpoints import FETCH_NAMES, NAMES
from eolake.catalog.lake import Lake

KILLS = int(os.environ.get("EOLAKE_KILLS", "3"))
PRODUCTS = int(os.environ.get("EOLAKE_KILL_PRODUCTS", "6"))
QUICK = ("stage:band-3", "commit:before-pgstac", "commit:after", "sweep:objects-deleted")
STEPS = NAMES if os.environ.get("EOLAKE_KILL_STEPS") == "all" else QUICK
SEED = int(os.environ.get("EOLAKE_SEED", "20260101"))


def test_every_failpoint_stands_in_the_code_once() -> None:
    source = "".join(path.read_text("utf-8") for path in Path(__file__).parents[2].glob("*/eolake/**/*.py"))
    called = re.findall(r"""failpoint\(f?"([a-z:-]+)""", source)
    assert sorted(called) == sorted({name.rstrip("0123456789") for name in (*NAMES, *FETCH_NAMES)})


def test_killed_workers_lose_and_double_nothing(lake: Lake, tmp_path: Path) -> None:
    """Kills by the clock, spread over start, work and end, then one kill at each named step; products go in all the time."""
    print(f"seed {SEED}: {KILLS} kills, {len(STEPS)} steps, {PRODUCTS} products")
    folder, rounds = tmp_path / "in", KILLS + len(STEPS)
    paths = probes(folder, PRODUCTS, pause=0.02)
    share = -(-PRODUCTS // rounds)
    offered = 0
    for number in range(rounds):
        batch, offered = paths[offered : offered + share], offered + share
        if batch:
            offer(lake, *batch)
        if number < KILLS:
            _kill_by_the_clock(lake, number)
        else:
            _kill_at(lake, STEPS[number - KILLS], tmp_path, folder, first=PRODUCTS + number)
    done = run(lake, "work", "--once", timeout=300)
    assert done.returncode == 0, done.stderr
    assert set(states(lake)) == {"published"}
    assert states(lake)["published"] >= PRODUCTS
    assert audit(lake) == []
    _nothing_is_left(lake)
    _a_rerun_writes_nothing(lake, folder)


def _kill_by_the_clock(lake: Lake, number: int) -> None:
    """Some time after its start, or (mostly) after the first product was taken; sometimes its converters are left behind."""
    dice = random.Random(f"{SEED}/{number}")
    worker = start(lake, "work", "--convert", str(dice.choice((1, 2))))
    started, alone = number % 4 == 1, number % 3 == 2
    if not started:
        wait_for(lake, "state = 'converting' and next_try > eolake.clock() + interval '100 s'")
    seconds = dice.uniform(0, 4)
    time.sleep(seconds)
    what = "the worker alone" if alone else "all its processes"
    print(f"kill {number} of {what}, {seconds:.2f} s after {'its start' if started else 'its first product'}: {states(lake)}")
    if alone:
        worker.kill()
        worker.wait()
    else:
        kill(worker)


def _kill_at(lake: Lake, step: str, tmp_path: Path, folder: Path, *, first: int) -> None:
    """The whole worker ends at that step; the mark proves that it came there."""
    mark = tmp_path / f"mark-{step}"
    offer(lake, *probes(folder, 1, first=first))
    worker = start(lake, "work", "--once", EOLAKE_FAILPOINT=step, EOLAKE_FAILPOINT_MARK=str(mark), EOLAKE_FAILPOINT_GROUP="1")
    try:
        assert worker.wait(120) == -9, (step, states(lake))
    finally:
        kill(worker)
    assert mark.exists(), step
    print(f"{step}: {states(lake)}")


def _nothing_is_left(lake: Lake) -> None:
    assert list((lake.settings.state / "tmp").iterdir()) == []
    done = run(lake, "--json", "check")
    assert json.loads(done.stdout)["ok"], done.stdout


def _a_rerun_writes_nothing(lake: Lake, folder: Path) -> None:
    with lake.connect() as connection:
        before, objects = rows_written(connection), listing(lake)
        status, document = ingest(lake, folder)
        assert (status, set(document["counts"])) == (0, {"unchanged"})
        assert run(lake, "work", "--once").returncode == 0
        assert rows_written(connection) == before
    assert listing(lake) == objects
