"""Swaths onto a grid: eolake beside pyresample's k-d tree and GDAL's geolocation warp, full-size OLCI and SLSTR.

    .venv/bin/python bench/swath.py                   all cases
    .venv/bin/python bench/swath.py --case slstr_1km  one of them
    .venv/bin/python bench/swath.py --conversion      one product's way into COGs: the map's share of it

The swaths are made: lines of pixels across the track, wider towards the sides, turned as Sentinel-3 flies; OLCI repeats pixels at
its sides as the real one does, SLSTR's coordinates are moved by terrain. Each measurement is a process of its own that imports and reads
first; contestants take turns in every round. What is exact says a k-d tree over all pixels, for random cells within the swath.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
EARTH = 6_371_000.0
MB = 1e6
NONE = -1
CONTESTANTS = ("eolake", "pyresample", "gdal")


@dataclass(frozen=True)
class Case:
    """One swath and its grid."""

    shape: tuple[int, int]
    spacing: float
    """metres"""
    resolution: float
    repeats: bool = False
    terrain: float = 0.0
    """metres that pixels are moved by, at most"""
    centre: tuple[float, float] = (149.0, -33.0)


CASES = {
    "olci": Case((4091, 4865), 290.0, 0.0027, repeats=True),
    "olci_even": Case((4091, 4865), 270.0, 0.0027),
    "slstr_500m": Case((2400, 3000), 500.0, 0.005, terrain=60.0),
    "slstr_1km": Case((1200, 1500), 1000.0, 0.01, terrain=60.0),
    "antimeridian": Case((1200, 1500), 1000.0, 0.01, centre=(179.0, -33.0)),
}


def main() -> None:
    options = _options()
    if options.one:
        print(json.dumps(_measure(options.one, CASES[options.case], Path(options.folder))))
        return
    with tempfile.TemporaryDirectory(prefix="eolake-swath-") as folder:
        if options.conversion:
            _conversion(Path(folder), CASES[options.case or "olci"], options.bands)
            return
        for name in [options.case] if options.case else CASES:
            _make(CASES[name], Path(folder))
            _report(name, _rounds(name, options.rounds, Path(folder)))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--case", choices=CASES)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--conversion", action="store_true", help="read, map and encode the bands of one product")
    parser.add_argument("--bands", type=int, default=21, help="of the conversion")
    for name in ("--one", "--folder"):
        parser.add_argument(name, help=argparse.SUPPRESS)
    return parser.parse_args()


# --- swaths ---


def coordinates(case: Case) -> tuple[Array, Array]:
    """Longitudes and latitudes: a sphere seen from above, equidistant from the centre, flown at 193°."""
    rows, columns = case.shape
    across = np.linspace(-1, 1, columns)
    right = (across * 0.93 + across**3 * 0.07) * columns / 2 * case.spacing / EARTH
    down = (np.arange(rows) - rows / 2)[:, None] * case.spacing / EARTH
    turn = np.radians(13)
    x, y = right * np.cos(turn) - down * np.sin(turn), -right * np.sin(turn) - down * np.cos(turn)
    away = np.maximum(np.hypot(x, y), 1e-12)
    middle = np.radians(case.centre[1])
    latitude = np.arcsin(np.cos(away) * np.sin(middle) + y * np.sin(away) / away * np.cos(middle))
    longitude = np.arctan2(x * np.sin(away) / away, np.cos(away) * np.cos(middle) - y * np.sin(away) / away * np.sin(middle))
    degrees = [(np.degrees(longitude) + case.centre[0] + 180) % 360 - 180, np.degrees(latitude)]
    if case.terrain:
        degrees[0] += np.random.default_rng(1).uniform(-1, 1, case.shape) * case.terrain / 93_000
    if case.repeats:
        (twice,) = np.nonzero((np.arange(columns - 1) % 5 == 4) & (np.abs(across[:-1]) > 0.5))
        for values in degrees:
            values[:, twice] = values[:, twice + 1]
    return degrees[0], degrees[1]


def _make(case: Case, folder: Path) -> None:
    from pyproj import Geod
    from scipy.spatial import cKDTree

    longitude, latitude = coordinates(case)
    np.save(folder / "longitude.npy", longitude)
    np.save(folder / "latitude.npy", latitude)
    rng = np.random.default_rng(2)
    row, column = (rng.integers(20, side - 21, 2_500) for side in case.shape)
    near = rng.uniform(-1, 1, (2, 2_500)) * case.resolution / 3
    west, _, north, _ = _extent(case, longitude, latitude)
    at = (
        np.floor(((longitude[row, column] - west) % 360 + near[0]) / case.resolution),
        np.floor((north - latitude[row, column] + near[1]) / case.resolution),
    )
    places = west + (at[0] + 0.5) * case.resolution, north - (at[1] + 0.5) * case.resolution
    tree = cKDTree(_unit(longitude.ravel(), latitude.ravel()), balanced_tree=False, compact_nodes=False)
    _, hit = tree.query(_unit(*places))
    *_, best = Geod(a=EARTH, b=EARTH).inv(longitude.ravel()[hit], latitude.ravel()[hit], *places)
    np.savez(folder / "truth.npz", east=places[0], north=places[1], best=best)


def _unit(longitude: Array, latitude: Array) -> Array:
    east, north = np.radians(longitude), np.radians(latitude)
    return np.column_stack([np.cos(north) * np.cos(east), np.cos(north) * np.sin(east), np.sin(north)])


def _extent(case: Case, longitude: Array, latitude: Array) -> tuple[float, int, float, int]:
    """West, columns, north, rows: a grid around the swath, unwrapped."""
    middle = case.centre[0]
    near = (longitude[[0, -1]].ravel(), longitude[:, 0], longitude[:, -1])
    east = np.concatenate(near)
    east = (east - middle + 180) % 360 - 180 + middle
    west = np.floor(east.min() / case.resolution) * case.resolution
    north = np.ceil(latitude.max() / case.resolution) * case.resolution
    return west, int(np.ceil((east.max() - west) / case.resolution)), north, int(np.ceil((north - latitude.min()) / case.resolution))


# --- one measurement ---


def _measure(contestant: str, case: Case, folder: Path) -> dict[str, float]:
    longitude, latitude = np.load(folder / "longitude.npy"), np.load(folder / "latitude.npy")
    numbers = np.arange(longitude.size, dtype=np.int32).reshape(longitude.shape)
    counts = (numbers % 50_000).astype(np.uint16)
    work = {"eolake": _eolake, "pyresample": _pyresample, "gdal": _gdal}[contestant](case, longitude, latitude)
    cpu, started = time.process_time(), time.perf_counter()
    apply, west, north = work()
    build, build_cpu = time.perf_counter() - started, time.process_time() - cpu
    cpu, started = time.process_time(), time.perf_counter()
    apply(counts)
    band, band_cpu = time.perf_counter() - started, time.process_time() - cpu
    spent = {"build": build, "band": band, "all": build + 21 * band, "cpu": build_cpu + 21 * band_cpu}
    peak = _peak()
    return spent | {"peak": peak} | _exact(case, folder, (longitude, latitude), apply(numbers), (west, north))


def _peak() -> float:
    """MB of resident memory at most, the coordinates among them."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024 / MB


