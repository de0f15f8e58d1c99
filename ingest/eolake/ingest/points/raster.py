"""Points onto the grid of a swath: each cell shows the rows whose place lies in it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyproj import Transformer

from eolake.catalog.sources import Raster
from eolake.ingest.points.table import Points
from eolake.ingest.swath import SwathMap
from eolake.ingest.swath.target import is_geographic

OUTSIDE = -1


def cells(points: Points, swath: SwathMap) -> NDArray[np.int64]:
    """The flat number of each point's cell; OUTSIDE where the grid has none.

    A cell holds its west and north edge. What lies less than a cell beyond the grid belongs to the cell at its edge: the grid ends where
    no cell's centre lies in the swath any more, and a pixel may reach further."""
    x, y = _projected(points, swath)
    column = np.floor((x - swath.transform.c) / swath.transform.a)
    row = np.floor((y - swath.transform.f) / swath.transform.e)
    rows, columns = swath.shape
    near = (row >= -1) & (row <= rows) & (column >= -1) & (column <= columns)
    row, column = np.clip(row, 0, rows - 1), np.clip(column, 0, columns - 1)
    found: NDArray[np.int64] = np.full(len(points), OUTSIDE, np.int64)
    found[near] = (row * columns + column)[near].astype(np.int64)
    return found


def _projected(points: Points, swath: SwathMap) -> tuple[NDArray[Any], NDArray[Any]]:
    """In degrees the columns may run on beyond 180, and the points go with them."""
    if not is_geographic(swath.crs):
        x, y = Transformer.from_crs("OGC:CRS84", swath.crs, always_xy=True).transform(points.longitude, points.latitude)
        return np.asarray(x), np.asarray(y)
    west = swath.transform.c
    east = west + swath.shape[1] * swath.transform.a
    turns = np.stack([points.longitude + turn for turn in (0.0, 360.0, -360.0)])
    beyond = np.maximum(np.maximum(west - turns, turns - east), 0.0)
    return turns[np.argmin(beyond, axis=0), np.arange(len(points))], points.latitude


def rasterise(points: Points, raster: Raster, swath: SwathMap, at: NDArray[np.int64], *, dtype: str, nodata: float) -> NDArray[Any]:
    """A column as (rows, columns): the sum or the greatest value of the rows in each cell, `empty` where the swath shows none, nodata
    outside of the swath (and where nothing is `empty`). Sums are made in double precision."""
    column = points.columns[raster.column]
    there = (at != OUTSIDE) & ~column.missing
    values = column.values[there].astype(np.float64)
    found = np.full(math.prod(swath.shape), nodata, np.float64)
    if raster.empty is not None:
        found[swath.index.ravel() < math.prod(swath.source_shape)] = raster.empty
    burning = np.unique(at[there])
    if raster.reduce == "sum":
        found[burning] = 0.0
        np.add.at(found, at[there], values)
    else:
        found[burning] = -np.inf
        np.maximum.at(found, at[there], values)
    return found.reshape(swath.shape).astype(dtype)
