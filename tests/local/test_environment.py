"""A shell that took the variables of `eolake env` goes on with its lakes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support import workers

from eolake.catalog.errors import Unreachable
from eolake.catalog.lake import Lake
from eolake.catalog.settings import Settings, load_settings


@pytest.fixture
def taken(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The variables, set."""
    variables: dict[str, str] = json.loads(workers.run(lake, "--json", "env").stdout)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return variables


def settings(lake: Lake) -> Settings:
    return load_settings(lake.settings.root / "eolake.toml")


def test_the_private_cluster_stays_ours(lake: Lake, taken: dict[str, str]) -> None:
    """So that `eolake down` stops it, and `eolake up` starts it."""
    assert taken["PGPORT"] == str(lake.database.port)
    assert settings(lake).private_cluster
    assert settings(lake).database_config() == lake.database
    assert json.loads(workers.run(lake, "--json", "env").stdout) == taken


def test_another_lake_does_not_write_into_the_database_of_this_one(taken: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "eolake.toml").write_text('[lake]\nname = "other"\n')
    with pytest.raises(Unreachable, match="has no database yet"):
        load_settings(tmp_path / "other" / "eolake.toml").database_config()


def test_a_database_that_the_user_names_afterwards_counts(lake: Lake, taken: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGHOST", "db.example.org")
    assert not settings(lake).private_cluster
    assert settings(lake).database_config().host == "db.example.org"
