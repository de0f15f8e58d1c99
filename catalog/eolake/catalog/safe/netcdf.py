"""NetCDF from products: NetCDF-4 as the HDF5 it is, nothing outside of the file, sizes looked at before a value is read.

What HDF5 itself allocates while it unpacks a chunk is not known beforehand: there the memory of the process is the limit
(`process.confine`). Its library is large and reads damaged files: it runs in converter processes only.
"""

from __future__ import annotations

import math
import mmap
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from eolake.catalog.errors import BadProduct, UnsafeProduct
from eolake.catalog.safe import classic
from eolake.catalog.safe.documents import open_regular

HDF5 = b"\x89HDF\r\n\x1a\n"
READ_BYTES = 4 << 30
"""Decoded at once."""
CHUNK_BYTES = 1 << 30
"""Of one chunk, which HDF5 decodes whole."""
ENTRIES = 10_000
"""Groups, variables and types in a file; and attributes of one of them."""
DEPTH = 16
"""Groups within groups."""
RANK = 32
"""Dimensions of a variable."""
ATTRIBUTE_BYTES = 16 << 20
TEXTS = 1_000
"""Values of an attribute of text, each of which may be as long as the file."""
FILTERS = {1: "deflate", 2: "shuffle", 3: "fletcher32", 4: "szip", 5: "nbit", 6: "scaleoffset", 32000: "lzf"}
"""Built into every HDF5 library or h5py: what others need is a plug-in, code from elsewhere."""

Window = tuple[slice | int, ...]
HDF5_ERRORS = (
    OSError,
    RuntimeError,
    ValueError,
    KeyError,
    TypeError,
    IndexError,
    AttributeError,
    OverflowError,
    SystemError,
    AssertionError,
)
"""What h5py says of damaged files; AttributeError and SystemError where HDF5 gives it less than it asked for."""


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
    elif first[:3] == b"CDF":
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


def _check_window(path: Path, name: str, shape: tuple[int, ...], dtype: np.dtype[Any], window: Window) -> None:
    """UnsafeProduct when more is to be read than any product has at once; BadProduct when there are fewer dimensions."""
    if len(window) > len(shape):
        raise BadProduct(f"{path}: variable {name!r} has {len(shape)} dimensions, not {len(window)}")
    counts = [_count(part, length) for part, length in zip(window, shape, strict=False)]
    size = math.prod([*counts, *shape[len(window) :]]) * dtype.itemsize
    if size > READ_BYTES:
        raise UnsafeProduct(f"{path}: variable {name!r} declares {size:,} bytes, more than any product has")


