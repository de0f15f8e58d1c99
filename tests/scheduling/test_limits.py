"""Limits over processes that claim, free, and are killed at any moment."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from support.claiming import offer

from eolake.catalog.lake import Connection, Lake
from eolake.catalog.ledger import granules, slots
from eolake.catalog.ledger.slots import Account

SEED = random.randrange(1_000_000)
LANE = Path(__file__).with_name("lane.py")
OPEN = """
    select c.name, count(*) filter (where s.leased_until > eolake.clock()) as leased,
           count(*) filter (where greatest(s.leased_until, s.cooldown_until) > eolake.clock()) as taken, c.allowed,
           count(s.granule_id) - count(distinct s.granule_id) as shared
    from eolake.slot s join eolake.credential c using (credential_id) group by c.credential_id
"""
LEASED = """
    select c.name, s.n, s.owner from eolake.slot s join eolake.credential c using (credential_id) where s.leased_until > eolake.clock()
"""


class Provider:
    """What the other side counts: a connection from its first sight until the lag after it was last seen."""

    def __init__(self, lag: float) -> None:
        self.lag, self.last = lag, dict[tuple[str, int, str], float]()
        self.most = Counter[str]()

    def see(self, db: Connection) -> None:
        """Look once."""
        now = time.monotonic()
        for row in db.execute(LEASED):
            self.last[row["name"], row["n"], row["owner"]] = now
        counted = Counter(name for (name, _, _), seen in self.last.items() if now - seen < self.lag)
        for name, count in counted.items():
            self.most[name] = max(self.most[name], count)


def lanes(lake: Lake, numbers: list[int]) -> dict[str, subprocess.Popen[str]]:
    config = str(lake.settings.root / "eolake.toml")
    return {
        f"lane {n}": subprocess.Popen([sys.executable, str(LANE), config, f"lane {n}", str(SEED + n)], stdout=subprocess.PIPE, text=True)
        for n in numbers
    }


def kill(db: Connection, running: dict[str, subprocess.Popen[str]], name: str) -> int:
    """kill -9, and what a neighbour does who sees that it is dead; how often it had claimed."""
    process = running.pop(name)
    process.send_signal(signal.SIGKILL)
    said = process.communicate(timeout=30)[0]
    slots.expire(db, [name])
    granules.expire(db, [name])
    return said.count("claimed")


def test_t20_never_more_connections_than_allowed_over_all_processes_with_kill_9(db: Connection, shared: Lake) -> None:
    print("seed", SEED)
    chance = random.Random(SEED)
    lag = 0.3
    slots.configure(db, [Account(provider="a", name=name, connections=n, release_lag=lag) for name, n in (("x", 3), ("y", 1))])
    db.execute("update eolake.credential set allowed = 2, adapted_at = eolake.clock() where name = 'x'")
    offer(db, "a", 4000)
    running = lanes(shared, list(range(6)))
    claimed, number, full = 0, 6, Counter[str]()
    provider = Provider(lag * 0.8)
    end, strike = time.monotonic() + 8, time.monotonic() + 1.5
    try:
        while time.monotonic() < end:
            for row in db.execute(OPEN):
                assert row["taken"] <= row["allowed"], (SEED, row)
                assert row["shared"] == 0, (SEED, row)
                full[row["name"]] += row["taken"] == row["allowed"]
            provider.see(db)
            if time.monotonic() > strike:
                claimed += kill(db, running, chance.choice(sorted(running)))
                running |= lanes(shared, [number])
                number, strike = number + 1, time.monotonic() + chance.uniform(0.2, 0.8)
    finally:
        for name in sorted(running):
            claimed += kill(db, running, name)
    assert claimed > 30, "they did work"
    assert full["x"]
    assert full["y"]
    assert provider.most == {"x": 2, "y": 1}
    states = granules.states(db)
    assert sum(states.values()) == 4000
    assert states["fetched"] > 20
    row = db.execute("select count(*) as n from eolake.event where kind = 'fetched'").fetchone()
    assert row
    assert row["n"] == states["fetched"], "each was fetched once"


def test_t20_a_lag_of_five_seconds_after_kill_9(db: Connection, shared: Lake) -> None:
    slots.configure(db, [Account(provider="a", name="x", connections=1, release_lag=5)])
    offer(db, "a", 100)
    running = lanes(shared, [0])
    first = running["lane 0"]
    assert first.stdout
    assert first.stdout.readline() == "claimed\n"
    begin = time.monotonic()
    kill(db, running, "lane 0")
    running = lanes(shared, [1])
    second = running["lane 1"]
    assert second.stdout
    try:
        assert second.stdout.readline() == "claimed\n"
        assert 5 <= time.monotonic() - begin < 30
    finally:
        kill(db, running, "lane 1")
