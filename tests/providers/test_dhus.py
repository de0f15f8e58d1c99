"""DHuS hubs: complete listings, bytes and digests from OData, orders from the archive; and all recorded answers of a real hub."""

from __future__ import annotations

import ast
import gzip
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from shapely.geometry import shape

import eolake.ingest
from eolake.catalog.errors import ConfigError
from eolake.ingest.faults import Kind, ProviderFault
from eolake.ingest.providers.base import ProviderConfig, Query
from eolake.ingest.providers.dhus import DhusProvider, quoted
from eolake.ingest.providers.dhus_feed import cause, parse_date, read_feed, read_product
from eolake.ingest.providers.odata import plain_name
from eolake.ingest.simulators.archive import Archive
from eolake.ingest.simulators.dialects.dhus import DhusDialect
from eolake.ingest.simulators.dialects.resto import RestoDialect
from eolake.ingest.simulators.messages import Request, Response
from eolake.ingest.simulators.server import Server

from .support import BYTES, DAY, granule, record

MAINTENANCE = "<!DOCTYPE html><html><head><title>The Sentinels Scientific Data Hub will be back soon!</title></head></html>"


@pytest.fixture
def archive() -> Archive:
    return Archive(record(number) for number in range(250))


@pytest.fixture
def hub(archive: Archive) -> DhusDialect:
    return DhusDialect(archive)


@pytest.fixture
def server(hub: DhusDialect) -> Iterator[Server]:
    with Server(hub) as server:
        yield server


def configuration(server: Server, **options: Any) -> ProviderConfig:
    return ProviderConfig(
        name="hub",
        kind="dhus",
        urls={"search": f"{server.url}/dhus/search", "odata": f"{server.url}/dhus/odata/v1"},
        collections={
            "s3_olci_l1_efr": {"filter": {"platformname": "Sentinel-3", "producttype": "OL_1_EFR___"}, "cloud": "cloudcoverpercentage"}
        },
        options={"retry_delay": 0, **options},
    )


@pytest.fixture
def provider(server: Server) -> DhusProvider:
    return DhusProvider(configuration(server))


def names(provider: DhusProvider, **query: Any) -> list[str]:
    return [offer.name for offer in provider.search(Query(**query))]


@pytest.mark.parametrize("form", ["json", "atom"])
def test_b0b_more_than_one_page_is_complete_and_in_order(server: Server, archive: Archive, form: str) -> None:
    provider = DhusProvider(configuration(server, format=form))
    offers = list(provider.search(Query(collection="s3_olci_l1_efr")))
    assert [offer.id for offer in offers] == [record.id for record in archive.records]
    assert [offer.published for offer in offers] == sorted(record.published for record in archive.records)


def test_b0b_a_page_that_is_cut_short_is_a_fault_and_not_an_end(archive: Archive, hub: DhusDialect) -> None:
    cut: list[int] = []

    def short(request: Request) -> Response | None:
        answer = hub(request)
        if answer is None or not isinstance(answer.body, bytes) or request.path != "/dhus/search":
            return answer
        document = json.loads(answer.body)
        if cut and cut.pop():
            document["feed"]["entry"] = document["feed"]["entry"][:90]
        return replace(answer, body=json.dumps(document).encode())

    with Server(short) as server:
        provider = DhusProvider(configuration(server))
        cut += [1] * 9
        with pytest.raises(ProviderFault, match="promises 250 products and gives 90") as fault:
            list(provider.search(Query()))
        assert fault.value.kind is Kind.TRANSIENT
        cut[:] = [0, 1]  # asked again, the hub gives all
        assert len(list(provider.search(Query()))) == 250


def test_b0b_two_hundred_products_of_one_moment_are_all_found(server: Server, provider: DhusProvider, archive: Archive) -> None:
    archive.add(*(record(1000 + number, published=DAY) for number in range(250)))
    assert len(names(provider)) == len(set(names(provider))) == 500


def test_d02_products_that_come_and_go_between_pages(archive: Archive, hub: DhusDialect) -> None:
    pages = 0

    def changing(request: Request) -> Response | None:
        nonlocal pages
        pages += request.path == "/dhus/search"
        answer = hub(request)
        if pages == 1:
            archive.remove(record(3).id)  # seen already: an offset would now skip one
            archive.add(record(999, published=record(240).published))
        return answer

    with Server(changing) as server:
        found = names(DhusProvider(configuration(server)))
    assert len(found) == len(set(found)) == 251
    assert {entry.name for entry in archive.records} <= set(found)


