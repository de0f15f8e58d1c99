"""What a worker and its converter processes say to each other: one JSON document a line."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

Verdict = Literal["published", "unchanged", "rejected", "superseded", "quarantined", "later", "fault", "lost"]
"""`later`: for a passing reason; `fault`: an unknown error or a dead process; `lost`: somebody else has the work now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A leased product to convert."""

    granule_id: int
    fence: int
    name: str
    source: str
    workspace: str
    """A folder of its own."""
    provider: str
    nearby: str | None = None
    """Where this machine fetched it, when it was this machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What became of a product."""

    verdict: Verdict
    reason: str | None = None
    items: tuple[str, ...] = ()
    """`collection/item` of what was published."""
    seconds: Mapping[str, float] = field(default_factory=dict)
    """Wall time by step."""
    written: int = 0
    """Bytes of objects."""

    def as_verdict(self, verdict: Verdict, reason: str | None) -> Done:
        """The same with another verdict."""
        return replace(self, verdict=verdict, reason=reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """What a converter says."""

    kind: Literal["ready", "step", "prefix", "done", "failed"]
    """ready for a product; came to a step; writes below a prefix; is done; cannot work at all."""
    text: str = ""
    done: Done | None = None

    def line(self) -> str:
        """For the pipe."""
        return json.dumps(asdict(self))


def read_event(line: str) -> Event:
    """The event of a line."""
    document: dict[str, Any] = json.loads(line)
    done = document.pop("done")
    return Event(**document, done=Done(**{**done, "items": tuple(done["items"])}) if done else None)


def read_job(line: str) -> Job:
    """The job of a line."""
    return Job(**json.loads(line))
