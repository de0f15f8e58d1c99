"""The products of the demo: one place before and after its fire, seen by two missions."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from eolake.ingest.simulators.products.containers import Container
from eolake.ingest.simulators.products.landscape import Landscape
from eolake.ingest.simulators.products.scenes import Kind, generate_scene, scene_path


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One product to make."""

    kind: Kind
    when: datetime
    container: Container = "dir"
    baseline: str = "05.00"
    cloud: float = 0.0
    size: int | None = None
    """pixels; None: the kind's default"""


DEMO = (
    Order(kind="landsat_c2_l2", when=datetime(2019, 12, 15, 23, 50, 21, 604310, tzinfo=UTC), container="tar"),
    Order(kind="landsat_c2_l2", when=datetime(2019, 12, 31, 23, 50, 17, 218840, tzinfo=UTC), cloud=0.1),
    Order(kind="landsat_c2_l2", when=datetime(2020, 1, 16, 23, 50, 12, 880170, tzinfo=UTC), container="tar"),
    Order(kind="landsat_c2_l1", when=datetime(2020, 1, 16, 23, 50, 12, 880170, tzinfo=UTC), container="tar", size=256),
    Order(kind="s2_l2a", when=datetime(2019, 12, 19, 0, 11, 9, 24000, tzinfo=UTC), baseline="02.13"),
    Order(kind="s2_l2a", when=datetime(2020, 1, 8, 0, 11, 9, 24000, tzinfo=UTC), container="zip", cloud=0.1),
    Order(kind="s2_l1c", when=datetime(2020, 1, 8, 0, 11, 9, 24000, tzinfo=UTC), container="zip", cloud=0.1, size=540),
)
"""Real overpass days: Landsat 8 on path 90 every 16 days from 2016-01-21, Sentinel-2B on orbit 73 every 10 from 2018-06-17
(the days of two real products). The second Landsat scene is of 2019 in UTC and of New Year's Day 2020 on the ground."""


def generate_demo(folder: Path, *, landscape: Landscape | None = None, size: int | None = None) -> list[Path]:
    """Makes the products of DEMO below `folder` and returns their paths; those already there are left as they are."""
    with ThreadPoolExecutor() as pool:  # numpy and GDAL leave the interpreter free most of the time
        return list(pool.map(lambda order: _make(order, folder, landscape, size), DEMO))


def _make(order: Order, folder: Path, landscape: Landscape | None, size: int | None) -> Path:
    path = scene_path(order.kind, order.when, folder, baseline=order.baseline, container=order.container)
    if path.exists():
        return path
    return generate_scene(
        order.kind,
        order.when,
        folder,
        landscape=landscape,
        size=size or order.size,
        baseline=order.baseline,
        container=order.container,
        cloud=order.cloud,
    )
