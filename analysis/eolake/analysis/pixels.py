"""Pixels of the inputs of one output, block by block, as an analysis computes on them.

Every sample is the nearest pixel of the source; where the source is finer than the output, each output pixel is the mean of k × k
samples spread evenly over it (k = 2 from 20 m to 30 m, 3 from 10 m to 30 m, 2 from 10 m to 20 m, where these are the very four pixels).
Thus all bands of an output pixel describe the same piece of ground, whatever their own pixel size, and nothing from beyond its edges or
from under a cloud flows in: a pixel is clear only when all of its samples of the quality band are. Bilinear or cubic kernels would mix
cloudy neighbours into clear pixels. Scale and offset are those of the item, applied before pixels of several scenes meet.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from affine import Affine
from odc.geo.geobox import GeoBox
from odc.geo.geom import Geometry

from eolake.analysis.base import Analysis, Input
from eolake.analysis.families import Mask, band_declarations, bands_of, mask_of
from eolake.catalog.declaration import declared
from eolake.catalog.stac.items import ITEM_NAME
from eolake.catalog.store import Store

if TYPE_CHECKING:
    from datacube import Datacube
    from datacube.model import Dataset

    from eolake.analysis.plan import Source, Task

Array = np.ndarray[Any, Any]
BUDGET = 400 * 2**20
"""Bytes of float32 input in one block."""
SIDES = (2048, 1024, 512, 256)
"""Pixels of a block's side: the largest whose input fits the budget."""
MARGIN = 2
"""Pixels around what a scene covers: a nearest neighbour may lie half a pixel outside."""
MOST_SAMPLES = 8
"""Per side of an output pixel."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A source with what is needed to read it."""

    source: Source
    dataset: Dataset
    bands: Mapping[str, str]
    """Variable → band."""
    scales: Mapping[str, tuple[float, float]]
    """Variable → (scale, offset) of this item."""
    nodata: Mapping[str, float | None]
    """By band."""
    resolution: Mapping[str, tuple[float, str]]
    """Band → (pixel size, CRS)."""
    mask: Mask | None
    extent: Geometry
    """What the pixels cover, nodata included."""
    properties: Mapping[str, Any]
    """Of its item."""


def open_scenes(cube: Datacube, store: Store, entry: Input, sources: Iterable[Source]) -> list[Scene]:
    """The sources that have the input's bands, with scales from their item.json.

    LookupError when a dataset is not in the cube any more."""
    wanted = [source for source in sources if bands_of(declared(source.collection), entry)]
    datasets = {dataset.id: dataset for dataset in cube.index.datasets.bulk_get([source.dataset_id for source in wanted])}
    missing = [source.item_id for source in wanted if source.dataset_id not in datasets]
    if missing:
        raise LookupError(f"not in the cube any more: {', '.join(missing)}")
    return [_open(store, entry, source, datasets[source.dataset_id]) for source in wanted]


def _open(store: Store, entry: Input, source: Source, dataset: Dataset) -> Scene:
    item = json.loads(store.get(f"{source.prefix}/{ITEM_NAME}"))
    collection = declared(source.collection)
    bands = band_declarations(collection, entry)
    mask = mask_of(collection, entry.masked)
    names = [*(band.name for band in bands.values()), *([mask.band] if mask else [])]
    return Scene(
        source=source,
        dataset=dataset,
        bands={variable: band.name for variable, band in bands.items()},
        scales={variable: scale_of(item["assets"][band.name]) for variable, band in bands.items()},
        nodata={name: collection.band(name).nodata for name in names},
        resolution={name: _resolution(item, name) for name in names},
        mask=mask,
        extent=_extent(item, names),
        properties=item["properties"],
    )


def _extent(item: Mapping[str, Any], bands: Iterable[str]) -> Geometry:
    """The outline of the bands' grids, with points between the corners: straight edges are curves in another CRS."""
    whole = reduce(Geometry.union, (_grid(item, band).extent for band in bands))
    return whole.segmented(max(whole.boundingbox.span_x, whole.boundingbox.span_y) / 32)


