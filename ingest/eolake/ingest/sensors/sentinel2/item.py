"""The STAC item of a tile, without its assets: made from metadata alone."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pystac
import shapely
from shapely.geometry.base import BaseGeometry

from eolake.catalog.errors import BadProduct
from eolake.catalog.stac.extensions import uri
from eolake.ingest.naming import SceneName, compose
from eolake.ingest.sensors.sentinel2 import footprint, xml
from eolake.ingest.sensors.sentinel2.metadata import AwsMetadata, ProductMetadata, TileMetadata
from eolake.ingest.sensors.sentinel2.names import ProductName, product_name

COLLECTIONS: Mapping[str, str] = {"L1C": "s2_l1c", "L2A": "s2_l2a"}
EXTENSIONS = ("eo", "grid", "processing", "product", "projection", "sat", "sentinel-2", "view")
EARTH_RADIUS, ALTITUDE = 6371.0, 786.0
"""km; the mean ones"""
CONTENT: Mapping[str, str] = {
    "DEGRADED_MSI_DATA_PERCENTAGE": "degraded_msi_data_percentage",
    "NODATA_PIXEL_PERCENTAGE": "nodata_pixel_percentage",
    "SATURATED_DEFECTIVE_PIXEL_PERCENTAGE": "saturated_defective_pixel_percentage",
    "DARK_FEATURES_PERCENTAGE": "dark_features_percentage",
    "CAST_SHADOW_PERCENTAGE": "dark_features_percentage",  # its name since baseline 05.10
    "CLOUD_SHADOW_PERCENTAGE": "cloud_shadow_percentage",
    "VEGETATION_PERCENTAGE": "vegetation_percentage",
    "NOT_VEGETATED_PERCENTAGE": "not_vegetated_percentage",
    "WATER_PERCENTAGE": "water_percentage",
    "UNCLASSIFIED_PERCENTAGE": "unclassified_percentage",
    "MEDIUM_PROBA_CLOUDS_PERCENTAGE": "medium_proba_clouds_percentage",
    "HIGH_PROBA_CLOUDS_PERCENTAGE": "high_proba_clouds_percentage",
    "THIN_CIRRUS_PERCENTAGE": "thin_cirrus_percentage",
    "SNOW_ICE_PERCENTAGE": "snow_ice_percentage",
}
"""Image_Content_QI → s2:…"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """The metadata of one tile, from all its documents."""

    tile: TileMetadata
    product: ProductMetadata | None = None
    """None in AWS layout."""
    aws: AwsMetadata | None = None
    tiles: int = 1
    """In the product."""

    @property
    def name(self) -> ProductName | None:
        """The product's name when the product is this one tile; None for the large products before December 2016."""
        found = product_name(self.product.uri) if self.product else self.aws.product if self.aws else None
        return found if found is not None and found.tile == self.tile.name.tile and found.level == self.level else None

    @property
    def id(self) -> str:
        """The product name; the tile's where several tiles share one."""
        return self.name.text if self.name else self.tile.name.text

    @property
    def level(self) -> str:
        """L1C or L2A"""
        return self.tile.name.level

    @property
    def product_type(self) -> str:
        """S2MSI1C, S2MSI2A; S2MSI2Ap of the pilot products of 2017."""
        return self.product.product_type if self.product else f"S2MSI{self.level[1:]}"

    @property
    def collection(self) -> str:
        """The id of its collection."""
        return COLLECTIONS[self.level]

    @property
    def platform(self) -> str:
        """sentinel-2a"""
        return f"sentinel-{self.tile.name.spacecraft[1:].lower()}"

    @property
    def baseline(self) -> str:
        """02.06; BadProduct when nothing gives it."""
        known = (self.product and self.product.baseline, self.tile.name.baseline, self.name and self.name.baseline)
        found = next((baseline for baseline in known if baseline), None)
        if found is None:
            raise BadProduct(f"{self.tile.path} does not say which processing baseline made it")
        return found

    @property
    def stamp(self) -> str:
        """When it was processed: 20171207T032513. The same from every provider."""
        return self.name.stamp if self.name else self.tile.name.stamp

    @property
    def datatake(self) -> str:
        """Start of the datatake, 20171207T002051; where nothing tells it, the orbit: A012840."""
        if self.name:
            return self.name.datatake
        return f"{self.product.datatake_start:%Y%m%dT%H%M%S}" if self.product else f"A{self.tile.name.absolute_orbit:06}"

    @property
    def scene(self) -> SceneName:
        """Scene key and rank, as discovery finds them in the name; a tile of a larger product has those of a product of its own."""
        major, minor = self.baseline.split(".")
        fields = {
            "unit": self.tile.name.spacecraft[2:],
            "level": self.level,
            "tile": self.tile.name.tile,
            "datatake": self.datatake,
            "major": major,
            "minor": minor,
            "stamp": self.stamp,
        }
        found = compose("sentinel2", fields)
        if found is None:
            raise BadProduct(f"{self.id} has no date")
        return found

    @property
    def time(self) -> datetime:
        """Start of the product as stactools-sentinel2 has it; in AWS layout the sensing time of the tile."""
        if self.product:
            return self.product.start
        return self.aws.sensing if self.aws else self.tile.sensing


