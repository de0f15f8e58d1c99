"""A third party's plug-ins: a sensor of tiny products that do on opening what their file says, also the worst, and a provider of them."""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import re
import time
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pystac
import shapely
from affine import Affine
from odc.geo.geom import box

from eolake.catalog.declaration import declared
from eolake.catalog.draft import Band, Draft, Pixels
from eolake.catalog.errors import BadProduct, Transient
from eolake.catalog.ledger.granules import Granule, Offer
from eolake.ingest.logins.base import Login
from eolake.ingest.providers.base import Change, Part, ProviderConfig, Query
from eolake.ingest.sensors.base import DEFAULT, Options

COLLECTION = "ls5_pre_l1"
SIDE = 32
CRS = "EPSG:32655"
FIRST = datetime(1988, 1, 1, 23, 30, tzinfo=UTC)


class ProbeSensor:
    """Products are files PROBE_<number>.zip of JSON: {"do": …, "pause": seconds per band, "name": …}; fetched ones zips with it."""

    name = "probe"

    def matches(self, name: str) -> bool:
        return name.startswith("PROBE_")

    def open(self, path: Path, workspace: Path, options: Options = DEFAULT) -> Iterator[Draft]:  # noqa: ARG002 - clipped by the caller
        orders = json.loads(zipfile.Path(path, "orders.json").read_text() if zipfile.is_zipfile(path) else path.read_text("utf-8"))
        (workspace / "unpacked").write_bytes(bytes(1000))
        self._waste(orders["do"], path)
        self._act(orders["do"], path)
        yield draft(orders)

    def _waste(self, do: str, path: Path) -> None:
        if do == "spin":
            re.match(r"(a+)+$", "a" * 60 + "b")  # in C, where no Python signal handler runs
        elif do == "eat":
            self.eaten = np.ones((64, 64 << 20), np.uint8)
        elif do == "fill":
            with (path.parent / "written").open("wb") as file:
                file.truncate(1 << 40)
        elif do == "open":
            self.held = [path.open("rb") for _ in range(3000)]

    def _act(self, do: str, path: Path) -> None:
        if do == "crash":
            ctypes.string_at(0)
        elif do == "exit":
            os._exit(3)
        elif do == "hang":
            time.sleep(3600)
        elif do == "raise":
            raise ZeroDivisionError("float division by zero")
        elif do == "broken":
            raise BadProduct(f"{path.name}: band B4 is truncated at byte 77")
        elif do == "passing" and not path.with_suffix(".seen").exists():
            path.with_suffix(".seen").touch()
            raise Transient("the archive is being restored")
        elif do == "noise":
            print("this is no event")
            os.system("echo neither is this")


class ProbeProvider:
    """Its granules say themselves where their files are."""

    def __init__(self, config: ProviderConfig, login: Login | None = None) -> None:
        self.name, self.login = config.name, login

    def search(self, query: Query) -> Iterator[Offer]:
        _ = query
        return iter(())

    def resolve(self, granule: Granule) -> list[Part]:
        return [Part(**part) for part in granule.detail["parts"]]

    def changes(self, since: datetime) -> Iterator[Change]:
        _ = since
        return iter(())

    def auth(self) -> dict[str, str]:
        return {}


def draft(orders: dict[str, Any]) -> Draft:
    """A scene of 32 × 32 pixels of 30 m."""
    number = int(orders["number"])
    left, top = 600_000.0 + 30 * SIDE * (number % 100), -3_800_000.0
    bounds = box(left, top - 30 * SIDE, left + 30 * SIDE, top, CRS).to_crs("EPSG:4326").boundingbox
    footprint = shapely.box(*bounds.bbox)  # counter-clockwise
    item = pystac.Item(
        id=orders["name"],
        collection=COLLECTION,
        geometry=shapely.geometry.mapping(footprint),
        bbox=[bounds.left, bounds.bottom, bounds.right, bounds.top],
        datetime=FIRST + timedelta(days=number),
        properties={"platform": "landsat-5", "instruments": ["tm"], "eo:cloud_cover": 1.0, "proj:code": CRS, "odc:region_code": "090084"},
    )
    grid = Affine(30, 0, left, 0, -30, top)
    bands = {band.name: Band(read=lambda name=band.name: pixels(orders, name, grid)) for band in declared(COLLECTION).measurements}
    return Draft(item=item, bands=bands, scene_key=f"probe/{number}", rank=(1,))


def pixels(orders: dict[str, Any], band: str, grid: Affine) -> Pixels:
    """Noise that depends on the product and the band alone."""
    time.sleep(orders.get("pause", 0))
    seed = hashlib.sha256(f"{orders['name']}/{band}/{orders.get('version', 0)}".encode()).digest()
    values = np.random.default_rng(list(seed)).integers(0, 256, (SIDE, SIDE), dtype=np.uint8)
    return Pixels(data=values, transform=grid, crs=CRS, nodata=0)
