"""Secrets come from where a reference points, and each way of not having one is another error."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from moto import mock_aws

from eolake.catalog.errors import ConfigError
from eolake.ingest.faults import Kind, ProviderFault
from eolake.ingest.logins import ExposedSecret, MissingSecret, Secret, SecretFault, SecretStoreFault, read_secret


@pytest.fixture
def netrc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "netrc"
    monkeypatch.setenv("NETRC", str(path))
    return path


@pytest.fixture
def manager(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name, value in {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_DEFAULT_REGION": "us-west-2"}.items():
        monkeypatch.setenv(name, value)
    with mock_aws():
        yield


def write(path: Path, text: str, mode: int = 0o600) -> None:
    path.write_text(text)
    path.chmod(mode)


def test_netrc_gives_name_and_password(netrc: Path) -> None:
    write(netrc, 'machine other login x password y\nmachine dataspace.copernicus.eu login me@example.org password "a b#c"\n')
    assert read_secret("netrc:dataspace.copernicus.eu").need("username", "password") == ("me@example.org", "a b#c")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660])
def test_s02_netrc_that_others_may_read_is_refused(netrc: Path, mode: int) -> None:
    write(netrc, "machine h login a password canary\n", mode)
    with pytest.raises(ExposedSecret, match="chmod 600") as refusal:
        read_secret("netrc:h")
    assert "canary" not in str(refusal.value)


def test_s02_missing_secret_says_where_to_write_it(netrc: Path) -> None:
    with pytest.raises(MissingSecret, match="there is no"):
        read_secret("netrc:h")
    write(netrc, "machine x login a password b\n")
    with pytest.raises(MissingSecret, match="machine h login"):
        read_secret("netrc:h")
    with pytest.raises(MissingSecret, match="NOWHERE_USERNAME"):
        read_secret("env:NOWHERE")


def test_netrc_that_is_broken_does_not_tell_its_words(netrc: Path) -> None:
    write(netrc, "machine h login a password b canary-word\n")
    with pytest.raises(MissingSecret, match="line 2") as fault:
        read_secret("netrc:h")
    assert "canary" not in str(fault.value)
    assert fault.value.__cause__ is None


def test_environment_gives_password_or_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CDSE2_USERNAME", "u")
    monkeypatch.setenv("CDSE2_PASSWORD", "p")
    monkeypatch.setenv("EDL_TOKEN", "t")
    assert read_secret("env:CDSE2").need("username", "password") == ("u", "p")
    assert read_secret("env:EDL").need("token") == ("t",)
    with pytest.raises(MissingSecret, match="no password"):
        read_secret("env:EDL").need("token", "password")


@pytest.mark.parametrize("reference", ["hunter2", "netrc:", "vault:x", "", "env"])
def test_a_secret_in_place_of_a_reference_is_refused_and_not_repeated(reference: str) -> None:
    with pytest.raises(ConfigError, match="never the secret itself") as fault:
        read_secret(reference)
    assert "hunter2" not in str(fault.value)


@pytest.mark.usefixtures("manager")
def test_secrets_manager_gives_a_json_document() -> None:
    client = boto3.client("secretsmanager")
    client.create_secret(Name="eolake/cdse-2", SecretString=json.dumps({"Username": "u", "PASSWORD": "p", "note": None}))
    client.create_secret(Name="eolake/binary", SecretBinary=b'{"token": "t"}')
    client.create_secret(Name="eolake/s3", SecretString=json.dumps({"AWS_ACCESS_KEY_ID": "k", "aws_secret_access_key": "s"}))
    assert read_secret("aws-sm:eolake/cdse-2").need("username", "password") == ("u", "p")
    assert read_secret("aws-sm:eolake/binary").need("token") == ("t",)
    assert read_secret("aws-sm:eolake/s3").need("access_key_id", "secret_access_key") == ("k", "s")


@pytest.mark.usefixtures("manager")
def test_s02_absent_plain_and_undecipherable_secrets_of_aws_are_told_apart() -> None:
    with pytest.raises(MissingSecret, match="no such secret"):
        read_secret("aws-sm:absent")
    client = boto3.client("secretsmanager")
    client.create_secret(Name="plain", SecretString="canary-word")
    with pytest.raises(MissingSecret, match="no JSON document") as fault:
        read_secret("aws-sm:plain")
    assert "canary" not in str(fault.value)


def test_s02_kms_and_permission_errors_are_store_faults(monkeypatch: pytest.MonkeyPatch) -> None:
    from botocore.stub import Stubber

    client = boto3.client("secretsmanager", region_name="us-west-2", aws_access_key_id="a", aws_secret_access_key="b")

    class Session:
        client = staticmethod(lambda _: client)

    monkeypatch.setattr(boto3, "Session", Session)  # KMS can't be made to fail by moto
    with Stubber(client) as stub:
        stub.add_client_error("get_secret_value", "DecryptionFailure", "Secrets Manager can't decrypt with the KMS key")
        with pytest.raises(SecretStoreFault, match="KMS key"):
            read_secret("aws-sm:x")
        stub.add_client_error("get_secret_value", "AccessDeniedException", "no")
        with pytest.raises(SecretStoreFault, match="permissions"):
            read_secret("aws-sm:x")


def test_b0e_aws_error_classes_are_there_when_they_are_needed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_DEFAULT_REGION", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(SecretStoreFault, match="does not answer"):
        read_secret("aws-sm:x")
    with pytest.raises(MissingSecret, match="no such profile"):
        read_secret("aws:nobody")
    with pytest.raises(MissingSecret, match="no credentials"):
        read_secret("aws:default")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "k")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    assert read_secret("aws:default").need("access_key_id", "secret_access_key") == ("k", "s")


def test_s35_a_missing_secret_is_looked_for_again_after_a_while(netrc: Path) -> None:
    with pytest.raises(SecretFault) as fault:
        read_secret("netrc:h")
    assert isinstance(fault.value, ProviderFault)
    assert (fault.value.kind, fault.value.retry_after, fault.value.exit_code) == (Kind.AUTH, 300, 3)
    write(netrc, "machine h login a password b\n")
    assert read_secret("netrc:h").need("password") == ("b",)


def test_t18_a_secret_shows_itself_to_nobody() -> None:
    secret = Secret("canary")
    shown = [repr(secret), str(secret), f"{secret}", f"{secret!r:>20}", "%s" % secret, repr({"a": [secret]})]  # noqa: UP031
    assert not any("canary" in text for text in shown)
    for write_out in (pickle.dumps, copy.deepcopy, json.dumps):
        with pytest.raises(TypeError):
            write_out(secret)
    assert secret == Secret("canary") != Secret("other")
