"""stac-fastapi's client with three changes: hrefs are rewritten at the edge, extents come from the ledger, pages are bounded."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, override

import attr
from stac_fastapi.pgstac.core import CoreCrudClient
from stac_fastapi.pgstac.types.search import PgstacSearch
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from eolake.catalog.web.hrefs import at_the_edge

FRESH = 5.0
"""Seconds for which extents are remembered."""

LARGEST_PAGE = 500
"""Items, whatever `limit` says: a page of 10,000 (stac-fastapi's own cap) is 200 MB and keeps the server busy for minutes. The
specification lets a server give fewer; the link `next` leads on."""

Extents = Mapping[str, Mapping[str, Any]]


@attr.s(auto_attribs=True)
class ExtentCache:
    """Extents of all collections, asked for at most every few seconds."""

    read: Callable[[], Extents]
    _known: Extents = attr.ib(factory=dict)
    _until: float = 0.0

    async def get(self) -> Extents:
        """By collection id; collections without anything live are absent."""
        if time.monotonic() >= self._until:
            self._known = await run_in_threadpool(self.read)
            self._until = time.monotonic() + FRESH
        return self._known


def stac_extent(row: Mapping[str, Any]) -> dict[str, Any]:
    """A ledger row as a STAC extent."""
    interval = [row["start_at"].isoformat().replace("+00:00", "Z"), row["end_at"].isoformat().replace("+00:00", "Z")]
    return {"spatial": {"bbox": [[row[side] for side in ("west", "south", "east", "north")]]}, "temporal": {"interval": [interval]}}


@attr.s
class LakeClient(CoreCrudClient):
    """Reads the lake; nothing is written through the API."""

    @override
    async def _search_base(self, search_request: PgstacSearch, request: Request) -> Any:
        if search_request.limit is not None:
            search_request.limit = min(search_request.limit, LARGEST_PAGE)
        found = await super()._search_base(search_request, request)
        edge = {"base_url": str(request.base_url), "store_url": request.app.state.store_url}
        found["features"] = [at_the_edge(item, **edge) for item in found["features"]]
        return found

    @override
    async def all_collections(self, request: Request, *args: Any, **kwargs: Any) -> Any:
        answer = await super().all_collections(request, *args, **kwargs)
        if isinstance(answer, Mapping):
            known = await request.app.state.extents.get()
            for collection in answer["collections"]:
                _set_extent(collection, known)
        return answer

    @override
    async def get_collection(self, collection_id: str, request: Request, **kwargs: Any) -> Any:
        collection = await super().get_collection(collection_id, request, **kwargs)
        _set_extent(collection, await request.app.state.extents.get())
        return collection


def _set_extent(collection: dict[str, Any], known: Extents) -> None:
    if "extent" in collection and collection.get("id") in known:
        collection["extent"] = stac_extent(known[collection["id"]])
