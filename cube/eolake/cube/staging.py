"""Staging: the objects of a scene, written under a key that only its lease can publish."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pystac
from affine import Affine

from eolake.catalog.cog import CogFacts, write_cog
from eolake.catalog.declaration import Collection, declared
from eolake.catalog.draft import Attachment, Draft, Foreign, Pixels
from eolake.catalog.errors import BadProduct
from eolake.catalog.failpoints import failpoint
from eolake.catalog.ledger import publications
from eolake.catalog.ledger.granules import Lease
from eolake.catalog.ledger.publications import Record, StoredObject
from eolake.catalog.stac.bands import COG_MEDIA_TYPE
from eolake.catalog.stac.identity import dataset_id
from eolake.catalog.stac.items import ITEM_NAME, Grid, StoredAsset, complete_item
from eolake.catalog.store import Store, multihash
from eolake.catalog.thumbnail import write_thumbnail
from eolake.cube.session import Session

PARQUET_MEDIA_TYPE = "application/vnd.apache.parquet"
THUMBNAIL_SIDE = 512
"""Pixels; the longest side of a thumbnail."""
RECORD_NAME = "record.json"
"""The ledger's row and its origin, so that the store alone tells what was published and where it came from."""
BY_FOOTPRINT = "@footprint"
"""Ends a scene key whose products show the same only where their footprints overlap."""
VOLATILE = {"created", "updated", "published", "processing:software"}
"""Properties that change without the scene saying anything else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Staged:
    """A scene whose objects are written and that waits for its transaction."""

    item: Mapping[str, Any]
    """The final item with relative hrefs, as in item.json."""
    record: Record

    @property
    def key(self) -> tuple[str, str]:
        """(collection, item id)"""
        return self.record.collection, self.record.item_id

    @property
    def at(self) -> datetime:
        """The item's datetime, which decides about its partition."""
        return datetime.fromisoformat(self.item["properties"]["datetime"])


def key_prefix(item: pystac.Item, revision: int) -> str:
    """`<collection>/<yyyy>/<mm>/<dd>/<item>/r<revision>`"""
    at = _times(item.properties | {"datetime": item.datetime.isoformat() if item.datetime else None})[0]
    return f"{item.collection_id}/{at:%Y/%m/%d}/{item.id}/r{revision}"


