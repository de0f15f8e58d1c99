"""The USGS Machine-to-Machine API: complete results, errors with status 200, URLs that are made one by one."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import urllib3
from support.archives import START, granule, record, square

from eolake.catalog.errors import ConfigError
from eolake.catalog.settings import load_settings
from eolake.ingest.faults import Kind, ProviderFault
from eolake.ingest.logins import open_login
from eolake.ingest.providers.api import host_of
from eolake.ingest.providers.base import ProviderConfig, Query
from eolake.ingest.providers.m2m import M2mProvider
from eolake.ingest.providers.registry import provider_config
from eolake.ingest.simulators.archive import Archive, Record
from eolake.ingest.simulators.dialects.m2m import M2mDialect
from eolake.ingest.simulators.server import Request, Response, Server, json_response

type Open = Callable[..., tuple[M2mDialect, M2mProvider, Server]]
DATASET = "landsat_ot_c2_l2"


def scene(number: int, *, name: str | None = None, tier: str = "T1", level: str = "L2SP", **fields: Any) -> Record:
    day = START + timedelta(days=number % 5)
    made = name or f"LC08_{level}_{90 + number % 100:03}084_{day:%Y%m%d}_20260310_02_{tier}"
    entity = {"entity": f"LC8{number:013}", **fields.pop("attributes", {})}
    return record(number, DATASET, id=made, name=made, start=day, end=day, attributes=entity, **fields)


@pytest.fixture
def m2m(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Open]:
    """`dialect, provider, server = m2m(records, page=10, …)`: options of the provider as keywords."""
    monkeypatch.setenv("USGS_USERNAME", "user")
    monkeypatch.setenv("USGS_TOKEN", "token")
    with ExitStack() as stack:

        def opened(records: list[Record], **options: Any) -> tuple[M2mDialect, M2mProvider, Server]:
            dialect = M2mDialect(archive=Archive(records))
            server = stack.enter_context(Server(dialect))
            config = ProviderConfig(
                name="usgs",
                kind="m2m",
                urls={"api": f"{server.url}/api/api/json/stable"},
                credentials=("env:USGS",),
                auth={"kind": "m2m", "insecure": True, "login_every": 0},
                auth_hosts=(host_of(server.url),),
                collections={"ls8_c2_l2": {"dataset": DATASET, "name": "LC08_L2SP_"}},
                options={"page": 10, "retry_delay": 0.01, "poll_seconds": 0.0, **options},
            )
            login = open_login(config, "env:USGS", state=tmp_path)
            stack.callback(login.close)
            provider = M2mProvider(config, login, sleep=lambda _: None)
            stack.callback(provider.api.close)
            return dialect, provider, server

        yield opened


def names(provider: M2mProvider, **query: Any) -> list[str]:
    return [offer.name for offer in provider.search(Query(collection="ls8_c2_l2", **query))]


def test_all_pages_with_one_login(m2m: Open) -> None:
    records = [scene(n) for n in range(47)]
    dialect, provider, _ = m2m([*records, scene(60, level="L2SR")])
    assert sorted(names(provider)) == sorted(one.name for one in records)
    assert sum(endpoint == "login-token" for endpoint, _ in dialect.calls) == 1


def test_d02_m2m_scenes_published_while_paging_are_not_missed(m2m: Open) -> None:
    records = [scene(n) for n in range(40)]
    dialect, provider, _ = m2m(records)
    early = [scene(60 + n, published=START - timedelta(hours=1 + n)) for n in range(3)]

    def publish(first: int) -> None:
        if first == 21:  # three new ones in front: those of the next pages shift, three would be seen twice
            dialect.archive.add(*early)

    dialect.before_page = publish
    found = names(provider)
    assert sorted(found) == sorted(one.name for one in [*records, *early])


def test_d02_m2m_scenes_removed_while_paging_make_no_gap(m2m: Open) -> None:
    records = [scene(n) for n in range(40)]
    dialect, provider, _ = m2m(records)

    def remove(first: int) -> None:
        if first == 21 and dialect.archive.get(records[0].id):
            dialect.archive.remove(records[0].id)

    dialect.before_page = remove
    found = names(provider)
    assert sorted(found) == sorted(one.name for one in records)  # the one that is gone now was seen before


def test_records_that_a_page_leaves_out_do_not_end_the_result(m2m: Open) -> None:
    dialect, provider, _ = m2m([scene(n) for n in range(45)])
    dialect.excluded = 3
    found = names(provider)
    assert len(found) == len(set(found)) == 45 - 4 * 3 - 3
    starts = [document["startingNumber"] for endpoint, document in dialect.calls if endpoint == "scene-search"]
    assert starts[:5] == [1, 11, 21, 31, 41]


def test_windows_of_publication_ask_for_whole_days_and_more(m2m: Open) -> None:
    dialect, provider, _ = m2m([scene(n) for n in range(96)])
    since, until = START + timedelta(days=1), START + timedelta(days=2)
    found = names(provider, since=since, until=until)
    inside = [one.name for one in dialect.archive.records if since <= one.published < until]
    assert sorted(found) == sorted(inside)
    asked = dialect.calls[-1][1]["sceneFilter"]["ingestFilter"]
    assert asked == {"start": "2026-03-01", "end": "2026-03-04"}


def test_boxes_areas_clouds_and_names(m2m: Open) -> None:
    near = scene(1, footprint=square(179.2, -20), attributes={"cloudCover": 10})
    far = scene(2, footprint=square(-179.8, -20), attributes={"cloudCover": 90})
    other = scene(3, footprint=square(0, 0))
    dialect, provider, _ = m2m([near, far, other])
    assert set(names(provider, bbox=(179.0, -30.0, -179.0, 0.0))) == {near.name, far.name}
    assert names(provider, area=square(0.2, 0.2, 0.1)) == [other.name]
    assert set(names(provider, cloud_cover=20)) == {near.name, other.name}  # one does not say
    assert names(provider, names=[far.name]) == [far.name]
    assert "acquisitionFilter" in dialect.calls[-1][1]["sceneFilter"]


def test_a_scene_becomes_an_offer(m2m: Open, tmp_path: Path) -> None:
    made = scene(1, attributes={"cloudCover": 33.3})
    _, provider, _ = m2m([made])
    (offer,) = provider.search(Query(collection="ls8_c2_l2"))
    assert (offer.id, offer.name, offer.cloud_cover, offer.published) == (made.name, made.name, 33.3, made.published)
    assert offer.scene_key == "landsat-8/c2/l2/091084/2026-03-02"
    assert offer.detail == {"dataset": DATASET, "entity": "LC80000000000001"}


def test_d09_m2m_real_time_and_final_are_one_scene(m2m: Open) -> None:
    rt = scene(1, name="LC08_L2SP_090084_20260301_20260302_02_RT")
    t1 = scene(2, name="LC08_L2SP_090084_20260301_20260312_02_T1")
    _, provider, _ = m2m([rt, t1])
    first, second = sorted(provider.search(Query(collection="ls8_c2_l2")), key=lambda offer: offer.name)
    assert (first.name, second.name) == (rt.name, t1.name)
    assert first.id != second.id
    assert first.scene_key == second.scene_key
    assert first.rank < second.rank


# --- errors with status 200 ---


@pytest.mark.parametrize(
    ("code", "kind", "wait"),
    [
        ("RATE_LIMIT_USER_DL", Kind.RATE, 905),
        ("RATE_LIMIT_USER", Kind.RATE, 10),
        ("RATE_LIMIT", Kind.RATE, 10),
        ("SERVER_ERROR", Kind.TRANSIENT, None),
        ("UNKNOWN", Kind.TRANSIENT, None),
        ("DATASET_INVALID", Kind.CONFIG, None),
        ("INPUT_FORMAT", Kind.CONFIG, None),
        ("DATASET_UNAUTHORIZED", Kind.AUTH, None),
    ],
)
def test_errors_that_come_with_status_200(m2m: Open, code: str, kind: Kind, wait: float | None) -> None:
    dialect, provider, _ = m2m([scene(1)])
    dialect.errors = [("scene-search", code)]
    with pytest.raises(ProviderFault) as caught:
        names(provider)
    assert (caught.value.kind, caught.value.code, caught.value.retry_after, caught.value.status) == (kind, code, wait, 200)


def test_t16_m2m_a_key_that_ended_is_made_anew_once(m2m: Open) -> None:
    dialect, provider, _ = m2m([scene(n) for n in range(30)])
    found = provider.search(Query(collection="ls8_c2_l2"))
    next(found)
    dialect.expire()
    assert len(list(found)) == 29
    assert sum(endpoint == "login-token" for endpoint, _ in dialect.calls) == 2
    dialect.errors = [("scene-search", "AUTH_INVALID"), ("scene-search", "AUTH_INVALID")]
    with pytest.raises(ProviderFault) as caught:
        names(provider)
    assert caught.value.kind is Kind.AUTH


def test_errors_with_other_statuses_are_read_as_well(m2m: Open) -> None:
    _, provider, server = m2m([scene(1)])
    list(provider.search(Query(collection="ls8_c2_l2")))
    for status, kind in {403: Kind.AUTH, 404: Kind.GONE, 429: Kind.RATE, 500: Kind.TRANSIENT}.items():
        server.script([{"match": "*/scene-search", "fault": {"status": status}}])
        with pytest.raises(ProviderFault) as caught:
            names(provider)
        assert (caught.value.kind, caught.value.status) == (kind, status)
    server.script([{"match": "*/scene-search", "fault": {"page": "login"}}])
    with pytest.raises(ProviderFault) as caught:
        names(provider)
    assert caught.value.kind is Kind.TRANSIENT


# --- downloads ---


def one(provider: M2mProvider, **fields: Any) -> Any:
    (offer,) = provider.search(Query(collection="ls8_c2_l2"))
    return granule(offer, **fields)


def endpoints(dialect: M2mDialect) -> list[str]:
    return [endpoint for endpoint, _ in dialect.calls if endpoint.startswith("download")]


def test_a_url_is_made_right_before_the_transfer(m2m: Open, tmp_path: Path) -> None:
    picture = tmp_path / "browse.png"
    picture.write_bytes(b"\x89PNG picture")
    made = scene(1, quicklook=picture)
    dialect, provider, _ = m2m([made])
    row = one(provider)
    assert endpoints(dialect) == []  # searching asks for no URL
    data, overview = provider.resolve(row)
    assert endpoints(dialect) == ["download-options", "download-request"]
    assert (data.name, data.size) == (f"{made.name}.tar", made.size)
    assert urllib3.request("GET", data.url).data == made.body().read(0, made.size)
    assert overview.role == "overview"
    assert urllib3.request("GET", overview.url).status == 200
    assert provider.resolve(row)[0].url != data.url


def test_t35_m2m_an_expired_url_is_made_anew(m2m: Open) -> None:
    dialect, provider, _ = m2m([scene(1)])
    row = one(provider)
    dialect.url_lifetime = -1
    assert urllib3.request("GET", provider.resolve(row)[0].url).status == 403
    dialect.url_lifetime = 60
    assert urllib3.request("GET", provider.resolve(row)[0].url).status == 200


def test_both_lists_may_be_empty_first(m2m: Open) -> None:
    dialect, provider, _ = m2m([scene(1)], polls=4)
    dialect.silent, dialect.preparing = 1, 1
    (data,) = provider.resolve(one(provider))
    assert urllib3.request("GET", data.url).status == 200
    assert endpoints(dialect) == ["download-options", "download-request", *["download-retrieve"] * 3]


def test_t31_m2m_what_is_being_prepared_is_offline_and_ordered_once(m2m: Open) -> None:
    dialect, provider, _ = m2m([scene(1)], polls=2)
    dialect.preparing = 3
    row = one(provider)
    with pytest.raises(ProviderFault) as caught:
        provider.resolve(row)
    assert caught.value.kind is Kind.OFFLINE
    later = granule(next(provider.search(Query(collection="ls8_c2_l2"))), fault="offline", attempts=2)
    dialect._orders["1000"].looks = 3
    (data,) = provider.resolve(later)
    assert urllib3.request("GET", data.url).status == 200
    assert len(dialect._orders) == 1
    assert endpoints(dialect).count("download-request") == 1


def test_an_order_of_somebody_else_under_another_label_counts(m2m: Open) -> None:
    dialect, provider, _ = m2m([scene(1)], polls=2)
    dialect.preparing = 1
    row = one(provider)
    entity = row.detail["entity"]
    provider.call(
        "download-request", {"downloads": [{"entityId": entity, "productId": f"bundle-{entity}", "label": "earlier"}], "label": "earlier"}
    )
    dialect._orders["1000"].looks = 5
    (data,) = provider.resolve(row)
    assert urllib3.request("GET", data.url).status == 200


def test_what_is_not_available_right_now_is_offline_and_what_is_replaced_is_gone(m2m: Open) -> None:
    dialect, provider, _ = m2m([scene(1)])
    row = one(provider)
    dialect.unavailable = {row.detail["entity"]}
    with pytest.raises(ProviderFault) as caught:
        provider.resolve(row)
    assert caught.value.kind is Kind.OFFLINE
    replaced = scene(1, name="LC08_L2SP_091084_20260302_20260401_02_T1")
    dialect.archive.remove(row.name)
    dialect.archive.add(replaced)
    with pytest.raises(ProviderFault, match=replaced.name) as caught:
        provider.resolve(row)
    assert caught.value.kind is Kind.GONE


def test_the_download_limit_cools_the_credential(m2m: Open) -> None:
    dialect, provider, _ = m2m([scene(1)])
    row = one(provider)
    dialect.errors = [("download-request", "RATE_LIMIT_USER_DL")]
    with pytest.raises(ProviderFault) as caught:
        provider.resolve(row)
    assert (caught.value.kind, caught.value.retry_after) == (Kind.RATE, 905)


# --- recorded answers ---


@pytest.fixture
def recorded(samples: Path) -> Iterator[Callable[..., tuple[M2mProvider, list[str]]]]:
    """A provider whose API answers as it was recorded; `answers`: endpoint → file or document."""
    with ExitStack() as stack:

        def opened(**answers: Any) -> tuple[M2mProvider, list[str]]:
            asked: list[str] = []

            def handler(request: Request) -> Response | None:
                endpoint = request.path.rpartition("/")[2]
                asked.append(endpoint)
                answer = answers[endpoint.replace("-", "_")]
                if isinstance(answer, str):
                    answer = json.loads((samples / "payloads" / "usgs_m2m" / answer).read_text())
                return json_response(answer)

            server = stack.enter_context(Server(handler))
            collections = {"old": {"dataset": "landsat_8_c1", "name": "LC08_L1TP_"}}
            config = ProviderConfig(name="usgs", kind="m2m", urls={"api": server.url}, collections=collections, options={"poll_seconds": 0})
            provider = M2mProvider(config, sleep=lambda _: None)
            stack.callback(provider.api.close)
            return provider, asked

        yield opened


def test_a_recorded_search(recorded: Any) -> None:
    provider, asked = recorded(scene_search="scene-search.json")
    (offer,) = provider.search(Query(collection="old"))
    assert offer.name == "LC08_L1TP_233083_20160911_20170321_01_T1"
    assert offer.cloud_cover == 44.79
    assert offer.published == datetime(2016, 9, 11, 14, 20, 23, tzinfo=UTC)
    assert offer.scene_key == "landsat-8/c1/l1/233083/2016-09-11"
    assert offer.footprint["type"] == "Polygon"
    assert offer.detail["browse"].endswith("LC08_L1TP_233083_20160911_20170321_01_T1.jpg")
    assert asked == ["scene-search"]


def test_recorded_downloads(recorded: Any) -> None:
    ready = {"downloadId": 26107136, "entityId": "LC82260782020217LGN00", "url": "https://dds.cr.usgs.gov/download/abc"}
    provider, asked = recorded(
        download_options="download-options.json",
        download_request="download-request.json",
        download_retrieve={"data": {"available": [ready], "requested": []}, "errorCode": None},
        scene_search="scene-search.json",
    )
    (offer,) = provider.search(Query(collection="old"))
    name = "LC08_L1TP_226078_20200804_20200821_01_T1"
    row = granule(offer, name=name, id=name, detail={"dataset": "landsat_8_c1", "entity": "LC82260782020217LGN00"})
    (data,) = provider.resolve(row)
    assert (data.url, data.size, data.login) == (ready["url"], 904370712, False)  # of five products the one with the data
    assert asked[1:] == ["download-options", "download-request", "download-retrieve"]


# --- configuration ---


def test_the_preset_loads_and_knows_all_of_its_collections(tmp_path: Path) -> None:
    (tmp_path / "eolake.toml").write_text("")
    config = provider_config(load_settings(tmp_path / "eolake.toml"), "usgs")
    provider = M2mProvider(config)
    assert {described["dataset"] for described in config.collections.values()} == {
        f"landsat_{sensor}_c2_{level}" for sensor in ("ot", "etm", "tm") for level in ("l1", "l2")
    }
    provider.api.close()
    with pytest.raises(ConfigError, match="ls8_c2_l2"):
        next(provider.search(Query()))
    with pytest.raises(ConfigError):
        M2mProvider(ProviderConfig(name="x", kind="m2m"))
