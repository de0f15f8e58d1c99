"""Files that web servers list, in every form that they use."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from eolake.catalog.errors import ConfigError
from eolake.ingest.faults import Kind, ProviderFault
from eolake.ingest.providers.base import ProviderConfig, Query
from eolake.ingest.providers.directory import DirectoryProvider
from eolake.ingest.simulators.archive import Archive
from eolake.ingest.simulators.dialects.autoindex import AutoindexDialect, Style
from eolake.ingest.simulators.messages import Request, Response
from eolake.ingest.simulators.server import Server

from .support import DAY, granule, record

EVIL = (
    '<a href="/etc/passwd">x</a><a href="https://evil.example.org/data/2024/a.zip">x</a><a href="//evil.example.org/a.zip">x</a>'
    '<a href="..%2f..%2fetc">x</a><a href="javascript:alert(1)">x</a><a href="?C=S;O=A">x</a><a href="http://[">x</a><a>x</a>'
    '<a href="/data/">x</a><a href="#top">x</a>'
)


@pytest.fixture
def archive() -> Archive:
    return Archive(record(number, published=DAY, modified=DAY + timedelta(hours=number)) for number in range(60))


@pytest.fixture(params=["apache", "nginx", "json", "s3"])
def style(request: pytest.FixtureRequest) -> Style:
    found: Style = request.param
    return found


@pytest.fixture
def server(archive: Archive, style: Style) -> Iterator[Server]:
    with Server(AutoindexDialect(archive, style=style, extra=EVIL if style in {"apache", "nginx"} else "")) as server:
        yield server


def configuration(url: str, style: str = "apache", **options: Any) -> ProviderConfig:
    listing = {"listing": "bucket"} if style == "s3" else {}
    place = {"path": "{:%Y/%m/%d}", "match": "*.zip", "depth": 0, "relist": 30}
    return ProviderConfig(
        name="web", kind="http-directory", urls={"base": url}, collections={"c": place}, options={"retry_delay": 0, **listing, **options}
    )


def test_t33_listings_of_every_form_give_the_same_files(server: Server, style: Style, archive: Archive) -> None:
    provider = DirectoryProvider(configuration(f"{server.url}/data", style))
    found = list(provider.search(Query(collection="c", start=DAY, end=DAY + timedelta(days=3))))
    assert [(offer.name, offer.size) for offer in found] == [
        (entry.name, entry.size) for entry in sorted(archive.records, key=lambda r: r.modified)
    ]
    assert [offer.modified for offer in found if offer.modified] == sorted(offer.modified for offer in found if offer.modified)
    assert all(offer.scene_key for offer in found)
    [part] = provider.resolve(granule(found[7]))
    assert part.size == found[7].size
    assert part.url == found[7].source
    assert part.name == f"{found[7].name}.zip"
    provider.close()


def test_a_path_of_no_day_is_walked_down(server: Server, style: Style, archive: Archive) -> None:
    base = configuration(f"{server.url}/data", style)
    whole = ProviderConfig(name="web", kind=base.kind, urls=base.urls, collections={"c": {"match": "*.zip"}}, options=base.options)
    assert len(list(DirectoryProvider(whole).search(Query(collection="c")))) == 60


def page(body: bytes | str, media_type: str = "text/html") -> Server:
    def handler(request: Request) -> Response | None:
        if request.method == "HEAD":
            return Response(headers={"Last-Modified": "Thu, 01 Feb 2024 10:00:00 GMT", "ETag": '"tag"'}, body=b"12345")
        if request.path != "/data/":
            return None
        return Response(headers={"Content-Type": media_type}, body=body.encode() if isinstance(body, str) else body)

    return Server(handler)


def listed(server: Server, **place: Any) -> list[Any]:
    config = ProviderConfig(name="web", kind="http-directory", urls={"base": f"{server.url}/data"}, collections={"c": place})
    return list(DirectoryProvider(config).search(Query(collection="c")))


def test_only_links_below_the_base_count() -> None:
    with page(
        f'<html>{EVIL}<a href="good.zip">good</a><a href="/data/abs.zip?download=1">abs</a><a href="a/b/deep.zip">deep</a></html>'
    ) as server:
        assert [offer.id for offer in listed(server, depth=0)] == ["abs.zip", "good.zip"]


def test_names_with_spaces_and_umlauts_and_hostile_ones() -> None:
    body = '<a href="a%20b%C3%A4.zip">x</a><a href="%2e%2e">x</a><a href="a%00.zip">x</a><a href="c%0A.zip">x</a>'
    with page(body) as server:
        [offer] = listed(server)
        assert offer.id == "a bä.zip"
        assert offer.source == f"{server.url}/data/a%20b%C3%A4.zip"


def test_head_fills_size_date_and_tag() -> None:
    with page('<a href="a.zip">a</a>') as server:
        [offer] = listed(server)
    assert (offer.size, offer.fingerprint) == (5, "size:5,etag:tag")
    assert offer.published == datetime(2024, 2, 1, 10, tzinfo=UTC)


def test_a_server_without_head_leaves_size_open_and_says_so() -> None:
    def handler(request: Request) -> Response | None:
        return Response(status=405) if request.method == "HEAD" else Response(body=b'<a href="a.zip">a</a>')

    with Server(handler) as server:
        [offer] = listed(server)
    assert (offer.size, offer.published, offer.detail["notes"]) == (None, None, ["no size", "no time"])


def test_ceda_style_page_with_absolute_addresses() -> None:
    def handler(request: Request) -> Response | None:
        if request.method == "HEAD":
            return Response(body=b"1")
        links = f'<a href="{request.base}/data/x.nc?download=1">x</a><a href="{request.base}/data/x.nc">x</a>'
        return Response(body=links.encode())

    with Server(handler) as server:
        assert [offer.id for offer in listed(server)] == ["x.nc"]


@pytest.mark.parametrize("body", ["", "<html", "<a href=", "{}", "\x00\x01", "<a href='" + "x" * 10000 + "'>", "<" * 5000])
def test_pages_that_are_no_listings_give_nothing(body: str) -> None:
    with page(body) as server:
        assert listed(server, depth=0) == []


@pytest.mark.parametrize("document", [[1, None, {}], [{"name": 7}], [{"name": "../x", "type": "file", "size": 1, "mtime": "x"}]])
def test_odd_json_gives_nothing(document: Any) -> None:
    with page(json.dumps(document), "application/json") as server:
        assert listed(server) == []


@pytest.mark.parametrize(
    "body",
    [
        "<html></html",
        "<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>",
        '<!DOCTYPE a [<!ENTITY b "c">]><ListBucketResult>&b;</ListBucketResult>',
        "not xml",
    ],
)
def test_a_bucket_that_answers_nonsense_is_a_passing_fault(body: str) -> None:
    with Server(lambda _: Response(body=body.encode())) as server:
        config = configuration(f"{server.url}/data", "s3")
        with pytest.raises(ProviderFault) as fault:
            list(DirectoryProvider(config).search(Query(collection="c", start=DAY, end=DAY)))
    assert fault.value.kind is Kind.TRANSIENT


def test_a_bucket_that_lists_in_circles_is_stopped() -> None:
    body = b"<R><IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken></R>"
    with Server(lambda _: Response(body=body)) as server:
        config = configuration(f"{server.url}/data", "s3")
        with pytest.raises(ProviderFault, match="circles"):
            list(DirectoryProvider(config).search(Query(collection="c", start=DAY, end=DAY)))


def test_a_bucket_of_more_than_one_page() -> None:
    many = Archive(record(number, start=DAY, end=DAY, name=f"p{number:05}") for number in range(2500))
    with Server(AutoindexDialect(many, style="s3")) as server:
        config = configuration(f"{server.url}/data", "s3")
        found = list(DirectoryProvider(config).search(Query(collection="c", start=DAY, end=DAY + timedelta(days=1))))
    assert len({offer.id for offer in found}) == 2500


def test_address_must_be_one_of_the_web() -> None:
    with pytest.raises(ConfigError, match="http-directory"):
        DirectoryProvider(ProviderConfig(name="web", kind="http-directory", urls={"base": "ftp://x/"}))
