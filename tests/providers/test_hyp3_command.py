"""`eolake hyp3-copy`: projects as their owners write them, archived by a command that may be repeated at will."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from support.archives import record

from eolake.ingest.archiving import hyp3_copy
from eolake.ingest.simulators.archive import Archive
from eolake.ingest.simulators.dialects.hyp3 import Hyp3Dialect
from eolake.ingest.simulators.s3 import ACCESS_KEY, SECRET_KEY, S3Server
from eolake.ingest.simulators.server import Server


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Server]:
    with S3Server() as server:
        yield server


@pytest.fixture
def project(s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A project with three finished jobs, one of which lacks a file, and others that have none; eolake.toml is in the working folder."""
    for name, value in {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    late = datetime.now(UTC) + timedelta(days=5)

    def job(number: int, **attributes: Any) -> Any:
        told = {"bucket": "content", "expires": late, **attributes}
        return record(number, "fires", id=f"job-{number}", name=f"P{number}", attributes=told)

    without = [job(3, status="FAILED"), job(4, status="RUNNING"), job(5, expires=datetime(2020, 1, 1, tzinfo=UTC))]
    records = [*(job(n) for n in range(3)), *without]
    s3.server.reset()
    keys = [f"job-{n}/P{n}{end}" for n in range(6) for end in (".zip", "_VV.tif", "_VH.tif")]
    s3.fill("content", {key: key.encode() for key in keys if key != "job-1/P1_VH.tif"})
    s3.fill("archive", {})
    with Server(Hyp3Dialect(archive=Archive(records), prefix="")) as server:
        options = f'{{s3 = {{endpoint = "{s3.url}", region = "us-east-1", tries = 1, anonymous = false}}}}'
        (tmp_path / "eolake.toml").write_text(f"[providers.hyp3]\ncredentials = []\noptions = {options}\n")
        transfer = {"target_bucket": "archive", "target_prefix": tmp_path.name, "extensions": ["_VV.tif", "_VH.tif"]}
        path = tmp_path / "fires.json"
        path.write_text(json.dumps({"project_name": "fires", "host": server.url, "transfer_spec": transfer}))
        yield path


def run(*arguments: object) -> tuple[int, dict[str, Any]]:
    result = CliRunner().invoke(hyp3_copy, [str(word) for word in arguments], obj=None, standalone_mode=False)
    assert result.exception is None, result.output
    code: int = result.return_value
    return code, {"out": result.stdout, "err": result.stderr}


def test_a_project_is_copied_once(project: Path, s3: S3Server) -> None:
    assert run(project, "--dry-run") == (
        0,
        {"out": f"{project}: 5 due, 1 missing\n", "err": "missing: P1_VH.tif: the job did not make it\n"},
    )
    assert run(project)[1]["out"] == f"{project}: 5 copied, 1 missing\n"
    assert run(project)[1]["out"] == f"{project}: 1 missing, 5 present\n"
    client = s3.client()
    listed = client.list_objects_v2(Bucket="archive", Prefix=f"{project.parent.name}/")["Contents"]
    client.close()
    assert len(listed) == 5


def test_a_project_that_fails_stops_no_other(project: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.json"
    broken.write_text("{}")
    code, told = run(broken, project)
    assert code == 1
    assert f"{project}: 5 copied, 1 missing" in told["out"]
    assert f"{broken} is no project" in told["out"]


def test_the_local_variant_of_the_command(project: Path, tmp_path: Path) -> None:
    assert run(project, "--folder", tmp_path / "here")[1]["out"] == f"{project}: 5 copied, 1 missing\n"
    assert (tmp_path / "here" / tmp_path.name / "P0_VV.tif").read_bytes() == b"job-0/P0_VV.tif"
    assert run(project, "--folder", tmp_path / "here")[1]["out"] == f"{project}: 1 missing, 5 present\n"
