"""What real STAC APIs answered: every recorded item becomes a product with a name, a scene and files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from support.archives import granule, record

from eolake.catalog.settings import load_settings
from eolake.ingest.faults import Kind, ProviderFault
from eolake.ingest.providers.base import ProviderConfig, Query
from eolake.ingest.providers.registry import provider_config
from eolake.ingest.providers.stac import StacProvider
from eolake.ingest.simulators.archive import Archive
from eolake.ingest.simulators.dialects.stac import StacDialect
from eolake.ingest.simulators.server import Request, Response, Server, json_response


@contextmanager
def shown(tmp_path: Path, preset: str, items: list[dict[str, Any]], **overrides: Any) -> Iterator[tuple[StacProvider, Server]]:
    """The items behind a preset whose addresses are a simulator's."""
    dialect = StacDialect(archive=Archive([record(n, str(item["collection"])) for n, item in enumerate(items)]))
    dialect.items = {f"id-{n:05}": item for n, item in enumerate(items)}
    with Server(dialect) as server:
        section = {"preset": preset, "urls": {"api": f"{server.url}/stac"}, **overrides}
        (tmp_path / "eolake.toml").write_text("")
        settings = load_settings(tmp_path / "eolake.toml").model_copy(update={"providers": {"here": section}})
        config: ProviderConfig = provider_config(settings, "here")
        provider = StacProvider(config)
        try:
            yield provider, server
        finally:
            provider.api.close()


def cassette(samples: Path, name: str, most: int | None = None) -> list[dict[str, Any]]:
    with (samples / "stac" / "api_cassettes" / f"{name}.ndjson").open() as file:
        return [json.loads(line) for _, line in zip(range(most or 10**6), file, strict=False)]


@pytest.mark.parametrize("name", ["landsat-c2-l2", "landsat-8-c2-l2"])
def test_landsat_items_of_the_planetary_computer(samples: Path, tmp_path: Path, name: str) -> None:
    items = cassette(samples, f"planetarycomputer.microsoft.com__{name}", 200)
    collections = {"any": {"collection": name}}
    options = {"published": "", "filter": "none"}
    with shown(tmp_path, "planetary-computer", items, collections=collections, options=options) as (provider, _):
        offers = list(provider.search(Query(collection="any")))
        assert len(offers) == len(items)
        assert provider.windows == "sensing"
        for offer in offers:
            assert offer.name.startswith(("LC08_L2S", "LC09_L2S", "LE07_L2S", "LT05_L2S", "LT04_L2S"))
            assert len(offer.name) == len("LC08_L2SR_066091_20220318_20220329_02_T1")
            assert offer.scene_key is not None
            assert offer.footprint is not None
            assert offer.start_at is not None
            assert "?" not in json.dumps(offer.detail["item"]["assets"]).replace("tilejson.json?", "").replace("preview.png?", "")
            assert len(json.dumps(offer.detail)) < 40_000


def test_files_of_a_recorded_landsat_item(samples: Path, tmp_path: Path) -> None:
    items = cassette(samples, "planetarycomputer.microsoft.com__landsat-8-c2-l2", 1)
    options = {"published": "", "filter": "none", "sas": {"url": "http://127.0.0.1:1/{account}/{container}", "hosts": [".example"]}}
    collections = {"ls8_c2_l2sr": {"collection": "landsat-8-c2-l2"}}
    with shown(tmp_path, "planetary-computer", items, collections=collections, options=options) as (provider, _):
        (offer,) = provider.search(Query(collection="ls8_c2_l2sr"))
        parts = provider.resolve(granule(offer))
    ends = {part.name.removeprefix(offer.name) for part in parts if part.role == "data"}
    assert ends == {
        *(f"_SR_B{n}.TIF" for n in range(1, 8)),
        *("_SR_QA_AEROSOL.TIF", "_QA_PIXEL.TIF", "_QA_RADSAT.TIF"),
        *("_MTL.json", "_MTL.txt", "_MTL.xml", "_ANG.txt"),
    }
    assert [part.name for part in parts if part.role == "overview"] == [f"{offer.name}_thumb_small.jpeg"]


def test_naip_items_without_any_known_name(samples: Path, tmp_path: Path) -> None:
    items = cassette(samples, "planetarycomputer.microsoft.com__naip")
    options = {"published": "", "filter": "none", "limit": 50}
    with shown(tmp_path, "planetary-computer", items, collections={"any": {"collection": "naip"}}, options=options) as (provider, _):
        offers = list(provider.search(Query(collection="any")))
        assert sorted(offer.name for offer in offers) == sorted(item["id"] for item in items)
        assert len({offer.fingerprint for offer in offers}) == len(items)


