"""Records of OData catalogues, recorded and odd, become offers."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.odata import T0, Open, product

from eolake.catalog.ledger.granules import Offer
from eolake.ingest.providers import odata
from eolake.ingest.providers.base import Query

HOST = "https://download.example/odata/v1"
S1 = "payloads/cdse_odata/query/mock/sentinel_1"
PUSHED = "payloads/hls_downloader/link_fetcher/tests/data/push-granule-created-s2-n1.json"


def offered(document: dict[str, Any]) -> Offer:
    offer = odata.offer_of(document, provider="cdse", download=HOST, collection="s2_l2a")
    assert offer is not None
    return offer


def notes(offer: Offer) -> list[str]:
    return list(offer.detail.get("notes", []))


def test_a_record_becomes_an_offer() -> None:
    document = product(7, T0, Assets=[{"Type": "QUICKLOOK", "Id": "aa-1"}])
    offer = offered(document)
    assert (offer.id, offer.size, offer.published, offer.cloud_cover) == (document["Id"], 1007, T0, 12.5)
    assert offer.name == document["Name"].removesuffix(".SAFE")
    assert offer.source == f"{HOST}/Products({document['Id']})/$value"
    assert offer.fingerprint == f"md5:{7:032x}"
    assert offer.detail["digests"] == {"md5": f"{7:032x}", "blake3": f"{7:064x}"}
    assert (offer.detail["quicklook"], offer.detail["name"]) == ("aa-1", document["Name"])
    assert offer.scene_key is not None
    assert "R007" in offer.name
    assert not notes(offer)


def test_another_rank_for_another_processing_of_the_same_sensing() -> None:
    early, late = product(1, T0, sensed=T0), product(1, T0 + timedelta(days=9), sensed=T0)
    assert offered(early).scene_key == offered(late).scene_key
    assert offered(early).rank < offered(late).rank


ODD: list[tuple[dict[str, Any], str]] = [
    ({"Footprint": None, "GeoFootprint": None}, "no footprint"),
    ({"Checksum": []}, "no digest"),
    ({"Checksum": None}, "no digest"),
    ({"Checksum": [{"Algorithm": "MD5", "Value": "abc"}, None, "md5"]}, "no digest"),
    ({"ContentLength": 0}, "no size"),
    ({"ContentLength": None}, "no size"),
    ({"ContentLength": -3}, "no size"),
    ({"ContentDate": {"Start": "2024-09-10T02:00:00Z", "End": "2024-09-10T01:00:00Z"}}, "ends before it starts"),
    ({"ContentDate": None}, "no sensing time"),
    ({"ContentDate": {"Start": "2024-09-10T02:00:00Z"}}, "half a sensing time"),
    ({"PublicationDate": None}, "no publication time"),
    ({"PublicationDate": "soon"}, "no publication time"),
]


@pytest.mark.parametrize(("oddity", "note"), ODD)
def test_d05_odd_records_are_accepted_and_flagged(oddity: dict[str, Any], note: str) -> None:
    assert notes(offered(product(1, T0, **oddity))) == [note]


def test_d05_an_end_before_the_start_is_put_right() -> None:
    dates = {"Start": "2016-09-28T03:15:07.817Z", "End": "2016-09-28T03:05:07.462Z"}
    offer = offered(product(1, T0, ContentDate=dates))
    assert (offer.start_at, offer.end_at) == (odata.parse_time(dates["End"]), odata.parse_time(dates["Start"]))


@pytest.mark.parametrize(
    ("text", "microseconds"),
    [
        ("2024-09-10T01:02:03Z", 0),
        ("2024-09-10T01:02:03.118Z", 118_000),
        ("2024-09-10T01:02:03.118265Z", 118_265),
        ("2024-09-10T01:02:03.1182657Z", 118_265),
        ("2024-09-10T01:02:03.118265+00:00", 118_265),
        ("2024-09-10T01:02:03.2672", 267_200),
        ("2024-09-10T03:02:03+02:00", 0),
    ],
)
def test_d05_times_with_any_decimals_and_zone(text: str, microseconds: int) -> None:
    assert odata.parse_time(text) == datetime(2024, 9, 10, 1, 2, 3, microseconds, tzinfo=UTC)


@pytest.mark.parametrize("value", ["", "9999", "0000-00-00T00:00:00Z", None, 12, ["x"], "2024-13-01T00:00:00Z"])
def test_d05_what_is_no_time(value: object) -> None:
    assert odata.parse_time(value) is None


def test_d05_unknown_kinds_of_attributes_and_digests() -> None:
    attributes = [
        {"@odata.type": "#OData.CSC.BlobAttribute", "Name": "odd", "Value": {"a": [1]}, "ValueType": "Blob"},
        {"Name": "cloudCover", "Value": "37.5"},
        {"Name": "tileId", "Value": "55HFA"},
        None,
        {"Value": 3},
    ]
    offer = offered(
        product(1, T0, Attributes=attributes, Checksum=[{"Algorithm": "SHA3-256", "Value": "AB" * 32}, {"Algorithm": "XXH", "Value": "1"}])
    )
    assert offer.cloud_cover == 37.5
    assert offer.detail["attributes"] == {"tileId": "55HFA"}
    assert offer.detail["digests"] == {"sha3-256": "ab" * 32}
    assert offer.fingerprint == f"sha3-256:{'ab' * 32}"


def test_d05_dates_of_eviction_and_unknown_keys_change_nothing() -> None:
    plain = offered(product(1, T0))
    for eviction in ("", None, "2025-03-12T08:28:16.409489Z"):
        assert offered(product(1, T0, EvictionDate=eviction, Surprise=[1])) == plain


def test_d05_a_record_without_identity_is_left_out_aloud(catalogue_of: Open, caplog: pytest.LogCaptureFixture) -> None:
    documents: list[Any] = [product(1, T0), product(2, T0, Id=None), product(3, T0, Id="../../evil)"), product(4, T0)]
    _, provider = catalogue_of([*documents])
    assert [offer.id for offer in provider.search(Query(collection="s2_l2a", since=T0))] == [documents[0]["Id"], documents[3]["Id"]]
    assert caplog.text.count("left out") == 2


def test_the_fingerprint_is_of_the_bytes_and_not_of_the_record() -> None:
    plain = offered(product(1, T0))
    touched = offered(product(1, T0, ModificationDate="2025-01-01T00:00:00Z", Online=False))
    assert touched.fingerprint == plain.fingerprint
    assert offered(product(1, T0, Checksum=[])).fingerprint == "size:1001"
    assert offered(product(1, T0, Checksum=[{"Algorithm": "MD5", "Value": "f" * 32}])).fingerprint != plain.fingerprint


def test_a_notification_with_everything_inside_its_footprint_is_read_like_any_other() -> None:
    """Documented so: `ContentDate` and all that follows stand within `GeoFootprint`."""
    whole = product(5, T0)
    keys = list(whole)
    after = keys[keys.index("ContentDate") :]
    geometry = whole["GeoFootprint"]
    nested = {key: value for key, value in whole.items() if key not in after} | {
        "GeoFootprint": {**geometry, **{key: whole[key] for key in after if key != "GeoFootprint"}}
    }
    assert offered(nested) == offered(whole)


@pytest.mark.parametrize(
    ("name", "plain", "file"),
    [
        ("S2A_X.SAFE", "S2A_X", "S2A_X.SAFE.zip"),
        ("S3A_X.SEN3", "S3A_X", "S3A_X.SEN3.zip"),
        ("S1A_AUX.SAFE.zip", "S1A_AUX", "S1A_AUX.SAFE.zip"),
        ("S5P_X.nc", "S5P_X", "S5P_X.nc"),
        ("LC08_X.tar", "LC08_X", "LC08_X.tar"),
        ("LC08_X", "LC08_X", "LC08_X.zip"),
        ("S1A_OPER_X.EOF", "S1A_OPER_X", "S1A_OPER_X.EOF"),
    ],
)
def test_names_without_extension_and_of_the_file(name: str, plain: str, file: str) -> None:
    assert (odata.plain_name(name), odata.file_name(name)) == (plain, file)


@pytest.mark.parametrize("name", ["../../etc/passwd", "a/b", "a\\b", "a\0b", "", "..", None, 3])
def test_a_name_with_a_path_in_it_is_none(name: object) -> None:
    """The object store's path names it then."""
    assert offered(product(1, T0, Name=name, S3Path="/eodata/Sentinel-2/S2A_GOOD.SAFE")).name == "S2A_GOOD"
    assert offered(product(1, T0, Name=name, S3Path=None)).name == product(1, T0)["Id"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=200, deadline=None)
