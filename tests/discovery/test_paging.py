"""Listings are complete, whatever the catalogue does between pages, and end with an error rather than in a circle."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import override

import pytest
from support.odata import DAY, T0, Catalogue, Document, Open, product

from eolake.ingest.faults import Kind, ProviderFault
from eolake.ingest.providers.base import Query
from eolake.ingest.providers.cdse import ODataProvider
from eolake.ingest.simulators.messages import Request, Response, json_response, text_response

WINDOW = Query(collection="s2_l2a", since=T0, until=T0 + DAY)


def spread(count: int, *, over: timedelta = DAY, first: int = 1) -> list[Document]:
    """So many products, evenly published over a time."""
    return [product(first + i, T0 + over * i / count) for i in range(count)]


def ids(provider: ODataProvider, query: Query = WINDOW) -> list[str]:
    return [offer.id for offer in provider.search(query)]


def test_d01_no_offset_beyond_9000_and_nothing_missing(catalogue_of: Open) -> None:
    documents = spread(12_345)
    catalogue, provider = catalogue_of(documents)
    assert ids(provider) == [document["Id"] for document in documents]
    assert max(catalogue.skips) <= 9000
    assert len(catalogue.asked) <= 14  # no page more than it takes


@pytest.mark.parametrize("count", [99, 100, 101, 999, 1000, 1001])
def test_d01_a_window_that_is_exactly_full_is_treated_as_cut_off(count: int, catalogue_of: Open) -> None:
    documents = spread(count)
    catalogue, provider = catalogue_of(documents, page=100, deepest=900)
    catalogue.cap = 1000
    catalogue.link = lambda _link, _request: None  # next links vanish, as they do at the cap
    assert len(ids(provider)) == count
    assert max(catalogue.skips) == 0


def test_d01_more_products_of_one_moment_than_a_page_holds(catalogue_of: Open) -> None:
    documents = [product(n, T0) for n in range(1, 36)] + [product(n, T0 + DAY / 2) for n in range(36, 50)]
    catalogue, provider = catalogue_of(documents, page=10)
    assert sorted(ids(provider)) == sorted(document["Id"] for document in documents)
    assert max(catalogue.skips) == 30  # by the catalogue's own links, and back to times as soon as they move


def test_d01_more_products_of_one_moment_than_offsets_reach_is_an_error(catalogue_of: Open) -> None:
    _, provider = catalogue_of([product(n, T0) for n in range(1, 100)], page=10, deepest=50)
    with pytest.raises(ProviderFault, match="of one moment"):
        ids(provider)


def test_d02_a_product_removed_between_pages_hides_no_other(catalogue_of: Open) -> None:
    """By offset everything after it would move up, and the first of the next page would be skipped."""
    documents = spread(50)
    catalogue, provider = catalogue_of(documents, page=10)
    catalogue.before = lambda n: catalogue.documents.pop(0) and None if n == 3 else None
    assert set(ids(provider)) == {document["Id"] for document in spread(50)}


def test_d02_products_inserted_between_pages_are_found_at_once_or_by_the_next_poll(catalogue_of: Open) -> None:
    catalogue, provider = catalogue_of(spread(50), page=10)
    late, early = product(900, T0 + DAY * 0.9), product(901, T0 + timedelta(seconds=1))
    catalogue.before = lambda n: catalogue.documents.extend([late, early]) if n == 3 else None
    first = ids(provider)
    assert len(first) == len(set(first))
    assert late["Id"] in first
    assert set(ids(provider)) == {document["Id"] for document in [*spread(50), late, early]}


def test_d02_one_id_on_two_pages_is_one_product(catalogue_of: Open) -> None:
    documents = spread(30)
    again = dict(documents[3], PublicationDate=documents[25]["PublicationDate"])
    _, provider = catalogue_of([*documents, again], page=10)
    found = ids(provider)
    assert (len(found), len(set(found))) == (30, 30)


def test_b1b_a_product_published_while_one_pages_shifts_nothing(catalogue_of: Open) -> None:
    """Newest first and by offset, as the founders paged, a new product at the front makes one read twice and the last one lost."""
    documents = spread(40)
    catalogue, provider = catalogue_of(documents, page=10)
    catalogue.before = lambda n: catalogue.documents.append(product(500 + n, T0 + DAY * 0.99 + timedelta(seconds=n)))
    found = ids(provider)
    assert {document["Id"] for document in spread(40)} <= set(found)
    assert len(found) == len(set(found))
    assert all("PublicationDate asc" in (request.get("$orderby") or "") for request in catalogue.asked)
    assert catalogue.skips == [0] * len(catalogue.asked)


def test_b1c_more_than_ten_thousand_in_one_window(catalogue_of: Open) -> None:
    """The founders had to split by platform; here a window may hold any number."""
    catalogue, provider = catalogue_of(spread(3210, over=timedelta(hours=1)), page=100, deepest=900)
    catalogue.cap = 1000
    assert len(set(ids(provider))) == 3210


def test_b1d_the_last_fraction_of_a_day_belongs_to_it(catalogue_of: Open) -> None:
    last, next_day = product(1, T0 + DAY - timedelta(microseconds=1)), product(2, T0 + DAY)
    catalogue, provider = catalogue_of([last, next_day])
    assert ids(provider) == [last["Id"]]
    assert ids(provider, Query(collection="s2_l2a", since=T0 + DAY, until=T0 + 2 * DAY)) == [next_day["Id"]]
    assert "PublicationDate ge 2024-09-10T00:00:00.000000Z and PublicationDate lt 2024-09-11T00:00:00.000000Z" in catalogue.filters[0]


def test_b0b_no_silent_truncation(catalogue_of: Open) -> None:
    """The founders asked for 100 rows once."""
    _, provider = catalogue_of(spread(730), page=100)
    assert len(ids(provider)) == 730


type Link = Callable[[str | None, Request], str | None]


@pytest.mark.parametrize(
    ("link", "told"),
    [
        (lambda _, request: f"{request.base}{request.target}", "goes in circles"),
        (lambda link, _: link and link.replace("127.0.0.1", "localhost"), "not followed"),
        (lambda link, _: link and link.replace("http://", "https://"), "not followed"),
        (lambda link, _: link and link.replace("/Products?", "/Users?"), "not followed"),
        (lambda _, _request: "file:///etc/passwd", "not followed"),
        (lambda _, _request: "http://[", "no URL"),
        (lambda _, request: f"{request.base}/odata/v1/Products?$skip=7", "goes in circles"),  # the same one from every page
    ],
    ids=["itself", "another-host", "another-scheme", "another-path", "a-file", "garbage", "always-the-same"],
)
def test_d03_a_next_link_that_leads_astray_ends_with_an_error(link: Link, told: str, catalogue_of: Open) -> None:
    catalogue, provider = catalogue_of(spread(50), page=10)
    catalogue.link = link
    with pytest.raises(ProviderFault, match=told) as caught:
        ids(provider)
    assert caught.value.kind is Kind.CONFIG
    assert all(request.path == "/odata/v1/Products" for request in catalogue.asked)


class Deaf(Catalogue):
    """Does not hear of offsets."""

    @override
    def __call__(self, request: Request) -> Response | None:
        return super().__call__(replace(request, query={**request.query, "$skip": ["0"]}))


def test_d03_a_catalogue_that_ignores_the_offset_ends_with_an_error(catalogue_of: Open) -> None:
    catalogue, provider = catalogue_of([product(n, T0) for n in range(1, 30)], kind=Deaf, page=10)
    catalogue.link = lambda _link, _request: None
    with pytest.raises(ProviderFault, match="the same page again"):
        ids(provider)


def test_d03_endless_empty_pages_end_with_an_error(catalogue_of: Open) -> None:
    catalogue, provider = catalogue_of([])
    catalogue.link = lambda _, request: f"{request.base}/odata/v1/Products?$skiptoken={len(catalogue.asked)}"
    with pytest.raises(ProviderFault, match="goes in circles"):
        ids(provider)
    assert len(catalogue.asked) < 100


class Odd(Catalogue):
    """Gives some answers of its own."""

    given: Callable[[int, Request], Response | None]

    @override
    def __call__(self, request: Request) -> Response | None:
        answer = type(self).given(len(self.asked) + 1, request)
        if answer is None:
            return super().__call__(request)
        self.asked.append(request)
        return answer


def odd(given: Callable[[int, Request], Response | None]) -> type[Odd]:
    return type("Odd", (Odd,), {"given": staticmethod(given)})


def test_d03_a_redirect_to_another_host_is_not_followed(catalogue_of: Open) -> None:
    moved = Response(status=302, headers={"Location": "http://localhost:9/x"})
    _, provider = catalogue_of([], kind=odd(lambda _n, _request: moved))
    with pytest.raises(ProviderFault, match="not one of its hosts"):
        ids(provider)


def test_d04_an_empty_page_with_a_next_link_goes_on(catalogue_of: Open) -> None:
    def hesitant(n: int, request: Request) -> Response | None:
        return json_response({"value": [], "@odata.nextLink": f"{request.base}{request.target}&$skiptoken=1"}) if n == 1 else None

    documents = spread(5)
    _, provider = catalogue_of(documents, kind=odd(hesitant))
    assert ids(provider) == [document["Id"] for document in documents]


class Unsorted(Catalogue):
    """Lists in whatever order its products are kept."""

    @override
    def __call__(self, request: Request) -> Response | None:
        return super().__call__(replace(request, query={name: value for name, value in request.query.items() if name != "$orderby"}))


def test_a_listing_in_another_order_is_an_error_and_no_loss(catalogue_of: Open) -> None:
    _, provider = catalogue_of(spread(50)[::-1], kind=Unsorted, page=10)
    with pytest.raises(ProviderFault, match="does not list by PublicationDate"):
        ids(provider)


def test_a_page_that_is_cut_or_no_json_is_asked_for_again(catalogue_of: Open) -> None:
    bodies = {1: "<html>back soon</html>", 2: '{"value": ['}
    catalogue, provider = catalogue_of(spread(25), kind=odd(lambda n, _: text_response(bodies[n % 3]) if n % 3 else None), page=10)
    assert len(ids(provider)) == 25
    assert len(catalogue.asked) == 9


@pytest.mark.parametrize(
    ("status", "kind"), [(500, Kind.TRANSIENT), (429, Kind.RATE), (422, Kind.GONE), (401, Kind.AUTH), (405, Kind.CONFIG)]
)
def test_a_refusal_has_its_class(status: int, kind: Kind, catalogue_of: Open) -> None:
    refusal = Response(status=status, headers={"Retry-After": "120"})
    catalogue, provider = catalogue_of([], kind=odd(lambda _n, _request: refusal))
    with pytest.raises(ProviderFault) as caught:
        ids(provider)
    assert (caught.value.kind, caught.value.status, caught.value.retry_after) == (kind, status, 120)
    assert len(catalogue.asked) == (3 if kind is Kind.TRANSIENT else 1)
