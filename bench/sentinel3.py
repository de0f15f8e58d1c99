"""A full-size Sentinel-3 product to COGs, step by step: how long each takes, how much memory, beside reading its files and encoding alone.

    .venv/bin/python bench/sentinel3.py                       OLCI Level 1, 4091 × 4865 pixels, 21 bands, angles, flags
    .venv/bin/python bench/sentinel3.py --kind s3_slstr_l1_rbt

The product is generated first (some minutes). Two processes: one converts (gate, integrity, map of the swath, bands onto the grid, COGs),
the other only reads every variable, and encodes the same arrays as COGs: what nobody can save.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

WHEN = datetime(2020, 1, 4, tzinfo=UTC)
MB = 1e6


def main() -> None:
    options = _options()
    if options.one:
        print(json.dumps({"convert": _convert, "floor": _floor}[options.one](Path(options.product), Path(options.out))))
        return
    with tempfile.TemporaryDirectory(prefix="eolake-sentinel3-", dir=options.folder) as folder:
        product = Path(options.product) if options.product else _generate(options.kind, Path(folder))
        size = sum(path.stat().st_size for path in product.iterdir()) / MB
        print(f"{product.name}: {size:.0f} MB")
        found = {name: _run(name, product, Path(folder) / name) for name in ("convert", "floor")}
    for name, entry in found.items():
        steps = ", ".join(f"{step} {seconds:.1f} s" for step, seconds in entry["seconds"].items())
        cost = f"{entry['wall']:6.1f} s, {entry['cpu']:6.1f} s of processor, peak {entry['peak']:.0f} MB"
        print(f"{name:8} {cost} ({steps}); {entry['written']:.0f} MB of COGs")
    wall, cpu = (found["convert"][key] / found["floor"][key] for key in ("wall", "cpu"))
    print(f"ratio    wall {wall:.2f}, processor {cpu:.2f}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kind", default="s3_olci_l1_efr")
    parser.add_argument("--product", help="a .SEN3 folder, instead of a generated one")
    parser.add_argument("--folder", help="where to work")
    for name in ("--one", "--out"):
        parser.add_argument(name, help=argparse.SUPPRESS)
    return parser.parse_args()


def _generate(kind: str, folder: Path) -> Path:
    from eolake.ingest.simulators.products.landscape import Landscape
    from eolake.ingest.simulators.products.sentinel3.make import find_pass, write_sentinel3

    began = time.perf_counter()
    landscape = Landscape()
    product = write_sentinel3(kind, find_pass(WHEN, landscape.site), folder, landscape=landscape, size=None)  # type: ignore[arg-type]
    print(f"generated in {time.perf_counter() - began:.0f} s")
    return product


def _run(name: str, product: Path, out: Path) -> dict:
    command = [sys.executable, __file__, "--one", name, "--product", str(product), "--out", str(out)]
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)


class _Clock:
    """Seconds by step."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - began


def _facts(clock: _Clock, began: tuple[float, float], out: Path) -> dict:
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return {
        "wall": time.perf_counter() - began[0],
        "cpu": time.process_time() - began[1],
        "peak": int(line.split()[1]) * 1024 / MB,
        "seconds": clock.seconds,
        "written": sum(path.stat().st_size for path in out.glob("*.tif")) / MB,
    }


def _opened(product: Path, workspace: Path) -> list:
    from eolake.ingest.sensors import find_sensor

    sensor = find_sensor(product.stem)
    assert sensor is not None
    return list(sensor.open(product, workspace))


def _convert(product: Path, out: Path) -> dict:
    from eolake.catalog.cog import write_cog
    from eolake.catalog.declaration import declared

    out.mkdir()
    clock, began = _Clock(), (time.perf_counter(), time.process_time())
    with clock.step("open (manifest, digests, map of the swath)"):
        drafts = _opened(product, out)
    for draft in drafts:
        collection = declared(draft.item.collection_id or "")
        for name, band in draft.bands.items():
            with clock.step("read and put on the grid"):
                pixels = band.read()
            with clock.step("encode and validate"):
                write_cog(pixels, collection.band(name), collection.cog, out / f"{collection.id}-{name}.tif")
    return _facts(clock, began, out)


def _floor(product: Path, out: Path) -> dict:
    """Each file's variables read once, and each COG of the conversion before encoded again."""
    from eolake.catalog import safe
    from eolake.catalog.cog import write_cog
    from eolake.catalog.declaration import declared
    from eolake.catalog.safe.netcdf import open_netcdf

    out.mkdir()
    clock, began = _Clock(), (time.perf_counter(), time.process_time())
    with clock.step("read"):
        for path in sorted(product.glob("*.nc")):
            with open_netcdf(path) as file:
                for variable in file.variables.values():
                    variable.read()
    aside = 0.0, 0.0
    for source in sorted((out.parent / "convert").glob("*.tif")):
        collection, _, name = source.stem.partition("-")
        before = time.perf_counter(), time.process_time()
        pixels = safe.read_raster(source, driver="GTiff")
        aside = aside[0] + time.perf_counter() - before[0], aside[1] + time.process_time() - before[1]
        with clock.step("encode and validate"):
            write_cog(pixels, declared(collection).band(name), declared(collection).cog, out / source.name)
    return _facts(clock, (began[0] + aside[0], began[1] + aside[1]), out)


if __name__ == "__main__":
    main()
