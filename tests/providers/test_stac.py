"""STAC APIs: complete listings from APIs that page oddly, and offers and files from items of any maker."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import urllib3
from support.archives import START, granule, record, square

from eolake.catalog.errors import ConfigError
from eolake.catalog.settings import Settings
from eolake.ingest.faults import Kind, ProviderFault
from eolake.ingest.providers.api import host_of
from eolake.ingest.providers.base import ProviderConfig, Query
from eolake.ingest.providers.registry import provider_config
from eolake.ingest.providers.stac import StacProvider
from eolake.ingest.providers.stac_items import Reading, offer_of
from eolake.ingest.simulators.archive import Archive
from eolake.ingest.simulators.content import zip_bytes
from eolake.ingest.simulators.dialects.stac import StacDialect
from eolake.ingest.simulators.server import Server
from eolake.ingest.transfer.engine import Engine

type Open = Callable[..., tuple[StacDialect, StacProvider, Server]]


@pytest.fixture
def stac() -> Iterator[Open]:
    """`dialect, provider, server = stac(records, limit=10, …)`: options of the provider as keywords."""
    with ExitStack() as stack:

        def opened(records: list[Any], described: dict[str, Any] | None = None, **options: Any) -> tuple[StacDialect, StacProvider, Server]:
            dialect = StacDialect(archive=Archive(records))
            server = stack.enter_context(Server(dialect))
            config = ProviderConfig(
                name="stac",
                kind="stac",
                urls={"api": f"{server.url}/stac"},
                collections={"lake_one": {"collection": "one", **(described or {})}, "lake_two": {"collection": "two"}},
                options={"limit": 10, "retry_delay": 0.01, "published": "published", "filter": "cql2-json", **options},
            )
            provider = StacProvider(config)
            stack.callback(provider.api.close)
            return dialect, provider, server

        yield opened


def ids(provider: StacProvider, **query: Any) -> list[str]:
    return [offer.id for offer in provider.search(Query(collection="lake_one", **query))]


@pytest.mark.parametrize("paging", ["merge", "body", "get"])
@pytest.mark.parametrize("method", ["POST", "GET"])
def test_next_links_of_any_kind(stac: Open, paging: Any, method: str) -> None:
    dialect, provider, _ = stac([record(n, "one") for n in range(47)], method=method)
    dialect.paging = paging
    assert sorted(ids(provider)) == [f"one/id-{n:05}" for n in range(47)]


def test_d04_empty_page_with_next_continues(stac: Open) -> None:
    dialect, provider, server = stac([record(n, "one") for n in range(45)])
    dialect.empty_every = 2
    assert len(ids(provider)) == 45
    assert server.stats.path("/stac/search").requests == 7  # five full pages, two empty ones


def test_d03_stac_next_link_to_itself_to_the_same_page_and_elsewhere(stac: Open) -> None:
    dialect, provider, server = stac([record(n, "one") for n in range(45)])
    for link, words in {"self": "circles", "same": "circles", "elsewhere": "not followed"}.items():
        dialect.link = link  # type: ignore[assignment]
        with pytest.raises(ProviderFault, match=words) as caught:
            ids(provider)
        assert caught.value.kind is Kind.CONFIG
    assert server.stats.path("/stac/search").requests <= 6


def test_ids_come_once_and_the_announced_number_is_not_trusted(stac: Open) -> None:
    dialect, provider, _ = stac([record(n, "one") for n in range(45)])
    dialect.repeat, dialect.matched = 4, 3
    assert sorted(ids(provider)) == [f"one/id-{n:05}" for n in range(45)]
    dialect.matched = 10**9
    assert len(ids(provider)) == 45


def test_equal_ids_of_two_collections_are_two_products(stac: Open) -> None:
    dialect, provider, _ = stac([record(1, "one"), record(2, "two")])
    shown = dialect.item(record(1, "one"), "{base}")
    dialect.items = {"id-00001": {**shown, "id": "x"}, "id-00002": {**shown, "id": "x", "collection": "two"}}
    assert [offer.id for offer in provider.search(Query())] == ["one/x", "two/x"]


def test_pages_that_are_too_large_are_asked_for_in_smaller_ones(stac: Open) -> None:
    dialect, provider, server = stac([record(n, "one") for n in range(150)], limit=1000)
    dialect.cap = 100
    assert len(ids(provider)) == 150
    assert server.stats.path("/stac/search").requests < 20


@pytest.mark.parametrize(("language", "method"), [("cql2-json", "POST"), ("cql2-json", "GET"), ("query", "POST"), ("query", "GET")])
def test_windows_of_publication_are_half_open(stac: Open, language: Any, method: str) -> None:
    dialect, provider, _ = stac([record(n, "one") for n in range(30)], filter="auto", method=method)
    dialect.language = language
    assert provider.windows == "published"
    first = START + timedelta(hours=6 + 10)
    middle, last = first + timedelta(hours=5), first + timedelta(hours=10)
    one, other = ids(provider, since=first, until=middle), ids(provider, since=middle, until=last)
    assert sorted(one) == [f"one/id-{n:05}" for n in range(10, 15)]
    assert sorted(other) == [f"one/id-{n:05}" for n in range(15, 20)]


def test_without_filters_discovery_goes_by_sensing(stac: Open) -> None:
    dialect, provider, _ = stac([record(n, "one") for n in range(30)], filter="auto")
    dialect.language = "none"
    assert provider.windows == "sensing"
    found = ids(provider, start=START + timedelta(hours=5), end=START + timedelta(hours=8, minutes=-1))
    assert sorted(found) == ["one/id-00005", "one/id-00006", "one/id-00007"]
    assert list(provider.changes(START)) == []


def test_areas_boxes_and_boxes_across_180_degrees(stac: Open) -> None:
    records = [
        record(1, "one", footprint=square(178.5, -20)),
        record(2, "one", footprint=square(-179.5, -20)),
        record(3, "one", footprint=square(0, 0)),
    ]
    _, provider, _ = stac(records)
    assert sorted(ids(provider, bbox=(178.0, -30.0, -178.0, 10.0))) == ["one/id-00001", "one/id-00002"]
    assert ids(provider, area=square(0.2, 0.2, 0.1)) == ["one/id-00003"]


def test_names_are_asked_for_as_ids_where_they_are_ids(stac: Open) -> None:
    _, provider, server = stac([record(n, "one") for n in range(300)], ids=True)
    wanted = [f"id-{n:05}" for n in range(0, 300, 2)]
    assert sorted(ids(provider, names=wanted)) == [f"one/{name}" for name in wanted]
    assert server.stats.path("/stac/search").requests < 25


def test_an_item_becomes_an_offer(stac: Open) -> None:
    name = "S2C_MSIL2A_20260301T014651_N0512_R017_T55HFA_20260301T042005"
    made = record(1, "one", name=name, attributes={"cloudCover": 12.5})
    dialect, provider, server = stac([made], names=["name"])
    (offer,) = provider.search(Query(collection="lake_one"))
    assert (offer.name, offer.collection, offer.cloud_cover, offer.size) == (name, "lake_one", 12.5, made.size)
    assert offer.scene_key is not None
    assert "55HFA" in offer.scene_key
    assert (offer.published, offer.start_at, offer.end_at) == (made.published, made.start, made.end)
    assert offer.source == f"{server.url}/stac/collections/one/items/id-00001"
    touched = dataclasses.replace(made, modified=made.modified + timedelta(days=1))
    other = dataclasses.replace(made, digests={"md5": "0" * 32})
    prints = [provider.offer_of(dialect.item(one, server.url)).fingerprint for one in (made, touched, other)]
    assert prints[0] == prints[1] != prints[2]


def test_d10_stac_same_name_new_id_is_one_scene_and_two_granules(stac: Open) -> None:
    old = "S2C_MSIL2A_20260301T014651_N0512_R017_T55HFA_20260301T042005"
    _, provider, _ = stac([record(1, "one", name=old), record(2, "one", name=old)], names=["name"])
    first, second = provider.search(Query(collection="lake_one"))
    assert first.id != second.id
    assert (first.scene_key, first.rank) == (second.scene_key, second.rank)


def test_modified_items_are_changes(stac: Open) -> None:
    old, new = record(1, "one"), record(20, "one")
    changed = dataclasses.replace(old, modified=START + timedelta(hours=24))
    _, provider, _ = stac([changed, new, record(2, "one")])
    since = START + timedelta(hours=20)
    (change,) = provider.changes(since)  # the new one is found as new
    assert (change.id, change.kind, change.at) == ("one/id-00001", "modified", changed.modified)


# --- files ---


def test_the_whole_product_and_its_picture(stac: Open, tmp_path: Any) -> None:
    picture = tmp_path / "ql.png"
    picture.write_bytes(b"\x89PNG")
    made = record(1, "one", quicklook=picture)
    _, provider, server = stac([made], product="Product")
    (offer,) = provider.search(Query(collection="lake_one"))
    data, overview = provider.resolve(granule(offer))
    assert (data.url, data.name, data.size) == (f"{server.url}/stac/files/id-00001", "PRODUCT_00001.zip", made.size)
    assert data.digests == {"multihash": f"d50110{made.digests['md5']}"}
    assert (overview.role, overview.url) == ("overview", f"{server.url}/stac/thumbnails/id-00001")


def test_by_reference_nothing_is_fetched_and_the_offer_has_the_item(stac: Open) -> None:
    _, provider, server = stac([record(1, "one")])
    (offer,) = provider.search(Query(collection="lake_one"))
    item = offer.detail["item"]
    assert item["id"] == "id-00001"
    assert item["assets"]["Product"]["href"] == f"{server.url}/stac/files/id-00001"
    assert list(provider.resolve(granule(offer, transfer="reference"))) == []


def test_t10_after_a_failure_the_item_is_read_again(stac: Open) -> None:
    made = record(1, "one")
    wrong = dataclasses.replace(made, digests={"md5": "0" * 32})
    dialect, provider, _ = stac([wrong])
    (offer,) = provider.search(Query(collection="lake_one"))
    dialect.archive.replace(made)
    (first,) = provider.resolve(granule(offer))
    (second,) = provider.resolve(granule(offer, fault="corrupt", attempts=2))
    assert first.digests == {"multihash": f"d50110{'0' * 32}"}
    assert second.digests == {"multihash": f"d50110{made.digests['md5']}"}
    dialect.archive.remove(made.id)
    with pytest.raises(ProviderFault) as caught:
        provider.resolve(granule(offer, attempts=2))
    assert caught.value.kind is Kind.GONE


def tree(base: str) -> dict[str, Any]:
    """An item as CDSE writes them: S3 first, https as alternate, a multihash for each file, the product's own tree."""
    root = "S2C_MSIL2A_20260527T014651_N0512_R017_T55WFR_20260527T042005"
    digest = hashlib.sha3_256(b"band").hexdigest()

    def asset(path: str, roles: list[str]) -> dict[str, Any]:
        nodes = "/".join(f"Nodes({step})" for step in f"{root}.SAFE/{path}".split("/"))
        return {
            "href": f"s3://eodata/Sentinel-2/MSI/L2A/2026/05/27/{root}.SAFE/{path}",
            "type": "image/jp2" if path.endswith("jp2") else "application/xml",
            "roles": roles,
            "file:size": 1554798,
            "file:checksum": f"1620{digest}",
            "file:local_path": f"{root}.SAFE/{path}",
            "alternate": {"https": {"href": f"{base}/odata/v1/Products(28ca37fe)/{nodes}/$value", "alternate:name": "HTTPS"}},
        }

    return {
        "type": "Feature",
        "stac_version": "1.1.0",
        "id": root,
        "collection": "one",
        "geometry": square(140, -37),
        "properties": {
            "datetime": "2026-05-27T01:46:51.024Z",
            "published": "2026-05-27T05:24:03.645127Z",
            "_private": {"product_name": f"{root}.SAFE", "product_uuid": "28ca37fe"},
            "auth:schemes": {"s3": {"type": "s3"}},
        },
        "assets": {
            "B02_10m": asset("GRANULE/L2A_T55WFR/IMG_DATA/R10m/T55WFR_B02_10m.jp2", ["data"]),
            "B02_20m": asset("GRANULE/L2A_T55WFR/IMG_DATA/R20m/T55WFR_B02_20m.jp2", ["data"]),
            "granule_metadata": asset("GRANULE/L2A_T55WFR/MTD_TL.xml", ["metadata"]),
            "thumbnail": {"href": f"{base}/ql.jpg", "type": "image/jpeg", "roles": ["thumbnail"]},
            "Product": {
                "href": f"{base}/odata/v1/Products(28ca37fe)/$value",
                "type": "application/zip",
                "roles": ["data", "archive"],
                "file:size": 9,
            },
        },
    }


