"""Swath products that are declared by a test, and who tells what a grid should show of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import yaml
from affine import Affine
from pyproj import Transformer
from scipy.spatial import cKDTree

from eolake.catalog.draft import Draft, Pixels
from eolake.catalog.settings import load_settings
from eolake.ingest.sensors import find_sensor
from eolake.ingest.sensors.base import DEFAULT, Options

Array = np.ndarray[Any, Any]
NAME = "20200104T034000_OC_L2_NSW_a1"
START = "20200104T034000"


def declaration(**changes: Any) -> dict[str, Any]:
    """A collection as somebody writes it who has a swath product of which eolake knows nothing: one file, one band."""
    found = {
        "id": "oc_l2",
        "title": "Ocean colour, Level 2",
        "description": "Chlorophyll.",
        "license": "other",
        "license_url": "https://example.org/",
        "keywords": ["ocean"],
        "providers": [{"name": "A", "roles": ["producer"], "url": "https://example.org/"}],
        "platforms": ["sentinel-3a"],
        "instruments": ["olci"],
        "bands": [
            {"name": "chl", "aliases": ["CHL"], "title": "Chlorophyll", "dtype": "float32", "nodata": float("nan"), "unit": "mg.m-3"}
        ],
        "load": {"crs": "EPSG:4326", "resolution": 0.01},
        "source": {
            "sensor": "swath",
            "product": r"(?P<start>\d{8}T\d{6})_OC_L2_(?P<region>\w+?)_(?P<version>[a-z]\d)",
            "properties": {"eolake:region": "{region}"},
            "grids": {"default": {"crs": "EPSG:4326", "resolution": 0.01}},
            "geolocations": {"default": {"longitude": "lon", "latitude": "lat"}},
            "template": "{alias}",
        },
    }
    source = {**found["source"], **changes.pop("source", {})}  # type: ignore[dict-item]
    return {**found, **changes, "source": source}


def declare(root: Path, **changes: Any) -> str:
    """The collection of a lake in that folder from now on; its id."""
    found = declaration(**changes)
    (root / "collections").mkdir(exist_ok=True)
    (root / "collections" / f"{found['id']}.yaml").write_text(yaml.safe_dump(found))
    (root / "eolake.toml").touch()
    load_settings(root / "eolake.toml")
    return str(found["id"])


def places(rows: int, columns: int, *, centre: tuple[float, float] = (151.0, -33.0), step: float = 0.011) -> tuple[Array, Array]:
    """Longitude and latitude of a tilted, slightly bent swath; float64."""
    down, right = np.mgrid[:rows, :columns].astype(float)
    down, right = (down - (rows - 1) / 2) * step, (right - (columns - 1) / 2) * step
    bent = right + 0.02 * right**2
    return centre[0] + bent * 0.97 + down * 0.22, centre[1] - down * 0.97 + right * 0.2


def write(path: Path, variables: Mapping[str, tuple[tuple[str, ...], Array, Mapping[str, Any]]], **attributes: Any) -> Path:
    """A NetCDF file: variables (with groups) as they shall be stored, with dimensions and attributes."""
    with netCDF4.Dataset(path, "w") as file:
        file.setncatts(attributes)
        for name, (dimensions, data, told) in variables.items():
            for dimension, size in zip(dimensions, data.shape, strict=True):
                if dimension not in file.dimensions:
                    file.createDimension(dimension, size)
            fill = told.get("_FillValue")
            variable = file.createVariable(name, data.dtype, dimensions, compression="zlib", fill_value=fill)
            variable.set_auto_maskandscale(False)
            variable.setncatts({key: value for key, value in told.items() if key != "_FillValue"})
            variable[:] = data
    return path


def swath(folder: Path, shape: tuple[int, int] = (60, 50), *, name: str = NAME, **more: Any) -> tuple[Path, Array]:
    """A product of one file with `lon`, `lat` and `CHL`; and what CHL holds. `more`: further variables."""
    longitude, latitude = places(*shape)
    chl = np.random.default_rng(4).random(shape, np.float32)
    chl[3:6, 7:9] = -999
    image = ("y", "x")
    variables = {
        "lon": (image, longitude.astype(np.float32), {"units": "degrees_east"}),
        "lat": (image, latitude.astype(np.float32), {"units": "degrees_north"}),
        "CHL": (image, chl, {"_FillValue": np.float32(-999), "units": "mg m-3"}),
    }
    return write(folder / f"{name}.nc", {**variables, **more}), chl


def drafts(path: Path, workspace: Path, options: Options = DEFAULT) -> list[Draft]:
    """By the sensor that is found for it."""
    from eolake.catalog.safe import product_name

    sensor = find_sensor(product_name(path))
    assert sensor is not None
    assert sensor.name == "swath"
    workspace.mkdir(exist_ok=True)
    return list(sensor.open(path, workspace, options))


def draft(path: Path, workspace: Path, options: Options = DEFAULT) -> Draft:
    """The only one."""
    (found,) = drafts(path, workspace, options)
    return found


def centres(pixels: Pixels) -> tuple[Array, Array]:
    """Longitude and latitude of the cells' centres."""
    rows, columns = np.mgrid[: pixels.data.shape[0], : pixels.data.shape[1]] + 0.5
    x, y = pixels.transform @ Affine.identity() @ (columns, rows)
    if pixels.crs == "EPSG:4326":
        return x, y
    longitude, latitude = Transformer.from_crs(pixels.crs, "OGC:CRS84", always_xy=True).transform(x, y)
    return np.asarray(longitude), np.asarray(latitude)


