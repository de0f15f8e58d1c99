"""Landsat 8 Collection 2 products of the synthetic landscape: Level-2 science products and Level-1 terrain-corrected ones.

Path 90, row 84 in UTM zone 55 (EPSG:32655, negative northings, as USGS delivers the southern
hemisphere). Real pixel sizes and pixel alignment; only the extent is cropped, to `size` × `size`
pixels of 30 m. The image is a slightly rotated square in its frame, so the corners are fill.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import rasterio
from numpy.typing import NDArray

from eolake.ingest.simulators.products import atmosphere
from eolake.ingest.simulators.products.grids import Grid, locate, profile, snap
from eolake.ingest.simulators.products.landsat_metadata import read_template, rescaling, write_angles, write_mtl
from eolake.ingest.simulators.products.landscape import Landscape, Surface
from eolake.ingest.simulators.products.noise import Array
from eolake.ingest.simulators.products.spectra import bands

Level = Literal["L2SP", "L1TP"]
Counts = NDArray[Any]

CRS = "EPSG:32655"
PATH, ROW, ZONE = 90, 84, 55
_TILT = 0.06
"""how far the image leans in its frame, as a share of its side"""
_REPROCESSED = datetime(2020, 8, 25, 0, 59, 51, tzinfo=UTC)
"""USGS made Collection 2 of the older scenes about then"""


@dataclass(frozen=True, kw_only=True)
class Scene:
    """One product to write; no slots, because the sampled landscape is kept."""

    level: Level
    when: datetime
    landscape: Landscape
    size: int
    cloud: float

    @property
    def generated(self) -> datetime:
        """When the product was processed."""
        return max(_REPROCESSED, (self.when + timedelta(days=9)).replace(microsecond=0))

    @property
    def name(self) -> str:
        """The product id."""
        return f"LC08_{self.level}_{PATH:03d}{ROW:03d}_{self.when:%Y%m%d}_{self.generated:%Y%m%d}_02_T1"

    @property
    def grid(self) -> Grid:
        """The 30 m grid: pixel centres at multiples of 30 m."""
        x, y = locate(self.landscape.site, CRS)
        reach = self.size // 2 * 30
        return Grid(crs=CRS, left=snap(x, 30) - reach - 15, top=snap(y, 30) + reach + 15, pixel=30, rows=self.size, columns=self.size)

    @property
    def pan(self) -> Grid:
        """The 15 m grid: its first pixel centre is that of the 30 m grid."""
        side = 2 * self.size - 1
        return Grid(crs=CRS, left=self.grid.left + 7.5, top=self.grid.top - 7.5, pixel=15, rows=side, columns=side)

    @property
    def frame(self) -> tuple[tuple[float, float], ...]:
        """(line, sample) of the image's corners UL, UR, LR, LL, counted in 30 m pixel centres."""
        last, lean = self.size - 1, _TILT * (self.size - 1)
        return (0.0, lean), (lean, float(last)), (float(last), last - lean), (last - lean, 0.0)

    def inside(self, grid: Grid) -> NDArray[np.bool_]:
        """True where `grid` has image."""
        left, top = self.grid.left + 15, self.grid.top - 15
        return grid.inside(tuple((left + 30 * sample, top - 30 * line) for line, sample in self.frame))

    def sample(self, grid: Grid) -> Surface:
        """The landscape on `grid`."""
        return self.landscape.sample(*grid.centres(), CRS, self.when, cloud=self.cloud)

    @cached_property
    def surface(self) -> Surface:
        """The landscape on the 30 m grid."""
        return self.sample(self.grid)

    @cached_property
    def image(self) -> NDArray[np.bool_]:
        """True where the 30 m grid has image."""
        return self.inside(self.grid)

    @property
    def panchromatic(self) -> tuple[Grid, Surface, NDArray[np.bool_]]:
        """The 15 m grid, the landscape on it and where it has image."""
        return self.pan, self.sample(self.pan), self.inside(self.pan)


def write_landsat(scene: Scene, folder: Path) -> Path:
    """Writes `scene` as a directory of its name below `folder`; returns the directory."""
    target = folder / scene.name
    target.mkdir(parents=True)
    stem = target / scene.name
    for ending, (counts, grid, nodata) in (_level2(scene) if scene.level == "L2SP" else _level1(scene)).items():
        _write_tiff(target / f"{scene.name}_{ending}.TIF", counts, grid, nodata)
    values = _values(scene)
    write_mtl(read_template(f"landsat_{scene.level.lower()}.mtl", values), stem)
    write_angles(stem, values, scene.surface.sun, scene.frame)
    return target


