"""Each fault, seen on the wire."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import pytest
from support.raw_http import Raw, fetch

from eolake.catalog.errors import ConfigError
from eolake.ingest.simulators.content import generated
from eolake.ingest.simulators.faults import behaviour_of, parse_rules, presets
from eolake.ingest.simulators.ftp import FtpFaults
from eolake.ingest.simulators.server import Server

SIZE = 100_000
TRUE = generated("a", SIZE).read(0, SIZE)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server(seed=3) as server:
        yield server


def ask(
    server: Server, fault: dict[str, Any], *, path: str = f"/f/a?size={SIZE}", method: str = "GET", timeout: float = 5, **headers: str
) -> Raw:
    server.reset()
    server.script([{"match": "/f/*", "fault": fault}])
    return fetch(server.url + path, method=method, timeout=timeout, **headers)


@pytest.mark.parametrize("status", [401, 404, 408, 410, 416, 422, 429, 500, 502, 503, 504])
def test_any_status(server: Server, status: int) -> None:
    assert ask(server, {"status": status}).status == status


def test_retry_after_in_all_its_forms(server: Server) -> None:
    def told(value: object) -> str | None:
        return ask(server, {"status": 429, "retry_after": value}).get("Retry-After")

    assert told(3) == "3"
    assert parsedate_to_datetime(str(told("date"))) > parsedate_to_datetime(str(told("past")))
    assert told("soon, maybe") == "soon, maybe"
    assert ask(server, {"status": 503}).get("Retry-After") is None


@pytest.mark.parametrize(
    ("page", "status", "media_type", "start"),
    [
        ("login", 200, "text/html; charset=utf-8", b"<!DOCTYPE html>"),
        ("maintenance", 200, "text/html; charset=utf-8", b"<!doctype html>"),
        ("error-xml", 200, "application/xml", b"<?xml"),
        ("error-json", 200, "application/json", b'{"detail"'),
        ("sessions-json", 429, "application/json", b'{"trace-id"'),
        ("flows-xml", 403, "application/xml", b"<?xml"),
        ("token-expired", 401, "application/json", b'{"trace-id"'),
        ("empty", 200, "application/octet-stream", b""),
    ],
)
def test_pages_instead_of_products(server: Server, page: str, status: int, media_type: str, start: bytes) -> None:
    answer = ask(server, {"page": page})
    assert (answer.status, answer.get("Content-Type")) == (status, media_type)
    assert answer.body.startswith(start)
    assert bool(answer.body) == bool(start)


def test_redirects(server: Server) -> None:
    to = {"loop": f"/f/a?size={SIZE}", "login": f"{server.url}/login", "http://other.example/x": "http://other.example/x"}
    assert {name: ask(server, {"redirect": {"to": name, "status": 307}}).get("Location") for name in to} == to
    elsewhere = ask(server, {"redirect": {}})
    assert (elsewhere.status, elsewhere.get("Location")) == (302, f"{server.second_url}/f/a?size={SIZE}")
    assert fetch(f"{server.url}/login").body.startswith(b"<!DOCTYPE html>")


@pytest.mark.parametrize(
    ("fault", "status", "shown", "first"),
    [
        ("ignore", 200, None, 0),
        ("shift", 206, f"bytes 49488-{SIZE - 513}/{SIZE}", 49_488),
        ("overlap", 206, f"bytes 45904-{SIZE - 1}/{SIZE}", 45_904),
        ("lie", 206, f"bytes 50000-{SIZE - 1}/{SIZE}", 49_488),
        ("total", 206, f"bytes 50000-{SIZE - 1}/{SIZE + 1}", 50_000),
        ("star", 206, f"bytes 50000-{SIZE - 1}/*", 50_000),
    ],
)
def test_ranges_that_are_not_what_was_asked(server: Server, fault: str, status: int, shown: str | None, first: int) -> None:
    answer = ask(server, {"range": fault}, Range="bytes=50000-")
    assert (answer.status, answer.get("Content-Range")) == (status, shown)
    assert answer.body == TRUE[first : first + len(answer.body)]
    assert len(answer.body) > 49_000


def test_multipart_and_content_range_on_200(server: Server) -> None:
    answer = ask(server, {"range": "multipart"}, Range="bytes=10-19")
    assert str(answer.get("Content-Type")).startswith("multipart/byteranges")
    assert TRUE[10:20] in answer.body
    assert len(answer.body) > 10
    assert ask(server, {"range_on_200": True}).get("Content-Range") == f"bytes 0-{SIZE - 1}/{SIZE}"


def test_etags(server: Server) -> None:
    right = str(ask(server, {}).get("ETag"))
    assert ask(server, {"etag": "weak"}).get("ETag") == f"W/{right}"
    assert ask(server, {"etag": "unquoted"}).get("ETag") == right.strip('"')
    assert ask(server, {"etag": "none", "no_modified": True}).all("ETag") == []
    assert ask(server, {"etag": '"mine"'}).get("ETag") == '"mine"'
    same = ask(server, {"etag": "changed"})
    other = ask(server, {"version": 2})
    assert (same.body == TRUE, same.get("ETag") != right) == (True, True)
    assert (other.body == TRUE, len(other.body), other.get("ETag") != right) == (False, SIZE, True)
    assert ask(server, {"version": 2, "etag": right}).get("ETag") == right


def test_if_range_that_only_knows_dates(server: Server) -> None:
    first = ask(server, {})
    tag, date = str(first.get("ETag")), str(first.get("Last-Modified"))
    assert ask(server, {"if_range": "date-only"}, Range="bytes=5-", If_Range=tag).status == 200
    assert ask(server, {"if_range": "date-only"}, Range="bytes=5-", If_Range=date).status == 206
    assert ask(server, {"if_range": "ignore"}, Range="bytes=5-", If_Range='"other"').status == 206


def test_lengths_that_lie(server: Server) -> None:
    larger, smaller = ask(server, {"length": "larger"}), ask(server, {"length": "smaller"})
    assert (larger.get("Content-Length"), larger.body, larger.end) == (str(SIZE + 1000), TRUE, "fin")
    assert (smaller.get("Content-Length"), smaller.body[: SIZE - 1000]) == (str(SIZE - 1000), TRUE[: SIZE - 1000])
    missing = ask(server, {"length": "missing"})
    assert (missing.all("Content-Length"), missing.body, missing.end) == ([], TRUE, "fin")
    assert ask(server, {"length": "negative"}).all("Content-Length") == ["-1"]
    assert ask(server, {"length": "duplicate"}).all("Content-Length") == [str(SIZE), str(SIZE + 1)]


def test_chunks(server: Server) -> None:
    cut = ask(server, {"chunked": "cut"})
    assert (cut.get("Transfer-Encoding"), cut.end) == ("chunked", "fin")
    assert cut.body.startswith(b"c34f\r\n")  # 49,999 bytes, and the last one in a chunk of its own
    assert not cut.body.endswith(b"0\r\n\r\n")
    assert ask(server, {"chunked": "short"}, timeout=0.2).body.endswith(b"\r\n0\r\n\r\n")
    assert len(ask(server, {"chunked": "whole"}, timeout=0.2).body) > SIZE


@pytest.mark.parametrize("how", ["fin", "rst"])
def test_connections_that_end_at_a_byte(server: Server, how: str) -> None:
    answer = ask(server, {"close": {"after": 12_345, "how": how}})
    assert (answer.get("Content-Length"), answer.body, answer.end) == (str(SIZE), TRUE[:12_345], how)


def test_resets_by_chance_come_where_the_seed_says(server: Server) -> None:
    fault = {"reset": {"each": 10_000, "prob": 0.1}}
    lengths = []
    for _ in range(2):
        server.reset()
        server.script([{"match": "/f/*", "fault": fault}])
        lengths.append([len(fetch(f"{server.url}/f/a?size={SIZE}").body) for _ in range(12)])
    assert lengths[0] == lengths[1]
    assert len(set(lengths[0])) > 3
    assert SIZE in lengths[0]


def test_stall_and_drip(server: Server) -> None:
    stalled = ask(server, {"stall": {"after": 777}}, timeout=0.3)
    assert (stalled.body, stalled.end) == (TRUE[:777], "timeout")
    late = ask(server, {"stall": {"after": 777, "seconds": 0.2}})
    assert late.body == TRUE
    before = time.monotonic()
    assert len(ask(server, {"drip": {"after": 10, "rate": 100}}, path="/f/a?size=31").body) == 31
    assert time.monotonic() - before > 0.15


def test_a_message_in_the_middle(server: Server) -> None:
    answer = ask(server, {"inject": {"after": 1000}})
    assert answer.body[:1000] == TRUE[:1000]
    assert answer.body[1000:].startswith(b"<?xml")
    assert answer.end == "fin"


def test_bits_flipped_bytes_inserted_and_deleted(server: Server) -> None:
    flipped = ask(server, {"flip": [10, 99_999]}).body
    assert [n for n in range(SIZE) if flipped[n] != TRUE[n]] == [10, 99_999]
    assert ask(server, {"flip": [10]}, Range="bytes=20-").body == TRUE[20:]
    inserted, deleted = ask(server, {"insert": 100}).body, ask(server, {"delete": 100}).body
    assert inserted == TRUE[:100] + b"\0" + TRUE[100:-1]
    assert deleted == TRUE[:100] + TRUE[101:] + b"\0"


def test_gzip_although_nobody_asked(server: Server) -> None:
    answer = ask(server, {"gzip": True})
    assert answer.get("Content-Encoding") == "gzip"
    assert gzip.decompress(answer.body) == TRUE


def test_head_refused_or_with_another_size(server: Server) -> None:
    server.reset()
    server.script([{"method": "HEAD", "match": "/f/no", "fault": {"status": 405}}, {"method": "HEAD", "fault": {"head_size": 5}}])
    assert fetch(f"{server.url}/f/no?size=10", method="HEAD").status == 405
    assert fetch(f"{server.url}/f/a?size=10", method="HEAD").get("Content-Length") == "5"
    assert fetch(f"{server.url}/f/no?size=10").status == 200


def test_interim_answers_and_a_megabyte_of_headers(server: Server) -> None:
    answer = ask(server, {"interim": 3})
    assert (answer.before.count(b"HTTP/1.1 1"), answer.body) == (3, TRUE)
    assert sum(len(value) for _, value in ask(server, {"header_bytes": 1 << 20}).headers) > 1_000_000


def test_delay(server: Server) -> None:
    before = time.monotonic()
    assert ask(server, {"delay": 0.2}).body == TRUE
    assert time.monotonic() - before >= 0.2


def test_refused_connections_come_back(server: Server) -> None:
    assert ask(server, {"refuse": 1}).end == "rst"
    with pytest.raises(ConnectionRefusedError):
        fetch(f"{server.url}/f/a?size=1")
    server.reset()
    until = time.monotonic() + 5
    while True:
        try:
            assert fetch(f"{server.url}/f/a?size=1").status == 200
            return
        except ConnectionRefusedError:
            assert time.monotonic() < until
            time.sleep(0.02)


# --- rules ---


def statuses(server: Server, rule: dict[str, Any], count: int, *, path: str = "/f/a?size=1", **headers: str) -> list[int]:
    server.reset()
    server.script([rule | {"fault": {"status": 503}}], seed=5)
    return [fetch(server.url + path, **headers).status for _ in range(count)]


def test_rules_by_count(server: Server) -> None:
    assert statuses(server, {"nth": [1, 3]}, 4) == [503, 200, 503, 200]
    assert statuses(server, {"every": 2}, 4) == [200, 503, 200, 503]
    assert statuses(server, {"times": 2}, 4) == [503, 503, 200, 200]
    assert statuses(server, {"match": "/g/*"}, 1) == [200]


def test_rules_count_for_each_path_account_or_all(server: Server) -> None:
    server.reset()
    server.script([{"nth": [1], "fault": {"status": 503}}])
    assert [fetch(f"{server.url}/f/{name}?size=1").status for name in "aabb"] == [503, 200, 503, 200]
    server.script([{"nth": [1], "per": "rule", "fault": {"status": 503}}])
    assert [fetch(f"{server.url}/f/{name}?size=1").status for name in "aabb"] == [503, 200, 200, 200]
    server.script([{"nth": [1], "per": "account", "fault": {"status": 503}}])
    assert [fetch(f"{server.url}/f/a?size=1", Authorization=f"Bearer {name}").status for name in "aabb"] == [503, 200, 503, 200]


def test_rules_by_condition(server: Server) -> None:
    assert statuses(server, {"when": {"range_ge": 1}}, 1) == [200]
    assert statuses(server, {"when": {"range_ge": 1}}, 1, path="/f/a?size=9", Range="bytes=0-") == [206]
    assert statuses(server, {"when": {"range_ge": 1}}, 1, path="/f/a?size=9", Range="bytes=5-") == [503]
    assert statuses(server, {"when": {"ranged": False}}, 1) == [503]
    assert statuses(server, {"when": {"header": {"user-agent": "eolake*"}}}, 1) == [200]
    assert statuses(server, {"when": {"header": {"user-agent": "eolake*"}}}, 1, User_Agent="eolake/1") == [503]
    assert statuses(server, {"when": {"query": {"seed": "*"}}}, 1) == [200]
    assert statuses(server, {"when": {"query": {"seed": "*"}}}, 1, path="/f/a?seed=1&size=1") == [503]
    assert statuses(server, {"match": "@files", "method": "GET"}, 1) == [503]


def test_token_age(server: Server) -> None:
    server.reset()
    server.script([{"when": {"token_age_ge": 0.2}, "fault": {"page": "token-expired"}}])
    assert fetch(f"{server.url}/f/a?size=1", Authorization="Bearer x").status == 200
    time.sleep(0.25)
    assert fetch(f"{server.url}/f/a?size=1", Authorization="Bearer x").status == 401
    assert fetch(f"{server.url}/f/a?size=1", Authorization="Bearer y").status == 200


def test_chance_is_the_same_for_the_same_seed_and_another_for_another(server: Server) -> None:
    def drawn(seed: int) -> list[int]:
        server.reset()
        server.script([{"prob": 0.5, "fault": {"status": 503}}], seed=seed)
        return [fetch(f"{server.url}/f/a?size=1").status for _ in range(20)]

    assert drawn(1) == drawn(1) != drawn(2)
    assert 4 <= drawn(1).count(503) <= 16


def test_scripts_over_http_and_their_errors(server: Server) -> None:
    server.reset()
    rules = [{"match": "/f/*", "fault": {"status": 418}}]
    assert fetch(f"{server.url}/_script", method="POST", body=json.dumps(rules).encode()).status == 204
    assert fetch(f"{server.url}/f/a?size=1").status == 418
    wrong = fetch(f"{server.url}/_script", method="POST", body=b'[{"fault": {"colour": "red"}}]')
    assert (wrong.status, b"colour" in wrong.body) == (400, True)
    assert fetch(f"{server.url}/_script", method="POST", body=b"{").status == 400
    with pytest.raises(ConfigError, match=r"rules\.0\.fault\.close\.how"):
        parse_rules([{"fault": {"close": {"how": "bang"}}}])


def test_presets_are_sound_and_files_are_read(tmp_path: Path) -> None:
    assert {"none", "flaky", "slow", "hostile", "retired", "busy", "strict", "resets", "maintenance"} <= set(presets())
    for behaviour in presets().values():
        assert behaviour.about
        FtpFaults(**behaviour.ftp)
    file = tmp_path / "mine.yaml"
    file.write_text("rules: [{match: '*', fault: {status: 500}}]\nlimits: {connections: 3}\n")
    mine = behaviour_of(str(file))
    assert (mine.rules[0].fault.status, mine.limits.connections) == (500, 3)
    with pytest.raises(ConfigError, match="flaky"):
        behaviour_of("flakey")


def test_the_hostile_preset_spoils_files_and_leaves_some(server: Server) -> None:
    server.reset()
    server.script(behaviour_of("hostile").rules, seed=8)
    answers = [fetch(f"{server.url}/f/{n}?size=1000", timeout=1) for n in range(150)]
    right = [n for n, answer in enumerate(answers) if answer.status == 200 and answer.body == generated(str(n), 1000).read(0, 1000)]
    assert 60 < len(right) < 140
    assert {200, 503} <= {answer.status for answer in answers}
    assert [len(answer.body) for answer in answers if answer.end == "rst"]
