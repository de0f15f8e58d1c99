"""pyftpdlib's handlers, taught to misbehave; imported only when an FTP simulator starts."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from typing import Any, override

from OpenSSL import SSL
from pyftpdlib.filesystems import AbstractedFS
from pyftpdlib.handlers import DTPHandler, FTPHandler, TLS_DTPHandler, TLS_FTPHandler

from eolake.ingest.simulators.ftp import FtpFaults, FtpStats


class DosListing(AbstractedFS):
    """Lists as Microsoft's server does."""

    @override
    def format_list(self, basedir: str, listing: Iterable[str], ignore_err: bool = True) -> Iterator[bytes]:
        for name in listing:
            path = os.path.join(basedir, name)  # noqa: PTH118
            when = time.strftime("%m-%d-%y  %I:%M%p", time.gmtime(self.getmtime(path)))
            what = "<DIR>         " if self.isdir(path) else f"{self.getsize(path):14d}"
            yield f"{when}       {what} {name}\r\n".encode()


class _Data:
    """A data connection that may end before its time."""

    cmd_channel: Any
    file_obj: Any
    tot_bytes_sent: int
    socket: Any
    _resp: Any

    def use_sendfile(self) -> bool:
        return False if self.cmd_channel.faults.drop is not None else bool(super().use_sendfile())  # type: ignore[misc]

    def send(self, data: bytes) -> int:
        limit = self.cmd_channel.limit if self.file_obj is not None else None
        if limit is None:
            return int(super().send(data))  # type: ignore[misc]
        left = limit - self.tot_bytes_sent
        if left <= 0:
            self._cut()
            return 0
        return int(super().send(data[:left]))  # type: ignore[misc]

    def _cut(self) -> None:
        channel, how = self.cmd_channel, self.cmd_channel.faults.how
        self._resp = {"426": ("426 Connection closed; transfer aborted.", None), "silent": ("226 Transfer complete.", None)}.get(how, ())
        if self._resp:
            self._resp = (self._resp[0], channel.log)
        self.close()
        if how == "control":
            channel.close()

    def handle_ssl_established(self) -> None:
        if self.cmd_channel.faults.session_reuse and not SSL._lib.SSL_session_reused(self.socket._ssl):  # type: ignore[attr-defined]  # noqa: SLF001
            self.cmd_channel.respond("522 SSL connection failed; session reuse required: see require_ssl_reuse option")
            self.close()

    def close(self) -> None:
        if not getattr(self, "_counted", False):
            self._counted = True
            if self.file_obj is not None:
                self.cmd_channel.stats.sent(str(self.file_obj.name), self.tot_bytes_sent)
        super().close()  # type: ignore[misc]


class Data(_Data, DTPHandler):
    """Plain."""


class TlsData(_Data, TLS_DTPHandler):
    """With TLS."""


class _Control:
    """The commands of one client."""

    faults: FtpFaults
    stats: FtpStats
    limit: int | None = None
    """Bytes after which the transfer now going on ends."""
    _counts_as_open = False

    def on_connect(self) -> None:
        self._counts_as_open = True
        self.stats.opened(+1)

    def on_disconnect(self) -> None:
        if self._counts_as_open:
            self.stats.opened(-1)

    def pre_process_command(self, line: str, cmd: str, arg: str) -> None:
        self.stats.command(cmd, "***" if cmd == "PASS" else arg)
        super().pre_process_command(line, cmd, arg)  # type: ignore[misc]

    def ftp_REST(self, line: str) -> None:  # noqa: N802
        if self.faults.no_rest:
            self.respond("502 Command REST not implemented.")  # type: ignore[attr-defined]
        else:
            super().ftp_REST(line)  # type: ignore[misc]

    def ftp_SIZE(self, path: str) -> Any:  # noqa: N802
        if self.faults.no_size:
            return self.respond("502 Command SIZE not implemented.")  # type: ignore[attr-defined]
        if self.faults.wrong_size and os.path.isfile(path):  # noqa: PTH113
            return self.respond(f"213 {os.path.getsize(path) + self.faults.wrong_size}")  # type: ignore[attr-defined]  # noqa: PTH202
        return super().ftp_SIZE(path)  # type: ignore[misc]

    def ftp_RETR(self, file: str) -> Any:  # noqa: N802
        drop = self.faults.drop
        affected = drop is not None and self.stats.retrieved(file) <= (self.faults.times or 1 << 30)
        self.limit = drop if affected else None
        return super().ftp_RETR(file)  # type: ignore[misc]


class Control(_Control, FTPHandler):
    """FTP."""

    dtp_handler = Data


class TlsControl(_Control, TLS_FTPHandler):
    """FTP with explicit TLS."""

    dtp_handler = TlsData


def without_mlsd(handler: Any) -> None:
    """It does not know MLSD and MLST, nor say so."""
    handler.proto_cmds = {name: command for name, command in handler.proto_cmds.items() if name not in {"MLSD", "MLST"}}


def tls_context(certificate: str, key: str) -> Any:
    """Sessions can be taken up again, as a server that requires it must allow."""
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.use_certificate_chain_file(certificate)
    context.use_privatekey_file(key)
    context.set_session_cache_mode(SSL.SESS_CACHE_SERVER)
    context.set_session_id(b"eolake-simulator")
    return context
