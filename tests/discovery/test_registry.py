"""Providers by name: presets, what eolake.toml says over them, and the code of their kind."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eolake.catalog.errors import ConfigError
from eolake.catalog.settings import Settings, load_settings
from eolake.ingest.providers.cdse import ODataProvider
from eolake.ingest.providers.folder import FolderProvider
from eolake.ingest.providers.registry import narrowed, open_provider, parse_bytes, presets, provider_config, provider_names

CDSE = "catalogue.dataspace.copernicus.eu"


def settings(folder: Path, text: str = "") -> Settings:
    (folder / "eolake.toml").write_text(text)
    return load_settings(folder / "eolake.toml")


@pytest.mark.parametrize("name", presets())
def test_every_preset_is_a_valid_provider(name: str, tmp_path: Path) -> None:
    config = provider_config(settings(tmp_path), name)
    assert (config.name, bool(config.kind)) == (name, True)
    assert all(host == host.lower() and "/" not in host for host in config.auth_hosts)


def test_cdse_is_what_its_operator_documents(tmp_path: Path) -> None:
    config = provider_config(settings(tmp_path), "cdse")
    assert (config.kind, config.connections, config.budget) == ("odata", 4, 12 * 10**12)
    assert config.auth["kind"] == "oidc-password"
    assert set(config.auth_hosts) == {CDSE, "download.dataspace.copernicus.eu"}
    assert {"s2_l1c", "s2_l2a", "s3_olci_l1_efr", "s3_olci_l2_wfr", "s3_slstr_l2_frp"} <= set(config.collections)
    assert isinstance(open_provider(config), ODataProvider)


def test_a_section_overrides_single_fields_of_its_preset(tmp_path: Path) -> None:
    config = provider_config(
        settings(
            tmp_path,
            """
            [providers.cdse]
            connections = 20
            budget = "1.5 TB"
            credentials = ["netrc:dataspace.copernicus.eu", "aws-sm:eolake/cdse-2"]
            [providers.cdse.options]
            page = 50
            [providers.cdse.collections.s2_aux]
            collection = "SENTINEL-2"
            """,
        ),
        "cdse",
    )
    assert (config.connections, config.budget, len(config.credentials)) == (20, 1_500_000_000_000, 2)
    assert config.options["page"] == 50
    assert config.options["deepest"] == 9000  # of the preset
    assert {"s2_aux", "s2_l2a"} <= set(config.collections)


def test_a_preset_under_a_name_of_ones_own(tmp_path: Path) -> None:
    config = provider_config(settings(tmp_path, '[providers.second]\npreset = "cdse"\nconnections = 1\n'), "second")
    assert (config.name, config.kind, config.connections) == ("second", "odata", 1)
    assert "second" in provider_names(settings(tmp_path, '[providers.second]\npreset = "cdse"\n'))


def test_the_right_to_the_credential_moves_with_a_url(tmp_path: Path) -> None:
    text = '[providers.cdse.urls]\ncatalogue = "http://127.0.0.1:8001/odata/v1"\ndownload = "http://127.0.0.1:8002/odata/v1"\n'
    assert set(provider_config(settings(tmp_path, text), "cdse").auth_hosts) == {"127.0.0.1:8001", "127.0.0.1:8002"}
    text = f'[providers.cdse]\nauth_hosts = ["{CDSE}"]\n' + text
    assert provider_config(settings(tmp_path, text), "cdse").auth_hosts == (CDSE,)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[providers.cdse]\nconections = 4", "conections: unknown key"),
        ("[providers.cdse]\nconnections = 0", "connections"),
        ('[providers.cdse]\nbudget = "twelve"', "budget"),
        ('[providers.cdse]\npreset = "cdsee"', "cdsee"),
        ('[providers.cdse.urls]\ncatalogue = "file.txt"', "urls"),
        ('[providers.mine]\nkind = "odata"\n[providers.mine.auth]\npassword = "hunter2"', "password"),
    ],
)
def test_what_does_not_hold_is_told_by_name(text: str, told: str, tmp_path: Path) -> None:
    lake = settings(tmp_path, text)
    with pytest.raises(ConfigError, match=r"\[providers\.") as caught:
        provider_config(lake, "mine" if "mine" in text else "cdse")
    assert told in str(caught.value)


def test_a_secret_that_stands_in_the_file_is_not_repeated(tmp_path: Path) -> None:
    lake = settings(tmp_path, '[providers.cdse]\ncredentials = ["hunter2"]\n')
    with pytest.raises(ConfigError) as caught:
        provider_config(lake, "cdse")
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_an_unknown_provider_and_an_unknown_kind(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cdse"):
        provider_config(settings(tmp_path), "cdes")
    lake = settings(tmp_path, '[providers.mine]\nkind = "telepathy"\n')
    with pytest.raises(ConfigError, match=r"telepathy.*folder"):
        open_provider(provider_config(lake, "mine"))


def test_the_folder_is_a_provider_like_others(tmp_path: Path) -> None:
    provider = open_provider(provider_config(settings(tmp_path), "folder"))
    assert isinstance(provider, FolderProvider)
    assert provider.name == "folder"


def test_a_provider_narrowed_to_the_collections_in_use(tmp_path: Path) -> None:
    config = provider_config(settings(tmp_path), "cdse")
    assert set(narrowed(config, "s2_l2a").collections) == {"s2_l2a"}
    with pytest.raises(ConfigError, match="s9"):
        narrowed(config, "s9")


def test_a_plug_in_that_does_not_load_fails_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = tmp_path / "plug" / "broken-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[eolake.providers]\nbroken = broken_provider:Provider\n")
    (tmp_path / "plug" / "broken_provider.py").write_text("raise RuntimeError('no such library')\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path / "plug"), *sys.path])
    lake = settings(tmp_path, '[providers.mine]\nkind = "broken"\n')
    with pytest.raises(ConfigError, match=r"'broken'.*no such library"):
        open_provider(provider_config(lake, "mine"))


@pytest.mark.parametrize(
    ("text", "number"),
    [("12TB", 12 * 10**12), ("500 GB", 5 * 10**11), ("1GiB", 2**30), ("1.5T", 1_500_000_000_000), ("7", 7), ("3 kB", 3000), (9, 9)],
)
def test_bytes_as_people_write_them(text: object, number: int) -> None:
    assert parse_bytes(text) == number


@given(st.text(max_size=12))
def test_whatever_else_is_left_to_be_refused(text: str) -> None:
    assert isinstance(parse_bytes(text), int | str)
