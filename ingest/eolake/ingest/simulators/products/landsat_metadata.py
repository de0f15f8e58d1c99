"""The metadata files of a Landsat 8 Collection 2 product: MTL as text, XML and JSON, and the angle coefficients.

The fields stand in `data/*.mtl`; one tree is written in all three forms, as USGS does. Of the angle
file only what describes the frame is meaningful (corners, sizes, sun vector); the polynomials that
model the view of each detector are left out.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from eolake.ingest.simulators.products.spectra import bands
from eolake.ingest.simulators.products.sun import Sun

Tree = dict[str, dict[str, str]]


def read_template(name: str, values: Mapping[str, Any]) -> Tree:
    """Groups → fields → values as written in ODL (strings in quotation marks)."""
    tree: Tree = {}
    fields: dict[str, str] = {}
    for line in _lines(name):
        if line.startswith("["):
            fields = tree.setdefault(line[1:], {})
            continue
        for key, value in _repeat(line):
            fields[key.format_map(values)] = value.format_map(values)
    return tree


def _lines(name: str) -> Iterator[str]:
    text = (files(__package__) / "data" / name).read_text("utf-8")
    for line in text.splitlines():
        if line.startswith("<"):
            yield from _lines(line[1:])
        elif line and not line.startswith("#"):
            yield line


def _repeat(line: str) -> Iterator[tuple[str, str]]:
    head, rest = line.split(" ", 1)
    if rest.startswith("= "):
        yield head, rest.removeprefix("= ")
        return
    first, last = (int(number) for number in head.split("-"))
    for number in range(first, last + 1):
        for field in rest.replace("{n}", str(number)).split(" ; "):
            key, value = field.split(" = ", 1)
            yield key, value


def write_mtl(tree: Tree, stem: Path) -> None:
    """`<stem>_MTL.txt`, `.xml` and `.json`."""
    bare = {group: {key: value.strip('"') for key, value in fields.items()} for group, fields in tree.items()}
    _write(stem, "_MTL.txt", _odl(tree))
    _write(stem, "_MTL.xml", _xml(bare))
    _write(stem, "_MTL.json", json.dumps({"LANDSAT_METADATA_FILE": bare}))


def _write(stem: Path, ending: str, text: str) -> None:
    stem.with_name(stem.name + ending).write_text(text, "utf-8")


def _odl(tree: Tree) -> str:
    lines = ["GROUP = LANDSAT_METADATA_FILE"]
    for group, fields in tree.items():
        lines += [f"  GROUP = {group}", *(f"    {key} = {value}" for key, value in fields.items()), f"  END_GROUP = {group}"]
    return "\n".join([*lines, "END_GROUP = LANDSAT_METADATA_FILE", "END", ""])


def _xml(tree: Tree) -> str:
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', "<LANDSAT_METADATA_FILE>"]
    for group, fields in tree.items():
        lines += [f"  <{group}>", *(f"    <{key}>{escape(value)}</{key}>" for key, value in fields.items()), f"  </{group}>"]
    return "\n".join([*lines, "</LANDSAT_METADATA_FILE>", ""])


def rescaling(distance: float) -> dict[str, dict[int, str]]:
    """RADIANCE_MULT, _ADD and the limits by band number, for a sun at `distance` (au)."""
    mult = {int(name[1:]): 2e-5 * band.esun / (math.pi * distance**2) for name, band in bands("landsat_8").items()}
    add = {number: -5000 * factor for number, factor in mult.items()}
    for thermal in (10, 11):
        mult[thermal], add[thermal] = 3.342e-4, 0.1
    return {
        "radiance_mult": {n: f"{mult[n]:.4E}" for n in mult},
        "radiance_add": {n: f"{add[n]:.5f}" for n in mult},
        "radiance_max": {n: f"{mult[n] * 65535 + add[n]:.5f}" for n in mult},
        "radiance_min": {n: f"{mult[n] + add[n]:.5f}" for n in mult},
    }


def write_angles(stem: Path, values: Mapping[str, Any], sun: Sun, frame: tuple[tuple[float, float], ...]) -> None:
    """`<stem>_ANG.txt`; `frame`: (line, sample) of the active image's corners UL, UR, LR, LL at 30 m."""
    lines = [
        *_group("FILE_HEADER", _header(values)),
        *_group("PROJECTION", _projection(values)),
        *_group("SOLAR_VECTOR", {"EARTH_SUN_DISTANCE": f"{sun.distance:.8f}"}),
    ]
    for number in range(1, 12):
        lines += _group(f"RPC_BAND{number:02d}", _rpc(number, values, sun, frame))
    _write(stem, "_ANG.txt", "\n".join([*lines, "END", ""]))


def _header(values: Mapping[str, Any]) -> dict[str, str]:
    return {
        "LANDSAT_SCENE_ID": f'"{values["scene"]}"',
        "SPACECRAFT_ID": '"LANDSAT_8"',
        "NUMBER_OF_BANDS": "11",
        "BAND_LIST": "(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11)",
    }


def _projection(values: Mapping[str, Any]) -> dict[str, str]:
    corners = {f"{name}_CORNER": f"( {values[f'{name}_X']}, {values[f'{name}_Y']})" for name in ("UL", "UR", "LL", "LR")}
    return {
        "ELLIPSOID_AXES": "(6378137.000000, 6356752.314200)",
        "MAP_PROJECTION": '"UTM"',
        "PROJECTION_UNITS": '"METERS"',
        "DATUM": '"WGS84"',
        "ELLIPSOID": '"WGS84"',
        "UTM_ZONE": str(values["zone"]),
        **corners,
    }


def _rpc(number: int, values: Mapping[str, Any], sun: Sun, frame: tuple[tuple[float, float], ...]) -> dict[str, str]:
    factor = 2 if number == 8 else 1
    azimuth, elevation = math.radians(sun.azimuth), math.radians(sun.elevation)
    vector = (math.cos(elevation) * math.sin(azimuth), math.cos(elevation) * math.cos(azimuth), math.sin(elevation))
    fields = {
        "NUM_L1T_LINES": str(values["pan_lines"] if factor == 2 else values["lines"]),
        "NUM_L1T_SAMPS": str(values["pan_samples"] if factor == 2 else values["samples"]),
        "L1T_IMAGE_CORNER_LINES": f"({', '.join(f'{line * factor:12.6f}' for line, _ in frame)})",
        "L1T_IMAGE_CORNER_SAMPS": f"({', '.join(f'{sample * factor:12.6f}' for _, sample in frame)})",
        "PIXEL_SIZE": f"{30 / factor:.3f}",
        "MEAN_HEIGHT": "500.000",
        "MEAN_SUN_VECTOR": f"({', '.join(f'{part:.9f}' for part in vector)})",
    }
    return {f"BAND{number:02d}_{key}": value for key, value in fields.items()}


def _group(name: str, fields: Mapping[str, str]) -> list[str]:
    return [f"GROUP = {name}", *(f"  {key} = {value}" for key, value in fields.items()), f"END_GROUP = {name}"]
