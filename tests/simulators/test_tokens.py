"""The token endpoint."""

from __future__ import annotations

import json
from collections.abc import Iterator
from urllib.parse import urlencode

import pytest
from support.raw_http import Raw, fetch

from eolake.ingest.simulators.server import Request, Response, Server, text_response
from eolake.ingest.simulators.tokens import Tokens

PATH = "/auth/realms/CDSE/protocol/openid-connect/token"


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def tokens(clock: Clock) -> Tokens:
    return Tokens({"user": "secret"}, clients={"key": "hidden"}, expires_in=600, refresh_expires_in=3600, max_sessions=3, clock=clock)


@pytest.fixture
def server(tokens: Tokens) -> Iterator[Server]:
    def guarded(request: Request) -> Response | None:
        return tokens.check(request) or text_response("in") if request.path == "/guarded" else None

    with Server(tokens, guarded, account=tokens.account) as server:
        yield server


def login(server: Server, **form: str) -> Raw:
    form = form or {"grant_type": "password", "username": "user", "password": "secret", "client_id": "cdse-public"}
    return fetch(server.url + PATH, method="POST", body=urlencode(form).encode(), Content_Type="application/x-www-form-urlencoded")


def guarded(server: Server, token: str) -> int:
    return fetch(f"{server.url}/guarded", Authorization=f"Bearer {token}").status


def test_password_and_refresh(server: Server, tokens: Tokens, clock: Clock) -> None:
    first = json.loads(login(server).body)
    assert set(first) >= {"access_token", "refresh_token", "expires_in", "refresh_expires_in", "session_state", "token_type"}
    assert (first["expires_in"], first["refresh_expires_in"]) == (600, 3600)
    assert guarded(server, first["access_token"]) == 200
    clock.now += 601
    assert guarded(server, first["access_token"]) == 401
    second = json.loads(login(server, grant_type="refresh_token", refresh_token=first["refresh_token"]).body)
    assert second["session_state"] == first["session_state"]
    assert guarded(server, second["access_token"]) == 200
    clock.now += 3601
    refused = login(server, grant_type="refresh_token", refresh_token=first["refresh_token"])
    assert (refused.status, json.loads(refused.body)["error"]) == (400, "invalid_grant")
    assert dict(tokens.requests) == {"password": 1, "refresh_token": 2, "refused": 1}
    assert server.stats.account("user").requests == 3


def test_refusals(server: Server) -> None:
    wrong = login(server, grant_type="password", username="user", password="guess")
    assert (wrong.status, json.loads(wrong.body)["error"]) == (401, "invalid_grant")
    assert json.loads(login(server, grant_type="device").body)["error"] == "unsupported_grant_type"
    assert login(server, grant_type="client_credentials", client_id="key", client_secret="wrong").status == 401
    missing = fetch(f"{server.url}/guarded")
    assert (missing.status, json.loads(missing.body)["code"]) == (401, "DAT-ZIP-604")
    assert json.loads(fetch(f"{server.url}/guarded", Authorization="Bearer x").body)["code"] == "DAT-ZIP-109"


def test_client_credentials_have_no_refresh(server: Server) -> None:
    document = json.loads(login(server, grant_type="client_credentials", client_id="key", client_secret="hidden").body)
    assert "refresh_token" not in document
    assert guarded(server, document["access_token"]) == 200


def test_sessions_fill_up_and_end(server: Server, tokens: Tokens) -> None:
    opened = [json.loads(login(server).body) for _ in range(3)]
    assert login(server).status == 400
    ended = fetch(
        f"{server.url}/auth/realms/CDSE/account/sessions/{opened[0]['session_state']}",
        method="DELETE",
        Authorization=f"Bearer {opened[1]['access_token']}",
    )
    assert ended.status == 204
    assert guarded(server, opened[0]["access_token"]) == 401
    assert login(server).status == 200
    assert tokens.sessions == 3
    revoked = fetch(f"{server.url}/revoke", method="POST", body=urlencode({"token": opened[1]["access_token"]}).encode())
    assert (revoked.status, tokens.sessions, tokens.requests["ended"]) == (200, 2, 2)


def test_revoked_tokens_can_be_refreshed_until_that_is_refused_too(server: Server, tokens: Tokens) -> None:
    first = json.loads(login(server).body)
    tokens.revoke()
    assert guarded(server, first["access_token"]) == 401
    assert login(server, grant_type="refresh_token", refresh_token=first["refresh_token"]).status == 200
    tokens.refuse_refresh = True
    assert login(server, grant_type="refresh_token", refresh_token=first["refresh_token"]).status == 400
