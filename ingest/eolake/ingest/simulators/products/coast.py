"""Where the sea begins: the coast of south-eastern Australia, as a longitude for each latitude."""

from __future__ import annotations

import numpy as np

from eolake.ingest.simulators.products.noise import Array, fractal

_LATITUDES = (
    -60.0,
    -39.2,
    -38.7,
    -38.0,
    -37.7,
    -37.0,
    -36.2,
    -35.2,
    -34.5,
    -33.9,
    -32.9,
    -31.5,
    -30.0,
    -28.2,
    -26.0,
    -24.0,
    -20.0,
    -15.0,
    -10.0,
)
_LONGITUDES = (
    100.0,
    143.0,
    146.3,
    147.8,
    149.3,
    149.95,
    150.15,
    150.55,
    150.9,
    151.25,
    151.8,
    152.9,
    153.15,
    153.55,
    153.1,
    152.0,
    148.6,
    145.3,
    142.5,
)
_BAYS = 9000.0
"""m; how far bays and capes leave the smooth line"""
_METRES = 111195.0
"""of a degree of latitude"""


def inland(longitude: Array, latitude: Array, seed: int = 0) -> Array:
    """Metres from the sea, about, along the parallel: positive on land, negative over the sea."""
    smooth = np.interp(latitude, _LATITUDES, _LONGITUDES)
    bays = fractal(longitude * 92_000.0, latitude * _METRES, 26_000.0, 3, seed + 900)
    return np.asarray((smooth - longitude) * _METRES * np.cos(np.radians(latitude)) + _BAYS * bays)