def test_half_open_windows_meet_without_a_gap_or_a_double(provider: DhusProvider) -> None:
    middle = record(100).published
    early, late = names(provider, until=middle), names(provider, since=middle)
    assert (len(early), len(late)) == (100, 150)
    assert not set(early) & set(late)


def test_s01_the_query_of_the_bushfire_lake(provider: DhusProvider) -> None:
    found = list(
        provider.search(Query(collection="s3_olci_l1_efr", start=DAY, end=DAY + timedelta(hours=20), bbox=(148.1, -33.9, 148.2, -33.1)))
    )
    assert [offer.id for offer in found] == [record(number).id for number in (0, 5, 10, 15)]
    assert provider.criteria(Query(collection="s3_olci_l1_efr")) == ["platformname:Sentinel-3", "producttype:OL_1_EFR___"]


def test_d13_area_cloud_timeliness_and_names(provider: DhusProvider, archive: Archive) -> None:
    assert len(names(provider, collection="s3_olci_l1_efr", cloud_cover=9)) == 30
    area = {"type": "Polygon", "coordinates": [[[148.1, -33.9], [148.2, -33.9], [148.2, -33.1], [148.1, -33.9]]]}
    assert len(names(provider, area=area)) == 50
    assert names(provider, names=[f"{record(7).name}.SEN3", record(9).name]) == [record(7).name, record(9).name]
    pacific = record(
        2000, footprint={"type": "Polygon", "coordinates": [[[-179, -20], [-178, -20], [-178, -19], [-179, -19], [-179, -20]]]}
    )
    assert names(provider, bbox=(179.0, -21.0, -177.0, -18.0)) == []
    archive.add(pacific)
    assert names(provider, bbox=(179.0, -21.0, -177.0, -18.0)) == [pacific.name]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("OL_1_EFR___", "OL_1_EFR___"),
        ("S3A_OL*", "S3A_OL*"),
        ("Non Time Critical", '"Non Time Critical"'),
        ('a"b\\', r'"a\"b\\"'),
        ("a) OR (b", '"a) OR (b"'),
        ("OR", '"OR"'),
        ("[1 TO 2]", '"[1 TO 2]"'),
        ("", '""'),
    ],
)
def test_s01_quoting_is_done_for_the_user(value: str, expected: str) -> None:
    assert quoted(value) == expected


def test_s01_a_quoted_value_is_one_value(provider: DhusProvider, archive: Archive) -> None:
    archive.replace(record(5, attributes={"platform": 'odd" AND (x', "productType": "a b"}))
    odd = replace(provider.config, collections={"odd": {"filter": {"platformname": 'odd" AND (x', "producttype": "a b"}}})
    assert names(DhusProvider(odd), collection="odd") == [record(5).name]


def test_b0f_the_url_of_the_search_is_built_once(archive: Archive, hub: DhusDialect) -> None:
    targets: list[str] = []

    def noting(request: Request) -> Response | None:
        targets.append(request.target)
        return hub(request)

    with Server(noting) as server:
        list(DhusProvider(configuration(server)).search(Query(names=[record(1).name])))
    [target] = targets
    assert target.startswith("/dhus/search?q=%28identifier%3A")
    assert target.count("?") == target.count("q=") == 1


def test_b0g_size_is_bytes_of_odata_and_never_rounded_text(provider: DhusProvider) -> None:
    offer = next(provider.search(Query()))
    assert offer.size is None
    assert offer.detail["size_text"].endswith(" KB")
    product, overview = provider.resolve(granule(offer))
    assert (product.size, product.digests) == (record(0).size, record(0).digests)
    assert product.name == f"{record(0).name}.zip"
    assert overview.role == "overview"


def test_s03_the_content_link_is_taken_and_the_quicklook_kept_apart(provider: DhusProvider) -> None:
    product, overview = provider.resolve(granule(next(provider.search(Query()))))
    assert product.url.endswith(f"Products('{record(0).id}')/$value")
    assert "Quicklook" not in product.url
    assert "Quicklook" in overview.url


