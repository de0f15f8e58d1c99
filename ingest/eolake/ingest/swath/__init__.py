"""Pixels in an instrument's own geometry onto a grid: tie points to pixels, pixels to cells."""

from eolake.ingest.swath.mapping import SwathMap, build
from eolake.ingest.swath.ties import interpolate, interpolate_cartesian

__all__ = ["SwathMap", "build", "interpolate", "interpolate_cartesian"]
