"""A catalogue of the OData.CSC dialect in memory, as awkward as a test wants it: it changes between pages, caps, lies in its links."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol
from urllib.parse import quote, urlencode

from eolake.catalog.lake import Lake
from eolake.ingest.providers.base import ProviderConfig
from eolake.ingest.providers.cdse import ODataProvider
from eolake.ingest.providers.registry import provider_config
from eolake.ingest.simulators.messages import Request, Response, json_response

Document = dict[str, Any]
DAY = timedelta(days=1)
T0 = datetime(2024, 9, 10, tzinfo=UTC)


def stamp(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def product(n: int, published: datetime, *, sensed: datetime | None = None, tile: str | None = None, **more: Any) -> Document:
    """A Sentinel-2 record; the same n is the same product, another n another tile."""
    tile = tile or f"{n % 60 + 1:02d}HF{chr(65 + n // 60 % 8)}"
    start = sensed or published - timedelta(hours=6)
    name = f"S2B_MSIL2A_{start:%Y%m%dT%H%M%S}_N0511_R{n % 143:03d}_T{tile}_{published:%Y%m%dT%H%M%S}.SAFE"
    return {
        "Id": str(uuid.UUID(int=n)),
        "Name": name,
        "ContentLength": 1000 + n,
        "PublicationDate": stamp(published),
        "ModificationDate": stamp(published),
        "Online": True,
        "EvictionDate": "9999-12-31T23:59:59.999999Z",
        "S3Path": f"/eodata/{name}",
        "Checksum": [{"Value": f"{n:032x}", "Algorithm": "MD5"}, {"Value": f"{n:064x}", "Algorithm": "BLAKE3"}],
        "ContentDate": {"Start": stamp(start), "End": stamp(start)},
        "GeoFootprint": {"type": "Polygon", "coordinates": [[[149, -36], [150, -36], [150, -35], [149, -35], [149, -36]]]},
        "Attributes": [
            {"@odata.type": "#OData.CSC.StringAttribute", "Name": "productType", "Value": "S2MSI2A", "ValueType": "String"},
            {"@odata.type": "#OData.CSC.DoubleAttribute", "Name": "cloudCover", "Value": 12.5, "ValueType": "Double"},
        ],
        **more,
    }


class Catalogue:
    """Answers `…/Products` and `…/DeletedProducts`; understands bounds of times, $top and $skip, and nothing else of a filter."""

    def __init__(self, documents: list[Document], deleted: list[Document] | None = None) -> None:
        self.documents, self.deleted = documents, deleted or []
        self.cap = 10_000
        """The greatest offset that it takes; next links end there."""
        self.asked: list[Request] = []
        self.before: Callable[[int], None] = lambda _: None
        """Called with the number of the request before it is answered."""
        self.link: Callable[[str | None, Request], str | None] = lambda link, _: link
        """What becomes of a next link."""

    @property
    def skips(self) -> list[int]:
        return [int(request.get("$skip") or 0) for request in self.asked]

    @property
    def filters(self) -> list[str]:
        return [request.get("$filter") or "" for request in self.asked]

    def __call__(self, request: Request) -> Response | None:
        if not request.path.startswith("/odata/v1/"):
            return None
        self.asked.append(request)
        self.before(len(self.asked))
        entity = request.path.removeprefix("/odata/v1/")
        if found := re.fullmatch(r"Products\((.+)\)", entity):
            one = next((d for d in self.documents if d["Id"] == found[1]), None)
            return json_response(one) if one else json_response({"detail": "not found"}, 404)
        return self._page(request, self.documents if entity == "Products" else self.deleted)

    def _page(self, request: Request, documents: list[Document]) -> Response:
        skip, top = int(request.get("$skip") or 0), int(request.get("$top") or 20)
        if skip > self.cap:
            return json_response({"detail": [{"type": "less_than_equal", "loc": ["query", "$skip"], "ctx": {"le": self.cap}}]}, 422)
        found = [document for document in documents if _fits(document, request.get("$filter") or "")]
        key = (request.get("$orderby") or "").partition(" ")[0]
        if key:
            found.sort(key=lambda d: (d[key] or "", str(d["Id"])))
        page: Document = {"@odata.context": "$metadata#Products", "value": found[skip : skip + top]}
        onward = skip + top
        link = None
        if onward < len(found) and onward < self.cap:
            query = [(name, value) for name, values in request.query.items() if name != "$skip" for value in values]
            link = f"{request.base}{request.path}?{urlencode([*query, ('$skip', str(onward))], quote_via=quote)}"
        link = self.link(link, request)
        return json_response(page | ({"@odata.nextLink": link} if link else {}))


def _fits(document: Document, criteria: str) -> bool:
    for key, operator, value in re.findall(r"(\w+Date) (ge|lt) (\S+Z)", criteria):
        time = document[key] or ""
        if (operator == "ge" and time < value) or (operator == "lt" and time >= value):
            return False
    starts = re.findall(r"startswith\(Name,'([^']+)'\)", criteria)
    return not starts or any(document["Name"].startswith(start) for start in starts)


class Open(Protocol):
    """The fixture `catalogue_of`: a catalogue of these documents, and a provider that asks it."""

    def __call__(
        self, documents: list[Document], deleted: list[Document] | None = None, *, kind: type[Catalogue] = ..., **options: Any
    ) -> tuple[Catalogue, ODataProvider]: ...


def config_at(url: str, settings: Any, **options: Any) -> ProviderConfig:
    """The preset of CDSE with its URLs at a simulator."""
    config = provider_config(settings, "cdse")
    return ProviderConfig(
        name="cdse",
        kind=config.kind,
        urls={"catalogue": f"{url}/odata/v1", "download": f"{url}/odata/v1"},
        collections=config.collections,
        options={**config.options, "retry_delay": 0, **options},
    )


def empty(lake: Lake) -> None:
    """Forget whatever discovery has written."""
    with lake.connect() as connection, connection.transaction():
        for table in ("event", "file", "day", "cursor", "alarm", "granule"):
            connection.execute(f"delete from eolake.{table}")  # type: ignore[arg-type]
