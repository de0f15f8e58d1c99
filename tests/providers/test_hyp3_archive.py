"""An archive of a HyP3 project: copies by difference, a verdict for each file, nothing twice."""

from __future__ import annotations

import hashlib
import os
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import urllib3

from eolake.catalog.errors import ConfigError
from eolake.ingest.providers.hyp3_archive import Found, Report, mirror, plan, read_project
from eolake.ingest.providers.hyp3_jobs import Job, JobFile
from eolake.ingest.providers.hyp3_targets import FolderTarget, S3Source, S3Target, etag_of, listing
from eolake.ingest.simulators.s3 import S3Server
from eolake.ingest.simulators.server import Response, Server

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

NOW = datetime(2026, 4, 1, tzinfo=UTC)
EXTENSIONS = (".zip", "_VV.tif", "_VH.tif", "_WM.tif")
MIB = 1 << 20
AUTHORIZATION = "AWS4-HMAC-SHA256 Credential=simulator/20260401/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0"


def job(number: int, *, bucket: str = "content", name: str | None = None, key: str | None = None, **fields: Any) -> Job:
    stem = name or f"S1A_IW_20260301T120220_DVP_RTC30_G_gpuned_{number:04X}"
    identity = f"job-{number:05}"
    file = JobFile(name=f"{stem}.zip", size=300, url=fields.pop("url", None), bucket=bucket, key=key or f"{identity}/{stem}.zip")
    given: dict[str, Any] = {"name": "fires", "type": "RTC_GAMMA", "status": "SUCCEEDED", "requested": NOW - timedelta(days=30 - number)}
    return Job(**{"id": identity, "files": (file,), "expires": NOW + timedelta(days=9), **given, **fields})


def content(key: str, size: int = 300) -> bytes:
    return random.Random(key).randbytes(size)


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    with S3Server() as found:
        yield found


@pytest.fixture(scope="module")
def clients(server: S3Server) -> Iterator[tuple[S3Client, S3Client]]:
    """To moto, and through the faults."""
    direct, faulty = server.client(), server.client(faulty=True)
    for bucket in ("content", "archive"):
        direct.create_bucket(Bucket=bucket)
    yield direct, faulty
    direct.close()
    faulty.close()


@pytest.fixture
def client(server: S3Server, clients: tuple[S3Client, S3Client]) -> S3Client:
    """Through the faults; buckets `content` and `archive` are empty."""
    server.server.reset()
    server.proxy.truncate = None
    direct, faulty = clients
    for bucket in ("content", "archive"):
        keys: Any = [{"Key": entry["Key"]} for entry in direct.list_objects_v2(Bucket=bucket).get("Contents", [])]
        if keys:
            direct.delete_objects(Bucket=bucket, Delete={"Objects": keys})
    return faulty


def put(server: S3Server, bucket: str, objects: dict[str, bytes]) -> None:
    for key, data in objects.items():
        url = f"{server.backend}/{bucket}/{key}"
        assert urllib3.request("PUT", url, body=data, headers={"Authorization": AUTHORIZATION}).status == 200


def fill(server: S3Server, jobs: list[Job], extensions: tuple[str, ...] = EXTENSIONS) -> None:
    keys = [f"{file.stem}{extension}" for job in jobs for file in job.files for extension in extensions]
    put(server, "content", {key: content(key) for key in keys})


def run(client: S3Client, jobs: list[Job], **options: Any) -> Report:
    target = S3Target(client, "archive", options.pop("prefix", "project/x"))
    return mirror(jobs, S3Source(client), target, **{"extensions": EXTENSIONS, "now": NOW, **options})


def archived(client: S3Client, prefix: str = "project/x/") -> dict[str, bytes]:
    found = client.list_objects_v2(Bucket="archive", Prefix=prefix).get("Contents", [])
    return {e["Key"].removeprefix(prefix): client.get_object(Bucket="archive", Key=e["Key"])["Body"].read() for e in found}


