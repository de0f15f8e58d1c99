"""A small scene with every band of its collection, published without a sensor."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pystac
from affine import Affine
from shapely.geometry import Polygon, box, mapping

from eolake.catalog.declaration import declared
from eolake.catalog.draft import Band, Draft, Pixels
from eolake.catalog.ledger import granules
from eolake.catalog.ledger.granules import Lease, Offer
from eolake.cube.session import Session

COLLECTION = "ls8_c2_l2"
SHAPE = (40, 30)
GRID = Affine(30, 0, 600_015, 0, -30, 6_200_025)
FOOTPRINT = box(148.08, -34.34, 148.09, -34.33)
WHEN = datetime(2020, 1, 1, 23, 50, 12, 123456, tzinfo=UTC)
NAME = "LC08_L2SP_090084_20200101_20200823_02_T1"


def draft(
    name: str = NAME,
    *,
    seed: int = 1,
    cloud: float = 7.5,
    when: datetime = WHEN,
    footprint: Polygon = FOOTPRINT,
    scene_key: str | None = None,
    rank: tuple[int | str, ...] = (),
) -> Draft:
    """Random pixels from `seed`; 40 × 30 of 30 m."""
    random = np.random.default_rng(seed)

    def band(dtype: str, nodata: float | None) -> Band:
        data = random.integers(1, 200, SHAPE).astype(dtype)
        return Band(read=lambda: Pixels(data=data, transform=GRID, crs="EPSG:32755", nodata=nodata))

    item = pystac.Item(
        id=name,
        geometry=mapping(footprint),
        bbox=list(footprint.bounds),
        datetime=when,
        properties={"platform": "landsat-8", "instruments": ["oli", "tirs"], "eo:cloud_cover": cloud, "odc:region_code": "090084"},
        collection=COLLECTION,
    )
    bands = {b.name: band(b.dtype, b.nodata) for b in declared(COLLECTION).measurements}
    return Draft(item=item, bands=bands, scene_key=scene_key, rank=rank)


def claim(session: Session, name: str = "a") -> Lease:
    """Offer a granule and lease it."""
    granules.offer(
        session.connection, [Offer(provider="folder", id=f"/{name}", name=name, source=f"/{name}", fingerprint="1", state="fetched")]
    )
    (granule,) = granules.claim(session.connection, owner="test", lease=timedelta(minutes=1))
    return granules.lease_of(granule)
