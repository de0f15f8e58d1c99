"""NetCDF through the gate: both kinds read as they are, checked against the library of those who made the format."""

from __future__ import annotations

from pathlib import Path

import netCDF4
import numpy as np
import pytest
from support import hostile

from eolake.catalog.errors import BadProduct, UnsafeProduct
from eolake.catalog.safe import netcdf
from eolake.catalog.safe.netcdf import open_netcdf

CLASSIC = ["NETCDF3_CLASSIC", "NETCDF3_64BIT_OFFSET", "NETCDF3_64BIT_DATA"]
GENERATOR = np.random.default_rng(5)


def _write(path: Path, format: str) -> dict[str, np.ndarray]:
    """A file with fixed and growing variables of several types, odd lengths, and attributes."""
    values: dict[str, np.ndarray] = {}
    wide = format in {"NETCDF4", "NETCDF3_64BIT_DATA"}
    with netCDF4.Dataset(path, "w", format=format) as file:
        file.set_auto_maskandscale(False)
        for name, length in {"time": None, "y": 7, "x": 5}.items():
            file.createDimension(name, length)
        for name, dtype, dimensions in (
            ("counts", "i2", ("y", "x")),
            ("flags", "i1", ("time", "x")),
            ("moving", "i2", ("time", "y", "x")),
            ("time", "f8", ("time",)),
            ("precise", "f4", ("y",)),
            ("single", "i4", ()),
            *([("large", "u8", ("x",))] if wide else []),
        ):
            shape = tuple({"time": 3, "y": 7, "x": 5}[dimension] for dimension in dimensions)
            made = file.createVariable(name, dtype, dimensions, fill_value=-7 if name == "counts" else None)
            values[name] = np.asarray(GENERATOR.integers(0, 100, shape)).astype(dtype)
            made[...] = values[name]
        file["counts"].setncatts({"scale_factor": np.float32(0.002), "add_offset": 3.0, "units": "K", "valid": np.array([1, 5], "i2")})
        file.setncatts({"title": "Täst", "number": np.int32(4)})
    return values


@pytest.mark.parametrize("format", ["NETCDF4", "NETCDF4_CLASSIC", *CLASSIC])
def test_both_kinds_are_read_as_they_are(tmp_path: Path, format: str) -> None:
    values = _write(tmp_path / "a.nc", format)
    with open_netcdf(tmp_path / "a.nc") as file:
        assert set(file.variables) == set(values)
        for name, expected in values.items():
            read = file.variables[name].read()
            assert np.array_equal(read, expected), name
            assert (read.dtype, file.variables[name].shape) == (expected.dtype.newbyteorder("="), expected.shape)
        counts, moving = file.variable("counts"), file.variable("moving")
        assert (counts.fill, counts.scale, counts.offset) == (-7, 0.002, 3.0)
        assert (counts.attributes["units"], counts.attributes["valid"], counts.dimensions) == ("K", (1, 5), ("y", "x"))
        assert np.array_equal(moving.read((slice(1, 3), slice(2, None, 2), 4)), values["moving"][1:3, 2::2, 4])
        assert np.array_equal(moving.read((0,)), values["moving"][0])
        assert (file.attributes["title"], file.attributes["number"]) == ("Täst", 4)
        with pytest.raises(BadProduct, match=r"a\.nc has no variable 'radiance'; it has counts, flags"):
            file.variable("radiance")
        with pytest.raises(BadProduct, match="has 2 dimensions, not 3"):
            counts.read((0, 0, 0))


@pytest.mark.parametrize("format", CLASSIC)
def test_one_growing_variable_has_no_padding(tmp_path: Path, format: str) -> None:
    """The format's exception: records of a single variable of short numbers lie close together."""
    with netCDF4.Dataset(tmp_path / "a.nc", "w", format=format) as file:
        file.createDimension("time", None)
        file.createDimension("x", 3)
        file.createVariable("only", "i2", ("time", "x"))[:] = np.arange(15, dtype="i2").reshape(5, 3)
    with open_netcdf(tmp_path / "a.nc") as file:
        assert np.array_equal(file.variables["only"].read(), np.arange(15).reshape(5, 3))


@pytest.mark.parametrize("format", ["NETCDF4", *CLASSIC])
def test_files_without_records_and_without_variables(tmp_path: Path, format: str) -> None:
    with netCDF4.Dataset(tmp_path / "a.nc", "w", format=format) as file:
        file.createDimension("fires", 0 if format == "NETCDF4" else None)
        file.createVariable("frp", "f4", ("fires",))
    with open_netcdf(tmp_path / "a.nc") as file:
        assert file.variables["frp"].read().shape == (0,)
    with netCDF4.Dataset(tmp_path / "b.nc", "w", format=format):
        pass
    with open_netcdf(tmp_path / "b.nc") as file:
        assert not file.variables


def test_groups_are_part_of_the_name(tmp_path: Path) -> None:
    with netCDF4.Dataset(tmp_path / "a.nc", "w") as file:
        group = file.createGroup("PRODUCT/SUPPORT")
        group.createDimension("x", 2)
        group.createVariable("latitude", "f4", ("x",))[:] = [1, 2]
    with open_netcdf(tmp_path / "a.nc") as file:
        assert file.variables["PRODUCT/SUPPORT/latitude"].dimensions == ("x",)


def test_more_than_can_be_read_is_refused_when_it_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable nobody wants may be as large as it likes; a window of one too."""
    monkeypatch.setattr(netcdf, "READ_BYTES", 60)
    for kind in ("NETCDF4", "NETCDF3_CLASSIC"):
        values = _write(tmp_path / "a.nc", kind)
        with open_netcdf(tmp_path / "a.nc") as file:
            assert np.array_equal(file.variables["moving"].read((0, slice(None), 0)), values["moving"][0, :, 0])
            with pytest.raises(UnsafeProduct, match=r"a\.nc: variable 'moving' declares 210 bytes"):
                file.variables["moving"].read()


def test_what_is_no_netcdf_is_bad(tmp_path: Path) -> None:
    for name, content in {"empty": b"", "text": b"<html>", "short": b"CDF", "new": b"CDF\x07" + bytes(40), "gif": b"GIF89a"}.items():
        with pytest.raises(BadProduct, match=name), open_netcdf(hostile.write(tmp_path, name, content)):
            pass


def test_every_real_netcdf_opens(samples: Path) -> None:
    """What the gate refuses is nothing that a real product does."""
    found = [path for path in (samples / "pixels").rglob("*.nc") if path.stat().st_size > 1000]
    assert len(found) > 20
    for path in found:
        with open_netcdf(path) as file:
            for variable in file.variables.values():
                variable.read()