@pytest.mark.parametrize("style", ["assets3", "assets4", "oli-tirs", "etm"])
def test_old_landsatlook_items_by_the_ends_of_their_files(samples: Path, tmp_path: Path, style: str) -> None:
    folder = samples / "pixels" / "landsat" / "c2l2_stactools" / style
    items = [json.loads(path.read_text()) for path in sorted(folder.glob("*_L2SP_*_S?_stac.json"))]
    lake = {"LC08": "ls8_c2_l2", "LE07": "ls7_c2_l2"}[items[0]["id"][:4]]
    options = {"published": "", "filter": "none"}
    with shown(tmp_path, "landsatlook", items, options=options, auth_hosts=()) as (provider, _):
        (offer,) = provider.search(Query(collection=lake))
        assert offer.name == items[0]["id"]
        kept = {**granule(offer).detail, "item": {**offer.detail["item"], "id": offer.detail["item"]["id"]}}
        provider_items = {(item["collection"], item["id"]): item for item in items}
        sibling = provider_items["landsat-c2l2-st", offer.name]
        bands = {key for item in items for key in item["assets"] if key.endswith(".TIF")}
        reading = provider._reading(provider.config.collections[lake])
        from eolake.ingest.providers.stac_items import parts_of

        whole = {**kept["item"], "assets": {**{f"{k}+": v for k, v in sibling["assets"].items()}, **kept["item"]["assets"]}}
        names = [part.name for part in parts_of(whole, reading, may=frozenset()) if part.role == "data"]
    assert {name.removeprefix(f"{offer.name}_") for name in names if name.endswith(".TIF")} == bands
    assert len(names) == len(set(names))


def test_a_recorded_page_of_earth_search(samples: Path, tmp_path: Path) -> None:
    text = (samples / "payloads" / "eodag" / "provider_responses" / "earth_search_search.json").read_text()
    asked: list[Any] = []

    def handler(request: Request) -> Response | None:
        asked.append(request.json() if request.body else request.query)
        page = json.loads(text.replace("https://earth-search.aws.element84.com/v1", f"{request.base}/v1"))
        if "next" in request.query:  # as the real one: the last page is empty
            page = {**page, "features": [], "links": []}
        return json_response(page)

    with Server(handler) as server:
        (tmp_path / "eolake.toml").write_text("")
        collections = {"s2_l1c": {"collection": "sentinel-2-l1c"}}
        section = {"preset": "earth-search", "urls": {"api": f"{server.url}/v1"}, "collections": collections}
        settings = load_settings(tmp_path / "eolake.toml").model_copy(update={"providers": {"es": section}})
        provider = StacProvider(provider_config(settings, "es"))
        (offer,) = provider.search(Query(collection="s2_l1c"))  # of 25,898,765 that it speaks of
        assert offer.name == "S2B_MSIL1C_20240206T131259_N0510_R081_T27VWK_20240206T133903"
        assert offer.scene_key is not None
        assert offer.cloud_cover == pytest.approx(9.936, abs=0.001)
        parts = provider.resolve(granule(offer))
        names = {part.name for part in parts if part.role == "data"}
        assert {"B01.jp2", "B8A.jp2", "B12.jp2", "metadata.xml", "tileInfo.json"} <= names
        assert "TCI.jp2" not in names
        assert [part.url for part in parts if part.role == "overview"] == ["s3://sentinel-s2-l1c/tiles/27/V/WK/2024/2/6/0/preview.jpg"]
        provider.api.close()
    assert asked[0]["collections"] == ["sentinel-2-l1c"]
    assert len(asked) == 2


def test_the_recorded_next_link_to_the_real_host_is_not_followed(samples: Path, tmp_path: Path) -> None:
    page = json.loads((samples / "payloads" / "eodag" / "provider_responses" / "earth_search_search.json").read_text())
    with Server(lambda _: json_response(page)) as server:
        config = ProviderConfig(name="x", kind="stac", urls={"api": server.url}, collections={"a": {"collection": "sentinel-2-l1c"}})
        provider = StacProvider(config)
        with pytest.raises(ProviderFault, match="not followed") as caught:
            list(provider.search(Query(collection="a")))
        provider.api.close()
    assert caught.value.kind is Kind.CONFIG


@pytest.mark.parametrize("preset", ["cdse-stac", "earth-search", "landsatlook", "planetary-computer", "dea"])
def test_presets_load(tmp_path: Path, preset: str) -> None:
    (tmp_path / "eolake.toml").write_text("")
    config = provider_config(load_settings(tmp_path / "eolake.toml"), preset)
    provider = StacProvider(config)
    assert all("collection" in described for described in config.collections.values())
    assert provider.windows == ("sensing" if preset in {"planetary-computer", "dea"} else "published")  # told without asking anybody
    provider.api.close()
