"""The sender of push notifications: an attempt and three retries, then the notification is lost."""

from __future__ import annotations

import json
import queue
import threading
from dataclasses import dataclass
from typing import Any, Self

import urllib3

from eolake.ingest.simulators.tokens import basic_header

RETRIES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one notification."""

    body: Any
    statuses: tuple[int, ...]
    """Of each attempt; 0 when there was no answer."""

    @property
    def delivered(self) -> bool:
        """Whether the endpoint took it."""
        return bool(self.statuses) and 200 <= self.statuses[-1] < 300


@dataclass(frozen=True, slots=True, kw_only=True)
class _Post:
    endpoint: str
    body: Any
    user: str
    password: str


class Pusher:
    """Posts notifications in threads of its own, in order with one thread; a context manager."""

    def __init__(
        self, *, threads: int = 1, retries: int = RETRIES, pause: float = 0.2, timeout: float = 10, trusted: str | None = None
    ) -> None:
        """`pause`: seconds before each retry; `timeout`: seconds; `trusted`: file of the certificates for https."""
        self._retries, self._pause, self._timeout = retries, pause, timeout
        self._waiting: queue.Queue[_Post | None] = queue.Queue()
        self._pool = urllib3.PoolManager(maxsize=threads, retries=False, ca_certs=trusted)
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self.outcomes: list[Outcome] = []
        """In the order in which they ended."""
        self._threads = [threading.Thread(target=self._work, name="simulator-push") for _ in range(threads)]
        for thread in self._threads:
            thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def lost(self) -> int:
        """Notifications that nobody took."""
        with self._lock:
            return sum(not outcome.delivered for outcome in self.outcomes)

    def push(self, endpoint: str, body: Any, user: str = "", password: str = "") -> None:
        """Sends it soon."""
        self._waiting.put(_Post(endpoint=endpoint, body=body, user=user, password=password))

    def wait(self) -> None:
        """Until everything was delivered or lost."""
        self._waiting.join()

    def close(self) -> None:
        """What was not sent yet is lost."""
        self._stopped.set()
        for _ in self._threads:
            self._waiting.put(None)
        for thread in self._threads:
            thread.join()
        self._pool.clear()

    def _work(self) -> None:
        while (post := self._waiting.get()) is not None:
            outcome = self._deliver(post)
            with self._lock:
                self.outcomes.append(outcome)
            self._waiting.task_done()
        self._waiting.task_done()

    def _deliver(self, post: _Post) -> Outcome:
        statuses: list[int] = []
        while len(statuses) <= self._retries and not self._stopped.is_set():
            statuses.append(self._attempt(post))
            if 200 <= statuses[-1] < 300 or (len(statuses) <= self._retries and self._stopped.wait(self._pause)):
                break
        return Outcome(body=post.body, statuses=tuple(statuses))

    def _attempt(self, post: _Post) -> int:
        headers = {"Content-Type": "application/json", "Authorization": basic_header(post.user, post.password)}
        try:
            response = self._pool.request(
                "POST", post.endpoint, body=json.dumps(post.body).encode(), headers=headers, timeout=self._timeout
            )
        except urllib3.exceptions.HTTPError:
            return 0
        return response.status
