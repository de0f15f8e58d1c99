"""Writes NetCDF-4 as libnetcdf does, with h5py alone: dimension scales, attributes of its types, deflated chunks, no times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import DTypeLike, NDArray

if TYPE_CHECKING:
    import h5py

_NO_VARIABLE = "This is a netCDF dimension but not a netCDF variable.{:10d}"
_CHUNK = 256, 1024


class NetcdfFile:
    """A file that is being written; the same content makes the same bytes."""

    def __init__(self, path: Path, attributes: Mapping[str, Any], dimensions: Mapping[str, int]) -> None:
        """`attributes` are the global ones. A dimension of no length is unlimited, as libnetcdf has it."""
        import h5py

        self._file = h5py.File(path, "w", track_order=True)
        _set(self._file, attributes)
        self._dimensions = dict(dimensions)
        for number, (name, size) in enumerate(dimensions.items()):
            limits: Any = {"chunks": (1024,), "maxshape": (None,)} if size == 0 else {}
            scale = self._file.create_dataset(name, (size,), ">f4", **limits)
            scale.make_scale(_NO_VARIABLE.format(size))
            scale.attrs["_Netcdf4Dimid"] = np.int32(number)

    def variable(
        self,
        name: str,
        dtype: DTypeLike,
        dimensions: Sequence[str],
        data: NDArray[Any] | None = None,
        *,
        fill: float | None = None,
        **attributes: Any,
    ) -> h5py.Dataset:
        """A variable, to be filled by slices where there is no `data`. Attributes follow in their order, after `_FillValue`.

        Numbers are stored as they come: numpy's int16 stays int16. A variable named as its dimension comes before all that have it."""
        shape = tuple(self._dimensions[each] for each in dimensions)
        options: dict[str, Any] = {}
        if dimensions:
            options = {"chunks": _chunks(shape), "compression": "gzip", "compression_opts": 4, "shuffle": True}
            options["maxshape"] = tuple(size or None for size in shape)
        own = name in self._dimensions  # a coordinate: it is the scale of its dimension
        number = 0
        if own:
            number = self._file[name].attrs["_Netcdf4Dimid"]
            del self._file[name]
        found = self._file.create_dataset(name, shape, np.dtype(dtype), fillvalue=fill, **options)
        if own:
            found.make_scale(name)
            found.attrs["_Netcdf4Dimid"] = number
        for axis, each in () if own else enumerate(dimensions):
            found.dims[axis].attach_scale(self._file[each])
        if fill is not None:
            _set(found, {"_FillValue": np.array([fill], dtype)})
        _set(found, attributes)
        if data is not None and found.size:
            found[...] = data
        return found

    def close(self) -> None:
        """The file is complete."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def _chunks(shape: tuple[int, ...]) -> tuple[int, ...]:
    limits = (*_CHUNK, *(1024 for _ in shape[2:]))
    return tuple(min(size, limit) if size else 1024 for size, limit in zip(shape, limits, strict=False))


def _set(place: Any, attributes: Mapping[str, Any]) -> None:
    """Text as characters, numbers as arrays of one: what libnetcdf writes."""
    for name, value in attributes.items():
        if isinstance(value, str):
            place.attrs.create(name, np.bytes_(value.encode() or b" "))
        else:
            place.attrs.create(name, np.atleast_1d(np.asarray(value)))
