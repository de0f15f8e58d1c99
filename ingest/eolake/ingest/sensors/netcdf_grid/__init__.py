"""Variables on a CF grid in NetCDF: `sensor: netcdf_grid` in the YAML of a collection is all that one needs."""

from eolake.ingest.sensors.netcdf_grid.sensor import GridSensor

__all__ = ["GridSensor"]
