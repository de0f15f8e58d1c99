"""What every provider keeps to, ours or a plug-in's: it opens without a network, says who it is, and refuses what it does not have."""

from __future__ import annotations

import inspect
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

import pytest

from eolake.catalog.errors import ConfigError, UsageError
from eolake.catalog.settings import load_settings
from eolake.ingest.discovery.walk import by_sensing
from eolake.ingest.providers.base import Provider, ProviderConfig, Query
from eolake.ingest.providers.registry import GROUP, open_provider, presets, provider_config

POINTS = sorted(entry_points(group=GROUP), key=lambda point: point.name)
SEAM = ("search", "resolve", "changes", "auth")


def config_of(preset: str, folder: Path) -> ProviderConfig:
    (folder / "eolake.toml").write_text("")
    return provider_config(load_settings(folder / "eolake.toml"), preset)


@pytest.mark.parametrize("point", POINTS, ids=lambda point: point.name)
def test_a_kind_takes_a_configuration_and_a_login(point: EntryPoint) -> None:
    kind = point.load()
    assert list(inspect.signature(kind).parameters)[:2] == ["config", "login"]
    assert all(inspect.getdoc(getattr(kind, name)) for name in SEAM)


@pytest.mark.parametrize("preset", presets())
def test_a_preset_opens_without_a_network(preset: str, tmp_path: Path) -> None:
    config = config_of(preset, tmp_path)
    provider: Provider = open_provider(config)
    assert provider.name == config.name
    assert all(callable(getattr(provider, name)) for name in SEAM)
    assert isinstance(getattr(provider, "ascending", False), bool)
    assert getattr(provider, "windows", "published") in {"published", "sensing"}
    assert by_sensing(provider) in {True, False}


@pytest.mark.parametrize("preset", presets())
def test_an_unknown_collection_is_refused_by_name(preset: str, tmp_path: Path) -> None:
    if preset == "folder":
        with pytest.raises(UsageError, match="nowhere"):
            list(open_provider(config_of(preset, tmp_path)).search(Query(paths=[tmp_path / "nowhere"])))
        return
    with pytest.raises(ConfigError, match="s9_none"):
        list(open_provider(config_of(preset, tmp_path)).search(Query(collection="s9_none")))


@pytest.mark.parametrize("preset", presets())
def test_what_a_preset_says_of_its_collections_is_of_the_lake_s_words(preset: str, tmp_path: Path) -> None:
    config = config_of(preset, tmp_path)
    assert all(name == name.lower() and " " not in name for name in config.collections)
    assert config.connections >= 1
    assert all(reference.partition(":")[0] in {"netrc", "env", "aws-sm", "aws"} for reference in config.credentials)
