"""What a worker asks of its fetch process, and what that says: one JSON document a line."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal

Kind = Literal["ready", "idle", "started", "bytes", "fetched", "failed", "ended"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchOrder:
    """What a fetch process is asked to do."""

    lanes: int
    only: Sequence[int] | None = None
    """These granules and no others."""
    base: str
    """The folder of the desks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """ready to fetch; nothing to do for `seconds` (None: nothing waits); a granule started, grew, is fetched, failed; the process
    cannot go on."""

    kind: Kind
    granule_id: int = 0
    name: str = ""
    provider: str = ""
    bytes: int = 0
    """started: of the whole granule, as far as known; bytes: received since the last word; fetched: of all its files."""
    seconds: float | None = None
    text: str = ""
    verdict: Literal["later", "quarantined", "lost", ""] = ""

    def line(self) -> str:
        """For the pipe."""
        return json.dumps(asdict(self))


def read(line: str) -> Said:
    """The message of a line."""
    return Said(**json.loads(line))
