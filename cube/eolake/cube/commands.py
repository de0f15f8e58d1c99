"""`eolake check`, `relocate` and `rebuild`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from eolake.catalog.errors import EolakeError
from eolake.catalog.invocation import Invocation, pass_invocation

if TYPE_CHECKING:
    from eolake.cube.check import Report

SHOWN = 20
"""Faults printed; --json has all of them."""


class CheckFailed(EolakeError):
    """Store, catalog and cube do not agree; `eolake check --json` lists every fault, `eolake rebuild --replace` mends catalog and cube."""


@click.command()
@pass_invocation
def check(call: Invocation) -> None:
    """Compare the store, the catalog and the cube.

    Presence, sizes, hrefs, geometry and time; and that each dataset is findable: its location, spatial and search rows. Exit code 1 on any
    fault.
    """
    from eolake.catalog.store import open_store
    from eolake.cube.check import check as compare

    lake = call.lake()
    started = time.monotonic()
    with lake.connect(name="eolake check") as connection:
        report = compare(connection, open_store(lake.store_config))
    call.emit(report.document(), _text(report, time.monotonic() - started))
    if not report.ok:
        raise CheckFailed


def _text(report: Report, seconds: float) -> str:
    faults = [*report.missing, *report.orphans, *report.differing]
    verdict = "ok: store, catalog and cube agree" if report.ok else f"{len(faults)} faults"
    more = [f"… and {len(faults) - SHOWN} more (--json lists all)"] if len(faults) > SHOWN else []
    head = f"{report.items} items, {report.datasets} datasets, {report.objects} objects compared in {seconds:.1f} s"
    return "\n".join([head, *faults[:SHOWN], *more, verdict])


@click.command()
@click.option("--from", "old", metavar="URL", help="Where the URIs point now.  [default: where they were written]")
@pass_invocation
def relocate(call: Invocation, old: str | None) -> None:
    """Repair the addresses of objects after the lake moved.

    Copy or move the objects first; then this rewrites the store URIs in catalog and cube, in one transaction. `eolake up` does it by itself
    for a lake in a folder.
    """
    from eolake.cube.relocate import relocate as move

    lake = call.lake()
    moved = move(lake, old)
    where = lake.store_config.url
    call.emit({"items": moved, "store": where}, f"{moved} items now point to {where}" if moved else f"nothing to do: all is at {where}")


@click.command()
@click.option("--replace", is_flag=True, help="Forget the publications that are there first.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@pass_invocation
def rebuild(call: Invocation, replace: bool, yes: bool) -> None:  # noqa: FBT001 -- click's signature
    """Make catalog and cube again from the store alone.

    For a database that is lost or broken: reads item.json and record.json beside the objects. Stop the workers first.
    """
    from eolake.cube.rebuild import rebuild as build
    from eolake.cube.session import Session

    if replace and not yes:
        click.confirm("Forget all items and datasets and read them from the store again?", abort=True, err=True)
    started = time.monotonic()
    with Session(lake=call.lake()) as session:
        scenes = build(session, replace=replace)
    call.emit({"scenes": scenes}, f"{scenes} scenes published from the store in {time.monotonic() - started:.1f} s")
