"""Products in folders: what FTP sites, HTTP directories and buckets have in common.

A collection says where its products lie: `path`, with dates as in `{:%Y/%m/%d}`, so that only the folders of the days that are asked
for are listed; `match`, patterns of their names; `product`, whether a product is a `file` or a `folder`; `depth`, how many levels below
`path` they lie."""

from __future__ import annotations

import fnmatch
import hashlib
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, Protocol

from eolake.catalog.errors import ConfigError
from eolake.catalog.ledger.granules import Granule, Offer
from eolake.ingest.faults import Kind, ProviderFault
from eolake.ingest.logins.base import Login
from eolake.ingest.naming import scene_of
from eolake.ingest.providers.base import Change, Part, ProviderConfig, Query
from eolake.ingest.providers.odata import plain_name
from eolake.ingest.providers.registry import collection_of

LOG = logging.getLogger(__name__)
DATED = re.compile(r"\{:[^{}]*%[^{}]*\}")
DEPTH = 4
"""Levels below a path that are looked through, unless the collection says otherwise."""
RELIST = 7
"""Days before the begin of a window whose folders are listed again: files come late."""
AHEAD = 1
"""Days after the end of a window of publication whose folders are listed too: other time zones; more for forecasts."""
MOST_DAYS = 4000
LONGEST = 255
"""Bytes of a name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A line of a listing."""

    path: str
    """Below the base, without a slash at its ends."""
    folder: bool = False
    size: int | None = None
    modified: datetime | None = None
    """Aware UTC."""
    precise: bool = True
    """Whether `modified` is exact to the second; `ls` drops the time of day after half a year."""
    etag: str | None = None

    @property
    def name(self) -> str:
        """Its last part."""
        return self.path.rpartition("/")[2]


class Lister(Protocol):
    """How the folders of one provider are read."""

    def list(self, folder: str) -> Sequence[Item]:
        """What lies in a folder ("" or "a/b"). ProviderFault: gone when there is no such folder."""

    def look(self, item: Item) -> Item:
        """The same with size and time as they are now. ProviderFault: gone."""

    def url(self, path: str) -> str:
        """Where its bytes are."""

    def close(self) -> None:
        """Close the connections."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the products of a collection lie."""

    path: str = ""
    match: tuple[str, ...] = ("*",)
    product: Literal["file", "folder"] = "file"
    depth: int = DEPTH
    relist: int = RELIST
    ahead: int = AHEAD

    @classmethod
    def of(cls, described: Mapping[str, Any], where: str) -> Place:
        """ConfigError for settings that don't hold."""
        given = {key: value for key, value in described.items() if key in cls.__slots__}
        match = given.get("match", "*")
        given["match"] = (match,) if isinstance(match, str) else tuple(match)
        given["path"] = str(given.get("path", "")).strip("/")
        try:
            found = cls(**given)
            list(found.folders(datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 2, tzinfo=UTC)))
        except (ValueError, KeyError, IndexError, TypeError) as error:
            raise ConfigError(f"{where}.path = {given['path']!r}: {error}") from None
        if found.product not in {"file", "folder"}:
            raise ConfigError(f"{where}.product = {found.product!r}: file or folder")
        return found

    def folders(self, first: datetime, last: datetime) -> Iterator[tuple[str, datetime | None]]:
        """The folders of the days [first, last], each once, with its day; the path itself when no date is in it."""
        if not DATED.search(self.path):
            yield self.path, None
            return
        seen: set[str] = set()
        day = first.replace(hour=0, minute=0, second=0, microsecond=0)
        for _ in range(MOST_DAYS):
            if day > last:
                return
            folder = _on(self.path, day)
            if folder not in seen:
                seen.add(folder)
                yield folder, day
            day += timedelta(days=1)
        raise ValueError(f"more than {MOST_DAYS} days; ask for fewer")

    def wants(self, name: str) -> bool:
        """Whether a name is one of a product."""
        return any(fnmatch.fnmatchcase(name, pattern) for pattern in self.match)


def _on(path: str, day: datetime) -> str:
    return DATED.sub(lambda found: found.group().format(day), path)


