"""Secrets that are planted everywhere turn up nowhere: not in logs, messages, dumps or arguments."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import boto3
import pytest
from moto import mock_aws

from eolake.catalog.lake import Lake
from eolake.catalog.ledger import granules
from eolake.catalog.ledger.granules import Offer
from eolake.ingest.logins import read_secret
from eolake.ingest.logins.base import Login
from eolake.ingest.providers.api import Api

from .conftest import AUTH, CANARIES, Logins, Service, config

FAULTS = [
    (400, '{"error": "invalid_request", "error_description": "canary-pass-9b2e"}'),
    (401, '{"error": "invalid_grant", "error_description": "canary-pass-9b2e is wrong"}'),
    (401, "canary-pass-9b2e"),
    (200, "<html>canary-pass-9b2e</html>"),
    (200, '{"data": null, "errorCode": "canary-token-51cd is wrong"}'),
    (200, '{"access_token": ["canary-access-0"]}'),
    (302, "canary-pass-9b2e"),
    (429, '{"error": "canary-pass-9b2e"}'),
    (500, '{"error": "canary-pass-9b2e"}'),
]


def leaks(text: str) -> list[str]:
    return [canary for canary in CANARIES if canary in text]


def attempt(action: Callable[[], object], found: list[str]) -> None:
    """Keep all that somebody might log of it."""
    try:
        found.append(repr(action()))
    except Exception as error:  # noqa: BLE001 -- whatever it is, it must be silent
        found += ["".join(traceback.format_exception(error)), repr(error), str(error), repr(vars(error))]


def use(login: Login, service: Service, found: list[str]) -> None:
    """The ordinary way and back."""
    data = f"{service.url}/data"
    stale: dict[str, str] = {}
    attempt(lambda: stale.update(login.headers(data)), found)
    attempt(lambda: login.headers(data), found)
    attempt(lambda: login.refresh(stale), found)
    attempt(login.s3, found)
    attempt(lambda: Api(config(service), login, sleep=lambda _: None).get_json(data), found)
    attempt(lambda: login, found)
    attempt(lambda: [getattr(login, name, None) for name in ("tokens", "read", "reach", "service")], found)
    attempt(login.close, found)


@pytest.mark.parametrize("kind", sorted(AUTH))
def test_t18_no_secret_in_logs_messages_or_representations(
    kind: str, service: Service, logins: Logins, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    found: list[str] = []
    use(logins(kind, login_every=0), service, found)
    for answer in FAULTS:
        service.answers = [answer] * 3
        use(logins(kind, login_every=0), service, found)
    service.answers = []
    service.password = "another"
    use(logins(kind, login_every=0), service, found)
    written = capfd.readouterr()
    assert not leaks("\n".join([*found, caplog.text, written.out, written.err]))
    assert not leaks(" ".join(path for _, path, _ in service.requests if not path.startswith("/session/")))


def test_t18_the_canaries_can_be_found(service: Service, logins: Logins) -> None:
    assert leaks(logins().headers(f"{service.url}/data")["Authorization"])


def test_t18_no_secret_of_aws_in_logs(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    for name, value in {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "canary-key", "AWS_DEFAULT_REGION": "us-west-2"}.items():
        monkeypatch.setenv(name, value)
    with mock_aws():
        boto3.client("secretsmanager").create_secret(Name="x", SecretString='{"password": "canary-pass-9b2e"}')
        caplog.set_level(logging.DEBUG)
        caplog.clear()
        read_secret("aws-sm:x")
    assert caplog.records
    assert not leaks(caplog.text)


def test_t18_no_secret_in_the_database(lake: Lake, service: Service, logins: Logins, tmp_path: Path) -> None:
    found: list[str] = []
    for answer in FAULTS:
        service.answers = [answer] * 3
        use(logins(login_every=0), service, found)
    with lake.connect() as connection:
        granules.offer(
            connection,
            [Offer(provider="p", id=str(n), name=f"n{n}", source=f"{service.url}/data", fingerprint="1") for n in range(len(found))],
        )
        leased = granules.claim(connection, owner="me", lease=timedelta(minutes=1), waiting="queued", limit=len(found))
        for granule, text in zip(leased, found, strict=True):
            granules.put_off(connection, granules.lease_of(granule), reason=text, delay=timedelta(), waiting="queued")
    with lake.connect() as connection:
        tables = connection.execute(
            "select format('%I.%I', schemaname, tablename) as name from pg_tables "
            "where schemaname not in ('pg_catalog', 'information_schema')"
        ).fetchall()
        dump = "\n".join(
            row["text"] for table in tables for row in connection.execute(f"select t::text as text from {table['name']} t").fetchall()
        )
    assert "gives no token" in dump
    assert not leaks(dump)
