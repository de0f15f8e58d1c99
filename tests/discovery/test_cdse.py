"""The provider `cdse` against the simulated service: what it asks for, where it finds bytes, how it follows changes."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from support.fragile import Crash, fragile
from support.odata import DAY, T0, config_at

from eolake.catalog.errors import ConfigError
from eolake.catalog.lake import Lake
from eolake.catalog.ledger import granules
from eolake.catalog.settings import load_settings
from eolake.ingest.discovery.changes import Followed, follow
from eolake.ingest.discovery.feeds import Feed
from eolake.ingest.discovery.walk import discover
from eolake.ingest.faults import Kind, ProviderFault
from eolake.ingest.providers.base import Part, Query
from eolake.ingest.providers.cdse import ODataProvider
from eolake.ingest.providers.registry import narrowed
from eolake.ingest.simulators.archive import Archive, Record
from eolake.ingest.simulators.dialects.odata import ODataDialect
from eolake.ingest.simulators.dialects.odata_entity import Quirks
from eolake.ingest.simulators.server import Server

NOW = T0 + 5 * DAY
FEED = Feed(name="f", provider="cdse", collection="s2_l2a")


def square(west: float, south: float, size: float = 1) -> dict[str, Any]:
    east, north = west + size, south + size
    return {"type": "Polygon", "coordinates": [[[west, south], [east, south], [east, north], [west, north], [west, south]]]}


def record(n: int, published: datetime = T0, *, kind: str = "S2MSI2A", tile: str = "55HFA", **more: Any) -> Record:
    start = published - timedelta(hours=3)
    known: dict[str, Any] = {
        "id": str(uuid.UUID(int=n)),
        "name": f"S2A_{kind.replace('S2MSI', 'MSIL')}_{start:%Y%m%dT%H%M%S}_N0511_R{n % 143:03d}_T{tile}_{published:%Y%m%dT%H%M%S}",
        "collection": "s2_l2a",
        "size": 1000 + n,
        "digests": {"md5": f"{n:032x}", "blake3": f"{n:064x}"},
        "published": published,
        "modified": published,
        "start": start,
        "end": start,
        "footprint": square(149, -36),
        "attributes": {"productType": kind, "cloudCover": 10.0 + n, "tileId": tile},
    }
    return Record(**{**known, **more})


class Service:
    """An archive, its catalogue, and the provider that asks it."""

    def __init__(self, stack: ExitStack, settings: Any, records: list[Record], quirks: Quirks | None, options: dict[str, Any]) -> None:
        self.archive = Archive(records)
        self.dialect = ODataDialect(self.archive, quirks=quirks)
        self.server = stack.enter_context(Server(self.dialect))
        self.provider = ODataProvider(config_at(self.server.url, settings, **options))
        stack.callback(self.provider.api.close)

    def ids(self, **query: Any) -> list[int]:
        return [uuid.UUID(offer.id).int for offer in self.provider.search(Query(**query))]


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Any]:
    (tmp_path / "eolake.toml").write_text("")
    settings = load_settings(tmp_path / "eolake.toml")
    with ExitStack() as stack:
        yield lambda *records, quirks=None, **options: Service(stack, settings, list(records), quirks, options)


# --- what is asked for ---


def test_d13_only_the_collection_and_its_product_type(service: Any) -> None:
    l1c = record(2, collection="s2_l1c", kind="S2MSI1C")
    s3 = record(3, collection="s3_olci_l1_efr", kind="OL_1_EFR___", name="S3A_OL_1_EFR____20240909T210000_X_NT_003")
    one = service(record(1), l1c, s3)
    assert one.ids(collection="s2_l2a") == [1]
    assert one.ids(collection="s2_l1c") == [2]
    assert one.ids(collection="s3_olci_l1_efr") == [3]
    assert sorted(one.ids(since=T0)) == [1, 2, 3]
    with pytest.raises(ConfigError, match=r"s9.*\[providers\.cdse\.collections\.s9\]"):
        one.ids(collection="s9")


def test_landsat_of_one_satellite_among_others(service: Any) -> None:
    one = service(
        record(1, collection="ls8_c2_l2", kind="L2SP", name="LC08_L2SP_090084_20240912_20240918_02_T1"),
        record(2, collection="ls8_c2_l2", kind="L2SP", name="LC09_L2SP_090084_20240912_20240918_02_T1"),
    )
    assert one.ids(collection="ls8_c2_l2") == [1]


def test_d13_place(service: Any) -> None:
    one = service(
        record(1, footprint=square(149, -36)), record(2, footprint=square(179.2, -20, 0.5)), record(3, footprint=square(-179.9, -20, 0.5))
    )
    assert one.ids(collection="s2_l2a", bbox=(148, -37, 150, -35)) == [1]
    assert one.ids(collection="s2_l2a", bbox=(179, -25, -179, -15)) == [2, 3]
    assert one.ids(collection="s2_l2a", bbox=(-170, -25, 170, -15)) == []
    assert one.ids(collection="s2_l2a", area=square(148.5, -35.5, 0.2)) == []
    both = {"type": "MultiPolygon", "coordinates": [square(149.5, -35.5)["coordinates"], square(-179.8, -20, 0.1)["coordinates"]]}
    assert one.ids(collection="s2_l2a", area=both) == [1, 3]


def test_an_area_of_many_corners_is_asked_for_by_its_box(service: Any) -> None:
    ring = [[149 + i / 1000, -36.0] for i in range(1000)] + [[150, -35], [149, -35], [149, -36.0]]
    one = service(record(1, footprint=square(149.5, -35.5, 0.1)), record(2, footprint=square(160, -35)))
    assert one.ids(collection="s2_l2a", area={"type": "Polygon", "coordinates": [ring]}) == [1]


def test_d13_sensing_tiles_clouds_and_timeliness(service: Any) -> None:
    s2 = [record(n, T0 + n * DAY, tile=tile) for n, tile in enumerate(["55HFA", "55HFB", "56HKH"])]
    s3 = [
        record(
            10 + n,
            collection="s3_olci_l1_efr",
            kind="OL_1_EFR___",
            name=f"S3A_OL_1_EFR____20240909T21{n:02}00_X_O_{time}_003",
            attributes={"productType": "OL_1_EFR___", "timeliness": time},
        )
        for n, time in enumerate(["NR", "NT"])
    ]
    one = service(*s2, *s3)
    assert one.ids(collection="s2_l2a", start=T0 + DAY - timedelta(hours=3), end=T0 + 2 * DAY - timedelta(hours=3)) == [1]
    assert one.ids(collection="s2_l2a", tiles=frozenset({"55HFA", "56HKH"})) == [0, 2]
    assert one.ids(collection="s2_l2a", cloud_cover=11.0) == [0, 1]
    assert one.ids(collection="s3_olci_l1_efr", timeliness="NT") == [11]


@pytest.mark.parametrize("as_strings", [False, True])
def test_an_attribute_is_asked_for_as_the_data_says(as_strings: bool, service: Any) -> None:
    """In 2023 integers were only found through the template of strings; which one an attribute needs is a line of the preset."""
    one = service(
        record(1, attributes={"productType": "S2MSI2A", "relativeOrbitNumber": 9}),
        record(2, attributes={"productType": "S2MSI2A", "relativeOrbitNumber": 73}),
        quirks=Quirks(integers_as_strings=as_strings),
        attributes={"relativeOrbitNumber": "integer_as_string" if as_strings else "integer"},
    )
    config = replace(one.provider.config, collections={"o": {"collection": "SENTINEL-2", "filter": {"relativeOrbitNumber": 73}}})
    provider = ODataProvider(config)
    assert [uuid.UUID(offer.id).int for offer in provider.search(Query(collection="o"))] == [2]
    provider.api.close()


def test_names_with_or_without_extension_in_several_requests(service: Any) -> None:
    records = [record(n, T0 + n * DAY / 100) for n in range(1, 61)]
    one = service(*records, record(99, name=records[0].name + "_COPY"))
    names = [f"{r.name}.SAFE" if n % 2 else r.name for n, r in enumerate(records)]
    assert sorted(one.ids(collection="s2_l2a", names=names)) == list(range(1, 61))


def test_quotes_in_what_one_asks_for_stay_quotes(service: Any) -> None:
    one = service(record(1), record(2, name="it's"))
    assert one.ids(names=["it's"]) == [2]
    assert one.ids(names=["x') or startswith(Name,'S"]) == []


QUIRKS = [
    Quirks(),
    Quirks(fraction=3),
    Quirks(fraction=0, zone="+00:00"),
    Quirks(zone=""),
    Quirks(null_footprints="*", empty_checksums="*", zero_lengths="*", swapped_dates="*"),
    Quirks(repeat=True, eviction="", unknown_type="Blob"),
    Quirks(deepest=20),
]


@pytest.mark.parametrize("quirks", QUIRKS, ids=range(len(QUIRKS)))
def test_d05_whatever_the_catalogue_is_like_every_product_is_found_once(quirks: Quirks, service: Any, lake: Lake) -> None:
    records = [record(n, T0 + n * DAY / 30 + timedelta(microseconds=118_265), tile=f"{n % 60 + 1:02d}HFA") for n in range(60)]
    one = service(*records, quirks=quirks, page=7, deepest=14)
    report = discover(lake, FEED, one.provider, until=NOW)
    assert (report.available, report.new) == (60, 60)
    with lake.connect() as connection:
        assert granules.states(connection) == {"queued": 60}


@pytest.mark.parametrize("link", ["self", "host"])
def test_d03_a_simulated_catalogue_that_links_astray(link: str, service: Any) -> None:
    one = service(*[record(n, T0 + n * DAY / 30) for n in range(30)], quirks=Quirks(next_link=link), page=7)
    with pytest.raises(ProviderFault):
        one.ids(collection="s2_l2a")


# --- where the bytes are ---


def granule_of(lake: Lake, **more: Any) -> granules.Granule:
    with lake.connect() as connection:
        row = connection.execute("select granule_id from eolake.granule order by id limit 1").fetchone()
        assert row is not None
        return replace(granules.get(connection, [row["granule_id"]])[0], **more)


def test_a_product_is_an_archive_and_its_quicklook(service: Any, lake: Lake, tmp_path: Path) -> None:
    picture = tmp_path / "ql.png"
    picture.write_bytes(b"\x89PNG\r\n\x1a\n")
    one = service(record(1, quicklook=picture))
    discover(lake, FEED, one.provider, until=NOW)
    granule = granule_of(lake, attempts=1)
    asked = one.dialect.pages
    archive, overview = one.provider.resolve(granule)
    assert archive == Part(
        url=f"{one.server.url}/odata/v1/Products({granule.id})/$value",
        name=f"{granule.name}.SAFE.zip",
        size=1001,
        digests={"md5": f"{1:032x}", "blake3": f"{1:064x}"},
    )
    assert (overview.role, overview.name) == ("overview", f"{granule.name}-ql.jpg")
    assert one.provider.api.get_bytes(overview.url) == picture.read_bytes()
    assert one.dialect.pages == asked  # known from discovery: nothing is asked again


def test_t10_the_digests_are_asked_for_again_after_a_failure(service: Any, lake: Lake) -> None:
    """The first checksum of a product was wrong at times; it is corrected in the catalogue."""
    one = service(record(1, digests={"md5": "0" * 32}))
    discover(lake, FEED, one.provider, until=NOW)
    one.archive.replace(record(1, digests={"md5": "1" * 32}, modified=T0 + DAY))
    assert one.provider.resolve(granule_of(lake, attempts=1))[0].digests == {"md5": "0" * 32}
    assert one.provider.resolve(granule_of(lake, attempts=2))[0].digests == {"md5": "1" * 32}
    assert one.provider.resolve(granule_of(lake, attempts=1, fault="corrupt"))[0].digests == {"md5": "1" * 32}


def test_t10_a_digest_that_was_put_right_is_no_change_of_what_was_fetched(service: Any, lake: Lake) -> None:
    one = service(record(1, digests={"md5": "0" * 32}))
    discover(lake, FEED, one.provider, until=NOW)
    with lake.connect() as connection:
        connection.execute("update eolake.granule set state = 'published'")
        connection.execute(
            "insert into eolake.file (granule_id, name, digests) "
            "select granule_id, 'x.zip', jsonb_build_object('md5', repeat('1', 32)) from eolake.granule"
        )
    one.archive.replace(record(1, digests={"md5": "1" * 32}))
    assert discover(lake, replace(FEED, name="again"), one.provider, until=NOW).changed == 0
    one.archive.replace(record(1, digests={"md5": "2" * 32}))
    assert discover(lake, replace(FEED, name="anew"), one.provider, until=NOW).changed == 1
    assert states(lake) == {1: "queued"}


def test_digests_that_were_not_there_yet_are_asked_for(service: Any, lake: Lake) -> None:
    one = service(record(1, digests={}))
    discover(lake, FEED, one.provider, until=NOW)
    one.archive.replace(record(1))
    assert one.provider.resolve(granule_of(lake, attempts=1))[0].digests["md5"] == f"{1:032x}"


def test_d10_a_product_with_a_new_id_is_found_by_its_name(service: Any, lake: Lake) -> None:
    one = service(record(1))
    discover(lake, FEED, one.provider, until=NOW)
    one.archive.remove(record(1).id)
    one.archive.add(replace(record(2), name=record(1).name))
    (part,) = one.provider.resolve(granule_of(lake, attempts=2))
    assert record(2).id in part.url
    assert part.digests["md5"] == f"{2:032x}"


def test_a_product_that_is_nowhere_is_gone(service: Any, lake: Lake) -> None:
    one = service(record(1))
    discover(lake, FEED, one.provider, until=NOW)
    one.archive.remove(record(1).id)
    with pytest.raises(ProviderFault) as caught:
        one.provider.resolve(granule_of(lake, attempts=2))
    assert caught.value.kind is Kind.GONE


def test_an_offline_product_says_so(service: Any, lake: Lake) -> None:
    one = service(record(1, online=False))
    discover(lake, FEED, one.provider, until=NOW)
    with pytest.raises(ProviderFault) as caught:
        one.provider.resolve(granule_of(lake, attempts=1))
    assert caught.value.kind is Kind.OFFLINE
    one.archive.replace(record(1))
    assert one.provider.resolve(granule_of(lake, attempts=1, fault="offline"))[0].size == 1001


# --- changes ---


def states(lake: Lake) -> dict[int, str]:
    with lake.connect() as connection:
        return {uuid.UUID(row["id"]).int: row["state"] for row in connection.execute("select id, state from eolake.granule")}


def test_d08_deleted_products_are_withdrawn_and_their_rows_stay(service: Any, lake: Lake) -> None:
    one = service(*[record(n, T0 + n * DAY / 10, tile=f"{n + 1:02d}HFA") for n in range(6)])
    discover(lake, FEED, one.provider, until=NOW)
    one.archive.remove(record(1).id, cause="Corrupted product", at=T0 + 2 * DAY)
    one.archive.remove(record(4).id, at=T0 + 3 * DAY)
    one.archive.add(record(77))
    one.archive.remove(record(77).id, at=T0 + 3 * DAY)  # which the lake never had
    assert follow(lake, one.provider, since=T0) == Followed(withdrawn=2)
    assert states(lake) == {0: "queued", 1: "withdrawn", 2: "queued", 3: "queued", 4: "withdrawn", 5: "queued"}
    with lake.connect() as connection:
        (row,) = connection.execute("select reason from eolake.granule where id = %s", [record(1).id])
    assert "Corrupted product" in row["reason"]
    assert follow(lake, one.provider, since=T0) == Followed()  # a second time is none


@pytest.mark.parametrize("after", [False, True])
def test_d07_d08_a_crash_while_changes_are_followed_and_a_rerun_give_the_same_states(after: bool, service: Any, lake: Lake) -> None:
    one = service(*[record(n, T0 + n * DAY / 10, tile=f"{n + 1:02d}HFA") for n in range(6)])
    discover(lake, FEED, one.provider, until=NOW)
    one.archive.remove(record(1).id, at=T0 + 2 * DAY)
    one.archive.remove(record(4).id, at=T0 + 3 * DAY, cause="Corrupted product")
    one.archive.replace(replace(record(2, T0 + 2 * DAY / 10, tile="03HFA"), modified=T0 + 6 * DAY, digests={"md5": "f" * 32}))
    for at in count(1):
        with lake.connect() as connection:
            connection.execute("update eolake.granule set state = 'queued', reason = null, fingerprint = 'md5:' || repeat('0', 32)")
        try:
            follow(fragile(lake, at=at, after=after), one.provider, since=T0 + DAY)
        except Crash:
            follow(lake, one.provider, since=T0 + DAY)
            assert states(lake) == {0: "queued", 1: "withdrawn", 2: "queued", 3: "queued", 4: "withdrawn", 5: "queued"}
            with lake.connect() as connection:
                (row,) = connection.execute("select fingerprint from eolake.granule where id = %s", [record(2).id])
            assert row["fingerprint"] == "md5:" + "f" * 32
        else:
            assert at > 5
            return


def test_b1h_modified_products_are_fetched_again_only_when_their_bytes_changed(service: Any, lake: Lake) -> None:
    """The founders followed `created` only."""
    one = service(*[record(n, T0 + n * DAY / 10, tile=f"{n + 1:02d}HFA") for n in range(4)])
    discover(lake, FEED, one.provider, until=T0 + DAY)
    late = T0 + 2 * DAY
    one.archive.replace(replace(record(0, tile="01HFA"), modified=late))  # touched
    one.archive.replace(replace(record(1, T0 + DAY / 10, tile="02HFA"), modified=late, digests={"md5": "f" * 32}))
    one.archive.add(record(50, late))
    with lake.connect() as connection:
        connection.execute("update eolake.granule set state = 'published'")
    assert follow(lake, one.provider, since=late - DAY / 2) == Followed(modified=2, changed=1)
    assert states(lake) == {0: "published", 1: "queued", 2: "published", 3: "published"}  # the new one is for the feed to find


def test_changes_of_the_collections_in_use_only(service: Any, lake: Lake) -> None:
    one = service(record(1), record(2, collection="s3_olci_l1_efr", kind="OL_1_EFR___"))
    for n in (1, 2):
        one.archive.remove(record(n).id, at=T0 + DAY)
    provider = ODataProvider(narrowed(one.provider.config, "s2_l2a"))
    assert [uuid.UUID(change.id).int for change in provider.changes(T0)] == [1]
    assert sorted(uuid.UUID(change.id).int for change in one.provider.changes(T0)) == [1, 2]
    provider.api.close()


def test_changes_are_followed_from_a_little_before_the_last_look(service: Any, lake: Lake) -> None:
    one = service(record(1))
    discover(lake, FEED, one.provider, until=NOW)
    assert follow(lake, one.provider).complete
    with lake.connect() as connection:
        (row,) = connection.execute(
            "select eolake.clock() - position < interval '1 minute' as moved from eolake.cursor where feed like 'changes%'"
        )
        assert row["moved"]
        now = connection.execute("select eolake.clock() as now").fetchone()
    assert now is not None
    one.archive.remove(record(1).id, at=now["now"] - timedelta(hours=20))
    assert follow(lake, one.provider).withdrawn == 1


def test_a_look_at_changes_that_is_stopped_begins_again(service: Any, lake: Lake) -> None:
    one = service(record(1))
    discover(lake, FEED, one.provider, until=NOW)
    one.archive.remove(record(1).id, at=T0 + DAY)
    assert follow(lake, one.provider, since=T0, stop=lambda: True) == Followed(withdrawn=1, complete=False)
    with lake.connect() as connection:
        assert connection.execute("select 1 from eolake.cursor where feed like 'changes%'").fetchone() is None


def test_d14_a_simulated_service_that_retired(service: Any, lake: Lake) -> None:
    one = service(record(1), quirks=Quirks(retired=True))
    for look in (lambda: discover(lake, FEED, one.provider, until=NOW), lambda: follow(lake, one.provider)):
        with pytest.raises(ProviderFault):
            look()
    with lake.connect() as connection:
        (alarm,) = connection.execute("select kind, times from eolake.alarm")
    assert (alarm["kind"], alarm["times"]) == ("retired", 2)


def test_a_provider_without_its_urls_says_which(service: Any) -> None:
    with pytest.raises(ConfigError, match="download"):
        ODataProvider(replace(service().provider.config, urls={"catalogue": "http://127.0.0.1:1"}))
