"""Opens swath products of every collection that declares `sensor: swath`: folders, archives of them, single NetCDF files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, cast

from eolake.catalog import declaration, safe
from eolake.catalog.draft import Band, Draft, Pixels
from eolake.catalog.errors import BadProduct, Rejected
from eolake.catalog.safe.netcdf import Netcdf, open_netcdf
from eolake.catalog.sources import SwathSource, Variable
from eolake.ingest import points
from eolake.ingest.sensors import declared
from eolake.ingest.sensors.base import CLIP, DEFAULT, Options
from eolake.ingest.sensors.declared import ProductName
from eolake.ingest.sensors.swath import flags, values
from eolake.ingest.sensors.swath.maps import Maps, at_pixels, needed, spaced
from eolake.ingest.sensors.swath.metadata import Described, describe
from eolake.ingest.sensors.swath.places import Layout, Place, layout, path_of, present, wanted

NAME = "swath"
EXPECTED = safe.expected_names(
    "sen3",
    "nc",
    "nc4",
    "xml",
    "cdl",
    "json",
    "jpg",
    "jpeg",
    "png",
    "gif",
    "html",
    "xsd",
    "xsl",
    "css",
    "txt",
    "md",
    "pdf",
    "kml",
    "md5",
    folders=8,
)
"""Of everything in an archive."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A band that the product has."""

    band: declaration.Band
    variable: Variable
    rescaled: Mapping[str, float] | None
    """The file's scale and offset, where they are not the declared ones."""
    resampling: Literal["nearest", "bilinear"]


class SwathSensor:
    """Products of every collection with `sensor: swath`."""

    name = NAME

    def matches(self, name: str) -> bool:
        """True for the names that a declared collection has for its products."""
        return bool(declared.matching(name, NAME))

    def open(self, path: Path, workspace: Path, options: Options = DEFAULT) -> Iterator[Draft]:
        """One draft for each collection that the product is of: the two views of SLSTR are two.

        BadProduct names the file and the variable, and what was expected; Rejected when all of it lies outside of the clip."""
        matching = declared.matching(safe.product_name(path), NAME)
        if not matching:
            raise BadProduct(f"{path.name}: no declared collection has products with such a name; `eolake collections list` shows them")
        layouts = [layout(collection, cast("SwathSource", collection.source)) for collection, _ in matching]
        product = safe.open_product(path, workspace, wanted=wanted(layouts), expected=EXPECTED)
        if options.checked:
            for name in {found.source.manifest for found in layouts} - {None}:
                check_manifest(product, cast("str", name))
        yielded, beyond = False, None
        for found, (_, said) in zip(layouts, matching, strict=True):
            try:
                made = draft(product, present(product, found), said, workspace, options)
            except Rejected as why:
                beyond = why
                continue
            yielded = True
            yield made
        if not yielded and beyond is not None:
            raise beyond


def check_manifest(product: safe.Product, name: str) -> None:
    """BadProduct when a file of the manifest is missing, or is not what the manifest says."""
    path = product.files.get(name)
    if path is None:
        raise BadProduct(f"{product.path} has no {name}: nothing says whether it is complete")
    safe.check_files(product, safe.read_manifest(path))


def draft(product: safe.Product, found: Layout, said: ProductName, workspace: Path, options: Options = DEFAULT) -> Draft:
    """The draft of one collection; headers and the coordinates of its first grid are read, no band."""
    described = describe(product, found.collection, said)
    measured = headers(product, found, options)
    used = dict.fromkeys(found.variables[name].geolocation for name in measured)
    bilinear = frozenset(entry.variable.geolocation for entry in measured.values() if entry.resampling == "bilinear")
    maps = Maps(
        product=product,
        source=found.source,
        options=options,
        used=tuple(name for name in found.source.geolocations if name in used),
        bilinear=bilinear,
    )
    check_shapes(product, measured, maps)
    drawn = points.add(found.collection, found.source, product.files, maps.of_grid, workspace, clip=options.clip)
    scene_key, rank = declared.scene(found.collection, said)
    ordered = sorted(measured, key=lambda name: list(found.source.geolocations).index(measured[name].variable.geolocation))
    bands = {name: Band(read=partial(read, product, measured[name], maps), properties=_properties(measured[name])) for name in ordered}
    return Draft(
        item=_item(found, said, described, maps, options, drawn.properties),
        bands=bands | dict(drawn.bands),
        attachments=declared.attachments(found.source, product) | dict(drawn.attachments),
        scene_key=scene_key,
        rank=rank,
    )


