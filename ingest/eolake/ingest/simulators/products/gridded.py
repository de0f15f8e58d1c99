"""A CF grid in NetCDF-4 as ocean and climate services make it: packed temperatures by time, latitude and longitude."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eolake.catalog.errors import UsageError
from eolake.ingest.simulators.products.netcdf import NetcdfFile
from eolake.ingest.simulators.products.noise import Array, fractal

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SCALE, OFFSET, FILL = 0.01, 293.15, -32768
GLOBE = (-180.0, -90.0, 180.0, 90.0)
METRES = 111_320.0


@dataclass(frozen=True, slots=True, kw_only=True)
class GriddedProduct:
    """Sea surface temperatures of some days; same arguments, same bytes."""

    when: datetime
    """The first day; aware."""
    days: int = 2
    bbox: tuple[float, float, float, float] = GLOBE
    """West, south, east, north: edges of cells."""
    step: float = 1.0
    """degrees"""
    ascending: bool = True
    """Latitudes from south to north."""
    east_only: bool = False
    """Longitudes from 0 to 360 instead of -180 to 180."""
    seed: int = 2020

    @property
    def name(self) -> str:
        """SST_GRID_20200201_V3, without extension."""
        return f"SST_GRID_{self.when:%Y%m%d}_V3"

    @property
    def longitude(self) -> Array:
        """Cell centres."""
        found = self.bbox[0] + self.step * (np.arange(round((self.bbox[2] - self.bbox[0]) / self.step)) + 0.5)
        return np.asarray(np.sort(found % 360) if self.east_only else found, np.float64)

    @property
    def latitude(self) -> Array:
        """Cell centres, in the order of the file."""
        found = self.bbox[1] + self.step * (np.arange(round((self.bbox[3] - self.bbox[1]) / self.step)) + 0.5)
        return np.asarray(found if self.ascending else found[::-1], np.float64)

    def counts(self, day: int) -> NDArray[np.int16]:
        """Packed temperatures of a day, (latitude, longitude); FILL over land."""
        longitude, latitude = np.meshgrid((self.longitude + 180) % 360 - 180, self.latitude)
        east, north = longitude * METRES, latitude * METRES
        wave = fractal(east + 3e5 * day, north, 2.5e6, 3, self.seed)
        kelvin = 273.15 + 29.0 * np.cos(np.radians(latitude)) ** 2 + 3.0 * wave
        land = fractal(east, north, 5.0e6, 4, self.seed + 7) > 0.25
        return np.where(land, FILL, np.rint((kelvin - OFFSET) / SCALE)).astype(np.int16)


def generate_gridded(product: GriddedProduct, folder: Path) -> Path:
    """Write the product below `folder` as NetCDF-4 and return its path. UsageError when it is there already, or has no time zone."""
    if product.when.tzinfo is None:
        raise UsageError(f"{product.when} has no time zone; write 2020-02-01T00:00:00Z")
    target = folder / f"{product.name}.nc"
    if target.exists():
        raise UsageError(f"{target} is already there; remove it or choose another folder")
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / f".{target.name}.part"
    _write(product, partial)
    return partial.rename(target)


def _write(product: GriddedProduct, path: Path) -> None:
    begins = np.array([(product.when + timedelta(days=day) - EPOCH) / timedelta(hours=1) for day in range(product.days)])
    sizes = {"time": product.days, "latitude": product.latitude.size, "longitude": product.longitude.size, "bnds": 2}
    attributes = {"Conventions": "CF-1.8", "title": "Sea surface temperature (simulated)", "institution": "eolake"}
    with NetcdfFile(path, attributes, sizes) as file:
        since = "hours since 1970-01-01 00:00:00"
        middle = begins + 12
        file.variable(
            "time", "f8", ("time",), middle, standard_name="time", axis="T", bounds="time_bnds", units=since, calendar="gregorian"
        )
        file.variable(
            "latitude", "f4", ("latitude",), product.latitude.astype(np.float32), standard_name="latitude", units="degrees_north", axis="Y"
        )
        file.variable(
            "longitude",
            "f4",
            ("longitude",),
            product.longitude.astype(np.float32),
            standard_name="longitude",
            units="degrees_east",
            axis="X",
        )
        file.variable("time_bnds", "f8", ("time", "bnds"), np.column_stack([begins, begins + 24]))
        file.variable("crs", "i4", (), grid_mapping_name="latitude_longitude", semi_major_axis=6378137.0, inverse_flattening=298.257223563)
        counts = np.stack([product.counts(day) for day in range(product.days)])
        file.variable(
            "sst",
            "i2",
            ("time", "latitude", "longitude"),
            counts,
            fill=FILL,
            standard_name="sea_surface_temperature",
            units="K",
            scale_factor=np.float32(SCALE),
            add_offset=np.float64(OFFSET),
            grid_mapping="crs",
        )