def test_t39_everything_is_copied_once_and_a_second_run_copies_nothing(server: S3Server, client: S3Client) -> None:
    jobs = [job(n) for n in range(6)]
    fill(server, jobs)
    first = run(client, jobs)
    assert first.counts == {"copied": 24}
    assert archived(client) == {
        f"{one.files[0].name[:-4]}{end}": content(f"{one.files[0].stem}{end}") for one in jobs for end in EXTENSIONS
    }
    server.server.stats.clear()
    assert run(client, jobs).counts == {"present": 24}
    assert {request.method for request in server.server.stats.requests} == {"GET"}
    assert len(server.server.stats.requests) == 7  # one listing of the archive, one of each product


def test_b2a_the_difference_is_by_the_whole_name_in_the_archive(server: S3Server, client: S3Client) -> None:
    jobs = [job(n) for n in range(3)]
    fill(server, jobs)
    run(client, jobs[:2])
    report = run(client, jobs)
    assert {outcome.verdict for outcome in report.outcomes if jobs[2].files[0].name[:-4] in outcome.name} == {"copied"}
    assert report.counts == {"present": 8, "copied": 4}
    elsewhere = run(client, jobs, prefix="project/x/y")  # the same names under another prefix are not there
    assert elsewhere.counts == {"copied": 12}


def test_b2b_jobs_without_files_do_not_disturb_an_archive(server: S3Server, client: S3Client) -> None:
    good = job(1)
    fill(server, [good])
    bad = [
        job(2, status="PENDING", files=()),
        job(3, status="RUNNING", files=()),
        job(4, status="FAILED", files=(), expires=None),
        job(5, expires=NOW - timedelta(days=1)),
        job(6, files=()),
    ]
    assert run(client, [*bad, good]).counts == {"copied": 4}


def test_b2c_a_missing_file_stops_nothing_and_has_its_verdict(server: S3Server, client: S3Client) -> None:
    jobs = [job(n) for n in range(4)]
    fill(server, jobs[:2])
    fill(server, jobs[2:], (".zip", "_VV.tif"))
    report = run(client, jobs)
    assert report.counts == {"copied": 12, "missing": 4}
    assert {outcome.name[-7:] for outcome in report.of("missing")} == {"_VH.tif", "_WM.tif"}
    assert not report.failed
    fill(server, jobs[2:])  # they come later after all
    assert run(client, jobs).counts == {"present": 12, "copied": 4}


def test_t39_a_fault_of_one_object_is_its_own(server: S3Server, client: S3Client) -> None:
    jobs = [job(n) for n in range(4)]
    fill(server, jobs)
    broken = jobs[1].files[0].name[:-4]
    server.server.script([{"match": f"/archive/project/x/{broken}_VV.tif", "method": "PUT", "fault": {"page": "s3-access-denied"}}])
    report = run(client, jobs)
    assert report.counts == {"copied": 15, "failed": 1}
    assert report.failed
    assert "AccessDenied" in report.of("failed")[0].reason
    server.server.reset()
    assert run(client, jobs).counts == {"present": 15, "copied": 1}


def test_b2d_a_truncated_or_other_copy_is_made_again(server: S3Server, client: S3Client) -> None:
    jobs = [job(n) for n in range(2)]
    fill(server, jobs)
    run(client, jobs)
    name = jobs[0].files[0].name[:-4]
    put(server, "archive", {f"project/x/{name}_VV.tif": b"half", f"project/x/{name}_VH.tif": bytes(300)})
    report = run(client, jobs)
    assert report.counts == {"present": 6, "copied": 2}
    assert archived(client)[f"{name}_VV.tif"] == content(f"{jobs[0].files[0].stem}_VV.tif")
    assert run(client, jobs).counts == {"present": 8}


def test_t39_two_jobs_with_one_name_collide_and_the_newest_has_it(server: S3Server, client: S3Client) -> None:
    old, new = job(1, name="SAME"), job(2, name="SAME")
    fill(server, [old, new])
    for order in ([old, new], [new, old]):
        report = run(client, order)
        assert {outcome.source for outcome in report.of("collision")} == {f"s3://content/{old.id}/SAME{end}" for end in EXTENSIONS}
        assert report.failed
    assert archived(client)["SAME.zip"] == content(f"{new.id}/SAME.zip")
    assert run(client, [old, new]).counts == {"present": 4, "collision": 4}


