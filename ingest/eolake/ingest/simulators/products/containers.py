"""Directories, tar and zip files as the providers pack them; byte for byte the same for the same content."""

from __future__ import annotations

import io
import shutil
import tarfile
import zipfile
from datetime import datetime
from pathlib import Path
from typing import Literal

Container = Literal["dir", "tar", "tar.gz", "zip"]


def pack(folder: Path, container: Container, *, when: datetime, wrap: bool) -> Path:
    """Packs the product in `folder` and removes the folder; `wrap` keeps its name as the top folder of the members.

    Returns the path of the product: the folder itself for `dir`."""
    if container == "dir":
        return folder
    target = folder.parent / f"{folder.name.removesuffix('.SAFE').removesuffix('.SEN3')}.{container}"
    members = [(f"{folder.name}/{path.relative_to(folder)}" if wrap else str(path.relative_to(folder)), path) for path in _files(folder)]
    partial = target.with_name(f".{target.name}.part")
    (_zip if container == "zip" else _tar)(partial, members, when)
    partial.rename(target)
    shutil.rmtree(folder)
    return target


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _tar(target: Path, members: list[tuple[str, Path]], when: datetime) -> None:
    with tarfile.open(target, "w", format=tarfile.USTAR_FORMAT) as archive:
        for name, path in members:
            member = tarfile.TarInfo(name)
            member.size, member.mtime, member.mode = path.stat().st_size, int(when.timestamp()), 0o644
            archive.addfile(member, io.BytesIO(path.read_bytes()))
    if target.name.endswith(".gz.part"):
        _gzip(target)


def _gzip(target: Path) -> None:
    import gzip

    target.write_bytes(gzip.compress(target.read_bytes(), 1, mtime=0))


def _zip(target: Path, members: list[tuple[str, Path]], when: datetime) -> None:
    stamp = when.timetuple()[:6]
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for name, path in members:
            member = zipfile.ZipInfo(name, stamp)
            member.external_attr = 0o644 << 16
            archive.writestr(member, path.read_bytes())
