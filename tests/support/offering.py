"""A process that offers records as one of the paths by which a lake hears of products; killed and started again by the tests.

python offering.py LAKE RECORDS poll|push|walk SEED
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from itertools import batched
from pathlib import Path
from typing import Any

from eolake.catalog.lake import Lake
from eolake.catalog.ledger import granules
from eolake.catalog.ledger.granules import Granule, Offer
from eolake.catalog.settings import load_settings
from eolake.ingest.discovery.feeds import Feed
from eolake.ingest.discovery.walk import discover
from eolake.ingest.naming import bare, scene_of
from eolake.ingest.providers.base import Change, Part, Query

PROVIDER = "cdse"
YEAR = datetime(2018, 1, 1, tzinfo=UTC), datetime(2018, 7, 1, tzinfo=UTC)
"""The walk counts the days of publication of these months; the other paths have all records."""
PAGE = 100


def offer_of(record: Mapping[str, Any]) -> Offer:
    """A record of the catalogue (resto's GeoJSON) as an offer."""
    properties = record["properties"]
    name = bare(properties["title"])
    scene = scene_of(name)
    if scene is None:
        raise ValueError(f"{name} has no scene")
    return Offer(
        provider=PROVIDER,
        id=record["id"],
        name=name,
        source=f"https://download.example/{record['id']}",
        fingerprint=f"id:{record['id']}",
        scene_key=scene.scene_key,
        rank=scene.rank,
        published=datetime.fromisoformat(properties["published"]),
        start_at=datetime.fromisoformat(properties["startDate"]),
        end_at=datetime.fromisoformat(properties["completionDate"]),
        footprint=record["geometry"],
        cloud_cover=properties["cloudCover"],
    )


class Records:
    """A provider that has the records."""

    name = PROVIDER
    ascending = True

    def __init__(self, offers: list[Offer]) -> None:
        self.offers = sorted(offers, key=lambda offer: (offer.published or YEAR[0], offer.id))

    def search(self, query: Query) -> Iterator[Offer]:
        since, until = query.since or YEAR[0], query.until or YEAR[1]
        return (offer for offer in self.offers if offer.published is not None and since <= offer.published < until)

    def resolve(self, granule: Granule) -> list[Part]:
        raise NotImplementedError(granule.name)

    def changes(self, since: datetime) -> Iterator[Change]:
        _ = since
        return iter(())

    def auth(self) -> dict[str, str]:
        return {}


def main(folder: str, records: str, path: str, seed: str) -> None:
    offers = [offer_of(json.loads(line)) for line in Path(records).read_text("utf-8").splitlines()]
    random.Random(int(seed)).shuffle(offers)
    lake = Lake(settings=load_settings(Path(folder) / "eolake.toml"))
    if path == "walk":
        discover(lake, Feed(name="msi", provider=PROVIDER, collection="s2_l1c"), Records(offers), since=YEAR[0], until=YEAR[1])
        return
    with lake.connect(name=path) as connection:
        for page in batched(offers, PAGE if path == "poll" else 1):
            granules.offer(connection, page)


if __name__ == "__main__":
    main(*sys.argv[1:])
