"""The providers that are known: presets of the package, `[providers.NAME]` of eolake.toml over them, and the code behind each kind."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from importlib.resources import files
from typing import Annotated, Any, Literal

import yaml
from pydantic import BeforeValidator, Field, NonNegativeFloat, PositiveInt, StringConstraints, ValidationError, field_validator

from eolake.catalog.errors import ConfigError
from eolake.catalog.settings import Model, Settings
from eolake.ingest.faults import ProviderFault
from eolake.ingest.logins.base import Login
from eolake.ingest.providers.api import host_of
from eolake.ingest.providers.base import Provider, ProviderConfig

GROUP = "eolake.providers"
PRESETS = "eolake.ingest.providers.presets"
SECRETS = frozenset({"password", "secret", "token", "client_secret", "access_key", "secret_key", "api_key"})
"""Names of settings that would hold a secret, which never stands in a file of settings."""
UNITS: Mapping[str, int] = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "P": 10**15}
_BYTES = re.compile(r"(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>[KMGTP]?)(?P<binary>i?)B?", re.IGNORECASE)

type Url = Annotated[str, StringConstraints(pattern=r"^(https?|ftp|ftps|ftpes|s3|file)://")]
type Reference = Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]+:.")]


def parse_bytes(value: object) -> object:
    """Bytes from `12TB`, `500 GB`, `1GiB` or a number; anything else unchanged, for pydantic to refuse."""
    match = _BYTES.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        return value
    unit = match["unit"].upper()
    factor = 1024 ** ("KMGTP".index(unit) + 1) if match["binary"] and unit else UNITS[unit]
    return round(float(match["number"]) * factor)


class ProviderSection(Model):
    """`[providers.NAME]` laid over its preset; an unknown key is an error."""

    kind: str
    urls: Mapping[str, Url] = {}
    connections: PositiveInt = 4
    credentials: tuple[Reference, ...] = ()
    auth: Mapping[str, Any] = {}
    auth_hosts: tuple[str, ...] = ()
    budget: Annotated[PositiveInt | None, BeforeValidator(parse_bytes)] = None
    release_lag: NonNegativeFloat = 0
    collections: Mapping[str, Mapping[str, Any]] = Field(default={})
    options: Mapping[str, Any] = {}

    @field_validator("auth")
    @classmethod
    def _no_secret(cls, auth: Mapping[str, Any]) -> Mapping[str, Any]:
        if written := sorted(SECRETS.intersection(auth)):
            raise ValueError(f"{', '.join(written)}: a secret never stands in eolake.toml; name where it is kept in `credentials`")
        return auth


MERGED: tuple[Literal["urls", "auth", "options", "collections"], ...] = ("urls", "auth", "options", "collections")
"""Tables of which a section replaces single keys; all other fields it replaces as a whole."""


def provider_names(settings: Settings) -> tuple[str, ...]:
    """Presets of the package and sections of eolake.toml, sorted."""
    return tuple(sorted({*presets(), *settings.providers}))


def provider_config(settings: Settings, name: str) -> ProviderConfig:
    """The preset (of that name, or the one that `preset = …` names) with `[providers.NAME]` over it; ConfigError when it does not hold."""
    section = dict(settings.providers.get(name, {}))
    chosen = section.pop("preset", name)
    preset = _preset(name, chosen, required="preset" in settings.providers.get(name, {}))
    if not preset and not section:
        raise ConfigError(f"no provider {name!r}; there are: {', '.join(provider_names(settings))}. Others go into [providers.{name}]")
    document = _merged(preset, section)
    try:
        checked = ProviderSection.model_validate(document)
        if "auth_hosts" not in section:
            checked = checked.model_copy(update={"auth_hosts": _moved(preset, checked)})
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(str(part) for part in fault['loc'])}: {_told(fault['type'], fault['msg'])}" for fault in error.errors()
        )
        raise ConfigError(f"[providers.{name}] {faults}") from None  # the cause would show what was written, which may be a secret
    except ProviderFault as error:
        raise ConfigError(f"[providers.{name}] urls: {error}") from None
    return ProviderConfig(name=name, **{key: getattr(checked, key) for key in ProviderSection.model_fields})


def narrowed(config: ProviderConfig, *collections: str) -> ProviderConfig:
    """The same provider, but only with these collections: what `changes()` then follows. ConfigError when it has one of them not."""
    return replace(config, collections={collection: collection_of(config, collection) for collection in collections})


def collection_of(config: ProviderConfig, collection: str) -> Mapping[str, Any]:
    """What the provider calls a collection of the lake; ConfigError when it does not have it."""
    if collection not in config.collections:
        known = ", ".join(sorted(config.collections)) or "none"
        place = f"[providers.{config.name}.collections.{collection}]"
        raise ConfigError(f"{config.name} has no collection {collection!r}; there are: {known}. Describe it in {place}")
    return config.collections[collection]


def open_provider(config: ProviderConfig, login: Login | None = None) -> Provider:
    """The provider of that kind; ConfigError when there is none, or its plug-in does not load or refuses the configuration."""
    points = {point.name: point for point in _registered()}
    if config.kind not in points:
        known = ", ".join(sorted(points)) or "none"
        raise ConfigError(f"[providers.{config.name}] kind = {config.kind!r}: no such kind is installed; there are: {known}")
    make: Callable[[ProviderConfig, Login | None], Provider] = _load(points[config.kind])
    return make(config, login)


@cache
def presets() -> tuple[str, ...]:
    """Names of the presets of the package, sorted."""
    return tuple(sorted(entry.name.removesuffix(".yaml") for entry in files(PRESETS).iterdir() if entry.name.endswith(".yaml")))


def _preset(name: str, chosen: object, *, required: bool) -> Mapping[str, Any]:
    if not isinstance(chosen, str) or (required and chosen not in presets()):
        raise ConfigError(f"[providers.{name}] preset = {chosen!r}: no such preset; there are: {', '.join(presets())}")
    if chosen not in presets():
        return {}
    document: Mapping[str, Any] = yaml.safe_load(files(PRESETS).joinpath(f"{chosen}.yaml").read_text("utf-8"))
    return document


def _merged(preset: Mapping[str, Any], section: Mapping[str, Any]) -> dict[str, Any]:
    both = {**preset, **section}
    for table in MERGED:
        below, above = preset.get(table), section.get(table)
        if isinstance(below, Mapping) and isinstance(above, Mapping):
            both[table] = {**below, **above}
    return both


def _moved(preset: Mapping[str, Any], checked: ProviderSection) -> tuple[str, ...]:
    """The hosts that take the credential: a URL that eolake.toml moved takes its right to it along."""
    moves = [(host_of(url), host_of(checked.urls[role])) for role, url in preset.get("urls", {}).items()]
    used = {host_of(url) for url in checked.urls.values()}
    there = [host for host in checked.auth_hosts if host in used or all(host != old for old, _ in moves)]
    return tuple(dict.fromkeys([*there, *(new for old, new in moves if old in checked.auth_hosts)]))


def _told(kind: str, message: str) -> str:
    return "unknown key" if kind == "extra_forbidden" else message


def _registered() -> tuple[EntryPoint, ...]:
    return _on(tuple(sys.path))


@cache
def _on(path: tuple[str, ...]) -> tuple[EntryPoint, ...]:
    """The entry points installed on that path; reading them takes 50 ms."""
    _ = path
    return tuple(entry_points(group=GROUP))


def _load(point: EntryPoint) -> Any:
    try:
        return point.load()
    except Exception as error:  # a plug-in may fail in any way
        raise ConfigError(f"the provider {point.name!r} ({point.value}) does not load: {error}") from error
