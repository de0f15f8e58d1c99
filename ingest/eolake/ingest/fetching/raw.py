"""Where the files of a fetched product lie: under `raw/` in the store, and on the local disk for whoever converts them.

raw/<provider>/<collection>/<granule>/r<fence>/<name within the product>
raw/…/r<fence>/overview/<quicklook>
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from eolake.catalog.errors import BadProduct, Transient
from eolake.catalog.ledger.granules import Granule, Lease
from eolake.catalog.ledger.transfers import RawFile
from eolake.catalog.store import MissingObject, Store
from eolake.ingest.providers.base import Part

OVERVIEW = "overview"


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalProduct:
    """A fetched product on the local disk."""

    path: Path
    """What the sensor opens: the file, or the folder of its files."""
    overview: Path | None = None


def prefix(granule: Granule, lease: Lease) -> str:
    """Below which the files of a granule are written under a lease."""
    return f"raw/{granule.provider}/{granule.collection or 'any'}/{granule.granule_id}/r{lease.fence}"


def names(granule: Granule, parts: Sequence[Part]) -> dict[str, Part]:
    """The parts by their names in the store; files without a common folder get one, named after the product."""
    data = [part for part in parts if part.role == "data"]
    if not data:
        raise BadProduct(f"{granule.name}: its provider names no file of it; look at it there")
    loose = len(data) > 1 and top(part.name for part in data) is None
    found = {f"{granule.name}/{part.name}" if loose else part.name: part for part in data}
    found |= {f"{OVERVIEW}/{PurePosixPath(part.name).name}": part for part in parts if part.role == "overview"}
    if len(found) < len(parts):
        raise BadProduct(f"{granule.name}: two of its files have one name")
    return found


def top(paths: object) -> str | None:
    """The folder that all these relative names share; None when there is none."""
    firsts = {PurePosixPath(path).parts for path in paths}  # type: ignore[attr-defined]
    heads = {parts[0] for parts in firsts}
    return heads.pop() if len(heads) == 1 and all(len(parts) > 1 for parts in firsts) else None


def localise(store: Store, files: Sequence[RawFile], workspace: Path, nearby: Path | None) -> LocalProduct:
    """The product of these files on this disk: in place in a folder store, from `nearby` (where this machine fetched it), or brought here.

    Raises BadProduct when a file is gone from the store, Transient when other bytes came than were written."""
    if not files:
        raise BadProduct("nothing of it lies under raw/ any more; `eolake retry --state fetched` does not help, ingest it again")
    places = {file.name: _place(store, file, workspace, nearby) for file in files}
    data = [name for name in places if not name.startswith(f"{OVERVIEW}/")]
    overview = next((path for name, path in places.items() if name.startswith(f"{OVERVIEW}/")), None)
    return LocalProduct(path=_product(data, places), overview=overview)


def _product(data: Sequence[str], places: dict[str, Path]) -> Path:
    folder = top(data)
    if folder is None:
        return places[data[0]]
    path = places[data[0]]
    return path.parents[len(PurePosixPath(data[0]).parts) - 2]


def _place(store: Store, file: RawFile, workspace: Path, nearby: Path | None) -> Path:
    local = Path(store.gdal_path(file.key)) if store.config.folder is not None else (nearby / file.name if nearby else None)
    if local is not None and local.is_file() and local.stat().st_size == file.bytes:
        return local
    return _bring(store, file, workspace / "raw" / file.name)


def _bring(store: Store, file: RawFile, target: Path) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    try:
        with target.open("wb") as sink:
            for chunk in store.chunks(file.key):
                digest.update(chunk)
                sink.write(chunk)
    except MissingObject as error:
        raise BadProduct(f"{error}; ingest the product again") from error
    if digest.hexdigest() != file.sha256:
        raise Transient(f"{store.uri(file.key)}: other bytes came than were fetched")
    return target
