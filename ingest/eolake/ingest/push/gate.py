"""Where the requests of a burst meet: one thread writes whatever waits in one transaction, and only then they are answered."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

import psycopg

from eolake.catalog.errors import Busy
from eolake.catalog.lake import Connection
from eolake.ingest.push.intake import Intake, Scope, Told
from eolake.ingest.push.notifications import BadNotification, read_body

log = logging.getLogger(__name__)

WAITING = 2000
"""Bodies that may wait; more are refused, and the provider tries them again."""
TOGETHER = 200
"""Bodies in one transaction."""

Connect = Callable[[], AbstractContextManager[Connection]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Post:
    scope: Scope
    body: bytes
    done: Future[None] = field(default_factory=Future)


class Gate:
    """Takes bodies of notifications from many threads."""

    def __init__(self, intake: Intake, connect: Connect) -> None:
        """`connect`: a connection of the caller's pool, for one transaction."""
        self.intake, self._connect = intake, connect
        self._waiting: queue.Queue[_Post | None] = queue.Queue(WAITING)
        self._thread = threading.Thread(target=self._work, name="push", daemon=True)
        self._thread.start()

    def put(self, scope: Scope, body: bytes) -> Future[None]:
        """Done when what the body says is committed. BadNotification: it says nothing; Busy: too many wait; else our own failure."""
        post = _Post(scope=scope, body=body)
        try:
            self._waiting.put_nowait(post)
        except queue.Full:
            raise Busy(f"{WAITING} notifications wait already; send this one again") from None
        return post.done

    def close(self) -> None:
        """Write what waits, then end."""
        self._waiting.put(None)
        self._thread.join()

    def _work(self) -> None:
        while (post := self._waiting.get()) is not None:
            posts = [post]
            while len(posts) < TOGETHER and (following := self._next()) is not None:
                posts.append(following)
            self._take(posts)

    def _next(self) -> _Post | None:
        """What waits already, if anything; the end stays where it is."""
        try:
            post = self._waiting.get_nowait()
        except queue.Empty:
            return None
        if post is None:
            self._waiting.put(None)
        return post

    def _take(self, posts: Sequence[_Post]) -> None:
        told = [(post, one) for post in posts if (one := _read(post)) is not None]
        if told:
            self._store(told)

    def _store(self, told: Sequence[tuple[_Post, Told]]) -> None:
        """All in one transaction; when one of them is to blame, each by itself."""
        try:
            self._write([one for _, one in told])
        except psycopg.OperationalError as error:
            log.error("notifications could not be written: %s", error)  # noqa: TRY400 -- its text says it all
            _fail(told, error)
        except Exception as error:
            if len(told) > 1:
                for pair in told:
                    self._store([pair])
                return
            log.exception("a notification could not be written")
            _fail(told, BadNotification("it can't be stored") if isinstance(error, psycopg.DataError) else error)
        else:
            for post, _ in told:
                post.done.set_result(None)

    def _write(self, told: Sequence[Told]) -> None:
        with self._connect() as connection, connection.transaction():
            taken = self.intake.take(connection, told)
        log.info("notifications: %s", taken)


def _read(post: _Post) -> Told | None:
    if not post.done.set_running_or_notify_cancel():
        return None  # nobody waits for it any more
    try:
        return Told(scope=post.scope, notifications=read_body(post.body))
    except Exception as error:  # noqa: BLE001 -- a foreign document; whoever waits is told
        post.done.set_exception(error)
        return None


def _fail(told: Sequence[tuple[_Post, Told]], error: Exception) -> None:
    for post, _ in told:
        post.done.set_exception(error)
