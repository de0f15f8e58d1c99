"""Landsat 4–9, as USGS delivers them: pre-collection, Collection 1 and Collection 2, Level 1 and Level 2."""

from eolake.ingest.sensors.landsat.sensor import LandsatSensor

__all__ = ["LandsatSensor"]
