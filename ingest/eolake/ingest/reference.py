"""By reference: a provider's public COGs are published where they are, from its STAC item alone. Not a byte of them is moved.

What a reader must know of a band and the pixels can't be asked for (grid, data type, scale) stands in the item, or the
product is kept aside with a reason that says what is missing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import pystac
import shapely
from affine import Affine

from eolake.catalog.declaration import Band, Collection, declared
from eolake.catalog.draft import Draft, Foreign
from eolake.catalog.errors import BadProduct
from eolake.catalog.ledger.granules import Granule
from eolake.ingest.providers.footprints import normalise

SCHEMES = {"https", "http", "s3"}
IMAGES = {"image/jpeg", "image/png", "image/webp"}
PRIVATE = ("proj:", "earthsearch:", "_private")
OWN = {"datetime", "created", "updated", "published", "expires", "deprecated", "version"}
"""Properties that the lake's item has of its own."""
SCENE = "reference "
"""Begins the scene keys of references: they compete among each other, never with copies."""
ADVICE = 'it can\'t be published where it is; take the feed with transfer = "copy"'


def reference_draft(granule: Granule) -> Draft:
    """The draft of a granule that is taken by reference; BadProduct says what its provider's item lacks."""
    given = granule.detail.get("item")
    if not isinstance(given, Mapping) or not isinstance(given.get("assets"), Mapping):
        raise BadProduct(f"{granule.name}: {granule.provider} gave no STAC item for it; {ADVICE}")
    if granule.collection is None:
        raise BadProduct(f"{granule.name}: its feed names no collection")
    collection = declared(granule.collection)
    foreign = {band.name: file for band in collection.bands if (file := _band(given, band, granule.name)) is not None}
    missing = [band.name for band in collection.measurements if band.name not in foreign]
    if missing:
        raise BadProduct(f"{granule.name}: the item of {granule.provider} has no asset for {', '.join(missing)}; {ADVICE}")
    return Draft(
        item=_item(given, granule, collection),
        bands={},
        foreign={**foreign, **_picture(given)},
        scene_key=None if granule.scene_key is None else SCENE + granule.scene_key,
        rank=granule.rank,
    )


def _item(given: Mapping[str, Any], granule: Granule, collection: Collection) -> pystac.Item:
    geometry = normalise(granule.footprint or given.get("geometry"))
    if geometry is None or shapely.geometry.shape(dict(geometry)).area == 0:
        raise BadProduct(f"{granule.name}: the item of {granule.provider} has no footprint; {ADVICE}")
    told = _mapping(given.get("properties"))
    when = told.get("datetime") or told.get("start_datetime")
    try:
        at = pystac.utils.str_to_datetime(str(when))
    except ValueError as error:
        raise BadProduct(f"{granule.name}: its time {when!r} is none") from error
    properties = {key: value for key, value in told.items() if key not in OWN and not key.startswith(PRIVATE)}
    return pystac.Item(
        id=granule.name,
        geometry=dict(geometry),
        bbox=_bbox(geometry),
        datetime=at,
        properties=properties,
        collection=collection.id,
    )


def _bbox(geometry: Mapping[str, Any]) -> list[float]:
    """west > east where the parts meet at the antimeridian (RFC 7946)."""
    shape = shapely.geometry.shape(dict(geometry))
    west, south, east, north = shape.bounds
    parts = list(getattr(shape, "geoms", [shape]))
    eastern = [part for part in parts if part.bounds[2] == 180 and part.bounds[0] > 0]
    western = [part for part in parts if part.bounds[0] == -180 and part.bounds[2] < 0]
    if eastern and western and len(eastern) + len(western) == len(parts):
        west, east = min(part.bounds[0] for part in eastern), max(part.bounds[2] for part in western)
    return [west, south, east, north]


