"""Products made once, as an archive."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from eolake.ingest.simulators.archive import Archive, Record
from eolake.ingest.simulators.content import digests, generated
from eolake.ingest.simulators.packing import archive_of
from eolake.ingest.simulators.products.demo import generate_demo

START = datetime(2024, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="session")
def products(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's products, tiny."""
    folder = tmp_path_factory.mktemp("products")
    generate_demo(folder, size=60)
    return folder


@pytest.fixture
def archive(products: Path) -> Archive:
    """Those products; what a test does to the archive stays there."""
    return archive_of(products)


@pytest.fixture(scope="session")
def make_record() -> Callable[..., Record]:
    """A record by number; published by the hour."""

    def make(n: int, **other: Any) -> Record:
        content = generated(f"product-{n}", 1000 + n)
        west = float(n % 20)
        given: dict[str, Any] = {
            "id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"product/{n}")),
            "name": f"S2A_MSIL2A_{START + timedelta(hours=n):%Y%m%dT%H%M%S}_N0510_R073_T55HFA_20240201T000000",
            "collection": "s2_l2a",
            "content": content,
            "size": content.size,
            "digests": digests(content, "md5", "blake3"),
            "published": START + timedelta(hours=n, microseconds=123_456),
            "modified": START + timedelta(hours=n, microseconds=123_456),
            "start": START + timedelta(hours=n - 6),
            "end": START + timedelta(hours=n - 6, minutes=1),
            "footprint": {"type": "Polygon", "coordinates": [[[west, 0.0], [west + 1, 0.0], [west + 1, 1.0], [west, 0.0]]]},
            "attributes": {"productType": "S2MSI2A", "tileId": "55HFA", "cloudCover": float(n), "orbitNumber": n, "origin": "ESA"},
        }
        return Record(**(given | other))

    return make
