"""The seam of the providers: what finds products and says where their bytes are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Literal, Protocol

from eolake.catalog.ledger.granules import Granule, Offer


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """What to look for; a provider reads the fields that it knows."""

    paths: Sequence[Path] = ()
    """Places on disk."""
    collection: str | None = None
    start: datetime | None = None
    end: datetime | None = None
    """Half-open, aware UTC."""
    bbox: tuple[float, float, float, float] | None = None
    """west, south, east, north in degrees"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One file of a product, wherever it is."""

    url: str
    name: str
    """Relative name within the product."""
    size: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What a provider did to a product after it was published."""

    id: str
    kind: Literal["deleted", "modified"]
    at: datetime


class Provider(Protocol):
    """Finds products; registered by an entry point of the group `eolake.providers`."""

    name: str

    def search(self, query: Query) -> Iterator[Offer]:
        """The products that match, each once."""

    def resolve(self, granule: Granule) -> Sequence[Part]:
        """Where its bytes are right now: URLs that expire are made here."""

    def changes(self, since: datetime) -> Iterator[Change]:
        """Deletions and modifications since then."""

    def auth(self) -> Mapping[str, str]:
        """Headers that its requests need; empty where none are."""