def _exact(case: Case, folder: Path, places: tuple[Array, Array], shown: Array, corner: tuple[float, float]) -> dict[str, float]:
    """Shares of the cells that show the nearest pixel, and that show none."""
    from pyproj import Geod

    truth = np.load(folder / "truth.npz")
    row = np.clip(np.floor((corner[1] - truth["north"]) / case.resolution).astype(int), 0, shown.shape[0] - 1)
    column = np.clip(np.floor((truth["east"] - corner[0]) / case.resolution).astype(int), 0, shown.shape[1] - 1)
    found = shown[row, column]
    chosen = np.where(found == NONE, 0, found).astype(int)
    *_, apart = Geod(a=EARTH, b=EARTH).inv(places[0].ravel()[chosen], places[1].ravel()[chosen], truth["east"], truth["north"])
    return {"exact": float(((found != NONE) & (apart <= truth["best"] + 0.05)).mean()), "empty": float((found == NONE).mean())}


Apply = Callable[[Array], Array]


def _eolake(case: Case, longitude: Array, latitude: Array) -> Callable[[], tuple[Apply, float, float]]:
    import scipy.spatial  # noqa: F401 - imports are not measured

    from eolake.catalog.sources import Grid
    from eolake.ingest.swath import build

    def work() -> tuple[Apply, float, float]:
        found = build(longitude, latitude, Grid(crs="EPSG:4326", resolution=case.resolution))
        return (lambda band: found.take(band, NONE if band.dtype.kind == "i" else 65535)), found.transform.c, found.transform.f

    return work


