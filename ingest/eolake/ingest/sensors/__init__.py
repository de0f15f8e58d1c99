"""The sensors that are installed: `find_sensor` by the name of a product, `identify` by a path.

A sensor is one module and one entry point of the group `eolake.sensors`, ours or a third party's.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Never

from eolake.catalog import safe
from eolake.catalog.errors import ConfigError
from eolake.ingest.sensors.base import Gatherer, Recogniser, Sensor

__all__ = ["Gatherer", "Recogniser", "Sensor", "find_sensor", "gather", "get_sensor", "identify", "sensor_names"]

GROUP = "eolake.sensors"


def _registered() -> tuple[EntryPoint, ...]:
    return _on(tuple(sys.path))


@cache
def _on(path: tuple[str, ...]) -> tuple[EntryPoint, ...]:
    """The entry points that are installed on that path: reading them takes 50 ms, which a folder of many files can't afford for each."""
    _ = path
    return tuple(entry_points(group=GROUP))


def sensor_names() -> tuple[str, ...]:
    """The names of the registered sensors, sorted; none of them is imported."""
    return tuple(sorted(point.name for point in _registered()))


def get_sensor(name: str) -> Sensor:
    """The sensor registered under that name; ConfigError when there is none or its plug-in does not import."""
    for point in _registered():
        if point.name == name:
            return _load(point)
    raise ConfigError(f"no sensor {name!r} is installed; there are: {', '.join(sensor_names()) or 'none'}")


def find_sensor(name: str) -> Sensor | None:
    """The sensor for the product of that name (without extension); None when no sensor wants it.

    A plug-in that does not import raises ConfigError with its name, unless another sensor wants the product."""
    sensors, broken = _sensors()
    found = next((sensor for sensor in sensors if sensor.matches(name)), None)
    return found if found is not None or not broken else _raise(broken)


def identify(path: Path) -> tuple[Sensor, str] | None:
    """The sensor and the product name of what lies at `path`, by its name, or for a folder by the names of its files.

    None when it is no product (a folder of products, for example). Broken plug-ins: as `find_sensor`."""
    name = safe.product_name(path)
    sensors, broken = _sensors()
    for sensor in sensors:
        if sensor.matches(name):
            return sensor, name
    files = sorted(entry.name for entry in path.iterdir() if entry.is_file()) if path.is_dir() else []
    for sensor in sensors:
        found = sensor.recognise(files) if files and isinstance(sensor, Recogniser) else None
        if found is not None:
            return sensor, found
    return None if not broken else _raise(broken)


def gather(files: Sequence[str]) -> dict[str, list[str]]:
    """The products that lie as loose files in one folder, by name, with their files; `files`: the base names of all files in it.

    A file belongs to one product: that of the first sensor that wants it. Broken plug-ins: as `find_sensor`."""
    found: dict[str, list[str]] = {}
    left = list(files)
    sensors, broken = _sensors()
    for sensor in sensors:
        if isinstance(sensor, Gatherer):
            products = {name: names for name, names in sensor.gather(left).items() if name not in found}
            taken = {name for names in products.values() for name in names}
            left = [name for name in left if name not in taken]
            found |= products
    return found if found or not broken else _raise(broken)


def _sensors() -> tuple[list[Sensor], list[ConfigError]]:
    """Every registered sensor, and the errors of those that do not import."""
    sensors, broken = [], []
    for point in sorted(_registered(), key=lambda entry: entry.name):
        try:
            sensors.append(_load(point))
        except ConfigError as error:
            broken.append(error)
    return sensors, broken


def _raise(broken: list[ConfigError]) -> Never:
    raise ConfigError("; ".join(str(error) for error in broken))


@cache
def _load(point: EntryPoint) -> Sensor:
    try:
        sensor: Sensor = point.load()()
    except Exception as error:
        raise ConfigError(f"the sensor plug-in {point.name!r} ({point.value}) does not import: {type(error).__name__}: {error}") from error
    return sensor
