"""Supersession before anything is fetched: who waits, who is passed over, who comes back."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any

import pytest
from shapely.geometry import box, mapping

from eolake.catalog.lake import Connection, Lake
from eolake.catalog.ledger import granules
from eolake.catalog.ledger.granules import Offer
from eolake.ingest.naming import scene_of

MINUTE = timedelta(minutes=1)
WEST, EAST = mapping(box(148.0, -34.4, 148.06, -34.3)), mapping(box(148.05, -34.4, 148.11, -34.3))

BASELINES = (
    "S2A_MSIL1C_20180207T104211_N0206_R008_T31UFS_20180207T124633",
    "S2A_MSIL1C_20180207T104211_N0500_R008_T31UFS_20230804T071350",
    "S2A_MSIL1C_20180207T104211_N0510_R008_T31UFS_20241001T120000",
)
TIMELINESS = (
    "S3A_OL_1_EFR____20210523T003028_20210523T003328_20210523T021000_0179_072_102_1979_LN1_O_NR_002",
    "S3A_OL_1_EFR____20210523T003029_20210523T003329_20210523T120000_0179_072_102_1980_LN1_O_ST_002",
    "S3A_OL_1_EFR____20210523T003029_20210523T003329_20210524T050403_0179_072_102_1980_LN1_O_NT_002",
)
TIERS = (
    "LC08_L1TP_090084_20200101_20200101_02_RT",
    "LC08_L1GT_090084_20200101_20200110_02_T2",
    "LC08_L1TP_090084_20200101_20200113_02_T1",
)


@pytest.fixture
def connection(lake: Lake) -> Iterator[Connection]:
    with lake.connect(name="test") as connection:
        yield connection


def product(name: str, *, provider: str = "p", id_: str | None = None, **more: Any) -> Offer:
    """As a provider offers it."""
    scene = scene_of(name)
    assert scene is not None
    footprint = more.pop("footprint", WEST)
    known = {"scene_key": scene.scene_key, "rank": scene.rank, "start_at": scene.start, "footprint": footprint}
    given = {"provider": provider, "id": id_ or name, "name": name, "source": f"https://x/{name}", "fingerprint": "1"}
    return Offer(**{**given, **known, **more})


def states(connection: Connection) -> dict[str, str]:
    return {row["id"]: row["state"] for row in connection.execute("select id, state from eolake.granule order by id")}


def end(connection: Connection, id_: str, state: str) -> None:
    """Claim a granule and end it there."""
    (row,) = connection.execute("select granule_id from eolake.granule where id = %s", [id_]).fetchall()
    (granule,) = granules.claim(connection, owner="t", lease=MINUTE, waiting="queued", only=[row["granule_id"]])
    lease = granules.lease_of(granule)
    if state == "published":
        granules.published(connection, lease, granules.Shown(collection="c"), items=[granule.name])
    elif state == "quarantined":
        granules.quarantine(connection, lease, reason="broken")
    else:
        granules.put_off(connection, lease, reason="later", delay=timedelta(), waiting="queued")


@pytest.mark.parametrize("names", [BASELINES, TIMELINESS, TIERS], ids=["sentinel-2 baselines", "sentinel-3 NR ST NT", "landsat RT T2 T1"])
def test_d09_the_best_one_waits_in_any_order_of_arrival(connection: Connection, names: tuple[str, ...]) -> None:
    for order in permutations(names):
        for name in order:
            granules.offer(connection, [product(name)])
        assert [states(connection)[name] for name in names] == ["superseded", "superseded", "queued"], order
        connection.execute("truncate eolake.granule cascade")


@pytest.mark.parametrize("names", [BASELINES, TIMELINESS, TIERS], ids=["sentinel-2 baselines", "sentinel-3 NR ST NT", "landsat RT T2 T1"])
def test_d09_in_one_page(connection: Connection, names: tuple[str, ...]) -> None:
    granules.offer(connection, [product(name) for name in names])
    assert [states(connection)[name] for name in names] == ["superseded", "superseded", "queued"]
    row = connection.execute("select reason, superseded_by from eolake.granule where id = %s", [names[0]]).fetchone()
    assert row == {"reason": f"superseded by {names[2]}", "superseded_by": names[2]}


def test_d09_generated_scenes_end_alike_in_any_order(connection: Connection) -> None:
    """Twenty scenes of up to five processings in two strips each; arrival in pages of any size, some claimed in between."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    offers = [
        product(f"S2A_MSIL2A_20200101T00{scene:02}00_N0{baseline}_R001_T55HGB_2020010{n + 1}T000000", footprint=place)
        for scene in range(20)
        for n, baseline in enumerate(sorted(chance.sample(["208", "209", "210", "211", "500"], chance.randint(1, 5))))
        for place in chance.choice([[WEST], [WEST, EAST]])
    ]
    offers = [Offer(**{**_fields(o), "id": f"{o.name}/{o.footprint == WEST}", "name": f"{o.name}/{o.footprint == WEST}"}) for o in offers]
    ends = []
    for _ in range(4):
        chance.shuffle(offers)
        rest = list(offers)
        while rest:
            page, rest = rest[: (size := chance.randint(1, 9))], rest[size:]
            granules.offer(connection, page)
            for granule in granules.claim(connection, owner="t", lease=MINUTE, waiting="queued", limit=chance.randint(0, 2)):
                granules.release(connection, granules.lease_of(granule), waiting="queued")
        ends.append(states(connection))
        connection.execute("truncate eolake.granule cascade")
    assert ends[0] == ends[1] == ends[2] == ends[3]
    best: dict[tuple[str, bool], tuple[Any, str]] = {}
    for offer in offers:
        strip = str(offer.scene_key), offer.footprint == WEST
        best[strip] = max(best.get(strip, ((), "")), (offer.rank, offer.id))
    assert {id_ for id_, state in ends[0].items() if state == "queued"} == {id_ for _, id_ in best.values()}
    assert set(ends[0].values()) <= {"queued", "superseded"}


