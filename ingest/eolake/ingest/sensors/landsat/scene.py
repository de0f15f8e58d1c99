"""What a metadata file says about its scene, in one form for both of its dialects."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from eolake.catalog.errors import BadProduct
from eolake.ingest.sensors.landsat.mtl import Mtl

NAME = re.compile(
    r"L[COTEM]0\d_L\d\w\w_\d{6}_\d{8}_\d{8}_0\d_(T1|T2|RT|A1|A2)"  # Collection 1 and 2
    r"|L[COTEM]\d\d{6}\d{7}[A-Z]{3}\d\d",  # before
    re.IGNORECASE | re.ASCII,
)
INSTRUMENTS: Mapping[str, tuple[str, ...]] = {
    "OLI_TIRS": ("oli", "tirs"),
    "OLI": ("oli",),
    "TIRS": ("tirs",),
    "ETM": ("etm",),
    "TM": ("tm",),
    "MSS": ("mss",),
}
APART: Mapping[tuple[str, ...], str] = {("oli",): "_oli", ("mss",): "_mss"}
"""Scenes of instruments that lack bands of the others on their satellite: collections of their own."""
CORNERS = ("UL", "UR", "LR", "LL")
"""Clockwise: all four, each once."""

_PLACES_1: Mapping[str, str] = {
    "product_id": "METADATA_FILE_INFO/LANDSAT_PRODUCT_ID",
    "scene_id": "METADATA_FILE_INFO/LANDSAT_SCENE_ID",
    "collection": "METADATA_FILE_INFO/COLLECTION_NUMBER",
    "generated": "METADATA_FILE_INFO/FILE_DATE",
    "software": "METADATA_FILE_INFO/PROCESSING_SOFTWARE_VERSION",
    "correction": "PRODUCT_METADATA/DATA_TYPE",
    "category": "PRODUCT_METADATA/COLLECTION_CATEGORY",
    "files": "PRODUCT_METADATA/",
    "image": "PRODUCT_METADATA/",
    "corners": "PRODUCT_METADATA/",
    "grid": "PROJECTION_PARAMETERS/",
    "rescaling": "RADIOMETRIC_RESCALING/",
    "thermal": "TIRS_THERMAL_CONSTANTS/ THERMAL_CONSTANTS/",
}
"""Where the dialect of Collection 1 (and before) keeps what: group/key."""

_PLACES_2: Mapping[str, str] = {
    "product_id": "PRODUCT_CONTENTS/LANDSAT_PRODUCT_ID",
    "scene_id": "LEVEL1_PROCESSING_RECORD/LANDSAT_SCENE_ID",
    "collection": "PRODUCT_CONTENTS/COLLECTION_NUMBER",
    "generated": "LEVEL2_PROCESSING_RECORD/DATE_PRODUCT_GENERATED LEVEL1_PROCESSING_RECORD/DATE_PRODUCT_GENERATED",
    "software": "LEVEL2_PROCESSING_RECORD/PROCESSING_SOFTWARE_VERSION LEVEL1_PROCESSING_RECORD/PROCESSING_SOFTWARE_VERSION",
    "correction": "PRODUCT_CONTENTS/PROCESSING_LEVEL",
    "category": "PRODUCT_CONTENTS/COLLECTION_CATEGORY",
    "files": "PRODUCT_CONTENTS/",
    "image": "IMAGE_ATTRIBUTES/",
    "corners": "PROJECTION_ATTRIBUTES/",
    "grid": "PROJECTION_ATTRIBUTES/",
    "rescaling": "LEVEL1_RADIOMETRIC_RESCALING/",
    "thermal": "LEVEL1_THERMAL_CONSTANTS/",
}
"""Where the dialect of Collection 2 keeps what; of several places the first that has it counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """One product's facts."""

    product_id: str
    """The scene id where there is no product id (before Collection 1)."""
    scene_id: str
    collection: int
    """0 (before the collections), 1, 2"""
    category: str | None
    """T1, T2, RT, …; None before the collections"""
    correction: str
    """L1TP, L1GT, L1GS, L2SP, L2SR; L1T, L1G, … before the collections"""
    satellite: int
    instruments: tuple[str, ...]
    wrs_type: str
    wrs_path: str
    wrs_row: str
    """three digits"""
    time: datetime
    """The scene's centre, aware, to the microsecond."""
    cloud_cover: float | None
    """percent; None when unknown"""
    cloud_cover_land: float | None
    """percent; -1 where unknown (the landsat extension's word for it); None when not given"""
    sun_azimuth: float
    """degrees clockwise from north, 0–360"""
    sun_elevation: float
    off_nadir: float
    """degrees, 0–90"""
    generated: datetime
    software: Mapping[str, str]
    """name → version"""
    crs: str
    """`EPSG:…`; rasters rule where they differ"""
    cell: float
    """m: of the reflective bands as USGS made them"""
    corners: tuple[tuple[float, float], ...]
    """(longitude, latitude) of the centres of the corner pixels: UL, UR, LR, LL"""
    files: tuple[str, ...]
    """Names of the rasters that belong to the product."""
    rescaling: Mapping[str, str]
    """Of Level 1: RADIANCE_MULT_BAND_4, …"""
    thermal: Mapping[str, str]
    """Of Level 1: K1_CONSTANT_BAND_10, …"""

    @property
    def level(self) -> str:
        """l1, l2 (with surface temperature) or l2sr (without)."""
        return "l1" if self.correction.startswith("L1") else {"L2SP": "l2", "L2SR": "l2sr"}[self.correction]

    @property
    def collection_id(self) -> str:
        """`ls8_c2_l2`, `ls5_c2_l1_mss`"""
        era = "pre" if self.collection == 0 else f"c{self.collection}"
        return f"ls{self.satellite}_{era}_{self.level}{APART.get(self.instruments, '') if self.level == 'l1' else ''}"

    @property
    def region(self) -> str:
        """Path and row: `090084`."""
        return self.wrs_path + self.wrs_row


