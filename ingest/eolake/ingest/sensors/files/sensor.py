"""Opens products whose bands are raster files: a folder, an archive, or files side by side whose names begin with the product's."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import cast

import numpy as np
import shapely
from pyproj import CRS
from shapely.geometry.base import BaseGeometry

from eolake.catalog import declaration, safe
from eolake.catalog.declaration import Collection
from eolake.catalog.draft import Band, Draft, Frame, Pixels
from eolake.catalog.errors import BadProduct
from eolake.catalog.sources import FilesSource, RasterFile
from eolake.ingest.naming import bare
from eolake.ingest.outlines import data_outline, geographic
from eolake.ingest.sensors import declared
from eolake.ingest.sensors.base import DEFAULT, Options
from eolake.ingest.sensors.declared import ProductName, compiled, read_name
from eolake.ingest.sensors.values import as_declared, valid_pixels

NAME = "files"
NAMED_GROUP = re.compile(r"\(\?P<\w+>")
ENDS = re.compile(r"[._-]|$")
"""Where the name of a product may end within that of its file."""
DEFAULT_GRID = "default"
EXPECTED = safe.expected_names(
    *("tif", "tiff", "jp2", "j2k", "img", "hdr", "aux.xml", "tfw", "prj", "rpb", "ovr"),  # rasters and what lies beside them
    *("xml", "json", "geojson", "yaml", "yml", "txt", "md", "log", "csv", "met", "sha1", "sha256", "md5", "pdf", "html"),
    *("png", "jpg", "jpeg", "gif", "kml", "kmz", "shp", "shx", "dbf", "cpg", "gpkg"),
    folders=8,
)
"""Of everything in an archive."""


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """One band's file, and what its header says."""

    path: Path
    source: RasterFile
    profile: safe.RasterProfile

    def frame(self) -> Frame:
        """Where its pixels are, for who clips."""
        return Frame(shape=self.profile.shape, transform=self.profile.transform, crs=self.profile.crs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A collection whose products are named like this one, and its files."""

    collection: Collection
    source: FilesSource
    said: ProductName
    paths: Mapping[str, Path]
    """By band name."""

    @property
    def missing(self) -> list[str]:
        """Bands that every product of the collection has, and this one has not."""
        return [band.name for band in self.collection.measurements if band.name not in self.paths]


class FilesSensor:
    """Products of every collection with `sensor: files`."""

    name = NAME

    def matches(self, name: str) -> bool:
        """True for the names that a declared collection has for its products, and for that of a product's only file."""
        return bool(declared.matching(name, NAME) or self.gather([name]))

    def gather(self, files: Iterable[str]) -> dict[str, list[str]]:
        """Products that lie as loose files in one folder: their base names by product name, also of files without any use here."""
        files = list(files)
        found: dict[str, list[str]] = {}
        bands: set[str] = set()
        sources = [cast("FilesSource", collection.source) for collection in declared.collections(NAME)]
        for file in files:
            name, band = max((_owner(file, source) for source in sources), key=lambda owner: (len(owner[0]), owner[1]), default=("", False))
            if name:
                found.setdefault(name, []).append(file)
                bands |= {name} if band else set()
        for file in files:
            name = max((name for name in bands if _beside(file, name)), key=len, default="")
            if name and file not in found[name]:
                found[name].append(file)
        return {name: sorted(found[name]) for name in sorted(bands)}

    def recognise(self, files: Iterable[str]) -> str | None:
        """A folder with a name of its own (a day's, of Digital Earth Australia) is the product that one of its files is named after, if all
        bands are there."""
        listed = list(files)
        if self.gather(listed):
            return None  # loose files of one or of several products: the folder is none of them
        for collection in declared.collections(NAME):
            source = cast("FilesSource", collection.source)
            for said in (said for file in listed if (said := _named_after(file, source)) is not None):
                needed = [_pattern(raster_file(source.bands[band.name]).pattern, said) for band in collection.measurements]
                if all(any(compiled(pattern).search(file) for file in listed) for pattern in needed):
                    return said.name
        return None

    def open(self, path: Path, workspace: Path, options: Options = DEFAULT) -> Iterator[Draft]:  # noqa: ARG002 - clipped by the caller
        """One draft, of the collection whose bands are all there; of several that with the most. BadProduct says what is missing."""
        name = bare(safe.product_name(path))
        name = next(iter(self.gather([name])), name)
        matching = declared.matching(name, NAME)
        if not matching and path.is_dir():
            name = self.recognise(sorted(entry.name for entry in path.iterdir())) or name
            matching = declared.matching(name, NAME)
        if not matching:
            raise BadProduct(f"{name}: no declared collection has products with such a name; `eolake collections list` shows them")
        sources = [cast("FilesSource", collection.source) for collection, _ in matching]
        product = safe.open_product(path, workspace, wanted=_wanted([said for _, said in matching], sources), expected=EXPECTED)
        if not path.exists():  # of loose files some may belong to a product with a longer name
            own = set(self.gather(product.files).get(name, ()))
            product = replace(product, files={file: place for file, place in product.files.items() if file in own})
        found = [
            Candidate(collection=collection, source=source, said=said, paths=_band_paths(source, said, product))
            for (collection, said), source in zip(matching, sources, strict=True)
        ]
        yield _draft(_choice(name, found), product)


def raster_file(entry: RasterFile | str) -> RasterFile:
    """A declaration that is only a pattern means a GeoTIFF."""
    return entry if isinstance(entry, RasterFile) else RasterFile(pattern=entry)


def _pattern(text: str, said: ProductName) -> str:
    """A band's pattern with the groups of the product name in it."""
    return declared.PLACEHOLDER.sub(lambda match: re.escape(said.groups[match[1]]) if match[1] in said.groups else match[0], text)


def _patterns(source: FilesSource, said: ProductName) -> list[str]:
    files = [_pattern(raster_file(entry).pattern, said) for entry in source.bands.values()]
    return [*files, *(entry.pattern for entry in source.attachments.values())]


def _wanted(names: list[ProductName], sources: list[FilesSource]) -> re.Pattern[str]:
    """Any file that one of the collections has a use for."""
    patterns = dict.fromkeys(pattern for said, source in zip(names, sources, strict=True) for pattern in _patterns(source, said))
    return compiled("|".join(f"(?:{NAMED_GROUP.sub('(?:', pattern)})" for pattern in patterns))


def _named_after(file: str, source: FilesSource) -> ProductName | None:
    """What the longest beginning of a file's name that is a product's name says."""
    if compiled(source.product).match(file) is None:
        return None
    beginnings = (file[: match.start()] for match in ENDS.finditer(file) if match.start())
    return next((said for text in sorted(beginnings, key=len, reverse=True) if (said := read_name(text, source)) is not None), None)


def _owner(file: str, source: FilesSource) -> tuple[str, bool]:
    """The longest beginning of a file's name that names a product to which it belongs, and whether as a band; '' for none."""
    if compiled(source.product).match(file) is None:
        return "", False
    for end in sorted((match.start() for match in ENDS.finditer(file) if match.start()), reverse=True):
        said = read_name(file[:end], source) if bare(file[:end]) == file[:end] else None
        if said is None:
            continue
        if any(compiled(_pattern(raster_file(entry).pattern, said)).search(file) for entry in source.bands.values()):
            return file[:end], True
        if any(compiled(entry.pattern).search(file) for entry in source.attachments.values()):
            return file[:end], False
    return "", False


def _beside(file: str, name: str) -> bool:
    """Whether a file's name begins with that of a product, and it is not the product as an archive."""
    return file.startswith(name) and not file[len(name) :][:1].isalnum() and safe.product_name(file) != name


def _band_paths(source: FilesSource, said: ProductName, product: safe.Product) -> dict[str, Path]:
    """The bands that are there; BadProduct when one is there twice."""
    found: dict[str, Path] = {}
    for band, entry in source.bands.items():
        files = product.find_all(compiled(_pattern(raster_file(entry).pattern, said)))
        if len(files) > 1:
            raise BadProduct(f"{said.name} has {len(files)} files for the band {band}: {', '.join(list(files)[:3])}")
        if files:
            found[band] = next(iter(files.values()))
    return found


def _choice(name: str, candidates: list[Candidate]) -> Candidate:
    """Of the collections whose bands are all there the one that asks for the most: a package of water maps also is one of backscatter."""
    complete = [found for found in candidates if not found.missing]
    if not complete:
        lacking = sorted(candidates, key=lambda found: (len(found.missing), found.collection.id))
        raise BadProduct(f"{name}: " + "; ".join(f"{found.collection.id} needs {', '.join(found.missing)}" for found in lacking[:3]))
    ranked = sorted(complete, key=_asked, reverse=True)
    if len(ranked) > 1 and _asked(ranked[0]) == _asked(ranked[1]):
        ids = ", ".join(sorted(found.collection.id for found in ranked if _asked(found) == _asked(ranked[0])))
        raise BadProduct(f"{name} is a product of several declared collections: {ids}; let their patterns differ")
    return ranked[0]


def _asked(found: Candidate) -> tuple[int, int]:
    return len(found.collection.measurements), len(found.paths)


def _draft(chosen: Candidate, product: safe.Product) -> Draft:
    collection, source, said = chosen.collection, chosen.source, chosen.said
    files = _headers(chosen)
    start = said.time("start", source)
    if start is None:
        raise BadProduct(f"{said.name}: its name has no time; the pattern of {collection.id} needs a group `start`")
    end = said.time("end", source) or start
    if end < start:
        raise BadProduct(f"{said.name} ends ({end:%Y-%m-%dT%H:%M:%S}) before it starts")
    item = declared.draft_item(collection, source, said, _footprint(collection, files, said.name), start=start, end=end)
    gsd = _pixel_size(files, collection)
    if collection.gsd is None and gsd is not None:
        item.properties["gsd"] = gsd
    scene_key, rank = declared.scene(collection, said)
    return Draft(
        item=item,
        bands={name: Band(read=partial(_read, file, collection.band(name)), frame=file.frame) for name, file in files.items()},
        attachments=declared.attachments(source, product),
        scene_key=scene_key,
        rank=rank,
    )


def _headers(chosen: Candidate) -> dict[str, File]:
    """The files of the bands in the collection's order. BadProduct when they lie on no grid, or on others than they should."""
    found: dict[str, File] = {}
    for band in chosen.collection.bands:
        path = chosen.paths.get(band.name)
        if path is not None:
            source = raster_file(chosen.source.bands[band.name])
            profile = safe.raster_profile(path, driver=source.driver, band=source.band)
            found[band.name] = File(path=path, source=source, profile=profile)
    _check_grids(chosen.collection, found)
    return found


def _check_grids(collection: Collection, files: Mapping[str, File]) -> None:
    grids: dict[str, File] = {}
    for name, file in files.items():
        _, transform, crs, _, _ = file.profile
        if not crs or transform.b or transform.d or transform.a <= 0 or transform.e >= 0:
            where = f"CRS {crs[:40] or 'missing'}, transform {tuple(transform)[:6]}"
            raise BadProduct(f"{file.path.name} lies on no map grid with north up ({where})")
        first = grids.setdefault(collection.band(name).grid, file)
        if file.profile[:3] != first.profile[:3]:
            raise BadProduct(f"{file.path.name} and {first.path.name} should lie on one grid and do not")
    crss = {file.profile.crs: file.path.name for file in files.values()}
    if len(crss) > 1:
        raise BadProduct(f"{' and '.join(sorted(crss.values()))} have different coordinate reference systems")


def _read(file: File, band: declaration.Band) -> Pixels:
    pixels = safe.read_raster(file.path, driver=file.source.driver, band=file.source.band, expect_shape=file.profile.shape)
    data = as_declared(pixels.data, pixels.nodata, band, file.path.name)
    return Pixels(data=data, transform=pixels.transform, crs=pixels.crs, nodata=band.nodata)


def _footprint(collection: Collection, files: Mapping[str, File], name: str) -> BaseGeometry:
    """Where the first band with a nodata value that every product has, has data; the frame when none has one, or none has data."""
    bands = [band for band in collection.measurements if band.nodata is not None or band.dtype.startswith("float")]
    if bands:
        pixels = _read(files[bands[0].name], bands[0])
        outline = data_outline(valid_pixels(pixels.data, bands[0]), pixels.transform)
        if outline is not None:
            return geographic(outline, pixels.crs, name)
    shape, transform, crs, _, _ = next(iter(files.values())).profile
    corners = np.array([transform @ corner for corner in ((0, 0), (shape[1], shape[0]))])
    return geographic(shapely.box(*corners.min(axis=0), *corners.max(axis=0)), crs, name)


def _pixel_size(files: Mapping[str, File], collection: Collection) -> float | None:
    """m, of the default grid; None when its CRS has other units."""
    profile = next((file.profile for name, file in files.items() if collection.band(name).grid == DEFAULT_GRID), None)
    if profile is None or not CRS.from_user_input(profile.crs).is_projected:
        return None
    return round(profile.transform.a * CRS.from_user_input(profile.crs).axis_info[0].unit_conversion_factor, 3)
