"""S3 through a proxy that misbehaves, and connections that break."""

from __future__ import annotations

import io
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError
from support.raw_http import fetch

from eolake.ingest.simulators.content import generated
from eolake.ingest.simulators.proxy import TcpProxy
from eolake.ingest.simulators.s3 import S3Server
from eolake.ingest.simulators.server import Server

PART = 5 << 20


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Server]:
    with S3Server() as s3:
        s3.fill("bucket", {f"a/{n}": b"x" * n for n in range(1, 6)})
        yield s3


@pytest.fixture
def client(s3: S3Server) -> Iterator[Any]:
    s3.server.reset()
    s3.proxy.truncate = None
    client = s3.client(faulty=True)
    yield client
    client.close()


def once(s3: S3Server, page: str, **rule: object) -> None:
    s3.server.script([{"match": "/bucket/*", "times": 1, "per": "rule", "fault": {"page": page, "run": rule.pop("run", False)}, **rule}])


def test_it_is_s3(s3: S3Server, client: Any) -> None:
    assert client.get_object(Bucket="bucket", Key="a/3")["Body"].read() == b"xxx"
    assert client.get_object(Bucket="bucket", Key="a/3", Range="bytes=1-")["Body"].read() == b"xx"
    assert client.head_object(Bucket="bucket", Key="a/5")["ContentLength"] == 5
    client.upload_fileobj(io.BytesIO(b"y" * (2 * PART)), "bucket", "large")
    assert s3.client().head_object(Bucket="bucket", Key="large")["ContentLength"] == 2 * PART


def test_slow_down_and_errors_after_the_bytes_are_stored(s3: S3Server, client: Any) -> None:
    once(s3, "s3-slow-down")
    assert client.get_object(Bucket="bucket", Key="a/1")["Body"].read() == b"x"
    once(s3, "s3-internal-error", method="PUT", run=True)
    answer = fetch(f"{s3.url}/bucket/stored", method="PUT", body=b"there")
    assert (answer.status, b"InternalError" in answer.body) == (500, True)
    assert s3.client().get_object(Bucket="bucket", Key="stored")["Body"].read() == b"there"


@pytest.mark.parametrize(
    ("page", "code"),
    [("s3-access-denied", "AccessDenied"), ("s3-time-skewed", "RequestTimeTooSkewed"), ("s3-expired-token", "ExpiredToken")],
)
def test_refusals(s3: S3Server, page: str, code: str) -> None:
    s3.server.script([{"match": "/bucket/*", "fault": {"page": page}}])
    with pytest.raises(ClientError) as caught:
        s3.client(faulty=True).get_object(Bucket="bucket", Key="a/1")
    assert caught.value.response["Error"]["Code"] == code
    s3.server.reset()


def test_uploads_that_fail_at_the_end(s3: S3Server, client: Any) -> None:
    s3.server.reset()
    upload = client.create_multipart_upload(Bucket="bucket", Key="m")["UploadId"]
    part = client.upload_part(Bucket="bucket", Key="m", UploadId=upload, PartNumber=1, Body=b"z" * PART)
    once(s3, "s3-no-such-upload", method="PUT", when={"query": {"uploadId": "*"}})
    with pytest.raises(ClientError, match="NoSuchUpload"):
        client.upload_part(Bucket="bucket", Key="m", UploadId=upload, PartNumber=2, Body=b"z")
    s3.server.script(
        [{"match": "/bucket/m", "method": "POST", "when": {"query": {"uploadId": "*"}}, "fault": {"page": "s3-complete-error"}}]
    )
    answer = fetch(f"{s3.url}/bucket/m?uploadId={upload}", method="POST", body=b"<CompleteMultipartUpload/>")
    assert (answer.status, b"<Error>" in answer.body) == (200, True)
    s3.server.script([{"match": "/bucket/m", "method": "PUT", "fault": {"headers": {"ETag": '"0"'}}}])
    again = client.upload_part(Bucket="bucket", Key="m", UploadId=upload, PartNumber=2, Body=b"z")
    assert (again["ETag"], part["ETag"] != again["ETag"]) == ('"0"', True)


def test_listings_that_stop_early(s3: S3Server, client: Any) -> None:
    s3.proxy.truncate = 2
    page = client.list_objects_v2(Bucket="bucket", Prefix="a/")
    assert ([found["Key"] for found in page["Contents"]], page["IsTruncated"]) == (["a/1", "a/2"], False)


def test_moto_ends_with_its_parent() -> None:
    program = (
        "from eolake.ingest.simulators.s3 import S3Server\nimport os\ns = S3Server().start()\nprint(s.backend, flush=True)\nos._exit(9)"
    )
    backend = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False).stdout.strip()
    port = int(backend.rpartition(":")[2])
    for _ in range(500):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except ConnectionRefusedError:
            return
        threading.Event().wait(0.02)
    pytest.fail("it is still there")


def test_a_tcp_proxy_breaks_any_protocol() -> None:
    true = generated("a", 50_000).read(0, 50_000)
    with Server() as server:
        for reset, end in ((False, "fin"), (True, "rst")):
            with TcpProxy(("127.0.0.1", server.port), cut=10_000, reset=reset) as proxy:
                answer = fetch(f"http://127.0.0.1:{proxy.port}/f/a?size=50000")
                assert (answer.end, true.startswith(answer.body), len(answer.body) < 10_000) == (end, True, True)
        with TcpProxy(("127.0.0.1", server.port)) as proxy:
            assert fetch(f"http://127.0.0.1:{proxy.port}/f/a?size=50000").body == true
            assert proxy.connections == 1
