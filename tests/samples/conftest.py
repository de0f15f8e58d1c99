"""Two lakes that were filled by the real command: one with real products, its twin with generated ones."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
from support import workers
from support.intake import Expected, Source, sources
from support.landsat_products import product
from support.sentinel2_layouts import as_aws
from support.serving import served

from eolake.catalog.lake import Lake
from eolake.ingest.simulators.products.scenes import TINY, Kind, generate_scene

NewLake = Callable[[Path], AbstractContextManager[Lake]]


@dataclass(kw_only=True)
class Taken:
    """A lake, and how it was filled."""

    lake: Lake
    paths: list[Path]
    """Arguments of `eolake ingest`."""
    expected: list[Expected]
    status: int
    """Exit code."""
    document: dict[str, Any]
    """What `eolake ingest --json` said."""
    _sources: dict[Path, dict[str, Source]] = field(default_factory=dict)

    @property
    def published(self) -> list[Expected]:
        """The products with pixels in the lake."""
        return [expected for expected in self.expected if expected.outcome == "published"]

    def sources(self, expected: Expected) -> dict[str, Source]:
        """The rasters of a product by band."""
        if expected.path not in self._sources:
            self._sources[expected.path] = sources(expected.path, expected.item.split("/")[0])
        return self._sources[expected.path]

    @cached_property
    def environment(self) -> dict[str, str]:
        """What `eolake env` prints."""
        done = workers.run(self.lake, "env", "--json")
        assert done.returncode == 0, done.stderr
        variables: dict[str, str] = json.loads(done.stdout)
        return variables

    def command(self, *arguments: str | Path) -> Any:
        """The document that a command prints with --json."""
        done = workers.run(self.lake, "--json", *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)


def _real(samples: Path) -> tuple[list[Path], list[Expected]]:
    landsat, sentinel2 = samples / "pixels/landsat", samples / "pixels/sentinel2"
    stactools, data = landsat / "c2l2_stactools", landsat / "au_eodatasets/data"
    brazil = landsat / "lt5_1988_brazil_rstoolbox"
    wagl, aws, one_band = (sentinel2 / name for name in ("au_l1c_wagl", "au_l1c_eodatasets", "es_l1c_full_b01_eodag"))
    c1, c2 = "LC08_L1TP_090084_20160121_20170405_01_T1", "LC08_L1TP_090084_20160121_20200907_02_T1"
    ls7, ls9 = "LE07_L1TP_104078_20130429_20161124_01_T1", "LC09_L1TP_112081_20220209_20220209_02_T1"
    jej = "S2A_MSIL1C_20171207T002051_N0206_R116_T55JEJ_20171207T032513"
    jgf = "S2B_MSIL1C_20180617T001109_N0206_R073_T55JGF_20180617T013729"
    tdh = "S2A_MSIL1C_20180101T105441_N0206_R051_T31TDH_20180101T124911"
    expected = [
        _published(stactools / "assets3", "ls8_c2_l2/LC08_L2SP_008059_20191201_20200825_02_T1"),
        _published(stactools / "assets4", "ls8_c2_l2/LC08_L2SP_017036_20130419_20200913_02_T2"),
        _quarantined(
            stactools / "etm", r"the metadata lists files that are not in the package: LE07_L2SP_021030\w+_SR_B1\.TIF, .* 16 more$"
        ),
        _quarantined(stactools / "oli-tirs", r"oli-tirs holds the metadata of 3 products \(LC08_L2SP_047027.*give each its own folder"),
        _published(data / c1, f"ls8_c1_l1/{c1}"),
        Expected(path=data / f"{c1}.tar.gz", outcome="rejected", reason=rf"^duplicate: {c1} was published from {data / c1}$"),
        _published(data / c2, f"ls8_c2_l1/{c2}"),
        _published(data / f"{ls9}.tar", f"ls9_c2_l1/{ls9}", altered=rf"is not what its {ls9}_MD5\.txt says: the MD5 of {ls9}_B10\.TIF is"),
        _published(data / f"{ls7}.tar", f"ls7_c1_l1/{ls7}"),
        _published(brazil / "landsat", "ls5_pre_l1/LT52240631988227CUB02"),
        _published(
            wagl / f"SENTINEL2/{jej}.zip",
            f"s2_l1c/{jej}",
            added=1000,
            altered=r"is not what its manifest\.safe says: \S+_B01\.jp2 has 2,784 bytes instead of 3,540,370; .*, and 9 more$",
        ),
        _published(aws / "data/S2B_OPER_MSI_L1C_TL_EPAE_20180617T013729_A006677_T55JGF_N02.06.AWSPDS.zip", f"s2_l1c/{jgf}", added=1000),
        _quarantined(
            one_band / f"as_archive/{tdh}.zip", rf"{tdh}: 12 of the 13 bands of s2_l1c are not in the product: B02 \(blue\), .*B12"
        ),
    ]
    return [stactools, data, brazil, wagl, aws, one_band], expected


def _generated(folder: Path) -> tuple[list[Path], list[Expected]]:
    """The same kinds of products, and the same troubles."""
    inbox = folder / "inbox"
    inbox.mkdir()
    expected = [
        *(_made(inbox, collection) for collection in ("ls8_c1_l1", "ls9_c2_l1", "ls7_c1_l1", "ls5_pre_l1")),
        *_usgs(inbox),
        *_esa(inbox, folder / "workshop"),
    ]
    notes = inbox / "notes"
    notes.mkdir()
    (notes / "README.txt").write_text("nothing to take")
    return [inbox], expected


def _made(inbox: Path, collection: str) -> Expected:
    size = 40
    if collection == "ls9_c2_l1":
        path = product(collection, size=size).pack(inbox / "ls9", ".tar")
        shutil.rmtree(inbox / "ls9" / "unpacked")
    else:
        path = product(collection, size=size).write(inbox / collection)
    return _published(path, f"{collection}/{path.name.removesuffix('.tar')}")


def _usgs(inbox: Path) -> Iterator[Expected]:
    """Two scenes of Level 2, one of them twice; one of Level 1; one that is cut off."""
    at = datetime(2019, 12, 15, 23, 50, 21, 604310, tzinfo=UTC)
    first = _scene("landsat_c2_l2", at, inbox)
    yield first
    again = _scene("landsat_c2_l2", at, inbox, container="tar").path
    yield Expected(path=again, outcome="rejected", reason=f"^duplicate: {first.path.name} was published from {first.path}$")
    yield _scene("landsat_c2_l2", datetime(2020, 1, 16, 23, 50, 12, 880170, tzinfo=UTC), inbox, container="tar", cloud=0.3)
    yield _scene("landsat_c2_l1", datetime(2020, 1, 16, 23, 50, 12, 880170, tzinfo=UTC), inbox, container="tar.gz")
    cut = _scene("landsat_c2_l2", datetime(2019, 11, 29, 23, 50, 21, tzinfo=UTC), inbox, container="tar.gz").path
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size // 2])
    yield _quarantined(cut, rf"{cut.name}.*(truncated|ends|end of|cut)")


def _esa(inbox: Path, workshop: Path) -> Iterator[Expected]:
    """Both levels before and after baseline 04.00, in all containers and in AWS layout; one with a single band."""
    at = datetime(2020, 1, 8, 0, 11, 9, 24000, tzinfo=UTC)
    yield _scene("s2_l1c", at, inbox, container="zip")
    yield _scene("s2_l2a", at, inbox, cloud=0.3)
    yield _scene("s2_l2a", datetime(2019, 12, 19, 0, 11, 9, 24000, tzinfo=UTC), inbox, baseline="02.13", container="zip", added=1000)
    old = generate_scene("s2_l1c", datetime(2019, 12, 19, 0, 11, 9, 24000, tzinfo=UTC), workshop, size=TINY, baseline="02.06")
    tile = as_aws(old, inbox / "S2B_OPER_MSI_L1C_TL_EPAE_20191219T013729_A006677_T56HKH_N02.06")
    yield _published(tile, f"s2_l1c/{old.name.removesuffix('.SAFE')}", added=1000)
    poor = _scene("s2_l1c", datetime(2020, 1, 18, 0, 11, 9, 24000, tzinfo=UTC), inbox).path
    for image in poor.rglob("*_B[!0]*.jp2"):
        image.unlink()
    yield _quarantined(poor, r"4 of the 13 bands of s2_l1c are not in the product: B8A \(nir08\), B10 .*B12 \(swir22\)$")


def _scene(kind: Kind, at: datetime, folder: Path, *, added: int = 0, **options: Any) -> Expected:
    path = generate_scene(kind, at, folder, size=TINY, **options)
    collection = {"landsat_c2_l2": "ls8_c2_l2", "landsat_c2_l1": "ls8_c2_l1"}.get(kind, kind)
    name = path.name
    for ending in (".tar.gz", ".tar", ".zip", ".SAFE"):
        name = name.removesuffix(ending)
    return _published(path, f"{collection}/{name}", added=added)


def _published(path: Path, item: str, *, added: int = 0, altered: str = "") -> Expected:
    return Expected(path=path, outcome="published", item=item, added=added, altered=altered)


def _quarantined(path: Path, reason: str) -> Expected:
    return Expected(path=path, outcome="quarantined", reason=reason)


@pytest.fixture(scope="session", params=["generated", "real"])
def taken(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, fresh_lake: NewLake) -> Iterator[Taken]:
    """A lake filled once; `real` skips when there are no samples."""
    folder = tmp_path_factory.mktemp(request.param)
    paths, expected = _real(request.getfixturevalue("samples")) if request.param == "real" else _generated(folder)
    with fresh_lake(folder) as lake:
        status, document = workers.ingest(lake, *paths)
        _take_unchecked(lake, expected, document)
        yield Taken(lake=lake, paths=paths, expected=expected, status=status, document=document)


def _take_unchecked(lake: Lake, expected: list[Expected], document: dict[str, Any]) -> None:
    """Products that somebody altered are kept aside with the reason; taken all the same, they stand in the document as published."""
    altered = {str(one.path): one.altered for one in expected if one.altered}
    if not altered:
        return
    reasons = {product["path"]: (product["outcome"], product["reason"]) for product in document["products"]}
    for path, reason in altered.items():
        assert reasons[path][0] == "quarantined"
        assert re.search(reason, reasons[path][1]), reasons[path]
    status, second = workers.ingest(lake, *map(Path, altered), "--unchecked")
    assert status == 0, second
    taken = {product["path"]: product for product in second["products"]}
    document["products"] = [taken.get(product["path"], product) for product in document["products"]]


@pytest.fixture(scope="session")
def url(taken: Taken) -> Iterator[str]:
    """Where the HTTP app of the lake answers, in a process of its own."""
    with served(taken.lake) as url:
        yield url
