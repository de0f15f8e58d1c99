"""Small SLSTR products in their real layout, from arrays: what a test wants to know of a pixel, it has put there itself."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from eolake.ingest.simulators.products.landscape import Landscape
from eolake.ingest.simulators.products.season import Season
from eolake.ingest.simulators.products.sentinel3.geometry import passes
from eolake.ingest.simulators.products.sentinel3.make import Sentinel3Kind, write_sentinel3

Array = NDArray[Any]
FILL = -32768
RBT = "S3A_SL_1_RBT____20191231T234921_20191231T235221_20200102T043116_0179_053_173_3420_LN2_O_NT_003"
LST = "S3A_SL_2_LST____20191231T234921_20191231T235221_20200102T063116_0179_053_173_3420_LN2_O_NT_003"
FRP = "S3A_SL_2_FRP____20191231T234921_20191231T235221_20200102T073116_0179_053_173_3420_LN2_O_NT_003"
RADIANCES = {"S1": 0.01785, "S2": 0.0145, "S3": 0.009, "S4": 0.003452, "S5": 0.002258, "S6": 0.000742}
TEMPERATURE = {"scale_factor": 0.01, "add_offset": 283.73, "units": "K"}
DEGREES = {"scale_factor": 1e-6, "_FillValue": -(2**31)}
METRE = 1 / 111_200
MANIFEST = """<?xml version="1.0" encoding="UTF-8"?>
<xfdu:XFDU xmlns:xfdu="urn:ccsds:schema:xfdu:1" xmlns:sentinel-safe="http://www.esa.int/safe/sentinel/1.1" xmlns:gml="http://www.opengis.net/gml"
    xmlns:sentinel3="http://www.esa.int/safe/sentinel/sentinel-3/1.0" xmlns:slstr="http://www.esa.int/safe/sentinel/sentinel-3/slstr/1.0">
  <metadataSection>
    <metadataObject ID="acquisitionPeriod"><metadataWrap><xmlData><sentinel-safe:acquisitionPeriod>
      <sentinel-safe:startTime>{start}</sentinel-safe:startTime><sentinel-safe:stopTime>{stop}</sentinel-safe:stopTime>
    </sentinel-safe:acquisitionPeriod></xmlData></metadataWrap></metadataObject>
    <metadataObject ID="platform"><metadataWrap><xmlData><sentinel-safe:platform>
      <sentinel-safe:nssdcIdentifier>2016-011A</sentinel-safe:nssdcIdentifier><sentinel-safe:familyName>Sentinel-3</sentinel-safe:familyName>
      <sentinel-safe:number>A</sentinel-safe:number><sentinel-safe:instrument>
        <sentinel-safe:familyName abbreviation="SLSTR">Sea and Land Surface Temperature Radiometer</sentinel-safe:familyName>
        <sentinel-safe:mode identifier="EO">Earth Observation</sentinel-safe:mode></sentinel-safe:instrument>
    </sentinel-safe:platform></xmlData></metadataWrap></metadataObject>
    <metadataObject ID="measurementFrameSet"><metadataWrap><xmlData><sentinel-safe:frameSet>
      <sentinel-safe:footPrint srsName="http://www.opengis.net/def/crs/EPSG/0/4326"><gml:posList>{corners}</gml:posList></sentinel-safe:footPrint>
    </sentinel-safe:frameSet></xmlData></metadataWrap></metadataObject>
    <metadataObject ID="generalProductInformation"><metadataWrap><xmlData><sentinel3:generalProductInformation>
      <sentinel3:productName>{name}.SEN3</sentinel3:productName><sentinel3:productType>{kind}</sentinel3:productType>
      <sentinel3:timeliness>{timeliness}</sentinel3:timeliness><sentinel3:baselineCollection>{baseline}</sentinel3:baselineCollection>
      <sentinel3:creationTime>{created}</sentinel3:creationTime><sentinel3:dispositionMode>Operational</sentinel3:dispositionMode>
      <sentinel3:productUnit><sentinel3:type>FRAME</sentinel3:type><sentinel3:duration>179</sentinel3:duration>
        <sentinel3:alongtrackCoordinate>3420</sentinel3:alongtrackCoordinate></sentinel3:productUnit>
    </sentinel3:generalProductInformation></xmlData></metadataWrap></metadataObject>
    <metadataObject ID="slstrProductInformation"><metadataWrap><xmlData><slstr:slstrProductInformation>
      <slstr:classificationSummary><sentinel3:salineWaterPixels percentage="20.5"/><sentinel3:landPixels percentage="79.5"/>
        <sentinel3:coastalPixels percentage="0.5"/><sentinel3:freshInlandWaterPixels percentage="0.2"/>
        <sentinel3:tidalRegionPixels percentage="0.1"/><sentinel3:cloudyPixels percentage="12.25"/></slstr:classificationSummary>
      <slstr:resolution><slstr:spatialResolution>1000</slstr:spatialResolution></slstr:resolution>
      <slstr:pixelQualitySummary><slstr:cosmeticPixels value="1" percentage="20.0"/><slstr:duplicatedPixels value="1" percentage="4.0"/>
        <slstr:saturatedPixels value="0" percentage="0.0"/><slstr:outOfRangePixels value="0" percentage="0.0"/></slstr:pixelQualitySummary>
    </slstr:slstrProductInformation></xmlData></metadataWrap></metadataObject>
    <metadataObject ID="measurementOrbitReference"><metadataWrap><xmlData><sentinel-safe:orbitReference>
      <sentinel-safe:orbitNumber type="start" groundTrackDirection="descending">20131</sentinel-safe:orbitNumber>
      <sentinel-safe:relativeOrbitNumber type="start" groundTrackDirection="descending">173</sentinel-safe:relativeOrbitNumber>
      <sentinel-safe:passNumber type="start" groundTrackDirection="descending">40262</sentinel-safe:passNumber>
      <sentinel-safe:relativePassNumber type="start" groundTrackDirection="descending">346</sentinel-safe:relativePassNumber>
      <sentinel-safe:cycleNumber type="start">53</sentinel-safe:cycleNumber>
    </sentinel-safe:orbitReference></xmlData></metadataWrap></metadataObject>
  </metadataSection>
  <dataObjectSection>
{objects}
  </dataObjectSection>
