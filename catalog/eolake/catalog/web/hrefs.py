"""The database holds store URIs; the API says https at its edge, with the store URI as the alternate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

ALTERNATE = "https://stac-extensions.github.io/alternate-assets/v1.2.0/schema.json"


def asset_url(base_url: str, collection: str, item: str, asset: str) -> str:
    """Where this server hands out an asset; `base_url` ends with a slash."""
    return f"{base_url}assets/{quote(collection, safe='')}/{quote(item, safe='')}/{quote(asset, safe='')}"


def at_the_edge(item: Mapping[str, Any], *, base_url: str, store_url: str) -> dict[str, Any]:
    """A copy of an item in which every asset of our store has this server's URL; what the fields extension left out stays out."""
    assets = item.get("assets")
    collection, name = item.get("collection"), item.get("id")
    if not isinstance(assets, Mapping) or not collection or not name:
        return dict(item)
    rewritten = {key: _asset(asset, asset_url(base_url, collection, name, key), store_url) for key, asset in assets.items()}
    document = {**item, "assets": rewritten}
    if "stac_extensions" in item and any("alternate" in asset for asset in rewritten.values()):
        document["stac_extensions"] = sorted({*item["stac_extensions"], ALTERNATE})
    return document


def _asset(asset: Mapping[str, Any], url: str, store_url: str) -> dict[str, Any]:
    href = str(asset.get("href", ""))
    if not href.startswith(f"{store_url}/"):
        return dict(asset)
    scheme = href.partition(":")[0]
    return {**asset, "href": url, "alternate": {**asset.get("alternate", {}), scheme: {"href": href}}}
