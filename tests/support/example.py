"""One declared collection that holds everything a declaration can hold, and one item of it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pystac
import shapely
from affine import Affine
from odc.geo import Geometry
from odc.geo.geom import box

from eolake.catalog.cog import CogFacts, Statistics
from eolake.catalog.declaration import Collection, parse_collection
from eolake.catalog.stac.items import StoredAsset

EXAMPLE = Path(__file__).with_name("example.yaml")
FOLDER = "file:///lake/objects/example_l2/2020/01/08/S2A_T55HFA_20200108/r7"
CREATED = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)
UPDATED = datetime(2026, 4, 1, tzinfo=UTC)
CHECKSUM = "1220" + "ab" * 32


STATISTICS = Statistics(minimum=1.0, maximum=9000.0, mean=1234.5, stddev=12.0, count=120_000_000, valid_percent=98.5)


def facts(gsd: float, **changes: Any) -> CogFacts:
    """A band of a tile of 109.8 km."""
    pixels = int(109_800 / gsd)
    known: dict[str, Any] = {
        "shape": (pixels, pixels),
        "transform": Affine(gsd, 0, 600_000, 0, -gsd, 6_300_040),
        "crs": "EPSG:32755",
        "dtype": "uint16",
        "nodata": 0.0,
        "size": 1000,
        "checksum": CHECKSUM,
        "pixel_digest": "c0ffee",
        "statistics": STATISTICS,
        "gdal_version": "3.12.2",
        "header_size": 4096,
    }
    return CogFacts(**known | changes)


def example_collection() -> Collection:
    """The declaration in example.yaml."""
    return parse_collection(EXAMPLE.read_text("utf-8"), source=EXAMPLE.name)


def example_draft() -> pystac.Item:
    """Footprint: the tile's eastern half."""
    footprint: Geometry = box(654_900, 6_190_240, 709_800, 6_300_040, "EPSG:32755").to_crs("EPSG:4326")
    footprint = Geometry(shapely.orient_polygons(footprint.geom), footprint.crs)
    bounds = footprint.boundingbox
    return pystac.Item(
        id="S2A_T55HFA_20200108",
        collection="example_l2",
        geometry=footprint.json,
        bbox=[bounds.left, bounds.bottom, bounds.right, bounds.top],
        datetime=datetime(2020, 1, 8, 0, 2, 41, tzinfo=UTC),
        properties={
            "platform": "sentinel-2a",
            "instruments": ["msi"],
            "start_datetime": "2020-01-08T00:02:35Z",
            "end_datetime": "2020-01-08T00:02:47Z",
            "eo:cloud_cover": 12.5,
            "view:sun_azimuth": 75.0,
            "view:sun_elevation": 61.0,
            "view:off_nadir": 0,
            "sat:orbit_state": "descending",
            "sat:relative_orbit": 30,
            "proj:code": "EPSG:32755",
            "grid:code": "MGRS-55HFA",
            "product:type": "S2MSI2A",
            "processing:software": {"IPF": "05.11"},
            "odc:region_code": "55HFA",
            "s2:processing_baseline": "05.11",
        },
        stac_extensions=["https://stac-extensions.github.io/view/v1.0.0/schema.json"],
    )


def example_assets(collection: Collection) -> dict[str, StoredAsset]:
    """Every declared band, a thumbnail and a metadata file."""
    bands = {
        band.name: StoredAsset(
            href=f"./{band.name}.tif",
            media_type="image/tiff",
            roles=("data",),
            title="",
            size=1000,
            checksum=CHECKSUM,
            facts=facts(band.gsd or 10, dtype=band.dtype, nodata=band.nodata),
        )
        for band in collection.bands
    }
    return {
        "thumbnail": stored_file("thumbnail.png", "image/png", "thumbnail"),
        "mtd": stored_file("mtd.xml", "application/xml", "metadata"),
        **bands,
    }


def stored_file(name: str, media_type: str, role: str) -> StoredAsset:
    """A small file beside the bands."""
    return StoredAsset(href=f"./{name}", media_type=media_type, roles=(role,), title=name, size=5, checksum=CHECKSUM)
