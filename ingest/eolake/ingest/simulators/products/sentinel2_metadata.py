"""What the metadata of a Sentinel-2 product says: the values of the XML templates in `data/s2_*`."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from importlib.resources import files
from string import Template

import numpy as np

from eolake.ingest.simulators.products.grids import Grid
from eolake.ingest.simulators.products.sentinel2 import CRS, DETECTOR, TILE, Scene
from eolake.ingest.simulators.products.spectra import Band, bands
from eolake.ingest.simulators.products.sun import sun_position

_STEP = 5000
"""m between the nodes of the angle grids"""
_CLASSES = (
    "NODATA",
    "SATURATED_DEFECTIVE",
    "DARK_FEATURE_SHADOW",
    "CLOUD_SHADOW",
    "VEGETATION",
    "NOT_VEGETATED",
    "WATER",
    "UNCLASSIFIED",
    "CLOUD_MEDIUM_PROBA",
    "CLOUD_HIGH_PROBA",
    "THIN_CIRRUS",
    "SNOW_ICE",
)
_CONTENT = {
    "NODATA_PIXEL": (0,),
    "SATURATED_DEFECTIVE_PIXEL": (1,),
    "DARK_FEATURES": (2,),
    "CLOUD_SHADOW": (3,),
    "VEGETATION": (4,),
    "NOT_VEGETATED": (5,),
    "WATER": (6,),
    "UNCLASSIFIED": (7,),
    "MEDIUM_PROBA_CLOUDS": (8,),
    "HIGH_PROBA_CLOUDS": (9,),
    "THIN_CIRRUS": (10,),
    "SNOW_ICE": (11,),
}
"""Fields `…_PERCENTAGE` of the image content and the classes they count."""


def fill(template: str, values: Mapping[str, str]) -> str:
    """The text of `data/<template>` with its ${names} filled; KeyError when one is missing."""
    return Template((files(__package__) / "data" / template).read_text("utf-8")).substitute(values)


def stamp(when: datetime) -> str:
    """As ESA writes times: milliseconds and Z."""
    return f"{when:%Y-%m-%dT%H:%M:%S}.{when.microsecond // 1000:03d}Z"


def metadata_values(scene: Scene, image_files: Iterable[str], masks: Iterable[tuple[str, str, str]], preview: str) -> dict[str, str]:
    """Values for every template. `image_files`: paths without .jp2; `masks`: (bandId or "", type, path); `preview`: path."""
    sun = scene.landscape.sun(scene.when)
    content = _content(scene)
    return {
        **_identity(scene),
        "image_files": _lines(12, (f"<IMAGE_FILE>{path}</IMAGE_FILE>" for path in image_files)),
        "quantification": _quantification(scene),
        "conversion": f"{1 / sun.distance**2:.14f}",
        **_instrument(),
        "classes": _scene_classification() if scene.level == "L2A" else "      <REFERENCE_BAND>0</REFERENCE_BAND>",
        "footprint": footprint(scene),
        "cloudy": content["CLOUDY_PIXEL_PERCENTAGE"],
        "content_fields": _content_fields(content, 6) if scene.level == "L2A" else "",
        "image_content": f"\n    <Image_Content_QI>{_content_fields(content, 6)}\n    </Image_Content_QI>" if scene.level == "L2A" else "",
        "geocoding": _lines(6, [*_sizes(scene), *_positions(scene)]),
        "sun_zenith": f"{sun.zenith:.13f}",
        "sun_azimuth": f"{sun.azimuth:.12f}",
        **_angles(scene),
        "masks": _lines(6, (_mask(*mask) for mask in masks)),
        "preview": preview,
    }


def _identity(scene: Scene) -> dict[str, str]:
    number, generated = scene.level[1:], f"{scene.generated:%Y%m%dT%H%M%S}"
    common = f"{scene.centre}_{generated}"
    doi = {"2A": "S2_-znk9xsj", "1C": "S2_-742ikth"}[number]
    level1 = f"{scene.unit}_OPER_MSI_L1C_TL_{common}_A{scene.orbit:06d}_T{TILE}_N{scene.baseline}"
    return {
        "number": number,
        "lower": number.lower(),
        "name": scene.name,
        "unit": scene.unit[1:],
        "nssdc": {"S2A": "2015-000A", "S2B": "2017-013A"}[scene.unit],
        "spacecraft": f"Sentinel-{scene.unit[1:]}",
        "centre": scene.centre,
        "crs": CRS,
        "baseline": scene.baseline,
        "doi": f"\n      <PRODUCT_DOI>https://doi.org/10.5270/{doi}</PRODUCT_DOI>" if scene.baseline >= "05.00" else "",
        "start": stamp(scene.when),
        "sensing": stamp(scene.sensing),
        "strip_start": stamp(scene.sensing),
        "generated": stamp(scene.generated),
        "generated_day": f"{scene.generated:%Y-%m-%d}",
        "orbit": f"{scene.orbit:06d}",
        "relative_orbit": str(scene.relative_orbit),
        "datatake": f"G{scene.unit}_{scene.when:%Y%m%dT%H%M%S}_{scene.orbit:06d}_N{scene.baseline}",
        "datastrip_id": f"{scene.unit}_OPER_MSI_{scene.level}_DS_{common}_S{scene.sensing:%Y%m%dT%H%M%S}_N{scene.baseline}",
        "tile_id": level1.replace("_L1C_", f"_{scene.level}_"),
        "l1c_tile": f'\n    <L1C_TILE_ID metadataLevel="Brief">{level1}</L1C_TILE_ID>' if scene.level == "L2A" else "",
    }


def footprint(scene: Scene) -> str:
    """Latitude and longitude of the corners, counter-clockwise and closed."""
    corners = scene.grid(10).geographic(scene.footprint)
    ring = (corners[0], *reversed(corners[1:]), corners[0])
    return " ".join(f"{lat:.12f} {lon:.12f}" for lon, lat in ring)


def _quantification(scene: Scene) -> str:
    table = bands("sentinel_2").values()
    if scene.level == "L1C":
        lines = ['<QUANTIFICATION_VALUE unit="none">10000</QUANTIFICATION_VALUE>']
        tag, group = "RADIO_ADD_OFFSET", "Radiometric_Offset_List"
    else:
        lines = [
            "<QUANTIFICATION_VALUES_LIST>",
            '  <BOA_QUANTIFICATION_VALUE unit="none">10000</BOA_QUANTIFICATION_VALUE>',
            '  <AOT_QUANTIFICATION_VALUE unit="none">1000.0</AOT_QUANTIFICATION_VALUE>',
            '  <WVP_QUANTIFICATION_VALUE unit="cm">1000.0</WVP_QUANTIFICATION_VALUE>',
            "</QUANTIFICATION_VALUES_LIST>",
        ]
        tag, group = "BOA_ADD_OFFSET", "BOA_ADD_OFFSET_VALUES_LIST"
    if scene.modern:
        offsets = (f'  <{tag} band_id="{band.id}">{-scene.offset}</{tag}>' for band in table)
        lines += [f"<{group}>", *offsets, f"</{group}>"]
    return _lines(6, lines)


def _instrument() -> dict[str, str]:
    table = bands("sentinel_2").values()
    irradiance = (f'<SOLAR_IRRADIANCE bandId="{band.id}" unit="W/m²/µm">{band.irradiance}</SOLAR_IRRADIANCE>' for band in table)
    gains = (f'<PHYSICAL_GAINS bandId="{band.id}">{band.gain}</PHYSICAL_GAINS>' for band in table)
    spectral = (line for band in table for line in _spectral(band))
    return {"irradiances": _lines(10, irradiance), "spectral": _lines(8, spectral), "gains": _lines(6, gains)}


def _spectral(band: Band) -> list[str]:
    """A box response; ESA gives measured ones."""
    inside = (abs(wavelength - band.centre) <= band.width / 2 for wavelength in range(band.minimum, band.maximum + 1))
    return [
        f'<Spectral_Information bandId="{band.id}" physicalBand="{band.physical}">',
        f"  <RESOLUTION>{band.pixel}</RESOLUTION>",
        "  <Wavelength>",
        f'    <MIN unit="nm">{band.minimum}</MIN>',
        f'    <MAX unit="nm">{band.maximum}</MAX>',
        f'    <CENTRAL unit="nm">{band.centre}</CENTRAL>',
        "  </Wavelength>",
        "  <Spectral_Response>",
        '    <STEP unit="nm">1</STEP>',
        f"    <VALUES>{' '.join('1' if flag else '0' for flag in inside)}</VALUES>",
        "  </Spectral_Response>",
        "</Spectral_Information>",
    ]


def _scene_classification() -> str:
    lines = ["<Scene_Classification_List>"]
    for index, text in enumerate(_CLASSES):
        lines += [
            "  <Scene_Classification_ID>",
            f"    <SCENE_CLASSIFICATION_TEXT>SC_{text}</SCENE_CLASSIFICATION_TEXT>",
            f"    <SCENE_CLASSIFICATION_INDEX>{index}</SCENE_CLASSIFICATION_INDEX>",
            "  </Scene_Classification_ID>",
        ]
    return _lines(6, [*lines, "</Scene_Classification_List>"])


def _content(scene: Scene) -> dict[str, str]:
    """Percentages of the scene classification at 20 m: of the pixels seen, but NODATA of all."""
    counts = np.bincount(scene.classes[20].ravel(), minlength=12)
    seen = max(int(counts[1:].sum()), 1)
    values = {f"{name}_PERCENTAGE": f"{100 * counts[list(codes)].sum() / seen:.6f}" for name, codes in _CONTENT.items()}
    values["NODATA_PIXEL_PERCENTAGE"] = f"{100 * counts[0] / counts.sum():.6f}"
    values["CLOUDY_PIXEL_PERCENTAGE"] = f"{100 * counts[[8, 9, 10]].sum() / seen:.6f}"
    return values


def _content_fields(content: Mapping[str, str], indent: int) -> str:
    fields = [f"<{name}>{value}</{name}>" for name, value in content.items() if name != "CLOUDY_PIXEL_PERCENTAGE"]
    fields += [
        f"<{name}>0.0</{name}>" for name in ("RADIATIVE_TRANSFER_ACCURACY", "WATER_VAPOUR_RETRIEVAL_ACCURACY", "AOT_RETRIEVAL_ACCURACY")
    ]
    return "\n" + _lines(indent, fields)


def _sizes(scene: Scene) -> list[str]:
    lines = []
    for pixel in (10, 20, 60):
        grid = scene.grid(pixel)
        lines += [f'<Size resolution="{pixel}">', f"  <NROWS>{grid.rows}</NROWS>", f"  <NCOLS>{grid.columns}</NCOLS>", "</Size>"]
    return lines


def _positions(scene: Scene) -> list[str]:
    lines = []
    for pixel in (10, 20, 60):
        grid = scene.grid(pixel)
        corner = [f"  <ULX>{grid.left:.0f}</ULX>", f"  <ULY>{grid.top:.0f}</ULY>"]
        lines += [f'<Geoposition resolution="{pixel}">', *corner, f"  <XDIM>{pixel}</XDIM>", f"  <YDIM>-{pixel}</YDIM>", "</Geoposition>"]
    return lines


def _angles(scene: Scene) -> dict[str, str]:
    """Grids and means of the sun and of the view, degrees."""
    grid = scene.grid(10)

    def sun_zenith(lon: float, lat: float) -> float:
        return sun_position(scene.when, lon, lat).zenith

    def sun_azimuth(lon: float, lat: float) -> float:
        return sun_position(scene.when, lon, lat).azimuth

    sun = [*_angle_grid("Zenith", grid, sun_zenith), *_angle_grid("Azimuth", grid, sun_azimuth)]
    views, means = [], []
    for band in bands("sentinel_2").values():
        zenith, azimuth = 4.2 + 0.05 * band.id, 104.0 + 0.3 * band.id
        views += [
            f'<Viewing_Incidence_Angles_Grids bandId="{band.id}" detectorId="{DETECTOR}">',
            *(f"  {line}" for line in _angle_grid("Zenith", grid, _constant(zenith))),
            *(f"  {line}" for line in _angle_grid("Azimuth", grid, _constant(azimuth))),
            "</Viewing_Incidence_Angles_Grids>",
        ]
        means += [
            f'<Mean_Viewing_Incidence_Angle bandId="{band.id}">',
            f'  <ZENITH_ANGLE unit="deg">{zenith:.4f}</ZENITH_ANGLE>',
            f'  <AZIMUTH_ANGLE unit="deg">{azimuth:.4f}</AZIMUTH_ANGLE>',
            "</Mean_Viewing_Incidence_Angle>",
        ]
    return {"sun_grid": _lines(8, sun), "view_grids": _lines(6, views), "view_means": _lines(8, means)}


def _constant(value: float) -> Callable[[float, float], float]:
    def everywhere(_longitude: float, _latitude: float) -> float:
        return value

    return everywhere


def _angle_grid(name: str, grid: Grid, angle: Callable[[float, float], float]) -> list[str]:
    left, bottom, right, top = grid.bounds
    columns = range(math.ceil((right - left) / _STEP) + 1)
    lines = [f"<{name}>", f'  <COL_STEP unit="m">{_STEP}</COL_STEP>', f'  <ROW_STEP unit="m">{_STEP}</ROW_STEP>', "  <Values_List>"]
    for row in range(math.ceil((top - bottom) / _STEP) + 1):
        nodes = grid.geographic(tuple((left + column * _STEP, top - row * _STEP) for column in columns))
        lines.append(f"    <VALUES>{' '.join(f'{angle(*node):.4f}' for node in nodes)}</VALUES>")
    return [*lines, "  </Values_List>", f"</{name}>"]


def _mask(band: str, kind: str, path: str) -> str:
    which = f'bandId="{band}" ' if band else ""
    return f'<MASK_FILENAME {which}type="{kind}">{path}</MASK_FILENAME>'


def _lines(indent: int, lines: Iterable[str]) -> str:
    return "\n".join(" " * indent + line for line in lines)
