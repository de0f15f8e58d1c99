"""The kind `hyp3`: finished jobs of a project of ASF's Hybrid Pluggable Processing Pipeline, and of any other deployment of it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from eolake.catalog.errors import ConfigError
from eolake.catalog.ledger.granules import Granule, Offer
from eolake.ingest.faults import Kind, ProviderFault
from eolake.ingest.logins.base import Login
from eolake.ingest.naming import scene_of
from eolake.ingest.providers.api import Api, host_of
from eolake.ingest.providers.base import Change, Part, ProviderConfig, Query
from eolake.ingest.providers.hyp3_jobs import Job, JobFile, ending_of, list_jobs, read_job
from eolake.ingest.providers.odata import format_time, parse_time
from eolake.ingest.providers.registry import collection_of

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

LOG = logging.getLogger(__name__)
DENIED = frozenset({"403", "AccessDenied", "401", "InvalidAccessKeyId", "SignatureDoesNotMatch"})
ABSENT = frozenset({"404", "NoSuchKey", "NotFound"})


class Hyp3Provider:
    """Jobs that succeeded and whose files are still there, found by the time of their request.

    A job is listed when it is done, by the time at which it was ordered: give its feed an `overlap` as long as jobs may take."""

    ascending = False
    """The API lists the newest first."""

    def __init__(
        self, config: ProviderConfig, login: Login | None = None, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        """ConfigError when the URL is missing. Options: `transport` (https or s3), `extensions` (of siblings beside the listed
        file on S3), `listed` (false: only the siblings), `s3` (endpoint, region, anonymous)."""
        if "api" not in config.urls:
            raise ConfigError(f"[providers.{config.name}.urls] api: the kind {config.kind!r} needs it")
        self.name, self.config, self.login = config.name, config, login
        self.url = config.urls["api"].rstrip("/")
        self.api = Api(config, login)
        self._clock = clock
        self._s3: S3Client | None = None

    def search(self, query: Query) -> Iterator[Offer]:
        """The jobs of a project that have files, each once. Raises ProviderFault, ConfigError when the collection is unknown."""
        described = collection_of(self.config, query.collection) if query.collection is not None else {}
        now = self._clock()
        for job in self.jobs(described, since=query.since, until=query.until):
            if job.has_files(now) and (not query.names or self._product(job) in query.names):
                yield self.offer_of(job, query.collection)

    def jobs(self, described: Mapping[str, Any], *, since: datetime | None = None, until: datetime | None = None) -> Iterator[Job]:
        """The jobs that a collection's description (project, job_type, user) picks."""
        picked = {key: described[key] for key in ("project", "job_type", "user") if key in described}
        return list_jobs(self.api, self.url, since=since, until=until, **picked)

    def resolve(self, granule: Granule) -> Sequence[Part]:
        """The listed files, the siblings that are there, and the browse image. ProviderFault(gone): the files expired."""
        detail = self._now(granule)
        expires = parse_time(detail.get("expires"))
        if expires is not None and expires <= self._clock():
            raise ProviderFault(f"the files of {granule.name} expired on {expires:%Y-%m-%d}; order the job again", Kind.GONE)
        described = self.config.collections.get(granule.collection or "", {})
        options = {**self.config.options, **described}
        files = [_restored(entry) for entry in detail.get("files", ())]
        parts = [self._part(file) for file in files] if options.get("listed", True) else []
        for file in files:
            parts += self._siblings(granule, file, options.get("extensions", ()))
        if not parts:
            raise ProviderFault(f"{granule.name} has none of the files that are asked for", Kind.GONE)
        browse = detail.get("browse")
        picture = [Part(url=browse, name=browse.rpartition("/")[2], role="overview", login=self._own(browse))] if browse else []
        return [*parts, *picture]

    def changes(self, since: datetime) -> Iterator[Change]:
        """Nothing: a job never changes, and that its files expire does not concern what was fetched."""
        _ = since
        return iter(())

    def auth(self) -> Mapping[str, str]:
        """The token of the account; empty without one."""
        return self.login.headers(self.url) if self.login is not None else {}

    def offer_of(self, job: Job, collection: str | None = None) -> Offer:
        """The offer that a job with files makes."""
        name, first = self._product(job), job.files[0]
        asked = format_time(job.requested) if job.requested else None
        scene = scene_of(name, attributes={"request_time": asked, "processed": asked})
        sizes = [file.size for file in job.files if file.size is not None]
        detail = {
            "files": [_kept(file) for file in job.files],
            "expires": format_time(job.expires) if job.expires else None,
            "browse": job.browse,
            "job_type": job.type,
            "granules": list(job.granules[:8]),
        }
        return Offer(
            provider=self.name,
            id=job.id,
            name=name,
            source=first.url or f"s3://{first.bucket}/{first.key}",
            fingerprint=f"job:{job.id}:{sum(sizes)}",
            size=sum(sizes) if len(sizes) == len(job.files) else None,
            collection=collection,
            scene_key=_scene_key(scene.scene_key, job.type) if scene else None,
            rank=scene.rank if scene else (),
            published=job.requested,
            start_at=scene.start if scene else None,
            end_at=scene.start if scene else None,
            detail={key: value for key, value in detail.items() if value not in (None, [])},
        )

    def _product(self, job: Job) -> str:
        name = job.files[0].name
        return name.removesuffix(ending_of(name)) or name

    def _now(self, granule: Granule) -> Mapping[str, Any]:
        """What the offer knew; after a failure what the API says now."""
        if granule.attempts <= 1 and granule.fault is None and granule.detail.get("files"):
            return granule.detail
        job = read_job(self.api.get_json(f"{self.url}/jobs/{granule.id}"))
        if job is None or job.status != "SUCCEEDED" or not job.files:
            raise ProviderFault(f"{self.name} has no files of {granule.name} any more", Kind.GONE, host=host_of(self.url))
        return self.offer_of(job).detail

    def _part(self, file: JobFile) -> Part:
        """From the bucket when that is wanted and allowed, else from its URL."""
        wanted = self.config.options.get("transport", "https") == "s3" or file.url is None
        if wanted and file.bucket and file.key and (file.url is None or self._look(file.bucket, file.key) is not None):
            return Part(url=f"s3://{file.bucket}/{file.key}", name=file.name, size=file.size)
        if file.url is None:
            raise ProviderFault(f"{file.name} has neither a URL nor a place in a bucket", Kind.GONE)
        return Part(url=file.url, name=file.name, size=file.size, login=self._own(file.url))

    def _siblings(self, granule: Granule, file: JobFile, extensions: Sequence[str]) -> Iterator[Part]:
        """Files beside the listed one; those that a job did not make are named in the log."""
        if not extensions or file.bucket is None or file.stem is None:
            return
        missing = []
        for extension in extensions:
            key = f"{file.stem}{extension}"
            found = self._look(file.bucket, key) if key != file.key else None
            if found is None:
                missing += [extension] if key != file.key else []
                continue
            url = f"s3://{file.bucket}/{key}"
            if self.config.options.get("transport", "https") == "https" and file.url is not None:
                url = f"{file.url.removesuffix(ending_of(file.name))}{extension}"
            yield Part(url=url, name=key.rpartition("/")[2], size=found, login=url.startswith("s3:") or self._own(url))
        if missing:
            LOG.warning("%s: there is no %s beside it", granule.name, ", ".join(missing))

    def _look(self, bucket: str, key: str) -> int | None:
        """The size of an object; None when it is not there or not for us. Raises ProviderFault(transient)."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            return self._client().head_object(Bucket=bucket, Key=key)["ContentLength"]
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code"))
            if code in DENIED | ABSENT:
                LOG.info("s3://%s/%s: %s", bucket, key, code)
                return None
            raise ProviderFault(f"s3://{bucket}/{key}: {code}", Kind.RATE if code == "SlowDown" else Kind.TRANSIENT, host=bucket) from None
        except BotoCoreError as error:
            raise ProviderFault(f"s3://{bucket} does not answer ({type(error).__name__})", Kind.TRANSIENT, host=bucket) from error

    def _client(self) -> S3Client:
        if self._s3 is None:
            keys = self.login.s3() if self.login is not None else {}
            self._s3 = s3_client(self.config.options.get("s3", {}), {k: v for k, v in keys.items() if k.startswith("aws_")})
        return self._s3

    def _own(self, url: str) -> bool:
        return host_of(url) in self.config.auth_hosts


def _scene_key(key: str, job_type: str) -> str:
    """Water maps have the names of the backscatter that they are made from, and are no processing of it."""
    return f"{key}/water_map" if job_type == "WATER_MAP" else key


def s3_client(options: Mapping[str, Any], keys: Mapping[str, str] | None = None) -> S3Client:
    """A client; `options`: endpoint, region, anonymous, path_style. Without keys and not `anonymous: false`: unsigned."""
    import boto3
    from botocore import UNSIGNED
    from botocore.config import Config

    anonymous = options.get("anonymous", True) and not keys
    style: Literal["path", "auto"] = "path" if options.get("path_style", "endpoint" in options) else "auto"
    config = Config(
        connect_timeout=10,
        read_timeout=60,
        retries={"max_attempts": int(options.get("tries", 5)), "mode": "standard"},
        s3={"addressing_style": style},
        signature_version=UNSIGNED if anonymous else None,
        max_pool_connections=32,
    )
    given: dict[str, Any] = {"endpoint_url": options.get("endpoint"), "region_name": options.get("region"), **(keys or {})}
    client: S3Client = boto3.Session().client("s3", config=config, **given)
    return client


def _kept(file: JobFile) -> dict[str, Any]:
    told = {"name": file.name, "size": file.size, "url": file.url, "bucket": file.bucket, "key": file.key}
    return {key: value for key, value in told.items() if value is not None}


def _restored(entry: Mapping[str, Any]) -> JobFile:
    return JobFile(name=entry["name"], size=entry.get("size"), url=entry.get("url"), bucket=entry.get("bucket"), key=entry.get("key"))
