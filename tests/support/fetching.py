"""Granules that are fetched: from a simulator, by the whole fetch process, into a lake."""

from __future__ import annotations

import hashlib
import io
import json
import random
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from eolake.catalog.lake import Lake
from eolake.catalog.ledger import granules
from eolake.catalog.ledger.granules import Granule, Offer
from eolake.catalog.settings import load_settings
from eolake.ingest.simulators.server import Request, Response, Server


def granule(**values: Any) -> Granule:
    """A granule of the probe provider, without a database."""
    usual: dict[str, Any] = dict.fromkeys(Granule.__slots__)
    usual |= {"granule_id": 7, "provider": "probe", "id": "7", "name": "PROBE_0007", "source": "http://127.0.0.1/7", "state": "fetching"}
    usual |= {"fingerprint": "md5:0123456789abcdef", "attempts": 1, "faults": 0, "next_try": datetime(2026, 1, 1, tzinfo=UTC), "detail": {}}
    return Granule(**{**usual, "transfer": "copy", **values})


@dataclass(kw_only=True)
class Shop:
    """A lake with the provider `probe`, and its products on a simulator: `/p/NAME.zip`, each a probe (see tests/support/probe)."""

    lake: Lake
    server: Server
    products: dict[str, bytes] = field(default_factory=dict)
    pictures: bool = False
    """Whether products have a quicklook, `/q/NAME.jpg`; the simulator does not have it."""

    @classmethod
    def open(cls, lake: Lake, server: Server, **provider: Any) -> Shop:
        """The settings of the lake get the provider."""
        path = lake.settings.root / "eolake.toml"
        values = {"kind": "probe", "connections": 4, **provider}
        lines = [f"{key} = {json.dumps(value)}" for key, value in values.items()]
        path.write_text("\n".join([path.read_text(), "[providers.probe]", *lines, ""]))
        shop = cls(lake=Lake(settings=load_settings(path)), server=server)
        server.handle(shop.answer)
        return shop

    def answer(self, request: Request) -> Response | None:
        """The products by name."""
        from eolake.ingest.simulators.content import of_bytes

        data = self.products.get(Path(request.path).stem) if request.path.startswith("/p/") else None
        return Response(body=of_bytes(data, media_type="application/zip")) if data is not None else None

    def offer(self, count: int, *, first: int = 0, padding: int = 0, digests: bool = True, **orders: Any) -> list[str]:
        """Products that wait to be fetched; `padding`: further bytes of each."""
        names = [f"PROBE_{number:04d}" for number in range(first, first + count)]
        offers = []
        for number, name in enumerate(names, first):
            self.products[name] = _zip({"number": number, "name": name, "do": "good", **orders}, padding)
            offers.append(self._offer(name, digests=digests))
        with self.lake.connect() as connection:
            granules.offer(connection, offers)
        return names

    def _offer(self, name: str, *, digests: bool) -> Offer:
        data = self.products[name]
        url = f"{self.server.url}/p/{name}.zip"
        known = {"md5": hashlib.md5(data).hexdigest()} if digests else {}
        part = {"url": url, "name": f"{name}.zip", "size": len(data), "digests": known}
        picture = {"url": f"{self.server.url}/q/{name}.jpg", "name": f"{name}.jpg", "role": "overview"}
        parts = [part, picture] if self.pictures else [part]
        return Offer(provider="probe", id=name, name=name, source=url, fingerprint="1", size=len(data), detail={"parts": parts})

    def wrong(self, names: Sequence[str]) -> list[str]:
        """Products whose bytes under raw/ are not those of the simulator, or not there."""
        root = self.lake.store_config.folder
        assert root is not None
        with self.lake.connect() as connection:
            rows = connection.execute("select g.name, f.key from eolake.granule g join eolake.file f using (granule_id)").fetchall()
        there = {row["name"]: root / row["key"] for row in rows}
        return [name for name in names if name not in there or there[name].read_bytes() != self.products[name]]


def _zip(orders: dict[str, Any], padding: int) -> bytes:
    """A stored zip, the same for the same orders."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(zipfile.ZipInfo("orders.json"), json.dumps(orders))
        archive.writestr(zipfile.ZipInfo("padding.bin"), random.Random(orders["number"]).randbytes(padding))
    return file.getvalue()
