"""The products of the demo: one place before and after its fire, seen by two missions."""

from __future__ import annotations

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


DEMO = (
    Order(kind="landsat_c2_l2", when=datetime(2019, 12, 15, 23, 50, 21, 604310, tzinfo=UTC), container="tar"),
    Order(kind="landsat_c2_l2", when=datetime(2019, 12, 31, 23, 50, 17, 218840, tzinfo=UTC), cloud=0.25),
    Order(kind="landsat_c2_l2", when=datetime(2020, 1, 16, 23, 50, 12, 880170, tzinfo=UTC), container="tar"),
    Order(kind="landsat_c2_l1", when=datetime(2020, 1, 16, 23, 50, 12, 880170, tzinfo=UTC), container="tar"),
)
"""Real overpass days of path 90 (every 16 days from 2016-01-21, the day of a real sample)."""


def generate_demo(folder: Path, *, landscape: Landscape | None = None, size: int | None = None) -> list[Path]:
    """Makes the products of DEMO below `folder` and returns their paths; those already there are left as they are."""
    paths = []
    for order in DEMO:
        path = scene_path(order.kind, order.when, folder, baseline=order.baseline, container=order.container)
        if not path.exists():
            made = generate_scene(
                order.kind,
                order.when,
                folder,
                landscape=landscape,
                size=size,
                baseline=order.baseline,
                container=order.container,
                cloud=order.cloud,
            )
            assert made == path
        paths.append(path)
    return paths
