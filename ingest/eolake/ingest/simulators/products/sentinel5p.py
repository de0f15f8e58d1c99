"""Sentinel-5P Level-2 products over the simulated fire season: nitrogen dioxide, carbon monoxide and aerosol index of its smoke.

Groups, dimensions, types, fill values and attributes are those of the real products (`data/sentinel5p.yaml`); retrievals are no
retrievals, but functions of the season's smoke and fire power. A granule may have any number of scanlines: five minutes have 357,
a real orbit 4,173; with fewer pixels across than the real ones it is the middle of the swath.
"""

from __future__ import annotations

import math
import zipfile
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import numpy as np
import yaml

from eolake.ingest.simulators.products.noise import Array, fractal
from eolake.ingest.simulators.products.season import SITE, Season
from eolake.ingest.simulators.products.sun import sun_position

Kind = Literal["no2", "co", "aer_ai"]
Timeliness = Literal["NRTI", "OFFL", "RPRO"]

FILL = np.float32(9.969209968386869e36)
EARTH, HEIGHT = 6371.0, 824.0
"""km"""
HALF = 54.0
"""degrees: of the instrument's view to either side"""
STEP = timedelta(milliseconds=840)
"""between scanlines, since August 2019"""
TRACK = 5.5
"""km between scanlines"""
INCLINATION = math.radians(98.7)
ORBIT = (6313, datetime(2019, 1, 1, 0, 31, 15, tzinfo=UTC), 6089.0)
"""Number and start of a real one, and seconds that one takes."""
WRITTEN = timedelta(days=5, hours=3)
"""From sensing to processing."""
TYPES: dict[str, Any] = {"!f4": np.float32, "!u1": np.uint8}


@dataclass(frozen=True, slots=True, kw_only=True)
class Granule:
    """One product to write."""

    kind: Kind
    start: datetime
    """First scanline; aware."""
    scanlines: int = 60
    pixels: int = 60
    """Across the track; the real ones have 450, CO 215."""
    timeliness: Timeliness = "OFFL"
    centre: tuple[float, float] = SITE
    """Longitude and latitude of its middle, below the satellite."""
    season: Season = field(default_factory=Season)

    @property
    def end(self) -> datetime:
        """Last scanline."""
        return self.start + (self.scanlines - 1) * STEP

    @property
    def created(self) -> datetime:
        """When it was processed."""
        return self.end + (timedelta(hours=2) if self.timeliness == "NRTI" else WRITTEN)

    @property
    def orbit(self) -> int:
        """Number of the orbit."""
        number, begin, seconds = ORBIT
        return number + math.floor((self.start - begin).total_seconds() / seconds)

    @property
    def name(self) -> str:
        """Of the product, without .nc."""
        start, end, created = (f"{moment:%Y%m%dT%H%M%S}" for moment in (self.start, self.end, self.created))
        return f"S5P_{self.timeliness}_{layout()[self.kind]['type']}_{start}_{end}_{self.orbit:05}_01_010302_{created}"


@cache
def layout() -> dict[str, Any]:
    """Variables, types and attributes of the products."""

    class Loader(yaml.SafeLoader):
        pass

    for tag, kind in TYPES.items():
        Loader.add_constructor(tag, partial(_typed, kind))
    found: dict[str, Any] = Loader(files(__package__).joinpath("data/sentinel5p.yaml").read_text("utf-8")).get_single_data()
    return found


def _typed(kind: Any, loader: yaml.SafeLoader, node: yaml.ScalarNode) -> Any:
    return kind(loader.construct_scalar(node))