def test_t17_a_link_to_another_host_is_not_followed(provider: DhusProvider, server: Server) -> None:
    offer = next(provider.search(Query()))
    strange = {"link": f"https://evil.example.org/Products('{offer.id}')/$value", "quicklook": "https://evil.example.org/Quicklook"}
    [product] = provider.resolve(granule(replace(offer, detail=strange)))
    assert product.url == f"{server.url}/dhus/odata/v1/Products('{offer.id}')/$value"


def test_t31_archived_product_is_ordered_once_and_fetched_when_it_is_online(
    provider: DhusProvider, archive: Archive, hub: DhusDialect
) -> None:
    archive.replace(record(0, online=False))
    offer = next(provider.search(Query()))
    assert "archived" in offer.detail["notes"]
    with pytest.raises(ProviderFault) as fault:
        provider.resolve(granule(offer))
    assert (fault.value.kind, fault.value.code, fault.value.status) == (Kind.OFFLINE, "ordered", 202)
    waiting = granule(offer, fault="offline", reason=f"{fault.value} ({fault.value.code})", attempts=2)
    for again in (provider, DhusProvider(provider.config)):  # this process, and another one that has only the ledger
        with pytest.raises(ProviderFault, match="not there yet") as later:
            again.resolve(waiting)
        assert (later.value.kind, later.value.code) == (Kind.OFFLINE, "ordered")
    assert hub.orders == [offer.id]
    hub.deliver(offer.id)
    assert DhusProvider(provider.config).resolve(waiting)[0].size == record(0).size
    assert hub.orders == [offer.id]


def test_t31_used_up_quota_waits(archive: Archive, server: Server, hub: DhusDialect, provider: DhusProvider) -> None:
    hub.quota = 0
    archive.replace(record(0, online=False))
    offer = next(provider.search(Query()))
    with pytest.raises(ProviderFault, match="quota exceeded") as fault:
        provider.resolve(granule(offer))
    assert fault.value.kind is Kind.QUOTA


@pytest.mark.parametrize(
    ("status", "said", "kind"),
    [
        (403, "IllegalStateException : Maximum number of 2 concurrent flows achieved by the user x", Kind.RATE),
        (403, "LTAQuotaExceededException : User 'x' offline products retrieval quota exceeded (20 fetches max)", Kind.QUOTA),
        (403, "AccessDenied : no", Kind.AUTH),
        (503, "LTAException : not accepted", Kind.OFFLINE),
        (500, "whatever", Kind.TRANSIENT),
    ],
)
def test_t31_every_answer_to_an_order_has_its_class(archive: Archive, hub: DhusDialect, status: int, said: str, kind: Kind) -> None:
    def refusing(request: Request) -> Response | None:
        if request.path.endswith("/$value"):
            assert request.headers["range"] == "bytes=0-1"
            return Response(status=status, headers={"cause-message": said})
        return hub(request)

    archive.replace(record(0, online=False))
    with Server(refusing) as server:
        provider = DhusProvider(configuration(server))
        with pytest.raises(ProviderFault) as fault:
            provider.resolve(granule(next(provider.search(Query()))))
    assert fault.value.kind is kind
    assert fault.value.code != "ordered"


def test_a_product_that_the_hub_lost_is_gone_with_its_cause(provider: DhusProvider, archive: Archive) -> None:
    offer = next(provider.search(Query()))
    archive.remove(offer.id)
    with pytest.raises(ProviderFault, match="Invalid key") as fault:
        provider.resolve(granule(offer))
    assert (fault.value.kind, fault.value.status) == (Kind.GONE, 404)


@pytest.mark.parametrize("behaviour", ["closed", "resto"])
def test_d14_a_closed_hub_is_one_alarm_and_no_dead_granule(archive: Archive, behaviour: str) -> None:
    handlers = [RestoDialect(archive)] if behaviour == "resto" else []
    with Server(*handlers) as server:
        base = configuration(server)
        urls = {"search": f"{server.url}/resto/api/collections/Sentinel2/search.json", "odata": f"{server.url}/resto/odata/v1"}
        provider = DhusProvider(replace(base, urls=urls) if behaviour == "resto" else base)
        with pytest.raises(ProviderFault) as fault:
            list(provider.search(Query()))
        assert (fault.value.kind, fault.value.code) == (Kind.CONFIG, "retired")
        with pytest.raises(ProviderFault) as dead:
            provider.product("714aed33-a8c6-4fdb-a13f-49702a0367a2")
    assert (dead.value.kind, dead.value.code) == (Kind.CONFIG, "retired")  # not GONE: the product is not to blame


