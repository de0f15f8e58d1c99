"""How long a claim takes on a table of a million granules, by one process and by four; and the commit of one row, which is the disk's.

    python bench/claims.py [--granules 1000000] [--claims 2000]

Four providers: near real time and bulk, many done, many due, many for later. Each claim is followed by `fetched`, as in a worker, and is
measured without its commit and with it; fsync is on.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import time
from datetime import timedelta
from pathlib import Path

from lakes import bench

from eolake.catalog.lake import Connection, Lake, open_lake
from eolake.catalog.ledger import monitoring, slots, transfers
from eolake.catalog.ledger.slots import Account

PROVIDERS = ("cdse", "usgs", "hyp3", "eumetsat")
STATES = (("published", 60), ("queued", 20), ("later", 10), ("superseded", 5), ("rejected", 3), ("quarantined", 2))
"""Percent."""
COLUMNS = "provider, id, name, source, fingerprint, state, priority, next_try, size, published, scene_key"
LEASE = timedelta(minutes=5)
type Results = multiprocessing.Queue[tuple[list[float], list[float], list[float]]]


def fill(db: Connection, count: int) -> None:
    """That many granules."""
    wheel = [state for state, percent in STATES for _ in range(percent)]
    now = db.execute("select eolake.clock() as now").fetchone()["now"]  # type: ignore[index]
    with db.cursor().copy(f"copy eolake.granule ({COLUMNS}) from stdin") as copy:  # type: ignore[arg-type]
        for n in range(count):
            state = wheel[n * 37 % 100]
            later = timedelta(days=1) if state == "later" else -timedelta(seconds=n % 100_000)
            name = f"S2A_MSIL2A_20260101T000000_N0511_R030_T55HFA_{n:015d}"
            row = (
                PROVIDERS[n % 4],
                f"{n:032x}",
                name,
                f"https://host.example/{n}",
                f"md5:{n:032x}",
                "queued" if state == "later" else state,
            )
            copy.write_row((*row, "1" if n // 4 % 10 else "0", now + later, 800_000_000, now - timedelta(seconds=n), None))
    db.execute("vacuum analyze eolake.granule")


def work(config: str, number: int, claims: int, results: Results) -> None:
    """Milliseconds of each claim, of each with its commit, and of the commit of one row."""
    bare, whole, row = [], [], []
    with open_lake(Path(config)).connect(name=f"lane {number}") as db:
        for _ in range(claims):
            begin = time.perf_counter()
            with db.transaction():
                claim = transfers.claim(db, owner=f"lane {number}", lease=LEASE, providers=PROVIDERS)
                bare.append((time.perf_counter() - begin) * 1000)
            whole.append((time.perf_counter() - begin) * 1000)
            if claim is None:
                raise SystemExit("nothing to claim")
            transfers.fetched(db, claim, [], machine="m")
            slots.free(db, claim.slot)
            begin = time.perf_counter()
            slots.add_traffic(db, claim.credential_id, 1)
            row.append((time.perf_counter() - begin) * 1000)
    results.put((bare, whole, row))


def measure(lake: Lake, processes: int, claims: int) -> tuple[list[float], list[float], list[float]]:
    """Of all processes together."""
    results: Results = multiprocessing.Queue()
    config = str(lake.settings.root / "eolake.toml")
    lanes = [multiprocessing.Process(target=work, args=(config, n, claims // processes, results)) for n in range(processes)]
    for lane in lanes:
        lane.start()
    got = [results.get(timeout=500) for _ in lanes]
    for lane in lanes:
        lane.join()
    bare, whole, row = ([one for share in kind for one in share] for kind in zip(*got, strict=True))
    return bare, whole, row


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--granules", type=int, default=1_000_000)
    options.add_argument("--claims", type=int, default=2000)
    chosen = options.parse_args()
    with bench() as server:
        lake = server.lake("claims")
        with lake.connect() as db:
            begin = time.perf_counter()
            fill(db, chosen.granules)
            print(f"{chosen.granules:,} granules in {time.perf_counter() - begin:.0f} s")
            slots.configure(db, [Account(provider=p, name=name, connections=4) for p in PROVIDERS for name in ("x", "y")])
        for processes in (1, 4):
            kinds = ("claim", "claim and commit", "commit of one row")
            for kind, taken in zip(kinds, measure(lake, processes, chosen.claims), strict=True):
                cuts = statistics.quantiles(taken, n=100)
                print(f"{processes} processes  {kind:<18} {len(taken):,} times  p50 {cuts[49]:.2f} ms  p99 {cuts[98]:.2f} ms")
        with lake.connect() as db:
            for what in (monitoring.activity, monitoring.granules):
                begin = time.perf_counter()
                what(db)
                print(f"{what.__name__}: {(time.perf_counter() - begin) * 1000:.0f} ms")


if __name__ == "__main__":
    main()
