"""What the tests of the providers share: products of a simulated archive, and granules as the ledger gives them."""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from typing import Any

from eolake.catalog.ledger.granules import Granule, Offer
from eolake.ingest.simulators.archive import Record
from eolake.ingest.simulators.content import of_bytes

DAY = datetime(2024, 2, 1, tzinfo=UTC)
BYTES = b"PK\x03\x04" + b"product " * 300


def record(number: int, **changed: Any) -> Record:
    """Product `number`: each sensed and published an hour after the one before, over New South Wales."""
    start = DAY + timedelta(hours=number)
    west = 148 + number % 5 * 0.5
    given: dict[str, Any] = {
        "id": str(uuid.UUID(int=number + 1)),
        "name": f"S3A_OL_1_EFR____{start:%Y%m%dT%H%M%S_%Y%m%dT%H%M%S_%Y%m%dT%H%M%S}_0179_109_{number % 385:03}_3600_PS1_O_NT_003",
        "collection": "s3_olci_l1_efr",
        "content": of_bytes(BYTES + str(number).encode(), filename=f"{number}.zip"),
        "size": len(BYTES) + len(str(number)),
        "digests": {"md5": hashlib.md5(BYTES + str(number).encode()).hexdigest()},
        "published": start + timedelta(hours=30),
        "modified": start + timedelta(hours=30),
        "start": start,
        "end": start + timedelta(minutes=3),
        "footprint": {
            "type": "Polygon",
            "coordinates": [[[west, -34.0], [west + 1, -34.0], [west + 1, -33.0], [west, -33.0], [west, -34.0]]],
        },
        "attributes": {
            "platform": "Sentinel-3",
            "productType": "OL_1_EFR___",
            "timeliness": "Non Time Critical",
            "cloudCover": number % 100,
        },
    }
    return Record(**(given | changed))


def granule(offer: Offer, **changed: Any) -> Granule:
    """The row that an offer becomes."""
    given: dict[str, Any] = {
        "granule_id": 1,
        "provider": offer.provider,
        "id": offer.id,
        "name": offer.name,
        "source": offer.source,
        "size": offer.size,
        "state": "fetching",
        "attempts": 1,
        "faults": 0,
        "next_try": DAY,
        "collection": offer.collection,
        "scene_key": offer.scene_key,
        "feed": offer.feed,
        "transfer": offer.transfer,
        "footprint": offer.footprint,
        "detail": offer.detail,
        "fingerprint": offer.fingerprint,
    }
    return Granule(**(dict.fromkeys(field.name for field in fields(Granule)) | given | changed))
