"""STAC items of any age and maker: what offer one makes, and which of its assets are the files of the product."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from typing import Any, Literal
from urllib.parse import parse_qsl, unquote, urlsplit

from eolake.catalog.errors import ConfigError
from eolake.catalog.ledger.granules import Offer
from eolake.ingest.naming import scene_of
from eolake.ingest.providers.base import Part
from eolake.ingest.providers.footprints import normalise
from eolake.ingest.providers.odata import parse_time, plain_name

SCHEMES = frozenset({"http", "https", "s3", "ftp", "ftps"})
PICTURES = frozenset({"thumbnail", "overview"})
"""Roles, and keys, of pictures for people."""
UNWANTED = frozenset({"tiles", "graphic", "visual", *PICTURES})
"""Roles of assets that are no part of a product."""
PAGES = ("text/html", "application/vnd.oai", "application/geo+json")
SIGNATURES = frozenset({"sig", "signature", "x-amz-signature", "x-amz-security-token", "x-goog-signature", "token", "access_token"})
"""Parameters of a URL that make its query a secret."""
PRIVATE = ("_private", "auth:schemes", "storage:schemes", "providers", "description", "title", "license")
KEPT = (
    "href",
    "type",
    "roles",
    "title",
    "gsd",
    "eo:bands",
    "bands",
    "raster:bands",
    "data_type",
    "nodata",
    "unit",
    "classification:bitfields",
)
_SAFE = re.compile(r"[^/\\\0]{1,255}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How the items of one API are read; from `options` and the description of a collection."""

    names: tuple[str, ...] = ()
    """Properties that hold the product name, `_private.product_name` for one within another; the first that is there counts."""
    pattern: str | None = None
    """A regular expression that finds the product name in the id or the URL of an asset."""
    published: tuple[str, ...] = ("published", "created", "updated")
    """Properties that say when the item became available."""
    prefer: str | None = None
    """Scheme that is taken when an asset is in several places: https, s3."""
    product: str | None = None
    """Key of the one asset that is the whole product."""
    assets: tuple[str, ...] = ()
    """Patterns of the keys that are wanted; empty: all data."""
    exclude: tuple[str, ...] = ()
    suffixes: tuple[str, ...] = ()
    """Ends of the wanted files' names, any case, where the keys of the assets changed over the years."""
    keep: bool = True
    """Whether the offer carries the item, for publishing it by reference."""
    transfer: Literal["copy", "reference"] = "copy"
    """What becomes of its products, unless a feed says otherwise."""

    @classmethod
    def of(cls, options: Mapping[str, Any], described: Mapping[str, Any]) -> Reading:
        """ConfigError when a pattern is none."""
        both = {**options, **described}
        told: dict[str, Any] = {name: tuple(both[name]) for name in ("names", "published", "assets", "exclude", "suffixes") if name in both}
        made = cls(**told, **{name: both[name] for name in ("pattern", "prefer", "product", "keep", "transfer") if name in both})
        try:
            re.compile(made.pattern or "")
        except re.error as error:
            raise ConfigError(f"options.pattern = {made.pattern!r}: {error}") from None
        return made


def offer_of(
    item: Mapping[str, Any], *, provider: str, source: str, reading: Reading, lake_collection: str | None, own: str | None
) -> Offer:
    """The product that an item describes. `source`: its URL; `own`: the API's collection, where the item does not say."""
    told, collection = _mapping(item.get("properties")), str(item.get("collection") or own or "")
    name = name_of(item, reading)
    start = _time(told, "start_datetime", "datetime")
    scene = scene_of(name, start=start, attributes=told)
    files = list(_files(item, reading))
    sizes = [size for _, asset in files if (size := _size(asset)) is not None]
    detail: dict[str, Any] = {"collection": collection, "item_id": item["id"]}
    if reading.keep:
        detail["item"] = trimmed(item)
    footprint = normalise(item.get("geometry"))
    notes = [note for note, holds in {"no footprint": footprint is None, "no data assets": not files}.items() if holds]
    return Offer(
        provider=provider,
        id=f"{collection}/{item['id']}",
        name=name,
        source=source,
        fingerprint=fingerprint(item, [asset for _, asset in files]),
        size=sum(sizes) if len(sizes) == len(files) and files else None,
        collection=lake_collection,
        transfer=reading.transfer,
        scene_key=scene.scene_key if scene else None,
        rank=scene.rank if scene else (),
        published=_time(told, *reading.published),
        modified=_time(told, "updated"),
        start_at=start,
        end_at=_time(told, "end_datetime", "datetime") or start,
        footprint=footprint,
        cloud_cover=_percent(told.get("eo:cloud_cover")),
        detail={key: value for key, value in {**detail, "notes": notes}.items() if value not in (None, [], {})},
    )


