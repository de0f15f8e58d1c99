"""Products on disk as a provider has them: one file each, with digests, metadata and a quicklook."""

from __future__ import annotations

import hashlib
import json
import shutil
import tarfile
import tempfile
import uuid
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from eolake.catalog.errors import ConfigError
from eolake.ingest.simulators.archive import Archive, Record
from eolake.ingest.simulators.content import digests, of_file

CACHE = ".archive"
ALGORITHMS = ("md5", "blake3", "sha3-256", "sha256")
SIDE = 343
"""Longest side of a quicklook, pixels; as Sentinel-2 has it."""
STAMP = (2020, 1, 1, 0, 0, 0)
"""The time of all members, so that packing again gives the same bytes."""
PLATFORMS: Mapping[str, tuple[str, str]] = {
    "sentinel-2": ("SENTINEL-2", "MSI"),
    "landsat": ("LANDSAT", "OLI_TIRS"),
    "sentinel-3": ("SENTINEL-3", ""),
}
TYPES: Mapping[str, str] = {"s2_l1c": "S2MSI1C", "s2_l2a": "S2MSI2A"}


def pack_products(folder: Path) -> list[Record]:
    """A record of each product directly in the folder; their times of publication are those of sensing."""
    from eolake.ingest.sensors import identify

    records = []
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or (path.is_file() and path.suffix not in {".zip", ".tar", ".gz"}):
            continue
        found = identify(path)
        if found is not None:
            records.append(_record(path, found[1]))
    return records


def _record(path: Path, name: str) -> Record:
    cache = path.parent / CACHE
    cache.mkdir(exist_ok=True)
    facts_file = cache / f"{name}.json"
    state = _state(path)
    facts = json.loads(facts_file.read_text()) if facts_file.is_file() else {}
    if facts.get("state") != state or not (cache / facts["file"]).exists():
        partial = facts_file.with_suffix(".part")
        partial.write_text(json.dumps({"state": state, **_facts(path, name, cache)}))
        facts = json.loads(partial.replace(facts_file).read_text())
    item = facts["item"]
    start = _time(item["properties"].get("start_datetime") or item["properties"]["datetime"])
    end = _time(item["properties"].get("end_datetime") or item["properties"]["datetime"])
    quicklook = cache / f"{name}.jpg"
    return Record(
        id=str(uuid.uuid5(uuid.NAMESPACE_URL, f"eolake-simulator/{name}")),
        name=name,
        collection=item["collection"],
        file=cache / facts["file"] if facts["file"] else path,
        size=facts["size"],
        digests=facts["digests"],
        published=end,
        modified=end,
        start=start,
        end=end,
        footprint=item["geometry"],
        attributes=_attributes(item),
        quicklook=quicklook if quicklook.is_file() else None,
        item=item,
    )


def _state(path: Path) -> str:
    """Changes when the product does."""
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    text = "".join(f"{file}{file.stat().st_size}{file.stat().st_mtime_ns}" for file in files)
    return hashlib.sha256(text.encode()).hexdigest()


def _facts(path: Path, name: str, cache: Path) -> dict[str, Any]:
    file = _packed(path, name, cache) if path.is_dir() else path
    content = of_file(file)
    return {
        "file": file.name if path.is_dir() else "",
        "size": content.size,
        "digests": dict(digests(content, *ALGORITHMS)),
        "item": _item(path, cache / f"{name}.jpg"),
    }


def _packed(path: Path, name: str, cache: Path) -> Path:
    """Sentinel: a zip without compression that keeps the folder; Landsat: a flat tar."""
    files = sorted(file for file in path.rglob("*") if file.is_file())
    safe = path.suffix in {".SAFE", ".SEN3"}
    target = cache / (f"{name}.zip" if safe else f"{name}.tar")
    partial = target.with_name(f"{target.name}.part")
    if safe:
        with zipfile.ZipFile(partial, "w", zipfile.ZIP_STORED) as archive:
            for file in files:
                info = zipfile.ZipInfo(f"{path.name}/{file.relative_to(path)}", STAMP)
                info.external_attr = 0o644 << 16
                archive.writestr(info, file.read_bytes())
    else:
        with tarfile.open(partial, "w", format=tarfile.USTAR_FORMAT) as archive:
            for file in files:
                member = tarfile.TarInfo(str(file.relative_to(path)))
                member.size, member.mtime, member.mode = file.stat().st_size, int(datetime(*STAMP, tzinfo=UTC).timestamp()), 0o644
                with file.open("rb") as opened:
                    archive.addfile(member, opened)
    return partial.replace(target)


