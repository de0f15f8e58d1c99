"""The commands `ingest`, `work` and `retry`."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import click

from eolake.catalog.durations import Duration
from eolake.catalog.errors import ConfigError, UsageError
from eolake.catalog.invocation import Invocation, pass_invocation
from eolake.ingest.wishes import Wish, conversion_options, parse_day, taken_options, wish_options

__all__ = ["CONVERT", "FETCH", "MAX_TIME", "ingest", "names_provider", "retry", "work"]

CONVERT = click.option(
    "--convert", "converters", type=click.IntRange(1, 64), default=1, show_default=True, metavar="N", help="Converter processes."
)
FETCH = click.option(
    "--fetch", "lanes", type=click.IntRange(0, 64), default=4, show_default=True, metavar="N", help="Connections to providers at a time."
)
MAX_TIME = click.option("--max-time", type=Duration(), metavar="TIME", help="Take no more work in time to end after this long: 50m, 2h.")


@click.command()
@click.argument("words", nargs=-1, required=True, metavar="PATH... | PROVIDER COLLECTION")
@wish_options
@conversion_options
@click.option("--no-wait", is_flag=True, help="Only register the products; `eolake work` does the rest.")
@click.option("--dry-run", is_flag=True, help="Only say what there is.")
@CONVERT
@FETCH
@MAX_TIME
@pass_invocation
def ingest(
    call: Invocation,
    /,
    words: tuple[str, ...],
    *,
    no_wait: bool,
    dry_run: bool,
    converters: int,
    lanes: int,
    max_time: float | None,
    **options: Any,
) -> int:
    """Take products on disk, or of a provider, into the lake.

    PATH is a product (an archive, a directory, a folder of its files) or a folder with products below it. Products are read where
    they are: never moved, never deleted. A first word that names a provider is one: write ./cdse for a folder of that name. Then
    everything that the search finds is fetched. Exit code 1 when one could not be published.

    How products are converted is kept with them: for what waits or was kept aside the options of the last command count, what is
    published stays as it is until you say --again. Without options nothing changes."""
    from eolake.ingest.ingestion import Ingestion

    conversion, again = taken_options(options)
    wish = Wish.of(options)
    ingestion = Ingestion(call=call, converters=converters, lanes=lanes, max_time=max_time, options=conversion, again=again)
    if names_provider(call, words[0]):
        if len(words) != 2:
            raise UsageError(f"{words[0]} is a provider: `eolake ingest {words[0]} COLLECTION`; write ./{words[0]} for a folder")
        return ingestion.order(words[0], words[1], wish, wait=not no_wait, dry_run=dry_run)
    if not wish.empty:
        raise UsageError("--datetime, --bbox and the like are for providers: `eolake ingest PROVIDER COLLECTION`")
    return ingestion.run([Path(word) for word in words], wait=not no_wait, dry_run=dry_run)


def names_provider(call: Invocation, word: str) -> bool:
    """Whether a first word means a provider. The folder provider is meant by paths."""
    if not word or set(word) & {"/", ".", "\\"} or word == "folder":
        return False
    from eolake.ingest.providers.registry import presets

    try:
        own = call.settings().providers
    except ConfigError:
        own = {}
    return word in own or word in presets()


@click.command()
@click.option("--once", is_flag=True, help="End when the queue is empty.")
@CONVERT
@FETCH
@MAX_TIME
@pass_invocation
def work(call: Invocation, *, once: bool, converters: int, lanes: int, max_time: float | None) -> int:
    """Work on the queue until stopped, or once.

    SIGTERM and Ctrl-C give unfinished work back within five seconds. Start as many workers as you like, on as many machines.

    How patient it is, in seconds: EOLAKE_WORKER_LEASE, _LONGEST (a product), _DELAY (before a second attempt), _PATIENCE (with the
    database); how often a product may fail: _FAULTS, _DEATHS; where archives are unpacked: _WORKSPACE."""
    from eolake.ingest.reporting import Reporter, progress, tally_document, tally_text
    from eolake.ingest.worker import Order, Worker

    reporter = Reporter(call=call)
    order = Order(converters=converters, fetch=lanes, once=once, max_time=max_time, verbose=call.verbose)
    with progress(call) as bars:
        tally = Worker(call.lake(), order, report=reporter.report, overhear=bars).run()
    call.emit(tally_document(tally), tally_text(tally))
    return int(not tally.stopped and tally.failed > 0)


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--reason", metavar="TEXT", help="Only those with this text in their reason.")
@click.option("--date", "day", metavar="DAY", help="Only those published on that day (UTC); offered on it, where that is not known.")
@click.option("--provider", metavar="NAME", help="Only those of this provider; its disabled accounts are used again.")
@click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice(["quarantined", "rejected", "queued", "fetched"]),
    help="Which ones; queued, fetched: those that wait for a later try, or for their provider.  [default: quarantined]",
)
@click.option("--dry-run", is_flag=True, help="Only say which.")
@pass_invocation
def retry(
    call: Invocation,
    names: tuple[str, ...],
    *,
    reason: str | None,
    day: str | None,
    provider: str | None,
    states: tuple[str, ...],
    dry_run: bool,
) -> int:
    """Queue quarantined products again.

    By product name, reason, day, provider, or all of them. `eolake work` takes them."""
    from eolake.catalog.ledger import granules, slots

    since = parse_day(day) if day is not None else None
    with call.lake().connect(name="eolake retry") as connection:
        taken = granules.retry(
            connection,
            states=states or ("quarantined",),
            reason=reason,
            names=names or None,
            provider=provider,
            since=since,
            until=since + timedelta(days=1) if since is not None else None,
            dry_run=dry_run,
        )
        enabled = slots.enable(connection, provider) if provider is not None and not dry_run else []
    unknown = sorted(set(names) - set(taken))
    for name in unknown:
        call.note(f"{name}: no such product is {' or '.join(states or ('quarantined',))}")
    verb = "would be queued again" if dry_run else "queued again"
    text = [*taken, *(f"{account} is used again" for account in enabled), f"{len(taken)} {verb}"]
    call.emit({"retried": taken, "unknown": unknown, "enabled": enabled, "dry_run": dry_run}, "\n".join(text))
    return int(bool(unknown))
