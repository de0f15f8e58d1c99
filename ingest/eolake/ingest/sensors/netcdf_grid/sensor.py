"""Opens NetCDF products with bands on a CF grid: one item for each time."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from eolake.catalog import declaration, safe
from eolake.catalog.declaration import Collection
from eolake.catalog.draft import Band, Draft, Frame, Pixels
from eolake.catalog.errors import BadProduct
from eolake.catalog.safe.netcdf import Netcdf, open_netcdf
from eolake.catalog.sources import GridSource, Variable
from eolake.ingest.outlines import data_outline, geographic
from eolake.ingest.sensors import declared
from eolake.ingest.sensors.base import DEFAULT, Options
from eolake.ingest.sensors.declared import ProductName, compiled
from eolake.ingest.sensors.netcdf_grid import times
from eolake.ingest.sensors.netcdf_grid.lattice import Coordinate, Lattice, coordinate, lattice
from eolake.ingest.sensors.swath import values
from eolake.ingest.sensors.swath.metadata import by_attributes
from eolake.ingest.sensors.swath.places import NETCDF, Place, path_of
from eolake.ingest.sensors.swath.sensor import EXPECTED
from eolake.ingest.sensors.values import valid_pixels

NAME = "netcdf_grid"
MOST_TIMES = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """One step of the time axis."""

    at: datetime
    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """A band and its variable."""

    band: declaration.Band
    path: Path
    place: Place
    select: Mapping[str, int]
    lattice: Lattice
    time: str | None
    """The dimension of the times; None: the same for all of them."""
    moments: tuple[Moment, ...]
    properties: Mapping[str, Any]

    def frame(self) -> Frame:
        """Where its pixels are."""
        return Frame(shape=self.lattice.shape, transform=self.lattice.transform, crs=self.lattice.crs)

    def read(self, step: int) -> Pixels:
        """The pixels of one time. BadProduct when they can't be what is declared."""
        with open_netcdf(self.path) as file:
            variable = file.variable(self.place.variable)
            where = f"{self.path}: {variable.name!r}"
            window, order = _window(variable.dimensions, variable.shape, self, step, where)
            counts = variable.read(window)
            if str(variable.attributes.get("_Unsigned", "")).lower() == "true" and counts.dtype.kind == "i":
                counts = counts.view(counts.dtype.str.replace("i", "u"))
            data = values.counts_of(variable, np.ascontiguousarray(counts.T if order else counts), self.band, where)
        grid = self.lattice
        return Pixels(data=grid.raster(data), transform=grid.transform, crs=grid.crs, nodata=self.band.nodata)


class GridSensor:
    """Products of every collection with `sensor: netcdf_grid`."""

    name = NAME

    def matches(self, name: str) -> bool:
        """True for the names that a declared collection has for its products."""
        return bool(declared.matching(name, NAME))

    def open(self, path: Path, workspace: Path, options: Options = DEFAULT) -> Iterator[Draft]:  # noqa: ARG002 - clipped by the caller
        """A draft for each time, of the collection whose variables are all there. BadProduct names file, variable and fault."""
        matching = declared.matching(safe.product_name(path), NAME)
        if not matching:
            raise BadProduct(f"{path.name}: no declared collection has products with such a name; `eolake collections list` shows them")
        sources = [cast("GridSource", collection.source) for collection, _ in matching]
        patterns = [NETCDF, *(f"(^|/){re.escape(file)}$" for source in sources for file in _files(source))]
        patterns += [entry.pattern for source in sources for entry in source.attachments.values()]
        wanted = compiled("|".join(f"(?:{pattern})" for pattern in dict.fromkeys(patterns)))
        product = safe.open_product(path, workspace, wanted=wanted, expected=EXPECTED)
        found = [
            (collection, said, _layers(collection, source, product)) for (collection, said), source in zip(matching, sources, strict=True)
        ]
        collection, said, layers = _choice(product, found)
        yield from _drafts(product, collection, said, layers)


def _variable(entry: Variable | str) -> Variable:
    return entry if isinstance(entry, Variable) else Variable(at=entry)


def _files(source: GridSource) -> list[str]:
    """Names of the files that it says its variables lie in."""
    return [file for entry in source.bands.values() if (file := Place.of(_variable(entry).at).file) is not None]


def _layers(collection: Collection, source: GridSource, product: safe.Product) -> dict[str, Layer]:
    """The bands whose variables are there."""
    found = {}
    for band in collection.bands:
        entry = _variable(source.bands[band.name])
        place = Place.of(entry.at)
        path = path_of(product, place.file)
        if path is None:
            continue
        with open_netcdf(path) as file:
            if place.variable in file.variables:
                found[band.name] = _layer(file, band, entry, place, source)
    return found


def _layer(file: Netcdf, band: declaration.Band, entry: Variable, place: Place, source: GridSource) -> Layer:
    variable = file.variable(place.variable)
    time = coordinate(file, variable, "time", source)
    other = values.rescaled(variable, band)
    return Layer(
        band=band,
        path=file.path,
        place=place,
        select=entry.select,
        lattice=lattice(file, variable, source),
        time=None if time is None else time.dimension,
        moments=() if time is None else _moments(file, time),
        properties={} if other is None else {"eolake:rescaled_from": other},
    )


