"""What the transfer of one file takes and yields."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """A file that lies verified on the local disk."""

    bytes: int
    """Its length."""
    received: int
    """Bytes that came over the wire for it in this attempt: more than its length less what was there before is waste."""
    sha256: str
    digests: Mapping[str, str] = field(default_factory=dict)
    """Those of the provider that were compared, by algorithm."""
    etag: str | None = None
    last_modified: str | None = None
    warnings: tuple[str, ...] = ()
    """The catalogue's size differs, …"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Patience and guards of a transfer; seconds and bytes."""

    connect: float = 10
    first_byte: float = 300
    """A zip is made while one waits."""
    low_speed: int = 8 * 1024
    """Bytes per second, over `low_speed_time`."""
    low_speed_time: float = 60
    stall: float = 30
    """Without any byte."""
    rollback: int = 64 * 1024
    """Bytes taken back before a resume, and compared with what comes."""
    redirects: int = 5
    spare: float = 0.05
    """Share of the disk that is never filled."""


Progress = Callable[[int], None]
"""Called with the number of bytes just received, from the thread of the transfer."""
Stop = Callable[[], bool]
"""True when the transfer is to end soon and keep what it has."""