def test_resto_as_it_was_in_2023(archive: Archive) -> None:
    import urllib3

    with Server(RestoDialect(archive, behaviour="2023")) as server, urllib3.PoolManager() as pool:
        url = f"{server.url}/resto/api/collections/Sentinel3/search.json"
        first = pool.request("GET", f"{url}?maxRecords=100").json()
        assert first["properties"]["totalResults"] is None
        assert len(first["features"]) == 100
        [onward] = [link["href"] for link in first["properties"]["links"] if link["rel"] == "next"]
        assert "index=1" in onward
        assert "page=2" in onward  # the trap: following it by index gives the first page again
        assert pool.request("GET", f"{url}?exactCount=1").json()["properties"]["totalResults"] == 250
        assert pool.request("GET", f"{url}?index=10002").status == 400


def test_resto_of_the_simulator_says_what_the_real_one_said(samples: Path, archive: Archive) -> None:
    import urllib3

    pages = sorted((samples / "payloads/hls_downloader/mock_scihub_search_api").rglob("*index_1_yesterday.json"))
    assert len(pages) == 2
    with Server(RestoDialect(archive, behaviour="2023")) as server, urllib3.PoolManager() as pool:
        ours = pool.request("GET", f"{server.url}/resto/api/collections/Sentinel2/search.json?maxRecords=10").json()
    for path in pages:
        real = json.loads(path.read_text("utf-8"))
        assert set(ours) <= set(real)
        assert set(ours["properties"]) - {"links"} <= set(real["properties"])
        told = set(ours["features"][0]["properties"])
        assert all(told <= set(feature["properties"]) for feature in real["features"])
        assert {"url", "size"} <= set(real["features"][0]["properties"]["services"]["download"])


def test_maintenance_page_with_status_200_is_transient(provider: DhusProvider, hub: DhusDialect) -> None:
    hub.closed = MAINTENANCE
    with pytest.raises(ProviderFault, match="maintenance") as fault:
        list(provider.search(Query()))
    assert fault.value.kind is Kind.TRANSIENT


def test_a_field_that_the_hub_does_not_know_is_a_matter_of_configuration(server: Server) -> None:
    base = configuration(server)
    odd = DhusProvider(replace(base, collections={"odd": {"filter": {"xxx": "yyy"}}}))
    with pytest.raises(ProviderFault, match="undefined field xxx") as fault:
        list(odd.search(Query(collection="odd")))
    assert fault.value.kind is Kind.CONFIG


def test_addresses_are_needed() -> None:
    with pytest.raises(ConfigError, match="search, odata"):
        DhusProvider(ProviderConfig(name="hub", kind="dhus"))


@pytest.mark.parametrize(
    "body",
    [
        b"__import__('os').system('touch /tmp/eolake-was-here')",
        b"{'feed': {}}",
        b'{"feed": {"opensearch:totalResults": "__import__(\'os\')"}}',
        b'{"feed": []}',
        b"[]",
        b"",
        b"\x80\x04\x95\x1b\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94\x8c\x06system\x94\x93\x94.",
        b'<!DOCTYPE feed [<!ENTITY a "b">]><feed xmlns="http://www.w3.org/2005/Atom">&a;</feed>',
        b"<feed>",
        MAINTENANCE.encode(),
    ],
)
def test_b0a_a_hostile_body_is_data_or_a_fault_and_never_run(body: bytes) -> None:
    for read in (read_feed, read_product):
        with pytest.raises(ProviderFault) as fault:
            read(body)
        assert fault.value.kind is Kind.TRANSIENT
    assert isinstance(cause(body, {}), str)


