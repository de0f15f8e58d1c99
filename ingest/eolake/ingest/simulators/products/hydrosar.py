"""HyP3 packages of Sentinel-1 over a simulated flood: RTC_GAMMA (backscatter) and WATER_MAP (HydroSAR).

Heights above the nearest drainage are a function of the place, the water level one of the time: so the flood rises and falls
through the packages of several dates, and its truth is known everywhere. Real names, files, data types and nodata values; KMZ
and shapefiles are left out. Grids are those of HyP3: UTM on WGS 84, 30 m.
"""

from __future__ import annotations

import hashlib
import math
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import rasterio
from numpy.typing import NDArray
from pyproj import Transformer

from eolake.catalog.errors import UsageError
from eolake.ingest.simulators.products.containers import pack
from eolake.ingest.simulators.products.grids import Grid, locate, profile, snap
from eolake.ingest.simulators.products.noise import Array, fractal, hashed, noise

Kind = Literal["rtc", "water"]
Polarisation = Literal["DV", "DH", "SV", "SH"]
Container = Literal["dir", "zip", "loose"]

SITE = (151.05, -33.60)
"""Longitude and latitude: the lower Hawkesbury, flooded in February and March; the flood itself is invented."""
PEAK = datetime(2020, 2, 10, 6, tzinfo=UTC)
CRS = "EPSG:32756"
POLARISATIONS: dict[Polarisation, tuple[str, ...]] = {"DV": ("VV", "VH"), "DH": ("HH", "HV"), "SV": ("VV",), "SH": ("HH",)}
CROSS = 0.22
"""Backscatter of the cross polarisation as a share of the other one."""
NOTHING = -1.0
"""Depth without data."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Flood:
    """A flood with known truth: same seed, same flood."""

    seed: int = 2020
    peak: datetime = PEAK
    site: tuple[float, float] = SITE

    def level(self, when: datetime) -> float:
        """Metres of water above the usual level: up within two days, down within ten."""
        days = (when - self.peak).total_seconds() / 86400
        return 7.0 * math.exp(-0.5 * (days / (2.0 if days < 0 else 5.0)) ** 2)

    def hand(self, x: Array, y: Array, crs: str) -> Array:
        """Metres above the nearest drainage; 0 is water at any time."""
        to_albers = Transformer.from_crs(crs, 3577, always_xy=True)
        origin = Transformer.from_crs(4326, 3577, always_xy=True).transform(*self.site)
        east, north = (np.asarray(value) - start for value, start in zip(to_albers.transform(x, y), origin, strict=True))
        warp = 500.0 * noise(east, north, 1900.0, self.seed + 1)
        valley = np.abs(fractal(east + warp, north - warp, 5200.0, 3, self.seed))
        return np.maximum(valley - 0.03, 0.0) * 90.0

    def depth(self, x: Array, y: Array, crs: str, when: datetime) -> Array:
        """Metres of water above the ground, beside the usual one; 0 where it is dry."""
        return np.maximum(self.level(when) - self.hand(x, y, crs), 0.0)


@dataclass(frozen=True, kw_only=True)
class Package:
    """One package to write; no slots, because the sampled flood is kept."""

    kind: Kind
    when: datetime
    flood: Flood
    size: int
    polarisation: Polarisation = "DV"
    everything: bool = True
    """With what can be ordered besides: elevations, angles, areas, colours; of water maps the depths."""

    @property
    def name(self) -> str:
        """S1A_IW_20200210T192000_DVP_RTC30_G_gpuned_1A2B"""
        unique = hashlib.sha256(f"{self.kind} {self.flood.seed} {self.when:%Y%m%dT%H%M%S} {self.polarisation}".encode()).hexdigest()[:4]
        return f"S1A_IW_{self.when:%Y%m%dT%H%M%S}_{self.polarisation}P_RTC30_G_gpuned_{unique.upper()}"

    @property
    def grid(self) -> Grid:
        """30 m."""
        x, y = locate(self.flood.site, CRS)
        reach = self.size // 2 * 30
        return Grid(crs=CRS, left=snap(x, 30) - reach, top=snap(y, 30) + reach, pixel=30, rows=self.size, columns=self.size)

    @cached_property
    def image(self) -> NDArray[np.bool_]:
        """Where the tilted frame of the scene has data."""
        side, lean = self.size * 30.0, 0.08 * self.size * 30.0
        left, top = self.grid.left, self.grid.top
        corners = ((left + lean, top), (left + side, top - lean), (left + side - lean, top - side), (left, top - side + lean))
        return self.grid.inside(corners)

    @cached_property
    def hand(self) -> Array:
        """Metres above the nearest drainage."""
        return self.flood.hand(*self.grid.centres(), CRS)

    @property
    def depth(self) -> Array:
        """Metres of flood water; 0 where it is dry."""
        return np.maximum(self.flood.level(self.when) - self.hand, 0.0)

    @property
    def known(self) -> NDArray[np.bool_]:
        """Water at any time."""
        return np.asarray(self.hand == 0)

    @property
    def water(self) -> NDArray[np.bool_]:
        """Water at this time."""
        return np.asarray((self.depth > 0) | self.known)

    def backscatter(self, polarisation: str) -> NDArray[np.float32]:
        """Gamma nought as power, with speckle; 0 outside of the image."""
        places = np.indices(self.image.shape, dtype=np.int64)
        stamp = self.flood.seed + int(self.when.timestamp())
        speckle = np.exp(0.35 * (hashed(places[1], places[0], stamp) + hashed(places[0], places[1], stamp + 1)))
        ground = np.where(self.water, 0.008, 0.12 + 0.002 * np.minimum(self.hand, 30.0))
        power = ground * speckle * (1.0 if polarisation in {"VV", "HH"} else CROSS)
        return np.where(self.image, power, 0.0).astype(np.float32)


def generate_hydrosar(
    kind: Kind,
    when: datetime,
    folder: Path,
    *,
    flood: Flood | None = None,
    size: int = 300,
    polarisation: Polarisation = "DV",
    container: Container = "zip",
    everything: bool = True,
) -> Path:
    """Write one package of the flood at `when` (aware) below `folder` and return its path.

    `size`: side in pixels of 30 m. `container`: `zip` as HyP3 delivers it, its folder, or `loose` files side by side: then nothing
    lies at the path that is returned, and the files' names begin with it. Same arguments, same bytes. UsageError for a time
    without zone, water maps of single polarisations (HyP3 makes none), and when the package is there already."""
    if when.tzinfo is None:
        raise UsageError(f"{when} has no time zone; write 2020-02-10T19:20:00Z")
    if kind == "water" and polarisation != "DV":
        raise UsageError(f"water maps are made from VV and VH; {polarisation} has others")
    made = Package(
        kind=kind, when=when.astimezone(UTC), flood=flood or Flood(), size=size, polarisation=polarisation, everything=everything
    )
    target = folder / (f"{made.name}.zip" if container == "zip" else made.name)
    if target.exists() or (container == "loose" and list(folder.glob(f"{made.name}_*"))):
        raise UsageError(f"{target} is already there; remove it or choose another folder")
    workspace = folder / f".{made.name}.part"
    shutil.rmtree(workspace, ignore_errors=True)
    written = workspace / made.name
    written.mkdir(parents=True)
    _write(made, written)
    if container == "loose":
        for file in sorted(written.iterdir()):
            file.rename(folder / file.name)
    else:
        pack(written, container, when=made.when, wrap=True).rename(target)
    shutil.rmtree(workspace)
    return target


def _write(made: Package, folder: Path) -> None:
    stem = folder / made.name
    for ending, (layers, nodata) in _rasters(made):
        path = Path(f"{stem}_{ending}.tif")
        with rasterio.open(path, "w", **profile(made.grid, layers[0].dtype.name, len(layers)), **_COG, nodata=nodata) as target:
            target.update_tags(AREA_OR_POINT="Point")
            for number, layer in enumerate(layers, 1):
                target.write(layer, number)
        Path(f"{path}.xml").write_text(_XML.format(name=path.name))
    picture = np.clip(made.backscatter(POLARISATIONS[made.polarisation][0]) * 850, 0, 255).astype(np.uint8)
    with rasterio.open(f"{stem}.png", "w", driver="PNG", **profile(made.grid, "uint8")) as target:
        target.write(picture, 1)
    Path(f"{stem}.README.md.txt").write_text(_README.format(name=made.name, kind=made.kind, when=made.when))
    Path(f"{stem}.log").write_text(f"{made.when:%m/%d/%Y %I:%M:%S %p} - INFO - Output name             : {made.name}\n")


_COG = {"driver": "COG", "blocksize": 256, "compress": "deflate", "level": 1, "overview_resampling": "nearest"}
_XML = """<?xml version="1.0" encoding="UTF-8"?>
<metadata xml:lang="en"><dataIdInfo><idCitation><resTitle>{name}</resTitle></idCitation></dataIdInfo></metadata>
"""
_README = """ASF Sentinel-1 {kind} Data Package (simulated)
==============================================
{name}, acquired {when:%Y-%m-%dT%H:%M:%SZ}. Every value of it is invented.
"""

Layers = tuple[list[NDArray[Any]], float | None]


def _rasters(made: Package) -> Iterator[tuple[str, Layers]]:
    """Ending of the file, its layers and its nodata value."""
    powers = {name: made.backscatter(name) for name in POLARISATIONS[made.polarisation]}
    for name, power in powers.items():
        yield name, ([power], 0)
    image = made.image
    yield "ls_map", ([np.where(image, 1 + 4 * (made.hand > 28) + 16 * (made.hand > 34), 0).astype(np.uint8)], 0)
    if made.everything or made.kind == "water":
        yield "dem", ([np.rint(made.hand + 4.0).astype(np.int16)], None)
        if len(powers) == 2:
            red, green = (np.clip(np.sqrt(power) * 400, 1, 255) for power in powers.values())
            yield "rgb", ([np.where(image, layer, 0).astype(np.uint8) for layer in (red, green, 255 - red)], 0)
    if made.everything and made.kind == "rtc":
        angle = 0.55 + 0.25 * np.linspace(0, 1, made.size)[None, :] + 0 * made.hand
        yield "inc_map", ([np.where(image, angle, 0).astype(np.float32)], 0)
        yield "area", ([np.where(image, 900 / np.sin(angle), 0).astype(np.float32)], 0)
    if made.kind == "water":
        yield from _water(made)


def _water(made: Package) -> Iterator[tuple[str, Layers]]:
    image, depth = made.image, made.depth
    yield "WM", ([np.where(image, made.water, 255).astype(np.uint8)], 255)
    yield "WM_HAND", ([made.hand.astype(np.float32)], math.nan)
    if made.everything:
        known = 1.5 * made.known
        yield "FM_iterative_PW", ([made.known.astype(np.uint8)], 0)
        yield "FM_iterative_WaterDepth", ([np.where(image, depth + known, NOTHING)], NOTHING)
        yield "FM_iterative_FloodMask", ([np.where(image, made.water, 255).astype(np.uint8)], 255)
        yield "FM_iterative_FloodDepth", ([np.where(image & ~made.known, depth, np.where(image, 0.0, NOTHING))], NOTHING)
