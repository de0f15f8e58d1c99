"""Hostile and broken NetCDF, written by HDF5 itself or byte by byte: one function per trick, (path, secret file) → None."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np

Trick = Callable[[Path, Path], None]
VALUES = np.arange(600, dtype="i2").reshape(20, 30)


def honest(path: Path, **options: object) -> None:
    """One packed variable with its dimensions."""
    with h5py.File(path, "w") as file:
        for name, length in (("y", 20), ("x", 30)):
            file.create_dataset(name, data=np.zeros(length, "f4")).make_scale(name)
        values = file.create_dataset("values", data=VALUES, **{"chunks": (10, 30), "compression": "gzip", "shuffle": True, **options})
        for number, name in enumerate(("y", "x")):
            values.dims[number].attach_scale(file[name])
        values.attrs["units"] = "K"


def external_link(path: Path, secret: Path) -> None:
    other = path.parent / "workspace" / "other.h5"
    honest(other)
    with h5py.File(path, "w") as file:
        file["values"] = h5py.ExternalLink(str(other), "/values")


def dangling_external_link(path: Path, secret: Path) -> None:
    with h5py.File(path, "w") as file:
        file["values"] = h5py.ExternalLink(str(secret), "/values")


def soft_link(path: Path, secret: Path) -> None:
    honest(path)
    with h5py.File(path, "a") as file:
        file["alias"] = h5py.SoftLink("/values")


def soft_link_to_itself(path: Path, secret: Path) -> None:
    with h5py.File(path, "w") as file:
        file["a"] = h5py.SoftLink("/b")
        file["b"] = h5py.SoftLink("/a")


def external_storage(path: Path, secret: Path) -> None:
    """The raw bytes of any file as values: the arbitrary read of HDF5."""
    with h5py.File(path, "w") as file:
        file.create_dataset("values", (1000,), "u1", external=[(str(secret), 0, 1000)])


def virtual_dataset(path: Path, secret: Path) -> None:
    other = path.parent / "workspace" / "other.h5"
    honest(other)
    layout = h5py.VirtualLayout((20, 30), "i2")
    layout[:] = h5py.VirtualSource(str(other), "values", (20, 30))
    with h5py.File(path, "w") as file:
        file.create_virtual_dataset("values", layout)


def group_circle(path: Path, secret: Path) -> None:
    """With many names for itself: 30 ^ 16 ways through."""
    with h5py.File(path, "w") as file:
        for number in range(30):
            file[f"again{number}"] = file["/"]


def deep_groups(path: Path, secret: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_group("/".join("g" * 40))


def many_variables(path: Path, secret: Path) -> None:
    with h5py.File(path, "w") as file:
        for outer in range(12):
            group = file.create_group(f"g{outer}")
            for number in range(1000):
                group.create_group(f"v{number}")


def unknown_filter(path: Path, secret: Path) -> None:
    """A number of the registered ones, which HDF5 would look for in its plug-in folder."""
    _filtered(path, 32098)


def private_filter(path: Path, secret: Path) -> None:
    _filtered(path, 333)


def _filtered(path: Path, number: int) -> None:
    """The optional flag lets it be written without the filter."""
    with h5py.File(path, "w") as file:
        properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        properties.set_chunk((10, 30))
        properties.set_filter(number, h5py.h5z.FLAG_OPTIONAL, (1, 2))
        space = h5py.h5s.create_simple((20, 30))
        h5py.h5d.create(file.id, b"values", h5py.h5t.STD_I16LE, space, properties)


def filter_twice(path: Path, secret: Path) -> None:
    """deflate of deflate: a millionth of its size."""
    with h5py.File(path, "w") as file:
        properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        properties.set_chunk((10, 30))
        properties.set_deflate(9)
        properties.set_filter(h5py.h5z.FILTER_DEFLATE, h5py.h5z.FLAG_OPTIONAL, (9,))
        h5py.h5d.create(file.id, b"values", h5py.h5t.STD_I16LE, h5py.h5s.create_simple((20, 30)), properties)


def huge_chunk(path: Path, secret: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("values", (1 << 15, 1 << 15), "i4", chunks=(1 << 15, 1 << 14), compression="gzip")


def huge_variable(path: Path, secret: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("values", (1 << 31, 1 << 20), "i2", chunks=(100, 100), compression="gzip")


def endless_dimension(path: Path, secret: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("values", ((1 << 63) - 1,), "u1", chunks=(100,))


def within_the_limits_but_not_in_memory(path: Path, secret: Path) -> None:
    """3 GiB of nothing: what may be read at once, but not by a process that was given less memory."""
    with h5py.File(path, "w") as file:
        file.create_dataset("values", (3 << 20, 1024), "u1", chunks=(1024, 1024), compression="gzip")


def chunk_bomb(path: Path, secret: Path) -> None:
    """A chunk of 600 bytes whose packed form unpacks to 2 GB: HDF5 goes on until the stream ends."""
    packer = zlib.compressobj(9)
    head, piece = packer.compress(bytes(1 << 24)) + packer.flush(zlib.Z_FULL_FLUSH), packer.compress(bytes(1 << 24))
    stream = head + (piece + packer.flush(zlib.Z_FULL_FLUSH)) * 127
    with h5py.File(path, "w") as file:
        values = file.create_dataset("values", (20, 30), "u1", chunks=(20, 30), compression="gzip")
        values.id.write_direct_chunk((0, 0), stream)


def wrong_chunk(path: Path, secret: Path) -> None:
    """Noise where a packed chunk should be."""
    honest(path)
    with h5py.File(path, "a") as file:
        file["values"].id.write_direct_chunk((0, 0), b"no deflate at all")


def huge_attribute(path: Path, secret: Path) -> None:
    with h5py.File(path, "w", libver="latest") as file:
        file.create_dataset("values", data=VALUES).attrs.create("history", np.zeros(20 << 20, "u1"))


def many_texts(path: Path, secret: Path) -> None:
    """All of them the same long text in the file: 100 000 times in memory."""
    honest(path)
    with h5py.File(path, "a") as file:
        file["values"].attrs.create("history", ["x" * 1000] * 4000, dtype=h5py.string_dtype())


def many_attributes(path: Path, secret: Path) -> None:
    with h5py.File(path, "w", libver="latest") as file:
        values = file.create_dataset("values", data=VALUES)
        for number in range(10_001):
            values.attrs[f"a{number}"] = 1


def cut(path: Path, secret: Path) -> None:
    honest(path)
    path.write_bytes(path.read_bytes()[:-500])


def user_block(path: Path, secret: Path) -> None:
    """HDF5 that begins with a script."""
    with h5py.File(path, "w", userblock_size=512) as file:
        file["values"] = VALUES
    with path.open("r+b") as file:
        file.write(b"#!/bin/sh\n")


def superblock_beyond_the_end(path: Path, secret: Path) -> None:
    honest(path)
    content = bytearray(path.read_bytes())
    content[40:48] = struct.pack("<Q", 1 << 60)
    path.write_bytes(content)


def root_beyond_the_end(path: Path, secret: Path) -> None:
    honest(path)
    content = bytearray(path.read_bytes())
    content[64:72] = struct.pack("<Q", 1 << 50)
    path.write_bytes(content)


UNSAFE: dict[str, Trick] = {
    "external link": external_link,
    "external link to the secret": dangling_external_link,
    "soft link": soft_link,
    "soft links in a circle": soft_link_to_itself,
    "external storage": external_storage,
    "virtual dataset": virtual_dataset,
    "groups in a circle": group_circle,
    "deep groups": deep_groups,
    "many groups": many_variables,
    "unknown filter": unknown_filter,
    "private filter": private_filter,
    "the same filter twice": filter_twice,
    "huge chunk": huge_chunk,
    "huge variable": huge_variable,
    "endless dimension": endless_dimension,
    "more than there is memory": within_the_limits_but_not_in_memory,
    "huge attribute": huge_attribute,
    "many texts": many_texts,
    "many attributes": many_attributes,
}
BROKEN: dict[str, Trick] = {
    "chunk bomb": chunk_bomb,
    "wrong chunk": wrong_chunk,
    "cut": cut,
    "begins with a script": user_block,
    "superblock beyond the end": superblock_beyond_the_end,
    "root beyond the end": root_beyond_the_end,
}


# --- classic ---


def classic(
    *,
    version: int = 1,
    records: int = 0,
    dimensions: tuple[tuple[str, int], ...] = (("y", 2), ("x", 3)),
    counts: tuple[int, int, int] | None = None,
    places: tuple[int, ...] = (0, 1),
    kind: int = 3,
    begin: int | None = None,
    names: tuple[str, ...] = ("values",),
    attribute: tuple[int, int, bytes] | None = None,
    data: bytes = bytes(12),
) -> bytes:
    """A classic file by hand; `counts`: how many dimensions, attributes, variables it says it has."""

    def text(name: str) -> bytes:
        raw = name.encode()
        return struct.pack(">I", len(raw)) + raw + bytes(-len(raw) % 4)

    def listed(tag: int, count: int, entries: bytes) -> bytes:
        return struct.pack(">II", tag if count else 0, count) + entries

    said = counts or (len(dimensions), 1 if attribute else 0, len(names))
    head = b"CDF" + bytes([version]) + struct.pack(">I", records)
    head += listed(10, said[0], b"".join(text(name) + struct.pack(">I", length) for name, length in dimensions))
    head += listed(12, said[1], text("note") + struct.pack(">II", *attribute[:2]) + attribute[2] if attribute else b"")
    size = len(head) + 8 + sum(len(text(name)) + 4 + 4 * len(places) + 8 + 8 + 4 for name in names)
    entries = b"".join(
        text(name)
        + struct.pack(f">{1 + len(places)}I", len(places), *places)
        + bytes(8)
        + struct.pack(">III", kind, 12, size if begin is None else begin)
        for name in names
    )
    return head + listed(11, said[2], entries) + data


CLASSIC_UNSAFE: dict[str, bytes] = {
    "a million dimensions": classic(counts=(1 << 20, 0, 1)),
    "a billion variables": classic(counts=(2, 0, 1 << 30)),
    "a name of two gigabytes": b"CDF\x01" + struct.pack(">IIII", 0, 10, 1, 1 << 31),
    "an attribute of four gigabytes": classic(attribute=(6, 0xFFFFFFF0, b"")),
    "a hundred dimensions of one variable": classic(places=(0,) * 100),
}
CLASSIC_BROKEN: dict[str, bytes] = {
    "larger than the file": classic(dimensions=(("y", 1 << 15), ("x", 1 << 15))),
    "behind the end": classic(begin=1 << 30),
    "more records than bytes": classic(records=1 << 30, dimensions=(("y", 0), ("x", 3))),
    "a dimension that is not there": classic(places=(0, 7)),
    "an unknown type": classic(kind=99),
    "a second growing dimension": classic(dimensions=(("y", 2), ("x", 0))),
    "a variable twice": classic(names=("values", "values"), data=bytes(24)),
    "header cut off": classic()[:60],
    "values cut off": classic()[:-1],
    "a wrong tag": classic().replace(struct.pack(">II", 10, 2), struct.pack(">II", 99, 2)),
    "a text that is none": classic().replace(b"values", b"v\xff\xfees\0"),
}


def flipped(content: bytes, seed: int, *, keep: int = 8) -> bytes:
    """Some bytes are others; the first ones, by which the kind is told, stay."""
    generator = np.random.default_rng(seed)
    mutated = bytearray(content)
    for place in generator.integers(keep, len(content), generator.integers(1, 12)):
        mutated[place] = generator.integers(256)
    return bytes(mutated)
