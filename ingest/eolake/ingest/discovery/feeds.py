"""Feeds: standing orders to providers, from `[feeds.NAME]` of eolake.toml."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, PositiveInt, StringConstraints, ValidationError, field_validator, model_validator

from eolake.catalog.errors import ConfigError
from eolake.catalog.ledger.granules import Offer
from eolake.catalog.settings import Model, Settings
from eolake.ingest.options import Document, document, parse_grid, polygon_of
from eolake.ingest.providers.base import Query
from eolake.ingest.providers.footprints import normalise

SECONDS: Mapping[str, int] = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_DURATION = re.compile(r"(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>[smhdw]?)")
TILE = re.compile(r"T?(?P<tile>[0-9]{2}[A-Z]{3}|[0-9]{6})")

type Box = tuple[float, float, float, float]


def parse_duration(value: object) -> object:
    """A timedelta from `5d`, `12h`, `50m`, `90s`, `2w` or a number of seconds; anything else unchanged, for pydantic to refuse."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return timedelta(seconds=value)
    match = _DURATION.fullmatch(value.strip()) if isinstance(value, str) else None
    return timedelta(seconds=float(match["number"]) * SECONDS[match["unit"]]) if match else value


Duration = Annotated[timedelta, BeforeValidator(parse_duration), Field(gt=timedelta())]


@dataclass(frozen=True, slots=True, kw_only=True)
class Feed:
    """What is wanted of one collection of one provider, from now on."""

    name: str
    provider: str
    collection: str
    bbox: Box | None = None
    """west, south, east, north in degrees; west > east crosses the antimeridian"""
    area: Mapping[str, Any] | None = None
    """GeoJSON polygon or multipolygon, instead of bbox."""
    tiles: frozenset[str] = frozenset()
    """MGRS tiles `55HFA` or WRS path/row `090084`; empty: all."""
    lookback: timedelta = timedelta(days=5)
    """How far before now the first pass begins."""
    overlap: timedelta = timedelta(days=2)
    """How far before the end of the last pass the next one begins: products are published late, or into the past."""
    max_age: timedelta | None = None
    """Oldest sensing that is wanted, before the day of publication (before now, when the provider pushes)."""
    cloud_cover: float | None = None
    """At most, percent; products that don't say pass."""
    timeliness: str | None = None
    priority: int = 1
    """0: before all others of the provider."""
    transfer: Literal["copy", "reference"] | None = None
    options: Mapping[str, Any] | None = None
    """How its products are converted, if not as always."""

    def query(self, since: datetime, until: datetime) -> Query:
        """What to ask for of a time of publication. What a filter drops is to be counted, so only place and collection narrow it."""
        return Query(collection=self.collection, since=since, until=until, bbox=self.bbox, area=self.area, tiles=self.tiles)

    def order(self, offer: Offer) -> Offer:
        """What a provider has, as this feed wants it. With options it is always a copy: what stays where it is can't be clipped."""
        transfer = "copy" if self.options else self.transfer or offer.transfer
        return replace(offer, feed=self.name, collection=self.collection, priority=self.priority, transfer=transfer, options=self.options)


class FeedSection(Model):
    """`[feeds.NAME]`; an unknown key is an error."""

    provider: Annotated[str, StringConstraints(min_length=1)]
    collection: Annotated[str, StringConstraints(min_length=1)]
    bbox: tuple[float, float, float, float] | None = None
    area: Path | None = None
    """GeoJSON file, relative to eolake.toml."""
    tiles: tuple[str, ...] | Path = ()
    """Tiles, or a file with one in each line."""
    lookback: Duration = timedelta(days=5)
    overlap: Duration = timedelta(days=2)
    max_age: Duration | None = None
    cloud_cover: Annotated[float, Field(ge=0, le=100)] | None = None
    timeliness: Annotated[str, StringConstraints(to_upper=True, pattern="^[A-Za-z]{2,3}$")] | None = None
    priority: PositiveInt | Literal[0] = 1
    transfer: Literal["copy", "reference"] | None = None
    clip: bool | Path = False
    """Keep only what lies in the feed's bbox or area (true), or in the polygons of a GeoJSON file, relative to eolake.toml."""
    grid: str | None = None
    """For swaths: `EPSG:3577@300`."""
    resampling: Literal["nearest", "bilinear"] | None = None
    """Of swaths."""

    @model_validator(mode="after")
    def _place(self) -> Self:
        if self.bbox is not None and self.area is not None:
            raise ValueError("bbox and area exclude each other")
        if self.bbox is not None:
            check_bbox(self.bbox)
        if self.clip is True and self.bbox is None and self.area is None:
            raise ValueError("clip = true keeps what lies in the feed's bbox or area, and it has neither; name a GeoJSON file instead")
        if self.transfer == "reference" and (self.clip or self.grid or self.resampling):
            raise ValueError('what is published where it is (transfer = "reference") can\'t be clipped or resampled')
        return self

    @field_validator("grid")
    @classmethod
    def _grid(cls, text: str | None) -> str | None:
        if text is not None:
            parse_grid(text)
        return text


