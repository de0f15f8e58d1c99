"""Where the variables of a product lie: `FILE.nc:group/variable`, `group/variable` where the product is one file."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from eolake.catalog import safe
from eolake.catalog.declaration import Band, Collection
from eolake.catalog.errors import BadProduct, ConfigError
from eolake.catalog.sources import Cartesian, Geolocation, SwathSource, Ties, Variable

NETCDF = r"^[^/]+\.nc4?$"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One variable of a product."""

    file: str | None
    """Relative name; None: of the product's only NetCDF file."""
    variable: str
    """With its groups."""

    @classmethod
    def of(cls, text: str) -> Self:
        """From what a declaration has."""
        file, colon, variable = text.rpartition(":")
        return cls(file=file if colon else None, variable=variable)


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The bands of a collection and their variables."""

    collection: Collection
    source: SwathSource
    variables: Mapping[str, Variable]
    """By band name, without those that are made from tables."""

    def geolocation(self, band: str) -> Geolocation:
        """That of a band's pixels."""
        return self.source.geolocations[self.variables[band].geolocation]


def layout(collection: Collection, source: SwathSource) -> Layout:
    """ConfigError where the declaration contradicts itself."""
    drawn = {name for table in source.tables.values() for name in table.rasters}
    variables = {band.name: _variable(collection, source, band) for band in collection.bands if band.name not in drawn}
    for name, variable in ((name, place) for name, named in variables.items() for place in places(named)):
        where = source.geolocations.get(variable.geolocation)
        if where is None:
            raise ConfigError(f"{collection.id}: band {name} has the geolocation {variable.geolocation!r}, which is not declared")
        if where.grid not in source.grids or where.grid != collection.band(name).grid:
            raise ConfigError(
                f"{collection.id}: band {name} is declared on the grid {collection.band(name).grid!r}, its geolocation "
                f"{variable.geolocation!r} on {where.grid!r}; both must name the same one of {', '.join(source.grids)}"
            )
    return Layout(collection=collection, source=source, variables=variables)


def places(variable: Variable) -> Iterator[Variable]:
    """Where a band may lie, in the order of preference."""
    yield variable
    if variable.otherwise is not None:
        yield from places(variable.otherwise)


def present(product: safe.Product, found: Layout) -> Layout:
    """Bands whose file the product lacks, where products of other baselines have them."""
    chosen = {
        name: next((place for place in places(named) if path_of(product, Place.of(place.at).file) is not None), named)
        for name, named in found.variables.items()
        if named.otherwise is not None
    }
    return replace(found, variables={name: chosen.get(name, named) for name, named in found.variables.items()})


def _variable(collection: Collection, source: SwathSource, band: Band) -> Variable:
    found = source.variables.get(band.name)
    if isinstance(found, Variable):
        return found
    text = found or source.template
    if text is None:
        raise ConfigError(f"{collection.id}: nothing says where the band {band.name} lies; name it in source.variables, or a template")
    return Variable(at=text.format(name=band.name, alias=(*band.aliases, band.name)[0]))


def _of_ties(ties: Ties | None) -> tuple[str, ...]:
    return (ties.tie_x, ties.tie_y, ties.x, ties.y) if isinstance(ties, Cartesian) else ()


def texts(found: Layout) -> Iterator[str]:
    """All places that a collection names."""
    for variable in (place for named in found.variables.values() for place in places(named)):
        yield variable.at
        yield from _of_ties(variable.ties)
    for geolocation in found.source.geolocations.values():
        yield from (geolocation.longitude, geolocation.latitude, *_of_ties(geolocation.ties))
        if geolocation.like is not None:
            yield geolocation.like


def wanted(layouts: list[Layout]) -> re.Pattern[str]:
    """Every file that one of the collections has a use for."""
    files = {Place.of(text).file for found in layouts for text in texts(found)}
    named = {file for file in files if file is not None}
    for found in layouts:
        named |= {file for table in found.source.tables.values() for file in table.files}
        named |= {found.source.manifest} if found.source.manifest else set()
    attached = [entry.pattern for found in layouts for entry in found.source.attachments.values()]
    patterns = [*(f"^{re.escape(name)}$" for name in sorted(named)), *([NETCDF] if None in files else []), *attached]
    return re.compile("|".join(f"(?:{pattern})" for pattern in dict.fromkeys(patterns)), re.IGNORECASE | re.ASCII)


def path_of(product: safe.Product, file: str | None) -> Path | None:
    """A file of the product; None when it lacks it. BadProduct when a product that should be one NetCDF file is several."""
    if file is not None:
        return product.files.get(file)
    if len(product.files) == 1:
        return next(iter(product.files.values()))
    found = product.find_all(re.compile(NETCDF, re.IGNORECASE))
    if len(found) > 1:
        raise BadProduct(f"{product.path} has {len(found)} NetCDF files instead of one: {', '.join(list(found)[:5])}")
    return next(iter(found.values()), None)