</xfdu:XFDU>
"""
DATA_OBJECT = """    <dataObject ID="{stem}_Data"><byteStream mimeType="application/x-netcdf" size="{size}">
      <fileLocation locatorType="URL" textInfo="{stem}" href="./{name}"/><checksum checksumName="MD5">{md5}</checksum>
    </byteStream></dataObject>"""
NAME = re.compile(r"S3._(?P<kind>.{11})_(?P<start>.{15})_(?P<stop>.{15})_(?P<created>.{15})_.*_(?P<timeliness>..)_(?P<baseline>...)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """One of the image grids: longitudes and latitudes of its pixels, and their metres across (x, falling) and along the track (y)."""

    longitude: Array
    latitude: Array
    x: Array
    y: Array

    @property
    def shape(self) -> tuple[int, int]:
        rows, columns = self.longitude.shape
        return rows, columns


def image(
    rows: int, columns: int, step: float, *, east: float = 40_000.0, shift: float = 0.0, origin: tuple[float, float] = (150.0, -33.0)
) -> Image:
    """Pixels of `step` metres on a pass that goes down to the south-south-west; the first column lies `east` metres from the track, `shift`
    metres moves all of them as an instrument's own grid would."""
    row, column = np.mgrid[:rows, :columns].astype(float)
    x, y = east - step * (column + 0.5) + shift, step * (row + 0.5)
    heading = np.radians(13.0)
    latitude = origin[1] - (y * np.cos(heading) - x * np.sin(heading)) * METRE
    longitude = origin[0] - (y * np.sin(heading) + x * np.cos(heading)) * METRE / np.cos(np.radians(latitude))
    return Image(longitude=(longitude + 180) % 360 - 180, latitude=latitude, x=x, y=y)


