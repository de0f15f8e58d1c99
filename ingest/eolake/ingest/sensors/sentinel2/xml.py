"""Metadata of ESA, read by the local names of its elements.

Namespaces carry the version of the format (PSD 12, 13, 14, 15) and Level-2A products before 2018 say
`L2A_Product_Info` for `Product_Info`: neither matters here.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from eolake.catalog import safe
from eolake.catalog.errors import BadProduct

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element


def local(element: Element) -> str:
    """The name of an element without namespace and `L2A_`."""
    return element.tag.rpartition("}")[2].removeprefix("L2A_")


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """An element and the file it stands in, for errors."""

    element: Element
    path: Path

    @property
    def name(self) -> str:
        """Its local name."""
        return local(self.element)

    def all(self, steps: str) -> list[Node]:
        """Every element at a path of local names, below this one: `General_Info/Product_Info`."""
        found = [self.element]
        for step in steps.split("/"):
            found = [child for parent in found for child in parent if local(child) == step]
        return [Node(element=element, path=self.path) for element in found]

    def first(self, steps: str) -> Node | None:
        """The first of them."""
        return next(iter(self.all(steps)), None)

    def node(self, steps: str) -> Node:
        """The first of them; BadProduct when there is none."""
        found = self.first(steps)
        if found is None:
            raise BadProduct(f"{self.path} has no element {steps}")
        return found

    def attribute(self, name: str) -> str:
        """An attribute; BadProduct when it is missing."""
        value = self.element.get(name)
        if value is None:
            raise BadProduct(f"{self.path}: {self.name} has no attribute {name}")
        return value

    def find(self, steps: str) -> str | None:
        """The text there, stripped; None when there is no such element or nothing in it."""
        found = self.first(steps)
        return ((found.element.text or "").strip() or None) if found else None

    def text(self, steps: str) -> str:
        """The text there; BadProduct when it is missing."""
        value = self.find(steps)
        if value is None:
            raise BadProduct(f"{self.path} has no value in {steps}")
        return value

    def number(self, steps: str) -> float:
        """The finite number there; BadProduct when it is missing or something else."""
        return number(self.text(steps), f"{self.path}: {steps}")

    def maybe_number(self, steps: str, lowest: float = -math.inf, highest: float = math.inf) -> float | None:
        """The number there; None when there is none or it is NaN, as angles of empty tiles are; BadProduct when out of bounds."""
        value = self.find(steps)
        if value is None or value.lower() == "nan":
            return None
        found = number(value, f"{self.path}: {steps}")
        if not lowest <= found <= highest:
            raise BadProduct(f"{self.path}: {steps} is {found:g}, outside of {lowest:g} to {highest:g}")
        return found

    def azimuth(self, steps: str) -> float | None:
        """The angle there, 0 to 360 degrees; None as above."""
        found = self.maybe_number(steps, -360, 360)
        return None if found is None else found % 360

    def matching(self, steps: str, pattern: str) -> str:
        """The text there; BadProduct when it is missing or has another form."""
        value = self.text(steps)
        if re.fullmatch(pattern, value) is None:
            raise BadProduct(f"{self.path}: {steps} is {value[:40]!r}, which is not like {pattern}")
        return value

    def time(self, steps: str) -> datetime:
        """The UTC time there; BadProduct when it is missing or none."""
        return time(self.text(steps), f"{self.path}: {steps}")


def read(path: Path) -> Node:
    """The root of an XML file, read through the gate."""
    return Node(element=safe.parse_xml(path), path=path)


def number(value: str, where: str) -> float:
    """A finite number; BadProduct names `where`."""
    try:
        found = float(value)
    except ValueError:
        raise BadProduct(f"{where} is not a number: {value[:40]!r}") from None
    if not math.isfinite(found):
        raise BadProduct(f"{where} is not a finite number: {value[:40]!r}")
    return found


def integer(value: str, where: str) -> int:
    """A whole number; BadProduct names `where`."""
    found = number(value, where)
    if not found.is_integer():
        raise BadProduct(f"{where} is not a whole number: {value[:40]!r}")
    return int(found)


def time(value: str, where: str) -> datetime:
    """An ISO 8601 time as aware UTC (ESA writes all times in UTC); BadProduct names `where`."""
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        raise BadProduct(f"{where} is not a time: {value[:40]!r}") from None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
