"""The coordinator dies by SIGKILL in the middle; the next run does everything, and nothing is left over."""

from __future__ import annotations

import signal
import subprocess
import sys

from support.small_scenes import bring_in, scene

from eolake.catalog.lake import Lake
from eolake.catalog.ledger import runs
from eolake.cube.check import check
from eolake.cube.session import Session
from eolake.cube.sweep import sweep

COUNT = 6


def test_a_killed_run_leaves_nothing_that_shows(session: Session, lake: Lake) -> None:
    for day in range(1, COUNT + 1):
        bring_in(session, scene("ls8_c2_l2", f"LC08_{day}", f"2019-12-{day:02}T23:50Z", seed=day))
    config = str(lake.settings.root / "eolake.toml")
    command = [sys.executable, "-m", "eolake.catalog", "-c", config, "analyse", "vegetation_indices_scene",
               "--datetime", "2019-12", "--bbox", "150.2,-34.1,150.6,-33.8", "--workers", "2"]  # fmt: skip
    first = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert first.stderr is not None
    for line in first.stderr:
        if f"/{COUNT} vegetation" in line:  # one is made and staged, none is published yet
            break
    first.send_signal(signal.SIGKILL)
    first.wait()
    first.stderr.close()
    assert check(session.connection, session.store).document()["ok"]
    assert session.connection.execute("select from eolake.publication where run_id is not null").fetchall() == []
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert f"{COUNT} published" in done.stdout
    session.connection.execute("set eolake.clock_offset = '1 hour'")
    (killed,) = runs.abandon(session.connection)
    assert killed == min(run["run_id"] for run in runs.latest(session.connection))
    assert sweep(session.connection, session.store) >= 1
    found = check(session.connection, session.store).document()
    assert (found["ok"], found["items"]) == (True, 2 * COUNT)
    objects = session.connection.execute("select count(*) as n from eolake.object").fetchone()
    assert objects is not None
    records = found["items"]  # record.json beside each item
    assert sum(1 for _ in session.store.list("")) == objects["n"] + records