def _moments(file: Netcdf, time: Coordinate) -> tuple[Moment, ...]:
    """Times with the bounds that the file gives them."""
    where = f"{file.path}: {time.variable.name!r}"
    if time.variable.shape[0] > MOST_TIMES:
        raise BadProduct(f"{where} has {time.variable.shape[0]:,} times; {MOST_TIMES:,} is the most that one product may have")
    at = [times.decode(value, time.variable.attributes, where) for value in time.values().tolist()]
    name = time.variable.attributes.get("bounds")
    if not isinstance(name, str) or name not in file.variables:
        return tuple(Moment(at=moment, start=moment, end=moment) for moment in at)
    bounds = file.variables[name]
    if bounds.shape != (len(at), 2):
        raise BadProduct(f"{where} has bounds of the shape {bounds.shape}; {len(at)} times need two each")
    attributes = {**time.variable.attributes, **{key: bounds.attributes[key] for key in ("units", "calendar") if key in bounds.attributes}}
    pairs = [sorted(times.decode(value, attributes, where) for value in pair) for pair in bounds.read().astype(np.float64).tolist()]
    return tuple(Moment(at=moment, start=pair[0], end=pair[1]) for moment, pair in zip(at, pairs, strict=True))


def _choice(
    product: safe.Product, found: list[tuple[Collection, ProductName, dict[str, Layer]]]
) -> tuple[Collection, ProductName, dict[str, Layer]]:
    """Of the collections whose variables are all there, the one that asks for the most."""
    lacking = {c.id: [band.name for band in c.measurements if band.name not in layers] for c, _, layers in found}
    complete = [entry for entry in found if not lacking[entry[0].id]]
    if not complete:
        raise BadProduct(
            f"{product.path}: " + "; ".join(f"{name} needs the variables of {', '.join(bands)}" for name, bands in lacking.items())
        )
    return max(complete, key=lambda entry: (len(entry[0].measurements), len(entry[2])))


def _drafts(product: safe.Product, collection: Collection, said: ProductName, layers: Mapping[str, Layer]) -> Iterator[Draft]:
    source = cast("GridSource", collection.source)
    _check_grids(product, layers)
    moments = _axis(product, collection, said, layers)
    for step, moment in enumerate(moments):
        part = f"_{moment.at:%Y%m%dT%H%M%S}" if len(moments) > 1 else ""
        item = declared.draft_item(
            collection,
            source,
            said,
            _footprint(collection, layers, step, said.name),
            start=moment.start,
            end=moment.end,
            at=moment.at,
            identifier=f"{said.name}{part}",
        )
        scene_key, rank = declared.scene(collection, said, part=f"/{part[1:]}" if part else "")
        yield Draft(
            item=item,
            bands={
                name: Band(read=partial(layer.read, step), properties=layer.properties, frame=layer.frame) for name, layer in layers.items()
            },
            attachments=declared.attachments(source, product),
            scene_key=scene_key,
            rank=rank,
        )


def _axis(product: safe.Product, collection: Collection, said: ProductName, layers: Mapping[str, Layer]) -> tuple[Moment, ...]:
    """The times of all bands; of bands without a time axis the one that the attributes or the name say."""
    axes = {layer.moments: layer.place.variable for layer in layers.values() if layer.time is not None}
    if len(axes) > 1:
        raise BadProduct(f"{product.path}: {' and '.join(sorted(axes.values()))} have different times")
    if axes:
        (moments,) = axes
        stamps = {f"{moment.at:%Y%m%dT%H%M%S}" for moment in moments}
        if not moments or len(stamps) < len(moments):
            raise BadProduct(f"{product.path} has {'two times in one second' if moments else 'no time'}")
        return moments
    told = by_attributes(product, collection, said)
    return (Moment(at=told.start, start=told.start, end=told.end),)


def _check_grids(product: safe.Product, layers: Mapping[str, Layer]) -> None:
    """Bands of one grid lie on one lattice, and all in one CRS."""
    grids: dict[str, Layer] = {}
    for layer in layers.values():
        first = grids.setdefault(layer.band.grid, layer)
        if layer.frame() != first.frame():
            one, other = first.place.variable, layer.place.variable
            raise BadProduct(f"{product.path}: {one} and {other} should lie on one grid and do not")
    if len({layer.lattice.crs for layer in layers.values()}) > 1:
        raise BadProduct(f"{product.path}: its variables have different coordinate reference systems")


def _window(
    dimensions: tuple[str, ...], shape: tuple[int, ...], layer: Layer, step: int, where: str
) -> tuple[tuple[slice | int, ...], bool]:
    """The part of a variable that one time has, and whether columns come before rows."""
    window: list[slice | int] = []
    for name, length in zip(dimensions, shape, strict=True):
        if name in {layer.lattice.x, layer.lattice.y}:
            window.append(slice(None))
        elif name == layer.time:
            window.append(step)
        elif name in layer.select or length == 1:
            window.append(_selected(name, length, layer.select.get(name, 0), where))
        else:
            raise BadProduct(f"{where} has {length} of {name}; say which one by `select` in the collection's source")
    return tuple(window), dimensions.index(layer.lattice.x) < dimensions.index(layer.lattice.y)


def _selected(name: str, length: int, index: int, where: str) -> int:
    if not -length <= index < length:
        raise BadProduct(f"{where} has {length} of {name}; number {index} is declared")
    return index % length


def _footprint(collection: Collection, layers: Mapping[str, Layer], step: int, name: str) -> BaseGeometry:
    """Where the first band that every product has, has data; the frame when it says nothing, or has none."""
    band = next((band for band in collection.measurements if band.nodata is not None or band.dtype.startswith("float")), None)
    frame = next(iter(layers.values())).frame()
    if band is not None:
        pixels = layers[band.name].read(step)
        valid: NDArray[np.bool_] = valid_pixels(pixels.data, band)
        outline = data_outline(valid, pixels.transform)
        if outline is not None:
            return geographic(outline, pixels.crs, name)
    rows, columns = frame.shape
    corners = np.array([frame.transform @ corner for corner in ((0, 0), (columns, rows))])
    return geographic(shapely.box(*corners.min(axis=0), *corners.max(axis=0)), frame.crs, name)
