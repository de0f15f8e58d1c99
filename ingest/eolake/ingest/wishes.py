"""Where and when, as commands are told it: options, and the query they make."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click

from eolake.catalog.durations import Duration
from eolake.catalog.errors import ConfigError, UsageError
from eolake.ingest.discovery.feeds import Box, check_bbox, read_area, read_tiles
from eolake.ingest.options import Document, document, parse_grid, polygon_of
from eolake.ingest.providers.base import Query

_PART = re.compile(r"(\d{4})(?:-(\d{2})(?:-(\d{2})(?:[T ](\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?)(Z|[+-]\d{2}:\d{2})?)?)?)?")
_BOX = re.compile(r"[-+.\deE\s]+(?:,[-+.\deE\s]+)*")
OPEN = frozenset({"", ".."})


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """The options; None or empty: not given."""

    interval: str | None = None
    bbox: str | None = None
    area: Path | None = None
    tiles: str | None = None
    cloud: float | None = None
    since: float | None = None
    limit: int | None = None

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Wish:
        """From what click hands over."""
        return cls(**{field.name: options[field.name] for field in fields(cls)})

    @property
    def empty(self) -> bool:
        """Nothing was given."""
        return all(getattr(self, field.name) is None for field in fields(self))

    def query(self, collection: str, now: datetime) -> Query:
        """What to look for. UsageError when an option does not hold."""
        if self.bbox is not None and self.area is not None:
            raise UsageError("--bbox and --area exclude each other")
        start, end = parse_interval(self.interval) if self.interval is not None else (None, None)
        try:
            area = read_area(self.area, "--area") if self.area is not None else None
            tiles = read_tiles(tiles_of(self.tiles), Path(), "--tiles") if self.tiles is not None else frozenset()
        except ConfigError as error:
            raise UsageError(str(error)) from None
        return Query(
            collection=collection,
            start=start,
            end=end,
            since=now - timedelta(seconds=self.since) if self.since is not None else None,
            bbox=parse_bbox(self.bbox) if self.bbox is not None else None,
            area=area,
            tiles=tiles,
            cloud_cover=self.cloud,
        )


def wish_options[F: Callable[..., Any]](command: F) -> F:
    """`--datetime`, `--bbox`, `--area`, `--tiles`, `--cloud`, `--since`, `--limit`: the fields of a Wish."""
    options = (
        click.option("--datetime", "interval", metavar="A/B", help="Time of sensing, half-open, UTC: 2019-12-01/2020-02-01; or a day."),
        click.option("--bbox", metavar="W,S,E,N", help="Degrees; west > east crosses the antimeridian."),
        click.option("--area", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Polygons of a GeoJSON file."),
        click.option("--tiles", metavar="LIST", help="55HFA,55HGA or WRS 090084; or a file with one in each line."),
        click.option("--cloud", type=click.FloatRange(0, 100), metavar="PERCENT", help="Clouds at most."),
        click.option("--since", type=Duration(), metavar="TIME", help="Published within this time before now: 2d."),
        click.option("--limit", type=click.IntRange(min=1), metavar="N", help="So many products at most."),
    )
    for option in reversed(options):
        command = option(command)
    return command


def conversion_options[F: Callable[..., Any]](command: F) -> F:
    """`--clip`, `--grid`, `--resampling`, `--unchecked`, `--again`: what `taken_options` reads."""
    options = (
        click.option("--clip", metavar="W,S,E,N|FILE", help="Keep only what lies in this box, or in the polygons of a GeoJSON file."),
        click.option("--grid", metavar="CRS@SIZE", help="Grid for swaths, instead of the collection's: EPSG:3577@300."),
        click.option(
            "--resampling", type=click.Choice(["nearest", "bilinear"]), help="Of swaths, instead of the collection's; flags stay nearest."
        ),
        click.option("--unchecked", is_flag=True, help="Take products that are not what their manifest says: subsets, repacked files."),
        click.option("--again", is_flag=True, help="Convert also what is published, with the options that are given now."),
    )
    for option in reversed(options):
        command = option(command)
    return command


def taken_options(options: dict[str, Any]) -> tuple[Document | None, bool]:
    """The options of the conversion, taken out of what click hands over, and whether to convert again; or UsageError."""
    clip, grid, resampling, unchecked, again = (options.pop(name) for name in ("clip", "grid", "resampling", "unchecked", "again"))
    try:
        lattice = parse_grid(grid) if grid is not None else None
    except ValueError as error:
        raise UsageError(f"--grid {grid}: {error}") from None
    area = parse_clip(clip) if clip is not None else None
    return document(clip=area, grid=lattice, resampling=resampling, checked=not unchecked), again


def parse_clip(text: str) -> Mapping[str, Any]:
    """GeoJSON polygons of `W,S,E,N` or of a GeoJSON file; UsageError otherwise."""
    if _BOX.fullmatch(text):
        try:
            west, south, east, north = (float(part) for part in text.split(","))
            return polygon_of(check_bbox((west, south, east, north)))
        except ValueError:
            raise UsageError(f"--clip {text}: write west,south,east,north in degrees, south < north; or name a GeoJSON file") from None
    try:
        return read_area(Path(text), "--clip")
    except ConfigError as error:
        raise UsageError(str(error)) from None


def parse_interval(text: str) -> tuple[datetime | None, datetime | None]:
    """`A/B`, half-open, UTC where no zone is given; an end may be open (`..`); one year, month or day: the whole of it. UsageError."""
    first, slash, second = (part.strip() for part in text.partition("/"))
    if not slash:
        begin = _begin(first, text)
        return begin, _after(first, begin)
    start = None if first in OPEN else _begin(first, text)
    end = None if second in OPEN else _begin(second, text)
    if start is not None and end is not None and end <= start:
        raise UsageError(f"--datetime {text}: {second} is not after {first}; the end is not part of the interval")
    return start, end


def parse_bbox(text: str) -> Box:
    """west, south, east, north; UsageError otherwise."""
    try:
        west, south, east, north = (float(part) for part in text.split(","))
        return check_bbox((west, south, east, north))
    except ValueError:
        raise UsageError(f"--bbox {text}: write west,south,east,north in degrees, south < north") from None


def parse_day(text: str) -> datetime:
    """Midnight (UTC) of `2019-12-31`; UsageError otherwise."""
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        raise UsageError(f"{text} is no day; write 2019-12-31") from None


def tiles_of(text: str) -> tuple[str, ...] | Path:
    """A file of that name, else a list."""
    return Path(text) if Path(text).is_file() else tuple(part for part in re.split(r"[,\s]+", text) if part)


def _begin(part: str, text: str) -> datetime:
    found = _PART.fullmatch(part)
    if found is None:
        raise UsageError(f"--datetime {text}: write A/B, both like 2019, 2019-12, 2019-12-31 or 2019-12-31T12:00Z")
    year, month, day, clock, zone = found.groups()
    try:
        time = datetime.fromisoformat(f"{year}-{month or '01'}-{day or '01'}T{clock or '00:00'}{zone or 'Z'}")
    except ValueError as error:
        raise UsageError(f"--datetime {text}: {part} is no date ({error})") from error
    return time.astimezone(UTC)


def _after(part: str, start: datetime) -> datetime:
    match len(part):
        case 4:
            return start.replace(year=start.year + 1)
        case 7:
            return (start + timedelta(days=31)).replace(day=1)
        case 10:
            return start + timedelta(days=1)
        case _:
            raise UsageError(f"--datetime {part}: an instant is no interval; write A/B")
