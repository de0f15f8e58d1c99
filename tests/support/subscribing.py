"""Notifications as CDSE sends them, and the endpoint of a lake that takes them."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
import requests
from support import workers
from support.odata import Document

from eolake.catalog.lake import Lake
from eolake.catalog.settings import load_settings

USER, PASSWORD = "hls", "correct horse: battery"
SETTINGS = """
[push]
url = "http://127.0.0.1:1"
credential = "env:TEST_PUSH"

[providers.other]
preset = "cdse"

[feeds.l1c]
provider = "cdse"
collection = "s2_l1c"

[feeds.recent]
provider = "cdse"
collection = "s2_l2a"
max_age = "30d"
tiles = ["55HFA", "55HGA"]
priority = 0

[feeds.wide]
provider = "other"
collection = "s2_l2a"
"""


def configured(lake: Lake, text: str = SETTINGS) -> Lake:
    """The same lake with these lines in its eolake.toml."""
    path = lake.settings.root / "eolake.toml"
    path.write_text(f'[lake]\nname = "test"\n{text}')
    return Lake(settings=load_settings(path))


def notification(document: Document, event: str = "created", **more: Any) -> Document:
    """Around a record of the catalogue."""
    location = {"FormatType": "Extracted", "ContentLength": document.get("ContentLength"), "Checksum": document.get("Checksum")}
    return {
        "@odata.context": "$metadata#Notification/$entity",
        "SubscriptionEvent": event,
        "ProductId": document["Id"],
        "ProductName": document["Name"],
        "SubscriptionId": "880c4e1a-cfc7-4956-bc4c-4434069a0aa7",
        "NotificationDate": "2024-09-12T14:52:52.000Z",
        "AckId": "MTcyNjE1Mjc3MjMyMi0w",
        "value": {"Locations": [location], **document},
        **more,
    }


def nested(told: Mapping[str, Any]) -> Document:
    """Everything after GeoFootprint inside of it, as the documentation shows it twice."""
    value = dict(told["value"])
    keys = list(value)
    after = keys[keys.index("GeoFootprint") + 1 :]
    footprint = {**value["GeoFootprint"], **{key: value.pop(key) for key in after}}
    return {**told, "value": {**value, "GeoFootprint": footprint}}


class Endpoint:
    """A running `eolake serve`."""

    def __init__(self, lake: Lake, url: str, process: subprocess.Popen[bytes]) -> None:
        self.lake, self.url, self.process = lake, url, process
        self._local = threading.local()

    def post(self, body: Any, name: str = "cdse", auth: tuple[str, str] | None = (USER, PASSWORD), **other: Any) -> requests.Response:
        """Sends a notification, one connection for each thread; bytes and iterators go as they are."""
        if not hasattr(self._local, "session"):
            self._local.session = requests.Session()
            self._local.session.trust_env = False
        data = body if isinstance(body, bytes) or hasattr(body, "__next__") else json.dumps(body)
        answer: requests.Response = self._local.session.post(f"{self.url}/push/{name}", data=data, auth=auth, timeout=30, **other)
        return answer

    def hang_up(self) -> None:
        """Close the connection of this thread."""
        if hasattr(self._local, "session"):
            self._local.session.close()
            del self._local.session


@contextmanager
def endpoint(lake: Lake) -> Iterator[Endpoint]:
    """`eolake serve` of this lake; its credential is in the environment."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = {"TEST_PUSH_USERNAME": USER, "TEST_PUSH_PASSWORD": PASSWORD}
    process = workers.start(lake, "serve", "--port", str(port), **environment)
    url = f"http://127.0.0.1:{port}"
    try:
        _wait_for(f"{url}/readyz", process, lake)
        found = Endpoint(lake, url, process)
        yield found
        found.hang_up()
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait(30)


def rows(lake: Lake, condition: str = "true", parameters: Sequence[Any] = ()) -> list[dict[str, Any]]:
    """Granules in that condition (SQL), by name."""
    with lake.connect() as connection:
        query = f"select * from eolake.granule where {condition} order by name, id"
        return connection.execute(query, list(parameters)).fetchall()  # type: ignore[arg-type]


def empty(lake: Lake) -> None:
    """Forget everything that was registered."""
    with lake.connect() as connection, connection.transaction():
        for table in ("event", "file", "day", "cursor", "alarm", "notified", "granule"):
            connection.execute(f"delete from eolake.{table}")  # type: ignore[arg-type]


def _wait_for(url: str, process: subprocess.Popen[bytes], lake: Lake) -> None:
    until = time.monotonic() + 60
    with requests.Session() as session:
        while time.monotonic() < until and process.poll() is None:
            try:
                if session.get(url, timeout=5).ok:
                    return
            except requests.ConnectionError:
                time.sleep(0.05)
    log = (lake.settings.root / "worker.log").read_text()[-2000:]
    pytest.fail(f"{url} does not answer; exit code {process.poll()}; {log} {os.getpid()}")
