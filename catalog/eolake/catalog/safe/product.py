"""A product on disk, opened: which files it has and where."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from eolake.catalog.errors import BadProduct, UnsafeProduct
from eolake.catalog.safe.archives import unpack
from eolake.catalog.safe.limits import Limits

ARCHIVES: Final = (".tar.gz", ".tgz", ".tar", ".zip")
PACKAGES: Final = (".safe", ".sen3", ".nc")


def product_name(path: Path | str) -> str:
    """The provider's product name: the file name without .tar.gz, .tgz, .tar, .zip, .SAFE, .SEN3 and .nc."""
    name = Path(path).name
    for ending in (*ARCHIVES, *PACKAGES):
        if name.lower().endswith(ending) and len(name) > len(ending):
            name = name[: -len(ending)]
    return name


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """The wanted files of one product."""

    path: Path
    """As the provider delivered it: a directory, an archive, a file."""
    name: str
    root: Path
    """What the relative names are relative to."""
    files: Mapping[str, Path]
    """By relative name, with `/`; an only top folder of an archive is left out, as for a directory."""
    members: Mapping[str, int] = field(default_factory=dict)
    """Bytes of every file that the product has, wanted or not, by relative name."""

    def find_all(self, pattern: re.Pattern[str]) -> dict[str, Path]:
        """The files in whose relative name the pattern is found, sorted by name."""
        return {name: self.files[name] for name in sorted(self.files) if pattern.search(name)}

    def find(self, pattern: re.Pattern[str]) -> Path:
        """The one file in whose relative name the pattern is found; BadProduct when there is none or another."""
        found = self.find_all(pattern)
        if len(found) != 1:
            what = f"has {len(found)} files" if found else "has no file"
            raise BadProduct(f"{self.path} {what} like {pattern.pattern}{': ' if found else ''}{', '.join(list(found)[:5])}")
        return next(iter(found.values()))


def open_product(
    path: Path,
    workspace: Path,
    *,
    wanted: re.Pattern[str],
    expected: re.Pattern[str] | None = None,
    limits: Limits = Limits(),  # noqa: B008 - frozen
) -> Product:
    """The files of a product in whose relative name `wanted` is found (`re.search`).

    A directory is read in place; links in it are refused. Of an archive (zip, tar, tar.gz: told by content) only the
    wanted members are written, below `workspace`, which must exist; every member's name, wanted or not, has to match
    `expected` (`re.fullmatch`, with or without the top folder; see `expected_names`). Any other file is a product of one
    file. Where nothing lies, the files beside it whose names begin with its name are the product.
    Raises BadProduct when it is cut off or damaged, UnsafeProduct when it attacks or exceeds a limit.
    """
    loose = loose_files(path, limits)
    if loose:
        files = {name: file for name, (file, _) in loose.items() if wanted.search(name)}
        sizes = {name: size for name, (_, size) in loose.items()}
        return Product(path=path, name=path.name, root=path.parent.resolve(), files=files, members=sizes)
    try:
        place = path.resolve(strict=True)
    except ValueError:
        raise UnsafeProduct(f"{str(path)!r} is no name of a file: a NUL stands in it") from None
    except OSError as error:
        raise BadProduct(f"{path} can not be opened: {error.strerror}") from error
    name = product_name(path)
    if place.is_dir():
        there = {relative: (file, size) for relative, file, size in _walk(place, limits)}
        files = {relative: file for relative, (file, _) in there.items() if wanted.search(relative)}
        return Product(path=path, name=name, root=place, files=files, members={relative: size for relative, (_, size) in there.items()})
    if path.name.lower().endswith(ARCHIVES):
        return _open_archive(path, place, workspace, wanted, expected, limits)
    return Product(path=path, name=name, root=place.parent, files={place.name: place}, members={place.name: place.stat().st_size})


def loose_files(path: Path, limits: Limits = Limits()) -> dict[str, tuple[Path, int]]:  # noqa: B008 - frozen
    """Path and size, by name, of the files side by side whose names begin with the name of `path`, at which nothing itself lies.

    None where something lies there. UnsafeProduct when one of them is no plain file, or beyond the limits."""
    if os.path.lexists(path) or not path.name or not path.parent.is_dir():
        return {}
    found: dict[str, tuple[Path, int]] = {}
    with os.scandir(path.parent.resolve()) as entries:
        for entry in entries:
            if not entry.name.startswith(path.name) or entry.name[len(path.name) :][:1].isalnum():
                continue
            if not entry.is_file(follow_symlinks=False):
                raise UnsafeProduct(f"{entry.path} is refused: it is a link, a folder or another thing that is not a plain file")
            found[entry.name] = (Path(entry.path), _size(entry, limits))
            if len(found) > limits.members:
                raise UnsafeProduct(f"more than {limits.members:,} files begin with {path}")
    return dict(sorted(found.items()))


def _open_archive(
    path: Path, place: Path, workspace: Path, wanted: re.Pattern[str], expected: re.Pattern[str] | None, limits: Limits
) -> Product:
    """Members are matched with and without their top folder, for only the end tells whether it is the only one."""

    def either(name: str) -> bool:
        return bool(wanted.search(name) or wanted.search(name.partition("/")[2]))

    def placed(name: str) -> bool:
        return expected is None or bool(expected.fullmatch(name) or expected.fullmatch(name.partition("/")[2]))

    sizes = unpack(place, workspace, either, limits, placed)
    top = _only_folder(list(sizes))
    root = workspace / top if top else workspace
    members = {name.removeprefix(f"{top}/") if top else name: size for name, size in sizes.items()}
    files = {name: root / name for name in members if wanted.search(name)}
    return Product(path=path, name=product_name(path), root=root, files=files, members=members)


def _only_folder(names: list[str]) -> str | None:
    tops = {name.partition("/")[0] for name in names}
    return tops.pop() if len(tops) == 1 and all("/" in name for name in names) else None


def _walk(root: Path, limits: Limits) -> Iterator[tuple[str, Path, int]]:
    """Relative name, path and size of the regular files below `root`; UnsafeProduct at anything that is neither file nor folder."""
    count = 0
    folders = [root]
    while folders:
        with os.scandir(folders.pop()) as entries:
            for entry in sorted(entries, key=lambda e: e.name):
                count += 1
                if count > limits.members:
                    raise UnsafeProduct(f"{root} has more than {limits.members:,} entries")
                if entry.is_dir(follow_symlinks=False):
                    folders.append(Path(entry.path))
                elif entry.is_file(follow_symlinks=False):
                    yield Path(entry.path).relative_to(root).as_posix(), Path(entry.path), _size(entry, limits)
                else:
                    raise UnsafeProduct(f"{entry.path} is refused: it is a link, a device or another thing that is not a plain file")


def _size(entry: os.DirEntry[str], limits: Limits) -> int:
    size = entry.stat(follow_symlinks=False).st_size
    if size > limits.member_bytes:
        raise UnsafeProduct(f"{entry.path} has {size:,} bytes, more than {limits.member_bytes:,}")
    return size
