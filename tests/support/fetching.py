"""Granules that are fetched, without a database."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from eolake.catalog.ledger.granules import Granule


def granule(**values: Any) -> Granule:
    """A granule of the probe provider."""
    usual: dict[str, Any] = dict.fromkeys(Granule.__slots__)
    usual |= {"granule_id": 7, "provider": "probe", "id": "7", "name": "PROBE_0007", "source": "http://127.0.0.1/7", "state": "fetching"}
    usual |= {"fingerprint": "md5:0123456789abcdef", "attempts": 1, "faults": 0, "next_try": datetime(2026, 1, 1, tzinfo=UTC), "detail": {}}
    return Granule(**{**usual, "transfer": "copy", **values})
