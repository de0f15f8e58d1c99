"""Tiny Landsat products of every declared collection, in the layout of USGS and in every container."""

from __future__ import annotations

import json
import re
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from rasterio.transform import from_origin

from eolake.catalog.declaration import Band, Collection, declared

Groups = dict[str, dict[str, str]]
SENSORS = {
    4: ("TM", "LT"),
    5: ("TM", "LT"),
    7: ("ETM", "LE"),
    8: ("OLI_TIRS", "LC"),
    9: ("OLI_TIRS", "LC"),
    "oli": ("OLI", "LO"),
    "mss": ("MSS", "LM"),
}
ID = re.compile(r"ls(?P<satellite>\d)_(?P<era>c1|c2|pre)_(?P<level>l1|l2|l2sr)(?:_(?P<apart>oli|mss))?")
CORNERS = {"UL": (148.52978, -33.56163), "UR": (151.08234, -33.50374), "LL": (148.56979, -35.71163), "LR": (151.18878, -35.64893)}
CENTRE = (-300.0, 4000.0)


@dataclass(kw_only=True)
class Product:
    """What is written; tests change it first."""

    collection: Collection
    name: str
    groups: Groups
    """The metadata."""
    root: str
    size: int = 40
    """rows and columns of the default grid"""
    cell: float = 30.0
    crs: str = "EPSG:32655"
    left_out: set[str] = field(default_factory=set)
    """Endings of files that are not written: B4, QA_PIXEL."""
    formats: tuple[str, ...] = ("txt",)
    rasters: dict[str, np.ndarray[Any, Any]] = field(default_factory=dict)
    """By ending; made on demand."""
    tags: dict[str, float] = field(default_factory=dict)
    """nodata tags by ending"""

    def transform(self, band: Band) -> Affine:
        """The grid of a band; pan has half the pixel."""
        cell = self.cell / 2 if band.grid == "g15" else self.cell
        return from_origin(641985.0, -3714585.0, cell, cell)

    def pixels(self, band: Band) -> np.ndarray[Any, Any]:
        """Noise within a tilted image, the declared nodata (or 0) around it."""
        ending = band.aliases[0]
        if ending not in self.rasters:
            size = self.size * 2 - 1 if band.grid == "g15" else self.size
            info = np.iinfo(band.dtype)
            noise = np.random.default_rng(len(ending) * 1000 + size).integers(2, info.max, (size, size)).astype(band.dtype)
            self.rasters[ending] = np.where(tilted(size), noise, np.array(band.nodata or 0, band.dtype))
        return self.rasters[ending]

    def write(self, folder: Path) -> Path:
        """As a directory."""
        product = folder / self.name
        product.mkdir(parents=True)
        for band in self.collection.bands:
            ending = band.aliases[0]
            if ending not in self.left_out:
                self._raster(product / f"{self.name}_{ending}.TIF", band)
        for kind in self.formats:
            (product / f"{self.name}_MTL.{kind}").write_text({"txt": odl, "json": as_json, "xml": as_xml}[kind](self.root, self.groups))
        return product

    def pack(self, folder: Path, ending: str, *, top: bool = False) -> Path:
        """As .tar or .tar.gz, flat or with a top folder."""
        source = self.write(folder / "unpacked")
        archive = folder / f"{self.name}{ending}"
        with tarfile.open(archive, "w:gz" if ending.endswith("gz") else "w") as tar:
            for path in sorted(source.iterdir()):
                tar.add(path, f"{self.name}/{path.name}" if top else path.name)
        return archive

    def _raster(self, path: Path, band: Band) -> None:
        data = self.pixels(band)
        profile = {"driver": "GTiff", "count": 1, "height": data.shape[0], "width": data.shape[1], "dtype": band.dtype}
        with rasterio.open(
            path, "w", **profile, crs=self.crs, transform=self.transform(band), nodata=self.tags.get(band.aliases[0]), compress="deflate"
        ) as target:
            target.write(data, 1)


def tilted(size: int) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """A square turned by 12 degrees, well within the raster."""
    rows, columns = np.mgrid[:size, :size] + 0.5 - size / 2
    angle = np.radians(12)
    u, v = columns * np.cos(angle) + rows * np.sin(angle), rows * np.cos(angle) - columns * np.sin(angle)
    return (np.abs(u) < size * 0.38) & (np.abs(v) < size * 0.38)


