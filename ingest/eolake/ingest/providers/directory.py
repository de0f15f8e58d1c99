"""The kind `http-directory`: files that a web server lists, as Apache and nginx do in HTML, nginx in JSON, buckets in XML."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from html.parser import HTMLParser
from typing import Any, override
from urllib.parse import quote, unquote, urljoin, urlsplit
from xml.etree.ElementTree import Element

from eolake.catalog.errors import BadProduct, ConfigError
from eolake.ingest.faults import Kind, ProviderFault
from eolake.ingest.logins.base import Login
from eolake.ingest.providers.api import Answer, Api, host_of, shown
from eolake.ingest.providers.base import ProviderConfig
from eolake.ingest.providers.odata import parse_time
from eolake.ingest.providers.tree import Item, TreeProvider

NGINX = re.compile(r"^\s*(?P<date>\d{2}-[A-Z][a-z]{2}-\d{4} \d{2}:\d{2})\s+(?P<size>\d+)\s*$")
PAGES = 10_000
"""Of a bucket's listing at most."""


class DirectoryProvider(TreeProvider):
    """Files below an address. Only links below it count; HEAD fills size and time where the listing has none."""

    def __init__(self, config: ProviderConfig, login: Login | None = None) -> None:
        """ConfigError without `urls.base`. Option `listing`: `bucket` for a bucket that lists itself in XML."""
        base = config.urls.get("base", "")
        if urlsplit(base).scheme not in {"http", "https"}:
            raise ConfigError(f"[providers.{config.name}.urls] base: the kind http-directory needs one (https://…)")
        lister = DirectoryLister(base=base.rstrip("/"), api=Api(config, login), bucket=config.options.get("listing") == "bucket")
        super().__init__(config, lister, login)


@dataclass(slots=True, kw_only=True)
class DirectoryLister:
    """Reads listings in whatever form they come."""

    base: str
    api: Api
    bucket: bool = False

    def list(self, folder: str) -> Sequence[Item]:
        """See Lister."""
        if self.bucket:
            return self._keys(folder)
        url = self.url(f"{folder}/" if folder else "")
        answer = self._asked("GET", url)
        body = answer.body.lstrip()
        if body[:1] == b"[":
            return _from_json(answer.json(), folder)
        return _from_html(answer, url, folder)

    def look(self, item: Item) -> Item:
        """By HEAD; a server that does not know it leaves size and time open."""
        answer = self._asked("HEAD", self.url(item.path), accept=frozenset({405, 501}))
        if answer.status >= 400:
            return item
        length = answer.headers.get("content-length", "")
        return replace(
            item,
            size=int(length) if length.isdecimal() else item.size,
            modified=_http_date(answer.headers.get("last-modified")) or item.modified,
            etag=_strong(answer.headers.get("etag")) or item.etag,
        )

    def url(self, path: str) -> str:
        """See Lister."""
        return f"{self.base}/{quote(path)}"

    def close(self) -> None:
        """See Lister."""
        self.api.close()

    def _asked(self, method: Any, url: str, accept: frozenset[int] = frozenset()) -> Answer:
        return self.api.request(method, url, headers={"Accept-Encoding": "identity"} if method == "HEAD" else None, accept=accept)

    def _keys(self, folder: str) -> Sequence[Item]:
        """All keys below a folder of a bucket (ListObjectsV2)."""
        found: list[Item] = []
        token: str | None = None
        for _ in range(PAGES):
            asked = {"list-type": "2", "prefix": f"{folder}/" if folder else "", **({"continuation-token": token} if token else {})}
            page = _bucket_page(self.api.get_bytes(f"{self.base}/", asked), self.base)
            found += page.items
            if page.token is None:
                return found
            if page.token == token:
                break
            token = page.token
        raise ProviderFault(f"{shown(self.base)} lists in circles", Kind.CONFIG, host=host_of(self.base))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Page:
    items: Sequence[Item]
    token: str | None


