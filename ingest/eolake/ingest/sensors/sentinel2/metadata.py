"""What the metadata of a product and of its tiles say, as values.

`MTD_MSIL1C.xml`, `MTD_MSIL2A.xml`: the product. `MTD_TL.xml` (`metadata.xml` in AWS layout): one tile.
`tileInfo.json` and `productInfo.json`: what Sinergise adds in AWS layout.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from eolake.catalog import safe
from eolake.catalog.errors import BadProduct
from eolake.ingest.sensors.sentinel2 import xml
from eolake.ingest.sensors.sentinel2.names import ProductName, TileName, product_name, tile_name

BAND_CODES = ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B10", "B11", "B12")
"""In the order of ESA's band ids 0–12."""
OFFSETS = ("Radiometric_Offset_List/RADIO_ADD_OFFSET", "BOA_ADD_OFFSET_VALUES_LIST/BOA_ADD_OFFSET")
QUANTIFICATIONS = ("QUANTIFICATION_VALUE", "QUANTIFICATION_VALUES_LIST/BOA_QUANTIFICATION_VALUE")
UTM = re.compile(r"EPSG:32[67](?:0[1-9]|[1-5]\d|60)")
RFC3339 = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z"
FOOTPRINT = "Product_Footprint/Product_Footprint/Global_Footprint/EXT_POS_LIST"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductMetadata:
    """`MTD_MSIL1C.xml` or `MTD_MSIL2A.xml`."""

    path: Path
    uri: str
    """PRODUCT_URI without .SAFE."""
    start: datetime
    product_type: str
    """S2MSI1C, S2MSI2A"""
    baseline: str
    """02.06"""
    generation: str
    """GENERATION_TIME as it stands there."""
    spacecraft: str
    """Sentinel-2A"""
    datatake_id: str
    datatake_type: str | None
    datatake_start: datetime
    relative_orbit: int
    orbit_state: str
    """descending"""
    reflectance_conversion: float | None
    cloud_cover: float | None
    """percent"""
    footprint: str
    """EXT_POS_LIST: latitudes and longitudes, in old products with heights."""
    offsets: Mapping[str, int] | None
    """Offset of each band code; None before baseline 04.00."""
    quantifications: Mapping[str, float]
    """Divisors: of `reflectance`, and at Level 2A of `aot` and `wvp`."""
    special_values: Mapping[str, int]
    """NODATA, SATURATED"""