@pytest.mark.parametrize(
    ("key", "stem"),
    [
        ("job-00001/P.zip.zip", "P.zip"),
        ("job-00001/job-00001_P.zip", "job-00001_P"),
        ("a.zip/job-00001/P.zip", "P"),
        ("P.zip", "P"),
        ("users/job-00001/job-00001/x.zip.y.zip", "x.zip.y"),
    ],
)
def test_names_that_contain_the_ending_or_the_id_twice(key: str, stem: str) -> None:
    name = key.rpartition("/")[2]
    file = JobFile(name=name, size=1, url=None, bucket="content", key=key)
    wanted, collisions = plan([job(1, files=(file,))], (".zip", "_VV.tif"), now=NOW)
    assert [one.name for one in wanted] == [f"{stem}.zip", f"{stem}_VV.tif"]
    folder = f"{key.rpartition('/')[0]}/" if "/" in key else ""
    assert [one.key for one in wanted] == [key, f"{folder}{stem}_VV.tif"]
    assert collisions == []


def test_jobs_before_the_start_are_not_wanted() -> None:
    wanted, _ = plan([job(1), job(2), job(3)], (".zip",), now=NOW, start=NOW - timedelta(days=28))
    assert [one.job for one in wanted] == ["job-00003", "job-00002"]


def test_a_dry_run_counts_and_copies_nothing(server: S3Server, client: S3Client) -> None:
    jobs = [job(n) for n in range(3)]
    fill(server, jobs)
    run(client, jobs[:1])
    report = run(client, jobs, dry_run=True)
    assert report.counts == {"present": 4, "due": 8}
    assert sum(outcome.bytes for outcome in report.of("due")) == 8 * 300
    assert len(archived(client)) == 4


# --- parts ---


def upload_in_parts(client: S3Client, key: str, data: bytes, part: int) -> str:
    place: Any = {"Bucket": "content", "Key": key}
    place["UploadId"] = client.create_multipart_upload(**place, ContentType="application/zip")["UploadId"]
    made: list[Any] = []
    for number, start in enumerate(range(0, len(data), part), 1):
        answer = client.upload_part(**place, PartNumber=number, Body=data[start : start + part])
        made.append({"PartNumber": number, "ETag": answer["ETag"]})
    return client.complete_multipart_upload(**place, MultipartUpload={"Parts": made})["ETag"].strip('"')


def test_copies_of_objects_in_parts_have_the_same_etag(server: S3Server, client: S3Client, tmp_path: Path) -> None:
    one = job(1)
    data = content("big", 12 * MIB + 5)
    etag = upload_in_parts(client, str(one.files[0].key), data, 5 * MIB)
    assert etag.endswith("-3")
    (tmp_path / "big").write_bytes(data)
    assert etag_of(tmp_path / "big", 5 * MIB) == etag
    assert run(client, [one], extensions=[".zip"]).counts == {"copied": 1}
    made = client.head_object(Bucket="archive", Key=f"project/x/{one.files[0].name}")
    assert made["ETag"].strip('"') == etag
    assert made["ContentType"] == "application/zip"
    assert archived(client)[one.files[0].name] == data
    assert run(client, [one], extensions=[".zip"]).counts == {"present": 1}


def test_copies_with_other_parts_are_known_by_their_note(server: S3Server, client: S3Client) -> None:
    one = job(1)
    data = content("big", 11 * MIB)
    put(server, "content", {str(one.files[0].key): data})  # in one piece
    target = S3Target(client, "archive", "project/x", part=5 * MIB, single=8 * MIB)

    def go() -> Report:
        return mirror([one], S3Source(client), target, extensions=[".zip"], now=NOW)

    assert go().counts == {"copied": 1}
    made = client.head_object(Bucket="archive", Key=f"project/x/{one.files[0].name}")
    assert made["ETag"].strip('"').endswith("-3")
    assert go().counts == {"present": 1}
    put(server, "content", {str(one.files[0].key): content("other", 11 * MIB)})  # the job was run again: other bytes, the same size
    assert go().counts == {"copied": 1}
    assert archived(client)[one.files[0].name] == content("other", 11 * MIB)


