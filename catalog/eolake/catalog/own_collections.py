"""Where a lake's own collections are declared: `collections/*.yaml` beside its eolake.toml.

Set when the settings of a lake are loaded, in every process that works on it; `eolake.catalog.declaration` reads it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

FOLDER = "collections"


@dataclass(frozen=True, slots=True, kw_only=True)
class Own:
    """The declarations of one lake, as they lay there when they were looked for; a change of a file is another value."""

    folder: Path | None = None
    files: tuple[tuple[str, int, int], ...] = ()
    """Name, modification time in ns, bytes; sorted."""

    def path(self, name: str) -> Path | None:
        """The file of that name; None when there was none."""
        return self.folder / name if self.folder is not None and any(name == file for file, _, _ in self.files) else None


@dataclass(slots=True)
class _Current:
    own: Own


_current = _Current(Own())


def look_in(root: Path) -> None:
    """From now on the collections of the lake in that folder are declared beside the package's."""
    folder = root / FOLDER
    entries = sorted(folder.glob("*.yaml")) if folder.is_dir() else []
    stats = [(entry.name, entry.stat()) for entry in entries]
    _current.own = Own(folder=folder, files=tuple((name, status.st_mtime_ns, status.st_size) for name, status in stats))


def own() -> Own:
    """Those of the lake at hand."""
    return _current.own