def _grid(item: Mapping[str, Any], band: str) -> GeoBox:
    asset = item["assets"][band]
    return GeoBox((asset["proj:shape"][0], asset["proj:shape"][1]), Affine(*asset["proj:transform"][:6]), _resolution(item, band)[1])


def scale_of(asset: Mapping[str, Any]) -> tuple[float, float]:
    """(scale, offset) of a band asset: what the item says, which is the collection's unless it differs."""
    (band,) = asset["raster:bands"]
    return float(band.get("scale", 1)), float(band.get("offset", 0))


def _resolution(item: Mapping[str, Any], band: str) -> tuple[float, str]:
    asset = item["assets"][band]
    return abs(float(asset["proj:transform"][0])), str(asset.get("proj:code") or asset.get("proj:wkt2"))


def native_geobox(store: Store, entry: Input, source: Source) -> GeoBox:
    """The grid of a scene's coarsest band."""
    item = json.loads(store.get(f"{source.prefix}/{ITEM_NAME}"))
    names = [band.name for band in band_declarations(declared(source.collection), entry).values()]
    name = max(names, key=lambda name: _resolution(item, name)[0])
    return _grid(item, name)


def geobox_of(analysis: Analysis, store: Store, task: Task) -> GeoBox:
    """The grid of an output: its tile, or its scene's own."""
    if analysis.grid is not None and task.tile is not None:
        return analysis.grid.spec()[task.tile]
    (entry, *_) = analysis.inputs.values()
    return native_geobox(store, entry, task.sources[0])


def blocks(shape: tuple[int, int], layers: int, variables: int) -> Iterator[tuple[slice, slice]]:
    """Windows (rows, columns) that cover the shape, as large as the budget allows for so many layers of float32."""
    pixel = 4 * max(1, layers) * variables
    side = next((side for side in SIDES if side * side * pixel <= BUDGET), SIDES[-1])
    for row in range(0, shape[0], side):
        for column in range(0, shape[1], side):
            yield slice(row, min(row + side, shape[0])), slice(column, min(column + side, shape[1]))


def load_block(cube: Datacube, scenes: Sequence[Scene], variables: Sequence[str], geobox: GeoBox) -> xr.Dataset:
    """Float32 variables (time, y, x) on a block's grid: one layer for each solar day, ascending.

    Where scenes of one day overlap, the pixel of the first in order of (collection, item id) that has all variables counts."""
    days = sorted({scene.source.solar.date() for scene in scenes})
    stack = np.full((len(variables), len(days), *geobox.shape), np.nan, np.float32)
    for scene in sorted(scenes, key=lambda scene: (scene.source.collection, scene.source.item_id)):
        if not reaches(scene, geobox):
            continue
        rows, columns = covered(scene.extent, geobox)
        layer = stack[:, days.index(scene.source.solar.date()), rows, columns]
        values = _read(cube, scene, variables, geobox[rows, columns])
        fresh = np.isnan(layer[0]) & ~np.isnan(values).any(axis=0)
        np.copyto(layer, values, where=fresh)
    times = np.array(days, dtype="datetime64[D]").astype("datetime64[ns]")
    y, x = (np.asarray(geobox.coordinates[name].values) for name in geobox.dimensions)
    coordinates = {"time": times, "y": y, "x": x}
    return xr.Dataset({name: (("time", "y", "x"), stack[index]) for index, name in enumerate(variables)}, coordinates)


def reaches(scene: Scene, geobox: GeoBox) -> bool:
    """Whether any pixel of the scene lies in this grid."""
    rows, columns = covered(scene.extent, geobox)
    return bool(rows.start < rows.stop and columns.start < columns.stop)


