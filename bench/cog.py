"""Writing COGs: eolake's whole step (gate, statistics, encode, validate, digests) beside the defaults of rio-cogeo and GDAL's COG driver.

    .venv/bin/python bench/cog.py                     the declared default against both, three scenes
    .venv/bin/python bench/cog.py --jp2               from JPEG 2000: everything beside decoding alone (rio-cogeo 7.0.4 can't read it)
    .venv/bin/python bench/cog.py --profiles          every candidate for the default
    .venv/bin/python bench/cog.py --source B01.jp2    a real raster instead of the generated scenes

Each measurement is a process of its own that imports first and then runs once; contestants take turns in every round, so
that whatever else the machine does hits all of them. Ratios are medians over
the rounds; `best` compares the fastest rounds, which a busy machine disturbs least. Both get all processors.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

INCUMBENT = "rio-cogeo"
GDAL = "gdal-cog"
DECODE = "decode"
CANDIDATES = (
    "zstd-1-512", "zstd-3-512", "zstd-6-512", "zstd-9-512", "deflate-1-512", "deflate-6-512", "lerc_zstd-1-512", "lerc_zstd-3-512",
    "zstd-1-256", "zstd-1-1024", "lerc_zstd-1-256",
)  # fmt: skip
MB = 1e6


@dataclass(frozen=True)
class Scene:
    """One source raster and what its declaration says."""

    path: Path
    dtype: str
    nodata: float | None
    categorical: bool = False


def main() -> None:
    options = _options()
    if options.one:
        print(
            json.dumps(
                _measure(options.one, Scene(Path(options.source), options.dtype, options.nodata, options.categorical), Path(options.out))
            )
        )
        return
    with tempfile.TemporaryDirectory(prefix="eolake-cog-") as folder:
        if options.jp2:
            scenes, contestants = [_jp2(_generated(Path(folder), options.size)[0])], [DECODE, GDAL, _default()]
        else:
            scenes = [_real(Path(options.source), Path(folder))] if options.source else _generated(Path(folder), options.size)
            contestants = [INCUMBENT, GDAL, *(CANDIDATES if options.profiles else [_default()])]
        for scene in scenes:
            _report(scene, _rounds(scene, contestants, options.rounds, Path(folder)))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--profiles", action="store_true", help="compare all candidates, not only the default")
    parser.add_argument("--source", help="a real raster")
    parser.add_argument("--jp2", action="store_true", help="from JPEG 2000")
    parser.add_argument("--size", type=int, default=10980, help="side of the generated scenes in pixels")
    parser.add_argument("--rounds", type=int, default=3)
    for name in ("--one", "--out", "--dtype"):
        parser.add_argument(name, help=argparse.SUPPRESS)
    parser.add_argument("--nodata", type=float, help=argparse.SUPPRESS)
    parser.add_argument("--categorical", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def _default() -> str:
    from eolake.catalog.declaration import Cog

    default = Cog()
    return f"{default.compress}-{default.level}-{default.blocksize}"


# --- the sources: plain TIFFs in strips, as most providers write them ---


def _generated(folder: Path, size: int) -> list[Scene]:
    """Fields, relief and noise; a wedge without data, as every orbit leaves."""
    rng = np.random.default_rng(20_200_108)
    land = np.full((size, size), 900, np.float32)
    for cell, spread in ((1098, 400), (183, 250), (30, 120), (6, 40)):
        coarse = rng.normal(0, spread, (-(-size // cell),) * 2).astype(np.float32)
        land += np.repeat(np.repeat(coarse, cell, 0), cell, 1)[:size, :size]
    land += rng.normal(0, 25, land.shape).astype(np.float32)
    rows, columns = np.ogrid[:size, :size]
    empty = columns < (size - rows) * 0.3
    red = np.where(empty, 0, np.clip(land, 1, 10_000)).astype(np.uint16)
    half = slice(None, None, 2), slice(None, None, 2)
    classes = np.where(empty[half], 0, np.clip(land[half] // 300, 1, 11)).astype(np.uint8)
    index = np.where(empty[half], np.nan, np.tanh(land[half] / 2000)).astype(np.float32)
    return [
        _tiff(folder / "reflectance.tif", red, 0),
        _tiff(folder / "classes.tif", classes, 0, categorical=True),
        _tiff(folder / "index.tif", index, float("nan")),
    ]


def _tiff(path: Path, data: np.ndarray, nodata: float | None, *, categorical: bool = False) -> Scene:
    import rasterio

    rows, columns = data.shape
    grid = rasterio.Affine(10, 0, 600_000, 0, -10, 6_300_040)
    profile = {"driver": "GTiff", "height": rows, "width": columns, "count": 1, "dtype": data.dtype, "crs": "EPSG:32755", "transform": grid}
    with rasterio.open(path, "w", nodata=nodata, **profile) as target:
        target.write(data, 1)
    return Scene(path, str(data.dtype), nodata, categorical)


def _real(path: Path, folder: Path) -> Scene:
    from eolake.catalog import safe

    pixels = safe.read_raster(path, driver=_driver(path))
    return _tiff(folder / f"{path.stem}.tif", pixels.data, pixels.nodata)


def _jp2(scene: Scene) -> Scene:
    """The same raster as Sentinel-2 delivers it: lossless, tiles of 1024."""
    import rasterio.shutil

    path = scene.path.with_suffix(".jp2")
    options = {"REVERSIBLE": "YES", "QUALITY": 100, "BLOCKXSIZE": 1024, "BLOCKYSIZE": 1024}
    rasterio.shutil.copy(scene.path, path, driver="JP2OpenJPEG", **options)
    return Scene(path, scene.dtype, scene.nodata)


# --- one measurement ---


def _measure(contestant: str, scene: Scene, out: Path) -> dict[str, float]:
    others = {INCUMBENT: _incumbent, GDAL: _gdal, DECODE: _decode}
    work = others[contestant](scene, out) if contestant in others else _ours(contestant, scene, out)
    before, started = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    work()
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"wall": wall, "cpu": cpu, "peak": _peak(), "size": out.stat().st_size / MB if out.exists() else 0.0}


def _peak() -> float:
    """MB of resident memory at most; ru_maxrss would begin with the peak of the process that started this one."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024 / MB


