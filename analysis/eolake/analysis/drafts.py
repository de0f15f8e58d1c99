"""The draft of an output: what `publish` takes."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pystac
import shapely
from odc.geo.geobox import GeoBox

from eolake.analysis.base import Analysis
from eolake.analysis.families import mask_of
from eolake.analysis.plan import Task
from eolake.catalog.declaration import declared
from eolake.catalog.draft import Attachment, Band, Draft, Pixels
from eolake.catalog.stac import extensions
from eolake.catalog.stac.bands import json_number

Array = np.ndarray[Any, Any]
INHERITED = (
    "platform", "instruments", "constellation", "eo:cloud_cover", "grid:code", "odc:region_code", "sat:orbit_state", "sat:relative_orbit",
    "sat:absolute_orbit", "view:sun_azimuth", "view:sun_elevation", "view:off_nadir", "dea:dataset_maturity",
)  # fmt: skip
"""Properties of a scene that stay true of what is derived from it alone."""


def make_draft(
    analysis: Analysis, task: Task, geobox: GeoBox, bands: Mapping[str, Array], extra: Mapping[str, Any], tables: Mapping[str, Path]
) -> Draft:
    """`bands`: (y, x) on the geobox, by declared name; `extra`: item properties of the analysis; `tables`: CSV files by name."""
    return Draft(
        item=make_item(analysis, task, extra),
        bands={name: _band(analysis.collection, name, values, geobox) for name, values in bands.items()},
        attachments={
            name: Attachment(path=path, media_type="text/csv", roles=("data",), title=name.replace("_", " "))
            for name, path in tables.items()
        },
        sources=tuple((source.collection, source.item_id) for source in task.sources),
    )


def make_item(analysis: Analysis, task: Task, extra: Mapping[str, Any]) -> pystac.Item:
    """The item without assets: `datetime` is the middle of a period, start and end are its first and last microsecond in UTC."""
    properties = {**_sensors(task), **extra, **_times(task), **_provenance(analysis, task), **_place(task)}
    return pystac.Item(
        id=task.item_id,
        collection=analysis.collection,
        geometry=dict(task.geometry),
        bbox=list(shapely.geometry.shape(dict(task.geometry)).bounds),
        datetime=task.start + (task.end - task.start) / 2,
        properties=properties,
        stac_extensions=[extensions.uri("processing")],
    )


def inherited(source: Mapping[str, Any], geobox: GeoBox) -> dict[str, Any]:
    """What the item of a scene has in common with the item it was made from."""
    return {**{key: source[key] for key in INHERITED if key in source}, "gsd": json_number(abs(geobox.resolution.x))}


def _sensors(task: Task) -> dict[str, Any]:
    """Of an output of several scenes, so that a cube load can ask for one kind: `platform="sentinel-2"`. Nothing when kinds are mixed."""
    sources = [declared(name) for name in sorted({source.collection for source in task.sources})]
    constellations = {source.constellation for source in sources}
    if len(constellations) > 1 or None in constellations:
        return {}
    (constellation,) = constellations
    instruments = sorted({name for source in sources for name in source.instruments})
    return {"platform": constellation, "constellation": constellation, "instruments": instruments}


def _times(task: Task) -> dict[str, Any]:
    times = {"start_datetime": _utc(task.start), "end_datetime": _utc(task.end)}
    return {**times, "eolake:solar_month": str(task.month)} if task.month else times


def _utc(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def _provenance(analysis: Analysis, task: Task) -> dict[str, Any]:
    """What was done with what; `eolake:inputs` is compared by the next run."""
    return {
        "processing:lineage": f"{analysis.description}. {_masking(analysis, task)}",
        "processing:software": {f"eolake {analysis.name}": analysis.version},
        "eolake:analysis": analysis.name,
        "eolake:code_version": analysis.version,
        "eolake:parameters": dict(analysis.parameters),
        "eolake:inputs": task.inputs,
        "eolake:input_family": task.family,
        "eolake:solar_days": sorted({source.solar.date().isoformat() for source in task.sources}),
    }


def _masking(analysis: Analysis, task: Task) -> str:
    """One sentence about the masks: names of bands and of what they hide."""
    hidden = frozenset[str]().union(*(entry.masked for entry in analysis.inputs.values()))
    collections = sorted({source.collection for source in task.sources})
    bands = {name: mask_of(declared(name), hidden) for name in collections}
    said = [f"{name}: {mask.band}" if mask else f"{name}: no quality band, nothing is masked" for name, mask in bands.items()]
    return f"Clouds, their shadows and cirrus are left out by the quality band of each collection ({'; '.join(said)})."


def _place(task: Task) -> dict[str, Any]:
    return {"odc:region_code": f"x{task.tile[0]}y{task.tile[1]}"} if task.tile else {}


def _band(collection: str, name: str, values: Array, geobox: GeoBox) -> Band:
    nodata = declared(collection).band(name).nodata
    pixels = Pixels(data=values, transform=geobox.affine, crs=str(geobox.crs), nodata=nodata)
    return Band(read=lambda: pixels)


def empty(collection: str, name: str, shape: tuple[int, int]) -> Array:
    """A declared band of an output, nodata everywhere."""
    band = declared(collection).band(name)
    fill = 0 if band.nodata is None else band.nodata
    return np.full(shape, math.nan if math.isnan(fill) else fill, band.dtype)


def write_tables(tables: Mapping[str, Sequence[Mapping[str, Any]]], folder: Path) -> dict[str, Path]:
    """CSV files (RFC 4180, UTF-8) by table name; columns are the keys of the first row."""
    found = {}
    for name, rows in tables.items():
        found[name] = folder / f"{name}.csv"
        with found[name].open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=list(rows[0]) if rows else [])
            writer.writeheader()
            writer.writerows(rows)
    return found