@pytest.mark.parametrize("page", ["s3-slow-down", "s3-internal-error"])
def test_t34_hyp3_passing_faults_are_tried_again(server: S3Server, client: S3Client, page: str) -> None:
    jobs = [job(1)]
    fill(server, jobs)
    server.server.script([{"match": "/archive/*", "method": "PUT", "nth": [1], "fault": {"page": page}}])
    assert run(client, jobs).counts == {"copied": 4}


def test_t34_hyp3_a_completion_that_fails_with_status_200_is_no_success(server: S3Server, client: S3Client) -> None:
    one = job(1)
    data = content("big", 6 * MIB)
    upload_in_parts(client, str(one.files[0].key), data, 5 * MIB)
    server.server.script(
        [{"match": "/archive/*", "method": "POST", "when": {"query": {"uploadId": "*"}}, "fault": {"page": "s3-complete-error"}}]
    )
    assert run(client, [one], extensions=[".zip"]).counts == {"failed": 1}
    assert archived(client) == {}
    assert client.list_multipart_uploads(Bucket="archive").get("Uploads", []) == []
    server.server.reset()
    assert run(client, [one], extensions=[".zip"]).counts == {"copied": 1}
    assert archived(client)[one.files[0].name] == data


def test_t34_hyp3_a_listing_that_is_cut_off_costs_nothing(server: S3Server, client: S3Client) -> None:
    jobs = [job(n) for n in range(3)]
    fill(server, jobs)
    server.proxy.truncate = 1
    assert run(client, jobs).counts == {"copied": 12}
    assert run(client, jobs).counts == {"present": 12}


def test_listings_go_on_page_by_page(server: S3Server, client: S3Client) -> None:
    put(server, "content", {f"many/{n:04}": b"x" for n in range(25)})

    class Paged:
        """Pages of ten; the second has no token, the third repeats what was there."""

        def __init__(self) -> None:
            self.calls: list[dict[str, Any]] = []

        def list_objects_v2(self, **asked: Any) -> Any:
            self.calls.append(asked)
            answer = client.list_objects_v2(**asked, MaxKeys=10)
            if len(self.calls) == 2:
                answer.pop("NextContinuationToken")  # type: ignore[misc]
            return answer

    paged: Any = Paged()
    assert len(list(listing(paged, "content", "many/"))) == 25
    assert "StartAfter" in paged.calls[2]


# --- closed buckets ---


def test_access_denied_is_made_good_by_the_url(server: S3Server, client: S3Client) -> None:
    body = content("by https")
    with Server(lambda request: Response(body=body) if request.path == "/P.zip" else None) as web:
        jobs = [job(1, name="P", url=f"{web.url}/P.zip"), job(2)]
        fill(server, jobs)
        server.server.script(
            [
                {"match": "/content/job-00001/*", "fault": {"page": "s3-access-denied"}},
                {"match": "/content", "when": {"query": {"prefix": "job-00001*"}}, "fault": {"page": "s3-access-denied"}},
            ]
        )
        report = run(client, jobs)
        assert report.counts == {"copied": 5, "failed": 3}  # siblings have no URL of their own
        assert archived(client)["P.zip"] == body
        assert run(client, jobs).counts == {"present": 5, "failed": 3}
        assert web.stats.path("/P.zip").requests == 1


def test_where_listing_is_denied_files_are_looked_for_by_their_keys(server: S3Server, client: S3Client) -> None:
    jobs = [job(n) for n in range(2)]
    fill(server, jobs, (".zip", "_VV.tif"))
    server.server.script([{"match": "/content", "fault": {"page": "s3-access-denied"}}])
    assert run(client, jobs).counts == {"copied": 4, "missing": 4}


def test_a_url_that_gives_a_login_page_is_a_failure(server: S3Server, client: S3Client) -> None:
    with Server() as web:
        one = job(1, url=f"{web.url}/login")
        server.server.script([{"match": "/content*", "fault": {"page": "s3-access-denied"}}])
        assert run(client, [one], extensions=[".zip"]).counts == {"failed": 1}
    assert archived(client) == {}


# --- folders ---


