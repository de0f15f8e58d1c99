"""What a simulator saw: the evidence of tests."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from dataclasses import asdict, dataclass, field
from typing import Any

KEPT = 100_000
"""Requests that are remembered one by one."""


@dataclass(slots=True)
class Spans:
    """Which bytes were sent at least once."""

    spans: list[tuple[int, int]] = field(default_factory=list)

    def add(self, start: int, stop: int) -> int:
        """Adds [start, stop); returns how many bytes of it were there already."""
        fresh = stop - start
        kept: list[tuple[int, int]] = []
        low, high = start, stop
        for first, last in self.spans:
            if last < start or first > stop:
                kept.append((first, last))
                continue
            fresh -= max(0, min(last, stop) - max(first, start))
            low, high = min(low, first), max(high, last)
        kept.append((low, high))
        self.spans = sorted(kept)
        return stop - start - fresh


@dataclass(slots=True)
class Seen:
    """One request and what became of it."""

    at: float
    """Seconds since the server started."""
    method: str
    path: str
    account: str
    host: str
    """host:port that the client meant"""
    authorization: bool
    range: str | None
    connection: int
    status: int = 0
    sent: int = 0
    """Bytes of the body handed to the network."""
    seconds: float = 0
    fault: bool = False
    """Whether a rule fired."""


@dataclass(slots=True)
class PathStats:
    """All requests to one path."""

    requests: int = 0
    sent: int = 0
    resent: int = 0
    """Bytes of it that had been sent before."""
    statuses: Counter[int] = field(default_factory=Counter)
    ranges: list[str] = field(default_factory=list)


@dataclass(slots=True)
class AccountStats:
    """All requests of one account."""

    requests: int = 0
    sent: int = 0
    transfers: int = 0
    """Now."""
    max_transfers: int = 0
    """Most at once."""
    connections: int = 0
    max_connections: int = 0
    refused: int = 0
    """Answers that its limits caused."""


@dataclass(slots=True)
class HostStats:
    """Whether credentials came to a host."""

    requests: int = 0
    authorized: int = 0


class Stats:
    """Counts of a server; safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.clear()

    def clear(self) -> None:
        """Forget everything that has ended; what is open stays counted."""
        with self._lock:
            self.started = time.monotonic()
            self.paths: dict[str, PathStats] = {}
            before: dict[str, AccountStats] = getattr(self, "accounts", {})
            self.accounts = {
                name: AccountStats(
                    transfers=old.transfers, max_transfers=old.transfers, connections=old.connections, max_connections=old.connections
                )
                for name, old in before.items()
                if old.transfers or old.connections
            }
            self.hosts: dict[str, HostStats] = {}
            self.requests: deque[Seen] = deque(maxlen=KEPT)
            self.connections = 0
            """Accepted so far."""
            self._spans: dict[str, Spans] = {}

    @property
    def sent(self) -> int:
        """Bytes of all bodies."""
        with self._lock:
            return sum(path.sent for path in self.paths.values())

    @property
    def resent(self) -> int:
        """Bytes that were sent more than once."""
        with self._lock:
            return sum(path.resent for path in self.paths.values())

    def account(self, name: str) -> AccountStats:
        """The counts of an account; empty ones when it never came."""
        with self._lock:
            return self.accounts.setdefault(name, AccountStats())

    def path(self, path: str) -> PathStats:
        """The counts of a path; empty ones when nobody asked for it."""
        with self._lock:
            return self.paths.setdefault(path, PathStats())

    def accepted(self) -> int:
        """A connection came; returns its number."""
        with self._lock:
            self.connections += 1
            return self.connections

    def begin(self, seen: Seen) -> None:
        """A request came."""
        with self._lock:
            seen.at = time.monotonic() - self.started
            self.requests.append(seen)
            path = self.paths.setdefault(seen.path, PathStats())
            path.requests += 1
            if seen.range is not None:
                path.ranges.append(seen.range)
            self.accounts.setdefault(seen.account, AccountStats()).requests += 1
            host = self.hosts.setdefault(seen.host, HostStats())
            host.requests += 1
            host.authorized += seen.authorization

    def body(self, seen: Seen, start: int | None, count: int) -> None:
        """`count` bytes went out; `start`: their place in the content, when they are content."""
        with self._lock:
            seen.sent += count
            path = self.paths.setdefault(seen.path, PathStats())
            path.sent += count
            self.accounts.setdefault(seen.account, AccountStats()).sent += count
            if start is not None:
                path.resent += self._spans.setdefault(seen.path, Spans()).add(start, start + count)

    def end(self, seen: Seen) -> None:
        """A request ended; status 0: before any answer."""
        with self._lock:
            seen.seconds = time.monotonic() - self.started - seen.at
            self.paths.setdefault(seen.path, PathStats()).statuses[seen.status] += 1

    def transfers(self, account: str, change: int) -> None:
        """A transfer of the account began (+1) or ended (-1)."""
        with self._lock:
            counts = self.accounts.setdefault(account, AccountStats())
            counts.transfers += change
            counts.max_transfers = max(counts.max_transfers, counts.transfers)

    def held(self, account: str, change: int) -> None:
        """A connection was first used by the account (+1) or closed (-1)."""
        with self._lock:
            counts = self.accounts.setdefault(account, AccountStats())
            counts.connections += change
            counts.max_connections = max(counts.max_connections, counts.connections)

    def refused(self, account: str) -> None:
        """Its limits spoke."""
        with self._lock:
            self.accounts.setdefault(account, AccountStats()).refused += 1

    def document(self) -> dict[str, Any]:
        """For `GET /_stats`."""
        with self._lock:
            paths = {
                name: {**asdict(path), "statuses": {str(key): n for key, n in path.statuses.items()}} for name, path in self.paths.items()
            }
            return {
                "connections": self.connections,
                "sent": sum(path.sent for path in self.paths.values()),
                "resent": sum(path.resent for path in self.paths.values()),
                "paths": paths,
                "accounts": {name: asdict(account) for name, account in self.accounts.items()},
                "hosts": {name: asdict(host) for name, host in self.hosts.items()},
                "requests": [asdict(seen) for seen in self.requests],
            }