def check_bbox(bbox: Box) -> Box:
    """The box itself; ValueError when it is none."""
    west, south, east, north = bbox
    if not (-180 <= west <= 180 and -180 <= east <= 180 and -90 <= south < north <= 90 and west != east):
        raise ValueError("bbox is west, south, east, north in degrees, south < north; west > east crosses the antimeridian")
    return bbox


def feed_names(settings: Settings) -> tuple[str, ...]:
    """The names of the feeds of eolake.toml, in its order."""
    return tuple(settings.feeds)


def get_feed(settings: Settings, name: str) -> Feed:
    """The feed `[feeds.NAME]`; ConfigError when there is none or it does not hold."""
    if name not in settings.feeds:
        known = ", ".join(settings.feeds) or "none"
        raise ConfigError(f"no feed {name!r} in eolake.toml; there are: {known}. `eolake search … --feed {name}` prints one to paste")
    try:
        section = FeedSection.model_validate(settings.feeds[name])
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, fault['loc'][:1]))}: {fault['msg']}".removeprefix(": ") for fault in error.errors())
        raise ConfigError(f"[feeds.{name}] {faults}") from error
    where = f"[feeds.{name}]"
    plain = section.model_dump(exclude={"area", "tiles", "clip", "grid", "resampling"})
    area = read_area(settings.root / section.area, where) if section.area is not None else None
    tiles = read_tiles(section.tiles, settings.root, where)
    return Feed(name=name, **plain, area=area, tiles=tiles, options=_options(section, area, settings.root, where))


def _options(section: FeedSection, area: Mapping[str, Any] | None, root: Path, where: str) -> Document | None:
    clip = None
    if isinstance(section.clip, Path):
        clip = read_area(root / section.clip, f"{where} clip")
    elif section.clip:
        clip = area if section.bbox is None else polygon_of(section.bbox)
    grid = parse_grid(section.grid) if section.grid is not None else None
    return document(clip=clip, grid=grid, resampling=section.resampling)


def all_feeds(settings: Settings) -> tuple[Feed, ...]:
    """All feeds of eolake.toml. ConfigError when one does not hold."""
    return tuple(get_feed(settings, name) for name in feed_names(settings))


def read_tiles(tiles: tuple[str, ...] | Path, root: Path, where: str) -> frozenset[str]:
    """Tiles from a list, or from the lines of a file; ConfigError when one is none."""
    try:
        written = tuple((root / tiles).read_text("utf-8").split()) if isinstance(tiles, Path) else tiles
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{where} tiles: {error}") from error
    found = {tile: TILE.fullmatch(tile.strip().upper()) for tile in written}
    strange = [tile for tile, match in found.items() if match is None]
    if strange:
        raise ConfigError(f"{where} tiles: {', '.join(strange[:5])}: write MGRS tiles as 55HFA, WRS path and row as 090084")
    return frozenset(match["tile"] for match in found.values() if match)


def read_area(path: Path, where: str) -> Mapping[str, Any]:
    """One polygon or multipolygon from a GeoJSON file (geometry, feature or collection of features), valid, cut at the antimeridian."""
    try:
        document = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"{where} area: {path} can't be read as GeoJSON: {error}") from error
    polygons: list[Any] = []
    for geometry in _geometries(document):
        valid = normalise(geometry)
        if valid is None or valid["type"] not in {"Polygon", "MultiPolygon"}:
            raise ConfigError(f"{where} area: {path} must hold polygons, in degrees (EPSG:4326), and nothing else")
        polygons += valid["coordinates"] if valid["type"] == "MultiPolygon" else [valid["coordinates"]]
    if not polygons:
        raise ConfigError(f"{where} area: {path} holds no polygon")
    return {"type": "MultiPolygon", "coordinates": polygons} if len(polygons) > 1 else {"type": "Polygon", "coordinates": polygons[0]}


def _geometries(document: Any) -> list[Any]:
    kind = document.get("type") if isinstance(document, Mapping) else None
    if kind == "FeatureCollection":
        return [geometry for feature in document.get("features", ()) for geometry in _geometries(feature)]
    if kind == "Feature":
        return [document.get("geometry")]
    return [document]