def _item(found: Layout, said: ProductName, described: Described, maps: Maps, options: Options, counted: Mapping[str, Any]) -> Any:
    geometry = described.geometry if described.geometry is not None and options.clip is None else maps.footprint()
    item = declared.draft_item(found.collection, found.source, said, geometry, start=described.start, end=described.end, at=described.at)
    item.properties |= {**described.properties, **counted, **({CLIP: options.clip} if options.clip is not None else {})}
    item.stac_extensions = sorted({*item.stac_extensions, *described.stac_extensions})
    return item


def _properties(entry: Measured) -> dict[str, Any]:
    return {} if entry.rescaled is None else {"eolake:rescaled_from": dict(entry.rescaled)}


# --- bands ---


def headers(product: safe.Product, found: Layout, options: Options = DEFAULT) -> dict[str, Measured]:
    """The bands that the product has. BadProduct when one lacks that every product has."""
    files: dict[str | None, list[str]] = {}
    for name, variable in found.variables.items():
        files.setdefault(Place.of(variable.at).file, []).append(name)
    there: dict[str, Measured] = {}
    for file, names in files.items():
        path = path_of(product, file)
        if path is None:
            lacking = [name for name in names if not found.collection.band(name).optional]
            if lacking:
                raise BadProduct(f"{product.path} has no {file or 'NetCDF file'}, where {', '.join(lacking)} should lie")
            continue
        with open_netcdf(path) as opened:
            there |= {name: entry for name in names if (entry := _measured(opened, found, name, options)) is not None}
    return {name: there[name] for name in found.variables if name in there}


def _measured(file: Netcdf, found: Layout, name: str, options: Options) -> Measured | None:
    """None of an optional band that the file lacks."""
    band, variable = found.collection.band(name), found.variables[name]
    place = Place.of(variable.at)
    if band.optional and place.variable not in file.variables:
        return None
    values.outside(band)
    smooth = not band.categorical and not variable.circular and (options.resampling or found.source.resampling) == "bilinear"
    return Measured(
        band=band,
        variable=variable,
        rescaled=values.rescaled(file.variable(place.variable), band),
        resampling="bilinear" if smooth else "nearest",
    )


def check_shapes(product: safe.Product, measured: Mapping[str, Measured], maps: Maps) -> None:
    """BadProduct when a band has other rows and columns than its coordinates."""
    shapes = {name: maps.shape(name) for name in dict.fromkeys(entry.variable.geolocation for entry in measured.values())}
    places = {name: Place.of(entry.variable.at) for name, entry in measured.items()}
    for path in dict.fromkeys(needed(product, place) for place in places.values()):
        with open_netcdf(path) as file:
            for name, entry in measured.items():
                if needed(product, places[name]) == path:
                    _check_shape(file, entry, shapes[entry.variable.geolocation])


def _check_shape(file: Netcdf, entry: Measured, expected: tuple[int, int]) -> None:
    variable = file.variable(Place.of(entry.variable.at).variable)
    where = f"{file.path}: {variable.name!r} ({entry.band.name})"
    shape = values.shape_of(variable, dict(entry.variable.select), where)
    if entry.variable.ties is None and shape != expected:
        raise BadProduct(f"{where} has {shape[0]} × {shape[1]} pixels, its coordinates have {expected[0]} × {expected[1]}")


def read(product: safe.Product, entry: Measured, maps: Maps) -> Pixels:
    """Decode one band and put it on its grid; BadProduct when its bytes are broken."""
    made = maps.of(entry.variable.geolocation)
    counts = on_swath(product, entry, made.source_shape)
    fill = values.outside(entry.band)
    data = made.bilinear(counts, fill) if entry.resampling == "bilinear" else made.take(counts, fill)
    return Pixels(data=data, transform=made.transform, crs=made.crs, nodata=entry.band.nodata)


def on_swath(product: safe.Product, entry: Measured, shape: tuple[int, int]) -> values.Array:
    """One band in the geometry of the instrument, as its collection declares it."""
    place = Place.of(entry.variable.at)
    with open_netcdf(needed(product, place)) as file:
        variable, counts = values.read(file, place, dict(entry.variable.select))
        where = f"{file.path}: {variable.name!r}"
        if entry.variable.meanings is not None:
            return flags.by_meaning(variable, counts, entry.band, entry.variable.meanings, where)
        if entry.variable.ties is None:
            return values.counts_of(variable, counts, entry.band, where)
        tied = values.physical(variable, counts)
    ties = spaced(product, entry.variable.at, entry.variable.ties)
    full = at_pixels(product, tied, shape, ties, circular=entry.variable.circular)
    return values.quantised(full, entry.band)
