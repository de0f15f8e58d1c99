"""Subscriptions at a provider, through its own API (OData.CSC `Subscriptions`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import orjson

from eolake.catalog.errors import ConfigError, EolakeError, UsageError
from eolake.ingest.discovery.feeds import Feed
from eolake.ingest.faults import Kind, ProviderFault
from eolake.ingest.logins.base import Login
from eolake.ingest.providers import odata
from eolake.ingest.providers.api import Api, host_of
from eolake.ingest.providers.base import ProviderConfig, Query
from eolake.ingest.providers.cdse import ODataProvider
from eolake.ingest.providers.registry import collection_of

READ = 20
"""Notifications in one answer at most."""


class Refused(EolakeError):
    """The subscription was not made; `eolake push list PROVIDER` shows those that there are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """A standing order at the provider."""

    id: str
    status: str
    endpoint: str | None
    """Where it pushes to; None: its notifications wait in a queue."""
    events: tuple[str, ...]
    filter: str | None
    submitted: str | None

    @property
    def pull(self) -> bool:
        """Whether its notifications wait to be read."""
        return self.endpoint is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where the provider is to push to, and what it shows there."""

    url: str
    username: str
    password: str

    def __repr__(self) -> str:
        """Without the password."""
        return f"Endpoint({self.url!r})"


class Subscriptions:
    """Those of one account."""

    def __init__(self, config: ProviderConfig, login: Login | None) -> None:
        """ConfigError when the provider is none that has subscriptions. URL: `urls.subscriptions`, else below the catalogue."""
        if config.kind != "odata":
            raise ConfigError(f"{config.name} is of the kind {config.kind!r}; only odata (CDSE) has subscriptions")
        self.name = config.name
        self.url = config.urls.get("subscriptions", f"{config.urls['catalogue'].rstrip('/')}/Subscriptions")
        self.api = Api(config, login)

    def all(self) -> list[Subscription]:
        """Those that are not cancelled. Raises ProviderFault."""
        answer = self.api.get_json(f"{self.url}/Info")
        listed = answer.get("value") if isinstance(answer, Mapping) else answer
        if not isinstance(listed, list):
            raise ProviderFault(f"{self.url}/Info answered no list", Kind.TRANSIENT, host=host_of(self.url))
        return [found for entry in listed if (found := _subscription(entry)) is not None]

    def create(self, terms: str, *, events: Sequence[str], endpoint: Endpoint | None, paused: bool = False) -> Subscription:
        """Make one; Refused while another one is running, because the provider lets an account have one. Raises ProviderFault."""
        running = [found for found in self.all() if found.status == "running"]
        if running and not paused:
            one = running[0].id
            raise Refused(
                f"{self.name} allows one running subscription, and {one} runs already: `eolake push pause {self.name} {one}` or "
                f"`eolake push delete {self.name} {one}` first, or make this one with --paused"
            )
        document: dict[str, Any] = {
            "StageOrder": True,
            "FilterParam": terms,
            "Priority": 1,
            "Status": "paused" if paused else "running",
            "SubscriptionEvent": list(events),
        }
        if endpoint is not None:
            document |= {
                "NotificationEndpoint": endpoint.url,
                "NotificationEpUsername": endpoint.username,
                "NotificationEpPassword": endpoint.password,
            }
        try:
            answer = self._send("POST", self.url, document)
        except ProviderFault as fault:
            if fault.status in {400, 403, 409, 422}:
                raise Refused(f"{fault}; `eolake push list {self.name}` shows what there is") from None
            raise
        made = _subscription(answer)
        if made is None:
            raise ProviderFault(f"{self.url} answered no subscription", Kind.TRANSIENT, host=host_of(self.url))
        return made

    def set_status(self, id: str, status: str) -> Subscription:
        """`running` or `paused`. UsageError when there is no such subscription; ProviderFault."""
        changed = _subscription(self._asked(id, lambda url: self._send("PATCH", url, {"Status": status})))
        if changed is None:
            raise ProviderFault(f"{self.url} answered no subscription", Kind.TRANSIENT, host=host_of(self.url))
        return changed

    def delete(self, id: str) -> None:
        """End it; what waits in its queue is lost. UsageError when there is no such subscription; ProviderFault."""
        self._asked(id, lambda url: self.api.request("DELETE", url))

    def read(self, id: str) -> list[Any]:
        """The oldest notifications of a queue; they stay there. Raises ProviderFault, UsageError."""
        answer = self._asked(id, lambda url: self.api.get_json(f"{url}/Read?$top={READ}"))
        if not isinstance(answer, list):
            raise ProviderFault(f"{self.url}({id})/Read answered no list", Kind.TRANSIENT, host=host_of(self.url))
        return answer

    def acknowledge(self, id: str, ack: str) -> int:
        """Take this notification and all before it out of the queue; how many those were: 0 when somebody did so before."""
        url = f"{self._one(id)}/Ack?$ackid={quote(ack, safe='')}"
        answer = self.api.request("POST", url, accept=frozenset({404}))
        if answer.status == 404:
            return 0
        document = answer.json()
        number = document.get("AckMessagesNum") if isinstance(document, Mapping) else None
        return number if isinstance(number, int) else 0

    def close(self) -> None:
        """Close the connections."""
        self.api.close()

    def _one(self, id: str) -> str:
        if odata.id_of({"Id": id}) is None:
            raise UsageError(f"{id!r} is no id of a subscription; `eolake push list {self.name}` shows them")
        return f"{self.url}({id})"

    def _asked(self, id: str, ask: Any) -> Any:
        try:
            return ask(self._one(id))
        except ProviderFault as fault:
            if fault.status == 404:
                raise UsageError(f"{self.name} has no subscription {id}; `eolake push list {self.name}` shows them") from None
            raise

    def _send(self, method: Any, url: str, document: Mapping[str, Any]) -> Any:
        """Once: a subscription must not be made twice."""
        return self.api.request(method, url, headers={"Content-Type": "application/json"}, body=orjson.dumps(document), tries=1).json()


def terms_of(provider: ODataProvider, feeds: Sequence[Feed]) -> str:
    """The filter of a subscription that covers all these feeds: what they drop beyond it is dropped when it arrives."""
    each = []
    for feed in feeds:
        collection_of(provider.config, feed.collection)
        query = Query(collection=feed.collection, bbox=feed.bbox, area=feed.area, tiles=feed.tiles)
        each.append(" and ".join(provider.criteria(query)))
    unique = list(dict.fromkeys(each))
    return unique[0] if len(unique) == 1 else " or ".join(f"({terms})" for terms in unique)


def _subscription(document: object) -> Subscription | None:
    identity = odata.id_of(document)
    if identity is None or not isinstance(document, Mapping):
        return None
    endpoint, events = document.get("NotificationEndpoint"), document.get("SubscriptionEvent")
    return Subscription(
        id=identity,
        status=str(document.get("Status", "unknown")),
        endpoint=endpoint if isinstance(endpoint, str) and endpoint else None,
        events=tuple(map(str, events)) if isinstance(events, list) else (),
        filter=_text(document.get("FilterParam")),
        submitted=_text(document.get("SubmissionDate")),
    )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
