"""Footprints as providers write them, made into valid GeoJSON (RFC 7946).

Catalogues write GeoJSON, WKT, EWKT or GML, with rings that jump from 180° to -180°, run around a pole, or cross themselves.
An edge between two corners takes the shorter way around the Earth, as everywhere in satellite catalogues.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from xml.etree.ElementTree import Element

from eolake.catalog.errors import BadProduct

if TYPE_CHECKING:
    from shapely import LineString, Polygon
    from shapely.geometry.base import BaseGeometry

DIGITS = 6
"""Decimal places of a degree: 0.1 m."""
TEXT_BYTES = 4 << 20
DEPTH = 8
"""Nesting of parentheses or elements: deeper is an attack on the parser."""
GML = "http://www.opengis.net/gml"
EWKT = re.compile(r"^\s*(?:geography)?\s*'?\s*(?:SRID\s*=\s*4326\s*;)?\s*(?P<wkt>[A-Z].*?)\s*'?\s*$", re.IGNORECASE | re.DOTALL)
PROLOG = re.compile(r"^\s*<\?xml[^>]*\?>")

type Position = tuple[float, float]
type Path = list[Position]


def normalise(value: object) -> Mapping[str, Any] | None:
    """A GeoJSON geometry from GeoJSON (mapping or text), WKT, EWKT or GML (latitude first).

    Longitudes within ±180°, rings counter-clockwise, cut at the antimeridian, poles enclosed; degrees to 6 digits.
    None when there is nothing in it, or nothing that can be understood: never an error."""
    import numpy as np  # comes with shapely: both only when there is a footprint
    import shapely

    try:
        with np.errstate(all="ignore"):  # "1e400" is a warning of shapely's reader, and infinite
            geometry = _read(value)
            parts = [piece for part in _flat(geometry) for piece in _on_map(part)] if geometry is not None else []
            return _document(_apart(parts))
    except (shapely.errors.ShapelyError, BadProduct, ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError):
        return None


def _read(value: object) -> BaseGeometry | None:
    """The geometry as it is written, whatever its longitudes."""
    if isinstance(value, Mapping):
        return _from_mapping(value)
    if not isinstance(value, str) or not value.strip() or len(value) > TEXT_BYTES:
        return None
    text = value.strip()
    if text.startswith("{"):
        return _from_mapping(json.loads(text))
    return _from_gml(text) if text.startswith("<") else _from_wkt(text)


def _from_mapping(document: Mapping[str, Any]) -> BaseGeometry | None:
    from shapely.geometry import shape

    geometry = document.get("geometry") if document.get("type") == "Feature" else document
    if not geometry:
        return None
    found: BaseGeometry = shape(dict(geometry))
    return found


def _from_wkt(text: str) -> BaseGeometry | None:
    import shapely

    match = EWKT.match(text)
    if match is None or _depth(text) > DEPTH:
        return None
    return shapely.force_2d(shapely.from_wkt(match["wkt"]))


def _depth(text: str) -> int:
    depth = deepest = 0
    for character in text:
        depth += (character == "(") - (character == ")")
        deepest = max(deepest, depth)
    return deepest


def _from_gml(text: str) -> BaseGeometry | None:
    """Polygons of a GML text; a prefix without a declaration happens."""
    import shapely

    from eolake.catalog.safe.documents import xml_root

    wrapped = f'<gml:all xmlns:gml="{GML}">{PROLOG.sub("", text)}</gml:all>'
    try:
        root = xml_root(wrapped, "a footprint")
    except BadProduct:
        return None
    polygons = [_gml_polygon(element) for element in root.iter() if _local(element) == "Polygon"]
    return shapely.MultiPolygon(polygons) if polygons else None


def _gml_polygon(element: Element) -> Polygon:
    import shapely

    rings = {"outer": [], "inner": []}  # type: dict[str, list[Path]]
    for boundary in element:
        side = "inner" if _local(boundary) in {"innerBoundaryIs", "interior"} else "outer"
        rings[side].append(_gml_positions(boundary))
    return shapely.Polygon(rings["outer"][0], rings["inner"])


def _gml_positions(boundary: Element) -> Path:
    """Positions as (longitude, latitude); GML of EPSG:4326 has the latitude first."""
    words = [word for element in boundary.iter() if _local(element) in {"coordinates", "posList", "pos"} for word in _words(element.text)]
    numbers = [float(word) for word in words]
    return [(longitude, latitude) for latitude, longitude in zip(numbers[::2], numbers[1::2], strict=True)]


def _words(text: str | None) -> list[str]:
    return (text or "").replace(",", " ").split()


def _local(element: Element) -> str:
    return element.tag.rpartition("}")[2]


def _flat(geometry: BaseGeometry) -> Iterator[BaseGeometry]:
    """Single geometries; in a collection those of the highest dimension only."""
    import shapely

    parts: list[BaseGeometry] = [geometry]
    while any(hasattr(part, "geoms") for part in parts):
        parts = [single for part in parts for single in shapely.get_parts(part)]
    parts = [part for part in parts if not part.is_empty]
    highest = max((shapely.get_dimensions(part) for part in parts), default=0)
    return (part for part in parts if shapely.get_dimensions(part) == highest)


def _on_map(geometry: BaseGeometry) -> list[BaseGeometry]:
    """The pieces of one geometry, each valid and within ±180°."""
    import shapely

    if isinstance(geometry, shapely.Polygon):
        return [piece for piece in _cut(_valid(_unrolled(geometry))) if isinstance(piece, shapely.Polygon) and piece.area > 0]
    if isinstance(geometry, shapely.LineString):
        return [piece for piece in _cut(_unrolled_line(geometry)) if isinstance(piece, shapely.LineString) and piece.length > 0]
    [(longitude, latitude)] = _checked(geometry.coords)
    return [shapely.Point(_wrapped(longitude), latitude)]


def _apart(parts: list[BaseGeometry]) -> list[BaseGeometry]:
    """Polygons that do not overlap: a whole orbit crosses itself."""
    import shapely

    polygons = [part for part in parts if isinstance(part, shapely.Polygon)]
    if len(polygons) < 2 or shapely.MultiPolygon(polygons).is_valid:
        return parts
    return [part for part in _parts(_valid(shapely.unary_union(polygons))) if isinstance(part, shapely.Polygon) and part.area > 0]


def _checked(coordinates: Iterable[Sequence[float]]) -> Path:
    """Rounded positions on the Earth; ValueError for anything else (NaN too)."""
    path = [(round(float(c[0]), DIGITS), round(float(c[1]), DIGITS)) for c in coordinates]
    if not all(-360 <= longitude <= 360 and -90 <= latitude <= 90 for longitude, latitude in path):
        raise ValueError("a position that is not on the Earth")
    return path


def _continuous(path: Path) -> Path:
    """The same positions with longitudes that never jump."""
    if {abs(longitude) for longitude, _ in path} == {180.0} and len({longitude for longitude, _ in path}) == 2:
        return path  # the whole Earth: here the long way is meant
    found = path[:1]
    for longitude, latitude in path[1:]:
        before = found[-1][0]
        found.append((round(longitude - 360 * round((longitude - before) / 360), DIGITS), latitude))
    return found


def _unrolled(polygon: Polygon) -> Polygon:
    """The polygon with continuous longitudes, holes beside their outline; around a pole it goes up to the pole."""
    import shapely

    outline = _closed_at_pole(_checked(polygon.exterior.coords))
    middle = (min(x for x, _ in outline) + max(x for x, _ in outline)) / 2
    holes = [_near(_continuous(_checked(ring.coords)), middle) for ring in polygon.interiors]
    return shapely.Polygon(outline, [hole for hole in holes if hole[0] == hole[-1]])


def _closed_at_pole(path: Path) -> Path:
    """The ring with continuous longitudes. One that ends a whole turn away from its begin runs around the pole that it comes nearer to, and
    is opened where it is nearest: elsewhere a long one (half an orbit) would lie on both sides of the opening."""
    turned = _continuous(path)
    if abs(turned[-1][0] - turned[0][0]) < 180:
        return turned
    north, south = max(latitude for _, latitude in path), min(latitude for _, latitude in path)
    pole = 90.0 if north > -south else -90.0
    corners = path[:-1]
    first = min(range(len(corners)), key=lambda number: abs(pole - corners[number][1]))
    turned = _continuous([*corners[first:], *corners[: first + 1]])
    return [*turned, (turned[-1][0], pole), (turned[0][0], pole), turned[0]]


def _near(path: Path, longitude: float) -> Path:
    turns = round((longitude - path[0][0]) / 360)
    return [(x + 360 * turns, y) for x, y in path]


def _unrolled_line(line: LineString) -> LineString:
    import shapely

    return shapely.LineString(_continuous(_checked(line.coords)))


def _valid(geometry: BaseGeometry) -> BaseGeometry:
    import shapely

    return geometry if geometry.is_valid else shapely.make_valid(geometry)


def _cut(geometry: BaseGeometry) -> list[BaseGeometry]:
    """Pieces between the antimeridians, each moved to within ±180°."""
    import shapely

    west, _, east, _ = geometry.bounds
    first, last = math.floor((west + 180) / 360), math.ceil((east + 180) / 360) - 1
    if first >= last:
        return _parts(_moved(geometry, -first))
    pieces = []
    for turn in range(first, last + 1):
        piece = geometry.intersection(shapely.box(360 * turn - 180, -90, 360 * turn + 180, 90))
        pieces += _parts(_valid(_moved(piece, -turn)))
    return pieces


def _parts(geometry: BaseGeometry) -> list[BaseGeometry]:
    import shapely

    parts: list[BaseGeometry] = [geometry]
    while any(hasattr(part, "geoms") for part in parts):
        parts = [single for part in parts for single in shapely.get_parts(part)]
    return parts


def _moved(geometry: BaseGeometry, turns: int) -> BaseGeometry:
    """Moved by whole turns of the Earth and rounded; what does not move stays as it is."""
    import numpy as np
    import shapely

    if turns == 0:
        return geometry
    return shapely.transform(geometry, lambda points: np.round(np.add(points, (360 * turns, 0)), DIGITS))


def _wrapped(longitude: float) -> float:
    return longitude if -180 <= longitude <= 180 else round((longitude + 180) % 360 - 180, DIGITS)


def _document(parts: Sequence[BaseGeometry]) -> Mapping[str, Any] | None:
    """GeoJSON of pieces of one kind: the single one, or a multi-geometry."""
    if not parts:
        return None
    coordinates = [_coordinates(part) for part in parts]
    kind = parts[0].geom_type
    if len(parts) == 1:
        return {"type": kind, "coordinates": coordinates[0]}
    return {"type": f"Multi{kind}", "coordinates": coordinates}


def _coordinates(part: BaseGeometry) -> Any:
    """Lists, as JSON has them; outlines counter-clockwise, holes clockwise."""
    import shapely
    from shapely.geometry.polygon import orient

    if isinstance(part, shapely.Polygon):
        polygon = orient(part)
        return [[list(c) for c in ring.coords] for ring in (polygon.exterior, *polygon.interiors)]
    if isinstance(part, shapely.LineString):
        return [list(c) for c in part.coords]
    return list(part.coords[0])
