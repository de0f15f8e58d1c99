"""What `ingest` and `work` say: a line per product as it ends, and a summary."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import click

from eolake.catalog.invocation import Invocation
from eolake.catalog.ledger.granules import Granule
from eolake.ingest.messages import Done
from eolake.ingest.worker import Tally


def tell(call: Invocation, text: str) -> None:
    """A line as soon as it is known: on stdout, or on stderr when stdout is to hold one JSON document."""
    click.echo(text, err=call.json)


@dataclass(slots=True, kw_only=True)
class Reporter:
    """Tells of each product as it ends."""

    call: Invocation

    def report(self, granule: Granule, done: Done) -> None:
        """One product ended."""
        tell(self.call, line(granule.name, done.verdict, done.reason, done.items, sum(done.seconds.values())))


def line(name: str, verdict: str, reason: str | None, items: tuple[str, ...] = (), seconds: float = 0) -> str:
    """`published    NAME → collection, 1.2 s`"""
    collections = sorted({item.split("/", 1)[0] for item in items})
    target = f" → {', '.join(collections)}" if collections and verdict == "published" else ""
    took = f", {seconds:.1f} s" if seconds else ""
    why = f": {reason}" if reason else ""
    return f"{verdict:<12} {name}{target}{took}{why}"


def tally_document(tally: Tally) -> dict[str, Any]:
    """For `--json`."""
    return {
        "verdicts": dict(sorted(tally.verdicts.items())),
        "seconds": {step: round(seconds, 3) for step, seconds in sorted(tally.seconds.items())},
        "bytes": tally.written,
        "swept": tally.swept,
        "stopped": tally.stopped,
    }


def tally_text(tally: Tally) -> str:
    """One line."""
    counts = ", ".join(f"{count} {verdict}" for verdict, count in sorted(tally.verdicts.items())) or "nothing to do"
    end = "; stopped" if tally.stopped else ""
    return f"{counts} ({tally.written / 1e6:.1f} MB written){end}"
