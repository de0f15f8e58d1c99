"""Reference mode: public COGs are published where they are, found, loaded, and never deleted."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import datacube
import numpy as np
import odc.stac
import pystac
import pytest
from affine import Affine
from odc.geo.geobox import GeoBox
from support.range_server import serving

from eolake.catalog.cog import write_cog
from eolake.catalog.declaration import declared
from eolake.catalog.draft import Pixels
from eolake.catalog.errors import BadProduct
from eolake.catalog.lake import Lake
from eolake.catalog.ledger import granules
from eolake.catalog.ledger.granules import Granule
from eolake.catalog.migrate import odc_environment
from eolake.cube.check import check
from eolake.cube.publish import publish, retire
from eolake.cube.rebuild import rebuild
from eolake.cube.session import Session
from eolake.cube.sweep import sweep
from eolake.ingest.providers.stac_items import Reading, offer_of
from eolake.ingest.reference import reference_draft

COLLECTION = "s2_c1_l2a_ref"
NAME = "S2B_MSIL2A_20240206T001109_N0510_R073_T55HFA_20240206T013000"
READING = Reading(names=("s2:product_uri",))
SIDES = {"default": 40, "g20": 20, "g60": 7}
LEFT, TOP = 600_000, 6_200_020


@pytest.fixture
def session(lake: Lake) -> Iterator[Session]:
    with Session(lake=lake) as session:
        yield session


@pytest.fixture(scope="module")
def cogs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Pixels]]:
    """A folder with one COG per band, and what is in them."""
    folder, written = tmp_path_factory.mktemp("public"), {}
    random = np.random.default_rng(5)
    for band in declared(COLLECTION).measurements:
        side, gsd = SIDES[band.grid], 60 if band.grid == "g60" else 20 if band.grid == "g20" else 10
        data = random.integers(1, 11, (side, side)).astype(band.dtype)
        pixels = Pixels(data=data, transform=Affine(gsd, 0, LEFT, 0, -gsd, TOP), crs="EPSG:32755", nodata=band.nodata)
        write_cog(pixels, band, declared(COLLECTION).cog, folder / f"{band.name}.tif")
        written[band.name] = pixels
    return folder, written


def item(base: str, pixels: Mapping[str, Pixels], name: str = NAME) -> dict[str, Any]:
    """As Earth Search has them."""
    assets: dict[str, Any] = {}
    for band in declared(COLLECTION).measurements:
        found = pixels[band.name]
        raster = {"nodata": band.nodata, "data_type": band.dtype}
        assets[band.name] = {
            "href": f"{base}/{band.name}.tif",
            "type": "image/tiff; application=geotiff; profile=cloud-optimized",
            "roles": ["data"],
            "proj:shape": list(found.data.shape),
            "proj:transform": [*tuple(found.transform)[:6]],
            "raster:bands": [raster | ({"scale": band.scale, "offset": band.offset} if band.scale is not None else {})],
            "file:size": 1000,
        }
    assets["thumbnail"] = {"href": f"{base}/preview.jpg", "type": "image/jpeg", "roles": ["thumbnail"]}
    assets["product_metadata"] = {"href": f"{base}/product_metadata.xml", "type": "application/xml", "roles": ["metadata"]}
    ring = [[148.08, -34.34], [148.09, -34.34], [148.09, -34.33], [148.08, -34.33], [148.08, -34.34]]
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": "S2B_T55HFA_20240206T001109_L2A",
        "collection": "sentinel-2-c1-l2a",
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "bbox": [148.08, -34.34, 148.09, -34.33],
        "properties": {
            "datetime": "2024-02-06T00:15:11.918000Z",
            "platform": "sentinel-2b",
            "instruments": ["msi"],
            "eo:cloud_cover": 9.9,
            "proj:code": "EPSG:32755",
            "s2:product_uri": f"{name}.SAFE",
            "earthsearch:payload_id": "x",
            "created": "2024-02-06T15:02:12.605Z",
            "updated": "2024-02-06T15:02:12.605Z",
        },
        "assets": assets,
        "links": [],
    }


def claimed(session: Session, given: Mapping[str, Any]) -> Granule:
    offer = offer_of(given, provider="earth-search", source="https://api/x", reading=READING, lake_collection=COLLECTION, own=None)
    (offered,) = granules.offer(session.connection, [replace(offer, transfer="reference")])
    (granule,) = granules.claim(session.connection, owner="t", lease=timedelta(minutes=1), only=[offered.granule_id])
    return granule


def test_public_cogs_are_published_where_they_are_and_load(session: Session, lake: Lake, cogs: tuple[Path, dict[str, Pixels]]) -> None:
    folder, pixels = cogs
    with serving(folder) as base:
        granule = claimed(session, item(base, pixels))
        assert publish(session, [reference_draft(granule)], granules.lease_of(granule)).verdict == "published"
        like = GeoBox((40, 40), Affine(10, 0, LEFT, 0, -10, TOP), "EPSG:32755")
        cube = datacube.Datacube(raw_config={"default": odc_environment(lake)})
        loaded = cube.load(product=COLLECTION, measurements=["red", "nir"], like=like, time=("2024-02-06", "2024-02-07"))
        for name in ("red", "nir"):
            np.testing.assert_array_equal(loaded[name].values[0], pixels[name].data)
        (dataset,) = cube.find_datasets(product=COLLECTION)
        assert dataset.measurements["red"]["path"] == f"{base}/red.tif"
        cube.close()
        row = session.connection.execute("select pgstac.content_hydrate(i) as item from pgstac.items i").fetchone()
        assert row is not None
        assert row["item"]["assets"]["red"]["href"] == f"{base}/red.tif"
        both = odc.stac.load([pystac.Item.from_dict(row["item"])], bands=["red", "scl"], like=like)
        np.testing.assert_array_equal(both["red"].values[0], pixels["red"].data)


def test_nothing_is_moved_nor_expected_nor_deleted(session: Session, cogs: tuple[Path, dict[str, Pixels]]) -> None:
    granule = claimed(session, item("https://public.example/x", cogs[1]))
    publish(session, [reference_draft(granule)], granules.lease_of(granule))
    keys = sorted(found.key.rpartition("/")[2] for found in session.store.list(""))
    assert keys == ["item.json", "record.json"]
    report = check(session.connection, session.store).document()
    assert (report["ok"], report["foreign"], report["objects"]) == (True, 16, 2)
    before = session.connection.execute("select id, content from pgstac.items").fetchall()
    rebuild(session, replace=True)
    assert session.connection.execute("select id, content from pgstac.items").fetchall() == before
    assert check(session.connection, session.store).document() == report
    retire(session, [(COLLECTION, NAME)], reason="due")
    sweep(session.connection, session.store)
    rows = session.connection.execute("select href from eolake.object where asset = 'red'").fetchall()
    assert rows == [{"href": "https://public.example/x/red.tif"}]


def test_check_sees_an_item_that_points_elsewhere_than_the_ledger(session: Session, cogs: tuple[Path, dict[str, Pixels]]) -> None:
    granule = claimed(session, item("https://public.example/x", cogs[1]))
    publish(session, [reference_draft(granule)], granules.lease_of(granule))
    session.connection.execute("update eolake.object set href = 'https://public.example/y/red.tif' where asset = 'red'")
    (fault,) = check(session.connection, session.store).differing
    assert "asset red points to https://public.example/x/red.tif" in fault


def test_the_item_is_valid(session: Session, cogs: tuple[Path, dict[str, Pixels]], validate_stac: Any) -> None:
    granule = claimed(session, item("https://public.example/x", cogs[1]))
    publish(session, [reference_draft(granule)], granules.lease_of(granule))
    (key,) = (found.key for found in session.store.list("") if found.key.endswith("item.json"))
    document = json.loads(session.store.get(key))
    assert document["assets"]["overview"]["roles"] == ["overview"]
    assert "product_metadata" not in document["assets"]
    assert not any(name.startswith(("earthsearch:", "_private")) for name in document["properties"])
    for link in document["links"]:
        link["href"] = f"https://lake.example/{link['href']}"
    validate_stac(document)


def test_a_better_reference_supersedes_a_worse_one_but_no_copy(session: Session, cogs: tuple[Path, dict[str, Pixels]]) -> None:
    for name in (NAME, NAME.replace("N0510", "N0511").replace("T013000", "T233000")):
        granule = claimed(session, {**item("https://public.example/x", cogs[1], name), "id": name})
        publish(session, [reference_draft(granule)], granules.lease_of(granule))
    rows = session.connection.execute("select state, scene_key from eolake.publication order by item_id").fetchall()
    assert [row["state"] for row in rows] == ["superseded", "live"]
    assert {row["scene_key"] for row in rows} == {"reference sentinel-2b/L2A/55HFA/20240206T001109@footprint"}


def broken(change: str, given: dict[str, Any]) -> None:
    red = given["assets"]["red"]
    match change:
        case "no asset":
            del given["assets"]["red"]
        case "no grid":
            del red["proj:shape"], red["proj:transform"]
        case "no crs":
            del given["properties"]["proj:code"]
        case "no COG":
            red["type"] = "image/jp2"
        case "another scale":
            red["raster:bands"][0]["offset"] = 0
        case "another type":
            red["raster:bands"][0]["data_type"] = "float32"
        case "a grid that is none":
            red["proj:transform"] = [0, 0, 0, 0, 0, 0]
        case "a file":
            red["href"] = "file:///etc/passwd"
        case _:
            raise AssertionError(change)


REASONS = {
    "no asset": "no asset for red",
    "no grid": r"asset red: the item does not say its grid \(proj:shape, proj:transform\)",
    "no crs": r"does not say its grid \(proj:code\)",
    "no COG": "asset red is image/jp2, not a Cloud-Optimized GeoTIFF",
    "another scale": "asset red has offset 0, its collection -0.1",
    "another type": "asset red has data_type 'float32', its collection 'uint16'",
    "a grid that is none": "asset red: its grid is none",
    "a file": "asset red is at 'file:///etc/passwd'",
}


def test_what_can_not_be_referenced_is_kept_aside_with_its_reason(session: Session, cogs: tuple[Path, dict[str, Pixels]]) -> None:
    granule = claimed(session, item("https://public.example/x", cogs[1]))
    for change, reason in REASONS.items():
        given = copy.deepcopy(dict(granule.detail["item"]))
        broken(change, given)
        with pytest.raises(BadProduct, match=reason):
            reference_draft(replace(granule, detail={"item": given}))


def test_a_provider_without_items(session: Session, cogs: tuple[Path, dict[str, Pixels]]) -> None:
    granule = claimed(session, item("https://public.example/x", cogs[1]))
    with pytest.raises(BadProduct, match="earth-search gave no STAC item"):
        reference_draft(replace(granule, detail={}))


def test_a_real_item_of_jp2_is_refused(session: Session, samples: Path) -> None:
    found = json.loads((samples / "payloads/eodag/provider_responses/earth_search_search.json").read_text("utf-8"))
    granule = claimed(session, found["features"][0])
    assert granule.scene_key == "sentinel-2b/L1C/27VWK/20240206T131259@footprint"
    with pytest.raises(BadProduct, match="is image/jp2, not a Cloud-Optimized GeoTIFF"):
        reference_draft(granule)
