"""What only some simulators need and `pip install 'eolake[simulators]'` brings."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from eolake.catalog.errors import ConfigError


def need(module: str, *, purpose: str) -> ModuleType:
    """The module; ConfigError with the command that installs it when it is missing."""
    try:
        return import_module(module)
    except ImportError as error:
        raise ConfigError(f"{purpose} needs {error.name or module}; run: pip install 'eolake[simulators]'") from error
