"""Bands of the instruments and what each endmember of the landscape reflects in them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
import yaml

ENDMEMBERS = ("forest", "grass", "soil", "water", "char")


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """One reflective band of an instrument; the response is a box."""

    name: str
    centre: float
    """nm"""
    width: float
    """nm"""
    pixel: int = 30
    """m"""
    esun: float = 0.0
    """Landsat: solar irradiance at 1 au, W/m²/µm"""
    id: int = 0
    """Sentinel-2: `bandId` of the metadata"""
    physical: str = ""
    """Sentinel-2: `physicalBand` of the metadata"""
    minimum: int = 0
    maximum: int = 0
    """Sentinel-2: ends of the response, nm"""
    irradiance: float = 0.0
    """Sentinel-2: SOLAR_IRRADIANCE, W/m²/µm"""
    gain: float = 0.0
    """Sentinel-2: PHYSICAL_GAINS"""


@cache
def load(name: str) -> Any:
    """A YAML data file of this package, to be read only."""
    return yaml.safe_load((files(__package__) / "data" / name).read_text("utf-8"))


@cache
def bands(instrument: str) -> Mapping[str, Band]:
    """The bands of `landsat_8` or `sentinel_2`, by name."""
    return {name: Band(name=name, **row) for name, row in load("bands.yaml")[instrument].items()}


@cache
def _knots() -> tuple[np.ndarray[Any, Any], Mapping[str, np.ndarray[Any, Any]]]:
    table = load("spectra.yaml")
    return np.array(table["knots"], float), {name: np.array(row, float) for name, row in table["endmembers"].items()}


@cache
def endmember_reflectance(endmember: str, band: Band) -> float:
    """Mean surface reflectance (0–1) of `endmember` over the response of `band`."""
    knots, spectra = _knots()
    wavelengths = np.linspace(band.centre - band.width / 2, band.centre + band.width / 2, 21)
    return float(np.interp(wavelengths, knots, spectra[endmember]).mean())
