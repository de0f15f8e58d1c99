"""SLSTR Level 1: radiances (500 m) and brightness temperatures (1 km) of both views, with all that belongs to them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from eolake.ingest.simulators.products.atmosphere import top_of_atmosphere
from eolake.ingest.simulators.products.coast import inland
from eolake.ingest.simulators.products.landscape import Landscape, Surface
from eolake.ingest.simulators.products.netcdf import NetcdfFile
from eolake.ingest.simulators.products.noise import Array
from eolake.ingest.simulators.products.sentinel3.geometry import PERIOD, SLSTR_SWATH, SLSTR_TIES, SLSTR_TIES_TRACK, SLSTR_TRACK, Grid, Slstr
from eolake.ingest.simulators.products.sentinel3.xfdu import DataFile, Product, stamp, write_manifest
from eolake.ingest.simulators.products.spectra import Band, load

BLOCK = 256
"""rows that are in memory at once"""
ROWS = ("rows", "columns")
FILL = -32768
SCALE, OFFSET = 0.01, 283.73
"""of brightness temperatures"""
GRIDS = {"a": "A stripe grid", "b": "B stripe grid", "i": "1km TIR grid", "f": "1km F1 grid"}
VIEWS = {"n": "nadir view", "o": "oblique view"}
_EPOCH = "microseconds since 2000-01-01 00:00:00"
_STRIPE_B = ("S4", "S5", "S6")
_MIR = 3.742
"""µm"""
_RADIATED = 18.9
"""µm sr: radiant exitance of fires over their radiance at that wavelength (the MIR radiance method)"""
_THROUGH = 0.9
"""share of the fires' radiance that the atmosphere lets through"""
_C1, _C2 = 1.191042e8, 1.4387752e4
"""Planck: W µm⁴ / m² / sr, µm K"""
_EPHEMERIS = 0.14990
"""s: rows of 1 km in the offsets of the products"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """One band."""

    band: Band
    flux: float = 0.0
    """mW m-2 nm-1; 0: it measures temperature"""
    scale: float = SCALE
    gases: float = 1.0
    """share of the light that they let through"""
    shift: float = 0.0
    """K, from the ground to the top of the atmosphere"""
    most: float = 0.0
    """K, without saturation"""
    grid: str = "a"


@cache
def channels() -> Mapping[str, Channel]:
    """All bands by name: S1 to S9, F1, F2."""
    table = load("slstr.yaml")
    rows = {**table["radiances"], **table["temperatures"]}
    return {
        name: Channel(
            band=Band(name=name, centre=row["centre"], width=row["width"]),
            **{key: value for key, value in row.items() if key not in {"centre", "width"}},
        )
        for name, row in rows.items()
    }


def planck(temperature: Array) -> Array:
    """Radiance at 3.742 µm, W/m²/sr/µm."""
    return np.asarray(_C1 / _MIR**5 / np.expm1(_C2 / (_MIR * temperature)))


def brightness(radiance: Array) -> Array:
    """Temperature, K, of that radiance at 3.742 µm."""
    return np.asarray(_C2 / (_MIR * np.log1p(_C1 / _MIR**5 / radiance)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Some rows of an image: where they are and what is there."""

    rows: slice
    longitude: Array
    latitude: Array
    surface: Surface
    sun: Array
    """zenith, degrees"""
    salt: NDArray[np.bool_]
    """the place is on the seaward side of the coast"""
    power: Array
    """MW of fires in each pixel of 1 km"""

    def counts(self, name: str, *, gain: float = 1.0) -> tuple[NDArray[np.int16], NDArray[np.uint8]]:
        """What the instrument counts in a band, and its exceptions."""
        channel = channels()[name]
        if channel.flux:
            value = self._radiance(channel) * gain
            return np.clip(np.rint(value / channel.scale), 0, 32767).astype(np.int16), np.zeros(value.shape, np.uint8)
        value = self._temperature(channel)
        saturated = value > channel.most
        counts = np.rint((np.minimum(value, channel.most) - OFFSET) / SCALE)
        return counts.astype(np.int16), saturated * np.uint8(16)

    def hot(self) -> Array:
        """Brightness temperature at 3.7 µm, fires and all, K."""
        return self._temperature(channels()["F1"])

    def _radiance(self, channel: Channel) -> Array:
        seen = top_of_atmosphere(self.surface.reflectance(channel.band), channel.band) * channel.gases
        return np.asarray(seen * channel.flux * np.cos(np.radians(self.sun)) / np.pi)

    def _temperature(self, channel: Channel) -> Array:
        """At the top of the atmosphere, K. Fires glow at 3.7 µm; at 11 and 12 µm they are a little warmer than what is around them."""
        ground = self.surface.temperature + channel.shift
        clear = 1 - self.surface.cloud
        if channel.band.centre > 5000:
            return np.asarray(ground + 0.1 * self.power * clear)
        return brightness(planck(ground) + self.power * clear / _RADIATED * _THROUGH)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What a product is made from."""

    slstr: Slstr
    landscape: Landscape
    cloud: float = 0.0
    """share of the sky"""

    @property
    def when(self) -> datetime:
        """Everything is as it is then: the time of the middle row."""
        return self.slstr.grid("in").middle

    def blocks(self, name: str) -> Iterator[Block]:
        """The whole of a grid, some rows at a time."""
        grid, season, landscape = self.slstr.grid(name), self.landscape.season, self.landscape
        for first in range(0, grid.rows, BLOCK):
            rows = slice(first, min(first + BLOCK, grid.rows))
            longitude, latitude = grid.coordinates(rows)
            burns = season is not None and name[0] in "if"
            yield Block(
                rows=rows,
                longitude=longitude,
                latitude=latitude,
                surface=landscape.overview(longitude, latitude, self.when, cloud=self.cloud),
                sun=grid.sun(rows)[0],
                salt=inland(longitude, latitude, landscape.seed) < 200.0 if season else np.zeros(longitude.shape, bool),
                power=season.frp(longitude, latitude, self.when) if season and burns else np.zeros(longitude.shape),
            )

    def empty(self, name: str) -> NDArray[np.bool_]:
        """Columns of a grid that the scans do not reach."""
        across, (least, most) = np.array(self.slstr.grid(name).across), SLSTR_SWATH[name[1]]
        return np.asarray((across < least) | (across > most))

    def product(self, kind: str, title: str) -> Product:
        """What a product of it says of itself; `kind`: SL_1_RBT___."""
        grid = self.slstr.grid("in")
        begin, end = self.slstr.begin, self.slstr.begin + grid.interval * grid.rows
        return Product(type=kind, title=title, orbit=self.slstr.orbit, begin=begin, end=end, centre="LN2", baseline="004")


class Files:
    """The NetCDF files of one product as they are written, and what the manifest shall say of them."""

    def __init__(self, folder: Path, scene: Scene, product: Product, level: Literal[1, 2]) -> None:
        """`level` of processing."""
        self.folder, self.scene, self.product, self.level = folder, scene, product, level
        self.listed: list[DataFile] = []
        self.pixels: dict[str, int] = {}
        """counted in the thermal image from above"""

    def open(
        self, stem: str, id: str, text: str, *, grid: str = "", measurement: bool = False, columns: bool = True, **more: int
    ) -> NetcdfFile:
        """A new file with the global attributes of all, of a `grid` (an, in, … or tx), with the dimensions of its image and `more`."""
        known = id.removesuffix("Data") if id.endswith("Data") else f"{id}_"
        self.listed.append(DataFile(name=f"{stem}.nc", id=known, text=text, measurement=measurement))
        image = self._image(grid) if grid else None
        sizes: dict[str, int] = {}
        if image is not None:
            sizes = dict(zip(ROWS, image.shape, strict=True)) if columns else {"rows": image.shape[0]}
        return NetcdfFile(self.folder / f"{stem}.nc", self._attributes(text, grid), {**sizes, **more})

    def _image(self, grid: str) -> Grid:
        return self.scene.slstr.ties if grid[0] == "t" else self.scene.slstr.grid(grid)

    def _attributes(self, title: str, grid: str) -> dict[str, Any]:
        product = self.product
        found: dict[str, Any] = {
            "absolute_orbit_number": np.uint32(product.orbit.orbit),
            "comment": " ",
            "contact": "eosupport@copernicus.esa.int",
            "creation_time": f"{product.created:%Y%m%dT%H%M%S}Z",
            "history": " ",
            "institution": product.centre,
            "netCDF_version": "4.2",
            "product_name": product.name,
            "references": f"S3IPF PDS 005.{self.level} - Product Data Format Specification - SLSTR Level {self.level}",
            "source": "simulated",
            "start_time": stamp(product.start),
            "stop_time": stamp(product.stop),
            "title": title,
        }
        if grid:
            found |= {"resolution": _resolution(grid), "start_offset": np.int32(start_offset(self.scene, grid))}
            found |= {"track_offset": np.int32(track_offset(self.scene, grid))}
        return found

    def write_manifest(self, information: str) -> None:
        """Of all files."""
        outline = self.scene.slstr.grid("in").outline(70)
        write_manifest(self.folder, self.product, outline, sorted(self.listed, key=lambda file: file.id), information)


def _resolution(grid: str) -> str:
    if grid[0] == "t":
        return "[ 16000 1000 ]"
    return "[ 500 500 ]" if grid[0] in "ab" else "[ 1000 1000 ]"


def start_offset(scene: Scene, grid: str) -> int:
    """Rows from the beginning of the orbit before to the first row."""
    kilometres = round((scene.slstr.begin + PERIOD / 2 + PERIOD) / _EPHEMERIS)
    return kilometres * (2 if grid[0] in "ab" else 1)


def track_offset(scene: Scene, grid: str) -> int:
    """The column that the track runs through: of a part of an image it may lie outside."""
    if grid[0] == "t":
        return SLSTR_TIES_TRACK
    first = scene.slstr.columns[grid[1] == "o"].start
    return (SLSTR_TRACK[grid[1]] - first) * (2 if grid[0] in "ab" else 1)


def write_level1(scene: Scene, folder: Path) -> Path:
    """Writes the product into `folder`, which is created, and returns the path of its own folder in there."""
    product = scene.product("SL_1_RBT___", "SENTINEL-3 SLSTR Level 1 package")
    target = folder / product.name
    target.mkdir(parents=True)
    files = Files(target, scene, product, 1)
    for view in "no":
        for kind in "aif":
            write_images(files, f"{kind}{view}", [name for name, channel in channels().items() if channel.grid == kind])
        write_geometry(files, f"t{view}")
    write_ties(files)
    write_weather(files)
    for kind in "abi":
        write_times(files, kind)
    for view in "no":
        for name, channel in channels().items():
            for kind in "ab" if name in _STRIPE_B else channel.grid:
                _write_quality(files, name, f"{kind}{view}")
    _write_calibration(files)
    files.write_manifest(information(files, level=1))
    return target


def write_images(files: Files, grid: str, names: list[str]) -> None:
    """Bands, coordinates, flags and indices of a grid, block by block. Stripe B sees what stripe A sees, with detectors of its own."""
    grids = [grid, grid.replace("a", "b")] if grid[0] == "a" else [grid]
    opened: list[NetcdfFile] = []
    places = {each: _Places(files, each, opened) for each in grids}
    bands: dict[tuple[str, str], tuple[Any, Any]] = {}
    for name in names:
        for each in grids:
            if each == grid or name in _STRIPE_B:
                bands[name, each] = _band_variables(files, name, each, opened)
    empty = files.scene.empty(grid)
    for block in files.scene.blocks(grid):
        for place in places.values():
            place.write(block, empty)
        for (name, each), (values, exceptions) in bands.items():
            counts, raised = block.counts(name, gain=1.0 if each == grid else 0.998)
            counts[:, empty] = FILL
            raised[:, empty] = 128
            values[block.rows], exceptions[block.rows] = counts, raised
        if grid == "in":
            _count(files.pixels, block, empty)
    for file in opened:
        file.close()


def _band_variables(files: Files, name: str, grid: str, opened: list[NetcdfFile]) -> tuple[Any, Any]:
    radiant = bool(channels()[name].flux)
    kind = "radiance" if radiant else "BT"
    text = "TOA radiance" if radiant else "Gridded pixel brightness temperature"
    text = f"{text} for channel {name} ({GRIDS[grid[0]]}, {VIEWS[grid[1]]})"
    stem = f"{name}_{kind}_{grid}"
    file = files.open(stem, f"SLSTR_{name}_{'RAD' if radiant else 'BT'}_{grid.upper()}", text, grid=grid, measurement=True)
    opened.append(file)
    values = file.variable(
        stem,
        np.int16,
        ROWS,
        fill=FILL,
        long_name=text,
        standard_name="toa_upwelling_spectral_radiance" if radiant else "toa_brightness_temperature",
        units="mW.m-2.sr-1.nm-1" if radiant else "K",
        scale_factor=channels()[name].scale,
        add_offset=0.0 if radiant else OFFSET,
    )
    return values, flag_variable(file, f"{name}_exception_{grid}", "exceptions", np.uint8)


def flag_variable(file: NetcdfFile, name: str, table: str, dtype: Any) -> Any:
    """A variable of bits with the names that data/slstr.yaml has."""
    meanings = load("slstr.yaml")[table]
    return file.variable(
        name, dtype, ROWS, long_name=name, flag_masks=(1 << np.arange(len(meanings))).astype(dtype), flag_meanings=" ".join(meanings)
    )


class _Places:
    """geodetic, cartesian, flags and indices of a grid."""

    def __init__(self, files: Files, grid: str, opened: list[NetcdfFile]) -> None:
        self.slstr, self.grid = files.scene.slstr, grid
        where = f"{GRIDS[grid[0]]}, {VIEWS[grid[1]]}"
        texts = {
            "geodetic": "Full resolution geodetic coordinates",
            "cartesian": "Full resolution cartesian coordinates",
            "flags": "Global flags",
            "indices": "Scan, pixel and detector annotations",
        }
        geodetic, cartesian, flags, indices = (
            files.open(f"{name}_{grid}", f"SLSTR_{name.upper()}_{grid.upper()}", f"{text} for the {where}", grid=grid)
            for name, text in texts.items()
        )
        opened += [geodetic, cartesian, flags, indices]
        self.latitude, self.longitude = (
            geodetic.variable(
                f"{name}_{grid}", np.int32, ROWS, fill=-(2**31), long_name=text, standard_name=name, units=units, scale_factor=1e-6
            )
            for name, text, units in (
                ("latitude", "Latitude of detector FOV centre on the earth's surface", "degrees_north"),
                ("longitude", "Longitude of detector FOV centre on the earth's surface", "degrees_east"),
            )
        )
        self.elevation = geodetic.variable(
            f"elevation_{grid}",
            np.int16,
            ROWS,
            fill=FILL,
            long_name="Surface elevation of detector FOV centre above reference ellipsoid",
            units="m",
        )
        self.x, self.y = (
            cartesian.variable(
                f"{name}_{grid}",
                np.int32,
                ROWS,
                fill=fill,
                long_name=f"Geolocated {name} ({way} track) coordinate of detector FOV centre",
                units="m",
            )
            for name, fill, way in (("x", -1_000_000, "across"), ("y", -5_000_000, "along"))
        )
        self.flags = {
            name: flag_variable(flags, f"{name}_{grid}", name, dtype)
            for name, dtype in (("confidence", np.uint16), ("cloud", np.uint16), ("bayes", np.uint8), ("pointing", np.uint8))
        }
        self.detector = indices.variable(f"detector_{grid}", np.uint8, ROWS, fill=255, long_name="Gridded pixel detector number")
        self.pixel = indices.variable(f"pixel_{grid}", np.uint16, ROWS, fill=65535, long_name="Gridded pixel number")
        self.scan = indices.variable(f"scan_{grid}", np.uint16, ROWS, fill=65535, long_name="Pixel scan number")

    def write(self, block: Block, empty: NDArray[np.bool_]) -> None:
        rows, shape = block.rows, block.longitude.shape
        self.latitude[rows] = np.rint(block.latitude * 1e6).astype(np.int32)
        self.longitude[rows] = np.rint(block.longitude * 1e6).astype(np.int32)
        self.elevation[rows] = np.rint(block.surface.elevation * (1 - block.surface.fractions["water"])).astype(np.int16)
        grid = self.slstr.grid(self.grid)
        across = np.broadcast_to(np.rint(np.array(grid.across)), shape)
        along = np.broadcast_to(np.rint(self.slstr.along(grid)[rows])[:, None], shape)
        self.x[rows] = np.where(empty, -1_000_000, across).astype(np.int32)
        self.y[rows] = np.where(empty, -5_000_000, along).astype(np.int32)
        for name, values in _flags(block, empty).items():
            self.flags[name][rows] = values
        row, column = np.arange(rows.start, rows.stop)[:, None], np.arange(shape[1])[None, :]
        count = 4 if self.grid[0] in "ab" else 2
        self.detector[rows] = np.where(empty, 255, np.broadcast_to(row % count, shape)).astype(np.uint8)
        self.pixel[rows] = np.where(empty, 65535, np.broadcast_to(column, shape)).astype(np.uint16)
        self.scan[rows] = np.where(empty, 65535, np.broadcast_to(row // count, shape)).astype(np.uint16)


def _flags(block: Block, empty: NDArray[np.bool_]) -> dict[str, NDArray[Any]]:
    surface, cloudy = block.surface, block.surface.cloud > 0.35
    water = surface.fractions["water"]
    confidence = np.zeros(water.shape, np.uint16)
    bits = {
        0: block.salt & (water > 0.05) & (water < 0.95),
        1: block.salt & surface.water,
        3: ~surface.water,
        4: surface.water & ~block.salt,
        5: np.broadcast_to(empty, water.shape),
        10: block.sun < 85,
        14: cloudy,
    }
    for bit, where in bits.items():
        confidence |= where.astype(np.uint16) << np.uint16(bit)
    return {
        "confidence": confidence,
        "cloud": cloudy * np.uint16(1 + 128),
        "bayes": cloudy * np.uint8(1),
        "pointing": np.zeros(water.shape, np.uint8),
    }


def _count(pixels: dict[str, int], block: Block, empty: NDArray[np.bool_]) -> None:
    surface, there = block.surface, ~empty
    for name, where in {
        "land": ~surface.water,
        "ocean": surface.water & block.salt,
        "fresh": surface.water & ~block.salt,
        "cloud": surface.cloud > 0.35,
        "all": np.ones(surface.water.shape, bool),
    }.items():
        pixels[name] = pixels.get(name, 0) + int(where[:, there].sum())


def write_geometry(files: Files, grid: str) -> None:
    """geometry_tn.nc or geometry_to.nc: angles and distances at the tie points. The oblique view looks back, 55° from the vertical."""
    view, ties = grid[1], files.scene.slstr.ties
    zenith, azimuth = ties.view()
    if view == "o":
        zenith, azimuth = 55.0 + 0.02 * (zenith - 30.0), (azimuth * 0.2 + 190.0) % 360
    sun_zenith, sun_azimuth = ties.sun()
    values = {
        "sat_azimuth": (azimuth % 360, "Satellite azimuth angle", "degrees"),
        "sat_path": (814_500.0 / np.cos(np.radians(np.minimum(zenith, 80))), "Distance from satellite to surface", "m"),
        "sat_zenith": (zenith, "Satellite zenith angle", "degrees"),
        "solar_azimuth": (sun_azimuth % 360, "Solar azimuth angle", "degrees"),
        "solar_path": (np.full(zenith.shape, 1.4711e11), "Distance from surface to sun", "m"),
        "solar_zenith": (sun_zenith, "Solar zenith angle", "degrees"),
    }
    text = f"16km solar and satellite geometry annotations, {VIEWS[view]}"
    with files.open(f"geometry_{grid}", f"SLSTR_GEOMETRY_{grid.upper()}", text, grid="tx") as file:
        for name, (data, long_name, units) in values.items():
            file.variable(f"{name}_{grid}", np.float64, ROWS, data, fill=9.969209968386869e36, long_name=long_name, units=units)


def write_ties(files: Files) -> None:
    """Where the tie points are: geodetic_tx.nc and cartesian_tx.nc."""
    ties = files.scene.slstr.ties
    longitude, latitude = ties.coordinates()
    with files.open("geodetic_tx", "SLSTR_GEODETIC_TX", "16km geodetic coordinates", grid="tx") as file:
        file.variable("latitude_tx", np.float64, ROWS, latitude, units="degrees_north", standard_name="latitude")
        file.variable("longitude_tx", np.float64, ROWS, longitude, units="degrees_east", standard_name="longitude")
    along = np.broadcast_to(files.scene.slstr.along(ties)[:, None], ties.shape)
    with files.open("cartesian_tx", "SLSTR_CARTESIAN_TX", "16km cartesian coordinates", grid="tx") as file:
        file.variable("x_tx", np.float64, ROWS, np.broadcast_to(np.array(ties.across), ties.shape), units="m")
        file.variable("y_tx", np.float64, ROWS, along, units="m")


def write_weather(files: Files) -> None:
    """met_tx.nc"""
    ties, table, levels = files.scene.slstr.ties, load("slstr.yaml")["weather"], load("olci.yaml")
    south = -33.0 - ties.coordinates()[1]
    season = files.scene.landscape.season
    wind = season.wind(files.scene.when) if season else (4.0, 1.0)
    pressures, temperatures = np.array(levels["levels"][::-1], float), np.array(levels["temperatures"][::-1])
    text = "Meteorological parameters regridded onto the 16km tie points"
    with files.open("met_tx", "SLSTR_MET_TX", text, grid="tx", t_single=1, t_series=5, p_atmos=len(pressures)) as file:
        one, series, profile = ("t_single", *ROWS), ("t_series", *ROWS), ("t_single", "p_atmos", *ROWS)
        file.variable("t_series", np.float32, ("t_series",), np.arange(-2, 3) * 3.0, long_name="Time of forecast", units="hours")
        file.variable("p_atmos", np.float32, ("p_atmos",), pressures, long_name="Pressure levels", units="hPa")
        for name, row in table.items():
            data = (row["value"] + row["change"] * south)[None]
            file.variable(f"{name}_tx", np.float32, one, data, long_name=row["text"], units=row["unit"])
        for name, speed in zip(("u_wind", "v_wind"), wind, strict=True):
            data = np.broadcast_to(speed + 0.3 * np.arange(5)[:, None, None], (5, *ties.shape))
            file.variable(f"{name}_tx", np.float32, series, data, long_name=f"10m {name[0].upper()} wind component", units="m s-1")
        warm = temperatures[None, :, None, None] - 0.2 * south[None, None]
        file.variable("temperature_profile_tx", np.float32, profile, warm, long_name="Atmospheric temperature profile", units="K")
        moist = np.broadcast_to(0.009 * (pressures / 1000)[None, :, None, None] ** 3, warm.shape)
        file.variable("specific_humidity_tx", np.float32, profile, moist, long_name="Specific humidity profile (kg/kg)", units="kg/kg")


def write_times(files: Files, kind: str, id: str = "") -> None:
    """time_an.nc, time_bn.nc or time_in.nc: when each row was scanned."""
    grid = files.scene.slstr.grid(f"{kind}n")
    stamps = grid.microseconds()
    text = f"Time annotations for the {GRIDS[kind]}"
    with files.open(f"time_{kind}n", id or f"SLSTR_TIME_{kind.upper()}", text, grid=f"{kind}n", columns=False) as file:
        file.variable(f"time_stamp_{kind}", np.int64, ("rows",), stamps, units=_EPOCH, standard_name="time")
        for view, later in (("Nadir", 0), ("Oblique", -110_000_000)):
            for name, shift in (("Minimal", -40_000), ("Maximal", 40_000)):
                file.variable(f"{view}_{name}_ts_{kind}", np.int64, ("rows",), stamps + later + shift, units=_EPOCH)
            for name in ("First", "Last"):
                file.variable(f"{view}_{name}_scan_{kind}", np.uint16, ("rows",), np.arange(len(stamps)) // 4)


def _write_quality(files: Files, name: str, grid: str) -> None:
    channel = channels()[name]
    text = f"{'Visible and Shortwave IR' if channel.flux else 'Thermal Infrared'} quality annotations for channel {name}"
    text = f"{text} ({GRIDS[grid[0]]}, {VIEWS[grid[1]]})"
    with files.open(f"{name}_quality_{grid}", f"SLSTR_{name}_QUALITY_{grid.upper()}", text, detectors=4 if channel.flux else 2) as file:
        detectors = np.ones(4 if channel.flux else 2)
        file.variable(f"{name}_band_centre_{grid}", np.float64, ("detectors",), detectors * channel.band.centre / 1000, units="um")
        file.variable(f"{name}_bandwidth_{grid}", np.float64, ("detectors",), detectors * channel.band.width / 1000, units="um")
        if channel.flux:
            file.variable(f"{name}_solar_irradiance_{grid}", np.float64, ("detectors",), detectors * channel.flux, units="mW.m-2.nm-1")


def _write_calibration(files: Files) -> None:
    with files.open("viscal", "ADFData", "VISCAL data obtained from input VISCAL ADF", detectors=4, views=2) as file:
        for name, channel in channels().items():
            if channel.flux:
                flux = np.full((4, 2), channel.flux)
                file.variable(f"{name}_solar_irradiances", np.float64, ("detectors", "views"), flux, units="mW.m-2.nm-1")


_SIZES = {"i": "1 km", "a": "0.5 km stripe A", "b": "0.5 km stripe B", "f": "F1", "t": "Tie Points"}


def information(files: Files, *, level: Literal[1, 2]) -> str:
    """The `slstrProductInformation` of the manifest; that of Level 2 tells of one grid and does not name it."""
    kinds = "iabf" if level == 1 else "i"
    sized = kinds + "t" if level == 1 else kinds
    labels = {kind: f' grid="{_SIZES[kind]}"' if level == 1 else "" for kind in sized}
    summaries = "".join(_summary(files.pixels, labels[kind]) for kind in kinds)
    resolutions = "".join(
        f"""  <slstr:resolution{labels[kind]}>
    <slstr:spatialResolution>{_resolution(kind + "n").split()[1]}</slstr:spatialResolution>
  </slstr:resolution>
