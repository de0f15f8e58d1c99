"""Is a product what its manifest says? Tiles in AWS layout have none."""

from __future__ import annotations

import re
from dataclasses import replace

from eolake.catalog import safe
from eolake.ingest.sensors.sentinel2.layout import MANIFEST

PLACE_HOLDERS = re.compile(r"^DATASTRIP/DS_ESRI_")
"""In products that Esri processed for Planetary Computer the manifest has the sizes and digests (432, 444, 744 bytes …) of what lay
in the place of the files when it was written: only its names hold."""


def check_manifest(product: safe.Product) -> None:
    """BadProduct when a file of the manifest is missing, or is not what the manifest says."""
    path = product.files.get(MANIFEST)
    if path is None:
        return
    manifest = safe.read_manifest(path)
    if any(PLACE_HOLDERS.search(entry.name) for entry in manifest.entries):
        manifest = replace(manifest, entries=tuple(replace(entry, size=None, digests=()) for entry in manifest.entries))
    safe.check_files(product, manifest)
