"""From the surface to the top of the atmosphere and back into counts: a clear, simple sky.

Rayleigh-like path radiance and transmittance that fall with the wavelength, a water-vapour band at
945 nm and an opaque one at 1375 nm. One atmosphere for both sensors, so that their Level-1 products agree.
"""

from __future__ import annotations

import math

import numpy as np

from eolake.ingest.simulators.products.noise import Array
from eolake.ingest.simulators.products.spectra import Band

_ABSORPTION = ((930.0, 960.0, 0.45), (1350.0, 1400.0, 0.01))
"""from nm, to nm, what comes through"""

TRANSMITTANCE = 0.85
UPWELLING = 1.00
DOWNWELLING = 1.70
"""of the thermal band at 10.9 µm: one way, W/m²/sr/µm"""
K1 = {10: 774.8853, 11: 480.8883}
K2 = {10: 1321.0789, 11: 1201.1442}
"""USGS: Planck constants of TIRS bands 10 and 11"""


def top_of_atmosphere(surface: Array, band: Band) -> Array:
    """TOA reflectance of a surface reflectance in `band`."""
    rayleigh = (443.0 / band.centre) ** 3.8
    through = math.exp(-0.25 * rayleigh)
    for start, end, share in _ABSORPTION:
        if start <= band.centre <= end:
            through *= share
    return np.asarray(0.095 * rayleigh + 0.003 + through * surface)


def planck_radiance(temperature: Array, band: int) -> Array:
    """W/m²/sr/µm of a black body at `temperature` (K) in TIRS band 10 or 11."""
    return np.asarray(K1[band] / np.expm1(K2[band] / temperature))


def thermal_radiance(temperature: Array, emissivity: Array, band: int) -> Array:
    """TOA radiance, W/m²/sr/µm, of a surface at `temperature` (K)."""
    leaving = emissivity * planck_radiance(temperature, band) + (1 - emissivity) * DOWNWELLING
    return np.asarray(TRANSMITTANCE * leaving + UPWELLING)
