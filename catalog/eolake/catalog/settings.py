"""Settings of a lake: `eolake.toml` < `EOLAKE_*` < flag; `PG*`, `AWS_*` keep their usual meaning.

Built once in the command and passed down. Secrets never stand in the TOML file.
"""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, override
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from eolake.catalog.errors import ConfigError, Unreachable
from eolake.catalog.own_collections import look_in

CONFIG_NAME = "eolake.toml"
PRIVATE_DATABASE = "EOLAKE_PRIVATE_DATABASE"
"""`host:port` of the private cluster to which `eolake env` set PGHOST and PGPORT: a shell that took them still runs its own lake."""


class Model(BaseModel):
    """Frozen; an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class LakeSection(Model):
    """`[lake]`"""

    name: str = "lake"
    store: str = "file:lake/objects"
    """`file:PATH` (relative to eolake.toml) or `s3://bucket/prefix`."""


class StoreSection(Model):
    """`[store]`: what `s3://` needs beyond the usual AWS_* variables."""

    endpoint: str | None = None
    region: str | None = None
    path_style: bool = False
    profile: str | None = None


class DatabaseSection(Model):
    """`[database]`: a PostgreSQL of your own; without it (and without PGHOST) `eolake up` runs a private one."""

    host: str | None = None
    port: int = 5432
    name: str = "eolake"
    user: str = "eolake"


class DatabaseConfig(Model):
    """Where the database is; TCP only, because the API packages can't use a unix socket."""

    host: str
    port: int
    name: str
    user: str
    password: SecretStr

    def url(self, scheme: str = "postgresql") -> str:
        """A connection URL with the password in it: never log it."""
        password = quote(self.password.get_secret_value(), safe="")
        return f"{scheme}://{quote(self.user, safe='')}:{password}@{self.host}:{self.port}/{self.name}"

    def environment(self) -> dict[str, str]:
        """The `PG*` variables that psql, pypgstac, stac-fastapi and titiler read."""
        return {
            "PGHOST": self.host,
            "PGPORT": str(self.port),
            "PGDATABASE": self.name,
            "PGUSER": self.user,
            "PGPASSWORD": self.password.get_secret_value(),
        }


class StoreConfig(Model):
    """ONE description of the object store for obstore, boto3, rasterio, datacube and titiler."""

    url: str
    """`file:///absolute/folder` or `s3://bucket/prefix`, without a trailing slash."""
    endpoint: str | None = None
    region: str | None = None
    path_style: bool = False
    profile: str | None = None

    @property
    def folder(self) -> Path | None:
        """The folder of a `file:` store."""
        return Path(self.url.removeprefix("file://")) if self.url.startswith("file://") else None


class Settings(BaseSettings):
    """Everything in `eolake.toml`; `EOLAKE_LAKE__STORE=…` overrides `[lake] store`."""

    model_config = SettingsConfigDict(env_prefix="EOLAKE_", env_nested_delimiter="__", extra="forbid", frozen=True)

    root: Path
    """The folder of eolake.toml."""
    lake: LakeSection = LakeSection()
    store: StoreSection = StoreSection()
    database: DatabaseSection = DatabaseSection()
    providers: Mapping[str, Mapping[str, Any]] = {}
    """`[providers.NAME]`, checked by the portion that uses it."""
    feeds: Mapping[str, Mapping[str, Any]] = {}
    """`[feeds.NAME]`, checked by the portion that uses it."""
    push: Mapping[str, Any] = {}
    """`[push]`, checked by the portion that uses it."""

    @classmethod
    @override
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Environment before file (the file comes in as init arguments)."""
        return env_settings, init_settings

    @override
    def model_post_init(self, context: Any, /) -> None:
        """Whoever has the settings of a lake has its own collections too."""
        look_in(self.root)

    @property
    def state(self) -> Path:
        """The folder of the local stack: cluster, logs, process files, password."""
        return self.root / "lake"

    @property
    def store_config(self) -> StoreConfig:
        """The store as an absolute URL."""
        location = self.lake.store
        if location.startswith("s3://"):
            return StoreConfig(url=location.rstrip("/"), **self.store.model_dump())
        if not location.startswith("file:"):
            raise ConfigError(f"[lake] store = {location!r}: write file:PATH or s3://bucket/prefix")
        path = location.removeprefix("file://") if location.startswith("file://") else location.removeprefix("file:")
        return StoreConfig(url=f"file://{(self.root / path).resolve()}")

    @property
    def private_cluster(self) -> bool:
        """True when `eolake up` runs PostgreSQL itself."""
        return self.database.host is None and not _database_is_named()

    @property
    def database_file(self) -> Path:
        """Written by `eolake up` (0600): where the private PostgreSQL listens, and its password."""
        return self.state / "database.json"

    def database_config(self) -> DatabaseConfig:
        """Unreachable when the private cluster was never started."""
        if self.private_cluster:
            try:
                return DatabaseConfig.model_validate(json.loads(self.database_file.read_text("utf-8")))
            except FileNotFoundError:
                raise Unreachable(f"the lake in {self.root} has no database yet; run `eolake up --detach`") from None
        section, env = self.database, os.environ
        return DatabaseConfig(
            host=section.host or env["PGHOST"],
            port=int(env.get("PGPORT", section.port)),
            name=env.get("PGDATABASE", section.name),
            user=env.get("PGUSER", section.user),
            password=SecretStr(env.get("PGPASSWORD", "")),
        )


def _database_is_named() -> bool:
    """True when PGHOST is somebody's wish, and not what `eolake env` printed of a private cluster."""
    env = os.environ
    return "PGHOST" in env and env.get(PRIVATE_DATABASE) != f"{env['PGHOST']}:{env.get('PGPORT', '')}"


def find_config(start: Path) -> Path:
    """`eolake.toml` in `start` or above it; ConfigError otherwise."""
    for folder in (start, *start.parents):
        if (folder / CONFIG_NAME).is_file():
            return folder / CONFIG_NAME
    raise ConfigError(f"no {CONFIG_NAME} in {start} or above; run `eolake init`, or name one with -c")


def which_config(config: Path | None = None) -> Path:
    """The file that is meant: `config`, else EOLAKE_CONFIG, else the nearest `eolake.toml` above."""
    return config or (Path(os.environ["EOLAKE_CONFIG"]) if "EOLAKE_CONFIG" in os.environ else find_config(Path.cwd()))


def load_settings(config: Path | None = None) -> Settings:
    """Settings of the lake whose `eolake.toml` is `config` (default as `which_config`)."""
    path = which_config(config)
    try:
        document = tomllib.loads(path.read_text("utf-8"))
        return Settings(root=path.resolve().parent, **document)
    except FileNotFoundError:
        raise ConfigError(f"{path} does not exist; run `eolake init` first") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not valid TOML: {error}") from error
    except ValidationError as error:
        faults = "; ".join(f"[{'.'.join(str(p) for p in e['loc'])}] {e['msg']}" for e in error.errors())
        raise ConfigError(f"{path}: {faults}") from error
