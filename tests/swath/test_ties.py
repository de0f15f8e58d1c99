"""Tie points to pixels: what is linear comes back exactly, angles take the short way round, broken nets are refused."""

from __future__ import annotations

import numpy as np
import pytest

from eolake.catalog.errors import BadProduct
from eolake.ingest.swath import interpolate, interpolate_cartesian


def plane(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    return 3.0 + 0.25 * rows - 0.5 * columns + 0.001 * rows * columns


@pytest.mark.parametrize(
    ("shape", "step"),
    [
        ((40, 4865), (1, 64)),  # OLCI, full: 77 tie points end with the image
        ((40, 1217), (1, 16)),  # OLCI, reduced: likewise
        ((33, 4800), (1, 64)),  # beyond the image's end
        ((50, 70), (7, 9)),
        ((50, 70), (1, 1)),
        ((64, 64), (16, 16)),
    ],
)
@pytest.mark.parametrize("beyond", [True, False])
def test_a_bilinear_field_comes_back(shape: tuple[int, int], step: tuple[int, int], beyond: bool) -> None:
    counts = [-(-(side - 1) // by) + 1 if beyond else max(2, (side - 1) // by + 1) for side, by in zip(shape, step, strict=True)]
    ties = plane(*np.meshgrid(np.arange(counts[0]) * step[0], np.arange(counts[1]) * step[1], indexing="ij"))
    expected = plane(*np.mgrid[: shape[0], : shape[1]].astype(float))
    assert np.abs(interpolate(ties, shape, rows=step[0], columns=step[1]) - expected).max() < 1e-9
    single = interpolate(ties.astype(np.float32), shape, rows=step[0], columns=step[1])
    assert single.dtype == np.float32
    assert np.abs(single - expected).max() < 1e-3


def test_pixels_on_tie_points_have_their_value_exactly() -> None:
    ties = np.random.default_rng(5).normal(0, 100, (21, 6))
    assert np.array_equal(interpolate(ties, (21, 81), columns=16)[:, ::16], ties)


def test_it_is_scipys_interpolation() -> None:
    from scipy.interpolate import RegularGridInterpolator

    ties = np.random.default_rng(6).normal(0, 10, (9, 11))
    at = np.mgrid[:33, :41].astype(float)
    theirs = RegularGridInterpolator((np.arange(9) * 4.0, np.arange(11) * 4.0), ties)(np.moveaxis(at, 0, -1))
    assert interpolate(ties, (33, 41), rows=4, columns=4) == pytest.approx(theirs, abs=1e-12)


def test_angles_take_the_short_way_round() -> None:
    north = interpolate(np.array([[350.0, 10.0], [358.0, 2.0]]), (2, 5), columns=4, circular=True)
    assert north.tolist() == [[350.0, 355.0, 0.0, 5.0, 10.0], [358.0, 359.0, 0.0, 1.0, 2.0]]
    south = interpolate(np.array([[170.0, -170.0]]), (1, 5), columns=4, circular=True)
    assert south.tolist() == [[170.0, 175.0, -180.0, -175.0, -170.0]]


def test_a_missing_tie_point_makes_only_its_pixels_missing() -> None:
    ties = np.arange(12.0).reshape(3, 4)
    ties[1, 1] = np.nan
    pixels = interpolate(ties, (5, 7), rows=2, columns=2)
    assert np.argwhere(np.isnan(pixels)).tolist() == [[row, column] for row in (1, 2, 3) for column in (1, 2, 3)]


@pytest.mark.parametrize(("ties", "steps"), [((40, 76), (1, 64)), ((39, 77), (1, 64)), ((40, 0), (1, 64)), ((40, 77), (1, 0))])
def test_ties_that_do_not_cover_the_image_are_refused(ties: tuple[int, int], steps: tuple[int, int]) -> None:
    with pytest.raises(BadProduct, match="tie points"):
        interpolate(np.zeros(ties), (40, 4866), rows=steps[0], columns=steps[1])


# --- SLSTR ---

TIE_X = 1_056_000.0 - 16_000.0 * np.arange(130)  # descends
TIE_Y = -3_000.0 + 1_000.0 * np.arange(60)


def slope(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return 20.0 + x / 40_000 - y / 9_000 + x * y / 1e10


def image() -> tuple[np.ndarray, np.ndarray]:
    """Pixels a little off their places, as the scans are curved."""
    rows, columns = np.mgrid[:50, :150].astype(float)
    rng = np.random.default_rng(8)
    return 600_000 - columns * 1000 + rng.uniform(-300, 300, rows.shape), rows * 1000 + rng.uniform(-300, 300, rows.shape)


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("down", [1, -1])
def test_slstr_ties_are_found_by_metres(whole: bool, down: int) -> None:
    x, y = image()
    tie_x, tie_y = np.meshgrid(TIE_X, TIE_Y[::down])
    ties = slope(tie_x, tie_y)
    axes = (tie_x, tie_y) if whole else (TIE_X, TIE_Y[::down])
    assert interpolate_cartesian(ties, *axes, x, y) == pytest.approx(slope(x, y), abs=1e-9)
    assert interpolate_cartesian(ties.astype(np.float32), *axes, x, y).dtype == np.float32


def test_slstr_pixels_without_a_place_or_far_beyond_the_ties_are_missing() -> None:
    x, y = image()
    x[3, 4], y[5, 6] = np.nan, 80_000.0
    tie_x, tie_y = np.meshgrid(TIE_X, TIE_Y)
    pixels = interpolate_cartesian(slope(tie_x, tie_y), tie_x, tie_y, x, y)
    assert np.argwhere(np.isnan(pixels)).tolist() == [[3, 4], [5, 6]]


def test_slstr_angles_take_the_short_way_round() -> None:
    ties = np.where(np.arange(130) < 65, 355.0, 5.0) + np.zeros((60, 1))
    x = np.array([[(TIE_X[64] + TIE_X[65]) / 2, TIE_X[3]]])
    assert interpolate_cartesian(ties, TIE_X, TIE_Y, x, np.full_like(x, 500.0), circular=True).tolist() == [[0.0, 355.0]]


@pytest.mark.parametrize("broken", ["turns back", "missing", "crooked", "shape"])
def test_ties_that_are_no_net_are_refused(broken: str) -> None:
    x, y = image()
    tie_x, tie_y = np.meshgrid(TIE_X, TIE_Y)
    ties = slope(tie_x, tie_y)
    if broken == "turns back":
        tie_x[:, 9] = tie_x[:, 7]
    elif broken == "missing":
        tie_x[4, 4] = np.nan
    elif broken == "crooked":
        tie_y[4, 4] += 500
    else:
        tie_x = tie_x[1:]
    with pytest.raises(BadProduct, match="tie points"):
        interpolate_cartesian(ties, tie_x, tie_y, x, y)
