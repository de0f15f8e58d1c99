"""Servers with TLS: one to trust, and one with a wrong name."""

from __future__ import annotations

import ssl
import sys
from pathlib import Path

import pytest
import urllib3

from eolake.catalog.errors import ConfigError
from eolake.ingest.simulators.certificates import make_certificate
from eolake.ingest.simulators.content import generated
from eolake.ingest.simulators.extras import need
from eolake.ingest.simulators.server import Server


def test_tls(tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path)
    with Server(tls=certificate.context()) as server, urllib3.PoolManager(ca_certs=str(certificate.authority), retries=False) as pool:
        answer = pool.request("GET", f"{server.url}/f/a?size=3000000")
        assert (server.url[:8], answer.data) == ("https://", generated("a", 3_000_000).read(0, 3_000_000))
        server.script([{"fault": {"close": {"after": 1000, "how": "rst"}}}])
        with pytest.raises(urllib3.exceptions.ProtocolError):
            pool.request("GET", f"{server.url}/f/a?size=3000000")
        assert server.stats.hosts[server.url.removeprefix("https://")].requests == 2
    assert certificate.key.stat().st_mode & 0o077 == 0


def test_a_wrong_name_and_an_unknown_authority(tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path, "download.example")
    with Server(tls=certificate.context()) as server:
        for trusted in (str(certificate.authority), None):
            with urllib3.PoolManager(ca_certs=trusted, retries=False) as pool, pytest.raises(urllib3.exceptions.SSLError) as caught:
                pool.request("GET", f"{server.url}/f/a?size=1")
            assert isinstance(caught.value.args[0], ssl.SSLError)
        assert server.stats.requests.maxlen
        assert not server.stats.requests


def test_a_missing_extra_names_the_command_that_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyftpdlib", None)
    with pytest.raises(ConfigError, match=r"the FTP simulator needs pyftpdlib.*pip install 'eolake\[simulators\]'"):
        need("pyftpdlib", purpose="the FTP simulator")
