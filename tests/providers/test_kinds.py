"""All kinds of providers stand behind one interface, each with as many credentials and connections as it is given."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from eolake.catalog.lake import Lake
from eolake.catalog.ledger import slots, transfers
from eolake.catalog.ledger.granules import Offer, offer
from eolake.catalog.ledger.slots import Account
from eolake.catalog.settings import load_settings
from eolake.ingest.logins import open_login
from eolake.ingest.providers.base import Provider
from eolake.ingest.providers.registry import open_provider, provider_config
from eolake.ingest.providers.tree import Place

PRESETS = {
    "finhub": "dhus",
    "eumetsat": "eumetsat",
    "cdse-s3": "s3",
    "creodias-s3": "s3",
    "usgs-s3": "s3",
    "cmems-native": "s3",
    "earth-search-s3": "s3",
    "ftp-example": "ftp",
}


def settings(folder: Path, text: str = "") -> Any:
    (folder / "eolake.toml").write_text(f'[lake]\nname = "t"\n{text}')
    return load_settings(folder / "eolake.toml")


@pytest.mark.parametrize(("name", "kind"), PRESETS.items())
def test_s33_hubs_and_ftp_sites_behind_one_interface(name: str, kind: str, tmp_path: Path) -> None:
    config = provider_config(settings(tmp_path), name)
    assert config.kind == kind
    provider = open_provider(config)
    assert provider.name == name
    assert all(hasattr(provider, member) for member in ("name", *(name for name in vars(Provider) if not name.startswith("_"))))
    assert list(provider.changes(datetime(2024, 1, 1, tzinfo=UTC))) == []
    assert provider.auth() == {}


@pytest.mark.parametrize("name", PRESETS)
def test_credentials_of_the_presets_go_only_to_their_hosts(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = provider_config(settings(tmp_path), name)
    for key in ("USERNAME", "PASSWORD", "TOKEN", "ACCESS_KEY_ID", "SECRET_ACCESS_KEY"):
        monkeypatch.setenv(f"K_{key}", "canary")
    login = open_login(config, "env:K", state=tmp_path)
    assert not login.allows("https://evil.example.org/")
    for host in config.auth_hosts:
        scheme = "ftpes" if config.kind == "ftp" else "https"
        assert login.allows(f"{scheme}://{host}/x")
        assert not login.allows(f"http://{host}/x")
    login.close()


@pytest.mark.parametrize("name", [name for name, kind in PRESETS.items() if kind in {"s3", "ftp"}])
def test_places_of_the_presets_are_dated_folders(name: str, tmp_path: Path) -> None:
    day = datetime(2024, 2, 3, tzinfo=UTC)
    for described in provider_config(settings(tmp_path), name).collections.values():
        [(folder, dated)] = Place.of(described, name).folders(day, day)
        assert dated == day
        assert "2024" in folder
        assert "{" not in folder


def test_a_process_that_fetches_loads_nothing_heavy() -> None:
    modules = ["logins", *(f"providers.{name}" for name in ("dhus", "ftp", "directory", "s3", "eumetsat", "footprints"))]
    code = "import sys, {}; print([m for m in ('numpy', 'shapely', 'rasterio', 'datacube', 'boto3') if m in sys.modules])"
    imports = ", ".join(f"eolake.ingest.{name}" for name in modules)
    done = subprocess.run([sys.executable, "-c", code.format(imports)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_s32_many_providers_and_several_credentials_behind_one_interface(lake: Lake, tmp_path: Path) -> None:
    text = (
        '[providers.one]\npreset = "finhub"\nconnections = 1\ncredentials = ["env:A", "env:B"]\n'
        '[providers.two]\npreset = "eumetsat"\nconnections = 2\ncredentials = ["env:C"]\n'
    )
    configs = [provider_config(settings(tmp_path, text), name) for name in ("one", "two")]
    accounts = [Account(provider=c.name, name=reference, connections=c.connections) for c in configs for reference in c.credentials]
    with lake.connect() as connection:
        slots.configure(connection, accounts)
        for config in configs:
            offer(connection, [Offer(provider=config.name, id=str(n), name=f"{n}", source="https://h", fingerprint="1") for n in range(9)])
        busy: dict[tuple[str, str], int] = {}
        while (claim := transfers.claim(connection, owner="me", lease=LEASE, providers=["one", "two"])) is not None:
            key = (claim.provider, claim.credential)
            busy[key] = busy.get(key, 0) + 1
    expected: Mapping[tuple[str, str], int] = {("one", "env:A"): 1, ("one", "env:B"): 1, ("two", "env:C"): 2}
    assert busy == expected


LEASE = datetime(2024, 1, 2, tzinfo=UTC) - datetime(2024, 1, 1, tzinfo=UTC)
