"""What is declared of SLSTR is what real products say: scales, fills, units, flags."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import netCDF4
import numpy as np
import pytest

from eolake.catalog.declaration import Band, Collection, declared
from eolake.catalog.safe.netcdf import Netcdf, open_netcdf
from eolake.catalog.sources import SwathSource, Variable
from eolake.ingest.sensors.swath.places import layout, texts

SUBSET = (
    "pixels/sentinel3/snap_olci_slstr_l1/l1csyn/"
    "S3A_SL_1_RBT____20170313T110343_20170313T110643_20170314T172757_0179_015_208_2520_LN2_O_NT_002.SEN3.nc"
)
VIEWS = ["s3_slstr_l1_rbt", "s3_slstr_l1_rbt_oblique"]


@pytest.fixture(scope="module")
def real(samples: Path) -> Iterator[Netcdf]:
    """A whole frame of 2017, every hundredth pixel, as SNAP wrote it: one file with the variables of all files."""
    with open_netcdf(samples / SUBSET) as file:
        yield file


def at(collection: Collection, band: Band) -> str:
    """Name of the variable that a band is read from."""
    source = collection.source
    assert isinstance(source, SwathSource)
    known = source.variables.get(band.name, source.template)
    assert known is not None
    place = known.at if isinstance(known, Variable) else known
    return place.format(name=band.name, alias=(*band.aliases, band.name)[0]).partition(":")[2]


def older(name: str) -> str:
    """In 2017 F1 was on the grid of the other thermal channels, and its file named so."""
    return re.sub(r"_f([no])$", r"_i\1", name)


@pytest.mark.parametrize("view", VIEWS)
def test_bands_are_declared_as_the_processor_writes_them(real: Netcdf, view: str) -> None:
    collection = declared(view)
    measured = [band for band in collection.bands if re.fullmatch(r"[sf]\d|elevation", band.name)]
    assert len(measured) == 12
    for band in measured:
        variable = real.variable(older(at(collection, band)))
        assert (variable.dtype.name, variable.fill) == (band.dtype, band.nodata), band.name
        assert (variable.scale, variable.offset) == (band.scale or 1, band.offset or 0), band.name
        assert variable.attributes["units"] == band.unit, band.name


@pytest.mark.parametrize("view", VIEWS)
def test_flags_are_declared_as_the_processor_names_them(real: Netcdf, view: str) -> None:
    collection = declared(view)
    flags = [band for band in collection.bands if band.bitfields]
    assert len(flags) == 8 + 11
    for band in flags:
        attributes = real.variable(older(at(collection, band))).attributes
        masks = [mask % (1 << 8 * np.dtype(band.dtype).itemsize) for mask in attributes["flag_masks"]]  # stored as signed
        written = {
            mask.bit_length() - 1: word for mask, word in zip(masks, attributes["flag_meanings"].split(), strict=True) if word != "spare"
        }
        assert {field.offset: letters(field.name) for field in band.bitfields} == {bit: letters(word) for bit, word in written.items()}


def letters(name: str) -> list[str]:
    """The words of a flag in any order: 1_6_small_histogram is declared as small_histogram_1_6, FlipMirrorRMSError in snake case."""
    return sorted(re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower().split("_"))


@pytest.mark.parametrize("view", VIEWS)
def test_the_gate_reads_the_values_that_the_netcdf_library_reads(samples: Path, real: Netcdf, view: str) -> None:
    collection = declared(view)
    with netCDF4.Dataset(samples / SUBSET) as oracle:
        for band in collection.bands:
            name = older(at(collection, band))
            variable = real.variable(name)
            expected = oracle[name][:]
            counts = variable.read()
            values = counts * variable.scale + variable.offset
            missing = np.zeros(counts.shape, bool) if variable.fill is None else counts == variable.fill
            np.testing.assert_array_equal(missing, np.ma.getmaskarray(expected), err_msg=name)
            unsigned = values.astype(counts.dtype).view(expected.dtype) if expected.dtype.kind == "u" else values
            np.testing.assert_allclose(unsigned[~missing], expected[~missing], rtol=1e-12, err_msg=name)


def test_angles_fit_into_what_they_are_declared_to_be(real: Netcdf) -> None:
    collection = declared("s3_slstr_l1_rbt")
    for name in ("sza", "saa", "oza", "oaa"):
        band = collection.band(name)
        values = real.variable(at(collection, band)).read().astype(float)
        assert band.scale is not None
        counts = np.rint(values / band.scale)
        limits = np.iinfo(band.dtype)
        assert limits.min < counts.min() <= counts.max() < limits.max
        assert np.abs(counts * band.scale - values).max() <= band.scale / 2 * 1.001


FILES = {
    "s3_slstr_l1_rbt": "S3A_SL_1_RBT____20210930T220914_20210930T221214_20211002T102150_0180_077_043_5400_LN2_O_NT_004.SEN3",
    "s3_slstr_l1_rbt_oblique": "S3A_SL_1_RBT____20210930T220914_20210930T221214_20211002T102150_0180_077_043_5400_LN2_O_NT_004.SEN3",
    "s3_slstr_l2_lst": "S3A_SL_2_LST____20210510T002955_20210510T003255_20210511T101010_0179_071_301_5760_LN2_O_NT_004.SEN3",
}


def needed(collection: Collection) -> set[str]:
    """FILE:variable of everything that a product must have."""
    source = collection.source
    assert isinstance(source, SwathSource)
    made = layout(collection, source)
    drawn = {name: variable for name, variable in made.variables.items() if not collection.band(name).optional}
    return set(texts(replace(made, variables={name: named.model_copy(update={"otherwise": None}) for name, named in drawn.items()})))


@pytest.mark.parametrize("name", FILES)
def test_real_products_have_every_file_that_is_declared(samples: Path, name: str) -> None:
    folder = samples / "pixels/sentinel3/stactools_sen3/tests/data-files" / FILES[name]
    there = {path.name for path in folder.iterdir()}
    files = {place.partition(":")[0] for place in needed(declared(name))}
    assert len(files) >= 5
    assert files <= there


def variables(samples: Path, kind: str) -> dict[str, set[str]]:
    """By file."""
    mapping = json.loads((samples / f"pixels/sentinel3/eopf_mappings/S03SLS{kind}_mapping.json").read_text())
    found: dict[str, set[str]] = {}
    for group in mapping["data_mapping"].values():
        for file, pairs in group.items():
            found.setdefault(file, set()).update(pair[0] for pair in pairs)
    return found


@pytest.mark.parametrize("name", [*FILES, "s3_slstr_l2_frp"])
def test_every_declared_variable_is_one_that_others_know(samples: Path, name: str) -> None:
    """By the lists of variables of the reprocessing into Zarr."""
    known = {
        f"{file}:{variable}" for kind in ("RBT", "LST", "FRP") for file, names in variables(samples, kind).items() for variable in names
    }
    assert needed(declared(name)) <= known


def test_the_lists_of_fires_have_the_columns_that_others_know(samples: Path) -> None:
    known = variables(samples, "FRP")
    source = declared("s3_slstr_l2_frp").source
    assert isinstance(source, SwathSource)
    for table in source.tables.values():
        places = {table.longitude, table.latitude, table.time}
        columns = {
            variable if isinstance(variable, str) else variable.name for column in table.columns.values() for variable in column.variables
        }
        assert known[table.files[0]] - places - columns == {"flags"}, "every variable is a column; flags is a raster"
