"""`eolake ingest`, `work` and `retry` on real processes."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from pathlib import Path

from support import workers
from support.auditor import audit
from support.workers import granule, ingest, probe, probes, run, start, states, wait_for

from eolake.catalog.lake import Lake


def test_products_are_published_once_and_a_rerun_writes_nothing(lake: Lake, tmp_path: Path) -> None:
    probes(tmp_path / "in", 3)
    status, first = ingest(lake, tmp_path / "in")
    assert (status, first["counts"]) == (0, {"published": 3})
    assert audit(lake) == []
    assert list((lake.settings.state / "tmp").iterdir()) == []
    with lake.connect() as connection:
        before, objects = workers.rows_written(connection), workers.listing(lake)
        status, second = ingest(lake, tmp_path / "in")
        assert (status, second["counts"]) == (0, {"unchanged": 3})
        assert workers.rows_written(connection) == before
    assert workers.listing(lake) == objects


def test_every_product_ends_with_a_reason_and_none_stops_the_others(lake: Lake, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    probe(folder, 0)
    probe(folder, 1, do="broken")
    probe(folder / "copy", 0)
    probe(folder, 2, do="raise")
    probe(folder, 3, do="crash")
    probe(folder, 4, do="passing")
    probe(folder, 5, do="noise")
    (folder / "notes.txt").write_text("nothing")
    (folder / "link.zip").symlink_to(folder / "PROBE_0000.zip")
    status, document = ingest(lake, folder, "--convert", "2", EOLAKE_WORKER_DELAY="0.2")
    outcomes = {product["path"].removeprefix(f"{folder}/"): (product["outcome"], product["reason"]) for product in document["products"]}
    assert status == 1
    assert {outcomes[f"PROBE_000{n}.zip"] for n in (4, 5)} == {("published", None)}
    pair = [outcomes["PROBE_0000.zip"], outcomes["copy/PROBE_0000.zip"]]
    assert sorted(outcome for outcome, _ in pair) == ["published", "rejected"]
    assert any(reason and reason.startswith(f"duplicate: PROBE_0000 was published from {folder}") for _, reason in pair)
    assert outcomes["PROBE_0001.zip"] == ("quarantined", "PROBE_0001.zip: band B4 is truncated at byte 77")
    assert outcomes["PROBE_0002.zip"][0] == "quarantined"
    assert re.fullmatch(
        r"PROBE_0002\.zip: ZeroDivisionError: float division by zero \(at the step 'open', eolake_probe\.py:\d+\) \(attempts: 3\)",
        outcomes["PROBE_0002.zip"][1] or "",
    )
    assert outcomes["PROBE_0003.zip"] == ("quarantined", "PROBE_0003.zip: the converter died (SIGSEGV) at the step 'open' (attempts: 3)")
    assert {Path(entry["path"]).name: entry["reason"] for entry in document["unrecognised"]} == {
        "notes.txt": "no sensor knows this name",
        "link.zip": "a symbolic link; name its target instead",
    }
    assert audit(lake) == []


def test_a_product_that_hangs_is_ended_and_kept_aside(lake: Lake, tmp_path: Path) -> None:
    probe(tmp_path / "in", 0, do="hang")
    probe(tmp_path / "in", 1)
    status, document = ingest(lake, tmp_path / "in", EOLAKE_WORKER_LONGEST="10", EOLAKE_WORKER_FAULTS="1")
    assert status == 1
    assert document["counts"] == {"published": 1, "quarantined": 1}
    assert granule(lake, "PROBE_0000")["reason"] == "PROBE_0000.zip: the product was not done within 10 s at the step 'open' (attempts: 1)"


def test_what_no_sensor_knows_is_kept_aside_and_says_what_is_known(lake: Lake, tmp_path: Path) -> None:
    (tmp_path / "holiday.zip").write_bytes(b"PK")
    status, document = ingest(lake, tmp_path / "holiday.zip")
    assert status == 1
    (product,) = document["products"]
    assert product["outcome"] == "quarantined"
    assert product["reason"].startswith(f"no sensor knows 'holiday' ({tmp_path}/holiday.zip); installed are: files, landsat, ")


def test_nothing_is_tried_on_a_database_of_another_version(lake: Lake, tmp_path: Path) -> None:
    probe(tmp_path / "in", 0)
    with lake.connect() as connection:
        connection.execute("delete from eolake.migration where name = '0001_ledger.sql'")
    done = run(lake, "ingest", tmp_path / "in")
    assert done.returncode == 3
    assert "it lacks 0001_ledger.sql" in done.stderr
    assert granule(lake, "PROBE_0000")["attempts"] == 0


def test_a_path_that_does_not_exist_is_a_usage_error(lake: Lake, tmp_path: Path) -> None:
    done = run(lake, "ingest", tmp_path / "nowhere")
    assert done.returncode == 2
    assert f"there is nothing at {tmp_path}/nowhere" in done.stderr


def test_registered_products_are_done_by_a_worker_and_retried_by_name_and_reason(lake: Lake, tmp_path: Path) -> None:
    path = probe(tmp_path / "in", 0, do="broken")
    probe(tmp_path / "in", 1)
    status, document = ingest(lake, "--no-wait", tmp_path / "in")
    assert (status, document["counts"]) == (0, {"registered": 2})
    done = run(lake, "--json", "work", "--once")
    assert done.returncode == 1, done.stderr
    assert json.loads(done.stdout)["verdicts"] == {"published": 1, "quarantined": 1}
    assert json.loads(run(lake, "--json", "retry", "--reason", "nothing like it").stdout)["retried"] == []
    assert json.loads(run(lake, "--json", "retry", "--reason", "truncated", "--dry-run").stdout)["retried"] == ["PROBE_0000"]
    assert states(lake) == {"published": 1, "quarantined": 1}
    assert run(lake, "retry", "PROBE_0001").returncode == 1
    assert run(lake, "retry", "PROBE_0000").returncode == 0
    path.write_text(path.read_text().replace("broken", "good"))
    assert run(lake, "work", "--once").returncode == 0
    assert states(lake) == {"published": 2}


def test_a_changed_product_is_a_new_revision_and_a_touched_one_is_unchanged(lake: Lake, tmp_path: Path) -> None:
    path = probe(tmp_path / "in", 0)
    ingest(lake, path)
    path.touch()
    assert ingest(lake, path)[1]["counts"] == {"unchanged": 1}
    probe(tmp_path / "in", 0, version=2)
    assert ingest(lake, path)[1]["counts"] == {"published": 1}
    with lake.connect() as connection:
        (row,) = connection.execute("select revision, prefix from eolake.publication").fetchall()
    assert row["prefix"].endswith(f"/r{row['revision']}")
    assert row["revision"] > 2


def test_sigterm_gives_the_work_back_within_five_seconds(lake: Lake, tmp_path: Path) -> None:
    probe(tmp_path / "in", 0, pause=30)
    ingest(lake, "--no-wait", tmp_path / "in")
    worker = start(lake, "work")
    wait_for(lake, "state = 'converting'")
    begin = time.monotonic()
    os.kill(worker.pid, signal.SIGTERM)
    assert worker.wait(5) == 0
    assert time.monotonic() - begin < 5
    row = granule(lake, "PROBE_0000")
    assert (row["state"], row["attempts"], row["lease_owner"]) == ("fetched", 0, None)


def test_max_time_ends_in_time_and_gives_back_what_is_not_done(lake: Lake, tmp_path: Path) -> None:
    probe(tmp_path / "in", 0, pause=30)
    ingest(lake, "--no-wait", tmp_path / "in")
    begin = time.monotonic()
    done = run(lake, "--json", "work", "--max-time", "10s")
    assert time.monotonic() - begin < 12
    assert done.returncode == 0
    assert json.loads(done.stdout)["stopped"]
    assert granule(lake, "PROBE_0000")["attempts"] == 0
