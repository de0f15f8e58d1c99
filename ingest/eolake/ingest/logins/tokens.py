"""Tokens: one for all threads and processes of a machine, in a file that only its owner may read; a lock that dies with its holder."""

from __future__ import annotations

import fcntl
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from eolake.catalog.local.files import locked, write_private
from eolake.ingest.faults import Kind, ProviderFault
from eolake.ingest.logins.errors import LoginRefused
from eolake.ingest.logins.secrets import Secret

HURRY = 1.0
"""Seconds that the end of a process waits for a login that is under way."""
PAUSE = 10.0
"""Seconds for which a token that still works is used without asking again, when the service gives no new one."""
MARGIN = 120.0
"""Seconds before its end at which a token is replaced, or a fifth of its life where that is less."""
BOOT = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """What a service gave; times are those of `Clock`."""

    value: Secret
    obtained: float
    until: float
    refresh: Secret | None = None
    refresh_until: float | None = None
    session: Secret | None = None
    """What the service calls the session, where it can be ended."""

    def lasts(self, now: float, margin: float = 0) -> bool:
        """Whether it will be good for so many seconds."""
        return now + margin < self.until

    def renewable(self, now: float) -> bool:
        """Whether its refresh token is good."""
        return self.refresh is not None and (self.refresh_until is None or now < self.refresh_until)


class Grant(Protocol):
    """How a service gives tokens."""

    def login(self, now: float) -> Token:
        """A new session. Raises LoginRefused, ProviderFault."""

    def renew(self, token: Token, now: float) -> Token:
        """The same session, a new token. LoginRefused: the session has ended."""

    def end(self, token: Token) -> None:
        """End the session. Raises ProviderFault."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """Seconds since the machine started, the same for all its processes; setting the wall clock does not move it."""

    boot: str
    now: Callable[[], float]


def machine_clock() -> Clock:
    """The clock of this machine; where there is none, the wall clock."""
    try:
        return Clock(boot=BOOT.read_text().strip(), now=lambda: time.clock_gettime(time.CLOCK_BOOTTIME))
    except (OSError, AttributeError):
        return Clock(boot="wall", now=time.time)


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What the processes of a machine know of one credential."""

    token: Token | None = None
    tried: float | None = None
    """Last login with the password."""
    refused: str | None = None
    """What the service said to it, when it was no."""


