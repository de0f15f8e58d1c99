"""The `$filter` of OData.CSC, as far as CDSE documents it, over records of an archive."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

Getter = Callable[[str], Any]
"""Property path → value of one product."""
Predicate = Callable[[Getter], bool]

TOKEN = re.compile(
    r"""\s*(?:
      (?P<area>geography'[^']*')
    | (?P<string>'(?:[^']|'')*')
    | (?P<time>\d{4}-\d\d-\d\d(?:T\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:\d\d)?)?)
    | (?P<number>-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)
    | (?P<word>[A-Za-z_][\w./]*)
    | (?P<mark>[(),:=])
    )""",
    re.VERBOSE,
)
COMPARE: Mapping[str, Callable[[Any, Any], bool]] = {
    "eq": lambda a, b: bool(a == b),
    "ne": lambda a, b: bool(a != b),
    "gt": lambda a, b: bool(a > b),
    "ge": lambda a, b: bool(a >= b),
    "lt": lambda a, b: bool(a < b),
    "le": lambda a, b: bool(a <= b),
}
TEXT: Mapping[str, Callable[[str, str], bool]] = {
    "contains": lambda text, part: part in text,
    "startswith": lambda text, part: text.startswith(part),
    "endswith": lambda text, part: text.endswith(part),
}
TYPES: Mapping[str, type | tuple[type, ...]] = {
    "StringAttribute": str,
    "DoubleAttribute": (float, int),
    "IntegerAttribute": int,
    "DateTimeOffsetAttribute": datetime,
    "BooleanAttribute": bool,
}
PROPERTIES = frozenset(
    {"Name", "Id", "Online", "ContentLength", "Collection/Name", "ContentDate/Start", "ContentDate/End"}
    | {"PublicationDate", "ModificationDate", "OriginDate", "DeletionDate", "DeletionCause", "S3Path"}
)


class BadFilter(Exception):
    """The catalogue would not understand it."""


@dataclass(slots=True)
class _Tokens:
    items: Sequence[tuple[str, str]]
    at: int = 0

    def peek(self) -> tuple[str, str]:
        return self.items[self.at] if self.at < len(self.items) else ("end", "")

    def take(self, *expected: str) -> str:
        kind, text = self.peek()
        if expected and text.lower() not in expected and kind not in expected:
            raise BadFilter(f"unexpected {text or 'end'!r}, wanted {' or '.join(expected)}")
        self.at += 1
        return text


def parse_filter(text: str, *, integers_as_strings: bool = False) -> Predicate:
    """The condition that a `$filter` states. Raises BadFilter.

    `integers_as_strings`: integer attributes are only found through `StringAttribute/any(…)`, as in 2023."""
    items: list[tuple[str, str]] = []
    at = 0
    while text[at:].strip():
        found = TOKEN.match(text, at)
        if found is None or found.lastgroup is None:
            raise BadFilter(f"unexpected {text[at : at + 20]!r}")
        items.append((found.lastgroup, found[found.lastgroup]))
        at = found.end()
    tokens = _Tokens(items)
    predicate = _Parser(tokens, integers_as_strings=integers_as_strings).either()
    tokens.take("end")
    return predicate


class _Parser:
    def __init__(self, tokens: _Tokens, *, integers_as_strings: bool) -> None:
        self._tokens, self._as_strings = tokens, integers_as_strings
        self._variable = ""
        """Of the `any(…)` that is being read."""

    def either(self) -> Predicate:
        """Terms joined by `or`."""
        terms = [self._both()]
        while self._tokens.peek()[1].lower() == "or":
            self._tokens.take()
            terms.append(self._both())
        return terms[0] if len(terms) == 1 else lambda get: any(term(get) for term in terms)

    def _both(self) -> Predicate:
        terms = [self._one()]
        while self._tokens.peek()[1].lower() == "and":
            self._tokens.take()
            terms.append(self._one())
        return terms[0] if len(terms) == 1 else lambda get: all(term(get) for term in terms)

    def _one(self) -> Predicate:
        kind, text = self._tokens.peek()
        if text == "(":
            self._tokens.take()
            inner = self.either()
            self._tokens.take(")")
            return inner
        if text.lower() == "not":
            self._tokens.take()
            term = self._one()
            return lambda get: not term(get)
        if kind != "word":
            raise BadFilter(f"unexpected {text or 'end'!r}")
        word = self._tokens.take()
        if word in TEXT:
            return self._text(word)
        if word == "OData.CSC.Intersects":
            return self._intersects()
        if word.startswith("Attributes/OData.CSC.") and word.endswith("/any"):
            return self._any(word.removeprefix("Attributes/OData.CSC.").removesuffix("/any"))
        return self._comparison(word)

    def _text(self, function: str) -> Predicate:
        self._tokens.take("(")
        name = self._tokens.take("word")
        self._tokens.take(",")
        part = _literal("string", self._tokens.take("string"))
        self._tokens.take(")")
        _known(name)
        return lambda get: TEXT[function](str(get(name) or ""), part)

    def _intersects(self) -> Predicate:
        self._tokens.take("(")
        self._tokens.take("area")
        self._tokens.take("=")
        area = _area(self._tokens.take("area"))
        self._tokens.take(")")
        return lambda get: (shape := get("shape")) is not None and bool(area.intersects(shape))

    def _any(self, kind: str) -> Predicate:
        if kind not in TYPES:
            raise BadFilter(f"no attributes of type {kind}")
        self._tokens.take("(")
        variable = self._tokens.take("word")
        self._tokens.take(":")
        self._variable = variable
        inner = self.either()
        self._variable = ""
        self._tokens.take(")")
        as_strings = self._as_strings

        def holds(get: Getter) -> bool:
            attributes: Mapping[str, Any] = get("Attributes")
            return any(inner(_Attribute(variable, name, value, kind, as_strings)) for name, value in attributes.items())

        return holds

    def _comparison(self, name: str) -> Predicate:
        if not self._variable or not name.startswith(f"{self._variable}/"):
            _known(name)
        compare = COMPARE[self._tokens.take(*COMPARE).lower()]
        kind, text = self._tokens.peek()
        self._tokens.take("string", "time", "number", "word")
        wanted = _literal(kind, text)

        def holds(get: Getter) -> bool:
            value = get(name)
            if isinstance(value, datetime) and isinstance(wanted, str):
                return False
            try:
                return value is not None and compare(value, wanted)
            except TypeError:
                return False  # a number and a text

        return holds


def _known(name: str) -> None:
    if name not in PROPERTIES:
        raise BadFilter(f"Invalid field: {name}")


@dataclass(frozen=True, slots=True)
class _Attribute:
    """What the paths inside `any(…)` mean for one attribute."""

    variable: str
    name: str
    value: Any
    kind: str
    as_strings: bool

    def __call__(self, path: str) -> Any:
        """None where the types do not agree."""
        if path == f"{self.variable}/Name":
            return self.name
        wanted = path.removeprefix(f"{self.variable}/OData.CSC.").removesuffix("/Value")
        if (
            wanted not in TYPES
            or not isinstance(self.value, TYPES[wanted])
            or (isinstance(self.value, bool) and wanted != "BooleanAttribute")
        ):
            return None
        if isinstance(self.value, int) and self.as_strings:
            return self.value if self.kind == "StringAttribute" else None
        return self.value if self.kind in {wanted, "StringAttribute"} else None


def _literal(kind: str, text: str) -> Any:
    if kind == "string":
        return text[1:-1].replace("''", "'")
    if kind == "number":
        return float(text) if any(mark in text for mark in ".eE") else int(text)
    if kind == "time":
        moment = datetime.fromisoformat(text)
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    if text.lower() in {"true", "false"}:
        return text.lower() == "true"
    raise BadFilter(f"unexpected {text!r}")


def _area(text: str) -> Any:
    import shapely

    srid, _, wkt = text.removeprefix("geography'").removesuffix("'").partition(";")
    if srid != "SRID=4326":
        raise BadFilter("only SRID=4326")
    try:
        return shapely.from_wkt(wkt)
    except shapely.errors.GEOSException as error:
        raise BadFilter(f"Invalid geography: {wkt[:60]}") from error