def test_single_files_keep_the_products_tree_and_come_from_where_they_are_preferred(stac: Open) -> None:
    dialect, provider, server = stac([record(1, "one")], assets=["B*_10m", "*_metadata"], prefer="https", names=["_private.product_name"])
    dialect.items = {"id-00001": tree("{base}")}
    (offer,) = provider.search(Query(collection="lake_one"))
    assert offer.name == "S2C_MSIL2A_20260527T014651_N0512_R017_T55WFR_20260527T042005"
    assert "_private" not in str(offer.detail)
    band, metadata, picture = provider.resolve(granule(offer))
    assert band.name == f"{offer.name}.SAFE/GRANULE/L2A_T55WFR/IMG_DATA/R10m/T55WFR_B02_10m.jp2"
    assert band.url.startswith(f"{server.url}/odata/v1/Products(28ca37fe)/Nodes(")
    assert band.digests == {"multihash": f"1620{hashlib.sha3_256(b'band').hexdigest()}"}
    assert metadata.name.endswith("MTD_TL.xml")
    assert picture.role == "overview"
    assert offer.size == 2 * 1554798


def test_the_bucket_is_taken_where_it_is_preferred(stac: Open) -> None:
    dialect, provider, _ = stac([record(1, "one")], assets=["B02_10m"], prefer="s3")
    dialect.items = {"id-00001": tree("{base}")}
    (offer,) = provider.search(Query(collection="lake_one"))
    assert provider.resolve(granule(offer))[0].url.startswith("s3://eodata/Sentinel-2/")


