"""Sentinel-2 L2A and L1C products of the synthetic landscape, as ESA's SAFE trees.

Tile 56HKH (EPSG:32756), relative orbit 73. Real pixel sizes (10, 20 and 60 m) and pixel alignment;
only the extent is cropped, to `size` × `size` pixels of 10 m, and the tile metadata states it
(NROWS, NCOLS, ULX, ULY), so GDAL's SENTINEL2 driver opens the product as it opens a real one. The
swath ends inside the tile, so one slanted side has no data. Baselines before 04.00 have no offset
and masks in GML; from 04.00 on counts are 1000 higher and masks are JPEG 2000.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import rasterio
from numpy.typing import NDArray

from eolake.catalog.errors import UsageError
from eolake.ingest.simulators.products.atmosphere import top_of_atmosphere
from eolake.ingest.simulators.products.grids import Grid, Points, locate, profile, snap
from eolake.ingest.simulators.products.landscape import Landscape, Surface
from eolake.ingest.simulators.products.spectra import Band, bands

Level = Literal["L2A", "L1C"]
Counts = NDArray[Any]

CRS = "EPSG:32756"
TILE = "56HKH"
_TILE_CORNER = (199980, 6300040)
"""ULX, ULY of the real tile"""
_EDGE = 0.05
"""share of the width that the swath's end cuts off at the foot of the tile"""
_REPROCESSED = datetime(2023, 5, 25, 3, 12, 47, tzinfo=UTC)
"""ESA made Collection 1 (baseline 05.00) of the older scenes about then"""
_RELATIVE_ORBIT = 73
_CYCLE = 143
_ORBITS = {"S2A": (datetime(2017, 12, 7, 0, 20, 51, tzinfo=UTC), 12840, 2), "S2B": (datetime(2018, 6, 17, 0, 11, 9, tzinfo=UTC), 6677, -27)}
"""A pass with its absolute orbit, and what leads to the relative one: (absolute + shift) modulo 143, plus 1."""
DETECTOR = 5
"""of the twelve, the one that saw everything"""
L2A_BANDS = {
    10: ("B02", "B03", "B04", "B08"),
    20: ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B8A", "B11", "B12"),
    60: ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B8A", "B09", "B11", "B12"),
}
"""Bands of Level-2A by pixel size; B01 at 20 m from baseline 04.00 on."""


