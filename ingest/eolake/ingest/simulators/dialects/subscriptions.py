"""CDSE's Subscriptions: standing orders whose notifications are pushed to an endpoint, or wait in a queue to be read."""

from __future__ import annotations

import base64
import re
import threading
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from eolake.ingest.simulators.archive import Record
from eolake.ingest.simulators.dialects.odata import ROOT, ODataDialect
from eolake.ingest.simulators.dialects.odata_entity import product_name
from eolake.ingest.simulators.dialects.odata_filter import BadFilter, Predicate, parse_filter
from eolake.ingest.simulators.messages import Request, Response, json_response
from eolake.ingest.simulators.push import Pusher
from eolake.ingest.simulators.tokens import Tokens

PATH = re.compile(rf"{ROOT}/Subscriptions(?:/(?P<info>Info)|\((?P<id>[^)]*)\)(?P<rest>/Read|/Ack)?)?")
EVENTS = ("created", "modified", "deleted")
STRIPPED_AFTER = timedelta(days=3)
READ_AT_MOST = 20

Event = Literal["created", "modified", "deleted"]


@dataclass(slots=True, kw_only=True)
class Subscription:
    """One standing order."""

    id: str
    document: dict[str, Any]
    wanted: Predicate
    password: str = ""
    owner: str = ""
    queue: deque[dict[str, Any]] = field(default_factory=deque)
    dropped: int = 0
    """Notifications that a full queue lost."""
    numbered: int = 0

    @property
    def endpoint(self) -> str:
        """Where notifications are pushed; empty: they wait in the queue."""
        return str(self.document.get("NotificationEndpoint") or "")