@pytest.mark.parametrize("path", ["../../etc/passwd", "/etc/passwd", "a/../../b", "a\0b", "a\\..\\b", "x" * 300, "a//b"])
def test_t37_stac_names_never_leave_the_product(stac: Open, path: str) -> None:
    dialect, provider, _ = stac([record(1, "one")], assets=["B02_10m"])
    item = tree("{base}")
    item["assets"]["B02_10m"]["file:local_path"] = path
    dialect.items = {"id-00001": item}
    (offer,) = provider.search(Query(collection="lake_one"))
    assert provider.resolve(granule(offer))[0].name == "T55WFR_B02_10m.jp2"


def test_files_of_equal_names_in_several_folders_are_kept_apart(stac: Open) -> None:
    dialect, provider, _ = stac([record(1, "one")])
    item = tree("{base}")
    item["assets"] = {
        key: {"href": f"s3://b/{key}/metadata.xml", "type": "application/xml", "roles": ["metadata"]} for key in ("tile", "product")
    }
    dialect.items = {"id-00001": item}
    (offer,) = provider.search(Query(collection="lake_one"))
    assert sorted(part.name for part in provider.resolve(granule(offer))) == ["metadata.xml", "product_metadata.xml"]


def landsat(keys: dict[str, str], identity: str, collection: str) -> dict[str, Any]:
    name = "LC08_L2SP_090084_20260301_20260310_02_T1"
    assets = {
        key: {"href": f"https://landsatlook/{name}/{name}{end}", "alternate": {"s3": {"href": f"s3://usgs-landsat/{name}/{name}{end}"}}}
        for key, end in keys.items()
    }
    properties = {"datetime": "2026-03-01T23:50:00Z", "published": "2026-03-10T00:00:00Z"}
    return {
        "type": "Feature",
        "id": identity,
        "collection": collection,
        "geometry": square(148, -36),
        "properties": properties,
        "assets": assets,
    }


