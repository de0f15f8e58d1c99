"""The STAC API as clients see it, over a real socket."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import odc.stac
import pystac_client
import pytest
import rasterio
import requests
from support.scenes import COLLECTION, FOOTPRINT, NAME, WHEN, claim, draft
from support.serving import served

from eolake.catalog.lake import Lake
from eolake.cube.publish import publish
from eolake.cube.session import Session


@pytest.fixture(scope="module")
def published(fresh_lake: Callable[[Path], AbstractContextManager[Lake]], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lake]:
    """Three scenes, a day apart, ever cloudier."""
    with fresh_lake(tmp_path_factory.mktemp("published")) as lake:
        with Session(lake=lake) as session:
            for n in range(3):
                scene = draft(f"{NAME}_{n}", seed=n, cloud=30 * n, when=WHEN + timedelta(days=n))
                publish(session, [scene], claim(session, f"{n}"))
        yield lake


@pytest.fixture(scope="module")
def url(published: Lake) -> Iterator[str]:
    with served(published) as url:
        yield url


def test_pystac_client_searches_by_place_time_and_cloud_cover(url: str) -> None:
    catalog = pystac_client.Client.open(f"{url}/stac")
    assert catalog.title == "test"
    bbox = [148, -35, 149, -34]
    found = catalog.search(collections=[COLLECTION], bbox=bbox, datetime="2020-01-01/2020-01-03T00:00:00Z")
    assert found.matched() == 2
    assert [item.id for item in found.items()] == [f"{NAME}_1", f"{NAME}_0"]
    cql = {"op": "<=", "args": [{"property": "eo:cloud_cover"}, 30]}
    assert {item.id for item in catalog.search(filter=cql, filter_lang="cql2-json").items()} == {f"{NAME}_0", f"{NAME}_1"}
    cloudy = catalog.search(method="GET", filter='"eo:cloud_cover" > 30', filter_lang="cql2-text")
    assert [item.id for item in cloudy.items()] == [f"{NAME}_2"]
    assert catalog.search(bbox=[0, 0, 1, 1]).matched() == 0


def test_paging_visits_every_item_once(url: str) -> None:
    catalog = pystac_client.Client.open(f"{url}/stac")
    ids = [item.id for item in catalog.search(collections=[COLLECTION], limit=1).items()]
    assert ids == [f"{NAME}_{n}" for n in (2, 1, 0)]


def test_hrefs_are_https_with_the_store_as_alternate(url: str, published: Lake) -> None:
    item = requests.get(f"{url}/stac/collections/{COLLECTION}/items/{NAME}_0", timeout=10).json()
    red = item["assets"]["red"]
    assert red["href"] == f"{url}/assets/{COLLECTION}/{NAME}_0/red"
    assert red["alternate"]["file"]["href"].startswith(f"{published.store_config.url}/{COLLECTION}/2020/01/01/{NAME}_0/r")
    links = {link["rel"]: link["href"] for link in item["links"]}
    assert links["self"] == f"{url}/stac/collections/{COLLECTION}/items/{NAME}_0"
    assert links["collection"] == links["parent"] == f"{url}/stac/collections/{COLLECTION}"


def test_items_of_the_api_are_valid_stac(url: str, validate_stac: Callable[[Mapping[str, Any]], None]) -> None:
    for item in requests.get(f"{url}/stac/search", timeout=10).json()["features"]:
        validate_stac(item)
    validate_stac(requests.get(f"{url}/stac/collections/{COLLECTION}", timeout=10).json())


def test_odc_stac_and_rasterio_read_the_https_hrefs(url: str) -> None:
    catalog = pystac_client.Client.open(f"{url}/stac")
    (item,) = catalog.search(ids=[f"{NAME}_1"]).items()
    wanted = draft(seed=1).bands["red"].read().data
    with rasterio.open(item.assets["red"].href) as source:
        assert np.array_equal(source.read(1), wanted)
    loaded = odc.stac.load([item], bands=["red"])
    assert np.array_equal(loaded.red.values[0], wanted)


def test_an_asset_answers_ranges(url: str, published: Lake) -> None:
    href = f"{url}/assets/{COLLECTION}/{NAME}_0/red"
    whole = requests.get(href, timeout=10)
    assert whole.headers["content-type"] == "image/tiff; application=geotiff; profile=cloud-optimized"
    part = requests.get(href, headers={"Range": "bytes=100-199"}, timeout=10)
    assert (part.status_code, part.content) == (206, whole.content[100:200])
    assert int(requests.head(href, timeout=10).headers["content-length"]) == len(whole.content)
    folder = published.store_config.folder
    assert folder is not None
    (path,) = Path(folder).glob(f"{COLLECTION}/2020/01/01/{NAME}_0/*/red.tif")
    assert path.read_bytes() == whole.content
    assert requests.get(f"{url}/assets/{COLLECTION}/{NAME}_0/nothing", timeout=10).status_code == 404


def test_extents_follow_what_is_published(url: str) -> None:
    extent = requests.get(f"{url}/stac/collections/{COLLECTION}", timeout=10).json()["extent"]
    assert extent["spatial"]["bbox"] == [list(FOOTPRINT.bounds)]
    assert extent["temporal"]["interval"] == [["2020-01-01T23:50:12.123456Z", "2020-01-03T23:50:12.123456Z"]]


def test_links_keep_the_prefix_of_a_proxy(published: Lake) -> None:
    with served(published, root_path="/lake") as url:
        page = requests.get(f"{url}/stac/search", timeout=10).json()
        item = page["features"][0]
        hrefs = [link["href"] for link in (*page["links"], *item["links"])] + [item["assets"]["red"]["href"]]
        assert all(href.startswith(f"{url}/lake/") for href in hrefs), hrefs


def test_health_tells_a_dead_database_from_a_dead_process(url: str) -> None:
    assert requests.get(f"{url}/healthz", timeout=10).json() == {"status": "ok"}
    assert requests.get(f"{url}/readyz", timeout=10).json() == {"status": "ready"}
