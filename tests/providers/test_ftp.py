"""FTP sites: modern and old listings, TLS, refusals."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

import pytest

from eolake.catalog.errors import ConfigError
from eolake.ingest.faults import Kind, ProviderFault
from eolake.ingest.logins import open_login
from eolake.ingest.providers.base import ProviderConfig, Query
from eolake.ingest.providers.ftp import FtpProvider, parse_list, parse_mlsd
from eolake.ingest.simulators.certificates import Certificate, make_certificate
from eolake.ingest.simulators.ftp import FtpFaults, FtpServer

from .support import DAY, granule

NOW = datetime(2024, 2, 10, tzinfo=UTC)


PASSWORD = "canary-pass"
ACCOUNTS = {"anonymous": "", "u": PASSWORD}


def site_of(root: Path, **faults: Any) -> FtpServer:
    return FtpServer(root, accounts=ACCOUNTS, faults=FtpFaults(**faults))


def commands(site: FtpServer) -> list[str]:
    return [name for name, _ in site.stats.commands]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    import os

    base = tmp_path / "site"
    for number in range(6):
        day = DAY + timedelta(days=number)
        folder = base / "pub" / f"{day:%Y/%m/%d}"
        folder.mkdir(parents=True)
        for name in (f"product {number} ü.zip", f"product-{number}.txt"):
            (folder / name).write_bytes(b"x" * (number + 1))
            os.utime(folder / name, (day.timestamp() + 3600, day.timestamp() + 3600))
    return base


def configuration(port: int, scheme: str = "ftp", **changed: Any) -> ProviderConfig:
    config = ProviderConfig(
        name="site",
        kind="ftp",
        urls={"base": f"{scheme}://127.0.0.1:{port}/pub"},
        collections={"c": {"path": "{:%Y/%m/%d}", "match": "*.zip", "depth": 0}},
    )
    return replace(config, **changed)


def found(provider: FtpProvider) -> list[Any]:
    return list(provider.search(Query(collection="c", start=DAY, end=DAY + timedelta(days=20))))


def test_t33_mlsd_size_and_mdtm(root: Path) -> None:
    with site_of(root) as site:
        provider = FtpProvider(configuration(site.port))
        offers = found(provider)
        assert [(offer.name, offer.size) for offer in offers] == [(f"product {n} ü", n + 1) for n in range(6)]
        assert offers[2].published == DAY + timedelta(days=2, hours=1)
        assert offers[2].fingerprint == "size:3,time:2024-02-03T01:00:00"
        [part] = provider.resolve(granule(offers[2]))
        assert part.url == f"ftp://127.0.0.1:{site.port}/pub/2024/02/03/product%202%20%C3%BC.zip"
        assert (part.size, part.name) == (3, "product 2 ü.zip")
        assert {"MLSD", "SIZE", "MDTM"} <= set(commands(site))
        assert site.stats.count("USER") == 1  # one control connection for all of it
        provider.close()


def test_t33_list_where_mlsd_is_not_known(root: Path) -> None:
    with site_of(root, no_mlsd=True) as site:
        provider = FtpProvider(configuration(site.port))
        offers = found(provider)
        assert [(offer.name, offer.size) for offer in offers] == [(f"product {n} ü", n + 1) for n in range(6)]
        assert offers[0].fingerprint.startswith("size:1,day:")  # the time of day is not there for long
        assert site.stats.count("MLSD") == 1  # asked once
        provider.close()


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def secure(root: Path, certificate: Certificate) -> Iterator[FtpServer]:
    with FtpServer(root, accounts=ACCOUNTS, certificate=certificate) as site:
        yield site


def test_t33_tls_on_both_connections_with_a_password(
    secure: FtpServer, certificate: Certificate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SITE_USERNAME", "u")
    monkeypatch.setenv("SITE_PASSWORD", PASSWORD)
    config = configuration(
        secure.port,
        "ftpes",
        auth={"kind": "ftp"},
        auth_hosts=(f"127.0.0.1:{secure.port}",),
        options={"ca_file": str(certificate.authority)},
    )
    provider = FtpProvider(config, open_login(config, "env:SITE", state=tmp_path))
    assert len(found(provider)) == 6
    said = commands(secure)
    assert {"AUTH", "PROT", "USER", "PASS"} <= set(said)
    assert said.index("AUTH") < said.index("USER")
    assert said.count("AUTH") == 1
    provider.close()


def test_t33_the_tls_session_is_taken_up_again(root: Path, certificate: Certificate) -> None:
    with FtpServer(root, accounts=ACCOUNTS, certificate=certificate, faults=FtpFaults(session_reuse=True)) as site:
        provider = FtpProvider(configuration(site.port, "ftpes", options={"ca_file": str(certificate.authority)}))
        assert len(found(provider)) == 6
        provider.close()


def test_t33_a_certificate_that_nobody_vouches_for_is_refused(secure: FtpServer) -> None:
    provider = FtpProvider(configuration(secure.port, "ftpes"))
    with pytest.raises(ProviderFault) as fault:
        found(provider)
    assert fault.value.kind is Kind.CONFIG
    assert "PASS" not in commands(secure)
    provider.close()


def test_t18_a_refused_password_is_no_secret_in_the_message(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SITE_USERNAME", "u")
    monkeypatch.setenv("SITE_PASSWORD", "canary-wrong")
    with site_of(root) as site:
        config = configuration(site.port, auth={"kind": "ftp"}, auth_hosts=(f"127.0.0.1:{site.port}",))
        provider = FtpProvider(config, open_login(config, "env:SITE", state=tmp_path))
        with pytest.raises(ProviderFault) as fault:
            found(provider)
        assert fault.value.kind is Kind.AUTH
        assert "canary" not in f"{fault.value!r} {fault.value} {fault.value.__cause__}"
        provider.close()


def test_t33_too_many_sessions_are_a_limit_and_no_fault(root: Path) -> None:
    with site_of(root, connections=1) as site, Holding(site.port):
        provider = FtpProvider(configuration(site.port))
        with pytest.raises(ProviderFault) as fault:
            found(provider)
        assert (fault.value.kind, fault.value.status) == (Kind.RATE, 421)
        provider.close()


class Holding:
    """Takes the last place."""

    def __init__(self, port: int) -> None:
        import ftplib

        self.client = ftplib.FTP()
        self.client.connect("127.0.0.1", port, timeout=5)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()


def test_d14_a_base_that_is_gone_is_an_alarm(root: Path) -> None:
    with site_of(root) as site:
        config = configuration(site.port, collections={"c": {"path": "nowhere", "match": "*"}})
        provider = FtpProvider(config)
        with pytest.raises(ProviderFault) as fault:
            found(provider)
        assert (fault.value.kind, fault.value.code) == (Kind.CONFIG, "retired")
        provider.close()


def test_a_file_that_went_away_is_gone(root: Path) -> None:
    with site_of(root) as site:
        provider = FtpProvider(configuration(site.port))
        offer = found(provider)[0]
        next((root / "pub/2024/02/01").glob("*.zip")).unlink()
        with pytest.raises(ProviderFault) as fault:
            provider.resolve(granule(offer))
        assert fault.value.kind is Kind.GONE
        provider.close()


def test_a_site_that_does_not_answer_is_a_passing_fault() -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    provider = FtpProvider(configuration(port))
    with pytest.raises(ProviderFault) as fault:
        found(provider)
    assert fault.value.kind is Kind.TRANSIENT
    provider.close()


def test_t33_dos_listing_over_the_wire(root: Path) -> None:
    with site_of(root, no_mlsd=True, listing="dos") as site:
        provider = FtpProvider(configuration(site.port))
        assert [(offer.name, offer.size) for offer in found(provider)] == [(f"product {n} ü", n + 1) for n in range(6)]
        provider.close()


def test_t33_a_site_without_size_leaves_what_the_listing_said(root: Path) -> None:
    with site_of(root, no_size=True) as site:
        provider = FtpProvider(configuration(site.port))
        [part] = provider.resolve(granule(found(provider)[3]))
        assert part.size == 4
        provider.close()


def test_mlsd_lines() -> None:
    text = (
        "type=cdir;modify=20240101000000; .\r\ntype=pdir;modify=20240101000000; ..\r\n"
        "Type=file;Size=12;Modify=20240131235959.123;UNIX.mode=0644; a b.zip\r\n"
        "type=dir;modify=20240101000000; sub\r\ntype=OS.unix=symlink; link\r\ntype=file; bare\r\n"
        "garbage\r\ntype=file;size=-1;modify=x; odd\r\n"
    )
    items = {item.path: item for item in parse_mlsd(text)}
    assert set(items) == {"a b.zip", "sub", "bare", "odd"}
    assert (items["a b.zip"].size, items["a b.zip"].modified) == (12, datetime(2024, 1, 31, 23, 59, 59, tzinfo=UTC))
    assert items["sub"].folder
    assert (items["bare"].size, items["odd"].size, items["odd"].modified) == (None, None, None)


def test_t33_unix_and_dos_lines() -> None:
    text = (
        "total 12\n"
        "drwxr-xr-x   2 ftp      ftp          4096 Jan 02  2023 sub dir\n"
        "-rw-r--r--   1 ftp      ftp    5368709120 Feb 09 10:11 big file.zip\n"
        "-rw-r--r--+  1 1000     1000           12 Dec 31 23:59 last-year.nc\n"
        "lrwxrwxrwx   1 ftp      ftp             7 Feb 01 00:00 link -> target\n"
        "02-03-24  11:05PM                 1234 dos.zip\n"
        "02-03-2024  23:05       <DIR>          dos dir\n"
        "-rw-r--r--   1 ftp      ftp             1 Feb 31 10:11 impossible\n"
        "something else entirely\n"
    )
    items = {item.path: item for item in parse_list(text, NOW)}
    assert set(items) == {"sub dir", "big file.zip", "last-year.nc", "dos.zip", "dos dir"}
    assert items["big file.zip"].size == 5368709120
    assert items["big file.zip"].modified == datetime(2024, 2, 9, 10, 11, tzinfo=UTC)
    assert items["last-year.nc"].modified == datetime(2023, 12, 31, 23, 59, tzinfo=UTC)
    assert items["dos.zip"].modified == datetime(2024, 2, 3, 23, 5, tzinfo=UTC)
    assert {name for name, item in items.items() if item.folder} == {"sub dir", "dos dir"}
    assert not any(item.precise for item in items.values())


def test_address_must_be_one_of_ftp() -> None:
    with pytest.raises(ConfigError, match="kind ftp"):
        FtpProvider(ProviderConfig(name="f", kind="ftp", urls={"base": "https://x/"}))