def _pyresample(case: Case, longitude: Array, latitude: Array) -> Callable[[], tuple[Apply, float, float]]:
    from pyresample import AreaDefinition, SwathDefinition, kd_tree

    west, columns, north, rows = _extent(case, longitude, latitude)
    extent = (west, north - rows * case.resolution, west + columns * case.resolution, north)
    area = AreaDefinition("grid", "grid", "grid", "EPSG:4326", columns, rows, extent)

    def work() -> tuple[Apply, float, float]:
        info = kd_tree.get_neighbour_info(SwathDefinition(longitude, latitude), area, case.spacing * 2, neighbours=1)

        def apply(band: Array) -> Array:
            fill = NONE if band.dtype.kind == "i" else 65535
            cells: Array = kd_tree.get_sample_from_neighbour_info("nn", area.shape, band, *info[:3], fill_value=fill)
            return cells

        return apply, west, north

    return work


def _gdal(case: Case, longitude: Array, latitude: Array) -> Callable[[], tuple[Apply, float, float]]:
    import rasterio
    from rasterio.warp import reproject

    west, columns, north, rows = _extent(case, longitude, latitude)
    grid = rasterio.Affine(case.resolution, 0, west, 0, -case.resolution, north)
    geolocation = np.stack([longitude, latitude])

    def apply(band: Array) -> Array:
        fill = NONE if band.dtype.kind == "i" else 65535
        cells = np.full((rows, columns), fill, band.dtype)
        degrees = rasterio.CRS.from_epsg(4326)
        words = {"src_crs": degrees, "dst_crs": degrees, "dst_transform": grid, "dst_nodata": fill, "num_threads": 2}
        reproject(band, cells, src_geoloc_array=geolocation, init_dest_nodata=False, **words)
        return cells

    return lambda: (apply, west, north)


def _rounds(name: str, rounds: int, folder: Path) -> dict[str, list[dict[str, float]]]:
    found: dict[str, list[dict[str, float]]] = {contestant: [] for contestant in CONTESTANTS}
    for number in range(rounds):
        for contestant in CONTESTANTS[number % 3 :] + CONTESTANTS[: number % 3]:
            words = ["--one", contestant, "--case", name, "--folder", str(folder)]
            done = subprocess.run([sys.executable, "-W", "ignore", __file__, *words], capture_output=True, text=True, check=False)
            if done.returncode:
                print(f"{contestant} failed: {done.stderr.strip().splitlines()[-1]}", flush=True)
            else:
                found[contestant].append(json.loads(done.stdout))
    return found


