"""Products by kind: what tests, benchmarks, the demo and `eolake simulate` call."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from eolake.catalog.errors import UsageError
from eolake.ingest.simulators.products import landsat, sentinel2
from eolake.ingest.simulators.products.containers import Container, pack
from eolake.ingest.simulators.products.landscape import Landscape
from eolake.ingest.simulators.products.season import Season
from eolake.ingest.simulators.products.sentinel2_safe import write_sentinel2
from eolake.ingest.simulators.products.sentinel3.geometry import Pass, Place
from eolake.ingest.simulators.products.sentinel3.make import SENTINEL3, SIDE, Sentinel3Kind, find_pass, write_sentinel3

Kind = Literal["landsat_c2_l2", "landsat_c2_l1", "s2_l2a", "s2_l1c"] | Sentinel3Kind

TINY = 60
"""A size for tests: a product in well under a second."""
SIZES: dict[Kind, int] = {"landsat_c2_l2": 512, "landsat_c2_l1": 512, "s2_l2a": 1098, "s2_l1c": 1098, **dict.fromkeys(SENTINEL3, SIDE)}
"""Default sides: pixels of 30 m (Landsat), of 10 m (Sentinel-2), of 300 m to 1.2 km (Sentinel-3)."""


def generate_scene(
    kind: Kind,
    when: datetime,
    folder: Path,
    *,
    landscape: Landscape | None = None,
    size: int | None = None,
    baseline: str = "05.00",
    container: Container = "dir",
    cloud: float = 0.0,
    place: Place | None = None,
) -> Path:
    """Writes one product of the landscape at `when` (aware) below `folder` and returns its path.

    Of Sentinel-3 it is the pass of S3A nearest to `when` that sees `place` (the landscape's site), which is in its middle.
    `size`: side in pixels of 30 m (Landsat), 10 m (Sentinel-2, a multiple of 6), 300 m or 1 km (Sentinel-3; 0: as many as a real one);
    `baseline`: of Sentinel-2,
    "02.12" (no offset) to "05.00" (offset -1000); `container`: `tar` is Landsat's, `zip` Sentinel-2's;
    `cloud`: share of the sky, 0–1. Same arguments, same bytes. The product appears whole, by a rename.
    Raises UsageError for arguments that make no product, and when the product is already there."""
    if kind in SENTINEL3:
        chosen = landscape or Landscape(season=Season())
        _check(when, cloud)
        orbit = find_pass(when, place or chosen.site)
        return generate_pass(kind, orbit, folder, landscape=chosen, size=size, container=container, cloud=cloud, place=place)
    scene = _scene(kind, when, landscape or Landscape(), size or SIZES[kind], baseline, cloud)
    wrap = isinstance(scene, sentinel2.Scene)
    target = folder / _file_name(scene.name, container, safe=wrap)
    if target.exists():
        raise UsageError(f"{target} is already there; remove it or choose another folder")
    workspace = folder / f".{scene.name}.part"
    shutil.rmtree(workspace, ignore_errors=True)
    written = write_sentinel2(scene, workspace) if isinstance(scene, sentinel2.Scene) else landsat.write_landsat(scene, workspace)
    pack(written, container, when=when, wrap=wrap).rename(target)
    workspace.rmdir()
    return target


def generate_pass(
    kind: Sentinel3Kind,
    orbit: Pass,
    folder: Path,
    *,
    landscape: Landscape,
    size: int | None = None,
    container: Container = "dir",
    cloud: float = 0.0,
    place: Place | None = None,
) -> Path:
    """As `generate_scene`, one Sentinel-3 product of a given pass: NAME.SEN3, or NAME.zip with that folder in it."""
    if container not in ("dir", "zip"):
        raise UsageError(f"Sentinel-3 products come as folders or zip files, not as {container}")
    workspace = folder / f".{kind}-{orbit.platform}{orbit.orbit}.part"
    shutil.rmtree(workspace, ignore_errors=True)
    side = SIZES[kind] if size is None else size or None
    written = write_sentinel3(kind, orbit, workspace, landscape=landscape, size=side, place=place, cloud=cloud)
    target = folder / _file_name(written.name, container, safe=True)
    try:
        if target.exists():
            raise UsageError(f"{target} is already there; remove it or choose another folder")
        pack(written, container, when=orbit.node, wrap=True).rename(target)
    finally:
        shutil.rmtree(workspace)
    return target


def scene_path(kind: Kind, when: datetime, folder: Path, *, baseline: str = "05.00", container: Container = "dir") -> Path:
    """Where `generate_scene` puts that product."""
    scene = _scene(kind, when, Landscape(), SIZES[kind], baseline, 0.0)
    return folder / _file_name(scene.name, container, safe=kind.startswith("s2"))


def _file_name(name: str, container: Container, *, safe: bool) -> str:
    if container == "dir":
        return name
    return f"{name.removesuffix('.SAFE').removesuffix('.SEN3') if safe else name}.{container}"


def _scene(kind: Kind, when: datetime, landscape: Landscape, size: int, baseline: str, cloud: float) -> landsat.Scene | sentinel2.Scene:
    _check(when, cloud)
    if size < 12 or (kind.startswith("s2") and size % 6):
        raise UsageError(f"size {size}: at least 12, and for Sentinel-2 a multiple of 6 (its 20 and 60 m grids cover the same ground)")
    when = when.astimezone(UTC)
    if kind in ("landsat_c2_l2", "landsat_c2_l1"):
        level: landsat.Level = "L2SP" if kind == "landsat_c2_l2" else "L1TP"
        return landsat.Scene(level=level, when=when, landscape=landscape, size=size, cloud=cloud)
    if kind in ("s2_l2a", "s2_l1c"):
        s2_level: sentinel2.Level = "L2A" if kind == "s2_l2a" else "L1C"
        return sentinel2.Scene(level=s2_level, when=when, landscape=landscape, size=size, cloud=cloud, baseline=baseline)
    raise UsageError(f"no product kind {kind!r}; there are {', '.join(SIZES)}")


def _check(when: datetime, cloud: float) -> None:
    if when.tzinfo is None:
        raise UsageError(f"{when} has no time zone; write 2019-12-15T23:50:23Z")
    if not 0 <= cloud < 1:
        raise UsageError(f"cloud {cloud}: a share of the sky from 0 to below 1")
