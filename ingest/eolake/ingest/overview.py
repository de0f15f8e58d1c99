"""The provider's picture of a scene becomes its asset `overview`."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from eolake.catalog.draft import Attachment, Draft
from eolake.catalog.errors import BadProduct
from eolake.catalog.safe.documents import open_regular
from eolake.catalog.safe.raster import raster_profile, read_raster

KEY = "overview"
MOST = 20 * 2**20
"""Bytes; quicklooks have some hundred kilobytes."""
SIDE = 8192
"""Pixels"""
KINDS: Mapping[bytes, tuple[str, str, str, bytes]] = {
    b"\xff\xd8\xff": ("JPEG", "image/jpeg", "jpg", b"\xff\xd9"),
    b"\x89PNG\r\n\x1a\n": ("PNG", "image/png", "png", b"IEND\xaeB`\x82"),
}
"""First bytes → GDAL driver, media type, extension, last bytes (GDAL reads what is left of a picture that was cut off)."""
TAIL = 64
"""Bytes that may follow the end."""

log = logging.getLogger(__name__)


def with_overview(draft: Draft, path: Path) -> Draft:
    """The draft with the picture at `path` (JPEG, PNG) as its asset `overview`; a sensor's own one stays.

    A broken picture costs a warning, never the product: then the draft comes back as it was."""
    if KEY in draft.attachments or KEY in draft.foreign:
        return draft
    try:
        found = _checked(path)
    except (BadProduct, OSError) as error:
        log.warning("%s: its overview is left out: %s", draft.item.id, error)
        return draft
    return replace(draft, attachments={**draft.attachments, KEY: found})


def _checked(path: Path) -> Attachment:
    """The picture under its name in the lake; BadProduct when it is none, or more than one should be."""
    with os.fdopen(open_regular(path), "rb") as file:
        body = file.read(MOST + 1)
    if len(body) > MOST:
        raise BadProduct(f"{path.name} has more than {MOST >> 20} MiB, too much for a quicklook")
    kind = next((kind for magic, kind in KINDS.items() if body.startswith(magic)), None)
    if kind is None:
        raise BadProduct(f"{path.name} is neither JPEG nor PNG")
    driver, media_type, extension, end = kind
    if end not in body[-TAIL - len(end) :]:
        raise BadProduct(f"{path.name} is cut off")
    copy = path.with_name(f"{KEY}.{extension}")
    if copy != path:
        copy.write_bytes(body)
    rows, columns = raster_profile(copy, driver=driver).shape
    if max(rows, columns) > SIDE:
        raise BadProduct(f"{path.name} has {rows}×{columns} pixels, too many for a quicklook")
    read_raster(copy, driver=driver)
    return Attachment(path=copy, media_type=media_type, roles=("overview",), title="Overview by the provider")
