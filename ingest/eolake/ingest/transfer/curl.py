"""One libcurl handle: one connection at a time, kept open from file to file."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import certifi
import pycurl

from eolake.ingest.faults import Kind
from eolake.ingest.transfer.base import Limits, Stop

BUFFER = 256 << 10
GATHER = 256 << 10
"""Bytes; a piece of libcurl has at most 16 KiB."""
ROUND = 0.25
"""Seconds between two looks at whether to stop, when nothing comes."""
PASSING = {
    pycurl.E_COULDNT_RESOLVE_HOST: "its name is not known right now",
    pycurl.E_COULDNT_CONNECT: "it does not take connections",
    pycurl.E_OPERATION_TIMEDOUT: "it stalls",
    pycurl.E_PARTIAL_FILE: "the connection ended in the middle of the file",
    pycurl.E_RECV_ERROR: "the connection was reset",
    pycurl.E_SEND_ERROR: "the connection was reset",
    pycurl.E_GOT_NOTHING: "it answers nothing",
    pycurl.E_FTP_WEIRD_SERVER_REPLY: "its answer makes no sense",
    pycurl.E_FTP_CANT_GET_HOST: "its data connection has no address",
}
"""What curl says of faults that pass."""
REFUSED = {pycurl.E_PEER_FAILED_VERIFICATION, pycurl.E_SSL_CACERT_BADFILE, pycurl.E_UNSUPPORTED_PROTOCOL, pycurl.E_URL_MALFORMAT}
"""What no waiting mends."""


class Stopped(Exception):
    """The transfer ends because it was told to; what came is kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why a request did not come to its end."""

    kind: Kind
    text: str
    code: int = 0
    error: BaseException | None = None
    """What our own side raised."""


class Stall(Exception):
    """Too little came for too long."""


class Handle:
    """Not safe for threads: one for each lane.

    libcurl hands over 16 KiB at a time. They are gathered in one buffer that stays warm in the cache of the processor, and taken when it
    is full: fresh memory for every piece takes as long as the network."""

    def __init__(self, ca_file: Path | None = None) -> None:
        self._curl, self._multi = pycurl.Curl(), pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_MAXCONNECTS, 1)
        self._ca = str(ca_file or certifi.where())
        self._buffer = bytearray(GATHER)

    def close(self) -> None:
        """Close the connection."""
        self._multi.close()
        self._curl.close()

    def perform(
        self,
        url: str,
        headers: Sequence[str],
        *,
        header: Callable[[bytes], None],
        write: Callable[[memoryview], None],
        stop: Stop,
        protocols: int,
        limits: Limits,
        options: Callable[[pycurl.Curl], None] = lambda _: None,
    ) -> Failure | None:
        """Run one request; None when it came to its end. What the callbacks raise comes back as `error`.

        What `write` gets is only good while it runs."""
        raised = list[BaseException]()
        gather = _Gather(self._buffer, write, _Watch(stop, limits))
        self._prepare(url, headers, _guarded(raised, header), _guarded(raised, gather.take), protocols=protocols, limits=limits)
        options(self._curl)
        code, text = 0, ""
        self._multi.add_handle(self._curl)
        try:
            code, text = self._run(gather)
        except Exception as error:  # noqa: BLE001 -- the request ends; its caller decides what that means
            raised.append(error)
        finally:
            self._multi.remove_handle(self._curl)
        if raised:
            return Failure(kind=Kind.TRANSIENT, text=str(raised[0]), code=code, error=raised[0])
        if not code:
            return None
        return Failure(kind=Kind.CONFIG if code in REFUSED else Kind.TRANSIENT, text=PASSING.get(code, text), code=code)

    def _prepare(
        self,
        url: str,
        headers: Sequence[str],
        header: Callable[[bytes], int | None],
        write: Callable[[bytes], int | None],
        *,
        protocols: int,
        limits: Limits,
    ) -> None:
        curl = self._curl
        curl.reset()
        curl.setopt(pycurl.URL, url)
        curl.setopt(pycurl.PROTOCOLS, protocols)
        curl.setopt(pycurl.HTTPHEADER, list(headers))
        curl.setopt(pycurl.NOSIGNAL, 1)
        curl.setopt(pycurl.CAINFO, self._ca)
        curl.setopt(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_1_1)
        curl.setopt(pycurl.BUFFERSIZE, BUFFER)
        curl.setopt(pycurl.CONNECTTIMEOUT_MS, int(limits.connect * 1000))
        curl.setopt(pycurl.TCP_KEEPALIVE, 1)
        curl.setopt(pycurl.NETRC, pycurl.NETRC_IGNORED)
        curl.setopt(pycurl.HEADERFUNCTION, header)
        curl.setopt(pycurl.WRITEFUNCTION, write)

    def _run(self, gather: _Gather) -> tuple[int, str]:
        """Until the request ends; its error, if any. Raises Stopped, Stall, and what `write` raises of the last bytes."""
        multi = self._multi
        while True:
            _, active = multi.perform()
            if not active:
                gather.flush()
                return self._end()
            gather.watch.look()
            multi.select(ROUND)

    def _end(self) -> tuple[int, str]:
        while True:
            queued, _, failed = self._multi.info_read()
            for _, code, text in failed:
                return int(code), str(text)
            if not queued:
                return 0, ""


class _Gather:
    """Pieces of a body, taken many at a time."""

    def __init__(self, buffer: bytearray, write: Callable[[memoryview], None], watch: _Watch) -> None:
        self.watch = watch
        self._view, self._size, self._write = memoryview(buffer), len(buffer), write
        self._filled = 0

    def take(self, data: bytes) -> None:
        """One piece."""
        end = self._filled + len(data)
        if end > self._size:
            self.flush()
            end = len(data)
        self._view[self._filled : end] = data
        self._filled = end

    def flush(self) -> None:
        """Hand over what is there."""
        filled, self._filled = self._filled, 0
        if filled:
            self.watch.came(filled)
            self._write(self._view[:filled])


class _Watch:
    """Ends a transfer that is told to stop, or that stalls."""

    def __init__(self, stop: Stop, limits: Limits) -> None:
        self._stop, self._limits = stop, limits
        self._first = False
        self._last = self._window = time.monotonic()
        self._count = 0

    def came(self, count: int) -> None:
        """Bytes of the body."""
        self._first, self._last = True, time.monotonic()
        self._count += count

    def look(self) -> None:
        """Raises Stopped or Stall."""
        if self._stop():
            raise Stopped
        now, limits = time.monotonic(), self._limits
        if now - self._last > (limits.stall if self._first else limits.first_byte):
            raise Stall(f"nothing came for {now - self._last:.0f} s")
        if self._first and now - self._window > limits.low_speed_time:
            if self._count < limits.low_speed * limits.low_speed_time:
                raise Stall(f"only {self._count:,} bytes came in {limits.low_speed_time:.0f} s")
            self._window, self._count = now, 0


def _guarded(raised: list[BaseException], call: Callable[[bytes], None]) -> Callable[[bytes], int | None]:
    """What the callback raises ends the transfer, and is not lost."""

    def run(data: bytes) -> int | None:
        try:
            call(data)
        except Exception as error:  # noqa: BLE001 -- libcurl would swallow it
            raised.append(error)
            return -1
        return None

    return run
