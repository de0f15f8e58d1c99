"""What a simulated provider has: products with their metadata, changing while somebody looks."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from eolake.ingest.simulators.content import Content, of_bytes, of_file


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One product."""

    id: str
    """The provider's own identity: a UUID at CDSE."""
    name: str
    """Without extension."""
    collection: str
    """Of the lake: `s2_l2a`."""
    file: Path | None = None
    """Its bytes as one file (zip, tar, NetCDF)."""
    content: Content | None = None
    """Its bytes, where there is no file."""
    size: int = 0
    """Bytes of the file."""
    digests: Mapping[str, str] = field(default_factory=dict)
    """md5, blake3, sha3-256 → hexadecimal."""
    published: datetime
    modified: datetime
    start: datetime
    end: datetime
    footprint: Mapping[str, Any] | None = None
    """GeoJSON geometry."""
    attributes: Mapping[str, Any] = field(default_factory=dict)
    """cloudCover, productType, tileId, …: whatever a dialect shows."""
    online: bool = True
    quicklook: Path | None = None
    item: Mapping[str, Any] | None = None
    """Its STAC item without assets, where its sensor made one."""

    def body(self) -> Content:
        """Its bytes. Raises FileNotFoundError when it has none."""
        if self.content is not None:
            return self.content
        if self.file is None:
            raise FileNotFoundError(self.name)
        return of_file(self.file)

    def thumbnail(self) -> Content | None:
        """Its quicklook."""
        return (
            None if self.quicklook is None else of_bytes(self.quicklook.read_bytes(), media_type="image/jpeg", filename=self.quicklook.name)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Deleted:
    """A product that is no more."""

    record: Record
    at: datetime
    cause: str


Watcher = Callable[[str, Record], None]


class Archive:
    """Records in order of publication; safe for threads."""

    def __init__(self, records: Iterable[Record] = ()) -> None:
        self._lock = threading.RLock()
        self._records: dict[str, Record] = {record.id: record for record in records}
        self._deleted: list[Deleted] = []
        self._watchers: list[Watcher] = []

    @property
    def records(self) -> list[Record]:
        """All, by publication, then by id."""
        with self._lock:
            return sorted(self._records.values(), key=lambda record: (record.published, record.id))

    @property
    def deleted(self) -> list[Deleted]:
        """Removed ones, in order of removal."""
        with self._lock:
            return list(self._deleted)

    def get(self, id: str) -> Record | None:
        """By identity."""
        with self._lock:
            return self._records.get(id)

    def add(self, *records: Record) -> None:
        """New products (`created`), or new states of known ones (`modified`)."""
        for record in records:
            with self._lock:
                event = "modified" if record.id in self._records else "created"
                self._records[record.id] = record
            self._tell(event, record)

    replace = add

    def remove(self, id: str, *, cause: str = "Obsolete product or Other", at: datetime | None = None) -> None:
        """The product goes to the deleted ones. Raises KeyError."""
        with self._lock:
            record = self._records.pop(id)
            gone = Deleted(record=record, at=at or datetime.now(UTC), cause=cause)
            self._deleted.append(gone)
        self._tell("deleted", record)

    def withhold(self) -> list[Record]:
        """Takes all products away, as if they had never been there, and returns them; nobody is told."""
        with self._lock:
            records = self.records
            self._records.clear()
        return records

    def watch(self, watcher: Watcher) -> None:
        """`watcher(event, record)` is called after each change; event: created, modified, deleted."""
        self._watchers.append(watcher)

    def _tell(self, event: str, record: Record) -> None:
        for watcher in tuple(self._watchers):
            watcher(event, record)