def _count(part: slice | int, length: int) -> int:
    """How many indices that is; `len(range())` ends at 2^63."""
    if not isinstance(part, slice):
        return 1
    start, stop, step = part.indices(length)
    return max(0, -(-(stop - start) // step))


# --- NetCDF-4 ---


@contextmanager
def _hdf5(path: Path) -> Iterator[Netcdf]:
    import h5py

    try:
        opened = h5py.File(path, "r", locking=False)
    except HDF5_ERRORS as error:
        raise BadProduct(f"{path} can not be opened as NetCDF-4: {error}") from error
    with opened as file:
        try:
            walk = _Walk(path=path)
            walk.look(file, "", 0)
            attributes = _attributes(path, file, "/")
        except HDF5_ERRORS as error:
            raise BadProduct(f"{path} is damaged: {error}") from error
        yield Netcdf(path=path, attributes=attributes, variables=walk.variables)


@dataclass(slots=True, kw_only=True)
class _Walk:
    """Through the groups of a file; only hard links are followed, so that nothing leads out of it, and each group once."""

    path: Path
    variables: dict[str, Variable] = field(default_factory=dict)
    groups: set[int] = field(default_factory=set)
    """Addresses of those that were looked at."""
    count: int = 0

    def look(self, group: Any, prefix: str, depth: int) -> None:
        import h5py

        if depth > DEPTH:
            raise UnsafeProduct(f"{self.path} has groups within groups deeper than {DEPTH}")
        address = h5py.h5o.get_info(group.id).addr
        if address in self.groups:
            raise UnsafeProduct(f"{self.path}: group {prefix!r} is another one too: its links go round in a circle")
        self.groups.add(address)
        self.count += len(group)
        if self.count > ENTRIES:
            raise UnsafeProduct(f"{self.path} has more than {ENTRIES:,} groups and variables")
        for name in group:
            self._entry(group, name, prefix, depth)

    def _entry(self, group: Any, name: str, prefix: str, depth: int) -> None:
        import h5py

        link = group.get(name, getlink=True)
        if not isinstance(link, h5py.HardLink):
            kind = type(link).__name__
            raise UnsafeProduct(f"{self.path}: {prefix + name!r} is refused: it is a {kind}, which may lead out of the file")
        entry = group[name]
        if isinstance(entry, h5py.Group):
            self.look(entry, f"{prefix}{name}/", depth + 1)
        elif isinstance(entry, h5py.Dataset):
            variable = _variable(self.path, entry, prefix + name)
            if variable is not None:
                self.variables[variable.name] = variable


def _attributes(path: Path, place: Any, name: str) -> dict[str, Any]:
    """Those that are numbers or text; UnsafeProduct when there are too many or one is too large."""
    import h5py

    if len(place.attrs) > ENTRIES:
        raise UnsafeProduct(f"{path}: {name!r} has more than {ENTRIES:,} attributes")
    found = {}
    for key in place.attrs:
        attribute = place.attrs.get_id(key)
        kind, count = attribute.dtype, math.prod(attribute.shape)
        text = h5py.check_string_dtype(kind) is not None
        if kind.kind == "V" or h5py.check_ref_dtype(kind) is not None or (kind.kind == "O" and not text):
            continue
        if attribute.get_storage_size() > ATTRIBUTE_BYTES or count * kind.itemsize > ATTRIBUTE_BYTES or (text and count > TEXTS):
            raise UnsafeProduct(f"{path}: attribute {key!r} of {name!r} has {count:,} values, more than any product's")
        value = place.attrs[key]
        if not isinstance(value, h5py.Empty):
            found[key] = _plain(value)
    return found


def _variable(path: Path, entry: Any, name: str) -> Variable | None:
    """None of what is no variable: a dimension without values, text, compound types."""
    if entry.is_virtual or entry.external:
        raise UnsafeProduct(f"{path}: variable {name!r} is refused: its values lie in another file")
    if entry.shape is None or not _is_wanted(entry) or _is_bare_dimension(entry):
        return None
    _check_storage(path, entry, name)
    dtype = entry.dtype.newbyteorder("=")

    def read(window: Window) -> np.ndarray[Any, Any]:
        _check_window(path, name, entry.shape, dtype, window)
        try:
            return np.asarray(entry[window] if window else entry[()]).astype(dtype, copy=False)
        except MemoryError as error:
            raise UnsafeProduct(f"{path}: variable {name!r} does not fit in memory") from error
        except HDF5_ERRORS as error:
            raise BadProduct(f"{path}: variable {name!r} can not be decoded: {error}") from error

    attributes = _attributes(path, entry, name)
    return Variable(name=name, shape=entry.shape, dtype=dtype, dimensions=_dimensions(entry), attributes=attributes, _read=read)


def _is_wanted(entry: Any) -> bool:
    """Numbers; and single characters, which carry the attributes of a grid mapping."""
    return entry.dtype.kind in "iuf" or (entry.dtype.kind == "S" and entry.dtype.itemsize == 1 and entry.shape == ())


def _is_bare_dimension(entry: Any) -> bool:
    """A dimension without coordinates: netCDF-4 writes it as a variable that has this name."""
    if "NAME" not in entry.attrs:
        return False
    label = entry.attrs.get_id("NAME")
    return (
        label.get_storage_size() <= 256 and label.shape in {(), (1,)} and b"not a netCDF variable" in bytes(np.asarray(entry.attrs["NAME"]))
    )


def _check_storage(path: Path, entry: Any, name: str) -> None:
    """UnsafeProduct when a piece of it can't be decoded within bounds or by the library alone."""
    chunk = math.prod(entry.chunks or ()) * entry.dtype.itemsize
    if chunk > CHUNK_BYTES or entry.ndim > RANK:
        raise UnsafeProduct(f"{path}: variable {name!r} has chunks of {chunk:,} bytes in {entry.ndim} dimensions, more than any product")
    properties = entry.id.get_create_plist()
    filters = [properties.get_filter(number)[0] for number in range(properties.get_nfilters())]
    strange = [str(number) for number in filters if number not in FILTERS]
    if strange:
        raise UnsafeProduct(
            f"{path}: variable {name!r} is packed with the filter {', '.join(strange)}, for which code from elsewhere is needed"
        )
    if len(filters) != len(set(filters)):
        raise UnsafeProduct(f"{path}: variable {name!r} is packed twice with the same filter: a decompression bomb")


def _dimensions(entry: Any) -> tuple[str, ...]:
    """By the dimension scales that are attached; a coordinate variable is its own."""
    if "CLASS" in entry.attrs and entry.ndim == 1:
        return (entry.name.rpartition("/")[2],)
    return tuple(scale[0].name.rpartition("/")[2] if len(scale) else "" for scale in entry.dims)


# --- classic NetCDF ---


@contextmanager
def _classic(path: Path) -> Iterator[Netcdf]:
    with os.fdopen(open_regular(path), "rb") as file:
        header = classic.read_header(file, path)
        values = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    found = {name: _classic_variable(path, values, name, entry) for name, entry in header.variables.items()}
    attributes = {key: _plain(value) for key, value in header.attributes.items()}
    yield Netcdf(path=path, attributes=attributes, variables={name: entry for name, entry in found.items() if entry})


def _classic_variable(path: Path, values: mmap.mmap, name: str, entry: classic.Entry) -> Variable | None:
    """None of text that is longer than a character."""
    if not _is_wanted(entry):
        return None
    dtype = entry.dtype.newbyteorder("=")

    def read(window: Window) -> np.ndarray[Any, Any]:
        _check_window(path, name, entry.shape, dtype, window)
        if 0 in entry.shape:
            return np.empty(entry.shape, dtype)[window]
        stored: np.ndarray[Any, Any] = np.ndarray(entry.shape, entry.dtype, values, entry.begin, entry.strides)
        try:
            return np.asarray(stored[window]).astype(dtype)
        except IndexError as error:
            raise BadProduct(f"{path}: variable {name!r} has no such values: {error}") from error

    attributes = {key: _plain(value) for key, value in entry.attributes.items()}
    return Variable(name=name, shape=entry.shape, dtype=dtype, dimensions=entry.dimensions, attributes=attributes, _read=read)