def test_the_local_variant(server: S3Server, client: S3Client, tmp_path: Path) -> None:
    jobs = [job(n) for n in range(3)]
    fill(server, jobs)
    folder = tmp_path / "archive"

    def go(**options: Any) -> Report:
        return mirror(jobs, S3Source(client), FolderTarget(folder, client), extensions=EXTENSIONS, now=NOW, **options)

    assert go(dry_run=True).counts == {"due": 12}
    assert go().counts == {"copied": 12}
    name = jobs[0].files[0].name[:-4]
    assert (folder / f"{name}_VV.tif").read_bytes() == content(f"{jobs[0].files[0].stem}_VV.tif")
    assert go().counts == {"present": 12}
    (folder / f"{name}_VV.tif").write_bytes(b"half")
    (folder / f"{name}_VH.tif").write_bytes(bytes(300))
    (folder / ".eolake-mirror.json").unlink()  # files that somebody brought: known by their content
    assert go().counts == {"present": 10, "copied": 2}
    assert sorted(path.suffix for path in folder.iterdir() if path.name.endswith(".part")) == []


def test_a_download_that_breaks_off_leaves_nothing(server: S3Server, client: S3Client, tmp_path: Path) -> None:
    one = job(1)
    put(server, "content", {str(one.files[0].key): content("big", MIB)})
    target = FolderTarget(tmp_path, client)
    server.server.script([{"match": "/content/job*", "method": "GET", "fault": {"close": {"after": "half", "how": "fin"}}}])
    assert mirror([one], S3Source(client), target, extensions=[".zip"], now=NOW).counts == {"failed": 1}
    assert target.listing() == {}
    server.server.reset()
    assert mirror([one], S3Source(client), target, extensions=[".zip"], now=NOW).counts == {"copied": 1}
    assert target.listing() == {one.files[0].name: Found(size=MIB, etag=hashlib.md5(content("big", MIB)).hexdigest())}


class Stale(S3Source):
    """Says what was there before the objects were replaced."""

    def objects(self, bucket: str, stem: str, keys: Any) -> dict[str, Found]:  # noqa: ARG002
        return {key: Found(size=300, etag=hashlib.md5(content("earlier")).hexdigest()) for key in keys}


def test_objects_that_are_replaced_meanwhile_are_not_taken_for_the_listed_ones(server: S3Server, client: S3Client, tmp_path: Path) -> None:
    one = job(1)
    fill(server, [one])
    folder, bucket = FolderTarget(tmp_path, client), S3Target(client, "archive", "project/x")
    for target in (folder, bucket):
        assert mirror([one], Stale(client), target, extensions=[".zip"], now=NOW).counts == {"failed": 1}
    assert folder.listing() == {}
    assert mirror([one], S3Source(client), folder, extensions=[".zip"], now=NOW).counts == {"copied": 1}


@pytest.mark.parametrize(("size", "part"), [(0, None), (5, None), (10, 5), (11, 5), (4, 5)])
def test_etags_of_files(tmp_path: Path, size: int, part: int | None) -> None:
    data = os.urandom(size)
    (tmp_path / "file").write_bytes(data)
    if part is None:
        assert etag_of(tmp_path / "file", None) == hashlib.md5(data).hexdigest()
    else:
        digests = [hashlib.md5(data[start : start + part]).digest() for start in range(0, size, part)]
        assert etag_of(tmp_path / "file", part) == f"{hashlib.md5(b''.join(digests)).hexdigest()}-{len(digests)}"


# --- projects ---


@pytest.mark.parametrize(
    ("name", "prefix", "extensions"),
    [
        ("alaska", "image-services/RTC_services", 7),
        ("floods", "image-services/RTC_services", 7),
        ("hkh_watermaps", "HKHwatermaps", 11),
        ("hurricanes", "image-services/RTC_services", 7),
    ],
)
def test_real_projects_are_read(samples: Path, name: str, prefix: str, extensions: int) -> None:
    project = read_project(samples / "payloads" / "hyp3" / f"{name}.json")
    assert (project.bucket, project.prefix, len(project.extensions)) == ("asf-event-data", prefix, extensions)
    assert project.host == "https://hyp3-watermap.asf.alaska.edu"
    assert (project.start is None) == (name == "hkh_watermaps")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"project_name": "x", "host": "https://x", "transfer_spec": {}}'])
def test_files_that_are_no_projects(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(ConfigError, match="transfer_spec"):
        read_project(tmp_path / "x.json")
