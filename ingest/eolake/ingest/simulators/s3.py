"""An S3 for tests and development: moto in a process of its own, and a proxy before it that misbehaves by rules."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self

from eolake.catalog.errors import Unreachable
from eolake.ingest.simulators.archive import Archive
from eolake.ingest.simulators.extras import need
from eolake.ingest.simulators.proxy import HttpProxy
from eolake.ingest.simulators.server import Server

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

ACCESS_KEY, SECRET_KEY, REGION = "simulator", "simulator-secret", "us-east-1"


@dataclass(slots=True)
class S3Server:
    """moto, reached through a proxy (`server`) whose rules and stats are those of every simulator; a context manager.

    S3's own misbehaviour stands in `pages.yaml` under `s3-…`: `{match: "/bucket/*", method: PUT, fault: {page: s3-slow-down}}`."""

    port: int = 0
    seed: int = 0
    truncate: int | None = None
    """A listing leaves out what comes after so many keys, and says that it is complete."""
    server: Server = field(init=False)
    proxy: HttpProxy = field(init=False)
    _process: subprocess.Popen[str] | None = None
    _moto: str = ""

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> Self:
        """Raises ConfigError when moto is not installed, Unreachable when it does not start."""
        need("moto", purpose="the S3 simulator")
        command = [sys.executable, "-m", "eolake.ingest.simulators.moto_process", "0"]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        port = self._process.stdout.readline().strip() if self._process.stdout else ""
        if not port:
            self._end()
            raise Unreachable("moto did not start; see its message above")
        self._moto = f"http://127.0.0.1:{port}"
        self.proxy = HttpProxy(self._moto, truncate=self.truncate)
        self.server = Server(self.proxy, port=self.port, seed=self.seed)
        return self

    @property
    def url(self) -> str:
        """The endpoint, with faults."""
        return self.server.url

    @property
    def backend(self) -> str:
        """The endpoint without them."""
        return self._moto

    def client(self, *, faulty: bool = False) -> S3Client:
        """A client of boto3; close it."""
        import boto3

        session = boto3.session.Session(aws_access_key_id=ACCESS_KEY, aws_secret_access_key=SECRET_KEY, region_name=REGION)
        return session.client("s3", endpoint_url=self.url if faulty else self.backend)

    def fill(self, bucket: str, objects: Mapping[str, bytes | Path]) -> None:
        """Puts objects there, by key; makes the bucket."""
        client = self.client()
        try:
            if bucket not in {found["Name"] for found in client.list_buckets()["Buckets"]}:
                client.create_bucket(Bucket=bucket)
            for key, content in objects.items():
                client.put_object(Bucket=bucket, Key=key, Body=content.read_bytes() if isinstance(content, Path) else content)
        finally:
            client.close()

    def fill_archive(self, bucket: str, archive: Archive, prefix: str = "products") -> None:
        """The products of an archive, under `PREFIX/yyyy/mm/dd/`."""
        self.fill(
            bucket,
            {f"{prefix}/{record.start:%Y/%m/%d}/{record.file.name}": record.file for record in archive.records if record.file is not None},
        )

    def close(self) -> None:
        """Ends both."""
        self.server.close()
        self.proxy.close()
        self._end()

    def _end(self) -> None:
        if self._process is None:
            return
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
