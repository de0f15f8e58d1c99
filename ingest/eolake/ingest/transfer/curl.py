"""One libcurl handle: one connection at a time, kept open from file to file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import certifi
import pycurl

from eolake.ingest.faults import Kind
from eolake.ingest.transfer.base import Limits, Stop

BUFFER = 1 << 20
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


class Handle:
    """Not safe for threads: one for each lane."""

    def __init__(self, ca_file: Path | None = None) -> None:
        self._curl = pycurl.Curl()
        self._ca = str(ca_file or certifi.where())

    def close(self) -> None:
        """Close the connection."""
        self._curl.close()

    def perform(
        self,
        url: str,
        headers: Sequence[str],
        *,
        header: Callable[[bytes], None],
        write: Callable[[bytes], None],
        stop: Stop,
        protocols: int,
        limits: Limits,
        options: Callable[[pycurl.Curl], None] = lambda _: None,
    ) -> Failure | None:
        """Run one request; None when it came to its end. What the callbacks raise comes back as `error`."""
        curl, raised = self._curl, list[BaseException]()
        watch = _Watch(stop, limits)
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
        curl.setopt(pycurl.NOPROGRESS, 0)
        curl.setopt(pycurl.XFERINFOFUNCTION, _guarded(raised, watch.look))
        curl.setopt(pycurl.HEADERFUNCTION, _guarded(raised, header))
        curl.setopt(pycurl.WRITEFUNCTION, _guarded(raised, lambda data: _both(watch, write, data)))
        options(curl)
        try:
            curl.perform()
        except pycurl.error as error:
            code = int(error.args[0])
            if raised:
                return Failure(kind=Kind.TRANSIENT, text=str(raised[0]), code=code, error=raised[0])
            kind = Kind.CONFIG if code in REFUSED else Kind.TRANSIENT
            return Failure(kind=kind, text=PASSING.get(code, str(error.args[1])), code=code)
        return Failure(kind=Kind.TRANSIENT, text=str(raised[0]), error=raised[0]) if raised else None


class Stall(Exception):
    """Too little came for too long."""


class _Watch:
    """Ends a transfer that is told to stop, or that stalls: libcurl asks once a second, and whenever bytes come."""

    def __init__(self, stop: Stop, limits: Limits) -> None:
        import time

        self._clock = time.monotonic
        self._stop, self._limits = stop, limits
        self._first = False
        self._last = self._window = self._clock()
        self._count = 0

    def came(self, count: int) -> None:
        """Bytes of the body."""
        self._first, self._last = True, self._clock()
        self._count += count

    def look(self, *_: float) -> None:
        """Raises Stopped or Stall."""
        if self._stop():
            raise Stopped
        now, limits = self._clock(), self._limits
        if now - self._last > (limits.stall if self._first else limits.first_byte):
            raise Stall(f"nothing came for {now - self._last:.0f} s")
        if self._first and now - self._window > limits.low_speed_time:
            if self._count < limits.low_speed * limits.low_speed_time:
                raise Stall(f"only {self._count:,} bytes came in {limits.low_speed_time:.0f} s")
            self._window, self._count = now, 0


def _both(watch: _Watch, write: Callable[[bytes], None], data: bytes) -> None:
    watch.came(len(data))
    write(data)


def _guarded[**P](raised: list[BaseException], call: Callable[P, None]) -> Callable[P, int | None]:
    """What the callback raises ends the transfer, and is not lost."""

    def run(*args: P.args, **kwargs: P.kwargs) -> int | None:
        try:
            call(*args, **kwargs)
        except BaseException as error:  # noqa: BLE001 -- libcurl would swallow it
            raised.append(error)
            return -1
        return None

    return run
