"""A full disk costs nothing but time, and memory does not grow with the size of a product."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from eolake.catalog.errors import Transient
from eolake.ingest.providers.base import Part
from eolake.ingest.simulators.server import Server
from eolake.ingest.transfer.base import Limits
from eolake.ingest.transfer.engine import Engine

MIB = 1 << 20


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(seed=1) as made:
        yield made


def test_t26_a_full_disk_is_noticed_before_anything_is_written(server: Server, tmp_path: Path) -> None:
    part = Part(url=f"{server.url}/f/a.bin?size={64 * MIB}&seed=1", name="a.bin")
    full = Engine(limits=dataclasses.replace(Limits(), spare=0.9999))
    with pytest.raises(Transient, match="the disk of"):
        full.fetch(part, tmp_path / "a.bin")
    full.close()
    assert (tmp_path / "a.bin.part").stat().st_size == 0
    assert server.stats.sent < 48 * MIB  # the rest was never asked for; some of it fits in the buffers of both ends
    engine = Engine()
    assert engine.fetch(part, tmp_path / "a.bin").bytes == 64 * MIB
    engine.close()


FULL = """
import json, resource, signal, sys
from pathlib import Path
from eolake.catalog.errors import Transient
from eolake.ingest.providers.base import Part
from eolake.ingest.transfer.engine import Engine
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
url, target = sys.argv[1], Path(sys.argv[2])
resource.setrlimit(resource.RLIMIT_FSIZE, (2 << 20, resource.RLIM_INFINITY))
engine, said = Engine(), []
try:
    engine.fetch(Part(url=url, name="a.bin"), target)
except Transient as error:
    said.append(str(error))
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
said.append(target.with_name("a.bin.part").stat().st_size)
said.append(engine.fetch(Part(url=url, name="a.bin"), target).bytes)
print(json.dumps(said))
"""


def test_t26_full_while_it_is_written_and_on_after_space(server: Server, tmp_path: Path) -> None:
    url = f"{server.url}/f/a.bin?size={6 * MIB}&seed=1"
    done = subprocess.run(
        [sys.executable, "-c", FULL, url, str(tmp_path / "a.bin")], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    error, kept, whole = json.loads(done.stdout)
    assert "is full" in error
    assert kept == 2 * MIB
    assert whole == 6 * MIB
    again = [int(seen.range.removeprefix("bytes=").removesuffix("-")) for seen in server.stats.requests if seen.range]
    assert again == [0, 2 * MIB - Limits().rollback]


PEAK = """
import sys
from pathlib import Path
from eolake.ingest.providers.base import Part
from eolake.ingest.transfer.engine import Engine
engine = Engine()
engine.fetch(Part(url=sys.argv[1], name="a.bin"), Path(sys.argv[2]))
peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
print(peak.split()[1], [name for name in ("numpy", "rasterio", "datacube", "shapely") if name in sys.modules])
"""


def test_b1e_memory_does_not_grow_with_the_product(server: Server, tmp_path: Path) -> None:
    """The founding downloader read whole products into memory."""
    peaks = []
    for size in (MIB, 400 * MIB):
        url = f"{server.url}/f/b-{size}.bin?size={size}&seed=1"
        target = tmp_path / f"{size}.bin"
        done = subprocess.run([sys.executable, "-c", PEAK, url, str(target)], capture_output=True, text=True, check=True, timeout=120)
        peak, _, heavy = done.stdout.partition(" ")
        assert heavy.strip() == "[]"
        peaks.append(int(peak) / 1024)
        target.unlink()
    assert peaks[1] - peaks[0] < 16