@pytest.mark.parametrize("style", ["new", "old"])
def test_landsat_files_are_found_by_their_ends_whatever_their_keys(stac: Open, style: str) -> None:
    new = {"blue": "_SR_B2.TIF", "qa_pixel": "_QA_PIXEL.TIF", "mtl.json": "_MTL.json", "browse": "_thumb_large.jpeg", "index": ""}
    old = {
        "SR_B2.TIF": "_SR_B2.TIF",
        "QA_PIXEL.TIF": "_QA_PIXEL.TIF",
        "MTL.json": "_MTL.json",
        "reduced_resolution_browse": "_thumb_large.jpeg",
    }
    dialect, provider, _ = stac(
        [record(1, "one"), record(2, "two")],
        {"sibling": {"collection": "two", "from": "_SR", "to": "_ST"}, "name": "LC08_L2SP"},
        suffixes=[".TIF", "_MTL.json"],
        prefer="s3",
        pattern=r"L[COTEM]0\d_L\w{3}_\d{6}_\d{8}_\d{8}_0\d_(?:T1|T2|RT)",
    )
    dialect.items = {
        "id-00001": landsat(new if style == "new" else old, "id-00001", "one"),
        "id-00002": landsat({"lwir11": "_ST_B10.TIF", "qa_pixel": "_QA_PIXEL.TIF"}, "id-00002", "two"),
    }
    dialect.items["id-00001"] = {**dialect.items["id-00001"], "id": "LC08_SR"}
    dialect.archive.add(record(3, "two", id="LC08_ST"))
    dialect.items["LC08_ST"] = {**dialect.items["id-00002"], "id": "LC08_ST"}
    (offer,) = provider.search(Query(collection="lake_one"))
    assert offer.name == "LC08_L2SP_090084_20260301_20260310_02_T1"
    parts = provider.resolve(granule(offer))
    ends = sorted(part.name.removeprefix(offer.name) for part in parts if part.role == "data")
    assert ends == ["_MTL.json", "_QA_PIXEL.TIF", "_SR_B2.TIF", "_ST_B10.TIF"]
    assert all(part.url.startswith("s3://usgs-landsat/") for part in parts)