def _fields(offer: Offer) -> dict[str, Any]:
    return {name: getattr(offer, name) for name in Offer.__slots__}


def test_complementary_datastrips_do_not_supersede_each_other(connection: Connection) -> None:
    """Equal sensing time, orbit, tile and baseline in their names."""
    strips = {
        "S2B_MSIL1C_20170720T105029_N0205_R051_T31UFS_20170720T105026": WEST,
        "S2B_MSIL1C_20170720T105029_N0205_R051_T31UFS_20170720T105641": EAST,
    }
    for name, place in strips.items():
        granules.offer(connection, [product(name, footprint=place)])
    assert set(states(connection).values()) == {"queued"}


def test_what_is_not_known_does_not_supersede(connection: Connection) -> None:
    """Without a footprint it may be another strip: it is fetched, and then it is known."""
    granules.offer(connection, [product(BASELINES[0], footprint=None), product(BASELINES[1])])
    assert set(states(connection).values()) == {"queued"}


def test_near_real_time_altimetry_in_pieces_gives_way_to_half_an_orbit(connection: Connection) -> None:
    at = datetime(2021, 6, 11, 1, 0, tzinfo=UTC)

    def stripe(minute: int, length: int, timeliness: str) -> Offer:
        start, stop = at + timedelta(minutes=minute), at + timedelta(minutes=minute + length)
        name = f"S3A_SR_2_LAN____{start:%Y%m%dT%H%M%S}_{stop:%Y%m%dT%H%M%S}_20210611T120000_0598_072_373______LN3_O_{timeliness}_004"
        return product(name, start_at=start, end_at=stop, footprint=None)

    granules.offer(connection, [stripe(0, 10, "NR"), stripe(10, 10, "NR"), stripe(50, 10, "NR")])
    assert set(states(connection).values()) == {"queued"}
    granules.offer(connection, [stripe(1, 45, "NT")])
    assert sorted(states(connection).values()) == ["queued", "queued", "superseded", "superseded"]


