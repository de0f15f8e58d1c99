"""`eolake status`"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click

from eolake.catalog.errors import Unreachable
from eolake.catalog.invocation import Invocation, pass_invocation
from eolake.catalog.local.inventory import Inventory, take_inventory
from eolake.catalog.local.stack import Part, Stack


@click.command()
@pass_invocation
def status(call: Invocation) -> int:
    """Show what runs, what waits and what is in the lake.

    Ends with 4 when the database does not answer.
    """
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
    call.emit(document, "\n".join(_text(document, parts, inventory)))
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
    return lines


def _where(part: Part) -> str:
    return "  ".join(word for word in (part.url, f"pid {part.pid}" if part.pid else None) if word)
