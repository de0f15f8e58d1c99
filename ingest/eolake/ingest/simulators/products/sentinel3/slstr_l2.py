"""SLSTR Level 2: land surface temperature, and fires with their radiative power."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from eolake.ingest.simulators.products.noise import Array
from eolake.ingest.simulators.products.sentinel3.slstr import (
    FILL,
    ROWS,
    Block,
    Files,
    Scene,
    information,
    planck,
    write_geometry,
    write_images,
    write_ties,
    write_times,
    write_weather,
)
from eolake.ingest.simulators.products.spectra import Band

LEAST_POWER = 3.0
"""MW: weaker pixels are not found"""
_CLOUDY = 0.5
"""opacity of a cloud that hides what is below it"""
_RED, _NIR = Band(name="red", centre=665, width=20), Band(name="nir", centre=865, width=20)


def write_lst(scene: Scene, folder: Path) -> Path:
    """Writes an LST product into `folder`, which is created, and returns the path of its own folder in there."""
    files = _begin(scene, folder, "SL_2_LST___", "SENTINEL-3 SLSTR Level 2 Land Product")
    write_images(files, "in", [])
    with (
        files.open("LST_in", "LST_IN", "LST_in Data Set", grid="in", measurement=True) as main,
        files.open("LST_ancillary_ds", "LST_ANCILLARY_DS", "LST ancillary measurement dataset", grid="in") as extra,
    ):
        variables = _lst_variables(main, extra)
        empty = scene.empty("in")
        for block in scene.blocks("in"):
            for name, values in _lst(block).items():
                values[:, empty] = variables[name].fillvalue
                variables[name][block.rows] = values
    _annotate(files)
    write_times(files, "i", "SLSTR_TIME_IN")
    files.write_manifest(information(files, level=2))
    return files.folder


def _begin(scene: Scene, folder: Path, kind: str, title: str) -> Files:
    product = scene.product(kind, title)
    target = folder / product.name
    target.mkdir(parents=True)
    return Files(target, scene, product, 2)


def _annotate(files: Files) -> None:
    write_geometry(files, "tn")
    write_ties(files)
    write_weather(files)


def _lst_variables(main: Any, extra: Any) -> dict[str, Any]:
    return {
        "LST": main.variable(
            "LST",
            np.int16,
            ROWS,
            fill=FILL,
            long_name="Gridded Land Surface Temperature (1km TIR grid, nadir view)",
            standard_name="surface_temperature",
            units="K",
            scale_factor=0.002,
            add_offset=290.0,
        ),
        "LST_uncertainty": main.variable(
            "LST_uncertainty", np.int16, ROWS, fill=FILL, long_name="Uncertainty in Land Surface Temperature", units="K", scale_factor=0.002
        ),
        "exception": main.variable("exception", np.uint16, ROWS, long_name="Exception code"),
        "NDVI": extra.variable("NDVI", np.int16, ROWS, fill=FILL, long_name="Normalised difference vegetation index", scale_factor=0.0001),
        "TCWV": extra.variable("TCWV", np.int16, ROWS, fill=FILL, long_name="Total column water vapour", units="kg.m-2", scale_factor=0.01),
        "biome": extra.variable("biome", np.uint8, ROWS, fill=255, long_name="LST biome"),
        "fraction": extra.variable("fraction", np.uint8, ROWS, fill=255, long_name="Fractional vegetation cover", scale_factor=0.01),
        "validation": extra.variable("validation", np.uint8, ROWS, long_name="Validation flags"),
    }


def _lst(block: Block) -> dict[str, Any]:
    """Counts of each variable."""
    surface = block.surface
    hidden = (surface.cloud > _CLOUDY) | (surface.water & block.salt)
    lst = surface.temperature + 0.05 * block.power
    red, near = surface.reflectance(_RED), surface.reflectance(_NIR)
    cover = surface.fractions["forest"] + 0.6 * surface.fractions["grass"]
    biome = np.select(
        [surface.water & block.salt, surface.water, surface.fractions["forest"] > 0.5, surface.fractions["grass"] > 0.4],
        [0, 26, 5, 14],
        20,
    )
    return {
        "LST": np.where(hidden, FILL, np.clip(np.rint((lst - 290.0) / 0.002), -32767, 32767)).astype(np.int16),
        "LST_uncertainty": np.where(hidden, FILL, np.rint((0.6 + 0.01 * np.abs(lst - 290)) / 0.002)).astype(np.int16),
        "exception": hidden.astype(np.uint16),
        "NDVI": np.rint((near - red) / (near + red) * 10_000).astype(np.int16),
        "TCWV": np.rint((21 + 4 * (block.latitude + 33) / 10) * 100).astype(np.int16),
        "biome": biome.astype(np.uint8),
        "fraction": np.rint(cover * 100).astype(np.uint8),
        "validation": np.zeros(lst.shape, np.uint8),
    }


def write_frp(scene: Scene, folder: Path) -> Path:
    """Writes an FRP product into `folder`, which is created, and returns the path of its own folder in there.

    Its fires are the pixels of 1 km with at least LEAST_POWER that no cloud hides; there may be none."""
    files = _begin(scene, folder, "SL_2_FRP___", "SENTINEL-3 SLSTR Level 2 Fire Radiative Power Product")
    write_images(files, "in", [])
    write_images(files, "fn", [])
    blocks = [_found(block, scene) for block in scene.blocks("in")]
    fires = {name: np.concatenate([listed[name] for listed, _ in blocks]) for name in blocks[0][0]}
    count = len(fires["FRP_MWIR"])
    with files.open("FRP_in", "FRP_IN", "FRP_in Data Set", grid="in", measurement=True, fires=count) as file:
        _write_fires(file, fires, _MWIR)
        flags = np.concatenate([raster for _, raster in blocks])
        meanings = ("spare l1b_water frp_water spare spare frp_cloud day", np.array([1, 2, 4, 8, 16, 32, 64], np.uint16))
        file.variable("flags", np.uint16, ROWS, flags, long_name="FRP flags", flag_meanings=meanings[0], flag_masks=meanings[1])
    for grid in ("an", "bn"):  # 500 m fires are looked for at night
        with files.open(f"FRP_{grid}", f"FRP_{grid.upper()}", f"FRP_{grid} Data Set", grid=grid, measurement=True, fires=0) as file:
            _write_fires(file, {}, _SWIR)
            file.variable("flags", np.uint16, ROWS, long_name="FRP flags")
    _annotate(files)
    for kind in "abi":
        write_times(files, kind, f"SLSTR_TIME_{kind.upper()}N")
    files.write_manifest(information(files, level=2))
    return files.folder


_MWIR = {
    "j": ("i4", "Row of the pixel", "1"),
    "i": ("i2", "Column of the pixel", "1"),
    "time": ("i8", "Time of the fire", "microseconds since 2000-01-01 00:00:00"),
    "latitude": ("f8", "Latitude of the fire", "degrees_north"),
    "longitude": ("f8", "Longitude of the fire", "degrees_east"),
    "FRP_MWIR": ("f8", "Fire radiative power, MWIR", "MW"),
    "FRP_uncertainty_MWIR": ("f8", "Its uncertainty", "MW"),
    "FRP_SWIR": ("f8", "Fire radiative power, SWIR", "MW"),
    "FRP_uncertainty_SWIR": ("f8", "Its uncertainty", "MW"),
    "confidence": ("f8", "Confidence that it is a fire", "1"),
    "transmittance_MWIR": ("f8", "Transmittance of the atmosphere", "1"),
    "classification": ("u1", "Kind of heat source", "1"),
    "S7_Fire_pixel_radiance": ("f8", "Radiance in S7", "mW.m-2.sr-1.nm-1"),
    "F1_Fire_pixel_radiance": ("f8", "Radiance in F1", "mW.m-2.sr-1.nm-1"),
    "used_channel": ("u1", "Channel that saw it", "1"),
    "Radiance_window": ("f8", "Radiance around it", "mW.m-2.sr-1.nm-1"),
    "Glint_angle": ("f8", "Glint angle", "degrees"),
    "BT_MIR": ("f8", "Brightness temperature of the fire", "K"),
    "BT_window": ("f8", "Brightness temperature around it", "K"),
    "Sun_zenith_angle": ("f8", "Solar zenith angle", "degrees"),
    "Satellite_zenith_angle": ("f8", "Satellite zenith angle", "degrees"),
    "Day_night": ("u1", "Day or night", "1"),
    "IFOV_area": ("f8", "Area of the pixel", "m2"),
    "TCWV": ("f8", "Total column water vapour", "kg.m-2"),
    "n_window": ("i2", "Pixels around it", "1"),
    "n_water": ("i2", "Water pixels around it", "1"),
    "n_cloud": ("i2", "Cloudy pixels around it", "1"),
}
_SWIR = {
    **{name: _MWIR[name] for name in ("j", "i", "time", "latitude", "longitude", "FRP_MWIR", "FRP_SWIR", "FRP_uncertainty_SWIR")},
    "transmittance_SWIR": ("f8", "Transmittance of the atmosphere", "1"),
    "Ratio_S56": ("f8", "Ratio of the radiances in S5 and S6", "1"),
    "S5_confirm": ("u1", "S5 confirms it", "1"),
    "classification": _MWIR["classification"],
    "S6_Fire_pixel_radiance": ("f8", "Radiance in S6", "mW.m-2.sr-1.nm-1"),
    "S5_Fire_pixel_radiance": ("f8", "Radiance in S5", "mW.m-2.sr-1.nm-1"),
    "used_channel": _MWIR["used_channel"],
    "Radiance_window_S6": ("f8", "Radiance around it", "mW.m-2.sr-1.nm-1"),
    "IFOV_area": _MWIR["IFOV_area"],
    "TCWV": _MWIR["TCWV"],
}


def _write_fires(file: Any, fires: dict[str, Array], table: dict[str, tuple[str, str, str]]) -> None:
    for name, (dtype, text, unit) in table.items():
        file.variable(name, dtype, ("fires",), fires.get(name), long_name=text, units=unit)


def _found(block: Block, scene: Scene) -> tuple[dict[str, Array], Any]:
    """The fires of a block, and its flags."""
    surface, empty = block.surface, scene.empty("in")
    cloudy = surface.cloud > _CLOUDY
    power = np.where(empty | cloudy | surface.water, 0.0, block.power)
    row, column = np.nonzero(power >= LEAST_POWER)
    power, count = power[row, column], len(row)
    grid = scene.slstr.grid("in")
    mir, ground = block.hot(), surface.temperature[row, column] + 2.5
    sight = grid.view(block.rows)[0][row, column] if count else np.empty(0)
    fires = {
        "j": row + block.rows.start,
        "i": column,
        "time": grid.microseconds(block.rows)[row],
        "latitude": block.latitude[row, column],
        "longitude": block.longitude[row, column],
        "FRP_MWIR": power,
        "FRP_uncertainty_MWIR": 0.5 + 0.1 * power,
        "FRP_SWIR": np.zeros(count),
        "FRP_uncertainty_SWIR": np.zeros(count),
        "confidence": np.clip(0.4 + power / 60, 0, 1),
        "transmittance_MWIR": np.full(count, 0.9),
        "classification": np.ones(count),
        "S7_Fire_pixel_radiance": planck(mir[row, column]),
        "F1_Fire_pixel_radiance": planck(mir[row, column]),
        "used_channel": np.where(mir[row, column] > 323, 2, 1),
        "Radiance_window": planck(ground),
        "Glint_angle": np.full(count, 60.0),
        "BT_MIR": mir[row, column],
        "BT_window": ground,
        "Sun_zenith_angle": block.sun[row, column],
        "Satellite_zenith_angle": sight,
        "Day_night": np.ones(count),
        "IFOV_area": np.full(count, 1e6),
        "TCWV": np.full(count, 21.0),
        "n_window": np.full(count, 120),
        "n_water": np.zeros(count),
        "n_cloud": np.zeros(count),
    }
    flags = (surface.water * 2 + surface.water * 4 + cloudy * 32 + (block.sun < 85) * 64).astype(np.uint16)
    return fires, flags
