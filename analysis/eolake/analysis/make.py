"""One output made: read, compute and stage, in any process that can reach the lake's database and store.

This is the task that dask runs. Nothing that it does is visible until the coordinator commits what it staged.
"""

from __future__ import annotations

import logging
import os
import tempfile
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from eolake.analysis.base import Analysis, Input
from eolake.analysis.drafts import empty, inherited, make_draft, make_item, write_tables
from eolake.analysis.plan import Task
from eolake.catalog.declaration import declared
from eolake.catalog.errors import BadProduct, ConfigError
from eolake.catalog.lake import Lake
from eolake.catalog.ledger.granules import Lease
from eolake.catalog.settings import Settings

if TYPE_CHECKING:
    from datacube import Datacube
    from odc.geo.geobox import GeoBox

    from eolake.analysis.pixels import Scene
    from eolake.cube.session import Session
    from eolake.cube.staging import Staged

log = logging.getLogger(__name__)
Array = np.ndarray[Any, Any]
TRIES = 3
"""Of one output; between them a pause that grows."""
PAUSE = 2.0
"""Seconds before the second try."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What became of a task."""

    item_id: str
    staged: Staged | None
    """None when it failed."""
    reason: str | None
    """Why."""
    seconds: float


class _Here(threading.local):
    """One session and cube for each thread of a worker process and each lake."""

    def __init__(self) -> None:
        self.opened: dict[str, tuple[Session, Datacube]] = {}


_here = _Here()


def make(settings: Settings, analysis: Analysis, task: Task, lease: Lease) -> Made:
    """Read, compute, stage; passing faults are tried again, the last one is returned with its reason, never raised."""
    started = time.monotonic()
    staged, reason = None, None
    for attempt in range(TRIES):
        if attempt:
            time.sleep(PAUSE * attempt)
        try:
            staged, reason = _make(settings, analysis, task, lease), None
        except (BadProduct, ConfigError) as error:  # would be the same again
            reason = str(error)
        except Exception as error:  # whatever it is: it is listed with the output and stops no other
            log.info("%s", task.item_id, exc_info=error)
            reason = f"{type(error).__name__}: {error} (tried {attempt + 1} times)"
            forget(settings)
            continue
        break
    return Made(item_id=task.item_id, staged=staged, reason=reason, seconds=time.monotonic() - started)


def _make(settings: Settings, analysis: Analysis, task: Task, lease: Lease) -> Staged:
    from eolake.analysis.pixels import geobox_of
    from eolake.cube.staging import key_prefix, stage

    session, cube = _open(settings)
    geobox = geobox_of(analysis, session.store, task)
    bands, properties, tables = compute(session, cube, analysis, task, geobox)
    # A worker that died at this output may have left an item.json of another minute under the same key.
    session.store.delete_prefix(key_prefix(make_item(analysis, task, {}), lease.fence))
    with tempfile.TemporaryDirectory(prefix="eolake-tables-") as folder:
        draft = make_draft(analysis, task, geobox, bands, properties, write_tables(tables, Path(folder)))
        return stage(session, draft, lease)


def compute(
    session: Session, cube: Datacube, analysis: Analysis, task: Task, geobox: GeoBox
) -> tuple[dict[str, Array], dict[str, Any], dict[str, list[Mapping[str, Any]]]]:
    """Bands, properties and tables of an output, one block after the other: the arrays of the output and one block are in memory."""
    from eolake.analysis.pixels import blocks, load_block, open_scenes, reaches

    inputs = {name: (entry, open_scenes(cube, session.store, entry, task.sources)) for name, entry in analysis.inputs.items()}
    layers = sum(len({scene.source.solar.date() for scene in scenes}) for _, scenes in inputs.values())
    variables = max(len(entry.bands) for entry, _ in inputs.values())
    bands = {band.name: empty(analysis.collection, band.name, geobox.shape.yx) for band in declared(analysis.collection).measurements}
    properties = _inherited(task, inputs.values(), geobox)
    tables: dict[str, list[Mapping[str, Any]]] = {}
    for rows, columns in blocks(geobox.shape.yx, layers, variables):
        part = geobox[rows, columns]
        if not any(reaches(scene, part) for _, scenes in inputs.values() for scene in scenes):
            continue
        output = analysis.compute({name: load_block(cube, scenes, list(entry.bands), part) for name, (entry, scenes) in inputs.items()})
        for name, values in output.bands.items():
            bands[name][rows, columns] = values.values
        properties |= output.properties
        _extend(tables, output.tables)
    return bands, properties, tables


def _inherited(task: Task, inputs: Iterable[tuple[Input, Sequence[Scene]]], geobox: GeoBox) -> dict[str, Any]:
    if task.month is not None:
        return {}
    ((_, (scene, *_)), *_) = inputs
    return inherited(scene.properties, geobox)


def _extend(tables: dict[str, list[Mapping[str, Any]]], found: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    for name, rows in found.items():
        tables.setdefault(name, []).extend(rows)


def _open(settings: Settings) -> tuple[Session, Datacube]:
    key = str(settings.root)
    if key not in _here.opened:
        _here.opened[key] = _connect(settings)
    return _here.opened[key]


def _connect(settings: Settings) -> tuple[Session, Datacube]:
    from eolake.catalog.store import store_environment

    os.environ.update(store_environment(settings.store_config))
    from datacube import Datacube

    from eolake.cube.session import Session

    session = Session(lake=Lake(settings=settings))
    return session, Datacube(index=session.index)


def forget(settings: Settings) -> None:
    """Close this thread's connections: the next task opens new ones."""
    opened = _here.opened.pop(str(settings.root), None)
    if opened:
        opened[0].close()
