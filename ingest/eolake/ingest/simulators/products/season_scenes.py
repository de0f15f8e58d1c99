"""The products of a small fire season: a fire seen by all sensors on several days, and passes on both sides of midnight UTC."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from eolake.ingest.simulators.products.landscape import Landscape
from eolake.ingest.simulators.products.scenes import Kind, generate_pass, generate_scene, scene_path
from eolake.ingest.simulators.products.season import BEGIN, END, Season
from eolake.ingest.simulators.products.sentinel3.geometry import SLSTR_SWATH, Pass, Place, Platform, passes
from eolake.ingest.simulators.products.sentinel3.make import Sentinel3Kind

DAYS = ((datetime(2019, 12, 26, tzinfo=UTC), 4), (datetime(2020, 1, 2, tzinfo=UTC), 4))
"""Passes over the site: from when, within how many days the first one"""
OLCI_KINDS: tuple[Sentinel3Kind, ...] = ("s3_olci_l1_efr", "s3_olci_l2_lfr")
SLSTR_KINDS: tuple[Sentinel3Kind, ...] = ("s3_slstr_l1_rbt", "s3_slstr_l2_lst", "s3_slstr_l2_frp")
TRUTH = "truth.geojson"
SIDES = {"s3_olci": 193, "s3_slstr": 60}
"""pixels: 58 and 60 km"""
OTHERS: tuple[tuple[Kind, datetime], ...] = (
    ("s2_l2a", datetime(2019, 12, 19, 0, 11, 9, 24000, tzinfo=UTC)),
    ("s2_l2a", datetime(2020, 1, 8, 0, 11, 9, 24000, tzinfo=UTC)),
    ("landsat_c2_l2", datetime(2019, 12, 31, 23, 50, 17, 218840, tzinfo=UTC)),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One pass and the place in the middle of its products."""

    orbit: Pass
    place: Place
    kinds: tuple[Sentinel3Kind, ...]


def looks(season: Season) -> Iterator[Look]:
    """The passes of Sentinel-3 that `generate_season` takes: over the site before and after New Year, and one after midnight UTC."""
    for start, days in DAYS:
        for orbit in list(passes("A", start, start + timedelta(days=days), season.site))[:1]:
            yield Look(orbit=orbit, place=season.site, kinds=(*OLCI_KINDS, *SLSTR_KINDS))
    late = next(after_midnight(season), None)
    if late is not None:
        yield Look(orbit=late[0], place=late[1], kinds=SLSTR_KINDS)


def after_midnight(season: Season) -> Iterator[tuple[Pass, Place]]:
    """Passes of both satellites from which SLSTR sees a fire burning after 00:00 UTC, and its place: those of the west."""
    platforms: tuple[Platform, ...] = ("A", "B")
    west, east = SLSTR_SWATH["n"][1] - 40_000, -SLSTR_SWATH["n"][0] - 40_000
    for fire in season.fires:
        place = (fire.longitude, fire.latitude)
        for platform in platforms:
            for orbit in passes(platform, max(fire.start, BEGIN), min(fire.end, END), place, west=west, east=east):
                if orbit.time(orbit.locate(place)[0]).hour < 12:
                    yield orbit, place


def generate_season(folder: Path, *, season: Season | None = None, size: int | None = None, cloud: float = 0.0) -> list[Path]:
    """Makes the products of the season below `folder` and returns their paths; those already there are left.

    `size`: side in pixels, of all; by default about 60 km of Sentinel-3. What is to be found in them is in `truth.geojson` beside them:
    the fires at each pass (`Season.truth`, with the time of the pass as `seen`)."""
    season = season or Season()
    landscape = Landscape(seed=season.seed, season=season)
    seen = list(looks(season))
    before = set(folder.glob("*")) if folder.is_dir() else set()
    made = []
    for look in seen:
        for kind in look.kinds:
            side = size or SIDES["s3_olci" if kind.startswith("s3_olci") else "s3_slstr"]
            there = _there(kind, look.orbit, folder)
            made.append(there or generate_pass(kind, look.orbit, folder, landscape=landscape, size=side, cloud=cloud, place=look.place))
    for other, when in OTHERS:
        target = scene_path(other, when, folder)
        made.append(target if target.exists() else generate_scene(other, when, folder, landscape=landscape, size=size, cloud=cloud))
    if not before.issuperset(made) or not (folder / TRUTH).exists():
        moments = [look.orbit.time(look.orbit.locate(look.place)[0]) for look in seen] + [when for _, when in OTHERS]
        _write_truth(folder / TRUTH, season, moments)
    return made


def _there(kind: Sentinel3Kind, orbit: Pass, folder: Path) -> Path | None:
    """The product of that pass that was made before."""
    instrument, level, product = kind.upper().split("_")[1:]
    name = f"S3{orbit.platform}_{instrument[:2]}_{level[1]}_{product}____*_{orbit.cycle:03d}_{orbit.relative_orbit:03d}_*"
    return next(folder.glob(name), None)


def _write_truth(path: Path, season: Season, moments: Iterable[datetime]) -> None:
    import json

    features = []
    for moment in sorted(moments):
        for feature in season.truth(moment)["features"]:
            feature["properties"]["seen"] = moment.isoformat()
            features.append(feature)
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
