"""Opens Sentinel-2 products: `.SAFE` folders, zip and tar archives of them, and tiles in AWS layout."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from eolake.catalog import safe
from eolake.catalog.declaration import declared
from eolake.catalog.draft import Attachment, Draft
from eolake.catalog.errors import BadProduct
from eolake.ingest.sensors.base import DEFAULT, Options
from eolake.ingest.sensors.sentinel2 import bands, names
from eolake.ingest.sensors.sentinel2.integrity import check_manifest
from eolake.ingest.sensors.sentinel2.item import Scene, draft_item
from eolake.ingest.sensors.sentinel2.layout import EXPECTED, WANTED, Granule, Layout, band_files, layout
from eolake.ingest.sensors.sentinel2.metadata import read_aws, read_product, read_tile
from eolake.ingest.sensors.sentinel2.radiometry import offsets_to_add


class Sentinel2Sensor:
    """Sentinel-2 MSI, Level-1C and Level-2A."""

    name = "sentinel2"

    def matches(self, name: str) -> bool:
        """True for every Sentinel-2 product, also of levels that `open` refuses."""
        return names.ANY.match(name) is not None

    def open(self, path: Path, workspace: Path, options: Options = DEFAULT) -> Iterator[Draft]:
        """One draft for each tile (products since December 2016 have one). BadProduct names what is missing or contradictory."""
        product = safe.open_product(path, workspace, wanted=WANTED, expected=EXPECTED)
        parts = layout(product)
        found = scenes(parts)
        for scene in found:
            _is_of(product, scene)
        drafts = [draft(granule, scene, parts) for granule, scene in zip(parts.granules, found, strict=True)]
        if options.checked:
            check_manifest(product)
        yield from drafts


def scenes(parts: Layout) -> list[Scene]:
    """The metadata of each tile; no raster is touched."""
    main = read_product(parts.product_metadata) if parts.product_metadata else None
    aws = read_aws(parts.tile_info, parts.product_info) if parts.tile_info else None
    return [Scene(tile=read_tile(granule.metadata), product=main, aws=aws, tiles=len(parts.granules)) for granule in parts.granules]


def _is_of(product: safe.Product, scene: Scene) -> None:
    """BadProduct when the content is of another product than the name says."""
    named = names.product_name(product.name)
    if named is not None and scene.name is not None and named.text != scene.name.text:
        raise BadProduct(f"{product.path} holds the metadata of another product: {scene.name.text}")


def draft(granule: Granule, scene: Scene, parts: Layout) -> Draft:
    """The draft of one tile; only the headers of its rasters are read."""
    collection = declared(scene.collection)
    files = band_files(granule, collection, scene.id)
    added = offsets_to_add(scene.baseline, scene.product)
    found = bands.sources(scene.tile, collection, files, added)
    return Draft(
        item=draft_item(scene),
        bands=bands.draft_bands(found),
        attachments=_attachments(granule, parts),
        scene_key=scene.scene.scene_key,
        rank=scene.scene.rank,
    )


def _attachments(granule: Granule, parts: Layout) -> dict[str, Attachment]:
    """The metadata documents. Quicklooks (TCI, PVI) are left out: thumbnail and tiles are made from the bands."""
    documents = {
        "product_metadata": (parts.product_metadata, "application/xml", "Product metadata"),
        "granule_metadata": (granule.metadata, "application/xml", "Tile metadata"),
        "tileinfo_metadata": (parts.tile_info, "application/json", "Tile information"),
        "productinfo_metadata": (parts.product_info, "application/json", "Product information"),
    }
    return {
        key: Attachment(path=path, media_type=media_type, roles=("metadata",), title=title)
        for key, (path, media_type, title) in documents.items()
        if path is not None
    }
