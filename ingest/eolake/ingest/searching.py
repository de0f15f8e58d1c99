"""`eolake search`: look what a provider has before anything is ordered, and turn it into a feed."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from eolake.catalog.errors import UsageError
from eolake.catalog.invocation import Invocation, pass_invocation
from eolake.ingest.wishes import Wish, wish_options

if TYPE_CHECKING:
    from eolake.catalog.ledger.granules import Offer
    from eolake.catalog.settings import Settings
    from eolake.ingest.providers.base import Provider, Query

LIMIT = 100
"""Products shown, when nothing else is said."""
UNITS = ("B", "kB", "MB", "GB", "TB")
HEAD = ("NAME", "SENSED", "PUBLISHED", "SIZE", "CLOUD", "W,S,E,N", "QUICKLOOK")


@click.command()
@click.argument("provider", metavar="PROVIDER")
@click.argument("collection", metavar="COLLECTION")
@wish_options
@click.option("--feed", "feed", metavar="NAME", help="Print this search as a block of eolake.toml to paste, and ask nobody.")
@pass_invocation
def search(call: Invocation, /, provider: str, collection: str, *, feed: str | None, **options: Any) -> None:
    """Look what a provider has; nothing is ordered.

    Shows when each product was sensed and published, its size, clouds, place and quicklook; with --json a GeoJSON FeatureCollection of the
    footprints. --feed NAME turns the search into a standing order."""
    settings, wish = call.settings(), Wish.of(options)
    if feed is not None:
        section = feed_section(settings, provider, collection, wish)
        call.emit({"feeds": {feed: section}}, feed_block(feed, section))
        return
    limit = wish.limit or LIMIT
    offers = list(found(settings, provider, wish.query(collection, datetime.now(UTC)), limit=limit + 1))
    shown = offers[:limit]
    document = {"type": "FeatureCollection", "features": [feature(offer) for offer in shown], "complete": len(offers) <= limit}
    call.emit(document, table([row(offer) for offer in shown]))
    if len(offers) > limit:
        call.note(f"There are more than {limit}: --limit N shows more.")


def found(settings: Settings, name: str, query: Query, *, limit: int | None = None) -> Iterator[Offer]:
    """What a provider has of a query, its pictures' addresses completed. Raises ProviderFault, ConfigError."""
    from eolake.ingest.discovery.filters import judge
    from eolake.ingest.opening import opened
    from eolake.ingest.providers.registry import collection_of, provider_config

    config = provider_config(settings, name)
    collection_of(config, query.collection or "")
    against, now, seen = judge(query), datetime.now(UTC), set[str]()
    with opened(settings, name, config=config) as provider:
        wanted = (offer for offer in provider.search(query) if against(offer, now) is None)
        for offer in islice((offer for offer in wanted if not (offer.id in seen or seen.add(offer.id))), limit):  # type: ignore[func-returns-value]
            yield pictured(provider, offer)


def pictured(provider: Provider, offer: Offer) -> Offer:
    """With `detail.picture`: the URL of its quicklook, where there is one."""
    from dataclasses import replace

    from eolake.ingest.providers.cdse import ODataProvider

    given = offer.detail.get("quicklook") or offer.detail.get("browse")
    given = given.get("url") or given.get("href") if isinstance(given, Mapping) else given
    if isinstance(provider, ODataProvider) and isinstance(given, str):
        given = f"{provider.catalogue}/Assets({given})/$value"
    if not isinstance(given, str) or not given.startswith(("http://", "https://", "s3://", "ftp://", "ftps://")):
        given = _asset(offer.detail.get("item"))
    return replace(offer, detail={**offer.detail, "picture": given}) if given else offer


def feature(offer: Offer) -> dict[str, Any]:
    """GeoJSON."""
    properties = {
        "name": offer.name,
        "provider": offer.provider,
        "collection": offer.collection,
        "start": _stamp(offer.start_at),
        "end": _stamp(offer.end_at),
        "published": _stamp(offer.published),
        "size": offer.size,
        "cloud_cover": offer.cloud_cover,
        "quicklook": offer.detail.get("picture"),
        "notes": offer.detail.get("notes", []),
    }
    bounds = bounds_of(offer.footprint)
    geometry = {"geometry": offer.footprint, **({"bbox": list(bounds)} if bounds else {})}
    return {"type": "Feature", "id": offer.id, **geometry, "properties": properties}


def row(offer: Offer) -> tuple[str, ...]:
    """Of the table."""
    bounds = bounds_of(offer.footprint)
    return (
        offer.name,
        f"{offer.start_at:%Y-%m-%d %H:%M}" if offer.start_at else "–",
        f"{offer.published:%Y-%m-%d %H:%M}" if offer.published else "–",
        readable(offer.size),
        f"{offer.cloud_cover:.0f} %" if offer.cloud_cover is not None else "–",
        ",".join(f"{value:.1f}" for value in bounds) if bounds else "–",
        str(offer.detail.get("picture") or "–"),
    )