def scene(mtl: Mtl) -> Scene:
    """The facts of a metadata file; BadProduct names what is missing or impossible."""
    look = _Look(mtl)
    scene_id = look.get("scene_id")
    correction = look.get("correction")
    if not re.fullmatch(r"L1\w{1,2}|L2S[PR]", correction):
        raise BadProduct(f"{mtl.source}: products of level {correction} are not known; L1TP, L1GT, L1GS, L2SP and L2SR are")
    return Scene(
        product_id=_product_id(mtl, look.find("product_id") or scene_id),
        scene_id=scene_id,
        collection=_collection(mtl, look.find("collection")),
        category=look.find("category"),
        correction=correction,
        satellite=_satellite(mtl, look.get("image", "SPACECRAFT_ID")),
        instruments=_instruments(mtl, look.get("image", "SENSOR_ID")),
        wrs_type=look.find("image", "WRS_TYPE") or "2",
        wrs_path=_three_digits(mtl, look.get("image", "WRS_PATH")),
        wrs_row=_three_digits(mtl, look.get("image", "WRS_ROW")),
        time=_time(mtl, f"{look.get('image', 'DATE_ACQUIRED')}T{look.get('image', 'SCENE_CENTER_TIME')}"),
        cloud_cover=_known(mtl.find_number("IMAGE_ATTRIBUTES", "CLOUD_COVER")),
        cloud_cover_land=mtl.find_number("IMAGE_ATTRIBUTES", "CLOUD_COVER_LAND"),
        sun_azimuth=mtl.number("IMAGE_ATTRIBUTES", "SUN_AZIMUTH") % 360,
        sun_elevation=mtl.number("IMAGE_ATTRIBUTES", "SUN_ELEVATION"),
        off_nadir=_off_nadir(mtl, look.find("image", "NADIR_OFFNADIR")),
        generated=_time(mtl, look.get("generated")),
        software=_software(mtl, look.get("software")),
        crs=_crs(mtl, look),
        cell=float(look.find("grid", "GRID_CELL_SIZE_REFLECTIVE") or 30),
        corners=tuple(look.corner(name) for name in CORNERS),
        files=tuple(value for value in look.group("files").values() if value.upper().endswith(".TIF")),
        rescaling=look.group("rescaling"),
        thermal=look.group("thermal"),
    )