@dataclass(frozen=True, kw_only=True)
class Scene:
    """One product to write; no slots, because what is computed once is kept."""

    level: Level
    when: datetime
    """PRODUCT_START_TIME: the start of the datatake"""
    landscape: Landscape
    size: int
    cloud: float
    baseline: str

    def __post_init__(self) -> None:
        """UsageError for a baseline that ESA never had."""
        if not re.fullmatch(r"0[2-5]\.\d\d", self.baseline):
            raise UsageError(f'baseline {self.baseline!r}: write "02.13" or "05.00"')

    @property
    def offset(self) -> int:
        """What is added to the counts."""
        return 1000 if self.modern else 0

    @property
    def modern(self) -> bool:
        """Baseline 04.00 or later."""
        return self.baseline >= "04.00"

    @cached_property
    def _pass(self) -> tuple[str, int, int]:
        """Unit, absolute and relative orbit: of the unit that flies over the tile at `when`."""
        passes = []
        for unit, (start, number, shift) in _ORBITS.items():
            orbit = number + round((self.when - start) / timedelta(days=10) * _CYCLE)
            passes.append((unit, orbit, (orbit + shift) % _CYCLE + 1))
        return min(passes, key=lambda one: abs(one[2] - _RELATIVE_ORBIT))

    @property
    def unit(self) -> str:
        """S2A or S2B."""
        return self._pass[0]

    @property
    def orbit(self) -> int:
        """Absolute orbit number."""
        return self._pass[1]

    @property
    def relative_orbit(self) -> int:
        """1–143"""
        return self._pass[2]

    @property
    def generated(self) -> datetime:
        """When the product was processed."""
        soon = (self.when + timedelta(hours=2, minutes=29)).replace(microsecond=0)
        return max(soon, _REPROCESSED) if self.modern else soon

    @property
    def sensing(self) -> datetime:
        """When the tile was seen: two minutes into the datatake."""
        return self.when + timedelta(seconds=123)

    @property
    def centre(self) -> str:
        """The processing centre."""
        return "S2RP" if self.modern else "EPAE"

    @property
    def name(self) -> str:
        """The product name with .SAFE."""
        baseline = self.baseline.replace(".", "")
        orbit = f"R{self.relative_orbit:03d}"
        return f"{self.unit}_MSI{self.level}_{self.when:%Y%m%dT%H%M%S}_N{baseline}_{orbit}_T{TILE}_{self.generated:%Y%m%dT%H%M%S}.SAFE"

    @property
    def granule(self) -> str:
        """The folder below GRANULE."""
        return f"{self.level}_T{TILE}_A{self.orbit:06d}_{self.sensing:%Y%m%dT%H%M%S}"

    @property
    def datastrip(self) -> str:
        """The folder below DATASTRIP."""
        return f"DS_{self.centre}_{self.generated:%Y%m%dT%H%M%S}_S{self.sensing:%Y%m%dT%H%M%S}"

    @property
    def stem(self) -> str:
        """What the names of images begin with."""
        return f"T{TILE}_{self.when:%Y%m%dT%H%M%S}"

    def grid(self, pixel: int) -> Grid:
        """The grid of 10, 20 or 60 m; all have one upper left corner, a multiple of 60 m from the tile's."""
        x, y = locate(self.landscape.site, CRS)
        left = _TILE_CORNER[0] + snap(x - 5 * self.size - _TILE_CORNER[0], 60)
        top = _TILE_CORNER[1] + snap(y + 5 * self.size - _TILE_CORNER[1], 60)
        side = self.size * 10 // pixel
        return Grid(crs=CRS, left=left, top=top, pixel=pixel, rows=side, columns=side)

    @property
    def footprint(self) -> Points:
        """Corners of what the satellite saw, clockwise from the upper left, projected."""
        left, bottom, right, top = self.grid(10).bounds
        return (left, top), (right, top), (right - _EDGE * (right - left), bottom), (left, bottom)

    @cached_property
    def surfaces(self) -> dict[int, tuple[Surface, NDArray[np.bool_]]]:
        """The landscape and where it was seen, by pixel size."""
        seen = {}
        for pixel in (10, 20, 60):
            grid = self.grid(pixel)
            surface = self.landscape.sample(*grid.centres(), CRS, self.when, cloud=self.cloud)
            seen[pixel] = (surface, grid.inside(self.footprint))
        return seen

    def counts(self, band: Band, pixel: int) -> Counts:
        """uint16 counts of `band` at `pixel` m: reflectance × 10000 + offset, at least 1; 0 where nothing was seen."""
        surface, seen = self.surfaces[pixel]
        reflectance = surface.reflectance(band)
        if self.level == "L1C":
            reflectance = top_of_atmosphere(reflectance, band)
        counts = np.clip(np.rint(reflectance * 10000) + self.offset, 1, 65534)
        return np.where(seen, counts, 0).astype(np.uint16)

    @cached_property
    def classes(self) -> dict[int, Counts]:
        """Scene classification (SCL) by pixel size, 20 and 60 m."""
        return {pixel: scene_classes(*self.surfaces[pixel]) for pixel in (20, 60)}


def scene_classes(surface: Surface, seen: NDArray[np.bool_]) -> Counts:
    """SCL: 0 no data, 3 cloud shadow, 4 vegetation, 5 not vegetated, 6 water, 8 and 9 cloud, 10 thin cirrus."""
    green = surface.fractions["forest"] + surface.fractions["grass"]
    ground = np.where(surface.water, 6, np.where(green > 0.5, 4, 5))
    ground = np.where(surface.shadow > 0.5, 3, ground)
    clouds = np.select([surface.cloud > 0.8, surface.cloud > 0.3, surface.cloud > 0.05], [9, 8, 10], ground)
    return np.where(seen, clouds, 0).astype(np.uint8)