def stage(session: Session, draft: Draft, lease: Lease) -> Staged:
    """Write the bands as COGs, the attachments, a thumbnail, item.json and record.json; all durable when this returns.

    Memory stays at one band. Raises BadProduct when the draft lacks a band or a band is broken."""
    collection = declared(draft.item.collection_id or "")
    missing = [band.name for band in collection.measurements if band.name not in draft.bands and band.name not in draft.foreign]
    if missing:
        raise BadProduct(f"{draft.item.id} lacks {', '.join(missing)}; every scene of {collection.id} has them")
    prefix = key_prefix(draft.item, lease.fence)
    publications.stage(session.connection, lease, [prefix])
    failpoint("stage:announced")
    writer = _Writer(store=session.store, prefix=prefix, assets={}, previews={})
    with tempfile.TemporaryDirectory(prefix="eolake-stage-") as folder:
        writer.bands(draft, collection, Path(folder))
        writer.foreign(draft.foreign)
        writer.attachments(draft.attachments)
        writer.thumbnail(collection, Path(folder) / "thumbnail.png")
    failpoint("stage:bands")
    now = datetime.now(UTC)
    item = complete_item(draft.item, collection, writer.assets, created=now, updated=now, sources=draft.sources)
    body = json.dumps(item, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
    session.store.put(f"{prefix}/{ITEM_NAME}", body)
    failpoint("stage:item-written")
    record = _record(draft, lease, prefix, item, writer.assets, body)
    origin = publications.origin(session.connection, lease)
    session.store.put(f"{prefix}/{RECORD_NAME}", json.dumps(record.document() | {"origin": origin}, ensure_ascii=False).encode())
    session.store.sync(prefix)
    failpoint("stage:synced")
    return Staged(item=item, record=record)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Writer:
    store: Store
    prefix: str
    assets: dict[str, StoredAsset]
    previews: dict[str, Pixels]

    def bands(self, draft: Draft, collection: Collection, folder: Path) -> None:
        for name, band in draft.bands.items():
            declaration = collection.band(name)
            pixels = band.read()
            path = folder / f"{declaration.name}.tif"
            facts = write_cog(pixels, declaration, collection.cog, path)
            if declaration.name in collection.thumbnail:
                self.previews[declaration.name] = preview(pixels, THUMBNAIL_SIDE)
            del pixels
            self.store.put(f"{self.prefix}/{path.name}", path)
            path.unlink()
            self.assets[declaration.name] = _band_asset(path.name, declaration.title, declaration.roles, facts, band.properties)
            failpoint(f"stage:band-{len(self.assets)}")

    def foreign(self, files: Mapping[str, Foreign]) -> None:
        """Only pointed to."""
        for key, file in files.items():
            known = file.shape is not None and file.transform is not None and file.crs is not None
            self.assets[key] = StoredAsset(
                href=file.href,
                media_type=file.media_type,
                roles=file.roles,
                title=file.title,
                size=file.size,
                checksum=file.checksum,
                grid=Grid(shape=file.shape, transform=file.transform, crs=file.crs) if known else None,  # type: ignore[arg-type]
            )

    def attachments(self, attachments: Mapping[str, Attachment]) -> None:
        for key, attachment in attachments.items():
            name = attachment.path.name
            self.store.put(f"{self.prefix}/{name}", attachment.path)
            self.assets[key] = StoredAsset(
                href=f"./{name}",
                media_type=attachment.media_type,
                roles=attachment.roles,
                title=attachment.title,
                size=attachment.path.stat().st_size,
                checksum=multihash(attachment.path),
                properties=attachment.properties,
            )

    def thumbnail(self, collection: Collection, path: Path) -> None:
        if not collection.thumbnail or any(name not in self.previews for name in collection.thumbnail):
            return
        write_thumbnail([self.previews[name] for name in collection.thumbnail], collection, path)
        self.store.put(f"{self.prefix}/{path.name}", path)
        self.assets["thumbnail"] = StoredAsset(
            href=f"./{path.name}",
            media_type="image/png",
            roles=("thumbnail",),
            title="Thumbnail",
            size=path.stat().st_size,
            checksum=multihash(path),
        )


def preview(pixels: Pixels, side: int) -> Pixels:
    """Every n-th pixel, so that the longest side is at most `side`."""
    step = max(1, -(-max(pixels.data.shape) // side))
    data = np.ascontiguousarray(pixels.data[::step, ::step])
    return Pixels(data=data, transform=pixels.transform @ Affine.scale(step), crs=pixels.crs, nodata=pixels.nodata)


def _band_asset(name: str, title: str, roles: tuple[str, ...], facts: CogFacts, properties: Mapping[str, Any]) -> StoredAsset:
    return StoredAsset(
        href=f"./{name}",
        media_type=COG_MEDIA_TYPE,
        roles=roles,
        title=title,
        size=facts.size,
        checksum=facts.checksum,
        facts=facts,
        properties=properties,
    )


def _record(draft: Draft, lease: Lease, prefix: str, item: Mapping[str, Any], assets: Mapping[str, StoredAsset], body: bytes) -> Record:
    start, end = _times(item["properties"])
    objects = [_object(prefix, key, asset) for key, asset in assets.items()]
    objects.append(StoredObject(key=f"{prefix}/{ITEM_NAME}", asset="item", bytes=len(body), checksum=multihash(body)))
    west, south, east, north = item["bbox"]
    return Record(
        collection=item["collection"],
        item_id=item["id"],
        dataset_id=dataset_id(item["collection"], item["id"]),
        revision=lease.fence,
        granule_id=lease.id if lease.kind == "granule" else None,
        run_id=lease.id if lease.kind == "run" else None,
        scene_key=draft.scene_key,
        rank=draft.rank,
        prefix=prefix,
        digest=scene_digest(item, assets),
        bbox=(west, south, east, north),
        start_at=start,
        end_at=end,
        objects=tuple(objects),
        sources=draft.sources,
        inputs=item["properties"].get("eolake:inputs"),
        footprint=item["geometry"] if (draft.scene_key or "").endswith(BY_FOOTPRINT) else None,
    )


def _object(prefix: str, key: str, asset: StoredAsset) -> StoredObject:
    """Of a foreign one only the name; its bytes cost the lake nothing."""
    if is_foreign(asset):
        return StoredObject(key=f"{prefix}/{key}", asset=key, bytes=0, checksum=asset.checksum or "", href=asset.href)
    return StoredObject(
        key=f"{prefix}/{asset.href.removeprefix('./')}",
        asset=key,
        bytes=asset.size or 0,
        checksum=asset.checksum or "",
        pixel_digest=asset.facts.pixel_digest if asset.facts else None,
    )


def is_foreign(asset: StoredAsset) -> bool:
    """Whether an asset lies elsewhere."""
    return "://" in asset.href


def scene_digest(item: Mapping[str, Any], assets: Mapping[str, StoredAsset]) -> str:
    """Over what the scene says: pixels, tables, geometry and properties, but neither the bytes of images nor the time of writing."""
    said = {
        "geometry": item["geometry"],
        "properties": {key: value for key, value in item["properties"].items() if key not in VOLATILE},
        "bands": {key: [asset.facts.pixel_digest, dict(asset.properties)] for key, asset in sorted(assets.items()) if asset.facts},
        "sources": [link["href"] for link in item["links"]],
    }
    foreign = {key: [asset.href, asset.size, asset.checksum] for key, asset in sorted(assets.items()) if is_foreign(asset)}
    if foreign:
        said["foreign"] = foreign
    tables = {
        key: asset.checksum for key, asset in sorted(assets.items()) if asset.media_type == PARQUET_MEDIA_TYPE and not is_foreign(asset)
    }
    if tables:
        said["tables"] = tables
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def _times(properties: Mapping[str, Any]) -> tuple[datetime, datetime]:
    """Start and end; both the datetime of an instant."""
    at = properties.get("datetime")
    start, end = properties.get("start_datetime") or at, properties.get("end_datetime") or at
    if start is None or end is None:
        raise BadProduct("the item has no datetime")
    return datetime.fromisoformat(start), datetime.fromisoformat(end)
