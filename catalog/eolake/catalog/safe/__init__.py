"""The gate: the only place that opens bytes from outside.

Every byte of a product is hostile until it passed here: archives are unpacked member by member under limits, XML
without DTD, rasters with one named driver and no side-car files. What attacks or exceeds a limit is UnsafeProduct,
what is broken is BadProduct; each message names the file and the cause.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from eolake.catalog.safe.documents import parse_xml, read_json, read_text
from eolake.catalog.safe.limits import Limits
from eolake.catalog.safe.manifest import Entry, Manifest, check_files, file_digests, read_manifest, read_sums
from eolake.catalog.safe.names import expected_names
from eolake.catalog.safe.process import Bounds, confine, environment, harden, processor_time
from eolake.catalog.safe.product import Product, open_product, product_name

if TYPE_CHECKING:
    from eolake.catalog.safe.raster import RasterProfile, raster_profile, read_raster

__all__ = [
    "Bounds",
    "Entry",
    "Limits",
    "Manifest",
    "Product",
    "RasterProfile",
    "check_files",
    "confine",
    "environment",
    "expected_names",
    "file_digests",
    "harden",
    "open_product",
    "parse_xml",
    "processor_time",
    "product_name",
    "raster_profile",
    "read_json",
    "read_manifest",
    "read_raster",
    "read_sums",
    "read_text",
]


def __getattr__(name: str) -> Any:
    """What needs numpy comes when it is asked for: workers and fetch processes import this package too."""
    if name in {"RasterProfile", "raster_profile", "read_raster"}:
        from eolake.catalog.safe import raster

        return getattr(raster, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
