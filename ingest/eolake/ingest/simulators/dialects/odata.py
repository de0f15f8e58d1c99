"""The catalogue and download service of CDSE: OData.CSC, as documented and as recorded.

Serves `/odata/v1/Products…`, `/DeletedProducts`, `/Attributes(…)`, `/Assets(…)/$value`, `/Products(…)/Nodes…` and `/Products(…)/$value`.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import quote_plus

from eolake.ingest.simulators.archive import Archive, Deleted, Record
from eolake.ingest.simulators.content import Content
from eolake.ingest.simulators.dialects.odata_entity import (
    Quirks,
    deleted_entity,
    entity,
    product_name,
    quicklook_id,
    s3_path,
    value_type,
    words_of,
)
from eolake.ingest.simulators.dialects.odata_filter import BadFilter, Getter, parse_filter
from eolake.ingest.simulators.members import Member, members
from eolake.ingest.simulators.messages import Request, Response, json_response
from eolake.ingest.simulators.tokens import Tokens

ROOT = "/odata/v1"
MOST = 1000
"""`$top` at most."""
USUAL = 20
ORDERS = ("ContentDate/Start", "ContentDate/End", "PublicationDate", "ModificationDate", "DeletionDate")
EXPANDS = ("Attributes", "Assets", "Locations")
ITEM = re.compile(r"/(?P<set>Products|Assets|Attributes)\((?P<id>[^)]*)\)(?P<rest>.*)")

FIELDS: Mapping[str, Callable[[Record], Any]] = {
    "Id": lambda record: record.id,
    "Name": product_name,
    "Online": lambda record: record.online,
    "ContentLength": lambda record: record.size,
    "S3Path": s3_path,
    "Collection/Name": lambda record: words_of(record.collection).collection,
    "ContentDate/Start": lambda record: record.start,
    "ContentDate/End": lambda record: record.end,
    "OriginDate": lambda record: record.published,
    "PublicationDate": lambda record: record.published,
    "ModificationDate": lambda record: record.modified,
    "Attributes": lambda record: record.attributes,
}
"""What filters and orders may ask of a product."""


class ODataDialect:
    """Answers below `/odata/v1`; what it says follows the archive, at once."""

    def __init__(
        self,
        archive: Archive,
        *,
        tokens: Tokens | None = None,
        quirks: Quirks | None = None,
        download_url: str | None = None,
        on_page: Callable[[int], None] | None = None,
        online_after: int | None = None,
    ) -> None:
        """`tokens`: downloads need one of these; `download_url`: `http://host:port` of the download host, to which all others answer 301;
        `on_page`: called with the number of each page of a catalogue after it was made, for changes between pages;
        `online_after`: an offline product comes online with the request of this number (202 until then, for ever with None)."""
        self.archive, self.tokens, self.quirks = archive, tokens, quirks or Quirks()
        self.download_url, self.on_page, self.online_after = download_url, on_page, online_after
        self.pages = 0
        """Pages answered so far."""
        self.orders: dict[str, int] = {}
        """Product id → requests for it while it was offline."""
        self._shapes: dict[str, Any] = {}

    def __call__(self, request: Request) -> Response | None:
        """Answers what is below `/odata/v1`, but for subscriptions."""
        if not request.path.startswith(f"{ROOT}/"):
            return None
        return json_response({"detail": "Not Found"}, 404) if self.quirks.retired else self._routed(request)

    def _routed(self, request: Request) -> Response | None:
        match request.method, request.path.removeprefix(ROOT):
            case "GET", "/Products":
                return self._list(request, self.archive.records)
            case "GET", "/DeletedProducts":
                return self._list(request, self.archive.deleted)
            case "POST", "/Products/OData.CSC.FilterList":
                return self._filter_list(request)
            case "GET" | "HEAD", path:
                return self._one(request, path)
        return None

    def entity(self, record: Record, base: str) -> dict[str, Any]:
        """The whole document of a product, as in notifications; `base`: `http://host:port`."""
        context = "$metadata#Products(Attributes())(Assets())(Locations())/$entity"
        return {"@odata.context": context, **entity(record, base + ROOT, self.quirks, frozenset(EXPANDS))}

    def getter(self, thing: Record | Deleted) -> Getter:
        """Its properties, for filters."""
        record = thing.record if isinstance(thing, Deleted) else thing
        deletion = {"DeletionDate": thing.at, "DeletionCause": thing.cause} if isinstance(thing, Deleted) else {}

        def get(path: str) -> Any:
            if path == "shape":
                return self._shape(record)
            return FIELDS[path](record) if path in FIELDS else deletion.get(path)

        return get

    # --- catalogue ---

    def _list(self, request: Request, things: Sequence[Record] | Sequence[Deleted]) -> Response:
        top, skip = _number(request, "$top", USUAL, MOST), _number(request, "$skip", 0, self.quirks.deepest)
        for bad in (top, skip):
            if isinstance(bad, Response):
                return bad
        try:
            found = self._found(request, things)
        except BadFilter as error:
            return _failed(400, str(error))
        return self._page(request, found, int(str(top)), int(str(skip)))

    def _found(self, request: Request, things: Sequence[Record] | Sequence[Deleted]) -> list[Record | Deleted]:
        text = request.get("$filter")
        wanted = parse_filter(text, integers_as_strings=self.quirks.integers_as_strings) if text else None
        found: list[Record | Deleted] = [thing for thing in things if wanted is None or wanted(self.getter(thing))]
        field, _, direction = (request.get("$orderby") or "").strip().partition(" ")
        if field and (field not in ORDERS or direction.strip().lower() not in {"", "asc", "desc"}):
            raise BadFilter(f"Invalid $orderby: {field}")
        found.sort(key=_id_of)  # without an order that is as good as none, and within an order what comes second
        if field:
            found.sort(key=lambda thing: self.getter(thing)(field), reverse=direction.strip().lower() == "desc")
        return found

    def _page(self, request: Request, found: list[Record | Deleted], top: int, skip: int) -> Response:
        base = request.base + ROOT
        expand = frozenset(part for value in request.query.get("$expand", []) for part in value.split(",") if part in EXPANDS)
        first = skip - 1 if self.quirks.repeat and skip else skip
        shown = [self._shown(thing, base, expand) for thing in found[first : skip + top]]
        selected = [field.strip() for field in (request.get("$select") or "").split(",") if field.strip()]
        if selected:
            shown = [{key: value for key, value in document.items() if key in selected or key.startswith("@")} for document in shown]
        name = request.path.rpartition("/")[2]
        document: dict[str, Any] = {"@odata.context": f"$metadata#{name}" + "".join(f"({part}())" for part in EXPANDS if part in expand)}
        if (request.get("$count") or "").lower() == "true":
            document["@odata.count"] = len(found)
        document["value"] = shown
        if skip + top < len(found) and skip + top <= self.quirks.deepest and top:
            document["@odata.nextLink"] = self._next(request, top, skip)
        self.pages += 1
        if self.on_page is not None:
            self.on_page(self.pages)
        return json_response(document)

    def _shown(self, thing: Record | Deleted, base: str, expand: frozenset[str]) -> dict[str, Any]:
        if isinstance(thing, Deleted):
            return deleted_entity(thing, base, self.quirks, expand)
        return entity(thing, base, self.quirks, expand)

    def _next(self, request: Request, top: int, skip: int) -> str:
        base = request.base
        match self.quirks.next_link:
            case "self":
                return base + request.target
            case "host":
                base = f"{request.scheme}://other.example"
            case "http":
                base = f"http://{request.host}"
        pairs = [(name, value) for name, values in request.query.items() for value in values if name not in {"$skip", "$top"}]
        pairs += [("$top", str(top)), ("$skip", str(skip + top))]
        return f"{base}{request.path}?" + "&".join(f"{quote_plus(name)}={quote_plus(value)}" for name, value in pairs)

    def _filter_list(self, request: Request) -> Response:
        try:
            names = {str(product["Name"]) for product in request.json()["FilterProducts"]}
        except (ValueError, KeyError, TypeError):
            return _failed(422, "FilterProducts: a list of products with their Name")
        found = [record for record in self.archive.records if product_name(record) in names]
        base = request.base + ROOT
        return json_response({"@odata.context": "$metadata#Products", "value": [entity(record, base, self.quirks) for record in found]})

    def _queryable(self, collection: str) -> Response:
        kinds: dict[str, str] = {}
        for record in self.archive.records:
            if words_of(record.collection).collection == collection:
                kinds |= {name: value_type(value) for name, value in record.attributes.items()}
        if not kinds:
            return _failed(404, f"Collection {collection} not found.")
        return json_response([{"Name": name, "ValueType": kind} for name, kind in kinds.items()])

    def _shape(self, record: Record) -> Any:
        if record.footprint is None:
            return None
        if record.id not in self._shapes:
            from shapely.geometry import shape

            self._shapes[record.id] = shape(dict(record.footprint))
        return self._shapes[record.id]

    # --- one product ---

    def _one(self, request: Request, path: str) -> Response | None:
        item = ITEM.fullmatch(path)
        if item is None:
            return None
        match item["set"]:
            case "Attributes":
                return self._queryable(item["id"])
            case "Assets":
                return self._asset(item["id"])
        return self._product(request, item["id"], item["rest"])

    def _product(self, request: Request, id: str, rest: str) -> Response | None:
        if not _is_uuid(id):
            return json_response(
                {"trace-id": uuid.uuid5(uuid.NAMESPACE_URL, id).hex, "code": "DAT-ZIP-111", "message": "Invalid UUID"}, 422
            )
        record = self.archive.get(id)
        if record is None:
            return _failed(404, f"Product with id {id} not found.")
        if rest == "":
            expand = frozenset(part for value in request.query.get("$expand", []) for part in value.split(",") if part in EXPANDS)
            context = "$metadata#Products" + "".join(f"({part}())" for part in EXPANDS if part in expand) + "/$entity"
            return json_response({"@odata.context": context, **entity(record, request.base + ROOT, self.quirks, expand)})
        if rest == "/$value":
            return self._redirected(request) or self._download(request, record, record.body())
        if rest.startswith("/Nodes"):
            return self._nodes(request, record, rest)
        return None

    def _asset(self, id: str) -> Response | None:
        record = next((record for record in self.archive.records if record.quicklook is not None and quicklook_id(record) == id), None)
        thumbnail = record.thumbnail() if record else None
        return _failed(404, f"Asset with id {id} not found.") if thumbnail is None else Response(body=thumbnail)

    def _redirected(self, request: Request) -> Response | None:
        if self.download_url is None or request.base == self.download_url:
            return None
        return Response(status=301, headers={"Location": self.download_url + request.target})

    def _download(self, request: Request, record: Record, content: Content) -> Response:
        refused = self.tokens.check(request) if self.tokens is not None else None
        if refused is not None:
            return refused
        if not record.online and not self._comes_online(record):
            return Response(status=202, headers={"Content-Type": "application/json"}, body=b'{"message":"Product is offline; ordered"}')
        ending = ".zip" if content.path is None or content.path.suffix == ".zip" else ""
        filename = f"{product_name(record)}{ending}" if ending else content.filename
        return Response(body=replace(content, filename=filename))

    def _comes_online(self, record: Record) -> bool:
        self.orders[record.id] = self.orders.get(record.id, 0) + 1
        if self.online_after is None or self.orders[record.id] < self.online_after:
            return False
        self.archive.replace(replace(record, online=True))
        return True

    def _nodes(self, request: Request, record: Record, rest: str) -> Response:
        names = re.findall(r"/Nodes\(([^)]*)\)", rest)
        if any("'" in name or '"' in name for name in names):
            return json_response({"trace-id": uuid.uuid4().hex, "code": "DAT-ZIP-104", "message": "Malformed OData request path"}, 400)
        path = "/".join(names)
        tree = {member.name: member for member in members(record)}
        if rest.endswith("/$value"):
            if path not in tree:
                return _failed(404, f"Node {path} not found.")
            return self._redirected(request) or self._download(request, record, tree[path].content)
        base = f"{self.download_url or request.base}{ROOT}/Products({record.id})"
        return json_response({"result": _listing(tree, path, base)})


def _listing(tree: Mapping[str, Member], path: str, base: str) -> list[dict[str, Any]]:
    """The children of a node: folders and files directly below it."""
    inside = f"{path}/" if path else ""
    below = [name.removeprefix(inside) for name in tree if name.startswith(inside)]
    found: list[dict[str, Any]] = []
    for child in dict.fromkeys(name.partition("/")[0] for name in below):
        whole = inside + child
        size = tree[whole].size if whole in tree else 0
        count = len({name.removeprefix(f"{child}/").partition("/")[0] for name in below if name.startswith(f"{child}/")})
        uri = base + "".join(f"/Nodes({part})" for part in whole.split("/")) + "/Nodes"
        found.append({"Id": child, "Name": child, "ContentLength": size, "ChildrenNumber": count, "Nodes": {"uri": uri}})
    return found


def _id_of(thing: Record | Deleted) -> str:
    return thing.record.id if isinstance(thing, Deleted) else thing.id


def _is_uuid(text: str) -> bool:
    try:
        uuid.UUID(text)
    except ValueError:
        return False
    return True


def _number(request: Request, name: str, default: int, most: int) -> int | Response:
    """A number within its bounds, or the refusal as it was recorded."""
    text = request.get(name)
    if text is None:
        return default
    if not text.lstrip("-").isdigit():
        problem: dict[str, Any] = {"type": "int_parsing", "loc": ["query", name], "msg": "Input should be a valid integer", "input": text}
    elif int(text) > most:
        message = f"Input should be less than or equal to {most}"
        problem = {"type": "less_than_equal", "loc": ["query", name], "msg": message, "input": text, "ctx": {"le": most}}
    elif int(text) < 0:
        message = "Input should be greater than or equal to 0"
        problem = {"type": "greater_than_equal", "loc": ["query", name], "msg": message, "input": text, "ctx": {"ge": 0}}
    else:
        return int(text)
    return json_response({"detail": [problem]}, 422)


def _failed(status: int, message: str) -> Response:
    return json_response({"detail": {"message": message, "request_id": str(uuid.uuid5(uuid.NAMESPACE_URL, message))}}, status)
