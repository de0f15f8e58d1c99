"""Swath products by declaration: NetCDF with the longitude and latitude of its pixels (Sentinel-3, Sentinel-5P, CMEMS Level 2)."""

from eolake.ingest.sensors.swath.sensor import SwathSensor

__all__ = ["SwathSensor"]
