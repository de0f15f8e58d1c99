"""The sensor of the probes is installed for this process too."""

from __future__ import annotations

import pytest
from support.workers import PROBE


@pytest.fixture(autouse=True)
def _probe_sensor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(PROBE))
