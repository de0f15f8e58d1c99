"""Product names: which sensing a product is one processing of, and which of its processings is the best.

The grammar of the names is data (`names.yaml`). Discovery asks with a name, conversion with the facts of the metadata
(`compose`), so that both come to the same scene key and rank.

What names can't tell:

- **Sentinel-2, datastrips.** Two complementary strips of one tile have the same sensing time, orbit, tile and baseline in
  their names, and so have two processings of one strip. The key ends in `@footprint`: its products compete only where
  their footprints overlap (strips share up to 60 % of the smaller one, processings of one strip 99.99 % and more). The
  begin of the datastrip is no help: strips are cut anew by later baselines. A strip so short that its neighbour contains
  nearly all of it is taken for another processing of its neighbour. Without footprints both are fetched, and the
  conversion, which knows them, decides.
- **Sentinel-2, baseline 99.99** is no baseline: somebody made the product with the toolbox. It ranks below all others.
- **Sentinel-2 before December 2016**: one product has all tiles of a strip; its tiles compete with later products of
  single tiles only after conversion. The copies that two receiving stations made of one strip overlap: the later stays.
- **Sentinel-3** frames shift by a second between NR and NT: cycle, orbit and the frame number rounded to three minutes stay.
  Stripes (altimetry, reduced resolution) are cut differently: they compete by time (`@time`).
- **Sentinel-1, HyP3**: no time of processing in the name. Where the provider does not tell it the greater suffix stays,
  which is arbitrary, but the same in any order of arrival.
- **Landsat** in catalogues that leave the date of processing out: such a product ranks below the same one with a date.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

EXTENSIONS = (".SAFE", ".SEN3", ".zip", ".tar.gz", ".tar", ".nc")
TOOLBOX = (99, 99)
"""The Sentinel-2 baseline of those who have none."""

Rank = tuple[int | str, ...]
Fields = Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneName:
    """What a name says."""

    scene_key: str
    """Of all processings of one sensing; see the docstring of the module for `@footprint` and `@time`."""
    rank: Rank
    """Orders the processings of one scene: the greatest stays."""
    tile: str | None = None
    """55JEJ (MGRS), 090084 (path and row)"""
    timeliness: str | None = None
    """NR, ST, NT; NRTI, OFFL, RPRO; RT for Landsat in real time"""
    start: datetime | None = None
    """Begin of sensing, of Landsat the day; aware UTC."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """One kind of names, as `names.yaml` describes it."""

    patterns: tuple[re.Pattern[str], ...]
    key: str
    rank: tuple[Mapping[str, Any], ...]
    start: str
    lower: tuple[str, ...]
    exact: tuple[str, ...]
    fixed: Fields
    times: Fields
    dates: Mapping[str, Sequence[Any]]
    nearest: Mapping[str, int]


def scene_of(name: str, *, start: datetime | None = None, attributes: Mapping[str, Any] | None = None) -> SceneName | None:
    """The scene of a product name, with or without extension; None when no family knows it.

    `start`: begin of sensing as the provider tells it, for names that don't; `attributes`: what else it tells."""
    text = bare(name)
    for family, made in families().items():
        for pattern in made.patterns:
            found = pattern.fullmatch(text)
            if found is not None:
                fields = {key: value for key, value in found.groupdict().items() if value is not None}
                return compose(family, fields, start=start, attributes=attributes)
    return None


def bare(name: str) -> str:
    """A name without the extensions of products and archives."""
    for extension in EXTENSIONS:
        if name.lower().endswith(extension.lower()):
            return bare(name[: -len(extension)])
    return name


