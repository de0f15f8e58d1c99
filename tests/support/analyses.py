"""Analyses that misbehave; in a module of their own, so that worker processes find them."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import xarray as xr

from eolake.analysis.base import Output
from eolake.analysis.vegetation_indices import MonthIndices


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadly(MonthIndices):
    """Its process dies by SIGKILL the first time."""

    mark: str

    def compute(self, inputs: Mapping[str, xr.Dataset]) -> Output:
        try:
            Path(self.mark).touch(exist_ok=False)
        except FileExistsError:
            return MonthIndices.compute(self, inputs)
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError


@dataclass(frozen=True, slots=True, kw_only=True)
class WithTable(MonthIndices):
    """Also a table of the pixels that are never clear, and a property."""

    def compute(self, inputs: Mapping[str, xr.Dataset]) -> Output:
        output = MonthIndices.compute(self, inputs)
        empty = int((output.bands["count"] == 0).sum())
        return Output(bands=output.bands, tables={"never_clear": [{"first_row": float(output.bands["count"].y[0]), "pixels": empty}]},
                      properties={"eolake:note": "counted"})  # fmt: skip
