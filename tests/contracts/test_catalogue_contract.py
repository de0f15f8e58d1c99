"""What every provider promises, whatever it speaks: the same checks over each kind, against its simulator."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import asdict, fields, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from eolake.catalog.ledger.granules import Granule, Offer
from eolake.ingest.providers.base import Provider, ProviderConfig, Query
from eolake.ingest.providers.registry import open_provider
from eolake.ingest.providers.tree import fit
from eolake.ingest.simulators.archive import Archive, Record
from eolake.ingest.simulators.content import of_bytes
from eolake.ingest.simulators.dialects.autoindex import AutoindexDialect
from eolake.ingest.simulators.dialects.dhus import DhusDialect
from eolake.ingest.simulators.dialects.eumetsat import EumetsatDialect
from eolake.ingest.simulators.dialects.odata import ODataDialect
from eolake.ingest.simulators.ftp import FtpServer
from eolake.ingest.simulators.server import Server

DAY = datetime(2024, 2, 1, tzinfo=UTC)
COUNT = 30
COLLECTION = "s3_olci_l1_efr"
PLACE = {"path": "{:%Y/%m/%d}", "match": "*.zip", "depth": 0, "relist": 40}


def packed() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("data.bin", b"x" * 100)
    return buffer.getvalue()


def product(number: int) -> Record:
    start, data = DAY + timedelta(hours=number), packed()
    name = f"S3A_OL_1_EFR____{start:%Y%m%dT%H%M%S_%Y%m%dT%H%M%S_%Y%m%dT%H%M%S}_0179_109_{number:03}_3600_PS1_O_NT_003"
    return Record(
        id=f"00000000-0000-0000-0000-{number:012}",
        name=name,
        collection=COLLECTION,
        content=of_bytes(data),
        size=len(data),
        digests={"md5": "0" * 32},
        published=start + timedelta(hours=3),
        modified=start + timedelta(hours=3),
        start=start,
        end=start + timedelta(minutes=3),
        footprint={"type": "Polygon", "coordinates": [[[148.0, -34.0], [149.0, -34.0], [149.0, -33.0], [148.0, -33.0], [148.0, -34.0]]]},
        attributes={"platform": "Sentinel-3", "productType": "OL_1_EFR___", "collectionId": "EO:EUM:DAT:0409", "timeliness": "NT"},
    )


@contextmanager
def dhus(archive: Archive, folder: Path) -> Iterator[ProviderConfig]:
    with Server(DhusDialect(archive)) as server:
        yield ProviderConfig(
            name="p",
            kind="dhus",
            urls={"search": f"{server.url}/dhus/search", "odata": f"{server.url}/dhus/odata/v1"},
            collections={COLLECTION: {"filter": {"producttype": "OL_1_EFR___"}}},
        )


@contextmanager
def eumetsat(archive: Archive, folder: Path) -> Iterator[ProviderConfig]:
    with Server(EumetsatDialect(archive)) as server:
        yield ProviderConfig(
            name="p",
            kind="eumetsat",
            urls={"search": f"{server.url}/data/search-products/1.0.0/os", "download": f"{server.url}/data/download/1.0.0"},
            collections={COLLECTION: {"collection": "EO:EUM:DAT:0409"}},
        )


@contextmanager
def odata(archive: Archive, folder: Path) -> Iterator[ProviderConfig]:
    with Server(ODataDialect(archive)) as server:
        urls = {"catalogue": f"{server.url}/odata/v1", "download": f"{server.url}/odata/v1"}
        yield ProviderConfig(name="p", kind="odata", urls=urls, collections={COLLECTION: {}})


@contextmanager
def directory(archive: Archive, folder: Path) -> Iterator[ProviderConfig]:
    with Server(AutoindexDialect(archive, style="json")) as server:
        yield ProviderConfig(name="p", kind="http-directory", urls={"base": f"{server.url}/data"}, collections={COLLECTION: PLACE})


@contextmanager
def ftp(archive: Archive, folder: Path) -> Iterator[ProviderConfig]:
    import os

    for entry in archive.records:
        path = folder / f"{entry.start:%Y/%m/%d}" / f"{entry.name}.zip"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(entry.body().read(0, entry.size))
        os.utime(path, (entry.modified.timestamp(), entry.modified.timestamp()))
    with FtpServer(folder, accounts={"anonymous": ""}) as server:
        yield ProviderConfig(name="p", kind="ftp", urls={"base": server.url}, collections={COLLECTION: PLACE})


KINDS: dict[str, Callable[[Archive, Path], AbstractContextManager[ProviderConfig]]] = {
    "dhus": dhus,
    "eumetsat": eumetsat,
    "odata": odata,
    "http-directory": directory,
    "ftp": ftp,
}


@pytest.fixture(scope="module", params=KINDS)
def provider(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    archive = Archive(product(number) for number in range(COUNT))
    with ExitStack() as stack:
        config = stack.enter_context(KINDS[request.param](archive, tmp_path_factory.mktemp("site")))
        made = open_provider(config)
        yield made
        close = getattr(made, "close", None) or getattr(getattr(made, "api", None), "close", None)
        if close is not None:
            close()


def found(provider: Provider, **query: Any) -> list[Offer]:
    window: dict[str, Any] = {"collection": COLLECTION, "since": DAY, "until": DAY + timedelta(days=5)}
    return list(provider.search(Query(**(window | query))))


def granule_of(offer: Offer) -> Granule:
    """As it comes back from the database."""
    given = {key: value for key, value in asdict(offer).items() if key in {field.name for field in fields(Granule)}}
    detail = json.loads(json.dumps(offer.detail))
    rest = {"granule_id": 1, "attempts": 1, "faults": 0, "next_try": DAY, "detail": detail}
    return Granule(**(dict.fromkeys(field.name for field in fields(Granule)) | given | rest))


def test_every_product_once_and_oldest_first(provider: Provider) -> None:
    offers = found(provider)
    assert [offer.name for offer in offers] == [product(number).name for number in range(COUNT)]
    assert len({offer.id for offer in offers}) == COUNT
    published = [offer.published for offer in offers if offer.published is not None]
    assert published == sorted(published)
    assert len(published) == COUNT


def test_an_offer_is_complete_and_fit_for_the_ledger(provider: Provider) -> None:
    for offer in found(provider):
        assert offer.provider == provider.name
        assert offer.collection == COLLECTION
        assert offer.scene_key
        assert "://" in offer.source
        assert offer.fingerprint
        json.dumps(offer.detail)
        for time in (offer.published, offer.modified, offer.start_at, offer.end_at):
            assert time is None or time.utcoffset() == timedelta()
        assert offer.start_at is None or offer.end_at is None or offer.start_at <= offer.end_at


def test_asked_again_it_says_the_same(provider: Provider) -> None:
    assert found(provider) == found(provider)


@pytest.mark.parametrize("hour", [0, 1, 15, COUNT - 1, COUNT])
def test_half_open_windows_meet_without_gap_or_double(provider: Provider, hour: int) -> None:
    middle = product(hour).published
    early, late = found(provider, until=middle), found(provider, since=middle)
    assert [offer.id for offer in early + late] == [offer.id for offer in found(provider)]
    assert len(early) == hour


def test_an_empty_window_is_empty(provider: Provider) -> None:
    assert found(provider, since=DAY - timedelta(days=9), until=DAY - timedelta(days=8)) == []


def test_a_search_can_be_left_at_any_time(provider: Provider) -> None:
    walk = provider.search(Query(collection=COLLECTION, since=DAY, until=DAY + timedelta(days=5)))
    assert next(iter(walk)).name == product(0).name
    getattr(walk, "close", lambda: None)()
    assert len(found(provider)) == COUNT


def test_by_name(provider: Provider) -> None:
    assert [offer.name for offer in found(provider, names=[f"{product(4).name}.SEN3"])] == [product(4).name]


def test_parts_have_addresses_and_safe_names(provider: Provider) -> None:
    offer = found(provider)[3]
    parts = provider.resolve(granule_of(offer))
    assert [part.role for part in parts].count("data") >= 1
    assert len({part.name for part in parts}) == len(parts)
    for part in parts:
        assert fit(part.name)
        assert "://" in part.url
        assert part.role == "overview" or part.size in {None, product(3).size}
    assert list(parts) == list(provider.resolve(replace_state(granule_of(offer))))


def replace_state(granule: Granule) -> Granule:
    return replace(granule, state="fetching")
