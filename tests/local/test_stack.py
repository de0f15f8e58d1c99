"""`eolake up` and what belongs to it, as a user calls them: real processes, a real PostgreSQL."""

from __future__ import annotations

import http.server
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from eolake.catalog.local.cluster import Cluster


def eolake(folder: Path, *arguments: str, code: int = 0) -> str:
    answer = subprocess.run([sys.executable, "-m", "eolake.catalog", *arguments], cwd=folder, capture_output=True, text=True, check=False)
    assert answer.returncode == code, answer.stderr
    return answer.stdout


def up(folder: Path, *arguments: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(eolake(folder, "up", "--detach", "--json", *arguments))
    return document


def parts(folder: Path, *, code: int = 0) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = json.loads(eolake(folder, "status", "--json", code=code))["parts"]
    return found


def states(folder: Path, *, code: int = 0) -> dict[str, str]:
    return {name: part["state"] for name, part in parts(folder, code=code).items()}


def landing_page(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=20) as answer:
        return json.load(answer)


def kill(pid: int) -> None:
    process = psutil.Process(pid)
    process.kill()
    deadline = time.monotonic() + 10
    while process.is_running() and process.status() != psutil.STATUS_ZOMBIE and time.monotonic() < deadline:
        time.sleep(0.02)


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """Every user can enter it; at the end nothing runs there."""
    folder = Path(tempfile.mkdtemp(prefix="eolake-"))
    folder.chmod(0o755)
    yield folder
    for lake in folder.glob("*/eolake.toml"):
        eolake(lake.parent, "down")
        Cluster(lake.parent / "lake").remove()
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def lake(place: Path) -> Path:
    eolake(place, "init", "first")
    return place / "first"


def test_before_anything_runs(lake: Path) -> None:
    assert states(lake, code=4) == {"postgresql": "stopped", "http": "stopped"}
    assert "Nothing ran" in eolake(lake, "down")
    eolake(lake, "init", code=3)


def test_up_then_up_finds_the_first(lake: Path) -> None:
    first = up(lake)
    assert landing_page(first["stac"])["type"] == "Catalog"
    before = parts(lake)
    assert {part["state"] for part in before.values()} == {"running"}
    second = up(lake)
    assert second["started"] == []
    assert second["url"] == first["url"]
    assert parts(lake) == before


def test_status_says_what_is_in_the_lake(lake: Path) -> None:
    up(lake)
    document = json.loads(eolake(lake, "status", "--json"))
    assert document["granules"] == {}
    assert all(set(holding) == {"items", "datasets", "bytes"} for holding in document["collections"].values())


def test_a_crashed_app_is_reported_and_mended(lake: Path) -> None:
    url = up(lake)["url"]
    kill(parts(lake)["http"]["pid"])
    assert states(lake) == {"postgresql": "running", "http": "crashed"}
    mended = up(lake)
    assert mended["started"] == ["http"]
    assert mended["url"] == url
    assert landing_page(mended["stac"])


def test_a_crashed_database_is_reported_and_mended(lake: Path) -> None:
    up(lake)
    kill(parts(lake)["postgresql"]["pid"])
    assert states(lake, code=4)["postgresql"] == "crashed"
    mended = up(lake)
    assert mended["started"] == ["postgresql"]
    assert landing_page(f"{mended['stac']}/collections")["collections"] is not None


def test_a_port_that_is_taken_while_the_app_starts_is_left_to_the_other(place: Path) -> None:
    eolake(place, "init", "late")
    lake = place / "late"
    command = [sys.executable, "-m", "eolake.catalog", "up", "--detach", "--json"]
    with subprocess.Popen(command, cwd=lake, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as starting:
        assert starting.stderr is not None
        line = next(line for line in iter(starting.stderr.readline, "") if "starting on" in line)
        port = int(line.rpartition(":")[2])
        with http.server.HTTPServer(("127.0.0.1", port), http.server.BaseHTTPRequestHandler) as other:
            threading.Thread(target=other.serve_forever, daemon=True).start()
            document = json.loads(starting.communicate(timeout=120)[0])
            other.shutdown()
    assert not document["url"].endswith(f":{port}")
    assert landing_page(document["stac"])["type"] == "Catalog"
    assert states(lake) == {"postgresql": "running", "http": "running"}


def test_workers_are_part_of_it(lake: Path) -> None:
    up(lake)
    assert up(lake, "--workers", "1")["started"] == ["worker-1"]
    assert up(lake, "--workers", "1")["started"] == []
    kill(parts(lake)["worker-1"]["pid"])
    assert states(lake) == {"postgresql": "running", "http": "running", "worker-1": "crashed"}
    assert up(lake)["started"] == ["worker-1"]
    pid = parts(lake)["worker-1"]["pid"]
    assert "worker-1" in eolake(lake, "down")
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_datacube_needs_nothing_but_env(lake: Path) -> None:
    up(lake)
    code = "import datacube; cube = datacube.Datacube(); print(len(cube.list_products()), cube.index.environment.index_driver)"
    script = f'eval "$({sys.executable} -m eolake.catalog env)"; cd /; {sys.executable} -c {shlex.quote(code)}'
    clean = {"PATH": os.environ["PATH"], "HOME": "/nonexistent"}
    answer = subprocess.run(["sh", "-c", script], cwd=lake, env=clean, capture_output=True, text=True, check=True)
    assert answer.stdout.split()[-1] == "postgis"


def test_doctor_is_content(lake: Path) -> None:
    up(lake)
    findings = {finding["subject"]: finding for finding in json.loads(eolake(lake, "doctor", "--json"))}
    assert [finding for finding in findings.values() if finding["level"] == "fail"] == []
    assert {findings[name]["level"] for name in ("PostgreSQL", "lake", "postgresql", "http", "database", "schema")} == {"ok"}


def test_doctor_before_up_names_the_next_command(place: Path) -> None:
    eolake(place, "init", "untouched")
    findings = {finding["subject"]: finding for finding in json.loads(eolake(place / "untouched", "doctor", "--json"))}
    assert findings["database"]["level"] == "warn"
    assert findings["database"]["fix"] == "eolake up --detach"


def test_foreground_mends_and_ends_clean(place: Path) -> None:
    eolake(place, "init", "front")
    folder = place / "front"
    command = [sys.executable, "-m", "eolake.catalog", "up", "--json"]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as front:
        try:
            assert front.stdout is not None
            assert front.stdout.readline() == "{\n"
            assert up(folder)["started"] == []
            kill(parts(folder)["http"]["pid"])
            deadline = time.monotonic() + 60
            while states(folder)["http"] != "running" and time.monotonic() < deadline:
                time.sleep(0.5)
            assert states(folder) == {"postgresql": "running", "http": "running"}
        finally:
            front.send_signal(signal.SIGTERM)
        assert front.wait(60) == 0
    assert states(folder, code=4) == {"postgresql": "stopped", "http": "stopped"}


LOAD = """
import sys
import datacube
cube = datacube.Datacube()
found = cube.load(product="ls8_c2_l2", measurements=["red"])
assert sys.argv[1] in cube.find_datasets(product="ls8_c2_l2")[0].uri
print(int(found.red.sum()))
"""


def test_moved_while_running_everything_still_loads(lake: Path, place: Path) -> None:
    up(lake)
    product = ("--kind", "landsat_c2_l2", "--size", "64", "--when", "2020-01-16T23:50:00Z")
    eolake(place, "simulate", "products", "products", *product)
    eolake(lake, "ingest", str(place / "products"))
    holding = json.loads(eolake(lake, "status", "--json"))["collections"]["ls8_c2_l2"]
    assert (holding["items"], holding["datasets"]) == (1, 1)
    total = load(lake, place / "first")
    assert total > 0

    before = {part["pid"] for part in parts(lake).values()}
    moved = place / "moved"
    lake.rename(moved)
    found = up(moved)
    assert set(found["started"]) >= {"postgresql", "http"}
    assert before & {part["pid"] for part in parts(moved).values()} == set()
    assert load(moved, moved) == total
    assert json.loads(eolake(moved, "check", "--json"))["ok"] is True
    item = landing_page(f"{found['stac']}/search?collections=ls8_c2_l2")["features"][0]
    with urllib.request.urlopen(item["assets"]["red"]["href"], timeout=20) as answer:
        assert answer.read(4) == b"II*\0"
    # A second `up` has nothing left to repair, and `down` ends it.
    assert up(moved)["started"] == []
    assert "postgresql" in eolake(moved, "down")
    assert set(states(moved, code=4).values()) == {"stopped"}


def load(folder: Path, place: Path) -> int:
    """Sum of the red band, through datacube with what `eolake env` prints."""
    script = f'eval "$({sys.executable} -m eolake.catalog env)"; {sys.executable} -c {shlex.quote(LOAD)} {place}/'
    answer = subprocess.run(["sh", "-c", script], cwd=folder, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    return int(answer.stdout)
