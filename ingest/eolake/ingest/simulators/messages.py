"""What a client asks and a server answers, as the simulators see it."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs

from eolake.ingest.simulators.content import Content


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request, read whole."""

    method: str
    path: str
    """Decoded, without the query."""
    query: Mapping[str, list[str]] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    """Names in lower case."""
    body: bytes = b""
    client: str = ""
    """address:port"""
    target: str = ""
    """As it stood in the request: path and query, encoded."""
    host: str = ""
    """host:port that the client meant."""
    scheme: str = "http"

    @property
    def base(self) -> str:
        """`http://host:port`, as the client sees this server."""
        return f"{self.scheme}://{self.host}"

    def get(self, name: str, default: str | None = None) -> str | None:
        """The last value of a query parameter."""
        values = self.query.get(name)
        return values[-1] if values else default

    def form(self) -> Mapping[str, str]:
        """The body of a posted form."""
        return {name: values[-1] for name, values in parse_qs(self.body.decode("utf-8", "replace"), keep_blank_values=True).items()}

    def json(self) -> Any:
        """The body as JSON. Raises ValueError."""
        return json.loads(self.body)

    @property
    def bearer(self) -> str | None:
        """The token of `Authorization: Bearer`."""
        scheme, _, token = self.headers.get("authorization", "").partition(" ")
        return token.strip() if scheme.lower() == "bearer" and token.strip() else None

    @property
    def basic(self) -> tuple[str, str] | None:
        """User and password of `Authorization: Basic`."""
        scheme, _, encoded = self.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "basic":
            return None
        try:
            user, _, password = base64.b64decode(encoded, validate=True).decode("utf-8").partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return None
        return user, password


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """One answer. A `Content` body gets ranges, ETag, If-Range and Last-Modified from the server."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | Content = b""


Handler = Callable[[Request], Response | None]
"""Answers, or None: somebody else's request."""


def json_response(
    document: Any, status: int = 200, *, media_type: str = "application/json", headers: Mapping[str, str] | None = None
) -> Response:
    """A JSON document."""
    body = json.dumps(document, ensure_ascii=False).encode()
    return Response(status=status, headers={"Content-Type": media_type, **(headers or {})}, body=body)


def text_response(text: str, status: int = 200, *, media_type: str = "text/plain; charset=utf-8") -> Response:
    """Text, HTML or XML."""
    return Response(status=status, headers={"Content-Type": media_type}, body=text.encode())


def reason_of(status: int) -> str:
    """The phrase of a status line."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"
