"""A HyP3 API over an archive: newest first, pages that are empty and go on, files that expire."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import quote, urlencode

from eolake.ingest.simulators.archive import Archive, Record
from eolake.ingest.simulators.messages import Request, Response, json_response

PROBLEM = "application/problem+json"


@dataclass(slots=True, kw_only=True)
class Hyp3Dialect:
    """Answers below `prefix`; tests and users change its switches while it serves.

    A record's id is the job's, its time of publication that of the request, its collection the project. Its attributes may hold `status`,
    `job_type`, `user`, `expires` (a datetime), `granules`, `bucket`, `key`, and `job`: a recorded job that is shown as it is."""

    archive: Archive
    prefix: str = "/hyp3"
    page: int = 2
    """Jobs that are looked at for a page, before the filters: so that pages may be empty."""
    bearer: str | None = None
    """The token that requests must carry."""
    link: str = "right"
    """`self`: next links lead to themselves; `elsewhere`: to another host."""
    requests: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, request: Request) -> Response | None:
        """An answer, or None: somebody else's."""
        if not request.path.startswith(self.prefix):
            return None
        with self._lock:
            self.requests.append(request.target)
        kind, _, rest = request.path.removeprefix(self.prefix).strip("/").partition("/")
        if kind == "jobs":
            if self.bearer is not None and request.bearer != self.bearer:
                return _problem(401, "No authorization token provided")
            return self._one(request, rest) if rest else self._jobs(request)
        return self._file(rest) if kind == "files" else None

    def job(self, record: Record, base: str) -> Mapping[str, Any]:
        """The job of a record."""
        told = record.attributes
        if "job" in told:
            shown: Mapping[str, Any] = told["job"]
            return shown
        status = str(told.get("status", "SUCCEEDED"))
        job: dict[str, Any] = {
            "job_id": record.id,
            "job_type": told.get("job_type", "RTC_GAMMA"),
            "job_parameters": {"granules": list(told.get("granules", [])), "speckle_filter": True},
            "name": record.collection,
            "user_id": told.get("user", "asf_hyp3"),
            "request_time": record.published.isoformat(timespec="seconds"),
            "status_code": status,
            "credit_cost": 1,
            "priority": 9999,
        }
        if status != "SUCCEEDED":
            return job
        name = f"{record.name}.zip"
        place = f"{base}{self.prefix}/files/{quote(record.id)}"
        expires = told.get("expires")
        file: dict[str, Any] = {"filename": name, "size": record.size, "url": f"{place}/{quote(name)}"}
        if "bucket" in told:
            file["s3"] = {"bucket": told["bucket"], "key": told.get("key", f"{record.id}/{name}")}
        pictures = [f"{place}/{quote(record.name)}.png"] if record.quicklook is not None else []
        shown_until = expires.isoformat() if isinstance(expires, datetime) else None
        return {**job, "files": [file], "browse_images": pictures, "thumbnail_images": [], "logs": [], "expiration_time": shown_until}

    def _jobs(self, request: Request) -> Response:
        newest = list(reversed(self.archive.records))
        first = int(request.get("start_token") or 0)
        page = [self.job(record, request.base) for record in newest[first : first + self.page]]
        answer: dict[str, Any] = {"jobs": [job for job in page if _fits(job, request)]}
        if first + self.page < len(newest) or self.link == "self":
            asked = {key: values[-1] for key, values in request.query.items() if key != "start_token"}
            base = "http://203.0.113.9" if self.link == "elsewhere" else request.base
            token = first if self.link == "self" else first + self.page
            answer["next"] = f"{base}{self.prefix}/jobs?{urlencode({**asked, 'start_token': token})}"
        return json_response(answer)

    def _one(self, request: Request, identity: str) -> Response:
        record = self.archive.get(identity)
        return json_response(self.job(record, request.base)) if record is not None else _problem(404, "job_id does not exist")

    def _file(self, rest: str) -> Response:
        identity, _, name = rest.partition("/")
        record = self.archive.get(identity)
        if record is None:
            return _problem(404, "no such file")
        picture = record.thumbnail() if name.endswith(".png") else None
        return Response(body=picture or record.body())


def _fits(job: Mapping[str, Any], request: Request) -> bool:
    equal = all(request.get(key) in {None, job.get(key)} for key in ("name", "status_code", "job_type", "user_id"))
    asked = datetime.fromisoformat(job["request_time"])
    begin, end = request.get("start"), request.get("end")
    return equal and (begin is None or asked >= datetime.fromisoformat(begin)) and (end is None or asked <= datetime.fromisoformat(end))


def _problem(status: int, detail: str) -> Response:
    return json_response({"status": status, "detail": detail, "title": "Error", "type": "about:blank"}, status, media_type=PROBLEM)
