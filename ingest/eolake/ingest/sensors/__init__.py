"""The sensors that are installed: `find_sensor` by the name of a product, `identify` by a path.

A sensor is one module and one entry point of the group `eolake.sensors`, ours or a third party's.
"""

from __future__ import annotations

from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from eolake.catalog.errors import ConfigError
from eolake.ingest.sensors.base import Recogniser, Sensor

__all__ = ["Recogniser", "Sensor", "find_sensor", "get_sensor", "identify", "sensor_names"]

GROUP = "eolake.sensors"
ARCHIVES = (".tar.gz", ".tar", ".tgz", ".zip", ".SAFE")


def sensor_names() -> tuple[str, ...]:
    """The names of the registered sensors, sorted; none of them is imported."""
    return tuple(sorted(point.name for point in entry_points(group=GROUP)))


def get_sensor(name: str) -> Sensor:
    """The sensor registered under that name; ConfigError when there is none or its plug-in does not import."""
    for point in entry_points(group=GROUP):
        if point.name == name:
            return _load(point)
    raise ConfigError(f"no sensor {name!r} is installed; there are: {', '.join(sensor_names()) or 'none'}")


def find_sensor(name: str) -> Sensor | None:
    """The sensor for the product of that name (without extension); None when no sensor wants it.

    A plug-in that does not import raises ConfigError with its name, unless another sensor wants the product."""
    broken = []
    for sensor in _sensors():
        if isinstance(sensor, ConfigError):
            broken.append(sensor)
        elif sensor.matches(name):
            return sensor
    if broken:
        raise ConfigError("; ".join(str(error) for error in broken))
    return None


def identify(path: Path) -> tuple[Sensor, str] | None:
    """The sensor and the product name of what lies at `path`, by its name, or for a folder by the names of its files.

    None when it is no product (a folder of products, for example)."""
    name = _stem(path)
    sensor = find_sensor(name)
    if sensor is not None:
        return sensor, name
    if not path.is_dir():
        return None
    files = sorted(entry.name for entry in path.iterdir() if entry.is_file())
    for candidate in _sensors():
        found = candidate.recognise(files) if isinstance(candidate, Recogniser) else None
        if found is not None and not isinstance(candidate, ConfigError):
            return candidate, found
    return None


def _stem(path: Path) -> str:
    for ending in ARCHIVES:
        if path.name.lower().endswith(ending.lower()):
            return path.name[: -len(ending)]
    return path.name


def _sensors() -> list[Sensor | ConfigError]:
    """Every registered sensor; the error in place of one that does not import."""
    found: list[Sensor | ConfigError] = []
    for point in sorted(entry_points(group=GROUP), key=lambda p: p.name):
        try:
            found.append(_load(point))
        except ConfigError as error:
            found.append(error)
    return found


@cache
def _load(point: EntryPoint) -> Sensor:
    try:
        sensor: Sensor = point.load()()
    except Exception as error:
        raise ConfigError(f"the sensor plug-in {point.name!r} ({point.value}) does not import: {type(error).__name__}: {error}") from error
    return sensor
