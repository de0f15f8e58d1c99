"""NetCDF from products: NetCDF-4 as the HDF5 it is, nothing outside of the file, sizes looked at before a value is read."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from eolake.catalog.errors import BadProduct, UnsafeProduct
from eolake.catalog.safe.documents import open_regular

HDF5 = b"\x89HDF\r\n\x1a\n"
CLASSIC = (b"CDF\x01", b"CDF\x02")
VARIABLE_BYTES = 4 << 30
"""Of one decoded variable."""
VARIABLES = 10_000
DEPTH = 16
"""Groups within groups."""

Window = tuple[slice | int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """One variable, as it is stored: counts, not physical values."""

    name: str
    """With its groups: `PRODUCT/latitude`."""
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    """In the machine's byte order."""
    dimensions: tuple[str, ...]
    """Names without groups; `` where a dimension has none."""
    attributes: Mapping[str, Any]
    """str; int, float or a tuple of them."""
    _read: Callable[[Window], np.ndarray[Any, Any]] = field(repr=False)

    def read(self, window: Window = ()) -> np.ndarray[Any, Any]:
        """The counts within a window (slices and indices, one for each leading dimension); all without one. BadProduct when broken."""
        return self._read(window)

    @property
    def fill(self) -> float | int | None:
        """`_FillValue`, or else `missing_value`."""
        found = self.attributes.get("_FillValue", self.attributes.get("missing_value"))
        return None if found is None or isinstance(found, str) else found

    @property
    def scale(self) -> float:
        """`scale_factor`; 1 when there is none. Single precision is written out as it was meant: 0.0139464596, not 0.01394645962864."""
        return _number(self.attributes.get("scale_factor", 1.0))

    @property
    def offset(self) -> float:
        """`add_offset`; 0 when there is none."""
        return _number(self.attributes.get("add_offset", 0.0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Netcdf:
    """An opened file."""

    path: Path
    attributes: Mapping[str, Any]
    """Of the file as a whole."""
    variables: Mapping[str, Variable]
    """By name with groups."""

    def variable(self, name: str) -> Variable:
        """The variable of that name; BadProduct names the file when there is none."""
        if name not in self.variables:
            raise BadProduct(f"{self.path} has no variable {name!r}; it has {', '.join(sorted(self.variables)[:20]) or 'none'}")
        return self.variables[name]


@contextmanager
def open_netcdf(path: Path) -> Iterator[Netcdf]:
    """A NetCDF-4 or classic NetCDF file; its variables can be read as long as it is open.

    Raises BadProduct when it is neither or broken, UnsafeProduct when it reaches outside of itself or exceeds a limit."""
    with os.fdopen(open_regular(path), "rb") as file:
        first = file.read(8)
    if first == HDF5:
        with _hdf5(path) as opened:
            yield opened
    elif first[:4] in CLASSIC:
        with _classic(path) as opened:
            yield opened
    else:
        raise BadProduct(f"{path} is no NetCDF file: it begins with {first!r}")


def _number(value: Any) -> float:
    return float(value[0] if isinstance(value, tuple) else value)


def _plain(value: Any) -> Any:
    """An attribute as str, int, float or a tuple of them."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace").rstrip("\0")
    if isinstance(value, np.ndarray):
        if value.dtype.kind in "SUO":
            texts = tuple(_plain(entry) for entry in value.ravel().tolist())
            return texts[0] if len(texts) == 1 else texts
        numbers = tuple(_plain(entry) for entry in value.ravel())
        return numbers[0] if len(numbers) == 1 else numbers
    if isinstance(value, np.floating):
        return float(str(value))  # the shortest number that single precision stands for
    return value.item() if isinstance(value, np.generic) else value


def _check_size(path: Path, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    size = math.prod(shape) * dtype.itemsize
    if size > VARIABLE_BYTES:
        raise UnsafeProduct(f"{path}: variable {name!r} declares {size:,} bytes, more than any product has")


# --- NetCDF-4 ---


@contextmanager
def _hdf5(path: Path) -> Iterator[Netcdf]:
    import h5py

    try:
        opened = h5py.File(path, "r", locking=False)
    except (OSError, RuntimeError, ValueError, KeyError) as error:
        raise BadProduct(f"{path} can not be opened as NetCDF-4: {error}") from error
    with opened as file:
        try:
            attributes = _attributes(file)
            variables = dict(_datasets(path, file, "", 0))
        except (OSError, RuntimeError, ValueError, KeyError, TypeError) as error:
            raise BadProduct(f"{path} is damaged: {error}") from error
        yield Netcdf(path=path, attributes=attributes, variables=variables)


def _attributes(place: Any) -> dict[str, Any]:
    import h5py

    found = {}
    for key in place.attrs:
        kind = place.attrs.get_id(key).dtype
        if h5py.check_ref_dtype(kind) is None and kind.kind != "V" and not (kind.kind == "O" and h5py.check_string_dtype(kind) is None):
            value = place.attrs[key]
            if not isinstance(value, h5py.Empty):
                found[key] = _plain(value)
    return found


def _datasets(path: Path, group: Any, prefix: str, depth: int) -> Iterator[tuple[str, Variable]]:
    """Variables below a group; only hard links are followed, so that nothing leads out of the file."""
    import h5py

    if depth > DEPTH:
        raise UnsafeProduct(f"{path} has groups within groups deeper than {DEPTH}")
    if len(group) > VARIABLES:
        raise UnsafeProduct(f"{path} has more than {VARIABLES:,} entries in one group")
    for name in group:
        link = group.get(name, getlink=True)
        if not isinstance(link, h5py.HardLink):
            raise UnsafeProduct(f"{path}: {prefix + name!r} is refused: it is a {type(link).__name__}, which may lead out of the file")
        entry = group[name]
        if isinstance(entry, h5py.Group):
            yield from _datasets(path, entry, f"{prefix}{name}/", depth + 1)
        elif isinstance(entry, h5py.Dataset):
            variable = _variable(path, entry, prefix + name)
            if variable is not None:
                yield variable.name, variable


def _variable(path: Path, entry: Any, name: str) -> Variable | None:
    """None of what is no variable: a dimension without values, text, compound types."""
    if entry.is_virtual or entry.external:
        raise UnsafeProduct(f"{path}: variable {name!r} is refused: its values lie in another file")
    if entry.shape is None or entry.dtype.kind not in "iuf" or b"not a netCDF variable" in bytes(entry.attrs.get("NAME", b"")):
        return None
    dtype = entry.dtype.newbyteorder("=")
    _check_size(path, name, entry.shape, dtype)

    def read(window: Window) -> np.ndarray[Any, Any]:
        try:
            return np.asarray(entry[window] if window else entry[()]).astype(dtype, copy=False)
        except (OSError, RuntimeError, ValueError) as error:
            raise BadProduct(f"{path}: variable {name!r} can not be decoded: {error}") from error

    return Variable(name=name, shape=entry.shape, dtype=dtype, dimensions=_dimensions(entry), attributes=_attributes(entry), _read=read)


def _dimensions(entry: Any) -> tuple[str, ...]:
    """By the dimension scales that are attached; a coordinate variable is its own."""
    if "CLASS" in entry.attrs and entry.ndim == 1:
        return (entry.name.rpartition("/")[2],)
    return tuple(scale[0].name.rpartition("/")[2] if len(scale) else "" for scale in entry.dims)


# --- classic NetCDF ---


@contextmanager
def _classic(path: Path) -> Iterator[Netcdf]:
    from scipy.io import netcdf_file

    try:
        opened = netcdf_file(path, "r", mmap=False, maskandscale=False)
    except (OSError, ValueError, TypeError, KeyError, IndexError, EOFError, OverflowError, MemoryError) as error:
        raise BadProduct(f"{path} can not be opened as classic NetCDF: {error}") from error
    with opened as file:
        variables = {name: _classic_variable(path, name, entry) for name, entry in file.variables.items() if entry.data.dtype.kind in "iuf"}
        yield Netcdf(path=path, attributes=_attached(file), variables=variables)


def _classic_variable(path: Path, name: str, entry: Any) -> Variable:
    dtype = entry.data.dtype.newbyteorder("=")
    _check_size(path, name, entry.shape, dtype)

    def read(window: Window) -> np.ndarray[Any, Any]:
        return np.asarray(entry.data[window] if window else entry.data).astype(dtype)

    return Variable(
        name=name, shape=tuple(entry.shape), dtype=dtype, dimensions=tuple(entry.dimensions), attributes=_attached(entry), _read=read
    )


def _attached(place: Any) -> dict[str, Any]:
    return {key: _plain(value) for key, value in place._attributes.items()}  # noqa: SLF001 - scipy has no other list of them
