"""Sentinel-2 MSI: Level-1C and Level-2A, SAFE and AWS layout, all processing baselines."""

from eolake.ingest.sensors.sentinel2.sensor import Sentinel2Sensor

__all__ = ["Sentinel2Sensor"]
