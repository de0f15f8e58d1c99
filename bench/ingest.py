"""Convert and publish: products and megabytes a second through one process, and the share of each step.

    .venv/bin/python bench/ingest.py [--products 4] [--size 3660]

Generated products (Landsat and Sentinel-2 in turn; Sentinel-2 images are JPEG 2000), from disk to published, as a worker does it.
The steps are timed with Python's profiler around the functions that take the time: they are long and few, so it costs nothing.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from lakes import Bench, bench

from eolake.catalog.lake import Lake
from eolake.catalog.ledger import granules
from eolake.catalog.ledger.granules import Offer
from eolake.cube.publish import Batch, commit
from eolake.cube.session import Session
from eolake.cube.staging import stage
from eolake.ingest.sensors import find_sensor
from eolake.ingest.simulators.products.scenes import generate_scene

STEPS = {
    "decode": ("read_raster",),
    "write COGs": ("write_cog",),
    "store and fsync": ("put", "sync"),
    "commit": ("commit",),
}
"""Step → the functions whose time it is."""
FIRST = datetime(2019, 11, 3, 23, 50, tzinfo=UTC)


def products(folder: Path, count: int, size: int) -> list[Path]:
    """Generated products, Landsat and Sentinel-2 in turn."""
    kinds = ("landsat_c2_l2", "s2_l2a")
    return [generate_scene(kinds[n % 2], FIRST + timedelta(days=8 * n), folder, size=size) for n in range(count)]


def ingest(lake: Lake, path: Path, workspace: Path) -> int:
    """One product from disk to published; the bytes that were stored."""
    sensor = find_sensor(path.name)
    assert sensor is not None, path
    with Session(lake=lake) as session:
        offer = Offer(provider="bench", id=str(path), name=path.name, source=str(path), fingerprint="1", state="fetched")
        granules.offer(session.connection, [offer])
        (granule,) = granules.claim(session.connection, owner="bench", lease=timedelta(minutes=30))
        lease = granules.lease_of(granule)
        staged = tuple(stage(session, draft, lease) for draft in sensor.open(path, workspace))
        (outcome,) = commit(session, [Batch(lease=lease, staged=staged)])
        assert outcome.verdict == "published", outcome
        return sum(o.bytes for s in staged for o in s.record.objects)


def shares(profile: cProfile.Profile, total: float) -> Iterator[str]:
    """One line per step."""
    spent = dict.fromkeys(STEPS, 0.0)
    for (file, _, name), (_, _, _, cumulative, _) in pstats.Stats(profile).stats.items():  # type: ignore[attr-defined]
        for step, functions in STEPS.items():
            if name in functions and "/eolake/" in file:
                spent[step] += cumulative
    for step, seconds in (spent | {"the rest": total - sum(spent.values())}).items():
        yield f"  {step:16} {seconds:7.1f} s  {100 * seconds / total:5.1f} %"


def report(made: Bench, count: int, size: int) -> Iterator[str]:
    """Rates, then shares."""
    sources = made.folder / "products"
    sources.mkdir()
    paths = products(sources, count, size)
    lake, workspace = made.lake("ingest"), made.folder / "work"
    workspace.mkdir()
    profile = cProfile.Profile()
    stored, begin = 0, time.perf_counter()
    with profile:
        for path in paths:
            stored += ingest(lake, path, workspace)
    total = time.perf_counter() - begin
    read = sum(f.stat().st_size for path in paths for f in (path.rglob("*") if path.is_dir() else [path]) if f.is_file())
    rates = f"{count / total:.2f} products/s, {read / total / 1e6:.1f} MB/s read, {stored / total / 1e6:.1f} MB/s stored"
    yield f"{count} products of {size} × {size}: {rates}"
    yield from shares(profile, total)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--products", type=int, default=4)
    parser.add_argument("--size", type=int, default=3660, help="rows and columns of a 10 m band")
    options = parser.parse_args()
    with bench() as made:
        for line in report(made, options.products, options.size):
            print(line, flush=True)


if __name__ == "__main__":
    main()