def write(path: Path, variables: Mapping[str, tuple[Array, Mapping[str, Any]]], dimensions: tuple[str, ...] = ("rows", "columns")) -> None:
    """Counts as they are, beside attributes as they are."""
    with netCDF4.Dataset(path, "w") as file:
        file.setncatts(
            {"start_time": "2019-12-31T23:49:21.000000Z", "stop_time": "2019-12-31T23:52:21.000000Z", "product_name": path.parent.name}
        )
        for name, (counts, attributes) in variables.items():
            for dimension, size in zip(dimensions, counts.shape, strict=True):
                if dimension not in file.dimensions:
                    file.createDimension(dimension, size)
            fill = attributes.get("_FillValue")
            variable = file.createVariable(name, counts.dtype, dimensions, fill_value=fill, zlib=True)
            variable.setncatts({key: value for key, value in attributes.items() if key != "_FillValue"})
            variable.set_auto_maskandscale(False)
            variable[:] = counts


def write_geodetic(folder: Path, grid: str, pixels: Image) -> None:
    """geodetic_in.nc and cartesian_in.nc of a grid (an, in, fn, …)."""
    micro = {"longitude": pixels.longitude, "latitude": pixels.latitude}
    stored = {f"{name}_{grid}": (_micro(values), DEGREES) for name, values in micro.items()}
    height = np.rint(100 + 10 * np.sin(pixels.y / 5000)).astype(np.int16)
    write(folder / f"geodetic_{grid}.nc", {**stored, f"elevation_{grid}": (height, {"_FillValue": FILL, "units": "m"})})
    metres = {"x": (pixels.x, -1_000_000), "y": (pixels.y, -5_000_000)}
    write(
        folder / f"cartesian_{grid}.nc",
        {
            f"{name}_{grid}": (
                np.where(np.isfinite(values), np.rint(np.nan_to_num(values)), fill).astype(np.int32),
                {"_FillValue": fill, "units": "m"},
            )
            for name, (values, fill) in metres.items()
        },
    )


def _micro(degrees: Array) -> Array:
    return np.where(np.isfinite(degrees), np.rint(np.nan_to_num(degrees) * 1e6), -(2**31)).astype(np.int32)


def degrees(path: Path, name: str) -> Array:
    """Coordinates as the file has them: rounded to 1e-6."""
    with netCDF4.Dataset(path) as file:
        return np.ma.filled(file[name][:].astype(float), np.nan)


def angle(name: str, x: Array, y: Array) -> Array:
    """Angles that are linear in the metres, so that interpolation gives them exactly; azimuths pass 360."""
    slope, start = {
        "solar_zenith": (1e-5, 35.0),
        "sat_zenith": (-3e-4, 25.0),
        "solar_azimuth": (2e-4, 75.0),
        "sat_azimuth": (4e-4, 358.0),
    }[name]
    found = start + slope * x + 1e-5 * y
    return found % 360 if name.endswith("azimuth") else found


def write_ties(folder: Path, view: str) -> None:
    """cartesian_tx.nc and geometry_tn.nc or _to.nc: every 16 km across, falling, and every kilometre along."""
    y, x = np.meshgrid(np.arange(-2000.0, 130_000.0, 1000.0), np.arange(1_024_000.0, -1_024_001.0, -16_000.0), indexing="ij")
    write(folder / "cartesian_tx.nc", {"x_tx": (x, {"units": "m"}), "y_tx": (y, {"units": "m"})})
    names = ("solar_zenith", "solar_azimuth", "sat_zenith", "sat_azimuth")
    write(
        folder / f"geometry_t{view}.nc",
        {f"{name}_t{view}": (angle(name, x, y), {"_FillValue": 9.969209968386869e36, "units": "degrees"}) for name in names},
    )


def write_flags(folder: Path, grid: str, shape: tuple[int, int], random: np.random.Generator) -> None:
    """flags_in.nc with every bit somewhere."""
    kinds = {"confidence": np.uint16, "cloud": np.uint16, "bayes": np.uint8, "pointing": np.uint8}
    write(
        folder / f"flags_{grid}.nc",
        {
            f"{name}_{grid}": (random.integers(0, np.iinfo(kind).max, shape, dtype=kind), {"long_name": name})
            for name, kind in kinds.items()
        },
    )


def exception(shape: tuple[int, int], random: np.random.Generator) -> tuple[Array, Mapping[str, Any]]:
    """Why pixels have no value; most have none."""
    return np.where(random.random(shape) < 0.1, 1 << random.integers(0, 8, shape), 0).astype(np.uint8), {}