class TreeProvider:
    """Finds products by listing folders; the subclass says how."""

    ascending = False
    """A pass is sorted by time, but a file may appear late with an old one."""

    def __init__(self, config: ProviderConfig, lister: Lister, login: Login | None = None) -> None:
        self.name, self.config, self.login, self.lister = config.name, config, login, lister

    def search(self, query: Query) -> Iterator[Offer]:
        """The products that match, each once, oldest first. Raises ProviderFault."""
        described = collection_of(self.config, query.collection) if query.collection else {}
        place = Place.of(described, f"[providers.{self.name}.collections.{query.collection}]")
        found: dict[str, Offer] = {}
        for folder, day in place.folders(*self._days(query, place)):
            for item in self._products(folder, place, dated=day is not None):
                offer = self._offer(item, query.collection, day)
                if _wanted(offer, query):
                    found[offer.id] = offer
        oldest = datetime.min.replace(tzinfo=UTC)
        yield from sorted(found.values(), key=lambda offer: (offer.published or oldest, offer.id))

    def resolve(self, granule: Granule) -> Sequence[Part]:
        """Its file, or the files of its folder, as they are now. ProviderFault(gone) when there is none any more."""
        path = str(granule.detail.get("path") or granule.id)
        if granule.detail.get("folder"):
            files = list(self._files(path, DEPTH))
            if not files:
                raise ProviderFault(f"{self.lister.url(path)} is empty or not there any more", Kind.GONE)
            return [self._part(item, item.path.removeprefix(f"{path}/")) for item in files]
        item = self.lister.look(Item(path=path, size=granule.size))
        return [self._part(item, item.name)]

    def changes(self, since: datetime) -> Iterator[Change]:
        """None: a changed file is offered again with another fingerprint, a removed one is noticed when it is fetched."""
        _ = since
        return iter(())

    def auth(self) -> Mapping[str, str]:
        """Nothing but what the lister itself uses."""
        return {}

    def close(self) -> None:
        """Close the connections."""
        self.lister.close()

    def _part(self, item: Item, name: str) -> Part:
        return Part(url=self.lister.url(item.path), name=name, size=item.size)

    def _days(self, query: Query, place: Place) -> tuple[datetime, datetime]:
        """The days whose folders may hold what is asked for; sensing days, or days before publication."""
        now = datetime.now(UTC)
        late = timedelta(days=place.relist)
        first = query.start or (query.since - late if query.since else now - late)
        last = (query.until or now) + timedelta(days=place.ahead)
        last = min(query.end, last) if query.end is not None else last
        return first, last

    def _products(self, folder: str, place: Place, *, dated: bool) -> Iterator[Item]:
        try:
            items = self.lister.list(folder)
        except ProviderFault as fault:
            if fault.kind is Kind.GONE and dated:
                return  # a day without products has no folder
            if fault.kind is Kind.GONE:
                text = f"{self.lister.url(folder)} is not there (any more); see whether {self.name} moved it"
                raise ProviderFault(text, Kind.CONFIG, host=fault.host, status=fault.status, code="retired") from fault
            raise
        yield from self._below(items, place, place.depth)

    def _below(self, items: Sequence[Item], place: Place, depth: int) -> Iterator[Item]:
        for item in items:
            if not fit(item.path):
                LOG.warning("%s: %r is left out: its name is not safe", self.name, item.path[:120])
            elif item.folder and place.product == "folder" and place.wants(item.name):
                yield self._folder(item)
            elif item.folder and depth > 0:
                yield from self._below(self.lister.list(item.path), place, depth - 1)
            elif not item.folder and place.product == "file" and place.wants(item.name):
                yield from self._known(item)

    def _known(self, item: Item) -> Iterator[Item]:
        """With size and time; nothing when it went away meanwhile."""
        if item.size is not None and item.modified is not None:
            yield item
            return
        try:
            yield self.lister.look(item)
        except ProviderFault as fault:
            if fault.kind is not Kind.GONE:
                raise

    def _folder(self, item: Item) -> Item:
        """A folder as a product: size and time of all its files."""
        files = sorted(self._files(item.path, DEPTH), key=lambda file: file.path)
        lines = "".join(f"{file.path}\0{_mark(file)}\n" for file in files)
        times = [file.modified for file in files if file.modified is not None]
        return replace(
            item,
            size=sum(file.size or 0 for file in files),
            modified=max(times, default=None),
            etag=hashlib.sha256(lines.encode()).hexdigest()[:32],
        )

    def _files(self, path: str, depth: int) -> Iterator[Item]:
        for item in self.lister.list(path):
            if not fit(item.path):
                raise ProviderFault(f"{self.lister.url(path)} holds {item.path[-120:]!r}, which is no safe name", Kind.CORRUPT)
            if not item.folder:
                yield item
            elif depth > 0:
                yield from self._files(item.path, depth - 1)

    def _offer(self, item: Item, collection: str | None, day: datetime | None) -> Offer:
        name = plain_name(item.name)
        scene = scene_of(name, start=day)
        start = scene.start if scene and scene.start else day
        notes = [note for note, holds in {"no size": item.size is None, "no time": item.modified is None}.items() if holds]
        return Offer(
            provider=self.name,
            id=item.path,
            name=name,
            source=self.lister.url(item.path),
            fingerprint=_mark(item),
            size=item.size,
            collection=collection,
            scene_key=scene.scene_key if scene else None,
            rank=scene.rank if scene else (),
            published=item.modified,
            modified=item.modified,
            start_at=start,
            detail={"path": item.path, **({"folder": True} if item.folder else {}), **({"notes": notes} if notes else {})},
        )


def _mark(item: Item) -> str:
    """Changes with the bytes: size and ETag; where there is none, size and time."""
    if item.etag is not None:
        return f"size:{item.size},etag:{item.etag}"
    if item.modified is None:
        return f"size:{item.size}"
    return f"size:{item.size},time:{item.modified:%Y-%m-%dT%H:%M:%S}" if item.precise else f"size:{item.size},day:{item.modified:%Y-%m-%d}"


def _wanted(offer: Offer, query: Query) -> bool:
    """The parts of a query that a listing can answer; what has no time passes."""
    tests = (
        query.since is None or offer.published is None or offer.published >= query.since,
        query.until is None or offer.published is None or offer.published < query.until,
        query.end is None or offer.start_at is None or offer.start_at < query.end,
        query.start is None or offer.start_at is None or offer.start_at >= query.start - timedelta(days=1),
        not query.names or offer.name in {plain_name(name) for name in query.names},
    )
    return all(tests)


def fit(path: str) -> bool:
    """Whether a path from a listing may become one on our disk."""
    parts = path.split("/")
    return all(
        part not in {"", ".", ".."} and len(part.encode("utf-8", "surrogatepass")) <= LONGEST and part.isprintable() and "\\" not in part
        for part in parts
    )
