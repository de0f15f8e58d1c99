"""Generated SAFE products in the other layouts that Sentinel-2 comes in."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

from pyproj import Transformer

SINERGISE = "urn:ogc:def:crs:EPSG:8.8.1:"


def granule_of(product: Path) -> Path:
    """The folder of its only tile."""
    (granule,) = (product / "GRANULE").iterdir()
    return granule


def main_of(product: Path) -> Path:
    """MTD_MSIL1C.xml or MTD_MSIL2A.xml"""
    (main,) = product.glob("MTD_MSIL*.xml")
    return main


def value(path: Path, name: str) -> str:
    """The text of the only element of that name."""
    (found,) = (element.text for element in ET.parse(path).iter(name))
    assert found is not None
    return found


def edit(path: Path, pattern: str, replacement: str, *, count: int = 0) -> None:
    """Replace by regular expression; fails when nothing matches."""
    text, changed = re.subn(pattern, replacement, path.read_text("utf-8"), count=count, flags=re.DOTALL)
    assert changed, f"{pattern} is not in {path}"
    path.write_text(text, "utf-8")


def as_aws(product: Path, target: Path, *, product_info: bool = True, tile_info: bool = True) -> Path:
    """The tile as Sinergise lays it out in `s3://sentinel-s2-l1c/tiles/…`, with a small copy of a band in preview/."""
    granule = granule_of(product)
    target.mkdir(parents=True)
    shutil.copy(granule / "MTD_TL.xml", target / "metadata.xml")
    (target / "datastrip").mkdir()
    (target / "datastrip" / "metadata.xml").write_text("<never-read")
    for image in (granule / "IMG_DATA").rglob("*.jp2"):
        code = re.sub(r"^T\w+?_\w+?_|_\d\dm$", "", image.stem)
        folder = target / image.parent.name if image.parent.name != "IMG_DATA" else target
        folder.mkdir(exist_ok=True)
        shutil.copy(image, folder / f"{code}.jp2")
    (target / "preview").mkdir()
    shutil.copy(next(granule.rglob("*B01*.jp2")), target / "preview" / "B01.jp2")
    (target / "qi").mkdir()
    for mask in granule.glob("QI_DATA/MSK_*.jp2"):
        shutil.copy(mask, target / "qi" / mask.name.replace("MSK_CLDPRB", "CLD").replace("MSK_SNWPRB", "SNW"))
    if tile_info:
        (target / "tileInfo.json").write_text(json.dumps(_tile_info(product)))
    if product_info:
        (target / "productInfo.json").write_text(json.dumps(_product_info(product)))
    return target


def _tile_info(product: Path) -> dict[str, Any]:
    tile = granule_of(product) / "MTD_TL.xml"
    name, crs = product.name.removesuffix(".SAFE"), value(tile, "HORIZONTAL_CS_CODE")
    positions = [float(word) for word in value(main_of(product), "EXT_POS_LIST").split()]
    to_utm = Transformer.from_crs("EPSG:4326", crs, always_xy=True)
    ring = [to_utm.transform(lon, lat) for lat, lon in zip(positions[::2], positions[1::2], strict=True)]
    named = {"type": "name", "properties": {"name": SINERGISE + crs.removeprefix("EPSG:")}}
    return {
        "timestamp": value(tile, "SENSING_TIME"),
        "datastrip": {"id": value(tile, "DATASTRIP_ID")},
        "tileDataGeometry": {"type": "Polygon", "crs": named, "coordinates": [ring]},
        "productName": name,
        "productPath": f"products/2019/12/15/{name}",
    }


def _product_info(product: Path) -> dict[str, Any]:
    datatake = re.search(r'datatakeIdentifier="([^"]+)"', main_of(product).read_text("utf-8"))
    assert datatake
    return {"name": product.name.removesuffix(".SAFE"), "datatakeIdentifier": datatake[1]}


def as_large(product: Path, target: Path, tiles: tuple[str, ...]) -> Path:
    """A product of several tiles as ESA made them before December 2016; the tiles differ in name only."""
    name = target.name.removesuffix(".SAFE")
    target.mkdir(parents=True)
    main = target / name.replace("PRD_MSIL1C", "MTD_SAFL1C")
    shutil.copy(main_of(product), main.with_suffix(".xml"))
    edit(main.with_suffix(".xml"), "<PRODUCT_URI>.*</PRODUCT_URI>", f"<PRODUCT_URI>{name}.SAFE</PRODUCT_URI>")
    source = granule_of(product)
    old = value(source / "MTD_TL.xml", "TILE_ID")
    for tile in tiles:
        tile_id = re.sub(r"_T\w{5}_", f"_T{tile}_", old)
        granule = target / "GRANULE" / tile_id
        (granule / "IMG_DATA").mkdir(parents=True)
        metadata = granule / f"{tile_id.replace('_MSI_', '_MTD_').rpartition('_N')[0]}.xml"
        shutil.copy(source / "MTD_TL.xml", metadata)
        edit(metadata, f">{old}<", f">{tile_id}<")
        for image in (source / "IMG_DATA").glob("*_B*.jp2"):
            shutil.copy(image, granule / "IMG_DATA" / f"{tile_id.rpartition('_N')[0]}_{image.stem[-3:]}.jp2")
    return target
