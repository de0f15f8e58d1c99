"""The nearest pixel of a swath for each cell of a grid.

Tile by tile of the grid, with the pixels around it on a conformal plane. Where they form a smooth net, a cell finds its pixel by stepping
through the net; where terrain moves them or the product repeats them (a fifth of OLCI's at the swath's sides), by stepping through a
smoothed net and looking at all pixels that its deviations leave possible; elsewhere (missing pixels, lines over each other) in a k-d tree.
Which it is follows from bounds, not from a guess: a net whose steps differ from their mean by less than themselves covers no place twice.
Each tile is on its own, so the result does not hang on threads. Of pixels at one place the last of the row is taken: OLCI's original, not
its duplicate.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from eolake.catalog.errors import BadProduct
from eolake.ingest.swath.target import Target, Window, unit

Array = np.ndarray[Any, Any]
TILE = 256
"""cells along the side of what is searched at once"""
REGION = 4
"""tiles along the side of a region, whose blocks are found first"""
SMALLEST = 64
"""A tile whose net is too uneven is cut in four, down to this side."""
BLOCK = 16
"""pixels along the side of what is near a tile or not"""
THREADS = 2
SCALE = float(1 << 30)
"""Places on the unit sphere are kept as integers of 6 mm: half the memory of floats of that precision."""
NOWHERE = np.iinfo(np.int32).min
APART = 5.0
"""Pixels further from each other than so many times the usual distance are no neighbours: lines are missing between them."""
EDGE = 0.5 + 1e-6
"""A pixel's side, in pixels from its centre."""
FLAT = 1e-4
"""Tiles whose radius times the pixels' distance (radians) is less are flat enough for a plane: distances are right to that share."""
EVEN = 0.3
"""Steps that differ by less than this share of themselves: the nearest pixel is the one stepped to, or beside it."""
SMOOTHING = 8
"""pixels along the sides of what is averaged for a smoothed net"""
BENT = 0.4
"""Steps of a smoothed net differ by this share of themselves at most."""
CANDIDATES = 81
"""A tree is as fast as to look at so many pixels for each cell."""
ROUNDS = 24
BASELINE = 4
"""pixels over which the swath's pace at its edge is measured"""
SIDES = ((-1, 0), (1, 0), (0, -1), (0, 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Swath:
    """The places of a swath's pixels."""

    points: Array
    """(3, rows, columns) int32: unit vectors × SCALE; NOWHERE without a place"""
    centres: Array
    """(blocks, 3): middle of each block's pixels, unit vectors × SCALE, float64"""
    radii: Array
    """(blocks,): of a ball around it with all its pixels"""
    corners: Array
    """(blocks, 4): the block's window: top, bottom, left, right"""
    spacing: float
    """degrees on the ground between neighbours, of nearly the widest"""

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return (int(self.points.shape[1]), int(self.points.shape[2]))

    @property
    def size(self) -> int:
        """Number of pixels."""
        return self.shape[0] * self.shape[1]

    def places(self) -> tuple[Array, Array, Array]:
        """Longitude, latitude and radius (degrees) of circles that hold all pixels and half a pixel more."""
        x, y, z = self.centres.T
        reach = np.degrees(self.radii / SCALE) + self.spacing
        return np.degrees(np.arctan2(y, x)), np.degrees(np.arctan2(z, np.hypot(x, y))), reach


# --- the swath ---


def swath(longitude: Array, latitude: Array) -> Swath:
    """The pixels at degrees; NaN, masked or impossible ones have no place. BadProduct when none has."""
    if longitude.shape != latitude.shape or longitude.ndim != 2:
        raise BadProduct(
            f"longitudes of {longitude.shape} and latitudes of {latitude.shape} pixels: both must have the same rows and columns"
        )
    if min(longitude.shape) < 2:
        raise BadProduct(f"a swath of {longitude.shape[0]} × {longitude.shape[1]} pixels has no extent: a grid needs at least 2 × 2")
    rows, columns = longitude.shape
    points = np.empty((3, rows, columns), np.int32)
    tops = range(0, rows, BLOCK)

    def line(top: int) -> tuple[Array, Array, Array]:
        part = slice(top, min(top + BLOCK, rows))
        _place(points[:, part], longitude[part], latitude[part])
        return _blocks(points[:, part], top)

    with ThreadPoolExecutor(THREADS) as threads:
        lines = list(threads.map(line, tops))
    centres, radii, corners = (np.concatenate(part) for part in zip(*lines, strict=True))
    if not len(centres):
        raise BadProduct("no pixel has coordinates: the swath has no place on Earth")
    return Swath(points=points, centres=centres, radii=radii, corners=corners, spacing=_spacing(points))


def _place(points: Array, longitude: Array, latitude: Array) -> None:
    east, north = (np.ma.filled(np.ma.asarray(part, np.float64), np.nan) for part in (longitude, latitude))
    known = (np.abs(east) <= 360.0) & (np.abs(north) <= 90.0)
    if known.all():
        points[:] = np.rint(unit(east, north) * SCALE)
    else:
        points[:] = np.where(known, np.rint(unit(np.where(known, east, 0.0), np.where(known, north, 0.0)) * SCALE), NOWHERE)


def _blocks(points: Array, top: int) -> tuple[Array, Array, Array]:
    """Of one line of blocks those with a pixel."""
    starts = np.arange(0, points.shape[2], BLOCK)
    nowhere = points[0] == NOWHERE
    low = np.minimum.reduceat(np.where(nowhere, np.iinfo(np.int32).max, points).min(1), starts, axis=1).astype(np.float64)
    high = np.maximum.reduceat(points.max(1), starts, axis=1).astype(np.float64)
    lefts = starts[high[0] != NOWHERE]
    low, high = low[:, high[0] != NOWHERE], high[:, high[0] != NOWHERE]
    rights = np.minimum(lefts + BLOCK, points.shape[2])
    corners = np.stack([np.full_like(lefts, top), np.full_like(lefts, top + points.shape[1]), lefts, rights], axis=1)
    return ((low + high) / 2).T, np.sqrt(((high - low) ** 2).sum(0)) / 2, corners


def _spacing(points: Array) -> float:
    """Degrees; the 99th percentile of a sample of the distances between neighbours."""
    found = []
    for axis in (1, 2):
        thin = points[:, :, :: max(1, points.shape[2] // 256)] if axis == 1 else points[:, :: max(1, points.shape[1] // 256)]
        starts = np.arange(0, points.shape[axis] - 1, max(1, points.shape[axis] // 256))
        near, far = np.take(thin, starts, axis), np.take(thin, starts + 1, axis)
        known = (near[0] != NOWHERE) & (far[0] != NOWHERE)
        found.append(np.sqrt(((far.astype(np.float64) - near) ** 2).sum(0))[known])
    apart = np.concatenate(found)
    if not apart.any():
        raise BadProduct("no two neighbouring pixels have coordinates of their own: the swath has no extent")
    return math.degrees(float(np.percentile(apart[apart > 0], 99)) / SCALE)


# --- tiles ---


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What is filled, tile by tile."""

    index: Array
    between: Array | None
    """(2, rows, columns) int16"""
    quantum: int


def nearest(found: Swath, frame: Target, *, offsets: int | None = None) -> tuple[Array, Array | None]:
    """For each cell the flat number of the nearest pixel, the number of pixels where there is none; with `offsets` also the cell's
    place between the pixels, in these parts of a pixel."""
    index = np.full(frame.shape, found.size, np.int32 if found.size < np.iinfo(np.int32).max else np.int64)
    result = Result(index=index, between=None if offsets is None else np.zeros((2, *frame.shape), np.int16), quantum=offsets or 1)
    every = np.arange(len(found.radii))

    def region(window: Window) -> None:
        some = frame.centres(window, step=TILE // 4).reshape(3, -1) * SCALE
        some = some[:, np.isfinite(some[0])]
        blocks = _near(found, Plane.around(some), every, 1.1) if some.size else every[:0]
        for tile in _windows(window, TILE) if len(blocks) else ():
            _tile(found, frame, tile, blocks, result)

    with ThreadPoolExecutor(THREADS) as threads:
        list(threads.map(region, _windows((slice(0, frame.shape[0]), slice(0, frame.shape[1])), TILE * REGION)))
    return index, result.between


def _windows(whole: Window, side: int) -> Iterator[Window]:
    rows, columns = whole
    for top in range(rows.start, rows.stop, side):
        for left in range(columns.start, columns.stop, side):
            yield slice(top, min(top + side, rows.stop)), slice(left, min(left + side, columns.stop))


def _tile(found: Swath, frame: Target, window: Window, blocks: Array, result: Result) -> None:
    """Fills the tile's part of the result."""
    cells = frame.centres(window).reshape(3, -1) * SCALE
    real = np.isfinite(cells[0])
    if not real.any():
        return
    plane = Plane.around(cells if real.all() else cells[:, real])
    blocks = _near(found, plane, blocks)
    if not len(blocks):
        return
    net = _net(found, plane, found.corners[blocks]) if real.all() and plane.flat(found) else None
    side = max(part.stop - part.start for part in window)
    if net is not None:
        chosen = _step(net, plane.put(cells), found)
    elif side > SMALLEST and plane.radius > 0:
        for part in _windows(window, max(SMALLEST, side // 2)):
            _tile(found, frame, part, blocks, result)
        return
    else:
        chosen = _search(found, plane, cells, real, blocks)
    if net is None or net.rough is not None:
        _originals(found, chosen)
    _settle(found, chosen, cells, window, result, net)


def _near(found: Swath, plane: Plane, blocks: Array, share: float = 1.0) -> Array:
    """Those of the blocks that hold the nearest pixels of a tile's cells, with their neighbours; of a tile wider by `share`."""
    margin = 3 * math.radians(found.spacing) * SCALE
    apart = np.sqrt(((found.centres[blocks] - plane.middle) ** 2).sum(1))
    near: Array = blocks[apart <= plane.radius * share + found.radii[blocks] + margin]
    return near


@dataclass(frozen=True, slots=True, kw_only=True)
class Plane:
    """A stereographic plane on a tile: conformal, so that what is nearest on it is nearest on the sphere."""

    middle: Array
    """(3,) where it touches the sphere, × SCALE, in whole numbers"""
    axes: Array
    """(3, 3): two on the plane, one upwards"""
    radius: float
    """of a ball around the middle with all cells, × SCALE"""

    @classmethod
    def around(cls, cells: Array) -> Plane:
        """The one in the middle of the cells."""
        middle = (cells.min(1) + cells.max(1)) / 2
        up = middle / max(float(np.linalg.norm(middle)), 1.0)
        aside = np.cross(up, np.eye(3)[int(np.argmin(np.abs(up)))])
        aside /= np.linalg.norm(aside)
        middle = np.rint(up * SCALE)
        radius = math.sqrt(float(((cells - middle[:, None]) ** 2).sum(0).max()))
        return cls(middle=middle, axes=np.stack([aside, np.cross(up, aside), up]), radius=radius)

    def flat(self, found: Swath) -> bool:
        """Whether distances on the plane are as good as those on the sphere."""
        return self.radius / SCALE * math.radians(found.spacing) < FLAT and self.radius < SCALE / 2

    def put(self, points: Array) -> Array:
        """Complex places, radians at the middle: (3, n) → (n,). Whole numbers in single precision (of the tile), others in double."""
        if points.dtype == np.int32:
            near = (points - self.middle.astype(np.int32)[:, None]).astype(np.float32)
        else:
            near = points - self.middle[:, None]
        x, y, z = (sum(map(np.multiply, axis.astype(near.dtype), near)) for axis in self.axes)  # a BLAS would start threads of its own
        places = np.empty(x.shape, np.complex64 if x.dtype == np.float32 else np.complex128)
        shrink = 2 / (2 * SCALE + z)
        np.multiply(x, shrink, out=places.real)
        np.multiply(y, shrink, out=places.imag)
        return places


# --- the net of pixels ---


@dataclass(frozen=True, slots=True, kw_only=True)
class Net:
    """The pixels around a tile in units of their mean steps: real part rows, imaginary part columns, from the window's corner."""

    places: Array
    """(rows, columns) complex64; smoothed when `rough` tells the real ones"""
    rough: Array | None
    corner: tuple[int, int]
    """The window's first row and column in the swath."""
    origin: complex
    turn: Array
    """(2, 2): plane to steps"""
    metric: Array
    """(2, 2): steps to squared distance"""
    uneven: float
    """How far the steps of `places` differ from the mean one, in steps, at most."""
    reach: tuple[int, int]
    """How many rows and columns the nearest pixel may lie from the one stepped to."""
    near: float = math.inf
    """A pixel nearer than this (in rows) is the nearest one, when none of the eight around the one stepped to is nearer."""

    def at_edge(self, found: Swath, row: Array, column: Array) -> Array:
        """Pixels that lack a neighbour, or may look as if they had one because they are repeated."""
        width = 1 if self.rough is None else BASELINE
        beside: Array = (row < width) | (row >= found.shape[0] - width) | (column < width) | (column >= found.shape[1] - width)
        return beside


def _net(found: Swath, plane: Plane, corners: Array) -> Net | None:
    """None where pixels are missing, or may lie over each other, or may lie anywhere."""
    top, left, bottom, right = int(corners[:, 0].min()), int(corners[:, 2].min()), int(corners[:, 1].max()), int(corners[:, 3].max())
    shape = (bottom - top, right - left)
    if min(shape) < 2 or shape[0] * shape[1] > 4 * BLOCK**2 * len(corners):
        return None
    points = found.points[:, top:bottom, left:right]
    if (points[0] == NOWHERE).any():
        return None
    places = plane.put(points.reshape(3, -1)).reshape(shape)
    down, across = (
        complex((places[-1] - places[0]).mean()) / (shape[0] - 1),
        complex((places[:, -1] - places[:, 0]).mean()) / (shape[1] - 1),
    )
    steps = np.array([[down.real, across.real], [down.imag, across.imag]])
    if not abs(np.linalg.det(steps)) > 0.3 * abs(down) * abs(across) > 0:
        return None
    turn, origin = np.linalg.inv(steps), complex(places.mean())
    _turn(places, origin, turn)
    places += np.complex64(complex(shape[0] - 1, shape[1] - 1) / 2)
    origin -= complex(*(steps @ (np.array(shape) - 1.0) / 2))
    return _graded(places, (top, left), origin, turn, steps.T @ steps)


def _graded(places: Array, corner: tuple[int, int], origin: complex, turn: Array, metric: Array) -> Net | None:
    low, high = np.linalg.eigvalsh(metric)
    uneven = _uneven(places, 1)
    if uneven < EVEN / math.sqrt(high / low):
        return Net(places=places, rough=None, corner=corner, origin=origin, turn=turn, metric=metric, uneven=uneven, reach=(1, 1))
    smooth, bent = _smoothed(places)
    if not bent < BENT:
        return None
    off = (float(np.abs(places.real - smooth.real).max()), float(np.abs(places.imag - smooth.imag).max()))
    reach, near = _reach(off, bent, metric)
    if (2 * reach[0] + 1) * (2 * reach[1] + 1) > CANDIDATES:
        return None
    return Net(places=smooth, rough=places, corner=corner, origin=origin, turn=turn, metric=metric, uneven=bent, reach=reach, near=near)


def _uneven(places: Array, apart: int) -> float:
    """How far steps differ from 1 and 1j, along both sides together: what bounds the map's derivative."""
    worst = (float(np.abs(np.diff(places, axis=axis) / apart - step).max(initial=0.0)) for axis, step in ((0, 1), (1, 1j)))
    return math.hypot(*worst)


def _smoothed(places: Array) -> tuple[Array, float]:
    """The bilinear net through the middles of squares of pixels, and how uneven it is."""
    rows, columns = (_squares(side) for side in places.shape)
    even = np.arange(places.shape[0], dtype=np.float32)[:, None] + np.complex64(1j) * np.arange(places.shape[1], dtype=np.float32)
    off = np.add.reduceat(np.add.reduceat(places - even, rows.starts, axis=0), columns.starts, axis=1)
    off /= rows.sizes[:, None] * columns.sizes
    worst = (float(np.abs(np.diff(off, axis=axis)).max(initial=0.0)) / SMOOTHING for axis in (0, 1))
    lines = off[rows.before] * (1 - rows.share[:, None]) + off[rows.after] * rows.share[:, None]
    even += lines[:, columns.before] * (1 - columns.share)
    even += lines[:, columns.after] * columns.share
    return even, math.hypot(*worst)


@dataclass(frozen=True, slots=True, kw_only=True)
class Squares:
    """A side of the net in squares: where each begins, how many pixels it has; for each pixel the middles before and after it, and its
    share of the way between them, below 0 and above 1 beyond the outermost ones."""

    starts: Array
    sizes: Array
    before: Array
    after: Array
    share: Array


def _squares(side: int) -> Squares:
    starts = np.arange(0, max(side - SMOOTHING + 1, 1), SMOOTHING)
    sizes = np.diff(starts, append=side).astype(np.float32)
    middles = starts + (sizes - 1) / 2
    pixels = np.arange(side)
    before = np.clip(np.searchsorted(middles, pixels, side="right") - 1, 0, max(len(starts) - 2, 0))
    after = np.minimum(before + 1, len(starts) - 1)
    share = (pixels - middles[before]) / np.where(after > before, middles[after] - middles[before], 1)
    return Squares(starts=starts, sizes=sizes, before=before, after=after, share=share.astype(np.float32))


def _reach(off: tuple[float, float], bent: float, metric: Array) -> tuple[tuple[int, int], float]:
    """The pixel that is stepped to is at most so far from the cell; a pixel further on must be further away than that. And how near a
    pixel must be, so that none beyond the eight around the one stepped to can be nearer."""
    lengths = np.sqrt(np.diag(metric))
    slant = math.sqrt(1 - min(0.99, metric[0, 1] ** 2 / (metric[0, 0] * metric[1, 1])))
    nearest = math.sqrt(sum((length * (0.5 / (1 - bent) + far)) ** 2 for length, far in zip(lengths, off, strict=True))) * (2 - slant)
    rows, columns = ((nearest / (length * slant) + far) / (1 - bent) - 0.5 for length, far in zip(lengths, off, strict=True))
    near = min((1.5 * (1 - bent) - far) * length * slant for length, far in zip(lengths, off, strict=True)) / lengths[0]
    return (max(1, math.ceil(min(rows, 99.0))), max(1, math.ceil(min(columns, 99.0)))), max(0.0, float(near))


def _turn(places: Array, origin: complex, turn: Array) -> None:
    """Plane to steps, in place."""
    places -= places.dtype.type(origin)
    x, y = places.real.copy(), places.imag.copy()
    kind = x.dtype.type
    places.real = kind(turn[0, 0]) * x + kind(turn[0, 1]) * y
    places.imag = kind(turn[1, 0]) * x + kind(turn[1, 1]) * y


def _step(net: Net, cells: Array, found: Swath) -> Array:
    """Each cell's pixel: from the place that an even net would have, step by step by what is left."""
    _turn(cells, net.origin, net.turn)
    cells = cells.astype(np.complex64)
    rows, columns = net.places.shape
    flat = net.places.ravel()
    row = np.clip(np.rint(cells.real), 0, rows - 1).astype(np.int32)
    column = np.clip(np.rint(cells.imag), 0, columns - 1).astype(np.int32)
    left = cells - flat[row * columns + column]
    moving = np.arange(len(cells), dtype=np.int32)
    for _ in range(ROUNDS):
        before_row, before_column = row[moving], column[moving]
        next_row = np.clip(before_row + np.rint(left.real[moving]).astype(np.int32), 0, rows - 1)
        next_column = np.clip(before_column + np.rint(left.imag[moving]).astype(np.int32), 0, columns - 1)
        moved = (next_row != before_row) | (next_column != before_column)
        moving = moving[moved]
        if not len(moving):
            break
        row[moving], column[moving] = next_row[moved], next_column[moved]
        left[moving] = cells[moving] - flat[row[moving] * columns + column[moving]]
    if net.rough is not None:
        near = np.maximum(np.abs(left.real), np.abs(left.imag)) <= 3
        left[near] = cells[near] - net.rough.ravel()[row[near] * columns + column[near]]
    _compare(net, cells, (row, column), left)
    chosen = (row.astype(np.int64) + net.corner[0]) * found.shape[1] + column + net.corner[1]
    far = np.maximum(np.abs(left.real), np.abs(left.imag)) > 3
    chosen[far | _cut(net, row, column, found)] = found.size
    return chosen


def _cut(net: Net, row: Array, column: Array, found: Swath) -> Array:
    """Cells that end where the window does but the swath does not: what is nearest to a cell within the swath lies further inside."""
    (rows, columns), (top, left) = net.places.shape, net.corner
    ends: Array = np.zeros(len(row), bool)
    for place, last, begins, stops in (
        (row, rows - 1, top == 0, top + rows == found.shape[0]),
        (column, columns - 1, left == 0, left + columns == found.shape[1]),
    ):
        if not begins:
            ends |= place == 0
        if not stops:
            ends |= place == last
    return ends


def _compare(net: Net, cells: Array, place: tuple[Array, Array], left: Array) -> None:
    """Which of the pixels around is nearer; in a smooth net only for cells near the border between two."""
    away = np.maximum(np.abs(left.real), np.abs(left.imag))
    if net.rough is not None:
        (which,) = np.nonzero(away <= 3)
        start = place[0].copy(), place[1].copy()
        _look(net, net.rough, cells, place, left, which, (1, 1))
        which = which[_apart(net, left[which]) >= net.near**2]
        for now, then in zip(place, start, strict=True):
            now[which] = then[which]
        left[which] = cells[which] - net.rough.ravel()[place[0][which] * net.places.shape[1] + place[1][which]]
        _look(net, net.rough, cells, place, left, which, net.reach)
        return
    (close,) = np.nonzero(
        (away > 0.5 - min(0.5, 2 * net.uneven * net.metric.trace() / net.metric.diagonal().min() + 0.01 + _slant(net))) & (away <= 2)
    )
    for _ in range(ROUNDS):
        if not len(close):
            return
        close = close[_look(net, net.places, cells, place, left, close, net.reach)]


def _look(net: Net, places: Array, cells: Array, place: tuple[Array, Array], left: Array, which: Array, reach: tuple[int, int]) -> Array:
    """Moves cells to the nearest pixel within so many rows and columns; True for those that moved."""
    row, column = place
    rows, columns = places.shape
    flat = places.ravel()
    here_row, here_column, cell = row[which], column[which], cells[which]
    here = here_row * columns + here_column
    best, found = _apart(net, left[which]), here.copy()
    for down in range(-reach[0], reach[0] + 1):
        line = np.clip(here_row + down, 0, rows - 1) * columns
        for across in range(-reach[1], reach[1] + 1):
            at = line + np.clip(here_column + across, 0, columns - 1)
            apart = _apart(net, cell - flat[at])
            nearer = apart < best
            np.copyto(best, apart, where=nearer)
            np.copyto(found, at, where=nearer)
    moved: Array = found != here
    row[which], column[which] = np.divmod(found, columns)
    left[which] = cell - flat[found]
    return moved


def _slant(net: Net) -> float:
    """How far a right angle's bisector is from the mean steps' one, in steps."""
    return abs(float(net.metric[0, 1])) / min(float(net.metric[0, 0]), float(net.metric[1, 1])) / 2


def _apart(net: Net, left: Array) -> Array:
    (a, b), (_, c) = (map(np.float32, line) for line in net.metric / net.metric[0, 0])
    down, across = left.real, left.imag
    squared: Array = a * down * down + 2 * b * down * across + c * across * across
    return squared


# --- the rest: a k-d tree ---


def _search(found: Swath, plane: Plane, cells: Array, real: Array, blocks: Array) -> Array:
    """Each cell's pixel, by a tree of all pixels around the tile."""
    from scipy.spatial import cKDTree

    columns = found.shape[1]
    flat = [
        (np.arange(top, bottom)[:, None] * columns + np.arange(left, right)).ravel() for top, bottom, left, right in found.corners[blocks]
    ]
    pixels = np.sort(np.concatenate(flat))
    places = found.points.reshape(3, -1)[:, pixels]
    pixels, places = pixels[places[0] != NOWHERE], places[:, places[0] != NOWHERE]
    if plane.flat(found):
        known, wanted = (_pairs(plane.put(part.astype(np.float64))) for part in (places, cells[:, real]))
    else:
        known, wanted = places.T.astype(np.float64), cells[:, real].T
    _, hit = cKDTree(known, balanced_tree=False).query(wanted)
    chosen = np.full(cells.shape[1], found.size, np.int64)
    chosen[real] = pixels[hit]
    return chosen


def _pairs(places: Array) -> Array:
    return places.view(np.float64).reshape(-1, 2)


def _originals(found: Swath, chosen: Array) -> None:
    """Of pixels at one place the last of the row."""
    x, y, z = (axis.ravel() for axis in found.points)
    (moving,) = np.nonzero((chosen < found.size - 1) & (chosen % found.shape[1] != found.shape[1] - 1))
    while len(moving):
        here = chosen[moving]
        moving = moving[(x[here] == x[here + 1]) & (y[here] == y[here + 1]) & (z[here] == z[here + 1])]
        chosen[moving] += 1
        moving = moving[chosen[moving] % found.shape[1] != found.shape[1] - 1]


# --- the swath's edges ---


def _settle(found: Swath, chosen: Array, cells: Array, window: Window, result: Result, net: Net | None) -> None:
    """Takes the cells that lie more than half a pixel beyond the swath out of `chosen`; writes the tile's part of the result."""
    (known,) = np.nonzero(chosen < found.size)
    row, column = np.divmod(chosen[known], found.shape[1])
    edge = _sides(found, row, column) if net is None else net.at_edge(found, row, column)
    known, row, column = known[edge], row[edge], column[edge]
    chosen[known[_beyond(found, row, column, cells[:, known])]] = found.size
    shape = (window[0].stop - window[0].start, window[1].stop - window[1].start)
    result.index[window] = chosen.reshape(shape)
    if result.between is not None:
        (known,) = np.nonzero(chosen < found.size)
        for kept, share in zip(result.between, _offsets(found, chosen[known], cells[:, known]), strict=True):
            parts = np.zeros(chosen.size, np.int16)
            parts[known] = np.rint(share * result.quantum)
            kept[window] = parts.reshape(shape)


def _sides(found: Swath, row: Array, column: Array) -> Array:
    """Pixels that lack a neighbour, or lie near one that does."""
    here = _at(found, row, column)
    near = [(down * far, right * far) for down, right in SIDES for far in (1, BASELINE)]
    sides: Array = np.logical_or.reduce([np.isnan(_way(found, (row, column), here, step)[0]) for step in near])
    return sides


def _beyond(found: Swath, row: Array, column: Array, cells: Array) -> Array:
    """Of cells whose pixels lie at an edge, or near one where the net is no smooth one: True when the centre lies more than half a pixel
    on the side where the neighbour is missing, or further away than a pixel's diagonal."""
    here = _at(found, row, column)
    paces = [_pace(found, (row, column), here, step) for step in SIDES]
    lonely = [_lonely(found, (row, column), here, step) for step in SIDES]
    down, right = _mean(-paces[0], paces[1]), _mean(-paces[2], paces[3])
    down, right = _square(down, right, here), _square(right, down, here)
    way = cells - here
    v, u = _solve(down, right, way)
    beyond: Array = (lonely[0] & (v < -EDGE)) | (lonely[1] & (v > EDGE)) | (lonely[2] & (u < -EDGE)) | (lonely[3] & (u > EDGE))
    far: Array = (way**2).sum(0) > (down**2 + right**2).sum(0)
    return beyond | far | np.isnan(v + u)


def _lonely(found: Swath, place: tuple[Array, Array], here: Array, step: tuple[int, int]) -> Array:
    """True where there is no neighbour, or only one at the very same place."""
    first, second = (_way(found, place, here, (step[0] * far, step[1] * far))[0:3] for far in (1, 2))
    lonely: Array = np.isnan(first[0]) | (~first.any(0) & np.isnan(second[0]))
    return lonely


def _offsets(found: Swath, chosen: Array, cells: Array) -> tuple[Array, Array]:
    """How far the cells' centres lie beyond their pixels' in rows and columns, -1…1; 0 where the pixels around do not tell. Where the
    neighbour is at the pixel's own place (repeated), the one behind it counts, and one more is added: 1…2."""
    row, column = np.divmod(chosen, found.shape[1])
    here = _at(found, row, column)
    ways, further = zip(*(_next(found, (row, column), here, step) for step in SIDES), strict=True)
    up, down, left, right = ways
    way = cells - here
    v, u = _solve(_mean(-up, down), _mean(-left, right), way)
    above, before = v < 0, u < 0
    v, u = _solve(np.where(above, -up, down), np.where(before, -left, right), way)
    v, u = (np.clip(np.nan_to_num(np.where(back, -share, share)), 0, 1) for share, back in ((v, above), (u, before)))
    v += np.where(above, further[0], further[1]) & (v > 0)
    u += np.where(before, further[2], further[3]) & (u > 0)
    return np.where(above, -v, v), np.where(before, -u, u)


def _next(found: Swath, place: tuple[Array, Array], here: Array, step: tuple[int, int]) -> tuple[Array, Array]:
    """The way to the next pixel at another place, and whether that is the second one."""
    first, second = (_way(found, place, here, (step[0] * far, step[1] * far)) for far in (1, 2))
    same = ~first.any(0)
    return np.where(same, second, first), same


def _at(found: Swath, row: Array, column: Array) -> Array:
    inside = (row >= 0) & (row < found.shape[0]) & (column >= 0) & (column < found.shape[1])
    points = found.points[:, np.where(inside, row, 0), np.where(inside, column, 0)].astype(np.float64)
    points[:, ~inside | (points[0] == NOWHERE)] = np.nan
    return points


def _way(found: Swath, place: tuple[Array, Array], here: Array, step: tuple[int, int]) -> Array:
    """The way to a neighbour; NaN where there is none."""
    way = _at(found, place[0] + step[0], place[1] + step[1]) - here
    way[:, (way**2).sum(0) > (APART * math.radians(found.spacing) * SCALE) ** 2] = np.nan
    return way


def _pace(found: Swath, place: tuple[Array, Array], here: Array, step: tuple[int, int]) -> Array:
    """The mean way from one pixel to the next one, over some of them, so that terrain matters less; NaN where there is no neighbour."""
    pace, last, unbroken, steps = np.full_like(here, np.nan), here, np.ones(here.shape[1], bool), np.zeros(here.shape[1])
    for count in range(BASELINE):
        way = _way(found, (place[0] + step[0] * count, place[1] + step[1] * count), last, step)
        unbroken &= np.isfinite(way[0])
        steps += way.any(0)  # not of a repeated pixel
        last = last + way
        np.copyto(pace, (last - here) / np.maximum(steps, 1), where=unbroken & (steps > 0))
    return pace


def _mean(one: Array, other: Array) -> Array:
    """Of both ways, or the one that there is."""
    both = (one + other) / 2
    return np.where(np.isnan(both), np.where(np.isnan(one), other, one), both)


def _square(way: Array, other: Array, here: Array) -> Array:
    """Where there is no neighbour either way: as if the pixel were square."""
    return np.where(np.isnan(way), np.cross(here, other, axis=0) / SCALE, way)


def _solve(down: Array, right: Array, way: Array) -> tuple[Array, Array]:
    """The two shares of which a way on the ground consists."""
    a, b, c = (down**2).sum(0), (down * right).sum(0), (right**2).sum(0)
    p, q = (down * way).sum(0), (right * way).sum(0)
    area = a * c - b * b
    with np.errstate(divide="ignore", invalid="ignore"):
        return (c * p - b * q) / area, (a * q - b * p) / area
