"""The STAC item of a Landsat scene, without its assets."""

from __future__ import annotations

from typing import Any

import pystac
import shapely
from shapely.geometry.base import BaseGeometry

from eolake.catalog.stac.extensions import uri
from eolake.ingest.sensors.landsat.footprint import bbox
from eolake.ingest.sensors.landsat.scene import TIERS, Scene


def draft_item(scene: Scene, geometry: BaseGeometry, *, crs: str) -> pystac.Item:
    """The item of a scene; `geometry`: its footprint (EPSG:4326), `crs`: of its rasters (`EPSG:…` or WKT2)."""
    properties = {**_common(scene), **_view(scene), **_landsat(scene)}
    projection = {"proj:code": crs} if crs.startswith("EPSG:") else {"proj:code": None, "proj:wkt2": crs}
    extensions = ["eo", "grid", "processing", "product", "projection", "view", *(["landsat"] if scene.collection else [])]
    return pystac.Item(
        id=scene.product_id,
        geometry=shapely.geometry.mapping(geometry),
        bbox=bbox(geometry),
        datetime=scene.time,
        properties={**properties, **projection},
        collection=scene.collection_id,
        stac_extensions=[uri(name) for name in sorted(extensions)],
    )


def scene_key(scene: Scene) -> str:
    """Of all processings of one sensing in one collection and level: `landsat-8/c2/l1/090084/2016-01-21`."""
    return f"landsat-{scene.satellite}/c{scene.collection}/{scene.level[:2]}/{scene.region}/{scene.time:%Y-%m-%d}"


def rank(scene: Scene) -> tuple[str, int]:
    """The later processing is the better one, at one time the better tier (RT < T2 < T1)."""
    tier = TIERS.index(scene.category) if scene.category in TIERS else -1
    return (f"{scene.generated:%Y%m%dT%H%M%S}", tier)


def _common(scene: Scene) -> dict[str, Any]:
    cloud = {} if scene.cloud_cover is None else {"eo:cloud_cover": scene.cloud_cover}
    return {
        "platform": f"landsat-{scene.satellite}",
        "instruments": list(scene.instruments),
        "constellation": "landsat",
        "gsd": scene.cell,
        **cloud,
        "grid:code": f"WRS{scene.wrs_type}-{scene.region}",
        "processing:level": scene.level[:2].upper(),
        "processing:datetime": _utc(scene.generated.isoformat()),
        "processing:software": dict(scene.software),
        "product:type": scene.correction,
        "odc:region_code": scene.region,
        "dea:dataset_maturity": "nrt" if scene.category == "RT" else "final",
    }


def _view(scene: Scene) -> dict[str, Any]:
    return {"view:sun_azimuth": scene.sun_azimuth, "view:sun_elevation": scene.sun_elevation, "view:off_nadir": scene.off_nadir}


def _landsat(scene: Scene) -> dict[str, Any]:
    """The landsat extension, all of it: it knows no products before Collection 1."""
    if not scene.collection:
        return {}
    return {
        "landsat:scene_id": scene.scene_id,
        "landsat:collection_category": scene.category,
        "landsat:collection_number": f"{scene.collection:02}",
        "landsat:wrs_type": scene.wrs_type,
        "landsat:wrs_path": scene.wrs_path,
        "landsat:wrs_row": scene.wrs_row,
        "landsat:cloud_cover_land": -1.0 if scene.cloud_cover_land is None else scene.cloud_cover_land,
        "landsat:correction": scene.correction,
        "landsat:product_generated": _utc(scene.generated.isoformat()),
    }


def _utc(moment: str) -> str:
    return moment.replace("+00:00", "Z")