def on_sphere(longitude: Array, latitude: Array) -> Array:
    """Points (n, 3)."""
    east, north = np.radians(np.asarray(longitude, float).ravel()), np.radians(np.asarray(latitude, float).ravel())
    return np.column_stack([np.cos(north) * np.cos(east), np.cos(north) * np.sin(east), np.sin(north)])


def nearest(pixels: Pixels, longitude: Array, latitude: Array) -> tuple[Array, Array]:
    """For each cell of a band the number of the pixel that is nearest by a k-d tree, and how far it is in pixels of the swath."""
    points = on_sphere(longitude, latitude)
    distance, index = cKDTree(points).query(on_sphere(*centres(pixels)))
    known = np.isfinite(points).all(1)
    spacing = np.median(cKDTree(points[known]).query(points[known][::7], k=2)[0][:, 1])
    return index.reshape(pixels.data.shape), (distance / spacing).reshape(pixels.data.shape)


def assert_nearest(
    pixels: Pixels, longitude: Array, latitude: Array, values: Array, nothing: float, *, within: Array | None = None
) -> Array:
    """Every cell shows the value of its nearest pixel; cells further than that from all pixels show nothing, and there are no holes.

    `values`: of the swath, as the band should have them. Returns where the band shows pixels."""
    index, distance = nearest(pixels, longitude, latitude)
    inside = np.ones(pixels.data.shape, bool) if within is None else within
    expected = values.ravel()[index]
    there = ~same(pixels.data, nothing)
    must = inside & (distance < 0.5) & ~same(expected, nothing)
    assert there[must].all(), f"{(~there[must]).sum()} of {must.sum()} cells lack their pixel"
    assert not there[~inside].any()
    assert not there[distance > 1.5].any()
    wrong = there & ~same(pixels.data, expected)
    assert wrong.sum() <= 0.001 * there.sum(), f"{wrong.sum()} of {there.sum()} cells show another pixel"
    assert must.sum() > 0.25 * min(inside.sum(), values.size)
    return there


def same(data: Array, value: Any) -> Array:
    """Equal; NaN equals NaN."""
    found: Array = (data == value) | (np.isnan(np.asarray(data, float)) & np.isnan(np.asarray(value, float)))
    return found
