"""Directories of files over HTTP as servers list them: Apache and nginx in HTML, nginx in JSON, S3 in XML."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from typing import Literal
from urllib.parse import quote

import orjson

from eolake.ingest.simulators.archive import Archive, Record
from eolake.ingest.simulators.messages import Request, Response

Style = Literal["apache", "nginx", "json", "s3"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A line of a listing."""

    name: str
    """A folder ends in `/`."""
    size: int | None = None
    modified: datetime | None = None


class AutoindexDialect:
    """The products below `base`, in folders by day of sensing (`layout`, a strftime pattern)."""

    def __init__(
        self, archive: Archive, *, base: str = "/data", style: Style = "apache", layout: str = "%Y/%m/%d/", extra: str = ""
    ) -> None:
        """`extra`: HTML that stands in every listing."""
        self.archive, self.base, self.style, self.layout, self.extra = archive, base.rstrip("/"), style, layout, extra

    def __call__(self, request: Request) -> Response | None:
        """None: not below the base."""
        if not request.path.startswith(f"{self.base}/"):
            return None
        path = request.path.removeprefix(f"{self.base}/")
        files = self.files()
        if path in files:
            return Response(body=files[path].body())
        if self.style == "s3" and not path:
            return _bucket(request, files)
        items = _below(path, files)
        if path and (not items or not path.endswith("/")):
            if items:
                return Response(status=301, headers={"Location": f"{request.path}/"})
            return Response(status=404, body=b"<html>404</html>")
        return self._listing(request.path, items)

    def files(self) -> Mapping[str, Record]:
        """Path below the base → product."""
        found = {}
        for record in self.archive.records:
            suffix = record.file.suffix if record.file is not None else ".zip"
            found[f"{record.start.strftime(self.layout)}{record.name}{suffix}"] = record
        return found

    def _listing(self, path: str, items: list[Item]) -> Response:
        if self.style == "json":
            document = [
                {"name": item.name.rstrip("/"), "type": "directory" if item.name.endswith("/") else "file", **_json(item)} for item in items
            ]
            return Response(headers={"Content-Type": "application/json"}, body=orjson.dumps(document))
        lines = "".join(_apache(item) if self.style == "apache" else _nginx(item) for item in items)
        parent = '<tr><td><a href="../">Parent Directory</a></td></tr>' if self.style == "apache" else '<a href="../">../</a>\n'
        sorting = '<th><a href="?C=N;O=D">Name</a></th><th><a href="?C=M;O=A">Last modified</a></th>' if self.style == "apache" else ""
        body = (
            f"<table>{sorting}{parent}{lines}</table>"
            if self.style == "apache"
            else f"<h1>Index of {escape(path)}</h1><pre>{parent}{lines}</pre>"
        )
        return Response(headers={"Content-Type": "text/html"}, body=f"<html><body>{self.extra}{body}</body></html>".encode())


def _below(path: str, files: Mapping[str, Record]) -> list[Item]:
    """The folders and files of one folder."""
    prefix = path if path.endswith("/") or not path else f"{path}/"
    folders: set[str] = set()
    found: list[Item] = []
    for name, record in files.items():
        if name.startswith(prefix):
            head, slash, _ = name.removeprefix(prefix).partition("/")
            if slash:
                folders.add(f"{head}/")
            else:
                found.append(Item(name=head, size=record.size, modified=record.modified))
    return [*(Item(name=folder) for folder in sorted(folders)), *sorted(found, key=lambda item: item.name)]


def _json(item: Item) -> dict[str, str | int]:
    found: dict[str, str | int] = {"mtime": _http(item.modified)} if item.modified else {}
    return found | ({"size": item.size} if item.size is not None else {})


def _apache(item: Item) -> str:
    when = item.modified.strftime("%Y-%m-%d %H:%M") if item.modified else ""
    size = f"{item.size / 1024:.0f}K" if item.size is not None else "-"
    return f'<tr><td><a href="{escape(quote(item.name))}">{escape(item.name)}</a></td><td>{when}</td><td>{size}</td></tr>'


def _nginx(item: Item) -> str:
    when = item.modified.strftime("%d-%b-%Y %H:%M") if item.modified else ""
    size = str(item.size) if item.size is not None else "-"
    return f'<a href="{escape(quote(item.name))}">{escape(item.name)}</a>   {when}   {size}\n'


def _bucket(request: Request, files: Mapping[str, Record]) -> Response:
    """ListObjectsV2, a thousand keys at most."""
    prefix, after = request.get("prefix") or "", request.get("continuation-token") or request.get("start-after") or ""
    most = min(int(request.get("max-keys") or 1000), 1000)
    keys = sorted(key for key in files if key.startswith(prefix) and key > after)
    page, more = keys[:most], len(keys) > most
    contents = "".join(
        f"<Contents><Key>{escape(key)}</Key><LastModified>{files[key].modified.strftime('%Y-%m-%dT%H:%M:%S.000Z')}</LastModified>"
        f"<ETag>&quot;{files[key].digests.get('md5', '')}&quot;</ETag><Size>{files[key].size}</Size></Contents>"
        for key in page
    )
    token = f"<NextContinuationToken>{escape(page[-1])}</NextContinuationToken>" if more else ""
    text = (
        '<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
        f"<IsTruncated>{str(more).lower()}</IsTruncated>{token}{contents}</ListBucketResult>"
    )
    return Response(headers={"Content-Type": "application/xml"}, body=text.encode())


def _http(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")