def write_jp2(path: Path, layers: Counts, grid: Grid) -> None:
    """Lossless JPEG 2000 with geolocation; `layers` is (rows, columns) or (bands, rows, columns)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    layers = layers if layers.ndim == 3 else layers[None]
    options = {"driver": "JP2OpenJPEG", "quality": "100", "reversible": "YES", "ycbcr420": "NO", "ycc": "NO"}
    with rasterio.open(path, "w", **profile(grid, layers.dtype.name, len(layers)), **options) as target:
        target.write(layers)


def image_layers(scene: Scene) -> Iterator[tuple[str, Counts, Grid]]:
    """Path below the granule (without .jp2), counts and grid of every image, in the order of the metadata."""
    table = bands("sentinel_2")
    if scene.level == "L1C":
        for band in table.values():
            yield f"IMG_DATA/{scene.stem}_{band.name}", scene.counts(band, band.pixel), scene.grid(band.pixel)
        yield f"IMG_DATA/{scene.stem}_TCI", true_colour(scene, 10), scene.grid(10)
        return
    for pixel, names in L2A_BANDS.items():
        for name, counts in _level2_layers(scene, pixel, names):
            yield f"IMG_DATA/R{pixel}m/{scene.stem}_{name}_{pixel}m", counts, scene.grid(pixel)


def _level2_layers(scene: Scene, pixel: int, names: tuple[str, ...]) -> Iterator[tuple[str, Counts]]:
    surface, seen = scene.surfaces[pixel]
    yield "AOT", np.where(seen, np.rint(90 + 120 * surface.cloud), 0).astype(np.uint16)
    for name in names:
        if name != "B01" or pixel == 60 or scene.modern:
            yield name, scene.counts(bands("sentinel_2")[name], pixel)
    if pixel > 10:
        yield "SCL", scene.classes[pixel]
    yield "TCI", true_colour(scene, pixel)
    yield "WVP", np.where(seen, np.rint(2600 - 1.1 * surface.elevation), 0).astype(np.uint16)


def true_colour(scene: Scene, pixel: int) -> Counts:
    """(3, rows, columns) uint8: red, green, blue up to a reflectance of 0.3558; 0 where nothing was seen."""
    surface, seen = scene.surfaces[pixel]
    table = bands("sentinel_2")
    layers = [np.where(seen, np.clip(surface.reflectance(table[name]) / 0.3558 * 254 + 1, 1, 255), 0) for name in ("B04", "B03", "B02")]
    return np.stack(layers).astype(np.uint8)


def mask_layers(scene: Scene) -> Iterator[tuple[str, Counts, Grid]]:
    """Path below the granule (without .jp2), values and grid of the masks that are rasters."""
    if scene.level == "L2A":
        for pixel in (20, 60):
            cloud = np.rint(100 * scene.surfaces[pixel][0].cloud).astype(np.uint8)
            yield f"QI_DATA/MSK_CLDPRB_{pixel}m", cloud, scene.grid(pixel)
            yield f"QI_DATA/MSK_SNWPRB_{pixel}m", np.zeros_like(cloud), scene.grid(pixel)
    if not scene.modern:
        return
    opaque = (scene.surfaces[60][0].cloud > 0.5).astype(np.uint8)
    yield "QI_DATA/MSK_CLASSI_B00", np.stack([opaque, np.zeros_like(opaque), np.zeros_like(opaque)]), scene.grid(60)
    for band in bands("sentinel_2").values():
        footprint = np.where(scene.surfaces[band.pixel][1], DETECTOR, 0).astype(np.uint8)
        yield f"QI_DATA/MSK_DETFOO_{band.name}", footprint, scene.grid(band.pixel)


def preview(scene: Scene) -> tuple[Counts, Grid]:
    """The quicklook (PVI): true colour of about 320 m."""
    colour, grid = true_colour(scene, 60), scene.grid(60)
    side = max(scene.size * 10 // 320, 8)
    picked = (np.arange(side) * grid.rows) // side
    pixel = grid.rows * grid.pixel / side
    return colour[:, picked][:, :, picked], Grid(crs=CRS, left=grid.left, top=grid.top, pixel=pixel, rows=side, columns=side)
