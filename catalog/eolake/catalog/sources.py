"""How the products of a collection look on disk, for sensors that work by declaration alone: `source:` of a collection's YAML.

`sensor: swath`        NetCDF with the longitude and latitude of every pixel (Sentinel-3, Sentinel-5P, CMEMS Level 2)
`sensor: files`        one raster file for each band, told by its name (HyP3, MODIS, …)
`sensor: netcdf_grid`  bands on a CF grid
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator


class Model(BaseModel):
    """Frozen; an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def _compiles(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"{text!r} is no regular expression: {error}") from error
    return text


Pattern = Annotated[str, AfterValidator(_compiles)]
Place = Annotated[str, Field(pattern=r"^([^:]+:)?[^:]+$")]
"""`FILE.nc:group/variable`; without a file where the product is one file."""


class Grid(Model):
    """A lattice of square pixels, north up."""

    crs: str
    resolution: Annotated[float, Field(gt=0)]
    """Units of the CRS."""
    align: float = 0.0
    """Pixel edges lie at align modulo resolution."""


class Attached(Model):
    """A file of the product that is kept as it is."""

    pattern: Pattern
    """Found in its relative name; a product may lack it."""
    media_type: str
    roles: tuple[str, ...] = ("metadata",)
    title: str


class Source(Model):
    """What all of them declare."""

    product: Pattern
    """Matches the whole product name (without .zip, .tar, .SEN3, .nc …), any case. Groups `start`, `end` and `created` are times,
    `platform` a key of `platforms`; any other group becomes a property when `properties` says so."""
    times: str = "%Y%m%dT%H%M%S"
    """How the groups `start`, `end`, `created` are written."""
    platforms: Mapping[str, str] = {}
    """platform group → STAC platform"""
    properties: Mapping[str, Any] = {}
    """Item properties; a text may hold `{group}` of the product name."""
    attachments: Mapping[str, Attached] = {}
    """By asset key."""


class Subsampled(Model):
    """Tie points on every n-th row and column of the image; the last ones may lie beyond its end."""

    kind: Literal["subsampled"] = "subsampled"
    rows: int | str = 1
    columns: int | str = 1
    """A text: the global attribute, of the file that the tie points lie in, that says it."""


class Cartesian(Model):
    """Tie points and pixels that share metres across and along the track (SLSTR)."""

    kind: Literal["cartesian"] = "cartesian"
    tie_x: Place
    tie_y: Place
    x: Place
    y: Place


Ties = Annotated[Subsampled | Cartesian, Field(discriminator="kind")]


class Variable(Model):
    """Where a band of a NetCDF product lies."""

    at: Place
    geolocation: str = "default"
    """Which longitudes and latitudes are its pixels'."""
    ties: Ties | None = None
    """None: it has the shape of its geolocation."""
    circular: bool = False
    """An angle in degrees, so that 359 and 1 lie side by side when tie points are interpolated."""
    select: Mapping[str, int] = {}
    """dimension → index, of further dimensions (layers, times) longer than 1"""
    meanings: Mapping[str, str | tuple[str, ...]] | None = None
    """Of flags whose bits have moved between processing baselines: each declared bit is the one that the file's `flag_meanings` call by its
    name (any case), or as said here; a flag that the file does not have is never set. None: the bits lie as declared."""
    otherwise: Variable | None = None
    """Where it lies in products without the file of `at`: those of other processing baselines."""


class Geolocation(Model):
    """Longitude and latitude in degrees, of pixel centres."""

    longitude: Place
    latitude: Place
    ties: Ties | None = None
    """Where only tie points have coordinates."""
    like: Place | None = None
    """With `ties`: a variable of the full shape."""
    grid: str = "default"
    """The target grid of its bands."""


class ColumnSource(Model):
    """A variable that a column is read from."""

    name: str
    scale: float = 1.0
    """Column value = value * scale: for products that write percent where others write shares."""


