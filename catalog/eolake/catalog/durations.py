"""Durations as commands are told them."""

from __future__ import annotations

import re
from typing import override

import click

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


class Duration(click.ParamType[float]):
    """`90`, `90s`, `50m`, `2h`, `1d`, `1w`; in seconds."""

    name = "duration"

    @override
    def convert(self, value: str | float, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Seconds."""
        if isinstance(value, float):
            return value
        found = re.fullmatch(r"(\d+(?:\.\d+)?)([smhdw]?)", str(value).strip())
        if found is None:
            self.fail(f"{value!r} is no duration; write 90s, 50m, 2h", param, ctx)
        return float(found[1]) * UNITS[found[2] or "s"]