def _incumbent(scene: Scene, out: Path) -> Callable[[], object]:
    from rio_cogeo.scripts.cli import cogeo

    return lambda: cogeo.main(["create", str(scene.path), str(out), "--quiet"], standalone_mode=False)


def _gdal(scene: Scene, out: Path) -> Callable[[], object]:
    """The COG driver with its defaults (LZW, no predictor, cubic or nearest overviews) and all processors."""
    import rasterio.shutil

    def convert() -> None:
        with rasterio.Env(GDAL_CACHEMAX=800 << 20, GDAL_NUM_THREADS="ALL_CPUS"):
            rasterio.shutil.copy(scene.path, out, driver="COG", num_threads="ALL_CPUS")

    return convert


def _decode(scene: Scene, out: Path) -> Callable[[], object]:  # noqa: ARG001 - writes nothing
    from eolake.catalog import safe

    return lambda: safe.read_raster(scene.path, driver=_driver(scene.path))


def _driver(path: Path) -> str:
    return "JP2OpenJPEG" if path.suffix == ".jp2" else "GTiff"


def _ours(contestant: str, scene: Scene, out: Path) -> Callable[[], object]:
    import rio_cogeo.cogeo  # noqa: F401 - imports are not measured

    from eolake.catalog import safe
    from eolake.catalog.cog import write_cog
    from eolake.catalog.declaration import Band, Class, Cog

    compress, level, blocksize = contestant.split("-")
    classes = tuple(Class(value=value, name=f"c{value}") for value in range(12)) if scene.categorical else ()
    band = Band(name="band", title="Band", dtype=scene.dtype, nodata=scene.nodata, classes=classes)
    own = {} if contestant == _default() else {"categorical_level": int(level)}
    profile = Cog(compress=compress, level=int(level), blocksize=int(blocksize), **own)
    return lambda: write_cog(safe.read_raster(scene.path, driver=_driver(scene.path)), band, profile, out)


def _rounds(scene: Scene, contestants: list[str], rounds: int, folder: Path) -> dict[str, list[dict[str, float]]]:
    found: dict[str, list[dict[str, float]]] = {name: [] for name in contestants}
    for number in range(rounds):
        for name in contestants[number % 2 :] + contestants[: number % 2]:
            out = folder / "out.tif"
            words = ["--one", name, "--source", str(scene.path), "--out", str(out), "--dtype", scene.dtype]
            words += [] if scene.nodata is None else ["--nodata", str(scene.nodata)]
            words += ["--categorical"] if scene.categorical else []
            done = subprocess.run([sys.executable, __file__, *words], capture_output=True, text=True, check=True)
            found[name].append(json.loads(done.stdout) | {"read": _read_seconds(out) if out.exists() else 0.0})
            out.unlink(missing_ok=True)
    return found


def _read_seconds(path: Path) -> float:
    """One thread decodes everything: what a worker of a cluster pays."""
    import rasterio

    with rasterio.Env(GDAL_NUM_THREADS=1), rasterio.open(path) as stored:
        started = time.process_time()
        stored.read(1)
        return time.process_time() - started


def _report(scene: Scene, found: dict[str, list[dict[str, float]]]) -> None:
    first = next(iter(found))
    print(f"\n{scene.path.name}: {scene.path.stat().st_size / MB:.0f} MB of {scene.dtype}, medians of {len(found[first])} rounds")
    print(f"{'':18} {'wall s':>7} {'best s':>7} {'cpu s':>7} {'MB':>7} {'peak MB':>8} {'read s':>7} |  wall  best   cpu  size ÷ {first}")
    for name, rounds in found.items():
        middle = {key: statistics.median(r[key] for r in rounds) for key in rounds[0]}
        ratios = {
            key: statistics.median(r[key] / i[key] if i[key] else float("nan") for r, i in zip(rounds, found[first], strict=True))
            for key in ("wall", "cpu", "size")
        }
        best, incumbent = (min(r["wall"] for r in of) for of in (rounds, found[first]))
        figures = (
            f"{middle['wall']:7.2f} {best:7.2f} {middle['cpu']:7.2f} {middle['size']:7.1f} {middle['peak']:8.0f} {middle['read']:7.2f}"
        )
        print(f"{name:18} {figures} | {ratios['wall']:5.2f} {best / incumbent:5.2f} {ratios['cpu']:5.2f} {ratios['size']:5.2f}", flush=True)


if __name__ == "__main__":
    main()