def test_an_item_without_files_is_gone(stac: Open) -> None:
    _, provider, _ = stac([record(1, "one")], assets=["nothing*"])
    (offer,) = provider.search(Query(collection="lake_one"))
    with pytest.raises(ProviderFault) as caught:
        provider.resolve(granule(offer))
    assert caught.value.kind is Kind.GONE


# --- signatures ---


@pytest.fixture
def signed(stac: Open) -> Callable[..., tuple[StacDialect, StacProvider, Server]]:
    """An API whose files want a signature."""

    def opened(records: list[Any], *, seconds: float, **times: float) -> tuple[StacDialect, StacProvider, Server]:
        dialect, provider, server = stac(records)
        dialect.sas = seconds
        url = f"{server.url}/stac/sas/token/{{account}}/{{container}}"
        config = dataclasses.replace(
            provider.config, options={**provider.config.options, "sas": {"url": url, "hosts": [host_of(server.url)], **times}}
        )
        signing = StacProvider(config)
        provider.api.close()
        return dialect, signing, server

    return opened


def asked(server: Server) -> int:
    return sum(entry.requests for path, entry in ((p, server.stats.path(p)) for p in ("/stac/sas/token/127/stac",)) if path)


def test_t35_one_signature_for_a_container_until_five_minutes_before_its_end(signed: Any) -> None:
    _dialect, provider, server = signed([record(n, "one") for n in range(8)], seconds=3600)
    for number, offer in enumerate(provider.search(Query(collection="lake_one"))):
        (part,) = provider.resolve(granule(offer, granule_id=number))
        assert urllib3.request("GET", part.url).status == 200
        assert "sig=" not in str(offer.detail)
        assert not part.login
    assert asked(server) == 1
    later = provider.signer.monotonic() + 3600 - 299
    provider.signer.monotonic = lambda: later
    provider.resolve(granule(offer, granule_id=99))
    assert asked(server) == 2
    provider.api.close()


def test_t35_an_expired_signature_is_made_anew(signed: Any) -> None:
    dialect, provider, _server = signed([record(1, "one")], seconds=3600, young=0)
    (offer,) = provider.search(Query(collection="lake_one"))
    row = granule(offer)
    (first,) = provider.resolve(row)
    dialect.signatures.clear()  # whatever was signed is refused from now on
    assert urllib3.request("GET", first.url).status == 403
    (second,) = provider.resolve(row)  # the same granule under the same lease asks again: the first URL expired mid-way
    assert second.url != first.url
    assert second.url.partition("?")[0] == first.url.partition("?")[0]
    assert urllib3.request("GET", second.url).status == 200
    provider.api.close()


