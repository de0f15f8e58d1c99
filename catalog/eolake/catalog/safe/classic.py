"""The header of classic NetCDF (CDF-1, CDF-2, CDF-5), read by itself: every length it declares is held against the file.

The format: https://docs.unidata.ucar.edu/netcdf-c/current/file_format_specifications.html
"""

from __future__ import annotations

import math
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np

from eolake.catalog.errors import BadProduct, UnsafeProduct

HEADER_BYTES = 16 << 20
ENTRIES = 10_000
"""Dimensions, attributes of one thing, variables."""
RANK = 32
LENGTH = 1 << 40
"""Of a dimension."""
TYPES = dict(enumerate((">i1", "S1", ">i2", ">i4", ">f4", ">f8", ">u1", ">u2", ">u4", ">i8", ">u8"), 1))
DIMENSIONS, VARIABLES, ATTRIBUTES = 10, 11, 12
STREAMED = 0xFFFFFFFF
"""A number of records that was never written down: they go on to the end of the file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One variable: where its values lie."""

    dtype: np.dtype[Any]
    """As stored."""
    dimensions: tuple[str, ...]
    shape: tuple[int, ...]
    attributes: dict[str, Any]
    begin: int
    strides: tuple[int, ...]
    """Bytes; records of all variables lie one behind the other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What a file says of itself."""

    attributes: dict[str, Any]
    """bytes, or an array in the file's byte order."""
    variables: dict[str, Entry]


def read_header(file: IO[bytes], path: Path) -> Header:
    """BadProduct when the header is damaged or promises more than the file has, UnsafeProduct when it is larger than any."""
    data = file.read(HEADER_BYTES)
    reader = _Reader(path=path, data=data, size=os.fstat(file.fileno()).st_size)
    if data[3:4] not in {b"\x01", b"\x02", b"\x05"}:
        raise BadProduct(f"{path} is no classic NetCDF: it begins with {data[:8]!r}")
    try:
        return reader.header(data[3])
    except (struct.error, UnicodeDecodeError) as error:
        raise reader.broken(str(error)) from error


@dataclass(slots=True, kw_only=True)
class _Raw:
    name: str
    places: list[int]
    attributes: dict[str, Any]
    dtype: np.dtype[Any]
    begin: int


@dataclass(slots=True, kw_only=True)
class _Reader:
    path: Path
    data: bytes
    size: int
    """Of the file."""
    at: int = 4
    wide: bool = False
    """Counts have eight bytes."""
    far: bool = False
    """Places have eight bytes."""
    names: set[str] = field(default_factory=set)

    def header(self, version: int) -> Header:
        self.wide, self.far = version == 5, version > 1
        records = self.count(limit=None)
        dimensions = [(self.name(), self.count(limit=LENGTH)) for _ in self.listed(DIMENSIONS)]
        attributes = self.attributes()
        raw = [self.variable() for _ in self.listed(VARIABLES)]
        return Header(attributes=attributes, variables=dict(self.placed(raw, dimensions, records)))

    # --- pieces ---

    def take(self, length: int) -> bytes:
        found = self.data[self.at : self.at + length]
        if len(found) < length:
            if self.size > len(self.data):
                raise UnsafeProduct(f"{self.path} has a header of more than {HEADER_BYTES:,} bytes")
            raise self.broken("its header is cut off")
        self.at += length
        return found

    def number(self) -> int:
        return int.from_bytes(self.take(4))

    def count(self, *, limit: int | None = ENTRIES) -> int:
        found = int.from_bytes(self.take(8 if self.wide else 4))
        if limit is not None and found > limit:
            raise UnsafeProduct(f"{self.path} declares {found:,} entries of one kind in its header, more than any product")
        return found

    def listed(self, kind: int) -> range:
        tag, count = self.number(), self.count()
        if tag != (kind if count else tag) or (not count and tag not in {0, kind}):
            raise self.broken(f"a list of its header has the tag {tag}")
        return range(count)

    def padded(self, length: int) -> bytes:
        found = self.take(length)
        self.at += -length % 4
        return found

    def name(self) -> str:
        return self.padded(self.count(limit=1024)).decode("utf-8")

    def attributes(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for _ in self.listed(ATTRIBUTES):
            name, dtype = self.name(), self.dtype()
            values = self.padded(self.count(limit=self.size) * dtype.itemsize)
            found[name] = values if dtype.kind == "S" else np.frombuffer(values, dtype)
        return found

    def dtype(self) -> np.dtype[Any]:
        kind = self.number()
        if kind not in TYPES:
            raise self.broken(f"a value of its header has the type {kind}")
        return np.dtype(TYPES[kind])

    def variable(self) -> _Raw:
        name = self.name()
        if name in self.names:
            raise self.broken(f"variable {name!r} comes twice")
        self.names.add(name)
        places = [self.count(limit=None) for _ in range(self.count(limit=RANK))]
        attributes, dtype = self.attributes(), self.dtype()
        self.count(limit=None)  # its size, which follows from the dimensions, and is wrong where it has no room
        begin = int.from_bytes(self.take(8 if self.far else 4))
        return _Raw(name=name, places=places, attributes=attributes, dtype=dtype, begin=begin)

    # --- where the values are ---

    def placed(self, raw: list[_Raw], dimensions: list[tuple[str, int]], records: int) -> Iterator[tuple[str, Entry]]:
        """The first dimension of a record variable has the length 0 in the header: there is one slab in each record."""
        for entry in raw:
            if any(place >= len(dimensions) or (number and not dimensions[place][1]) for number, place in enumerate(entry.places)):
                raise self.broken(f"variable {entry.name!r} has a dimension that does not exist")
        slabs = {entry.name: self.slab(entry, dimensions) for entry in raw}
        moving = [entry.name for entry in raw if entry.places and not dimensions[entry.places[0]][1]]
        record = slabs[moving[0]] if len(moving) == 1 else sum(slabs[name] + -slabs[name] % 4 for name in moving)
        for entry in raw:
            moves = entry.name in moving
            shape = [dimensions[place][1] for place in entry.places]
            if moves:
                shape[0] = self.records(records, entry.begin, slabs[entry.name], record)
            inner = [math.prod(shape[depth + 1 :]) * entry.dtype.itemsize for depth in range(len(shape))]
            strides = [record, *inner[1:]] if moves else inner
            end = entry.begin + (max(shape[0] - 1, 0) * record + slabs[entry.name] * bool(shape[0]) if moves else slabs[entry.name])
            if end > self.size:
                raise self.broken(f"variable {entry.name!r} ends at byte {end:,}, the file at {self.size:,}")
            yield (
                entry.name,
                Entry(
                    dtype=entry.dtype,
                    dimensions=tuple(dimensions[place][0] for place in entry.places),
                    shape=tuple(shape),
                    attributes=entry.attributes,
                    begin=entry.begin,
                    strides=tuple(strides),
                ),
            )

    def slab(self, entry: _Raw, dimensions: list[tuple[str, int]]) -> int:
        """Bytes of a variable, or of what one record has of it."""
        lengths = [dimensions[place][1] for place in entry.places]
        return math.prod(lengths[1:] if lengths and not lengths[0] else lengths) * entry.dtype.itemsize

    def records(self, said: int, begin: int, slab: int, record: int) -> int:
        if said != (STREAMED if not self.wide else (1 << 64) - 1):
            return said
        return max(0, (self.size - begin - slab) // record + 1) if record else 0

    def broken(self, why: str) -> BadProduct:
        return BadProduct(f"{self.path} is cut off or damaged: {why}")
