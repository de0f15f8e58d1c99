"""Publishing: eolake's one transaction over cube, catalog and ledger against `pypgstac load` followed by `datacube dataset add`.

    .venv/bin/python bench/publish.py [--items 1000,10000] [--single 200]

The same generated Landsat items go into two clones of one database. Pixels are not part of it: both sides get finished items.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import batched
from pathlib import Path
from typing import Any

import pystac
from affine import Affine
from lakes import Bench, bench
from shapely.geometry import box, mapping

from eolake.catalog.cog import CogFacts, Statistics
from eolake.catalog.declaration import declared
from eolake.catalog.lake import Lake
from eolake.catalog.ledger import granules
from eolake.catalog.ledger.granules import Lease, Offer
from eolake.catalog.ledger.publications import Record, StoredObject
from eolake.catalog.stac.bands import COG_MEDIA_TYPE
from eolake.catalog.stac.identity import dataset_id
from eolake.catalog.stac.items import StoredAsset, complete_item, with_store_hrefs
from eolake.cube.datasets import odc_dataset
from eolake.cube.publish import Batch, commit
from eolake.cube.session import Session
from eolake.cube.staging import Staged

COLLECTION = "ls8_c2_l2"
START = datetime(2019, 1, 1, tzinfo=UTC)
BATCH = 500
"""Scenes per transaction."""
MINUTES = timedelta(minutes=30)


def item(number: int) -> dict[str, Any]:
    """A finished item as `stage` makes it, without pixels."""
    declaration = declared(COLLECTION)
    west, south = 141 + (number * 7919) % 12_000 / 1000, -37 + (number * 104_729) % 9_000 / 1000
    footprint = box(west, south, west + 1, south + 1)
    when = START + timedelta(minutes=37 * number)
    draft = pystac.Item(
        id=f"LC08_L2SP_090084_{when:%Y%m%d}_{number:08d}_02_T1",
        geometry=mapping(footprint),
        bbox=list(footprint.bounds),
        datetime=when,
        properties={
            "platform": "landsat-8",
            "instruments": ["oli", "tirs"],
            "eo:cloud_cover": number % 100,
            "proj:code": "EPSG:32755",
            "view:sun_elevation": 50.0,
            "view:sun_azimuth": 60.0,
            "grid:code": "WRS2-090084",
            "odc:region_code": "090084",
        },
        collection=COLLECTION,
    )
    statistics = Statistics(minimum=1, maximum=60_000, mean=9_000, stddev=1_000, count=10**6, valid_percent=100)
    facts = CogFacts(
        shape=(7681, 7561),
        transform=Affine(30, 0, 300_000, 0, -30, 6_200_000),
        crs="EPSG:32755",
        dtype="uint16",
        nodata=0,
        size=10**8,
        checksum="1220" + "0" * 64,
        pixel_digest="0" * 64,
        statistics=statistics,
        gdal_version="3.12.2",
        header_size=8192,
    )
    written = {
        band.name: StoredAsset(
            href=f"./{band.name}.tif",
            media_type=COG_MEDIA_TYPE,
            roles=band.roles,
            title=band.title,
            size=facts.size,
            checksum=facts.checksum,
            facts=facts,
        )
        for band in declaration.measurements
    }
    return complete_item(draft, declaration, written, created=START, updated=START)


def staged(number: int, lease: Lease) -> Staged:
    """The same, with the record that the ledger keeps."""
    document = item(number)
    at = datetime.fromisoformat(document["properties"]["datetime"])
    prefix = f"{COLLECTION}/{at:%Y/%m/%d}/{document['id']}/r{lease.fence}"
    objects = tuple(
        StoredObject(key=f"{prefix}/{key}.tif", asset=key, bytes=10**8, checksum="1220" + "0" * 64, pixel_digest="0" * 64)
        for key in document["assets"]
    )
    west, south, east, north = document["bbox"]
    record = Record(
        collection=COLLECTION,
        item_id=document["id"],
        dataset_id=dataset_id(COLLECTION, document["id"]),
        revision=lease.fence,
        granule_id=lease.id,
        run_id=None,
        scene_key=None,
        rank=(),
        prefix=prefix,
        digest=str(number),
        bbox=(west, south, east, north),
        start_at=at,
        end_at=at,
        objects=objects,
        sources=(),
    )
    return Staged(item=document, record=record)


def counts(lake: Lake) -> tuple[int, int, int]:
    """Items, datasets that a search by place finds, publications."""
    with lake.connect() as connection:
        row = connection.execute(
            "select (select count(*) from pgstac.items) as i, (select count(*) from odc.spatial_4326) as d, "
            "(select count(*) from eolake.publication) as p"
        ).fetchone()
    assert row is not None
    return row["i"], row["d"], row["p"]


def leases(session: Session, count: int) -> list[Lease]:
    """As many granules offered and claimed."""
    offers = [Offer(provider="bench", id=f"{n}", name=f"{n}", source=f"{n}", fingerprint="1", state="fetched") for n in range(count)]
    granules.offer(session.connection, offers)
    return [granules.lease_of(g) for g in granules.claim(session.connection, owner="bench", lease=MINUTES, limit=count)]


def ours(lake: Lake, count: int, batch: int) -> float:
    """Seconds to publish `count` items, `batch` per transaction; making the items is not counted."""
    with Session(lake=lake) as session:
        session.product(COLLECTION)
        scenes = [Batch(lease=lease, staged=(staged(n, lease),)) for n, lease in enumerate(leases(session, count))]
        started = time.perf_counter()
        for some in batched(scenes, batch):
            assert all(outcome.verdict == "published" for outcome in commit(session, list(some)))
        return time.perf_counter() - started


def theirs(lake: Lake, count: int, folder: Path) -> tuple[float, float]:
    """Seconds of `pypgstac load` and of `datacube dataset add` for the same items, both with their start-up."""
    with Session(lake=lake) as session:
        product = session.product(COLLECTION)
        uri = "file:///objects/x"
        items = folder / "items.ndjson"
        documents = []
        with items.open("w") as file:
            for number in range(count):
                document = with_store_hrefs(item(number), uri)
                file.write(json.dumps(document) + "\n")
                path = folder / f"{number}.json"
                path.write_text(json.dumps(odc_dataset(document, product).metadata_doc, default=str))
                documents.append(path.name)
    environment = {**os.environ, **lake.database.environment()}
    environment |= {"ODC_DEFAULT_DB_URL": lake.database.url("postgresql+psycopg"), "ODC_DEFAULT_INDEX_DRIVER": "postgis"}
    programs = Path(sys.executable).parent
    started = time.perf_counter()
    load = [programs / "pypgstac", "load", "items", str(items), "--method", "insert"]
    subprocess.run(load, env=environment, check=True, stdout=subprocess.DEVNULL)
    loaded = time.perf_counter() - started
    started = time.perf_counter()
    for some in batched(documents, 2_000):  # the length of a command line
        command = [programs / "datacube", "dataset", "add", "--ignore-lineage", *some]
        subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL, cwd=folder)
    return loaded, time.perf_counter() - started


def report(made: Bench, sizes: list[int], single: int) -> Iterator[str]:
    """One line per measurement."""
    yield f"{'items':>7} {'eolake/s':>9} {'pypgstac/s':>11} {'dataset add/s':>14} {'together/s':>11} {'ratio':>6}"
    for count in sizes:
        mine, other = made.lake(f"ours_{count}"), made.lake(f"theirs_{count}")
        scratch = made.folder / f"docs-{count}"
        scratch.mkdir()
        loaded, added = theirs(other, count, scratch)
        seconds = ours(mine, count, BATCH)
        assert counts(mine) == (count, count, count), counts(mine)
        assert counts(other)[:2] == (count, count), counts(other)
        rates = (count / seconds, count / loaded, count / added, count / (loaded + added), (loaded + added) / seconds)
        yield "{:7} {:9.0f} {:11.0f} {:14.0f} {:11.0f} {:6.2f}".format(count, *rates)
    yield f"one by one: {single / ours(made.lake('single'), single, 1):.0f} scenes/s, each in its own transaction"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", default="1000,10000", help="how many items, comma separated")
    parser.add_argument("--single", type=int, default=200)
    options = parser.parse_args()
    with bench() as made:
        for line in report(made, [int(n) for n in options.items.split(",")], options.single):
            print(line, flush=True)


if __name__ == "__main__":
    main()
