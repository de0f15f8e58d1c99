"""Bodies that providers send instead of products, as they have been seen."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files

import yaml

from eolake.ingest.simulators.messages import Response


def page(name: str, status: int | None = None) -> Response:
    """One of `pages.yaml`; status, media type and headers are those it was seen with unless `status` says otherwise."""
    document: Mapping[str, object] = _all()[name]
    headers = document.get("headers", {})
    assert isinstance(headers, dict)
    body = str(document.get("body", "")).encode()
    return Response(
        status=int(str(status or document.get("status", 200))), headers={"Content-Type": str(document["type"]), **headers}, body=body
    )


def _all() -> Mapping[str, Mapping[str, object]]:
    text = files("eolake.ingest.simulators").joinpath("pages.yaml").read_text("utf-8")
    pages: Mapping[str, Mapping[str, object]] = yaml.safe_load(text)
    return pages
