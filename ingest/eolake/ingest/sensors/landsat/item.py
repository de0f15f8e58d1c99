"""The STAC item of a Landsat scene, without its assets."""

from __future__ import annotations

from typing import Any

import pystac
import shapely
from shapely.geometry.base import BaseGeometry

from eolake.catalog.errors import BadProduct
from eolake.catalog.stac.extensions import uri
from eolake.ingest.naming import SceneName, compose, scene_of
from eolake.ingest.sensors.landsat.footprint import bbox
from eolake.ingest.sensors.landsat.scene import Scene


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


def scene_name(scene: Scene) -> SceneName:
    """Scene key and rank, as discovery finds them in the name: `landsat-8/c2/l1/090084/2016-01-21`."""
    if scene.collection == 0:
        found = scene_of(scene.product_id)
        if found is None:
            raise BadProduct(f"{scene.product_id} is no scene id of Landsat")
        return found
    fields = {
        "satellite": str(scene.satellite),
        "collection": str(scene.collection),
        "level": scene.level[:2],
        "tile": scene.region,
        "acquired": f"{scene.time:%Y%m%d}",
        "processed": f"{scene.generated:%Y%m%d}",
        "tier": scene.category or "",
    }
    found = compose("landsat", fields, start=scene.time)
    if found is None:
        raise BadProduct(f"{scene.product_id} has no date")
    return found


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