def product(collection_id: str, **changes: Any) -> Product:
    """A product that opens; `changes`: fields of Product."""
    collection, parts = declared(collection_id), ID.fullmatch(collection_id)
    assert parts is not None
    satellite, era, level = int(parts["satellite"]), parts["era"], parts["level"]
    sensor, prefix = SENSORS[parts["apart"] or satellite]
    if era == "pre":
        name = f"{prefix}{satellite}0900841988227CUB02"
        facts = {"collection": collection, "name": name, "root": "L1_METADATA_FILE", "groups": _before(collection, name, satellite, sensor)}
        return Product(**facts | changes)
    correction = {"l1": "L1TP", "l2": "L2SP", "l2sr": "L2SR"}[level]
    name = f"{prefix}0{satellite}_{correction}_090084_20160121_20200907_0{era[1]}_T1"
    make = _collection_1 if era == "c1" else _collection_2
    root = "L1_METADATA_FILE" if era == "c1" else "LANDSAT_METADATA_FILE"
    groups = make(collection, name, satellite, sensor, correction)
    return Product(**{"collection": collection, "name": name, "root": root, "groups": groups} | changes)


def _files(collection: Collection, name: str) -> dict[str, str]:
    return {f"FILE_NAME_{band.aliases[0]}": f'"{name}_{band.aliases[0]}.TIF"' for band in collection.bands}


def _image(satellite: int, sensor: str) -> dict[str, str]:
    return {
        "SPACECRAFT_ID": f'"LANDSAT_{satellite}"',
        "SENSOR_ID": f'"{sensor}"',
        "WRS_PATH": "90",
        "WRS_ROW": "084",
        "DATE_ACQUIRED": "2016-01-21",
        "SCENE_CENTER_TIME": '"23:50:23.0544350Z"',
    }


def _attributes() -> dict[str, str]:
    return {
        "CLOUD_COVER": "12.34",
        "CLOUD_COVER_LAND": "12.5",
        "ROLL_ANGLE": "-0.001",
        "SUN_AZIMUTH": "74.00744380",
        "SUN_ELEVATION": "55.48648300",
    }


def _corners() -> dict[str, str]:
    return {
        f"CORNER_{name}_{axis}_PRODUCT": f"{value:.5f}"
        for name, corner in CORNERS.items()
        for axis, value in zip(("LON", "LAT"), corner, strict=True)
    }


def _grid() -> dict[str, str]:
    return {"MAP_PROJECTION": '"UTM"', "DATUM": '"WGS84"', "UTM_ZONE": "55", "GRID_CELL_SIZE_REFLECTIVE": "30.00"}


def _rescaling(collection: Collection, *, reflectance: bool = True) -> dict[str, str]:
    numbers = [band.aliases[0][1:] for band in collection.bands if band.aliases[0].startswith("B") and band.aliases[0] != "BQA"]
    kinds = {"RADIANCE": ("1.2965E-02", "-64.82708")} | ({"REFLECTANCE": ("2.0000E-05", "-0.100000")} if reflectance else {})
    return {
        f"{kind}_{part}_BAND_{number}": value
        for kind, pair in kinds.items()
        for number in numbers
        for part, value in zip(("MULT", "ADD"), pair, strict=True)
    }


def _collection_1(collection: Collection, name: str, satellite: int, sensor: str, correction: str) -> Groups:
    scene = f"{name[:2]}{satellite}0900842016021LGN02"
    return {
        "METADATA_FILE_INFO": {
            "LANDSAT_SCENE_ID": f'"{scene}"',
            "LANDSAT_PRODUCT_ID": f'"{name}"',
            "COLLECTION_NUMBER": "01",
            "FILE_DATE": "2017-04-05T11:17:36Z",
            "PROCESSING_SOFTWARE_VERSION": '"LPGS_2.7.0"',
        },
        "PRODUCT_METADATA": {
            "DATA_TYPE": f'"{correction}"',
            "COLLECTION_CATEGORY": '"T1"',
            **_image(satellite, sensor),
            **_corners(),
            **_files(collection, name),
        },
        "IMAGE_ATTRIBUTES": _attributes(),
        "RADIOMETRIC_RESCALING": _rescaling(collection),
        "PROJECTION_PARAMETERS": _grid(),
    }


