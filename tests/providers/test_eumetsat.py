"""The EUMETSAT Data Store: complete listings, digests, and tokens for downloads only."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import urllib3

from eolake.catalog.errors import ConfigError
from eolake.ingest.faults import Kind, ProviderFault
from eolake.ingest.providers.base import ProviderConfig, Query
from eolake.ingest.providers.eumetsat import EumetsatProvider
from eolake.ingest.simulators.archive import Archive, Record
from eolake.ingest.simulators.dialects.eumetsat import EumetsatDialect
from eolake.ingest.simulators.messages import Request, Response
from eolake.ingest.simulators.server import Server

from .support import BYTES, DAY, granule, record

EFR = "EO:EUM:DAT:0409"


def product(number: int, **changed: Any) -> Record:
    made = record(number, attributes={"collectionId": EFR, "productType": "OL_1_EFR___", "timeliness": "NT"})
    return replace(made, id=f"{made.name}.SEN3", **changed)


@pytest.fixture
def archive() -> Archive:
    other = replace(product(5000), attributes={"collectionId": "EO:EUM:DAT:0407"})
    return Archive([*(product(number) for number in range(1200)), other])


@pytest.fixture
def server(archive: Archive) -> Iterator[Server]:
    with Server(EumetsatDialect(archive)) as server:
        yield server


def configuration(server: Server) -> ProviderConfig:
    return ProviderConfig(
        name="eumetsat",
        kind="eumetsat",
        urls={"search": f"{server.url}/data/search-products/1.0.0/os", "download": f"{server.url}/data/download/1.0.0"},
        collections={"s3_olci_l1_efr": {"collection": EFR, "suffix": ".SEN3"}},
        options={"retry_delay": 0},
    )


@pytest.fixture
def provider(server: Server) -> EumetsatProvider:
    return EumetsatProvider(configuration(server))


def names(provider: EumetsatProvider, **query: Any) -> list[str]:
    return [offer.name for offer in provider.search(Query(collection="s3_olci_l1_efr", **query))]


def test_b0b_more_than_a_page_is_complete_and_in_order(provider: EumetsatProvider, archive: Archive) -> None:
    assert names(provider) == [entry.name for entry in archive.records if entry.attributes["collectionId"] == EFR]


def test_half_open_windows_meet(provider: EumetsatProvider) -> None:
    middle = product(600).published
    early, late = names(provider, until=middle), names(provider, since=middle)
    assert (len(early), len(late), set(early) & set(late)) == (600, 600, set())


def test_d13_sensing_area_timeliness_and_name(provider: EumetsatProvider) -> None:
    assert names(provider, start=DAY + timedelta(hours=5), end=DAY + timedelta(hours=8)) == [product(n).name for n in (5, 6, 7)]
    assert len(names(provider, bbox=(148.1, -33.9, 148.2, -33.1))) == 240
    assert len(names(provider, timeliness="NT")) == 1200
    assert names(provider, timeliness="NR") == []
    assert names(provider, names=[f"{product(3).name}.SEN3"]) == [product(3).name]


def test_a_product_its_digest_and_where_it_is(provider: EumetsatProvider, server: Server) -> None:
    offer = next(provider.search(Query(collection="s3_olci_l1_efr")))
    assert offer.fingerprint == f"md5:{product(0).digests['md5']}"
    assert (offer.start_at, offer.end_at, offer.published) == (product(0).start, product(0).end, product(0).published)
    assert offer.footprint == product(0).footprint
    assert offer.scene_key is not None
    assert offer.size is None  # kilobytes are no size
    part, quicklook = provider.resolve(granule(offer))
    assert part.digests == {"md5": product(0).digests["md5"]}
    assert quicklook.role == "overview"
    with urllib3.PoolManager() as pool:
        assert pool.request("GET", part.url).status == 401
        assert pool.request("GET", part.url, headers={"Authorization": "Bearer t"}).data == BYTES + b"0"


def test_b0b_a_page_that_is_cut_short_is_a_fault(archive: Archive) -> None:
    import json

    whole = EumetsatDialect(archive)

    def short(request: Request) -> Response | None:
        answer = whole(request)
        assert answer is not None
        assert isinstance(answer.body, bytes)
        document = json.loads(answer.body)
        return replace(answer, body=json.dumps({**document, "features": document["features"][:400]}).encode())

    with Server(short) as server, pytest.raises(ProviderFault, match="promises 1200 products and gives 400") as fault:
        names(EumetsatProvider(configuration(server)))
    assert fault.value.kind is Kind.TRANSIENT


def test_a_service_that_ignores_the_bound_is_noticed(archive: Archive) -> None:
    whole = EumetsatDialect(archive)

    def deaf(request: Request) -> Response | None:
        return whole(replace(request, query={name: value for name, value in request.query.items() if name != "publication"}))

    with Server(deaf) as server, pytest.raises(ProviderFault, match="as if `publication`") as fault:
        names(EumetsatProvider(configuration(server)))
    assert fault.value.kind is Kind.CONFIG


def test_d14_a_service_that_is_gone_is_an_alarm() -> None:
    with Server() as server, pytest.raises(ProviderFault) as fault:
        names(EumetsatProvider(configuration(server)))
    assert (fault.value.kind, fault.value.code) == (Kind.CONFIG, "retired")


@pytest.mark.parametrize("body", [b"[]", b"{}", b'{"features": 1}', b'{"features": [], "totalResults": "many"}', b"<html>"])
def test_b0a_an_answer_that_is_no_listing_is_a_passing_fault(body: bytes) -> None:
    with Server(lambda _: Response(body=body)) as server, pytest.raises(ProviderFault) as fault:
        names(EumetsatProvider(configuration(server)))
    assert fault.value.kind is Kind.TRANSIENT


def test_d05_a_feature_in_the_form_that_the_service_documents() -> None:
    feature = {
        "type": "Feature",
        "id": "PRE 2020",
        "geometry": {},
        "properties": {
            "identifier": "PREmm20201201",
            "parentIdentifier": "EO:EUM:DAT:0921",
            "title": "PREmm20201201",
            "date": "2020-12-01T00:00:00Z/2021-01-01T00:00:00Z",
            "updated": "2025-06-27T06:28:57.035Z",
            "productInformation": {"productType": "PRE", "size": 353},
            "extraInformation": {},
            "links": {"data": [], "previews": [None, {"href": 7}]},
        },
    }
    provider = EumetsatProvider(ProviderConfig(name="e", kind="eumetsat", urls={"search": "https://h/os", "download": "https://h/d"}))
    assert provider.offer_of(feature) is None  # an id with a space is none
    offer = provider.offer_of({**feature, "id": "PREmm20201201"})
    assert offer is not None
    assert set(offer.detail["notes"]) == {"no footprint", "no digest"}
    assert offer.fingerprint == "kilobytes:353"
    assert offer.end_at == datetime(2021, 1, 1, tzinfo=UTC)
    assert offer.source == "https://h/d/collections/EO%3AEUM%3ADAT%3A0921/products/PREmm20201201"
    assert provider.offer_of({"id": "x", "properties": None}) is None
    bare = provider.offer_of({"id": "x", "properties": {"date": "never", "links": 7}})
    assert bare is not None
    assert (bare.start_at, bare.end_at) == (None, None)


def test_settings_are_needed(provider: EumetsatProvider) -> None:
    with pytest.raises(ConfigError, match="search, download"):
        EumetsatProvider(ProviderConfig(name="e", kind="eumetsat"))
    with pytest.raises(ConfigError, match="needs a collection"):
        list(provider.search(Query()))
    with pytest.raises(ConfigError, match="no collection"):
        list(provider.search(Query(collection="other")))
