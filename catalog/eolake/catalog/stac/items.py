"""The final STAC item of a draft: what stands in `item.json`, in pgSTAC and behind the ODC dataset."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pystac

from eolake.catalog.declaration import Collection
from eolake.catalog.errors import BadProduct
from eolake.catalog.stac import extensions, identity
from eolake.catalog.stac.bands import band_asset, json_number

if TYPE_CHECKING:
    from affine import Affine

    from eolake.catalog.cog import CogFacts

ITEM_NAME = "item.json"
ITEM_MEDIA_TYPE = "application/geo+json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """Of a band that was not written here."""

    shape: tuple[int, int]
    """rows, columns"""
    transform: Affine
    crs: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredAsset:
    """One object of an item, written for it or lying elsewhere."""

    href: str
    """Relative to item.json: `./red.tif`; absolute when the object is not ours."""
    media_type: str
    roles: tuple[str, ...]
    title: str
    size: int | None
    """bytes; None when nobody tells (of a foreign object)"""
    checksum: str | None
    """multihash in hex: `1220` + sha2-256; None when nobody tells"""
    facts: CogFacts | None = None
    """Of a band: what was written."""
    grid: Grid | None = None
    """Of a foreign band: where its pixels are."""
    properties: Mapping[str, Any] = field(default_factory=dict)
    """Asset fields of this item only; `raster:scale` and the like go into its `raster:bands`."""


def complete_item(
    draft: pystac.Item,
    collection: Collection,
    written: Mapping[str, StoredAsset],
    *,
    created: datetime | None = None,
    updated: datetime | None = None,
    sources: Iterable[tuple[str, str]] = (),
) -> dict[str, Any]:
    """The final item with relative hrefs.

    `written`: by asset key. `created`: first publication; `updated`: this revision (both aware; without them the
    draft's own properties stay). `sources`: (collection, item id) besides the draft's `derived_from` links.
    Raises BadProduct when a band's CRS contradicts the item's.
    """
    document = draft.to_dict(include_self_link=False, transform_hrefs=False)
    assets = _assets(collection, written)
    pairs = {*sources, *identity.sources(document["links"])}
    properties = _properties(document["properties"], collection, written, pairs) | _times(created, updated)
    needed = extensions.used([properties, *assets.values()])
    if "published" in properties:
        needed.add(extensions.uri("timestamps"))
    return {
        "type": "Feature",
        "stac_version": extensions.STAC_VERSION,
        "stac_extensions": extensions.merge(document.get("stac_extensions", ()), needed),
        "id": document["id"],
        "collection": collection.id,
        "geometry": document["geometry"],
        "bbox": document["bbox"],
        "properties": properties,
        "links": [identity.collection_link(collection.id), *(identity.derived_from(*pair) for pair in sorted(pairs))],
        "assets": assets,
    }


def with_store_hrefs(item: Mapping[str, Any], folder: str) -> dict[str, Any]:
    """A copy whose hrefs are store URIs; `folder` is the URI of the folder that holds item.json.

    A `self` link names item.json: APIs replace it, the ODC dataset takes its uri from it.
    """
    folder = folder.rstrip("/")
    assets = {key: {**asset, "href": _absolute(asset["href"], folder)} for key, asset in item["assets"].items()}
    others = [link for link in item["links"] if link["rel"] != "self"]
    return {**item, "assets": assets, "links": [{"rel": "self", "href": f"{folder}/{ITEM_NAME}", "type": ITEM_MEDIA_TYPE}, *others]}


def _absolute(href: str, folder: str) -> str:
    return href if "://" in href else f"{folder}/{href.removeprefix('./')}"


def _assets(collection: Collection, written: Mapping[str, StoredAsset]) -> dict[str, dict[str, Any]]:
    """Declared bands in their order, then the rest by name."""
    bands = {band.name: band for band in collection.bands}
    order = [name for name in bands if name in written] + sorted(set(written) - set(bands))
    return {key: _band(band_asset(bands[key]), written[key]) if key in bands else _attachment(written[key]) for key in order}


def _attachment(stored: StoredAsset) -> dict[str, Any]:
    described = {"href": stored.href, "type": stored.media_type, "title": stored.title, "roles": list(stored.roles)}
    return {**described, **stored.properties, **_file(stored)}


def _file(stored: StoredAsset) -> dict[str, Any]:
    told = {"file:size": stored.size, "file:checksum": stored.checksum}
    return {key: value for key, value in told.items() if value is not None}


def _band(declared: dict[str, Any], stored: StoredAsset) -> dict[str, Any]:
    grid = stored.facts or stored.grid
    if grid is None:
        raise ValueError(f"{stored.href} is a band of its collection, but nothing says how it was written")
    own = {key: value for key, value in stored.properties.items() if not key.startswith("raster:")}
    raster = {key.removeprefix("raster:"): value for key, value in stored.properties.items() if key.startswith("raster:")}
    statistics = _statistics(stored.facts) if stored.facts else {}
    written = {"file:header_size": stored.facts.header_size, "eolake:pixel_digest": stored.facts.pixel_digest} if stored.facts else {}
    return {
        "href": stored.href,
        **declared,
        **own,
        "raster:bands": [{**declared["raster:bands"][0], **raster, **({"statistics": statistics} if statistics else {})}],
        **_grid(grid),
        **_file(stored),
        **written,
    }


def _grid(facts: CogFacts | Grid) -> dict[str, Any]:
    return {
        "proj:shape": [int(n) for n in facts.shape],
        "proj:transform": [json_number(n) for n in tuple(facts.transform)[:6]],
        **_crs(facts.crs),
    }


def _crs(crs: str) -> dict[str, Any]:
    """`proj:code` of an authority's code; WKT2 where there is none."""
    return {"proj:code": crs} if crs.startswith(("EPSG:", "ESRI:", "OGC:")) else {"proj:code": None, "proj:wkt2": crs}


def _statistics(facts: CogFacts) -> dict[str, float]:
    """What raster 1.1 knows; a band without any valid pixel has none."""
    names = ("minimum", "maximum", "mean", "stddev", "valid_percent")
    values = {name: getattr(facts.statistics, name) for name in names}
    return {name: float(value) for name, value in values.items() if value is not None and math.isfinite(value)}


def _properties(
    draft: Mapping[str, Any], collection: Collection, written: Mapping[str, StoredAsset], sources: Iterable[tuple[str, str]]
) -> dict[str, Any]:
    facts = [stored.facts for stored in written.values() if stored.facts is not None]
    declared = {
        "gsd": None if collection.gsd is None else json_number(collection.gsd),
        "constellation": collection.constellation,
        "processing:level": collection.processing_level,
        "odc:product_family": collection.product_family,
        "odc:producer": _producer(collection),
        "odc:lineage": identity.lineage(sources) or None,
    }
    return {
        **{key: value for key, value in declared.items() if value is not None},
        **{key: value for key, value in draft.items() if key != "datetime" and value is not None},
        "datetime": draft["datetime"],
        "odc:product": collection.id,
        "odc:file_format": "GeoTIFF",
        "processing:software": {**draft.get("processing:software", {}), **_software(facts)},
        **_projection(draft, [grid for stored in written.values() if (grid := stored.facts or stored.grid) is not None]),
    }


def _producer(collection: Collection) -> str | None:
    """The domain of the producer, as ODC writes it: usgs.gov."""
    for provider in collection.providers:
        if "producer" in provider.roles and provider.url:
            return (urlsplit(provider.url).hostname or "").removeprefix("www.") or None
    return None


@cache
def _eolake() -> str:
    return version("eolake")


def _software(facts: Sequence[CogFacts]) -> dict[str, str]:
    own = {"eolake": _eolake()}
    return {**own, "GDAL": facts[0].gdal_version} if facts else own


def _projection(draft: Mapping[str, Any], facts: Sequence[CogFacts | Grid]) -> dict[str, Any]:
    """CRS and bounds of all bands together; they share one CRS, since ODC knows one per dataset."""
    crss = {found.crs for found in facts} | ({draft["proj:code"]} if draft.get("proj:code") else set())
    if len(crss) > 1:
        raise BadProduct(f"the item and its bands disagree about the CRS: {', '.join(sorted(crss))}")
    if not facts:
        return {}
    corners = [
        found.transform @ corner for found in facts for corner in ((0, 0), (found.shape[1], 0), (0, found.shape[0]), found.shape[::-1])
    ]
    xs, ys = [x for x, _ in corners], [y for _, y in corners]
    return {**_crs(crss.pop()), "proj:bbox": [json_number(n) for n in (min(xs), min(ys), max(xs), max(ys))]}


def _times(created: datetime | None, updated: datetime | None) -> dict[str, str]:
    """Metadata times: `created` and `published` of the first publication, `updated` of this one."""
    if created is None:
        return {}
    return {"created": _utc(created), "published": _utc(created), "updated": _utc(updated or created)}


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
