"""Nothing but the gate opens foreign bytes: no other module imports what parses them, or it stands here with its reason."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PORTIONS = ("catalog", "cube", "ingest", "analysis")
GATE = "catalog/eolake/catalog/safe/"
SIMULATORS = "ingest/eolake/ingest/simulators/"
"""They write products, and read what they have written themselves; no production process imports them."""

PARSERS = frozenset({
    "rasterio", "osgeo", "rioxarray", "rio_cogeo", "fiona", "pyogrio", "geopandas", "PIL", "tifffile", "imagecodecs", "imageio", "cv2",
    "glymur", "h5py", "netCDF4", "h5netcdf", "scipy", "zarr", "satpy", "pyarrow", "pandas",
    "zipfile", "tarfile", "gzip", "bz2", "lzma", "shutil.unpack_archive", "py7zr", "zipp",
    "xml", "defusedxml", "lxml", "xmltodict", "html", "bs4",
    "pickle", "cPickle", "dill", "cloudpickle", "marshal", "shelve", "joblib", "plistlib", "tomli",
})  # fmt: skip
"""Modules, by their first name, that open files or streams."""
CALLS = frozenset({
    "np.load", "numpy.load", "np.fromfile", "numpy.fromfile", "np.memmap", "numpy.memmap", "np.loadtxt", "np.genfromtxt",
    "xr.open_dataset", "xr.open_mfdataset", "xr.open_dataarray", "xr.open_zarr", "xarray.open_dataset",
    "yaml.load", "yaml.unsafe_load", "yaml.full_load", "shutil.unpack_archive", "eval", "exec", "os.system", "os.popen",
    "zlib.decompress", "zlib.decompressobj",
})  # fmt: skip
"""Functions that do so, or run what they are given."""
HARMLESS = frozenset({
    "xml.etree.ElementTree.Element", "xml.etree.ElementTree.SubElement", "xml.etree.ElementTree.tostring", "xml.etree.ElementTree.indent",
    "xml.sax.saxutils.escape", "xml.sax.saxutils.quoteattr", "html.escape", "html.unescape",
    "rasterio.crs.CRS", "rasterio.enums.Resampling", "rasterio.windows.Window", "rasterio.errors.RasterioError", "rasterio.errors.CRSError",
    "rasterio.errors.NotGeoreferencedWarning", "rasterio.dtypes._gdal_typename", "rasterio.features.shapes",
    "rasterio.features.geometry_mask", "rasterio.features.rasterize", "rasterio.warp.reproject", "scipy.spatial.cKDTree",
})  # fmt: skip
"""Names of those modules that open nothing: they build, write, calculate, or are types."""

ALLOWED: dict[str, dict[str, str]] = {
    "catalog/eolake/catalog/cog.py": {
        "rasterio": "writes our own COGs, and reads back what it has just written, with the driver GTiff",
        "rio_cogeo": "validates what was just written",
    },
    "catalog/eolake/catalog/declaration.py": {"yaml.load": "with a safe loader, which knows no tags: declarations of collections"},
    "catalog/eolake/catalog/local/doctor.py": {"rasterio": "asks for its version"},
    "ingest/eolake/ingest/points/geoparquet.py": {"pyarrow": "writes our own tables"},
    "ingest/eolake/ingest/providers/directory.py": {"html": "listings of web servers, by a parser that includes nothing and calls nobody"},
}


def _modules() -> list[Path]:
    found = [path for portion in PORTIONS for path in sorted((ROOT / portion / "eolake").rglob("*.py"))]
    assert len(found) > 200
    return found


def _uses(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Line and full name of what is imported at run time, and of the calls of CALLS."""
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) in {"TYPE_CHECKING", "typing.TYPE_CHECKING"}
        for branch in node.body
        for inner in ast.walk(branch)
    }
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            if name in CALLS:
                yield node.lineno, name
            elif name in {"__import__", "importlib.import_module"} and node.args and isinstance(node.args[0], ast.Constant):
                yield node.lineno, str(node.args[0].value)


def _offences(source: str) -> dict[str, int]:
    """What a module may not use, by its first name, with the line."""
    return {
        name if name in CALLS else name.split(".")[0]: line
        for line, name in _uses(ast.parse(source))
        if name in CALLS or (name.split(".")[0] in PARSERS and name not in HARMLESS)
    }


def test_nothing_but_the_gate_opens_foreign_bytes() -> None:
    offences, used = [], set()
    for path in _modules():
        relative = path.relative_to(ROOT).as_posix()
        if relative.startswith((GATE, SIMULATORS)):
            continue
        for name, line in _offences(path.read_text("utf-8")).items():
            if name in ALLOWED.get(relative, {}):
                used.add((relative, name))
            else:
                offences.append(f"{relative}:{line} uses {name}; open foreign bytes through eolake.catalog.safe")
    assert offences == []
    assert used == {(path, name) for path, names in ALLOWED.items() for name in names}, "what is not needed any more is not allowed either"


def test_nothing_that_runs_in_production_imports_the_simulators() -> None:
    """They are their own process, and an extra of the distribution."""
    for path in _modules():
        relative = path.relative_to(ROOT).as_posix()
        if relative.startswith(SIMULATORS):
            continue
        imports = [name for _, name in _uses(ast.parse(path.read_text("utf-8")))]
        assert not [name for name in imports if name.startswith("eolake.ingest.simulators")], relative


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import rasterio\nrasterio.open('a')", {"rasterio": 1}),
        ("def f():\n    from rasterio.io import MemoryFile", {"rasterio": 2}),
        ("from defusedxml import ElementTree", {"defusedxml": 1}),
        ("import xml.etree.ElementTree as ET", {"xml": 1}),
        ("from xml.etree.ElementTree import Element", {}),
        ("from xml.etree.ElementTree import fromstring", {"xml": 1}),
        ("if TYPE_CHECKING:\n    import h5py", {}),
        ("import numpy as np\nnp.load(path)", {"np.load": 2}),
        ("import importlib\nimportlib.import_module('zipfile')", {"zipfile": 2}),
        ("import pickle", {"pickle": 1}),
        ("eval(text)", {"eval": 1}),
        ("from eolake.catalog import safe\nsafe.parse_xml(path)", {}),
    ],
)
def test_the_search_finds_what_it_should(source: str, found: dict[str, int]) -> None:
    assert _offences(source) == found
