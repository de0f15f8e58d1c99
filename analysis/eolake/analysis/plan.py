"""Planning: which outputs there ought to be, which of them are missing or stale, and which have lost all their inputs.

Nothing is written here. An output is up to date when the ledger keeps the hash of its inputs as they are now.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

import numpy as np
import odc.geo.geom
from odc.geo import CRS, Geometry

from eolake.analysis.base import Analysis, Input
from eolake.analysis.families import Family, bands_of
from eolake.analysis.solar import TICK, Interval, Month, solar_time, utc_time
from eolake.catalog import pgstac
from eolake.catalog.declaration import declared
from eolake.catalog.lake import Connection
from eolake.catalog.ledger import derivations
from eolake.catalog.ledger.derivations import Bounds, Candidate

log = logging.getLogger(__name__)
DAY = timedelta(days=1)
TURN, HALF_TURN = 360.0, 180.0
"""Degrees."""
MARGIN = 2.0
"""Degrees around the area of use of a grid's CRS: islands and coasts."""
STEP = 10_000.0
"""Metres between the points of an edge that goes to another CRS."""
Verdict = Literal["missing", "stale", "current"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One scene that goes into an output."""

    collection: str
    item_id: str
    dataset_id: UUID
    digest: str
    prefix: str
    """Where its item.json is in the store."""
    solar: datetime
    """The sun's time at its footprint's centre when it was taken; no zone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One output: an item of the derived collection."""

    item_id: str
    family: str
    sources: tuple[Source, ...]
    """In order of (collection, item id)."""
    inputs: str
    """Hash over the sources, the parameters and the version."""
    geometry: Mapping[str, Any]
    """GeoJSON, EPSG:4326: where the sources are, within the tile."""
    month: Month | None = None
    tile: tuple[int, int] | None = None
    start: datetime
    """UTC, as `end`; both are part of the output."""
    end: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is to be done for one analysis."""

    analysis: Analysis
    tasks: tuple[tuple[Task, Verdict], ...]
    bereft: tuple[str, ...]
    """Item ids of outputs whose inputs are all gone."""
    scenes: int
    """Input scenes in the area and time."""

    @property
    def due(self) -> list[Task]:
        """The tasks to run."""
        return [task for task, verdict in self.tasks if verdict != "current"]

    def count(self, verdict: Verdict) -> int:
        """How many outputs are so."""
        return sum(found == verdict for _, found in self.tasks)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What the caller asks for."""

    interval: Interval
    bbox: Bounds


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scene:
    """A source, its footprint and its times."""

    source: Source
    footprint: Geometry
    start: datetime
    end: datetime


def make_plan(connection: Connection, analysis: Analysis, families: Sequence[Family], request: Request) -> Plan:
    """Compare what is wanted with what is published."""
    tiles = _tiles(analysis, request.bbox)
    bounds = _reach(request.bbox, tiles)
    interval = _whole_months(request.interval) if analysis.period == "month" else request.interval
    wanted: list[Task] = []
    scenes = 0
    for family in families:
        found = [s for s in _scenes(connection, family, bounds, interval) if s.source.solar in interval]
        scenes += len(found)
        if analysis.period == "month":
            wanted += _month_tasks(analysis, family, found, tiles)
        else:
            wanted += _scene_tasks(analysis, family, found, request.bbox)
    published = derivations.inputs(connection, analysis.collection, [task.item_id for task in wanted])
    gone = _bereft(connection, analysis, families, request.bbox, interval)
    return Plan(
        analysis=analysis,
        tasks=tuple((task, _verdict(task, published)) for task in sorted(wanted, key=lambda task: task.item_id)),
        bereft=tuple(sorted(gone - {task.item_id for task in wanted})),
        scenes=scenes,
    )


def _verdict(task: Task, published: Mapping[str, str | None]) -> Verdict:
    if task.item_id not in published:
        return "missing"
    return "current" if published[task.item_id] == task.inputs else "stale"


def _whole_months(interval: Interval) -> Interval:
    months = interval.months()
    return Interval(start=months[0].start, end=months[-1].end)


def _box(bounds: Bounds) -> Geometry:
    return odc.geo.geom.box(*bounds, "EPSG:4326")


def _tiles(analysis: Analysis, bbox: Bounds) -> dict[tuple[int, int], Geometry]:
    """Tile → extent in the CRS of the grid, of every tile that touches the box, within the area that the CRS is made for."""
    if analysis.grid is None:
        return {}
    area, valid = _box(bbox), CRS(analysis.grid.crs).valid_region
    if valid is not None:
        area = area & valid.buffer(MARGIN)
    if area.is_empty:
        return {}
    area = area.to_crs(analysis.grid.crs, resolution=0.1)
    return {(int(x), int(y)): box.extent for (x, y), box in analysis.grid.spec().tiles_from_geopolygon(area)}


def _reach(bbox: Bounds, tiles: Mapping[tuple[int, int], Geometry]) -> Bounds:
    """Degrees around the box and all of its tiles: a tile is computed whole, even where the box cuts it."""
    boxes = [bbox, *(extent.to_crs("EPSG:4326", resolution=STEP).boundingbox.bbox for extent in tiles.values())]
    return min(b[0] for b in boxes), min(b[1] for b in boxes), max(b[2] for b in boxes), max(b[3] for b in boxes)


def _scenes(connection: Connection, family: Family, bounds: Bounds, interval: Interval) -> Iterator[_Scene]:
    """Live scenes of a family; a day more on both sides, for solar time is up to half a day from UTC."""
    start, end = utc_time(interval.start, 0) - DAY, utc_time(interval.end, 0) + DAY
    found = derivations.candidates(connection, family.collections, bounds, start, end)
    footprints = pgstac.footprints(connection, [(c.collection, c.item_id) for c in found])
    for candidate in found:
        geometry = footprints.get((candidate.collection, candidate.item_id))
        if geometry is None:
            log.warning("%s/%s is published but not in the catalog: left out; see `eolake check`", candidate.collection, candidate.item_id)
        else:
            yield _scene(candidate, Geometry(geometry, "EPSG:4326"))


def _scene(candidate: Candidate, footprint: Geometry) -> _Scene:
    middle = candidate.start_at + (candidate.end_at - candidate.start_at) / 2
    source = Source(
        collection=candidate.collection,
        item_id=candidate.item_id,
        dataset_id=candidate.dataset_id,
        digest=candidate.digest,
        prefix=candidate.prefix,
        solar=solar_time(middle, longitude_of(footprint)),
    )
    return _Scene(source=source, footprint=footprint, start=candidate.start_at, end=candidate.end_at)


def longitude_of(footprint: Geometry) -> float:
    """Degrees east of the centre of an area in EPSG:4326, which may lie on both sides of the antimeridian."""
    import shapely

    shape = footprint.geom
    west, _, east, _ = shape.bounds
    if east - west > HALF_TURN:
        shape = shapely.transform(shape, lambda points: np.column_stack([points[:, 0] % TURN, points[:, 1]]))
    return float((shape.centroid.x + HALF_TURN) % TURN - HALF_TURN)


def _month_tasks(analysis: Analysis, family: Family, scenes: Sequence[_Scene], tiles: Mapping[tuple[int, int], Geometry]) -> Iterator[Task]:
    months: dict[Month, list[_Scene]] = {}
    for scene in scenes:
        months.setdefault(Month.of(scene.source.solar), []).append(scene)
    for month, members in sorted(months.items()):
        areas = [(scene, _projected(scene.footprint, analysis)) for scene in members]
        for tile, extent in sorted(tiles.items()):
            inside = [(scene, part) for scene, area in areas if not (part := area & extent).is_empty and part.area > 0]
            if _complete(analysis, (scene for scene, _ in inside)):
                yield _month_task(analysis, family, month, tile, inside)


def _projected(footprint: Geometry, analysis: Analysis) -> Geometry:
    if analysis.grid is None:
        raise ValueError(f"{analysis.collection} is monthly: it needs a grid")
    return footprint.to_crs(analysis.grid.crs, resolution=0.1)


def _complete(analysis: Analysis, scenes: Iterable[_Scene]) -> bool:
    """Whether every input of the analysis has a scene."""
    collections = [declared(name) for name in {scene.source.collection for scene in scenes}]
    return bool(collections) and all(any(bands_of(c, entry) for c in collections) for entry in analysis.inputs.values())


def _month_task(analysis: Analysis, family: Family, month: Month, tile: tuple[int, int], parts: Sequence[tuple[_Scene, Geometry]]) -> Task:
    together = odc.geo.geom.unary_union(part for _, part in parts)
    if together is None:
        raise ValueError(f"no scene in tile {tile}")
    meridian = analysis.grid.meridian if analysis.grid else 0.0
    task = Task(
        item_id=f"{analysis.collection}_{family.key}_x{tile[0]}y{tile[1]}_{month}",
        family=family.key,
        sources=tuple(scene.source for scene, _ in parts),
        inputs="",
        geometry=_oriented(together.to_crs("EPSG:4326", resolution=STEP)),
        month=month,
        tile=tile,
        start=utc_time(month.start, meridian),
        end=utc_time(month.end, meridian) - TICK,
    )
    return replace(task, inputs=inputs_hash(analysis, task))


def _scene_tasks(analysis: Analysis, family: Family, scenes: Sequence[_Scene], bbox: Bounds) -> Iterator[Task]:
    area = _box(bbox)
    for scene in scenes:
        if scene.footprint.intersects(area) and _complete(analysis, [scene]):
            task = Task(
                item_id=f"{analysis.collection}_{scene.source.item_id}",
                family=family.key,
                sources=(scene.source,),
                inputs="",
                geometry=_oriented(scene.footprint),
                start=scene.start,
                end=scene.end,
            )
            yield replace(task, inputs=inputs_hash(analysis, task))


def _oriented(geometry: Geometry) -> dict[str, Any]:
    """GeoJSON with counter-clockwise shells, polygons only, 1e-7 degrees."""
    import shapely

    shape = shapely.set_precision(geometry.geom, 1e-7)
    parts = [part for part in shapely.get_parts(shape) if part.geom_type == "Polygon"]
    shape = shapely.orient_polygons(parts[0] if len(parts) == 1 else shapely.MultiPolygon(parts))
    return dict(shapely.geometry.mapping(shape))


def inputs_hash(analysis: Analysis, task: Task) -> str:
    """sha-256 over everything that the output depends on: sources with what they say, masks and bands, grid, parameters, version."""
    known = {
        "analysis": [analysis.name, analysis.collection, analysis.version],
        "parameters": dict(analysis.parameters),
        "grid": asdict(analysis.grid) if analysis.grid else None,
        "inputs": {name: _described(entry) for name, entry in analysis.inputs.items()},
        "sources": [[source.collection, source.item_id, source.digest] for source in task.sources],
        "period": [task.start.isoformat(), task.end.isoformat()],
    }
    return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()


def _described(entry: Input) -> list[Any]:
    return [sorted(entry.masked), {variable: list(names) for variable, names in entry.bands.items()}]


def _bereft(connection: Connection, analysis: Analysis, families: Sequence[Family], bbox: Bounds, interval: Interval) -> set[str]:
    start, end = utc_time(interval.start, 0) - DAY, utc_time(interval.end, 0) + DAY
    asked = [name for family in families for name in family.collections]
    return set(derivations.bereft(connection, analysis.collection, asked, bbox, start, end))
