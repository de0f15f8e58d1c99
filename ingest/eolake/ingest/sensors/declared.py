"""What sensors by declaration share: which collections a product's name fits, and what the name says of its item."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import pystac
import shapely
from shapely.geometry.base import BaseGeometry

from eolake.catalog import safe
from eolake.catalog.declaration import Collection, declared_collections
from eolake.catalog.draft import Attachment
from eolake.catalog.errors import BadProduct
from eolake.catalog.sources import Source
from eolake.ingest.naming import bare, scene_of
from eolake.ingest.outlines import bbox

PLACEHOLDER = re.compile(r"\{([A-Za-z_]\w*)\}")
ATTACHMENT_BYTES = 16 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductName:
    """What the name of a product says by the pattern of a collection."""

    name: str
    """Without extensions."""
    groups: Mapping[str, str]
    """Of the pattern, those that are there."""

    def fill(self, text: str) -> str:
        """The text with `{group}` replaced by what the name has there; '' for an optional group that it lacks."""
        return PLACEHOLDER.sub(lambda match: self.groups.get(match[1], match[0]), text)

    def time(self, group: str, source: Source) -> datetime | None:
        """A group that is a time, UTC; None when the name has none. BadProduct when it is written otherwise."""
        text = self.groups.get(group)
        if not text:
            return None
        try:
            found = datetime.strptime(text, source.times)  # noqa: DTZ007 - UTC where it says no zone
        except ValueError as error:
            raise BadProduct(f"{self.name}: {text!r} is no time as {source.times}: {error}") from None
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


@cache
def compiled(pattern: str) -> re.Pattern[str]:
    """Any case; digits are those of ASCII."""
    return re.compile(pattern, re.IGNORECASE | re.ASCII)


def collections(sensor: str) -> tuple[Collection, ...]:
    """The declared collections of a sensor."""
    return tuple(found for found in declared_collections().values() if found.source is not None and found.source.sensor == sensor)


def read_name(name: str, source: Source) -> ProductName | None:
    """What a product name (with or without extensions) says; None when it is none of this source."""
    text = bare(name)
    match = compiled(source.product).fullmatch(text)
    return None if match is None else ProductName(name=text, groups={key: value or "" for key, value in match.groupdict().items()})


def matching(name: str, sensor: str) -> list[tuple[Collection, ProductName]]:
    """The collections of a sensor whose products are named like this."""
    found = ((collection, read_name(name, collection.source)) for collection in collections(sensor) if collection.source is not None)
    return [(collection, said) for collection, said in found if said is not None]


def draft_item(
    collection: Collection,
    source: Source,
    said: ProductName,
    geometry: BaseGeometry,
    *,
    start: datetime,
    end: datetime,
    at: datetime | None = None,
    identifier: str | None = None,
) -> pystac.Item:
    """The item of a product without assets; `geometry`: EPSG:4326.

    `at`: the item's datetime, else its start; `identifier`: the item's id, else the product's name."""
    created = said.time("created", source)
    known = {
        "platform": _platform(collection, source, said),
        "instruments": list(collection.instruments) or None,
        "processing:datetime": None if created is None else utc(created),
    }
    properties = {**known, **_filled(dict(source.properties), said), "start_datetime": utc(start), "end_datetime": utc(end)}
    return pystac.Item(
        id=identifier or said.name,
        geometry=shapely.geometry.mapping(geometry),
        bbox=bbox(geometry),
        datetime=at or start,
        properties={key: value for key, value in properties.items() if value is not None},
        collection=collection.id,
    )


def _platform(collection: Collection, source: Source, said: ProductName) -> str | None:
    """By the group `platform`; else the only one that the collection has."""
    key = said.groups.get("platform")
    known = {name.upper(): platform for name, platform in source.platforms.items()}
    if key and known and key.upper() not in known:
        raise BadProduct(f"{said.name}: {collection.id} declares no platform {key!r}; it has {', '.join(source.platforms)}")
    if key:
        return known.get(key.upper(), key.lower())
    return collection.platforms[0] if len(collection.platforms) == 1 else None


def _filled(value: Any, said: ProductName) -> Any:
    """Any JSON value with the placeholders in its texts filled."""
    if isinstance(value, str):
        return said.fill(value)
    if isinstance(value, Mapping):
        return {key: _filled(entry, said) for key, entry in value.items()}
    return [_filled(entry, said) for entry in value] if isinstance(value, list | tuple) else value


def utc(moment: datetime) -> str:
    """As STAC writes it: 2020-01-01T00:00:00Z."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def scene(collection: Collection, said: ProductName, *, part: str = "") -> tuple[str, tuple[int | str, ...]]:
    """Scene key and rank. Products of one name may belong to several collections, so its id is part of the key; `part`: one of
    several items of the product."""
    known = scene_of(said.name)
    if known is None:
        return f"{collection.id}/{said.name}{part}", ()
    key, at, rule = known.scene_key.partition("@")
    return f"{key}/{collection.id}{part}{at}{rule}", known.rank


def attachments(source: Source, product: safe.Product) -> dict[str, Attachment]:
    """The files that are kept as they are, by asset key; BadProduct when one is not what it is declared to be."""
    found = {}
    for key, entry in source.attachments.items():
        for path in product.find_all(compiled(entry.pattern)).values():
            _CHECKS.get(entry.media_type, _small)(path)
            found[key] = Attachment(path=path, media_type=entry.media_type, roles=entry.roles, title=entry.title)
            break
    return found


def _picture(driver: str) -> Callable[[Path], object]:
    return lambda path: safe.read_raster(path, driver=driver)


def _small(path: Path) -> None:
    """Of a kind that is not looked into."""
    if path.stat().st_size > ATTACHMENT_BYTES:
        raise BadProduct(f"{path} has {path.stat().st_size:,} bytes, too many for what is kept beside the bands")


_CHECKS: Mapping[str, Callable[[Path], object]] = {
    "application/xml": safe.parse_xml,
    "application/json": safe.read_json,
    "text/plain": safe.read_text,
    "text/markdown": safe.read_text,
    "image/png": _picture("PNG"),
    "image/jpeg": _picture("JPEG"),
}
"""What is kept passes the gate too, by its media type."""
