"""Where the bytes of one answer go: looked at first, compared with what was there, written and hashed beside the network."""

from __future__ import annotations

import threading
from queue import Queue

from eolake.ingest.faults import Kind, ProviderFault
from eolake.ingest.transfer import sniff
from eolake.ingest.transfer.hashing import Digests
from eolake.ingest.transfer.partial import Partial

BUFFER = 1 << 20
"""Bytes that are written at a time."""
DEPTH = 3
"""Buffers that may wait to be written."""
TAIL = 4096


class Mismatch(Exception):
    """What came again is not what came before: the file changed."""


class Sink:
    """Takes the bytes of one answer in order, from the place where they belong.

    A thread writes and hashes what is handed over a buffer at a time; its error comes back with the next bytes."""

    def __init__(self, partial: Partial, digests: Digests, *, at: int, name: str, media_type: str | None, total: int | None) -> None:
        """`at`: where the first byte belongs; bytes of the file behind it are compared with what comes, and then overwritten."""
        self._partial, self._digests = partial, digests
        self._name, self._media_type, self._total = name, media_type, total
        self.at = at
        self._there = b"".join(partial.read(at, partial.length))
        self._begin = at
        self._head = b""
        self._looked = at > 0
        self._waiting: list[bytes] = []
        self._size = 0
        self.tail = b""
        self._queue: Queue[tuple[list[bytes], int] | None] = Queue(DEPTH)
        self._error: BaseException | None = None
        self._thread: threading.Thread | None = None
        self._rehashed = False

    def take(self, data: bytes) -> None:
        """More bytes. ProviderFault when they are no part of the file, Mismatch when they contradict what is there."""
        if not self._looked:
            self._head += data
            if len(self._head) < sniff.ENOUGH:
                return
            data, self._head = self._head, b""
            self._look(data)
        self._append(data)

    def finish(self) -> int:
        """Everything is written and hashed; the length of the file."""
        if not self._looked:
            data, self._head = self._head, b""
            if data:
                self._look(data)
                self._append(data)
        self._hand_over(last=True)
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join()
            self._thread = None
        if self._error is not None:
            raise self._error
        self._rehash()
        return self.at

    def abandon(self) -> None:
        """Write what came, and forget about errors: another one is on its way."""
        try:
            self.finish()
        except Exception as error:  # noqa: BLE001 -- the first error counts
            self._error = error

    def _look(self, data: bytes) -> None:
        self._looked = True
        wrong = sniff.fault(data[: sniff.ENOUGH * 8], self._name, self._media_type)
        if wrong is not None:
            raise ProviderFault(wrong[1], wrong[0])

    def _append(self, data: bytes) -> None:
        if self._error is not None:
            raise self._error
        self._compare(data)
        self.at += len(data)
        if self._total is not None and self.at > self._total:
            raise ProviderFault(f"{self._name}: more bytes come than the {self._total:,} that were announced", Kind.TRANSIENT)
        self._waiting.append(data)
        self._size += len(data)
        if self._size >= BUFFER:
            self._hand_over()

    def _compare(self, data: bytes) -> None:
        """Against the bytes that were taken back."""
        offset = self.at - self._begin
        if offset < len(self._there):
            there = self._there[offset : offset + len(data)]
            if there != data[: len(there)]:
                raise Mismatch(f"{self._name}: bytes that came before come differently now")

    def _hand_over(self, *, last: bool = False) -> None:
        if not self._waiting:
            return
        self.tail = self._waiting[-1][-TAIL:]
        buffer, self._waiting, start, self._size = self._waiting, [], self.at - self._size, 0
        if last and self._thread is None:
            self._write(buffer, start)
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name=f"write {self._name}", daemon=True)
            self._thread.start()
        self._queue.put((buffer, start))

    def _run(self) -> None:
        while True:
            entry = self._queue.get()
            if entry is None:
                return
            if self._error is None:
                try:
                    self._write(*entry)
                except BaseException as error:  # noqa: BLE001 -- told by the thread that takes bytes
                    self._error = error

    def _write(self, buffer: list[bytes], start: int) -> None:
        self._rehash()
        data = buffer[0] if len(buffer) == 1 else b"".join(buffer)
        self._partial.write(data, start)
        self._digests.update(data)

    def _rehash(self) -> None:
        """What was there before this answer."""
        if not self._rehashed:
            self._rehashed = True
            for piece in self._partial.read(0, self._begin):
                self._digests.update(piece)