@given(key=st.sampled_from(sorted(product(1, T0))), value=JSON)
def test_whatever_one_field_holds_the_rest_is_read(key: str, value: Any) -> None:
    offer = odata.offer_of(product(1, T0, **{key: value}), provider="cdse", download=HOST)
    assert (offer is None) == (key == "Id" and not (isinstance(value, str) and odata.id_of({"Id": value})))
    assert offer is None or json.dumps(offer.detail)


def test_recorded_pages_of_sentinel_1(samples: Path) -> None:
    for n in (1, 2, 3):
        page = json.loads((samples / S1 / f"odata_page_{n}.json").read_text())
        for document in page["value"]:
            offer = odata.offer_of(document, provider="cdse", download=HOST)
            assert offer is not None
            assert (offer.id, offer.size) == (document["Id"], document["ContentLength"])
            assert offer.fingerprint == "md5:" + document["Checksum"][0]["Value"]
            assert set(offer.detail["digests"]) == {"md5", "blake3"}
            assert offer.published is not None
            assert offer.published.isoformat()[:19] == document["PublicationDate"][:19]
            assert (offer.footprint is None) == (document["GeoFootprint"] is None)


def test_recorded_page_of_sentinel_2(samples: Path) -> None:
    page = json.loads((samples / "payloads/eodag/provider_responses/cop_dataspace_search.json").read_text())
    for document in page["value"]:
        offer = odata.offer_of(document, provider="cdse", download=HOST)
        assert offer is not None
        assert offer.name + ".SAFE" == document["Name"]
        assert offer.footprint is not None
        assert offer.cloud_cover == pytest.approx({a["Name"]: a["Value"] for a in document["Attributes"]}["cloudCover"])
        assert offer.scene_key is not None
        assert not notes(offer)


