"""Several publishers into one new month, and a reader who never waits for them."""

from __future__ import annotations

import threading
import time
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from support.auditor import audit_catalog_and_cube
from support.scenes import COLLECTION, claim, draft

from eolake.catalog import pgstac
from eolake.catalog.declaration import declared
from eolake.catalog.lake import Connection, Lake
from eolake.catalog.ledger import granules
from eolake.catalog.ledger.granules import Offer
from eolake.catalog.stac.collections import stac_collection
from eolake.catalog.stac.identity import dataset_id
from eolake.cube.products import put_product
from eolake.cube.publish import Batch, commit
from eolake.cube.session import Session
from eolake.cube.staging import Staged, stage

PUBLISHERS = 4
MONTHS = 24
SEARCH = 'select pgstac.search(\'{"collections": ["ls8_c2_l2"], "limit": 10}\')'


def like(staged: Staged, name: str, when: datetime, granule: granules.Granule) -> Staged:
    """The same scene under another name and time; its objects are not written."""
    lease = granules.lease_of(granule)
    prefix = f"{COLLECTION}/{when:%Y/%m/%d}/{name}/r{lease.fence}"
    item = {**staged.item, "id": name, "properties": {**staged.item["properties"], "datetime": when.isoformat().replace("+00:00", "Z")}}
    own = tuple(replace(o, key=f"{prefix}/{o.key.rpartition('/')[2]}") for o in staged.record.objects)
    record = replace(
        staged.record,
        item_id=name,
        dataset_id=dataset_id(COLLECTION, name),
        revision=lease.fence,
        granule_id=lease.id,
        prefix=prefix,
        objects=own,
        start_at=when,
        end_at=when,
    )
    return Staged(item=item, record=record)


@pytest.mark.parametrize("partition", ["none", "month"])
def test_four_publishers_into_one_new_month_and_a_reader(lake: Lake, partition: str) -> None:
    with Session(lake=lake) as session:
        staged = stage(session, draft(), claim(session, "model"))
        product = session.product(COLLECTION)
        pgstac.put_collection(session.connection, stac_collection(declared(COLLECTION)), partition=partition)
        names = [f"{month:02d}-{n}" for month in range(MONTHS) for n in range(PUBLISHERS)]
        offers = [Offer(provider="test", id=name, name=name, source=name, fingerprint="1", state="fetched") for name in names]
        granules.offer(session.connection, offers)
    together = threading.Barrier(PUBLISHERS)

    def publisher(number: int) -> list[str]:
        with Session(lake=lake) as own:
            own._products[COLLECTION] = product
            verdicts = []
            for month in range(MONTHS):
                name = f"{month:02d}-{number}"
                only = [
                    row["granule_id"] for row in own.connection.execute("select granule_id from eolake.granule where name = %s", [name])
                ]
                (granule,) = granules.claim(own.connection, owner=name, lease=timedelta(minutes=5), only=only)
                when = datetime(2018 + month // 12, month % 12 + 1, 5 + number, tzinfo=UTC)
                scene = like(staged, name, when, granule)
                together.wait(timeout=60)
                (outcome,) = commit(own, [Batch(lease=granules.lease_of(granule), staged=(scene,))])
                verdicts.append(outcome.verdict)
            return verdicts

    searches, stop = 0, threading.Event()

    def reader() -> None:
        nonlocal searches
        with lake.connect() as connection:
            # On a quiet machine 200 ms are plenty; here the time that a partition takes is not what is tested.
            connection.execute("set lock_timeout = '5s'")
            while not stop.is_set():
                connection.execute(SEARCH)  # LockNotAvailable when a publisher makes it wait for longer
                searches += 1

    with ThreadPoolExecutor(PUBLISHERS + 1) as pool:
        reading = pool.submit(reader)
        publishing = [pool.submit(publisher, number) for number in range(PUBLISHERS)]
        try:
            finished, _ = wait(publishing, timeout=250, return_when=FIRST_EXCEPTION)
            verdicts = [verdict for future in finished for verdict in future.result()]
        finally:
            together.abort()
            stop.set()
        reading.result(timeout=10)
    assert verdicts == ["published"] * (PUBLISHERS * MONTHS)
    assert searches > MONTHS // 4  # it did read meanwhile; how often depends on the machine
    with lake.connect() as connection:
        assert audit_catalog_and_cube(connection) == []


@pytest.mark.parametrize("partition", ["none", "month"])
def test_a_search_does_not_wait_for_a_publisher_in_the_middle_of_its_transaction(lake: Lake, partition: str) -> None:
    with Session(lake=lake) as session, lake.connect() as connection, lake.connect(autocommit=False) as blocker:
        lease = claim(session)
        staged = stage(session, draft(), lease)
        pgstac.put_collection(connection, stac_collection(declared(COLLECTION)), partition=partition)
        session._products[COLLECTION] = put_product(session.index.products, declared(COLLECTION))
        session.ensure_partition(COLLECTION, staged.at)
        blocker.execute("select from pgstac.partition_stats for update")  # the last thing that a publication locks
        with ThreadPoolExecutor(1) as pool:
            publishing = pool.submit(commit, session, [Batch(lease=lease, staged=(staged,))])
            _wait_until_blocked(connection)
            connection.execute("set lock_timeout = '200ms'")
            for _ in range(5):
                connection.execute(SEARCH)
            assert not publishing.done()
            blocker.rollback()
            assert [outcome.verdict for outcome in publishing.result(timeout=60)] == ["published"]


def _wait_until_blocked(connection: Connection) -> None:
    until = time.monotonic() + 60
    blocked = "select from pg_stat_activity where datname = current_database() and cardinality(pg_blocking_pids(pid)) > 0"
    while connection.execute(blocked).fetchone() is None:
        assert time.monotonic() < until, "the publisher never came to the end of its transaction"
        time.sleep(0.01)
