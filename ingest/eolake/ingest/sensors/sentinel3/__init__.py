"""Sentinel-3: the manifest's metadata for swath products, and a word on products that are not taken."""

from eolake.ingest.sensors.sentinel3.sensor import Sentinel3Sensor

__all__ = ["Sentinel3Sensor"]
