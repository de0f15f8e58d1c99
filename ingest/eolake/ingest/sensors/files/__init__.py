"""Products whose bands are raster files, told by their names: `sensor: files` in the YAML of a collection is all that one needs."""

from eolake.ingest.sensors.files.sensor import FilesSensor

__all__ = ["FilesSensor"]