def generate_sentinel5p(granule: Granule, folder: Path, *, packed: bool = False) -> Path:
    """Writes a product to `folder` and returns its path: a NetCDF file; `packed`: in a zip, as CDSE hands it out."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{granule.name}.nc"
    _write(granule, path)
    if not packed:
        return path
    with zipfile.ZipFile(path.with_suffix(".zip"), "w", zipfile.ZIP_STORED) as archive:
        archive.write(path, f"{granule.name}/{path.name}")
    path.unlink()
    return path.with_suffix(".zip")


# --- where and what ---


def geometry(granule: Granule, along: Array, across: Array) -> tuple[Array, Array]:
    """Longitude and latitude (degrees) at places along (scanlines from the middle) and across (pixels from the middle) the ascending
    track."""
    longitude, latitude = map(math.radians, granule.centre)
    heading = math.asin(max(-1.0, min(1.0, math.cos(INCLINATION) / math.cos(latitude))))
    track = along * TRACK / EARTH
    below = _destination(longitude, latitude, heading, track)
    # the heading at each point below the satellite, away from the middle
    turned = np.arctan2(
        math.sin(heading) * math.cos(latitude), np.cos(track) * math.cos(heading) * math.cos(latitude) - np.sin(track) * math.sin(latitude)
    )
    east, north = _destination(*below, turned + math.pi / 2, np.radians(view(granule, across)[1]))
    return (np.degrees(east) + 180.0) % 360.0 - 180.0, np.degrees(north)


def view(granule: Granule, across: Array) -> tuple[Array, Array]:
    """Zenith angle on the ground, and the angle at the Earth's centre, both degrees and negative to the left of the track."""
    look = np.radians(across * 2 * HALF / layout()[granule.kind]["pixels"])
    zenith = np.arcsin(np.sin(look) * (EARTH + HEIGHT) / EARTH)
    return np.degrees(zenith), np.degrees(zenith - look)


def _destination(longitude: Any, latitude: Any, heading: Any, distance: Array) -> tuple[Array, Array]:
    """Radians."""
    north = np.arcsin(np.sin(latitude) * np.cos(distance) + np.cos(latitude) * np.sin(distance) * np.cos(heading))
    east = longitude + np.arctan2(
        np.sin(heading) * np.sin(distance) * np.cos(latitude), np.cos(distance) - np.sin(latitude) * np.sin(north)
    )
    return east, north


def centred(count: int) -> Array:
    """Places of so many things from their middle."""
    return np.arange(count, dtype=np.float64) - (count - 1) / 2


def fields(granule: Granule) -> dict[str, Any]:
    """What the product's variables hold, (scanlines, pixels) or shorter; masked floats have FILL."""
    along = centred(granule.scanlines)
    across = centred(granule.pixels)
    longitude, latitude = geometry(granule, along[:, None], across[None])
    when = granule.start + (granule.end - granule.start) / 2
    x, y = longitude * 1e5 * math.cos(math.radians(granule.centre[1])), latitude * 1.1e5
    smoke, power = granule.season.smoke(longitude, latitude, when), granule.season.frp(longitude, latitude, when, cell=5500.0)
    cloud = np.clip(2.2 * fractal(x, y, 260_000.0, 4, granule.season.seed + 5) - 0.3, 0.0, 1.0)
    texture = fractal(x, y, 90_000.0, 3, granule.season.seed + 6)
    quality = np.where(cloud > 0.5, 52, np.where(cloud > 0.2, 74, 100)).astype(np.uint8)
    gone = cloud > 0.93
    quality[gone] = 0
    found: dict[str, Any] = {
        "longitude": longitude.astype(np.float32),
        "latitude": latitude.astype(np.float32),
        "qa_value": quality,
        "processing_quality_flags": np.where(gone, 65, np.where(cloud > 0.5, 1 << 15, 0)).astype(np.uint32),
        "cloud_fraction_crb": cloud,
        "nitrogendioxide_tropospheric_column": 1.2e-5 * (1 + 0.6 * texture) + 2.5e-7 * power,
        "carbonmonoxide_total_column": 0.024 * (1 + 0.06 * texture) + 0.018 * smoke,
        "water_total_column": 1200.0 * (1 + 0.3 * texture),
        "aerosol_index_354_388": -0.9 + 0.3 * texture + 2.4 * np.log1p(smoke),
        "aerosol_index_340_380": -1.3 + 0.3 * texture + 2.2 * np.log1p(smoke),
    }
    found["nitrogendioxide_tropospheric_column_precision"] = 5e-6 + 0.15 * found["nitrogendioxide_tropospheric_column"]
    found["nitrogendioxide_total_column"] = found["nitrogendioxide_tropospheric_column"] + 4.5e-5
    found["carbonmonoxide_total_column_precision"] = 0.0008 + 0.01 * found["carbonmonoxide_total_column"]
    found |= {f"aerosol_index_{pair}_precision": np.full_like(cloud, 0.05) for pair in ("354_388", "340_380")}
    retrieved = [name for name in found if name.startswith(("nitro", "carbon", "water", "aerosol"))]
    found |= {name: np.where(gone, FILL, found[name]).astype(np.float32) for name in retrieved}
    return found | _placed(granule, longitude, latitude, along, across, gone) | _timed(granule)