def table(rows: Sequence[tuple[str, ...]]) -> str:
    """Columns as wide as they have to be, and a count."""
    widths = [max(map(len, column)) for column in zip(HEAD, *rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in (HEAD, *rows)]
    return "\n".join([*(lines if rows else ()), f"{len(rows)} products"])


def readable(size: int | None) -> str:
    """`132 MB`."""
    if size is None:
        return "–"
    step = min(max(len(str(size)) - 1, 0) // 3, len(UNITS) - 1)
    value = size / 1000**step
    return f"{value:.3g} {UNITS[step]}" if value < 1000 else f"{value:.0f} {UNITS[step]}"


def bounds_of(geometry: Mapping[str, Any] | None) -> tuple[float, float, float, float] | None:
    """west, south, east, north; west > east when its parts lie on both sides of the antimeridian."""
    if geometry is None:
        return None
    parts = [_corners(part) for part in _parts(geometry)]
    if not parts:
        return None
    south, north = min(part[1] for part in parts), max(part[3] for part in parts)
    west, east = min(part[0] for part in parts), max(part[2] for part in parts)
    eastern = [part for part in parts if part[2] == 180]
    western = [part for part in parts if part[0] == -180]
    if eastern and western and len(eastern) + len(western) == len(parts):
        west, east = min(part[0] for part in eastern), max(part[2] for part in western)
    return west, south, east, north


def feed_section(settings: Settings, provider: str, collection: str, wish: Wish) -> dict[str, Any]:
    """The search as `[feeds.NAME]`, checked as one. UsageError, ConfigError."""
    from eolake.ingest.discovery.feeds import FeedSection
    from eolake.ingest.providers.registry import collection_of, provider_config
    from eolake.ingest.wishes import tiles_of

    collection_of(provider_config(settings, provider), collection)
    query = wish.query(collection, datetime.now(UTC))
    tiles = tiles_of(wish.tiles) if wish.tiles is not None else None
    section: dict[str, Any] = {
        "provider": provider,
        "collection": collection,
        "bbox": list(query.bbox) if query.bbox else None,
        "area": _beside(settings, wish.area) if wish.area else None,
        "tiles": _beside(settings, tiles) if isinstance(tiles, Path) else sorted(query.tiles) or None,
        "lookback": _duration(wish.since) if wish.since else None,
        "cloud_cover": wish.cloud,
    }
    section = {key: value for key, value in section.items() if value is not None}
    FeedSection.model_validate(section)
    return section


def feed_block(name: str, section: Mapping[str, Any]) -> str:
    """TOML."""
    if not name or any(ord(letter) < 32 for letter in name):
        raise UsageError(f"{name!r} is no name of a feed")
    key = name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _toml(name)
    return "\n".join([f"[feeds.{key}]", *(f"{field} = {_toml(value)}" for field, value in section.items())])


def _duration(seconds: float) -> str:
    """`30d`: in the largest unit in which it is a whole number."""
    unit, size = next(((unit, size) for unit, size in (("d", 86400), ("h", 3600), ("m", 60)) if seconds % size == 0), ("s", 1))
    return f"{seconds / size:g}{unit}"


def _toml(value: Any) -> str:
    """Strings, numbers and lists of them are the same in JSON, but for DEL."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _beside(settings: Settings, path: Path) -> str:
    """Relative to eolake.toml where it lies below it."""
    full = Path(os.path.abspath(path))  # noqa: PTH100 -- links stay as they are
    return str(full.relative_to(settings.root)) if full.is_relative_to(settings.root) else str(full)


def _asset(item: object) -> str | None:
    """The picture of a STAC item."""
    assets = item.get("assets") if isinstance(item, Mapping) else None
    listed = list(assets.items()) if isinstance(assets, Mapping) else []
    for wanted in ("thumbnail", "quicklook", "overview"):
        for key, asset in listed:
            href = asset.get("href") if isinstance(asset, Mapping) else None
            if isinstance(href, str) and (wanted in (asset.get("roles") or ()) or key.lower() == wanted):
                return href
    return None


def _parts(geometry: Mapping[str, Any]) -> list[list[tuple[float, float]]]:
    """Outer rings, lines, points."""
    coordinates = geometry.get("coordinates", ())
    match geometry.get("type"):
        case "Polygon":
            return [list(coordinates[0])]
        case "MultiPolygon":
            return [list(polygon[0]) for polygon in coordinates]
        case "Point":
            return [[coordinates]]
        case "LineString" | "MultiPoint":
            return [list(coordinates)]
        case "MultiLineString":
            return [list(line) for line in coordinates]
        case _:
            return []


def _corners(points: Sequence[Sequence[float]]) -> tuple[float, float, float, float]:
    x, y = [point[0] for point in points], [point[1] for point in points]
    return min(x), min(y), max(x), max(y)


def _stamp(time: datetime | None) -> str | None:
    return f"{time.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}Z" if time else None
