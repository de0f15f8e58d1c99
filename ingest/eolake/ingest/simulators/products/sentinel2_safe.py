"""Writes a Sentinel-2 scene as a SAFE tree: images, masks, metadata and the manifest that lists them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

from eolake.ingest.simulators.products.sentinel2 import TILE, Scene, image_layers, mask_layers, preview, write_jp2
from eolake.ingest.simulators.products.sentinel2_metadata import fill, metadata_values
from eolake.ingest.simulators.products.spectra import bands

_GML = ("MSK_DEFECT", "MSK_DETFOO", "MSK_NODATA", "MSK_SATURA", "MSK_TECQUA")
Mask = tuple[str, str, str]
"""bandId or "", type, path below the product"""


def write_sentinel2(scene: Scene, folder: Path) -> Path:
    """Writes `scene` as a directory of its name below `folder`; returns the directory."""
    root = folder / scene.name
    granule = f"GRANULE/{scene.granule}"
    images = []
    for path, counts, grid in image_layers(scene):
        write_jp2(root / granule / f"{path}.jp2", counts, grid)
        images.append(f"{granule}/{path}")
    masks = [*_raster_masks(scene, root, granule), *_vector_masks(scene, root, granule)]
    quicklook = f"{granule}/QI_DATA/{scene.stem}_PVI.jp2"
    write_jp2(root / quicklook, *preview(scene))
    _write_metadata(scene, root, metadata_values(scene, images, masks, quicklook))
    return root


def _raster_masks(scene: Scene, root: Path, granule: str) -> Iterator[Mask]:
    for path, values, grid in mask_layers(scene):
        file = f"{granule}/{path}.jp2"
        write_jp2(root / file, values, grid)
        yield _mask(file)


def _vector_masks(scene: Scene, root: Path, granule: str) -> Iterator[Mask]:
    """Before 04.00: GML, here without members."""
    if scene.modern:
        return
    names = [f"{kind}_{band}" for band in bands("sentinel_2") for kind in _GML]
    for name in (*names, "MSK_CLOUDS_B00"):
        kind, band = name.rsplit("_", 1)
        identity = (
            f"{scene.unit}_OPER_{kind}_{scene.centre}_{scene.generated:%Y%m%dT%H%M%S}_A{scene.orbit:06d}_T{TILE}_{band}_MSI{scene.level}"
        )
        file = f"{granule}/QI_DATA/{name}.gml"
        _write(root / file, fill("s2_mask.gml", {"mask_id": identity, "mask_type": kind}))
        yield _mask(file)


def _mask(file: str) -> Mask:
    kind, last = Path(file).stem.rsplit("_", 1)
    band = bands("sentinel_2").get(last)
    return (str(band.id) if band else ""), kind, file


def _write_metadata(scene: Scene, root: Path, values: dict[str, str]) -> None:
    _write(root / f"MTD_MSI{scene.level}.xml", fill("s2_product.xml", values))
    _write(root / f"GRANULE/{scene.granule}/MTD_TL.xml", fill("s2_tile.xml", values))
    _write(root / f"DATASTRIP/{scene.datastrip}/MTD_DS.xml", fill("s2_datastrip.xml", values))
    _write(root / "INSPIRE.xml", fill("s2_inspire.xml", values))
    entries = [(_object_id(str(path.relative_to(root)), scene.level), path) for path in sorted(root.rglob("*")) if path.is_file()]
    units = "\n".join(f'      <xfdu:contentUnit><dataObjectPointer dataObjectID="{name}"/></xfdu:contentUnit>' for name, _ in entries)
    objects = "\n".join(_object(name, path, root, modern=scene.baseline >= "03.01") for name, path in entries)
    _write(root / "manifest.safe", fill("s2_manifest.safe", {**values, "units": units, "objects": objects}))


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")


def _object_id(path: str, level: str) -> str:
    """The dataObject ID of a file; readers look the metadata files up by it."""
    number = level[1:]
    fixed = {"INSPIRE.xml": "INSPIRE_Metadata", f"MTD_MSI{level}.xml": f"S2_Level-{number}_Product_Metadata"}
    if path in fixed:
        return fixed[path]
    if path.endswith("MTD_DS.xml"):
        return f"S2_Level-{number}_Datastrip1_Metadata"
    if path.endswith("MTD_TL.xml"):
        return f"S2_Level-{number}_Tile1_Metadata"
    stem = re.sub(rf"^T{TILE}_\d+T\d+_", "", Path(path).stem)
    prefix = "IMG_DATA_Band_" if "/IMG_DATA/" in path else ""
    return f"{prefix}{stem}_Tile1_Data"


def _object(name: str, path: Path, root: Path, *, modern: bool) -> str:
    content = path.read_bytes()
    method, digest = ("SHA3-256", hashlib.sha3_256(content)) if modern else ("MD5", hashlib.md5(content, usedforsecurity=False))
    mime = {".xml": "text/xml", ".gml": "text/xml"}.get(path.suffix, "application/octet-stream")
    return f"""    <dataObject ID="{name}">
      <byteStream mimeType="{mime}" size="{len(content)}">
        <fileLocation locatorType="URL" href="./{path.relative_to(root)}"/>
        <checksum checksumName="{method}">{digest.hexdigest()}</checksum>
      </byteStream>
    </dataObject>"""
