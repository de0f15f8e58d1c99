"""The versions of the STAC extensions that the lake emits, and which of them a document needs.

STAC 1.1.0 with eo and raster 1.1.0 beside the core `bands`, `data_type`, `nodata` and `unit`: the
only mix that validates and from which odc-stac, titiler and new readers alike learn the bands.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

STAC_VERSION = "1.1.0"

VERSIONS: Mapping[str, str] = {
    "classification": "v1.1.0",
    "eo": "v1.1.0",
    "file": "v2.1.0",
    "grid": "v1.1.0",
    "landsat": "v2.0.0",
    "processing": "v1.2.0",
    "product": "v1.0.0",
    "projection": "v2.0.0",
    "raster": "v1.1.0",
    "render": "v2.0.0",
    "sar": "v1.0.0",
    "sat": "v1.2.0",
    "scientific": "v1.0.0",
    "sentinel-2": "v1.0.0",
    "sentinel-3": "v0.2.0",
    "timestamps": "v1.1.0",
    "version": "v1.2.0",
    "view": "v1.1.0",
}

_PREFIXES: Mapping[str, str] = {
    "classification": "classification",
    "eo": "eo",
    "file": "file",
    "grid": "grid",
    "landsat": "landsat",
    "processing": "processing",
    "product": "product",
    "proj": "projection",
    "raster": "raster",
    "s2": "sentinel-2",
    "s3": "sentinel-3",
    "sar": "sar",
    "sat": "sat",
    "sci": "scientific",
    "view": "view",
}
"""Field prefix → extension. Those without a prefix (render, timestamps, version) are named by the caller."""


def uri(name: str) -> str:
    """The schema URI of an extension in the version that the lake emits."""
    return f"https://stac-extensions.github.io/{name}/{VERSIONS[name]}/schema.json"


def used(documents: Iterable[Mapping[str, Any]]) -> set[str]:
    """URIs of the extensions whose fields stand in any of these objects (properties, assets, summaries)."""
    prefixes = {key.split(":", 1)[0] for document in documents for key in document if ":" in key}
    return {uri(_PREFIXES[prefix]) for prefix in prefixes if prefix in _PREFIXES}


def merge(declared: Iterable[str], needed: Iterable[str]) -> list[str]:
    """Both, sorted; of one extension in two versions only the lake's own stays."""
    ours = set(needed)
    names = {_name(entry) for entry in ours}
    return sorted(ours | {entry for entry in declared if _name(entry) not in names})


def _name(entry: str) -> str:
    """`https://stac-extensions.github.io/eo/v1.1.0/schema.json` → `https://stac-extensions.github.io/eo`"""
    return entry.rsplit("/", 2)[0]
