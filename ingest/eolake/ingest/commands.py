"""The commands `ingest`, `work` and `retry`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import override

import click

from eolake.catalog.invocation import Invocation, pass_invocation

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class Duration(click.ParamType[float]):
    """`90`, `90s`, `50m`, `2h`, `1d`; in seconds."""

    name = "duration"

    @override
    def convert(self, value: str | float, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Seconds."""
        if isinstance(value, float):
            return value
        found = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd]?)", str(value).strip())
        if found is None:
            self.fail(f"{value!r} is no duration; write 90s, 50m, 2h", param, ctx)
        return float(found[1]) * UNITS[found[2] or "s"]


CONVERT = click.option(
    "--convert", "converters", type=click.IntRange(1, 64), default=1, show_default=True, metavar="N", help="Converter processes."
)
MAX_TIME = click.option("--max-time", type=Duration(), metavar="TIME", help="Take no more work in time to end after this long: 50m, 2h.")


@click.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="PATH...")
@click.option("--no-wait", is_flag=True, help="Only register the products; `eolake work` does the rest.")
@click.option("--dry-run", is_flag=True, help="Only say what lies there.")
@CONVERT
@MAX_TIME
@pass_invocation
def ingest(call: Invocation, paths: tuple[Path, ...], *, no_wait: bool, dry_run: bool, converters: int, max_time: float | None) -> int:
    """Take products on disk into the lake.

    PATH is a product (an archive, a directory, a folder of its files) or a folder with products below it. Products are read where
    they are: never moved, never deleted. Exit code 1 when one could not be published."""
    from eolake.ingest.ingestion import Ingestion

    return Ingestion(call=call, converters=converters, max_time=max_time).run(paths, wait=not no_wait, dry_run=dry_run)


@click.command()
@click.option("--once", is_flag=True, help="End when the queue is empty.")
@CONVERT
@MAX_TIME
@pass_invocation
def work(call: Invocation, *, once: bool, converters: int, max_time: float | None) -> int:
    """Work on the queue until stopped, or once.

    SIGTERM and Ctrl-C give unfinished work back within five seconds. Start as many workers as you like, on as many machines.

    How patient it is, in seconds: EOLAKE_WORKER_LEASE, _LONGEST (a product), _DELAY (before a second attempt), _PATIENCE (with the
    database); how often a product may fail: _FAULTS, _DEATHS; where archives are unpacked: _WORKSPACE."""
    from eolake.ingest.reporting import Reporter, tally_document, tally_text
    from eolake.ingest.worker import Order, Worker

    reporter = Reporter(call=call)
    order = Order(converters=converters, once=once, max_time=max_time, verbose=call.verbose)
    tally = Worker(call.lake(), order, report=reporter.report).run()
    call.emit(tally_document(tally), tally_text(tally))
    return int(not tally.stopped and tally.failed > 0)


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--reason", metavar="TEXT", help="Only those with this text in their reason.")
@click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice(["quarantined", "rejected", "fetched"]),
    help="Which ones; fetched: those that wait for a later try.  [default: quarantined]",
)
@click.option("--dry-run", is_flag=True, help="Only say which.")
@pass_invocation
def retry(call: Invocation, names: tuple[str, ...], *, reason: str | None, states: tuple[str, ...], dry_run: bool) -> int:
    """Queue quarantined products again.

    By product name, by reason, or all of them. `eolake work` takes them."""
    from eolake.catalog.ledger import granules

    with call.lake().connect(name="eolake retry") as connection:
        taken = granules.retry(connection, states=states or ("quarantined",), reason=reason, names=names or None, dry_run=dry_run)
    unknown = sorted(set(names) - set(taken))
    for name in unknown:
        call.note(f"{name}: no such product is {' or '.join(states or ('quarantined',))}")
    verb = "would be queued again" if dry_run else "queued again"
    call.emit({"retried": taken, "unknown": unknown, "dry_run": dry_run}, "\n".join([*taken, f"{len(taken)} {verb}"]))
    return int(bool(unknown))