class Column(Model):
    """One column of a table."""

    variables: tuple[ColumnSource | str, ...]
    """The first one that the product has; without any the column is empty."""
    title: str
    dtype: Literal["float64", "int64"] = "float64"
    unit: str | None = None
    """UDUNITS; None: as the product says."""
    minimum: float | None = None
    """Lesser values mean that there is none."""


class Raster(Model):
    """A column as a band: each cell shows the rows within it."""

    column: str
    reduce: Literal["sum", "max"]
    """Of several rows in one cell."""
    empty: float | None = None
    """Value of cells of the swath without a row; None: nodata."""
    grid: str = "default"


class Table(Model):
    """A list of points in a product, fires for example; kept as a GeoParquet asset. A product may have none of them."""

    title: str
    files: tuple[str, ...]
    """Relative names; the first one that the product has."""
    optional: bool = False
    """Some products lack it: no asset; otherwise such a product is broken."""
    longitude: str = "longitude"
    latitude: str = "latitude"
    time: str | None = None
    """Variable with the time of each row, an integer."""
    time_unit: Literal["us", "ms", "s"] = "us"
    epoch: datetime = datetime(2000, 1, 1, tzinfo=UTC)
    columns: Mapping[str, Column]
    """By name, snake case; `time` and `geometry` stand beside them."""
    rasters: Mapping[str, Raster] = {}
    """By band name."""
    count: str | None = None
    """Item property with the number of rows."""
    totals: Mapping[str, str] = {}
    """Item property → column whose sum it is."""

    @model_validator(mode="after")
    def _columns_are_there(self) -> Table:
        used = {*self.totals.values(), *(raster.column for raster in self.rasters.values())}
        if used - set(self.columns):
            raise ValueError(f"totals and rasters name columns that are not declared: {', '.join(sorted(used - set(self.columns)))}")
        if {"time", "geometry"} & set(self.columns):
            raise ValueError("columns: time and geometry are there anyway")
        return self


class SwathSource(Source):
    """Bands in the geometry of the instrument; resampled to a grid when converted.

    Where the swath has no pixel a band shows its nodata, NaN where floats declare none, and flags and classes that declare none the bit or
    class `no_data` (or `invalid`)."""

    sensor: Literal["swath"]
    metadata: str = "name"
    """Who fills the item: `name` (the product name alone), `attributes` (CF/ACDD global attributes), `sentinel3` (xfdumanifest.xml)."""
    manifest: str | None = None
    """Relative name of an XFDU manifest whose files are checked: xfdumanifest.xml"""
    grids: Mapping[str, Grid]
    """By name; the bands of one name share shape and transform."""
    geolocations: Mapping[str, Geolocation]
    template: str | None = None
    """Where bands lie that `variables` does not name: `{alias}_radiance.nc:{alias}_radiance`; {name}, {alias} (the first one)."""
    variables: Mapping[str, Variable | Place] = {}
    """By band name."""
    resampling: Literal["nearest", "bilinear"] = "nearest"
    """Of bands that are not classified; those are always nearest."""
    tables: Mapping[str, Table] = {}
    """Lists of points, by asset key."""


class RasterFile(Model):
    """One band's file."""

    pattern: Pattern
    """Found in the relative file name, any case; {group} of the product name may stand in it."""
    driver: Literal["GTiff", "JP2OpenJPEG"] = "GTiff"
    band: int = 1


class FilesSource(Source):
    """Bands are raster files with names of a pattern, on a grid of their own."""

    sensor: Literal["files"]
    bands: Mapping[str, RasterFile | Pattern]
    """By band name."""


class GridSource(Source):
    """Bands are variables on a CF grid in one NetCDF file; one item for each time."""

    sensor: Literal["netcdf_grid"]
    bands: Mapping[str, Variable | Place]
    """By band name; `geolocation` and `ties` are not used."""
    x: str | None = None
    y: str | None = None
    time: str | None = None
    """Coordinate variables; without them those that CF says: axis, standard_name, units."""
    crs: str | None = None
    """Without it: grid_mapping; degrees without grid_mapping are EPSG:4326."""


AnySource = Annotated[SwathSource | FilesSource | GridSource, Field(discriminator="sensor")]
