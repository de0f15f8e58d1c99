"""Names of archive members: what may become a path in the workspace."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, field

from eolake.catalog.errors import UnsafeProduct
from eolake.catalog.safe.limits import Limits

CONTROL = re.compile(r"[\x00-\x1f\x7f\\]")
DRIVE = re.compile(r"^[A-Za-z]:")
COMPONENT_BYTES = 255
UNSEEN = frozenset({"Cc", "Cf", "Co", "Cs", "Zl", "Zp"})
"""Unicode categories of what no provider writes into a name: it turns the text around, is not seen, or is not text."""


def expected_names(*endings: str, folders: int) -> re.Pattern[str]:
    """For `open_product`: names in plain letters with one of these endings, or with none, at most that many folders deep.

    Nothing else belongs into a product: no hidden file, no archive within the archive, no program."""
    ends = "|".join(re.escape(ending) for ending in endings)
    plain = r"[A-Za-z0-9_][A-Za-z0-9_+-]*"
    return re.compile(rf"(?:[A-Za-z0-9_][A-Za-z0-9_.+-]*/){{0,{folders}}}{plain}(?:(?:\.{plain})*?\.(?:{ends}))?", re.IGNORECASE)


@dataclass(slots=True, kw_only=True)
class Names:
    """The names seen so far in one archive."""

    archive: str
    limits: Limits
    expected: Callable[[str], bool] | None = None
    """Says whether a name has a place in such a product."""
    count: int = 0
    files: set[str] = field(default_factory=set)
    """As `_key` has them."""
    folders: set[str] = field(default_factory=set)

    def folder(self, raw: str) -> None:
        """Note a folder; UnsafeProduct when its name is not safe."""
        self._count()
        name = self._clean(raw)
        if name:
            self._claim_folders([*name.split("/"), ""], raw)

    def file(self, raw: str) -> str:
        """The member's relative path, with `/`; UnsafeProduct when it is not safe or comes twice."""
        self._count()
        name = self._clean(raw)
        if not name:
            raise self.refusal(raw, "it has no name")
        if self.expected is not None and not self.expected(name):
            raise self.refusal(raw, "no file of such a product is called so")
        key = _key(name)
        if key in self.files or key in self.folders:
            raise self.refusal(raw, "the name comes twice")
        self._claim_folders(name.split("/"), raw)
        self.files.add(key)
        return name

    def header(self) -> None:
        """Count a header that belongs to another member."""
        self._count()

    def refusal(self, raw: str, why: str) -> UnsafeProduct:
        """The error that names archive, member and cause."""
        return UnsafeProduct(f"{self.archive}: member {raw[:200]!r} is refused: {why}")

    def _count(self) -> None:
        self.count += 1
        if self.count > self.limits.members:
            raise UnsafeProduct(f"{self.archive} has more than {self.limits.members:,} members")

    def _clean(self, raw: str) -> str:
        if len(raw) > self.limits.name_length:
            raise self.refusal(raw, f"its name has more than {self.limits.name_length} characters")
        if CONTROL.search(raw):
            raise self.refusal(raw, "a control character or backslash stands in its name")
        if any(unicodedata.category(character) in UNSEEN for character in raw):
            raise self.refusal(raw, "a character that is not seen, or no character, stands in its name")
        if raw.startswith("/") or DRIVE.match(raw):
            raise self.refusal(raw, "its path is absolute")
        parts = [part for part in raw.split("/") if part not in {"", "."}]
        if ".." in parts:
            raise self.refusal(raw, "its path leaves the archive")
        if any(len(part.encode("utf-8", "surrogateescape")) > COMPONENT_BYTES for part in parts):
            raise self.refusal(raw, f"a part of its name has more than {COMPONENT_BYTES} bytes")
        if len(parts) > self.limits.depth:
            raise self.refusal(raw, f"it lies deeper than {self.limits.depth} folders")
        return "/".join(parts)

    def _claim_folders(self, parts: list[str], raw: str) -> None:
        for depth in range(1, len(parts)):
            folder = _key("/".join(parts[:depth]))
            if folder in self.files:
                raise self.refusal(raw, "its folder is a file in the same archive")
            self.folders.add(folder)


def _key(name: str) -> str:
    """The same for names that some file system takes for one: it ignores case, composes accents, drops dots and spaces at the end."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    return "/".join(part.rstrip(". ") for part in folded.split("/"))