def covered(extent: Geometry, geobox: GeoBox) -> tuple[slice, slice]:
    """Rows and columns of the grid that `extent` can reach, with a margin; empty where it lies outside.

    A scene often covers a small part of a tile, and what it does not cover need not be read."""
    box = geobox.project(extent).boundingbox
    rows, columns = geobox.shape
    top, left = max(0, math.floor(box.bottom) - MARGIN), max(0, math.floor(box.left) - MARGIN)
    return slice(top, min(rows, math.ceil(box.top) + MARGIN)), slice(left, min(columns, math.ceil(box.right) + MARGIN))


def _read(cube: Datacube, scene: Scene, variables: Sequence[str], geobox: GeoBox) -> Array:
    """(variable, y, x) float32 of one scene; NaN where it has nothing or the ground is hidden."""
    samples = {name: _samples(scene.resolution[name], geobox) for name in scene.resolution}
    raw = _load(cube, scene, samples, geobox)
    found = np.stack([_mean(raw[band], scene.nodata[band], samples[band]) for band in (scene.bands[name] for name in variables)])
    for index, name in enumerate(variables):
        scale, offset = scene.scales[name]
        found[index] = (found[index] * scale + offset).astype(np.float32)
    if scene.mask:
        found[:, hidden(raw[scene.mask.band], scene.mask, samples[scene.mask.band])] = np.nan
    return found.astype(np.float32)


def _samples(resolution: tuple[float, str], geobox: GeoBox) -> int:
    """k: how many samples per side an output pixel needs; 1 where pixel sizes can not be compared."""
    size, crs = resolution
    from odc.geo import CRS

    source, target = CRS(crs), geobox.crs
    if target is None or source.units != target.units:
        return 1
    return max(1, min(MOST_SAMPLES, math.ceil(abs(geobox.resolution.x) / size - 0.01)))


def _load(cube: Datacube, scene: Scene, samples: Mapping[str, int], geobox: GeoBox) -> dict[str, Array]:
    """Stored values by band, each on the block's grid refined by its number of samples."""
    found: dict[str, Array] = {}
    for k in sorted(set(samples.values())):
        names = [name for name in samples if samples[name] == k]
        fine = refined(geobox, k)
        loaded = cube.load(datasets=[scene.dataset], measurements=names, like=fine, resampling="nearest", skip_broken_datasets=False)
        found |= {name: loaded[name].values[0] for name in names}
    return found


def refined(geobox: GeoBox, k: int) -> GeoBox:
    """The same area in pixels of 1/k of the size."""
    if k == 1:
        return geobox
    rows, columns = geobox.shape
    return GeoBox((rows * k, columns * k), geobox.affine @ Affine.scale(1 / k), geobox.crs)


def _samples_of(data: Array, k: int) -> Iterator[Array]:
    """The k · k samples of every output pixel, one view (y, x) after the other: no copy of the finer grid is made."""
    for row in range(k):
        for column in range(k):
            yield data[row::k, column::k]


def _mean(data: Array, nodata: float | None, k: int) -> Array:
    """Mean of the valid samples, float64; NaN where there is none."""
    shape = (data.shape[0] // k, data.shape[1] // k)
    total, count = np.zeros(shape), np.zeros(shape, np.uint8)
    for samples in _samples_of(data, k):
        valid = ~np.isnan(samples) if samples.dtype.kind == "f" else np.ones(shape, bool)
        if nodata is not None:
            valid &= samples != nodata
        np.add(total, samples, out=total, where=valid)
        count += valid
    total[count == 0] = np.nan
    return np.divide(total, count, out=total, where=count > 1)


def hidden(quality: Array, mask: Mask, k: int = 1) -> Array:
    """True where any sample of the quality band hides the ground or says nothing."""
    found = np.zeros((quality.shape[0] // k, quality.shape[1] // k), bool)
    for samples in _samples_of(quality, k):
        if mask.values:
            found |= np.isin(samples, list(mask.values))
        for offset, length, values in mask.fields:
            found |= np.isin((samples >> offset) & ((1 << length) - 1), list(values))
        if mask.nodata is not None:
            found |= samples == mask.nodata
    return found
