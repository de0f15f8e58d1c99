"""Who an item is: its dataset id in the cube, and the sources it was derived from.

The dataset id is the one that `datacube.metadata.stac2ds` computes, made here without importing
datacube, so that the ledger and the catalog know it too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote, unquote
from uuid import NAMESPACE_URL, UUID, uuid5

from eolake.catalog.declaration import declared_collections

NAMESPACE_STAC = uuid5(NAMESPACE_URL, "https://stacspec.org")
"""The namespace that datacube uses."""

_ITEM_HREF = re.compile(r"collections/([^/]+)/items/([^/?#]+)$")


def dataset_id(collection: str, item: str) -> UUID:
    """The ODC dataset id of a STAC item; an item id that is a UUID is the dataset id."""
    try:
        return UUID(item)
    except ValueError:
        return uuid5(NAMESPACE_STAC, f"{collection}\n{item}\n")


def collection_link(collection: str) -> dict[str, Any]:
    """The link to the collection that STAC demands of an item, relative to the STAC API."""
    return {"rel": "collection", "href": f"collections/{quote(collection, safe='')}", "type": "application/json"}


def derived_from(collection: str, item: str) -> dict[str, Any]:
    """The link to a source item. Its href is relative to the STAC API, which makes it absolute."""
    return {
        "rel": "derived_from",
        "href": f"collections/{quote(collection, safe='')}/items/{quote(item, safe='')}",
        "type": "application/geo+json",
        "title": item,
    }


def sources(links: Iterable[Mapping[str, Any]]) -> tuple[tuple[str, str], ...]:
    """(collection, item id) of the `derived_from` links that point into a STAC API, sorted."""
    matches = (_ITEM_HREF.search(str(link["href"])) for link in links if link["rel"] == "derived_from")
    return tuple(sorted({(unquote(m[1]), unquote(m[2])) for m in matches if m}))


def _classifier(collection: str) -> str:
    """`level1` for a source of processing level L1, `level2` for L2, …; `source` when nothing is declared."""
    known = declared_collections().get(collection)
    level = re.match(r"L(\d)", known.processing_level or "") if known else None
    return f"level{level[1]}" if level else "source"


def lineage(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """ODC lineage of these sources: dataset ids by classifier (`level1`, `level2`, `source`)."""
    found: dict[str, list[str]] = {}
    for collection, item in sorted(set(pairs)):
        found.setdefault(_classifier(collection), []).append(str(dataset_id(collection, item)))
    return found