def _item(path: Path, quicklook: Path) -> dict[str, Any]:
    """What the product's sensor says of it; draws its quicklook on the way."""
    from eolake.ingest.sensors import identify

    found = identify(path)
    if found is None:
        raise ValueError(path)
    workspace = Path(tempfile.mkdtemp(prefix="eolake-pack-"))
    try:
        draft = next(iter(found[0].open(path, workspace)))
        if not quicklook.is_file():
            _draw(draft, quicklook)
        document: dict[str, Any] = draft.item.to_dict(include_self_link=False, transform_hrefs=False)
    finally:
        shutil.rmtree(workspace, ignore_errors=True)
    return {key: document[key] for key in ("type", "id", "stac_version", "geometry", "bbox", "properties", "collection") if key in document}


def _draw(draft: Any, target: Path) -> None:
    """Red, green and blue, stretched to what the eye likes."""
    import numpy as np
    import rasterio
    from rasterio.errors import NotGeoreferencedWarning

    names = [name for name in ("red", "green", "blue") if name in draft.bands]
    if len(names) != 3:
        return
    layers = []
    for name in names:
        data = draft.bands[name].read().data.astype("float32")
        step = max(1, -(-max(data.shape) // SIDE))
        small = data[::step, ::step]
        low, high = np.percentile(small[small > 0], (2, 98)) if (small > 0).any() else (0.0, 1.0)
        layers.append((np.clip((small - low) / max(high - low, 1e-6), 0, 1) * 255).astype("uint8"))
    rows, columns = layers[0].shape
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(target, "w", driver="JPEG", width=columns, height=rows, count=3, dtype="uint8") as file:
            file.write(np.stack(layers))


def _attributes(item: Mapping[str, Any]) -> dict[str, Any]:
    """What CDSE would call the properties of an item."""
    properties = item["properties"]
    mission = next(
        (key for key in PLATFORMS if properties.get("constellation") == key or properties.get("platform", "").startswith(key)), ""
    )
    platform, instrument = PLATFORMS.get(mission, ("", ""))
    instrument = instrument or str(next(iter(properties.get("instruments", [])), "")).upper()
    found: dict[str, Any] = {
        "origin": "USGS" if mission == "landsat" else "ESA",
        "productType": TYPES.get(item["collection"]) or properties.get("landsat:correction") or properties.get("product:type"),
        "platformShortName": platform,
        "platformSerialIdentifier": str(properties.get("platform", ""))[-1:].upper(),
        "instrumentShortName": instrument,
        "processingLevel": TYPES.get(item["collection"]) or properties.get("landsat:correction"),
        "cloudCover": None if properties.get("eo:cloud_cover") is None else float(properties["eo:cloud_cover"]),
        "tileId": str(properties.get("grid:code", "")).removeprefix("MGRS-") or None if mission == "sentinel-2" else None,
        "processorVersion": properties.get("s2:processing_baseline"),
        "datastripId": properties.get("s2:datastrip_id"),
        "granuleIdentifier": properties.get("s2:tile_id"),
        "relativeOrbitNumber": properties.get("sat:relative_orbit"),
        "orbitNumber": properties.get("sat:absolute_orbit"),
        "timeliness": properties.get("product:timeliness_category") if mission == "sentinel-3" else None,
        "orbitDirection": str(properties.get("sat:orbit_state", "")).upper() or None if mission == "sentinel-3" else None,
        "pathNumber": _whole(properties.get("landsat:wrs_path")),
        "rowNumber": _whole(properties.get("landsat:wrs_row")),
        "processingDate": _time(properties["processing:datetime"]) if properties.get("processing:datetime") else None,
        "beginningDateTime": _time(properties.get("start_datetime") or properties["datetime"]),
        "endingDateTime": _time(properties.get("end_datetime") or properties["datetime"]),
    }
    return {name: value for name, value in found.items() if value is not None}


def _whole(text: str | None) -> int | None:
    return int(text) if text is not None else None


def _time(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def archive_of(folder: Path, *, published: datetime | None = None, delay: timedelta = timedelta(hours=6)) -> Archive:
    """The products in a folder, as a provider would have them: packed into one file each, with digests and a quicklook.

    Each was published `delay` after its sensing; with `published` the last one then, and the others each a minute earlier.
    What is packed and computed is kept in `FOLDER/.archive` for the next time. Raises ConfigError when there are no products."""
    records = sorted(pack_products(folder), key=lambda record: record.start)
    if not records:
        raise ConfigError(f"no products in {folder}; make some with: eolake simulate products {folder}")
    moments = (
        [published - timedelta(minutes=n) for n in reversed(range(len(records)))]
        if published
        else [record.end + delay for record in records]
    )
    return Archive(replace(record, published=moment, modified=moment) for record, moment in zip(records, moments, strict=True))
