"""Requests to catalogues: to a provider's own hosts, bounded, tried again where that helps, with the credential only where it belongs."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

from eolake.ingest.faults import Kind, ProviderFault
from eolake.ingest.providers import api
from eolake.ingest.providers.api import Api, hosts_of, retry_after
from eolake.ingest.providers.base import ProviderConfig
from eolake.ingest.simulators.messages import Request, Response, json_response, text_response
from eolake.ingest.simulators.server import Server


@dataclass
class Account:
    """A login whose token may be refused."""

    host: str
    tokens: list[str] = field(default_factory=lambda: ["first", "second"])
    refreshed: int = 0
    name: str = "test"

    def allows(self, url: str) -> bool:
        return self.host in url

    def headers(self, url: str) -> Mapping[str, str]:
        return {"Authorization": f"Bearer {self.tokens[0]}"} if self.allows(url) else {}

    def userpwd(self, url: str) -> tuple[str, str] | None:
        _ = url
        return None

    def s3(self) -> Mapping[str, str]:
        return {}

    def refresh(self, stale: Mapping[str, str]) -> None:
        _ = stale
        self.refreshed += 1
        self.tokens.pop(0)

    def close(self) -> None:
        return None


@dataclass
class Site:
    server: Server
    asked: list[Request]
    stack: ExitStack
    waited: list[float] = field(default_factory=list)

    @property
    def url(self) -> str:
        return self.server.url

    def api(self, login: Account | None = None, **more: Any) -> Api:
        host = self.url.removeprefix("http://")
        known: dict[str, Any] = {"urls": {"catalogue": self.url}, "auth_hosts": (host,)}
        config = ProviderConfig(name="site", kind="x", **{**known, **more})
        made = Api(config, login, timeout=5, sleep=self.waited.append)
        self.stack.callback(made.close)
        return made


@pytest.fixture
def site() -> Iterator[Callable[[Callable[[Request], Response | None]], Site]]:
    with ExitStack() as stack:

        def opened(handler: Callable[[Request], Response | None]) -> Site:
            asked: list[Request] = []

            def noting(request: Request) -> Response | None:
                asked.append(request)
                return handler(request)

            return Site(stack.enter_context(Server(noting)), asked, stack)

        yield opened


type Open = Callable[[Callable[[Request], Response | None]], Site]


def test_a_document_with_parameters_and_compression(site: Open) -> None:
    body = gzip.compress(b'{"a": [1]}')
    one = site(lambda _: Response(headers={"Content-Type": "application/json", "Content-Encoding": "gzip"}, body=body))
    assert one.api().get_json(f"{one.url}/x?y=1", {"q": "a b&c"}) == {"a": [1]}
    assert one.asked[0].query == {"y": ["1"], "q": ["a b&c"]}
    assert "gzip" in one.asked[0].headers["accept-encoding"]


def test_a_posted_document(site: Open) -> None:
    one = site(lambda request: json_response({"got": request.json()}))
    assert one.api().post_json(f"{one.url}/search", {"limit": 3}) == {"got": {"limit": 3}}


def test_an_answer_beyond_the_limit_is_not_swallowed(site: Open) -> None:
    """Also when it is small on the wire."""
    bomb = gzip.compress(b"0" * (api.LIMIT + 1))
    one = site(lambda _: Response(headers={"Content-Encoding": "gzip"}, body=bomb))
    with pytest.raises(ProviderFault, match="64 MiB") as caught:
        one.api().get_bytes(one.url)
    assert caught.value.kind is Kind.CONFIG
    assert len(one.asked) == 1


def test_transient_faults_are_tried_three_times_and_waited_for(site: Open) -> None:
    one = site(lambda _: json_response({"n": len(one.asked)}) if len(one.asked) > 2 else Response(status=503))
    assert one.api().get_json(one.url) == {"n": 3}
    assert one.waited == [0.5, 1.5]
    broken = site(lambda _: text_response("<html>", 502))
    with pytest.raises(ProviderFault) as caught:
        broken.api().get_json(broken.url)
    assert (caught.value.kind, len(broken.asked)) == (Kind.TRANSIENT, 3)


def test_what_must_not_be_sent_twice_is_not(site: Open) -> None:
    one = site(lambda _: Response(status=503))
    with pytest.raises(ProviderFault):
        one.api().request("POST", one.url, tries=1)
    assert len(one.asked) == 1


def test_t21_a_short_retry_after_is_waited_for_and_a_long_one_told(site: Open) -> None:
    one = site(lambda _: json_response({}) if len(one.asked) > 1 else Response(status=429, headers={"Retry-After": "2"}))
    assert one.api().get_json(one.url) == {}
    assert one.waited == [2.0]
    busy = site(lambda _: Response(status=429, headers={"Retry-After": "900"}, body=b'{"code": "DAT-ZIP-100"}'))
    with pytest.raises(ProviderFault) as caught:
        busy.api().get_json(busy.url)
    assert (caught.value.kind, caught.value.retry_after, caught.value.code, len(busy.asked)) == (Kind.RATE, 900, "DAT-ZIP-100", 1)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("5", 5),
        ("0", 1),
        ("-7", 1),
        ("99999999", 3600),
        ("2.5", 2.5),
        ("nan", None),
        ("soon", None),
        ("", None),
        (None, None),
        ("Wed, 11 Sep 2024 00:00:10 GMT", 10),
        ("Wed, 11 Sep 2024 00:00:10", 10),
        ("Tue, 10 Sep 2024 00:00:00 GMT", 1),
        ("Fri, 11 Sep 2099 00:00:00 GMT", 3600),
    ],
)
def test_t21_retry_after_as_seconds_date_past_or_garbage(value: str | None, seconds: float | None) -> None:
    assert retry_after(value, now=datetime(2024, 9, 11, tzinfo=UTC)) == seconds


STATUSES = [
    (400, "gone"),
    (401, "auth"),
    (403, "auth"),
    (404, "gone"),
    (405, "config"),
    (408, "transient"),
    (410, "gone"),
    (418, "config"),
    (422, "gone"),
    (425, "transient"),
    (429, "rate"),
    (500, "transient"),
    (504, "transient"),
]


@pytest.mark.parametrize(("status", "kind"), STATUSES)
def test_every_refusal_has_its_class(status: int, kind: str) -> None:
    assert api.classify(status, wait=None) == kind


def test_t22_a_503_is_rate_only_when_it_says_when() -> None:
    assert api.classify(503, wait=None) is Kind.TRANSIENT
    assert api.classify(503, wait=10) is Kind.RATE
    assert api.classify(403, wait=None, body=b"Maximum number of 2 concurrent flows achieved") is Kind.RATE


def test_t16_a_refused_token_is_refreshed_once(site: Open) -> None:
    one = site(lambda request: json_response({}) if request.bearer == "second" else Response(status=401))
    login = Account(one.url)
    assert one.api(login).get_json(one.url) == {}
    assert (login.refreshed, [request.bearer for request in one.asked]) == (1, ["first", "second"])
    one.asked.clear()
    never = Account(one.url, ["bad", "worse", "worst"])
    with pytest.raises(ProviderFault) as caught:
        one.api(never).get_json(one.url)
    assert (caught.value.kind, never.refreshed, len(one.asked)) == (Kind.AUTH, 1, 2)


def test_t17_the_credential_goes_only_to_hosts_on_the_list(site: Open) -> None:
    one = site(lambda request: json_response({"auth": request.bearer}))
    second = one.server.second_url
    trusted = one.api(Account(one.url), urls={"a": one.url, "b": second})
    assert trusted.get_json(one.url) == {"auth": "first"}
    assert trusted.get_json(second) == {"auth": None}
    unlisted = one.api(Account(one.url), auth_hosts=())
    assert unlisted.get_json(one.url) == {"auth": None}  # though the login itself would allow it


def test_t17_the_credential_does_not_follow_a_redirect(site: Open) -> None:
    def handler(request: Request) -> Response:
        if request.path == "/old":
            return Response(status=302, headers={"Location": f"{one.server.second_url}/new"})
        return json_response({"auth": request.bearer})

    one = site(handler)
    provider = one.api(Account(one.url), urls={"a": one.url, "b": one.server.second_url})
    assert provider.get_json(f"{one.url}/old") == {"auth": None}
    assert [request.bearer for request in one.asked] == ["first", None]


def test_t36_redirects_stay_with_the_provider_and_come_to_an_end(site: Open) -> None:
    one = site(lambda request: Response(status=307, headers={"Location": one.server.second_url if request.path == "/away" else "/loop"}))
    with pytest.raises(ProviderFault, match="more than 5 times") as caught:
        one.api().get_json(f"{one.url}/loop")
    assert (caught.value.kind, len(one.asked)) == (Kind.CONFIG, 6)
    with pytest.raises(ProviderFault, match="not one of its hosts"):
        one.api().get_json(f"{one.url}/away")


@pytest.mark.parametrize("url", ["http://example.org/x", "ftp://127.0.0.1/x", "file:///etc/passwd", "http://[", "//x", ""])
def test_only_urls_of_the_provider_are_asked(url: str, site: Open) -> None:
    one = site(lambda _: json_response({}))
    with pytest.raises(ProviderFault) as caught:
        one.api().get_json(url)
    assert (caught.value.kind, one.asked) == (Kind.CONFIG, [])


def test_hosts_of_a_provider() -> None:
    config = ProviderConfig(
        name="p",
        kind="x",
        urls={"a": "https://A.example:443/x", "b": "http://b.example:8080/y"},
        auth_hosts=("c.example",),
        options={"hosts": ["D.example"]},
    )
    assert hosts_of(config) == {"a.example", "b.example:8080", "c.example", "d.example"}


def test_t18_messages_hold_no_query_and_no_token(site: Open) -> None:
    one = site(lambda _: Response(status=404))
    with pytest.raises(ProviderFault) as caught:
        one.api(Account(one.url, ["hunter2"])).get_json(f"{one.url}/x", {"sig": "s3cret"})
    assert "s3cret" not in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_nobody_listens(site: Open) -> None:
    one = site(lambda _: json_response({}))
    one.server.refuse(60)
    with pytest.raises(ProviderFault) as caught:
        one.api().get_json(one.url)
    assert caught.value.kind is Kind.TRANSIENT


def test_a_connection_that_ended_within_a_body_is_not_used_again(site: Open) -> None:
    one = site(lambda _: json_response({"a": "b" * 1000}))
    one.server.script([{"match": "/*", "nth": [1], "fault": {"close": {"after": 100}}}])
    assert len(one.api().get_json(f"{one.url}/x")["a"]) == 1000
    assert len(one.asked) >= 1
