"""The provider `folder`: products on disk, read in place: never moved, never deleted."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from eolake.catalog.errors import ConfigError, UsageError
from eolake.catalog.ledger.granules import Granule, Offer
from eolake.catalog.safe import product_name
from eolake.catalog.safe.product import loose_files
from eolake.ingest.logins.base import Login
from eolake.ingest.providers.base import Change, Part, ProviderConfig, Query
from eolake.ingest.sensors import gather, identify

NAME = "folder"
DEPTH = 8
"""Folders below a given one that are searched for products."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """Something that is no product, and why."""

    path: Path
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What lies at the given paths."""

    offers: tuple[Offer, ...]
    skipped: tuple[Skipped, ...]
    """Lie within a given folder, and no sensor knows them."""


class FolderProvider:
    """Looks at paths: a product (archive, directory, folder of loose files), or a folder of products."""

    def __init__(self, config: ProviderConfig | None = None, login: Login | None = None) -> None:
        """Needs neither; what it offers is always of the provider `folder`."""
        _ = config, login
        self.name = NAME

    def search(self, query: Query) -> Iterator[Offer]:
        """The products at the paths of the query."""
        return iter(look(query.paths).offers)

    def resolve(self, granule: Granule) -> Sequence[Part]:
        """The product itself."""
        path = Path(granule.source)
        return [Part(url=path.as_uri(), name=path.name, size=granule.size)]

    def changes(self, since: datetime) -> Iterator[Change]:
        """None: a changed product is offered again with another fingerprint."""
        _ = since
        return iter(())

    def auth(self) -> Mapping[str, str]:
        """Nothing."""
        return {}


def look(paths: Sequence[Path]) -> Found:
    """Offers for everything at these paths; UsageError when one does not exist.

    A path that was named is offered even when no sensor knows it: the worker then says why it is kept aside."""
    strange = [repr(str(path)) for path in paths if not _writable(path)]
    if strange:
        raise UsageError(f"a name that is not UTF-8: {', '.join(strange)}; rename it")
    absent = [str(path) for path in paths if not there(path)]
    if absent:
        raise UsageError(f"there is nothing at {', '.join(absent)}")
    offers: dict[str, Offer] = {}
    skipped: dict[Path, Skipped] = {}
    for path in paths:
        try:
            products, others = _look(path.resolve())
        except OSError as error:
            raise UsageError(f"{path} can't be read: {error}") from error
        offers |= {offer.id: offer for offer in products}
        skipped |= {other.path: other for other in others}
    return Found(offers=tuple(offers.values()), skipped=tuple(skipped[path] for path in sorted(skipped)))


def there(path: Path) -> bool:
    """Whether something lies at a path: a file, a folder, or loose files whose names begin with its name."""
    return path.exists() or bool(loose_files(path))


def _look(path: Path) -> tuple[list[Offer], list[Skipped]]:
    loose = None if path.is_dir() else _loose_product(path)
    if loose is not None:
        return [_offer(path.with_name(loose), loose)], []
    name = _product(path)
    if name is not None:
        return [_offer(path, name)], []
    products, skipped = _walk(path, DEPTH) if path.is_dir() else ([], [])
    if products:
        return products, skipped
    return [_offer(path, product_name(path), deep=False)], []


def _walk(folder: Path, depth: int) -> tuple[list[Offer], list[Skipped]]:
    """Products below a folder that is none itself, without looking into products."""
    entries = sorted(folder.iterdir())
    loose = _gathered([entry.name for entry in entries if _unwanted(entry, depth) is None and entry.is_file()])
    members = {file for files in loose.values() for file in files}
    products = [_offer(folder / name, name) for name in loose]
    skipped: list[Skipped] = []
    for entry in entries:
        if entry.name in members:
            continue
        try:
            below, others = _enter(entry, depth)
        except OSError as error:
            below, others = [], [Skipped(path=entry, reason=f"can't be read: {error.strerror}")]
        products += below
        skipped += others
    return products, skipped


def _enter(entry: Path, depth: int) -> tuple[list[Offer], list[Skipped]]:
    reason = _unwanted(entry, depth)
    if reason is not None:
        return [], [Skipped(path=entry, reason=reason)]
    name = _product(entry)
    if name is not None:
        return [_offer(entry, name)], []
    if not entry.is_dir():
        return [], [Skipped(path=entry, reason="no sensor knows this name")]
    products, others = _walk(entry, depth - 1)
    return products, others if products else [Skipped(path=entry, reason="a folder without products")]


def _unwanted(entry: Path, depth: int) -> str | None:
    if entry.is_symlink():
        return "a symbolic link; name its target instead"
    if entry.name.startswith("."):
        return "hidden"
    if not _writable(entry):
        return "its name is not UTF-8"
    if entry.is_dir():
        return None if depth else f"more than {DEPTH} folders deep"
    return None if entry.is_file() else "neither a file nor a folder"


def _writable(path: Path) -> bool:
    """Whether a path can stand in the ledger."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True


def _product(path: Path) -> str | None:
    """The name of the product at a path, without extension; None when it is none."""
    try:
        found = identify(path)
    except ConfigError:
        return product_name(path)  # a sensor that does not load might know it: the worker says which
    return found[1] if found else None


def _gathered(files: Sequence[str]) -> Mapping[str, list[str]]:
    """Products of loose files, by name."""
    try:
        return gather(files)
    except ConfigError:
        return {}  # a sensor that does not load might know them: they are offered file by file, or not at all


def _loose_product(path: Path) -> str | None:
    """The name of the product of loose files that is named by one of its files, or by its own name."""
    if path.is_file():
        return next(iter(_gathered([path.name])), None) if not path.is_symlink() else None
    return path.name if path.name in _gathered(list(loose_files(path))) else None


def _offer(path: Path, name: str, *, deep: bool = True) -> Offer:
    size, fingerprint = _fingerprint(path, deep=deep)
    return Offer(provider=NAME, id=str(path), name=name, source=str(path), fingerprint=fingerprint, size=size, state="fetched")


def _fingerprint(path: Path, *, deep: bool) -> tuple[int, str]:
    """Bytes, and a digest over the names, sizes and times of all files: cheap, and another one after every change.

    Not `deep`: of the uppermost files only, for a folder that may be anything."""
    entries = sorted(_files(path, deep=deep))
    lines = "".join(f"{name}\0{size}\0{mtime}\n" for name, size, mtime in entries)
    return sum(size for _, size, _ in entries), hashlib.sha256(lines.encode("utf-8", "surrogateescape")).hexdigest()


def _files(path: Path, *, deep: bool) -> Iterator[tuple[str, int, int]]:
    """(relative name, bytes, modification time in ns) of each file."""
    loose = loose_files(path)
    for name, (file, size) in loose.items():
        yield name, size, file.stat().st_mtime_ns
    if loose:
        return
    if not path.is_dir():
        status = path.stat()
        yield path.name, status.st_size, status.st_mtime_ns
        return
    for folder, below, names in os.walk(path):
        if not deep:
            below.clear()
        for name in names:
            file = Path(folder, name)
            status = file.lstat()
            yield str(file.relative_to(path)), status.st_size, status.st_mtime_ns
