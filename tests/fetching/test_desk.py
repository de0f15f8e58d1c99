"""The desk of a granule on the local disk: what a killed process leaves is gone on with, and never shared."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

from support.fetching import granule

from eolake.catalog.ledger.granules import Lease
from eolake.ingest.fetching import desk
from eolake.ingest.fetching.desk import Desk
from eolake.ingest.transfer.base import Fetched

LEASE = Lease(kind="granule", id=7, fence=41)
FETCHED = Fetched(bytes=5, received=5, sha256="ab" * 32, digests={"md5": "cd" * 16}, etag='"1"', warnings=("a warning",))


def test_what_was_fetched_is_known_to_the_next_one(tmp_path: Path) -> None:
    with Desk(tmp_path, granule(), LEASE) as first:
        first.path("deep/a.tif").write_bytes(b"12345")
        first.note("deep/a.tif", FETCHED)
    with Desk(tmp_path, granule(), dataclasses.replace(LEASE, fence=42)) as second:
        assert second.folder == first.folder
        assert second.known() == {"deep/a.tif": FETCHED}


def test_a_file_of_another_length_or_a_note_cut_off_is_not_known(tmp_path: Path) -> None:
    with Desk(tmp_path, granule(), LEASE) as one:
        one.path("a").write_bytes(b"1234")
        one.note("a", FETCHED)
        one.path("b").write_bytes(b"12345")
        one.note("b", FETCHED)
        with (one.folder / desk.NOTES).open("a") as notes:
            notes.write('{"name": "c", "byt')
        assert set(one.known()) == {"b"}


def test_other_bytes_of_a_granule_get_another_desk(tmp_path: Path) -> None:
    with Desk(tmp_path, granule(), LEASE) as before, Desk(tmp_path, granule(fingerprint="md5:other"), LEASE) as after:
        assert before.folder != after.folder


def test_t28_a_desk_that_is_taken_is_not_shared(tmp_path: Path) -> None:
    """Somebody who lost the lease and does not know it yet still writes there."""
    with Desk(tmp_path, granule(), LEASE) as zombie, Desk(tmp_path, granule(), dataclasses.replace(LEASE, fence=42)) as heir:
        assert zombie.folder != heir.folder
    with Desk(tmp_path, granule(), dataclasses.replace(LEASE, fence=43)) as third:
        assert third.folder == zombie.folder


def test_the_lock_ends_with_the_process(tmp_path: Path) -> None:
    script = f"""
from pathlib import Path
from support.fetching import granule
from eolake.catalog.ledger.granules import Lease
from eolake.ingest.fetching.desk import Desk
import os
desk = Desk(Path({str(tmp_path)!r}), granule(), Lease(kind="granule", id=7, fence=41)).__enter__()
print(desk.folder, flush=True)
os.kill(os.getpid(), 9)
"""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == -9, done.stderr
    with Desk(tmp_path, granule(), LEASE) as heir:
        assert str(heir.folder) == done.stdout.strip()


def test_desks_of_finished_granules_are_cleared_unless_somebody_sits_there(tmp_path: Path) -> None:
    for number in (1, 2, 3):
        with Desk(tmp_path, granule(granule_id=number), LEASE) as one:
            one.path("a").write_bytes(b"1")
    with Desk(tmp_path, granule(granule_id=3), LEASE):
        assert desk.clear(tmp_path, lambda ids: {1} & set(ids)) == 1
    assert sorted(entry.name.partition(".")[0] for entry in tmp_path.iterdir()) == ["1", "3"]