def counts(shape: tuple[int, int], random: np.random.Generator, fill: int = FILL) -> Array:
    """Different in every pixel, and missing in some."""
    found = random.permutation(np.arange(shape[0] * shape[1], dtype=np.int64) % 30_000).reshape(shape).astype(np.int16)
    found[random.random(shape) < 0.02] = fill
    return found


def rbt(folder: Path, *, rows: int = 40, columns: int = 60, seed: int = 1, origin: tuple[float, float] = (150.0, -33.0)) -> Path:
    """A Level-1 product of rows × columns pixels of 1 km, twice that at 500 m; the oblique view has two thirds of the columns."""
    product = folder / f"{RBT}.SEN3"
    product.mkdir()
    random = np.random.default_rng(seed)
    for view, wide in (("n", columns), ("o", columns * 2 // 3)):
        grids = {
            f"a{view}": image(2 * rows, 2 * wide, 500.0, origin=origin),
            f"i{view}": image(rows, wide, 1000.0, origin=origin),
            f"f{view}": image(rows, wide, 1000.0, shift=300.0, origin=origin),
        }
        for grid, pixels in grids.items():
            write_geodetic(product, grid, pixels)
            write_flags(product, grid, pixels.shape, random)
        write_ties(product, view)
        for grid, pixels in grids.items():
            write(product / f"indices_{grid}.nc", {f"detector_{grid}": (np.zeros(pixels.shape, np.uint8), {})})
        for band, scale in RADIANCES.items():
            name = f"{band}_radiance_a{view}"
            attributes = {"scale_factor": scale, "add_offset": 0.0, "_FillValue": FILL, "units": "mW.m-2.sr-1.nm-1"}
            shape, flags = grids[f"a{view}"].shape, f"{band}_exception_a{view}"
            write(product / f"{name}.nc", {name: (counts(shape, random), attributes), flags: exception(shape, random)})
        for band, grid in (("S7", "i"), ("S8", "i"), ("S9", "i"), ("F1", "f"), ("F2", "i")):
            name = f"{band}_BT_{grid}{view}"
            shape, flags = grids[f"{grid}{view}"].shape, f"{band}_exception_{grid}{view}"
            stored = {name: (counts(shape, random), {**TEMPERATURE, "_FillValue": FILL}), flags: exception(shape, random)}
            write(product / f"{name}.nc", stored)
    irradiances = {f"{band}_solar_irradiances": (np.full((4, 2), 1500.0), {}) for band in RADIANCES}
    write(product / "viscal.nc", irradiances, ("detectors", "views"))
    write_manifest(product, image(2 * rows, 2 * columns, 500.0, origin=origin))
    return product


def lst(folder: Path, *, rows: int = 40, columns: int = 60, seed: int = 2) -> Path:
    """A Level-2 product of land surface temperature."""
    product = folder / f"{LST}.SEN3"
    product.mkdir()
    random = np.random.default_rng(seed)
    pixels = image(rows, columns, 1000.0)
    write_geodetic(product, "in", pixels)
    write_flags(product, "in", pixels.shape, random)
    write_ties(product, "n")
    shape = pixels.shape
    write(
        product / "LST_in.nc",
        {
            "LST": (counts(shape, random), {"scale_factor": 0.002, "add_offset": 290.0, "_FillValue": FILL, "units": "K"}),
            "LST_uncertainty": (counts(shape, random), {"scale_factor": 0.002, "_FillValue": FILL, "units": "K"}),
        },
    )
    percent = random.integers(0, 101, shape).astype(np.uint8)
    write(
        product / "LST_ancillary_ds.nc",
        {
            "NDVI": (random.integers(-10_000, 10_001, shape).astype(np.int16), {"scale_factor": 0.0001, "_FillValue": FILL}),
            "fraction": (percent, {"scale_factor": 0.01, "_FillValue": 255}),
            "TCWV": (random.integers(0, 7000, shape).astype(np.int16), {"scale_factor": 0.01, "_FillValue": FILL, "units": "kg.m-2"}),
            "biome": (random.integers(0, 28, shape).astype(np.uint8), {"_FillValue": 255}),
        },
    )
    write_manifest(product, pixels)
    return product


def frp(folder: Path, fires: Iterable[tuple[int, int, float]], *, rows: int = 40, columns: int = 60, seed: int = 3) -> Path:
    """A Level-2 product of fires: (row, column, MW) of each."""
    product = folder / f"{FRP}.SEN3"
    product.mkdir()
    random = np.random.default_rng(seed)
    pixels = image(rows, columns, 1000.0)
    write_geodetic(product, "in", pixels)
    write_flags(product, "in", pixels.shape, random)
    found = list(fires)
    row, column = (np.array([fire[n] for fire in found], int) for n in (0, 1))
    power = np.array([fire[2] for fire in found])
    with netCDF4.Dataset(product / "FRP_in.nc", "w") as file:
        file.createDimension("fires", len(found) or None)
        file.createDimension("rows", rows)
        file.createDimension("columns", columns)
        listed: Mapping[str, tuple[str, Array]] = {
            "j": ("i4", row),
            "i": ("i2", column),
            "time": ("i8", 631_151_361_000_000 + np.arange(len(found))),  # 2020-01-01 minus 639 s, in µs since 2000
            "longitude": ("f8", pixels.longitude[row, column]),
            "latitude": ("f8", pixels.latitude[row, column]),
            "FRP_MWIR": ("f8", power),
            "FRP_uncertainty_MWIR": ("f8", power / 10),
            "BT_MIR": ("f8", 320 + power / 10),
            "confidence": ("f8", np.full(len(found), 0.75)),
            "classification": ("u1", np.ones(len(found), int)),
            "used_channel": ("u1", np.ones(len(found), int)),
        }
        for name, (kind, values) in listed.items():
            variable = file.createVariable(name, kind, ("fires",))
            if found:
                variable[:] = values
        flags = file.createVariable("flags", "u2", ("rows", "columns"))
        flags[:] = random.integers(0, 256, (rows, columns))
    write_manifest(product, pixels)
    return product


def write_manifest(product: Path, pixels: Image) -> None:
    """xfdumanifest.xml of the files that lie there."""
    match = NAME.fullmatch(product.stem)
    assert match is not None
    files = sorted(product.glob("*.nc"))
    objects = "\n".join(
        DATA_OBJECT.format(stem=file.stem, name=file.name, size=file.stat().st_size, md5=hashlib.md5(file.read_bytes()).hexdigest())
        for file in files
    )
    corners = " ".join(f"{pixels.latitude[at]:.6g} {pixels.longitude[at]:.6g}" for at in [(0, 0), (-1, 0), (-1, -1), (0, -1), (0, 0)])
    times = {
        key: f"{text[:4]}-{text[4:6]}-{text[6:11]}:{text[11:13]}:{text[13:]}.000000Z"
        for key, text in match.groupdict().items()
        if len(text) == 15
    }
    filled = {**match.groupdict(), **{key: times[key] for key in ("start", "stop")}}
    text = MANIFEST.format(name=product.stem, corners=corners, objects=objects, **filled)
    (product / "xfdumanifest.xml").write_text(text, "utf-8")


def simulated(folder: Path, *kinds: Sentinel3Kind, size: int = 40) -> dict[str, Path]:
    """Products of a pass of the simulated season that both views see the fire at the site of the landscape in, by kind."""
    season = Season()
    landscape = Landscape(season=season)
    begin = datetime(2020, 1, 2, tzinfo=UTC)
    orbit = next(passes("A", begin, begin + timedelta(days=12), landscape.site, west=250_000.0, east=250_000.0))
    return {kind: write_sentinel3(kind, orbit, folder, landscape=landscape, size=size) for kind in kinds}


def nearest(longitude: Array, latitude: Array, at_longitude: Array, at_latitude: Array) -> tuple[Array, Array]:
    """The flat number of the pixel that is nearest to each place, by a k-d tree on the sphere, and its distance in metres."""
    known = np.flatnonzero(np.isfinite(longitude.ravel()) & np.isfinite(latitude.ravel()))
    tree = cKDTree(_unit(longitude.ravel()[known], latitude.ravel()[known]))
    distance, index = tree.query(_unit(at_longitude.ravel(), at_latitude.ravel()))
    return known[index], distance * 6_371_000


def _unit(longitude: Array, latitude: Array) -> Array:
    east, north = np.radians(longitude), np.radians(latitude)
    return np.column_stack([np.cos(north) * np.cos(east), np.cos(north) * np.sin(east), np.sin(north)])