@dataclass(frozen=True, slots=True, kw_only=True)
class TileMetadata:
    """`MTD_TL.xml`."""

    path: Path
    name: TileName
    datastrip_id: str | None
    sensing: datetime
    crs: str
    """EPSG:32755"""
    sizes: Mapping[int, tuple[int, int]]
    """(rows, columns) of the grids of 10, 20 and 60 m."""
    corner: tuple[float, float]
    """x and y of the upper left corner, the same on every grid."""
    sun_zenith: float | None
    sun_azimuth: float | None
    """degrees"""
    incidence: tuple[float, float] | None
    """Mean zenith and azimuth of the view, over all bands, in degrees."""
    content: Mapping[str, float]
    """Image_Content_QI: percentages by element name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AwsMetadata:
    """`tileInfo.json` and, where it lies beside, `productInfo.json`."""

    path: Path
    sensing: datetime
    product: ProductName | None
    """None when the product holds several tiles, or nothing names it."""
    datatake_id: str | None
    datastrip_id: str | None
    outline: dict[str, Any] | None
    """GeoJSON geometry in the CRS of the tile; None when the tile holds no data."""


def read_product(path: Path) -> ProductMetadata:
    """Raises BadProduct with file and element when something that is needed is missing."""
    root = xml.read(path)
    info, image = root.node("General_Info/Product_Info"), root.node("General_Info/Product_Image_Characteristics")
    datatake = info.node("Datatake")
    return ProductMetadata(
        path=path,
        uri=info.text("PRODUCT_URI").removesuffix(".SAFE"),
        start=info.time("PRODUCT_START_TIME"),
        product_type=info.text("PRODUCT_TYPE"),
        baseline=info.matching("PROCESSING_BASELINE", r"\d\d\.\d\d"),
        generation=_generation(info),
        spacecraft=datatake.text("SPACECRAFT_NAME"),
        datatake_id=datatake.attribute("datatakeIdentifier"),
        datatake_type=datatake.find("DATATAKE_TYPE"),
        datatake_start=datatake.time("DATATAKE_SENSING_START"),
        relative_orbit=int(datatake.matching("SENSING_ORBIT_NUMBER", r"\d{1,3}")),
        orbit_state=datatake.matching("SENSING_ORBIT_DIRECTION", "(?i:(a|de)scending)").lower(),
        reflectance_conversion=image.maybe_number("Reflectance_Conversion/U"),
        cloud_cover=root.maybe_number("Quality_Indicators_Info/Cloud_Coverage_Assessment", 0, 100),
        footprint=root.node("Geometric_Info").text(FOOTPRINT),
        offsets=_offsets(image),
        quantifications=_quantifications(image),
        special_values=_special_values(image),
    )


def _generation(info: xml.Node) -> str:
    info.time("GENERATION_TIME")
    return info.matching("GENERATION_TIME", RFC3339)


def _offsets(image: xml.Node) -> dict[str, int] | None:
    entries = [entry for steps in OFFSETS for entry in image.all(steps)]
    found: dict[str, int] = {}
    for entry in entries:
        where = f"{image.path}: {entry.name}"
        band = xml.integer(entry.attribute("band_id"), f"{where} band_id")
        if not 0 <= band < len(BAND_CODES):
            raise BadProduct(f"{where} is given for a band {band}, which Sentinel-2 does not have")
        found[BAND_CODES[band]] = xml.integer((entry.element.text or "").strip(), where)
    return found or None


def _quantifications(image: xml.Node) -> dict[str, float]:
    steps = next((steps for steps in QUANTIFICATIONS if image.first(steps)), QUANTIFICATIONS[0])
    found = {"reflectance": image.number(steps)}
    for name in ("aot", "wvp"):
        value = image.maybe_number(f"QUANTIFICATION_VALUES_LIST/{name.upper()}_QUANTIFICATION_VALUE")
        if value is not None:
            found[name] = value
    return found


def _special_values(image: xml.Node) -> dict[str, int]:
    return {entry.text("SPECIAL_VALUE_TEXT"): int(entry.number("SPECIAL_VALUE_INDEX")) for entry in image.all("Special_Values")}


def read_tile(path: Path) -> TileMetadata:
    """Raises BadProduct with file and element when something that is needed is missing."""
    root = xml.read(path)
    general, geometric = root.node("General_Info"), root.node("Geometric_Info")
    geocoding, angles = geometric.node("Tile_Geocoding"), geometric.node("Tile_Angles")
    name = tile_name(general.text("TILE_ID"))
    if name is None:
        raise BadProduct(f"{path}: TILE_ID {general.text('TILE_ID')[:80]!r} has a form that is not known")
    return TileMetadata(
        path=path,
        name=name,
        datastrip_id=general.find("DATASTRIP_ID"),
        sensing=general.time("SENSING_TIME"),
        crs=_crs(geocoding),
        sizes=_sizes(geocoding),
        corner=_corner(geocoding),
        sun_zenith=angles.maybe_number("Mean_Sun_Angle/ZENITH_ANGLE", 0, 180),
        sun_azimuth=angles.azimuth("Mean_Sun_Angle/AZIMUTH_ANGLE"),
        incidence=_incidence(angles),
        content=_content(root),
    )


def _crs(geocoding: xml.Node) -> str:
    code = geocoding.text("HORIZONTAL_CS_CODE").upper()
    if UTM.fullmatch(code) is None:
        raise BadProduct(f"{geocoding.path}: HORIZONTAL_CS_CODE {code[:40]!r} is no zone of UTM")
    return code


def _sizes(geocoding: xml.Node) -> dict[int, tuple[int, int]]:
    where = f"{geocoding.path}: Size resolution"
    found = geocoding.all("Size")
    sizes = {xml.integer(size.attribute("resolution"), where): (int(size.number("NROWS")), int(size.number("NCOLS"))) for size in found}
    if not {10, 20, 60} <= set(sizes) or any(min(shape) < 1 for shape in sizes.values()):
        raise BadProduct(f"{geocoding.path}: Tile_Geocoding does not give the sizes of the grids of 10, 20 and 60 m")
    return sizes


def _corner(geocoding: xml.Node) -> tuple[float, float]:
    corners = {(position.number("ULX"), position.number("ULY")) for position in geocoding.all("Geoposition")}
    if len(corners) != 1:
        raise BadProduct(f"{geocoding.path}: Tile_Geocoding gives {len(corners)} upper left corners instead of one")
    return corners.pop()


def _incidence(angles: xml.Node) -> tuple[float, float] | None:
    """Bands without a detector in the tile say NaN; they are left out. Azimuths are averaged across north."""
    views = angles.all("Mean_Viewing_Incidence_Angle_List/Mean_Viewing_Incidence_Angle")
    pairs = [(view.maybe_number("ZENITH_ANGLE", 0, 90), view.azimuth("AZIMUTH_ANGLE")) for view in views]
    known = [(zenith, azimuth) for zenith, azimuth in pairs if zenith is not None and azimuth is not None]
    if not known:
        return None
    first = known[0][1]
    turned = [azimuth + 360 * round((first - azimuth) / 360) for _, azimuth in known]
    return sum(zenith for zenith, _ in known) / len(known), sum(turned) / len(turned) % 360


def _content(root: xml.Node) -> dict[str, float]:
    quality = root.first("Quality_Indicators_Info/Image_Content_QI")
    names = [child.tag.rpartition("}")[2] for child in quality.element] if quality else []
    values = {name: quality.maybe_number(name, 0, 100) for name in names if quality and name.endswith("_PERCENTAGE")}
    return {name: value for name, value in values.items() if value is not None}


def read_aws(tile_info: Path, product_info: Path | None) -> AwsMetadata:
    """Raises BadProduct when the documents are not what Sinergise writes."""
    tile = _object(tile_info)
    product = _object(product_info) if product_info else {}
    named = product.get("name") or tile.get("productName") or str(tile.get("productPath", "")).rpartition("/")[2]
    outline, datastrip = tile.get("tileDataGeometry"), tile.get("datastrip")
    filled = isinstance(outline, dict) and isinstance(outline.get("coordinates"), list) and any(outline["coordinates"])
    return AwsMetadata(
        path=tile_info,
        sensing=xml.time(str(tile.get("timestamp")), f"{tile_info}: timestamp"),
        product=product_name(str(named)),
        datatake_id=_text(product.get("datatakeIdentifier")),
        datastrip_id=_text(datastrip.get("id")) if isinstance(datastrip, dict) else None,
        outline=outline if filled else None,
    )


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _object(path: Path) -> dict[str, Any]:
    document = safe.read_json(path)
    if not isinstance(document, dict):
        raise BadProduct(f"{path} is not a JSON object")
    return document
