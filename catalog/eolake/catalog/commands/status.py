"""`eolake status`"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from typing import Any

import click

from eolake.catalog.durations import Duration
from eolake.catalog.errors import Unreachable
from eolake.catalog.invocation import Invocation, pass_invocation
from eolake.catalog.ledger.monitoring import Activity
from eolake.catalog.local.inventory import Inventory, take_inventory
from eolake.catalog.local.stack import Part, Stack

EVERY = 2.0
"""Seconds between two looks of --watch."""


@click.command()
@click.option("--watch", is_flag=True, help="Look again every 2 seconds, until Ctrl-C.")
@click.option("--max-time", type=Duration(), metavar="TIME", help="With --watch: end after this long: 50m, 2h.")
@pass_invocation
def status(call: Invocation, *, watch: bool, max_time: float | None) -> int:
    """Show what runs, what waits, what is fetched and what is in the lake.

    Ends with 4 when the database does not answer.
    """
    if not watch:
        return _show(call, click.echo)
    begin = time.monotonic()
    with _screen(call) as show, suppress(KeyboardInterrupt):
        while True:
            code = _show(call, show)
            left = EVERY if max_time is None else min(EVERY, max_time - (time.monotonic() - begin))
            if left <= 0:
                return code
            time.sleep(left)
    return 0


@contextmanager
def _screen(call: Invocation) -> Iterator[Callable[[str], None]]:
    """On a terminal the text is drawn in place; elsewhere block follows block."""
    if call.json or not sys.stdout.isatty():
        yield click.echo
        return
    from rich.live import Live
    from rich.text import Text

    with Live(auto_refresh=False, screen=True, vertical_overflow="crop") as live:
        yield lambda text: live.update(Text(text), refresh=True)


def _show(call: Invocation, show: Callable[[str], None]) -> int:
    stack = Stack(call.settings(), call.config_file())
    parts = stack.parts()
    inventory, fault = _inventory(stack)
    document: dict[str, Any] = {
        "lake": stack.settings.lake.name,
        "root": str(stack.settings.root),
        "store": stack.lake.store_config.url,
        "url": stack.url,
        "parts": {part.name: {"state": part.state, "pid": part.pid, "url": part.url} for part in parts},
    }
    if inventory:
        document |= asdict(inventory)
    show(json.dumps(document, indent=2, default=str) if call.json else "\n".join(_text(document, parts, inventory)))
    if fault:
        call.note(f"eolake: {fault}")
    return Unreachable.exit_code if fault else 0


def _inventory(stack: Stack) -> tuple[Inventory | None, str | None]:
    try:
        return take_inventory(stack.lake), None
    except Unreachable as error:
        return None, str(error)


def _text(document: dict[str, Any], parts: list[Part], inventory: Inventory | None) -> list[str]:
    lines = [f"{document['lake']}  {document['root']}", f"  store       {document['store']}"]
    lines += [
        f"  {part.name:<11} {part.state}{f'  pid {part.pid}' if part.pid else ''}{f'  {part.url}' if part.url else ''}" for part in parts
    ]
    if any(part.state == "crashed" for part in parts):
        lines.append("  Something crashed: `eolake up --detach` starts it again; logs are in lake/logs.")
    if inventory is None:
        return lines
    granules = ", ".join(f"{count:,} {state}" for state, count in inventory.granules.items())
    lines += ["", f"granules     {granules or 'none yet: eolake ingest PATH…'}"]
    if inventory.collections:
        lines += ["", f"{'collection':<32} {'items':>10} {'datasets':>10} {'GB':>10}"]
        lines += [f"{name:<32} {h.items:>10,} {h.datasets:>10,} {h.bytes / 1e9:>10.3f}" for name, h in inventory.collections.items()]
    return lines + _providers(inventory.activity) + _days(inventory.activity) + _troubles(inventory.activity)


def _providers(now: Activity) -> list[str]:
    if not now.providers:
        return []
    head = f"{'provider':<16} {'queued':>9} {'in flight':>9} {'MB/s':>8} {'slots':>16} {'oldest':>8}"
    lines = ["", f"{head}  (slots: busy / allowed now / in all)"]
    for one in now.providers:
        slots = f"{one.busy} / {one.allowed} / {one.connections}"
        age = "" if one.oldest is None else _span(one.oldest)
        lines.append(f"{one.provider:<16} {one.queued:>9,} {one.in_flight:>9,} {one.rate / 1e6:>8.1f} {slots:>16} {age:>8}")
        lines += [
            f"  {fault.kind}: {fault.granules:,} wait or are kept aside; last {fault.at:%Y-%m-%d %H:%M} {fault.name}: {fault.text}"
            for fault in now.faults
            if fault.provider == one.provider
        ]
    return lines


def _days(now: Activity) -> list[str]:
    if not now.days:
        return []
    lines = ["", f"{'feed':<16} {'day':<10} {'available':>10} {'wanted':>10} {'fetched':>10} {'published':>10}"]
    lines += [f"{d.feed:<16} {d.day} {d.available:>10,} {d.wanted:>10,} {d.fetched:>10,} {d.published:>10,}" for d in now.days]
    return lines


def _troubles(now: Activity) -> list[str]:
    lines = []
    for one in now.accounts:
        name = f"{one.provider} account {one.name}"
        if one.disabled is not None:
            lines.append(f"{name} is disabled: {one.disabled}")
        elif one.rest > 0:
            lines.append(f"{name} rests for {_span(one.rest)}; then {one.allowed} of {one.connections} connections")
        if one.budget is not None and one.spent >= 0.8 * one.budget:
            lines.append(f"{name} received {one.spent / 1e9:,.1f} of its {one.budget / 1e9:,.1f} GB in 30 days")
    lines += [
        f"{b.provider} host {b.host} broke {b.trips} times in a row; " + (f"next trial in {_span(b.rest)}" if b.rest else "on trial")
        for b in now.breakers
    ]
    lines += [f"alarm {a.provider} {a.kind}: {a.text} (since {a.raised_at:%Y-%m-%d %H:%M})" for a in now.alarms]
    return ["", *lines] if lines else []


def _span(seconds: float) -> str:
    for unit, length in (("d", 86_400), ("h", 3600), ("m", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


def _where(part: Part) -> str:
    return "  ".join(word for word in (part.url, f"pid {part.pid}" if part.pid else None) if word)
