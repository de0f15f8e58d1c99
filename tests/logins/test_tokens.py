"""One token for all: asked for once, replaced in time, and its session ended."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from eolake.catalog.errors import ConfigError
from eolake.catalog.settings import load_settings
from eolake.ingest.faults import Kind, ProviderFault
from eolake.ingest.logins import LoginRefused, MissingSecret, kinds, open_login
from eolake.ingest.logins.kinds import TokenLogin
from eolake.ingest.logins.tokens import Clock
from eolake.ingest.providers.registry import provider_config
from eolake.ingest.simulators.server import Server
from eolake.ingest.simulators.tokens import Tokens as SimulatedTokens

from .conftest import PASSWORD, Logins, Service, config

CLIENTS = Path(__file__).with_name("clients.py")


class Timer:
    """A clock of the machine that a test moves."""

    def __init__(self) -> None:
        self.time = 1000.0

    def clock(self) -> Clock:
        return Clock(boot="test", now=lambda: self.time)


@pytest.fixture
def timer() -> Timer:
    return Timer()


@pytest.fixture
def login(logins: Logins, timer: Timer) -> Callable[..., TokenLogin]:
    def opened(kind: str = "oidc-password", **auth: object) -> TokenLogin:
        found = logins(kind, **auth)
        assert isinstance(found, TokenLogin)
        found.tokens.clock = timer.clock()
        return found

    return opened


def test_a_token_is_asked_for_once_and_shared(service: Service, login: Callable[..., TokenLogin]) -> None:
    first, second = login(), login()
    data = f"{service.url}/data"
    assert first.headers(data) == first.headers(data) == second.headers(data)
    assert dict(first.headers(data)) == {"Authorization": "Bearer canary-access-1"}
    assert service.count("password") == 1


def test_the_file_of_a_token_is_private_and_one_that_others_may_read_is_not_trusted(
    service: Service, login: Callable[..., TokenLogin], tmp_path: Path
) -> None:
    login().headers(f"{service.url}/data")
    [file] = (tmp_path / "tokens").glob("*.json")
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700
    assert all(other.stat().st_mode & 0o077 == 0 for other in file.parent.glob("*.users"))
    file.chmod(0o644)
    login().headers(f"{service.url}/data")
    assert service.count("password") == 2
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_token_is_refreshed_when_less_than_two_minutes_remain(service: Service, login: Callable[..., TokenLogin], timer: Timer) -> None:
    mine = login()
    first = mine.headers(f"{service.url}/data")
    timer.time += 479
    assert mine.headers(f"{service.url}/data") == first
    timer.time += 2
    assert mine.headers(f"{service.url}/data") != first
    assert (service.count("password"), service.count("refresh_token")) == (1, 1)


def test_a_token_that_still_works_is_used_while_the_service_is_silent(
    service: Service, login: Callable[..., TokenLogin], timer: Timer
) -> None:
    mine = login()
    first = mine.headers(f"{service.url}/data")
    timer.time += 500
    service.answers = [(503, "")] * 20
    assert mine.headers(f"{service.url}/data") == first
    asked = len(service.requests)
    assert mine.headers(f"{service.url}/data") == first
    assert len(service.requests) == asked  # not again for each request
    timer.time += 100
    with pytest.raises(ProviderFault) as fault:
        mine.headers(f"{service.url}/data")
    assert fault.value.kind is Kind.TRANSIENT


def test_an_ended_session_costs_one_login_with_the_password(service: Service, login: Callable[..., TokenLogin], timer: Timer) -> None:
    mine = login()
    mine.headers(f"{service.url}/data")
    service.sessions.clear()
    timer.time += 590
    mine.headers(f"{service.url}/data")
    assert (service.count("password"), service.count("refresh_token")) == (2, 1)


def test_at_most_one_login_a_minute(service: Service, login: Callable[..., TokenLogin], timer: Timer) -> None:
    mine = login()
    service.refreshes = False
    for _ in range(3):
        stale = mine.headers(f"{service.url}/data")
        with pytest.raises(ProviderFault) as fault:
            mine.refresh(stale)
        assert fault.value.kind is Kind.AUTH
        assert fault.value.retry_after == pytest.approx(60 - (timer.time - 1000))
        timer.time += 10
    assert service.count("password") == 1
    timer.time += 31
    mine.refresh(stale)
    assert service.count("password") == 2


def test_s02_a_refused_password_is_a_refusal_and_asked_once_a_minute(
    service: Service, login: Callable[..., TokenLogin], timer: Timer
) -> None:
    service.password = "another"
    mine = login()
    for _ in range(20):
        with pytest.raises(LoginRefused, match="invalid_grant"):
            mine.headers(f"{service.url}/data")
    assert service.count("password") == 1
    service.password = PASSWORD
    timer.time += 61
    assert mine.headers(f"{service.url}/data")


def test_a_clock_of_another_boot_or_a_torn_file_means_a_new_login(
    service: Service, login: Callable[..., TokenLogin], tmp_path: Path
) -> None:
    login().headers(f"{service.url}/data")
    [file] = (tmp_path / "tokens").glob("*.json")
    document = json.loads(file.read_text())
    for text in (json.dumps({**document, "boot": "before"}), file.read_text()[:40], "[]", '{"boot": "test"}'):
        before = service.count("password")
        file.write_text(text)
        login().headers(f"{service.url}/data")
        assert service.count("password") == before + 1


def test_t29_the_wall_clock_does_not_matter(service: Service, logins: Logins, monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    mine = logins()
    first = mine.headers(f"{service.url}/data")
    monkeypatch.setattr(time, "time", lambda: 4e9)  # nobody can set the clock of the machine here
    assert mine.headers(f"{service.url}/data") == first == logins().headers(f"{service.url}/data")


def test_t16_twenty_threads_that_were_refused_ask_for_one_token(service: Service, logins: Logins) -> None:
    service.delay = 0.05
    mine = logins()
    stale = mine.headers(f"{service.url}/data")
    barrier = threading.Barrier(20)

    def ask() -> str:
        barrier.wait()
        mine.refresh(stale)
        return mine.headers(f"{service.url}/data")["Authorization"]

    with ThreadPoolExecutor(20) as pool:
        tokens = {future.result() for future in [pool.submit(ask) for _ in range(20)]}
    assert len(tokens) == 1
    assert (service.count("password"), service.count("refresh_token")) == (1, 1)


def clients(service: Service, folder: Path, count: int = 4) -> list[subprocess.Popen[str]]:
    command = [sys.executable, str(CLIENTS), service.url, str(folder)]
    return [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(count)]


def said(process: subprocess.Popen[str], word: str = "") -> list[str]:
    """Send a line, read the answer."""
    assert process.stdin is not None
    assert process.stdout is not None
    if word:
        process.stdin.write(f"{word}\n")
        process.stdin.flush()
    answer: list[str] = json.loads(process.stdout.readline())
    return answer


@pytest.mark.usefixtures("logins")
def test_t16_twenty_parallel_401_of_four_processes_are_one_token_request(service: Service, tmp_path: Path) -> None:
    processes = clients(service, tmp_path)
    for process in processes:
        assert said(process) == ["ready"]
    assert {token for process in processes for token in said(process, "headers")} == {"canary-access-1"}
    service.expire()
    service.delay = 0.1
    with ThreadPoolExecutor(4) as pool:
        tokens = {token for answer in pool.map(lambda process: said(process, "fetch"), processes) for token in answer}
    service.delay = 0
    assert tokens == service.valid
    assert service.count("/data") == 40  # 20 were refused, and came again
    assert (service.count("password"), service.count("refresh_token")) == (1, 1)
    for process in processes:
        said(process, "close")
        process.communicate()
    assert service.sessions == set()  # the last of them ended it


@pytest.mark.usefixtures("logins")
def test_t19_a_session_is_ended_by_the_last_that_uses_it_and_survives_a_kill(service: Service, tmp_path: Path) -> None:
    first, second = clients(service, tmp_path, 2)
    for process in (first, second):
        said(process)
        said(process, "headers")
    said(first, "close")
    assert len(service.sessions) == 1  # somebody still uses it
    second.kill()
    first.communicate()
    second.communicate()
    [third] = clients(service, tmp_path, 1)
    said(third)
    assert set(said(third, "headers")) == {"canary-access-1"}  # no second session
    said(third, "close")
    third.communicate()
    assert service.sessions == set()
    assert service.count("password") == 1


def test_t19_session_is_ended_when_its_token_is_out_of_date_too(service: Service, login: Callable[..., TokenLogin], timer: Timer) -> None:
    mine = login()
    mine.headers(f"{service.url}/data")
    timer.time += 700
    mine.close()
    assert service.sessions == set()
    mine.close()  # a second time does nothing
    assert [method for method, *_ in service.requests].count("DELETE") == 1


def test_t19_a_login_that_was_never_used_opens_and_ends_nothing(service: Service, login: Callable[..., TokenLogin]) -> None:
    login().close()
    assert service.requests == []


def test_t19_a_session_that_cannot_be_ended_does_not_stop_the_shutdown(
    service: Service, login: Callable[..., TokenLogin], caplog: pytest.LogCaptureFixture
) -> None:
    mine = login()
    mine.headers(f"{service.url}/data")
    service.answers = [(500, "")]
    mine.close()
    assert "could not be ended" in caplog.text


def test_t30_a_silent_service_does_not_hold_up_the_shutdown(
    service: Service, login: Callable[..., TokenLogin], monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = login()
    mine.headers(f"{service.url}/data")
    assert mine.service.timeout == 30
    monkeypatch.setattr(kinds, "HURRY", 0.1)
    service.delay = 1
    mine.close()
    assert mine.service.timeout == 0.1
    service.delay = 0


def test_t19_the_session_of_the_preset_is_opened_and_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = SimulatedTokens({"u": "p"})
    monkeypatch.setenv("CDSE_USERNAME", "u")
    monkeypatch.setenv("CDSE_PASSWORD", "p")
    with Server(tokens) as server:
        (tmp_path / "eolake.toml").write_text(
            f"[providers.cdse.urls]\ntoken = '{server.url}/auth/realms/CDSE/protocol/openid-connect/token'\n"
            f"download = '{server.url}/odata/v1'\n"
        )
        preset = provider_config(load_settings(tmp_path / "eolake.toml"), "cdse")
        mine = open_login(preset, "env:CDSE", state=tmp_path)
        assert mine.headers(f"{server.url}/odata/v1/Products(1)/$value")["Authorization"].startswith("Bearer ")
        assert tokens.sessions == 1
        mine.close()
        assert tokens.sessions == 0


def test_client_credentials_are_revoked_at_the_end(service: Service, login: Callable[..., TokenLogin], timer: Timer) -> None:
    mine = login("client-credentials")
    assert dict(mine.headers(f"{service.url}/data")) == {"Authorization": "Bearer canary-access-1"}
    timer.time += 590
    assert dict(mine.headers(f"{service.url}/data")) == {"Authorization": "Bearer canary-access-2"}
    mine.close()
    assert service.count("/revoke") == 1


def test_m2m_key_goes_in_its_own_header_and_is_logged_out(service: Service, login: Callable[..., TokenLogin], timer: Timer) -> None:
    mine = login("m2m")
    stale = mine.headers(f"{service.url}/data")
    assert dict(stale) == {"X-Auth-Token": "canary-key-1"}
    timer.time += 100
    mine.refresh(stale)
    assert dict(mine.headers(f"{service.url}/data")) == {"X-Auth-Token": "canary-key-2"}
    mine.close()
    assert service.count("/m2m/logout") == 1


def test_m2m_error_with_status_200_is_a_refusal(
    service: Service, login: Callable[..., TokenLogin], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CANARY_TOKEN", "wrong")
    with pytest.raises(LoginRefused, match="AUTH_INVALID"):
        login("m2m").headers(f"{service.url}/data")
    assert service.count("/m2m/login-token") == 1


def test_rate_limits_and_pages_that_are_no_json_are_told_apart(service: Service, login: Callable[..., TokenLogin], timer: Timer) -> None:
    mine = login()
    for answer, kind in [((429, ""), Kind.RATE), ((200, "<html>"), Kind.TRANSIENT), ((502, ""), Kind.TRANSIENT), ((404, ""), Kind.CONFIG)]:
        service.answers = [answer]
        with pytest.raises(ProviderFault) as fault:
            mine.headers(f"{service.url}/data")
        assert fault.value.kind is kind, answer
        timer.time += 61


def test_a_token_that_would_break_a_header_is_not_taken(service: Service, login: Callable[..., TokenLogin]) -> None:
    service.answers = [(200, json.dumps({"access_token": "a\r\nX-Evil: 1", "expires_in": 600}))]
    with pytest.raises(ProviderFault):
        login().headers(f"{service.url}/data")


def test_basic_and_static_bearer(service: Service, logins: Logins, monkeypatch: pytest.MonkeyPatch) -> None:
    assert logins("basic").headers(f"{service.url}/data")["Authorization"].startswith("Basic ")
    static = logins("bearer")
    stale = static.headers(f"{service.url}/data")
    assert dict(stale) == {"Authorization": "Bearer canary-token-51cd"}
    with pytest.raises(LoginRefused):
        static.refresh(stale)
    static.headers(f"{service.url}/data")
    monkeypatch.setenv("CANARY_TOKEN", "a-newer-one")
    static.refresh(stale)
    assert dict(static.headers(f"{service.url}/data")) == {"Authorization": "Bearer a-newer-one"}


def test_s3_keys_and_ftp_names(service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("K_ACCESS_KEY_ID", "k")
    monkeypatch.setenv("K_SECRET_ACCESS_KEY", "s")
    base = config(service)
    s3 = open_login(replace(base, auth={"kind": "s3", "request_payer": "requester"}), "env:K", state=tmp_path)
    assert dict(s3.s3()) == {"aws_access_key_id": "k", "aws_secret_access_key": "s", "request_payer": "requester"}
    assert s3.headers(service.url) == {}
    monkeypatch.setenv("F_USERNAME", "u")
    monkeypatch.setenv("F_PASSWORD", "p")
    ftp = open_login(replace(base, auth={"kind": "ftp"}, auth_hosts=("ftp.example.org", "127.0.0.1:2121")), "env:F", state=tmp_path)
    assert (
        ftp.userpwd("ftp://ftp.example.org/a")
        == ftp.userpwd("ftpes://127.0.0.1:2121/a")
        == ftp.userpwd("ftps://127.0.0.1:2121/a")
        == ("u", "p")
    )
    assert ftp.userpwd("ftp://elsewhere.example.org/a") is None
    assert ftp.headers("ftp://ftp.example.org/a") == {}


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("https://download.example.org/a", True),
        ("https://download.example.org:443/a", True),
        ("https://DOWNLOAD.example.org/a", True),
        ("http://download.example.org/a", False),
        ("https://download.example.org:8443/a", False),
        ("https://download.example.org.evil.org/a", False),
        ("https://evil.org/https://download.example.org/", False),
        ("https://download.example.org@evil.org/a", False),
        ("ftp://download.example.org/a", False),
        ("https://[::1", False),
        ("", False),
    ],
)
def test_t17_a_credential_goes_to_named_hosts_only_and_encrypted(service: Service, logins: Logins, url: str, allowed: bool) -> None:
    login = open_login(replace(config(service, "basic"), auth_hosts=("download.example.org",)), "env:CANARY", state=logins.state)
    assert login.allows(url) is allowed
    assert bool(login.headers(url)) is allowed


def test_t18_login_service_must_be_encrypted(service: Service, logins: Logins) -> None:
    with pytest.raises(ConfigError, match="not encrypted"):
        logins(token_url="http://identity.example.org/token")
    logins(token_url="http://identity.example.org/token", insecure=True)


def test_unknown_kind_and_missing_address_are_config_errors(service: Service, logins: Logins, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"auth\.kind"):
        open_login(replace(config(service), auth={"kind": "magic"}), "env:CANARY", state=tmp_path)
    with pytest.raises(ConfigError, match="token_url"):
        open_login(replace(config(service), auth={"kind": "oidc-password"}), "env:CANARY", state=tmp_path)


def test_s35_no_credential_yet_and_found_when_looked_again(service: Service, logins: Logins, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(MissingSecret) as fault:
        logins(reference="env:LATER")
    assert fault.value.retry_after == 300
    monkeypatch.setenv("LATER_USERNAME", os.environ["CANARY_USERNAME"])
    monkeypatch.setenv("LATER_PASSWORD", PASSWORD)
    assert logins(reference="env:LATER").headers(f"{service.url}/data")


def test_nobody_needs_a_login_where_none_is_asked_for(tmp_path: Path, service: Service) -> None:
    none = open_login(replace(config(service), auth={"kind": "none"}), "anonymous", state=tmp_path)
    assert (dict(none.headers(service.url)), none.userpwd(service.url), dict(none.s3()), none.allows(service.url)) == ({}, None, {}, False)
    with pytest.raises(LoginRefused):
        none.refresh({})