def _from_json(document: Any, folder: str) -> Sequence[Item]:
    """nginx: autoindex_format json."""
    lines = [line for line in document if isinstance(line, dict) and isinstance(line.get("name"), str)]
    return [
        Item(
            path=f"{folder}/{line['name']}" if folder else line["name"],
            folder=line.get("type") == "directory",
            size=line["size"] if isinstance(line.get("size"), int) else None,
            modified=_http_date(line.get("mtime")),
        )
        for line in lines
    ]


class _Links(HTMLParser):
    """The links of a page, each with the text behind it."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, str]] = []
        self._inside = False

    @override
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        href = dict(attrs).get("href") if tag == "a" else None
        if href is not None:
            self.found.append((href, ""))
        self._inside = tag == "a"

    @override
    def handle_endtag(self, tag: str) -> None:
        self._inside = self._inside and tag != "a"

    @override
    def handle_data(self, data: str) -> None:
        if self.found and not self._inside:
            href, text = self.found[-1]
            self.found[-1] = (href, f"{text}{data}"[:400])


def _from_html(answer: Answer, url: str, folder: str) -> Sequence[Item]:
    """What the page links to that lies directly in its folder; links elsewhere, upwards or to another order of the page don't count."""
    parser = _Links()
    parser.feed(answer.body.decode("utf-8", "replace"))
    parser.close()
    here = urlsplit(url)
    found: dict[str, Item] = {}
    for href, text in parser.found:
        name = _child(href, answer.url, here.netloc, unquote(here.path))
        if name is not None:
            path = f"{folder}/{name.rstrip('/')}" if folder else name.rstrip("/")
            found.setdefault(path, _with_text(Item(path=path, folder=name.endswith("/")), text))
    return list(found.values())


def _child(href: str, page: str, host: str, folder: str) -> str | None:
    """The name (a folder's with its slash) of what a link means; None when it lies elsewhere."""
    try:
        target = urlsplit(urljoin(page, href))
    except ValueError:
        return None
    path = unquote(target.path)
    if target.scheme not in {"http", "https"} or target.netloc != host or not path.startswith(folder):
        return None
    name = path.removeprefix(folder)
    only_order = path == folder or (not urlsplit(href).path and bool(target.query))
    return None if only_order or not name or "/" in name.rstrip("/") or name.count("/") > 1 else name


def _with_text(item: Item, text: str) -> Item:
    """nginx writes date and exact size behind each link; Apache rounds, so that is not read."""
    match = NGINX.match(text)
    if match is None or item.folder:
        return item
    modified = datetime.strptime(match["date"], "%d-%b-%Y %H:%M").replace(tzinfo=UTC)
    return replace(item, size=int(match["size"]), modified=modified)


def _bucket_page(body: bytes, base: str) -> _Page:
    from eolake.catalog.safe.documents import xml_root

    try:
        root = xml_root(body, "a listing")
    except BadProduct as error:
        raise ProviderFault(f"{shown(base)} answered no listing of a bucket", Kind.TRANSIENT, host=host_of(base)) from error
    space = root.tag.partition("}")[0] + "}" if root.tag.startswith("{") else ""
    items = [item for element in root.iter(f"{space}Contents") if (item := _object(element, space)) is not None]
    more = (root.findtext(f"{space}IsTruncated") or "").lower() == "true"
    token = root.findtext(f"{space}NextContinuationToken") if more else None
    if more and not token:
        raise ProviderFault(f"{shown(base)} cuts its listing short without saying how to go on", Kind.TRANSIENT, host=host_of(base))
    return _Page(items=items, token=token)


def _object(element: Element, space: str) -> Item | None:
    key, size = element.findtext(f"{space}Key") or "", element.findtext(f"{space}Size") or ""
    if not key or key.endswith("/"):
        return None
    return Item(
        path=key,
        size=int(size) if size.isdecimal() else None,
        modified=parse_time(element.findtext(f"{space}LastModified")),
        etag=_strong(element.findtext(f"{space}ETag")),
    )


def _strong(etag: str | None) -> str | None:
    """A strong ETag without its quotes."""
    return etag.strip('"') if etag and not etag.startswith("W/") else None


def _http_date(text: object) -> datetime | None:
    if not isinstance(text, str):
        return None
    try:
        time = parsedate_to_datetime(text)
    except ValueError:
        return None
    return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
