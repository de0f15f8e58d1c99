"""Declared collections: one YAML file each, from which everything else is generated.

`collections/<id>.yaml` is the only place where a fact about a collection is written: the STAC
collection, the ODC product, the COG settings and the legend are made from it. A lake may have
more of them, in `collections/` beside its eolake.toml.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, model_validator

from eolake.catalog.errors import ConfigError
from eolake.catalog.own_collections import Own, own
from eolake.catalog.sources import AnySource, FilesSource, GridSource, Model

LAKE_NAME = r"^[a-z][a-z0-9_]*$"
LakeName = Annotated[str, Field(pattern=LAKE_NAME)]
"""Lower snake case: both a STAC id and an ODC product name."""


CommonName = Literal[
    "coastal", "blue", "green", "red", "rededge", "yellow", "pan", "nir", "nir08", "nir09",
    "cirrus", "swir16", "swir22", "lwir", "lwir11", "lwir12",
]  # fmt: skip
"""The names that eo 1.1 knows, which is the version that odc-stac reads."""


class Class(Model):
    """One value of a classified band, or one value of one bit field."""

    value: int
    name: LakeName
    description: str = ""
    color_hint: Annotated[str, Field(pattern=r"^[0-9A-F]{6}$")] | None = None


class BitField(Model):
    """Some bits of a flag band: STAC `classification:bitfields`, ODC `flags_definition`."""

    name: LakeName
    offset: Annotated[int, Field(ge=0)]
    length: Annotated[int, Field(ge=1)] = 1
    description: str = ""
    classes: tuple[Class, ...]

    @model_validator(mode="after")
    def _classes_fit(self) -> BitField:
        _check_classes(self.name, self.classes, range(1 << self.length))
        return self


class Band(Model):
    """One measurement: asset key, ODC measurement and band name are all `name`."""

    name: LakeName
    title: str
    aliases: tuple[str, ...] = ()
    """Names that providers use: B04, SR_B4, Oa08."""
    dtype: Literal["uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64"]
    nodata: float | None = None
    unit: str = "1"
    """UDUNITS."""
    scale: float | None = None
    offset: float | None = None
    """physical value = pixel * scale + offset"""
    common_name: CommonName | None = None
    """eo:common_name"""
    center_wavelength: float | None = None
    full_width_half_max: float | None = None
    """µm"""
    gsd: float | None = None
    """m"""
    grid: str = "default"
    """Bands of one grid share shape and transform: default, g20, g60."""
    roles: tuple[str, ...] = ("data",)
    """STAC asset roles: data, reflectance, data-mask, cloud, …"""
    classes: tuple[Class, ...] = ()
    bitfields: tuple[BitField, ...] = ()
    optional: bool = False
    """Some datasets lack it: an asset, but no ODC measurement (ODC refuses those)."""

    @model_validator(mode="after")
    def _values_fit(self) -> Band:
        if self.dtype.startswith("float"):
            if self.categorical:
                raise ValueError(f"band {self.name}: classes and bit fields need an integer dtype")
            return self
        values = _integers(self.dtype)
        if self.nodata is not None and (not self.nodata.is_integer() or int(self.nodata) not in values):
            raise ValueError(f"band {self.name}: nodata {self.nodata} is no {self.dtype}")
        _check_classes(self.name, self.classes, values)
        _check_bits(self)
        return self

    @property
    def categorical(self) -> bool:
        """Classes are never averaged: MODE overviews, nearest-neighbour resampling."""
        return bool(self.classes or self.bitfields)


def _integers(dtype: str) -> range:
    """The values of an integer dtype."""
    bits = int(dtype.removeprefix("u").removeprefix("int"))
    return range(1 << bits) if dtype.startswith("u") else range(-(1 << bits - 1), 1 << bits - 1)


def _check_classes(owner: str, classes: tuple[Class, ...], values: range) -> None:
    """Every class value fits, and neither values nor names come twice."""
    outside = [entry.value for entry in classes if entry.value not in values]
    if outside:
        raise ValueError(f"{owner}: class values {outside} do not fit in {values.start}–{values.stop - 1}")
    for what in ("value", "name"):
        twice = sorted(str(key) for key, count in Counter(getattr(entry, what) for entry in classes).items() if count > 1)
        if twice:
            raise ValueError(f"{owner}: class {what} {', '.join(twice)} appears twice")


def _check_bits(band: Band) -> None:
    """Bit fields lie within the dtype, do not overlap, and have distinct names."""
    names = [field.name for field in band.bitfields] + ([band.name] if band.classes else [])
    bits = [bit for field in band.bitfields for bit in range(field.offset, field.offset + field.length)]
    if len(set(names)) < len(names) or len(set(bits)) < len(bits):
        raise ValueError(f"band {band.name}: bit fields overlap or share a name")
    if bits and not 0 <= min(bits) <= max(bits) < int(band.dtype.removeprefix("u").removeprefix("int")):
        raise ValueError(f"band {band.name}: bit fields reach outside of {band.dtype}")


class Load(Model):
    """The grid that `datacube.load` uses when the caller names none."""

    crs: str
    resolution: float
    """Units of the CRS; pixels are square and north is up."""
    align: float = 0.0
    """Pixel edges lie at align modulo resolution."""


class Cog(Model):
    """How the bands are written; the defaults were chosen by bench/cog.py, whose numbers stand in bench/README.md."""

    compress: Literal["zstd", "deflate", "lzw", "lerc_zstd"] = "zstd"
    """`lerc_zstd` is for integers: bands of floats get zstd, which packs them better, and readers without GDAL take LERC's NaN for 0."""
    level: int = 1
    categorical_level: int = 6
    """Of categorical bands, which are small: level 1 is as fast but a sixth larger."""
    blocksize: Literal[128, 256, 512, 1024] = 512
    overview_resampling: Literal["average", "nearest"] = "average"
    """Of the bands that are not categorical; those use MODE."""


