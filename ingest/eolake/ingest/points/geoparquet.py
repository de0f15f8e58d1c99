"""Points as GeoParquet 1.1: the same rows give the same bytes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import shapely
from pyproj import CRS

from eolake.catalog.sources import Table
from eolake.ingest.points.table import Column1D, Points

MEDIA_TYPE = "application/vnd.apache.parquet"
VERSION = "1.1.0"
ROW_GROUP = 65_536


def write(points: Points, table: Table, path: Path) -> None:
    """One row for each point: `geometry` (WKB, EPSG:4326), `time` (UTC, µs), then the declared columns, null where there is no value.

    Units and titles stand in the metadata of each field, where Arrow readers find them."""
    arrow = arrow_table(points, table)
    pq.write_table(arrow, path, compression="zstd", compression_level=3, row_group_size=ROW_GROUP, version="2.6", store_schema=True)


def arrow_table(points: Points, table: Table) -> pa.Table:
    """The rows with the metadata of GeoParquet."""
    fields = [pa.field("geometry", pa.binary(), nullable=False, metadata={"description": "Place, EPSG:4326"})]
    arrays = [pa.array(shapely.to_wkb(shapely.points(points.longitude, points.latitude)), pa.binary())]
    if points.times is not None:
        fields.append(pa.field("time", pa.timestamp("us", tz="UTC"), metadata={"description": "Time of sensing"}))
        arrays.append(pa.array(points.times.values, pa.int64(), mask=points.times.missing).cast(pa.timestamp("us", tz="UTC")))
    for name, declared in table.columns.items():
        column = points.columns[name]
        kind = pa.float64() if declared.dtype == "float64" else pa.int64()
        fields.append(pa.field(name, kind, metadata=_described(declared.title, column)))
        arrays.append(pa.array(column.values, kind, mask=column.missing))
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields, metadata={"geo": json.dumps(_geo(points))}))


def columns(points: Points, table: Table) -> list[dict[str, str]]:
    """`table:columns` of the STAC table extension, with the unit beside."""
    found = [{"name": "geometry", "description": "Place, EPSG:4326", "type": "byte_array"}]
    if points.times is not None:
        found.append({"name": "time", "description": "Time of sensing, UTC", "type": "timestamp"})
    for name, declared in table.columns.items():
        entry = {"name": name, "description": declared.title, "type": "double" if declared.dtype == "float64" else "int64"}
        found.append(entry | ({} if (unit := points.columns[name].unit) is None else {"unit": unit}))
    return found


def _described(title: str, column: Column1D) -> dict[str, str]:
    return {"description": title} | ({} if column.unit is None else {"unit": column.unit})


def _geo(points: Points) -> Mapping[str, Any]:
    column: dict[str, Any] = {"encoding": "WKB", "geometry_types": ["Point"] if len(points) else [], "crs": _crs()}
    if len(points):
        column["bbox"] = [float(f()) for f in (points.longitude.min, points.latitude.min, points.longitude.max, points.latitude.max)]
    return {"version": VERSION, "primary_column": "geometry", "columns": {"geometry": column}}


@cache
def _crs() -> Mapping[str, Any]:
    found: Mapping[str, Any] = CRS.from_epsg(4326).to_json_dict()
    return found
