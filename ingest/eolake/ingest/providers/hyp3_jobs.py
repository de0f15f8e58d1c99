"""The jobs of a HyP3 deployment: what its API says of them, and which of them have files to fetch."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import unquote, urlsplit

from eolake.ingest.faults import Kind, ProviderFault
from eolake.ingest.providers.api import Api, host_of, shown
from eolake.ingest.providers.odata import format_time, parse_time

LOG = logging.getLogger(__name__)
EMPTY = 1000
"""Pages in a row without any job: filters are applied after a page was cut, so many may be empty; this many are a circle."""
ARCHIVES = (".zip", ".nc", ".geojson", ".parquet", ".tif", ".tiff")
UNFINISHED = frozenset({"PENDING", "RUNNING"})
_SAFE = re.compile(r"[^/\\\0]{1,255}")
_ID = re.compile(r"[0-9A-Za-z_-]{1,64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFile:
    """One file that a job lists."""

    name: str
    size: int | None
    """Bytes."""
    url: str | None
    bucket: str | None
    key: str | None

    @property
    def stem(self) -> str | None:
        """Its key without the last extension: its siblings begin so. The name itself may contain `.zip` anywhere."""
        return self.key[: -len(ending)] if self.key and (ending := ending_of(self.name)) and self.key.endswith(ending) else self.key


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One job."""

    id: str
    name: str | None
    """Of its project."""
    type: str
    status: str
    requested: datetime | None
    expires: datetime | None
    """None: never."""
    files: tuple[JobFile, ...] = ()
    browse: str | None = None
    granules: tuple[str, ...] = ()

    def has_files(self, now: datetime) -> bool:
        """Whether there is something to fetch: it succeeded, its files are still there, and it lists some."""
        return self.status == "SUCCEEDED" and bool(self.files) and (self.expires is None or self.expires > now)


def ending_of(name: str) -> str:
    """The extension of a listed file, `.zip`; empty when it is none of those that jobs list."""
    return next((name[-len(ending) :] for ending in ARCHIVES if name.lower().endswith(ending)), "")


def read_job(document: object) -> Job | None:
    """A job from the API's JSON; None when it has no usable id. Missing, null and unknown keys are all in order."""
    if not isinstance(document, Mapping) or not isinstance(document.get("job_id"), str) or not _ID.fullmatch(document["job_id"]):
        return None
    listed = document.get("files")
    files = tuple(file for entry in listed if (file := _file(entry)) is not None) if isinstance(listed, list) else ()
    pictures = document.get("browse_images")
    name = document.get("name")
    return Job(
        id=document["job_id"],
        name=name if isinstance(name, str) else None,
        type=str(document.get("job_type") or ""),
        status=str(document.get("status_code") or ""),
        requested=parse_time(document.get("request_time")),
        expires=parse_time(document.get("expiration_time")),
        files=files,
        browse=next((one for one in pictures if _web(one)), None) if isinstance(pictures, list) else None,
        granules=_granules(document.get("job_parameters")),
    )


def list_jobs(
    api: Api,
    url: str,
    *,
    project: str | None = None,
    status: str | None = "SUCCEEDED",
    job_type: str | None = None,
    user: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> Iterator[Job]:
    """Jobs requested in [since, until), newest first, each once; `url`: of the API. Raises ProviderFault."""
    asked = {"name": project, "status_code": status, "job_type": job_type, "user_id": user}
    times = {name: format_time(time) for name, time in (("start", since), ("end", until)) if time is not None}
    parameters: dict[str, str | int | float] | None = {**{name: value for name, value in asked.items() if value is not None}, **times}
    seen: set[str] = set()
    pages: set[str] = set()
    place: str | None = f"{url.rstrip('/')}/jobs"
    empty = 0
    while place is not None:
        listed, following = _page(api.get_json(place, parameters), place)
        fresh = [job for entry in listed if (job := read_job(entry)) is not None and job.id not in seen]
        seen |= {job.id for job in fresh}
        yield from (job for job in fresh if until is None or job.requested is None or job.requested < until)
        empty = 0 if fresh else empty + 1
        if following is not None and (following in pages or empty > EMPTY):
            raise ProviderFault(f"{shown(place)} links to pages that were there already", Kind.CONFIG, host=host_of(place))
        pages |= {following} if following is not None else set()
        place, parameters = following, None


def unprocessed(granules: Iterable[str], jobs: Iterable[Job], now: datetime) -> list[str]:
    """Granules that no job works on or has files of: failed jobs and expired files count as not done."""
    done = {granule for job in jobs if job.status in UNFINISHED or job.has_files(now) for granule in job.granules}
    return [granule for granule in dict.fromkeys(granules) if granule not in done]


def _page(document: object, url: str) -> tuple[list[Any], str | None]:
    listed = document.get("jobs") if isinstance(document, Mapping) else None
    if not isinstance(document, Mapping) or not isinstance(listed, list):
        raise ProviderFault(f"{shown(url)} answered something that is no list of jobs", Kind.TRANSIENT, host=host_of(url))
    link = document.get("next")
    return listed, link if isinstance(link, str) and link else None


def _file(entry: object) -> JobFile | None:
    if not isinstance(entry, Mapping):
        return None
    url = entry.get("url") if _web(entry.get("url")) else None
    told = entry.get("s3")
    place: Mapping[str, Any] = told if isinstance(told, Mapping) else {}
    bucket, key = place.get("bucket"), place.get("key")
    where = (bucket, key) if isinstance(bucket, str) and isinstance(key, str) and bucket and key else (None, None)
    name = entry.get("filename") or (where[1] or unquote(urlsplit(url or "").path)).rpartition("/")[2]
    size = entry.get("size")
    if not isinstance(name, str) or not _SAFE.fullmatch(name) or name in {".", ".."} or (url is None and where[1] is None):
        return None
    return JobFile(name=name, size=size if isinstance(size, int) and size > 0 else None, url=url, bucket=where[0], key=where[1])


def _web(value: object) -> bool:
    return isinstance(value, str) and value.startswith(("http://", "https://"))


def _granules(parameters: object) -> tuple[str, ...]:
    if not isinstance(parameters, Mapping):
        return ()
    lists = [parameters.get(key) for key in ("granules", "reference", "secondary")]
    return tuple(str(one) for listed in lists if isinstance(listed, list) for one in listed)
