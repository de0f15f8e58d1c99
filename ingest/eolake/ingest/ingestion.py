"""`eolake ingest`: offer what lies on disk or what a search finds, work until exactly that is done, and say what became of each product."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from eolake.catalog.invocation import Invocation
from eolake.catalog.lake import Lake
from eolake.catalog.ledger import granules
from eolake.catalog.ledger.granules import Granule, Offer, Offered
from eolake.ingest.messages import Done
from eolake.ingest.options import Document, told
from eolake.ingest.providers.folder import Found, look
from eolake.ingest.reporting import line, progress, tell
from eolake.ingest.searching import found as searched
from eolake.ingest.searching import readable
from eolake.ingest.wishes import Wish
from eolake.ingest.worker import Order, Tally, Worker

FAILED = frozenset({"quarantined", "later", "registered"})
"""Outcomes after which the exit code is 1, when the caller wanted to wait."""
OUTCOMES: Mapping[str, str] = {
    "published": "published",
    "superseded": "superseded",
    "rejected": "rejected",
    "quarantined": "quarantined",
    "withdrawn": "rejected",
}
"""By the state of the granule; any other is still waiting."""
WAITING = ("queued", "fetched", "quarantined")
"""States in which the options of the last command count."""
DONE = ("published", "rejected")
"""States from which only `--again` leads back."""
BATCH = 500
"""Offers per statement."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """What became of one product."""

    granule_id: int
    name: str
    path: str
    outcome: str
    """published, unchanged, superseded, rejected, quarantined; later (tried again by the next worker), registered."""
    reason: str | None
    collection: str | None
    items: tuple[str, ...] = ()
    seconds: float = 0


@dataclass(kw_only=True)
class Ingestion:
    """One call of the command."""

    call: Invocation
    converters: int = 1
    lanes: int = 0
    max_time: float | None = None
    options: Document | None = None
    """How to convert; None: as always, or as it was ordered before."""
    again: bool = False
    """Convert also what is published."""
    _ended: dict[int, Done] = field(default_factory=dict)

    def run(self, paths: Sequence[Path], *, wait: bool, dry_run: bool) -> int:
        """The exit code."""
        begin = time.monotonic()
        self.call.know_collections()
        found = look(paths)
        return self._say_found(found) if dry_run else self._bring_in(found, begin, wait=wait)

    def order(self, provider: str, collection: str, wish: Wish, *, wait: bool, dry_run: bool) -> int:
        """Everything that a search finds; the exit code."""
        begin = time.monotonic()
        settings = self.call.settings()
        offers = searched(settings, provider, wish.query(collection, datetime.now(UTC)), limit=wish.limit)
        if dry_run:
            return self._say_days(list(offers))
        found = Found(offers=tuple(replace(offer, collection=collection) for offer in offers), skipped=())
        return self._bring_in(found, begin, wait=wait)

    def _bring_in(self, found: Found, begin: float, *, wait: bool) -> int:
        lake = self.call.lake()
        offered = _offer(lake, [self._ordered(offer) for offer in found.offers])
        self._reorder(lake, offered)
        known = _states(lake, offered)
        tally = self._work(lake, offered, known) if wait else Tally()
        products = self._products(found.offers, offered, known, _states(lake, offered))
        return self._say(products, found, tally, seconds=time.monotonic() - begin, wait=wait)

    def _ordered(self, offer: Offer) -> Offer:
        """With the options; what is to be clipped or resampled can't stay where it is."""
        return offer if self.options is None else replace(offer, options=self.options, transfer="copy")

    def _reorder(self, lake: Lake, offered: Sequence[Offered]) -> None:
        """What was known before this call is converted with these options, if it waits or was kept aside; all of it when told so."""
        known = [o.granule_id for o in offered if o.outcome == "known"]
        if not known or (self.options is None and not self.again):
            return
        with lake.connect(name="eolake ingest") as connection:
            if self.again:
                granules.reorder(connection, known, options=self.options, states=(*WAITING, *DONE), same=True)
            else:
                granules.reorder(connection, known, options=self.options, states=WAITING)

    def _work(self, lake: Lake, offered: Sequence[Offered], known: Mapping[int, Granule]) -> Tally:
        """Work on what waits; what was done before this call is only told."""
        waiting = [o.granule_id for o in offered if known[o.granule_id].state not in OUTCOMES]
        if not waiting:
            return Tally()
        order = Order(converters=self.converters, fetch=self.lanes, only=waiting, max_time=self.max_time, verbose=self.call.verbose)
        with progress(self.call) as bars:
            return Worker(lake, order, report=self._report, overhear=bars).run()

    def _report(self, granule: Granule, done: Done) -> None:
        self._ended[granule.granule_id] = done
        tell(self.call, line(granule.name, done.verdict, done.reason, done.items, sum(done.seconds.values())))

    def _products(
        self, offers: Sequence[Offer], offered: Sequence[Offered], before: Mapping[int, Granule], after: Mapping[int, Granule]
    ) -> list[Product]:
        numbers = {o.id: o.granule_id for o in offered}
        return [self._product(before[numbers[offer.id]], after[numbers[offer.id]]) for offer in offers]

    def _product(self, before: Granule, after: Granule) -> Product:
        done = self._ended.get(after.granule_id)
        outcome = OUTCOMES.get(after.state, "later" if after.attempts else "registered")
        if outcome == "published" and (before.state in OUTCOMES or (done and done.verdict == "unchanged")):
            outcome = "unchanged"
        return Product(
            granule_id=after.granule_id,
            name=after.name,
            path=after.source,
            outcome=outcome,
            reason=after.reason or self._otherwise(outcome, after),
            collection=after.collection,
            items=done.items if done else (),
            seconds=round(sum(done.seconds.values()), 3) if done else 0,
        )

    def _otherwise(self, outcome: str, granule: Granule) -> str | None:
        """Why a product that is there is not what the options say."""
        if outcome != "unchanged" or self.options is None or granule.options == self.options:
            return None
        if granule.transfer == "reference":
            return "it is published where it is, which can't be clipped or resampled"
        return f"it was converted with other options ({told(granule.options)}); --again converts it with these ({told(self.options)})"

    def _say(self, products: Sequence[Product], found: Found, tally: Tally, *, seconds: float, wait: bool) -> int:
        counts = Counter(product.outcome for product in products)
        document = {
            "products": [asdict(product) for product in products],
            "unrecognised": _skipped(found),
            "counts": dict(sorted(counts.items())),
            "bytes": tally.written,
            "seconds": round(seconds, 3),
            "steps": {step: round(value, 3) for step, value in sorted(tally.seconds.items())},
            "stopped": tally.stopped,
        }
        told = {granule_id for granule_id, done in self._ended.items() if done.verdict != "later"}
        untold = [product for product in products if product.granule_id not in told]
        self.call.emit(document, _text(untold, found, counts, seconds))
        failed = FAILED if not tally.stopped else FAILED - {"registered", "later"}
        return int(wait and any(product.outcome in failed for product in products))

    def _say_days(self, offers: Sequence[Offer]) -> int:
        """Counts and bytes by day of sensing."""
        days: dict[str, list[Offer]] = {}
        for offer in offers:
            days.setdefault(f"{offer.start_at:%Y-%m-%d}" if offer.start_at else "unknown", []).append(offer)
        counts = {day: {"products": len(some), "bytes": _bytes(some)} for day, some in sorted(days.items())}
        document = {
            "products": len(offers),
            "bytes": _bytes(offers),
            "of_unknown_size": sum(o.size is None for o in offers),
            "days": counts,
        }
        lines = [f"{day:<10}  {count['products']:>6} products  {readable(count['bytes']):>8}" for day, count in counts.items()]
        self.call.emit(document, "\n".join([*lines, f"{len(offers)} products, {readable(_bytes(offers))}"]))
        return 0

    def _say_found(self, found: Found) -> int:
        document = {
            "products": [{"name": o.name, "path": o.source, "bytes": o.size} for o in found.offers],
            "unrecognised": _skipped(found),
        }
        lines = [f"{offer.name}  {offer.source}" for offer in found.offers]
        self.call.emit(document, "\n".join([*lines, *_skipped_lines(found), f"{len(found.offers)} products"]))
        return 0


