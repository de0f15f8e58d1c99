"""What a sensor or an analysis yields and `publish` takes: a draft of one scene.

A draft holds a `pystac.Item` without assets and the bands to store. Bands are read one at a
time, so that memory stays at one band however large the product is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pystac
from affine import Affine


@dataclass(frozen=True, slots=True, kw_only=True)
class Pixels:
    """One decoded band on its grid."""

    data: np.ndarray[Any, Any]
    """(rows, columns), in the dtype that the collection declares."""
    transform: Affine
    """Pixel corner to CRS coordinates, as rasterio has it."""
    crs: str
    """`EPSG:32755`; WKT2 where no code exists."""
    nodata: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """Where the pixels of a band are."""

    shape: tuple[int, int]
    """(rows, columns)"""
    transform: Affine
    crs: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """One band of a draft; its name is a band that the collection declares."""

    read: Callable[[], Pixels]
    """Decodes the band through the gate; called once, when the band is stored.
    Raises BadProduct (what, which file) when the bytes are broken."""
    properties: Mapping[str, Any] = field(default_factory=dict)
    """Asset fields that differ from the declaration for this item only: `raster:scale`,
    `raster:offset`, `eolake:offset_added`, …"""
    frame: Callable[[], Frame] | None = None
    """What `read` will have, without decoding; None: only `read` tells, and clipping reads one band of each grid twice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """A file kept as it is beside the bands: product metadata, a quicklook, a table."""

    path: Path
    media_type: str
    roles: tuple[str, ...]
    title: str
    properties: Mapping[str, Any] = field(default_factory=dict)
    """Further asset fields: `table:row_count`, …"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreign:
    """A file that is published where it is: nothing is moved, and nothing is ever deleted."""

    href: str
    """Absolute: https, s3."""
    media_type: str
    roles: tuple[str, ...]
    title: str
    size: int | None = None
    """bytes, when somebody tells"""
    checksum: str | None = None
    """multihash in hex, when somebody tells"""
    shape: tuple[int, int] | None = None
    """(rows, columns) of a band; a file that is no band has no grid."""
    transform: Affine | None = None
    crs: str | None = None
    """`EPSG:32755`; WKT2 where no code exists."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """One scene, ready to be stored and published."""

    item: pystac.Item
    """`collection_id` set, no assets, no links but `derived_from`; id, geometry (EPSG:4326,
    valid, counter-clockwise), bbox, datetime (never null) and properties complete."""
    bands: Mapping[str, Band]
    attachments: Mapping[str, Attachment] = field(default_factory=dict)
    """By asset key."""
    foreign: Mapping[str, Foreign] = field(default_factory=dict)
    """Bands, and other files, that stay where they are; by asset key."""
    sources: tuple[tuple[str, str], ...] = ()
    """(collection, item id) of what this was derived from; empty for a source scene."""
    scene_key: str | None = None
    """The sensing that this is one processing of (several providers, several baselines)."""
    rank: tuple[int | str, ...] = ()
    """Orders the processings of one scene: the greatest stays."""
