"""The habits of FTP servers."""

from __future__ import annotations

import ftplib
import io
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pycurl
import pytest

from eolake.ingest.simulators.certificates import make_certificate
from eolake.ingest.simulators.ftp import FtpFaults, FtpServer

DATA = bytes(range(256)) * 400


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "pub" / "2024").mkdir(parents=True)
    (tmp_path / "pub" / "a.bin").write_bytes(DATA)
    return tmp_path / "pub"


@pytest.fixture
def server(folder: Path) -> Iterator[FtpServer]:
    with FtpServer(folder) as server:
        yield server


@contextmanager
def client(server: FtpServer) -> Iterator[ftplib.FTP]:
    with ftplib.FTP(timeout=5) as ftp:
        ftp.connect("127.0.0.1", server.port)
        ftp.login("user", "secret")
        yield ftp
    until = time.monotonic() + 5
    while server.stats.open and time.monotonic() < until:
        time.sleep(0.01)


def fetched(ftp: ftplib.FTP, rest: int | None = None) -> bytes:
    buffer = io.BytesIO()
    ftp.retrbinary("RETR a.bin", buffer.write, rest=rest)
    return buffer.getvalue()


def test_a_server_that_does_all_right(server: FtpServer) -> None:
    with client(server) as ftp:
        assert {name: facts["type"] for name, facts in ftp.mlsd()} == {"2024": "dir", "a.bin": "file"}
        assert (fetched(ftp), fetched(ftp, 100), ftp.size("a.bin")) == (DATA, DATA[100:], len(DATA))
        with pytest.raises(ftplib.error_perm, match="550"):
            ftp.delete("a.bin")
    assert server.stats.count("RETR") == 2
    assert ("PASS", "***") in server.stats.commands


def test_too_many_sessions(server: FtpServer) -> None:
    server.misbehave(FtpFaults(connections=1))
    with client(server), pytest.raises(ftplib.error_temp, match="421"), client(server):
        pass
    with client(server) as ftp:
        assert fetched(ftp) == DATA


def test_rest_refused_and_sizes_wrong_or_absent(server: FtpServer) -> None:
    server.misbehave(FtpFaults(no_rest=True, wrong_size=7))
    with client(server) as ftp:
        ftp.voidcmd("TYPE I")
        assert ftp.size("a.bin") == len(DATA) + 7
        with pytest.raises(ftplib.error_perm, match="502"):
            fetched(ftp, 100)
    server.misbehave(FtpFaults(no_size=True))
    with client(server) as ftp, pytest.raises(ftplib.error_perm, match="502"):
        ftp.size("a.bin")


def test_dos_listings_and_no_mlsd(server: FtpServer) -> None:
    server.misbehave(FtpFaults(listing="dos", no_mlsd=True))
    lines: list[str] = []
    with client(server) as ftp:
        ftp.dir(lines.append)
        with pytest.raises(ftplib.error_perm, match="500"):
            list(ftp.mlsd())
        assert "MLST" not in ftp.sendcmd("FEAT")
    assert sorted(line[19:].split() for line in lines) == [["102400", "a.bin"], ["<DIR>", "2024"]]


@pytest.mark.parametrize("how", ["426", "control", "silent"])
def test_transfers_that_break_off(server: FtpServer, how: str) -> None:
    server.misbehave(FtpFaults(drop=5000, times=1, how=how))
    buffer = io.BytesIO()
    with client(server) as ftp:
        if how == "silent":
            ftp.retrbinary("RETR a.bin", buffer.write)
            assert fetched(ftp, 5000) == DATA[5000:]
        else:
            with pytest.raises(ftplib.error_temp if how == "426" else EOFError):
                ftp.retrbinary("RETR a.bin", buffer.write)
    assert buffer.getvalue() == DATA[:5000]
    assert sum(server.stats.bytes.values()) == (len(DATA) if how == "silent" else 5000)


def test_tls_that_wants_its_session_back(folder: Path, tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path)
    with FtpServer(folder, certificate=certificate, faults=FtpFaults(session_reuse=True)) as server:
        with ftplib.FTP_TLS(context=ssl.create_default_context(cafile=str(certificate.authority)), timeout=5) as ftp:
            ftp.connect("127.0.0.1", server.port)
            ftp.login("user", "secret")
            ftp.prot_p()
            with pytest.raises((ftplib.error_perm, ssl.SSLError, OSError)):
                fetched(ftp)
        buffer, curl = io.BytesIO(), pycurl.Curl()
        for option, value in {
            pycurl.URL: f"{server.url}/a.bin",
            pycurl.USERPWD: "user:secret",
            pycurl.USE_SSL: pycurl.USESSL_ALL,
            pycurl.CAINFO: str(certificate.authority),
            pycurl.WRITEDATA: buffer,
        }.items():
            curl.setopt(option, value)
        curl.perform()
        curl.close()
    assert buffer.getvalue() == DATA
