"""What the server does when nothing is wrong: ranges, conditions, keep-alive, stats."""

from __future__ import annotations

import hashlib
import io
import json
import socket
import threading
import zipfile
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
import urllib3
from support.raw_http import exchange, fetch

from eolake.ingest.simulators.content import generated
from eolake.ingest.simulators.server import Request, Response, Server, json_response


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(seed=1) as server:
        yield server


def test_generated_content_is_the_same_everywhere_and_in_any_range(server: Server) -> None:
    whole = fetch(f"{server.url}/f/a.bin?size=100000&seed=4")
    part = fetch(f"{server.url}/f/a.bin?size=100000&seed=4", Range="bytes=70000-70009")
    assert (whole.status, len(whole.body), whole.get("Accept-Ranges")) == (200, 100_000, "bytes")
    assert whole.body == generated("a.bin", 100_000, 4).read(0, 100_000)
    assert (part.status, part.body, part.get("Content-Range")) == (206, whole.body[70000:70010], "bytes 70000-70009/100000")
    assert fetch(f"{server.url}/f/a.bin?size=100000&seed=5").body != whole.body


def test_content_kept_in_a_file_is_the_content_made_each_time(server: Server) -> None:
    url = f"{server.url}/f/large.bin?size=3000000"
    expected = generated("large.bin", 3_000_000).read(0, 3_000_000)
    assert fetch(url).body == expected
    assert fetch(url, Range="bytes=2999990-").body == expected[-10:]
    assert json.loads(fetch(f"{server.url}/digest/f/large.bin?size=3000000").body)["md5"] == hashlib.md5(expected).hexdigest()


@pytest.mark.parametrize(
    ("asked", "status", "shown"),
    [
        ("bytes=0-0", 206, "bytes 0-0/1000"),
        ("bytes=990-", 206, "bytes 990-999/1000"),
        ("bytes=-5", 206, "bytes 995-999/1000"),
        ("bytes=990-5000", 206, "bytes 990-999/1000"),
        ("bytes=1000-", 416, "bytes */1000"),
        ("bytes=5-2", 200, None),
        ("bytes=0-1,5-6", 200, None),
        ("lines=1-2", 200, None),
    ],
)
def test_ranges(server: Server, asked: str, status: int, shown: str | None) -> None:
    answer = fetch(f"{server.url}/f/a.bin?size=1000", Range=asked)
    assert (answer.status, answer.get("Content-Range")) == (status, shown)
    assert len(answer.body) == int(answer.get("Content-Length") or -1)


def test_if_range_compares_etags_strongly_and_dates_exactly(server: Server) -> None:
    url = f"{server.url}/f/a.bin?size=1000"
    first = fetch(url)
    etag, modified = str(first.get("ETag")), str(first.get("Last-Modified"))
    conditions = {etag: 206, f"W/{etag}": 200, '"other"': 200, modified: 206, "Mon, 01 Jan 2001 00:00:00 GMT": 200}
    assert {condition: fetch(url, Range="bytes=10-", If_Range=condition).status for condition in conditions} == conditions


def test_head_tells_what_get_would(server: Server) -> None:
    head, get = fetch(f"{server.url}/f/a.bin?size=1000", method="HEAD"), fetch(f"{server.url}/f/a.bin?size=1000")
    assert head.headers == get.headers
    assert head.body == b""


def test_a_connection_carries_many_requests(server: Server) -> None:
    parts = urlsplit(server.url)
    with socket.create_connection((str(parts.hostname), int(parts.port or 0)), timeout=5) as sock:
        bodies = [exchange(sock, f"{server.url}/f/{n}?size=10").body for n in range(5)]
    assert [len(body) for body in bodies] == [10] * 5
    assert server.stats.connections == 1


def test_handlers_are_asked_in_order_and_read_bodies_of_all_kinds() -> None:
    def hello(request: Request) -> Response | None:
        return json_response({"got": request.body.decode(), "q": request.get("q")}) if request.path == "/hello there" else None

    def broken(request: Request) -> Response | None:
        if request.path == "/broken":
            raise ZeroDivisionError
        return None

    pool = urllib3.PoolManager(retries=False)
    with Server(hello, broken) as server:
        assert pool.request("POST", f"{server.url}/hello%20there?q=1&q=2", body=b"abc").json() == {"got": "abc", "q": "2"}
        assert pool.request("POST", f"{server.url}/hello%20there", body=io.BytesIO(b"chunked"), chunked=True).json()["got"] == "chunked"
        expecting = fetch(f"{server.url}/hello%20there", method="POST", body=b"later", Expect="100-continue")
        assert (expecting.before, json.loads(expecting.body)["got"]) == (b"HTTP/1.1 100 Continue\r\n\r\n", "later")
        assert pool.request("GET", f"{server.url}/broken").status == 500
        assert pool.request("GET", f"{server.url}/nothing").status == 404
        pool.clear()


def test_zips_are_real(server: Server) -> None:
    with zipfile.ZipFile(io.BytesIO(fetch(f"{server.url}/zip/S2A_X.zip?size=9000").body)) as archive:
        assert archive.testzip() is None
        assert archive.namelist()[0] == "S2A_X.SAFE/manifest.safe"
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}


def test_what_is_no_request_is_answered_with_400(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as sock:
        sock.sendall(b"what?\r\n\r\n")
        assert sock.recv(100).startswith(b"HTTP/1.1 400 ")


def test_stats_tell_bytes_sent_again_ranges_and_who_brought_a_credential(server: Server) -> None:
    url = f"{server.url}/f/a.bin?size=1000"
    fetch(url, Authorization="Bearer one")
    fetch(url, Range="bytes=900-", Authorization="Bearer one")
    fetch(f"{server.second_url}/f/a.bin?size=1000", Range="bytes=0-9")
    path = server.stats.path("/f/a.bin")
    assert (path.requests, path.sent, path.resent, path.ranges) == (3, 1110, 110, ["bytes=900-", "bytes=0-9"])
    assert (path.statuses[200], path.statuses[206]) == (1, 2)
    hosts = {host: (counts.requests, counts.authorized) for host, counts in server.stats.hosts.items()}
    assert hosts == {urlsplit(server.url).netloc: (2, 2), urlsplit(server.second_url).netloc: (1, 0)}
    document = json.loads(fetch(f"{server.url}/_stats").body)
    assert (document["sent"], document["resent"], len(document["requests"])) == (1110, 110, 3)
    assert fetch(f"{server.url}/_reset", method="POST").status == 204
    assert json.loads(fetch(f"{server.url}/_stats").body)["paths"] == {}


def test_closing_ends_connections_that_wait(server: Server) -> None:
    server.script([{"fault": {"stall": {"after": 10}}}])
    answers = []
    thread = threading.Thread(target=lambda: answers.append(fetch(f"{server.url}/f/a?size=100000", timeout=20)))
    thread.start()
    while not server.stats.path("/f/a").sent:
        threading.Event().wait(0.01)
    server.close()
    thread.join(10)
    assert [(len(answer.body), answer.end) for answer in answers] == [(10, "fin")]
