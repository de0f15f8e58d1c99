"""stac-api-validator without a network: `python offline_validator.py --root-url …`, with its own options.

It has no way to be told where schemas are: it downloads those of the core and of each extension. Here they come from pystac and
from tests/schemas; any other host is refused at once, and named on stderr. Requests get a deadline, which it does not set itself.
"""

from __future__ import annotations

import json
import sys
import urllib.request
from pathlib import Path
from typing import Any, NoReturn, override

import requests.sessions
from requests import PreparedRequest, Response
from requests.adapters import HTTPAdapter

sys.path.insert(0, str(Path(__file__).parents[1]))
from support.stac_validation import schemas

DEADLINE = 60
"""Seconds for an answer of the API."""


class Offline(HTTPAdapter):
    """Speaks to this machine; has the schemas at hand."""

    @override
    def send(self, request: PreparedRequest, *args: Any, **options: Any) -> Response:
        url = str(request.url).partition("#")[0]
        if url.startswith("http://127.0.0.1:"):
            return super().send(request, *args, **{**options, "timeout": DEADLINE})
        if url not in schemas():
            refuse(url)
        response = Response()
        response.status_code, response.url, response.request = 200, url, request
        response._content = json.dumps(schemas()[url]).encode()
        return response


class Refusing(urllib.request.HTTPSHandler):
    """Links to elsewhere: licences, papers."""

    @override
    def https_open(self, req: urllib.request.Request) -> NoReturn:
        refuse(req.full_url)


def refuse(url: str) -> NoReturn:
    print(f"not asked: {url}", file=sys.stderr)
    raise requests.ConnectionError(f"{url}: there is no network here")


requests.sessions.HTTPAdapter = Offline  # type: ignore[misc]  # what every new session uses
urllib.request.install_opener(urllib.request.build_opener(Refusing))

from stac_api_validator.__main__ import main  # noqa: E402 - it opens its sessions with what is set above

if __name__ == "__main__":
    main(prog_name="stac-api-validator")