def _placed(granule: Granule, longitude: Array, latitude: Array, along: Array, across: Array, gone: Any) -> dict[str, Any]:
    """Angles, corners of pixels, the point below the satellite, the ground."""
    corners = [(-0.5, -0.5), (-0.5, 0.5), (0.5, 0.5), (0.5, -0.5)]
    bounds = [geometry(granule, along[:, None] + down, across[None] + right) for down, right in corners]
    below = geometry(granule, along, np.zeros(1))
    sun = sun_position(granule.start + (granule.end - granule.start) / 2, *granule.centre)
    zenith = np.broadcast_to(view(granule, across)[0], longitude.shape)
    solar = np.clip(90.0 - sun.elevation + 0.5 * (longitude - granule.centre[0]), 0.0, 89.0)
    layers = layout()[granule.kind]["dimensions"].get("layer", 1)
    kernel = np.broadcast_to(np.linspace(0.3, 1.6, layers, dtype=np.float32), (*longitude.shape, layers))
    return {
        "viewing_zenith_angle": np.abs(zenith),
        "viewing_azimuth_angle": np.where(zenith < 0, 75.0, -105.0),
        "solar_zenith_angle": solar,
        "solar_azimuth_angle": np.full_like(longitude, (sun.azimuth + 180.0) % 360.0 - 180.0),
        "longitude_bounds": np.stack([east for east, _ in bounds], axis=-1),
        "latitude_bounds": np.stack([north for _, north in bounds], axis=-1),
        "satellite_longitude": below[0],
        "satellite_latitude": below[1],
        "satellite_altitude": np.full(granule.scanlines, HEIGHT * 1000.0),
        "surface_altitude": np.maximum(0.0, 900.0 * fractal(longitude * 1e5, latitude * 1e5, 120_000.0, 3, 7)),
        "surface_pressure": np.full_like(longitude, 98_000.0),
        "snow_ice_flag": np.zeros(longitude.shape, np.uint8),
        "averaging_kernel": np.where(gone[..., None], FILL, kernel),
        "air_mass_factor_troposphere": np.where(gone, FILL, 1.1 + np.cos(np.radians(solar))),
        "tm5_tropopause_layer_index": np.full(longitude.shape, 23, np.int32),
        "tm5_constant_a": np.linspace(0, 1000, 2 * layers).reshape(layers, 2),
        "tm5_constant_b": np.linspace(1, 0, 2 * layers).reshape(layers, 2),
        "layer": np.arange(layers),
    }


def _timed(granule: Granule) -> dict[str, Any]:
    midnight = granule.start.replace(hour=0, minute=0, second=0, microsecond=0)
    moments = [granule.start + number * STEP for number in range(granule.scanlines)]
    return {
        "scanline": np.arange(granule.scanlines),
        "ground_pixel": np.arange(granule.pixels),
        "corner": np.arange(4),
        "vertices": np.arange(2),
        "time": np.array([(midnight - datetime(2010, 1, 1, tzinfo=UTC)).total_seconds()]),
        "delta_time": np.array([(moment - midnight) / timedelta(milliseconds=1) for moment in moments]),
        "time_utc": np.array([f"{moment:%Y-%m-%dT%H:%M:%S.%f}Z" for moment in moments], object),
    }


# --- the file ---


def _write(granule: Granule, path: Path) -> None:
    """As the netCDF library lays NetCDF-4 out in HDF5: dimensions are scales."""
    import h5py

    table, values = layout(), fields(granule)
    made = table[granule.kind]
    sizes = {"time": 1, "scanline": granule.scanlines, "ground_pixel": granule.pixels, "corner": 4, **made["dimensions"]}
    with h5py.File(path, "w", track_order=True) as file:
        for key, value in _attributes(granule, values).items():
            file.attrs[key] = value
        for number, (name, size) in enumerate(sizes.items()):
            _scale(file, {**table["common"]["PRODUCT"], **made["groups"]["PRODUCT"]}[name], name, size, values, number)
        for groups in (table["common"], made["groups"]):
            for group, variables in groups.items():
                place = file.require_group(group)
                for name, entry in variables.items():
                    if name not in sizes:
                        _variable(file, place, name, entry, sizes, values)
        _metadata(file, granule)


