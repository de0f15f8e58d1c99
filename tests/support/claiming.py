"""What tests of claims share: offers, claims, and a clock that may be shifted."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from eolake.catalog.lake import Connection
from eolake.catalog.ledger import granules, transfers
from eolake.catalog.ledger.granules import Offer, Offered
from eolake.catalog.ledger.transfers import Claim

MINUTE = timedelta(minutes=1)
BOTH = ("a", "b")


def offer(
    connection: Connection, provider: str, count: int, *, priority: int = 1, size: int | None = None, prefix: str = "n"
) -> list[Offered]:
    """That many products."""
    offers = [
        Offer(
            provider=provider,
            id=f"{prefix}{n}",
            name=f"{prefix}{n}",
            source=f"https://host.example/{n}",
            fingerprint="1",
            priority=priority,
            size=size,
        )
        for n in range(count)
    ]
    return granules.offer(connection, offers)


def claim(connection: Connection, providers: Sequence[str] = ("a",), *, owner: str = "me") -> Claim | None:
    """With a lease of a minute."""
    return transfers.claim(connection, owner=owner, lease=MINUTE, providers=providers)


def shift(connection: Connection, *, seconds: float) -> None:
    """The clock of the lake is that much ahead of the real one, for this connection."""
    connection.execute("select set_config('eolake.clock_offset', %s, false)", [f"{seconds} seconds"])


def credential(connection: Connection, name: str = "x") -> dict[str, Any]:
    """Its row; `rest`: seconds for which it rests from now on."""
    row = connection.execute(
        "select allowed, connections, rates, disabled, retired,"
        " extract(epoch from greatest(cooldown_until, eolake.clock()) - eolake.clock())::float as rest"
        " from eolake.credential where name = %s",
        [name],
    ).fetchone()
    assert row
    return row


def slot_of(connection: Connection, claim: Claim) -> dict[str, Any]:
    """The row of the connection."""
    row = connection.execute(
        "select owner, granule_id, fence, bytes, rate from eolake.slot where credential_id = %s and n = %s", [claim.credential_id, claim.n]
    ).fetchone()
    assert row
    return row
