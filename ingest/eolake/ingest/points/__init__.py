"""Lists of points in a product (fires, for example): as GeoParquet, and as bands on the grid of the swath."""

from eolake.ingest.points.assets import Found, add

__all__ = ["Found", "add"]