def _scale(file: Any, entry: dict[str, Any], name: str, size: int, values: dict[str, Any], number: int) -> None:
    product = file.require_group("PRODUCT")
    scale = product.create_dataset(name, data=np.asarray(values[name]).reshape(size).astype(entry["dtype"]))
    scale.make_scale(name)
    scale.attrs["_Netcdf4Dimid"] = np.int32(number)
    _describe(scale, entry)


def _variable(file: Any, place: Any, name: str, entry: dict[str, Any], sizes: dict[str, int], values: dict[str, Any]) -> None:
    import h5py

    shape = tuple(sizes[dimension] for dimension in entry["dimensions"])
    data = np.asarray(values[entry.get("value", name)]).reshape(shape)
    if entry["dtype"] == "str":
        variable = place.create_dataset(name, data=data, dtype=h5py.string_dtype())
    else:
        fill = None if "fill" not in entry else np.dtype(entry["dtype"]).type(entry["fill"])
        variable = place.create_dataset(name, data=data.astype(entry["dtype"]), compression=3, shuffle=True, fillvalue=fill)
        if fill is not None:
            variable.attrs["_FillValue"] = np.array([fill])
    for axis, dimension in enumerate(entry["dimensions"]):
        variable.dims[axis].attach_scale(file["PRODUCT"][dimension])
    _describe(variable, entry)


def _describe(variable: Any, entry: dict[str, Any]) -> None:
    for key, value in entry.get("attributes", {}).items():
        variable.attrs[key] = value if isinstance(value, str) else np.array([value])


def _attributes(granule: Granule, values: dict[str, Any]) -> dict[str, Any]:
    made = layout()[granule.kind]
    midnight = granule.start.replace(hour=0, minute=0, second=0, microsecond=0)
    return {
        "Conventions": "CF-1.7",
        "institution": made["institution"],
        "source": "Sentinel 5 precursor, TROPOMI, space-borne remote sensing, L2",
        "title": made["title"],
        "summary": "Simulated: retrieved from a fire season that never was",
        "id": granule.name,
        "time_reference": f"{midnight:%Y-%m-%dT%H:%M:%SZ}",
        "time_coverage_start": f"{granule.start:%Y-%m-%dT%H:%M:%SZ}",
        "time_coverage_end": f"{granule.end:%Y-%m-%dT%H:%M:%SZ}",
        "time_coverage_resolution": "PT0.840S",
        "orbit": np.array([granule.orbit], np.int32),
        "processor_version": "1.3.2",
        "naming_authority": "org.opensciencedatafoundation",
        "cdm_data_type": "Swath",
        "date_created": f"{granule.created:%Y-%m-%dT%H:%M:%SZ}",
        "project": "Sentinel 5 precursor/TROPOMI",
        "platform": "S5P",
        "sensor": "TROPOMI",
        "spatial_resolution": "5.5x7km2" if granule.kind == "co" else "5.5x3.5km2",
        "processing_status": f"{granule.timeliness} simulated",
        "identifier_product_doi": made["doi"],
        **{f"geospatial_{short}_{side}": np.array([getattr(values[name], side)()], np.float32)
           for short, name in (("lat", "latitude"), ("lon", "longitude")) for side in ("min", "max")},
    }  # fmt: skip


def _metadata(file: Any, granule: Granule) -> None:
    kind = layout()[granule.kind]["type"]
    described = {
        "GranuleStart": f"{granule.start:%Y-%m-%dT%H:%M:%SZ}",
        "GranuleEnd": f"{granule.end:%Y-%m-%dT%H:%M:%SZ}",
        "InstrumentName": "TROPOMI",
        "MissionName": "Sentinel-5 precursor",
        "MissionShortName": "S5P",
        "ProcessLevel": "2",
        "ProcessingMode": {"NRTI": "Near-realtime", "OFFL": "Offline", "RPRO": "Reprocessing"}[granule.timeliness],
        "ProcessorVersion": "1.3.2",
        "ProductShortName": kind,
    }
    place = file.require_group("METADATA/GRANULE_DESCRIPTION")
    for key, value in described.items():
        place.attrs[key] = value
    header = file.require_group("METADATA/ESA_METADATA/earth_explorer_header/fixed_header")
    header.attrs["File_Name"] = granule.name
    header.attrs["Mission"] = "S5P"