def _bytes(offers: Sequence[Offer]) -> int:
    return sum(offer.size or 0 for offer in offers)


def _offer(lake: Lake, offers: Sequence[Offer]) -> list[Offered]:
    with lake.connect(name="eolake ingest") as connection:
        return [offered for at in range(0, len(offers), BATCH) for offered in granules.offer(connection, offers[at : at + BATCH])]


def _states(lake: Lake, offered: Sequence[Offered]) -> dict[int, Granule]:
    with lake.connect(name="eolake ingest") as connection:
        return {granule.granule_id: granule for granule in granules.get(connection, [o.granule_id for o in offered])}


def _skipped(found: Found) -> list[dict[str, str]]:
    return [{"path": str(skipped.path), "reason": skipped.reason} for skipped in found.skipped]


def _skipped_lines(found: Found) -> list[str]:
    return [f"not taken    {skipped.path}: {skipped.reason}" for skipped in found.skipped]


def _text(products: Sequence[Product], found: Found, counts: Mapping[str, int], seconds: float) -> str:
    lines = [line(p.name, p.outcome, p.reason, p.items, p.seconds) for p in products]
    summary = ", ".join(f"{count} {outcome}" for outcome, count in sorted(counts.items())) or "no products"
    others = f"; {len(found.skipped)} entries are no products" if found.skipped else ""
    return "\n".join([*lines, *_skipped_lines(found), f"{summary} in {seconds:.1f} s{others}"])