def name_of(item: Mapping[str, Any], reading: Reading) -> str:
    """The product name: from a property, found in the id or in an asset's URL, else the id itself."""
    told = _mapping(item.get("properties"))
    found: list[str] = []
    for path in reading.names:
        value: Any = told
        for step in path.split("."):
            value = value.get(step) if isinstance(value, Mapping) else None
        found += [value] if isinstance(value, str) else []
    if reading.pattern:
        places = [str(item["id"]), *(str(asset.get("href", "")) for asset in _assets(item).values())]
        matches = (re.search(reading.pattern, place) for place in places)
        found += [match[0] for match in matches if match is not None][:1]
    names = [plain_name(name.strip()) for name in [*found, str(item["id"])]]
    return next((name for name in names if _SAFE.fullmatch(name) and name.strip(".")), "unnamed")


def fingerprint(item: Mapping[str, Any], assets: Sequence[Mapping[str, Any]]) -> str:
    """What the bytes are: digests of the files, else their sizes and places and the processing; never when somebody touched the record."""
    digests = [digest for asset in assets if (digest := _digest(asset)) is not None]
    if digests and len(digests) == len(assets):
        return f"multihash:{_hash(sorted(digests))}"
    told = _mapping(item.get("properties"))
    version = [told.get(key) for key in ("processing:version", "s2:processing_baseline", "s2:generation_time", "version")]
    return f"files:{_hash([sorted((unsigned(str(a.get('href'))), _size(a), _digest(a)) for a in assets), version])}"


def parts_of(item: Mapping[str, Any], reading: Reading, *, may: frozenset[str]) -> list[Part]:
    """The files of a product and its picture. `may`: hosts to which the credential goes.

    Names keep the product's own tree where the item tells it, else are those of the files; never such that leave their folder."""
    parts: dict[str, Part] = {}
    for key, asset in _files(item, reading):
        part = _part(key, asset, reading, may, parts)
        parts[part.name] = part
    return [*parts.values(), *_picture(item, reading, may)]


def trimmed(item: Mapping[str, Any]) -> dict[str, Any]:
    """The item without what publishing it does not need, and without any signature."""
    assets = {key: _trimmed(asset) for key, asset in _assets(item).items() if _wanted(asset) or _is_picture(key, asset)}
    properties = {key: value for key, value in _mapping(item.get("properties")).items() if key not in PRIVATE}
    kept = {key: item[key] for key in ("type", "stac_version", "id", "collection", "geometry", "bbox") if key in item}
    return {**kept, "properties": properties, "assets": assets}


def unsigned(url: str) -> str:
    """The URL without a query that holds a signature."""
    query = urlsplit(url).query
    return url.partition("?")[0] if any(name.lower() in SIGNATURES for name, _ in parse_qsl(query)) else url


