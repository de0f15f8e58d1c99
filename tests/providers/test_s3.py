"""Buckets: by day, public or with keys, requester pays, and what they refuse."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from eolake.catalog.errors import ConfigError
from eolake.ingest.faults import Kind, ProviderFault
from eolake.ingest.logins import open_login
from eolake.ingest.providers.base import ProviderConfig, Query
from eolake.ingest.providers.s3 import S3Provider
from eolake.ingest.providers.tree import Item
from eolake.ingest.simulators.messages import Request, Response
from eolake.ingest.simulators.server import Server

from .support import DAY, granule

KEYS = {"aws_access_key_id": "canary-key", "aws_secret_access_key": "canary-secret"}


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    client = boto3.client("s3", endpoint_url=url, region_name="us-east-1", **KEYS)
    client.create_bucket(Bucket="pub")
    for number in range(5):
        day = DAY + timedelta(days=number)
        base = f"pre/{day:%Y/%m/%d}/S3A_OL_1_EFR_{number}.SEN3"
        for name in ("xfdumanifest.xml", "data/Oa01.nc"):
            client.put_object(Bucket="pub", Key=f"{base}/{name}", Body=name.encode() * (number + 1), ACL="public-read")
        client.put_object(Bucket="pub", Key=f"pre/{day:%Y/%m/%d}/single {number}.nc", Body=b"x" * number, ACL="public-read")
    client.put_object(Bucket="pub", Key="pre/2024/", Body=b"")
    client.close()
    yield url
    server.stop()


def configuration(endpoint: str, **place: Any) -> ProviderConfig:
    return ProviderConfig(
        name="bucket",
        kind="s3",
        urls={"base": "s3://pub/pre"},
        collections={"c": {"path": "{:%Y/%m/%d}", "depth": 0, "relist": 30, **place}},
        options={"s3": {"endpoint": endpoint, "path_style": True, "attempts": 1}},
    )


def found(provider: S3Provider) -> list[Any]:
    try:
        return list(provider.search(Query(collection="c", start=DAY, end=DAY + timedelta(days=9))))
    finally:
        provider.close()


def test_t33_folders_of_days_and_products_as_folders(endpoint: str) -> None:
    provider = S3Provider(configuration(endpoint, match="*.SEN3", product="folder"))
    offers = found(provider)
    assert [offer.name for offer in offers] == [f"S3A_OL_1_EFR_{n}" for n in range(5)]
    assert offers[1].size == 2 * len("xfdumanifest.xmldata/Oa01.nc")
    parts = {part.name: part for part in provider.resolve(granule(offers[1]))}
    assert set(parts) == {"xfdumanifest.xml", "data/Oa01.nc"}
    assert parts["data/Oa01.nc"].url == "s3://pub/pre/2024/02/02/S3A_OL_1_EFR_1.SEN3/data/Oa01.nc"
    assert parts["data/Oa01.nc"].size == 2 * len("data/Oa01.nc")
    provider.close()


def test_files_as_products_with_etags(endpoint: str) -> None:
    provider = S3Provider(configuration(endpoint, match="*.nc"))
    offers = found(provider)
    assert [offer.name for offer in offers] == [f"single {n}" for n in range(5)]
    assert "etag:" in offers[0].fingerprint
    [part] = provider.resolve(granule(offers[3]))
    assert (part.url, part.size) == ("s3://pub/pre/2024/02/04/single%203.nc", 3)
    provider.close()


def test_more_than_a_page() -> None:
    keys = [f"many/{number:05}.nc" for number in range(2500)]

    def bucket(request: Request) -> Response:
        first = int(request.get("continuation-token") or 0)
        lines = "".join(
            f"<Contents><Key>{key}</Key><LastModified>2024-02-01T00:00:00Z</LastModified><ETag>e</ETag><Size>1</Size></Contents>"
            for key in keys[first : first + 1000]
        )
        more = first + 1000 < len(keys)
        token = f"<NextContinuationToken>{first + 1000}</NextContinuationToken>" if more else ""
        body = f"<ListBucketResult><IsTruncated>{str(more).lower()}</IsTruncated>{token}{lines}</ListBucketResult>"
        return Response(headers={"Content-Type": "application/xml"}, body=body.encode())

    with Server(bucket) as server:
        config = replace(configuration(server.url), urls={"base": "s3://pub"}, collections={"c": {"path": "many"}})
        assert [offer.id for offer in found(S3Provider(config))] == keys


def test_a_listing_that_changed_gives_another_fingerprint(endpoint: str) -> None:
    before = {offer.id: offer.fingerprint for offer in found(S3Provider(configuration(endpoint, match="*.SEN3", product="folder")))}
    client = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1", **KEYS)
    key = "pre/2024/02/05/S3A_OL_1_EFR_4.SEN3/data/Oa01.nc"
    old = client.get_object(Bucket="pub", Key=key)["Body"].read()
    client.put_object(Bucket="pub", Key=key, Body=old[::-1])
    after = {offer.id: offer.fingerprint for offer in found(S3Provider(configuration(endpoint, match="*.SEN3", product="folder")))}
    client.put_object(Bucket="pub", Key=key, Body=old)
    client.close()
    assert {name for name in before if before[name] != after[name]} == {"2024/02/05/S3A_OL_1_EFR_4.SEN3"}


@pytest.mark.parametrize("keys", [True, False])
def test_requests_are_signed_with_the_keys_of_the_login_and_no_others(keys: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Request] = []

    def bucket(request: Request) -> Response:
        seen.append(request)
        return Response(
            headers={"Content-Type": "application/xml"}, body=b"<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>"
        )

    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "of-the-machine")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "of-the-machine")
    monkeypatch.setenv("MINE_ACCESS_KEY_ID", "canary-key")
    monkeypatch.setenv("MINE_SECRET_ACCESS_KEY", "canary-secret")
    with Server(bucket) as server:
        base = configuration(server.url)
        config = replace(base, auth={"kind": "s3"}, options={"s3": {**base.options["s3"], "request_payer": "requester"}})
        found(S3Provider(config, open_login(config, "env:MINE", state=tmp_path) if keys else None))
    for request in seen:
        assert request.headers["x-amz-request-payer"] == "requester"
        signed = request.headers.get("authorization", "")
        assert ("canary-key" in signed) is keys
        assert "canary-secret" not in json.dumps(dict(request.headers))
        assert "of-the-machine" not in signed
    assert seen


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("SlowDown", 503, Kind.RATE),
        ("AccessDenied", 403, Kind.AUTH),
        ("NoSuchBucket", 404, Kind.CONFIG),
        ("InternalError", 500, Kind.TRANSIENT),
        ("RequestTimeTooSkewed", 403, Kind.CONFIG),
    ],
)
def test_t34_every_refusal_has_its_class(code: str, status: int, kind: Kind) -> None:
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>no</Message></Error>".encode()
    with (
        Server(lambda _: Response(status=status, headers={"Content-Type": "application/xml"}, body=body)) as server,
        pytest.raises(ProviderFault) as fault,
    ):
        found(S3Provider(configuration(server.url)))
    assert fault.value.kind is kind
    assert fault.value.code == code
    assert ("requester pays" in str(fault.value)) is (code == "AccessDenied")


def test_t34_a_listing_that_is_cut_short_is_a_fault() -> None:
    body = b"<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>"
    with (
        Server(lambda _: Response(headers={"Content-Type": "application/xml"}, body=body)) as server,
        pytest.raises(ProviderFault, match="short"),
    ):
        found(S3Provider(configuration(server.url)))


def test_t34_keys_that_end_are_read_anew_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINE_ACCESS_KEY_ID", "old")
    monkeypatch.setenv("MINE_SECRET_ACCESS_KEY", "s")
    expired = b"<Error><Code>ExpiredToken</Code></Error>"
    good = b"<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>"
    used: list[bool] = []

    def bucket(request: Request) -> Response:
        used.append("Credential=old/" in request.headers["authorization"])
        monkeypatch.setenv("MINE_ACCESS_KEY_ID", "new")
        return Response(status=400 if used[-1] else 200, headers={"Content-Type": "application/xml"}, body=expired if used[-1] else good)

    with Server(bucket) as server:
        config = replace(configuration(server.url), auth={"kind": "s3"})
        assert found(S3Provider(config, open_login(config, "env:MINE", state=tmp_path))) == []
    assert used[:2] == [True, False]


def test_a_real_listing_is_one_product_with_its_files(samples: Path) -> None:
    listed = json.loads((samples / "payloads/eodag/provider_responses/creodias_s3_objects.json").read_text("utf-8"))["Contents"]

    def bucket(request: Request) -> Response:
        prefix = request.get("prefix") or ""
        inside = [entry for entry in listed if entry["Key"].startswith(prefix)]
        deeper = sorted(
            {prefix + entry["Key"].removeprefix(prefix).split("/")[0] + "/" for entry in inside if "/" in entry["Key"].removeprefix(prefix)}
        )
        lines = "".join(f"<CommonPrefixes><Prefix>{name}</Prefix></CommonPrefixes>" for name in deeper)
        lines += "".join(
            f"<Contents><Key>{e['Key']}</Key><LastModified>{e['LastModified']}</LastModified><ETag>{e['ETag']}</ETag><Size>{e['Size']}</Size></Contents>"
            for e in inside
            if "/" not in e["Key"].removeprefix(prefix)
        )
        body = f"<ListBucketResult><IsTruncated>false</IsTruncated>{lines}</ListBucketResult>"
        return Response(headers={"Content-Type": "application/xml"}, body=body.encode())

    with Server(bucket) as server:
        base = configuration(server.url, path="Sentinel-1/SAR/GRD/{:%Y/%m/%d}", match="*.SAFE", product="folder")
        provider = S3Provider(replace(base, urls={"base": "s3://eodata"}))
        day = datetime(2014, 10, 10, tzinfo=UTC)
        [offer] = provider.search(Query(collection="c", start=day, end=day + timedelta(days=1)))
        assert offer.name == "S1A_EW_GRDH_1SDH_20141010T120113_20141010T120222_002767_0031C8_D5D7"
        assert offer.size == sum(entry["Size"] for entry in listed)
        assert {part.size for part in provider.resolve(granule(offer))} == {entry["Size"] for entry in listed}
        provider.close()


def test_a_bucket_that_does_not_answer_is_a_passing_fault() -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    with pytest.raises(ProviderFault) as fault:
        found(S3Provider(configuration(f"http://127.0.0.1:{port}")))
    assert fault.value.kind is Kind.TRANSIENT


def test_an_object_that_went_away_is_gone(endpoint: str) -> None:
    provider = S3Provider(configuration(endpoint))
    with pytest.raises(ProviderFault) as fault:
        provider.lister.look(Item(path="2024/nothing.nc", modified=datetime(2024, 1, 1, tzinfo=UTC)))
    provider.close()
    assert fault.value.kind is Kind.GONE


def test_address_must_be_a_bucket() -> None:
    with pytest.raises(ConfigError, match="kind s3"):
        S3Provider(ProviderConfig(name="b", kind="s3", urls={"base": "https://x/"}))