def test_b0a_nothing_in_the_package_runs_text_or_unpickles() -> None:
    forbidden_calls, forbidden_modules = {"eval", "exec", "compile", "__import__"}, {"pickle", "marshal", "shelve", "dill"}
    package = Path(next(iter(eolake.ingest.__path__)))
    checked = 0
    for file in package.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in forbidden_calls, f"{file}:{node.lineno}"
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            modules += [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
            assert not forbidden_modules.intersection(name.split(".")[0] for name in modules), f"{file}"
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "yaml":
                assert node.attr not in {"load", "unsafe_load", "full_load"}, f"{file}:{node.lineno}"
        checked += 1
    assert checked > 50


def test_b0e_every_name_that_a_module_of_ours_uses_is_there() -> None:
    import builtins
    import importlib
    import symtable

    for name in ("dhus", "dhus_feed", "ftp", "directory", "s3", "eumetsat", "footprints"):
        module = importlib.import_module(f"eolake.ingest.providers.{name}")
        source = Path(str(module.__file__)).read_text("utf-8")
        known = set(vars(module)) | set(vars(builtins)) | {"__annotate__", "__conditional_annotations__"}
        tables = [symtable.symtable(source, name, "exec")]
        while tables:
            table = tables.pop()
            tables += table.get_children()
            missing = [s.get_name() for s in table.get_symbols() if s.is_global() and s.is_referenced() and s.get_name() not in known]
            assert not missing, f"{name}: {missing}"


def test_d05_odd_entries_are_accepted_and_flagged() -> None:
    entry = {
        "id": "11af8bd9-24d0-4401-9789-b7b73786e122",
        "title": "S3A_OL_2_LFR____20160928T031232_20160928T031232_20180310T063545_0000_009_146_4320_LR2_R_NT_002",
        "link": {"href": "https://hub.example.org/Products('11af8bd9-24d0-4401-9789-b7b73786e122')/$value"},
        "date": [
            {"name": "beginposition", "content": "2016-09-28T03:28:27.817Z"},
            {"name": "endposition", "content": "2016-09-28T03:18:27.462Z"},
            {"name": "ingestiondate", "content": "soon"},
        ],
        "str": {"name": "footprint", "content": ""},
        "double": None,
    }
    feed = read_feed(json.dumps({"feed": {"opensearch:totalResults": "1", "entry": entry}}).encode())
    provider = DhusProvider(ProviderConfig(name="hub", kind="dhus", urls={"search": "https://h/s", "odata": "https://h/o"}))
    [offer] = [provider.offer_of(found) for found in feed.entries]
    assert set(offer.detail["notes"]) == {"no footprint", "no publication time", "end of sensing before its begin"}
    assert offer.start_at is not None
    assert offer.end_at is not None
    assert offer.start_at < offer.end_at
    assert read_feed(json.dumps({"feed": {"opensearch:totalResults": "1", "entry": {**entry, "id": "../../x"}}}).encode()).odd == 1


def test_times_of_odata_are_milliseconds() -> None:
    assert parse_date("/Date(1474509300563)/") == datetime(2016, 9, 22, 1, 55, 0, 563000, tzinfo=UTC)
    assert parse_date("2016-09-22T01:55:00Z") == datetime(2016, 9, 22, 1, 55, tzinfo=UTC)
    assert parse_date("/Date(999999999999999)/") is None
    assert parse_date(None) is None


def recorded(folder: Path) -> Iterator[tuple[str, str, int, dict[str, str], bytes]]:
    """(method, address, status, headers, body) of every recorded exchange."""
    for cassette in sorted(folder.glob("*.yaml")):
        for exchange in yaml.load(cassette.read_text("utf-8"), Loader=yaml.CSafeLoader)["interactions"]:
            body = exchange["response"]["body"].get("string", b"")
            raw = body.encode() if isinstance(body, str) else body
            headers = {name.lower(): values[0] for name, values in exchange["response"]["headers"].items()}
            unpacked = gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw
            yield exchange["request"]["method"], exchange["request"]["uri"], exchange["response"]["status"]["code"], headers, unpacked


def test_d05_all_recorded_answers_of_a_real_hub_are_understood(samples: Path) -> None:
    provider = DhusProvider(ProviderConfig(name="hub", kind="dhus", urls={"search": "https://h/s", "odata": "https://h/o"}))
    seen = {"search": 0, "entries": 0, "products": 0, "errors": 0, "refused queries": 0}
    for method, address, status, headers, body in recorded(samples / "payloads/dhus/vcr_cassettes"):
        if "/search?" in address and "format=json" in address and "nominatim" not in address:
            seen["search"] += 1
            try:
                feed = read_feed(body)
            except ProviderFault as fault:
                seen["refused queries"] += fault.kind is Kind.CONFIG
                continue
            assert feed.odd == 0
            for entry in feed.entries:
                offer = provider.offer_of(entry)
                assert offer.footprint is not None or "footprint" not in entry.fields
                assert offer.footprint is None or shape(dict(offer.footprint)).is_valid
                assert entry.content is not None
                assert offer.id in entry.content
                assert "Quicklook" not in entry.content
                assert offer.published is not None
                assert offer.start_at is not None
                seen["entries"] += 1
        elif "/odata/v1/Products('" in address and address.endswith("$format=json") and "Nodes" not in address and method == "GET":
            if status == 404:
                assert cause(body, headers).startswith("Invalid key")
                seen["errors"] += 1
            elif "/Attributes" not in address:
                product = read_product(body)
                assert product.size
                assert len(product.digests["md5"]) == 32
                assert product.start is not None
                seen["products"] += 1
    assert seen["search"] >= 90
    assert seen["entries"] > 700
    assert seen["products"] > 50
    assert seen["errors"] >= 1
    assert seen["refused queries"] >= 1


@pytest.mark.parametrize(("file", "count"), [("opensearch_all_312_converted.xml", 312), ("opensearch_s3_62_converted.xml", 62)])
def test_d05_real_records_are_the_same_in_atom_and_json(samples: Path, file: str, count: int) -> None:
    entries = json.loads((samples / "payloads/dhus/opensearch_entries_312.json").read_text("utf-8"))
    json_feed = read_feed(json.dumps({"feed": {"opensearch:totalResults": "312", "entry": entries}}).encode())
    atom = read_feed((samples / "payloads/dhus" / file).read_bytes())
    known = {entry.id: entry for entry in json_feed.entries}
    assert (len(known), atom.total, len(atom.entries)) == (312, count, count)
    provider = DhusProvider(ProviderConfig(name="hub", kind="dhus", urls={"search": "https://h/s", "odata": "https://h/o"}))
    for entry in atom.entries:
        assert provider.offer_of(entry) == provider.offer_of(known[entry.id])
        assert plain_name(entry.title) == entry.fields["identifier"]


def test_recorded_answers_over_http_give_the_recorded_products(samples: Path) -> None:
    exchanges = list(recorded(samples / "payloads/dhus/vcr_cassettes"))
    pages = [
        (address, body) for _, address, status, _, body in exchanges if "/search?" in address and status == 200 and b'"entry":[' in body
    ]
    products = {
        address.split("Products('")[1].split("'")[0]: body
        for method, address, status, _, body in exchanges
        if method == "GET" and status == 200 and "/odata/v1/Products('" in address and address.endswith("')?$format=json")
    }
    page = next(body for _, body in pages if any(f'"id":"{identity}"'.encode() in body for identity in products))
    document = json.loads(page)
    document["feed"]["opensearch:totalResults"] = str(len(document["feed"]["entry"]))

    def replay(request: Request) -> Response | None:
        if request.path == "/dhus/search":
            return Response(body=json.dumps(document).encode())
        identity = request.path.partition("Products('")[2].partition("'")[0]
        return Response(body=products[identity]) if identity in products else None

    with Server(replay) as server:
        provider = DhusProvider(configuration(server))
        offers = list(provider.search(Query()))
        assert len(offers) == len(document["feed"]["entry"])
        online = [offer for offer in offers if offer.id in products and json.loads(products[offer.id])["d"].get("Online", True)]
        assert online
        for offer in online:
            [product, *_] = provider.resolve(granule(offer))
            told = json.loads(products[offer.id])["d"]
            assert (product.size, product.digests["md5"]) == (int(told["ContentLength"]), told["Checksum"]["Value"].lower())


def test_content_of_the_simulator_is_the_product(server: Server, provider: DhusProvider) -> None:
    import urllib3

    [product, *_] = provider.resolve(granule(next(provider.search(Query()))))
    with urllib3.PoolManager() as pool:
        assert pool.request("GET", product.url).data == BYTES + b"0"