def test_d10_same_name_under_a_new_id_is_one_scene_with_one_active_granule(connection: Connection) -> None:
    granules.offer(connection, [product(BASELINES[0], id_="uuid-1")])
    granules.offer(connection, [product(BASELINES[0], id_="uuid-2")])
    assert states(connection) == {"uuid-1": "queued", "uuid-2": "rejected"}
    row = connection.execute("select reason from eolake.granule where id = 'uuid-2'").fetchone()
    assert row == {"reason": f"duplicate: {BASELINES[0]} is there already"}


def test_b1i_a_product_that_is_published_again_is_not_fetched_twice(connection: Connection) -> None:
    granules.offer(connection, [product(BASELINES[0], id_="uuid-1", footprint=None)])
    end(connection, "uuid-1", "published")
    granules.offer(connection, [product(BASELINES[0], id_="uuid-2", footprint=None)])
    assert states(connection) == {"uuid-1": "published", "uuid-2": "rejected"}
    granules.withdraw(connection, "p", ["uuid-1"], "Duplicated product")
    assert states(connection) == {"uuid-1": "withdrawn", "uuid-2": "queued"}


def test_equal_rank_of_a_second_provider_waits_behind_the_first(connection: Connection) -> None:
    granules.offer(connection, [product(TIERS[2], provider="usgs", id_="a")])
    granules.offer(connection, [product(TIERS[2], provider="mirror", id_="b")])
    assert states(connection) == {"a": "queued", "b": "rejected"}
    end(connection, "a", "quarantined")
    assert states(connection) == {"a": "quarantined", "b": "queued"}
    assert granules.retry(connection, states=("quarantined",), waiting="queued") == [TIERS[2]]
    assert states(connection) == {"a": "queued", "b": "rejected"}  # the first again: it has the smaller number


def test_the_next_best_waits_again_when_the_best_is_quarantined(connection: Connection) -> None:
    granules.offer(connection, [product(name) for name in BASELINES])
    for best in (2, 1, 0):
        assert states(connection)[BASELINES[best]] == "queued"
        end(connection, BASELINES[best], "quarantined")
    assert set(states(connection).values()) == {"quarantined"}


def test_d08_the_next_best_waits_again_when_the_best_is_withdrawn(connection: Connection) -> None:
    granules.offer(connection, [product(name) for name in BASELINES])
    assert granules.withdraw(connection, "p", [BASELINES[2], BASELINES[1], "unknown"], "Obsolete product or Other") == sorted(BASELINES[1:])
    assert [states(connection)[name] for name in BASELINES] == ["queued", "withdrawn", "withdrawn"]
    assert granules.withdraw(connection, "p", [BASELINES[2]], "again") == []
    row = connection.execute("select kind, detail from eolake.event where kind = 'withdrawn' order by event_id limit 1").fetchone()
    assert row == {"kind": "withdrawn", "detail": {"reason": "Obsolete product or Other"}}


def test_withdrawing_takes_the_work_away(connection: Connection) -> None:
    granules.offer(connection, [product(BASELINES[0])])
    (granule,) = granules.claim(connection, owner="t", lease=MINUTE, waiting="queued")
    granules.withdraw(connection, "p", [BASELINES[0]], "gone")
    assert not granules.fence(connection, granules.lease_of(granule))


def test_what_is_being_worked_on_goes_on_and_gives_way_when_it_fails(connection: Connection) -> None:
    granules.offer(connection, [product(BASELINES[0])])
    (granule,) = granules.claim(connection, owner="t", lease=MINUTE, waiting="queued")
    granules.offer(connection, [product(BASELINES[1])])
    assert states(connection) == {BASELINES[0]: "fetching", BASELINES[1]: "queued"}
    granules.put_off(connection, granules.lease_of(granule), reason="cut", delay=timedelta(), waiting="queued")
    assert states(connection) == {BASELINES[0]: "superseded", BASELINES[1]: "queued"}


