"""OLCI Level 1: radiances of 21 bands in a file each, with coordinates, flags, angles and weather, at 300 m (FR) or 1.2 km (RR)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from eolake.ingest.simulators.products.atmosphere import top_of_atmosphere
from eolake.ingest.simulators.products.landscape import Landscape, Surface
from eolake.ingest.simulators.products.netcdf import NetcdfFile
from eolake.ingest.simulators.products.noise import Array
from eolake.ingest.simulators.products.sentinel3.geometry import OLCI_DETECTORS, OLCI_TIES, Grid, Olci
from eolake.ingest.simulators.products.sentinel3.xfdu import DataFile, Product, stamp, write_manifest
from eolake.ingest.simulators.products.spectra import Band, load

BLOCK = 256
"""rows that are in memory at once"""
ROWS = ("rows", "columns")
TIES = ("tie_rows", "tie_columns")
MICRO = 1e-6
"""degrees in a count of coordinates and angles"""
_EDGE = 24
"""columns at either end of a whole swath at full resolution that hold no measurement"""
_SAMPLING = {"FR": (44001, 294, 270), "RR": (176004, 1176, 1080)}
"""µs, m along, m across"""
_AU = 149_597_870_700.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """One band."""

    band: Band
    flux: float
    """mW m-2 nm-1, at the sun's distance of the flight"""
    scale: float
    gases: float
    """share of the light that they let through"""


