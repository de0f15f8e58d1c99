"""What a product may cost the machine: memory, processor time, files, patience. It pays alone."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from support.auditor import audit
from support.workers import ingest, probe, states

from eolake.catalog.lake import Lake
from eolake.ingest.pool import environment
from eolake.ingest.settings import WorkerSettings

PRELUDE = """
import resource, sys
import numpy as np
from eolake.catalog import safe
safe.confine(safe.Bounds(memory=512 << 20, file=1 << 20, files=64))
"""


def _run(script: str, *, timeout: float = 60) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", PRELUDE + script], capture_output=True, text=True, check=False, timeout=timeout)


def test_greedy_and_hanging_products_are_kept_aside_and_the_others_published(lake: Lake, tmp_path: Path) -> None:
    """In the real converter, from the queue: each takes its process down at most, and says why."""
    folder = tmp_path / "in"
    deeds = {0: "good", 1: "eat", 2: "spin", 3: "hang", 4: "fill", 5: "open", 6: "good"}
    for number, deed in deeds.items():
        probe(folder, number, do=deed)
    bounds = {"EOLAKE_WORKER_MEMORY": "1GiB", "EOLAKE_WORKER_PROCESSOR": "6", "EOLAKE_WORKER_SILENCE": "12", "EOLAKE_WORKER_FAULTS": "1"}
    status, document = ingest(lake, folder, "--convert", "2", **bounds)
    outcomes = {deeds[int(Path(product["path"]).stem[-4:])]: (product["outcome"], product["reason"]) for product in document["products"]}
    assert status == 1
    assert states(lake) == {"published": 2, "quarantined": 5}
    assert outcomes["good"] == ("published", None)
    for deed, words in {
        "eat": "needs more memory than a converter may take (EOLAKE_WORKER_MEMORY)",
        "spin": "it took more than 6 s of processor time at the step 'open'",
        "hang": "it did nothing for 12 s at the step 'open'",
        "fill": "File too large",
        "open": "Too many open files",
    }.items():
        outcome, reason = outcomes[deed]
        assert (outcome, words in (reason or "")) == ("quarantined", True), (deed, reason)
    assert audit(lake) == []


def test_memory_is_bounded_where_it_is_used() -> None:
    """Reserved address space costs nothing and is not counted: libraries take much of it."""
    done = _run("""
held = np.ones(64 << 20, np.uint8)
try:
    np.ones(512 << 20, np.uint8)
except MemoryError:
    print("refused")
""")
    assert done.stdout == "refused\n", done.stderr


def test_processor_time_is_given_to_each_product_anew() -> None:
    """Three products of 0.7 s each pass a bound of 1 s (whole seconds: 2); one that takes longer ends the process, in C too."""
    done = _run("""
import time
def burn(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end:
        sum(range(1000))
for _ in range(4):
    with safe.processor_time(1):
        burn(0.7)
burn(1.5)
print("done", flush=True)
import re
with safe.processor_time(1):
    re.match(r"(a+)+$", "a" * 60 + "b")
""")
    assert (done.stdout, done.returncode) == ("done\n", -24), done.stderr


def test_files_cores_and_privileges_are_bounded(tmp_path: Path) -> None:
    done = _run(f"""
print(resource.getrlimit(resource.RLIMIT_CORE), resource.getrlimit(resource.RLIMIT_NOFILE))
print([line.split()[1] for line in open("/proc/self/status") if line.startswith("NoNewPrivs")])
with open({str(tmp_path / "large")!r}, "wb") as file:
    try:
        file.write(bytes(2 << 20))
        file.flush()
    except OSError as error:
        print(error.strerror)
        sys.stdout.flush()
        import os; os._exit(0)
""")
    assert done.stdout.splitlines() == ["(0, 0) (64, 64)", "['1']", "File too large"], done.stderr


def test_a_limit_that_is_lower_already_stays() -> None:
    script = """
resource.setrlimit(resource.RLIMIT_NOFILE, (32, 32))
safe.confine(safe.Bounds())
print(resource.getrlimit(resource.RLIMIT_NOFILE), resource.getrlimit(resource.RLIMIT_FSIZE))
"""
    assert _run(script).stdout == f"(32, 32) {(1 << 20, 1 << 20)}\n"


def test_converters_do_not_see_the_secrets_of_providers(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CDSE_PASSWORD", "CDSE_USERNAME", "USGS_TOKEN", "AWS_SECRET_ACCESS_KEY", "PGPASSWORD", "NETRC", "EOLAKE_LAKE__STORE"):
        monkeypatch.setenv(name, "x")
    given = environment({"a": {"credentials": ["env:CDSE", "netrc:host"]}, "b": {"credentials": "env:USGS"}, "c": {"login": ["env:AWS"]}})
    assert not {"CDSE_PASSWORD", "CDSE_USERNAME", "USGS_TOKEN", "NETRC"} & given.keys()
    assert {"AWS_SECRET_ACCESS_KEY", "PGPASSWORD", "EOLAKE_LAKE__STORE", "PATH"} <= given.keys()


def test_the_bounds_are_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    assert WorkerSettings().bounds.memory == 8 << 30
    monkeypatch.setenv("EOLAKE_WORKER_MEMORY", "3GiB")
    assert WorkerSettings().bounds.memory == 3 << 30
    assert resource.getrlimit(resource.RLIMIT_DATA)[0] == resource.RLIM_INFINITY, "and not those of the worker"
    assert os.environ["EOLAKE_WORKER_MEMORY"] == "3GiB"
