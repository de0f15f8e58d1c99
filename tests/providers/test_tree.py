"""Where products lie in folders: dates in paths, patterns of names, and names that are not safe."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest

from eolake.catalog.errors import ConfigError
from eolake.ingest.faults import Kind, ProviderFault
from eolake.ingest.providers.base import ProviderConfig, Query
from eolake.ingest.providers.tree import Item, Place, TreeProvider, fit

from .support import granule

MORNING = datetime(2024, 2, 1, 6, tzinfo=UTC)


@dataclass
class Folders:
    """A lister over a table."""

    files: dict[str, Item]
    asked: list[str] = field(default_factory=list)
    looked: list[str] = field(default_factory=list)
    gone: set[str] = field(default_factory=set)

    def list(self, folder: str) -> Sequence[Item]:
        self.asked.append(folder)
        prefix = f"{folder}/" if folder else ""
        inside = [path for path in self.files if path.startswith(prefix)]
        if not inside:
            raise ProviderFault(folder, Kind.GONE, status=404)
        folders = {prefix + path.removeprefix(prefix).split("/")[0] for path in inside if "/" in path.removeprefix(prefix)}
        return [
            *(Item(path=path, folder=True) for path in sorted(folders)),
            *(self.files[path] for path in inside if "/" not in path.removeprefix(prefix)),
        ]

    def look(self, item: Item) -> Item:
        self.looked.append(item.path)
        if item.path in self.gone:
            raise ProviderFault(item.path, Kind.GONE)
        return replace(item, size=7, modified=MORNING)

    def url(self, path: str) -> str:
        return f"tree://{path}"

    def close(self) -> None:
        """Nothing is open."""


def provider(files: Sequence[Item], **place: object) -> tuple[TreeProvider, Folders]:
    lister = Folders(files={item.path: item for item in files})
    return TreeProvider(ProviderConfig(name="t", kind="x", collections={"c": place}), lister), lister


def file(path: str, **given: object) -> Item:
    return replace(Item(path=path, size=5, modified=MORNING), **given)  # type: ignore[arg-type]


def test_only_the_folders_of_the_days_asked_for_are_listed() -> None:
    tree, lister = provider([file(f"p/2024/02/{day:02}/a{day}.zip") for day in range(1, 29)], path="p/{:%Y/%m/%d}", depth=0)
    found = list(tree.search(Query(collection="c", start=datetime(2024, 2, 3, tzinfo=UTC), end=datetime(2024, 2, 5, tzinfo=UTC))))
    assert {offer.name for offer in found} == {"a3", "a4"}
    assert lister.asked == ["p/2024/02/03", "p/2024/02/04", "p/2024/02/05"]
    assert found[0].start_at == datetime(2024, 2, 3, tzinfo=UTC)


def test_the_folders_of_the_last_days_are_listed_again() -> None:
    late = file("2024/02/01/late.zip", modified=MORNING + timedelta(days=5))
    tree, lister = provider([late], path="{:%Y/%m/%d}", depth=0, relist=7)
    since = datetime(2024, 2, 6, tzinfo=UTC)
    assert [offer.name for offer in tree.search(Query(collection="c", since=since, until=since + timedelta(days=1)))] == ["late"]
    assert lister.asked[0] == "2024/01/30"


def test_folders_of_days_to_come_are_listed_for_forecasts() -> None:
    tree, lister = provider([file("2024/02/09/forecast.nc")], path="{:%Y/%m/%d}", depth=0, relist=0, ahead=8)
    query = Query(collection="c", since=datetime(2024, 2, 1, tzinfo=UTC), until=datetime(2024, 2, 2, tzinfo=UTC))
    assert [offer.name for offer in tree.search(query)] == ["forecast"]
    assert (lister.asked[0], lister.asked[-1]) == ("2024/02/01", "2024/02/10")


def test_months_are_listed_once_and_need_no_zeros() -> None:
    place = Place.of({"path": "55/H/{:%Y/%-m}/x"}, "p")
    days = place.folders(datetime(2024, 1, 20, tzinfo=UTC), datetime(2024, 3, 2, tzinfo=UTC))
    assert [folder for folder, _ in days] == ["55/H/2024/1/x", "55/H/2024/2/x", "55/H/2024/3/x"]


def test_patterns_depth_and_kind_of_product() -> None:
    files = [file("a.zip"), file("a.zip.md5"), file("b/c.nc"), file("b/d/e.zip"), file("S.SAFE/manifest.safe"), file("S.SAFE/x/band.jp2")]
    for place, expected in [
        ({"match": ["*.zip", "*.nc"], "depth": 0}, {"a.zip"}),
        ({"match": ["*.zip", "*.nc"], "depth": 1}, {"a.zip", "b/c.nc"}),
        ({"match": "*.zip"}, {"a.zip", "b/d/e.zip"}),
        ({"match": "*.SAFE", "product": "folder"}, {"S.SAFE"}),
    ]:
        tree, _ = provider(files, **place)  # type: ignore[arg-type]
        assert {offer.id for offer in tree.search(Query(collection="c"))} == expected


def test_a_folder_as_product_has_all_its_files_and_another_fingerprint_when_one_changes() -> None:
    files = [file("S.SAFE/manifest.safe"), file("S.SAFE/x/band.jp2", size=10)]
    tree, lister = provider(files, match="*.SAFE", product="folder")
    [offer] = tree.search(Query(collection="c"))
    assert (offer.name, offer.size) == ("S", 15)
    assert {(part.name, part.size) for part in tree.resolve(granule(offer))} == {("manifest.safe", 5), ("x/band.jp2", 10)}
    lister.files["S.SAFE/x/band.jp2"] = file("S.SAFE/x/band.jp2", size=11)
    [changed] = tree.search(Query(collection="c"))
    assert (changed.id, changed.fingerprint != offer.fingerprint) == (offer.id, True)
    lister.files = {"other": file("other")}
    with pytest.raises(ProviderFault) as fault:
        tree.resolve(granule(offer))
    assert fault.value.kind is Kind.GONE


def test_half_open_windows_of_publication() -> None:
    tree, _ = provider([file(f"{hour}.zip", modified=MORNING + timedelta(hours=hour)) for hour in range(10)])
    middle = MORNING + timedelta(hours=5)
    early = [offer.id for offer in tree.search(Query(collection="c", until=middle))]
    late = [offer.id for offer in tree.search(Query(collection="c", since=middle))]
    assert (early, late) == ([f"{n}.zip" for n in range(5)], [f"{n}.zip" for n in range(5, 10)])


def test_what_a_listing_lacks_is_looked_up_and_a_file_that_went_away_is_left_out() -> None:
    tree, lister = provider([file("a.zip", size=None), file("b.zip", modified=None), file("c.zip", size=None), file("d.zip")])
    lister.gone.add("c.zip")
    assert [(offer.id, offer.size) for offer in tree.search(Query(collection="c"))] == [("a.zip", 7), ("b.zip", 7), ("d.zip", 5)]
    assert lister.looked == ["a.zip", "b.zip", "c.zip"]


@pytest.mark.parametrize(
    ("item", "mark"),
    [
        (file("a", etag="e"), "size:5,etag:e"),
        (file("a"), "size:5,time:2024-02-01T06:00:00"),
        (file("a", precise=False), "size:5,day:2024-02-01"),
        (file("a.zip", modified=None), "size:7,time:2024-02-01T06:00:00"),
    ],
)
def test_fingerprint_is_what_tells_of_other_bytes(item: Item, mark: str) -> None:
    tree, _ = provider([item])
    assert [offer.fingerprint for offer in tree.search(Query(collection="c"))] == [mark]


def test_d14_a_path_that_is_gone_is_an_alarm_but_a_day_without_folder_is_none() -> None:
    tree, _ = provider([file("other/a.zip")], path="gone")
    with pytest.raises(ProviderFault) as fault:
        list(tree.search(Query(collection="c")))
    assert (fault.value.kind, fault.value.code) == (Kind.CONFIG, "retired")
    dated, _ = provider([file("other/a.zip")], path="gone/{:%Y/%m/%d}")
    assert list(dated.search(Query(collection="c"))) == []


@pytest.mark.parametrize("name", ["..", "../a", "a/../b", "a\x00b", "a\nb", "x" * 300, "", "a//b", "a\\b", "\udcff", "é" * 200])
def test_t37_names_that_are_not_safe_are_left_out(name: str, caplog: pytest.LogCaptureFixture) -> None:
    assert not fit(name)
    tree, lister = provider([file("ok.zip")])
    lister.list = lambda _: [Item(path=name, size=1, modified=MORNING), file("ok.zip")]  # type: ignore[method-assign]
    assert [offer.id for offer in tree.search(Query(collection="c"))] == ["ok.zip"]
    assert "not safe" in caplog.text
    with pytest.raises(ProviderFault, match="no safe name"):
        tree.resolve(granule(next(tree.search(Query(collection="c"))), detail={"path": "x", "folder": True}))


@pytest.mark.parametrize("name", ["a.zip", "ä ö.nc", "x/y/z", "S3A_OL_1_EFR____2024.SEN3"])
def test_t37_ordinary_names_are_safe(name: str) -> None:
    assert fit(name)


def test_settings_that_do_not_hold_say_where() -> None:
    tree, _ = provider([file("a")], product="disk")
    with pytest.raises(ConfigError, match=r"providers\.t\.collections\.c"):
        list(tree.search(Query(collection="c")))


@pytest.mark.parametrize("path", ["{:%Y", "{0:%Y}", "{0.__class__}", "{day}"])
def test_braces_without_a_date_are_part_of_a_name(path: str) -> None:
    tree, lister = provider([file("a")], path=path)
    with pytest.raises(ProviderFault):
        list(tree.search(Query(collection="c")))
    assert lister.asked == [path]


def test_names_are_found_by_name() -> None:
    tree, _ = provider([file("a.zip"), file("b.zip")])
    assert [offer.name for offer in tree.search(Query(collection="c", names=["b"]))] == ["b"]
