"""`eolake up`"""

from __future__ import annotations

import signal
import time

import click

from eolake.catalog.invocation import Invocation, pass_invocation
from eolake.catalog.local.stack import Stack


@click.command()
@click.option("--detach", "-d", is_flag=True, help="Come back when everything runs.  [default: stay, and stop everything on Ctrl-C]")
@click.option("--workers", type=click.IntRange(0, 64), default=0, show_default=True, help="Workers to run beside it.")
@click.option("--port", type=click.IntRange(1, 65535), help="Port of the HTTP app.  [default: the last one, else 8000, else any]")
@pass_invocation
def up(call: Invocation, detach: bool, workers: int, port: int | None) -> None:  # noqa: FBT001 -- click's signature
    """Start what the lake needs on this machine: PostgreSQL, the HTTP app, workers.

    Whatever runs already is left alone, whatever crashed is started again, and a lake that was moved is repaired.
    """
    began = time.monotonic()
    stack = Stack(call.settings(), call.config_file())
    watched = stack.watched()
    ran_before = any(part.state == "running" for part in stack.parts())
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        started = stack.up(workers=workers, port=port, note=call.note)
    except KeyboardInterrupt:
        if not ran_before:
            stack.down()
        raise
    call.emit(_document(stack, started), _text(stack, started, time.monotonic() - began))
    if started and not detach and not watched:
        call.note("Ctrl-C stops everything.")
        stack.watch(note=call.note)


def _document(stack: Stack, started: list[str]) -> dict[str, object]:
    database = stack.lake.database
    return {
        "started": started,
        "url": stack.url,
        "stac": f"{stack.url}/stac",
        "database": f"postgresql://{database.user}@{database.host}:{database.port}/{database.name}",
        "store": stack.lake.store_config.url,
    }


def _text(stack: Stack, started: list[str], seconds: float) -> str:
    done = f"Started in {seconds:.1f} s: {', '.join(started)}." if started else "Everything ran already."
    facts = _document(stack, started)
    return "\n".join(
        [
            f"{done}  The lake {stack.settings.lake.name!r}:",
            f"  browse     {facts['url']}",
            f"  STAC API   {facts['stac']}",
            f"  database   {facts['database']}",
            f"  store      {facts['store']}",
            'Use it from other programs: eval "$(eolake env)"',
        ]
    )