def _files(item: Mapping[str, Any], reading: Reading) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The assets that are the product: the whole one, or those that are wanted; each file once."""
    assets = _assets(item)
    if reading.product is not None and reading.product in assets:
        yield reading.product, assets[reading.product]
        return
    seen: set[str] = set()
    for key, asset in assets.items():
        name = _file_name(str(asset.get("href", "")))
        chosen = not reading.suffixes or name.lower().endswith(tuple(suffix.lower() for suffix in reading.suffixes))
        named = not reading.assets or any(fnmatchcase(key, pattern) for pattern in reading.assets)
        if not (_wanted(asset) and chosen and named) or any(fnmatchcase(key, pattern) for pattern in reading.exclude):
            continue
        place = unsigned(str(asset["href"]))
        if place not in seen:
            seen.add(place)
            yield key, asset


def _wanted(asset: Mapping[str, Any]) -> bool:
    """Whether an asset is a file of data or metadata that can be fetched."""
    roles = {str(role) for role in asset.get("roles") or ()}
    href, media = asset.get("href"), str(asset.get("type") or "")
    if not isinstance(href, str) or urlsplit(href).scheme not in SCHEMES or roles & UNWANTED or media.startswith(PAGES):
        return False
    return not (media.startswith("image/") and media.partition(";")[0] in {"image/jpeg", "image/png"} and not roles & {"data"})


def _is_picture(key: str, asset: Mapping[str, Any]) -> bool:
    roles = {str(role) for role in asset.get("roles") or ()}
    media = str(asset.get("type") or "").partition(";")[0]
    href = asset.get("href")
    named = bool(roles & PICTURES) or key.lower() in {*PICTURES, "quicklook"}
    return named and media in {"image/jpeg", "image/png", "image/jpg"} and isinstance(href, str) and urlsplit(href).scheme in SCHEMES


def _picture(item: Mapping[str, Any], reading: Reading, may: frozenset[str]) -> list[Part]:
    found = [(key, asset) for key, asset in _assets(item).items() if _is_picture(key, asset)]
    found.sort(key=lambda pair: ("thumbnail" not in (pair[1].get("roles") or [pair[0]]), pair[0]))
    if not found:
        return []
    _, asset = found[0]
    url = _place(asset, reading)
    name = PurePosixPath(unquote(urlsplit(url).path)).name
    name = name if _SAFE.fullmatch(name) and PurePosixPath(name).suffix else "overview.jpg"
    return [Part(url=url, name=name, size=_size(asset), digests=_digests(asset), role="overview", login=_sent(url, may))]


def _part(key: str, asset: Mapping[str, Any], reading: Reading, may: frozenset[str], taken: Mapping[str, Part]) -> Part:
    url = _place(asset, reading)
    name = _local_path(asset) or _file_name(url) or key.replace("/", "_")
    if name in taken:
        name = f"{key.replace('/', '_')}_{name}" if "/" not in name else name
    return Part(url=url, name=name, size=_size(asset), digests=_digests(asset), login=_sent(url, may))


def _place(asset: Mapping[str, Any], reading: Reading) -> str:
    """Where an asset is taken from: of its own href and its alternates the first with the preferred scheme."""
    alternates = [entry.get("href") for entry in _mapping(asset.get("alternate")).values() if isinstance(entry, Mapping)]
    places = [str(place) for place in (asset["href"], *alternates) if isinstance(place, str)]
    wanted = {"http", "https"} if reading.prefer == "https" else {reading.prefer}
    fitting = [place for place in places if urlsplit(place).scheme in wanted]
    return (fitting or places)[0]


def _sent(url: str, may: frozenset[str]) -> bool:
    return urlsplit(url).netloc.lower() in may or (urlsplit(url).hostname or "") in may


def _local_path(asset: Mapping[str, Any]) -> str | None:
    """The path within the product, when it stays within."""
    path = asset.get("file:local_path")
    if not isinstance(path, str) or "\\" in path or "\0" in path or path.startswith("/"):
        return None
    steps = path.split("/")
    return path if all(_SAFE.fullmatch(step) and step not in {".", ".."} for step in steps) else None


def _file_name(url: str) -> str:
    name = PurePosixPath(unquote(urlsplit(url).path)).name
    return name if _SAFE.fullmatch(name) and name not in {".", "..", "$value"} else ""


def _digest(asset: Mapping[str, Any]) -> str | None:
    value = asset.get("file:checksum", asset.get("checksum:multihash"))
    return value.lower() if isinstance(value, str) and len(value) > 8 and not value.lower().strip("0123456789abcdef") else None


def _digests(asset: Mapping[str, Any]) -> dict[str, str]:
    digest = _digest(asset)
    return {"multihash": digest} if digest is not None else {}


def _size(asset: Mapping[str, Any]) -> int | None:
    value = asset.get("file:size", asset.get("size"))
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def _trimmed(asset: Mapping[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in asset.items() if key in KEPT or key.startswith(("proj:", "file:", "raster:"))}
    alternates = {
        key: {"href": unsigned(entry["href"])}
        for key, entry in _mapping(asset.get("alternate")).items()
        if isinstance(entry, Mapping) and isinstance(entry.get("href"), str)
    }
    return {**kept, "href": unsigned(str(asset["href"])), **({"alternate": alternates} if alternates else {})}


def _assets(item: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    return {str(key): asset for key, asset in _mapping(item.get("assets")).items() if isinstance(asset, Mapping)}


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _time(told: Mapping[str, Any], *keys: str) -> Any:
    return next((time for key in keys if (time := parse_time(told.get(key))) is not None), None)


def _percent(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 100 else None


def _hash(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:32]