def _write_tiff(path: Path, counts: Counts, grid: Grid, nodata: float | None) -> None:
    """A cloud-optimised GeoTIFF whose tie point is the pixel centre, as in Collection 2."""
    options = {"driver": "COG", "blocksize": 256, "compress": "deflate", "level": 1, "predictor": 2, "overview_resampling": "nearest"}
    with rasterio.open(path, "w", **profile(grid, counts.dtype.name), **options, nodata=nodata) as target:
        target.update_tags(AREA_OR_POINT="Point")
        target.write(counts, 1)


def _level2(scene: Scene) -> dict[str, tuple[Counts, Grid, float | None]]:
    surface, grid = scene.surface, scene.grid
    layers: dict[str, tuple[Counts, Grid, float | None]] = {}
    for name, band in list(bands("landsat_8").items())[:7]:
        layers[f"SR_{name}"] = (_scaled(surface.reflectance(band), 2.75e-5, -0.2, scene.image), grid, 0)
    layers["ST_B10"] = (_scaled(surface.temperature, 0.00341802, 149.0, scene.image), grid, 0)
    layers["SR_QA_AEROSOL"] = (aerosol_quality(surface, scene.image), grid, 1)
    for name, layer in _thermal(surface).items():
        layers[name] = (np.where(scene.image, np.rint(layer), -9999).astype(np.int16), grid, -9999)
    return {**layers, **_quality(scene)}


def _level1(scene: Scene) -> dict[str, tuple[Counts, Grid, float | None]]:
    surface, grid = scene.surface, scene.grid
    sine = float(np.sin(np.radians(surface.sun.elevation)))
    layers: dict[str, tuple[Counts, Grid, float | None]] = {}
    for name, band in bands("landsat_8").items():
        place, seen, image = (grid, surface, scene.image) if band.pixel == 30 else scene.panchromatic
        counts = _scaled(atmosphere.top_of_atmosphere(seen.reflectance(band), band) * sine, 2e-5, -0.1, image)
        layers[name] = (counts, place, 0)
    for number in (10, 11):
        radiance = atmosphere.thermal_radiance(surface.temperature, emissivity(surface), number)
        layers[f"B{number}"] = (_scaled(radiance, 3.342e-4, 0.1, scene.image), grid, 0)
    for name, degrees in (("SAA", surface.sun.azimuth), ("SZA", surface.sun.zenith), ("VAA", 101.5), ("VZA", 2.4)):
        layers[name] = (np.where(scene.image, np.int16(round(degrees * 100)), np.int16(0)), grid, 0)
    return {**layers, **_quality(scene)}


def _scaled(physical: Array, scale: float, offset: float, image: NDArray[np.bool_]) -> Counts:
    """uint16 counts 1–65535; 0 is fill."""
    counts = np.clip(np.rint((physical - offset) / scale), 1, 65535)
    return np.where(image, counts, 0).astype(np.uint16)


def emissivity(surface: Surface) -> Array:
    """Of the thermal band: vegetation and water near a black body, soil and char less."""
    cover = surface.fractions
    dry = cover["soil"] + 0.6 * cover["char"]
    return np.asarray(0.985 - 0.025 * dry * (1 - surface.cloud))


def _thermal(surface: Surface) -> dict[str, Array]:
    """The intermediate bands of surface temperature in their counts (scale factors: USGS LSDS-1619 table 6-2)."""
    shape = np.ones(surface.elevation.shape)
    emitted = emissivity(surface)
    distance = cloud_distance(surface.cloud > 0.5)
    return {
        "ST_TRAD": 1000 * atmosphere.thermal_radiance(surface.temperature, emitted, 10),
        "ST_URAD": 1000 * atmosphere.UPWELLING * shape,
        "ST_DRAD": 1000 * atmosphere.DOWNWELLING * shape,
        "ST_ATRAN": 10000 * atmosphere.TRANSMITTANCE * shape,
        "ST_EMIS": 10000 * emitted,
        "ST_EMSD": 85 * shape,
        "ST_CDIST": np.minimum(100 * distance, 24000),
        "ST_QA": 100 * (1.6 + 2.0 / (1 + distance)),
    }


def cloud_distance(cloud: NDArray[np.bool_]) -> Array:
    """City-block distance to the nearest cloud, km; 240 where there is none."""
    rows = np.arange(cloud.shape[0])[:, None]
    columns = np.arange(cloud.shape[1])[None, :]
    along = _nearest(np.where(cloud, 0.0, 8000.0), columns, 1)
    return _nearest(along, rows, 0) * 0.03