@cache
def channels() -> Mapping[str, Channel]:
    """The bands by name, Oa01 to Oa21."""
    return {
        name: Channel(
            band=Band(name=name, centre=row["centre"], width=row["width"]), flux=row["flux"], scale=row["scale"], gases=row["gases"]
        )
        for name, row in load("olci.yaml")["bands"].items()
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Some rows of an image: where they are and what is there."""

    rows: slice
    longitude: Array
    latitude: Array
    surface: Surface
    sun: Array
    """zenith, degrees"""
    invalid: NDArray[np.bool_]
    """columns without measurement"""

    def radiance(self, name: str) -> Array:
        """At the top of the atmosphere, mW m-2 sr-1 nm-1."""
        channel = channels()[name]
        seen = top_of_atmosphere(self.surface.reflectance(channel.band), channel.band) * channel.gases
        return np.asarray(seen * channel.flux * np.cos(np.radians(self.sun)) / np.pi)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What a product is made from."""

    olci: Olci
    landscape: Landscape
    cloud: float = 0.0
    """share of the sky"""

    @property
    def grid(self) -> Grid:
        """Of the image."""
        return self.olci.grid

    @property
    def ties(self) -> Grid:
        """Of the tie points: each row, every 64th column (16th at reduced resolution)."""
        return self.grid.ties(OLCI_TIES[self.olci.resolution])

    def invalid(self) -> NDArray[np.bool_]:
        """Columns that hold no measurement: the ends of the swath."""
        edge = _EDGE if self.olci.resolution == "FR" else _EDGE // 4
        column = self.olci.first + np.arange(self.grid.shape[1])
        whole = 4865 if self.olci.resolution == "FR" else 1217
        return np.asarray((column < edge) | (column >= whole - edge))

    def blocks(self) -> Iterator[Block]:
        """The whole image, some rows at a time. Everything is as it is at the time of the middle row, but for the sun."""
        invalid = self.invalid()
        for first in range(0, self.grid.rows, BLOCK):
            rows = slice(first, min(first + BLOCK, self.grid.rows))
            longitude, latitude = self.grid.coordinates(rows)
            surface = self.landscape.overview(longitude, latitude, self.grid.middle, cloud=self.cloud)
            yield Block(rows=rows, longitude=longitude, latitude=latitude, surface=surface, sun=self.grid.sun(rows)[0], invalid=invalid)

    def product(self, kind: str, title: str, centre: str, baseline: str) -> Product:
        """What a product of it says of itself; `kind`: OL_1_E, to which FR___ is added."""
        return Product(
            type=f"{kind}{self.olci.resolution}___",
            title=title,
            orbit=self.grid.orbit,
            begin=self.grid.begin,
            end=self.grid.begin + self.grid.interval * (self.grid.rows - 1),
            centre=centre,
            baseline=baseline,
        )


class Files:
    """The NetCDF files of one product as they are written, and what the manifest shall say of them."""

    def __init__(self, folder: Path, scene: Scene, product: Product, level: Literal[1, 2]) -> None:
        """`level` of processing."""
        self.folder, self.scene, self.product, self.level = folder, scene, product, level
        self.listed: list[DataFile] = []
        rows, columns = scene.grid.shape
        ties = scene.ties.shape
        self._sizes = {"rows": rows, "columns": columns, "tie_rows": ties[0], "tie_columns": ties[1]}

    def open(
        self, stem: str, title: str, *dimensions: str, id: str = "", text: str = "", measurement: bool = False, **more: int
    ) -> NetcdfFile:
        """A new file with the global attributes of all. `dimensions` are those of the image or its ties, `more` others with their sizes."""
        self.listed.append(DataFile(name=f"{stem}.nc", id=id or stem, text=text or title, measurement=measurement))
        return NetcdfFile(self.folder / f"{stem}.nc", self._attributes(title), {**{name: self._sizes[name] for name in dimensions}, **more})

    def _attributes(self, title: str) -> dict[str, Any]:
        product = self.product
        _, along, across = _SAMPLING[self.scene.olci.resolution]
        return {
            "absolute_orbit_number": np.uint32(product.orbit.orbit),
            "ac_subsampling_factor": np.uint16(OLCI_TIES[self.scene.olci.resolution]),
            "al_subsampling_factor": np.uint16(1),
            "comment": " ",
            "contact": "eosupport@copernicus.esa.int",
            "creation_time": stamp(product.created),
            "institution": product.centre,
            "netCDF_version": "4.2",
            "product_name": product.name,
            "references": f"S3IPF PDS 004.{self.level} - Product Data Format Specification - OLCI Level {self.level}",
            "resolution": f"[ {across} {along} ]",
            "source": "simulated",
            "start_time": stamp(product.start),
            "stop_time": stamp(product.stop),
            "title": f"OLCI Level {'1b' if self.level == 1 else '2'} Product, {title} Data Set",
        }


def write_level1(scene: Scene, folder: Path) -> Path:
    """Writes the product into `folder`, which is created, and returns the path of its own folder in there."""
    full = scene.olci.resolution == "FR"
    title = f"SENTINEL-3 OLCI Level 1 Earth Observation {'Full' if full else 'Reduced'} Resolution Product"
    product = scene.product("OL_1_E", title, "LN1", "002")
    target = folder / product.name
    target.mkdir(parents=True)
    files = Files(target, scene, product, 1)
    counts = _write_images(files)
    write_annotations(files)
    if full:
        files.open(
            "removed_pixels",
            "Removed Pixels",
            id="removedPixels",
            text="Removed Pixels information used for SYN L1c reconstruction",
            removed_pixels=0,
        ).close()
    listed = sorted(files.listed, key=lambda file: (not file.measurement, file.name.lower()))
    write_manifest(target, product, scene.grid.outline(46), listed, information(scene, counts, level=1, bands=list(channels())))
    return target


def _write_images(files: Files) -> dict[str, int]:
    """Radiances, coordinates and flags, block by block; returns how many pixels have each flag."""
    opened = {
        name: files.open(
            f"{name}_radiance", f"Radiance {name}", *ROWS, text=f"TOA radiance for OLCI acquisition band {name}", measurement=True
        )
        for name in channels()
    }
    radiances = {name: _radiance_variable(file, name) for name, file in opened.items()}
    with (
        coordinates_file(files) as places,
        files.open("qualityFlags", "Quality Flags", *ROWS, id="qualityFlags", text="Quality flags") as flags,
    ):
        geo = coordinate_variables(places)
        names = [*load("olci.yaml")["quality_flags"], *(f"saturated@{name}" for name in channels())]
        quality = flags.variable(
            "quality_flags",
            np.uint32,
            ROWS,
            long_name="Classification and quality flags",
            flag_masks=(1 << np.arange(31, -1, -1, dtype=np.uint64)).astype(np.uint32),
            flag_meanings=" ".join(names),
            coordinates="time_stamp altitude latitude longitude",
        )
        totals: dict[str, int] = {}
        for block in files.scene.blocks():
            write_coordinates(geo, block)
            for name, variable in radiances.items():
                variable[block.rows] = _counts(block, name)
            found = _flags(block, files.scene)
            quality[block.rows] = found
            for bit, name in enumerate(names):
                totals[name] = totals.get(name, 0) + int((found >> np.uint32(31 - bit) & np.uint32(1)).sum())
    for file in opened.values():
        file.close()
    return totals


def _radiance_variable(file: NetcdfFile, name: str) -> Any:
    return file.variable(
        f"{name}_radiance",
        np.uint16,
        ROWS,
        fill=65535,
        scale_factor=np.float32(channels()[name].scale),
        add_offset=np.float32(0),
        units="mW.m-2.sr-1.nm-1",
        long_name=f"TOA radiance for OLCI acquisition band {name}",
        standard_name="toa_upwelling_spectral_radiance",
        ancillary_variables=f"{name}_radiance_err",
        coordinates="time_stamp altitude latitude longitude",
        valid_min=np.uint16(0),
        valid_max=np.uint16(65534),
    )


def _counts(block: Block, name: str) -> NDArray[np.uint16]:
    counts = np.clip(np.rint(block.radiance(name) / channels()[name].scale), 0, 65534).astype(np.uint16)
    counts[:, block.invalid] = 65535
    return counts


def coordinates_file(files: Files) -> NetcdfFile:
    """geo_coordinates.nc"""
    return files.open("geo_coordinates", "Geo Coordinates", *ROWS, id="geoCoordinates", text="Geo Coordinates Annotations")


def coordinate_variables(file: NetcdfFile) -> dict[str, Any]:
    """Of geo_coordinates.nc"""
    found = {}
    for name, most, direction in (("latitude", 90_000_000, "north"), ("longitude", 180_000_000, "east")):
        found[name] = file.variable(
            name,
            np.int32,
            ROWS,
            fill=-(2**31),
            scale_factor=MICRO,
            units=f"degrees_{direction}",
            long_name=f"DEM corrected {name}",
            standard_name=name,
            valid_min=np.int32(-most),
            valid_max=np.int32(most),
        )
    found["altitude"] = file.variable(
        "altitude", np.int16, ROWS, fill=-32768, units="m", long_name="DEM corrected altitude", standard_name="altitude"
    )
    return found


def write_coordinates(variables: Mapping[str, Any], block: Block) -> None:
    """The places of a block and their height: 0 on the sea."""
    variables["latitude"][block.rows] = micro(block.latitude)
    variables["longitude"][block.rows] = micro(block.longitude)
    height = block.surface.elevation * (1 - block.surface.fractions["water"])
    variables["altitude"][block.rows] = np.rint(height).astype(np.int16)


def micro(degrees: Array) -> NDArray[np.int32]:
    """Millionths of a degree."""
    return np.rint(degrees * 1e6).astype(np.int32)


def _flags(block: Block, scene: Scene) -> NDArray[np.uint32]:
    surface, sea = block.surface, sea_of(block, scene)
    detectors = scene.olci.detectors
    doubled = np.append(False, detectors[1:] == detectors[:-1])
    everywhere = np.ones(sea.shape, bool)
    found = {
        31: ~surface.water,
        30: (surface.fractions["water"] > 0.05) & (surface.fractions["water"] < 0.95) & sea,
        29: surface.water & ~sea,
        27: surface.cloud > 0.35,
        25: everywhere & block.invalid,
        23: everywhere & doubled,
    }
    total = np.zeros(sea.shape, np.uint32)
    for bit, where in found.items():
        total |= where.astype(np.uint32) << np.uint32(bit)
    return total


def sea_of(block: Block, scene: Scene) -> NDArray[np.bool_]:
    """Where the water is salt."""
    if scene.landscape.season is None:
        return np.zeros(block.longitude.shape, bool)
    from eolake.ingest.simulators.products.coast import inland

    return np.asarray(inland(block.longitude, block.latitude, scene.landscape.seed) < 200.0)


def write_annotations(files: Files, *, solar: bool = True) -> None:
    """Instrument, tie points and times."""
    _write_instrument(files, solar=solar)
    scene, ties = files.scene, files.scene.ties
    longitude, latitude = ties.coordinates()
    least = -(2**31)
    with files.open(
        "tie_geo_coordinates", "Tie-Point Geo Coordinates", *TIES, id="tieGeoCoordinates", text="Tie-Point Geo Coordinate Annotations"
    ) as file:
        file.variable("latitude", np.int32, TIES, micro(latitude), fill=least, scale_factor=MICRO, units="degrees_north")
        file.variable("longitude", np.int32, TIES, micro(longitude), fill=least, scale_factor=MICRO, units="degrees_east")
    zenith, azimuth = ties.view()
    sun_zenith, sun_azimuth = ties.sun()
    with files.open("tie_geometries", "Tie-Point Geometries", *TIES, id="tieGeometries", text="Tie-Point Geometries Annotations") as file:
        file.variable("OAA", np.int32, TIES, micro(azimuth), fill=least, scale_factor=MICRO, units="degrees")
        file.variable("OZA", np.uint32, TIES, micro(zenith).astype(np.uint32), fill=2**32 - 1, scale_factor=MICRO, units="degrees")
        file.variable("SAA", np.int32, TIES, micro(sun_azimuth), fill=least, scale_factor=MICRO, units="degrees")
        file.variable("SZA", np.uint32, TIES, micro(sun_zenith).astype(np.uint32), fill=2**32 - 1, scale_factor=MICRO, units="degrees")
    _write_weather(files, latitude)
    with files.open("time_coordinates", "Time Coordinates", "rows", id="timeCoordinates", text="Time Coordinates Annotations") as file:
        file.variable(
            "time_stamp",
            np.int64,
            ("rows",),
            scene.grid.microseconds(),
            units="microseconds since 2000-01-01 00:00:00",
            standard_name="time",
        )


def _write_instrument(files: Files, *, solar: bool) -> None:
    """Detectors, and for each of them the bands as it sees them."""
    across = np.arange(OLCI_DETECTORS) / OLCI_DETECTORS - 0.5
    table = {
        "FWHM": ("nm", [np.full(OLCI_DETECTORS, channel.band.width) for channel in channels().values()]),
        "lambda0": ("nm", [channel.band.centre + 0.6 * across for channel in channels().values()]),
        "solar_flux": ("mW.m-2.nm-1", [channel.flux * (1 - 0.002 * across) for channel in channels().values()]),
    }
    shape = files.scene.grid.shape
    with files.open(
        "instrument_data", "Instrument", *ROWS, id="instrumentData", text="Instrument Annotation", bands=21, detectors=OLCI_DETECTORS
    ) as file:
        detectors = np.broadcast_to(files.scene.olci.detectors, shape)
        file.variable(
            "detector_index",
            np.int16,
            ROWS,
            detectors,
            fill=-1,
            long_name="Detector index",
            valid_min=np.int16(0),
            valid_max=np.int16(3699),
        )
        file.variable("frame_offset", np.int8, ROWS, long_name="Re-sampling along-track frame offset")
        for name, (unit, values) in table.items() if solar else ():
            file.variable(name, np.float32, ("bands", "detectors"), np.array(values), fill=-1, units=unit)


def _write_weather(files: Files, latitude: Array) -> None:
    table = load("olci.yaml")
    south = (latitude + 33) / 10
    wind = files.scene.landscape.season.wind(files.scene.grid.middle) if files.scene.landscape.season else (4.0, 1.0)
    profile = np.array(table["temperatures"]) + south[..., None]
    with files.open(
        "tie_meteo",
        "Tie-Point Meteo",
        *TIES,
        id="tieMeteo",
        text="Tie-Point Meteo Annotations",
        wind_vectors=2,
        tie_pressure_levels=len(table["levels"]),
    ) as file:
        levels = (*TIES, "tie_pressure_levels")
        file.variable(
            "atmospheric_temperature_profile", np.float32, levels, profile, long_name="Air temperature vertical profile", units="K"
        )
        file.variable(
            "horizontal_wind",
            np.float32,
            (*TIES, "wind_vectors"),
            np.broadcast_to(wind, (*south.shape, 2)),
            long_name="Horizontal wind vector at 10m altitude",
            units="m.s-1",
        )
        file.variable("humidity", np.float32, TIES, 42 + 3 * south, fill=-1, long_name="Relative humidity", units="%")
        file.variable(
            "reference_pressure_level",
            np.float32,
            ("tie_pressure_levels",),
            np.array(table["levels"]),
            long_name="Reference pressure level",
            units="hPa",
        )
        file.variable("sea_level_pressure", np.float32, TIES, 1012 + 2 * south, fill=-1, long_name="Mean sea level pressure", units="hPa")
        file.variable(
            "total_columnar_water_vapour", np.float32, TIES, 21 + 4 * south, fill=-1, long_name="Total column water vapour", units="kg.m-2"
        )
        file.variable("total_ozone", np.float32, TIES, 0.006 - 0.0002 * south, fill=-1, long_name="Total columnar ozone", units="kg.m-2")


def information(scene: Scene, counts: Mapping[str, int], *, level: Literal[1, 2], bands: list[str]) -> str:
    """The `olciProductInformation` of the manifest; `counts`: pixels with each flag."""
    rows, columns = scene.grid.shape
    total = rows * columns

    def share(name: str) -> str:
        return f'percentage="{100 * counts.get(name, 0) / total:.6f}"'

    def pixels(name: str, flag: str) -> str:
        return f'<olci:{name} value="{counts.get(flag, 0)}" {share(flag)}/>'

    along, metres, across = _SAMPLING[scene.olci.resolution]
    salt = 100 * (total - counts.get("land", 0) - counts.get("fresh_inland_water", 0)) / total
    bright = f"<sentinel3:brightPixels {share('bright')}/>"
    if level == 2:
        bright = f"<sentinel3:landPixels {share('land')}/>\n    <sentinel3:cloudyPixels {share('cloud')}/>"
    correction = "" if level == 1 else "\n  <olci:atmosphericCorrectionType>PARALLEL</olci:atmosphericCorrectionType>"
    described = "".join(_described(channels()[name].band) for name in bands)
    descriptions = f'\n  <olci:bandDescriptions bands="{len(bands)}">\n{described}  </olci:bandDescriptions>' if bands else ""
    distance = scene.landscape.sun(scene.grid.middle).distance * _AU
    return f"""<olci:olciProductInformation>
  <olci:classificationSummary>
    <sentinel3:salineWaterPixels percentage="{salt:.6f}"/>
    <sentinel3:coastalPixels {share("coastline")}/>
    <sentinel3:freshInlandWaterPixels {share("fresh_inland_water")}/>
    <sentinel3:tidalRegionPixels {share("tidal_region")}/>
    {bright}
  </olci:classificationSummary>{correction}
  <olci:measurementAccuracy>2.000000</olci:measurementAccuracy>
  <olci:accuracyReference>0</olci:accuracyReference>
  <olci:imageSize>
    <sentinel3:rows>{rows}</sentinel3:rows>
    <sentinel3:columns>{columns}</sentinel3:columns>
  </olci:imageSize>
  <olci:pixelQualitySummary>
    {pixels("invalidPixels", "invalid")}
    {pixels("cosmeticPixels", "cosmetic")}
    {pixels("duplicatedPixels", "duplicated")}
    <olci:saturatedPixels value="0" percentage="0.000000"/>
    <olci:dubiousSamples value="0" percentage="0.000000"/>
  </olci:pixelQualitySummary>
  <olci:ecmwfType timeRelevance="0">ANALYSIS</olci:ecmwfType>
  <olci:earthSunDistance>{distance:.0f}</olci:earthSunDistance>
  <olci:oclStatus>true</olci:oclStatus>
  <olci:samplingParameters>
    <olci:alTimeSampling>{along}</olci:alTimeSampling>
    <olci:alSpatialSampling>{metres}</olci:alSpatialSampling>
    <olci:acSpatialSampling>{across}</olci:acSpatialSampling>
    <olci:rowsPerTiePoint>1</olci:rowsPerTiePoint>
    <olci:columnsPerTiePoint>{OLCI_TIES[scene.olci.resolution]}</olci:columnsPerTiePoint>
  </olci:samplingParameters>{descriptions}
</olci:olciProductInformation>"""


def _described(band: Band) -> str:
    return f"""    <sentinel3:band name="{band.name}">
      <sentinel3:centralWavelength>{band.centre:g}</sentinel3:centralWavelength>
      <sentinel3:bandwidth>{band.width:g}</sentinel3:bandwidth>
    </sentinel3:band>
"""
