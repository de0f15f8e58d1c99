"""The ODC dataset of a final STAC item.

Made directly, not through `datacube.metadata.stac2ds`: that guesses bands and grids anew from each
item, keeps absolute paths and drops the lineage. What both make of one item is compared in the tests.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, cast

from datacube.index.eo3 import EO3_SCHEMA, prep_eo3
from datacube.metadata._utils import stac_to_eo3_properties
from datacube.model import Dataset, LineageTree, Product
from odc.geo import CRS, Geometry

from eolake.catalog.stac.identity import dataset_id

Grid = tuple[tuple[int, int], tuple[float, ...]]
"""(rows, columns) and the six numbers of the transform."""


def odc_dataset(item: Mapping[str, Any], product: Product) -> Dataset:
    """The dataset of an item with store hrefs (`with_store_hrefs`): uri is its item.json, paths are relative to it.

    Its lineage stands in the document and in `source_tree`, from which the postgis driver stores it.
    """
    doc = dataset_document(item, product)
    uri = _self_href(item)
    tree = LineageTree.from_eo3_doc(doc) if doc["lineage"] else None
    return cast("Dataset", Dataset(product, prep_eo3(doc, remap_lineage=False), uri=uri, source_tree=tree))


def dataset_document(item: Mapping[str, Any], product: Product) -> dict[str, Any]:
    """The EO3 document, without the extent that `prep_eo3` adds."""
    folder = _self_href(item).rsplit("/", 1)[0] + "/"
    bands = {key: asset for key, asset in item["assets"].items() if "proj:transform" in asset}
    others = {key: asset for key, asset in item["assets"].items() if key not in bands}
    grids, grid_of = _grids(bands, _default_resolution(product))
    crs = _crs(item["properties"])
    properties = {key: value for key, value in item["properties"].items() if key != "odc:lineage"}
    return {
        "$schema": EO3_SCHEMA,
        "id": str(dataset_id(item["collection"], item["id"])),
        "label": item["id"],
        "product": {"name": product.name},
        "crs": crs,
        "geometry": Geometry(item["geometry"], 4326).to_crs(crs).json,
        "grids": {name: {"shape": shape, "transform": transform} for name, (shape, transform) in grids.items()},
        "measurements": {key: _measurement(asset, folder, grid_of[key]) for key, asset in bands.items()},
        "properties": stac_to_eo3_properties(properties),
        "accessories": {key: {"path": _relative(asset["href"], folder)} for key, asset in others.items()},
        "lineage": dict(item["properties"].get("odc:lineage", {})),
    }


def _self_href(item: Mapping[str, Any]) -> str:
    for link in item["links"]:
        if link["rel"] == "self":
            return str(link["href"])
    raise ValueError(f"item {item['id']} has no self link: give it store hrefs first")


def _relative(href: str, folder: str) -> str:
    return href.removeprefix(folder)


def _measurement(asset: Mapping[str, Any], folder: str, grid: str) -> dict[str, Any]:
    path = {"path": _relative(asset["href"], folder)}
    return path if grid == "default" else {**path, "grid": grid}


def _crs(properties: Mapping[str, Any]) -> str:
    """In odc-geo's spelling, which other readers of the index compare with."""
    return str(CRS(properties.get("proj:code") or properties["proj:wkt2"]))


def _default_resolution(product: Product) -> float | None:
    resolution = product.definition.get("load", {}).get("resolution", {})
    return max(resolution.values(), default=None)


def _gsd(grid: Grid) -> float:
    """Ground sampling distance as odc-stac has it: the smaller of both pixel sides."""
    return min(abs(grid[1][0]), abs(grid[1][4]))


def _grids(bands: Mapping[str, Mapping[str, Any]], default: float | None) -> tuple[dict[str, Grid], dict[str, str]]:
    """Grids by name, and the grid of each band.

    `default` is the grid of the product's own resolution; when no band has that, the grid of most
    bands, of these the finest. The others are named by their pixel size: g20, g60.
    """
    grid_of: dict[str, Grid] = {
        key: ((asset["proj:shape"][0], asset["proj:shape"][1]), tuple(asset["proj:transform"][:6])) for key, asset in bands.items()
    }
    count = Counter(grid_of.values())
    order = sorted(count, key=lambda grid: (_gsd(grid) != default, -count[grid], _gsd(grid)))
    names: dict[Grid, str] = {}
    for grid in order:
        name = "default" if not names else f"g{_gsd(grid):g}"
        names[grid] = name if name not in names.values() else f"{name}-{next(key for key, own in grid_of.items() if own == grid)}"
    return {name: grid for grid, name in names.items()}, {key: names[grid] for key, grid in grid_of.items()}
