"""The STAC collection of a declaration."""

from __future__ import annotations

import copy
from typing import Any

from eolake.catalog.declaration import Collection, Provider
from eolake.catalog.stac import extensions
from eolake.catalog.stac.bands import band_asset, json_number

THUMBNAIL = {"type": "image/png", "title": "Thumbnail", "roles": ["thumbnail"]}
WORLD = {"spatial": {"bbox": [[-180.0, -90.0, 180.0, 90.0]]}, "temporal": {"interval": [[None, None]]}}
"""Until the ledger knows better: extents are computed from publications, never by pgSTAC."""


def stac_collection(collection: Collection) -> dict[str, Any]:
    """The STAC 1.1.0 collection: item_assets, summaries, providers, licence, renders, DOI; valid without a network."""
    assets = item_assets(collection)
    summaries = _summaries(collection)
    document: dict[str, Any] = {
        "type": "Collection",
        "stac_version": extensions.STAC_VERSION,
        "id": collection.id,
        "title": collection.title,
        "description": collection.description.strip(),
        "keywords": list(collection.keywords),
        "license": collection.license,
        "providers": [_provider(provider) for provider in collection.providers],
        "extent": copy.deepcopy(WORLD),
        "summaries": summaries,
        "item_assets": assets,
        "links": [],
    }
    needed = extensions.used([summaries, *assets.values()])
    if collection.renders:
        document["renders"] = copy.deepcopy(dict(collection.renders))
        needed.add(extensions.uri("render"))
    if collection.license_url:
        document["links"].append({"rel": "license", "href": collection.license_url})
    if collection.sci_doi:
        document["sci:doi"] = collection.sci_doi
        document["links"].append({"rel": "cite-as", "href": f"https://doi.org/{collection.sci_doi}"})
        needed.add(extensions.uri("scientific"))
    return {**document, "stac_extensions": sorted(needed)}


def item_assets(collection: Collection) -> dict[str, dict[str, Any]]:
    """Asset definitions by key: every declared band, and the thumbnail."""
    assets = {band.name: band_asset(band) for band in collection.bands}
    return {**assets, "thumbnail": copy.deepcopy(THUMBNAIL)} if collection.thumbnail else assets


def _provider(provider: Provider) -> dict[str, Any]:
    document = provider.model_dump(mode="json", exclude_none=True)
    return {**document, "roles": list(provider.roles)}


def _summaries(collection: Collection) -> dict[str, Any]:
    gsds = {band.gsd for band in collection.bands if band.gsd is not None} | ({collection.gsd} if collection.gsd else set())
    found: dict[str, list[Any]] = {
        "platform": list(collection.platforms),
        "instruments": list(collection.instruments),
        "constellation": [collection.constellation] if collection.constellation else [],
        "gsd": [json_number(gsd) for gsd in sorted(gsds)],
        "processing:level": [collection.processing_level] if collection.processing_level else [],
    }
    return {key: values for key, values in found.items() if values}