def _report(name: str, found: dict[str, list[dict[str, float]]]) -> None:
    case = CASES[name]
    print(f"\n{name}: {case.shape[0]} × {case.shape[1]} pixels, cells of {case.resolution}°, medians of {len(found['eolake'])} rounds")
    print(f"{'':12} {'build s':>8} {'band s':>7} {'21 bands':>9} {'cpu s':>8} {'peak MB':>8} {'exact':>7} {'empty':>7} | eolake: wall, cpu")
    ours = {key: statistics.median(each[key] for each in found["eolake"]) for key in ("all", "cpu")}
    for contestant, rounds in found.items():
        if rounds:
            middle = {key: statistics.median(each[key] for each in rounds) for key in rounds[0]}
            figures = f"{middle['build']:8.2f} {middle['band']:7.2f} {middle['all']:9.2f} {middle['cpu']:8.2f} {middle['peak']:8.0f}"
            shares = f"{middle['exact']:7.4f} {middle['empty']:7.4f}"
            ratios = f"{ours['all'] / middle['all']:5.2f} {ours['cpu'] / middle['cpu']:5.2f}"
            print(f"{contestant:12} {figures} {shares} | {ratios}", flush=True)


# --- a whole conversion ---


def _conversion(folder: Path, case: Case, bands: int) -> None:
    """Bands of noise over fields in NetCDF, packed as the real ones are; each step's seconds."""
    import rio_cogeo.cogeo  # noqa: F401 - imports are not measured

    from eolake.catalog.cog import write_cog
    from eolake.catalog.declaration import Band, Cog
    from eolake.catalog.draft import Pixels
    from eolake.catalog.safe.netcdf import open_netcdf
    from eolake.catalog.sources import Grid
    from eolake.ingest.swath import build

    _write(folder, case)
    spent = dict.fromkeys(("read", "map", "take", "encode"), 0.0)
    cpu = dict(spent)

    def timed(step: str, work: Callable[[], Any]) -> Any:
        started, began = time.perf_counter(), time.process_time()
        result = work()
        spent[step] += time.perf_counter() - started
        cpu[step] += time.process_time() - began
        return result

    with open_netcdf(folder / "geo.nc") as geo, open_netcdf(folder / "band.nc") as file:
        places = [timed("read", lambda name=name: geo.variable(name).read() * 1e-6) for name in ("longitude", "latitude")]
        found = timed("map", lambda: build(*places, Grid(crs="EPSG:4326", resolution=case.resolution)))
        places.clear()
        declared = Band(name="band", title="Band", dtype="uint16", nodata=65535)
        for _ in range(bands):
            counts = timed("read", file.variable("radiance").read)
            cells = timed("take", lambda counts=counts: found.take(counts, 65535))
            pixels = Pixels(data=cells, transform=found.transform, crs=found.crs, nodata=65535)
            timed("encode", lambda pixels=pixels: write_cog(pixels, declared, Cog(), folder / "band.tif"))
    for what, seconds in (("wall", spent), ("cpu", cpu)):
        alone, whole = seconds["read"] + seconds["encode"], sum(seconds.values())
        print(f"{bands} bands, {what}: " + ", ".join(f"{step} {each:.1f} s" for step, each in seconds.items()))
        print(f"the whole {whole:.1f} s, reading and encoding alone {alone:.1f} s: ratio {whole / alone:.2f}")
    print(f"peak {_peak():.0f} MB")


def _write(folder: Path, case: Case) -> None:
    import h5py

    longitude, latitude = coordinates(case)
    with h5py.File(folder / "geo.nc", "w") as file:
        for name, values in (("longitude", longitude), ("latitude", latitude)):
            file.create_dataset(name, data=np.rint(values * 1e6).astype(np.int32), compression="gzip", compression_opts=4, shuffle=True)
    rng = np.random.default_rng(3)
    fields = np.repeat(np.repeat(rng.integers(2_000, 6_000, (case.shape[0] // 30 + 1, case.shape[1] // 30 + 1)), 30, 0), 30, 1)
    counts = fields[: case.shape[0], : case.shape[1]] + rng.normal(0, 25, case.shape)
    with h5py.File(folder / "band.nc", "w") as file:
        file.create_dataset("radiance", data=counts.astype(np.uint16), compression="gzip", compression_opts=4, shuffle=True)


if __name__ == "__main__":
    main()
