"""The one transaction: a scene is either completely in the lake or not in it at all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta

import datacube
import numpy as np
import pytest
from odc.geo.geobox import GeoBox
from support.scenes import COLLECTION, GRID, SHAPE, claim, draft

from eolake.catalog.cog import stored_digest
from eolake.catalog.draft import Draft
from eolake.catalog.errors import BadProduct, ConfigError, Fenced
from eolake.catalog.lake import Executor, Lake
from eolake.catalog.ledger import granules, publications, runs
from eolake.catalog.ledger.granules import Lease
from eolake.catalog.migrate import odc_environment
from eolake.cube.check import check
from eolake.cube.publish import Batch, Outcome, commit, publish, retire
from eolake.cube.rebuild import rebuild
from eolake.cube.relocate import relocate
from eolake.cube.session import Session
from eolake.cube.staging import stage
from eolake.cube.sweep import sweep

MINUTE = timedelta(minutes=1)


@pytest.fixture
def session(lake: Lake) -> Iterator[Session]:
    with Session(lake=lake) as session:
        yield session


def report(session: Session) -> dict[str, object]:
    return check(session.connection, session.store).document()


def test_a_published_scene_is_found_by_every_road(session: Session, lake: Lake) -> None:
    scene = draft()
    assert publish(session, [scene], claim(session)).verdict == "published"
    cube = datacube.Datacube(raw_config={"default": odc_environment(lake)})
    (found,) = cube.find_datasets(product=COLLECTION, time=("2020-01-01", "2020-01-02"), x=(148.0, 148.2), y=(-34.4, -34.2))
    assert cube.find_datasets(product=COLLECTION, time=("2020-01-03", "2020-01-04")) == []
    assert [d.id for d in cube.index.datasets.get_datasets_for_location(found.uri)] == [found.id]
    loaded = cube.load(datasets=[found], measurements=["red", "qa_pixel"], like=_geobox())
    for name in ("red", "qa_pixel"):
        assert np.array_equal(loaded[name].values[0], scene.bands[name].read().data)
    found_items = session.connection.execute(
        'select pgstac.search(\'{"bbox": [148, -35, 149, -34], "datetime": "2020-01-01/2020-01-02"}\') as s'
    ).fetchone()
    assert found_items is not None
    assert [i["id"] for i in found_items["s"]["features"]] == [scene.item.id]
    nothing: dict[str, list[str]] = {"missing": [], "orphans": [], "differing": []}
    assert report(session) == {"ok": True, "items": 1, "datasets": 1, "objects": len(scene.bands) + 3, "raw": 0, "foreign": 0, **nothing}
    cube.close()


def _geobox() -> GeoBox:
    return GeoBox(SHAPE, GRID, "EPSG:32755")


def test_what_fails_after_the_cube_leaves_nothing_behind(session: Session) -> None:
    lease = claim(session)
    staged = stage(session, draft(), lease)
    session.product(COLLECTION)
    session.connection.execute("alter table eolake.object add constraint never check (bytes < 0)")
    with pytest.raises(Exception, match="never"):
        commit(session, [Batch(lease=lease, staged=(staged,))])
    rows = session.connection.execute(
        "select (select count(*) from odc.dataset) + (select count(*) from odc.spatial_4326) + (select count(*) from pgstac.items)"
        " + (select count(*) from eolake.publication) as n"
    ).fetchone()
    assert rows == {"n": 0}
    assert granules.states(session.connection) == {"converting": 1}


def test_a_lost_lease_publishes_nothing(session: Session) -> None:
    lease = claim(session)
    session.connection.execute("set eolake.clock_offset = '1 hour'")
    (second,) = granules.claim(session.connection, owner="other", lease=MINUTE)
    with pytest.raises(Fenced):
        publish(session, [draft()], lease)
    assert publish(session, [draft()], granules.lease_of(second)).verdict == "published"
    assert sweep(session.connection, session.store) == 1
    assert report(session)["ok"]


def test_the_same_scene_from_another_place_is_a_duplicate(session: Session) -> None:
    publish(session, [draft()], claim(session, "a"))
    outcome = publish(session, [draft()], claim(session, "b"))
    assert (outcome.verdict, outcome.reason) == ("rejected", f"duplicate: {draft().item.id} was published from /a")
    assert granules.states(session.connection) == {"published": 1, "rejected": 1}


def _again(session: Session) -> Lease:
    session.connection.execute("update eolake.granule set state = 'fetched', next_try = eolake.clock()")
    (granule,) = granules.claim(session.connection, owner="test", lease=MINUTE)
    return granules.lease_of(granule)


def test_the_same_pixels_again_change_nothing(session: Session) -> None:
    publish(session, [draft()], claim(session))
    before = list(publications.visible(session.connection))
    assert publish(session, [draft()], _again(session)).verdict == "unchanged"
    assert list(publications.visible(session.connection)) == before
    sweep(session.connection, session.store)
    assert report(session)["ok"]


def test_other_pixels_are_the_next_revision(session: Session, lake: Lake) -> None:
    publish(session, [draft()], claim(session))
    (first,) = publications.visible(session.connection)
    assert publish(session, [draft(seed=2, cloud=50)], _again(session)).verdict == "published"
    (second,) = publications.visible(session.connection)
    assert second["revision"] > first["revision"]
    assert report(session)["ok"]
    session.connection.execute("set eolake.clock_offset = '2 hours'")
    assert sweep(session.connection, session.store) == 1
    assert list(session.store.list(first["prefix"])) == []
    assert report(session)["ok"]
    cube = datacube.Datacube(raw_config={"default": odc_environment(lake)})
    loaded = cube.load(product=COLLECTION, measurements=["red"], like=_geobox())
    assert np.array_equal(loaded.red.values[0], draft(seed=2).bands["red"].read().data)
    cube.close()


def test_a_retired_scene_is_shown_nowhere_and_comes_back(session: Session) -> None:
    scene = draft()
    publish(session, [scene], claim(session))
    assert retire(session, [(COLLECTION, scene.item.id)], reason="test") == 1
    empty = report(session)
    assert (empty["ok"], empty["items"], empty["datasets"]) == (True, 0, 0)
    assert publish(session, [scene], _again(session)).verdict == "published"
    back = report(session)
    assert (back["ok"], back["items"], back["datasets"]) == (True, 1, 1)


def test_a_draft_without_a_declared_band_is_a_bad_product(session: Session) -> None:
    scene = draft()
    bands = {name: band for name, band in scene.bands.items() if name != "red"}
    with pytest.raises(BadProduct, match="lacks red"):
        stage(session, Draft(item=scene.item, bands=bands), claim(session))


def test_check_sees_every_kind_of_damage(session: Session) -> None:
    publish(session, [draft()], claim(session))
    (row,) = publications.visible(session.connection)
    assert session.store.config.folder is not None
    (session.store.config.folder / row["prefix"] / "red.tif").unlink()
    session.store.put("ls8_c2_l2/2020/01/01/x/r99/red.tif", b"?")
    session.connection.execute("delete from odc.spatial_4326")
    session.connection.execute("delete from pgstac.items")
    found = report(session)
    assert not found["ok"]
    assert found["missing"] == [f"store: {row['prefix']}/red.tif is gone", f"catalog: {COLLECTION}/{row['item_id']} is gone"]
    assert found["orphans"] == ["store: ls8_c2_l2/2020/01/01/x/r99/red.tif belongs to no publication"]
    assert found["differing"] == [f"cube: {COLLECTION}/{row['item_id']}: it has no spatial row: searches by place do not find it"]


def _content(session: Session) -> list[object]:
    queries = (
        (
            "select p.collection, item_id, dataset_id, revision, prefix, digest, bytes, west, south, east, north, p.start_at, p.end_at, "
            "g.provider, g.id, g.fingerprint, g.state from eolake.publication p join eolake.granule g using (granule_id) order by 1, 2"
        ),
        "select key, asset, bytes, checksum, pixel_digest from eolake.object order by key",
        "select id, collection, content, geometry from pgstac.items order by id",
        "select id, metadata, uri_scheme, uri_body from odc.dataset order by id",
        "select * from odc.spatial_4326 order by dataset_ref",
        "select * from odc.dataset_search_string order by 1, 2",
        "select * from odc.dataset_search_num order by 1, 2",
        "select * from odc.dataset_search_datetime order by 1, 2",
    )
    return [session.connection.execute(query).fetchall() for query in queries]


def test_rebuild_from_the_store_alone_equals_what_was_there(session: Session) -> None:
    publish(session, [draft()], claim(session, "a"))
    publish(session, [draft("LC08_L2SP_090084_20200202_20200823_02_T1", seed=3)], claim(session, "b"))
    before = _content(session)
    session.connection.execute(
        "truncate eolake.file, eolake.granule, eolake.publication, eolake.object, eolake.debris, eolake.lineage, eolake.event"
    )
    session.connection.execute("delete from pgstac.items")
    assert rebuild(session) == 2
    assert _content(session) == before
    assert report(session)["ok"]
    assert claim(session, "c").fence > max(row["revision"] for row in publications.visible(session.connection))


def test_a_moved_lake_loads_after_relocate(session: Session, lake: Lake) -> None:
    publish(session, [draft()], claim(session))
    session.close()
    folder = lake.store_config.folder
    assert folder is not None
    moved = Lake(settings=lake.settings.model_copy(update={"lake": lake.settings.lake.model_copy(update={"store": "file:elsewhere"})}))
    folder.rename(lake.settings.root / "elsewhere")
    with Session(lake=moved) as stopped, pytest.raises(ConfigError, match="eolake relocate"):
        _ = stopped.store
    assert relocate(moved) == 1
    assert relocate(moved) == 0
    with Session(lake=moved) as there:
        assert report(there)["ok"]
        cube = datacube.Datacube(raw_config={"default": odc_environment(moved)})
        assert cube.load(product=COLLECTION, measurements=["red"], like=_geobox()).red.any()
        cube.close()


def test_stored_pixels_have_the_digest_that_the_ledger_keeps(session: Session) -> None:
    publish(session, [draft()], claim(session))
    for found in publications.objects(session.connection):
        if found["pixel_digest"]:
            assert stored_digest(session.store.gdal_path(found["key"])) == found["pixel_digest"]


def test_what_the_caller_writes_within_is_committed_with_the_scene(session: Session) -> None:
    begun = runs.begin(session.connection, analysis="a", parameters={}, code_version="1", owner="test", lease=MINUTE, planned=1)

    def note(cursor: Executor, outcomes: Sequence[Outcome]) -> None:
        runs.progress(cursor, begun, sum(outcome.verdict == "published" for outcome in outcomes))

    assert publish(session, [draft()], begun, within=note).verdict == "published"
    assert [(run["done"], run["state"]) for run in runs.latest(session.connection)] == [(1, "running")]


def test_what_fails_within_takes_the_scene_with_it(session: Session) -> None:
    def fail(cursor: Executor, _: Sequence[Outcome]) -> None:
        cursor.execute("insert into eolake.event (kind) values ('within')")
        raise LookupError("the caller's own reason")

    with pytest.raises(LookupError, match="own reason"):
        publish(session, [draft()], claim(session), within=fail)
    assert list(publications.visible(session.connection)) == []
    assert session.connection.execute("select from eolake.event where kind = 'within'").fetchall() == []
    assert granules.states(session.connection) == {"converting": 1}