def test_a_better_one_that_is_published_passes_over_all_that_come_later(connection: Connection) -> None:
    granules.offer(connection, [product(BASELINES[2])])
    end(connection, BASELINES[2], "published")
    granules.offer(connection, [product(BASELINES[0])])
    assert states(connection)[BASELINES[0]] == "superseded"


def test_references_and_copies_are_scenes_of_their_own(connection: Connection) -> None:
    granules.offer(connection, [product(BASELINES[0], id_="copy"), product(BASELINES[1], id_="reference", transfer="reference")])
    assert states(connection) == {"copy": "queued", "reference": "fetched"}  # which needs nobody's connection


def test_products_on_disk_come_back_to_where_they_waited(connection: Connection) -> None:
    granules.offer(connection, [product(name, provider="folder", state="fetched") for name in TIERS])
    granules.withdraw(connection, "folder", [TIERS[2]], "deleted")
    assert [states(connection)[name] for name in TIERS] == ["superseded", "fetched", "withdrawn"]


def test_what_is_known_is_not_written(connection: Connection) -> None:
    offers = [product(name) for name in (*BASELINES, *TIERS)]
    granules.offer(connection, offers)
    before = connection.execute("select granule_id, xmin::text, state from eolake.granule order by 1").fetchall()
    assert {found.outcome for found in granules.offer(connection, offers)} == {"known"}
    assert connection.execute("select granule_id, xmin::text, state from eolake.granule order by 1").fetchall() == before


def test_changed_bytes_of_a_worse_one_do_not_bring_it_back(connection: Connection) -> None:
    granules.offer(connection, [product(name) for name in TIERS])
    (found,) = granules.offer(connection, [product(TIERS[0], fingerprint="2")])
    assert found.outcome == "changed"
    assert [states(connection)[name] for name in TIERS] == ["superseded", "superseded", "queued"]


def test_a_footprint_that_is_none_harms_nobody(connection: Connection) -> None:
    odd = {"type": "Polygon", "coordinates": [[[0, 0], [1, 1]]]}
    granules.offer(connection, [product(BASELINES[0], footprint=odd), product(BASELINES[1], footprint={"type": "Nonsense"})])
    assert set(states(connection).values()) == {"queued"}


def test_what_came_by_an_order_belongs_to_the_feed_that_wants_it_too(connection: Connection) -> None:
    offer = Offer(provider="cdse", id="1", name="X", source="http://127.0.0.1/1", fingerprint="1")
    granules.offer(connection, [offer])
    (known,) = granules.offer(connection, [replace(offer, feed="fires")])
    assert known.outcome == "known"
    granules.offer(connection, [replace(offer, feed="floods")])
    (row,) = granules.get(connection, [known.granule_id])
    assert row.feed == "fires"


def test_a_third_provider_of_a_scene_brings_back_no_duplicate(connection: Connection) -> None:
    """What is published stays the one, however many others have it too."""
    scene = scene_of("S2B_MSIL2A_20200108T001109_N0500_R073_T56HKH_20230525T031247")
    assert scene is not None
    for number, provider in enumerate(("stac", "dhus", "directory", "ftp")):
        offer = Offer(
            provider=provider,
            id="1",
            name="S2B_MSIL2A_20200108T001109_N0500_R073_T56HKH_20230525T031247",
            source="http://127.0.0.1/1",
            fingerprint="1",
            scene_key=scene.scene_key,
            rank=scene.rank,
            footprint=mapping(box(150, -34, 151, -33)) if number < 2 else None,
        )
        granules.offer(connection, [offer])
        connection.execute("update eolake.granule set state = 'published' where provider = 'stac'")
    states = {row["provider"]: row["state"] for row in connection.execute("select provider, state from eolake.granule")}
    assert states == {"stac": "published", "dhus": "rejected", "directory": "rejected", "ftp": "rejected"}