def _before(collection: Collection, name: str, satellite: int, sensor: str) -> Groups:
    groups = _collection_1(collection, name, satellite, sensor, "L1T")
    groups["METADATA_FILE_INFO"]["LANDSAT_SCENE_ID"] = f'"{name}"'
    for group, key in (
        ("METADATA_FILE_INFO", "LANDSAT_PRODUCT_ID"),
        ("METADATA_FILE_INFO", "COLLECTION_NUMBER"),
        ("PRODUCT_METADATA", "COLLECTION_CATEGORY"),
        ("IMAGE_ATTRIBUTES", "CLOUD_COVER_LAND"),
    ):
        del groups[group][key]
    groups["PRODUCT_METADATA"]["SCENE_CENTER_TIME"] = "23:50:23.0544350Z"
    groups["RADIOMETRIC_RESCALING"] = _rescaling(collection, reflectance=satellite == 8)
    return groups


def _collection_2(collection: Collection, name: str, satellite: int, sensor: str, correction: str) -> Groups:
    record = {"DATE_PRODUCT_GENERATED": "2020-09-07T19:30:05Z", "PROCESSING_SOFTWARE_VERSION": '"LPGS_15.3.1c"'}
    parent = name.replace(correction, "L1TP")
    groups = {
        "PRODUCT_CONTENTS": {
            "LANDSAT_PRODUCT_ID": f'"{name}"',
            "PROCESSING_LEVEL": f'"{correction}"',
            "COLLECTION_NUMBER": "02",
            "COLLECTION_CATEGORY": '"T1"',
            **_files(collection, name),
        },
        "IMAGE_ATTRIBUTES": {**_image(satellite, sensor), "WRS_TYPE": "2", "NADIR_OFFNADIR": '"NADIR"', **_attributes()},
        "PROJECTION_ATTRIBUTES": {**_grid(), **_corners()},
        "LEVEL1_PROCESSING_RECORD": {
            "LANDSAT_SCENE_ID": f'"{name[:2]}{satellite}0900842016021LGN02"',
            "LANDSAT_PRODUCT_ID": f'"{parent}"',
            "FILE_NAME_BAND_4": f'"{parent}_B4.TIF"',
            **record,
        },
        "LEVEL1_RADIOMETRIC_RESCALING": _rescaling(collection),
    }
    return groups if correction == "L1TP" else {**groups, **_level_2(collection, record)}


def _level_2(collection: Collection, record: Mapping[str, str]) -> Groups:
    bands = [(band, band.aliases[0]) for band in collection.bands]
    reflectance = [(band, ending[4:]) for band, ending in bands if ending.startswith("SR_B")]
    temperature = [(band, ending) for band, ending in bands if ending.startswith("ST_B")]
    found = {
        "LEVEL2_PROCESSING_RECORD": {
            **record,
            "ALGORITHM_SOURCE_SURFACE_REFLECTANCE": '"LaSRC_1.5.0"',
            "DATE_PRODUCT_GENERATED": "2020-09-07T20:00:00Z",
        },
        "LEVEL2_SURFACE_REFLECTANCE_PARAMETERS": _scales("REFLECTANCE", reflectance),
    }
    return {**found, "LEVEL2_SURFACE_TEMPERATURE_PARAMETERS": _scales("TEMPERATURE", temperature)} if temperature else found


def _scales(kind: str, bands: list[tuple[Band, str]]) -> dict[str, str]:
    return {
        f"{kind}_{part}_BAND_{number}": f"{value:g}"
        for band, number in bands
        for part, value in (("MULT", band.scale), ("ADD", band.offset))
    }


def odl(root: str, groups: Groups) -> str:
    """The text format."""
    lines = [f"GROUP = {root}"]
    for name, values in groups.items():
        lines += [f"  GROUP = {name}", *(f"    {key} = {value}" for key, value in values.items()), f"  END_GROUP = {name}"]
    return "\n".join([*lines, f"END_GROUP = {root}", "END", ""])


def as_json(root: str, groups: Groups) -> str:
    """The JSON format: all values are strings."""
    return json.dumps({root: {name: {key: value.strip('"') for key, value in values.items()} for name, values in groups.items()}})


def as_xml(root: str, groups: Groups) -> str:
    """The XML format."""
    parts = [f"<{n}>" + "".join(f"<{k}>{v.strip(chr(34))}</{k}>" for k, v in values.items()) + f"</{n}>" for n, values in groups.items()]
    return f'<?xml version="1.0" encoding="UTF-8"?><{root}>{"".join(parts)}</{root}>'