class Provider(Model):
    """A STAC provider."""

    name: str
    roles: tuple[Literal["licensor", "producer", "processor", "host"], ...]
    url: str | None = None
    description: str | None = None


class Collection(Model):
    """A declared collection."""

    id: LakeName
    title: str
    description: str
    license: str
    """SPDX; `other` when there is no identifier, with its text at `license_url`."""
    license_url: str | None = None
    keywords: tuple[str, ...]
    providers: tuple[Provider, ...]
    platforms: tuple[str, ...] = ()
    """STAC `platform` values, lower case; they become summaries."""
    instruments: tuple[str, ...] = ()
    constellation: str | None = None
    gsd: float | None = None
    processing_level: str | None = None
    """STAC processing:level: L1, L2, L3, …"""
    product_family: str | None = None
    """ODC product_family"""
    bands: tuple[Band, ...]
    load: Load
    cog: Cog = Cog()
    partition: Literal["none", "year", "month"] = "none"
    superseded: Literal["keep", "remove"] = "keep"
    """What becomes of an item when a better processing of its scene is published: it stays in the catalog, deprecated and with a
    link to its successor, or it leaves the catalog. The cube shows it no more in either case."""
    thumbnail: tuple[str, ...] = ()
    """One band (grey, or its class colours) or three (red, green, blue)."""
    thumbnail_range: tuple[float, float] | None = None
    """Physical values stretched to 0–255; None: 2nd to 98th percentile."""
    sci_doi: str | None = None
    renders: Mapping[str, Mapping[str, Any]] = {}
    """STAC render extension 2.0.0, as is."""
    derived: bool = False
    """Made by an analysis of this lake."""
    source: AnySource | None = None
    """How its products look, for sensors that work by declaration; None: a sensor of its own knows."""

    @model_validator(mode="after")
    def _bands_are_distinct(self) -> Collection:
        names = [name for band in self.bands for name in (band.name, *band.aliases)]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"band names and aliases appear twice: {', '.join(twice)}")
        return self

    @model_validator(mode="after")
    def _pictures_are_declared(self) -> Collection:
        if len(self.thumbnail) not in {0, 1, 3}:
            raise ValueError("thumbnail: name one band, or three (red, green, blue)")
        names = {band.name for band in self.bands}
        drawn = {*self.thumbnail, *(asset for render in self.renders.values() for asset in render.get("assets", ()))}
        if drawn - names:
            raise ValueError(f"thumbnail and renders name bands that are not declared: {', '.join(sorted(drawn - names))}")
        return self

    @model_validator(mode="after")
    def _source_has_the_bands(self) -> Collection:
        if isinstance(self.source, FilesSource | GridSource):
            names, told = {band.name for band in self.bands}, set(self.source.bands)
            if names != told:
                raise ValueError(f"source.bands and bands differ: {', '.join(sorted(names ^ told))}")
        return self

    def band(self, name: str) -> Band:
        """The band of that name or alias; KeyError otherwise."""
        for band in self.bands:
            if name == band.name or name in band.aliases:
                return band
        raise KeyError(f"{self.id} declares no band {name!r}")

    @property
    def measurements(self) -> tuple[Band, ...]:
        """The bands that every dataset has."""
        return tuple(band for band in self.bands if not band.optional)


