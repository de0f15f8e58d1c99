"""What a product may cost; far above every real one."""

from __future__ import annotations

from dataclasses import dataclass

MIB = 1 << 20
GIB = 1 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Caps on one product; passing one is UnsafeProduct."""

    members: int = 10_000
    """Files and folders; a Sentinel-2 product has about 150."""
    member_bytes: int = 8 * GIB
    """Of one unpacked file."""
    total_bytes: int = 32 * GIB
    """Of everything in the archive, wanted or not; a Sentinel-1 SLC has 8 GiB."""
    ratio: int = 250
    """Unpacked bytes per packed byte; real archives stay below 30, deflate itself ends at 1032."""
    ratio_from: int = 64 * MIB
    """Smaller archives may compress as well as they like."""
    name_length: int = 1024
    """Characters of a member's whole name."""
    depth: int = 32
    """Folders within folders; Sentinel-2 has five."""
    header_bytes: int = MIB
    """Of one tar header with its extensions."""
    directory_bytes: int = 32 * MIB
    """Of a zip's table of contents."""
