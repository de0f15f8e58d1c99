"""Opens Landsat products: a directory, a `.tar` or a `.tar.gz`, flat or with a top folder."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import shapely
from pyproj.exceptions import ProjError
from shapely.geometry.base import BaseGeometry

from eolake.catalog import safe
from eolake.catalog.declaration import Collection, declared_collections
from eolake.catalog.draft import Attachment, Draft
from eolake.catalog.errors import BadProduct
from eolake.ingest.sensors.base import DEFAULT, Options
from eolake.ingest.sensors.landsat import bands, footprint, mtl
from eolake.ingest.sensors.landsat.item import draft_item, scene_name
from eolake.ingest.sensors.landsat.scene import NAME, Scene, scene

METADATA = re.compile(r"^(?P<product>[^/]+)_MTL\.(?P<format>txt|json|xml)$", re.IGNORECASE)
ANGLES = re.compile(r"^[^/]+_ANG\.txt$", re.IGNORECASE)
DIGESTS = re.compile(r"^[^/]+_MD5\.txt$", re.IGNORECASE)
WANTED = re.compile(r"^[^/]+(?:_MTL\.(?:txt|json|xml)|_(?:ANG|MD5)\.txt|\.TIF)$", re.IGNORECASE)
"""Side by side in the product's folder; what lies deeper (gap masks of Landsat 7) is left alone."""
EXPECTED = safe.expected_names(
    *("tif", "tiff", "ovr", "tfw", "txt", "xml", "json", "html", "jpg", "jpeg", "png", "gtf", "imd", "met", "md5", "sha1", "tif.gz"),
    folders=2,
)
"""Of everything in an archive: gap masks and what packs of providers carry besides."""

MEDIA_TYPES: Mapping[str, str] = {"txt": "text/plain", "json": "application/json", "xml": "application/xml"}
LISTS = ("PRODUCT_CONTENTS", "PRODUCT_METADATA", "METADATA_FILE_INFO")
"""Groups of the metadata that name the product's files; those of its Level-1 parent stand elsewhere."""
ABSENT = "eolake:absent_files"
"""The property of an item that names the files that its package lacks."""
OUTLINED = "red"
"""The band whose valid pixels are the footprint: every collection has it, and its fill value is certain."""


class LandsatSensor:
    """Landsat 4–9."""

    name = "landsat"

    def matches(self, name: str) -> bool:
        """True for the names of all Landsat products, also of those that `open` refuses."""
        return NAME.fullmatch(name) is not None

    def recognise(self, files: Iterable[str]) -> str | None:
        """A folder with a metadata file is a product of that file's name."""
        found = sorted(match["product"] for match in map(METADATA.match, files) if match)
        return found[0] if found else None

    def open(self, path: Path, workspace: Path, options: Options = DEFAULT) -> Iterator[Draft]:
        """One draft. BadProduct names what is missing, unknown or contradictory."""
        product = safe.open_product(path, workspace, wanted=WANTED, expected=EXPECTED)
        metadata = _metadata(product)
        facts = mtl.read(next(iter(metadata.values())))
        found = scene(facts)
        if self.matches(product.name) and product.name.upper() != found.product_id.upper():
            raise BadProduct(f"{product.name} holds the metadata of another product: {found.product_id}")
        collection = _collection(found)
        files = bands.band_files(found, collection, {name.upper(): file for name, file in product.files.items()})
        crs = bands.check_grids(files, collection)
        if options.checked:
            _check_digests(product)
        angles = next(iter(product.find_all(ANGLES).values()), None)
        name = scene_name(found)
        item = draft_item(found, _geometry(found, files[OUTLINED], angles, collection), crs=crs)
        if absent := _absent(product, facts, found):
            item.properties[ABSENT] = absent
        yield Draft(
            item=item,
            bands=bands.draft_bands(found, facts, collection, files),
            attachments=_attachments(metadata, angles),
            scene_key=name.scene_key,
            rank=name.rank,
        )


def _absent(product: safe.Product, facts: mtl.Mtl, found: Scene) -> list[str]:
    """The files of the product that its metadata lists and the package lacks, though no band needs them: mirrors leave out angles,
    copies of the metadata, ground control points."""
    listed = {file for group in LISTS for file in facts.group(group).values() if file.upper().startswith(f"{found.product_id}_".upper())}
    there = {name.upper() for name in product.members}
    return sorted(file for file in listed if file.upper() not in there)


def _check_digests(product: safe.Product) -> None:
    """Most packages have none: what is missing the metadata's own list tells. One that names its files' digests has to be right about
    those that are there; mirrors leave some out."""
    for path in product.find_all(DIGESTS).values():
        sums = safe.read_sums(path)
        there = tuple(entry for entry in sums.entries if entry.name in product.members)
        safe.check_files(product, replace(sums, entries=there))


def _metadata(product: safe.Product) -> dict[str, Path]:
    """The product's metadata files by format, the original one (txt) first."""
    found: dict[str, Path] = {}
    names = set()
    for name, path in sorted(product.files.items()):
        match = METADATA.match(name)
        if match:
            names.add(match["product"])
            found[match["format"].lower()] = path
    if not found:
        raise BadProduct(f"{product.name} has no metadata file (*_MTL.txt, .json or .xml)")
    if len(names) > 1:
        listed = ", ".join(sorted(names))
        raise BadProduct(f"{product.name} holds the metadata of {len(names)} products ({listed}); give each its own folder")
    return {kind: found[kind] for kind in MEDIA_TYPES if kind in found}


def _collection(found: Scene) -> Collection:
    try:
        return declared_collections()[found.collection_id]
    except KeyError:
        era = f"Collection {found.collection}" if found.collection else "the time before Collection 1"
        raise BadProduct(
            f"{found.product_id}: no collection {found.collection_id} is declared for {found.correction} products of Landsat "
            f"{found.satellite} from {era}; USGS has the scene in Collection 2"
        ) from None


def _geometry(found: Scene, red: Path, angles: Path | None, collection: Collection) -> BaseGeometry:
    """The footprint from the pixels; else from the metadata."""
    pixels = bands.read(red, collection.band(OUTLINED).nodata)
    outline = footprint.valid_outline(pixels.data != pixels.nodata, pixels.transform, found.cell)
    if outline is None:
        return metadata_geometry(found, angles)
    try:
        return footprint.geographic(outline, pixels.crs)
    except (ValueError, shapely.GEOSException, ProjError) as error:
        raise BadProduct(f"{red.name} lies nowhere on the Earth: {error}") from error


def metadata_geometry(found: Scene, angles: Path | None) -> BaseGeometry:
    """The footprint of a scene whose pixels say nothing: from the angle file; else from the metadata's corners."""
    outline = None if angles is None else footprint.angle_outline(angles, found.cell)
    try:
        return footprint.from_corners(found.corners) if outline is None else footprint.geographic(outline, found.crs)
    except (ValueError, shapely.GEOSException, ProjError) as error:
        raise BadProduct(f"{found.product_id}: the corners lie nowhere on the Earth: {error}") from error


def _attachments(metadata: Mapping[str, Path], angles: Path | None) -> dict[str, Attachment]:
    found = {
        f"mtl_{kind}": Attachment(path=path, media_type=MEDIA_TYPES[kind], roles=("metadata",), title=f"Product metadata ({kind})")
        for kind, path in metadata.items()
    }
    if angles is not None:
        found["ang"] = Attachment(path=angles, media_type="text/plain", roles=("metadata",), title="Angle coefficients")
    return found
