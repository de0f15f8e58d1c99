"""The metadata file of a Landsat product (`*_MTL.txt`, `.json`, `.xml`) as groups of values.

Two dialects share three formats: `L1_METADATA_FILE` (before and in Collection 1) and
`LANDSAT_METADATA_FILE` (Collection 2). Keys repeat from group to group (a Level-2 file names the bands
of its Level-1 parent under LEVEL1_PROCESSING_RECORD), so a value is always asked for by its group.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eolake.catalog import safe
from eolake.catalog.errors import BadProduct

ROOTS = ("LANDSAT_METADATA_FILE", "L1_METADATA_FILE")
LIMIT = 1 << 20
"""bytes; real ones have 8 to 70 kB"""

Groups = list[tuple[str, dict[str, str]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mtl:
    """The groups of one metadata file, in its order."""

    source: str
    """The file's name, for messages."""
    root: str
    """One of ROOTS."""
    groups: tuple[tuple[str, Mapping[str, str]], ...]
    """(name, values without quotes); a group's name may repeat."""

    @property
    def collection2(self) -> bool:
        """True for the dialect of Collection 2."""
        return self.root == "LANDSAT_METADATA_FILE"

    def find(self, group: str, key: str) -> str | None:
        """The value of the first group of that name that has the key; None when there is none, or it is empty or NULL."""
        for name, values in self.groups:
            value = values.get(key) if name == group else None
            if value is not None and value.upper() not in {"", "NULL"}:
                return value
        return None

    def get(self, group: str, key: str) -> str:
        """Like `find`; BadProduct when there is none."""
        value = self.find(group, key)
        if value is None:
            raise BadProduct(f"{self.source}: {group} has no {key}")
        return value

    def number(self, group: str, key: str) -> float:
        """`get` as a finite number; BadProduct when it is none."""
        return self._number(group, key, self.get(group, key))

    def find_number(self, group: str, key: str) -> float | None:
        """`find` as a finite number."""
        value = self.find(group, key)
        return None if value is None else self._number(group, key, value)

    def group(self, name: str) -> Mapping[str, str]:
        """All values of the groups of that name; the first one wins."""
        return {key: value for found, values in reversed(self.groups) if found == name for key, value in values.items()}

    def _number(self, group: str, key: str, text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not -1e300 < value < 1e300:
            raise BadProduct(f"{self.source}: {group}/{key} is {text!r}, not a number")
        return value


def read(path: Path) -> Mtl:
    """The metadata file at `path`, in the format that its ending names. BadProduct when it is not one."""
    reader = {".txt": _text, ".json": _json, ".xml": _xml}.get(path.suffix.lower())
    if reader is None:
        raise BadProduct(f"{path.name} is no Landsat metadata file; its ending is none of .txt, .json, .xml")
    root, groups = reader(path)
    if root not in ROOTS or not groups:
        raise BadProduct(f"{path.name} is no Landsat metadata file; it begins with {root!r} instead of {' or '.join(ROOTS)}")
    return Mtl(source=path.name, root=root, groups=tuple(groups))


def _text(path: Path) -> tuple[str, Groups]:
    """ODL: `GROUP = NAME`, `KEY = value`, `END_GROUP = NAME`, `END`; some files are padded with blanks after it."""
    root, groups, open_groups = "", Groups(), list[str]()
    for key, value in _statements(path):
        if key == "GROUP":
            root = root or value
            open_groups.append(value)
            if len(open_groups) == 2:
                groups.append((value, {}))
        elif key == "END_GROUP":
            if not open_groups or open_groups.pop() != value:
                raise BadProduct(f"{path.name}: END_GROUP = {value} closes a group that is not open")
        elif len(open_groups) != 2:
            raise BadProduct(f"{path.name}: {key} stands in {'/'.join(open_groups) or 'no group'}; values stand two groups deep")
        else:
            groups[-1][1][key] = value
    if open_groups:
        raise BadProduct(f"{path.name} is cut off: {'/'.join(open_groups)} is not closed")
    return root, groups


def _statements(path: Path) -> Iterator[tuple[str, str]]:
    for line in safe.read_text(path, LIMIT).splitlines():
        statement = line.strip().strip("\0")
        if statement == "END":
            return
        if statement:
            key, equals, value = statement.partition("=")
            if not equals:
                raise BadProduct(f"{path.name} is no Landsat metadata file; it has the line {statement[:80]!r}")
            yield key.strip(), value.strip().strip('"')


def _json(path: Path) -> tuple[str, Groups]:
    """Pairs are kept as lists while parsing: an object with a repeated key would lose all but the last."""
    try:
        document = json.loads(safe.read_text(path, LIMIT), object_pairs_hook=list)
    except (ValueError, RecursionError) as error:
        raise BadProduct(f"{path.name} is not JSON: {error}") from error
    if not isinstance(document, list) or len(document) != 1 or not isinstance(document[0], tuple):
        return "", []
    root, members = document[0]
    return root, [(name, _strings(path, values)) for name, values in _pairs(path, members)]


def _strings(path: Path, values: Any) -> dict[str, str]:
    return {key: "" if value is None else str(value) for key, value in _pairs(path, values)}


def _pairs(path: Path, members: Any) -> list[tuple[str, Any]]:
    if not isinstance(members, list) or not all(isinstance(member, tuple) for member in members):
        raise BadProduct(f"{path.name}: groups of values are expected, not {str(members)[:80]!r}")
    return members


def _xml(path: Path) -> tuple[str, Groups]:
    root = safe.parse_xml(path)
    return root.tag, [(group.tag, {value.tag: (value.text or "").strip() for value in group}) for group in root]
