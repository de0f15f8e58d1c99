"""What an answer that is no file means: by the provider's own code, by its words, by the status."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml

from eolake.ingest.faults import Kind, ProviderFault
from eolake.ingest.providers.api import classify, host_of, retry_after, shown

SIGNATURES = {"x-amz-signature", "signature", "sig", "se", "x-goog-signature", "expires"}
"""Query parameters of URLs that carry their own permission, for a while."""


def signed(url: str) -> bool:
    """Whether a URL carries its own permission."""
    return any(name.lower() in SIGNATURES for name in parse_qs(urlsplit(url).query))


def fault_of(status: int, headers: Mapping[str, str], body: bytes, url: str) -> ProviderFault:
    """The fault that an answer means; `headers` in lower case, `body`: its beginning."""
    wait = retry_after(headers.get("retry-after"))
    code = _code(body)
    said = " ".join((headers.get("cause-message") or body[:200].decode("utf-8", "replace")).split())
    kind = _kind(status, code, body + headers.get("cause-message", "").encode(), wait)
    if signed(url) and status in {401, 403, 410}:
        kind, code = Kind.AUTH, "expired"
    text = f"{shown(url)} answered {status}" + (f": {said}" if said else "")
    return ProviderFault(text, kind, host=host_of(url), status=status, code=code, retry_after=wait)


def _kind(status: int, code: str | None, body: bytes, wait: float | None) -> Kind:
    table = _table()
    if code is not None and code in table["codes"]:
        return Kind(table["codes"][code])
    if status == 202:
        return Kind.OFFLINE
    if status in {403, 500, 503}:
        for words, kind in table["words"].items():
            if words.lower().encode() in body.lower():
                return Kind(kind)
    return classify(status, wait=wait, body=body)


def _code(body: bytes) -> str | None:
    found = re.search(rb"<Code>([A-Za-z]+)</Code>", body)
    if found:
        return found[1].decode()
    try:
        document = json.loads(body)
    except ValueError:
        return None
    code = document.get("code", document.get("errorCode")) if isinstance(document, dict) else None
    return code if isinstance(code, str) else None


@cache
def _table() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = yaml.safe_load(files("eolake.ingest.transfer").joinpath("answers.yaml").read_text("utf-8"))
    return found
