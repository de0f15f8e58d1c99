"""Secrets: where a reference points, read when they are needed, shown to nobody.

`netrc:HOST`    the machine HOST of $NETRC or ~/.netrc, which nobody else may read
`env:PREFIX`    PREFIX_USERNAME and PREFIX_PASSWORD, or PREFIX_TOKEN; PREFIX_ACCESS_KEY_ID, PREFIX_SECRET_ACCESS_KEY, PREFIX_SESSION_TOKEN
`aws-sm:NAME`   a JSON document of the same keys (username, password, token, …) in AWS Secrets Manager
`aws:PROFILE`   the AWS credentials of a profile; `aws:default`: those that AWS tools find by themselves (variables, role)
"""

from __future__ import annotations

import json
import logging
import netrc
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, override

from eolake.catalog.errors import ConfigError
from eolake.ingest.logins.errors import ExposedSecret, MissingSecret, SecretStoreFault

KEYS = ("username", "password", "token", "access_key_id", "secret_access_key", "session_token")
ABSENT = frozenset({"ResourceNotFoundException"})


class Secret:
    """A text that no log, message or dump shows."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The text itself: for the request that needs it, nothing else."""
        return self._value

    @override
    def __repr__(self) -> str:
        return "Secret(***)"

    __str__ = __repr__

    @override
    def __format__(self, specification: str) -> str:
        return "***"

    @override
    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._value == other._value

    @override
    def __hash__(self) -> int:
        return hash(self._value)

    @override
    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not written anywhere")


class Hidden(dict[str, str]):
    """Headers or parameters whose values are not shown."""

    @override
    def __repr__(self) -> str:
        return f"{{{', '.join(f'{key!r}: ***' for key in self)}}}"

    __str__ = __repr__


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """What a reference stands for."""

    reference: str
    values: Mapping[str, Secret]
    """By the names of KEYS; those that there are."""

    def need(self, *keys: str) -> tuple[str, ...]:
        """These values; MissingSecret names the ones that are not there."""
        missing = [key for key in keys if key not in self.values]
        if missing:
            raise MissingSecret(f"the secret {self.reference} has no {' and no '.join(missing)}; add it there")
        return tuple(self.values[key].reveal() for key in keys)

    def get(self, key: str) -> str | None:
        """A value that need not be there."""
        return self.values[key].reveal() if key in self.values else None


def read_secret(reference: str) -> Credential:
    """The credential of a reference. ConfigError: no such kind of reference; MissingSecret, ExposedSecret, SecretStoreFault."""
    scheme, colon, name = reference.partition(":")
    reader = READERS.get(scheme)
    if reader is None or not colon or not name:
        raise ConfigError("a credential is no reference: write netrc:HOST, env:PREFIX, aws-sm:NAME or aws:PROFILE; never the secret itself")
    values = {key: Secret(value) for key, value in reader(name).items() if value}
    if not values:
        raise MissingSecret(f"the secret {reference} is empty")
    return Credential(reference=reference, values=values)


def _from_netrc(host: str) -> Mapping[str, str | None]:
    path = Path(os.environ.get("NETRC") or Path.home() / ".netrc")
    try:
        status = path.stat()
    except OSError:
        raise MissingSecret(f"netrc:{host}: there is no {path}; write it (machine {host} login … password …) and chmod 600 it") from None
    if status.st_mode & 0o077 or status.st_uid not in {os.getuid(), 0}:
        raise ExposedSecret(f"netrc:{host}: {path} may be read by others (mode {status.st_mode & 0o777:o}); chmod 600 {path}")
    entry = _netrc_entry(path, host)
    if entry is None:
        raise MissingSecret(f"netrc:{host}: {path} has no machine {host}; add: machine {host} login … password …")
    login, _, password = entry
    return {"username": login, "password": password, "token": password, "access_key_id": login, "secret_access_key": password}


def _netrc_entry(path: Path, host: str) -> tuple[str, str, str] | None:
    """(login, account, password)"""
    try:
        return netrc.netrc(str(path)).hosts.get(host)
    except netrc.NetrcParseError as error:  # its text may hold a password
        raise MissingSecret(f"netrc:{host}: {path} can't be read: line {error.lineno} is not in the form of a netrc file") from None
    except (OSError, UnicodeDecodeError):
        raise MissingSecret(f"netrc:{host}: {path} can't be read as text") from None


def _from_environment(prefix: str) -> Mapping[str, str | None]:
    values = {key: os.environ.get(f"{prefix}_{key.upper()}") for key in KEYS}
    if not any(values.values()):
        raise MissingSecret(f"env:{prefix}: none of {', '.join(f'{prefix}_{key.upper()}' for key in KEYS[:4])} … is set")
    return values


def _from_secrets_manager(name: str) -> Mapping[str, str | None]:
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    logging.getLogger("botocore.parsers").setLevel(logging.INFO)  # at DEBUG it writes answers into the log: here the secret
    try:
        answer = boto3.Session().client("secretsmanager").get_secret_value(SecretId=name)
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", "unknown"))
        if code in ABSENT:
            raise MissingSecret(f"aws-sm:{name}: AWS Secrets Manager has no such secret in this account and region") from None
        hint = "the role may not use its KMS key" if "Decrypt" in code or "KMS" in code.upper() else "see the role's permissions"
        raise SecretStoreFault(f"aws-sm:{name}: AWS Secrets Manager refuses to give it ({code}): {hint}") from None
    except BotoCoreError as error:
        raise SecretStoreFault(f"aws-sm:{name}: AWS Secrets Manager does not answer ({type(error).__name__})") from None
    return _document(name, answer.get("SecretString") or bytes(answer.get("SecretBinary", b"")))


def _document(name: str, text: str | bytes) -> Mapping[str, str | None]:
    """The keys of a secret's JSON document, in any case."""
    try:
        document: Any = json.loads(text)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise MissingSecret(f"aws-sm:{name}: the secret is no JSON document with username and password, or token")
    found = {str(key).lower(): str(value) for key, value in document.items() if isinstance(value, str | int)}
    return {key: found.get(key) or found.get(f"aws_{key}") for key in KEYS}


def _from_aws(profile: str) -> Mapping[str, str | None]:
    import boto3
    from botocore.exceptions import BotoCoreError, ProfileNotFound

    try:
        found = boto3.Session(profile_name=None if profile == "default" else profile).get_credentials()
        frozen = found.get_frozen_credentials() if found is not None else None
    except ProfileNotFound:
        raise MissingSecret(f"aws:{profile}: there is no such profile in the AWS configuration") from None
    except BotoCoreError as error:
        raise SecretStoreFault(f"aws:{profile}: AWS gives no credentials ({type(error).__name__})") from None
    if frozen is None:
        raise MissingSecret(f"aws:{profile}: AWS tools find no credentials: set a profile, variables or a role")
    return {"access_key_id": frozen.access_key, "secret_access_key": frozen.secret_key, "session_token": frozen.token}


READERS: Mapping[str, Callable[[str], Mapping[str, str | None]]] = {
    "netrc": _from_netrc,
    "env": _from_environment,
    "aws-sm": _from_secrets_manager,
    "aws": _from_aws,
}