def _band(item: Mapping[str, Any], band: Band, name: str) -> Foreign | None:
    """The asset of a band; None when there is none. BadProduct when it isn't what the collection declares, or the grid is missing."""
    found = next((asset for key, asset in _assets(item) if key.lower() in _names(band)), None)
    if found is None:
        return None
    where = f"{name}: asset {band.name}"
    media = str(found.get("type") or "").partition(";")[0].strip()
    href = str(found.get("href") or "")
    if media not in {"image/tiff", "image/vnd.stac.geotiff"}:
        raise BadProduct(f"{where} is {media or 'of no type'}, not a Cloud-Optimized GeoTIFF; {ADVICE}")
    if urlsplit(href).scheme not in SCHEMES:
        raise BadProduct(f"{where} is at {href!r}, which is neither https nor s3; {ADVICE}")
    _check_values(found, band, where)
    shape, transform, crs = (_told(item, found, key) for key in ("proj:shape", "proj:transform", "proj:code"))
    crs = crs or _code(_told(item, found, "proj:epsg")) or _told(item, found, "proj:wkt2")
    lacking = [key for key, value in (("proj:shape", shape), ("proj:transform", transform), ("proj:code", crs)) if not value]
    if lacking:
        raise BadProduct(f"{where}: the item does not say its grid ({', '.join(lacking)}); {ADVICE}")
    try:
        rows, columns = (int(n) for n in shape)
        grid = Affine(*(float(n) for n in list(transform)[:6]))
    except (TypeError, ValueError) as error:
        raise BadProduct(f"{where}: its grid is none ({shape!r}, {transform!r}); {ADVICE}") from error
    if min(rows, columns) < 1 or grid.is_degenerate:
        raise BadProduct(f"{where}: its grid is none ({shape!r}, {transform!r}); {ADVICE}")
    return Foreign(
        href=href,
        media_type=str(found["type"]),
        roles=band.roles,
        title=band.title,
        size=found.get("file:size") if isinstance(found.get("file:size"), int) else None,
        checksum=found.get("file:checksum") if isinstance(found.get("file:checksum"), str) else None,
        shape=(rows, columns),
        transform=grid,
        crs=str(crs),
    )


def _names(band: Band) -> set[str]:
    return {name.lower() for name in (band.name, *band.aliases)}


def _check_values(asset: Mapping[str, Any], band: Band, where: str) -> None:
    """One data type, nodata, scale and offset hold for a whole product of the cube: what is told must be that."""
    told = next((entry for key in ("raster:bands", "bands") for entry in _list(asset.get(key))), asset)
    wanted = {"data_type": band.dtype, "nodata": band.nodata, "scale": band.scale, "offset": band.offset}
    for key, value in wanted.items():
        given = told.get(key, told.get(f"raster:{key}"))
        if given is None or value is None:
            continue
        same = given == value if isinstance(value, str) else _number(given) == value
        if not same:
            raise BadProduct(f"{where} has {key} {given!r}, its collection {value!r}; {ADVICE}")


def _number(value: object) -> float | None:
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None


def _told(item: Mapping[str, Any], asset: Mapping[str, Any], key: str) -> Any:
    """Of the asset, else of the item."""
    return asset.get(key) or _mapping(item.get("properties")).get(key)


def _code(epsg: object) -> str | None:
    return f"EPSG:{epsg}" if isinstance(epsg, int) else None


def _picture(item: Mapping[str, Any]) -> dict[str, Foreign]:
    """The provider's picture, if it has one that a browser shows."""
    for key, asset in _assets(item):
        roles = {key, *_strings(asset.get("roles"))}
        media, href = str(asset.get("type") or ""), str(asset.get("href") or "")
        if roles & {"thumbnail", "overview"} and media in IMAGES and urlsplit(href).scheme in SCHEMES:
            return {"overview": Foreign(href=href, media_type=media, roles=("overview",), title="Overview by the provider")}
    return {}


def _assets(item: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for key, asset in _mapping(item.get("assets")).items():
        if isinstance(asset, Mapping):
            yield str(key), asset


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: object) -> list[Mapping[str, Any]]:
    return [entry for entry in value if isinstance(entry, Mapping)] if isinstance(value, list) else []


def _strings(value: object) -> list[str]:
    return [entry for entry in value if isinstance(entry, str)] if isinstance(value, list) else []
