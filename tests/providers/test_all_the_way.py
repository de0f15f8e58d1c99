"""From the listing of a provider to verified bytes on the disk, with its login, through the transfer engine."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from eolake.catalog.settings import load_settings
from eolake.ingest.faults import Kind, ProviderFault
from eolake.ingest.logins import open_login
from eolake.ingest.providers.base import Query
from eolake.ingest.providers.registry import open_provider, provider_config
from eolake.ingest.simulators.archive import Archive, Record
from eolake.ingest.simulators.certificates import make_certificate
from eolake.ingest.simulators.content import of_bytes
from eolake.ingest.simulators.dialects.autoindex import AutoindexDialect
from eolake.ingest.simulators.dialects.dhus import DhusDialect
from eolake.ingest.simulators.dialects.eumetsat import EumetsatDialect
from eolake.ingest.simulators.ftp import FtpServer
from eolake.ingest.simulators.s3 import ACCESS_KEY, SECRET_KEY, S3Server
from eolake.ingest.simulators.server import Server
from eolake.ingest.simulators.tokens import Tokens
from eolake.ingest.transfer.engine import Engine

from .support import DAY, granule, record


def packed(number: int) -> bytes:
    """A small product."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(zipfile.ZipInfo("data/data.bin"), bytes([number]) * 5000)
    return buffer.getvalue()


def made(number: int, **changed: Any) -> Record:
    data = packed(number)
    return record(number, content=of_bytes(data), size=len(data), digests={"md5": hashlib.md5(data).hexdigest()}, **changed)


@pytest.fixture(autouse=True)
def _secret(monkeypatch: pytest.MonkeyPatch) -> None:
    for key, value in {"USERNAME": "u", "PASSWORD": "canary", "ACCESS_KEY_ID": ACCESS_KEY, "SECRET_ACCESS_KEY": SECRET_KEY}.items():
        monkeypatch.setenv(f"K_{key}", value)


@pytest.fixture
def engine() -> Iterator[Engine]:
    engine = Engine()
    yield engine
    engine.close()


def brought(text: str, folder: Path, engine: Engine, **query: Any) -> list[bytes]:
    """All that the provider `p` of these settings has, fetched."""
    (folder / "eolake.toml").write_text(text)
    config = provider_config(load_settings(folder / "eolake.toml"), "p")
    login = open_login(config, config.credentials[0], state=folder) if config.credentials else None
    provider = open_provider(config, login)
    found = []
    for offer in provider.search(Query(**query)):
        for part in provider.resolve(granule(offer)):
            if part.role == "data":
                target = folder / "bytes" / offer.name / part.name
                target.parent.mkdir(parents=True, exist_ok=True)
                engine.fetch(part, target, login=login if part.login else None, s3=config.options.get("s3"))
                found.append(target.read_bytes())
    close = getattr(provider, "close", None)
    if close is not None:
        close()
    if login is not None:
        login.close()
    return found


WINDOW = {"start": DAY, "end": DAY + timedelta(days=2)}


def test_dhus_with_basic_authorisation(tmp_path: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    with Server(DhusDialect(Archive(made(n) for n in range(3)), user="u", password="canary")) as server:
        text = f"""[providers.p]
preset = "finhub"
credentials = ["env:K"]
urls = {{search = "{server.url}/dhus/search", odata = "{server.url}/dhus/odata/v1"}}
"""
        assert brought(text, tmp_path, engine, collection="s3_olci_l1_efr") == [packed(n) for n in range(3)]
        monkeypatch.setenv("K_PASSWORD", "another")
        with pytest.raises(ProviderFault) as fault:
            brought(text, tmp_path, engine)
    assert fault.value.kind is Kind.AUTH


def test_eumetsat_with_client_credentials(tmp_path: Path, engine: Engine) -> None:
    tokens = Tokens(clients={"u": "canary"})
    archive = Archive(
        replace(made(n), id=f"{made(n).name}.SEN3", attributes={"collectionId": "EO:EUM:DAT:0409", "timeliness": "NT"}) for n in range(3)
    )
    dialect = EumetsatDialect(archive, allowed=lambda request: tokens.check(request) is None)
    with Server(tokens, dialect) as server:
        text = f"""[providers.p]
preset = "eumetsat"
credentials = ["env:K"]
[providers.p.urls]
search = "{server.url}/data/search-products/1.0.0/os"
download = "{server.url}/data/download/1.0.0"
token = "{server.url}/token"
"""
        assert brought(text, tmp_path, engine, collection="s3_olci_l1_efr") == [packed(n) for n in range(3)]
    assert tokens.requests["client_credentials"] == 1


def test_web_directory(tmp_path: Path, engine: Engine) -> None:
    with Server(AutoindexDialect(Archive(made(n) for n in range(3)))) as server:
        text = f"""[providers.p]
kind = "http-directory"
urls = {{base = "{server.url}/data"}}
[providers.p.collections.c]
path = "{{:%Y/%m/%d}}"
match = "*.zip"
"""
        assert sorted(brought(text, tmp_path, engine, collection="c", **WINDOW)) == sorted(packed(n) for n in range(3))


def test_ftp_with_tls_and_a_password(tmp_path: Path) -> None:
    site = tmp_path / "site" / "products" / f"{DAY:%Y/%m/%d}"
    site.mkdir(parents=True)
    for number in range(3):
        (site / f"{number}.zip").write_bytes(packed(number))
    certificate = make_certificate(tmp_path)
    engine = Engine(ca_file=certificate.authority)
    with FtpServer(tmp_path / "site", accounts={"u": "canary"}, certificate=certificate) as server:
        text = f"""[providers.p]
preset = "ftp-example"
credentials = ["env:K"]
urls = {{base = "ftpes://127.0.0.1:{server.port}"}}
options = {{ca_file = "{certificate.authority}"}}
"""
        assert sorted(brought(text, tmp_path, engine, collection="example", **WINDOW)) == sorted(packed(n) for n in range(3))
        engine.close()


def test_bucket_with_keys_where_products_are_folders(tmp_path: Path, engine: Engine) -> None:
    with S3Server() as server:
        base = f"Sentinel-3/OLCI/OL_1_EFR___/{DAY:%Y/%m/%d}/{record(0).name}.SEN3"
        server.fill("eodata", {f"{base}/{name}": packed(number) for number, name in enumerate(("a.zip", "deep er/b.zip"))})
        text = f"""[providers.p]
preset = "cdse-s3"
credentials = ["env:K"]
[providers.p.options]
s3 = {{endpoint = "{server.url}", region = "us-east-1", path_style = true}}
"""
        assert sorted(brought(text, tmp_path, engine, collection="s3_olci_l1_efr", **WINDOW)) == sorted(packed(n) for n in range(2))
