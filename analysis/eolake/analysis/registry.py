"""Analyses found through the entry points `eolake.analyses`; one that does not load says so, by name, when it is asked for."""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from typing import cast

from eolake.analysis.base import Analysis
from eolake.catalog.errors import ConfigError, UsageError

GROUP = "eolake.analyses"


def analyses(name: str) -> list[Analysis]:
    """The analyses of that entry point, or of all whose names begin with `<name>_`, in the order of their names.

    UsageError when there is none; ConfigError when one does not load."""
    known = {entry.name: entry for entry in entry_points(group=GROUP)}
    chosen = [known[name]] if name in known else [known[key] for key in sorted(known) if key.startswith(f"{name}_")]
    if not chosen:
        raise UsageError(f"there is no analysis {name!r}; there are: {', '.join(sorted(known)) or 'none'}")
    return [_load(entry) for entry in chosen]


def _load(entry: EntryPoint) -> Analysis:
    try:
        return cast("Analysis", entry.load())
    except (ImportError, AttributeError) as error:
        origin = f" of {entry.dist.name}" if entry.dist else ""
        raise ConfigError(f"the analysis {entry.name!r} ({entry.value}{origin}) does not load: {error}") from error
