"""Small scenes of real collections, published straight from arrays: what analyses read."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pystac
from affine import Affine
from odc.geo.geobox import GeoBox
from shapely.geometry import mapping

from eolake.catalog.declaration import declared
from eolake.catalog.draft import Band, Draft, Pixels
from eolake.catalog.ledger import granules
from eolake.catalog.ledger.granules import Offer
from eolake.cube.publish import publish
from eolake.cube.session import Session

CLEAR = {"qa_pixel": 21824, "scl": 4, "fmask": 1}
"""Clear land: QA_PIXEL bits clear and low confidences; SCL vegetation."""
CLOUD = {"qa_pixel": 22280, "scl": 9, "fmask": 2}
WEST, NORTH, CRS = 250_005, 6_250_035, "EPSG:32756"
"""Upper left corner near 150.3° E, 33.9° S."""


def grid(size: int, resolution: float, *, west: float = WEST, north: float = NORTH) -> GeoBox:
    """Square, in UTM zone 56 south."""
    return GeoBox((size, size), Affine(resolution, 0, west, 0, -resolution, north), CRS)


def scene(
    collection: str,
    item_id: str,
    at: str,
    *,
    size: int = 64,
    seed: int = 1,
    values: Mapping[str, Any] | None = None,
    properties: Mapping[str, Mapping[str, Any]] | None = None,
    west: float = WEST,
) -> Draft:
    """Random reflectance, all clear; `values`: arrays or numbers by band; `size`: pixels of the coarsest grid of 20 or 30 m."""
    random = np.random.default_rng(seed)
    given = dict(values or {})
    coarse = grid(size, 30 if collection.startswith("ls") else 20, west=west)

    def band(name: str, dtype: str, nodata: float | None, gsd: float | None) -> Band:
        factor = 2 if collection.startswith("s2") and gsd == 10 else 1
        box = coarse if factor == 1 else GeoBox((size * 2, size * 2), coarse.affine @ Affine.scale(0.5), CRS)
        value = given.get(name, CLEAR.get(name))
        data = random.integers(8000, 20000, box.shape) if value is None else np.broadcast_to(value, box.shape)
        pixels = Pixels(data=data.astype(dtype), transform=box.affine, crs=CRS, nodata=nodata)
        return Band(read=lambda: pixels, properties=(properties or {}).get(name, {}))

    footprint = coarse.extent.to_crs("EPSG:4326").geom
    item = pystac.Item(
        id=item_id,
        geometry=mapping(footprint),
        bbox=list(footprint.bounds),
        datetime=datetime.fromisoformat(at),
        properties={"platform": "landsat-8", "eo:cloud_cover": 0.0},
        collection=collection,
    )
    bands = {b.name: band(b.name, b.dtype, b.nodata, b.gsd) for b in declared(collection).measurements}
    return Draft(item=item, bands=bands)


def bring_in(session: Session, draft: Draft) -> None:
    """Publish a scene as a worker would; the same id again is its next revision."""
    name = f"/{draft.item.id}"
    offer = Offer(provider="folder", id=name, name=draft.item.id, source=name, fingerprint=uuid.uuid4().hex, state="fetched")
    granules.offer(session.connection, [offer])
    for granule in granules.claim(session.connection, owner="test", lease=timedelta(minutes=1)):
        assert publish(session, [draft], granules.lease_of(granule)).verdict == "published"
