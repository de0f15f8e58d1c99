"""The seam of the providers: what finds products and says where their bytes are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, Protocol

from eolake.catalog.ledger.granules import Granule, Offer


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """What to look for; intervals are half-open, times aware UTC. A provider asks for as much of it as it can express;
    `eolake.ingest.discovery.filters` applies the rest to what it yields."""

    paths: Sequence[Path] = ()
    """Places on disk (folder provider)."""
    collection: str | None = None
    """Of the lake: `s2_l2a`; the provider's preset maps it to the provider's own words."""
    start: datetime | None = None
    """Sensing not before; the product's interval touches [start, end)."""
    end: datetime | None = None
    since: datetime | None = None
    """Published in [since, until)."""
    until: datetime | None = None
    bbox: tuple[float, float, float, float] | None = None
    """west, south, east, north in degrees; west > east crosses the antimeridian"""
    area: Mapping[str, Any] | None = None
    """GeoJSON polygon or multipolygon, instead of bbox."""
    tiles: frozenset[str] = frozenset()
    """MGRS tiles `55HFA` or WRS path/row `090084`; empty: all."""
    cloud_cover: float | None = None
    """At most, percent; products that don't say pass."""
    timeliness: str | None = None
    """`NR`, `ST`, `NT` (Sentinel-3)."""
    names: Sequence[str] = ()
    """Only products of these names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One file of a product, wherever it is. The scheme of its URL says how it is fetched: http, https, ftp, ftps, s3, file."""

    url: str
    name: str
    """Relative name within the product; a single archive: its file name."""
    size: int | None = None
    """Bytes as the catalogue has them: advice."""
    digests: Mapping[str, str] = field(default_factory=dict)
    """Algorithm → hexadecimal: md5, sha1, sha256, sha3-256, blake3, crc32; `multihash` → hexadecimal multihash."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Further request headers; never a credential."""
    login: bool = True
    """Whether the provider's credential goes along (only to its allow-listed hosts)."""
    role: Literal["data", "overview"] = "data"
    """An overview (quicklook) is a bonus: a product is complete without it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What a provider did to a product after it was published."""

    id: str
    kind: Literal["deleted", "modified"]
    at: datetime
    reason: str | None = None
    offer: Offer | None = None
    """The product as it is now, when it was modified and the provider says so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderConfig:
    """A provider as preset and eolake.toml describe it."""

    name: str
    kind: str
    """Entry point of `eolake.providers`."""
    urls: Mapping[str, str] = field(default_factory=dict)
    """By role: catalogue, download, token, …"""
    connections: int = 4
    """Per credential."""
    credentials: tuple[str, ...] = ()
    """References: `netrc:HOST`, `env:PREFIX` (PREFIX_USERNAME, PREFIX_PASSWORD or PREFIX_TOKEN), `aws-sm:NAME`; empty: none needed."""
    auth: Mapping[str, Any] = field(default_factory=dict)
    """How to log in: `kind` and what that kind needs."""
    auth_hosts: tuple[str, ...] = ()
    """The only hosts to which a credential is ever sent: `host` or `host:port`."""
    budget: int | None = None
    """Bytes per credential in 30 days."""
    release_lag: float = 0
    """Seconds for which the provider still counts a closed connection."""
    collections: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Collection of the lake → what the provider calls it."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Whatever else its kind understands."""


class Provider(Protocol):
    """Finds products; made by `open_provider` from a ProviderConfig; registered by an entry point of the group `eolake.providers`."""

    name: str

    def search(self, query: Query) -> Iterator[Offer]:
        """The products that match, each once, ascending by publication time where the provider has one; complete for any window.

        Raises ProviderFault."""

    def resolve(self, granule: Granule) -> Sequence[Part]:
        """Where its bytes are right now: URLs that expire are made here. Raises ProviderFault (offline: ordered, not there yet)."""

    def changes(self, since: datetime) -> Iterator[Change]:
        """Deletions and modifications since then."""

    def auth(self) -> Mapping[str, str]:
        """Headers that its catalogue needs; empty where none are."""
