"""Digests of a stream: the provider's, whichever they are, and sha256 always."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Mapping
from typing import Protocol

MULTIHASHES = {0x11: "sha1", 0x12: "sha256", 0x13: "sha512", 0x16: "sha3-256", 0x1E: "blake3", 0xD5: "md5"}
"""Code of the multihash table → algorithm."""
HASHLIB = {"md5": "md5", "sha1": "sha1", "sha256": "sha256", "sha512": "sha512", "sha3-256": "sha3_256"}


class _Hash(Protocol):
    def update(self, data: bytes | memoryview, /) -> object: ...
    def hexdigest(self) -> str: ...


class _Crc32:
    """zlib's CRC in the form of hashlib."""

    def __init__(self) -> None:
        self._value = 0

    def update(self, data: bytes | memoryview, /) -> None:
        self._value = zlib.crc32(data, self._value)

    def hexdigest(self) -> str:
        return f"{self._value:08x}"


def plain(digests: Mapping[str, str]) -> dict[str, str]:
    """Algorithm → hexadecimal digest in lower case, multihashes decoded; those that nobody here can compute are left out."""
    found: dict[str, str] = {}
    for name, value in digests.items():
        pair = _multihash(value) if name.lower() == "multihash" else (_algorithm(name), value.strip().lower())
        if pair is not None and pair[0] is not None and pair[1]:
            found[pair[0]] = pair[1]
    return found


def _algorithm(name: str) -> str | None:
    known = name.lower().replace("_", "-").replace("sha-", "sha")
    known = {"sha3256": "sha3-256"}.get(known, known)
    return known if known in HASHLIB or known in {"blake3", "crc32"} else None


def _multihash(text: str) -> tuple[str | None, str] | None:
    """The code is a variable-length integer, then the length, then the digest."""
    try:
        data = bytes.fromhex(text.strip())
    except ValueError:
        return None
    code, shift, at = 0, 0, 0
    while at < len(data):
        code |= (data[at] & 0x7F) << shift
        shift += 7
        at += 1
        if not data[at - 1] & 0x80:
            break
    if at >= len(data) or len(data) - at - 1 != data[at]:
        return None
    return MULTIHASHES.get(code), data[at + 1 :].hex()


class Digests:
    """All digests of one stream at once."""

    def __init__(self, wanted: Mapping[str, str]) -> None:
        """`wanted`: algorithm → expected digest."""
        self.wanted = plain(wanted)
        self._hashes = {name: _start(name) for name in {*self.wanted, "sha256"}}

    def update(self, data: bytes | memoryview) -> None:
        """More of the stream."""
        for one in self._hashes.values():
            one.update(data)

    @property
    def sha256(self) -> str:
        """Of everything so far."""
        return self._hashes["sha256"].hexdigest()

    def differing(self) -> dict[str, tuple[str, str]]:
        """Algorithm → (expected, found) of those that differ."""
        found = {name: self._hashes[name].hexdigest() for name in self.wanted}
        return {name: (value, found[name]) for name, value in self.wanted.items() if found[name] != value}


def _start(name: str) -> _Hash:
    if name == "crc32":
        return _Crc32()
    if name == "blake3":
        from blake3 import blake3

        return blake3()
    return hashlib.new(HASHLIB[name], usedforsecurity=False)
