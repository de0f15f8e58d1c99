"""What CDSE's Subscriptions say of a product: read from a body that was pushed or from a queue, whatever is odd about it."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

import orjson

from eolake.catalog.errors import EolakeError
from eolake.ingest.providers import odata

LOG = logging.getLogger(__name__)
EVENTS = frozenset({"created", "modified", "deleted"})
MOST = 1000
"""Notifications in one body."""

Event = Literal["created", "modified", "deleted"]


class BadNotification(EolakeError):
    """The body is no notification of a subscription; see the provider's documentation of its Subscriptions API."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notification:
    """Something happened to a product."""

    event: Event
    id: str
    value: Mapping[str, Any] | None = None
    """The product's record as the catalogue has it; None when it is not told, or can't be trusted."""
    why: str = ""
    """Why `value` is missing."""
    flags: tuple[str, ...] = ()
    """What is odd about it: the catalogue is asked again before it is fetched."""
    cause: str | None = None
    """Of a deletion."""
    ack: str | None = None
    """Acknowledges it, and all before it, in a queue."""


def read_body(body: bytes) -> list[Notification]:
    """The notifications of a body: one object, or an array of them. BadNotification when not one of them can be used."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BadNotification(f"the body is not JSON ({error})") from None
    entries = document if isinstance(document, list) else [document]
    if len(entries) > MOST:
        raise BadNotification(f"{len(entries)} notifications in one body; {MOST} at most")
    return read_entries(entries)


def read_entries(entries: Sequence[object]) -> list[Notification]:
    """Those that can be used, the others with a line in the log; BadNotification when there are some and none can be used."""
    found = [notification for entry in entries if (notification := read(entry)) is not None]
    if entries and not found:
        raise BadNotification("no SubscriptionEvent (created, modified, deleted) and ProductId")
    return found


def read(entry: object) -> Notification | None:
    """One notification; None (and a line in the log) when it says neither what happened nor to which product."""
    if not isinstance(entry, Mapping):
        LOG.warning("a notification that is no object is left out")
        return None
    given = entry.get("value")
    value = odata.flattened(given) if isinstance(given, Mapping) else None
    told = odata.id_of({"Id": entry.get("ProductId")})
    within = odata.id_of(value)
    event, identity = entry.get("SubscriptionEvent"), told or within
    if not isinstance(event, str) or event not in EVENTS or identity is None:
        LOG.warning("a notification of the event %.40r of the product %.80r is left out", event, entry.get("ProductId"))
        return None
    ack, cause = entry.get("AckId"), value.get("DeletionCause") if value else None
    why = _why_not(value, told, within)
    return Notification(
        event=cast("Event", event),
        id=identity,
        value=_plain(value, identity) if value is not None and not why else None,
        why=why,
        flags=_flags(value) if value is not None and event != "deleted" else (),
        cause=cause if isinstance(cause, str) else None,
        ack=ack if isinstance(ack, str) else None,
    )


def _why_not(value: Mapping[str, Any] | None, told: str | None, within: str | None) -> str:
    """Why the value is not the record of that product; empty when it is."""
    if value is None:
        return "no value"
    if told and within and told != within:
        return f"the value is of another product, {within}"
    lacks = [key for key, kind in (("Name", str), ("ContentDate", Mapping), ("Attributes", list)) if not isinstance(value.get(key), kind)]
    return f"a value without {', '.join(lacks)}" if lacks else ""


def _plain(value: Mapping[str, Any], identity: str) -> Mapping[str, Any]:
    """As a listing has it, so that a product found both ways is the same to the last digest."""
    return {**{key: part for key, part in value.items() if key != "Locations"}, "Id": identity}


def _flags(value: Mapping[str, Any]) -> tuple[str, ...]:
    places = value.get("Locations")
    listed = places if isinstance(places, Sequence) and not isinstance(places, str) else ()
    extracted = sum(isinstance(place, Mapping) and place.get("FormatType") == "Extracted" for place in listed)
    return () if extracted == 1 else (f"{extracted} extracted locations",)