def draft_item(scene: Scene) -> pystac.Item:
    """The item; BadProduct when documents contradict each other or the tile holds no data."""
    _agree(scene)
    shape = outline(scene)
    properties = {
        **_common(scene),
        **_view(scene.tile),
        **_orbit(scene),
        **_sentinel2(scene),
        "proj:code": scene.tile.crs,
        "proj:centroid": footprint.centroid(shape),
    }
    return pystac.Item(
        id=scene.id,
        geometry=shapely.geometry.mapping(footprint.on_map(shape, f"the footprint of {scene.id}")),
        bbox=footprint.bbox(shape),
        datetime=scene.time,
        properties={key: value for key, value in properties.items() if value is not None},
        collection=scene.collection,
        stac_extensions=[uri(name) for name in EXTENSIONS],
    )


def _agree(scene: Scene) -> None:
    """BadProduct when product and tile metadata are of two products."""
    if scene.product is None:
        return
    expected = f"S2MSI{scene.level[1:]}"
    if scene.product.product_type not in {expected, f"{expected}p"}:
        raise BadProduct(f"{scene.product.path} is {scene.product.product_type}, but {scene.tile.path} is {scene.level}")
    named = product_name(scene.product.uri)
    if named is not None and (named.tile, named.level) != (scene.tile.name.tile, scene.level):
        other = f"{scene.level} T{scene.tile.name.tile}"
        raise BadProduct(f"{scene.product.path} is of {named.level} T{named.tile}, but {scene.tile.path} of {other}")


def outline(scene: Scene) -> BaseGeometry:
    """Where the tile has data, with continuous longitudes; BadProduct when it has none.

    SAFE: the product's footprint, in products of several tiles the part in this one. AWS layout: the outline that
    Sinergise traced; without tileInfo.json the whole tile."""
    if scene.product:
        where = f"{scene.product.path}: EXT_POS_LIST"
        found = footprint.from_positions(scene.product.footprint, where)
        return footprint.within(found, _frame(scene.tile), where) if scene.name is None else found
    if scene.aws is None:
        return _frame(scene.tile)
    if scene.aws.outline is None:
        raise BadProduct(f"{scene.aws.path} has no data outline (tileDataGeometry): the tile holds no data")
    return footprint.from_projected(scene.aws.outline, scene.tile.crs, f"{scene.aws.path}: tileDataGeometry")


def _frame(tile: TileMetadata) -> BaseGeometry:
    left, top = tile.corner
    rows, columns = tile.sizes[10]
    return footprint.frame((left, top - 10 * rows, left + 10 * columns, top), tile.crs)


def _common(scene: Scene) -> dict[str, Any]:
    cloud = scene.tile.content.get("CLOUDY_PIXEL_PERCENTAGE")
    if cloud is None and scene.product and scene.tiles == 1:
        cloud = scene.product.cloud_cover
    return {
        "platform": scene.platform,
        "constellation": "sentinel-2",
        "instruments": ["msi"],
        "gsd": 10,
        "eo:cloud_cover": cloud,
        "eo:snow_cover": scene.tile.content.get("SNOW_ICE_PERCENTAGE"),
        "grid:code": f"MGRS-{scene.tile.name.tile}",
        "processing:level": scene.level,
        "processing:version": scene.baseline,
        "processing:datetime": _utc(xml.time(scene.stamp, f"{scene.tile.path}: the time in {scene.id}")),
        "product:type": scene.product_type,
        "odc:region_code": scene.tile.name.tile,
        "dea:dataset_maturity": "final",
    }


def _view(tile: TileMetadata) -> dict[str, Any]:
    """Off-nadir at the satellite from the incidence on the ground: sin(off-nadir) = R / (R + h) * sin(incidence)."""
    found: dict[str, Any] = {"view:sun_azimuth": tile.sun_azimuth}
    if tile.sun_zenith is not None:
        found["view:sun_elevation"] = 90 - tile.sun_zenith
    if tile.incidence is not None:
        zenith, azimuth = tile.incidence
        sine = EARTH_RADIUS / (EARTH_RADIUS + ALTITUDE) * math.sin(math.radians(zenith))
        found |= {"view:incidence_angle": zenith, "view:azimuth": azimuth, "view:off_nadir": round(math.degrees(math.asin(sine)), 2)}
    return found


def _orbit(scene: Scene) -> dict[str, Any]:
    product, name = scene.product, scene.name
    return {
        "sat:orbit_state": product.orbit_state if product else None,
        "sat:relative_orbit": product.relative_orbit if product else name.relative_orbit if name else None,
        "sat:absolute_orbit": scene.tile.name.absolute_orbit,
    }


def _sentinel2(scene: Scene) -> dict[str, Any]:
    """The sentinel-2 extension, all of it that the documents tell."""
    product, aws, name = scene.product, scene.aws, scene.name
    content = {f"s2:{CONTENT[key]}": value for key, value in scene.tile.content.items() if key in CONTENT}
    return {
        "s2:tile_id": scene.tile.name.text,
        "s2:product_uri": f"{product.uri}.SAFE" if product else f"{name.text}.SAFE" if name else None,
        "s2:product_type": scene.product_type,
        "s2:processing_baseline": scene.baseline,
        "s2:generation_time": product.generation if product else None,
        "s2:datatake_id": product.datatake_id if product else aws.datatake_id if aws else None,
        "s2:datatake_type": product.datatake_type if product else None,
        "s2:datastrip_id": scene.tile.datastrip_id or (aws.datastrip_id if aws else None),
        "s2:reflectance_conversion_factor": product.reflectance_conversion if product else None,
        **content,
    }


def _utc(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
