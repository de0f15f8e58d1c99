"""The catalogue of CDSE, against what was recorded from the real one."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from support.raw_http import Raw, fetch

from eolake.ingest.simulators.archive import Archive, Record
from eolake.ingest.simulators.dialects.odata import ODataDialect
from eolake.ingest.simulators.dialects.odata_entity import Quirks
from eolake.ingest.simulators.dialects.odata_filter import BadFilter, parse_filter
from eolake.ingest.simulators.server import Server
from eolake.ingest.simulators.tokens import Tokens

BY_TIME = "PublicationDate asc"


@pytest.fixture
def dialect(make_record: Callable[..., Record]) -> ODataDialect:
    return ODataDialect(Archive(make_record(n) for n in range(50)))


@pytest.fixture
def server(dialect: ODataDialect) -> Iterator[Server]:
    with Server(dialect) as server:
        yield server


def ask(server: Server, what: str = "Products", **options: str) -> Raw:
    return fetch(f"{server.url}/odata/v1/{what}?" + urlencode({f"${name}": value for name, value in options.items()}))


def page(server: Server, what: str = "Products", **options: str) -> dict[str, Any]:
    answer = ask(server, what, **options)
    assert answer.status == 200, answer.body
    document: dict[str, Any] = json.loads(answer.body)
    return document


def orbits(server: Server, condition: str) -> list[int]:
    """Which of the records a filter finds."""
    found = page(server, filter=condition, top="1000", expand="Attributes")["value"]
    return sorted(next(one["Value"] for one in product["Attributes"] if one["Name"] == "orbitNumber") for product in found)


def walk(server: Server, **options: str) -> list[str]:
    """Ids by following next links."""
    url: str | None = f"{server.url}/odata/v1/Products?" + urlencode({f"${name}": value for name, value in options.items()})
    found = []
    while url is not None:
        document = json.loads(fetch(url).body)
        found += [product["Id"] for product in document["value"]]
        url = document.get("@odata.nextLink")
    return found


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("Collection/Name eq 'SENTINEL-2' and PublicationDate ge 2024-01-02T22:00:00.000Z", [46, 47, 48, 49]),
        ("Collection/Name eq 'SENTINEL-3'", []),
        ("PublicationDate gt 2024-01-01T01:00:00Z and PublicationDate le 2024-01-01T03:00:00.123456Z", [1, 2, 3]),
        ("ContentDate/Start lt 2023-12-31T19:00:00Z", [0]),
        ("ContentDate/Start ge 2024-01-02", [*range(30, 50)]),
        ("startswith(Name,'S2A_MSIL2A_20240101T00') or startswith(Name,'S2A_MSIL2A_20240101T01')", [0, 1]),
        ("endswith(Name,'.SAFE') and contains(Name,'T020000_')", [2, 26]),
        ("not (ContentLength gt 1001) and Online eq true", [0, 1]),
        (
            "Attributes/OData.CSC.DoubleAttribute/any(att:att/Name eq 'cloudCover' and att/OData.CSC.DoubleAttribute/Value lt 2.5)",
            [0, 1, 2],
        ),
        (
            "Attributes/OData.CSC.IntegerAttribute/any(att:att/Name eq 'orbitNumber' and att/OData.CSC.IntegerAttribute/Value eq 15)",
            [15],
        ),
        (
            "Attributes/OData.CSC.StringAttribute/any(a:a/Name eq 'productType' and a/OData.CSC.StringAttribute/Value eq 'S2MSI1C')",
            [],
        ),
        ("OData.CSC.Intersects(area=geography'SRID=4326;POLYGON((3.2 0, 4.1 0, 4.1 0.1, 3.2 0.1, 3.2 0))')", [3, 4, 23, 24, 43, 44]),
    ],
)
def test_filters(server: Server, condition: str, expected: list[int]) -> None:
    assert orbits(server, condition) == expected


@pytest.mark.parametrize(
    "condition",
    ["Colour eq 1", "Name eq", "Name ~ 'x'", "OData.CSC.Intersects(area=geography'SRID=3857;POINT(1 1)')", "(Online eq true", "1 eq 1"],
)
def test_filters_that_are_none_are_refused(server: Server, condition: str) -> None:
    with pytest.raises(BadFilter):
        parse_filter(condition)
    answer = ask(server, filter=condition)
    assert (answer.status, list(json.loads(answer.body)["detail"])) == (400, ["message", "request_id"])


def test_integers_that_are_only_found_as_strings(make_record: Callable[..., Record]) -> None:
    dialect = ODataDialect(Archive([make_record(15)]), quirks=Quirks(integers_as_strings=True))
    condition = "Attributes/OData.CSC.{}Attribute/any(att:att/Name eq 'orbitNumber' and att/OData.CSC.IntegerAttribute/Value eq 15)"
    with Server(dialect) as server:
        assert [len(page(server, filter=condition.format(kind))["value"]) for kind in ("Integer", "String")] == [0, 1]


def test_paging_order_and_count(server: Server, dialect: ODataDialect) -> None:
    by_time = [record.id for record in dialect.archive.records]
    assert walk(server, top="7", orderby=BY_TIME) == by_time
    assert walk(server, top="7", orderby="ContentDate/Start desc") == by_time[::-1]
    unordered = walk(server)
    assert unordered != by_time
    assert sorted(unordered) == sorted(by_time)
    first = page(server, count="True", top="0")
    assert (first["@odata.count"], first["value"], "@odata.nextLink" in first) == (50, [], False)
    assert len(page(server)["value"]) == 20
    assert ask(server, orderby="Name asc").status == 400


def test_the_caps_are_those_that_were_recorded(server: Server, dialect: ODataDialect) -> None:
    assert json.loads(ask(server, skip="10001").body) == {
        "detail": [
            {
                "type": "less_than_equal",
                "loc": ["query", "$skip"],
                "msg": "Input should be less than or equal to 10000",
                "input": "10001",
                "ctx": {"le": 10000},
            }
        ]
    }
    assert [ask(server, top="1001").status, ask(server, top="-1").status, ask(server, top="x").status] == [422] * 3
    dialect.quirks = Quirks(deepest=20)
    assert len(walk(server, top="10", orderby=BY_TIME)) == 30, "the next link of the last page that may be asked for is simply not there"


def test_what_goes_wrong_between_pages(server: Server, dialect: ODataDialect, make_record: Callable[..., Record]) -> None:
    late = make_record(60, published=datetime(2023, 12, 1, tzinfo=UTC))
    dialect.on_page = lambda n: dialect.archive.add(late) if n == 1 else None
    found = walk(server, top="10", orderby=BY_TIME)
    assert len(found) == 51
    assert (found.count(found[10]), late.id in found) == (2, False), "one that is twice, and one that slipped through"
    dialect.quirks = Quirks(repeat=True)
    again = walk(server, top="10", orderby=BY_TIME)
    assert (len(again), len(set(again))) == (56, 51)
    links = dict.fromkeys(("self", "host"), "")
    for kind in links:
        dialect.quirks = Quirks(next_link=kind)
        links[kind] = page(server, top="10")["@odata.nextLink"]
    assert links["self"] == f"{server.url}/odata/v1/Products?%24top=10"
    assert links["host"].startswith("http://other.example/odata/v1/Products?")


def test_oddities_of_products(server: Server, dialect: ODataDialect) -> None:
    dialect.quirks = Quirks(
        null_footprints="*",
        empty_checksums="*",
        zero_lengths="*",
        swapped_dates="*",
        fraction=3,
        zone="+00:00",
        eviction="",
        unknown_type="Geometry",
    )
    product = page(server, orderby=BY_TIME, top="1", expand="Attributes")["value"][0]
    assert (product["Footprint"], product["GeoFootprint"], product["Checksum"], product["ContentLength"], product["EvictionDate"]) == (
        None,
        None,
        [],
        0,
        "",
    )
    assert product["PublicationDate"] == "2024-01-01T00:00:00.123+00:00"
    assert product["ContentDate"]["Start"] > product["ContentDate"]["End"]
    assert product["Attributes"][-1]["@odata.type"] == "#OData.CSC.GeometryAttribute"
    dialect.quirks = Quirks(fraction=0, zone="")
    assert page(server, orderby=BY_TIME, top="1")["value"][0]["PublicationDate"] == "2024-01-01T00:00:00"


def test_a_service_that_is_gone(server: Server, dialect: ODataDialect) -> None:
    dialect.quirks = Quirks(retired=True)
    assert {ask(server, what).status for what in ("Products", "DeletedProducts", "Attributes(SENTINEL-2)")} == {404}


def test_expand_select_lists_and_single_products(server: Server, dialect: ODataDialect) -> None:
    record = dialect.archive.records[7]
    single = json.loads(ask(server, f"Products({record.id})", expand="Attributes,Locations").body)
    assert single["@odata.context"] == "$metadata#Products(Attributes())(Locations())/$entity"
    assert single["Locations"][0]["DownloadLink"] == f"{server.url}/odata/v1/Products({record.id})/$value"
    assert list(page(server, select="Name,Id", top="1")["value"][0]) == ["@odata.mediaContentType", "Id", "Name"]
    names = {"FilterProducts": [{"Name": f"{record.name}.SAFE"}, {"Name": "none.SAFE"}]}
    found = fetch(f"{server.url}/odata/v1/Products/OData.CSC.FilterList", method="POST", body=json.dumps(names).encode())
    assert [product["Id"] for product in json.loads(found.body)["value"]] == [record.id]
    assert fetch(f"{server.url}/odata/v1/Products/OData.CSC.FilterList", method="POST", body=b"[]").status == 422
    assert {"Name": "orbitNumber", "ValueType": "Integer"} in json.loads(ask(server, "Attributes(SENTINEL-2)").body)
    assert ask(server, "Attributes(SENTINEL-9)").status == 404
    assert ask(server, "Products(67360f3a-f36b-11ef-9d3f-0050561a7772)").status == 404
    assert json.loads(ask(server, "Products(abc)/$value").body)["code"] == "DAT-ZIP-111"


def test_deleted_products(server: Server, dialect: ODataDialect) -> None:
    record = dialect.archive.records[3]
    dialect.archive.remove(record.id, cause="Corrupted product", at=datetime(2024, 5, 1, tzinfo=UTC))
    assert record.id not in walk(server)
    [gone] = page(server, "DeletedProducts", filter="DeletionDate ge 2024-05-01T00:00:00Z and DeletionCause eq 'Corrupted product'")[
        "value"
    ]
    assert (gone["Id"], gone["DeletionDate"], gone["Online"]) == (record.id, "2024-05-01T00:00:00.000000Z", False)
    assert page(server, "DeletedProducts", filter="DeletionDate gt 2024-05-01T00:00:00Z")["value"] == []


def shape_of(value: Any) -> Any:
    """Keys in their order and types, without values; a list by its first element."""
    if isinstance(value, dict):
        return {key: shape_of(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [shape_of(value[0])] if value and not isinstance(value[0], (int, float)) else "list"
    return type(value).__name__


RECORDED_KEYS = [
    "@odata.mediaContentType", "Id", "Name", "ContentType", "ContentLength", "OriginDate", "PublicationDate", "ModificationDate", "Online",
    "EvictionDate", "S3Path", "Checksum", "ContentDate", "Footprint", "GeoFootprint", "Attributes",
]  # fmt: skip


def test_a_page_has_the_keys_of_the_documentation(server: Server) -> None:
    document = page(server, count="True", expand="Attributes", top="1")
    assert list(document) == ["@odata.context", "@odata.count", "value", "@odata.nextLink"]
    assert list(document["value"][0]) == RECORDED_KEYS


def test_a_page_has_the_shape_of_a_recorded_one(server: Server, dialect: ODataDialect, samples: Path) -> None:
    recorded = json.loads((samples / "payloads/cdse_odata/query/mock/sentinel_1/odata_page_1.json").read_text())
    dialect.quirks = Quirks(null_footprints="*")
    simulated = page(server, count="True", expand="Attributes", top="10", orderby="ContentDate/Start asc")
    assert sorted(simulated) == sorted(recorded)
    assert simulated["@odata.context"] == recorded["@odata.context"]
    assert shape_of(simulated["value"][0]) == shape_of(recorded["value"][0])
    kinds = {attribute["@odata.type"]: shape_of(attribute) for product in recorded["value"] for attribute in product["Attributes"]}
    for attribute in simulated["value"][0]["Attributes"]:
        if attribute["@odata.type"] in kinds:
            assert shape_of(attribute) == kinds[attribute["@odata.type"]]


# --- downloads ---


@pytest.fixture
def tokens() -> Tokens:
    return Tokens({"user": "secret"})


@pytest.fixture
def real(archive: Archive, tokens: Tokens) -> Iterator[tuple[Server, ODataDialect]]:
    dialect = ODataDialect(archive, tokens=tokens)
    with Server(tokens, dialect, account=tokens.account) as server:
        yield server, dialect


def bearer(server: Server) -> str:
    form = urlencode({"grant_type": "password", "username": "user", "password": "secret"}).encode()
    answer = fetch(f"{server.url}/auth/realms/CDSE/protocol/openid-connect/token", method="POST", body=form)
    return f"Bearer {json.loads(answer.body)['access_token']}"


def zipped(dialect: ODataDialect) -> Record:
    return next(record for record in dialect.archive.records if record.file is not None and record.file.suffix == ".zip")


def test_products_are_downloaded_with_a_token_and_have_their_digests(real: tuple[Server, ODataDialect]) -> None:
    server, dialect = real
    for record in dialect.archive.records:
        url = f"{server.url}/odata/v1/Products({record.id})/$value"
        assert fetch(url).status == 401
        answer = fetch(url, Authorization=bearer(server))
        assert (answer.status, hashlib.md5(answer.body).hexdigest()) == (200, record.digests["md5"])
        assert len(answer.body) == record.size
    with zipfile.ZipFile(io.BytesIO(fetch(url.replace(record.id, zipped(dialect).id), Authorization=bearer(server)).body)) as packed:
        assert packed.testzip() is None


def test_the_catalogue_host_sends_downloads_to_another(real: tuple[Server, ODataDialect]) -> None:
    server, dialect = real
    dialect.download_url = server.second_url
    path = f"/odata/v1/Products({dialect.archive.records[0].id})/$value"
    away = fetch(server.url + path, Authorization=bearer(server))
    assert (away.status, away.get("Location")) == (301, server.second_url + path)
    assert fetch(server.second_url + path, Authorization=bearer(server)).status == 200


def test_nodes_are_the_files_of_a_product(real: tuple[Server, ODataDialect]) -> None:
    server, dialect = real
    record = zipped(dialect)
    base = f"{server.url}/odata/v1/Products({record.id})/Nodes"
    [top] = json.loads(fetch(base).body)["result"]
    assert (top["Name"], top["ContentLength"]) == (f"{record.name}.SAFE", 0)
    inside = json.loads(fetch(top["Nodes"]["uri"]).body)["result"]
    manifest = next(node for node in inside if node["Name"] == "manifest.safe")
    url = f"{base}({record.name}.SAFE)/Nodes(manifest.safe)"
    answer = fetch(f"{url}/$value", Authorization=bearer(server))
    assert (answer.status, len(answer.body), answer.body[:5]) == (200, manifest["ContentLength"], b"<?xml")
    assert len(inside) == top["ChildrenNumber"]
    assert json.loads(fetch(f"{base}('{record.name}.SAFE')/$value").body)["code"] == "DAT-ZIP-104"
    assert fetch(f"{base}(nothing)/$value").status == 404


def test_quicklooks(real: tuple[Server, ODataDialect]) -> None:
    server, dialect = real
    record = zipped(dialect)
    [asset] = json.loads(fetch(f"{server.url}/odata/v1/Products({record.id})?$expand=Assets").body)["Assets"]
    answer = fetch(asset["DownloadLink"])
    assert (asset["Type"], answer.get("Content-Type"), answer.body[:3]) == ("QUICKLOOK", "image/jpeg", b"\xff\xd8\xff")


def test_offline_products_come_online_when_they_were_asked_for(real: tuple[Server, ODataDialect]) -> None:
    server, dialect = real
    record = dialect.archive.records[0]
    dialect.archive.replace(replace(record, online=False))
    url, token = f"{server.url}/odata/v1/Products({record.id})/$value", bearer(server)
    assert [fetch(url, Authorization=token).status for _ in range(2)] == [202, 202]
    dialect.online_after = 4
    assert [fetch(url, Authorization=token).status for _ in range(3)] == [202, 200, 200]
    assert dialect.orders[record.id] == 4