def _folder() -> Traversable:
    return files("eolake.catalog") / "collections"


@cache
def _table(name: str) -> dict[str, Any]:
    """A band table; parsed once, for many collections share it."""
    rows: dict[str, Any] = _yaml((_folder() / "tables" / f"{name}.yaml").read_text("utf-8"))
    return rows


def _yaml(text: str) -> Any:
    """libyaml where PyYAML has it: ten times as fast as Python."""
    return yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - both are safe loaders


def _expand(document: dict[str, Any]) -> dict[str, Any]:
    """`bands_from: {table: landsat, rows: [...]}`: bands taken from `collections/tables/<table>.yaml`.

    A row is the name of a row, or `{row: name, …fields that differ}`."""
    reference = document.pop("bands_from", None)
    if reference is None:
        return document
    table = _table(reference["table"])
    bands = []
    for entry in reference["rows"]:
        row, changes = (entry, {}) if isinstance(entry, str) else (entry["row"], {k: v for k, v in entry.items() if k != "row"})
        if row not in table:
            raise ConfigError(f"collection {document.get('id')}: table {reference['table']!r} has no row {row!r}")
        bands.append({**table[row], **changes})
    return {**document, "bands": bands}


def parse_collection(text: str, *, source: str) -> Collection:
    """A collection from YAML text; ConfigError names `source` and every fault."""
    try:
        document = _yaml(text)
        return Collection.model_validate(_expand(document))
    except (ValueError, KeyError, TypeError, AttributeError, yaml.YAMLError) as error:
        raise ConfigError(f"{source} is not a valid collection declaration: {error}") from error


def declared_collections() -> Mapping[str, Collection]:
    """Every collection that the package or the lake at hand declares, by id, sorted."""
    return _declared_collections(own())


@cache
def _declared_collections(lake: Own) -> Mapping[str, Collection]:
    packaged = [entry.name for entry in _folder().iterdir() if entry.name.endswith(".yaml")]
    names = sorted(name.removesuffix(".yaml") for name in (*packaged, *(name for name, _, _ in lake.files)))
    return {name: declared(name) for name in names}


def declared(collection_id: str) -> Collection:
    """The declared collection of that id; ConfigError otherwise, and when both the package and the lake declare one."""
    return _declared(collection_id, own())


@cache
def _declared(collection_id: str, lake: Own) -> Collection:
    name = f"{collection_id}.yaml"
    packaged = re.fullmatch(LAKE_NAME, collection_id) is not None and (_folder() / name).is_file()
    local = lake.path(name)
    if packaged and local is not None:
        raise ConfigError(f"{local}: eolake declares {collection_id} itself; give the lake's own collection another id")
    if packaged:
        return _packaged(collection_id)
    if local is None:
        raise ConfigError(f"no collection {collection_id!r} is declared; `eolake collections list` shows those that are")
    return _named(parse_collection(local.read_text("utf-8"), source=str(local)), local.name)


@cache
def _packaged(collection_id: str) -> Collection:
    entry = _folder() / f"{collection_id}.yaml"
    return _named(parse_collection(entry.read_text("utf-8"), source=entry.name), entry.name)


def _named(collection: Collection, file: str) -> Collection:
    if file != f"{collection.id}.yaml":
        raise ConfigError(f"{file} declares {collection.id!r}; name the file {collection.id}.yaml")
    return collection
