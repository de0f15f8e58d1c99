"""Bodies that providers send instead of products, as they have been seen."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files

import yaml

from eolake.catalog.settings import Model
from eolake.ingest.simulators.messages import Response


class _Page(Model):
    type: str
    status: int = 200
    headers: Mapping[str, str] = {}
    body: str


@cache
def _pages() -> Mapping[str, _Page]:
    text = files("eolake.ingest.simulators").joinpath("pages.yaml").read_text("utf-8")
    return {name: _Page.model_validate(document) for name, document in yaml.safe_load(text).items()}


def page(name: str, status: int | None = None) -> Response:
    """One of `pages.yaml`, with the status that it was seen with unless `status` says otherwise."""
    found = _pages()[name]
    return Response(status=status or found.status, headers={"Content-Type": found.type, **found.headers}, body=found.body.encode())
