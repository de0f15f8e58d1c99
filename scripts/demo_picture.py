"""The picture of the demo: NBR before and after the fire, and the change with the usual severity classes."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

SEVERITY = (
    (-9.0, "#2c7fb8", "regrowth"),
    (-0.10, "#f7f7f2", "unburnt"),
    (0.10, "#ffe9a8", "low"),
    (0.27, "#fdae61", "moderate\nlow"),
    (0.44, "#e4572e", "moderate\nhigh"),
    (0.66, "#7b1113", "high"),
)
"""Lower limit of dNBR, colour, name: the classes of USGS (Key and Benson 2006)."""


def draw_change(before: Any, after: Any, path: Path) -> None:
    """Draws two NBR grids (xarray, same grid in metres, NaN where unknown) and their difference into `path` (PNG)."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 3, figsize=(13, 5.2), constrained_layout=True, facecolor="white")
    shown: Any = None
    for axis, grid in zip(axes[:2], (before, after), strict=True):
        shown = axis.imshow(grid, extent=_extent(grid), cmap="BrBG", vmin=-0.7, vmax=0.7, interpolation="nearest")
        axis.set_title(f"NBR, median of {_month(grid)}", fontsize=11)
    figure.colorbar(shown, ax=axes[:2], orientation="horizontal", shrink=0.6, aspect=40, label="NBR = (NIR − SWIR) / (NIR + SWIR)")
    _draw_severity(figure, axes[2], before - after, _extent(before))
    for axis in axes:
        axis.set(xticks=[], yticks=[])
        axis.set_facecolor("#dddddd")
        for side in axis.spines.values():
            side.set_color("#888888")
    _draw_scale(axes[0], _extent(before))
    figure.suptitle("A fire in a synthetic landscape over New South Wales, seen by Landsat 8 and Sentinel-2 through eolake", fontsize=12.5)
    figure.savefig(path, dpi=100, metadata={"Software": None})
    plt.close(figure)


def _draw_severity(figure: Any, axis: Any, change: Any, extent: tuple[float, float, float, float]) -> None:
    from matplotlib.colors import BoundaryNorm, ListedColormap

    limits = [lower for lower, _, _ in SEVERITY] + [9.0]
    norm = BoundaryNorm(limits, len(SEVERITY))
    shown = axis.imshow(
        change, extent=extent, cmap=ListedColormap([colour for _, colour, _ in SEVERITY]), norm=norm, interpolation="nearest"
    )
    axis.set_title("dNBR: before − after", fontsize=11)
    centres = [(low + high) / 2 for low, high in pairwise(limits)]
    bar = figure.colorbar(shown, ax=axis, orientation="horizontal", shrink=0.95, aspect=24, spacing="uniform", ticks=centres)
    names = [f"{_range(low, high)}\n{name}" for (low, _, name), high in zip(SEVERITY, limits[1:], strict=True)]
    bar.ax.set_xticklabels(names, fontsize=6.5)
    bar.set_label("burn severity, dNBR")


def _range(low: float, high: float) -> str:
    if low < -1:
        return f"< {high:.2f}"
    return f"> {low:.2f}" if high > 1 else f"{low:.2f} to {high:.2f}"


def _draw_scale(axis: Any, extent: tuple[float, float, float, float]) -> None:
    """A scale bar of 2 km and an arrow to the north."""
    left, right, bottom, top = extent
    x, y = left + 0.05 * (right - left), bottom + 0.06 * (top - bottom)
    axis.plot([x, x + 2000], [y, y], color="black", linewidth=3, solid_capstyle="butt")
    axis.text(x + 1000, y + 0.015 * (top - bottom), "2 km", ha="center", va="bottom", fontsize=9)
    arrow = {"arrowstyle": "-|>", "color": "black"}
    axis.annotate("", (0.95, 0.92), (0.95, 0.80), xycoords="axes fraction", arrowprops=arrow)
    axis.text(0.95, 0.93, "N", transform=axis.transAxes, ha="center", va="bottom", fontsize=9)


def _extent(grid: Any) -> tuple[float, float, float, float]:
    half = abs(float(grid.x[1] - grid.x[0])) / 2
    return float(grid.x.min()) - half, float(grid.x.max()) + half, float(grid.y.min()) - half, float(grid.y.max()) + half


def _month(grid: Any) -> str:
    return str(np.datetime_as_string(grid.time.values, unit="M"))
