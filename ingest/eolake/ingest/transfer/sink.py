"""Where the bytes of one answer go: looked at first, compared with what was there, written and hashed."""

from __future__ import annotations

import threading
from queue import SimpleQueue

from eolake.ingest.faults import Kind, ProviderFault
from eolake.ingest.transfer import sniff
from eolake.ingest.transfer.hashing import Digests
from eolake.ingest.transfer.partial import Partial

MUCH = 1 << 20
"""Bytes from which on a thread is worth its while."""
TAIL = 4096


class Mismatch(Exception):
    """What came again is not what came before: the file changed."""


class Sink:
    """Takes the bytes of one answer in order, from the place where they belong.

    They are on the disk when `take` returns. A thread follows and hashes what it reads back, from the first byte of the file on:
    what is verified is what was written, and nothing waits for it but the end."""

    def __init__(self, partial: Partial, digests: Digests, *, at: int, name: str, media_type: str | None, total: int | None) -> None:
        """`at`: where the first byte belongs; bytes of the file behind it are compared with what comes, and then overwritten."""
        self._partial, self._name, self._media_type, self._total = partial, name, media_type, total
        self.at = at
        self._there = b"".join(partial.read(at, partial.length))
        self._begin = at
        self._head = b""
        self._looked = at > 0
        self.tail = b""
        self._follower = Follower(partial, digests)

    def take(self, data: bytes | memoryview) -> None:
        """More bytes. ProviderFault when they are no part of the file, Mismatch when they contradict what is there."""
        if self._looked:
            self._append(data)
            return
        self._head += data
        if len(self._head) >= sniff.ENOUGH:
            self._look()

    def finish(self) -> int:
        """Everything is written and hashed; the length of the file."""
        try:
            if not self._looked and self._head:
                self._look()
        finally:
            self._follower.end(self.at)
        return self.at

    def abandon(self) -> None:
        """What came is kept; it is looked at no more."""
        self._follower.end(0)

    def _look(self) -> None:
        data, self._head, self._looked = self._head, b"", True
        wrong = sniff.fault(data[: sniff.ENOUGH * 8], self._name, self._media_type)
        if wrong is not None:
            raise ProviderFault(wrong[1], wrong[0])
        self._append(data)

    def _append(self, data: bytes | memoryview) -> None:
        self._compare(data)
        if self._total is not None and self.at + len(data) > self._total:
            raise ProviderFault(f"{self._name}: more bytes come than the {self._total:,} that were announced", Kind.TRANSIENT)
        self._partial.write(data, self.at)
        self.at += len(data)
        self.tail = bytes(data[-TAIL:])
        self._follower.go(self.at)

    def _compare(self, data: bytes | memoryview) -> None:
        """Against the bytes that were taken back."""
        offset = self.at - self._begin
        if offset < len(self._there):
            there = self._there[offset : offset + len(data)]
            if there != data[: len(there)]:
                raise Mismatch(f"{self._name}: bytes that came before come differently now")


class Follower:
    """Hashes a growing file from its first byte; beside the network as soon as there is much of it."""

    def __init__(self, partial: Partial, digests: Digests) -> None:
        self._partial, self._digests = partial, digests
        self._done = 0
        self._goals: SimpleQueue[int | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._error: Exception | None = None

    def go(self, length: int) -> None:
        """So much is there."""
        if self._thread is None and length >= MUCH:
            self._thread = threading.Thread(target=self._run, name="hash", daemon=True)
            self._thread.start()
        if self._thread is not None:
            self._goals.put(length)

    def end(self, length: int) -> None:
        """Nothing more comes; returns when `length` bytes are hashed."""
        if self._thread is not None:
            self._goals.put(None)
            self._thread.join()
            self._thread = None
        if self._error is not None:
            raise self._error
        self._hash(length)

    def _run(self) -> None:
        while (goal := self._goals.get()) is not None:
            try:
                self._hash(goal)
            except OSError as error:
                self._error = error
                return

    def _hash(self, goal: int) -> None:
        for piece in self._partial.read(self._done, goal):
            self._digests.update(piece)
            self._done += len(piece)