def _nearest(distance: Array, index: NDArray[np.int64], axis: int) -> Array:
    """min over k of distance[k] + |i - k|: one pass from either side."""
    forward = np.minimum.accumulate(distance - index, axis) + index
    backward = np.flip(np.minimum.accumulate(np.flip(distance + index, axis), axis), axis) - index
    return np.asarray(np.minimum(forward, backward))


def aerosol_quality(surface: Surface, image: NDArray[np.bool_]) -> Counts:
    """SR_QA_AEROSOL: retrieved in the centre of each 3 × 3 window, interpolated elsewhere; high over cloud; 1 is fill."""
    rows, columns = np.indices(image.shape)
    low = np.where((rows % 3 == 1) & (columns % 3 == 1), 0b0100_0010, 0b0110_0000)
    quality = np.where(surface.cloud > 0.5, 0b1110_0000, np.where(surface.water, 0b0100_0100, low))
    return np.where(image, quality, 1).astype(np.uint8)


def pixel_quality(surface: Surface, image: NDArray[np.bool_]) -> Counts:
    """QA_PIXEL: bit field of LSDS-1619 table 6-3; 1 is fill."""
    cloud, dilated = surface.cloud > 0.5, (surface.cloud > 0.05) & (surface.cloud <= 0.5)
    shadow = (surface.shadow > 0.5) & ~cloud
    bits = np.full(image.shape, 0b0101_0101_0000_0000, np.uint16)  # every confidence: low
    bits |= np.where(cloud, (1 << 3) | (0b10 << 8), 1 << 6).astype(np.uint16)
    bits |= np.where(dilated, 1 << 1, 0).astype(np.uint16)
    bits |= np.where(shadow, (1 << 4) | (0b10 << 10), 0).astype(np.uint16)
    bits |= np.where(surface.water & ~cloud, 1 << 7, 0).astype(np.uint16)
    return np.where(image, bits, np.uint16(1))


def _quality(scene: Scene) -> dict[str, tuple[Counts, Grid, float | None]]:
    saturation = np.zeros(scene.image.shape, np.uint16)
    return {"QA_PIXEL": (pixel_quality(scene.surface, scene.image), scene.grid, 1), "QA_RADSAT": (saturation, scene.grid, None)}


def _values(scene: Scene) -> dict[str, Any]:
    when, sun = scene.when, scene.surface.sun
    cloudy = scene.surface.cloud[scene.image] > 0.5
    land = ~scene.surface.water[scene.image]
    level1 = scene.name.replace("_L2SP_", "_L1TP_")
    return {
        "product": scene.name,
        "level1": level1,
        "scene": f"LC8{PATH:03d}{ROW:03d}{when:%Y%j}LGN00",
        "path": PATH,
        "row": ROW,
        "zone": ZONE,
        "date": f"{when:%Y-%m-%d}",
        "time": f"{when:%H:%M:%S.%f}0Z",
        "stamp": f"{when:%Y%m%d%H%M%S}",
        "quarter": f"{when.year}{(when.month - 1) // 3 * 3 + 1:02d}01_{when.year}{(when.month - 1) // 3 * 3 + 3:02d}30",
        "generated": f"{scene.generated:%Y-%m-%dT%H:%M:%SZ}",
        "generated1": f"{scene.generated - timedelta(minutes=10):%Y-%m-%dT%H:%M:%SZ}",
        "cloud_cover": f"{100 * cloudy.mean():.2f}",
        "cloud_cover_land": f"{100 * cloudy[land].mean() if land.any() else 0.0:.2f}",
        "sun_azimuth": f"{(sun.azimuth + 180) % 360 - 180:.8f}",
        "sun_elevation": f"{sun.elevation:.8f}",
        "distance": f"{sun.distance:.7f}",
        "lines": scene.grid.rows,
        "samples": scene.grid.columns,
        "pan_lines": scene.pan.rows,
        "pan_samples": scene.pan.columns,
        **_corners(scene.grid),
        **rescaling(sun.distance),
    }


def _corners(grid: Grid) -> dict[str, str]:
    """Centres of the corner pixels: projected and geographic."""
    left, bottom, right, top = grid.bounds
    half = grid.pixel / 2
    left, bottom, right, top = left + half, bottom + half, right - half, top - half
    places = {"UL": (left, top), "UR": (right, top), "LL": (left, bottom), "LR": (right, bottom)}
    values: dict[str, str] = {}
    for (name, (x, y)), (lon, lat) in zip(places.items(), grid.geographic(tuple(places.values())), strict=True):
        values |= {f"{name}_X": f"{x:.3f}", f"{name}_Y": f"{y:.3f}", f"{name}_LON": f"{lon:.5f}", f"{name}_LAT": f"{lat:.5f}"}
    return values