def test_t35_a_fresh_signature_is_not_asked_for_again(signed: Any) -> None:
    _, provider, server = signed([record(1, "one")], seconds=3600)
    (offer,) = provider.search(Query(collection="lake_one"))
    for _ in range(5):  # refused for another reason than its age
        provider.resolve(granule(offer))
    assert asked(server) == 1
    provider.api.close()


def test_t35_a_signature_that_ends_in_the_middle_of_a_file_costs_no_byte(signed: Any, tmp_path: Path) -> None:
    body = zip_bytes("PRODUCT_00001.SAFE", 2_000_000)
    dialect, provider, server = signed([record(1, "one", body=body)], seconds=3600, young=0)
    (offer,) = provider.search(Query(collection="lake_one"))
    row = granule(offer)
    server.script([{"match": "/stac/files/*", "nth": [1], "fault": {"close": {"after": 1_000_000, "how": "fin"}}}])
    engine = Engine()
    came: list[int] = []

    def progress(count: int) -> None:
        came.append(count)
        dialect.signatures.clear()  # it ends as soon as the first bytes are there

    try:
        with pytest.raises(ProviderFault) as caught:
            engine.fetch(provider.resolve(row)[0], tmp_path / "file.zip", progress=progress)
        assert caught.value.code == "expired"
        fetched = engine.fetch(provider.resolve(row)[0], tmp_path / "file.zip")
    finally:
        engine.close()
        provider.api.close()
    assert (tmp_path / "file.zip").read_bytes() == body
    assert fetched.digests
    assert server.stats.path("/stac/files/id-00001").resent <= 200_000


def test_too_many_signatures_is_a_matter_of_the_rate(signed: Any) -> None:
    _, provider, server = signed([record(1, "one")], seconds=3600)
    (offer,) = provider.search(Query(collection="lake_one"))
    server.script([{"match": "/stac/sas/*", "fault": {"status": 429, "retry_after": "30"}}])
    with pytest.raises(ProviderFault) as caught:
        provider.resolve(granule(offer))
    assert (caught.value.kind, caught.value.retry_after) == (Kind.RATE, 30)
    provider.api.close()


# --- configuration ---


@pytest.mark.parametrize(
    "wrong",
    [
        {"urls": {}},
        {"options": {"method": "PUT"}},
        {"options": {"sas": {"url": "https://x/{account}"}}},
    ],
)
def test_wrong_configurations_say_so(wrong: dict[str, Any]) -> None:
    config = ProviderConfig(**{"name": "x", "kind": "stac", "urls": {"api": "http://127.0.0.1:9/stac"}, **wrong})
    with pytest.raises(ConfigError):
        StacProvider(config)


def test_pages_that_are_none_and_services_that_are_gone(stac: Open) -> None:
    _, provider, server = stac([record(1, "one")])
    server.script([{"match": "/stac/search", "fault": {"page": "login"}}])
    with pytest.raises(ProviderFault) as caught:
        ids(provider)
    assert caught.value.kind is Kind.TRANSIENT
    server.script([{"match": "/stac/search", "fault": {"status": 404}}])
    with pytest.raises(ProviderFault) as caught:
        ids(provider)
    assert (caught.value.kind, caught.value.status) == (Kind.GONE, 404)


def test_public_cogs_of_a_preset_are_published_where_they_are() -> None:
    """Nobody has to say so: no sensor of the lake would know their files."""
    config = provider_config(Settings(root=Path()), "earth-search")
    reading = Reading.of(config.options, config.collections["s2_c1_l2a_ref"])
    told = {"datetime": "2020-01-08T00:11:14Z"}
    item = {"id": "S2A_T55HFA_20200108T001114_L2A", "collection": "sentinel-2-c1-l2a", "properties": told, "assets": {}}
    offer = offer_of(
        item, provider="earth-search", source="https://127.0.0.1/1", reading=reading, lake_collection="s2_c1_l2a_ref", own=None
    )
    assert offer.transfer == "reference"