"""
        for kind in sized
    )
    sizes = "".join(_size(files.scene, kind + view, labels[kind]) for view in "no" for kind in sized)
    quality = "".join(
        f"""  <slstr:pixelQualitySummary{labels[kind]}>
    <slstr:cosmeticPixels value="0" percentage="0.000000"/>
    <slstr:duplicatedPixels value="0" percentage="0.000000"/>
    <slstr:saturatedPixels value="0" percentage="0.000000"/>
    <slstr:outOfRangePixels value="0" percentage="0.000000"/>
  </slstr:pixelQualitySummary>
"""
        for kind in kinds
    )
    return f"""<slstr:slstrProductInformation>
{summaries}{resolutions}{sizes}  <slstr:measurementAccuracy>~2% S1-S6, ~0.1K S7-S9, ~1K F1-F2</slstr:measurementAccuracy>
  <slstr:accuracyReference>[PDS-SL]</slstr:accuracyReference>
{quality}  <slstr:ecmwfType timeRelevance="0">ANALYSIS</slstr:ecmwfType>
</slstr:slstrProductInformation>"""


def _summary(pixels: Mapping[str, int], label: str) -> str:
    total = max(pixels.get("all", 1), 1)

    def share(name: str) -> str:
        return f'percentage="{100 * pixels.get(name, 0) / total:.6f}"'

    return f"""  <slstr:classificationSummary{label}>
    <sentinel3:salineWaterPixels {share("ocean")}/>
    <sentinel3:landPixels {share("land")}/>
    <sentinel3:coastalPixels {share("coast")}/>
    <sentinel3:freshInlandWaterPixels {share("fresh")}/>
    <sentinel3:tidalRegionPixels {share("tidal")}/>
    <sentinel3:cloudyPixels {share("cloud")}/>
  </slstr:classificationSummary>
"""


def _size(scene: Scene, grid: str, label: str) -> str:
    word = "nadir" if grid[1] == "n" else "oblique"
    rows, columns = (scene.slstr.rows, SLSTR_TIES) if grid[0] == "t" else scene.slstr.grid(grid).shape
    return f"""  <slstr:{word}ImageSize{label}>
    <sentinel3:startOffset>{start_offset(scene, grid)}</sentinel3:startOffset>
    <sentinel3:trackOffset>{track_offset(scene, grid)}</sentinel3:trackOffset>
    <sentinel3:rows>{rows}</sentinel3:rows>
    <sentinel3:columns>{columns}</sentinel3:columns>
  </slstr:{word}ImageSize>
"""
