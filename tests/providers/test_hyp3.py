"""HyP3: the jobs that have files, and the files themselves."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import urllib3
from support.archives import START, granule, record

from eolake.catalog.errors import ConfigError
from eolake.catalog.lake import Lake
from eolake.catalog.ledger import granules
from eolake.catalog.settings import load_settings
from eolake.ingest.faults import Kind, ProviderFault
from eolake.ingest.providers.base import ProviderConfig, Query
from eolake.ingest.providers.hyp3 import Hyp3Provider
from eolake.ingest.providers.hyp3_jobs import Job, JobFile, read_job, unprocessed
from eolake.ingest.providers.registry import provider_config
from eolake.ingest.simulators.archive import Archive, Record
from eolake.ingest.simulators.dialects.hyp3 import Hyp3Dialect
from eolake.ingest.simulators.s3 import ACCESS_KEY, SECRET_KEY, S3Server
from eolake.ingest.simulators.server import Server

NOW = datetime(2026, 4, 1, tzinfo=UTC)

type Open = Callable[..., tuple[Hyp3Dialect, Hyp3Provider, Server]]


def job(number: int, project: str = "fires", **attributes: Any) -> Record:
    name = f"S1A_IW_202603{1 + number % 28:02}T120220_DVP_RTC30_G_gpuned_{number:04X}"
    return record(number, project, id=f"job-{number:05}", name=name, attributes={"expires": NOW + timedelta(days=9), **attributes})


@pytest.fixture
def hyp3() -> Iterator[Open]:
    """`dialect, provider, server = hyp3(records, …)`: options of the provider as keywords."""
    with ExitStack() as stack:

        def opened(
            records: list[Record], described: dict[str, Any] | None = None, **options: Any
        ) -> tuple[Hyp3Dialect, Hyp3Provider, Server]:
            dialect = Hyp3Dialect(archive=Archive(records))
            server = stack.enter_context(Server(dialect))
            config = ProviderConfig(
                name="hyp3",
                kind="hyp3",
                urls={"api": f"{server.url}/hyp3"},
                collections={"s1_rtc": {"project": "fires", **(described or {})}},
                options={"retry_delay": 0.01, **options},
            )
            provider = Hyp3Provider(config, clock=lambda: NOW)
            stack.callback(provider.api.close)
            return dialect, provider, server

        yield opened


def ids(provider: Hyp3Provider, **query: Any) -> list[str]:
    return sorted(offer.id for offer in provider.search(Query(collection="s1_rtc", **query)))


def test_d04_hyp3_empty_pages_with_next_continue(hyp3: Open) -> None:
    others = [job(100 + n, "others") for n in range(20)]
    dialect, provider, _ = hyp3([job(n) for n in range(5)] + others + [job(200 + n) for n in range(5)])
    assert ids(provider) == [f"job-{n:05}" for n in (*range(5), *range(200, 205))]
    assert len(dialect.requests) == 15  # of which ten pages were empty


def test_d03_hyp3_next_link_to_itself_and_to_another_host(hyp3: Open) -> None:
    dialect, provider, _ = hyp3([job(n) for n in range(9)])
    for link, words in {"self": "there already", "elsewhere": "not one of its hosts"}.items():
        dialect.link = link
        with pytest.raises(ProviderFault, match=words) as caught:
            ids(provider)
        assert caught.value.kind is Kind.CONFIG
    assert len(dialect.requests) < 6


def test_b2b_pending_failed_and_expired_jobs_are_no_products(hyp3: Open) -> None:
    records = [job(n, status=status) for n, status in enumerate(["PENDING", "RUNNING", "FAILED", "SUCCEEDED"])]
    past, never, far = (
        job(10, expires=NOW - timedelta(seconds=1)),
        job(11, expires=None),
        job(12, expires=datetime(2120, 10, 21, tzinfo=UTC)),
    )
    _, provider, _ = hyp3([*records, past, never, far])
    assert ids(provider) == ["job-00003", "job-00011", "job-00012"]


def test_windows_are_half_open(hyp3: Open) -> None:
    _, provider, _ = hyp3([job(n) for n in range(30)])
    first = START + timedelta(hours=6 + 10)
    middle = first + timedelta(hours=5)
    assert ids(provider, since=first, until=middle) == [f"job-{n:05}" for n in range(10, 15)]
    assert ids(provider, since=middle, until=middle + timedelta(hours=1)) == ["job-00015"]


def test_job_types_and_users_are_picked(hyp3: Open) -> None:
    records = [job(1), job(2, job_type="WATER_MAP"), job(3, user="somebody")]
    assert ids(hyp3(records, {"job_type": "WATER_MAP"})[1]) == ["job-00002"]
    assert ids(hyp3(records, {"user": "somebody"})[1]) == ["job-00003"]


def test_a_job_becomes_an_offer(hyp3: Open) -> None:
    made = job(7, granules=["S1A_IW_SLC__1SDV_20260308T120220_20260308T120247_052000_064000_ABCD"])
    _, provider, server = hyp3([made])
    (offer,) = provider.search(Query(collection="s1_rtc"))
    assert (offer.id, offer.name, offer.size, offer.published) == (made.id, made.name, made.size, made.published)
    assert offer.source == f"{server.url}/hyp3/files/{made.id}/{made.name}.zip"
    assert offer.start_at == datetime(2026, 3, 8, 12, 2, 20, tzinfo=UTC)
    assert offer.scene_key is not None
    (data,) = provider.resolve(granule(offer))
    assert urllib3.request("GET", data.url).data == made.body().read(0, made.size)
    assert (data.name, data.size) == (f"{made.name}.zip", made.size)


def test_d10_hyp3_the_same_order_twice_is_one_scene_and_the_later_one_is_better(hyp3: Open) -> None:
    first = job(1)
    later = record(9, "fires", id="job-00009", name=first.name[:-4] + "0A0A", attributes={"expires": None})
    _, provider, _ = hyp3([first, later])
    newer, older = provider.search(Query(collection="s1_rtc"))
    assert (newer.id, older.id) == ("job-00009", "job-00001")
    assert newer.scene_key == older.scene_key
    assert newer.rank > older.rank


def test_files_that_expired_meanwhile_are_gone(hyp3: Open) -> None:
    dialect, provider, _ = hyp3([job(1)])
    (offer,) = provider.search(Query(collection="s1_rtc"))
    provider._clock = lambda: NOW + timedelta(days=30)
    with pytest.raises(ProviderFault, match="expired") as caught:
        provider.resolve(granule(offer))
    assert caught.value.kind is Kind.GONE
    dialect.archive.replace(job(1, expires=NOW + timedelta(days=99)))  # somebody ordered it to be kept: seen after a failure
    assert len(provider.resolve(granule(offer, attempts=2))) == 1
    dialect.archive.remove("job-00001")
    with pytest.raises(ProviderFault) as caught:
        provider.resolve(granule(offer, attempts=2))
    assert caught.value.kind is Kind.GONE


def test_refused_tokens_and_problems_by_class(hyp3: Open) -> None:
    dialect, provider, server = hyp3([job(1)])
    dialect.bearer = "right"
    with pytest.raises(ProviderFault) as caught:
        ids(provider)
    assert (caught.value.kind, caught.value.status) == (Kind.AUTH, 401)
    dialect.bearer = None
    server.script([{"match": "/hyp3/jobs", "fault": {"page": "login"}}])
    with pytest.raises(ProviderFault) as caught:
        ids(provider)
    assert caught.value.kind is Kind.TRANSIENT


def test_b2f_what_is_archived_is_in_the_ledger(hyp3: Open, lake: Lake) -> None:
    records = [job(n) for n in range(6)]
    dialect, provider, _ = hyp3(records)
    with lake.connect() as connection:
        offered = granules.offer(connection, list(provider.search(Query(collection="s1_rtc"))))
        assert {one.outcome for one in offered} == {"new"}
        dialect.archive.add(job(50))
        again = granules.offer(connection, list(provider.search(Query(collection="s1_rtc"))))
        assert sorted(one.outcome for one in again) == ["known"] * 6 + ["new"]
        assert granules.states(connection) == {"queued": 7}


# --- buckets ---


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Server]:
    with S3Server() as server:
        yield server


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)


def in_bucket(s3: S3Server, **options: Any) -> dict[str, Any]:
    keys = {"endpoint": s3.url, "region": "us-east-1", "tries": 1, "anonymous": False, **options}
    return {"s3": keys, "extensions": ["_VV.tif", "_VH.tif", "_WM.tif"]}


def test_siblings_are_fetched_and_missing_ones_reported(hyp3: Open, s3: S3Server, caplog: pytest.LogCaptureFixture) -> None:
    made = job(1, bucket="content", key="some/prefix/of/a/user/P.zip.zip")  # not the id, and a name with .zip in it
    s3.fill("content", {"some/prefix/of/a/user/P.zip_VV.tif": b"vv" * 50, "some/prefix/of/a/user/P.zip_VH.tif": b"vh" * 40})
    s3.server.reset()
    _, provider, _ = hyp3([made], transport="s3", **in_bucket(s3))
    (offer,) = provider.search(Query(collection="s1_rtc"))
    files = {**offer.detail["files"][0], "name": "P.zip.zip", "url": "http://127.0.0.1:1/some/P.zip.zip"}
    caplog.set_level("WARNING")
    data, *siblings = provider.resolve(granule(offer, detail={**offer.detail, "files": [files]}))
    assert data.url == "http://127.0.0.1:1/some/P.zip.zip"  # the bucket does not have it
    assert [(part.name, part.size) for part in siblings] == [("P.zip_VV.tif", 100), ("P.zip_VH.tif", 80)]
    assert siblings[0].url == "s3://content/some/prefix/of/a/user/P.zip_VV.tif"
    assert "there is no _WM.tif beside it" in caplog.text


def test_access_denied_falls_back_to_the_url(hyp3: Open, s3: S3Server) -> None:
    made = job(1, bucket="content", key="a/b.zip")
    s3.fill("content", {"a/b.zip": b"zip"})
    _, provider, server = hyp3([made], transport="s3", **in_bucket(s3))
    (offer,) = provider.search(Query(collection="s1_rtc"))
    s3.server.reset()
    assert provider.resolve(granule(offer))[0].url == "s3://content/a/b.zip"
    s3.server.script([{"match": "/content/*", "fault": {"page": "s3-access-denied"}}])
    (data,) = provider.resolve(granule(offer))
    assert data.url == f"{server.url}/hyp3/files/{made.id}/{made.name}.zip"
    s3.server.script([{"match": "/content/*", "fault": {"page": "s3-slow-down"}}])
    with pytest.raises(ProviderFault) as caught:
        provider.resolve(granule(offer))
    assert caught.value.kind in {Kind.RATE, Kind.TRANSIENT}


def test_only_siblings_by_https_where_the_bucket_is_public(hyp3: Open, s3: S3Server) -> None:
    made = job(1, bucket="content", key=f"job-00001/{job(1).name}.zip")
    s3.fill("content", {f"job-00001/{made.name}_VV.tif": b"vv"})
    s3.client().put_object_acl(Bucket="content", Key=f"job-00001/{made.name}_VV.tif", ACL="public-read")
    s3.server.reset()
    _, provider, server = hyp3([made], listed=False, **in_bucket(s3, anonymous=True))
    (offer,) = provider.search(Query(collection="s1_rtc"))
    (part,) = provider.resolve(granule(offer))
    assert part.url == f"{server.url}/hyp3/files/{made.id}/{made.name}_VV.tif"


# --- documents ---


def test_the_recorded_job(samples: Path, hyp3: Open) -> None:
    (document,) = json.loads((samples / "payloads" / "hyp3" / "api_6.json").read_text())["jobs"]
    read = read_job(document)
    assert read is not None
    assert read.id == "20c377be-2511-46a8-b908-e015abd3c24e"
    assert read.expires == datetime(2021, 3, 11, tzinfo=UTC)
    assert read.files[0].stem == f"{read.id}/S1A_IW_20150621T120220_SVP_RTC30_G_gpuned_0AEA"
    dialect, provider, _ = hyp3([record(1, "any", attributes={"job": {**document, "name": "fires"}})])
    assert ids(provider) == []  # it expired years ago
    provider._clock = lambda: datetime(2021, 3, 1, tzinfo=UTC)
    (offer,) = provider.search(Query(collection="s1_rtc"))
    assert offer.name == "S1A_IW_20150621T120220_SVP_RTC30_G_gpuned_0AEA"
    assert offer.size == 28676279
    data, picture = provider.resolve(granule(offer))
    assert data.url.endswith(f"{offer.name}.zip")
    assert picture.role == "overview"
    assert len(dialect.requests) == 2


def test_recorded_orders_name_their_granules(samples: Path) -> None:
    for number in range(1, 6):
        for order in json.loads((samples / "payloads" / "hyp3" / f"api_{number}.json").read_text())["jobs"]:
            read = read_job({**order, "job_id": "x", "status_code": "PENDING"})
            assert read is not None
            assert read.granules
            assert not read.has_files(NOW)


@pytest.mark.parametrize(
    "document",
    [
        {"job_id": "x"},
        {"job_id": "x", "files": None, "expiration_time": None, "job_parameters": None},
        {
            "job_id": "x",
            "files": [None, {}, {"filename": "a.zip"}, {"filename": "../a", "url": "https://x/a"}, {"url": "file:///etc/passwd"}],
        },
        {"job_id": "x", "files": "none", "browse_images": "none", "request_time": 5},
    ],
)
def test_d05_hyp3_odd_jobs_are_read_and_have_no_files(document: dict[str, Any]) -> None:
    read = read_job({"status_code": "SUCCEEDED", **document})
    assert read is not None
    assert not read.has_files(NOW)


def test_what_is_no_job_is_left_out() -> None:
    assert [read_job(document) for document in (None, [], {}, {"job_id": 5}, {"job_id": "../x"})] == [None] * 5


def test_b2e_failed_and_expired_jobs_are_ordered_again() -> None:
    file = JobFile(name="a.zip", size=1, url="https://x/a.zip", bucket=None, key=None)
    common = {"name": "fires", "type": "RTC_GAMMA", "requested": START}
    jobs = [
        Job(id="1", status="SUCCEEDED", files=(file,), granules=("done",), expires=None, **common),
        Job(id="2", status="FAILED", granules=("failed",), expires=None, **common),
        Job(id="3", status="RUNNING", granules=("running",), expires=None, **common),
        Job(id="4", status="SUCCEEDED", files=(file,), granules=("expired",), expires=NOW - timedelta(1), **common),
        Job(id="5", status="FAILED", granules=("twice",), expires=None, **common),
        Job(id="6", status="SUCCEEDED", files=(file,), granules=("twice",), expires=None, **common),
    ]
    assert unprocessed(["done", "failed", "running", "expired", "twice", "new", "new"], jobs, NOW) == ["failed", "expired", "new"]


def test_the_preset_loads(tmp_path: Path) -> None:
    (tmp_path / "eolake.toml").write_text("")
    provider = Hyp3Provider(provider_config(load_settings(tmp_path / "eolake.toml"), "hyp3"))
    provider.api.close()
    assert list(provider.changes(NOW)) == []
    with pytest.raises(ConfigError):
        Hyp3Provider(ProviderConfig(name="x", kind="hyp3"))