class Subscriptions:
    """Answers `/odata/v1/Subscriptions…` and notifies of what happens in the dialect's archive."""

    def __init__(
        self,
        dialect: ODataDialect,
        *,
        base: str,
        tokens: Tokens | None = None,
        pusher: Pusher | None = None,
        running: int = 1,
        most: int = 10,
        queue: int = 100_000,
        nested: bool = False,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """`base`: `http://host:port` that notifications name; `tokens`: needed when given; `running`, `most`: subscriptions of one account;
        `queue`: notifications that wait, the oldest are lost beyond; `nested`: what follows GeoFootprint stands inside it, as seen."""
        self._dialect, self._base, self._tokens, self._pusher = dialect, base, tokens, pusher
        self._running, self._most, self._queue, self._nested, self._clock = running, most, queue, nested, clock
        self._lock = threading.RLock()
        self.subscriptions: dict[str, Subscription] = {}
        dialect.archive.watch(self._happened)

    def __call__(self, request: Request) -> Response | None:
        """Create, list, look, change, delete, read and acknowledge."""
        match = PATH.fullmatch(request.path)
        if match is None:
            return None
        refused = self._tokens.check(request) if self._tokens is not None else None
        if refused is not None:
            return refused
        owner = self._tokens.account(request) if self._tokens is not None else ""
        with self._lock:
            if match["id"] is None:
                return self._collection(request, owner, info=match["info"] is not None)
            found = self.subscriptions.get(match["id"])
            if found is None or found.owner != owner or found.document["Status"] == "cancelled":
                return _not_found(match["id"])
            return self._single(request, found, match["rest"] or "")

    def _collection(self, request: Request, owner: str, *, info: bool) -> Response:
        if request.method == "POST" and not info:
            return self._create(request, owner)
        mine = [found for found in self.subscriptions.values() if found.owner == owner and found.document["Status"] != "cancelled"]
        return json_response([_shown(found) for found in mine])

    def _create(self, request: Request, owner: str) -> Response:
        try:
            body = request.json()
            wanted = parse_filter(str(body.get("FilterParam") or "Name ne ''"))
        except (ValueError, AttributeError, BadFilter) as error:
            return json_response({"detail": {"message": f"Invalid subscription: {error}"}}, 400)
        events = body.get("SubscriptionEvent") or ["created"]
        status = body.get("Status", "running")
        if not set(events) <= set(EVENTS) or status not in {"running", "paused"}:
            return json_response({"detail": {"message": "Invalid SubscriptionEvent or Status"}}, 422)
        if (problem := self._too_many(owner, status)) is not None:
            return problem
        now = self._clock()
        name = str(uuid.uuid4())
        document = {
            "Id": name,
            "FilterParam": body.get("FilterParam"),
            "StageOrder": bool(body.get("StageOrder", True)),
            "Priority": int(body.get("Priority", 1)),
            "Status": status,
            "NotificationEndpoint": body.get("NotificationEndpoint"),
            "NotificationEpUsername": body.get("NotificationEpUsername"),
            "SubscriptionEvent": list(events),
            "SubmissionDate": f"{now:%Y-%m-%dT%H:%M:%S}.{now.microsecond // 100:04}",  # four digits and no zone: as documented
        }
        password = str(body.get("NotificationEpPassword") or "")
        self.subscriptions[name] = Subscription(id=name, document=document, wanted=wanted, password=password, owner=owner)
        return json_response({**_shown(self.subscriptions[name]), "@odata.context": "$metadata#OData.CSC.Subscription"}, 201)

    def _too_many(self, owner: str, status: str) -> Response | None:
        mine = [found.document["Status"] for found in self.subscriptions.values() if found.owner == owner]
        if status == "running" and mine.count("running") >= self._running:
            return json_response({"detail": {"message": f"Only {self._running} running subscription is allowed"}}, 403)
        if sum(state != "cancelled" for state in mine) >= self._most:
            return json_response({"detail": {"message": f"Only {self._most} subscriptions are allowed"}}, 403)
        return None

    def _single(self, request: Request, found: Subscription, rest: str) -> Response:
        match request.method, rest:
            case "GET", "":
                return json_response(_shown(found))
            case "PATCH", "":
                return self._change(request, found)
            case "DELETE", "":
                del self.subscriptions[found.id]
                return Response(status=204)
            case "GET", "/Read":
                return self._read(request, found)
            case "POST", "/Ack":
                return self._acknowledge(request, found)
        return json_response({"detail": "Method Not Allowed"}, 405)

    def _change(self, request: Request, found: Subscription) -> Response:
        try:
            body = dict(request.json())
        except (ValueError, TypeError):
            return json_response({"detail": {"message": "Invalid body"}}, 400)
        status = body.get("Status", found.document["Status"])
        if status not in {"running", "paused", "cancelled"}:
            return json_response({"detail": {"message": f"Invalid Status {status!r}"}}, 422)
        if status == "running" != found.document["Status"] and (problem := self._too_many(found.owner, status)) is not None:
            return problem
        found.document["Status"] = status
        for key in ("NotificationEndpoint", "NotificationEpUsername"):
            if key in body:
                found.document[key] = body[key]
        found.password = str(body.get("NotificationEpPassword", found.password))
        return json_response(_shown(found))

    # --- the queue ---

    def _read(self, request: Request, found: Subscription) -> Response:
        top = request.get("$top", "1") or ""
        if not top.isdigit() or int(top) > READ_AT_MOST:
            problem = {"type": "less_than_equal", "loc": ["query", "$top"], "msg": "Input should be less than or equal to 20", "input": top}
            return json_response({"detail": [problem]}, 422)
        old = self._clock() - STRIPPED_AFTER
        for message in found.queue:
            if datetime.fromisoformat(message["NotificationDate"]) < old:
                message.pop("value", None)
                message.pop("ProductName", None)
        return json_response(list(found.queue)[: int(top)])

    def _acknowledge(self, request: Request, found: Subscription) -> Response:
        token = request.get("$ackid")
        acknowledged = next((n for n, message in enumerate(found.queue, 1) if message["AckId"] == token), 0)
        if not acknowledged:
            return json_response({"detail": {"message": f"Notification with ackid {token} not found."}}, 404)
        for _ in range(acknowledged):
            found.queue.popleft()
        lengths = {"AckMessagesNum": acknowledged, "CurrentQueueLength": len(found.queue), "MaxQueueLength": self._queue}
        return json_response({"@odata.context": "$metadata#Notification/$entity", **lengths})

    # --- what happens ---

    def _happened(self, event: str, record: Record) -> None:
        get = self._dialect.getter(record)
        for found in list(self.subscriptions.values()):
            if found.document["Status"] == "running" and event in found.document["SubscriptionEvent"] and found.wanted(get):
                self._notify(found, self.notification(found, event, record))

    def _notify(self, found: Subscription, body: dict[str, Any]) -> None:
        if found.endpoint and self._pusher is not None:
            user = str(found.document.get("NotificationEpUsername") or "")
            self._pusher.push(found.endpoint, body if body["SubscriptionEvent"] == "created" else [body], user, found.password)
            return
        with self._lock:
            found.queue.append(body)
            while len(found.queue) > self._queue:
                found.queue.popleft()
                found.dropped += 1

    def notification(self, found: Subscription, event: str, record: Record) -> dict[str, Any]:
        """The body, key by key as a real one."""
        value = self._dialect.entity(record, self._base)
        if event == "deleted":
            gone = next(deleted for deleted in reversed(self._dialect.archive.deleted) if deleted.record.id == record.id)
            value |= {"Online": False, "DeletionDate": f"{gone.at:%Y-%m-%dT%H:%M:%S}.000Z", "DeletionCause": gone.cause}
        if self._nested and isinstance(value["GeoFootprint"], dict):
            keys = list(value)
            after = keys[keys.index("GeoFootprint") + 1 :]
            value["GeoFootprint"] = {**value["GeoFootprint"], **{key: value.pop(key) for key in after}}
        now = self._clock()
        with self._lock:
            found.numbered += 1
            ticket = f"{int(now.timestamp() * 1000)}-{found.numbered}:{found.id}"
        return {
            "@odata.context": "$metadata#Notification/$entity",
            "SubscriptionEvent": event,
            "ProductId": record.id,
            "ProductName": product_name(record),
            "SubscriptionId": found.id,
            "NotificationDate": f"{now:%Y-%m-%dT%H:%M:%S}.000Z",
            "AckId": base64.b64encode(ticket.encode()).decode(),
            "value": value,
        }


def _shown(found: Subscription) -> dict[str, Any]:
    return {key: value for key, value in found.document.items() if value is not None}


def _not_found(id: str) -> Response:
    return json_response({"detail": {"message": f"Subscription with id {id} not found.", "request_id": str(uuid.uuid4())}}, 404)