def compose(family: str, fields: Fields, *, start: datetime | None = None, attributes: Mapping[str, Any] | None = None) -> SceneName | None:
    """The scene with these fields of a family; None when a date in them is none."""
    made = families()[family]
    known = {**made.fixed, **{key: value if key in made.exact else value.upper() for key, value in fields.items()}}
    for key in made.lower:
        known[key] = known[key].lower()
    if "tier" in known:
        known["final"] = "no" if known["tier"] == "RT" else "yes"
    for key, (parts, form) in made.dates.items():
        day = _moment("".join(known[part] for part in parts), form)
        if day is None:
            return None
        known[key] = f"{day:%Y-%m-%d}"
    for key, step in made.nearest.items():
        known[key] = f"{round(int(known[key]) / step) * step:04}"
    told = _moment(known[made.start], "%Y-%m-%d" if made.start in made.dates else made.times.get(made.start, ""))
    return SceneName(
        scene_key=made.key.format_map(known),
        rank=tuple(part for rule in made.rank for part in _ranked(rule, known, attributes or {})),
        tile=known.get("tile"),
        timeliness=known.get("timeliness") or ("RT" if known.get("tier") == "RT" else None),
        start=told or start,
    )


def _ranked(rule: Mapping[str, Any], fields: Fields, attributes: Mapping[str, Any]) -> Rank:
    ((kind, given),) = rule.items() if len(rule) == 1 else (("order", rule["order"]),)
    return _RULES[kind](rule, given, fields, attributes)


def _order(rule: Mapping[str, Any], field: str, fields: Fields, _: Mapping[str, Any]) -> Rank:
    steps = list(rule["of"])
    return (steps.index(fields[field]) if fields.get(field) in steps else -1,)


def _text(_: Mapping[str, Any], field: str, fields: Fields, __: Mapping[str, Any]) -> Rank:
    return (fields.get(field, ""),)


def _number(_: Mapping[str, Any], field: str, fields: Fields, __: Mapping[str, Any]) -> Rank:
    return (int(fields[field]),)


def _baseline(_: Mapping[str, Any], parts: Sequence[str], fields: Fields, __: Mapping[str, Any]) -> Rank:
    found = int(fields[parts[0]]), int(fields[parts[1]])
    return (0, 0) if found == TOOLBOX else found


def _told(_: Mapping[str, Any], names: Sequence[str], __: Fields, attributes: Mapping[str, Any]) -> Rank:
    values = (attributes.get(name) for name in names)
    return (next((moment for moment in map(_written, values) if moment), ""),)


_RULES: Mapping[str, Callable[[Mapping[str, Any], Any, Fields, Mapping[str, Any]], Rank]] = {
    "order": _order,
    "text": _text,
    "number": _number,
    "baseline": _baseline,
    "told": _told,
}


def _written(value: object) -> str:
    """A time as it sorts, to the second; '' when it is none."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return ""
    if not isinstance(value, datetime):
        return ""
    aware = value if value.tzinfo else value.replace(tzinfo=UTC)
    return f"{aware.astimezone(UTC):%Y%m%dT%H%M%S}"


def _moment(text: str, form: str) -> datetime | None:
    try:
        return datetime.strptime(text, form).replace(tzinfo=UTC) if form else None
    except ValueError:
        return None


@cache
def families() -> Mapping[str, Family]:
    """All families of names, in the order in which they are tried."""
    given = yaml.safe_load(files("eolake.ingest").joinpath("names.yaml").read_text("utf-8"))
    return {name: _family(table) for name, table in given["families"].items()}


def _family(table: Mapping[str, Any]) -> Family:
    return Family(
        patterns=tuple(re.compile(pattern, re.IGNORECASE | re.ASCII) for pattern in table["patterns"]),
        key=table["key"],
        rank=tuple({"order": rule["order"], "of": tuple(map(_word, rule["of"]))} if "order" in rule else rule for rule in table["rank"]),
        start=table["start"],
        lower=tuple(table["lower"]),
        exact=tuple(table.get("exact", ())),
        fixed=table.get("fixed", {}),
        times=table.get("times", {}),
        dates=table.get("dates", {}),
        nearest=table.get("nearest", {}),
    )


def _word(value: object) -> str:
    """YAML reads a bare yes and no as truth values."""
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)