def test_recorded_notification_is_the_same_offer_as_the_record(samples: Path) -> None:
    value = json.loads((samples / PUSHED).read_text())["value"]
    offer = odata.offer_of(value, provider="cdse", download=HOST)
    assert offer is not None
    assert offer.fingerprint == "md5:700a3f2014ab3670408b94e4310924dd"
    assert offer.detail["quicklook"] == "97cd3cae-9999-4871-9767-9a44305415e6"
    polled = {key: entry for key, entry in value.items() if key != "Locations"}
    assert odata.offer_of(polled, provider="cdse", download=HOST) == offer
    located = {**value, "Checksum": []}
    assert odata.offer_of(located, provider="cdse", download=HOST) == offer  # of its extracted location


def test_recorded_answers_with_checksums(samples: Path) -> None:
    answer = json.loads((samples / "payloads/hls_downloader/downloader/tests/example_checksum_response.json").read_text())
    offer = odata.offer_of(answer["value"][0], provider="cdse", download=HOST)
    assert offer is not None
    assert offer.detail["digests"]["md5"] == "ef0e036af119acf95a8d79c0a27aa1d7"


def test_the_collection_of_a_notification_is_the_one_it_fits(catalogue_of: Open, samples: Path) -> None:
    _, provider = catalogue_of([])
    pushed = provider.offer_of(json.loads((samples / PUSHED).read_text())["value"])
    assert pushed is not None
    assert pushed.collection == "s2_l1c"
    ours = provider.offer_of(product(1, T0))
    assert ours is not None
    assert ours.collection == "s2_l2a"
    other = provider.offer_of(product(1, T0, Attributes=[]))
    assert other is not None
    assert other.collection is None