@dataclass(slots=True, kw_only=True)
class Tokens:
    """The token of one credential. Safe for threads; others on the machine with the same file share it."""

    path: Path
    grant: Grant
    name: str
    """Of the credential, for messages."""
    every: float = 60
    """Seconds between two logins with the password: each opens a session, and those are counted."""
    clock: Clock = field(default_factory=machine_clock)
    _held: Token | None = None
    _paused: float = 0
    _users: int | None = None
    _refused: bool = False
    _guard: threading.Lock = field(default_factory=threading.Lock)

    def current(self) -> Secret:
        """A token that will be good for a while; asks for one when there is none. Raises ProviderFault."""
        token, now = self._held, self.clock.now()
        if token is None or not (_fresh(token, now) or (now < self._paused and token.lasts(now, margin=1))):
            with self._alone() as record:
                token = self._good(record)
        return token.value

    def replace(self, refused: str) -> None:
        """The service refused this token: get another, once for all who hold it. Raises ProviderFault."""
        self._refused = True
        with self._alone() as record:
            token = record.token
            if token is None or token.value.reveal() == refused or not token.lasts(self.clock.now()):
                self._held = self._renewed(record)
            else:
                self._held = token

    def close(self) -> None:
        """End the session if nobody else on this machine uses it. Raises ProviderFault."""
        if not self._guard.acquire(timeout=HURRY):
            return  # a thread waits for the service: the session stays for the next process
        try:
            users, self._users = self._users, None
            self._held = None
        finally:
            self._guard.release()
        if users is None:
            return
        try:
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._end()
        except BlockingIOError:
            return  # others go on with it, and the last of them ends it
        finally:
            os.close(users)

    def _end(self) -> None:
        with locked(self._beside("lock")):
            record = self._read()
            token, now = record.token, self.clock.now()
            if token is None:
                return
            # A session that was good to its end does not count any more: the next command may log in at once.
            self._write(replace(record, token=None, tried=record.tried if self._refused else None))
            if not token.lasts(now) and token.renewable(now):
                token = self.grant.renew(token, now)
            if token.lasts(now):
                self.grant.end(token)

    def _good(self, record: Record) -> Token:
        """The shared token while it is fresh; a new one otherwise. One that still works stays while no other can be had."""
        now = self.clock.now()
        token = record.token
        if token is not None and _fresh(token, now):
            self._held = token
            return token
        try:
            self._held = self._renewed(record)
        except ProviderFault:
            if token is None or not token.lasts(now, margin=1):
                raise
            self._held, self._paused = token, now + PAUSE
            return token
        return self._held

    def _renewed(self, record: Record) -> Token:
        now = self.clock.now()
        token = record.token
        if token is not None and token.renewable(now):
            try:
                fresh = self.grant.renew(token, now)
            except LoginRefused:
                record = replace(record, token=None)  # the session has ended: the password, once
            else:
                self._write(replace(record, token=fresh))
                return fresh
        return self._logged_in(record, now)

    def _logged_in(self, record: Record, now: float) -> Token:
        wait = record.tried + self.every - now if record.tried is not None else 0
        if wait > 0:
            raise self._too_soon(record, wait)
        record = Record(tried=now)
        self._write(record)
        try:
            token = self.grant.login(now)
        except LoginRefused as refusal:
            self._write(replace(record, refused=str(refusal)))
            raise
        self._write(replace(record, token=token))
        return token

    def _too_soon(self, record: Record, wait: float) -> ProviderFault:
        if record.refused is not None:
            return LoginRefused(record.refused)
        return ProviderFault(
            f"{self.name} logged in less than {self.every:.0f} s ago, and its token is refused or was never given; "
            f"the next login is in {wait:.0f} s",
            Kind.AUTH,
            code="login-too-soon",
            retry_after=wait,
        )

    @contextmanager
    def _alone(self) -> Iterator[Record]:
        """Hold the lock of all threads and processes; what they know."""
        folder = self.path.parent
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self._guard:
            if self._users is None:
                self._users = os.open(self._beside("users"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
                fcntl.flock(self._users, fcntl.LOCK_SH)
            with locked(self._beside("lock")):
                yield self._read()

    def _beside(self, suffix: str) -> Path:
        return self.path.with_suffix(f".{suffix}")

    def _read(self) -> Record:
        """Nothing, when the file is of another start of the machine, or not ours to trust."""
        try:
            if self.path.stat().st_mode & 0o077:
                return Record()
            document = json.loads(self.path.read_text("utf-8"))
            return _record(document) if document["boot"] == self.clock.boot else Record()
        except (OSError, ValueError, KeyError, TypeError):
            return Record()

    def _write(self, record: Record) -> None:
        token = record.token
        document = {
            "boot": self.clock.boot,
            "tried": record.tried,
            "refused": record.refused,
            "token": None
            if token is None
            else {
                "value": token.value.reveal(),
                "obtained": token.obtained,
                "until": token.until,
                "refresh": token.refresh.reveal() if token.refresh else None,
                "refresh_until": token.refresh_until,
                "session": token.session.reveal() if token.session else None,
            },
        }
        write_private(self.path, json.dumps(document))


def _fresh(token: Token, now: float) -> bool:
    return token.lasts(now, margin=min(MARGIN, (token.until - token.obtained) / 5))


def _record(document: dict[str, Any]) -> Record:
    token = document["token"]
    return Record(
        tried=document["tried"],
        refused=document["refused"],
        token=None
        if token is None
        else Token(
            value=Secret(token["value"]),
            obtained=token["obtained"],
            until=token["until"],
            refresh=Secret(token["refresh"]) if token["refresh"] else None,
            refresh_until=token["refresh_until"],
            session=Secret(token["session"]) if token["session"] else None,
        ),
    )
