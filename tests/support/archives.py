"""Records of simulated archives, and granules as the ledger would hold them."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

from eolake.catalog.ledger.granules import Granule, Offer
from eolake.ingest.simulators.archive import Record
from eolake.ingest.simulators.content import of_bytes

START = datetime(2026, 3, 1, tzinfo=UTC)


def square(west: float, south: float, side: float = 1.0) -> dict[str, Any]:
    """A GeoJSON square."""
    east, north = west + side, south + side
    return {"type": "Polygon", "coordinates": [[[west, south], [east, south], [east, north], [west, north], [west, south]]]}


def record(number: int, collection: str, *, name: str | None = None, body: bytes | None = None, **fields: Any) -> Record:
    """A product of its own: an hour after the one before."""
    data = body if body is not None else hashlib.sha256(f"{number}".encode()).digest() * 20
    moment = START + timedelta(hours=number)
    given: dict[str, Any] = {
        "id": f"id-{number:05}",
        "name": name or f"PRODUCT_{number:05}",
        "collection": collection,
        "content": of_bytes(data, media_type="application/zip"),
        "size": len(data),
        "digests": {"md5": hashlib.md5(data, usedforsecurity=False).hexdigest()},
        "published": moment + timedelta(hours=6),
        "modified": moment + timedelta(hours=6),
        "start": moment,
        "end": moment + timedelta(minutes=1),
        "footprint": square(140 + number % 10, -37),
    }
    return Record(**{**given, **fields})


def granule(offer: Offer, **fields: Any) -> Granule:
    """The row that an offer becomes, at its first attempt."""
    given: dict[str, Any] = {
        "granule_id": 1,
        "provider": offer.provider,
        "id": offer.id,
        "name": offer.name,
        "source": offer.source,
        "fingerprint": offer.fingerprint,
        "size": offer.size,
        "state": "fetching",
        "reason": None,
        "step": None,
        "attempts": 1,
        "faults": 0,
        "next_try": START,
        "fence": 7,
        "collection": offer.collection,
        "scene_key": offer.scene_key,
        "feed": offer.feed,
        "transfer": offer.transfer,
        "footprint": offer.footprint,
        "detail": offer.detail,
        "fault": None,
        "fetched_on": None,
    }
    missing = set(Granule.__slots__) - set(given)
    return Granule(**{**given, **dict.fromkeys(missing), **fields})
