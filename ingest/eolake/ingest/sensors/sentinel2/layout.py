"""Where the files of a product lie.

SAFE: MTD_MSIL2A.xml, GRANULE/<granule>/MTD_TL.xml, …/IMG_DATA/R20m/T55HFA_20200101T000241_B05_20m.jp2, …/QI_DATA/MSK_*.jp2
AWS: metadata.xml, tileInfo.json, productInfo.json, B05.jp2 (Level 2A: R20m/B05.jp2), qi/MSK_*.jp2
Before December 2016: S2A_OPER_MTD_SAFL1C_*.xml and several GRANULE/<id>/S2A_OPER_MTD_L1C_TL_*.xml, …/IMG_DATA/<id>_B05.jp2
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from eolake.catalog.declaration import Band, Collection
from eolake.catalog.errors import BadProduct
from eolake.catalog.safe import Product, expected_names

IMAGE = r"(?:B\d[0-9A]|SCL|AOT|WVP)(?:_[126]0m)?\.(?:jp2|tiff?)"
MASK = r"(?:(?:MSK_)?CLASSI_B00|(?:MSK_CLDPRB|MSK_SNWPRB|CLD|SNW)_20m)\.(?:jp2|tiff?)"
PRODUCT = re.compile(r"^(?:MTD_MSIL(?:1C|2A)|S2[A-Z]_[A-Z]{4}_MTD_SAFL(?:1C|2A)_[^/]+|product_metadata)\.xml$", re.IGNORECASE)
TILE = re.compile(r"^(?P<folder>(?:.*/)?)(?:MTD_TL|S2[A-Z]_[A-Z]{4}_MTD_L(?:1C|2A)_TL_[^/]+)\.xml$", re.IGNORECASE)
AWS_TILE, AWS_INFO, AWS_PRODUCT = "metadata.xml", "tileInfo.json", "productInfo.json"
MANIFEST = "manifest.safe"
WANTED = re.compile(
    rf"{PRODUCT.pattern}|{TILE.pattern}|^(?:metadata\.xml|tileInfo\.json|productInfo\.json|manifest\.safe)$"
    rf"|^(?!(?:.*/)?(?:preview|datastrip)/)(?:.*/)?(?:(?![^/]*MSK_)(?:[^/]*_)?{IMAGE}|(?:[^/]*_)?{MASK})$",
    re.IGNORECASE,
)
"""Not the metadata of the datastrip (13 MB), not the small copies that AWS keeps in preview/, not MSK_DETFOO_B05.jp2 and the like."""
EXPECTED = expected_names(
    *(
        "safe",
        "xml",
        "json",
        "jp2",
        "tif",
        "tiff",
        "gml",
        "dbl",
        "grib",
        "html",
        "xsl",
        "xsd",
        "css",
        "png",
        "jpg",
        "jpeg",
        "gif",
        "pdf",
        "kml",
    ),
    folders=8,
)
"""Of everything in an archive, also of what is left alone: auxiliary data without ending, the pages in HTML/."""
RESOLUTION: Mapping[str, int] = {"default": 10, "g20": 20, "g60": 60}
"""Pixel size in m of the grids that the collections declare."""
DRIVERS: Mapping[str, str] = {".jp2": "JP2OpenJPEG", ".tif": "GTiff", ".tiff": "GTiff"}
"""GeoTIFF is the image format of products that were processed again for Planetary Computer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Granule:
    """One tile of a product."""

    metadata: Path
    files: Mapping[str, Path]
    """By name relative to the granule's folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The parts of a product."""

    product_metadata: Path | None
    tile_info: Path | None
    product_info: Path | None
    granules: tuple[Granule, ...]


def layout(product: Product) -> Layout:
    """The parts of a product; BadProduct when there is no tile in it."""
    granules = tuple(_granules(product.files))
    if not granules:
        raise BadProduct(f"{product.path} has no tile metadata (MTD_TL.xml; metadata.xml in AWS layout)")
    mains = [path for name, path in product.files.items() if PRODUCT.match(name)]
    if len(mains) > 1:
        raise BadProduct(f"{product.path} has the metadata of {len(mains)} products: {', '.join(path.name for path in mains)}")
    aws = AWS_TILE in product.files
    if not mains and not aws:
        raise BadProduct(f"{product.path} has no product metadata (MTD_MSIL1C.xml or MTD_MSIL2A.xml)")
    return Layout(
        product_metadata=mains[0] if mains else None,
        tile_info=product.files.get(AWS_INFO) if aws else None,
        product_info=product.files.get(AWS_PRODUCT) if aws else None,
        granules=granules,
    )


def _granules(files: Mapping[str, Path]) -> Iterator[Granule]:
    """Sorted by name. A tile's files are those below the folder of its metadata."""
    found = {match["folder"]: path for name, path in sorted(files.items()) if (match := TILE.match(name))}
    if not found and AWS_TILE in files:
        found = {"": files[AWS_TILE]}
    for folder, metadata in found.items():
        inside = {name.removeprefix(folder): path for name, path in files.items() if name.startswith(folder)}
        yield Granule(metadata=metadata, files=inside)


def band_files(granule: Granule, collection: Collection, scene: str) -> dict[str, Path]:
    """The file of each band that the collection declares, at its native pixel size, by band name.

    Optional bands may be missing; BadProduct names `scene` and every other one that is."""
    found = {band.name: _band_file(granule, band, scene) for band in collection.bands}
    missing = [f"{band.aliases[0]} ({band.name})" for band in collection.measurements if found[band.name] is None]
    if missing:
        share = f"{len(missing)} of the {len(collection.measurements)} bands of {collection.id}"
        raise BadProduct(f"{scene}: {share} are not in the product: {', '.join(missing)}")
    return {name: path for name, path in found.items() if path is not None}


def _band_file(granule: Granule, band: Band, scene: str) -> Path | None:
    pattern = band_pattern(band)
    found = [name for name in sorted(granule.files) if pattern.search(name)]
    if len(found) > 1:
        raise BadProduct(f"{scene} has {len(found)} files for band {band.aliases[0]}: {', '.join(found)}")
    return granule.files[found[0]] if found else None


def band_pattern(band: Band) -> re.Pattern[str]:
    """Of the band's file names: `…_B05.jp2` (Level 1C), `…_B05_20m.jp2`, `R20m/B05.jp2` (Level 2A), masks in QI_DATA or qi."""
    pixel = f"{RESOLUTION[band.grid]}m"
    codes = "|".join(band.aliases)
    forms = (rf"(?:{codes})_(?:{pixel}|B00)", rf"(?<=R{pixel}/)(?:{codes})", rf"(?<!\dm/)(?:{codes})")
    other_masks = "" if "MSK_" in codes else r"(?![^/]*MSK_)"  # MSK_DETFOO_B05.jp2 is no image
    return re.compile(rf"^(?:.*/)?{other_masks}(?:[^/]*_)?(?:{'|'.join(forms)})\.(?:jp2|tiff?)$", re.IGNORECASE)
