"""What of a provider's products is wanted. What can't be judged, because a product does not say, passes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING

from eolake.catalog.ledger.granules import Offer
from eolake.ingest.discovery.feeds import Feed
from eolake.ingest.naming import scene_of
from eolake.ingest.providers.base import Query

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

COLLECTION = "another product type"
TIME = "outside the time"
AREA = "outside the area"
TILE = "tile not wanted"
AGE = "sensed too long ago"
CLOUD = "too cloudy"
TIMELINESS = "another timeliness"
NAME = "another name"

MGRS = re.compile(r"_T(?P<tile_id>[0-9A-Z]{5})_")
"""As the lake's founders wrote it: the tile within the name of a Sentinel-2 product."""
PATH_ROW = re.compile(r"^L[A-Z]\d\d_[0-9A-Z]{4}_(?P<tile_id>\d{6})_")

type Test = Callable[[Offer, datetime], bool]
"""Whether a product passes, at a time."""


def reason_against(offer: Offer, wanted: Feed | Query, now: datetime) -> str | None:
    """Why a product is not wanted; None when it is. `now`: from which the age of its sensing is reckoned."""
    return judge(wanted)(offer, now)


def judge(wanted: Feed | Query) -> Callable[[Offer, datetime], str | None]:
    """`reason_against` for many products: what is wanted is looked at only once."""
    tests = _tests(wanted)
    return lambda offer, now: next((reason for reason, passes in tests if not passes(offer, now)), None)


def tile_of(name: str) -> str:
    """The tile within a product's name, MGRS or WRS; empty when there is none."""
    match = MGRS.search(name) or PATH_ROW.search(name)
    if match is not None:
        return match["tile_id"]
    scene = scene_of(name)
    return (scene.tile if scene is not None else None) or ""


def _tests(wanted: Feed | Query) -> list[tuple[str, Test]]:
    """What has to hold, cheap things first."""
    tests: list[tuple[str, Test]] = []
    if wanted.collection is not None:
        collection = wanted.collection
        tests.append((COLLECTION, lambda offer, _: offer.collection in {None, collection}))
    if isinstance(wanted, Query):
        tests += _of_query(wanted)
    elif wanted.max_age is not None:
        age: timedelta = wanted.max_age
        tests.append((AGE, lambda offer, now: offer.start_at is None or offer.start_at >= now - age))
    if wanted.tiles:
        tiles = wanted.tiles
        tests.append((TILE, lambda offer, _: tile_of(offer.name) in tiles))
    if wanted.timeliness is not None:
        timeliness = wanted.timeliness
        tests.append((TIMELINESS, lambda offer, _: _timeliness(offer) in {None, timeliness}))
    if wanted.cloud_cover is not None:
        cover = wanted.cloud_cover
        tests.append((CLOUD, lambda offer, _: offer.cloud_cover is None or offer.cloud_cover <= cover))
    if wanted.bbox is not None or wanted.area is not None:
        tests.append((AREA, _within(wanted)))
    return tests


def _of_query(query: Query) -> list[tuple[str, Test]]:
    names = frozenset(query.names)
    tests: list[tuple[str, Test]] = [(TIME, lambda offer, _: _in_time(offer, query))]
    return [*tests, (NAME, lambda offer, _: offer.name in names)] if names else tests


def _in_time(offer: Offer, query: Query) -> bool:
    sensed_from, sensed_to, published = offer.start_at, offer.end_at or offer.start_at, offer.published
    return not (
        (query.start is not None and sensed_to is not None and sensed_to < query.start)
        or (query.end is not None and sensed_from is not None and sensed_from >= query.end)
        or (query.since is not None and published is not None and published < query.since)
        or (query.until is not None and published is not None and published >= query.until)
    )


def _timeliness(offer: Offer) -> str | None:
    scene = scene_of(offer.name)
    told = scene.timeliness if scene is not None else None
    attributes = offer.detail.get("attributes")
    return told or (attributes.get("timeliness") if isinstance(attributes, Mapping) else None)


def _within(wanted: Feed | Query) -> Test:
    """Whether footprints meet the box or the area; the geometry is made when the first footprint comes."""

    @cache
    def area() -> BaseGeometry:
        import shapely

        if wanted.bbox is None:
            geometry = shapely.from_geojson(json.dumps(wanted.area))
        else:
            west, south, east, north = wanted.bbox
            parts = [wanted.bbox] if west <= east else [(west, south, 180.0, north), (-180.0, south, east, north)]
            geometry = shapely.unary_union([shapely.box(*part) for part in parts])
        shapely.prepare(geometry)
        return geometry

    def passes(offer: Offer, _: datetime) -> bool:
        from shapely.geometry import shape

        return offer.footprint is None or bool(area().intersects(shape(dict(offer.footprint))))

    return passes