@dataclass(frozen=True, slots=True)
class _Look:
    """Finds facts by our names in either dialect."""

    mtl: Mtl

    def _places(self, name: str) -> list[tuple[str, str]]:
        places = (_PLACES_2 if self.mtl.collection2 else _PLACES_1)[name]
        return [(group, key) for group, _, key in (place.partition("/") for place in places.split())]

    def find(self, name: str, key: str = "") -> str | None:
        found = (self.mtl.find(group, own or key) for group, own in self._places(name))
        return next((value for value in found if value is not None), None)

    def get(self, name: str, key: str = "") -> str:
        value = self.find(name, key)
        group, own = self._places(name)[-1]
        return self.mtl.get(group, own or key) if value is None else value

    def number(self, name: str, key: str) -> float:
        return self.mtl.number(self._places(name)[0][0], key)

    def corner(self, name: str) -> tuple[float, float]:
        longitude, latitude = (self.number("corners", f"CORNER_{name}_{axis}_PRODUCT") for axis in ("LON", "LAT"))
        return longitude, latitude

    def group(self, name: str) -> dict[str, str]:
        return {key: value for group, _ in self._places(name) for key, value in self.mtl.group(group).items()}


def _product_id(mtl: Mtl, name: str) -> str:
    """It becomes the item's id and part of every object's key: nothing but a product's name may."""
    if NAME.fullmatch(name) is None:
        raise BadProduct(f"{mtl.source}: {name[:80]!r} is no name of a Landsat product")
    return name


def _three_digits(mtl: Mtl, number: str) -> str:
    if not re.fullmatch(r"\d{1,3}", number, re.ASCII):
        raise BadProduct(f"{mtl.source}: {number[:20]!r} is no WRS path or row")
    return number.zfill(3)


def _collection(mtl: Mtl, number: str | None) -> int:
    if number is None:
        return 0
    if number.lstrip("0") not in {"1", "2"}:
        raise BadProduct(f"{mtl.source}: Landsat Collection {number} is not known; 1 and 2 are")
    return int(number)


def _satellite(mtl: Mtl, spacecraft: str) -> int:
    found = re.fullmatch(r"LANDSAT_?(\d)", spacecraft, re.IGNORECASE)
    if found is None:
        raise BadProduct(f"{mtl.source}: {spacecraft!r} is no Landsat satellite")
    return int(found[1])


def _instruments(mtl: Mtl, sensor: str) -> tuple[str, ...]:
    if sensor not in INSTRUMENTS:
        raise BadProduct(f"{mtl.source}: scenes of the sensor {sensor} are not supported; those of {', '.join(INSTRUMENTS)} are")
    return INSTRUMENTS[sensor]


def _time(mtl: Mtl, text: str) -> datetime:
    """Digits beyond the microsecond are cut off, as everybody does."""
    try:
        value = datetime.fromisoformat(text)
    except ValueError:
        raise BadProduct(f"{mtl.source}: {text!r} is no date and time") from None
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def _known(cover: float | None) -> float | None:
    """-1 is USGS's word for unknown."""
    return None if cover is None or cover < 0 else cover


def _off_nadir(mtl: Mtl, flag: str | None) -> float:
    """The roll where the satellite looked aside (Landsat 8 and 9 only); elsewhere the roll is the noise of the attitude."""
    return abs(mtl.number("IMAGE_ATTRIBUTES", "ROLL_ANGLE")) if flag == "OFFNADIR" else 0.0


def _software(mtl: Mtl, processor: str) -> dict[str, str]:
    """`LPGS_15.3.1c` → {LPGS: 15.3.1c}; with the algorithms of Level 2."""
    algorithms = ("ALGORITHM_SOURCE_SURFACE_REFLECTANCE", "ALGORITHM_SOURCE_SURFACE_TEMPERATURE")
    named = [processor, *(mtl.find("LEVEL2_PROCESSING_RECORD", key) for key in algorithms)]
    return {name: version for name, _, version in (entry.partition("_") for entry in named if entry)}


def _crs(mtl: Mtl, look: _Look) -> str:
    """UTM zones are always the northern ones, also south of the equator; Antarctica has a polar stereographic grid."""
    zone = look.find("grid", "UTM_ZONE")
    if zone is not None and re.fullmatch(r"-?\d{1,2}", zone) and 1 <= abs(int(zone)) <= 60:
        return f"EPSG:{32600 + abs(int(zone))}"
    latitude = look.find("grid", "TRUE_SCALE_LAT") or ""
    if look.find("grid", "MAP_PROJECTION") == "PS" and latitude.lstrip("-").startswith("71"):
        return "EPSG:3031" if latitude.startswith("-") else "EPSG:3995"
    raise BadProduct(f"{mtl.source}: neither a UTM zone nor a known polar stereographic grid")
