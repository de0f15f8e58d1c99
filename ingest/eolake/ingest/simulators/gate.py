"""The limits of a server: connections of an account, rates, requests per minute, bytes of a month."""

from __future__ import annotations

import threading
import time
from collections import defaultdict, deque

from eolake.ingest.simulators.faults import Limits, path_matches
from eolake.ingest.simulators.stats import Stats

MINUTE = 60.0
BURST = 0.02
"""Seconds of unused rate that may be caught up: what the timer of the system is late."""


class Pace:
    """A rate in bytes per second, kept over any number of calls."""

    def __init__(self, rate: float) -> None:
        self.rate = rate
        self._next = 0.0
        self._lock = threading.Lock()

    def take(self, count: int) -> float:
        """Counts these bytes; returns how many seconds to wait before the next."""
        with self._lock:
            now = time.monotonic()
            self._next = max(self._next, now - BURST) + count / self.rate
            return max(0.0, self._next - now)


class Gate:
    """Counts what each account does and says whether it may; safe for threads."""

    def __init__(self, limits: Limits, stats: Stats) -> None:
        self.limits = limits
        self.total = Pace(limits.total_rate) if limits.total_rate else None
        self._stats = stats
        self._lock = threading.Lock()
        self._busy: defaultdict[str, int] = defaultdict(int)
        self._lingering: defaultdict[str, deque[float]] = defaultdict(deque)
        self._asked: defaultdict[str, deque[float]] = defaultdict(deque)
        self._sent: defaultdict[str, int] = defaultdict(int)

    def concerns(self, path: str) -> bool:
        """Whether requests to this path are limited at all."""
        return any(path_matches(path, glob) for glob in self.limits.paths)

    def frequent(self, account: str) -> bool:
        """Counts a request; True when it is one too many of this minute."""
        limit = self.limits.requests_per_minute
        if limit is None:
            return False
        now = time.monotonic()
        with self._lock:
            asked = self._asked[account]
            while asked and asked[0] <= now - MINUTE:
                asked.popleft()
            asked.append(now)
            return len(asked) > limit

    def enter(self, account: str) -> bool:
        """Takes a connection of the account; False when all are taken. Each True needs a `leave`."""
        limit = 1 if self.spent(account) else self.limits.connections
        now = time.monotonic()
        with self._lock:
            lingering = self._lingering[account]
            while lingering and lingering[0] <= now:
                lingering.popleft()
            if limit is not None and self._busy[account] + len(lingering) >= limit:
                return False
            self._busy[account] += 1
            return True

    def leave(self, account: str) -> None:
        """Gives a connection back; it counts a while longer when there is a lag."""
        with self._lock:
            self._busy[account] -= 1
            if self.limits.lag:
                self._lingering[account].append(time.monotonic() + self.limits.lag)

    def count(self, account: str, sent: int) -> None:
        """Bytes that the account received."""
        with self._lock:
            self._sent[account] += sent

    def spent(self, account: str) -> bool:
        """Whether its budget is used up."""
        with self._lock:
            return self.limits.budget is not None and self._sent[account] >= self.limits.budget

    def rate(self, account: str) -> float | None:
        """Bytes per second of one of its connections."""
        return self.limits.slow_rate if self.spent(account) else self.limits.rate
