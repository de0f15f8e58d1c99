"""Supersession where it shows: one transaction over catalog, cube and ledger, the same end in any order."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from datetime import timedelta
from itertools import permutations
from typing import Any

import datacube
import pytest
from shapely.geometry import Polygon, box
from support.auditor import audit
from support.scenes import COLLECTION, draft

from eolake.catalog.declaration import declared
from eolake.catalog.draft import Draft
from eolake.catalog.lake import Lake
from eolake.catalog.ledger import granules
from eolake.catalog.ledger.granules import Lease, Offer
from eolake.catalog.migrate import odc_environment
from eolake.cube import publish as publishing
from eolake.cube.check import check
from eolake.cube.publish import Batch, commit, publish, retire, withdraw
from eolake.cube.rebuild import rebuild
from eolake.cube.session import Session
from eolake.cube.staging import stage
from eolake.cube.sweep import sweep

MINUTE = timedelta(minutes=1)
WEST, EAST = box(148.0, -34.4, 148.06, -34.3), box(148.05, -34.4, 148.11, -34.3)
"""Two strips that share a sixth."""


@pytest.fixture
def session(lake: Lake) -> Iterator[Session]:
    with Session(lake=lake) as session:
        yield session


def product(name: str, key: str, rank: int, footprint: Polygon | None = None) -> Draft:
    return draft(name, seed=rank, scene_key=key, rank=(rank,), **({"footprint": footprint} if footprint else {}))


def lease(session: Session, name: str, *, known: Draft | None = None, provider: str = "p") -> Lease | None:
    """Offer a granule (with what is `known` of its scene beforehand) and lease it; None when it is not wanted."""
    scene: dict[str, Any] = {"scene_key": known.scene_key, "rank": known.rank} if known else {}
    given = Offer(provider=provider, id=name, name=name, source=f"/{name}", fingerprint="1", state="fetched", **scene)
    (offered,) = granules.offer(session.connection, [given])
    found = granules.claim(session.connection, owner="test", lease=MINUTE, only=[offered.granule_id])
    return granules.lease_of(found[0]) if found else None


def states(session: Session) -> dict[str, str]:
    return {row["name"]: row["state"] for row in session.connection.execute("select name, state from eolake.granule order by name")}


def items(session: Session) -> dict[str, dict[str, Any]]:
    rows = session.connection.execute("select id, content from pgstac.items")
    return {row["id"]: row["content"] for row in rows}


def versions(content: dict[str, Any]) -> dict[str, str]:
    return {
        link["rel"]: link["href"].rpartition("/")[2]
        for link in content["links"]
        if link["rel"] in {"successor-version", "predecessor-version"}
    }


def active(lake: Lake) -> set[str]:
    cube = datacube.Datacube(raw_config={"default": odc_environment(lake)})
    try:
        return {str(dataset.metadata_doc["label"]) for dataset in cube.find_datasets(product=COLLECTION)}
    finally:
        cube.close()


def good(session: Session, lake: Lake) -> None:
    sweep(session.connection, session.store)
    assert audit(lake) == []
    assert check(session.connection, session.store).document()["ok"]


def test_d09_the_better_one_takes_the_place_in_all_three_stores(session: Session, lake: Lake) -> None:
    for rank, name in enumerate(("older", "newer")):
        held = lease(session, name)
        assert held is not None
        assert publish(session, [product(name, "k", rank)], held).verdict == "published"
    assert states(session) == {"newer": "published", "older": "superseded"}
    found = items(session)
    assert found["older"]["properties"]["deprecated"] is True
    assert "deprecated" not in found["newer"]["properties"]
    assert versions(found["older"]) == {"successor-version": "newer"}
    assert versions(found["newer"]) == {"predecessor-version": "older"}
    assert active(lake) == {"newer"}
    good(session, lake)


def test_d09_the_older_one_that_comes_late_is_not_published(session: Session, lake: Lake) -> None:
    better, late = lease(session, "better"), lease(session, "late")  # nothing tells beforehand that they are of one scene
    assert better is not None
    assert late is not None
    assert publish(session, [product("better", "k", 2)], better).verdict == "published"
    outcome = publish(session, [product("late", "k", 1)], late)
    assert (outcome.verdict, outcome.reason) == ("superseded", "superseded by better")
    assert states(session) == {"better": "published", "late": "superseded"}
    assert set(items(session)) == {"better"}
    good(session, lake)


def test_d09_same_end_state_in_any_arrival_order(session: Session, lake: Lake) -> None:
    """Orders of three processings of one strip beside another strip of the same sensing, in three ways of arriving."""
    for number, order in enumerate(list(permutations(range(4)))[::3]):
        drafts = {
            f"s{number}-{n}": product(f"s{number}-{n}", f"scene/{number}@footprint", rank, place)
            for n, (rank, place) in enumerate([(1, WEST), (2, WEST), (3, WEST), (2, EAST)])
        }
        names = [f"s{number}-{n}" for n in order]
        if number % 2:  # all are claimed before the first is published
            held = {name: lease(session, name) for name in names}
            for name, found in held.items():
                assert found is not None
                publish(session, [drafts[name]], found)
        else:
            for name in names:
                found = lease(session, name, known=drafts[name] if number % 4 else None)
                if found is not None:
                    publish(session, [drafts[name]], found)
        ends = {name: state for name, state in states(session).items() if name.startswith(f"s{number}-")}
        assert list(ends.values()) == ["superseded", "superseded", "published", "published"], order
        shown = {name for name, content in items(session).items() if name in ends and not content["properties"].get("deprecated")}
        assert shown == {f"s{number}-2", f"s{number}-3"}, order
    assert active(lake) == {f"s{number}-{n}" for number in range(8) for n in (2, 3)}
    good(session, lake)


def test_all_processings_in_one_commit(session: Session, lake: Lake) -> None:
    batches = []
    for rank, name in enumerate("bca"):
        held = lease(session, name)
        assert held is not None
        batches.append(Batch(lease=held, staged=(stage(session, product(name, "k", rank), held),)))
    assert [outcome.verdict for outcome in commit(session, batches)] == ["superseded", "superseded", "published"]
    assert states(session) == {"a": "published", "b": "superseded", "c": "superseded"}
    good(session, lake)


@pytest.mark.parametrize("repeat", range(3))
def test_two_workers_publish_two_ranks_of_one_scene_at_once(session: Session, lake: Lake, repeat: int) -> None:
    held = {rank: lease(session, f"r{rank}") for rank in (1, 2)}
    session.product(COLLECTION)
    staged = {rank: stage(session, product(f"r{rank}", "k", rank), found) for rank, found in held.items() if found is not None}
    gate, verdicts = threading.Barrier(2), {}

    def work(rank: int) -> None:
        with Session(lake=lake) as own:
            _ = own.index, own.connection, own.store
            found = held[rank]
            assert found is not None
            gate.wait()
            (outcome,) = commit(own, [Batch(lease=found, staged=(staged[rank],))])
            verdicts[rank] = outcome.verdict

    threads = [threading.Thread(target=work, args=[rank]) for rank in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert verdicts[2] == "published"
    assert verdicts[1] in {"published", "superseded"}
    assert states(session) == {"r1": "superseded", "r2": "published"}
    assert active(lake) == {"r2"}
    good(session, lake)


def _chain(session: Session, names: Sequence[str]) -> None:
    for rank, name in enumerate(names):
        found = product(name, "k", rank)
        held = lease(session, name, known=found)
        assert held is not None
        assert publish(session, [found], held).verdict == "published"


def test_d08_what_the_provider_withdraws_leaves_a_tombstone_and_the_next_best_comes_back(session: Session, lake: Lake) -> None:
    _chain(session, ["first", "second", "third"])
    assert withdraw(session, "p", ["third"], "Obsolete product") == 1
    assert withdraw(session, "p", ["third"], "Obsolete product") == 0
    assert states(session) == {"first": "superseded", "second": "published", "third": "withdrawn"}
    row = session.connection.execute("select state, tombstone from eolake.publication where item_id = 'third'").fetchone()
    assert row is not None
    assert row["state"] == "grace"
    assert row["tombstone"] == {"reason": "withdrawn by p: Obsolete product", "provider": "p", "cause": "Obsolete product"}
    found = items(session)
    assert {name: versions(content) for name, content in found.items()} == {
        "first": {"successor-version": "second"},
        "second": {"predecessor-version": "first"},
    }
    assert active(lake) == {"second"}
    assert session.connection.execute("select count(*) as n from eolake.object where key like '%%third%%'").fetchone() != {"n": 0}
    assert check(session.connection, session.store).document()["ok"]


def test_d08_a_process_that_dies_between_both_halves_of_a_withdrawal_is_followed(session: Session, lake: Lake) -> None:
    _chain(session, ["first", "second"])
    granules.withdraw(session.connection, "p", ["second"], "Duplicated product")
    assert active(lake) == {"second"}
    assert publishing.follow_withdrawals(session) == 1
    assert active(lake) == {"first"}
    assert states(session) == {"first": "published", "second": "withdrawn"}
    assert publishing.follow_withdrawals(session) == 0


def test_d08_a_superseded_one_that_is_withdrawn_takes_its_links_along(session: Session, lake: Lake) -> None:
    _chain(session, ["first", "second"])
    withdraw(session, "p", ["first"], "Corrupted product")
    assert states(session) == {"first": "withdrawn", "second": "published"}
    assert set(items(session)) == {"second"}
    assert active(lake) == {"second"}


def test_retired_items_give_way_to_what_they_had_superseded(session: Session, lake: Lake) -> None:
    _chain(session, ["first", "second"])
    assert retire(session, [(COLLECTION, "second")], reason="due") == 1
    assert active(lake) == {"first"}
    assert states(session)["first"] == "published"


def test_rebuild_knows_superseded_items(session: Session, lake: Lake) -> None:
    _chain(session, ["first", "second"])
    before = items(session)
    rebuild(session, replace=True)
    assert states(session) == {"first": "superseded", "second": "published"}
    assert items(session) == before
    assert active(lake) == {"second"}
    assert check(session.connection, session.store).document()["ok"]


def test_check_sees_a_superseded_item_that_does_not_say_so(session: Session) -> None:
    _chain(session, ["first", "second"])
    session.connection.execute("update pgstac.items set content = content #- '{properties,deprecated}' where id = 'first'")
    report = check(session.connection, session.store)
    assert report.differing == [f"catalog: {COLLECTION}/first: it is superseded, but the catalog does not say so"]


def test_a_superseded_item_validates(session: Session, validate_stac: Any) -> None:
    _chain(session, ["first", "second"])
    rows = session.connection.execute("select pgstac.content_hydrate(i) as item from pgstac.items i").fetchall()
    assert len(rows) == 2
    for row in rows:
        item = row["item"]
        for link in item["links"]:
            if not link["href"].startswith(("file:", "http")):
                link["href"] = f"https://lake.example/{link['href']}"
        validate_stac(item)


def test_a_collection_may_take_superseded_items_out_of_its_catalog(session: Session, lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """No collection of the package does: only the rule is another one here."""
    monkeypatch.setattr("eolake.cube.scenes.declared", lambda name: declared(name).model_copy(update={"superseded": "remove"}))
    _chain(session, ["first", "second"])
    assert set(items(session)) == {"second"}
    assert versions(items(session)["second"]) == {}
    assert active(lake) == {"second"}
    good(session, lake)
    withdraw(session, "p", ["second"], "Obsolete product")
    assert set(items(session)) == active(lake) == {"first"}
    assert check(session.connection, session.store).document()["ok"]
